"""Is one part of a recording of another scale, or a copy of another part? Rows tell by themselves.

A session left as integers, a hemisphere multiplied by 300 or a file copied over its neighbour
change little in a median over all voxels and rows.
"""

import collections
import hashlib

import numpy as np

from recon.core import types

RATIO = 20.0  # of the spreads of two parts; gains of sessions and means of repeats differ by less
ROWS, VOXELS = 4000, 500  # drawn for the spreads
_FEWEST = 5  # rows of a part, or voxels of a side
_SAME = 256  # voxels of a side that are compared; of floats, a few would do
_LEAST = 10  # voxels below which equal rows may be chance
_BLOCK = 2**24


def spreads(brain: types.BrainData, usable: np.ndarray, seed: int = 0) -> str | None:
    """A sentence where a split, a session, a run or a hemisphere spreads 20 times as another.

    The spread of a part is the median, over at most 250 voxels a side, of the standard deviation
    over its rows (4,000 rows are drawn, the same number of each run). Parts of fewer than 5 rows
    are not asked. Sessions and runs are compared over all splits, so that a scale of one test run
    is seen, and each side by itself.

    Args:
      brain: all splits.
      usable: bool [v], finite voxels that change.
      seed: of the draw.

    Returns:
      The warning, or None.
    """
    parts = _measure(brain, usable, np.random.default_rng(seed))
    # The narrowest part that shows it is named: a run within its session and side comes first.
    for kind, within in (
        ('run', lambda p: p[1:4]),
        ('session', lambda p: p[1:3]),
        ('split', lambda p: ()),
        ('session', lambda p: ()),
        ('run', lambda p: ()),
    ):
        groups = collections.defaultdict(list)
        for part in parts:
            if part[0] == kind:
                groups[within(part)].append(part[4:])
        for group in groups.values():
            (low, least), (high, most) = (f(group, key=lambda g: g[1]) for f in (min, max))
            if most > RATIO * least:
                return (
                    f'voxels of {high} spread by {most:.3g}, those of {low} by {least:.3g} '
                    '(median over voxels of the spread over rows). Were some files divided by '
                    '300, and others not?'
                )
    return None


def _measure(brain: types.BrainData, usable, rng) -> list[tuple]:
    """[(kind, split, side, session, label, spread)] of every part that has rows enough."""
    out = []
    columns = sides(brain, usable, rng, VOXELS // 2, _FEWEST)
    for name, split in brain.splits().items():
        rows = _draw(split, ROWS // len(brain.splits()), rng)
        groups = {'split': np.zeros(len(rows), int)}
        groups |= {'session': split.session[rows], 'run': split.run[rows]}
        for side, chosen in columns.items():
            values = np.asarray(split.voxels[np.ix_(rows, chosen)], np.float64)
            for session in np.unique(split.session[rows]):  # baselines of scanners are no spread
                mine = split.session[rows] == session
                values[mine] -= values[mine].mean(0)
            for kind, group in groups.items():
                for number in np.unique(group[group >= 0]):
                    mine = group == number
                    if mine.sum() < _FEWEST:
                        continue
                    part = name if kind == 'split' else f'{kind} {number} of {name}'
                    label = f'{part}, {side} hemisphere' if side else part
                    spread = float(np.median(values[mine].std(0)))
                    session = int(split.session[rows][mine][0])
                    out.append((kind, name, side, session, label, spread))
    return out


def sides(brain, usable, rng, most: int, least: int) -> dict[str, np.ndarray]:
    """{'left', 'right' or '': at most `most` usable voxels}, sides of fewer than `least` left out.

    Returns:
      {'': voxels} where the hemisphere is not known.
    """
    side = brain.voxel_info.get('hemisphere')
    parts = {'': usable}
    if side is not None:
        parts = {word: usable & (side == k) for k, word in ((0, 'left'), (1, 'right'))}
    drawn = {k: np.sort(rng.permutation(np.flatnonzero(m))[:most]) for k, m in parts.items()}
    return {k: chosen for k, chosen in drawn.items() if len(chosen) >= least}


def _draw(split: types.Split, most: int, rng) -> np.ndarray:
    """Rows, about `most`: the first of each run, or of each session, or any."""
    group = split.run if (split.run >= 0).all() else split.session
    if not (group >= 0).all():
        return np.sort(rng.permutation(len(split))[:most])
    numbers = np.unique(group)
    each = max(2 * _FEWEST, most // max(1, len(numbers)))
    rows = [np.flatnonzero(group == number)[:each] for number in numbers]
    return np.sort(np.concatenate(rows)) if rows else np.arange(0)


def copies(brain: types.BrainData, usable: np.ndarray, seed: int = 0) -> str | None:
    """A sentence where rows hold, bit by bit, the values of other rows.

    No two trials of a scanner are alike: a file was copied over another, or read twice. Of each
    hemisphere 256 voxels are compared, since one may be copied without the other.

    Args:
      brain: all splits.
      usable: bool [v], finite voxels that change.
      seed: of the draw.

    Returns:
      The warning, or None.
    """
    rng = np.random.default_rng(seed)
    for side, chosen in sides(brain, usable, rng, _SAME, _LEAST).items():
        first, pairs = {}, collections.Counter()
        for name, split in brain.splits().items():
            held = zip(_hashes(split.voxels, chosen), _places(name, split), strict=True)
            for key, place in held:
                if key in first:
                    pairs[first[key], place] += 1
                else:
                    first[key] = place
        if pairs:
            return _said(pairs, side)
    return None


def _hashes(voxels, chosen):
    step = max(1, _BLOCK // max(1, voxels.shape[1]))
    for start in range(0, len(voxels), step):
        block = np.ascontiguousarray(voxels[start : start + step][:, chosen], np.float32)
        for row in block:
            yield hashlib.blake2b(row.tobytes(), digest_size=16).digest()


def _places(name: str, split: types.Split) -> list[str]:
    """What to call the part that each row is of: its session where there are several, or run."""
    for kind in ('session', 'run'):
        number = getattr(split, kind)
        if len(np.unique(number)) > 1:
            return [f'{kind} {k} of {name}' if k >= 0 else name for k in number.tolist()]
    return [name] * len(split)


def _said(pairs: collections.Counter, side: str) -> str:
    named = [
        f'{count} of {b} are those of {a}' if a != b else f'{count} of {a} are there twice'
        for (a, b), count in pairs.most_common(3)
    ]
    more = f' and {len(pairs) - 3} more pairs' if len(pairs) > 3 else ''
    where = f' in the {side} hemisphere' if side else ''
    return (
        f'{sum(pairs.values())} rows hold, bit by bit, the values of other rows{where}: '
        f'{"; ".join(named)}{more}. Was a file copied over another, or read twice?'
    )
