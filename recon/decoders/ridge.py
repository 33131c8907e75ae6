"""Ridge regression with many penalties at the price of one factorisation.

The voxels are factorised once (primal or dual by shape); every penalty and target reuses that, and
cross-validation is in closed form. Solver: core/solvers.py; choice: core/validation.py.

Source: Hoerl and Kennard 1970; Hastie, Tibshirani and Friedman 2009, section 3.4.1.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from recon.core import linear_model, penalty, solvers

DEFAULTS = dict(
    penalties=tuple(float(10**i) for i in range(8)),  # 1 ... 1e7, as scikit-learn's alpha
    cv='loo',  # 'loo' (what RidgeCV computes), 'gcv', or 'kfold', which never splits a run
    folds=5,  # of 'kfold'
    per_target=False,  # a penalty for each target; else one for all
    intercept=True,  # a constant without a penalty
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
    """Chooses penalties by cross-validation on the training rows and solves for the weights.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: any shape; each number of it is a target.
      rng: not used, nothing is drawn.
      groups: [n] run of each row, kept whole by 'kfold'; None: each row by itself.
      rois: not used.

    Returns:
      weights [v t]; or, where that is smaller, dual [n t] and rows [n v] (centred voxels), with
      weights = rows' dual. Besides: voxel_mean, voxel_std [v], target_mean [t], penalty [t] or [1],
      penalties and curve [a] (error of left-out rows, mean over targets, in the unit of the target
      squared; NaN for a single penalty, which needs no choice), shape of one target.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`.
    """
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    solvers.check_rows(voxels, target, 'ridge.fit')
    grid = penalty.check(options, 'decoder')
    intercept = bool(options['intercept'])
    x, of_voxels = linear_model.centre(voxels, intercept)
    y, of_target = linear_model.flatten(target, intercept)
    offset = of_target['target_mean']
    solved = _single(x, y, offset, grid, options['target_block']) if len(grid) == 1 else None
    if solved is None:
        rows = penalty.folds(options, len(x), groups)
        factor = solvers.factor(x, intercept)
        solved = penalty.choose_and_solve(factor, y, offset, grid, options, rows)
    weights = _smaller(x, solved.pop('coefficients'))
    return weights | solved | of_voxels | of_target | {'penalties': grid}


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Weighted sums of voxels plus the constant.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k ...] float32, in the unit and shape of the target.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='ridge.predict')
    return linear_model.predict(params, voxels)


def describe(cfg, params: dict) -> dict:
    """Penalty curve, chosen penalties, importance of voxels.

    Importance of a voxel: the norm over targets of its weights, times its standard deviation over
    training rows (unit of the target).
    """
    told = penalty.describe(params)
    told['facts'] |= {
        'form': 'primal' if 'weights' in params else 'dual',
        'importance': linear_model.IMPORTANCE,
    }
    return told | {'importance': linear_model.importance(params)}


def _single(x, y, offset, grid, block) -> dict | None:
    """One penalty needs no choice: Cholesky; None if the penalty is lost in float32's rounding."""
    parts, x = penalty.blocks(y.shape[1], block), jnp.asarray(x)
    lower = solvers.cholesky(x, grid[0])
    if not np.isfinite(lower[-1, -1]):
        return None
    if len(parts) == 1:
        found = np.asarray(solvers.cholesky_solve(lower, x, jnp.asarray(y - offset)))
    else:
        found = np.empty((len(lower), y.shape[1]), np.float32)
        for part in parts:
            found[:, part] = solvers.cholesky_solve(lower, x, y[:, part] - offset[part])
    return {'coefficients': found, 'penalty': grid, 'curve': np.full(1, np.nan, np.float32)}


def _smaller(x: np.ndarray, found: np.ndarray) -> dict:
    """Weights [v t], or rows and dual coefficients where these are fewer numbers."""
    (n, v), t = x.shape, found.shape[1]
    if n > v:  # primal
        return {'weights': found}
    if linear_model.keeps_dual(n, v, t):
        return {'rows': x, 'dual': found}
    return {'weights': np.asarray(solvers.dual_weights(x, found))}
