"""Random jitter of pictures that belong together: enlarged, cut at random, mirrored by chance.

It is drawn anew for each batch, for the condition and its picture alike, so it is no operation of
`preprocess.order`: a generator's task draws it (`generators/pix2pix.py`, keys `jitter`, `mirror`).

Source: Isola et al. 2017, appendix 6.2; the first seed report, section III.D.1 (288 to 256).
"""

import numpy as np
from jaxtyping import Float, Int

from recon.core import errors, types

DEFAULTS = dict()


def fit(cfg, brain: types.BrainData):
    """Refuses.

    Raises:
      ConfigError: always; the message names where jitter is asked for.
    """
    raise errors.ConfigError(
        'jitter changes pictures with the responses, batch by batch',
        'preprocess.order',
        'take it out there, and set generator.pix2pix.jitter (288 / 256) and .mirror',
    )


def draw(
    random: np.random.Generator, n: int, size: int, enlarge: float = 288 / 256, mirror: bool = True
) -> tuple[Int[np.ndarray, 'n s'], Int[np.ndarray, 'n s']]:
    """Which row and which column of a picture each row and column of the result is.

    Enlarging takes the nearest pixel, so that enlarging, cutting and mirroring are one choice of
    pixels.

    Args:
      random: of the places and of the mirrors.
      n: pictures.
      size: pixels on a side, before and after.
      enlarge: side of the enlarged picture over `size`, at least 1; it is rounded to whole pixels.
      mirror: whether half of the pictures are turned left to right.

    Returns:
      [n size] int each, rows and columns.
    """
    large = max(size, round(size * enlarge))
    offsets = random.integers(0, large - size + 1, (2, n, 1))
    rows, columns = ((2 * (offsets + np.arange(size)) + 1) * size) // (2 * large)
    turned = random.random((n, 1)) < 0.5
    return rows, np.where(turned & mirror, columns[:, ::-1], columns)


def cut(
    pictures: Float[np.ndarray, 'n s s c'],
    rows: Int[np.ndarray, 'n s'],
    columns: Int[np.ndarray, 'n s'],
) -> Float[np.ndarray, 'n s s c']:
    """The pixels that `draw` chose, the same of each array that it is called with."""
    n = np.arange(len(pictures))[:, None, None]
    return pictures[n, rows[:, :, None], columns[:, None, :]]
