"""Labels of pictures as a target: which categories, what is a yes, and what a run leaves of them.

A target with net 'labels' is [m k], 1 where a picture has a category. Its categories are those of
the recording that training pictures teach; a category that covers too little of a picture can be
left out where the recording knows how much it covers (the first seed report's filter).
"""

import numpy as np
from jaxtyping import Float

from recon.core import errors, image, rng, thresholds, types
from recon.data.preprocess import labels as hot
from recon.metrics import classify
from recon.metrics import labels as metrics

NET, LAYER = 'labels', 'categories'
DECIDED = ('f1_macro', 'f1_micro', 'category_accuracy')  # they need a threshold
ASIDE = 5  # one of so many training images is put aside where a decoder chooses no thresholds
PICTURES, SIDE = 60, 96  # test pictures that a run keeps for its page, pixels of the longer side


def check(name: str, spec) -> None:
    """Raises ConfigError for a target of labels whose options do not fit."""
    for key, right, remedy in (
        ('layer', spec.layer == LAYER, f"'{LAYER}'"),
        ('size', not spec.size, '(): labels have none'),
        ('standardise', not spec.standardise, 'false: labels are 0 and 1'),
        ('coverage', 0 <= spec.coverage < 1, 'a share of the picture in [0, 1)'),
        ('threshold', 0 <= spec.threshold < 1, 'in (0, 1), or 0 to choose one a category'),
        ('least', spec.least >= 1, '1 or more training images'),
    ):
        if not right:
            what = f'targets.{name}.{key} is {spec[key]!r}'
            raise errors.ConfigError(what, 'config', f'wanted {remedy}')


def check_data(name: str, spec, brain: types.BrainData) -> None:
    """Raises ConfigError or DataMissing where the recording cannot give such a target."""
    where, source = f'targets.{name}', brain.facts.get('source', 'the data')
    if brain.labels is None:
        raise errors.DataMissing(
            'nobody says what the pictures show',
            source,
            'give the annotations (of nsd: dataset.annotations=true and `python launch/fetch.py '
            'coco`), or decode something else',
        )
    if spec.coverage and brain.coverage is None:
        raise errors.ConfigError(
            f'{where}.coverage is {spec.coverage}',
            source,
            '0: this recording does not know how much of a picture a category covers',
        )
    if not categories(spec, brain)[0].any():
        raise errors.DataInvalid(
            f'no category is on {spec.least} training images and absent from as many',
            where,
            'lower its coverage or least',
        )


