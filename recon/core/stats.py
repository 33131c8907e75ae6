"""Correlation of rows, intervals, p-values and noise ceilings: pure functions in numpy, float64.

Sums run in float64 block by block, so that thousands of pictures need no second copy of them.
"""

import numpy as np
from jaxtyping import Float

from recon.core import rng as rngs

# A row whose spread is below this fraction of its size is constant up to float32 rounding: its
# correlation would be that of rounding noise.
FLAT = 1e-6
_BLOCK = 2**23  # elements of a float64 block: 64 MB


def pearson_rows(a: Float[np.ndarray, 'n d'], b: Float[np.ndarray, 'n d']) -> np.ndarray:
    """Pearson correlation of each row of `a` with the same row of `b`.

    Returns:
      [n] float64 in [-1, 1]; NaN where either row is constant (see FLAT).
    """
    out = np.empty(len(a))
    for rows in _row_blocks(a):
        x, y = (_unit(z[rows].astype(np.float64), centre=True) for z in (a, b))
        out[rows] = (x * y).sum(1)
    return np.clip(out, -1, 1)


def pearson_matrix(a: Float[np.ndarray, 'n d'], b: Float[np.ndarray, 'm d']) -> np.ndarray:
    """Pearson correlation of every row of `a` with every row of `b`.

    Cost: one matrix product of [n d] and [d m] in float64, in blocks over d.

    Returns:
      [n m] float64 in [-1, 1]; NaN in the row (column) of a constant row of `a` (`b`).
    """
    return np.clip(_gram(a, b, centre=True), -1, 1)


def cosine_matrix(a: Float[np.ndarray, 'n d'], b: Float[np.ndarray, 'm d']) -> np.ndarray:
    """Cosine of every row of `a` with every row of `b`: [n m] float64; NaN for rows of zeros."""
    return np.clip(_gram(a, b, centre=False), -1, 1)


