"""Decoded labels against the true ones, from names to entries of scores.json.

The measures themselves are `classify.py`'s. Truth is one class an image (int [n]) or any number of
categories (0/1 [n k]); decoded are scores [n k], higher is more likely.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from recon.core import errors, stats, types
from recon.core import rng as rngs
from recon.metrics import classify, permute, suite

NAMES = (
    'map',
    'f1_macro',
    'f1_micro',
    'category_accuracy',
    'top1_accuracy',
    'top5_accuracy',
    'first_label_accuracy',
)


def check(names, categories: int | None = None) -> None:
    """Refuses names that cannot be scored, before any work.

    Args:
      names: as in config.metrics.
      categories: their number, if known already.

    Raises:
      ConfigError: no name, an unknown one, one twice, a top 5 of five categories or fewer.
    """
    names = list(names)
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise errors.ConfigError(
            f'{unknown[0]!r} is no metric of labels' if unknown else 'metrics is empty',
            'config.metrics',
            f'names that exist for labels: {", ".join(NAMES)}',
        )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise errors.ConfigError(
            f'metrics names {twice} twice', 'config.metrics', 'name each metric once'
        )
    if categories is not None and categories <= 5 and 'top5_accuracy' in names:
        raise errors.ConfigError(
            f'top5_accuracy of {categories} categories', 'config.metrics', 'it is 1 always: drop it'
        )


def score(
    names,
    scores: Float[np.ndarray, 'n k'],
    truth,
    *,
    seed: int,
    threshold=0.5,
    draws: int = 10_000,
    permutations: int = 1_000,
    clusters=None,
) -> dict[str, types.Score]:
    """Scores decoded labels.

    Chance: of accuracies, always giving the most frequent answer of these very images (so no
    constant answer beats it); of the others the mean over permuted pairings. p: permutation of the
    pairing of images, in every case.

    Args:
      names: of NAMES.
      scores: finite; probabilities, or any numbers.
      truth: int [n], or 0/1 [n k].
      seed: the config's seed.
      threshold: a number or [k]; what is above is named. For f1_macro, f1_micro and
        category_accuracy of several categories; chosen on training or validation rows only. With
        one class an image the highest score is named instead.
      draws: bootstrap resamples (of categories for map and f1_macro, else of images; of a mean over
        categories and images, categories).
      permutations: for p; 0 for none.
      clusters: [n] or None; rows of one value are repeats of one image.

    Returns:
      {name: Score}, in the order of `names`. f1_micro pools the decisions of all images: its mean
      is not that of its per_unit, the F1 of each image.

    Raises:
      ConfigError: see `check` and `suite.check_settings`.
      DataInvalid: shapes that differ, no images, scores that are not finite, a truth that is not
        0 and 1, two truths in one cluster.
    """
    suite.check_settings(seed, draws, permutations)
    scores, truth, decided = _checked(scores, truth, threshold)
    check(names, scores.shape[1])
    image, row = _images(truth, clusters)
    answers = _Answers(scores, decided, truth, classify.ranking(scores))
    return {
        name: _score(name, answers, seed, draws, permutations, clusters, image, row)
        for name in names
    }


@dataclasses.dataclass(frozen=True)
class _Answers:
    """Attributes:
    scores: [n k].  decided: 0/1 [n k].  truth: int [n] or 0/1 [n k].
    ranks: `classify.ranking` of the scores.
    """

    scores: np.ndarray
    decided: np.ndarray
    truth: np.ndarray
    ranks: tuple

    @property
    def hot(self) -> np.ndarray:
        one = self.truth.ndim == 1
        return classify.one_hot(self.truth, self.scores.shape[1]) if one else self.truth > 0


@dataclasses.dataclass(frozen=True)
class _Measure:
    """Attributes:
    values: answers -> one value a unit, NaN where undefined.
    unit: 'image' or 'category'.
    chance: answers -> number, or None: the mean over permuted pairings.
    """

    values: Callable
    unit: str
    chance: Callable | None = None


def _measure(name: str, one_class: bool) -> _Measure:
    if name == 'map':
        return _Measure(
            lambda a: classify.average_precision(a.scores, a.hot, a.ranks), unit='category'
        )
    if name == 'f1_macro':
        return _Measure(lambda a: classify.f1_by_category(a.decided, a.hot), unit='category')
    if name == 'f1_micro':
        return _Measure(lambda a: _ratio(*classify.counts(a.decided, a.hot, 1)), unit='image')
    if name == 'first_label_accuracy':
        return _Measure(
            lambda a: classify.first_label_accuracy(a.scores, a.hot),
            unit='image',
            chance=lambda a: float(np.bincount(a.hot.argmax(1)).max() / len(a.hot)),
        )
    if name == 'category_accuracy' and not one_class:
        return _Measure(
            lambda a: classify.decision_accuracy(a.decided, a.hot),
            unit='category',
            chance=lambda a: classify.decision_chance(a.hot),
        )
    if name == 'category_accuracy':
        return _Measure(
            lambda a: classify.category_accuracy(a.decided.argmax(1), a.truth),
            unit='image',
            chance=lambda a: classify.top_chance(a.hot, 1),
        )
    within = int(name[3])
    return _Measure(
        lambda a: classify.top_accuracy(a.scores, a.truth, within),
        unit='image',
        chance=lambda a: classify.top_chance(a.hot, within),
    )


def _score(name, answers, seed, draws, permutations, clusters, image, row) -> types.Score:
    measure = _measure(name, answers.truth.ndim == 1)
    pooled = name == 'f1_micro'

    def mean(truth):
        given = dataclasses.replace(answers, truth=truth)
        if pooled:
            return classify.f1_micro(given.decided, given.hot)
        values = measure.values(given)
        return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan

    paired = permute.statistic_test(
        lambda index: mean(answers.truth[row[index]][image]),
        len(row),
        better='higher',
        permutations=permutations,
        rng=rngs.generator(seed, 'permutation'),
    )
    chance = measure.chance(answers) if measure.chance else paired.chance
    extra = {'permutations': permutations, 'permuted': 'images', 'bootstrap_draws': draws}
    if measure.chance:
        extra['wrong_pairs'] = paired.chance
    found = suite.summarise(
        measure.values(answers),
        better='higher',
        seed=seed,
        unit=measure.unit,
        draws=draws,
        chance=chance,
        p=paired.p,
        extra=extra | {'categories': answers.scores.shape[1]},
        clusters=clusters if measure.unit == 'image' else None,
    )
    if not pooled:
        return found
    sums = [np.bincount(image, part) for part in classify.counts(answers.decided, answers.hot, 1)]
    whole = mean(answers.truth)
    return dataclasses.replace(
        found,
        mean=whole if np.isfinite(whole) else None,
        ci95=stats.bootstrap_ratio(*sums, seed=seed, draws=draws),
    )


def _ratio(top, bottom):
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _images(truth, clusters) -> tuple[np.ndarray, np.ndarray]:
    """The image of each row [n], and a row of each image [m]."""
    if clusters is None:
        return np.arange(len(truth)), np.arange(len(truth))
    _, row, image = np.unique(clusters, return_index=True, return_inverse=True)
    if not np.array_equal(np.asarray(truth)[row][image], truth):
        raise errors.DataInvalid(
            'rows of one image have different labels', 'labels', 'labels are of images, not rows'
        )
    return image.reshape(-1), row


def _checked(scores, truth, threshold):
    scores, truth = np.asarray(scores), np.asarray(truth)
    wanted = scores.shape if truth.ndim == 2 else scores.shape[:1]
    if scores.ndim != 2 or not scores.size or truth.shape != wanted:
        raise errors.DataInvalid(
            f'scores have shape {scores.shape}, labels {truth.shape}',
            'labels',
            'wanted scores [images, categories] with a class [images] or labels of the same shape',
        )
    if not np.isfinite(scores).all():
        raise errors.DataInvalid(
            f'{int((~np.isfinite(scores)).sum())} scores are not finite', 'labels', 'mend them'
        )
    allowed = (0, 1) if truth.ndim == 2 else range(scores.shape[1])
    if not np.isin(truth, list(allowed)).all():
        raise errors.DataInvalid(
            f'labels lie in {truth.min()} to {truth.max()}',
            'labels',
            'wanted 0 and 1 [images, categories], or classes below the number of scores',
        )
    if truth.ndim == 1:
        return scores, truth, classify.one_hot(scores.argmax(1), scores.shape[1])
    if np.shape(threshold) not in ((), scores.shape[1:]):
        raise errors.DataInvalid(
            f'{np.shape(threshold)} thresholds for {scores.shape[1]} categories',
            'labels',
            'one number, or one each',
        )
    return scores, truth, scores > threshold
