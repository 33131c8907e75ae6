"""System 2's nets: the published sizes, and torch's answers at small sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.decoders import _shen_layers as layers
from recon.decoders import shen_gan
from tests.decoders import torch_shen
from tests.zoo import reference

SMALL = {'hidden': 24, 'width': 2, 'discriminator_width': 4}


def count(shapes):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


def parameters(module, *inputs):
    like = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    return jax.eval_shape(module.init, jax.random.key(0), *like)['params']


def drawn(module, *inputs, seed=0):
    """Parameters of the module's shapes, drawn by numpy, which spares compiling."""
    random = np.random.default_rng(seed)

    def draw(leaf):
        scale = 1.2 / np.sqrt(np.prod(leaf.shape[:-1])) if leaf.ndim > 1 else 0.1
        return (scale * random.standard_normal(leaf.shape)).astype(np.float32)

    return jax.tree.map(draw, parameters(module, *inputs))


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def test_the_published_sizes():
    generator = parameters(shen_gan.build({}, (227, 227, 3)), (1, 10_000))
    linear = {name: leaf for name, leaf in generator.items() if name.startswith('fc')}
    assert count(linear) == 10_000 * 4096 + 4096 + 2 * (4096**2 + 4096)
    assert count(generator) - count(linear) == 5_753_955
    assert count(parameters(shen_gan.Discriminator(), (1, 227, 227, 3))) == 1_081_410


@pytest.mark.parametrize(
    ('shape', 'strides'), [((227, 227, 3), 4), ((64, 64, 3), 4), ((28, 28, 1), 1), ((40, 60, 1), 2)]
)
def test_pictures_of_any_size_come_out_and_are_judged(shape, strides):
    net = shen_gan.build(SMALL, shape)
    voxels = jax.ShapeDtypeStruct((5, 7), jnp.float32)
    out, _ = jax.eval_shape(net.init_with_output, jax.random.key(0), voxels)
    assert out.shape == (5, *shape)
    assert shen_gan.first_stride(shape) == strides
    judge = shen_gan.Discriminator(4)
    out, _ = jax.eval_shape(judge.init_with_output, jax.random.key(0), out)
    assert out.shape == (5, 2)


@pytest.mark.parametrize(('channels', 'features'), [(3, 5), (20, 2), (3, 17)])
def test_a_transposed_convolution_is_torchs_and_its_gradients_are(channels, features):
    """Of each of the forms that are taken by the numbers of channels."""
    x, kernel = normal(0, 2, 5, 3, channels), normal(1, 4, 4, channels, features)
    slope = normal(2, 2, 10, 6, features)
    ours, pull = jax.vjp(jax.jit(layers.deconv), x, kernel)
    given = reference.nchw(x).requires_grad_(), torch.tensor(kernel, requires_grad=True)
    wanted = torch.nn.functional.conv_transpose2d(
        given[0], given[1].permute(2, 3, 0, 1), stride=2, padding=1
    )
    wanted.backward(reference.nchw(slope))
    assert reference.relative(ours, reference.nhwc(wanted)) < 1e-5
    of_x, of_kernel = pull(slope)
    assert reference.relative(of_x, reference.nhwc(given[0].grad)) < 1e-5
    assert reference.relative(of_kernel, given[1].grad) < 1e-5


@pytest.mark.parametrize(
    ('size', 'stride', 'pad', 'channels'),
    [
        (7, 4, 0, 3),
        (5, 1, 0, 3),
        (3, 2, 0, 3),
        (3, 2, 0, 9),
        (7, 4, 2, 9),
        (3, 1, 1, 3),
        (5, 1, 0, 9),
    ],
)
def test_a_convolution_is_torchs(size, stride, pad, channels):
    run = jax.jit(layers.conv, static_argnums=(2, 3))
    for side in (15, 22) if channels > 3 else (16, 17):
        x, kernel = normal(0, 2, side, side + 2, channels), normal(1, size, size, channels, 4)
        wanted = torch.nn.functional.conv2d(
            reference.nchw(x),
            torch.from_numpy(kernel).permute(3, 2, 0, 1),
            stride=stride,
            padding=pad,
        )
        ours = run(x, kernel, stride, pad)
        assert reference.relative(ours, reference.nhwc(wanted)) < 1e-5


def test_the_generator_is_torchs():
    shape = (61, 64, 3)
    net = shen_gan.build(SMALL, shape)
    params, voxels = drawn(net, (1, 9)), normal(2, 3, 9)
    theirs = torch_shen.Generator(9, shape, 24, ((16, 32), (16, 16), (8, 8)), start=16)
    wanted = torch_shen.load(theirs, params)(torch.from_numpy(voxels))
    ours = jax.jit(net.apply)({'params': params}, voxels)
    assert reference.relative(ours, reference.nhwc(wanted)) < 1e-5


