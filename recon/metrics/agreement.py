"""How far several samples of one decoded answer agree: what the brain fixes, what is invented.

A generator that draws paints each picture several times from the same decoded arrays. What differs
between these samples was not in the arrays. Never looks at the truth.
"""

import numpy as np

from recon.core import stats


def score(samples: list[np.ndarray], *, seed: int, draws: int) -> dict | None:
    """The share of the pictures' pixel variance that all samples have in common.

    1 - (variance between samples of one picture) / (variance between reconstructions, of other
    pictures too): 1 where all samples are equal, 0 where two samples of one picture differ as much
    as those of two pictures. It is an intraclass correlation of pixels, one-way, with samples as
    raters; drawn to below 0 by chance where it is 0.

    Args:
      samples: S arrays [n h w c], the same pictures in the same order.
      seed: of the bootstrap over pictures.
      draws: resamples.

    Returns:
      {'mean', 'ci95', 'n', 'samples', 'per_image'}; None for fewer than two samples or pictures,
      or where all reconstructions are one picture.

    Source: Shrout and Fleiss 1979, case 1, with the total variance in place of its two parts.
    """
    n = len(samples[0])
    if len(samples) < 2 or n < 2:
        return None
    within = np.array([_spread([s[i] for s in samples]).mean() for i in range(n)])
    total = np.zeros(n)
    for sample in samples:
        centre = sample.mean(0, dtype=np.float64)
        away = np.array([np.square(picture - centre).mean() for picture in sample])
        total += away * n / (n - 1) / len(samples)
    if not total.sum() > 0:
        return None
    interval = stats.bootstrap_ratio(within, total, seed=seed, draws=draws)
    return {
        'mean': float(1 - within.sum() / total.sum()),
        'ci95': interval and (1 - interval[1], 1 - interval[0]),
        'n': n,
        'samples': len(samples),
        'per_image': (1 - within / total.mean()).tolist(),
    }


def _spread(pictures: list[np.ndarray]) -> np.ndarray:
    """[h w c]: unbiased variance over samples."""
    return np.stack(pictures).astype(np.float64).var(0, ddof=1)
