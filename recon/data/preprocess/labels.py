"""Labels of pictures as 0 and 1: many categories a picture, or one class each; and their counts.

A reader gives `BrainData.labels` {id: class, or [k] 0/1, or [k] share of the picture}. A category
that covers little of a picture was hardly seen: with shares, what is below a threshold is no label
(the first seed report's coverage filter; COCO's reader has the same rule as `min_coverage`).
"""

import numpy as np
from jaxtyping import Float, Int

from recon.core import errors


def coverage(
    box: Float[np.ndarray, 'q 4'],
    row: Int[np.ndarray, 'q'],
    category: Int[np.ndarray, 'q'],
    pictures: int,
    categories: int,
    size: int,
) -> Float[np.ndarray, 'm k']:
    """Share of each picture that the boxes of each category cover; overlaps count once.

    Args:
      box: x, y, width, height in pixels of the shown picture; what leaves it is cut off.
      row: the picture of each box.
      category: the category of each box.
      pictures: m.
      categories: k.
      size: pixels on a side of the picture.
    """
    out = np.zeros((pictures, categories), np.float32)
    x, y, width, height = np.asarray(box, np.float64).reshape(-1, 4).T
    edges = np.stack([x, y, x + width, y + height], 1)
    edges = np.clip(np.round(edges), 0, size).astype(int)  # [q 4]
    pairs = np.stack([row, category], 1).reshape(-1, 2)
    for m, k in np.unique(pairs, axis=0):
        covered = np.zeros((size, size), bool)
        for left, top, right, bottom in edges[(pairs == (m, k)).all(1)]:
            covered[top:bottom, left:right] = True
        out[m, k] = covered.mean()
    return out


def multi_hot(labels: dict, ids, categories: int, threshold: float = 0.0) -> np.ndarray:
    """[m k] float32, 1 where a picture has a category.

    Args:
      labels: {id: int, or [k] of 0/1 or of shares}.
      ids: [m] pictures.
      categories: k.
      threshold: smallest share that counts, in [0, 1); a category of share 0 is never a label. With
        0/1 labels it changes nothing.

    Raises:
      DataInvalid: a picture without an entry, classes outside 0 to k - 1, another number of
        categories, negative shares.
      ConfigError: the threshold.
    """
    if not 0 <= threshold < 1:
        raise errors.ConfigError(
            f'threshold of coverage is {threshold!r}', 'labels', 'a share of the picture in [0, 1)'
        )
    ids = np.asarray(ids).tolist()
    absent = [i for i in ids if i not in labels]
    if absent:
        raise errors.DataInvalid(
            f'{len(absent)} of {len(ids)} pictures have no labels, first {absent[0]!r}',
            'labels',
            'give the annotations of all pictures, or leave those out',
        )
    values = np.array([labels[i] for i in ids])
    if values.ndim == 1:
        if len(values) and not (values.min() >= 0 and values.max() < categories):
            raise errors.DataInvalid(
                f'classes are {values.min()} to {values.max()}',
                'labels',
                f'wanted 0 to {categories - 1}, one name each',
            )
        return (values[:, None] == np.arange(categories)).astype(np.float32)
    if values.shape != (len(ids), categories) or (values < 0).any():
        raise errors.DataInvalid(
            f'labels have shape {values.shape}, smallest {values.min(initial=0)}',
            'labels',
            f'wanted {categories} categories a picture, none of them negative',
        )
    return ((values > 0) & (values >= threshold)).astype(np.float32)


def imbalance(hot: Float[np.ndarray, 'm k'], names=()) -> dict:
    """How unequal categories are, JSON-able: what a score has to be read beside.

    Args:
      hot: 0/1.
      names: of the categories; default their numbers.

    Returns:
      pictures, categories (numbers); positives {name: pictures}, most frequent first; never and
      always (names without a picture, without one lacking it); per_picture {mean, least, most};
      unlabelled (pictures without a label); ratio (most over least frequent that occurs, None
      where none does).
    """
    hot = np.asarray(hot) > 0
    names = list(names) or [str(i) for i in range(hot.shape[1])]
    count, each = hot.sum(0), hot.sum(1)
    order = np.argsort(-count, kind='stable')
    there = count[count > 0]
    return {
        'pictures': len(hot),
        'categories': hot.shape[1],
        'positives': {names[i]: int(count[i]) for i in order},
        'never': [names[i] for i in np.flatnonzero(count == 0)],
        'always': [names[i] for i in np.flatnonzero(count == len(hot))],
        'per_picture': {
            'mean': float(each.mean()) if len(each) else 0.0,
            'least': int(each.min(initial=hot.shape[1])),
            'most': int(each.max(initial=0)),
        },
        'unlabelled': int((each == 0).sum()),
        'ratio': float(there.max() / there.min()) if len(there) else None,
    }


def learnable(hot: Float[np.ndarray, 'm k'], least: int = 1) -> np.ndarray:
    """[k] bool: at least `least` training pictures have the category, and as many lack it."""
    count = (np.asarray(hot) > 0).sum(0)
    return (count >= least) & (len(hot) - count >= least)
