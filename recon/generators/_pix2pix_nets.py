"""The two nets of pix2pix: a U-Net that makes pictures, and a net that judges their patches.

Source: Isola et al. 2017, 'Image-to-image translation with conditional adversarial networks',
section 3.2 and appendix 6.1. The convolutions are products of matrices, one a layer, since XLA's
gradient of a convolution is several times slower on a CPU; kernels are [4 4 in out].
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import batch_norm

EPSILON = 1e-3  # of the norms: Keras's, with which the parameters were counted
_MOST = 8  # widest layer, in widths of the first


def channels(width: int, levels: int) -> tuple[int, ...]:
    """Channels of each level, the finest first: doubled from level to level, up to eightfold."""
    return tuple(width * min(2**i, _MOST) for i in range(levels))


def down(x: Float[Array, 'n h w c'], kernel: Float[Array, '4 4 c f']):
    """Convolution of stride 2, a zero on each side: [n h w c] -> [n h/2 w/2 f]."""
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = x.reshape(n, h // 2 + 1, 2, w // 2 + 1, 2, c)
    rows = [x[:, i : i + h // 2] for i in (0, 1)]
    seen = [[r[:, :, :, j : j + w // 2].swapaxes(2, 3) for j in (0, 1)] for r in rows]
    seen = jnp.stack([jnp.stack(r, 4) for r in seen], 3)  # [n h/2 w/2 i y j x c]
    y = seen.reshape(-1, 16 * c) @ kernel.reshape(16 * c, -1)
    return y.reshape(n, h // 2, w // 2, -1)


def flat(x: Float[Array, 'n h w c'], kernel: Float[Array, '4 4 c f']):
    """Convolution of stride 1, a zero on each side: [n h w c] -> [n h-1 w-1 f]."""
    n, h, w, c = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    h, w = h - 1, w - 1
    if kernel.shape[-1] < c:  # few results: first the products, then their sum over neighbours
        y = (x.reshape(-1, c) @ kernel.transpose(2, 0, 1, 3).reshape(c, -1)).reshape(
            n, h + 3, w + 3, 4, 4, -1
        )
        return sum(y[:, i : i + h, j : j + w, i, j] for i in range(4) for j in range(4))
    seen = [x[:, i : i + h, j : j + w] for i in range(4) for j in range(4)]
    y = jnp.concatenate(seen, -1).reshape(-1, 16 * c) @ kernel.reshape(16 * c, -1)
    return y.reshape(n, h, w, -1)


def up(x: Float[Array, 'n h w c'], kernel: Float[Array, '4 4 c f']):
    """Transposed convolution of stride 2, the gradient of `down`: [n h w c] -> [n 2h 2w f].

    A pair of rows of the result, one before and one after a border between two rows of x, sees
    these two alone: so each of (h + 1) x (w + 1) blocks of 2 x 2 is a product of 2 x 2 places.
    """
    n, h, w, c = x.shape
    f = kernel.shape[-1]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    seen = [x[:, 1 - i : 2 - i + h, 1 - j : 2 - j + w] for i in (0, 1) for j in (0, 1)]
    kernel = kernel.reshape(2, 2, 2, 2, c, f)  # [i y j x c f]
    if (h + 1) * (w + 1) * n < c:  # the kernel is the larger one, and is not to be copied
        places = jnp.stack(seen).reshape(2, 1, 2, 1, -1, c)
        places = jnp.broadcast_to(places, (2, 2, 2, 2, *places.shape[-2:])).reshape(16, -1, c)
        y = jnp.einsum('kpc,kcf->kpf', places, kernel.reshape(16, c, f))
        y = y.reshape(2, 2, 2, 2, n, h + 1, w + 1, f).sum((0, 2)).transpose(2, 3, 4, 0, 1, 5)
    else:
        kernel = kernel.transpose(0, 2, 4, 1, 3, 5).reshape(4 * c, 4 * f)
        y = jnp.concatenate(seen, -1).reshape(-1, 4 * c) @ kernel
        y = y.reshape(n, h + 1, w + 1, 2, 2, f)
    y = y.swapaxes(2, 3).reshape(n, 2 * h + 2, 2 * w + 2, f)
    return y[:, 1:-1, 1:-1]


class _Layer(nn.Module):
    """A convolution of four pixels on a side, and its norm where there is one.

    Attributes:
      features: channels out.
      kind: `down`, `flat` or `up`.
      norm: whether a batch norm follows; else there is a bias where `bias`.
      bias: a constant for each channel.
      dtype: of the computation.
    """

    features: int
    kind: object
    norm: bool = True
    bias: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x, moving: bool = False):
        shape = (4, 4, x.shape[-1], self.features)
        kernel = self.param('kernel', nn.initializers.normal(0.02), shape)
        x = self.kind(x.astype(self.dtype), kernel.astype(self.dtype))
        if self.bias:
            x = x + self.param('bias', nn.initializers.zeros, shape[-1:]).astype(self.dtype)
        if self.norm:
            x = batch_norm.BatchNorm(EPSILON, self.dtype, name='norm')(x, moving)
        return x


class Generator(nn.Module):
    """The U-Net: halves down to one pixel, doubles back, each level seeing its equal on the way.

    Attributes:
      levels: of halving; pictures have 2 ** levels pixels on a side.
      width: channels of the finest level.
      channels: of what is made.
      leak: slope of LeakyReLU below 0, on the way down.
      dropout: share of numbers set to 0 after each of the first three doublings.
      dtype: of the computation; norms and the result are float32.
    """

    levels: int = 8
    width: int = 64
    channels: int = 3
    leak: float = 0.2
    dropout: float = 0.5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, 'n s s c'], drop: bool = False, moving: bool = False
    ) -> Float[Array, 'n s s d']:
        """Condition -> pictures in [-1, 1].

        Args:
          x: [n s s c], s = 2 ** levels.
          drop: whether numbers are dropped (rng 'dropout').
          moving: norms by 'batch_stats' in place of the batch's own statistics.
        """
        widths = channels(self.width, self.levels)
        layer = lambda name, *args, **kw: _Layer(*args, dtype=self.dtype, name=name, **kw)  # noqa: E731
        kept = self._kept(len(x), widths) if drop and self.dropout else {}
        skips = []
        for i, features in enumerate(widths):
            x = layer(f'down{i}', features, down, norm=i > 0)(x, moving)
            x = jax.nn.leaky_relu(x, self.leak)
            skips.append(x)
        for i in range(self.levels - 1, 0, -1):
            x = layer(f'up{i}', widths[i - 1], up)(x, moving)
            if i in kept:
                x = jnp.where(kept[i], x / (1 - self.dropout), 0).astype(x.dtype)
            x = jnp.concatenate([jax.nn.relu(x), skips[i - 1]], -1)
        x = layer('up0', self.channels, up, norm=False, bias=True)(x)
        return jnp.tanh(x.astype(jnp.float32))

    def _kept(self, n: int, widths: tuple[int, ...]) -> dict:
        """{level: bool [n s s c]} of the first three doublings: one draw, which compiles once."""
        first = range(self.levels - 1, max(self.levels - 4, 0), -1)
        sides = {i: 2 ** (self.levels - i) for i in first}
        shapes = {i: (n, side, side, widths[i - 1]) for i, side in sides.items()}
        sizes = [math.prod(shape) for shape in shapes.values()]
        drawn = jax.random.bernoulli(self.make_rng('dropout'), 1 - self.dropout, (sum(sizes),))
        parts = jnp.split(drawn, np.cumsum(sizes)[:-1])
        return {i: part.reshape(shapes[i]) for i, part in zip(first, parts, strict=True)}


class Discriminator(nn.Module):
    """Says of each patch of a picture whether it is true; patches overlap.

    At 256 pixels and three halvings 30 x 30 patches of 70 x 70 pixels.

    Attributes:
      halvings: layers of stride 2; two more follow.
      width: channels of the first layer.
      leak: slope of LeakyReLU below 0.
      dtype: of the computation; norms and the result are float32.
    """

    halvings: int = 3
    width: int = 64
    leak: float = 0.2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n s s c']) -> Float[Array, 'n p p']:
        """Condition and picture side by side on the last axis -> logits, higher is truer."""
        widths = channels(self.width, self.halvings + 1)
        layer = lambda name, *args, **kw: _Layer(*args, dtype=self.dtype, name=name, **kw)  # noqa: E731
        for i, features in enumerate(widths):
            kind = down if i < self.halvings else flat
            x = jax.nn.leaky_relu(layer(f'conv{i}', features, kind, norm=i > 0)(x), self.leak)
        x = layer('out', 1, flat, norm=False, bias=True)(x)
        return x[..., 0].astype(jnp.float32)


def begin(net: nn.Module, example, rng) -> dict:
    """Parameters of either net: kernels normal with deviation 0.02, scales 1, biases 0.

    All kernels are parts of one draw: drawn one by one they take most of the compilation.

    Args:
      net: the net.
      example: [1 s s c], an array or a shape.
      rng: jax key.
    """
    shapes = jax.eval_shape(net.init, jax.random.key(0), example)['params']
    paths, tree = jax.tree.flatten_with_path(shapes)
    sizes = [math.prod(leaf.shape) * (path[-1].key == 'kernel') for path, leaf in paths]
    parts = jnp.split(0.02 * jax.random.normal(rng, (sum(sizes),)), np.cumsum(sizes)[:-1])
    fresh = {'scale': jnp.ones, 'bias': jnp.zeros}
    leaves = [
        part.reshape(leaf.shape) if size else fresh[path[-1].key](leaf.shape)
        for part, size, (path, leaf) in zip(parts, sizes, paths, strict=True)
    ]
    return jax.tree.unflatten(tree, leaves)
