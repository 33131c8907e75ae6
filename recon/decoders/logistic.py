"""Logistic regression of many labels with a penalty on the squared weights: a linear baseline.

Each label by itself: minimise sum over rows of log(1 + exp(-(2 y - 1) (x w + b))) plus
penalty / 2 x ||w||^2; the constant b has no penalty. One penalty for all labels, chosen by the log
loss of left-out rows.

Solver: in the eigenbasis of the rows (`core/solvers.factor`) the curvature p (1 - p) <= 1/4 bounds
the Hessian by a diagonal, values / 4 + penalty, whose inverse is the step (Boehning and Lindsay
1988), for all labels at once; with momentum, which a label begins anew where it points uphill
(Nesterov 1983; O'Donoghue and Candes 2015). There is nothing to tune and no line to search.

Source: Hastie, Tibshirani and Friedman 2009, section 4.4; scikit-learn's C is 1 / penalty.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors, linear_model, solvers, thresholds, validation

DEFAULTS = dict(
    penalties=tuple(float(10**i) for i in range(1, 7)),  # 10 ... 1e6, one for all labels
    folds=3,  # to choose among them; runs are never split
    iterations=500,  # at most
    tolerance=1e-4,  # of the gradient, over the square root of the rows
)
_SMALL = 1e-7  # eigenvalues below this fraction of the largest are rounding


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n v'],
    target: Float[np.ndarray, 'n k'],
    rng=None,
    *,
    groups=None,
    rois=None,
) -> dict:
    """Chooses the penalty on left-out rows and fits all rows with it.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: labels, 0 or 1.
      rng: not used, nothing is drawn.
      groups: [n] run of each row, kept whole; None: each row by itself.
      rois: not used.

    Returns:
      {'weights' [v k], 'intercept' [k], 'voxel_mean', 'voxel_std' [v], 'shape', 'penalty' [1],
      'penalties' [a], 'curve' [a] (log loss of left-out rows, mean over rows and labels),
      'threshold' [k] (of the best F1 on left-out rows; on the training rows themselves where there
      is but one penalty), 'gradient' (what is left of it)}.

    Raises:
      ConfigError: an option that does not fit.
      DataInvalid: see `solvers.check_rows`; labels other than 0 and 1.
    """
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    grid = _check(options, voxels, target)
    target = np.asarray(target, np.float32)
    curve, left_out = np.full(len(grid), np.nan, np.float32), None
    if len(grid) > 1:
        groups = np.arange(len(target)) if groups is None else np.asarray(groups)
        fold = validation.fold_of_rows(groups, options['folds'])
        left_out = _left_out(voxels, target, grid, fold, options)  # [a n k] logits
        curve = _log_loss(left_out, target).mean((1, 2)).astype(np.float32)
    best = int(np.argmin(curve)) if len(grid) > 1 else 0
    (weights, intercept, gradient), moments = _path(voxels, target, grid[best:][:1], options)[0]
    params = {
        'weights': weights,
        'intercept': intercept,
        'shape': np.array(target.shape[1:], np.int64),
        'penalty': grid[best : best + 1],
        'penalties': grid,
        'curve': curve,
        'gradient': np.array(gradient, np.float32),
    } | moments
    seen = predict(cfg, params, voxels) if left_out is None else _sigmoid(left_out[best])
    return params | {'threshold': thresholds.choose(seen, target)}


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Probabilities of the labels, [k labels] float32.

    Args:
      cfg: not used.
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='logistic.predict')
    centred = np.asarray(voxels, np.float32) - np.asarray(params['voxel_mean'])
    return _sigmoid(centred @ np.asarray(params['weights']) + np.asarray(params['intercept']))


def describe(cfg, params: dict) -> dict:
    """The penalty's curve and choice, and the importance of voxels.

    Importance of a voxel: the norm over labels of its weights, times its standard deviation over
    training rows.
    """
    grid, chosen = np.asarray(params['penalties']), float(np.asarray(params['penalty'])[0])
    curve = {
        'title': 'Log loss against penalty',
        'x_label': 'penalty',
        'y_label': 'log loss, mean over labels',
        'log_x': True,
        'series': [
            {'name': 'left-out rows', 'x': grid.tolist(), 'y': np.asarray(params['curve']).tolist()}
        ],
        'chosen': chosen,
    }
    facts = {
        'penalty': chosen,
        'penalties tried': f'{len(grid)}, {grid[0]:.4g} to {grid[-1]:.4g}',
        'norm of the gradient that is left': float(params['gradient']),
    }
    norm = np.linalg.norm(np.asarray(params['weights']), axis=1)
    told = {'curves': [curve] if len(grid) > 1 else [], 'tables': [], 'facts': facts}
    return told | {'importance': norm * np.asarray(params['voxel_std'])}


def _left_out(voxels, target, grid, fold, options) -> np.ndarray:
    """Logits [a n k] of each row under each penalty, fitted without the row's fold."""
    out = np.empty((len(grid), *target.shape), np.float32)
    for k in np.unique(fold):
        aside = fold == k
        found = _path(voxels[~aside], target[~aside], grid, options)
        for i, ((weights, intercept, _), moments) in enumerate(found):
            out[i, aside] = (voxels[aside] - moments['voxel_mean']) @ weights + intercept
    return out