def dot_matrix(a: Float[np.ndarray, 'n d'], b: Float[np.ndarray, 'm d'], shift_a=0, shift_b=0):
    """(a - shift_a) (b - shift_b)' in float64 without float64 copies: [n m].

    shift_a [n 1] and shift_b [m 1] (or 0) are taken off each row.
    """
    width = max(1, _BLOCK // max(len(a), len(b), 1))
    out = np.zeros((len(a), len(b)))
    for start in range(0, a.shape[1], width):
        columns = slice(start, start + width)
        out += (a[:, columns] - np.float64(shift_a)) @ (b[:, columns] - np.float64(shift_b)).T
    return out


def _gram(a, b, *, centre):
    (shift_a, size_a), (shift_b, size_b) = (_sizes(z, centre) for z in (a, b))
    return dot_matrix(a, b, shift_a, shift_b) / (size_a * size_b.T)


def _sizes(x, centre):
    """Mean [n 1] of each row (0 unless `centre`) and the norm [n 1] of what is left."""
    shift = x.mean(1, dtype=np.float64, keepdims=True) * centre
    size = np.empty((len(x), 1))
    for rows in _row_blocks(x):
        size[rows] = _norm(x[rows] - shift[rows], x[rows])
    return shift, size


def _unit(x, *, centre):
    left = x - x.mean(1, keepdims=True) * centre
    return left / _norm(left, x)


def _norm(left, x):
    """Norm of each row of `left`, NaN where it is nothing beside the norm of `x`."""
    size = np.sqrt(np.einsum('nd,nd->n', left, left, dtype=np.float64))[:, None]
    whole = np.sqrt(np.einsum('nd,nd->n', x, x, dtype=np.float64))[:, None]
    return np.where(size > FLAT * whole, size, np.nan)


def _row_blocks(x):
    step = max(1, _BLOCK // max(1, x.shape[1]))
    return [slice(i, i + step) for i in range(0, len(x), step)]


def bootstrap_mean(units, *, seed: int, draws: int = 10_000, level: float = 0.95, clusters=None):
    """Percentile bootstrap interval of the mean over units.

    Args:
      units: [n], one value for each unit; NaN (undefined) units are dropped first.
      seed: the config's seed; equal n and seed draw the same units, whatever the metric.
      draws: resamples with replacement.
      level: coverage aimed at.
      clusters: [n] or None; units that are not independent (rows of one image) share a value and
        are drawn together.

    Returns:
      (low, high) in the unit of `units`; None if fewer than two units (clusters) are defined: one
      says nothing of how units vary.

    Source: Efron and Tibshirani 1993, section 13.3. Too narrow for few units (n < 20 or so).
    """
    units = np.asarray(units, np.float64)
    defined = np.isfinite(units)
    top, bottom = units[defined], np.ones(defined.sum())
    if clusters is not None:
        _, cluster = np.unique(np.asarray(clusters)[defined], return_inverse=True)
        top, bottom = np.bincount(cluster, top), np.bincount(cluster).astype(np.float64)
    return bootstrap_ratio(top, bottom, seed=seed, draws=draws, level=level)


def bootstrap_ratio(top, bottom, *, seed: int, draws: int = 10_000, level: float = 0.95):
    """The same for sum(top) / sum(bottom) over units, for example F1 pooled over images.

    Args:
      top: [n], finite.
      bottom: [n], finite; draws where it sums to 0 are dropped.
      seed: as in `bootstrap_mean`.
      draws: the same.
      level: the same.

    Returns:
      (low, high); None for fewer than two units, or if no draw has a bottom above 0.
    """
    top, bottom = np.asarray(top, np.float64), np.asarray(bottom, np.float64)
    n = len(top)
    if n < 2 or draws == 0:
        return None
    generator = rngs.generator(seed, 'bootstrap')
    plain = bool((bottom == 1).all())
    means, step = [], max(1, _BLOCK // 2 // n)
    for start in range(0, draws, step):
        index = generator.integers(0, n, (min(step, draws - start), n), dtype=np.int32)
        below = n if plain else bottom[index].sum(1)
        with np.errstate(invalid='ignore', divide='ignore'):
            means.append(top[index].sum(1) / below)
    means = np.concatenate(means)
    means = means[np.isfinite(means)]
    if not len(means):
        return None
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(a, b, *, seed: int, draws: int = 10_000, level: float = 0.95):
    """Mean of a - b over the units where both are defined, with its bootstrap interval.

    Units are drawn in pairs, so what makes a unit hard for both cancels: two systems on the same
    images are told apart by this, not by whether their own intervals overlap.

    Args:
      a: [n], NaN where undefined.
      b: [n], the same units in the same order.
      seed: as in `bootstrap_mean`.
      draws: the same.
      level: the same.

    Returns:
      (mean, (low, high)); the interval is None for one unit, both are if none is defined in both.
    """
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    interval = bootstrap_mean(difference, seed=seed, draws=draws, level=level)
    if not np.isfinite(difference).any():
        return None, None
    return float(np.nanmean(difference)), interval


def permutation_p(observed: float, null, better: str = 'higher') -> float:
    """One-sided p: (1 + how many of the K null draws are at least as good) / (1 + K).

    Args:
      observed: the statistic with the true pairing.
      null: [K], the statistic with permuted pairings.
      better: 'higher' or 'lower'.

    Returns:
      p in [1 / (1 + K), 1]. Never 0: the true pairing is one of the permutations.

    Source: Phipson and Smyth 2010, eq. 2.
    """
    sign = 1 if better == 'higher' else -1
    # Sums in another order differ in the last bits: those are equal, and count against us.
    margin = 1e-12 * max(1.0, abs(observed))
    at_least = (sign * np.asarray(null, np.float64) >= sign * observed - margin).sum()
    return float((1 + at_least) / (1 + len(null)))


def noise_ceiling(ncsnr, trials):
    """Largest R^2 that any model can reach, as a fraction in [0, 1].

    Args:
      ncsnr: [v] (or a number), signal over noise standard deviation of single trials.
      trials: how many trials each scored response is the mean of: a number, or [m] counts, one an
        image. With unequal counts 1 / trials is averaged over images: for A, B, C images of 3, 2
        and 1 trials it is (A/3 + B/2 + C) / (A + B + C).

    Returns:
      ncsnr^2 / (ncsnr^2 + mean(1 / trials)), shape of `ncsnr`. ncsnr 1 and 3 trials give 0.75.

    Source: Allen et al. 2022, Methods, noise ceiling.
    """
    power = np.square(np.asarray(ncsnr, np.float64))
    return power / (power + np.mean(1 / np.asarray(trials, np.float64)))


def correlation_ceiling(ncsnr, trials):
    """Largest Pearson correlation that any model can reach: sqrt(noise_ceiling)."""
    return np.sqrt(noise_ceiling(ncsnr, trials))


def ncsnr_from_repeats(voxels: Float[np.ndarray, 'm r v'], whole=None) -> np.ndarray:
    """Single-trial signal-to-noise from r >= 2 repeats of m images.

    Noise variance: the unbiased variance over repeats, averaged over images. Signal variance: what
    it leaves of the whole variance, at least 0.

    Args:
      voxels: single-trial responses.
      whole: [v] or a number, variance of single trials; 1 for z-scored responses, as in NSD.
        Default: that of the trials given.

    Returns:
      [v] float64, signal over noise standard deviation; 0 for constant voxels.

    Source: Allen et al. 2022, Methods, noise ceiling (there: z-scored within each session).
    """
    voxels = np.asarray(voxels, np.float64)
    noise = voxels.var(1, ddof=1).mean(0)
    if whole is None:
        whole = voxels.reshape(-1, voxels.shape[-1]).var(0, ddof=1)
    signal = np.maximum(whole - noise, 0)
    return np.sqrt(np.divide(signal, noise, out=np.zeros_like(noise), where=noise > 0))
