"""NSD's pictures: nsd_stimuli.hdf5, read when asked for, and checked against the shared PNGs."""

import pathlib
import re

import numpy as np

from recon.core import errors, image, types
from recon.data.formats import files

BRICK = pathlib.Path('nsddata_stimuli', 'stimuli', 'nsd', 'nsd_stimuli.hdf5')
SHARED = pathlib.Path('nsddata', 'stimuli', 'nsd', 'shared1000')
KEY = 'imgBrick'
_LOOKED_AT = 5  # pictures of each kind, at opening


def read(root, ids: np.ndarray, size: int = 0, notes: list | None = None) -> types.Images:
    """The pictures `ids`, none of which is loaded yet.

    Args:
      root: the folder that holds nsddata_stimuli.
      ids: [m] ascending, from 0: rows of imgBrick.
      size: pixels on a side; 0 as stored.
      notes: a sentence is added where no shared PNG could be compared.

    Raises:
      DataMissing: not there.  DataInvalid: axes in another order, ids beyond it, pictures that are
        black because they were never written (here a few are looked at, the others when they are
        read), or pictures unlike the shared PNGs (transposed, or shifted by one).
    """
    root = pathlib.Path(root)
    path = root / BRICK
    with files.hdf5(path) as file:
        shape = files.array(file, KEY, 4, 'u').shape
    if shape[3] != 3 or shape[1] != shape[2]:
        raise errors.DataInvalid(
            f'{KEY} has shape {shape}',
            path,
            'wanted (images, rows, columns, 3), as NSD writes it: fetch it again',
        )
    if size < 0:
        raise errors.ConfigError(
            f'dataset.images_size is {size}', 'config', 'pixels on a side, or 0 as stored'
        )
    if len(ids) and ids.max() >= shape[0]:
        raise errors.DataInvalid(
            f'image {ids.max()} was shown, {KEY} holds {shape[0]} (from 0)', path, 'fetch it again'
        )
    some = np.unique(np.linspace(0, len(ids) - 1, _LOOKED_AT).astype(int)) if len(ids) else ids
    take(path, ids[some])
    if not _compare(root, path) and notes is not None:
        notes.append(
            f'{KEY} was compared with nothing: no picture of its size in {SHARED}, so transposed '
            'pictures or ids shifted by one would not be seen'
        )
    side = size or shape[1]

    def pictures(rows):
        if side == shape[1]:
            return take(path, ids[rows])
        parts = [take(path, ids[rows[i : i + 64]]) for i in range(0, max(len(rows), 1), 64)]
        return np.concatenate([image.resize(image.to_float(p), (side, side)) for p in parts])

    return types.Images(ids, pictures, (side, side))


def take(path, rows: np.ndarray, black: bool = False) -> np.ndarray:
    """Pictures at `rows` [k] of the brick, in that order, [k h w 3] uint8; each is read once.

    Raises DataInvalid for one that is black throughout, unless `black`.
    """
    rows = np.asarray(rows, np.int64)
    distinct, inverse = np.unique(rows, return_inverse=True)
    with files.hdf5(path) as file:
        brick = files.array(file, KEY, 4, 'u')
        files.check_promise(path, (len(distinct), *brick.shape[1:]), 1)
        found = np.empty((len(distinct), *brick.shape[1:]), np.uint8)
        for i, row in enumerate(distinct):
            brick.read_direct(found, np.s_[row], np.s_[i])
    dark = distinct[~found.reshape(len(found), -1).any(1)]
    if len(dark) and not black:
        raise errors.DataInvalid(
            f'{len(dark)} of {len(distinct)} pictures that were shown are black throughout, first '
            f'{dark[0]} (from 0)',
            path,
            'they were never written: the download is not complete, or is of another subject',
        )
    return found[inverse]


def _compare(root: pathlib.Path, path) -> int:
    """A few of the shared PNGs, whose names hold their number from 1, against the brick.

    Returns how many could be compared.
    """
    names, compared = files.natural((root / SHARED).glob('shared*_nsd*.png')), 0
    some = np.linspace(0, len(names) - 1, _LOOKED_AT).astype(int) if names else ()
    names = [names[i] for i in sorted(set(some))]
    with files.hdf5(path) as file:
        count = len(file[KEY])
    for name in names:
        number = re.search(r'_nsd(\d+)\.png$', name.name)
        if number is None or not 1 <= int(number[1]) <= count:
            raise errors.DataInvalid(
                'its name holds no row of imgBrick', name, 'shared0001_nsd02951.png, both from 1'
            )
        picture, row = files.picture(name).astype(int), int(number[1]) - 1
        near = np.clip([row, row - 1, row + 1], 0, count - 1)
        own, before, after = take(path, near, black=True)
        if picture.shape != own.shape or not own.any():
            continue  # resized by the user; or a shared picture that this copy does not hold
        compared += 1
        seen = {
            'as the picture': own,
            'transposed': own.swapaxes(0, 1),
            'the picture before it (ids shifted by one)': before,
            'the picture after it (ids shifted by one)': after,
        }
        apart = {how: float(np.abs(picture - other).mean()) for how, other in seen.items()}
        best = min(apart, key=apart.get)
        if apart[best] < apart['as the picture'] - 1:
            raise errors.DataInvalid(
                f'row {row} of {KEY} is not {name.name}, whose content is {best}',
                path,
                'fetch both again; pictures lie as (image, row, column, colour), rows from 0',
            )
        if apart[best] > 30:
            raise errors.DataInvalid(
                f'row {row} of {KEY} is another picture than {name.name}', path, 'fetch both again'
            )
    return compared
