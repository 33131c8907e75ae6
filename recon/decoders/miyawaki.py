"""Black and white patterns from local image bases of several scales (Miyawaki et al. 2008).

Every window of every scale has a decoder of its own, which decodes the window's mean contrast from
voxels of its own. Each scale is folded back (a pixel is the average of the windows that cover it),
and the picture is a weighted sum of the scales.

Source: Miyawaki et al. 2008 (bases, combination coefficients); nilearn's reconstruction example
(F score, 500 voxels, OMP, equal weights); Agarwal and Sharma's report (weights by SGD, windows of 3
and 5, other local decoders).
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float

from recon.core import errors, mixing, patterns, solvers, validation
from recon.decoders import _windows

DEFAULTS = dict(
    scales=((1, 1), (1, 2), (2, 1), (2, 2)),  # (height, width) of the windows
    base=dict(name='omp', coefficients=10),  # any other decoder of this package, with its options
    select=dict(
        by='f',  # 'f' (needs few levels), 'correlation' or 'none'
        k=500,  # voxels for each window; all, if there are not more
    ),
    standardise=True,  # z-score voxels on the training rows
    combine=dict(
        how='equal',  # 'equal', 'nnls' or 'sgd'; the last two on held-out training runs
        per='scale',  # 'scale' or 'position': a weight for each scale, or for each window
        folds=5,  # of whole runs, to hold out
        learning_rate=0.1,  # of SGD
        epochs=100,
        batch_size=32,
    ),
    threshold=0.5,  # of the stage `binary`
)
_CHOICES = {
    'combine.how': ('equal', 'nnls', 'sgd'),
    'combine.per': ('scale', 'position'),
    'select.by': ('f', 'correlation', 'none'),
}


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n v'],
    target: np.ndarray,
    rng=None,
    *,
    groups: np.ndarray | None = None,
    rois: dict | None = None,
) -> dict:
    """Fits the decoders of all windows and the weights of the scales.

    Learned weights come from training rows that the local decoders (and their choice of voxels)
    did not see: k folds of whole runs; then the local decoders are fitted again on all rows. The
    weights of NNLS and SGD are both learned and kept, and `combine.how` says which are used.

    Args:
      cfg: see DEFAULTS.
      voxels: training rows.
      target: [n h w] or [n h w 1] pictures, 0 and 1.
      rng: jax key, for the order of the rows in SGD.
      groups: [n] run of each row; None: each row by itself.
      rois: passed to the local decoder.

    Returns:
      local (params of the windows' decoders), weights {rule: [s] or [m]}, errors {rule: mean
      squared error of held-out rows} if learned, picture [2 or 3] shape of a target, n_voxels.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`; pictures of
        another shape; a window with as many levels as rows under select.by = 'f'.
    """
    solvers.check_rows(voxels, target, 'miyawaki.fit')
    options = _options(cfg)
    shape = _picture_shape(np.shape(target))
    pictures = np.asarray(target, np.float32).reshape(-1, *shape)
    windows = np.concatenate([patterns.unfold(pictures, size) for size in options.scales], 1)
    rng = jax.random.key(0) if rng is None else rng
    groups = np.arange(len(windows)) if groups is None else np.asarray(groups)
    owner = _owner(options, shape)
    scales = len(options.scales)
    weights = {'equal': np.full(owner.max() + 1, 1 / scales, np.float32)}
    learned = {}
    if options.combine.how != 'equal':
        held_out = _held_out(options, voxels, windows, rng, groups, rois)
        weights, errors_of = _learn(options, held_out, pictures, owner, weights, rng)
        learned = {'errors': errors_of}
    return {
        'local': _windows.fit(options, voxels, windows, rng, groups=groups, rois=rois),
        'weights': weights,
        'picture': np.array(np.shape(target)[1:], np.int64),
        'n_voxels': np.array(voxels.shape[1], np.int64),
    } | learned


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """The weighted sum of the scales.

    Returns:
      [k h w] or [k h w 1] float32 as the target was; about 0 to 1, not clipped.

    Raises:
      DataInvalid: values that are not finite.
    """
    options, shape = _options(cfg), _shape(params)
    values = _windows.predict(options, params['local'], voxels)
    pictures = _mix(options, params, values, shape)
    return pictures.reshape(len(pictures), *np.asarray(params['picture'])).astype(np.float32)


def stages(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> dict:
    """Pictures on the way, all [k h w]: each scale by itself ('scale_1x2' ...), and 'binary'."""
    options, shape = _options(cfg), _shape(params)
    values = _windows.predict(options, params['local'], voxels)
    out, first = {}, 0
    for size in options.scales:
        last = first + patterns.count(shape, size)
        out[f'scale_{_name(size)}'] = patterns.fold(values[:, first:last], shape, size)
        first = last
    binary = _mix(options, params, values, shape) > options.threshold
    return out | {'binary': binary.astype(np.float32)}


def describe(cfg, params: dict) -> dict:
    """The weights of the scales as a table, their held-out errors, and which voxels matter.

    Importance of a voxel: the sum over windows of what the local decoder says of it, for linear
    decoders |weight| times the voxel's standard deviation over training rows (unit: contrast).
    """
    options, shape = _options(cfg), _shape(params)
    rules = [rule for rule in ('nnls', 'sgd', 'equal') if rule in params['weights']]
    owner, scale = _owner(options, shape), _scale_of(options, shape)
    rows = []
    for i, size in enumerate(options.scales):
        means = [np.asarray(params['weights'][r])[owner][scale == i].mean() for r in rules]
        rows.append([_name(size), int((scale == i).sum()), *(round(float(m), 4) for m in means)])
    if 'errors' in params:
        errors_of = [round(float(params['errors'][rule]), 5) for rule in rules]
        rows.append(['held-out mean squared error', '', *errors_of])
    facts = {
        'local decoder': options.base.name,
        'windows': len(scale),
        'combined by': f'{options.combine.how}, per {options.combine.per}',
    }
    chosen = params['local'].get('chosen')
    if chosen is not None:
        facts['voxels for each window'] = int(np.shape(chosen)[1])
        facts['voxels chosen for any window'] = int(len(np.unique(np.asarray(chosen))))
    out = {
        'tables': [
            {
                'title': 'Weight of each scale'
                + (' (mean over positions)' if options.combine.per == 'position' else ''),
                'columns': ['scale', 'windows', *rules],
                'rows': rows,
            }
        ],
        'facts': facts,
    }
    importance = _windows.importance(options, params['local'], int(params['n_voxels']))
    if importance is not None:
        facts['importance'] = f'{importance[0]} (a target is a window)'
        out['importance'] = importance[1]
    return out


def _options(cfg) -> ml_collections.ConfigDict:
    """DEFAULTS with what `cfg` changes; raises ConfigError for a value that does not exist."""
    given = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    for part in ('select', 'combine'):
        given[part] = DEFAULTS[part] | dict(given[part] or {'by': 'none'})
    scales = tuple(tuple(int(a) for a in size) for size in given.pop('scales'))
    options = ml_collections.ConfigDict(given | {'scales': scales})
    for key, known in _CHOICES.items():
        part, name = key.split('.')
        if options[part][name] not in known:
            raise errors.ConfigError(
                f'{key} is {options[part][name]!r}', 'decoder', f'one of {", ".join(known)}'
            )
    base = options.base.get('name')
    if base == 'miyawaki' or not scales or options.combine.folds < 2:
        raise errors.ConfigError(
            f'base.name is {base!r}, scales {scales}, combine.folds {options.combine.folds}',
            'decoder',
            'the local decoder is one of the others; at least one scale and two folds',
        )
    return options


def _picture_shape(shape: tuple) -> tuple[int, int]:
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
        return tuple(shape[1:3])
    raise errors.DataInvalid(
        f'the target has shape {tuple(shape)}',
        'miyawaki.fit',
        'wanted pictures [n h w] or [n h w 1] (one channel)',
    )


def _shape(params: dict) -> tuple[int, int]:
    return tuple(int(a) for a in np.asarray(params['picture'])[:2])


def _name(size) -> str:
    return f'{size[0]}x{size[1]}'


def _shapes(options, shape) -> np.ndarray:
    """[m h w]: the picture that each window alone would give, decoded as 1."""
    parts = []
    for size in options.scales:
        m = patterns.count(shape, size)
        parts.append(patterns.fold(np.eye(m, dtype=np.float32), shape, size))
    return np.concatenate(parts)


def _scale_of(options, shape) -> np.ndarray:
    """[m]: the scale of each window."""
    counts = [patterns.count(shape, size) for size in options.scales]
    return np.repeat(np.arange(len(counts)), counts)


def _owner(options, shape) -> np.ndarray:
    """[m]: which weight each window has."""
    scale = _scale_of(options, shape)
    return scale if options.combine.per == 'scale' else np.arange(len(scale))


def _mix(options, params, values, shape) -> np.ndarray:
    """[k m] decoded contrasts -> [k h w] pictures."""
    weights = np.asarray(params['weights'][options.combine.how])[_owner(options, shape)]
    return np.tensordot(values * weights, _shapes(options, shape), 1)


def _held_out(options, voxels, windows, rng, groups, rois) -> np.ndarray:
    """[n m]: every row decoded by decoders that were fitted without its fold."""
    folds = min(options.combine.folds, len(np.unique(groups)))
    fold = validation.fold_of_rows(groups, folds)
    values = np.empty_like(windows)
    for k in range(folds):
        out = fold == k
        local = _windows.fit(
            options, voxels[~out], windows[~out], rng, groups=groups[~out], rois=rois
        )
        values[out] = _windows.predict(options, local, voxels[out])
    return values


def _learn(options, values, pictures, owner, start, rng) -> tuple[dict, dict]:
    """Weights by each rule, and the mean squared error of each on the rows that taught them."""
    shape = pictures.shape[1:]
    shapes = _shapes(options, shape).reshape(len(owner), -1)
    truth = pictures.reshape(len(pictures), -1)
    combine = options.combine
    gram, cross = mixing.products(values, shapes, truth, owner)
    sgd = mixing.descend(
        *(jnp.asarray(a) for a in (values, shapes, truth, owner, start['equal'])),
        rng,
        learning_rate=combine.learning_rate,
        epochs=combine.epochs,
        batch_size=combine.batch_size,
    )
    weights = start | {
        'nnls': mixing.nonnegative(gram, cross).astype(np.float32),
        'sgd': np.asarray(sgd),
    }
    found = {
        rule: np.asarray((((values * w[owner]) @ shapes - truth) ** 2).mean(), np.float32)
        for rule, w in weights.items()
    }
    return weights, found
