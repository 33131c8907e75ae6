"""z-score or min-max of each voxel, with statistics of the training rows."""

import dataclasses

import numpy as np

from recon.core import errors, types

DEFAULTS = dict(
    by='all',  # 'all', 'run' or 'session'
    method='zscore',  # or 'minmax'
    unseen='pooled',  # runs without training rows: 'pooled', or 'own' (see apply)
)
_FLAT = 1e-6  # a spread below this fraction of the largest value is float32 rounding


def fit(cfg, brain: types.BrainData) -> dict:
    """Centre and factor of each voxel, of the training rows alone, by group.

    A voxel that is flat in a group gets factor 0: it becomes 0, never NaN.
    'zscore': mean, 1 / standard deviation (ddof 0). 'minmax': minimum, 1 / (maximum - minimum);
    other rows may then leave [0, 1].
    The pooled statistics are those for rows whose group has no training rows. With `by='all'` they
    are the only ones. Otherwise the centre is the mean of the groups' centres and the spread their
    root mean square (weighted by rows, 'zscore') or mean ('minmax'): the within-group spread is
    the unit of the normalised training rows, so it is the unit for the others too.

    Returns:
      {'group': int32 [g], 'centre': float32 [g + 1, v], 'factor': float32 [g + 1, v]}; the last
      row is pooled.

    Raises:
      ConfigError: an unknown option, or by run or session where training rows have none.
      DataInvalid: a group with a single training row, which has no spread.
    """
    by, method, _ = _options(cfg)
    voxels = brain.train.voxels
    if by == 'all':
        centre, spread = _moments(voxels, method)
        return _stats(np.zeros(0, np.int32), [centre], [spread], [np.abs(voxels).max(0)])
    label = _known(getattr(brain.train, by), by, 'training')
    group, counts = np.unique(label, return_counts=True)
    if counts.min() < 2:
        raise errors.DataInvalid(
            f'{by} {group[counts.argmin()]} has a single training row, which has no spread',
            'preprocess.normalise',
            "use by='all', or put normalise before repeats",
        )
    parts = [voxels[label == g] for g in group]
    centres, spreads = map(list, zip(*(_moments(p, method) for p in parts), strict=True))
    weight = counts / counts.sum() if method == 'zscore' else np.full(len(group), 1 / len(group))
    power = 2 if method == 'zscore' else 1
    pooled = np.einsum('g,gv->v', weight, np.power(spreads, power)) ** (1 / power)
    largest = [np.abs(p).max(0) for p in parts]
    centres.append(np.einsum('g,gv->v', weight, centres))
    return _stats(group, centres, [*spreads, pooled], [*largest, np.max(largest, 0)])


def apply(cfg, stats: dict, split: types.Split, part: str) -> types.Split:
    """(voxels - centre) * factor, each row with its group's statistics.

    A group with training rows uses those; another uses the pooled ones. `unseen='own'` instead
    gives each group without training rows its own statistics over its rows in this split: no label
    is used, but a row then depends on the other test rows (transductive), so it is not the default
    and pipeline and report show the option.

    Returns:
      Split with voxels float32 [n v].
    """
    by, method, unseen = _options(cfg)
    index = np.full(len(split), len(stats['group']))  # [n], the pooled row
    if by != 'all':
        label = getattr(split, by)
        place = np.minimum(np.searchsorted(stats['group'], label), len(stats['group']) - 1)
        index = np.where(stats['group'][place] == label, place, index)
    voxels = np.empty_like(split.voxels, dtype=np.float32)
    for i in np.unique(index):
        rows = index == i
        voxels[rows] = (split.voxels[rows] - stats['centre'][i]) * stats['factor'][i]
    if by != 'all' and unseen == 'own':
        rest = index == len(stats['group'])
        for g in np.unique(_known(label[rest], by, part)):
            rows = rest & (label == g)
            centre, spread = _moments(split.voxels[rows], method)
            own = _stats(None, [centre], [spread], [np.abs(split.voxels[rows]).max(0)])
            voxels[rows] = (split.voxels[rows] - own['centre'][0]) * own['factor'][0]
    return dataclasses.replace(split, voxels=voxels)


def _options(cfg) -> tuple[str, str, str]:
    known = {
        'by': ('all', 'run', 'session'),
        'method': ('zscore', 'minmax'),
        'unseen': ('pooled', 'own'),
    }
    for key, values in known.items():
        if cfg.get(key, DEFAULTS[key]) not in values:
            raise errors.ConfigError(
                f'preprocess.normalise.{key} is {cfg.get(key)!r}', 'config', f'one of {values}'
            )
    return tuple(cfg.get(key, DEFAULTS[key]) for key in known)


def _known(label: np.ndarray, by: str, part: str) -> np.ndarray:
    if (label < 0).any():
        raise errors.ConfigError(
            f'preprocess.normalise.by is {by!r}, but {(label < 0).sum()} of {len(label)} rows of '
            f'{part} have no {by}',
            'config',
            "use by='all', or put normalise before repeats in preprocess.order",
        )
    return label


def _moments(x: np.ndarray, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre and spread of each column of [n v], float64 [v]."""
    if method == 'minmax':
        low = x.min(0).astype(np.float64)
        return low, x.max(0) - low
    centre = x.mean(0, dtype=np.float64)
    total = np.zeros(x.shape[1])
    for start in range(0, len(x), 1024):  # no float64 copy of the whole array
        total += np.square(x[start : start + 1024] - centre).sum(0)
    return centre, np.sqrt(total / len(x))


def _stats(group, centres, spreads, largest) -> dict:
    spread = np.stack(spreads)
    flat = spread <= _FLAT * np.stack(largest)
    factor = np.where(flat, 0, 1 / np.where(flat, 1, spread))
    return {
        'group': group,
        'centre': np.stack(centres).astype(np.float32),
        'factor': factor.astype(np.float32),
    }
