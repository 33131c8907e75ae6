"""The search of kernel ridge: voxels, widths, weights of kernels and penalties by left-out rows.

`options` are those of decoders/kernel_ridge.py. Letters: c numbers of voxels, w widths, m mixtures,
g contrasts, a penalties, s voxel sets (one kernel each).
"""

import itertools

import numpy as np

from recon.core import kernels, penalty, select, solvers, validation


def limits(options: dict) -> tuple[float, float]:
    """What predictions are clipped to; infinities for not at all."""
    return tuple(options['limits']) or (-np.inf, np.inf)


def used_voxels(options: dict, x, y, areas, count: int) -> np.ndarray:
    """[s v] bool: the `count` best voxels of each area on these rows; all where there are fewer."""
    if (areas.sum(1) <= count).all():
        return areas
    score = kernels.scores(x, y, options['score'])
    used = np.zeros_like(areas)
    for area, own in zip(areas, used, strict=True):
        inside = np.flatnonzero(area)
        own[inside[select.top(score[inside], int(count))]] = True
    return used


def choose(error: np.ndarray, contrasts=(1.0,), slack: float = 0.0) -> tuple:
    """The lowest error, or a higher contrast that costs nearly nothing.

    Of all kernels and contrasts within `slack` (relative) of the lowest error the highest contrast
    is taken, and of these the lowest error: squared error hardly sees a grey haze, an eye does.

    Args:
      error: [c w m g a t].
      contrasts: [g].
      slack: 0 for the lowest error alone.

    Returns:
      (indices [4] of voxels, width, mixture and contrast; indices of penalties [t] or [1]).
    """
    error = np.where(np.isfinite(error), error, np.inf)
    kernel = error.min(4).mean(-1, dtype=np.float64)  # [c w m g], each target at its best penalty
    near = kernel <= kernel.min() * (1 + slack)
    high = np.where(near, np.asarray(contrasts, np.float64), -np.inf)
    kernel = np.where(high == high.max(), kernel, np.inf)
    best = np.unravel_index(np.argmin(kernel), kernel.shape)
    return np.array(best), np.argmin(error[best], axis=0)


def cross_validate(options, grid, x, y, areas, groups, generator) -> np.ndarray:
    """Error of left-out rows [c w m g a t], mean over folds and repeats; t is 1 if not per_target.

    Voxels and widths are found again on the rows that are left.
    """
    shape = [len(g) for g in grid.values()]
    total = np.zeros((*shape, y.shape[1] if options['per_target'] else 1), np.float32)
    if total[..., 0].size == 1:  # nothing to choose
        return np.full_like(total, np.nan)
    order = generator if options['repeats'] > 1 else None
    folds = [
        validation.fold_of_rows(groups, options['folds'], order)
        for _ in range(int(options['repeats']))
    ]
    parts = [(fold != k, fold == k) for fold in folds for k in range(fold.max() + 1)]
    for (train, test), (i, count) in itertools.product(parts, enumerate(grid['tried_voxels'])):
        used = used_voxels(options, x[train], y[train], areas, count)
        own = kernels.bases(x[train], x[train], used, options['kernel'])
        new = kernels.bases(x[test], x[train], used, options['kernel'])
        scale = kernels.median_scale(own)
        for (j, width), (m, mixture) in itertools.product(
            enumerate(grid['tried_widths']), enumerate(grid['tried_mixtures'])
        ):
            k = [kernels.mix(b, scale * width, mixture, options['kernel']) for b in (own, new)]
            total[i, j, m] += _fold_error(options, k, y[train], y[test], grid)
    return total / len(parts)


def _fold_error(options, k, train, test, grid) -> np.ndarray:
    """[g a t], or [g a 1] as the mean over targets."""
    factor = solvers.factor_gram(k[0], bool(options['intercept']))
    last = grid['penalties'], limits(options), grid['tried_contrasts']
    out = [
        kernels.held_out_errors(factor, k, train[:, p], test[:, p], *last)
        for p in penalty.blocks(train.shape[1], options['target_block'])
    ]
    out = np.concatenate([np.asarray(o) for o in out], -1)
    return out if options['per_target'] else out.mean(-1, keepdims=True)


def solve(options, x, y, used, width, mixture, penalties) -> dict:
    """Dual coefficients on all rows; `y` centred if there is an intercept."""
    own = kernels.bases(x, x, used, options['kernel'])
    scale = kernels.median_scale(own) * width
    k = kernels.mix(own, scale, mixture, options['kernel'])
    factor = solvers.factor_gram(k, bool(options['intercept']))
    dual = np.empty(y.shape, np.float32)
    for part in penalty.blocks(y.shape[1], options['target_block']):
        own = penalties if len(penalties) == 1 else penalties[part]
        dual[:, part] = solvers.coefficients(factor, solvers.project(factor, y[:, part]), own)
    constant = np.asarray(k).mean(0) @ dual * -bool(options['intercept'])
    return {
        'dual': dual,
        'constant': constant.astype(np.float32),
        'scale': np.asarray(scale, np.float32),
        'mixture': np.asarray(mixture),
        'penalty': penalties,
    }
