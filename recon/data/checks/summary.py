"""What a recording holds, counted: rows, images, repeats, areas, and whether its values can be."""

import re

import numpy as np

from recon.core import types

_SAMPLE = 2_000_000  # values from which percentiles are taken
_BLOCK = 2**24  # values looked at at a time
# Median spread of a voxel over rows, in percent signal change, that no brain has: single trials
# spread by 1 to 3, and integer betas are stored times 300.
PERCENT, SCORES = (0.05, 50.0), (0.1, 5.0)
WHOLE = 20.0  # spread, below which a whole number is too coarse for a response


def parts(brain: types.BrainData) -> list[dict]:
    """One entry a split: what its rows are.

    Returns:
      [{'name', 'rows', 'images', 'shown': {times: images}, 'trials': {trials a row: rows},
      'sessions': [numbers], 'runs': count, 'rows_by_session': {session: rows}}]; unknown sessions
      and runs are left out.
    """
    return [{'name': name} | _part(split) for name, split in brain.splits().items()]


def _part(split: types.Split) -> dict:
    ids, shown = np.unique(split.image_id, return_counts=True)
    return {
        'rows': len(split),
        'images': len(ids),
        'shown': _histogram(shown),
        'trials': _histogram(split.trials),
        'sessions': [int(s) for s in np.unique(split.session) if s >= 0],
        'runs': int((np.unique(split.run) >= 0).sum()),
        'rows_by_session': _histogram(split.session[split.session >= 0]),
    }


def _histogram(values) -> dict:
    return {int(v): int(n) for v, n in zip(*np.unique(values, return_counts=True), strict=True)}


def shared(brain: types.BrainData) -> list[dict]:
    """[{'parts': [a, b], 'images': count}]: images, by id, of each two splits. All should be 0."""
    ids = {name: np.unique(split.image_id) for name, split in brain.splits().items()}
    names = list(ids)
    return [
        {'parts': [a, b], 'images': int(np.isin(ids[a], ids[b]).sum())}
        for i, a in enumerate(names)
        for b in names[i + 1 :]
    ]


def areas(brain: types.BrainData, ceiling=None) -> list[dict]:
    """One entry a ROI: how many voxels, on which side, and their median noise ceiling.

    Args:
      brain: its rois; hemisphere of voxel_info where it is there.
      ceiling: [v] fraction of variance, or None.

    Returns:
      [{'name', 'voxels', 'left', 'right', 'share', 'ceiling'}] in the reader's order; None where
      nothing is known.
    """
    side = brain.voxel_info.get('hemisphere')
    rows = []
    for name, mask in brain.rois.items():
        count = int(mask.sum())
        known = None if ceiling is None else ceiling[mask & np.isfinite(ceiling)]
        rows.append(
            {
                'name': name,
                'voxels': count,
                'left': None if side is None else int((side[mask] == 0).sum()),
                'right': None if side is None else int((side[mask] == 1).sum()),
                'share': count / max(1, len(mask)),
                'ceiling': None if known is None or not len(known) else float(np.median(known)),
            }
        )
    return rows


