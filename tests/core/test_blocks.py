import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.models import downsampling, resnet, upsampling

from recon.core import _attention, blocks
from tests.zoo import reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ramp(shape):
    """Weights of a sum whose gradient no norm makes vanish."""
    return np.cos(np.arange(np.prod(shape), dtype=np.float32)).reshape(shape)


def gradients(module, params, x, *more):
    """Output and the gradient of a weighted sum of it with respect to the input."""

    def energy(x):
        out = module.apply({'params': params}, x, *more)
        return (ramp(out.shape) * out).sum(), out

    grad, out = jax.jit(jax.grad(energy, has_aux=True))(x)
    return out, grad


def their_gradients(net, x, *more):
    x = reference.nchw(x).requires_grad_()
    out = net(x, *more)
    (out.movedim(1, -1) * torch.from_numpy(ramp(out.movedim(1, -1).shape))).sum().backward()
    return reference.nhwc(out), reference.nhwc(x.grad)


def agree(got, wanted, tolerance=1e-5):
    return all(reference.relative(g, w) < tolerance for g, w in zip(got, wanted, strict=True))


@pytest.mark.parametrize(
    ('width', 'features', 'groups', 'epsilon'), [(8, 8, 2, 1e-5), (12, 6, 3, 1e-6)]
)
def test_the_residual_block_equals_the_reference(width, features, groups, epsilon):
    kind = resnet.ResnetBlock2D
    sizes = {'in_channels': width, 'out_channels': features, 'temb_channels': 10}
    torch.manual_seed(width)
    net = kind(**sizes, groups=groups, eps=epsilon).eval()
    ours = blocks.ResnetBlock(features, groups, epsilon)
    x, time = draw(2, 5, 3, width), draw(2, 10, seed=1)
    for scale in (0.0, 0.1):  # fresh, then perturbed
        net = reference.perturb(net, 3, scale)
        params = reference.params(net, ours, x, time)
        wanted = their_gradients(net, x, torch.from_numpy(time))
        assert agree(gradients(ours, params, x, time), wanted)


def test_wrong_residual_blocks_are_seen():
    torch.manual_seed(0)
    net = resnet.ResnetBlock2D(in_channels=8, out_channels=8, temb_channels=4, groups=4, eps=1e-5)
    x, time = 1e-2 * draw(1, 4, 4, 8), draw(1, 4, seed=2)
    for scale in (0.0, 0.1):
        net = reference.perturb(net, 7, scale)
        ours = blocks.ResnetBlock(8, 4, 1e-5)
        params = reference.params(net, ours, x, time)
        wanted = reference.nhwc(net(reference.nchw(x), torch.from_numpy(time)))
        run = lambda block, p: block.apply({'params': p}, x, time)  # noqa: E731
        assert reference.relative(run(ours, params), wanted) < 1e-5
        assert reference.relative(run(blocks.ResnetBlock(8, 4, 1e-6), params), wanted) > 1e-5
    swapped = {**params, 'norm1': params['norm2'], 'norm2': params['norm1']}
    assert reference.relative(run(ours, swapped), wanted) > 1e-3


@pytest.mark.parametrize('groups', [1, 3, 6])
def test_the_group_norm_equals_the_reference(groups):
    net = reference.perturb(torch.nn.GroupNorm(groups, 6, eps=1e-6), groups)
    x = draw(2, 7, 3, 6, seed=groups) + 3
    ours = blocks.GroupNorm(groups, 1e-6)
    params = reference.params(net, ours, x)
    assert agree(gradients(ours, params, x), their_gradients(net, x))


def test_the_group_norm_stays_exact_far_from_zero_and_sums_half_floats_in_float32():
    x = draw(1, 33, 40, 4, seed=4) + 300
    net = torch.nn.GroupNorm(2, 4, eps=1e-5).double()
    wanted = reference.nhwc(net(reference.nchw(x).double()).float())
    ours = blocks.GroupNorm(2, 1e-5)
    params = ours.init(jax.random.key(0), x)['params']
    assert reference.relative(ours.apply({'params': params}, x), wanted) < 1e-4
    half = jnp.asarray(x, jnp.bfloat16)
    out = blocks.GroupNorm(2, 1e-5, jnp.bfloat16).apply({'params': params}, half)
    assert out.dtype == jnp.bfloat16
    exact = net(reference.nchw(np.asarray(half, np.float32)).double()).float()
    assert reference.relative(out, reference.nhwc(exact)) < 1e-2


def test_the_layer_norm_equals_the_reference():
    net = reference.perturb(torch.nn.LayerNorm(11, eps=1e-12), 1)
    x = 2 + draw(3, 5, 11)
    ours = blocks.LayerNorm(1e-12)
    params = reference.params(net, ours, x)
    leaf = torch.from_numpy(x).requires_grad_()
    out = net(leaf)
    (out * torch.from_numpy(ramp(out.shape))).sum().backward()
    got = gradients(ours, params, x)
    assert agree(got, (out, leaf.grad.numpy()))


@pytest.mark.parametrize(
    ('n', 'q', 'k', 'heads', 'width'), [(2, 5, 7, 3, 4), (1, 1, 9, 1, 8), (3, 64, 64, 2, 5)]
)
def test_attention_equals_the_reference(n, q, k, heads, width):
    query, key, value = (draw(n, m, heads * width, seed=m + i) for i, m in enumerate((q, k, k)))
    split = lambda x: torch.from_numpy(x).unflatten(-1, (heads, width)).transpose(1, 2)  # noqa: E731
    mask = np.random.default_rng(k).random((n, 1, q, k)) < 0.7
    mask[..., 0] = True
    for m in (None, mask):
        theirs = torch.nn.functional.scaled_dot_product_attention(
            split(query), split(key), split(value), None if m is None else torch.from_numpy(m)
        )
        got = blocks.attention(query, key, value, heads, m)
        assert reference.relative(got, theirs.transpose(1, 2).flatten(2)) < 1e-5


