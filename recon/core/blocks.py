"""What several nets share: norms, attention, residual blocks, up and down sampling. NHWC.

Names of parameters are those of diffusers' tensors, so that a checkpoint's names are the paths
here (`recon/zoo/tensors.py`). Norms and softmax are computed in float32 whatever the dtype.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import _attention

DType = jnp.dtype
attention = _attention.attention


def quick_gelu(x: Array) -> Array:
    """Of x: x * sigmoid(1.702 x), the activation of OpenAI's CLIP."""
    return x * jax.nn.sigmoid(1.702 * x)


def gelu(x: Array) -> Array:
    """Of x: x * Phi(x), exact. Flax's default is the tanh approximation."""
    return x * (
        0.5 + 0.5 * jax.lax.erf(x * 0.5**0.5)
    )  # by erfc, as in jax.nn, it is six times slower


ACTIVATIONS = {'silu': jax.nn.silu, 'swish': jax.nn.silu, 'gelu': gelu, 'quick_gelu': quick_gelu,
               'relu': jax.nn.relu}  # fmt: skip


class Conv(nn.Module):
    """A square convolution with symmetric padding, in torch's names.

    Patches side by side, single pixels, and pictures of fewer pixels than they have channels are
    products of matrices, which is faster, above all for the gradient.

    Attributes:
      features: channels out.
      kernel: pixels on a side.
      stride: pixels from one place to the next.
      padding: zeros on each side.
      bias: whether there is one.
      dtype: of the computation.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = True
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n i j f']:
        """[n h w c] -> [n i j features]."""
        size, step, pad = self.kernel, self.stride, self.padding
        shape = (size, size, x.shape[-1], self.features)
        kernel = self.param('kernel', nn.initializers.lecun_normal(), shape)
        x, kernel = jnp.asarray(x, self.dtype), jnp.asarray(kernel, self.dtype)
        if pad == 0 and size == step and not any(side % size for side in x.shape[1:3]):
            y = _product(_patches(x, size), kernel)
        elif step == 1 and x.size <= x.shape[-1] ** 2:
            y = _product(_neighbours(x, size, pad), kernel)
        else:
            y = _convolve(x, kernel, step, pad)
        if self.bias:
            y = y + self.param('bias', nn.initializers.zeros, shape[-1:]).astype(self.dtype)
        return y


def _convolve(x, kernel, step: int, pad: int):
    axes = ('NHWC', 'HWIO', 'NHWC')
    pads = ((pad, pad), (pad, pad))
    return jax.lax.conv_general_dilated(x, kernel, (step, step), pads, dimension_numbers=axes)


def _product(x, kernel):
    """[... k] and a kernel of k numbers for each of its last axis, as rows: see `dense`."""
    y = x.reshape(-1, x.shape[-1]) @ kernel.reshape(x.shape[-1], -1)
    return y.reshape(*x.shape[:-1], -1)


def _patches(x, size: int):
    """[n h w c] -> [n h/size w/size size*size*c], patches side by side."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // size, size, w // size, size, c).swapaxes(2, 3)
    return x.reshape(n, h // size, w // size, size * size * c)


def _neighbours(x, size: int, pad: int):
    """[n h w c] -> [n i j size*size*c], what a convolution sees at each place."""
    h, w = (side + 2 * pad - size + 1 for side in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    seen = [x[:, i : i + h, j : j + w] for i in range(size) for j in range(size)]
    return jnp.concatenate(seen, -1)


def conv(features, kernel=3, stride=1, padding=None, *, bias=True, dtype=jnp.float32, name=None):
    """A square convolution with torch's symmetric padding; default keeps the size at stride 1."""
    pad = kernel // 2 if padding is None else padding
    return Conv(features, kernel, stride, pad, bias, dtype, name=name)


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
            x = x.repeat(2, 1).repeat(2, 2)[:, : size[0], : size[1]]
            return _convolve(x, kernel.astype(self.dtype), 1, 1) + bias
        kernel = jnp.einsum('ayi,bxj,ijcd->yxcabd', _TAPS, _TAPS, kernel.astype(jnp.float32))
        kernel = kernel.astype(self.dtype)  # [y x c i j c], of 2 x 2 neighbours and 2 x 2 places
        y = _product(_neighbours(x, 2, 1), kernel).reshape(n, h + 1, w + 1, 2, 2, c)
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
