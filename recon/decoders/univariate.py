"""The best single voxel for each target, and the simple regression on it: what a pattern must beat.

Source: the univariate baseline of Agarwal and Sharma (report on Miyawaki et al. 2008).
"""

import numpy as np
from jaxtyping import Float, Int

from recon.core import select, solvers

DEFAULTS = dict(
    block=2048,  # targets at a time: bounds the memory of the correlations
)


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n v'],
    target: np.ndarray,
    rng=None,
    *,
    groups=None,
    rois=None,
    chosen: Int[np.ndarray, 't k'] | None = None,
) -> dict:
    """Takes the voxel of highest |r| on the training rows; of equals, the first.

    Cost: one matrix product, O(n v t).

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: [n ...].
      rng: not used, nothing is drawn.
      groups: not used.
      rois: not used.
      chosen: for each target (flattened) the voxels that it may choose from; None for all.

    Returns:
      voxel [t] int32, slope [t] (unit of the target over that of the voxel), intercept [t], r [t],
      deviation [v] of the voxels over the training rows, shape.

    Raises:
      DataInvalid: see `solvers.check_rows`.
    """
    solvers.check_rows(voxels, target, 'univariate.fit')
    y = np.asarray(target).reshape(len(voxels), -1)
    block = cfg.get('block', DEFAULTS['block'])
    best, r = [], []
    for first in range(0, y.shape[1], block):
        correlation = select.correlation(voxels, y[:, first : first + block]).T  # [t v]
        strength = np.abs(correlation)
        if chosen is not None:
            own = chosen[first : first + block]
            outside = np.ones(strength.shape, bool)
            np.put_along_axis(outside, own, False, axis=1)
            strength[outside] = -1
        best.append(strength.argmax(1))
        r.append(np.take_along_axis(correlation, best[-1][:, None], 1)[:, 0])
    best, r = np.concatenate(best), np.concatenate(r)
    (mean, deviation), (middle, spread) = select.moments(voxels), select.moments(y)
    own = deviation[best]
    slope = r * spread / np.where(own == 0, 1, own)  # r is 0 where the voxel is constant
    return {
        'voxel': best.astype(np.int32),
        'slope': slope.astype(np.float32),
        'intercept': (middle - slope * mean[best]).astype(np.float32),
        'r': r.astype(np.float32),
        'deviation': deviation.astype(np.float32),
        'shape': np.array(np.shape(target)[1:], np.int64),
    }


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """One line for each target.

    Returns:
      [k ...] float32, in the unit and shape of the target.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='univariate.predict')
    x = np.asarray(voxels)[:, np.asarray(params['voxel'])].astype(np.float64)
    out = x * np.asarray(params['slope']) + np.asarray(params['intercept'])
    return out.reshape(len(x), *np.asarray(params['shape'])).astype(np.float32)


def describe(cfg, params: dict) -> dict:
    """How well the best voxels do, and which they are.

    Importance of a voxel: the sum over the targets that chose it of |slope| times its standard
    deviation over training rows (unit of the target).
    """
    voxel, r = np.asarray(params['voxel']), np.abs(np.asarray(params['r']))
    deviation = np.asarray(params['deviation'])
    importance = np.zeros(len(deviation))
    np.add.at(importance, voxel, np.abs(np.asarray(params['slope'])) * deviation[voxel])
    return {
        'facts': {
            'voxels used by any target': int(len(np.unique(voxel))),
            'median |r| of the best voxel in training': round(float(np.median(r)), 4),
            'importance': 'sum over targets of |slope| x standard deviation of the voxel',
        },
        'importance': importance,
    }
