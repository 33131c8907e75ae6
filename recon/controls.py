"""The controls that tell what the scores of a fitted experiment are worth.

The same decoder is fitted again on shuffled rows, on one area at a time, on fewer rows; the fitted
one is shown shuffled voxels or none. Nothing here ever fits on a test row.
"""

import dataclasses

import numpy as np

from recon import conditions, draws, targets
from recon.core import errors, rng, types
from recon.data.preprocess import repeats
from recon.experiment import Experiment, answer, task
from recon.metrics import identify, paired

OF_PICTURES = ('mean_image', 'nearest_training')
OF_VALUES = ('mean_latent', 'nearest_training')  # of runs that decode no picture
OF_ROWS = ('shuffled_rows', 'shuffled_voxels', 'zero_voxels')
BASELINES = (*OF_PICTURES, *OF_ROWS)
SHOWN = 12  # training images whose answers a run leaves, where it scores them


def check(cfg) -> None:
    """Raises ConfigError for controls that do not exist, and generators that lack a target."""
    chain = {name: task(name) for name in cfg.generator.chain}
    conditions.check(cfg, {name: module for name, module in chain.items() if module})
    of_images = answer(cfg) == 'images'
    of_latents = OF_VALUES[:1] if cfg.targets and cfg.generator.chain else ()
    known = (*(OF_PICTURES if of_images else OF_VALUES), *of_latents, *OF_ROWS)
    for name in cfg.baselines:
        if name not in known:
            raise errors.ConfigError(
                f'baselines has {name!r}', 'baselines', f'names that exist: {", ".join(known)}'
            )
    for fraction in cfg.learning_curve:
        if not isinstance(fraction, int | float) or not 0 < fraction <= 1:
            raise errors.ConfigError(
                f'learning_curve has {fraction!r}', 'learning_curve', 'fractions lie in (0, 1]'
            )
    for area in cfg.areas:
        if not isinstance(area, str):
            raise errors.ConfigError(f'areas has {area!r}', 'areas', "names, or 'V1+V2'")
    if cfg.areas_missing not in ('refuse', 'skip'):
        raise errors.ConfigError(
            f'areas_missing is {cfg.areas_missing!r}', 'areas_missing', "'refuse' or 'skip'"
        )
    for key in ('baselines', 'areas', 'learning_curve'):
        if len(set(cfg[key])) < len(cfg[key]):
            raise errors.ConfigError(f'{key} is {cfg[key]}', key, 'name each once')


def areas(cfg, rois: dict, laid: types.Laid | None = None) -> list[str]:
    """The areas of `cfg` that are decoded alone.

    With `areas_missing='skip'`, as configs have it for areas that nobody typed, those that this
    recording lacks are left out; otherwise they raise ConfigError or DataInvalid. So do areas that
    have no number of their own in rows that are laid out as `laid` says.
    """
    if cfg.areas_missing == 'skip':
        there = {name for name, mask in rois.items() if mask.any()}
        named = [area for area in cfg.areas if set(area.split('+')) <= there]
        return [
            area
            for area in named
            if laid is None or laid.of(targets.union((area,), rois, 'areas')).any()
        ]
    for area in cfg.areas:
        mask = targets.union((area,), rois, 'areas')
        if laid is not None and not laid.of(mask).any():
            raise errors.DataInvalid(
                f'no pixel shows voxels of {area} alone',
                'areas',
                'leave it out, or make the cortical picture larger',
            )
    return list(cfg.areas)


def rows_to_score(cfg, split):
    """One row per distinct image, in ascending id; all rows as they are with `score_rows`."""
    return split if cfg.score_rows else repeats.mean(split)


def names(cfg, alone: list[str]) -> list[str]:
    """The controls that `run` goes through, one progress step each; `alone` from `areas`."""
    alone = [*draws.names(cfg), *(f'area {area}' for area in alone)]
    return [*cfg.baselines, *alone, *(f'{f:.0%} of the rows' for f in cfg.learning_curve)]