def broken(brain: types.BrainData) -> dict[str, np.ndarray]:
    """{'not_finite', 'constant': bool [v]}: voxels with NaN in any split, or one training value."""
    voxels = brain.train.voxels.shape[1]
    finite, constant = np.ones(voxels, bool), np.ones(voxels, bool)
    for split in brain.splits().values():
        first = split.voxels[0] if len(split) else np.zeros(voxels)
        step = max(1, _BLOCK // max(1, voxels))
        for start in range(0, len(split), step):
            block = split.voxels[start : start + step]
            finite &= np.isfinite(block).all(0)
            if split is brain.train:
                constant &= (block == first).all(0)
    return {'not_finite': ~finite, 'constant': constant & finite}


def values(brain: types.BrainData, seed: int = 0) -> dict:
    """Size and spread of the training values, and whether they can be in the unit that is claimed.

    Args:
      brain: its train split; facts['voxel_unit'] is the claim.
      seed: of the sample (2 million values) that percentiles come from.

    Returns:
      {'unit', 'percentiles': {'0', '1', '25', '50', '75', '99', '100'}, 'median_absolute',
      'median_spread': median over voxels of the standard deviation over rows, 'histogram':
      {'edges', 'counts'}, 'not_finite', 'constant': voxels, 'warning': text or None, 'whole': text
      where values that should have a fraction are whole numbers, or None}.
    """
    rng, x = np.random.default_rng(seed), brain.train.voxels
    flawed = broken(brain)
    good = np.flatnonzero(~flawed['not_finite'] & ~flawed['constant'])
    rows = np.sort(rng.permutation(len(x))[:2000])
    columns = np.sort(rng.permutation(good)[: max(1, _SAMPLE // max(1, len(rows)))])
    found = {
        'unit': brain.facts.get('voxel_unit', 'not said'),
        'not_finite': int(flawed['not_finite'].sum()),
        'constant': int(flawed['constant'].sum()),
        'warning': None,
        'whole': None,
    }
    if not len(columns):
        return found | {'warning': 'no voxel changes over the training rows, or none is finite'}
    sample = np.asarray(x[np.ix_(rows, columns)], np.float64)
    spread = float(np.median(sample.std(0)))
    at = (0, 1, 25, 50, 75, 99, 100)
    percentiles = np.percentile(sample, at)
    counts, edges = np.histogram(
        sample, 40, (percentiles[1], max(percentiles[5], percentiles[1] + 1e-12))
    )
    return found | {
        'percentiles': {str(p): float(v) for p, v in zip(at, percentiles, strict=True)},
        'median_absolute': float(np.median(np.abs(sample))),
        'median_spread': spread,
        'histogram': {'edges': edges.tolist(), 'counts': counts.tolist()},
        'warning': _implausible(found['unit'], spread, len(rows)),
        'whole': _whole(found['unit'], sample, spread),
    }


def _whole(unit: str, sample: np.ndarray, spread: float) -> str | None:
    whole = float((sample == np.rint(sample)).mean())
    if whole < 0.999 or spread >= WHOLE or 'scanner' in unit.lower():
        return None
    return (
        f'all values are whole numbers, while voxels spread by {spread:.3g} only (median over '
        'voxels): their fraction was cut off. Keep such values as float32'
    )


def _implausible(unit: str, spread: float, rows: int) -> str | None:
    claim = unit.lower()
    if rows < 5:
        return None
    if 'percent' in claim or '%' in claim:
        (low, high), name = PERCENT, 'percent signal change'
        if spread > high:
            why = 'as large as integer betas that were never divided by 300'
        else:
            why = 'as small as if they had been divided by 300 twice'
    elif re.search(r'(?<!not )z-?scor', claim):
        (low, high), name = SCORES, 'z-scores'
        why = 'z-scores spread by about 1'
    else:
        return None
    if low <= spread <= high:
        return None
    return (
        f'voxels spread by {spread:.3g} over rows (median over voxels), which is hardly {name}: '
        f'{why}. Check the scale of the betas.'
    )


def sides(brain: types.BrainData) -> str | None:
    """A warning where the hemisphere of most voxels contradicts their place, else None."""
    side, xyz = brain.voxel_info.get('hemisphere'), brain.voxel_info.get('xyz')
    if side is None or xyz is None:
        return None
    clear = np.abs(xyz[:, 0]) > 4  # mm; near the midline the two meet
    if clear.sum() < 10:
        return None
    wrong = float((side[clear] != (xyz[clear, 0] > 0)).mean())
    if wrong <= 0.5:
        return None
    return (
        f'{wrong:.0%} of the voxels are said to be of the one hemisphere but lie in the other '
        '(x < 0 is left): left and right are swapped, or the affine is of another convention.'
    )
