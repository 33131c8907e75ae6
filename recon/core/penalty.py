"""From a factorisation to coefficients: penalties chosen and solved for, block by block of targets.

Memory beyond the factorisation: the targets as they came, the coefficients, and a few blocks.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from recon.core import errors, solvers, validation


def check(options: dict, where: str) -> np.ndarray:
    """The grid of penalties of a config, ascending, float32.

    Args:
      options: with `penalties`, `cv`, `folds`, `target_block`.
      where: config block, for messages.

    Raises:
      ConfigError: an empty grid, a penalty that is not > 0, an unknown rule, a block below 1.
    """
    grid = np.atleast_1d(np.asarray(options['penalties'], np.float32))
    if grid.ndim != 1 or not grid.size or not (np.isfinite(grid) & (grid > 0)).all():
        raise errors.ConfigError(
            f'penalties are {options["penalties"]}', f'{where}.penalties', 'numbers > 0, at least 1'
        )
    if options['cv'] not in validation.RULES:
        raise errors.ConfigError(
            f'cv is {options["cv"]!r}', f'{where}.cv', f'one of {", ".join(validation.RULES)}'
        )
    if options['target_block'] < 1:
        raise errors.ConfigError(
            f'target_block is {options["target_block"]}', f'{where}.target_block', '>= 1'
        )
    return np.sort(grid)


def folds(options: dict, n: int, groups) -> np.ndarray | None:
    """Rows of each fold for the rule 'kfold' (`validation.rows_of_folds`), else None."""
    if options['cv'] != 'kfold':
        return None
    groups = np.arange(n) if groups is None else np.asarray(groups)
    return validation.rows_of_folds(validation.fold_of_rows(groups, options['folds']))


def choose_and_solve(
    factor: solvers.Factor,
    target: Float[np.ndarray, 'n t'],
    offset: Float[np.ndarray, 't'],
    grid: Float[np.ndarray, 'a'],
    options: dict,
    rows: np.ndarray | None = None,
) -> dict:
    """Chooses penalties by cross-validation and solves for the coefficients.

    Args:
      factor: of all training rows.
      target: on the host, as it came.
      offset: what is taken off each target first: its mean, or 0 without an intercept.
      grid: penalties, ascending.
      options: `cv`, `per_target`, `target_block` (targets at a time).
      rows: `folds(...)`.

    Returns:
      coefficients [m t] float32 as `solvers.coefficients` has them; penalty [t], or [1] if shared;
      curve [a] mean squared error of left-out rows, averaged over targets.
    """
    t = target.shape[1]
    parts = blocks(t, options['target_block'])
    r, m = len(factor.values), (factor.basis if factor.dual else factor.rotation).shape[0]
    # The projected targets lie where the coefficients will: r <= m, and no second array of t.
    out = None if len(parts) == 1 else np.empty((m, t), np.float32)
    total, penalty = np.zeros(len(grid)), np.empty(t, np.float32)
    for part in parts:
        y = jnp.asarray(target[:, part] - offset[part])
        z = solvers.project(factor, y)
        if len(grid) > 1:
            error = validation.errors_by_penalty(factor, z, y, grid, rows, options['cv'])
            error = np.asarray(error, np.float64)
            total += error.sum(1)
            penalty[part] = grid[validation.choose(error, per_target=True)]
        if out is not None:
            out[:r, part] = z
    if not options['per_target'] or len(grid) == 1:
        penalty = grid[[validation.choose(total[:, None], per_target=False)]]
    if out is None:
        out = np.asarray(solvers.coefficients(factor, z, penalty))
    else:
        for part in parts:
            own = penalty if len(penalty) == 1 else penalty[part]
            out[:, part] = solvers.coefficients(factor, out[:r, part], own)
    curve = total / t if len(grid) > 1 else np.full(1, np.nan)
    return {'coefficients': out, 'penalty': penalty, 'curve': curve.astype(np.float32)}


def blocks(t: int, size: int) -> list[slice]:
    """Slices of `size` targets that cover all `t`."""
    return [slice(i, min(i + int(size), t)) for i in range(0, t, int(size))]


def describe(params: dict) -> dict:
    """For a report: the penalty curve, how often each penalty was chosen, how many at the edge.

    Args:
      params: penalties [a], penalty [t] or [1], curve [a].
    """
    grid, chosen = np.asarray(params['penalties']), np.asarray(params['penalty'])
    if len(grid) == 1:
        return {'curves': [], 'tables': [], 'facts': {'penalty': float(grid[0])}}
    shared = len(chosen) == 1
    series = {
        'name': 'left-out rows',
        'x': grid.tolist(),
        'y': np.asarray(params['curve']).tolist(),
    }
    curve = {
        'title': 'Error against penalty',
        'x_label': 'penalty',
        'y_label': 'mean squared error, mean over targets',
        'log_x': True,
        'series': [series],
        'chosen': float(chosen[0]) if shared else None,
    }
    rows = [[float(a), int(np.sum(chosen == a))] for a in grid]
    table = {'title': 'Chosen penalties', 'columns': ['penalty', 'targets'], 'rows': rows}
    edge = int(np.isin(chosen, grid[[0, -1]]).sum())
    facts = {
        'penalties tried': f'{len(grid)}, {grid[0]:.4g} to {grid[-1]:.4g}',
        'penalty': f'{chosen[0]:.4g} for all targets' if shared else 'one for each target',
        'choices at the edge of the grid': f'{edge} of {len(chosen)}',
    }
    return {'curves': [curve], 'tables': [] if shared else [table], 'facts': facts}
