"""Ordinary least squares: ridge without a penalty, the smallest of all solutions if there are many.

The Gram matrix and its eigenvectors are computed in float64, since without a penalty float32 would
lose the small directions. Directions whose singular value is below `cut` are left out.

Source: Hastie, Tibshirani and Friedman 2009, eq. 3.6; minimum norm as LAPACK's gelsd.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from recon.core import errors, linear_model, penalty, solvers

DEFAULTS = dict(
    intercept=True,  # fit a constant
    cut=0.0,  # smallest singular value over the largest; 0: float32's epsilon x max(rows, voxels)
    target_block=4096,  # targets at a time: bounds the memory
)


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n v'],
    target: Float[np.ndarray, 'n ...'],
    rng=None,
    *,
    groups=None,
    rois=None,
) -> dict:
    """Least squares of every target on all voxels.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: any shape; each number of it is a target.
      rng: not used, nothing is drawn.
      groups: not used.
      rois: not used.

    Returns:
      As `ridge.fit`, without penalties; besides rank [] of the voxels that was used.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`.
    """
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    if not 0 <= options['cut'] < 1 or options['target_block'] < 1:
        raise errors.ConfigError(
            f'cut is {options["cut"]}, target_block {options["target_block"]}',
            'decoder',
            'wanted 0 <= cut < 1 and target_block >= 1',
        )
    solvers.check_rows(voxels, target, 'linear.fit')
    x, of_voxels = linear_model.centre(voxels, options['intercept'])
    y, of_target = linear_model.flatten(target, options['intercept'])
    solved = _least_squares(x, y, of_target['target_mean'], options)
    return solved | of_voxels | of_target


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Weighted sums of voxels plus the constant: [k ...] float32.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='linear.predict')
    return linear_model.predict(params, voxels)


def describe(cfg, params: dict) -> dict:
    """Rank of the voxels, and their importance.

    Importance of a voxel: the norm over targets of its weights, times its standard deviation over
    training rows (unit of the target).
    """
    return {
        'facts': {'rank of the voxels': int(params['rank']), 'importance': linear_model.IMPORTANCE},
        'importance': linear_model.importance(params),
    }


def _least_squares(x, y, offset, options) -> dict:
    """Weights, or rows and dual coefficients, float32, and the rank."""
    (n, v), t = x.shape, y.shape[1]
    dual = linear_model.keeps_dual(n, v, t) and n <= v
    out = np.empty((n if dual else v, t), np.float32)
    relative = options['cut'] or float(np.finfo(np.float32).eps) * max(n, v)
    with jax.enable_x64(True):
        x_64 = jnp.asarray(x, jnp.float64)
        factor = solvers.factor(x_64, bool(options['intercept']))
        cut = relative**2 * float(factor.values.max(initial=0))
        for part in penalty.blocks(t, options['target_block']):
            z = solvers.project(factor, jnp.asarray(y[:, part] - offset[part], jnp.float64))
            found = solvers.coefficients(factor, z, 0.0, cut)
            # Dual coefficients of close voxels are large and cancel: to weights before rounding.
            whole = factor.dual and not dual
            out[:, part] = solvers.dual_weights(x_64, found) if whole else found
        rank = int((factor.values > cut).sum())
    return ({'rows': x, 'dual': out} if dual else {'weights': out}) | {'rank': np.array(rank)}
