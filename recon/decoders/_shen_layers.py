"""Convolutions of system 2, the transposed one in a form whose gradient is fast on CPU. NHWC.

Kernels are [height width channels features]. The gradient of XLA's transposed convolution takes 10
to 60 times as long as that of four convolutions of 2x2, one for each place within a pair of rows
and columns of what comes out. Products of matrices in the place of the other convolutions were no
faster on the whole: what they save in arithmetic goes into memory that is touched for the first
time in each step.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_WIDE = 64  # channels from which products of matrices are the faster gradient


def conv(
    x: Float[Array, 'n h w c'], kernel: Float[Array, 'k k c f'], stride: int = 1, pad: int = 0
) -> Float[Array, 'n i j f']:
    """A convolution with `pad` zeros on each side: i = (h + 2 pad - k) // stride + 1."""
    axes = ('NHWC', 'HWIO', 'NHWC')
    pads = ((pad, pad), (pad, pad))
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=axes)


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
    return conv(x, kernel, 1, 1)


def _forward(x, kernel):
    return conv(x, kernel, 1, 1), (x, kernel)


def _backward(given, slope):
    x, kernel = given
    (_, h, w, c), f = x.shape, kernel.shape[-1]
    places = [(i, j) for i in (0, 1) for j in (0, 1)]
    rows = slope.reshape(-1, f)
    if f < _WIDE:
        of_x = conv(slope, kernel[::-1, ::-1].swapaxes(2, 3))
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
