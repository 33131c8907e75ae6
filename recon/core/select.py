"""Which voxels to use: F score, correlation, and the k best. numpy, float64 inside.

Cost of the F scores of many targets: one matrix product of the rows with the indicators of all
levels of all targets, O(n v l), l the number of levels over all targets.
"""

import numpy as np
from jaxtyping import Float, Int

from recon.core import errors

_BLOCK = 1024  # voxels at a time: sums of squares stay in the cache, memory stays small


def f_score(x: Float[np.ndarray, 'n v'], classes: np.ndarray) -> Float[np.ndarray, ' v']:
    """One-way analysis of variance of each voxel over the classes of the rows.

    Args:
      x: voxels, any unit.
      classes: [n] class of each row, any type that sorts.

    Returns:
      F >= 0, float64, no unit; 0 for a constant voxel or a single class, infinity where the classes
      explain a voxel without rest.

    Raises:
      DataInvalid: the number of rows differs, or every row is a class of its own.
    Source: Heiman 2002; equal to scikit-learn's f_classif but for constant voxels (NaN there).
    """
    return f_scores(x, np.asarray(classes)[:, None])[0]


def f_scores(x: Float[np.ndarray, 'n v'], classes: np.ndarray) -> Float[np.ndarray, 't v']:
    """`f_score` for many targets at once, each with a few discrete levels.

    F = (between / (k - 1)) / (within / (n - k)), between = sum_c S_c^2 / n_c, S_c the sum of the
    centred voxel over the rows of class c: one product of indicators [l n] and voxels [n v].

    Args:
      x: voxels, any unit.
      classes: [n t] level of each row for each target.

    Returns:
      [t v] float64.

    Raises:
      DataInvalid: the number of rows differs, or a target has a level of its own for every row.
    """
    x, classes = np.asarray(x), np.asarray(classes)
    _same_rows(x, classes, 'select.f_scores')
    member, starts, levels = _indicators(classes)  # [n l], [t], [t]
    counts = member.sum(0)
    between_df, within_df = levels - 1, len(x) - levels
    scores = np.zeros((classes.shape[1], x.shape[1]))
    for first in range(0, x.shape[1], _BLOCK):
        part = x[:, first : first + _BLOCK].astype(np.float64)
        constant = part.max(0) == part.min(0)
        part -= part.mean(0)
        sums = member.T @ part  # [l b]
        between = np.add.reduceat(sums**2 / counts[:, None], starts, axis=0)  # [t b]
        within = np.maximum((part**2).sum(0) - between, 0)
        with np.errstate(divide='ignore', invalid='ignore'):
            f = (between / within) * (within_df / between_df)[:, None]
        f[:, constant] = 0
        scores[:, first : first + _BLOCK] = f
    scores[between_df == 0] = 0
    return scores


def correlation(x: Float[np.ndarray, 'n v'], y: Float[np.ndarray, 'n t']) -> np.ndarray:
    """Pearson's r of every voxel with every target; 0 where either is constant.

    Args:
      x: voxels, any unit.
      y: targets, any unit.

    Returns:
      [v t] in [-1, 1], float64 where both are, else float32 (the statistics are always float64).

    Raises:
      DataInvalid: the number of rows differs.
    """
    x, y = np.asarray(x), np.asarray(y)
    _same_rows(x, y, 'select.correlation')
    dtype = np.result_type(x, y, np.float32)
    r = _unit(x).astype(dtype).T @ _unit(y).astype(dtype)
    return np.clip(r, -1, 1, out=r)


def top(scores: Float[np.ndarray, '... v'], k: int) -> Int[np.ndarray, '... k']:
    """The k highest scores along the last axis, as indices in ascending order.

    Of equal scores the later index wins, as in scikit-learn's SelectKBest; NaN counts as lowest.

    Args:
      scores: any number of leading axes.
      k: how many, 1 <= k; more than there are means all.

    Raises:
      ConfigError: k is below 1.
    """
    if k < 1:
        raise errors.ConfigError(f'k is {k}', 'select.top', 'choose at least one voxel')
    scores = np.asarray(scores)
    v = scores.shape[-1]
    k = min(int(k), v)
    scores = np.where(np.isnan(scores), -np.inf, scores)
    least = np.partition(scores, v - k, axis=-1)[..., v - k, None]  # the k-th highest score
    above, equal = scores > least, scores == least
    room = k - above.sum(-1, keepdims=True)
    later = np.cumsum(equal[..., ::-1], -1)[..., ::-1]  # equals from here to the end
    chosen = above | (equal & (later <= room))
    return np.nonzero(chosen)[-1].reshape(*scores.shape[:-1], k)


def _indicators(classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """0/1 columns [n l] of all levels, target by target; first column and levels of each target."""
    columns, levels = [], []
    for t, column in enumerate(classes.T):
        values = np.unique(column)
        if len(values) >= len(column):
            raise errors.DataInvalid(
                f'target {t} has {len(values)} levels in {len(column)} rows',
                'select.f_scores',
                'the F score needs discrete levels; for continuous targets select by correlation',
            )
        columns.append(column[:, None] == values)
        levels.append(len(values))
    levels = np.array(levels)
    return np.concatenate(columns, 1).astype(np.float64), np.cumsum(levels) - levels, levels


def _unit(a: np.ndarray) -> np.ndarray:
    """Columns centred and of length 1, float64; constant columns are 0."""
    constant = a.max(0) == a.min(0)
    a = a.astype(np.float64)
    a -= a.mean(0)
    norm = np.sqrt((a**2).sum(0))
    a *= np.where(constant | (norm == 0), 0, 1 / np.where(norm == 0, 1, norm))
    return a


def _same_rows(x: np.ndarray, y: np.ndarray, where: str) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise errors.DataInvalid(
            f'voxels have shape {x.shape}, targets {y.shape}',
            where,
            'both must be [rows, columns] with the same rows, at least one',
        )