@pytest.mark.parametrize('part', [7 * 10, 2 * 24 * 10])  # 6 queries; two heads
def test_attention_by_parts_is_the_same(monkeypatch, part):
    query, key, value = (draw(2, k, 6, seed=k) for k in (24, 10, 10))
    key, value = key + 0.1, value - 0.1

    def energy(query, key, value):
        out = blocks.attention(query, key, value, 2)
        return (ramp(out.shape) * out).sum(), out

    def run():
        return jax.jit(jax.value_and_grad(energy, (0, 1, 2), has_aux=True))(query, key, value)

    (_, whole), whole_grads = run()
    monkeypatch.setattr(_attention, '_SCORES', (0, 4 * part))
    assert 'scan' in str(jax.make_jaxpr(energy)(query, key, value))
    (_, parts), parts_grads = run()
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    for a, b in zip(parts_grads, whole_grads, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_what_is_masked_has_no_weight_even_in_half_precision():
    query, key, value = (draw(1, 4, 6, seed=i).astype(jnp.bfloat16) for i in range(3))
    mask = np.tril(np.ones((4, 4), bool))[None, None]
    first = blocks.attention(query, key, value, 2, mask)[:, :2]
    key[:, 2:], value[:, 2:] = 9, 9
    again = blocks.attention(query, key, value, 2, mask)[:, :2]
    assert first.dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(first, np.float32), np.asarray(again, np.float32))


@pytest.mark.parametrize('size', [(3, 4), (8, 8), (16, 24)])
def test_upsampling_equals_the_reference(size):
    torch.manual_seed(1)
    net = upsampling.Upsample2D(5, use_conv=True)
    x = draw(2, *size, 5)
    ours = blocks.Upsample()
    params = reference.params(net, ours, x)
    assert agree(gradients(ours, params, x), their_gradients(net, x))
    cut = (2 * size[0] - 1, 2 * size[1])
    wanted = net(reference.nchw(x), output_size=cut)
    got = jax.jit(lambda p, x: ours.apply({'params': p}, x, cut))(params, x)
    assert reference.relative(got, reference.nhwc(wanted)) < 1e-5


@pytest.mark.parametrize(
    ('size', 'channels', 'kernel', 'stride', 'padding'),
    [
        ((5, 6), 4, 3, 1, 1),  # a convolution
        ((3, 2), 20, 3, 1, 1),  # fewer pixels than channels
        ((3, 4), 13, 3, 1, 0),
        ((8, 4), 3, 4, 4, 0),  # patches
        ((9, 4), 3, 4, 4, 0),  # patches, and a rest
        ((3, 5), 6, 1, 1, 0),  # single pixels
        ((7, 5), 30, 5, 2, 2),
    ],
)
def test_every_kind_of_convolution_equals_the_reference(size, channels, kernel, stride, padding):
    net = reference.perturb(torch.nn.Conv2d(channels, 7, kernel, stride, padding), kernel)
    x = draw(1, *size, channels)
    ours = blocks.conv(7, kernel, stride, padding)
    params = reference.params(net, ours, x)
    assert agree(gradients(ours, params, x), their_gradients(net, x))
    half = blocks.conv(7, kernel, stride, padding, dtype=jnp.bfloat16).apply({'params': params}, x)
    assert half.dtype == jnp.bfloat16
    assert reference.relative(half, reference.nhwc(net(reference.nchw(x)))) < 2e-2


def test_a_dense_layer_takes_arrays_of_any_rank():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return blocks.dense(5, name='a')(x), blocks.dense(4, bias=False, name='b')(x)

    x = draw(2, 3, 4, 6)
    params = Two().init(jax.random.key(0), x)['params']
    assert set(params['b']) == {'kernel'}
    a, b = Two().apply({'params': params}, x)
    np.testing.assert_allclose(a, x @ params['a']['kernel'] + params['a']['bias'], atol=1e-5)
    np.testing.assert_allclose(b, x @ params['b']['kernel'], atol=1e-5)


@pytest.mark.parametrize('padding', [0, 1])
@pytest.mark.parametrize('size', [(4, 6), (7, 5)])
def test_downsampling_equals_the_reference(size, padding):
    net = downsampling.Downsample2D(6, use_conv=True, padding=padding, name='op')
    x = draw(1, *size, 6)
    ours = blocks.Downsample(padding)
    params = reference.params(net, ours, x)
    assert agree(gradients(ours, params, x), their_gradients(net, x))
    other = blocks.Downsample(1 - padding)
    got = other.apply({'params': params}, x)
    wanted = reference.nhwc(net(reference.nchw(x)))
    assert got.shape != wanted.shape or reference.relative(got, wanted) > 1e-2


def test_activations_are_the_references():
    x = np.linspace(-6, 6, 301, dtype=np.float32)
    theirs = torch.from_numpy(x)
    assert reference.relative(blocks.gelu(x), torch.nn.functional.gelu(theirs)) < 1e-6
    quick = theirs * torch.sigmoid(1.702 * theirs)
    assert reference.relative(blocks.quick_gelu(x), quick) < 1e-6
    assert reference.relative(jax.nn.gelu(x), torch.nn.functional.gelu(theirs)) > 1e-5
    for name in ('silu', 'relu', 'gelu'):
        wanted = getattr(torch.nn.functional, name)(theirs)
        assert reference.relative(blocks.ACTIVATIONS[name](x), wanted) < 1e-6
