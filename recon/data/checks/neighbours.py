"""Does a row show the picture of the row before or after it in its run?"""

import numpy as np

from recon.core import types
from recon.data.checks import readout

BLOCKS = 1200  # rows, drawn in whole runs
STEPS = ((1, 'next'), (-1, 'previous'))


def tried(split: types.Split, images: types.Images, voxels, rng, fitted=None) -> tuple:
    """Rows decoded to the picture of their neighbour in time, for `readout.judge`.

    Consecutive rows of one image within a run are a block, since a stimulus may last for several
    volumes. Blocks are decoded to luminance and contrast in 4 x 4 cells of the picture that a
    hypothesis gives them; the picture that is decoded is never one of those fitted on. Scores of
    the blocks of one image are averaged, since they have the picture in common.

    Args:
      split: rows of a run in the order of time.
      images: the pictures that `split.image_id` names.
      voxels: which are used.
      rng: of runs and folds.
      fitted: (responses [m v], cells [m t]) to fit on, as `readout.responses` and `readout.table`
        give them; None: blocks of other pictures of `split` itself.

    Returns:
      ([(name, as_is [k], other [k])], note or ''): scores by image.
    """
    if (split.run < 0).any():
        return [], 'rows have no run, so neighbours in time were not tried'
    rows = _rows(split.run, rng)
    x, ids, run = _blocks(split.rows(rows), voxels)
    shown, place = np.unique(ids, return_inverse=True)
    if len(shown) < readout.FEWEST:
        return [], f'neighbours in time: {len(shown)} images are too few'
    cells = readout.table(images, shown)
    fold = rng.permutation(len(shown)) % readout.FOLDS
    out = []
    for step, word in STEPS:
        at = np.arange(len(ids)) + step
        usable = (at >= 0) & (at < len(ids))
        usable &= run[np.clip(at, 0, len(ids) - 1)] == run
        mine, other = place[usable], place[at[usable]]
        if len(np.unique(mine)) < readout.FEWEST:
            continue
        scores = []
        for assigned in (mine, other):
            y = cells[assigned]
            if fitted is None:
                decoded = readout.held_out(x[usable], y, fold[assigned])
            else:
                decoded = readout.predict(*fitted, x[usable])
            score = readout.correlation(decoded, y - y.mean(0))
            scores.append(_mean_by(mine, score))
        out.append((f'the picture of the {word} row in the run', *scores))
    return out, '' if out else 'no run has neighbours enough'


def _rows(run: np.ndarray, rng) -> np.ndarray:
    """Whole runs until BLOCKS rows are reached, one at least."""
    chosen, total = [], 0
    for number in rng.permutation(np.unique(run)):
        rows = np.flatnonzero(run == number)[:BLOCKS]
        if chosen and total + len(rows) > BLOCKS:
            break
        chosen.append(rows)
        total += len(rows)
    return np.sort(np.concatenate(chosen))


def _blocks(split: types.Split, voxels) -> tuple:
    """(mean responses [b v] z-scored within runs, ids [b], run [b]) in the order of time."""
    order = np.argsort(split.run, kind='stable')
    run, ids = split.run[order], split.image_id[order]
    x = split.voxels[np.ix_(order, voxels)].astype(np.float32)
    for number in np.unique(run):
        x[run == number] = readout.z_score(x[run == number])
    first = np.flatnonzero(np.r_[True, (run[1:] != run[:-1]) | (ids[1:] != ids[:-1])])
    count = np.diff(np.r_[first, len(x)])
    return np.add.reduceat(x, first) / count[:, None], ids[first], run[first]


def _mean_by(place: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Mean score of each place that is there, NaN where one is undefined."""
    distinct, inverse = np.unique(place, return_inverse=True)
    return np.bincount(inverse, score, len(distinct)) / np.bincount(inverse)
