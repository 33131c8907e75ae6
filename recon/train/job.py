"""What a trained system is given besides its options: rows, what they should give, where it works.

A decoder or generator that is trained has its fit in `train/tasks/<name>.py`:
`fit(cfg, job, rng) -> params`, a nested dict of numpy arrays that its `predict` takes.
"""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
from jax.sharding import Mesh

from recon.core import errors, sharding
from recon.core import rng as rngs
from recon.data import loader
from recon.train import optim


@dataclasses.dataclass(frozen=True)
class Job:
    """Training rows of one system.

    Attributes:
      voxels: [n ...] float32, after preprocessing.
      target: [n ...] float32, what each row should give.
      groups: [n] int, the image of each row: rows of one are never divided between two sets.
      validation: (voxels [k ...], target [k ...]) to watch and to choose on, or None.
      rois: {name: bool [v]}.
      zoo: where weights lie, as cfg.zoo says.
      folder: checkpoints and logs of the training; the same folder goes on where it was stopped.
      seed: of the order of batches.
      mesh: the devices that share the work (`sharding.mesh`), or None for one.
      stop: asked before every step; where it is true the fit ends as `results.Stopped`.
    """

    voxels: np.ndarray
    target: np.ndarray
    groups: np.ndarray
    folder: pathlib.Path
    validation: tuple[np.ndarray, np.ndarray] | None = None
    rois: dict = dataclasses.field(default_factory=dict)
    zoo: dict = dataclasses.field(default_factory=dict)
    seed: int = 0
    stop: Callable = lambda: False
    mesh: Mesh | None = None

    def __len__(self):
        return len(self.voxels)

    def rows(self, step: int, batch: int) -> np.ndarray:
        """Indices of the rows of the batch `step` that this process reads.

        Raises:
          ConfigError: the devices do not divide the batch.
        """
        devices = self.mesh.shape['data'] if self.mesh else 1
        if batch % devices:
            raise errors.ConfigError(
                f'batch is {batch} on {devices} devices', 'decoder', 'a multiple of that number'
            )
        return loader.rows(self.seed, step, len(self), batch, *sharding.share(self.mesh))

    def steps(self, settings: dict, where: str = 'decoder') -> int:
        """Steps of the training that `settings` gives in epochs, steps or examples.

        Raises:
          ConfigError: it gives none of them, or two; `where` is the block of the config.
        """
        found = optim.length(settings, batch=settings['batch'], examples=len(self))
        if found is None:
            raise errors.ConfigError('epochs and steps are 0', where, 'give one of them')
        return found

    def place(self, rules):
        """Where the state of a training lies, for `states.create`; `rules` as in `sharding`."""
        return sharding.by_rules(self.mesh, rules)

    def with_validation(self, share: float) -> 'Job':
        """The same job with rows to validate on: its own, or `share` of its images put aside.

        Raises:
          ConfigError: `share` is not in [0, 1), or leaves one side without an image.
        """
        if self.validation is not None or share == 0:
            return self
        images = np.unique(self.groups)
        count = round(share * len(images)) if 0 < share < 1 else 0
        if not 0 < count < len(images):
            raise errors.ConfigError(
                f'validation={share} of {len(images)} training images',
                'decoder',
                'a share above 0 and below 1 that leaves images on both sides, or 0 for none',
            )
        order = rngs.generator(self.seed, 'validation').permutation(len(images))
        aside = np.isin(self.groups, images[order[:count]])
        kept = {name: getattr(self, name)[~aside] for name in ('voxels', 'target', 'groups')}
        validation = self.voxels[aside], self.target[aside]
        return dataclasses.replace(self, validation=validation, **kept)
