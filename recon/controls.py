"""One fitted experiment, and the controls that tell what its scores are worth.

The same decoder is fitted again on shuffled rows, on one area at a time, on fewer rows; the fitted
one is shown shuffled voxels or none. Nothing here ever fits on a test row.
"""

import dataclasses
import functools
import hashlib
import pathlib

import jax
import numpy as np

from recon.core import errors, image, lookup, results, rng, types
from recon.data.preprocess import repeats
from recon.metrics import identify

BASELINES = ('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels')


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with its prepared data: fits, decodes, describes.

    Attributes:
      cfg: resolved config.
      brain: BrainData after preprocessing.
      key: jax key of the run.
    """

    cfg: object
    brain: types.BrainData
    key: jax.Array

    @property
    def decoder(self):
        """The module that the config names."""
        return lookup.find('recon.decoders', self.cfg.decoder.name, 'decoder.name')

    @functools.cached_property
    def train_images(self) -> np.ndarray:
        """[m h w 3], distinct training images in ascending id, at the size that is decoded."""
        return self.resized(self.brain.images[np.unique(self.brain.train.image_id)])

    def resized(self, images):
        """Pictures at the size of the target `pixels`."""
        size = self.cfg.targets.pixels.size
        return image.resize(images, tuple(size)) if size else images

    def truth(self, split) -> np.ndarray:
        """[n h w 3]: the picture of each row."""
        return self.resized(self.brain.images[split.image_id])

    def target(self, name: str) -> np.ndarray:
        """[n ...]: what decoder `name` learns, one row for each training row."""
        _, inverse = np.unique(self.brain.train.image_id, return_inverse=True)
        if self.cfg.targets[name].layer == 'pixels':
            return image.pixels(self.train_images, self.brain.images.channels)[inverse]
        return image.image_statistics(self.train_images)[inverse]

    def fingerprint(self, name: str) -> str:
        """Digest of all that decoder `name` is fitted from: rows, targets, options, code."""
        train, options = self.brain.train, results.to_json(self.cfg.decoder.to_dict())
        source = pathlib.Path(self.decoder.__file__).read_bytes()
        digest = hashlib.blake2b(options.encode() + source, digest_size=16)
        for array in (train.voxels, self.target(name), train.groups()):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def fit(self, name: str, *, voxels=None, rows=None, shuffle=False):
        """Parameters of decoder `name`.

        Args:
          name: a key of cfg.targets.
          voxels: bool [v], the voxels to use, or None for all.
          rows: indices of the training rows to use, or None for all.
          shuffle: pair each row with the target of another row (a control).
        """
        train, target, rois = self.brain.train, self.target(name), self.brain.rois
        rows = np.arange(len(train)) if rows is None else rows
        paired = (
            rng.generator(self.cfg.seed, 'shuffled_rows').permutation(rows) if shuffle else rows
        )
        x, groups = train.voxels[rows], train.groups()[rows]
        if voxels is not None:
            x, rois = x[:, voxels], {k: mask[voxels] for k, mask in rois.items()}
        key = rng.named(self.key, name)
        return self.decoder.fit(self.cfg.decoder, x, target[paired], key, groups=groups, rois=rois)

    def decode(self, fitted: dict, voxels: np.ndarray) -> dict:
        """{'voxels', each target, 'stage_<name>', 'images' [n h w 3] in [0, 1]}."""
        decoded = {'voxels': voxels}
        for name, params in fitted.items():
            decoded[name] = np.asarray(self.decoder.predict(self.cfg.decoder, params, voxels))
            if not np.isfinite(decoded[name]).all():
                raise errors.DataInvalid(
                    f'decoder {self.cfg.decoder.name} gave NaN or infinity for {name}',
                    'prediction',
                    'check its penalty and the scale of the voxels',
                )
        if hasattr(self.decoder, 'stages'):
            stages = self.decoder.stages(self.cfg.decoder, fitted['pixels'], voxels)
            decoded |= {f'stage_{k}': np.asarray(v, np.float32) for k, v in stages.items()}
        return decoded | {'images': image.to_rgb(np.clip(decoded['pixels'], 0, 1))}

    def describe(self, params) -> dict:
        """What the decoder says of itself; {} where it says nothing."""
        if not hasattr(self.decoder, 'describe'):
            return {}
        return self.decoder.describe(self.cfg.decoder, params)

    def voxel_maps(self) -> dict:
        """Arrays for maps.npz: where each voxel lies and what is known of it."""
        rois = {f'roi_{name}': mask for name, mask in self.brain.rois.items()}
        return dict(self.brain.voxel_info) | rois


def check(cfg) -> None:
    """Raises ConfigError for controls that do not exist."""
    for name in cfg.baselines:
        if name not in BASELINES:
            raise errors.ConfigError(
                f'baselines has {name!r}', 'baselines', f'names that exist: {", ".join(BASELINES)}'
            )
    for fraction in cfg.learning_curve:
        if not isinstance(fraction, int | float) or not 0 < fraction <= 1:
            raise errors.ConfigError(
                f'learning_curve has {fraction!r}', 'learning_curve', 'fractions lie in (0, 1]'
            )
    for area in cfg.areas:
        if not isinstance(area, str):
            raise errors.ConfigError(f'areas has {area!r}', 'areas', "names, or 'V1+V2'")
    for key in ('baselines', 'areas', 'learning_curve'):
        if len(set(cfg[key])) < len(cfg[key]):
            raise errors.ConfigError(f'{key} is {cfg[key]}', key, 'name each once')


def check_areas(cfg, rois: dict) -> None:
    """Raises ConfigError or DataInvalid for an area that cannot be scored alone."""
    for area in cfg.areas:
        area_mask(area, rois)


def rows_to_score(cfg, split):
    """One row per distinct image, in ascending id; all rows as they are with `score_rows`."""
    return split if cfg.score_rows else repeats.mean(split)


def names(cfg) -> list[str]:
    """The controls that `run` goes through, one progress step each."""
    areas = [f'area {area}' for area in cfg.areas]
    return [*cfg.baselines, *areas, *(f'{f:.0%} of the rows' for f in cfg.learning_curve)]


def run(experiment: Experiment, fitted: dict, test, images, score, step) -> dict:
    """Scores every control that the config asks for.

    Args:
      experiment: the experiment.
      fitted: its parameters, {target: params}.
      test: the rows that were scored.
      images: [n h w 3], their reconstructions.
      score: (images, truth, split, image_id) -> {metric: entry}.
      step: called with each control's name when it is done.

    Returns:
      What scores.json holds besides 'scores', and 'curves' for decoder.json.
    """
    cfg, truth = experiment.cfg, experiment.truth(test)
    scores = {'baselines': {}, 'curves': []}
    for name in cfg.baselines:
        control = baseline(name, experiment, fitted, test, images)
        if control is not None:
            scores['baselines'][name] = score(control, truth, 'test', test.image_id)
        step(name)
    if cfg.areas:
        scores['areas'] = {}
    for area in cfg.areas:
        mask = area_mask(area, experiment.brain.rois)
        decoded = refit(experiment, test.voxels[:, mask], voxels=mask)
        entries = score(decoded['images'], truth, 'test', test.image_id)
        scores['areas'][area] = {'n_voxels': int(mask.sum()), 'scores': entries}
        step(f'area {area}')
    if cfg.learning_curve:
        scores['curves'].append(learning_curve(experiment, test, truth, score, step))
    if cfg.score_train:
        seen = rows_to_score(cfg, experiment.brain.train)
        decoded = experiment.decode(fitted, seen.voxels)
        scores['scores_train'] = score(
            decoded['images'], experiment.truth(seen), 'train', seen.image_id
        )
    extra = experiment.brain.extra_tests
    if extra:
        scores['extra_tests'] = {}
    for name, split in extra.items():
        split = rows_to_score(cfg, split)
        decoded = experiment.decode(fitted, split.voxels)
        entries = score(decoded['images'], experiment.truth(split), name, split.image_id)
        scores['extra_tests'][name] = entries
    return scores


def baseline(name: str, experiment: Experiment, fitted: dict, test, images) -> np.ndarray | None:
    """[n h w 3]: the reconstructions of one control (RUN_FOLDER.md defines each).

    None where there is nothing to exchange: shuffled_voxels of test rows of one image,
    shuffled_rows with fewer than three training rows or with one training image.
    """
    train = experiment.train_images
    if name == 'mean_image':
        return np.repeat(train.mean(0, keepdims=True), len(test), 0)
    if name == 'nearest_training':
        return train[identify.nearest_training(images, train)]
    if name == 'shuffled_rows':
        if len(experiment.brain.train) < 3 or len(train) < 2:
            return None
        return refit(experiment, test.voxels, shuffle=True)['images']
    if name == 'shuffled_voxels':
        order = rows_of_others(rng.generator(experiment.cfg.seed, name), test.image_id)
        return None if order is None else experiment.decode(fitted, test.voxels[order])['images']
    return experiment.decode(fitted, np.zeros_like(test.voxels))['images']


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


def refit(experiment: Experiment, test_voxels, **options) -> dict:
    """Fits every target anew with `Experiment.fit`'s options and decodes the test rows."""
    fitted = {name: experiment.fit(name, **options) for name in experiment.cfg.targets}
    return experiment.decode(fitted, test_voxels)


