"""Are a user's voxels in one unit, and a likely one? Only notes: any unit can be decoded from."""

import numpy as np

_OFF = 20  # times: how much more, or less, a session may spread than the others
_FEW = 12  # standard deviation of sizes; of normal values with one of 20


def note(values: np.ndarray, divide: float, notes: list) -> None:
    """Adds a note where values look as if they were scaled, or cut, for storage.

    Args:
      values: [n v] as stored.
      divide: what they will be divided by.
      notes: sentences are added.
    """
    sample = np.asarray(values[:: max(1, len(values) // 64)], np.float32) / divide
    sample = np.abs(sample[np.isfinite(sample)])
    if sample.size and np.median(sample) <= 50 and _cut(values, sample, divide):
        notes.append(
            f'voxels are whole numbers of {sample.min():.0f} to {sample.max():.0f} in size: if '
            'they were percent signal change or z-scores, their fraction was cut off in saving'
        )
    if sample.size and np.median(sample) > 50:
        whole = 'whole numbers' if values.dtype.kind in 'iu' else 'values'
        notes.append(
            f'voxels are {whole} with a median size of {np.median(sample):.0f}: if they are '
            'percent signal change stored times 300, as in NSD, set dataset.voxels.divide=300'
        )


def _cut(values: np.ndarray, sample: np.ndarray, divide: float) -> bool:
    """Whole numbers of few sizes, not all alike: no scanner and no factor of 300 gives these."""
    whole = values.dtype.kind in 'iu' or (sample * divide % 1 == 0).all()
    return bool(whole and 0 < sample.std() * divide < _FEW)


def uneven(values: np.ndarray, groups: np.ndarray, kind: str) -> str | None:
    """A sentence if rows of one group (a session, a file) spread 20 times more than the others.

    Args:
      values: [n v].
      groups: [n], which group each row is of.
      kind: what a group is, for the sentence.
    """
    spread = {}
    for group in np.unique(groups).tolist():
        rows = np.flatnonzero(groups == group)
        rows = rows[:: max(1, len(rows) // 64)]
        with np.errstate(all='ignore'):
            stds = np.asarray(values[rows], np.float32).std(0)
        stds = stds[np.isfinite(stds) & (stds > 0)]
        if len(rows) > 4 and len(stds):
            spread[group] = float(np.median(stds))
    usual = float(np.median(list(spread.values()))) if spread else 0.0
    if len(spread) == 2:  # which of the two is the odd one cannot be told: the smaller is usual
        usual = min(spread.values())
    odd = {g: s for g, s in spread.items() if not usual / _OFF < s < usual * _OFF}
    if not odd:
        return None
    listed = ', '.join(f'{group} by {size:.4g}' for group, size in list(odd.items())[:5])
    return (
        f'voxels of {kind} {listed} spread {_OFF} times more, or less, than the usual {usual:.4g}: '
        'they are not in one unit (a factor of 300 is that of NSD)'
    )