def _path(voxels, target, grid, options) -> list:
    """[((weights [v k], intercept [k], gradient), moments)] of each penalty, from one basis.

    The larger penalty's solution is where the next smaller one begins.
    """
    x, moments = linear_model.centre(voxels, True)
    factor = solvers.factor(x, False)
    values = np.asarray(factor.values)
    kept = values > _SMALL * values[-1]
    scale = np.sqrt(values[kept])
    basis = np.asarray(factor.basis)[:, kept]
    rows = basis * scale if factor.dual else basis  # [n r], rows' rows = diag(values)
    rate = np.clip(target.mean(0), 0.5 / len(target), 1 - 0.5 / len(target))
    start = np.zeros((rows.shape[1] + 1, target.shape[1]), np.float32)
    start[-1] = np.log(rate / (1 - rate))
    limit, found = options['tolerance'] * len(target) ** 0.5, {}
    for alpha in sorted(grid.tolist(), reverse=True):
        solved, slope = _descend(
            rows, values[kept], target, start, alpha, limit, options['iterations']
        )
        start = np.asarray(solved)
        inner = start[:-1]
        back = x.T @ (basis / scale @ inner) if factor.dual else factor.rotation[:, kept] @ inner
        found[alpha] = np.asarray(back, np.float32), start[-1], float(slope)
    return [(found[alpha], moments) for alpha in grid.tolist()]


@functools.partial(jax.jit, static_argnames='iterations')
@solvers.exact
def _descend(
    rows: Float[Array, 'n r'],
    values: Float[Array, 'r'],
    target: Float[Array, 'n k'],
    start: Float[Array, 'r+1 k'],
    alpha: float,
    limit: float,
    iterations: int,
):
    """Weights in the eigenbasis, the constants last, and the largest norm of a label's gradient."""
    # The rows are centred, so their products with the column of ones, of length n, are 0.
    bound = jnp.append(values / 4 + alpha, len(rows) / 4)[:, None]

    def gradient(point):
        wrong = jax.nn.sigmoid(rows @ point[:-1] + point[-1]) - target
        inner = rows.T @ wrong + alpha * point[:-1]
        return jnp.concatenate([inner, wrong.sum(0, keepdims=True)])

    def go_on(state):
        i, *_, slope = state
        return (i < iterations) & (slope > limit)

    def step(state):
        i, here, ahead, pace, _ = state
        slope = gradient(ahead)
        there = ahead - slope / bound
        uphill = (slope * (there - here)).sum(0) > 0  # [k]
        pace = jnp.where(uphill, 1.0, pace)
        faster = (1 + jnp.sqrt(1 + 4 * pace**2)) / 2
        ahead = there + jnp.where(uphill, 0.0, (pace - 1) / faster) * (there - here)
        return i + 1, there, ahead, faster, jnp.linalg.norm(slope, axis=0).max()

    begin = (0, start, start, jnp.ones(target.shape[1]), jnp.asarray(jnp.inf, rows.dtype))
    _, here, *_, slope = jax.lax.while_loop(go_on, step, begin)
    return here, slope


def _log_loss(logits, target):
    return np.logaddexp(0, (1 - 2 * target) * logits)


def _sigmoid(x):
    return (0.5 * (1 + np.tanh(0.5 * np.float32(x)))).astype(np.float32)


def _check(options: dict, voxels, target) -> np.ndarray:
    solvers.check_rows(voxels, target, 'logistic.fit')
    grid = np.atleast_1d(np.asarray(options['penalties'], np.float32))
    if not len(grid) or not (np.isfinite(grid) & (grid > 0)).all():
        raise errors.ConfigError(
            f'penalties are {options["penalties"]!r}', 'decoder', 'numbers above 0, at least one'
        )
    if options['iterations'] < 1 or not options['tolerance'] > 0:
        raise errors.ConfigError(
            f'iterations={options["iterations"]}, tolerance={options["tolerance"]}',
            'decoder',
            '1 or more, and above 0',
        )
    if np.ndim(target) != 2 or not np.isin(target, (0, 1)).all():
        raise errors.DataInvalid(
            f'labels have shape {np.shape(target)} and lie in {np.min(target)} to {np.max(target)}',
            'logistic.fit',
            'wanted [rows, categories] of 0 and 1: threshold the coverage first',
        )
    return grid
