"""Predicted against measured responses, voxel by voxel, and what noise leaves to be predicted."""

import numpy as np
from jaxtyping import Float

from recon.core import errors, image, stats

FLOOR = 0.01  # a voxel whose ceiling is below 1 % of variance has none that is worth dividing by


def voxel_r(predicted: Float[np.ndarray, 'n v'], measured: Float[np.ndarray, 'n v']):
    """Pearson correlation over the n images, for each voxel: [v], NaN for a constant voxel."""
    _same(predicted, measured)
    return stats.pearson_rows(np.ascontiguousarray(predicted.T), np.ascontiguousarray(measured.T))


def voxel_r2(predicted: Float[np.ndarray, 'n v'], measured: Float[np.ndarray, 'n v']):
    """1 - squared error / squared deviation from the mean, for each voxel: [v], at most 1.

    The coefficient of determination, not the square of `voxel_r`: scale and offset count, and it
    is negative where the mean of the measured rows would have been better. NaN for constant voxels.
    """
    _same(predicted, measured)
    measured = measured.astype(np.float64)
    error = ((measured - predicted) ** 2).sum(0)
    whole = ((measured - measured.mean(0)) ** 2).sum(0)
    flat = whole <= (stats.FLAT**2) * (measured**2).sum(0)
    return np.where(flat, np.nan, 1 - error / np.where(flat, 1, whole))


def ceiling_fraction(r: Float[np.ndarray, 'v'], ceiling: Float[np.ndarray, 'v']):
    """Share of the explainable variance that was predicted, for each voxel: r |r| / ceiling, [v].

    The sign is kept, so that voxels at chance average to about 0 (Algonauts 2023 sets negative r
    to 0 and takes the median). It can exceed 1, since ceilings are estimates.

    Args:
      r: `voxel_r`.
      ceiling: `stats.noise_ceiling`, a fraction of variance for the number of trials averaged.

    Returns:
      [v]; NaN where the ceiling is below FLOOR or either is undefined.
    """
    ceiling = np.asarray(ceiling, np.float64)
    usable = ceiling >= FLOOR
    return np.where(usable, r * np.abs(r) / np.where(usable, ceiling, 1), np.nan)


def from_rows(voxels: Float[np.ndarray, 'n v'], image_id, session=None, repeats: int = 3):
    """Single-trial signal-to-noise of each voxel from repeated images: [v].

    z-scores each voxel within its session, takes the images shown exactly `repeats` times, and
    asks how much of the variance is noise.

    Args:
      voxels: single-trial responses, any unit.
      image_id: [n], the image of each row.
      session: [n], or None for one session.
      repeats: how many presentations an image must have, 2 or more.

    Raises:
      DataInvalid: no image has that many.

    Source: Allen et al. 2022, Methods; the ceiling itself is `stats.noise_ceiling`.
    """
    voxels = np.array(voxels, np.float64)
    session = np.zeros(len(voxels), int) if session is None else np.asarray(session)
    for name in np.unique(session):
        rows = session == name
        spread = voxels[rows].std(0)
        voxels[rows] = (voxels[rows] - voxels[rows].mean(0)) / np.where(spread > 0, spread, 1)
    ids, inverse, shown = np.unique(image_id, return_inverse=True, return_counts=True)
    if repeats < 2 or not (shown == repeats).any():
        raise errors.DataInvalid(
            f'no image has exactly {repeats} trials (found {sorted(set(shown.tolist()))})',
            'recon/metrics/ceiling',
            'keep single trials (preprocess.repeats) and give a count of 2 or more that occurs',
        )
    rows = np.argsort(inverse, kind='stable')
    rows = rows[(shown == repeats)[inverse[rows]]].reshape(-1, repeats)  # [m r]
    return stats.ncsnr_from_repeats(voxels[rows], whole=1.0)


def each_value(layer: str, decoded: Float[np.ndarray, 'n ...'], truth, most: int = 64) -> dict:
    """A table of how well each decoded value follows the true one over the n test images.

    Args:
      layer: the target's; 'image_statistics' have names, other values numbers.
      decoded: [n ...].
      truth: the same shape.
      most: rows of the table.
    """
    decoded, truth = decoded.reshape(len(decoded), -1), truth.reshape(len(truth), -1)
    r, r2 = voxel_r(decoded, truth), voxel_r2(decoded, truth)
    names = image.STATISTICS if layer == 'image_statistics' else range(len(r))
    rows = [[str(n), *map(float, pair)] for n, *pair in zip(names, r, r2, strict=True)]
    return {
        'title': f'Each value over the {len(truth)} test images',
        'columns': ['value', 'correlation', 'R squared'],
        'rows': rows[:most],
    }


def _same(predicted, measured):
    if predicted.shape != measured.shape:
        raise errors.DataInvalid(
            f'predicted responses have shape {predicted.shape}, measured {measured.shape}',
            'recon/metrics/ceiling',
            'one row for each image, the same voxels in the same order',
        )
