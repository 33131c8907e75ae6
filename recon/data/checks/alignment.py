"""Do the rows belong to the images they name? An off-by-one in stimulus ids shows here."""

import numpy as np

from recon.core import image, solvers, types

SHIFTS = (-1, 0, 1)
ROWS, VOXELS, SIDE, FOLDS, DRAWS = 2000, 600, 8, 5, 1000
_FEWEST = 20  # blocks below which an interval says nothing


def check(train: types.Split, images: types.Images, seed: int = 0) -> dict:
    """Decodes small pictures with the images shifted by -1, 0 and +1 block.

    Consecutive rows of one image within a run are a block. At shift s the rows of a block are
    decoded to the image of the block s places later in the same run; only blocks that have both
    neighbours count, so that all shifts are measured on the same rows. Voxels are z-scored within
    each run, pictures are grey and at most 8 x 8, and a ridge with the mean squared singular value
    as its penalty is cross-validated over 5 sets of runs. The score of a block is the correlation,
    over pixels, of its decoded and its true picture, both less the training rows' mean picture;
    intervals are percentile bootstraps over blocks (1,000 draws), of the paired difference to
    shift 0 for the warning, which also asks that the winner's own interval is above 0. On pure
    noise about 1 data set in 15 still warns: blocks of one fold share a decoder, so the intervals
    are a little narrow. At most about 2,000 rows (whole runs) and 600 voxels are drawn with `seed`,
    which `note` says.

    Args:
      train: [n v], rows of a run in the order of time.
      images: the pictures that `train.image_id` names.
      seed: of the draws.

    Returns:
      {'alignment': {'-1': score, '0': score, '1': score}, 'alignment_ci95': {shift: [low, high]},
      'alignment_difference': {'-1': [mean, low, high], '1': ...} (to shift 0),
      'alignment_warning': text or None, 'alignment_note': text}; the dictionaries are empty where
      the check does not apply, and the note says why.
    """
    rng = np.random.default_rng(seed)
    reason = _unfit(train)
    if reason:
        return _report(note=f'not applicable: {reason}')
    rows = _draw_rows(train, rng)
    split = train.rows(rows)
    block = _blocks(split)  # [n], numbered in order
    first = np.unique(block, return_index=True)[1]  # [b] row of each block
    run, ids = split.run[first], split.image_id[first]
    inner = np.flatnonzero((run[1:-1] == run[:-2]) & (run[1:-1] == run[2:])) + 1
    if len(inner) < _FEWEST:
        return _report(note=f'not applicable: {len(inner)} blocks have neighbours in their run')
    pictures = _small(images, ids)  # [b t]
    voxels = np.sort(rng.permutation(train.voxels.shape[1])[:VOXELS])
    scores = _decode(_z_score(split, voxels), block, inner, run, pictures, rng)  # [b' 3]
    note = (
        f'{len(inner)} blocks of {len(rows)} of {len(train)} rows, {len(voxels)} of '
        f'{train.voxels.shape[1]} voxels, seed {seed}'
    )
    return _judge(scores, rng, note)


def _unfit(train: types.Split) -> str | None:
    unknown = int((train.run < 0).sum())
    if unknown:
        return f'{unknown} of {len(train)} training rows have no run, so no order in time'
    if len(np.unique(train.run)) < 2:
        return 'all training rows are of one run, and runs are what is left out'
    return None