def categories(spec, brain: types.BrainData) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which categories are learnt, by the training pictures alone: bool [all], and their names."""
    kept = hot.learnable(_all(spec, brain, np.unique(brain.train.image_id)), spec.least)
    named = brain.label_names or range(len(kept))
    return kept, tuple(str(n) for n, keep in zip(named, kept, strict=True) if keep)


def measure(spec, brain: types.BrainData, ids) -> Float[np.ndarray, 'm k']:
    """1 where picture `ids` [m] has a category of `categories`, else 0.

    A picture of which no label is left stays, with none.
    """
    return _all(spec, brain, ids)[:, categories(spec, brain)[0]]


def _all(spec, brain: types.BrainData, ids) -> np.ndarray:
    """[m all]: labels that cover enough, of all categories of the recording."""
    values = brain.labels
    count = len(brain.label_names) or int(np.max([np.size(v) for v in values.values()]))
    found = hot.multi_hot(values, ids, count)
    if not spec.coverage:
        return found
    return found * hot.multi_hot(brain.coverage, ids, count, spec.coverage)


def one_class(spec, brain: types.BrainData) -> bool:
    """Whether each picture has exactly one category, and all of them are learnt."""
    first = next(iter(brain.labels.values()))
    return np.ndim(first) == 0 and bool(categories(spec, brain)[0].all())


def fit(decoder, cfg, train: types.Split, target, key, rois: dict, seed: int) -> dict:
    """Parameters of a decoder that is fitted in one go, with 'threshold' [k]: above it is a yes.

    A decoder that chooses thresholds on left-out rows keeps its own. Any other is fitted again
    without a fifth of the training images, and they are chosen on those (0.5 with one image alone).

    Args:
      decoder: its module.
      cfg: its options.
      train: rows to fit.
      target: [n k], 0 or 1.
      key: jax key.
      rois: {name: bool [v]}.
      seed: of the choice of images.
    """
    groups = train.groups()

    def fitted(rows):
        of = dict(groups=groups[rows], rois=rois)
        return decoder.fit(cfg, train.voxels[rows], target[rows], key, **of)

    params, ids = fitted(slice(None)), np.unique(train.image_id)
    if 'threshold' in params:
        return params
    if len(ids) < 2:
        return params | {'threshold': np.full(target.shape[1], 0.5, np.float32)}
    order = rng.generator(seed, 'thresholds').permutation(len(ids))
    aside = np.isin(train.image_id, ids[order[: max(1, len(ids) // ASIDE)]])
    given = decoder.predict(cfg, fitted(~aside), train.voxels[aside])
    return params | {'threshold': thresholds.choose(np.asarray(given), target[aside])}


def score(spec, brain, names, given, truth, params: dict | None, **settings) -> dict:
    """{metric: Score} of decoded labels.

    An answer that is the same for every picture is decided by the thresholds that would be best for
    it on the training pictures: the strongest answer that needs no brain.

    Args:
      spec: of the target.
      brain: prepared data.
      names: metrics.
      given: [n k] scores.
      truth: [n k].
      params: what decoded them; its 'threshold' is used unless `spec` fixes one.
      **settings: seed, draws, permutations, clusters.
    """
    threshold = decided_at(spec, params, given.shape[1])
    if np.isin(given, (0, 1)).all():  # labels of another picture are a yes or a no already
        threshold = 0.5
    elif (given == given[:1]).all():
        known = measure(spec, brain, np.unique(brain.train.image_id))
        threshold = thresholds.choose(np.repeat(given[:1], len(known), 0), known)
    truth = truth.argmax(1) if one_class(spec, brain) else truth
    return metrics.score(names, given, truth, threshold=threshold, **settings)


def decided_at(spec, params: dict | None, count: int) -> np.ndarray:
    """[k]: what is above it is a yes."""
    if spec.threshold or params is None:
        return np.full(count, spec.threshold or 0.5, np.float32)
    return np.asarray(params['threshold'])


def arrays(spec, brain, params: dict, held: dict) -> dict:
    """What predictions.npz holds besides: categories, threshold, confusion, some pictures.

    Confusions are of as many categories as each picture has, those of the highest scores.

    Args:
      spec: of the target.
      brain: prepared data.
      params: what decoded the labels.
      held: 'pred' and 'truth' [n k], 'image_id' [n].
    """
    given, truth = held['pred'], held['truth']
    shown = brain.images[held['image_id'][:PICTURES]]
    size = np.array(shown.shape[1:3])
    size = tuple(np.maximum(1, size * min(1, SIDE / size.max())).round().astype(int).tolist())
    return {
        'categories': np.array(categories(spec, brain)[1]),
        'threshold': decided_at(spec, params, given.shape[1]).astype(np.float32),
        'confusion': classify.confusion(classify.as_many(given, truth), truth),
        'pictures': image.to_uint8(image.resize(shown, size)),
    }


def facts(spec, brain: types.BrainData) -> dict:
    """Which categories there are and how unequal they are, for protocol."""
    kept, names = categories(spec, brain)
    every = [str(n) for n in brain.label_names or range(len(kept))]
    told = {
        'categories': len(names),
        'left_out': [n for n, keep in zip(every, kept, strict=True) if not keep],
        'least_training_images': int(spec.least),
        'coverage': float(spec.coverage),
        'one_class': one_class(spec, brain),
    }
    for part, ids in (('training', brain.train.image_id), ('test', brain.test.image_id)):
        counted = hot.imbalance(measure(spec, brain, np.unique(ids)), names)
        often = list(counted['positives'].items())
        there = [pair for pair in often if pair[1]]
        told[part] = {k: counted[k] for k in ('pictures', 'per_picture', 'unlabelled', 'ratio')}
        told[part] |= {
            'never': len(counted['never']),
            'most': dict(often[:1]),
            'least': dict(there[-1:]),
        }
    return told


def each(spec, brain: types.BrainData, params: dict, given, truth) -> dict:
    """A table of how well each category is decoded, the most frequent in training first."""
    names = categories(spec, brain)[1]
    trained = measure(spec, brain, np.unique(brain.train.image_id)).sum(0)
    limit = decided_at(spec, params, len(names))
    decided = given > limit
    if one_class(spec, brain):
        decided = classify.one_hot(given.argmax(1), len(names))
    columns = {
        'training images': trained.astype(int),
        'test images': truth.sum(0).astype(int),
        'average precision': classify.average_precision(given, truth),
        'F1': classify.f1_by_category(decided, truth),
        'decided rightly': classify.decision_accuracy(decided, truth),
        'named on': decided.sum(0).astype(int),
        'threshold': limit,
    }
    rows = [
        [names[i], *(_plain(values[i]) for values in columns.values())]
        for i in np.argsort(-trained, kind='stable')
    ]
    return {
        'title': f'Each category over the {len(truth)} test images',
        'columns': ['category', *columns],
        'rows': rows,
    }


def _plain(value):
    """A number for JSON; None where it is undefined."""
    if np.issubdtype(np.asarray(value).dtype, np.integer):
        return int(value)
    return float(value) if np.isfinite(value) else None