def run(
    experiment: Experiment, fitted: dict, test, answers, score, step, drawn: dict | None = None
) -> tuple[dict, dict]:
    """Scores every control that the config asks for.

    Args:
      experiment: the experiment.
      fitted: its parameters, {target: params}.
      test: the rows that were scored.
      answers: [n ...], what was decoded from them: pictures, or values.
      score: (answers, truth, split, image_id, parameters) -> {metric: entry}.
      step: called with each control's name when it is done.
      drawn: further samples, of `draws.samples`.

    Returns:
      What scores.json holds besides 'scores', and 'curves' for decoder.json; and {file of the run
      folder, without its ending: (rows, decoded, truth)} of each further test set, of some
      training images, and of controls that show what a generator paints alone (truth None).
    """
    cfg, truth, further = experiment.cfg, experiment.truth(test), {}
    scores = {'baselines': {}, 'curves': []}
    for name in cfg.baselines:
        fresh = {}
        decoded = baseline(name, experiment, fitted, test, answers, fresh)
        if decoded is not None:
            control = decoded[experiment.answer]
            entries = score(control, truth, 'test', test.image_id, fresh or fitted)
            scores['baselines'][name] = entries if control.any() else _without_choice(entries)
            if name in paired.AGAINST and draws.priors(cfg):
                further[f'controls/{name}'] = (test, decoded, None)
        step(name)
    entries, agreed = draws.score(
        cfg, answers, drawn or {}, lambda a: score(a, truth, 'test', test.image_id, fitted)
    )
    scores['baselines'] |= entries
    scores |= agreed
    alone = areas(cfg, experiment.brain.rois, experiment.brain.laid)
    if alone:
        scores['areas'] = {}
    for area in alone:
        mask = targets.union((area,), experiment.brain.rois, 'areas')
        voxels = experiment.brain.only(test.voxels, mask)
        decoded, fresh = refit(experiment, voxels, voxels=mask)
        entries = score(decoded, truth, 'test', test.image_id, fresh)
        scores['areas'][area] = {'n_voxels': int(mask.sum()), 'scores': entries}
        step(f'area {area}')
    if cfg.learning_curve:
        scores['curves'].append(learning_curve(experiment, test, truth, score, step))
    if cfg.score_train:
        seen = _some(rows_to_score(cfg, experiment.brain.train), cfg.train_scored)
        decoded = on_training(experiment).decode(fitted, seen.voxels)
        right = experiment.truth(seen)
        entries = score(decoded[experiment.answer], right, 'train', seen.image_id, fitted)
        scores['scores_train'] = entries
        left = min(len(seen), max(SHOWN, cfg.train_scored))
        some = np.linspace(0, len(seen) - 1, left).astype(int)
        few = {name: value[some] for name, value in decoded.items()}
        further['train_examples'] = (seen.rows(some), few, right[some])
    for name, split in experiment.brain.extra_tests.items():
        split = rows_to_score(cfg, split)
        decoded, right = experiment.decode(fitted, split.voxels), experiment.truth(split)
        entries = score(decoded[experiment.answer], right, name, split.image_id, fitted)
        scores.setdefault('extra_tests', {})[name] = entries
        further[f'extra_tests/{name}'] = (split, decoded, right)
    return scores, further


def _some(split, count: int):
    """`count` rows at even steps; all for 0, or where there are no more."""
    if not 0 < count < len(split):
        return split
    return split.rows(np.linspace(0, len(split) - 1, count).astype(int))


def on_training(experiment: Experiment) -> Experiment:
    """`experiment` as it decodes training rows: without the gain that means of test trials get."""
    if experiment.cfg.decoder.get('gain', 1.0) == 1.0:
        return experiment
    cfg = experiment.cfg.copy_and_resolve_references()
    with cfg.unlocked():
        cfg.decoder.gain = 1.0
    return dataclasses.replace(experiment, cfg=cfg)


