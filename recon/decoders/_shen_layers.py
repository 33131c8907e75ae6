"""Convolutions of system 2 in the forms whose gradients are fast on CPU. NHWC.

Kernels are [height width channels features]. Measured, XLA's own convolutions are the fastest for
stride 1 on large pictures; with a stride, or on small pictures of many channels, a product of
matrices is; and the gradient of XLA's transposed convolution takes 10 to 60 times as long as that
of four convolutions of 2x2, one for each place within a pair of rows and columns of what comes out.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_FEW = 8  # channels below which moving whole blocks is faster than one pixel's channels at a time
_LARGE = 400  # pixels of a picture that is
_WIDE = 64  # channels from which products of matrices are the faster gradient


def conv(
    x: Float[Array, 'n h w c'], kernel: Float[Array, 'k k c f'], stride: int = 1, pad: int = 0
) -> Float[Array, 'n i j f']:
    """A convolution with `pad` zeros on each side: i = (h + 2 pad - k) // stride + 1."""
    n, h, w, c = x.shape
    if stride == 1 and h * w > _LARGE:
        return _plain(x, kernel, pad)
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
    kernel = kernel.reshape(size, size, c, f).swapaxes(0, 1).reshape(-1, f)
    return (x.reshape(-1, size * size * c) @ kernel).reshape(n, *out, f)


def _plain(x, kernel, pad: int):
    axes = ('NHWC', 'HWIO', 'NHWC')
    pads = ((pad, pad), (pad, pad))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=axes)


def deconv(
    x: Float[Array, 'n h w c'], kernel: Float[Array, '4 4 c f']
) -> Float[Array, 'n 2*h 2*w f']:
    """The transposed convolution with a kernel of 4, stride 2, and 1 cut from each side.

    Pixel (i, j) adds x[i, j] @ kernel[a, b] to place (2i + a - 1, 2j + b - 1). So each 2x2 block
    of places, counted from one before the picture, is seen by the 2x2 pixels round its middle: the
    pixel before adds the kernel's last two rows, the one after its first two.
    """
    n, h, w, c = x.shape
    f = kernel.shape[-1]
    kernel = kernel.reshape(2, 2, 2, 2, c, f)[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    y = _pairs(x, kernel.reshape(2, 2, c, 4 * f))
    y = y.reshape(n, h + 1, w + 1, 2, 2, f).swapaxes(2, 3).reshape(n, 2 * h + 2, 2 * w + 2, f)
    return y[:, 1:-1, 1:-1]


@jax.custom_vjp
def _pairs(x: Float[Array, 'n h w c'], kernel: Float[Array, '2 2 c f']):
    """[n h+1 w+1 f]: a convolution of 2x2, of which XLA's gradient of the kernel is very slow."""
    return _plain(x, kernel, 1)


def _forward(x, kernel):
    return _plain(x, kernel, 1), (x, kernel)


def _backward(given, slope):
    x, kernel = given
    (_, h, w, c), f = x.shape, kernel.shape[-1]
    places = [(i, j) for i in (0, 1) for j in (0, 1)]
    rows = slope.reshape(-1, f)
    if f < _WIDE:
        of_x = _plain(slope, kernel[::-1, ::-1].swapaxes(2, 3), 0)
    else:
        parts = [(rows @ kernel[place].T).reshape(*slope.shape[:3], c) for place in places]
        pairs = zip(parts, places, strict=True)
        of_x = sum(part[:, 1 - i : 1 - i + h, 1 - j : 1 - j + w] for part, (i, j) in pairs)
    if c > f:  # the narrower of the two is copied
        seen = [slope[:, 1 - i : 1 - i + h, 1 - j : 1 - j + w] for i, j in places]
        of_kernel = [x.reshape(-1, c).T @ part.reshape(-1, f) for part in seen]
    else:
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        seen = [padded[:, i : i + h + 1, j : j + w + 1] for i, j in places]
        of_kernel = [part.reshape(-1, c).T @ rows for part in seen]
    return of_x, jnp.stack(of_kernel).reshape(kernel.shape)


_pairs.defvjp(_forward, _backward)
