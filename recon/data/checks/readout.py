"""Reading pictures out of voxels, small and quick, to ask whether the data mean what they say."""

import re

import numpy as np

from recon.core import image, types

IMAGES, VOXELS, FOLDS, DRAWS = 1200, 600, 5, 10_000
LEVEL = 0.02  # two-sided, shared by all hypotheses of a question (Bonferroni)
CELLS = 4  # cells on a side of a picture, in which luminance and contrast are decoded
FEWEST = 24  # images below which an interval says nothing
# 'V1', 'V2d', 'prf-V1v', 'Kastner2015/V1v': with or without the atlas that an area is of.
EARLY = re.compile(r'(?:prf-|[^/]+/)?(V[123]|VP)([vd]?)', re.IGNORECASE)


def images_of(train: types.Split, rng) -> np.ndarray:
    """[m] ids, ascending: at most IMAGES of those that `train` shows."""
    return np.sort(rng.permutation(np.unique(train.image_id))[:IMAGES])


def responses(train: types.Split, shown, voxels) -> np.ndarray:
    """[m v]: mean response to each image, z-scored within runs first, then over images."""
    rows = np.flatnonzero(np.isin(train.image_id, shown))
    x = train.voxels[np.ix_(rows, voxels)].astype(np.float32)
    group = train.run[rows] if (train.run >= 0).all() else train.session[rows]
    counts = np.unique(group, return_counts=True)[1]
    group = group if counts.min() >= 8 else np.zeros(len(rows), int)
    for number in np.unique(group):
        mine = group == number
        x[mine] = z_score(x[mine])
    place = np.searchsorted(shown, train.image_id[rows])
    mean = np.zeros((len(shown), len(voxels)), np.float32)
    np.add.at(mean, place, x)
    return z_score(mean / np.bincount(place, minlength=len(shown))[:, None])


def z_score(x: np.ndarray) -> np.ndarray:
    """Columns of x [n v] with mean 0 and spread 1; 0 where a column does not change."""
    part = x - x.mean(0)
    spread = part.std(0)
    return part / np.where(spread > 1e-6 * np.abs(x).max(0, initial=0), spread, np.inf)


def cells(images: types.Images, ids) -> np.ndarray:
    """[m cells 2]: luminance and contrast in 4 x 4 cells of each picture, rows of cells first."""
    gray = _gray(images, ids, 8 * CELLS)
    blocks = gray.reshape(len(ids), CELLS, 8, CELLS, 8).swapaxes(2, 3)
    blocks = blocks.reshape(len(ids), CELLS**2, -1)
    return np.stack([blocks.mean(-1), blocks.std(-1)], -1)


def small(images: types.Images) -> types.Images:
    """The same pictures, grey and of the size that `cells` needs; each is read once and kept."""
    side, held = 8 * CELLS, {}

    def read(rows):
        rows = np.asarray(rows)
        new = np.array([k for k in dict.fromkeys(rows.tolist()) if k not in held], int)
        held.update(zip(new.tolist(), _gray(images, images.ids[new], side), strict=True))
        return np.stack([held[k] for k in rows.tolist()])[..., None]

    return types.Images(images.ids, read, (side, side), 1)


def table(images: types.Images, ids) -> np.ndarray:
    """[m 32]: luminance and contrast in 4 x 4 cells, z-scored over the images."""
    return z_score(cells(images, ids).reshape(len(ids), -1))


def correlation(a, b) -> np.ndarray:
    """Of the rows of a and b, NaN where one is constant."""
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    norm = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return (a * b).sum(-1) / np.where(norm > 1e-12, norm, np.nan)


def _gray(images: types.Images, ids, side: int) -> np.ndarray:
    """[m side side] grey pictures, read in parts."""
    out = np.empty((len(ids), side, side), np.float32)
    for start in range(0, len(ids), 64):
        rows = slice(start, start + 64)
        out[rows] = image.resize(image.to_gray(images[ids[rows]])[..., None], (side, side))[..., 0]
    return out


