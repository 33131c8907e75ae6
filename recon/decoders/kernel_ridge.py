"""Kernel ridge regression: linear, RBF, or a sum of one kernel for each area.

Everything that is chosen (number of voxels, kernel width, weights of the areas, contrast, penalty)
is chosen by the mean squared error of left-out rows; voxels are selected again within every fold.

Source: core/kernels.py.
"""

import jax
import numpy as np
from jaxtyping import Float

from recon.core import errors, kernel_search, kernels, linear_model, penalty, solvers

DEFAULTS = dict(
    kernel='rbf',  # 'linear' (mean product over voxels) or 'rbf' (exp(-distance^2 / scale))
    widths=(0.25, 0.5, 1.0, 2.0, 4.0),  # scale of 'rbf' in medians of the squared distance
    penalties=tuple(10.0**i for i in range(-4, 3)),  # kernels are about 1 on the diagonal
    voxels=(),  # numbers of voxels to try, in each area if there are areas; () is all
    score='covariance',  # what selects them: 'covariance' or 'peak' (kernels.scores)
    areas=(),  # names of ROIs, a kernel for each; () is one kernel of all voxels
    mixtures=0,  # random weightings of the areas' kernels that are tried besides the equal one
    folds=5,  # a run is never split
    repeats=1,  # of the folds, each with the runs in another random order; 1 keeps their order
    per_target=False,  # a penalty for each target; kernel and voxels are shared
    intercept=True,  # a constant without a penalty
    limits=(),  # (lowest, highest): predictions are clipped, in the choice too
    contrasts=(1.0,),  # stretch about the middle of `limits` before clipping (kernels.finish)
    slack=0.0,  # the highest contrast whose error is within this share of the lowest
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
    """Chooses a kernel and a penalty by cross-validation on the training rows, and solves.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows, z-scored (kernels are means over voxels).
      target: any shape; each number of it is a target.
      rng: jax key or None, for the order of runs in `repeats` and for `mixtures`.
      groups: [n] run of each row, kept whole; None: each row by itself.
      rois: {name: bool [v]}, wanted where `areas` name some.

    Returns:
      rows [n v] centred; used [s v] bool voxels, scale [s] and mixture [s] of each kernel;
      dual [n t]; target_mean [t] the constant; penalty [t] or [1]; voxel_mean, voxel_std [v]; shape
      of one target; contrast []. Of the choice: tried_voxels, tried_widths, tried_mixtures,
      tried_contrasts, penalties, choice [4] indices of all but the last, errors [voxels widths
      mixtures contrasts penalties] (mean over targets).

    Raises:
      ConfigError: an option that does not fit, an area that does not exist or is empty.
      DataInvalid: see `solvers.check_rows`.
    """
    solvers.check_rows(voxels, target, 'kernel_ridge.fit')
    options = _options(cfg)
    generator = np.random.default_rng(0 if rng is None else np.asarray(jax.random.key_data(rng)))
    x, of_voxels = linear_model.centre(voxels, options['intercept'])
    y, of_target = linear_model.flatten(target, options['intercept'])
    areas = _areas(options['areas'], rois, x.shape[1])
    grid = {
        'tried_voxels': np.array(options['voxels'] or (x.shape[1],), np.int64),
        'tried_widths': np.array(options['widths'], np.float32),
        'tried_mixtures': _mixtures(len(areas), options['mixtures'], generator),
        'tried_contrasts': np.array(options['contrasts'], np.float32),
        'penalties': np.sort(np.array(options['penalties'], np.float32)),
    }
    groups = np.arange(len(x)) if groups is None else np.asarray(groups)
    error = kernel_search.cross_validate(options, grid, x, y, areas, groups, generator)
    choice, chosen = kernel_search.choose(error, grid['tried_contrasts'], options['slack'])
    count, width, mixture, contrast = (g[i] for g, i in zip(grid.values(), choice, strict=False))
    used = kernel_search.used_voxels(options, x, y, areas, count)
    solved = kernel_search.solve(
        options,
        x,
        y - of_target['target_mean'],
        used,
        width,
        mixture,
        grid['penalties'][chosen],
    )
    solved['target_mean'] = of_target.pop('target_mean') + solved.pop('constant')
    curves = {'errors': error.mean(-1), 'choice': choice, 'contrast': contrast}
    return of_target | of_voxels | grid | solved | curves | {'rows': x, 'used': used}


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Kernel of new rows with the training rows, times the dual coefficients.

    Args:
      cfg: see DEFAULTS (`kernel`, `limits`).
      params: as `fit` returns.
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k ...] float32, in the unit and shape of the target.

    Raises:
      DataInvalid: values that are not finite.
    """
    solvers.check_rows(voxels, where='kernel_ridge.predict')
    options = _options(cfg)
    rows, used = np.asarray(params['rows']), np.asarray(params['used'])
    new = np.asarray(voxels, np.float32) - np.asarray(params['voxel_mean'])
    bases = kernels.bases(new, rows, used, options['kernel'])
    k = kernels.mix(bases, params['scale'], params['mixture'], options['kernel'])  # [k n]
    out = np.asarray(k) @ np.asarray(params['dual']) + np.asarray(params['target_mean'])
    out = np.asarray(kernels.finish(out, kernel_search.limits(options), params['contrast']))
    return out.reshape(len(new), *np.asarray(params['shape'])).astype(np.float32)


def describe(cfg, params: dict) -> dict:
    """What was chosen, and the error along each axis of the grid with the others at their best.

    Importance of a voxel: 1 where it was selected, else 0 (an RBF kernel has no weights).
    """
    error, choice = np.asarray(params['errors']), np.asarray(params['choice'])
    chosen = np.asarray(params['penalty'])
    axes = {
        'voxels': (0, 'tried_voxels'),
        'width': (1, 'tried_widths'),
        'contrast': (3, 'tried_contrasts'),
        'penalty': (4, 'penalties'),
    }
    curves, best = [], {}
    for name, (axis, key) in axes.items():
        values = np.asarray(params[key])
        best[name] = float(values[choice[axis]]) if axis < 4 else float(chosen[0])
        if len(values) > 1:
            shared = axis < 4 or len(chosen) == 1
            curves.append(_curve(name, values, error, axis, best[name] if shared else None))
    used = np.asarray(params['used'])
    facts = {
        'kernel': _options(cfg)['kernel'],
        'voxels in each kernel': [int(u.sum()) for u in used],
        'width (medians of the squared distance)': best['width'],
        'contrast': best['contrast'],
        'penalty': 'one for each target' if len(chosen) > 1 else best['penalty'],
        'weights of the areas': [float(m) for m in np.asarray(params['mixture'])],
        'combinations tried': int(error.size),
        'error of left-out rows (the lowest, so optimistic)': _finite(error.min()),
        'importance': '1 where the voxel was selected, else 0',
    }
    return {
        'curves': curves,
        'tables': [],
        'facts': facts,
        'importance': used.any(0).astype(np.float32),
    }


def _curve(name: str, values: np.ndarray, error: np.ndarray, axis: int, chosen) -> dict:
    """The lowest error at each value of one axis of the grid."""
    lowest = error.min(tuple(i for i in range(error.ndim) if i != axis))
    series = {'name': 'left-out rows, the rest at its best', 'x': values.tolist()}
    return {
        'title': f'Error against {name}',
        'x_label': name,
        'y_label': 'mean squared error, mean over targets',
        'log_x': True,
        'series': [series | {'y': lowest.tolist()}],
        'chosen': chosen,
    }


def _options(cfg) -> dict:
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    for key, known in (('kernel', kernels.KERNELS), ('score', kernels.SCORES)):
        if options[key] not in known:
            raise errors.ConfigError(
                f'{key} is {options[key]!r}', f'decoder.{key}', f'one of {", ".join(known)}'
            )
    if options['kernel'] == 'linear':
        options['widths'] = (1.0,)  # a linear kernel has none
    penalty.check(options | {'cv': 'kfold'}, 'decoder')
    lowest = {'widths': 0, 'contrasts': 0, 'voxels': 0, 'repeats': 0, 'mixtures': -1}
    for key, least in lowest.items():
        given = np.atleast_1d(np.asarray(options[key], float))
        if not (given > least).all() or (key in ('widths', 'contrasts') and not given.size):
            raise errors.ConfigError(f'{key} is {options[key]}', f'decoder.{key}', f'> {least}')
    if len(options['limits']) not in (0, 2):
        raise errors.ConfigError(
            f'limits are {options["limits"]}', 'decoder.limits', '() or (lowest, highest)'
        )
    if options['slack'] < 0:
        raise errors.ConfigError(f'slack is {options["slack"]}', 'decoder.slack', '>= 0')
    if not options['limits'] and tuple(options['contrasts']) != (1.0,):
        raise errors.ConfigError(
            f'contrasts are {options["contrasts"]}', 'decoder.contrasts', 'they need limits'
        )
    return options


def _areas(names, rois, v: int) -> np.ndarray:
    """[s v] bool: the voxels that each kernel may use."""
    if not names:
        return np.ones((1, v), bool)
    rois = rois or {}
    for name in names:
        if name not in rois or not np.any(rois[name]):
            state = 'is empty' if name in rois else 'does not exist'
            raise errors.ConfigError(
                f'area {name!r} {state}',
                'decoder.areas',
                f'areas with voxels: {", ".join(sorted(k for k in rois if np.any(rois[k])))}',
            )
    return np.stack([np.asarray(rois[name], bool) for name in names])


def _mixtures(s: int, draws: int, generator) -> np.ndarray:
    """Weights of the kernels, [m s] that sum to 1: equal ones, then uniform on the simplex."""
    drawn = generator.dirichlet(np.ones(s), draws if s > 1 else 0)
    return np.concatenate([np.full((1, s), 1 / s), drawn]).astype(np.float32)


def _finite(value) -> float | None:
    return float(value) if np.isfinite(value) else None
