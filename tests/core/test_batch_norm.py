import jax
import numpy as np
import torch

from recon.core import batch_norm
from tests.zoo import reference

RNG = np.random.default_rng(0)


def test_by_the_batch_it_is_torchs_in_training_with_its_gradient():
    x, weight = RNG.standard_normal((2, 6, 3, 3, 4)).astype(np.float32)
    params = {'scale': np.float32([1, 2, 0.5, 1]), 'bias': np.float32([0, 1, -1, 0])}
    net = batch_norm.BatchNorm(1e-3)

    @jax.jit
    def ours(params, x):
        value, pull = jax.vjp(lambda p, x: net.apply({'params': p}, x), params, x)
        return value, *pull(weight)

    value, dp, dx = ours(params, x)
    theirs = torch.nn.BatchNorm2d(4, eps=1e-3)
    with torch.no_grad():
        theirs.weight.copy_(torch.from_numpy(params['scale']))
        theirs.bias.copy_(torch.from_numpy(params['bias']))
    x_t = reference.nchw(x).requires_grad_()
    wanted = theirs(x_t)
    (wanted * reference.nchw(weight)).sum().backward()
    assert reference.relative(value, reference.nhwc(wanted)) < 1e-5
    assert reference.relative(dx, reference.nhwc(x_t.grad)) < 1e-5
    assert reference.relative(dp['scale'], theirs.weight.grad) < 1e-5
    assert reference.relative(dp['bias'], theirs.bias.grad) < 1e-5


def test_moments_of_batches_pooled_are_those_of_all_rows_and_norm_by_them():
    x = (RNG.standard_normal((4, 5, 3)) + 7 * RNG.standard_normal((4, 1, 3))).astype(np.float32)
    net = batch_norm.BatchNorm(1e-3)
    params = {'scale': np.ones(3, np.float32), 'bias': np.zeros(3, np.float32)}

    def moments(batch):
        return net.apply({'params': params}, batch, mutable=['batch_stats'])[1]['batch_stats']

    found = batch_norm.pooled([{'norm': moments(batch)} for batch in x])['norm']
    rows = x.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(found['mean'], rows.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found['var'], rows.var(0), rtol=1e-5)
    got = net.apply({'params': params, 'batch_stats': found}, x[0], True)
    wanted = (x[0] - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
