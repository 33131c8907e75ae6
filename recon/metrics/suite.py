"""Names from a config -> scores with interval, chance and p. The names are those of scores.json.

docs/metrics.md has every definition; the maths is in pixel.py, identify.py and permute.py, nets are
made by feature.py.
"""

import numbers

import numpy as np
from jaxtyping import Float

from recon.core import errors, stats, types
from recon.core import rng as rngs
from recon.metrics import _measure, naming, permute, protocols
from recon.metrics import pictures as shared

LOWER = ('mse', 'mae', 'corrdist', 'lpips')


def known() -> list[str]:
    """Names and patterns of names that `score` takes."""
    return naming.known()


def check(names, nets=None, *, n=None, size=None, protocol: str = 'own') -> None:
    """Refuses names that cannot be scored, before any work; see `naming.check`.

    Args:
      names: as there.
      nets: as there.
      n: as there.
      size: as there.
      protocol: a name of protocols.PROTOCOLS; one of published scores has its own size of pictures
        and its own direction of two-way identification.

    Raises:
      ConfigError: also for a direction that is not the protocol's.
    """
    published = protocols.find(protocol)
    resized = [name for name in names if published.pictures and name in protocols.RESIZED]
    rest = [name for name in names if name not in resized]
    naming.check(names, nets, n=n)
    naming.check(rest or names, nets, size=size if rest else None)
    for name in names:
        kind = naming.parse(name, nets or {}).kind
        if kind.startswith('two_way') and kind not in published.directions:
            raise errors.ConfigError(
                f'{name} is not the direction of protocol {protocol}',
                'config.metrics',
                f"give {name.replace(kind, published.directions[0])}, or protocol 'own'",
            )


def check_settings(seed, draws=10_000, permutations=1_000, threshold=0.5) -> None:
    """Raises ConfigError for settings of `score` that would fail late, or mean nothing.

    Args:
      seed: an integer, 0 or more.
      draws: an integer, 1 or more.
      permutations: an integer, 0 or more.
      threshold: in [0, 1], where pictures lie.
    """
    for key, value, least in (
        ('seed', seed, 0),
        ('draws', draws, 1),
        ('permutations', permutations, 0),
    ):
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < least:
            raise errors.ConfigError(
                f'{key} is {value!r}', f'config.{key}', f'give an integer of {least} or more'
            )
    number = isinstance(threshold, numbers.Real) and not isinstance(threshold, bool)
    if not number or not 0 <= threshold <= 1:  # NaN is in no range
        raise errors.ConfigError(
            f'threshold is {threshold!r}', 'config.threshold', 'pixels lie in [0, 1]: give such one'
        )


def score(
    names,
    recon: Float[np.ndarray, 'n h w 3'],
    truth: Float[np.ndarray, 'n h w 3'],
    *,
    seed: int,
    channels: int = 3,
    threshold: float = 0.5,
    draws: int = 10_000,
    permutations: int = 1_000,
    nets=None,
    retrieval: str = 'pixel',
    candidates: int | None = None,
    clusters=None,
    protocol: str = 'own',
) -> dict[str, types.Score]:
    """Scores reconstructions against what was seen.

    Args:
      names: metric names, see `known()`.
      recon: [n h w 3] in [0, 1].
      truth: the same shape; row i is what reconstruction i should be.
      seed: the config's seed; a score does not depend on which others are asked for.
      channels: 1 if the pictures are one channel copied to three: then one is scored.
      threshold: pixels above it are on, for binary_*.
      draws: bootstrap resamples of images.
      permutations: of the pairing, for p; 0 for none.
      nets: {feature: function [n h w 3] -> [n d]}, as feature.nets makes them; called once a side.
        A function's attributes `weights`, `protocol`, `node` go into the entry.
      retrieval: the feature of brain_to_image_* and image_to_brain_* ('pixel' or a key of nets).
      candidates: images on offer in retrieval; default all n.
      clusters: [n] or None; rows with one value are repeats of one image (their truths are equal):
        they are resampled together, and truths are permuted over images instead of rows.
      protocol: a name of protocols.PROTOCOLS, whose resizings pixcorr and ssim get; `nets` bring
        their own.

    Returns:
      {name: Score}, in the order of `names`, unit 'image', per_unit in the order of the rows.

    Raises:
      ConfigError: see `check` and `check_settings`.
      DataInvalid: shapes that differ, no pictures, NaN in one, two truths in one cluster.
    """
    check_settings(seed, draws, permutations, threshold)
    nets = dict(nets or {})
    recon, truth = np.asarray(recon), np.asarray(truth)
    shared.check(recon, truth, clusters)
    check(names, nets, n=len(truth), size=truth.shape[1:3], protocol=protocol)
    _check_retrieval(retrieval, candidates, nets, len(truth))
    if channels == 1:  # nets still get three
        nets = {name: shared.on_three(net) for name, net in nets.items()}
        recon, truth = recon[..., :1], truth[..., :1]
    pictures = shared.Pictures(
        recon, truth, nets, seed, threshold, retrieval, candidates, clusters, protocol
    )
    return {name: _score(name, pictures, draws, permutations) for name in names}


