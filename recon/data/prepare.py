"""Preprocessing in the order that the config names; every op is fitted on the training rows alone.

An op is a file of `recon/data/preprocess`. Its `fit(cfg, brain) -> stats` looks at `brain.train`
only; `apply(cfg, stats, split, part) -> Split` then treats every split alike. An op without
`apply` chooses voxels: its stats are `{'keep': bool [v]}`.
"""

import dataclasses

import numpy as np

from recon.core import errors, lookup, types

_PACKAGE = 'recon.data.preprocess'


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
        stats[name] = op.fit(options, brain)
        if not hasattr(op, 'apply'):
            brain = brain.keep(stats[name]['keep'])
            continue
        splits = brain.splits().items()
        brain = brain.with_splits(
            {part: op.apply(options, stats[name], split, part) for part, split in splits}
        )
    return brain, stats


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
        if not len(split):
            raise errors.DataInvalid(f'{part} has no rows', 'data', 'check the split rule')
        if not split.voxels.shape[1]:
            raise errors.DataInvalid(f'{part} has no voxels', 'data', 'check the mask')
        bad = ~np.isfinite(split.voxels)
        if bad.any():
            row, voxel = np.argwhere(bad)[0]
            raise errors.DataInvalid(
                f'{bad.sum()} voxel values of {part} are NaN or infinite, in '
                f'{bad.any(1).sum()} rows and {bad.any(0).sum()} voxels',
                f'first at row {row}, voxel {voxel}',
                'remove those voxels with a mask or mend the file; nothing is filled in silently',
            )
