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


def decision_accuracy(pred: Bool[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']):
    """Share of images for which the yes or no to each category is right: [k] float64.

    category_accuracy of several categories an image is their mean. A rare category is right nearly
    always where nothing is ever named: read it beside its chance, `decision_chance`.
    """
    _same(pred, truth, 'category_accuracy')
    return ((np.asarray(pred) > 0) == (np.asarray(truth) > 0)).mean(0)


def decision_chance(truth: Bool[np.ndarray, 'n k']) -> float:
    """`decision_accuracy`, mean over categories, of always giving the more frequent answer."""
    share = (np.asarray(truth) > 0).mean(0)
    return float(np.maximum(share, 1 - share).mean())


def top_accuracy(scores: Float[np.ndarray, 'n k'], truth, within: int):
    """1 where a true category is among the `within` highest, else 0: [n] float64.

    The best of the true categories counts: 1 if fewer than `within` categories that are not true
    score at least as high. A tie counts against us (scikit-learn breaks ties by the order of the
    classes); so does NaN. NaN for an image without a category.

    Args:
      scores: higher is more likely.
      truth: int [n], one class an image; or 0/1 [n k].
      within: 1 for top1_accuracy, 5 for top5_accuracy.
    """
    scores, truth = np.asarray(scores), np.asarray(truth)
    truth = one_hot(truth, scores.shape[1]) if truth.ndim == 1 else truth > 0
    known = np.where(truth & ~np.isnan(scores), scores, -np.inf)
    best = known.max(1, keepdims=True)  # [n 1]
    not_beaten = (~truth & ~(scores < best)).sum(1)
    own = np.isfinite(best[:, 0]) | ~truth.any(1)
    return np.where(truth.any(1), own & (not_beaten < within), np.nan).astype(np.float64)


def top_chance(truth: Bool[np.ndarray, 'n k'], within: int) -> float | None:
    """`top_accuracy` of always naming the most frequent categories; None without any label."""
    truth = np.asarray(truth) > 0
    often = np.argsort(-truth.sum(0), kind='stable')[:within]
    labelled = truth[truth.any(1)]
    return float(labelled[:, often].any(1).mean()) if len(labelled) else None


def first_label_accuracy(scores: Float[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']):
    """1 where the highest score is that of the image's first category, else 0: [n] float64.

    What the first seed report calls accuracy (Keras's CategoricalAccuracy on several categories an
    image): of its true categories only the one that stands first in the list counts, and an image
    without any counts as showing category 0. For comparison with that report alone.
    """
    _same(scores, truth, 'first_label_accuracy')
    return (np.argmax(scores, 1) == np.argmax(np.asarray(truth) > 0, 1)).astype(np.float64)


def confusion(pred, truth, k: int | None = None):
    """How often category i (row, the truth) was decoded as category j (column): [k k].

    One class an image: counts, int64. Several: float64, image by image: a category that is shown
    and decoded counts 1 on the diagonal; one that is shown and missed is shared equally among the
    categories that were decoded there and are not shown (1 / their number each). A miss beside
    which nothing wrong was decoded has no column, and a false alarm beside which nothing was missed
    no row: both are left out. With `as_many` decoded as shown there are none of either: then row i
    sums to the images of category i, and the diagonal's share of all is the share of right names.

    Args:
      pred: int [n], or 0/1 [n k].
      truth: as `pred`.
      k: number of classes, for int.
    """
    _same(pred, truth, 'confusion')
    if np.ndim(pred) == 1:
        flat = np.asarray(truth, np.int64) * k + np.asarray(pred, np.int64)
        return np.bincount(flat, minlength=k * k).reshape(k, k)
    pred, truth = np.asarray(pred) > 0, np.asarray(truth) > 0
    wrong = (pred & ~truth).astype(np.float64)
    wrong /= np.maximum(wrong.sum(1, keepdims=True), 1)
    missed = (truth & ~pred).astype(np.float64)
    return missed.T @ wrong + np.diag((pred & truth).sum(0).astype(np.float64))


def as_many(scores: Float[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k']):
    """0/1 [n k]: for each image as many categories as it has, those of the highest scores.

    It is told how many there are, so it is for pictures of confusions, not for scores. Equal scores
    stand in the order of the categories.
    """
    _same(scores, truth, 'as_many')
    order = np.argsort(-np.asarray(scores), axis=1, kind='stable')
    place = np.argsort(order, axis=1)
    return place < (np.asarray(truth) > 0).sum(1, keepdims=True)


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


def average_precision(scores: Float[np.ndarray, 'n k'], truth: Bool[np.ndarray, 'n k'], ranks=None):
    """Average precision of each category over the images: [k]; map is their mean.

    Sum over thresholds of (recall step) x precision, without interpolation; images of equal score
    enter together. NaN for a category that no image has.

    Args:
      scores: higher is more likely.
      truth: 0/1.
      ranks: `ranking(scores)`, where many truths are held against the same scores.

    Source: as scikit-learn's average_precision_score.
    """
    _same(scores, truth, 'map')
    order, last = ranking(scores) if ranks is None else ranks
    hit = np.take_along_axis(np.asarray(truth) > 0, order, 0)  # [n k], best image first
    hits = np.cumsum(hit, 0)
    precision = np.take_along_axis(hits, last, 0) / (last + 1)
    total = hits[-1].astype(np.float64)
    found = np.where(hit, precision, 0).sum(0)
    return np.divide(found, total, out=np.full(len(total), np.nan), where=total > 0)


def ranking(scores: Float[np.ndarray, 'n k']):
    """Images of each category, best first, and the last place with the same score: int [n k] each.

    Place 0 is the best.
    """
    scores = np.asarray(scores)
    order = np.argsort(-scores, axis=0, kind='stable')
    ranked = np.take_along_axis(scores, order, 0)
    ends = np.append(ranked[1:] != ranked[:-1], np.ones((1, scores.shape[1]), bool), 0)
    n = np.arange(len(scores))[:, None]
    last = np.where(ends, n, len(scores) - 1)
    return order, np.minimum.accumulate(last[::-1], 0)[::-1]


def _same(pred, truth, name):
    if np.shape(pred) != np.shape(truth):
        raise errors.DataInvalid(
            f'{name}: predictions have shape {np.shape(pred)}, truth {np.shape(truth)}',
            'recon/metrics/classify',
            'one prediction for each image and category',
        )