def _draw_rows(train: types.Split, rng) -> np.ndarray:
    """Whole runs until ROWS are reached, two at least; of very long runs the beginnings."""
    chosen, total = [], 0
    for run in rng.permutation(np.unique(train.run)):
        rows = np.flatnonzero(train.run == run)[: ROWS // 2]
        if len(chosen) >= 2 and total + len(rows) > ROWS:
            break
        chosen.append(rows)
        total += len(rows)
    return np.sort(np.concatenate(chosen))


def _blocks(split: types.Split) -> np.ndarray:
    order = np.argsort(split.run, kind='stable')  # rows of a run together, in their order of time
    run, ids = split.run[order], split.image_id[order]
    new = np.concatenate([[False], (run[1:] != run[:-1]) | (ids[1:] != ids[:-1])])
    block = np.empty(len(split), int)
    block[order] = np.cumsum(new)
    return block


def _small(images: types.Images, ids) -> np.ndarray:
    distinct, inverse = np.unique(ids, return_inverse=True)
    size = tuple(min(side, SIDE) for side in images.shape)
    parts = [distinct[i : i + 256] for i in range(0, len(distinct), 256)]
    small = [image.to_gray(image.resize(images[part], size)) for part in parts]
    return np.concatenate(small).reshape(len(distinct), -1)[inverse]


def _z_score(split: types.Split, voxels: np.ndarray) -> np.ndarray:
    x = split.voxels[:, voxels].astype(np.float32)
    for run in np.unique(split.run):
        rows = split.run == run
        part = x[rows] - x[rows].mean(0)
        spread = part.std(0)
        x[rows] = part / np.where(spread > 1e-6 * np.abs(x[rows]).max(0), spread, np.inf)
    return x


def _decode(x, block, inner, run, pictures, rng) -> np.ndarray:
    """Cross-validated score of each inner block at each shift, [b' 3]; NaN where undefined."""
    place = np.full(block.max() + 1, -1)
    place[inner] = np.arange(len(inner))
    rows = place[block] >= 0
    x, place = x[rows], place[block][rows]  # [n v], [n] inner block of each row
    truth = np.stack([pictures[inner + s] for s in SHIFTS])  # [3 b' t]
    runs = rng.permutation(np.unique(run[inner]))
    fold = np.searchsorted(np.sort(runs), run[inner])  # [b']
    fold = np.argsort(runs)[fold] % min(FOLDS, len(runs))
    members = np.bincount(place)
    scores = np.full((len(inner), len(SHIFTS)), np.nan)
    for k in np.unique(fold):
        fitted, held = fold[place] != k, fold == k
        y = truth[:, place].transpose(1, 0, 2)  # [n 3 t]
        centred = (y - y[fitted].mean(0)).reshape(len(x), -1)
        # Rows left out are zero and not missing: one shape for all folds, compiled once.
        kept = fitted[:, None].astype(np.float32)
        alpha = float(fitted.sum() * x.shape[1] / min(x.shape))
        w = np.asarray(solvers.ridge_weights(x * kept, centred * kept, alpha))
        decoded = np.zeros((len(inner), w.shape[1]), np.float32)
        np.add.at(decoded, place, x @ w)
        shape = (len(inner), len(SHIFTS), -1)
        decoded = (decoded / members[:, None]).reshape(shape)[held]
        wanted = truth.transpose(1, 0, 2)[held] - y[fitted].mean(0)
        scores[held] = _correlation(decoded, wanted)
    return scores


def _correlation(a, b) -> np.ndarray:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    norm = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return (a * b).sum(-1) / np.where(norm > 1e-12, norm, np.nan)


def _judge(scores: np.ndarray, rng, note: str) -> dict:
    scores = scores[np.isfinite(scores).all(1)]
    if len(scores) < _FEWEST:
        return _report(note=f'not applicable: {len(scores)} blocks have a score')
    draws = rng.integers(0, len(scores), (DRAWS, len(scores)))
    means = scores[draws].mean(1)  # [draws 3]
    now = SHIFTS.index(0)

    def interval(x):
        return [round(float(q), 4) for q in np.percentile(x, (2.5, 97.5))]

    names = [str(s) for s in SHIFTS]
    mean = scores.mean(0)
    difference = {
        names[i]: [round(float(mean[i] - mean[now]), 4), *interval(means[:, i] - means[:, now])]
        for i in range(len(SHIFTS))
        if i != now
    }
    above = dict(zip(names, np.percentile(means, 2.5, axis=0) > 0, strict=True))
    worse = [s for s, (_, low, _) in difference.items() if low > 0 and above[s]]
    warning = None
    if worse:
        best = max(worse, key=lambda s: difference[s][0])
        gain, low, high = difference[best]
        side = 'after' if best == '1' else 'before'
        warning = (
            f'rows decode the image of the block {side} them better than their own: '
            f'{mean[names.index(best)]:.3f} against {mean[now]:.3f}, difference {gain:.3f} '
            f'[{low:.3f}, {high:.3f}]. Check the stimulus ids for an off-by-one.'
        )
    return _report(
        alignment={n: round(float(m), 4) for n, m in zip(names, mean, strict=True)},
        ci95={n: interval(means[:, i]) for i, n in enumerate(names)},
        difference=difference,
        warning=warning,
        note=note,
    )


def skipped(reason: str) -> dict:
    """The same keys where the check was not made."""
    return _report(note=f'not run: {reason}')


def _report(alignment=None, ci95=None, difference=None, warning=None, note='') -> dict:
    return {
        'alignment': alignment or {},
        'alignment_ci95': ci95 or {},
        'alignment_difference': difference or {},
        'alignment_warning': warning,
        'alignment_note': note,
    }
