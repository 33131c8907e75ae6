"""One experiment with its data prepared: what each decoder learns, fits and decodes.

An experiment answers with pictures where it has a target named `pixels`; otherwise with the values
of its first target, and the run leaves predictions.npz in place of reconstructions.npz.
"""

import dataclasses
import functools
import hashlib
import pathlib

import jax
import numpy as np

from recon import targets
from recon.core import errors, image, lookup, results, rng, types


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

    @property
    def answer(self) -> str:
        """The key of `decode`'s result that is scored: 'images', or the first target's name."""
        return answer(self.cfg)

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
            size = self.cfg.targets.pixels.size
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
            if name == 'pixels':
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
        return targets.measure(self.cfg, name, self.brain.images, ids)

    @functools.cached_property
    def _moments(self) -> dict:
        """{target: mean and standard deviation over the distinct training images}."""
        moments = {}
        for name in self.cfg.targets:
            if self.cfg.targets[name].standardise:
                values = self._measured(name, self.train_ids)
                spread = values.std(0)
                moments[name] = values.mean(0), np.where(spread > 1e-6, spread, 1)
        return moments

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
        x, groups = train.voxels, train.groups()
        if rows is not None:
            x, groups, target = x[rows], groups[rows], target[rows]
        if shuffle:
            target = target[rng.generator(self.cfg.seed, 'shuffled_rows').permutation(len(x))]
        if voxels is not None:
            x, rois = x[:, voxels], {k: mask[voxels] for k, mask in rois.items()}
        key = rng.named(self.key, name)
        return self.decoder.fit(self.cfg.decoder, x, target, key, groups=groups, rois=rois)

    def decode(self, fitted: dict, voxels: np.ndarray) -> dict:
        """{'voxels', each target, 'stage_<name>'}, and 'images' [n h w 3] in [0, 1] of pixels."""
        decoded = {'voxels': voxels}
        for name, params in fitted.items():
            decoded[name] = np.asarray(self.decoder.predict(self.cfg.decoder, params, voxels))
            if not np.isfinite(decoded[name]).all():
                raise errors.DataInvalid(
                    f'decoder {self.cfg.decoder.name} gave NaN or infinity for {name}',
                    'prediction',
                    'check its penalty and the scale of the voxels',
                )
        if self.answer != 'images':
            return decoded
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


def answer(cfg) -> str:
    """'images' where `cfg` decodes pixels, else the name of its first target."""
    return 'images' if 'pixels' in cfg.targets else next(iter(cfg.targets))
