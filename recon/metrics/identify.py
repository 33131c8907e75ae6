"""Which picture was it? Identification and retrieval from a matrix of similarities.

Everywhere S[i, j] is the similarity of TRUTH i and RECONSTRUCTION j, and every result W [n n] has
W[i, j] = score of reconstruction j if truth i were its own, so the scores are the diagonal and a
permuted pairing reads other entries. A tie is a failure; so is an undefined similarity.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from recon.core import stats

# Similarities closer than this are one: sums of equal numbers in another order differ by 1e-15.
TIE = 1e-10


def wins(similarity: Float[np.ndarray, 'n n']) -> Int[np.ndarray, 'n n']:
    """W[i, j] = how many other truths k are less similar to reconstruction j than truth i is.

    Strictly less (by more than TIE): ties and NaN are not counted. Cost: n sorts of n.

    Source: Kay et al. 2008; as computed by Ozcelik and VanRullen 2023 for i = j.
    """
    out = np.empty(similarity.shape, np.int32)
    for j, column in enumerate(similarity.T):
        defined = np.isfinite(column)
        ordered = np.sort(column[defined])
        out[:, j] = np.where(defined, np.searchsorted(ordered, column - TIE), 0)
    return out


def doubtful(similarity: Float[np.ndarray, 'n n']) -> dict:
    """Comparisons of `wins` on the diagonal that failed without a clear loser.

    Returns:
      {'comparisons': n (n - 1), 'ties': int, 'undefined_as_failure': int}.
    """
    n = len(similarity)
    distance = np.abs(similarity - np.diagonal(similarity))
    distance = distance[~np.eye(n, dtype=bool)]
    return {
        'comparisons': n * (n - 1),
        'ties': int((distance <= TIE).sum()),
        'undefined_as_failure': int(np.isnan(distance).sum()),
    }


def two_way(similarity: Float[np.ndarray, 'n n']) -> Float[np.ndarray, 'n n']:
    """Share of the n - 1 other TRUTHS that lose against the own one, reconstruction fixed.

    NaN for n = 1. Chance 1/2. The direction of Brain-Diffuser, MindEye, and Shen et al. 2019.
    """
    n = len(similarity)
    return wins(similarity) / (n - 1) if n > 1 else np.full((1, 1), np.nan)


def two_way_takagi(similarity: Float[np.ndarray, 'n n']) -> Float[np.ndarray, 'n n']:
    """Share of the n - 1 other RECONSTRUCTIONS that lose against the own one, truth fixed.

    Row i of the result belongs to truth i. Source: Takagi and Nishimoto 2023 (one sample here).
    """
    return two_way(similarity.T).T


def nway(similarity: Float[np.ndarray, 'n n'], k: int) -> Float[np.ndarray, 'n n']:
    """Probability that the own truth beats k - 1 others drawn without replacement. Chance 1 / k.

    The expectation over all draws in closed form: with w wins among n - 1 others it is
    C(w, k - 1) / C(n - 1, k - 1). k = 2 is `two_way`.
    """
    return top(wins(similarity), 1, k)


def brain_to_image(similarity, within: int = 1, candidates: int | None = None):
    """Given the brain's side (column), is the own image among the first `within` of the images?

    Args:
      similarity: [n n], row = image, column = what was decoded from the brain; cosine as a rule.
      within: 1 for top-1, 5 for top-5.
      candidates: how many images are on offer, the own one included; default all n. Fewer are the
        expectation over all draws in closed form, so no draws are made.

    Returns:
      [n n] in [0, 1]. Chance within / candidates.
    """
    return top(wins(similarity), within, candidates or len(similarity))


def image_to_brain(similarity, within: int = 1, candidates: int | None = None):
    """Given an image (row), is its own brain side among the first `within` of the brain sides?"""
    return brain_to_image(similarity.T, within, candidates).T


def top(won, within: int, candidates: int, others: int | None = None):
    """P(fewer than `within` of candidates - 1 others drawn without replacement were not beaten).

    Args:
      won: [n n] (any shape with `others`) int, how many of the n - 1 others each entry beats.
      within: 1 or more.
      candidates: 2 to n, the own one included.
      others: n - 1; default from the shape of `won`.

    Returns:
      float64 of the shape of `won`: sum over f < within of hypergeometric probabilities.
    """
    others, drawn = len(won) - 1 if others is None else others, candidates - 1
    beaten = np.arange(others + 1)
    table = np.zeros(others + 1)
    for failed in range(min(within, drawn + 1)):
        ways = _log_choose(beaten, drawn - failed) + _log_choose(others - beaten, failed)
        table += np.exp(ways - _log_choose(others, drawn))
    return np.minimum(table, 1)[won]


def chance(
    n: int, defined: int, within: int, candidates: int, *, truths_compete: bool = True
) -> float:
    """Expected score of a decoder that knows nothing, each of whose reconstructions is defined.

    within / candidates, if every truth has a similarity. An undefined truth (a blank picture under
    Pearson) fails whatever is decoded, and is beaten by nothing where it competes: it takes away
    from chance as it does from every score. An undefined reconstruction is the decoder's own fault
    and does not.

    Args:
      n: images.
      defined: how many of their truths have a similarity.
      within: 1 or more.
      candidates: 2 for two-way, k for n-way.
      truths_compete: whether the other candidates are truths (else reconstructions).

    Returns:
      Mean over images; for an image of a defined truth the rank of it is uniform among the defined.
    """
    if defined == n:
        return min(1.0, within / candidates)
    if not defined:
        return 0.0
    if not truths_compete:
        return min(1.0, within / candidates) * defined / n
    others, won = n - 1, np.arange(defined)
    return float(top(won, within, candidates, others).mean() * defined / n)


def _log_choose(n, k):
    n = np.asarray(n, np.float64)
    with np.errstate(invalid='ignore'):
        log = -np.log1p(n) - special.betaln(n - k + 1, k + 1)
    return np.where(n >= k, log, -np.inf)


def nearest_training(recon: Float[np.ndarray, 'n h w c'], train: Float[np.ndarray, 'm h w c']):
    """The training image most like each RECONSTRUCTION by pixel correlation, never by the truth.

    What a system gains over looking up its training set. Where the correlation is undefined (a
    constant reconstruction) the training image of least squared error is taken.

    Returns:
      [n] int64, rows of `train`; the first of equals.
    """
    a, b = recon.reshape(len(recon), -1), train.reshape(len(train), -1)
    correlation = stats.pearson_matrix(a, b)
    index = np.where(np.isnan(correlation), -np.inf, correlation).argmax(1)
    flat = np.isnan(correlation).all(1)
    if flat.any():
        size = np.einsum('md,md->m', b, b, dtype=np.float64)
        index[flat] = (size - 2 * stats.dot_matrix(a[flat], b)).argmin(1)
    return index
