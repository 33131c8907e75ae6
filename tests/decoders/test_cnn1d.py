import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.decoders import cnn1d
from tests.zoo import reference

RNG = np.random.default_rng(0)
SMALL = {'widths': (3, 4), 'dense': (5,), 'up': (4, 3, 2), 'dropout': 0.0}


def drawn(net, *example):
    """Parameters by numpy: initialising by jax compiles for seconds."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), *example)['params']
    return jax.tree.map(lambda s: (0.5 * RNG.standard_normal(s.shape)).astype(np.float32), shapes)


def longhand(params, x, out_shape):
    """The same net in torch from the list of its layers; parameters are tensors, x [n v c]."""
    functional = torch.nn.functional
    x = x.permute(0, 2, 1)
    for i in range(2):
        for j in range(2):
            kernel = params[f'block{i}_conv{j}']['kernel'].permute(2, 1, 0)
            norm = params[f'block{i}_norm{j}']
            x = functional.conv1d(x, kernel, padding=1)
            x = functional.batch_norm(
                x, None, None, norm['scale'], norm['bias'], training=True, eps=1e-3
            )
            x = functional.relu(x)
        x = functional.max_pool1d(x, 2)
    x = x.permute(0, 2, 1).flatten(1)
    for name in ('dense0', 'map'):
        x = functional.relu(x @ params[name]['kernel'] + params[name]['bias'])
    rows, columns = (-(-side // 16) for side in out_shape[:2])
    x = x.reshape(len(x), rows, columns, -1).permute(0, 3, 1, 2)
    for i, stride in enumerate((4, 2, 2)):
        kernel = params[f'up{i}']['kernel']
        kernel = kernel.reshape(len(kernel), stride, stride, -1).permute(0, 3, 1, 2)
        bias = params[f'up{i}']['bias'].reshape(stride, stride, -1)
        x = functional.conv_transpose2d(x, kernel, stride=stride)
        x = x + bias.permute(2, 0, 1).tile(1, x.shape[2] // stride, x.shape[3] // stride)
        x = functional.relu(x) if i < 2 else x
    top, left = (x.shape[2] - out_shape[0]) // 2, (x.shape[3] - out_shape[1]) // 2
    return x[:, :, top : top + out_shape[0], left : left + out_shape[1]].permute(0, 2, 3, 1)


def test_the_net_is_the_published_list_of_layers_with_its_gradients():
    shape = (18, 16, 3)
    net = cnn1d.build(SMALL, shape)
    x = RNG.standard_normal((3, 13, 2)).astype(np.float32)
    weight = RNG.standard_normal((3, *shape)).astype(np.float32)
    params = drawn(net, x)

    @jax.jit
    def ours(params):
        value, pull = jax.vjp(lambda p: net.apply({'params': p}, x), params)
        return value, pull(jnp.asarray(weight))[0]

    value, grads = ours(params)
    theirs = jax.tree.map(lambda leaf: torch.from_numpy(leaf).requires_grad_(), params)
    wanted = longhand(theirs, torch.from_numpy(x), shape)
    (wanted * torch.from_numpy(weight)).sum().backward()
    assert reference.relative(value, wanted) < 1e-5
    scale = max(float(leaf.grad.abs().max()) for leaf in jax.tree.leaves(theirs))
    for one, other in zip(jax.tree.leaves(grads), jax.tree.leaves(theirs), strict=True):
        assert np.abs(one - other.grad.numpy()).max() < 1e-5 * scale


def test_parameters_of_a_whole_subject_and_sizes():
    net = cnn1d.build({}, (288, 288, 3))
    made = jax.eval_shape(
        net.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 21_025, 2), np.float32)
    )
    count = sum(leaf.size for leaf in jax.tree.leaves(made['params']))
    down = 3 * (2 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128) + 2 * 2 * 224
    hidden = 2628 * 128 * 256 + 256 + 256 * 256 + 256
    small = 256 * 18 * 18 * 128 + 18 * 18 * 128
    up = (128 + 1) * 16 * 64 + (64 + 1) * 4 * 32 + (32 + 1) * 4 * 3
    # A transposed convolution here has a bias for each pixel of its kernel.
    assert count == down + hidden + small + up


def test_rows_come_as_lists_hemispheres_or_pictures():
    x = RNG.standard_normal((2, 24)).astype(np.float32)
    assert cnn1d.rows({}, x).shape == (2, 24, 1)
    assert cnn1d.rows({}, x.reshape(2, 12, 2)).shape == (2, 12, 2)
    picture = cnn1d.rows({}, x.reshape(2, 3, 4, 2))
    np.testing.assert_array_equal(picture, x.reshape(2, 12, 2))
    with pytest.raises(errors.DataInvalid, match='8 voxels or more'):
        cnn1d.rows({}, x[:, :7])
    with pytest.raises(errors.DataInvalid):
        cnn1d.rows({}, np.full((2, 24), np.nan))


def test_options_that_do_not_fit_are_refused():
    for change in ({'widths': ()}, {'up': (4, 3)}, {'dropout': 1.0}, {'dtype': 'float16'}):
        with pytest.raises(errors.ConfigError, match=next(iter(change))):
            cnn1d.build(change, (16, 16, 3))
    with pytest.raises(errors.ConfigError, match='picture'):
        cnn1d.build({}, (16,))