def test_the_discriminator_is_torchs():
    net = shen_gan.Discriminator(4)
    images = np.random.default_rng(0).random((3, 67, 64, 3), np.float32)
    params = drawn(net, (1, 67, 64, 3))
    wanted = torch_shen.load(torch_shen.Discriminator(3, 4, 4), params)(reference.nchw(images))
    assert reference.relative(jax.jit(net.apply)({'params': params}, images), wanted) < 1e-5


def test_frozen_biases_take_no_gradient():
    voxels = normal(0, 2, 5)
    for frozen in (True, False):
        net = shen_gan.build(SMALL | {'frozen_biases': frozen}, (10, 10, 1))
        params = drawn(net, (1, 5))
        energy = lambda p, net=net: (net.apply({'params': p}, voxels) ** 2).sum()  # noqa: E731
        grads = jax.jit(jax.grad(energy))(params)
        assert (np.abs(grads['deconv5']['bias']).max() == 0) == frozen
        assert np.abs(grads['fc6']['bias']).max() > 0


@pytest.fixture(scope='module')
def fitted():
    net = shen_gan.build(SMALL, (12, 10, 1))
    mean = np.array([0.5], np.float32)
    return {'net': drawn(net, (1, 6)), 'shape': np.array([12, 10, 1]), 'mean': mean}


def test_predictions_are_pictures_whatever_the_number_of_rows(fitted):
    voxels = normal(4, 70, 6)
    made = shen_gan.predict(SMALL, fitted, voxels)
    assert made.shape == (70, 12, 10, 1)
    assert made.dtype == np.float32
    assert 0 <= made.min() < 0.3 < 0.7 < made.max() <= 1
    np.testing.assert_allclose(shen_gan.predict(SMALL, fitted, voxels[66:]), made[66:], atol=1e-5)
    net = shen_gan.build(SMALL, (12, 10, 1))
    wanted = np.clip(np.asarray(jax.jit(net.apply)({'params': fitted['net']}, voxels)) + 0.5, 0, 1)
    np.testing.assert_allclose(made, wanted, atol=1e-5)
    assert shen_gan.predict(SMALL, fitted, voxels[:0]).shape == (0, 12, 10, 1)


def test_the_gain_multiplies_voxels(fitted):
    voxels = normal(4, 3, 6)
    ours = shen_gan.predict(SMALL | {'gain': 24**0.5}, fitted, voxels)
    wanted = shen_gan.predict(SMALL, fitted, voxels * np.float32(24**0.5))
    np.testing.assert_array_equal(ours, wanted)
    assert np.abs(wanted - shen_gan.predict(SMALL, fitted, voxels)).max() > 0.01


def test_with_noise_as_input_the_voxels_are_not_seen(fitted):
    options = SMALL | {'noise_input': True}
    one, other = (shen_gan.predict(options, fitted, normal(seed, 3, 6)) for seed in (4, 5))
    np.testing.assert_array_equal(one, other)
    assert np.abs(one[0] - one[1]).max() > 0.01


def test_what_was_reached_is_told(fitted):
    reached = {'validation_correlation': np.array(0.25), 'validation_correlation_of_mean': 0.125}
    facts = shen_gan.describe({}, fitted | reached)['facts']
    assert facts == {
        'parameters': count(fitted['net']),
        'correlation on validation': 0.25,
        'correlation of the mean picture on validation': 0.125,
    }


@pytest.mark.parametrize('shape', [(300, 300, 3), (64, 64, 2), (64, 64), (4, 4, 3)])
def test_what_is_no_picture_is_refused(shape):
    with pytest.raises(errors.ConfigError, match='5 to 256 pixels'):
        shen_gan.build({}, shape)


def test_a_picture_too_small_to_be_judged_is_refused():
    with pytest.raises(errors.ConfigError, match='21 pixels or more'):
        shen_gan.first_stride((20, 40, 1))


def test_bfloat16_follows_float32():
    shape = (20, 20, 3)
    net = shen_gan.build(SMALL, shape)
    params, voxels = drawn(net, (1, 9)), normal(2, 3, 9)
    half = shen_gan.build(SMALL | {'dtype': 'bfloat16'}, shape)
    a, b = (np.asarray(jax.jit(n.apply)({'params': params}, voxels)) for n in (net, half))
    assert b.dtype == np.float32
    assert 0 < reference.relative(b, a) < 0.05
