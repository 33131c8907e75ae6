"""From scores of categories to yes or no: the threshold of the best F1, numpy only.

A threshold is chosen on rows that no score is reported of (left-out training rows), never on test
rows: the best threshold of the test rows themselves is a score that nobody can reach.
"""

import numpy as np
from jaxtyping import Float

from recon.core import errors


def best_f1(scores: Float[np.ndarray, 'n'], truth: Float[np.ndarray, 'n']) -> float:
    """The threshold t for which `scores > t` has the highest F1.

    Halfway between two neighbouring scores; of equally good ones the highest (fewest are named).

    Args:
      scores: any finite numbers, higher is more likely.
      truth: 0 or 1; at least one 1.

    Source: Lipton, Elkan and Naryanaswamy 2014, section 3 (the search over sorted scores).
    """
    order = np.argsort(-scores, kind='stable')
    ranked = np.asarray(scores, np.float64)[order]
    hits = np.cumsum(truth[order] > 0)
    taken = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (taken + hits[-1])
    below = np.append(ranked[1:], ranked[-1] - 1)
    f1[ranked == below] = -1  # equal scores are named together
    best = int(np.argmax(f1))
    return float((ranked[best] + below[best]) / 2)


def choose(
    scores: Float[np.ndarray, 'n k'], truth: Float[np.ndarray, 'n k'], least: int = 10
) -> Float[np.ndarray, 'k']:
    """A threshold for each category, `best_f1` of its own rows.

    Args:
      scores: of rows that were left out.
      truth: 0 or 1.
      least: a category shown fewer times than this takes the threshold that is best over all
        decisions at once (its own would be noise); so does one that is never shown.

    Returns:
      float32; 0.5 everywhere if no category is shown.

    Raises:
      DataInvalid: shapes that differ, no rows, scores that are not finite.
    """
    scores, truth = np.asarray(scores), np.asarray(truth)
    if scores.shape != truth.shape or scores.ndim != 2 or not len(scores):
        raise errors.DataInvalid(
            f'scores have shape {scores.shape}, labels {truth.shape}',
            'thresholds.choose',
            'wanted [rows, categories] twice, at least one row',
        )
    if not np.isfinite(scores).all():
        raise errors.DataInvalid(
            f'{int((~np.isfinite(scores)).sum())} scores are not finite',
            'thresholds.choose',
            'check the decoder: lower its learning_rate',
        )
    shown = (truth > 0).sum(0)
    if not shown.any():
        return np.full(scores.shape[1], 0.5, np.float32)
    shared = best_f1(scores.ravel(), truth.ravel())
    each = [
        best_f1(scores[:, i], truth[:, i]) if shown[i] >= max(least, 1) else shared
        for i in range(scores.shape[1])
    ]
    return np.array(each, np.float32)
