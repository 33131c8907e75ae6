"""What the nets that classify pictures share: torch's pooling, frozen norms, preprocessing. NHWC.

These nets come from torchvision; their configs are our own, read and written here.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors, resize

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in [0, 1]
STD = (0.229, 0.224, 0.225)

_HE = nn.initializers.he_normal()


def normalise(images: Float[Array, 'n h w 3']) -> Float[Array, 'n h w 3']:
    """Pictures in [0, 1] -> minus ImageNet's mean, over its standard deviation. Same shape."""
    return (images - jnp.array(MEAN, jnp.float32)) / jnp.array(STD, jnp.float32)


def prepare(images, shortest: int, crop: int, method: str) -> Float[Array, 'n crop crop 3']:
    """Torchvision's preprocessing of a classifier: resize, crop the centre, normalise.

    Args:
      images: [n h w 3] in [0, 1].
      shortest: pixels of the shorter side after resizing, at least `crop`; the longer side keeps
        the proportion, rounded down.
      crop: pixels of a side of the square in the centre.
      method: 'bilinear' or 'bicubic', antialiased.
    """
    height, width = images.shape[1:3]
    short = min(height, width)
    height, width = int(shortest * height / short), int(shortest * width / short)
    images = resize.resize(images, (height, width), method=method, antialias=True)
    # Python rounds halves to even, and so do they.
    top, left = round((height - crop) / 2), round((width - crop) / 2)
    return normalise(images[:, top : top + crop, left : left + crop])


class BatchNorm(nn.Module):
    """Normalisation by stored statistics, which are parameters here; in float32.

    Attributes:
      epsilon: added to the variance; 1e-5 in most nets, 1e-3 in Inception.
      dtype: of the output.
    """

    epsilon: float = 1e-5
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h w c']:
        """[n h w c] -> [n h w c]. Source: Ioffe and Szegedy 2015, algorithm 2."""
        shape = (x.shape[-1],)
        scale = self.param('scale', nn.initializers.ones, shape)
        bias = self.param('bias', nn.initializers.zeros, shape)
        mean = self.param('running_mean', nn.initializers.zeros, shape)
        variance = self.param('running_var', nn.initializers.ones, shape)
        gain = scale * jax.lax.rsqrt(variance.astype(jnp.float32) + self.epsilon)
        return (x.astype(jnp.float32) * gain + (bias - mean * gain)).astype(self.dtype)


def conv(features, kernel, stride=1, padding=0, *, groups=1, bias=True, dtype, name):
    """A convolution; kernel and padding are one number or (vertical, horizontal)."""
    kernel, padding = _pair(kernel), _pair(padding)
    return nn.Conv(
        features,
        kernel,
        (stride, stride),
        tuple((p, p) for p in padding),
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=_HE,
        dtype=dtype,
        name=name,
    )


def dense(features, *, dtype, name):
    """A linear layer for what follows a ReLU."""
    return nn.Dense(features, kernel_init=_HE, dtype=dtype, name=name)


def max_pool(x: Array, window: int, stride: int, padding: int = 0) -> Array:
    """[n h w c] -> largest value of each square window; windows that do not fit are left out.

    Of equal values the first takes the gradient, and NaN wins, both as in torch. Slices, because
    XLA's own window reductions are ten times slower on CPU, and their gradients too.
    """
    x = jnp.pad(x, ((0, 0), *(((padding, padding),) * 2), (0, 0)), constant_values=-jnp.inf)
    for axis in (2, 1):
        out, *rest = _slices(x, axis, window, stride)
        for value in rest:
            out = jnp.where((value > out) | jnp.isnan(value), value, out)
        x = out
    return x


def mean_pool(x: Array, window: int) -> Array:
    """[n h w c] -> mean of the odd window round each pixel; zeros outside count, as in torch."""
    pad = window // 2
    y = jnp.pad(x.astype(jnp.float32), ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    for axis in (2, 1):
        y = sum(_slices(y, axis, window, 1))
    return (y / window**2).astype(x.dtype)


def adaptive_pool(x: Float[Array, 'n h w c'], size: int) -> Float[Array, 'n size size c']:
    """Means over a grid of size x size bins that cover the picture, overlapping where they must.

    Bin i of `size` over h pixels is [floor(i h / size), ceil((i + 1) h / size)), as in torch.
    """
    if x.shape[1:3] == (size, size):
        return x
    rows, columns = (jnp.asarray(_bins(n, size)) for n in x.shape[1:3])
    pooled = jnp.einsum(
        'yh,nhwc,xw->nyxc', rows, x.astype(jnp.float32), columns, precision='highest'
    )
    return pooled.astype(x.dtype)


def flatten(x: Float[Array, 'n h w c']) -> Float[Array, 'n c*h*w']:
    """[n h w c] -> [n c*h*w], channels first: the order in which torch's classifiers read."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def read(config_class: type, raw: dict, **refused):
    """config.json -> Config: its fields, each of its default's type; other keys are ignored.

    Args:
      config_class: frozen dataclass in which every field has a default.
      raw: what the file holds.
      **refused: {key: the only value that is implemented}.

    Raises:
      ConfigError: a value that is not implemented, or of another type.
    """
    for key, value in refused.items():
        if raw.get(key, value) != value:
            raise errors.ConfigError(
                f'{key} is {raw[key]!r}', 'config.json', f'{value!r} alone is implemented'
            )
    known = {}
    for field in dataclasses.fields(config_class):
        value = _tuples(raw.get(field.name, field.default))
        number = isinstance(field.default, float) and isinstance(value, int)
        if type(value) is not type(field.default) and not number:
            kind = type(field.default).__name__.replace('tuple', 'list')
            raise errors.ConfigError(
                f'{field.name} is {value!r}', 'config.json', f'a value of type {kind} is wanted'
            )
        known[field.name] = value
    return config_class(**known)


def write(config, class_name: str) -> dict:
    """Config -> config.json."""
    return {'_class_name': class_name, **dataclasses.asdict(config)}


def example(size: int) -> tuple[jax.ShapeDtypeStruct]:
    """One square picture, to initialise a net on."""
    return (jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32),)


def _slices(x: Array, axis: int, window: int, stride: int) -> list[Array]:
    """The first element of every window along an axis, the second, and so on."""
    last = (x.shape[axis] - window) // stride * stride  # where the last window begins
    cut = lambda i: jax.lax.slice_in_dim(x, i, i + last + 1, stride, axis)  # noqa: E731
    return [cut(i) for i in range(window)]


def _bins(n: int, size: int) -> np.ndarray:
    """[size n] float32: the weight of each of n pixels in each bin."""
    pixel, i = np.arange(n), np.arange(size)[:, None]
    inside = (pixel >= i * n // size) & (pixel < -(-(i + 1) * n // size))
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _pair(value) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _tuples(value):
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