def held_out(x, y, fold) -> np.ndarray:
    """Ridge predictions of y [m t] for the images of each fold from those of the others."""
    out = np.zeros_like(y)
    for k in np.unique(fold):
        out[fold == k] = predict(x[fold != k], y[fold != k], x[fold == k])
    return out


def predict(x, y, new) -> np.ndarray:
    """[k t]: ridge from x [m v] to y [m t], for the responses new [k v]."""
    alpha, mean = x.shape[0] * x.shape[1] / min(x.shape), y.mean(0)
    if x.shape[0] < x.shape[1]:
        gram = x @ x.T + alpha * np.eye(len(x), dtype=np.float32)
        return new @ (x.T @ np.linalg.solve(gram, y - mean))
    gram = x.T @ x + alpha * np.eye(x.shape[1], dtype=np.float32)
    return new @ np.linalg.solve(gram, x.T @ (y - mean))


def judge(tried: list, as_is: np.ndarray, rng, note: str, say) -> dict:
    """Which hypotheses are better than the data as they are, by paired bootstraps over images.

    Args:
      tried: [(name, as_is [k], other [k])], scores of the same images under both; NaN undefined.
      as_is: [m] scores of all images as they are.
      rng: of the bootstrap.
      note: what was measured, for the answer.
      say: (name, entry) -> the warning if that one wins.

    Returns:
      See `answer`. A hypothesis is better where the lower ends of its own interval and of its
      difference to the data as they are lie above 0, at LEVEL / the number of hypotheses. Images
      of one fold share a decoder, so the intervals are a little narrow: see the callers for how
      often pure noise warns.
    """
    tail = 50 * LEVEL / max(1, len(tried))
    entries = []
    for name, before, other in tried:
        known = np.isfinite(before) & np.isfinite(other)
        if known.sum() < FEWEST:
            continue
        before, other = before[known], other[known]
        low, high = _interval(other, rng, tail)
        less, more = _interval(other - before, rng, tail)
        entries.append(
            {
                'name': name,
                'mean': _round(other.mean()),
                'ci95': [low, high],
                'as_is': _round(before.mean()),
                'difference': [_round((other - before).mean()), less, more],
                'n': int(known.sum()),
                'better': bool(low > 0 and less > 0),
            }
        )
    as_is = as_is[np.isfinite(as_is)]
    if len(as_is) < FEWEST or not entries:
        return answer(note=f'not applicable: nothing could be compared; {note}')
    interval = _interval(as_is, rng, 2.5)
    better = [entry for entry in entries if entry['better']]
    warning = None
    if better:
        best = max(better, key=lambda entry: entry['difference'][0])
        warning = say(best['name'], best)
    elif interval[0] <= 0:
        note += '; as they are, nothing is decoded above chance, so this check cannot see a fault'
    return answer(entries, _round(as_is.mean()), interval, warning, note)


def answer(tried=(), as_is=None, ci95=None, warning=None, note: str = '') -> dict:
    """What a check returns, JSON-able: {'tried', 'as_is', 'as_is_ci95', 'warning', 'note'}."""
    return {
        'tried': list(tried),
        'as_is': as_is,
        'as_is_ci95': ci95,
        'warning': warning,
        'note': note,
    }


def numbers(entry: dict) -> str:
    """'0.31 against 0.02, difference 0.29 [0.25, 0.33]', for warnings."""
    mean, low, high = entry['difference']
    return (
        f'{entry["mean"]:.3f} against {entry["as_is"]:.3f}, difference {mean:.3f} '
        f'[{low:.3f}, {high:.3f}], {entry["n"]} images'
    )


def _interval(values: np.ndarray, rng, tail: float) -> list[float]:
    """Percentile bootstrap of the mean, `tail` percent left out at each end."""
    means = [
        values[rng.integers(0, len(values), (100, len(values)))].mean(1)
        for _ in range(DRAWS // 100)
    ]
    return [_round(q) for q in np.percentile(np.concatenate(means), (tail, 100 - tail))]


def _round(value) -> float:
    return round(float(value), 4)
