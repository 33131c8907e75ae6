import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.decoders import cnn2d
from tests.zoo import reference

RNG = np.random.default_rng(0)
SMALL = {'widths': (3, 4), 'up': (3, 2), 'dropout': 0.0}


def drawn(net, *example):
    """Parameters by numpy: initialising by jax compiles for seconds."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), *example)['params']
    return jax.tree.map(lambda s: (0.5 * RNG.standard_normal(s.shape)).astype(np.float32), shapes)


def longhand(params, x, out_shape):
    """The same net in torch from the list of its layers; parameters are tensors, x [n c h w]."""
    functional = torch.nn.functional
    for i in range(2):
        kernel, norm = params[f'conv{i}']['kernel'].permute(3, 2, 0, 1), params[f'norm{i}']
        x = functional.conv2d(x, kernel, padding=1)
        x = functional.batch_norm(
            x, None, None, norm['scale'], norm['bias'], training=True, eps=1e-3
        )
        x = functional.max_pool2d(functional.relu(x), 2)
    for i, stride in enumerate((4, 2, 2)):
        kernel = params[f'up{i}']['kernel']
        kernel = kernel.reshape(len(kernel), stride, stride, -1).permute(0, 3, 1, 2)
        bias = params[f'up{i}']['bias'].reshape(stride, stride, -1)
        x = functional.conv_transpose2d(x, kernel, stride=stride)
        x = x + bias.permute(2, 0, 1).tile(1, x.shape[2] // stride, x.shape[3] // stride)
        x = functional.relu(x) if i < 2 else x
    x = functional.interpolate(x, out_shape[:2], mode='bilinear', antialias=True)
    return x.permute(0, 2, 3, 1)


def test_the_net_is_the_published_list_of_layers_with_its_gradients():
    shape = (20, 24, 3)
    net = cnn2d.build(SMALL, shape)
    x = RNG.standard_normal((3, 9, 8, 2)).astype(np.float32)
    weight = RNG.standard_normal((3, *shape)).astype(np.float32)
    params = drawn(net, x)

    @jax.jit
    def ours(params):
        value, pull = jax.vjp(lambda p: net.apply({'params': p}, x), params)
        return value, pull(jnp.asarray(weight))[0]

    value, grads = ours(params)
    theirs = jax.tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), params)
    wanted = longhand(theirs, reference.nchw(x), shape)
    (wanted * torch.from_numpy(weight)).sum().backward()
    assert reference.relative(value, wanted) < 1e-5
    scale = max(float(leaf.grad.abs().max()) for leaf in jax.tree.leaves(theirs))
    for one, other in zip(jax.tree.leaves(grads), jax.tree.leaves(theirs), strict=True):
        assert np.abs(one - other.grad.numpy()).max() < 1e-5 * scale


def test_the_seeds_square_becomes_its_picture():
    net = cnn2d.build({}, (288, 288, 1))
    example = jax.ShapeDtypeStruct((1, 145, 145, 2), np.float32)
    made = jax.eval_shape(net.init, jax.random.key(0), example)
    assert jax.eval_shape(net.apply, made, example).shape == (1, 288, 288, 1)
    count = sum(leaf.size for leaf in jax.tree.leaves(made['params']))
    down = 9 * (2 * 32 + 32 * 64 + 64 * 128) + 2 * 224
    assert count == down + (128 + 1) * 16 * 64 + (64 + 1) * 4 * 32 + (32 + 1) * 4


def test_a_list_of_voxels_is_laid_out_in_the_smallest_square():
    x = RNG.standard_normal((2, 70)).astype(np.float32)
    laid = cnn2d.rows({}, x)
    assert laid.shape == (2, 9, 9, 1)
    np.testing.assert_array_equal(laid.reshape(2, 81)[:, :70], x)
    assert not laid.reshape(2, 81)[:, 70:].any()
    with pytest.raises(errors.DataInvalid, match='8 x 8 or more'):
        cnn2d.rows({}, x[:, :40])


def test_options_that_do_not_fit_are_refused():
    for change in ({'widths': ()}, {'up': (4,)}, {'dropout': 1.0}, {'dtype': 'float16'}):
        with pytest.raises(errors.ConfigError, match=next(iter(change))):
            cnn2d.build(change, (16, 16, 3))
