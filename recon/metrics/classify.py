"""Labels against labels: hits, top-k, F1, mean average precision, confusion. Pure functions.

Two kinds of truth: one class an image (int [n]), or any number of categories (0/1 [n k]).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from recon.core import errors


def category_accuracy(pred: Int[np.ndarray, 'n'], truth: Int[np.ndarray, 'n']):
    """1 where the decoded class is the true one, else 0: [n] float64."""
    _same(pred, truth, 'category_accuracy')
    return (np.asarray(pred) == np.asarray(truth)).astype(np.float64)


def top_accuracy(scores: Float[np.ndarray, 'n k'], truth: Int[np.ndarray, 'n'], within: int):
    """1 where fewer than `within` other classes score at least as high as the true one: [n].

    A tie counts against us (scikit-learn breaks ties by the order of the classes); so does NaN.
    """
    own = np.take_along_axis(np.asarray(scores), np.asarray(truth)[:, None], 1)  # [n 1]
    not_beaten = (~(scores < own)).sum(1) - 1  # the own class never beats itself
    return (not_beaten < within).astype(np.float64)


def confusion(pred: Int[np.ndarray, 'n'], truth: Int[np.ndarray, 'n'], k: int):
    """How often class i (row, the truth) was decoded as class j (column): [k k] int64."""
    _same(pred, truth, 'confusion')
    flat = np.asarray(truth, np.int64) * k + np.asarray(pred, np.int64)
    return np.bincount(flat, minlength=k * k).reshape(k, k)


def one_hot(labels: Int[np.ndarray, 'n'], k: int) -> Bool[np.ndarray, 'n k']:
    """One class an image as categories."""
    return np.asarray(labels)[:, None] == np.arange(k)


def counts(pred: Bool[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k'], axis: int):
    """Twice the hits, and twice the hits plus all misses: F1 is their ratio.

    Args:
      pred: 0/1, the categories decoded for each image.
      truth: 0/1, the categories it has.
      axis: 0 gives [k] over images, 1 gives [n] over categories.
    """
    _same(pred, truth, 'f1')
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    return 2.0 * (pred & truth).sum(axis), (pred.sum(axis) + truth.sum(axis)).astype(np.float64)


def f1_by_category(pred: Bool[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']):
    """F1 of each category over the images: [k]; f1_macro is their mean.

    NaN for a category that is neither shown nor decoded (scikit-learn says 0 unless told).
    """
    top, bottom = counts(pred, truth, 0)
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def f1_micro(pred: Bool[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']) -> float:
    """F1 over all decisions at once; NaN if there is none. Interval: `stats.bootstrap_ratio` of
    `counts(..., axis=1)`, so that images are drawn.
    """
    top, bottom = counts(pred, truth, 1)
    return float(top.sum() / bottom.sum()) if bottom.sum() else float('nan')


def average_precision(scores: Float[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']):
    """Average precision of each category over the images: [k]; map is their mean.

    Sum over thresholds of (recall step) x precision, without interpolation; images of equal score
    enter together. NaN for a category that no image has.

    Source: as scikit-learn's average_precision_score.
    """
    _same(scores, truth, 'map')
    scores, truth = np.asarray(scores), np.asarray(truth) > 0
    return np.array([_average_precision(scores[:, i], truth[:, i]) for i in range(truth.shape[1])])


def _average_precision(scores, truth):
    if not truth.any():
        return np.nan
    order = np.argsort(-scores, kind='stable')
    ranked, hits = scores[order], np.cumsum(truth[order])
    last = np.append(ranked[1:] != ranked[:-1], True)  # the last image of each threshold
    hits, taken = hits[last], (np.arange(len(scores)) + 1)[last]
    return float((np.diff(hits, prepend=0) / hits[-1] * hits / taken).sum())


def _same(pred, truth, name):
    if np.shape(pred) != np.shape(truth):
        raise errors.DataInvalid(
            f'{name}: predictions have shape {np.shape(pred)}, truth {np.shape(truth)}',
            'recon/metrics/classify',
            'one prediction for each image and category',
        )
