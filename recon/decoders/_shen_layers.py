"""Convolutions of system 2 as products of matrices, which train faster than XLA's own on CPU. NHWC.

Kernels are [height width channels features]. What a kernel sees at each place is put side by side;
a stride is a step over blocks of stride x stride pixels. The transposed convolution is four
convolutions of 2x2, one for each place within a pair of rows and columns of what comes out.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

_FEW = 8  # channels below which moving whole blocks is faster than one pixel's channels at a time


def conv(
    x: Float[Array, 'n h w c'], kernel: Float[Array, 'k k c f'], stride: int = 1, pad: int = 0
) -> Float[Array, 'n i j f']:
    """A convolution with `pad` zeros on each side: i = (h + 2 pad - k) // stride + 1."""
    n, h, w, c = x.shape
    size, f = kernel.shape[0], kernel.shape[-1]
    out = [(side + 2 * pad - size) // stride + 1 for side in (h, w)]
    blocks = -(-size // stride)  # that a kernel covers, on a side
    reach = [(side + blocks - 1) * stride for side in out]
    margins = [(pad, max(r - side - pad, 0)) for r, side in zip(reach, (h, w), strict=True)]
    x = jnp.pad(x, ((0, 0), *margins, (0, 0)))[:, : reach[0], : reach[1]]
    x = x.reshape(n, reach[0] // stride, stride, reach[1] // stride, stride, c)
    if stride > 1 and c < _FEW:  # whole blocks, with a kernel that is 0 beyond its size
        fill = blocks * stride - size
        kernel = jnp.pad(kernel, ((0, fill), (0, fill), (0, 0), (0, 0)))
        kernel = kernel.reshape(blocks, stride, blocks, stride, c, f).swapaxes(1, 2)
        c *= stride * stride
        x = x.swapaxes(2, 3).reshape(n, x.shape[1], 1, x.shape[3], 1, c)
        size, stride = blocks, 1
    places = [divmod(place, stride) for place in range(size)]
    # Rows first: 2 k copies, and as many additions in the gradient, in the place of k * k.
    x = jnp.concatenate([x[:, i : i + out[0], a] for i, a in places], -1)
    x = jnp.concatenate([x[:, :, i : i + out[1], a] for i, a in places], -1)
    return _product(x, kernel.reshape(size, size, c, f).swapaxes(0, 1).reshape(-1, f))


def deconv(
    x: Float[Array, 'n h w c'], kernel: Float[Array, '4 4 c f']
) -> Float[Array, 'n 2*h 2*w f']:
    """The transposed convolution with a kernel of 4, stride 2, and 1 cut from each side.

    Pixel (i, j) adds x[i, j] @ kernel[a, b] to place (2i + a - 1, 2j + b - 1).
    """
    return _scattered(x, kernel) if 4 * kernel.shape[3] < x.shape[-1] else _gathered(x, kernel)


def _gathered(x, kernel):
    """Each pair of rows and columns from the 2 x 2 pixels that reach it."""
    n, h, w, c = x.shape
    f = kernel.shape[-1]
    # Of the pixel before, the last two rows of the kernel are seen, of the one after the first two.
    kernel = kernel[::-1, ::-1].reshape(2, 2, 2, 2, c, f).transpose(2, 0, 4, 1, 3, 5)
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = jnp.concatenate([x[:, : h + 1], x[:, 1:]], -1)
    x = jnp.concatenate([x[:, :, : w + 1], x[:, :, 1:]], -1)  # [n h+1 w+1 4*c]
    y = _product(x, kernel.reshape(4 * c, 4 * f))
    y = y.reshape(n, h + 1, w + 1, 2, 2, f)
    # Row 2m is made where m - 1 and m are neighbours, row 2m + 1 where m and m + 1 are.
    rows = [jnp.stack([y[:, a : a + h, b : b + w, a, b] for b in (0, 1)], 3) for a in (0, 1)]
    return jnp.stack(rows, 2).reshape(n, 2 * h, 2 * w, f)


def _scattered(x, kernel):
    """What each pixel adds to the 4 x 4 places round it: less to move where few channels come."""
    n, h, w, c = x.shape
    f = kernel.shape[-1]
    y = _product(x, kernel.transpose(2, 0, 1, 3).reshape(c, 16 * f)).reshape(n, h, w, 4, 4, f)
    y = jnp.stack(_pairs(y, 1, 3), 2)  # [n h 2 w 4 f]
    return jnp.stack(_pairs(y, 3, 4), 4).reshape(n, 2 * h, 2 * w, f)


def _pairs(y, axis: int, taps: int) -> tuple[Array, Array]:
    """Even and odd rows from the four that each pixel adds to, which lie on the axis `taps`."""
    tap = [jnp.take(y, i, taps) for i in range(4)]
    zero = jnp.zeros_like(tap[0][(slice(None),) * axis + (slice(0, 1),)])
    cut = lambda x, a, b: x[(slice(None),) * axis + (slice(a, b),)]  # noqa: E731
    before = jnp.concatenate([zero, cut(tap[3], 0, -1)], axis)
    after = jnp.concatenate([cut(tap[0], 1, None), zero], axis)
    return tap[1] + before, tap[2] + after


def _product(x, kernel):
    """[... k] @ [k f], as rows."""
    return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[-1])
