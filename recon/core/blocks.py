"""What several nets share: norms, attention, residual blocks, up and down sampling. NHWC.

Names of parameters are those of diffusers' tensors, so that a checkpoint's names are the paths
here (`recon/zoo/tensors.py`). Norms and softmax are computed in float32 whatever the dtype.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

DType = jnp.dtype
_SCORES = 2**24  # bytes of attention scores that are made at once


def quick_gelu(x: Array) -> Array:
    """Of x: x * sigmoid(1.702 x), the activation of OpenAI's CLIP."""
    return x * jax.nn.sigmoid(1.702 * x)


def gelu(x: Array) -> Array:
    """Of x: x * Phi(x), exact. Flax's default is the tanh approximation."""
    return jax.nn.gelu(x, approximate=False)


ACTIVATIONS = {'silu': jax.nn.silu, 'swish': jax.nn.silu, 'gelu': gelu, 'quick_gelu': quick_gelu,
               'relu': jax.nn.relu}  # fmt: skip


def conv(features, kernel=3, stride=1, padding=None, *, bias=True, dtype=jnp.float32, name=None):
    """A square convolution with torch's symmetric padding; default keeps the size at stride 1."""
    pad = kernel // 2 if padding is None else padding
    return nn.Conv(
        features,
        (kernel, kernel),
        (stride, stride),
        ((pad, pad), (pad, pad)),
        use_bias=bias,
        dtype=dtype,
        name=name,
    )


def dense(features, *, bias=True, dtype=jnp.float32, name=None):
    """A dense layer over the last axis of any array.

    It sees one row after the other, [rows d]: the gradient of a product over several axes takes
    three times as long on CPU.
    """
    layer = nn.Dense(features, use_bias=bias, dtype=dtype, name=name)
    return lambda x: layer(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], features)


class LayerNorm(nn.Module):
    """Over the last axis, in float32.

    Attributes:
      epsilon: added to the variance; torch nets differ (1e-5, 1e-6, 1e-12), so it has no default.
      dtype: of the output.
    """

    epsilon: float
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, '... d']) -> Float[Array, '... d']:
        """[... d] -> [... d]."""
        scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
        bias = self.param('bias', nn.initializers.zeros, (x.shape[-1],))
        x = x.astype(jnp.float32)
        x = x - x.mean(-1, keepdims=True)
        x = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return (x * scale + bias).astype(self.dtype)