def baseline(
    name: str, experiment: Experiment, fitted: dict, test, answers, fresh: dict | None = None
) -> dict | None:
    """What one control decodes (RUN_FOLDER.md defines each): {answer: [n ...]}, and more.

    What a control fits anew is put into `fresh`.

    None where there is nothing to exchange: shuffled_voxels of test rows of one image,
    shuffled_rows with fewer than three training rows or with one training image.
    """
    train, key = experiment.train_answers, experiment.answer
    if name == 'mean_latent' and experiment.answer == 'images':
        means = {k: experiment.target(k).mean(0, keepdims=True) for k in experiment.cfg.targets}
        decoded = {k: np.repeat(mean, len(test), 0) for k, mean in means.items()}
        return experiment.generate(fitted, decoded | {'voxels': test.voxels})
    if name in ('mean_image', 'mean_latent'):
        mean = train.mean(0, keepdims=True, dtype=np.float64)
        mean = np.where(np.abs(mean) < 1e-6 * train.std(0), 0, mean)  # a mean of 0 is no pattern
        return {key: np.repeat(mean.astype(np.float32), len(test), 0)}
    if name == 'nearest_training':
        return {key: train[identify.nearest_training(answers, train)]}
    if name == 'shuffled_rows':
        if len(experiment.brain.train) < 3 or len(train) < 2:
            return None
        shuffled, parts = refit(experiment, test.voxels, shuffle=True)
        (fresh if fresh is not None else {}).update(parts)
        return {key: shuffled}
    voxels = experiment.brain.silence(len(test))
    if name == 'shuffled_voxels':
        order = rows_of_others(rng.generator(experiment.cfg.seed, name), test.image_id)
        if order is None:
            return None
        voxels = test.voxels[order]
    return experiment.decode(fitted, voxels)


def _without_choice(entries: dict) -> dict:
    """Scores of an answer that is 0 everywhere: it resembles nothing, so it chooses nothing."""
    return {k: v for k, v in entries.items() if not k.startswith(('two_way', 'nway'))}


def rows_of_others(random: np.random.Generator, image_id) -> np.ndarray | None:
    """[n] int: for each row a row of another image, None if all rows are of one.

    Images are deranged as wholes: the k-th row of an image gets the k-th row of the image that it
    is sent to (from the first again, if that has fewer). With rows of distinct images this is a
    permutation in which no row keeps its place.

    Args:
      random: what draws the derangement.
      image_id: [n], the image of each row.
    """
    _, image, sizes = np.unique(image_id, return_inverse=True, return_counts=True)
    if len(sizes) < 2:
        return None
    rows = np.argsort(image, kind='stable')  # by image, in their order within it
    first = np.cumsum(sizes) - sizes
    place = np.empty(len(rows), int)
    place[rows] = np.arange(len(rows)) - np.repeat(first, sizes)
    sent = rng.derangement(random, len(sizes))[image]
    return rows[first[sent] + place % sizes[sent]]


def refit(experiment: Experiment, test_voxels, **options) -> tuple[np.ndarray, dict]:
    """Answers [n ...] for the test rows, and the decoders that gave them, fitted anew.

    `options` are those of `Experiment.fit`. Of the targets only that is fitted which the scored
    answer is made of.
    """
    names = (experiment.answer,) if experiment.answer != 'images' else ('pixels',)
    if experiment.cfg.generator.chain:
        names = experiment.parts
    fitted = {name: experiment.fit(name, **options) for name in names}
    return experiment.decode(fitted, test_voxels)[experiment.answer], fitted


def learning_curve(experiment: Experiment, test, truth, score, step) -> dict:
    """The first metric on the test rows against the number of training rows, as a curve."""
    cfg, n = experiment.cfg, len(experiment.brain.train)
    order = rng.generator(cfg.seed, 'learning_curve').permutation(n)
    xs, ys = [], []
    for fraction in cfg.learning_curve:
        rows = np.sort(order[: max(2, round(fraction * n))])
        decoded, fresh = refit(experiment, test.voxels, rows=rows)
        xs.append(len(rows))
        ys.append(score(decoded, truth, 'test', test.image_id, fresh)[cfg.metrics[0]]['mean'])
        step(f'{fraction:.0%} of the rows')
    return {
        'title': 'Learning curve',
        'x_label': 'training rows',
        'y_label': f'{cfg.metrics[0]} on the test images',
        'log_x': False,
        'series': [{'name': cfg.metrics[0], 'x': xs, 'y': ys}],
        'chosen': None,
    }