def check_values(names, feature: str) -> None:
    """Refuses names that `score_values` cannot score: `mse`, `mae`, <kind>_`feature` alone.

    Raises:
      ConfigError: no name, an unknown one, or one of pictures.
    """
    naming.check(names, {feature: None})
    for name in names:
        parsed = naming.parse(name, {feature: None})
        if name not in ('mse', 'mae') and parsed.feature != feature:
            raise errors.ConfigError(
                f'{name} is scored from pictures, this run decodes {feature}',
                'config.metrics',
                f'give mse, mae, two_way_{feature}, corrdist_{feature} or cosine_{feature}',
            )


def score_values(names, decoded, truth, feature: str, **options) -> dict[str, types.Score]:
    """Scores decoded values, such as image statistics, against the true ones.

    Args:
      names: see `check_values`.
      decoded: [n t].
      truth: the same shape.
      feature: what the values are called in the names of metrics.
      **options: `score`'s seed, draws, permutations and clusters.

    Returns:
      {name: Score}, as `score` gives it.
    """
    check_values(names, feature)

    def as_pictures(values):  # one pixel with t channels
        return np.asarray(values, np.float32).reshape(len(values), 1, 1, -1)

    return score(
        names, as_pictures(decoded), as_pictures(truth), nets={feature: _as_they_are}, **options
    )


def _as_they_are(values):
    return values


_as_they_are.weights = 'none'


def summarise(
    per_unit,
    *,
    better: str,
    seed: int,
    unit='image',
    draws=10_000,
    chance=None,
    p=None,
    extra=None,
    clusters=None,
) -> types.Score:
    """A Score from one value for each unit (NaN where undefined): mean and bootstrap interval.

    For metrics that are measured elsewhere: labels, voxels, latents, draws.

    Args:
      per_unit: [n].
      better: 'higher' or 'lower'.
      seed: the config's seed.
      unit: what one value is of: 'image', 'row', 'draw', 'voxel' or 'category'.
      draws: bootstrap resamples.
      chance: what a blind decoder gets, None if unknown.
      p: one-sided permutation p, None if not run (`permute` computes it).
      extra: further keys of the entry, JSON-able.
      clusters: as in `score`.
    """
    per_unit = np.asarray(per_unit, np.float64)
    defined = np.isfinite(per_unit)
    return types.Score(
        mean=float(per_unit[defined].mean()) if defined.any() else None,
        ci95=stats.bootstrap_mean(per_unit, seed=seed, draws=draws, clusters=clusters),
        chance=chance,
        p=p,
        unit=unit,
        better=better,
        n=len(per_unit),
        n_undefined=int((~defined).sum()),
        per_unit=per_unit,
        extra=extra or {},
    )


def _score(name, pictures, draws, permutations):
    parsed = naming.parse(name, pictures.nets)
    better = 'lower' if parsed.kind in LOWER else 'higher'
    per_unit, parts, chance, extra = _measure.measure(parsed, pictures)
    matrices, owners = zip(*parts, strict=True)
    rng = rngs.generator(pictures.seed, 'permutation')
    paired = permute.pairing_test(
        matrices, better=better, permutations=permutations, rng=rng, owners=owners
    )
    extra |= {
        'permutations': paired.permutations,
        'permuted': 'rows' if pictures.clusters is None else 'images',
        'permuted_within': paired.within,
        'bootstrap_draws': draws,
    }
    if chance is not None:  # what this system's own pictures score on the wrong truth
        extra['wrong_pairs'] = paired.chance
    return summarise(
        per_unit,
        better=better,
        seed=pictures.seed,
        draws=draws,
        chance=paired.chance if chance is None else chance,
        p=paired.p,
        extra=extra,
        clusters=pictures.clusters,
    )


def _check_retrieval(retrieval, candidates, nets, n):
    if retrieval != 'pixel' and retrieval not in nets:
        raise errors.ConfigError(
            f'retrieval by {retrieval!r}',
            'config.metrics',
            f'features that exist: {", ".join(["pixel", *sorted(nets)])}',
        )
    if candidates is not None and not 2 <= candidates <= n:
        raise errors.ConfigError(
            f'retrieval among {candidates} candidates, there are {n} images',
            'config.metrics',
            f'give 2 to {n} candidates',
        )
