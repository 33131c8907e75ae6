"""What early cortex makes of a picture: oriented energy and opponent colour, on a grid.

Gabor filters in quadrature give a phase-invariant energy (Adelson and Bergen 1985), as in the
encoding models of Kay et al. 2008; beside it stand rectified light-dark, red-green and blue-yellow.
"""

import functools

import numpy as np

from recon.core import image
from recon.data.simulator import areas

GRID = 16  # places on a side
COARSE = 8  # places on a side for the higher areas
ORIENTATIONS = 4  # 0, 45, 90, 135 degrees
WAVELENGTHS = (4, 8, 16)  # of the filters, in 32nds of the picture
OPPONENTS = ('light', 'dark', 'red', 'green', 'blue', 'yellow')
N_ENERGIES = ORIENTATIONS * len(WAVELENGTHS)
N = N_ENERGIES + len(OPPONENTS)
N_TEXTURES = 16
SURROUND = 0.85  # weight of the surround in the opponent channels; 1 would be blind to surfaces

_SURROUND_SIGMA = 4.0  # of it, in 32nds of the picture
_INPUT = 32  # pixels on a side that the filters see
# Mean of each group over scenes of version 1, so that every channel has a mean near 1.
_MEANS = {4: 0.026, 8: 0.035, 16: 0.054}
_OPPONENT_MEANS = (0.057, 0.057, 0.045, 0.035, 0.044, 0.056)


def features(pictures: np.ndarray) -> np.ndarray:
    """Responses of all channels at all places.

    Args:
      pictures: [m h w 3], uint8 or float in [0, 1], of any size; shown on a grey screen.

    Returns:
      [m 18 16 16] float32 >= 0: energies (wavelength by orientation), then OPPONENTS.
    """
    small = _shrink(pictures)
    m = len(small)
    grey = image.to_gray(small) - 0.5
    both = (grey.reshape(m, -1) @ _bank()).reshape(m, N_ENERGIES, 2, GRID**2)
    energy = np.sqrt(both[:, :, 0] ** 2 + both[:, :, 1] ** 2)
    energy /= np.repeat(list(_MEANS.values()), ORIENTATIONS).astype(np.float32)[:, None]
    red, green, blue = np.moveaxis(small, -1, 0)
    axes = np.stack([grey, red - green, blue - (red + green) / 2], 1)
    # Centre against surround: an even surface says little, its borders much.
    blur = _blur()
    axes = axes - SURROUND * (blur @ axes @ blur.T)
    signed = np.stack([np.maximum(axes, 0), np.maximum(-axes, 0)], 2)  # [m 3 2 32 32]
    opponent = _fold(signed.reshape(m, 6, _INPUT, _INPUT), _INPUT // GRID)
    opponent /= np.array(_OPPONENT_MEANS, np.float32)[:, None, None]
    return np.concatenate([energy.reshape(m, -1, GRID, GRID), opponent], 1)


def coarse(full: np.ndarray) -> np.ndarray:
    """[m 18 16 16] -> [m 18 8 8], means of two by two places."""
    return _fold(full, GRID // COARSE)


def textures(rough: np.ndarray) -> np.ndarray:
    """Sixteen fixed random mixtures of channels, rectified: what higher areas prefer in pictures
    of which nobody says what they show. [m 18 8 8] -> [m 16 8 8], of the size of a coverage.
    """
    rng = np.random.default_rng((1, 16, 18))
    mixture = rng.standard_normal((N_TEXTURES, N)).astype(np.float32) / np.sqrt(N)
    mixed = np.einsum('kc,mcp->mkp', mixture, rough.reshape(len(rough), N, -1) - 1)
    return (0.3 * np.maximum(mixed - 0.5, 0)).reshape(len(rough), N_TEXTURES, COARSE, COARSE)


def field(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of a `side` x `side` grid in the visual field: x, y [side*side] in degrees, y up."""
    centre = ((np.arange(side) + 0.5) / side * 2 - 1) * areas.FIELD
    y, x = np.meshgrid(-centre, centre, indexing='ij')
    return x.ravel(), y.ravel()


def _shrink(pictures: np.ndarray) -> np.ndarray:
    h, w = pictures.shape[1:3]
    if h != w or h % _INPUT:
        return image.resize(image.to_float(pictures), (_INPUT, _INPUT))
    channels_first = np.moveaxis(pictures, -1, 1)
    small = _fold(channels_first, h // _INPUT)
    scale = np.float32(255 if pictures.dtype == np.uint8 else 1)
    return np.ascontiguousarray(np.moveaxis(small, 1, -1)) / scale


def _fold(maps: np.ndarray, by: int) -> np.ndarray:
    """[m c h w] -> [m c h/by w/by] float32, means; adding slices is three times faster."""
    out = np.zeros((*maps.shape[:2], maps.shape[2] // by, maps.shape[3] // by), np.float32)
    for row in range(by):
        for col in range(by):
            out += maps[:, :, row::by, col::by]
    out /= by**2
    return out


def _blur() -> np.ndarray:
    """[32 32]: a Gaussian surround along one axis, grey beyond the picture's edge."""
    pixel = np.arange(_INPUT)
    near = np.exp(-((pixel[:, None] - pixel) ** 2) / (2 * _SURROUND_SIGMA**2))
    return (near / near[_INPUT // 2].sum()).astype(np.float32)


@functools.lru_cache(maxsize=1)
def _bank() -> np.ndarray:
    """The filters as one matrix [32*32, wavelength, orientation, phase, place], flattened."""
    pixel = np.arange(_INPUT) + 0.5
    rows, cols = np.meshgrid(pixel, pixel, indexing='ij')
    step = _INPUT // GRID
    centres = (np.arange(GRID) + 0.5) * step
    y0, x0 = (c.ravel() for c in np.meshgrid(centres, centres, indexing='ij'))
    dy, dx = rows.reshape(-1, 1) - y0, cols.reshape(-1, 1) - x0  # [pixels places]
    out = np.empty((_INPUT**2, len(WAVELENGTHS), ORIENTATIONS, 2, GRID**2), np.float32)
    for i, wavelength in enumerate(WAVELENGTHS):
        envelope = np.exp(-(dx**2 + dy**2) / (2 * (0.45 * wavelength) ** 2))
        for j in range(ORIENTATIONS):
            angle = np.pi * j / ORIENTATIONS
            phase = 2 * np.pi / wavelength * (np.cos(angle) * dx + np.sin(angle) * dy)
            for k, wave in enumerate((np.cos(phase), np.sin(phase))):
                # Blind to even light, also where the picture's edge cuts the filter.
                wave = wave - (wave * envelope).sum(0) / envelope.sum(0)
                out[:, i, j, k] = 2 * wave * envelope / envelope.sum(0)
    return out.reshape(_INPUT**2, -1)
