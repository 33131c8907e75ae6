"""Resizing inside a net: jit-able, differentiable, and equal to torch's and Pillow's to rounding.

A resize is linear and separable: two products with weight matrices, made in numpy while tracing.
For pictures on their way in or out of files, `recon/core/image.py` uses Pillow itself.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors

METHODS = ('bilinear', 'bicubic', 'nearest')


def resize(
    images: Float[Array, 'n h w c'],
    size: tuple[int, int],
    method: str = 'bilinear',
    *,
    antialias: bool = True,
) -> Float[Array, 'n p q c']:
    """Pictures at another size, corners not aligned.

    Args:
      images: [n h w c], any range.
      size: height and width wanted.
      method: 'bilinear', 'bicubic' or 'nearest'.
      antialias: True: Pillow's filters, which widen when shrinking (bicubic a = -0.5; nearest takes
        the pixel under the centre, torch's 'nearest-exact'). False: torch's interpolate without
        antialias (bicubic a = -0.75; nearest rounds down).

    Returns:
      [n *size c]; bicubic may overshoot the range. The type is that of `images`, float32 inside.

    Raises:
      ConfigError: another method.

    Source: Pillow's Resample.c and torch.nn.functional.interpolate(align_corners=False).
    """
    if method not in METHODS:
        raise errors.ConfigError(
            f'resizing by {method!r}', 'recon/core/resize', f'one of {", ".join(METHODS)}'
        )
    out = images.astype(jnp.float32)
    for axis, there in ((2, size[1]), (1, size[0])):  # Pillow's order: along rows first
        here = images.shape[axis]
        if here == there:
            continue  # every filter here is the identity at equal size
        weights = jnp.asarray(matrix(here, there, method, antialias))
        which = 'nhwc,qw->nhqc' if axis == 2 else 'nhwc,ph->npwc'
        out = jnp.einsum(which, out, weights, precision='highest')
    return out.astype(images.dtype)


def shortest(
    images: Float[Array, 'n h w c'],
    size: int,
    method: str = 'bilinear',
    *,
    antialias: bool = True,
) -> Float[Array, 'n p q c']:
    """The shorter side becomes `size`, the longer follows, rounded down, as torchvision does."""
    h, w = images.shape[1:3]
    longer = int(size * max(h, w) / min(h, w))
    wanted = (size, longer) if h <= w else (longer, size)
    return resize(images, wanted, method, antialias=antialias)


def centre_crop(
    images: Float[Array, 'n h w c'], size: tuple[int, int], *, half: str = 'down'
) -> Float[Array, 'n p q c']:
    """The middle of the pictures.

    Args:
      images: [n h w c], at least `size`.
      size: height and width wanted.
      half: where the margin is odd: 'down', as transformers' Pillow processors, or 'even', to the
        nearest even offset, as torchvision.

    Raises:
      ConfigError: the pictures are smaller.
    """
    offsets = []
    for here, there in zip(images.shape[1:3], size, strict=True):
        if there > here:
            raise errors.ConfigError(
                f'a crop of {size[0]} x {size[1]} from {images.shape[1]} x {images.shape[2]}',
                'recon/core/resize',
                'resize to at least the size of the crop first',
            )
        margin = here - there
        offsets.append(round(margin / 2) if half == 'even' else margin // 2)
    top, left = offsets
    return images[:, top : top + size[0], left : left + size[1]]


@functools.lru_cache(maxsize=64)
def matrix(here: int, there: int, method: str, antialias: bool) -> np.ndarray:
    """Weights [there here] float32 of a resize along one axis; each row sums to 1."""
    if method == 'nearest':
        return _nearest(here, there, antialias)
    support, kernel = (1, _triangle) if method == 'bilinear' else (2, _cubic)
    scale = here / there
    centre = (np.arange(there) + 0.5)[:, None] * scale - 0.5  # in pixels of the input
    if antialias:
        wide = max(scale, 1.0)
        weights = kernel((np.arange(here) - centre) / wide, -0.5)  # [there here]
        return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    weights = np.zeros((there, here))
    first = np.floor(centre).astype(int)  # [there 1]
    taps = first + np.arange(1 - support, 1 + support)  # [there 2*support]
    inside = np.clip(taps, 0, here - 1)  # the border repeats
    rows = np.broadcast_to(np.arange(there)[:, None], taps.shape)
    np.add.at(weights, (rows, inside), kernel(taps - centre, -0.75))
    return weights.astype(np.float32)


def _nearest(here, there, antialias):
    scale = np.float32(here) / np.float32(there)  # float32, or other pixels win the ties
    where = (np.arange(there, dtype=np.float32) + np.float32(0.5 * antialias)) * scale
    index = np.minimum(where.astype(int), here - 1)
    return np.eye(here, dtype=np.float32)[index]


def _triangle(x, _):
    return np.maximum(1 - np.abs(x), 0)


def _cubic(x, a):
    """Keys 1981, the kernel of cubic convolution."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))
