"""Sparse linear decoding: orthogonal matching pursuit, a few voxels for each target.

Source: nilearn's reconstruction of Miyawaki 2008 decodes with it; solver in core/pursuit.py.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from recon.core import errors, pursuit, select, solvers

DEFAULTS = dict(
    coefficients=10,  # voxels for each target, at most; 0: as many as `tolerance` needs
    tolerance=0.0,  # stop where this share of the target's sum of squares is left; 0: never
    standardise=False,  # z-score voxels on the training rows first
    dtype='float32',  # or 'float64'
    block=512,  # targets at a time: bounds the memory
)
_DTYPES = ('float32', 'float64')


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
    """Chooses voxels one after another for every target and refits on those chosen.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: [n ...], any shape; each number of it is a target.
      rng: not used, nothing is drawn.
      groups: not used.
      rois: not used.
      chosen: for each target (flattened) the voxels that it may choose from; None for all.

    Returns:
      support [t k] int32 and weights [t k] (0 where unused; unit of the target over the voxel's
      deviation if standardised), count [t], intercept [t], mean, scale, deviation [v], shape.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`.
    """
    solvers.check_rows(voxels, target, 'omp.fit')
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    k = _most(options, voxels.shape if chosen is None else (len(voxels), chosen.shape[1]))
    dtype = np.dtype(options['dtype'])
    mean, deviation = select.moments(voxels)
    scale = np.where(deviation == 0, 1, deviation) if options['standardise'] else np.ones_like(mean)
    x = (np.asarray(voxels, dtype) - mean.astype(dtype)) / scale.astype(dtype)
    y = np.asarray(target, np.float64).reshape(len(x), -1)
    intercept = y.mean(0)
    return _in_blocks(options, k, x, y - intercept, chosen) | {
        'intercept': intercept.astype(dtype),
        'mean': mean.astype(dtype),
        'scale': scale.astype(dtype),
        'deviation': deviation.astype(dtype),
        'shape': np.array(np.shape(target)[1:], np.int64),
    }


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """The weighted sum of each target's few voxels.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k ...] float32, in the unit and shape of the target.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='omp.predict')
    mean, scale, weights, support, intercept, shape = (
        np.asarray(params[name])
        for name in ('mean', 'scale', 'weights', 'support', 'intercept', 'shape')
    )
    x = (np.asarray(voxels, weights.dtype) - mean) / scale
    out = np.repeat(intercept[None], len(x), 0)  # [k t]
    for j in range(support.shape[1]):
        out += x[:, support[:, j]] * weights[:, j]
    return out.reshape(len(x), *shape).astype(np.float32)


def describe(cfg, params: dict) -> dict:
    """How many voxels were chosen, and how much each matters.

    Importance of a voxel: the sum over targets of |weight| times the voxel's standard deviation
    over training rows (unit of the target).
    """
    support, count = np.asarray(params['support']), np.asarray(params['count'])
    spread = np.asarray(params['deviation']) / np.asarray(params['scale'])
    importance = np.zeros(len(spread))
    np.add.at(importance, support, np.abs(np.asarray(params['weights'])) * spread[support])
    return {
        'facts': {
            'voxels for each target': {
                'fewest': int(count.min()),
                'mean': round(float(count.mean()), 2),
                'most': int(count.max()),
            },
            'voxels used by any target': int((importance > 0).sum()),
            'importance': 'sum over targets of |weight| x standard deviation of the voxel',
        },
        'importance': importance,
    }


def _most(options: dict, shape: tuple[int, int]) -> int:
    """The largest number of coefficients; raises ConfigError for options that do not fit."""
    k, tolerance, (n, v) = options['coefficients'], options['tolerance'], shape
    if options['dtype'] not in _DTYPES:
        raise errors.ConfigError(
            f'omp has dtype={options["dtype"]!r}', 'config', f'one of {", ".join(_DTYPES)}'
        )
    if k < 0 or tolerance < 0 or (k == 0 and tolerance == 0) or options['block'] < 1:
        raise errors.ConfigError(
            f'omp has coefficients={k}, tolerance={tolerance}, block={options["block"]}',
            'config',
            'coefficients at least 1, or 0 with a tolerance above 0; block at least 1',
        )
    return min(k or n, v)


def _in_blocks(options: dict, k: int, x: np.ndarray, y: np.ndarray, chosen) -> dict:
    """Solves block after block of targets; a last block is filled up with targets of zeros."""
    (n, v), t = x.shape, y.shape[1]
    block = min(options['block'], t)
    parts = []
    with pursuit.double(options['dtype']):
        x = jnp.asarray(x)
        for first in range(0, t, block):
            size = min(block, t - first)
            part = np.zeros((n, block))
            part[:, :size] = y[:, first : first + size]
            tolerance = options['tolerance'] * (part**2).sum(0) if options['tolerance'] else None
            allowed = None
            if chosen is not None:
                allowed = np.zeros((block, v), bool)
                np.put_along_axis(allowed[:size], chosen[first : first + size], True, axis=1)
            found = pursuit.solve(x, jnp.asarray(part, x.dtype), k, tolerance, allowed)
            parts.append([np.asarray(a)[:size] for a in found])
    support, weights, count, _ = (np.concatenate(a) for a in zip(*parts, strict=True))
    used = max(1, int(count.max()))
    return {'support': support[:, :used], 'weights': weights[:, :used], 'count': count}
