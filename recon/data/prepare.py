"""Preprocessing in the order that the config names; every op is fitted on the training rows alone.

An op is a file of `recon/data/preprocess`. Its `fit(cfg, brain) -> stats` looks at `brain.train`
only; `apply(cfg, stats, split, part) -> Split` then treats every split alike. An op without
`apply` chooses voxels: its stats are `{'keep': bool [v]}`. One with `places(stats)` gives rows
another shape; after it nothing but `repeats` knows what to do with them.
"""

import contextlib
import dataclasses
import pathlib

import numpy as np

from recon.core import errors, lookup, results, types

FILE = 'prepared.npz'  # beside the fitted parameters of a run
_PACKAGE = 'recon.data.preprocess'
_AFTER = ('repeats',)  # ops for rows of any shape


def run(cfg, brain: types.BrainData) -> tuple[types.BrainData, dict]:
    """Applies the ops of `cfg.order`, one after the other.

    Args:
      cfg: {'order': names of ops, <op>: options of that op}; an op without options takes its
        own defaults.
      brain: as a data set's `load` returns it.

    Returns:
      The prepared data, whose facts also hold `constant_voxels` (voxels that are the same in all
      training rows on entry; harmless, they become 0), and {op: stats}, dicts of numpy arrays.

    Raises:
      ConfigError: an op that does not exist, stands twice, or an option that does not fit.
      DataInvalid: no rows, voxels that are not finite, or nothing left after an op.
    """
    order = tuple(cfg.get('order', ()))
    if len(set(order)) < len(order):
        raise errors.ConfigError(f'preprocess.order is {order}', 'config', 'name each op once')
    ops = {name: _find(name) for name in order}
    _check(brain)
    constant = int((np.ptp(brain.train.voxels, axis=0) == 0).sum())
    brain = dataclasses.replace(brain, facts=brain.facts | {'constant_voxels': constant})
    stats = {}
    for name, op in ops.items():
        options = cfg.get(name, {})
        if brain.laid is not None and name not in _AFTER:
            raise errors.ConfigError(
                f'preprocess.order is {order}', 'config', f'rows are no list: name {name!r} earlier'
            )
        stats[name] = op.fit(options, brain)
        if not hasattr(op, 'apply'):
            brain = brain.keep(stats[name]['keep'])
            continue
        splits = brain.splits().items()
        if hasattr(op, 'places'):
            laid = _laid(op, options, stats[name], brain.train.voxels.shape[1])
            brain = dataclasses.replace(brain, laid=laid)
        brain = brain.with_splits(
            {part: op.apply(options, stats[name], split, part) for part, split in splits}
        )
    return brain, stats


def _laid(op, options, stats: dict, voxels: int) -> types.Laid:
    nothing = types.Split(np.zeros((1, voxels), np.float32), np.zeros(1, np.int64))
    blank = op.apply(options, stats, nothing, 'train').voxels[0]
    return types.Laid(*op.places(stats), blank)


def remember(raw: types.BrainData, stats: dict) -> dict:
    """What `again` needs of a run, as arrays of one .npz.

    Args:
      raw: the data before `run`.
      stats: {op: stats}, of `run`.

    Returns:
      'voxels' (their number), 'info/<field>' and 'roi/<name>' (which they are), 'seen' (distinct
      image ids of the rows that were fitted or chosen on), 'stats/<op>/<name>'.
    """
    rows = [split.image_id for split in (raw.train, raw.validation) if split is not None]
    named = {
        'voxels': np.array(raw.train.voxels.shape[1:]),
        'seen': np.unique(np.concatenate(rows)),
    }
    named |= {f'info/{name}': np.asarray(field) for name, field in raw.voxel_info.items()}
    named |= {f'roi/{name}': np.asarray(mask) for name, mask in raw.rois.items()}
    return named | {
        f'stats/{op}/{name}': np.asarray(array)
        for op, arrays in stats.items()
        for name, array in arrays.items()
    }


def keep(folder: pathlib.Path, remembered: dict) -> None:
    """Writes what `remember` gave, and the experiment adds, as `FILE` in `folder`.

    The same is not written twice: a run that goes on where it was stopped may find a full disk.
    """
    path, held = pathlib.Path(folder) / FILE, {}
    with contextlib.suppress(errors.DataInvalid):  # broken: written anew
        held = results.read_arrays(path)
    same = held.keys() == remembered.keys() and all(
        np.array_equal(held[name], array) for name, array in remembered.items()
    )
    if not same:
        results.write_npz(path, remembered)


def again(cfg, remembered: dict, split: types.Split) -> types.Split:
    """New rows, prepared as the test rows of a run were; nothing is fitted.

    Args:
      cfg: as for `run`.
      remembered: of `remember`.
      split: rows as measured, [n v].

    Raises:
      DataInvalid: another number of voxels, or values that are not finite.
    """
    wanted = tuple(remembered['voxels'])
    if split.voxels.shape[1:] != wanted:
        raise errors.DataInvalid(
            f'{split.voxels.shape[1:]} voxels', 'voxels', f'the run was fitted on {wanted}'
        )
    _check_part('new rows', split)
    for name in cfg.get('order', ()):
        op, prefix = _find(name), f'stats/{name}/'
        stats = {k.removeprefix(prefix): v for k, v in remembered.items() if k.startswith(prefix)}
        if hasattr(op, 'apply'):
            split = op.apply(cfg.get(name, {}), stats, split, 'test')
        else:
            kept = np.ascontiguousarray(split.voxels[:, stats['keep']])
            split = dataclasses.replace(split, voxels=kept)
    return split


def _find(name: str):
    op = lookup.find(_PACKAGE, name, 'preprocess.order')
    if not hasattr(op, 'fit'):
        known = ', '.join(n for n in lookup.names(_PACKAGE) if n != name)
        raise errors.ConfigError(
            f'preprocess.order holds {name!r}, which runs by itself after the others',
            'preprocess.order',
            f'set its options under {name!r} at the top of the config; ops: {known}',
        )
    return op


def _check(brain: types.BrainData) -> None:
    for part, split in brain.splits().items():
        _check_part(part, split)


def _check_part(part: str, split: types.Split) -> None:
    if not len(split):
        raise errors.DataInvalid(f'{part} has no rows', 'data', 'check the split rule')
    if not split.voxels.shape[1]:
        raise errors.DataInvalid(f'{part} has no voxels', 'data', 'check the mask')
    bad = ~np.isfinite(split.voxels)
    if bad.any():
        row, voxel = np.argwhere(bad)[0][:2]
        raise errors.DataInvalid(
            f'{bad.sum()} voxel values of {part} are NaN or infinite, in '
            f'{bad.any(1).sum()} rows and {bad.any(0).sum()} voxels',
            f'first at row {row}, voxel {voxel}',
            'remove those voxels with a mask or mend the file; nothing is filled in silently',
        )
