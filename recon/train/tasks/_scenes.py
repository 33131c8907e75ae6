"""The pictures that the small nets are trained and measured on: scenes of the simulator."""

import dataclasses
import os
import pathlib
import shutil

import numpy as np
from absl import logging

from recon.core import errors
from recon.data.simulator import scenes

BELOW = 73_000  # ids of the data sets; a tenth of them is held out
_CHUNK = 1024


def training(work, n: int = 65_700, size: int = 64) -> scenes.Scenes:
    """The first `n` scenes that are not held out, ids ascending; drawn once into `work`.

    Args:
      work: folder; `work/scenes_v<version>_<size>_<n>` holds one .npy a field (65,700 at 64
        pixels: 1.1 GB, about two minutes).
      n: at most 65,700.
      size: pixels on a side.

    Returns:
      Scenes, every array memory-mapped and read-only.

    Raises:
      ConfigError: there are not so many.
    """
    ids = np.arange(BELOW)
    ids = ids[~scenes.held_out(ids)]
    if not 1 <= n <= len(ids):
        raise errors.ConfigError(f'{n} training scenes', 'tasks/_scenes.py', f'1 to {len(ids)}')
    folder = pathlib.Path(work) / f'scenes_v{scenes.SCENES_VERSION}_{size}_{n}'
    if not folder.exists():
        _write(folder, ids[:n], size)
    names = [field.name for field in dataclasses.fields(scenes.Scenes)]
    return scenes.Scenes(**{name: np.load(folder / f'{name}.npy', mmap_mode='r') for name in names})


def held_out(n: int, size: int = 64, start: int = 0) -> scenes.Scenes:
    """`n` held-out scenes, the `start`-th of them first: for measuring only, never to train on."""
    assert n > 0, n
    assert start >= 0, start
    return scenes.draw(10 * np.arange(start, start + n) + 9, size)


def _write(folder: pathlib.Path, ids: np.ndarray, size: int) -> None:
    unfinished = folder.with_name(f'{folder.name}.{os.getpid()}')
    unfinished.mkdir(parents=True)
    try:
        files = {}
        for start in range(0, len(ids), _CHUNK):
            rows = slice(start, start + _CHUNK)
            for name, array in vars(scenes.draw(ids[rows], size)).items():
                if name not in files:
                    shape = (len(ids), *array.shape[1:])
                    files[name] = np.lib.format.open_memmap(
                        unfinished / f'{name}.npy', 'w+', array.dtype, shape
                    )
                files[name][rows] = array
            logging.info('[scenes %d/%d] drawn', min(start + _CHUNK, len(ids)), len(ids))
        for file in files.values():
            file.flush()
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():  # else another start was first, with the same pictures
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
