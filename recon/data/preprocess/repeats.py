"""Several presentations of one image: keep them as rows, average them, or draw one."""

import dataclasses

import numpy as np

from recon.core import errors, types

DEFAULTS = dict(
    train='keep',  # 'keep', 'mean' or 'sample'
    validation='mean',
    test='mean',  # extra tests too
    seed=0,  # of 'sample'
)


def fit(cfg, brain: types.BrainData) -> dict:
    """Nothing is learned here; checks the options.

    Raises:
      ConfigError: an option that is none of 'keep', 'mean', 'sample'.
    """
    del brain
    for part in ('train', 'validation', 'test'):
        _how(cfg, part)
    return {}


def apply(cfg, stats: dict, split: types.Split, part: str) -> types.Split:
    """Treats the rows of one part.

    'keep': as they are. 'mean': one row an image, in ascending id; trials are added up, run and
    session stay where all averaged rows share them and are -1 otherwise, repeat is -1. 'sample':
    one row an image, drawn with `seed` (the same for the same seed and part), in the order of
    time.

    Args:
      cfg: see DEFAULTS.
      stats: unused.
      split: [n v], or rows of any shape.
      part: 'train', 'validation', 'test' or the name of an extra test.

    Returns:
      Split of n or m rows.
    """
    del stats
    how = _how(cfg, part if part in ('train', 'validation') else 'test')
    if how == 'keep':
        return split
    return mean(split) if how == 'mean' else sample(split, cfg.get('seed', 0), part)


def mean(split: types.Split) -> types.Split:
    """One row an image: the mean of its rows. [n ...] -> [m ...], ascending image id."""
    ids, first, inverse, counts = np.unique(
        split.image_id, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(inverse, kind='stable')
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    total = np.add.reduceat(split.voxels[order], starts, axis=0)  # [m ...]

    def shared(values):
        same = np.minimum.reduceat(values[order], starts) == values[first]
        same &= np.maximum.reduceat(values[order], starts) == values[first]
        return np.where(same, values[first], -1)

    return dataclasses.replace(
        split,
        voxels=(total / counts.reshape(-1, *(1,) * (total.ndim - 1))).astype(np.float32),
        image_id=ids,
        run=shared(split.run),
        session=shared(split.session),
        repeat=np.full(len(ids), -1, np.int32),
        trials=np.add.reduceat(split.trials[order], starts),
    )


def sample(split: types.Split, seed: int, part: str) -> types.Split:
    """One random row an image, rows in their old order. [n v] -> [m v]."""
    rng = np.random.default_rng([seed, *part.encode()])
    shuffled = rng.permutation(len(split))
    _, chosen = np.unique(split.image_id[shuffled], return_index=True)
    return split.rows(np.sort(shuffled[chosen]))


def _how(cfg, part: str) -> str:
    how = cfg.get(part, DEFAULTS[part])
    if how not in ('keep', 'mean', 'sample'):
        raise errors.ConfigError(
            f'preprocess.repeats.{part} is {how!r}', 'config', "one of 'keep', 'mean', 'sample'"
        )
    return how
