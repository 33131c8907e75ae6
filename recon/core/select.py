"""Which voxels to use: F score, correlation, and the k best. numpy.

Cost of the F scores of many targets: one matrix product of the rows with the indicators of all
levels of all targets, O(n v l), l the number of levels over all targets. Voxels are centred in
float64; sums over rows are taken in the dtype of the voxels (float32 gives F to about 1e-6).
"""

import numpy as np
from jaxtyping import Float, Int

from recon.core import errors

_BLOCK = 512  # voxels at a time: their sums stay in the cache, products stay large


def f_score(x: Float[np.ndarray, 'n v'], classes: np.ndarray) -> Float[np.ndarray, ' v']:
    """One-way analysis of variance of each voxel over the classes of the rows.

    Args:
      x: voxels, any unit.
      classes: [n] class of each row, any type that sorts.

    Returns:
      F >= 0, no unit, in the dtype of the voxels; 0 for a constant voxel or a single class,
      infinity where the classes explain a voxel without rest.

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
      [t v] float64, or float32 if the voxels are.

    Raises:
      DataInvalid: the number of rows differs, or a target has a level of its own for every row.
    """
    x, classes = np.asarray(x), np.asarray(classes)
    _same_rows(x, classes, 'select.f_scores')
    dtype = np.result_type(x, np.float32)
    member, starts, levels = _indicators(classes)  # [n l], [t], [t]
    mean = (member / np.sqrt(member.sum(0))).T.astype(dtype)  # [l n]
    between_df, within_df = levels - 1, len(x) - levels
    ratio = (within_df / np.maximum(between_df, 1)).astype(dtype)[:, None]
    scores = np.empty((classes.shape[1], x.shape[1]), dtype)
    for first in range(0, x.shape[1], _BLOCK):
        part = x[:, first : first + _BLOCK].astype(np.float64)
        constant = part.max(0) == part.min(0)
        part -= part.mean(0)
        total = np.einsum('nv,nv->v', part, part).astype(dtype)
        squares = np.square(mean @ part.astype(dtype))  # [l b]
        between = np.add.reduceat(squares, starts, axis=0)  # [t b]
        within = np.maximum(total - between, 0)
        with np.errstate(divide='ignore', invalid='ignore'):
            between /= within
        between *= ratio
        between[:, constant] = 0
        scores[:, first : first + _BLOCK] = between
    scores[between_df == 0] = 0
    return scores


def moments(x: Float[np.ndarray, 'n v']) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (divided by n) of each voxel, float64.

    The deviation of a constant voxel is exactly 0, whatever rounding its mean has.
    """
    x = np.asarray(x)
    mean, deviation = np.empty(x.shape[1]), np.empty(x.shape[1])
    for first in range(0, x.shape[1], _BLOCK):
        block = slice(first, first + _BLOCK)
        part = x[:, block].astype(np.float64)
        changes = part.max(0) != part.min(0)
        mean[block] = part.mean(0)
        part -= mean[block]
        deviation[block] = np.sqrt(np.einsum('nv,nv->v', part, part) / len(x)) * changes
    return mean, deviation


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
    r = _unit(x, dtype).T @ _unit(y, dtype)
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
    missing = np.isnan(scores)
    if missing.any():
        scores = np.where(missing, -np.inf, scores)
    least = np.partition(scores, v - k, axis=-1)[..., v - k, None]  # the k-th highest score
    chosen = scores >= least
    if (chosen.sum(-1) > k).any():  # several voxels tie for the last place
        above, equal = scores > least, scores == least
        later = np.cumsum(equal[..., ::-1], -1)[..., ::-1]  # equals from here to the end
        chosen = above | (equal & (later <= k - above.sum(-1, keepdims=True)))
    return (np.flatnonzero(chosen) % v).reshape(*scores.shape[:-1], k)


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


def _unit(a: np.ndarray, dtype) -> np.ndarray:
    """Columns centred and of length 1; constant columns are 0."""
    mean, deviation = moments(a)
    length = deviation * np.sqrt(len(a))
    inverse = np.where(length == 0, 0, 1 / np.where(length == 0, 1, length))
    return (a - mean).astype(dtype) * inverse.astype(dtype)


def _same_rows(x: np.ndarray, y: np.ndarray, where: str) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise errors.DataInvalid(
            f'voxels have shape {x.shape}, targets {y.shape}',
            where,
            'both must be [rows, columns] with the same rows, at least one',
        )
