"""What the layouts of the simulated brain share: a calibrated brain and its answers to scenes."""

import dataclasses

import numpy as np

from recon.core import errors
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes as drawing

_CHUNK = 256  # scenes at once
_SEEN = 64  # pixels on a side at which the brain sees a scene


@dataclasses.dataclass(frozen=True)
class Study:
    """A subject and what its voxels answer to each stimulus.

    Attributes:
      brain: calibrated.
      ids: [m] int64, ascending: scene ids.
      signals: [m v] float32, noise-free, in units of their spread over the calibration scenes.
    """

    brain: brains.Brain
    ids: np.ndarray
    signals: np.ndarray

    def rows(self, image_id) -> np.ndarray:
        """[n] rows of `signals` that belong to `image_id` [n]."""
        return np.searchsorted(self.ids, image_id)


def simulate(seed: int, subject: int, voxels: int, ids, fitted) -> Study:
    """A brain of about `voxels` voxels (see `brain.build`) that has seen `ids`.

    Args:
      seed: of brain and scenes.
      subject: 1, 2, ...
      voxels: of subject 1.
      ids: [m] ascending distinct scene ids.
      fitted: [m] bool, the training scenes, on which signals have mean 0 and spread 1.
    """
    ids = np.asarray(ids, np.int64)
    assert (np.diff(ids) > 0).all(), 'ids ascend'
    brain = brains.build(seed, subject, voxels)
    drives = np.empty((len(ids), len(brain.area)), np.float32)
    for start in range(0, len(ids), _CHUNK):
        drawn = scenes(ids[start : start + _CHUNK], _SEEN, seed)
        drives[start : start + _CHUNK] = brains.drive(brain, drawn.images, drawn.contents)
    brain = brains.calibrate(brain, drives[np.asarray(fitted)])
    return Study(brain, ids, brains.standardise(brain, drives))


def scenes(ids, size: int, seed: int) -> drawing.Scenes:
    """Scenes `ids` at `size` pixels on a side, with what is in them."""
    return drawing.draw(np.asarray(ids, np.int64), size, seed)


def pictures(ids, size: int, seed: int) -> np.ndarray:
    """[m size size 3] uint8."""
    return scenes(ids, size, seed).images


def scale(scales: dict, name: str, layout: str):
    """The entry `name` of a layout's scales; ConfigError where there is none."""
    if name not in scales:
        raise errors.ConfigError(f'scale is {name!r}', f'layouts.{layout}', f'one of {[*scales]}')
    return scales[name]
