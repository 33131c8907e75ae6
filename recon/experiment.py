"""One experiment with its data prepared: what each decoder learns, fits and decodes.

An experiment answers with pictures where it has a target named `pixels` or a chain of generators;
otherwise with the values of its first target, and the run leaves predictions.npz in place of
reconstructions.npz.
"""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Callable

import jax
import numpy as np

from recon import conditions, labelling, parts, targets
from recon.core import errors, image, lookup, results, rng, settings, sharding, types
from recon.train import job

answer, picture_size, task = parts.answer, parts.picture_size, parts.task
_MOMENTS = ('centre', 'spread')


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config with its prepared data: fits, decodes, describes.

    Attributes:
      cfg: resolved config.
      brain: BrainData after preprocessing.
      key: jax key of the run.
      folder: of the run; a training leaves its log and, until the run ends, its checkpoints in
        `<folder>/logs/<what is trained>`.
      stop: asked before every step of a training.
      kept_scales: of a finished run, what `scales` gave; with it `decode` needs no `brain`.
    """

    cfg: object
    brain: types.BrainData | None
    key: jax.Array
    folder: pathlib.Path = pathlib.Path('.')
    stop: Callable = lambda: False
    kept_scales: dict | None = None

    @property
    def decoder(self):
        """The module that the config names."""
        return lookup.find('recon.decoders', self.cfg.decoder.name, 'decoder.name')

    @property
    def answer(self) -> str:
        """The key of `decode`'s result that is scored: 'images', or the first target's name."""
        return answer(self.cfg)

    @property
    def parts(self) -> tuple[str, ...]:
        """What is fitted: a decoder for each target, and the generators that are trained."""
        return parts.names(self.cfg)

    @functools.cached_property
    def train_ids(self) -> np.ndarray:
        """[m] distinct training images, ascending."""
        return np.unique(self.brain.train.image_id)

    @functools.cached_property
    def train_answers(self) -> np.ndarray:
        """[m h w 3] or [m t]: the true answer for each distinct training image."""
        return self.true_answers(self.train_ids)

    def true_answers(self, image_id) -> np.ndarray:
        """[n h w 3] or [n t]: what would be right for each of `image_id` [n]."""
        distinct, inverse = np.unique(image_id, return_inverse=True)
        if self.answer == 'images':
            size = picture_size(self.cfg)
            return targets.pictures(self.brain.images, distinct, size)[inverse]
        return self.values(self.answer, distinct)[inverse]

    def truth(self, split) -> np.ndarray:
        """[n h w 3] or [n t]: the right answer for each row."""
        return self.true_answers(split.image_id)

    def values(self, name: str, ids) -> np.ndarray:
        """[m ...]: target `name` of the images `ids`, standardised as its spec says."""
        values = self._measured(name, ids)
        if not self.cfg.targets[name].standardise:
            return values
        centre, spread = self._moments[name]
        return (values - centre) / spread

    def target(self, name: str) -> np.ndarray:
        """[n ...]: what decoder `name` learns, one row for each training row."""
        _, inverse = np.unique(self.brain.train.image_id, return_inverse=True)
        if name not in self._kept:  # every control learns it again; pictures are slow to read
            if name == 'pixels' or name not in self.cfg.targets:  # a generator learns pictures
                values = image.pixels(self.train_answers, self.brain.images.channels)
            else:
                values = self.values(name, self.train_ids)
            self._kept[name] = values
        return self._kept[name][inverse]

    @functools.cached_property
    def _kept(self) -> dict:
        """{target: its values for the distinct training images}."""
        return {}

    def _measured(self, name: str, ids) -> np.ndarray:
        return targets.measure(self.cfg, name, self.brain, ids)

    @functools.cached_property
    def _moments(self) -> dict:
        """{target: mean and standard deviation over the distinct training images}."""
        moments = {}
        for name in self.cfg.targets:
            if not self.cfg.targets[name].standardise:
                continue
            if self.kept_scales is not None:
                moments[name] = tuple(self.kept_scales[f'{k}/{name}'] for k in _MOMENTS)
                continue
            values = self._measured(name, self.train_ids)
            spread = values.std(0)
            moments[name] = values.mean(0), np.where(spread > 1e-6, spread, 1)
        return moments

    def scales(self) -> dict:
        """{'centre/<target>', 'spread/<target>': [...]} of the targets that are standardised."""
        return {
            f'{kind}/{name}': array
            for name, pair in self._moments.items()
            for kind, array in zip(_MOMENTS, pair, strict=True)
        }

    def fingerprint(self, name: str) -> str:
        """Digest of all that part `name` is fitted from: rows, targets, options, code."""
        train, (module, options) = self.brain.train, self._stage(name)
        digest = hashlib.blake2b(results.to_json(options.to_dict()).encode(), digest_size=16)
        for file in filter(None, (module, task(parts.file(self.cfg, name)))):
            digest.update(pathlib.Path(file.__file__).read_bytes())
        seen = self._sees(name)
        own = () if seen is None else (seen,)
        for array in (train.voxels, self.target(name), train.groups(), *own):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def _sees(self, name: str) -> np.ndarray | None:
        """Bool [v]: the voxels of the areas of target `name`; None for all, and for generators."""
        return targets.voxels(name, self.cfg.targets.get(name, {}), self.brain.rois)

    def _stage(self, name: str):
        """The module and the options of a part: of the target's decoder, or of a generator."""
        if name not in self.cfg.targets:
            return self._generator(name)
        options = settings.decoder_of(self.cfg, name)
        if options.name == self.cfg.decoder.name:
            return self.decoder, options
        return lookup.find('recon.decoders', options.name, f'targets.{name}.decoder'), options

    def _generator(self, name: str):
        """The module and the options of a generator; a target may have the same name."""
        return lookup.find('recon.generators', name, 'generator.chain'), self.cfg.generator[name]

    def fit(self, name: str, *, voxels=None, rows=None, shuffle=False):
        """Parameters of part `name`.

        Args:
          name: a key of cfg.targets, or a generator that is trained.
          voxels: bool [v], the voxels to use; None for those of the target's areas, or all.
          rows: indices of the training rows to use, or None for all.
          shuffle: pair each row with the target of another row (a control).
        """
        own = self._sees(name) if voxels is None else None
        label = name + parts.variant(voxels=voxels, rows=rows, shuffle=shuffle)
        if own is None:
            return self._fit(name, label, voxels, rows, shuffle)
        return self._fit(name, label, own, rows, shuffle) | {parts.SEEN: own}

    def _fit(self, name: str, label: str, voxels, rows, shuffle):
        train, target, rois = self.brain.train, self.target(name), self.brain.rois
        if rows is not None:
            train, target = train.rows(rows), target[rows]
        if shuffle:
            target = target[rng.generator(self.cfg.seed, 'shuffled_rows').permutation(len(train))]
        if voxels is not None:
            train = dataclasses.replace(train, voxels=self.brain.only(train.voxels, voxels))
            if self.brain.laid is None:
                rois = {k: mask[voxels] for k, mask in rois.items()}
        (module, options), key = self._stage(name), rng.named(self.key, name)
        trained = task(parts.file(self.cfg, name))
        if trained is None and self.cfg.targets.get(name, {}).get('net') == labelling.NET:
            return labelling.fit(module, options, train, target, key, rois, self.cfg.seed)
        if trained is None:
            groups = train.groups()
            return module.fit(options, train.voxels, target, key, groups=groups, rois=rois)
        work = self._job(name, label, train, target, rois, voxels)
        if name not in self.cfg.targets:
            which = dict(voxels=voxels, rows=rows, shuffle=shuffle)
            work = conditions.of(self, trained, options, work, **which)
        return trained.fit(options, work, key)

    def _job(self, name: str, label: str, train, target, rois: dict, voxels) -> job.Job:
        watched, aside = self.brain.validation, None
        if watched is not None:
            x = watched.voxels if voxels is None else self.brain.only(watched.voxels, voxels)
            if name in self.cfg.targets and name != 'pixels':
                distinct, inverse = np.unique(watched.image_id, return_inverse=True)
                aside = x, self.values(name, distinct)[inverse]
            else:
                aside = x, image.pixels(self.truth(watched), self.brain.images.channels)
        return job.Job(
            train.voxels,
            target,
            np.unique(train.image_id, return_inverse=True)[1],
            folder=self.folder / 'logs' / label,
            validation=aside,
            rois=rois,
            zoo=self.cfg.zoo.to_dict(),
            seed=self.cfg.seed,
            stop=self.stop,
            mesh=sharding.mesh(self.cfg.devices) if len(jax.devices()) > 1 else None,
        )

    def predict(self, name: str, params, voxels: np.ndarray) -> np.ndarray:
        """[n ...]: target `name` as decoded from rows, of which it sees its own areas alone."""
        module, options = self._stage(name)
        params, seen = parts.apart(params)
        voxels = voxels if seen is None else np.ascontiguousarray(voxels[:, seen])
        return np.asarray(module.predict(options, params, voxels))

    def decode(self, fitted: dict, voxels: np.ndarray) -> dict:
        """{'voxels', each target, 'stage_<name>'}, and 'images' [n h w 3] in [0, 1] of pixels."""
        decoded = {'voxels': voxels}
        for name in self.cfg.targets:
            if name not in fitted:
                continue  # a control that fits only what its answer is made of
            decoded[name] = self.predict(name, fitted[name], voxels)
            if not np.isfinite(decoded[name]).all():
                raise errors.DataInvalid(
                    f'decoder {parts.file(self.cfg, name)} gave NaN or infinity for {name}',
                    'prediction',
                    'check its penalty and the scale of the voxels',
                )
        if self.answer != 'images':
            return decoded
        if 'pixels' in fitted and hasattr(self.decoder, 'stages'):
            stages = self.decoder.stages(self.cfg.decoder, fitted['pixels'], voxels)
            decoded |= {f'stage_{k}': np.asarray(v, np.float32) for k, v in stages.items()}
        return self.generate(fitted, decoded)

    def generate(self, fitted: dict, decoded: dict, sample: int = 0) -> dict:
        """`decoded` with what the generators make of it, above all 'images' [n h w 3] in [0, 1].

        They are given targets in their own units, whether they were learnt standardised or not.

        Args:
          fitted: {part: parameters}.
          decoded: of the decoders, or what this gave before: then the same is drawn anew.
          sample: which draw of the generators, 0 the usual one.
        """
        chain = self.cfg.generator.chain
        if not chain:
            return decoded | {'images': image.to_rgb(np.clip(decoded['pixels'], 0, 1))}
        if 'images' in decoded:  # has been through this: in its own units already
            decoded = parts.without_made(self.cfg, decoded)
        else:
            for name in set(self._moments) & set(decoded):
                centre, spread = self._moments[name]
                decoded = decoded | {name: decoded[name] * spread + centre}
        for name in chain:
            module, options = self._generator(name)
            params = self._nets.get(name)
            if parts.is_trained(self.cfg, name):
                params = (params or {}) | fitted[name]
            key = rng.named(self.key, f'generator {name}')
            key = jax.random.fold_in(key, sample) if sample else key
            decoded = module.generate(options, params, decoded, key)
            if len(chain) > 1 and 'images' in decoded:
                decoded[f'stage_{name}'] = np.asarray(decoded['images'], np.float32)
        return decoded | {'images': np.clip(image.to_rgb(decoded['images']), 0, 1)}

    @functools.cached_property
    def _nets(self) -> dict:
        """{generator: its pretrained nets}, of those that have any."""
        chain = {name: self._generator(name) for name in self.cfg.generator.chain}
        return parts.nets(chain, self.cfg.zoo)

    def describe(self, name: str, params) -> dict:
        """What part `name` says of itself; {} where it says nothing."""
        module, options = self._stage(name)
        params, seen = parts.apart(params)
        told = module.describe(options, params) if hasattr(module, 'describe') else {}
        return told if seen is None else parts.of_areas(told, seen, self.cfg.targets[name].areas)

    def voxel_maps(self) -> dict:
        """Arrays for maps.npz: where each voxel lies and what is known of it."""
        rois = {f'roi_{name}': mask for name, mask in self.brain.rois.items()}
        return dict(self.brain.voxel_info) | rois