def learning_curve(experiment: Experiment, test, truth, score, step) -> dict:
    """The first metric on the test rows against the number of training rows, as a curve."""
    cfg, n = experiment.cfg, len(experiment.brain.train)
    order = rng.generator(cfg.seed, 'learning_curve').permutation(n)
    xs, ys = [], []
    for fraction in cfg.learning_curve:
        rows = np.sort(order[: max(2, round(fraction * n))])
        decoded = refit(experiment, test.voxels, rows=rows)
        xs.append(len(rows))
        ys.append(score(decoded['images'], truth, 'test', test.image_id)[cfg.metrics[0]]['mean'])
        step(f'{fraction:.0%} of the rows')
    return {
        'title': 'Learning curve',
        'x_label': 'training rows',
        'y_label': f'{cfg.metrics[0]} on the test images',
        'log_x': False,
        'series': [{'name': cfg.metrics[0], 'x': xs, 'y': ys}],
        'chosen': None,
    }


def area_mask(area: str, rois: dict) -> np.ndarray:
    """Bool [v]: the voxels of an area, or of several joined by '+'."""
    for name in area.split('+'):
        if name not in rois:
            raise errors.ConfigError(
                f'areas has {area!r}', 'areas', f'ROIs that exist: {", ".join(sorted(rois))}'
            )
    mask = np.any([rois[name] for name in area.split('+')], 0)
    if not mask.any():
        raise errors.DataInvalid(f'area {area} has no voxel', 'areas', 'leave it out')
    return mask
