"""THE image convention: NHWC, RGB, float32 in [0, 1]. numpy only."""

import numpy as np
from PIL import Image

from recon.core import errors

STATISTICS = (
    *(f'mean {colour}' for colour in ('red', 'green', 'blue')),
    *(f'contrast {colour}' for colour in ('red', 'green', 'blue')),
    *(f'luminance {place}' for place in ('top left', 'top right', 'bottom left', 'bottom right')),
    *(f'gradient energy {angle} degrees' for angle in (0, 45, 90, 135)),
)
_LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)  # as scikit-image


def to_float(images: np.ndarray) -> np.ndarray:
    """uint8 or float pictures of any shape -> float32 in [0, 1]."""
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images.astype(np.float32) / 255
    return np.clip(images.astype(np.float32), 0, 1)


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Pictures in [0, 1] -> uint8, rounded."""
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


def to_rgb(images: np.ndarray) -> np.ndarray:
    """[n h w], [n h w 1] or [n h w 3] -> [n h w 3]; a single channel is copied."""
    if images.ndim == 3:
        images = images[..., None]
    if images.shape[-1] not in (1, 3):
        raise errors.DataInvalid(
            f'pictures have shape {images.shape}', 'image.to_rgb', 'channels come last: 1 or 3'
        )
    return np.repeat(images, 3, -1) if images.shape[-1] == 1 else images


def to_gray(images: np.ndarray) -> np.ndarray:
    """[n h w 3] -> [n h w], luminance with scikit-image's weights."""
    return images @ _LUMA


def resize(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear, antialiased when it shrinks (Pillow). [n h w c] -> [n *size c] float32."""
    if tuple(images.shape[1:3]) == tuple(size):
        return images.astype(np.float32)
    height, width = size
    out = np.empty((len(images), height, width, images.shape[-1]), np.float32)
    for i, picture in enumerate(images.astype(np.float32)):
        for c in range(images.shape[-1]):
            channel = Image.fromarray(picture[..., c])
            out[i, ..., c] = np.asarray(channel.resize((width, height), Image.Resampling.BILINEAR))
    return out


def pixels(images, channels: int = 3, size: tuple[int, int] | None = None) -> np.ndarray:
    """The target `pixels`: [n h w 3] -> [n h w channels], resized to `size` (h, w) if given."""
    images = images if size is None else resize(images, size)
    return images[..., :1] if channels == 1 else images


def image_statistics(images: np.ndarray) -> np.ndarray:
    """The target `image_statistics`: [n h w 3] -> [n 14] float32.

    Mean and standard deviation of each colour (6), mean luminance of the four quadrants (4), and
    the energy of luminance gradients at 0, 45, 90 and 135 degrees (4): STATISTICS, in order.
    """
    gray = to_gray(images)
    half_h, half_w = gray.shape[1] // 2, gray.shape[2] // 2
    quadrants = [
        gray[:, rows, cols].mean((1, 2))
        for rows in (slice(None, half_h), slice(half_h, None))
        for cols in (slice(None, half_w), slice(half_w, None))
    ]
    dy, dx = np.gradient(gray, axis=(1, 2))
    angles = np.pi * np.arange(4) / 4
    energy = [((np.cos(a) * dx + np.sin(a) * dy) ** 2).mean((1, 2)) for a in angles]
    colours = [images.mean((1, 2)).T, images.std((1, 2)).T]
    return np.stack([*colours[0], *colours[1], *quadrants, *energy], -1).astype(np.float32)
