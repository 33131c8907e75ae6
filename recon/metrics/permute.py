"""What a pairing is worth: chance and p-value by pairing reconstructions with other truths.

A metric hands over matrices M [b b], M[i, j] = score of reconstruction j against truth i. Where an
image has several reconstructions (one for each of its trials) M is [b k] and says whose each column
is: truths are then permuted over images, since rows of one image are not independent. Cheap
metrics give one matrix of all images. Dear ones (SSIM) give one for each of several random blocks,
and pairings are then permuted within blocks: permutations within blocks are a group, so the test
stays exact; it only costs n b scores instead of n n.
"""

import dataclasses

import numpy as np

from recon.core import stats


@dataclasses.dataclass(frozen=True)
class Pairing:
    """Attributes:
    chance: mean score of wrong pairs (within blocks); None if there is none.
    p: one-sided permutation p of the true pairing, None if it cannot be computed.
    permutations: how many were drawn;  within: images that a truth was exchanged among.
    """

    chance: float | None
    p: float | None
    permutations: int
    within: int


def blocks(n: int, size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Splits range(n) at random into blocks of at least `size` (all of n if size >= n / 2)."""
    order = np.arange(n) if size > n / 2 else rng.permutation(n)
    return np.array_split(order, max(1, n // max(size, 1)))


def pairing_test(
    matrices, *, better: str, permutations: int, rng: np.random.Generator, owners=None
) -> Pairing:
    """Chance and p of the pairing of each reconstruction with the truth of its own image.

    Args:
      matrices: list of [b k], M[i, j] = score of reconstruction j against truth i of the block; NaN
        where undefined (left out of every mean).
      better: 'higher' or 'lower'.
      permutations: K, uniform over all permutations of the images within blocks; 0 for none.
      rng: what draws them.
      owners: list of [k] int, the image (row of M) that each reconstruction is of; default: the
        diagonal, one reconstruction an image.

    Returns:
      Pairing; p is (1 + k) / (1 + K), k the permuted pairings whose mean is at least as good.
    """
    total, count = np.zeros(permutations), np.zeros(permutations)
    own, wrong = [], []
    for matrix, owner in zip(matrices, owners or map(_diagonal, matrices), strict=True):
        b, column = len(matrix), np.arange(len(owner))
        own.append(matrix[owner, column])
        wrong.append(matrix[owner != np.arange(b)[:, None]])
        index = rng.permuted(np.broadcast_to(np.arange(b), (permutations, b)), axis=1)
        drawn = matrix[index[:, owner], column]  # [K k]
        defined = np.isfinite(drawn)
        total += np.where(defined, drawn, 0).sum(1)
        count += defined.sum(1)
    observed, chance = _mean(own), _mean(wrong)
    null = total[count > 0] / count[count > 0]
    p = None
    if observed is not None and chance is not None and len(null):
        p = stats.permutation_p(observed, null, better)
    return Pairing(chance, p, permutations, max(len(m) for m in matrices))


def statistic_test(statistic, n: int, *, better: str, permutations: int, rng) -> Pairing:
    """The same for a statistic that is no mean over pairs (an F1 pooled over images, a mAP).

    Args:
      statistic: index [n] -> float, the statistic with truth index[i] beside prediction i.
      n: number of images.
      better: as in `pairing_test`.
      permutations: the same.
      rng: the same.

    Returns:
      Pairing; chance is the mean over the permuted pairings.
    """
    null = np.array([statistic(rng.permutation(n)) for _ in range(permutations)])
    null = null[np.isfinite(null)]
    if not len(null):
        return Pairing(None, None, permutations, n)
    observed = statistic(np.arange(n))
    p = stats.permutation_p(observed, null, better) if np.isfinite(observed) else None
    return Pairing(float(null.mean()), p, permutations, n)


def _diagonal(matrix):
    return np.arange(len(matrix))


def _mean(parts):
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