class GroupNorm(nn.Module):
    """Over space and the channels of a group, in float32.

    Attributes:
      groups: of neighbouring channels.
      epsilon: added to the variance.
      dtype: of the output.
    """

    groups: int
    epsilon: float
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n ... d']) -> Float[Array, 'n ... d']:
        """[n ... d] -> [n ... d]."""
        scale = self.param('scale', nn.initializers.ones, (x.shape[-1],))
        bias = self.param('bias', nn.initializers.zeros, (x.shape[-1],))
        shape, x = x.shape, x.astype(jnp.float32)
        x = x.reshape(shape[0], -1, shape[-1])  # [n p d]
        # Over places first: three times faster on CPU than over both axes at once.
        mean = self._over_group(x.mean(1))
        gain = jax.lax.rsqrt(self._over_group(((x - mean) ** 2).mean(1)) + self.epsilon) * scale
        x = x * gain + (bias - mean * gain)
        return x.reshape(shape).astype(self.dtype)

    def _over_group(self, x: Float[Array, 'n d']) -> Float[Array, 'n 1 d']:
        """Means over the channels of each group, one for each channel."""
        n, d = x.shape
        mean = x.reshape(n, self.groups, -1).mean(-1, keepdims=True)
        return jnp.broadcast_to(mean, (n, self.groups, d // self.groups)).reshape(n, 1, d)


def attention(
    query: Float[Array, 'n q d'],
    key: Float[Array, 'n k d'],
    value: Float[Array, 'n k d'],
    heads: int,
    mask: Array | None = None,
) -> Float[Array, 'n q d']:
    """Scaled dot-product attention, the heads side by side in the last axis; softmax in float32.

    Args:
      query: [n q d], d = heads x width.
      key: [n k d].
      value: [n k d].
      heads: number of heads.
      mask: bool, broadcast to [n heads q k]; False is never attended to.

    Source: Vaswani et al. 2017, equation 1. Explicit batched products: on CPU four times faster
    than jax.nn.dot_product_attention.
    """
    n, q, d = query.shape
    width, k = d // heads, key.shape[1]

    def split(x):
        return x.reshape(*x.shape[:2], heads, width).transpose(0, 2, 1, 3)  # [n heads k width]

    query, key, value = split(query), split(key), split(value)
    rows = q
    while rows % 2 == 0 and 4 * n * heads * rows * k > _SCORES:
        rows //= 2
    if mask is not None or rows == q:
        out = _attend(query, key, value, mask)
    else:  # a part of the queries at a time: the scores of all of them would be moved about
        parts = query.reshape(n, heads, q // rows, rows, width).transpose(2, 0, 1, 3, 4)
        part = jax.checkpoint(lambda part: _attend(part, key, value, None))
        out = jax.lax.map(part, parts)  # [parts n heads rows width]
        out = out.transpose(1, 2, 0, 3, 4)
    return out.reshape(n, heads, q, width).transpose(0, 2, 1, 3).reshape(n, q, d)


def _attend(query, key, value, mask) -> Array:
    """[n heads q width] of each, and a mask or None -> [n heads q width], in value's dtype."""
    scale = jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = jnp.matmul(
        query * scale, key.swapaxes(-1, -2), preferred_element_type=jnp.float32
    )  # [n heads q k]
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1, keepdims=True)
    mixed = jnp.matmul(weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
    return (mixed / total).astype(value.dtype)  # [n heads q width]


class ResnetBlock(nn.Module):
    """norm, silu, conv, + time; norm, silu, conv; + input (through a 1x1 where widths differ).

    Attributes:
      features: channels out.
      groups: of both norms.
      epsilon: of both norms: 1e-5 in the U-Net, 1e-6 in the autoencoder.
      dtype: of the computation.
    """

    features: int
    groups: int
    epsilon: float
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c'], time: Float[Array, 'n t'] | None = None):
        """[n h w c], time embedding [n t] or None -> [n h w features]."""
        norm = lambda name: GroupNorm(self.groups, self.epsilon, self.dtype, name=name)  # noqa: E731
        h = conv(self.features, dtype=self.dtype, name='conv1')(jax.nn.silu(norm('norm1')(x)))
        if time is not None:
            shift = nn.Dense(self.features, dtype=self.dtype, name='time_emb_proj')
            h = h + shift(jax.nn.silu(time))[:, None, None, :]
        h = conv(self.features, dtype=self.dtype, name='conv2')(jax.nn.silu(norm('norm2')(h)))
        if x.shape[-1] != self.features:
            x = conv(self.features, 1, dtype=self.dtype, name='conv_shortcut')(x)
        return x + h


# What the first and the second row (or column) of a pair see of two neighbouring ones through three
# taps: the first the one before once and its own twice, the second its own twice, the next once.
_TAPS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)


class _Convolution(nn.Module):
    """The parameters of a 3x3 convolution alone."""

    features: int

    @nn.compact
    def __call__(self, channels: int):
        shape = (3, 3, channels, self.features)
        kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
        return kernel, self.param('bias', nn.initializers.zeros, (self.features,))


class Upsample(nn.Module):
    """Nearest neighbour to twice the size, then a 3x3 convolution."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c'], size: tuple[int, int] | None = None):
        """[n h w c] -> [n 2h 2w c], or cut to `size` = (height, width) before the convolution.

        Of the 3x3 pixels that it looks at, at most 2x2 differ: so four convolutions of 2x2 on the
        small picture, one for each place within a pair, do the same with 4/9 of the work. They are
        one matrix product: XLA's gradient of such a convolution takes 30 times as long on CPU.
        """
        n, h, w, c = x.shape
        kernel, bias = _Convolution(c, name='conv')(c)
        x, bias = x.astype(self.dtype), bias.astype(self.dtype)
        if size is not None and tuple(size) != (2 * h, 2 * w):
            x, ones = x.repeat(2, 1).repeat(2, 2)[:, : size[0], : size[1]], ((1, 1), (1, 1))
            axes = ('NHWC', 'HWIO', 'NHWC')
            kernel = kernel.astype(self.dtype)
            y = jax.lax.conv_general_dilated(x, kernel, (1, 1), ones, dimension_numbers=axes)
            return y + bias
        kernel = jnp.einsum('ayi,bxj,ijcd->yxcabd', _TAPS, _TAPS, kernel.astype(jnp.float32))
        kernel = kernel.reshape(4 * c, 4 * c).astype(self.dtype)
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        seen = [x[:, i : i + h + 1, j : j + w + 1] for i in (0, 1) for j in (0, 1)]
        y = jnp.concatenate(seen, -1).reshape(-1, 4 * c) @ kernel
        y = y.reshape(n, h + 1, w + 1, 2, 2, c)
        rows = [jnp.stack([y[:, i : i + h, j : j + w, i, j] for j in (0, 1)], 3) for i in (0, 1)]
        return jnp.stack(rows, 2).reshape(n, 2 * h, 2 * w, c) + bias


class Downsample(nn.Module):
    """A 3x3 convolution with stride 2.

    Attributes:
      padding: 1 pads all sides (U-Net); 0 pads bottom and right alone (autoencoder).
      dtype: of the computation.
    """

    padding: int = 1
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h/2 w/2 c']:
        """[n h w c] -> [n h/2 w/2 c]."""
        if self.padding == 0:
            x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        layer = conv(x.shape[-1], 3, 2, self.padding, dtype=self.dtype, name='conv')
        return layer(x)
