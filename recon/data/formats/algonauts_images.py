"""Pictures of the Algonauts 2023 trees: the numbers in their names say which row is theirs."""

import pathlib
import re

import numpy as np

from recon.core import errors, types
from recon.data.formats import files

STIMULI = 73_000  # pictures of NSD; ids in names count from 0
_OFFICIAL = re.compile(r'(train|test)-(\d+)_nsd-(\d+)\.png')
_NUMBERED = re.compile(r'(\d+)\.png')


def names(folder) -> list[str]:
    """Names of a folder's PNG files by number, but hidden ones; DataMissing: there are none."""
    folder = pathlib.Path(folder)
    found = [p.name for p in folder.glob('*.png') if not p.name.startswith('.')]
    if not found:
        what = 'no PNG files' if folder.is_dir() else 'no such folder'
        raise errors.DataMissing(
            what, folder, '`python launch/fetch.py algonauts2023` says what to get and where'
        )
    empty = [name for name in found if not (folder / name).stat().st_size]
    if empty:
        raise errors.DataInvalid(
            f'{len(empty)} pictures are empty files, first {files.natural(empty)[0]}',
            folder,
            'copy them again',
        )
    return files.natural(found)


def official(folder, part: str) -> tuple[list[pathlib.Path], np.ndarray]:
    """Pictures `<part>-XXXX_nsd-XXXXX.png` in the order of their rows, and NSD ids [n] from 0.

    Row i is number i + 1. The ids must be distinct and below 73,000, and ascend with the numbers
    as those of the challenge do.

    Args:
      folder: of pictures.
      part: 'train' or 'test'.

    Raises:
      DataMissing: no pictures.  DataInvalid: another name, numbers that are not 1 to n, ids that
        are not NSD's from 0, or ids that do not ascend.
    """
    folder = pathlib.Path(folder)
    parsed = {name: _OFFICIAL.fullmatch(name) for name in names(folder)}
    strange = [name for name, match in parsed.items() if not match or match[1] != part]
    if strange:
        raise errors.DataInvalid(
            f'{len(strange)} pictures have another name, first {strange[0]}',
            folder,
            f"wanted '{part}-0001_nsd-00013.png': the row's number, then NSD's id from 0",
        )
    numbers = np.array([int(match[2]) for match in parsed.values()])
    ids = np.array([int(match[3]) for match in parsed.values()], np.int64)
    order = _contiguous(numbers, 1, folder)
    ids = ids[order]
    if ids.max() >= STIMULI:
        raise errors.DataInvalid(
            f'NSD id {ids.max()} in a name, ids go from 0 to {STIMULI - 1}',
            folder,
            'the names seem to count from 1: each is one too high',
        )
    once, times = np.unique(ids, return_counts=True)
    if (times > 1).any():
        raise errors.DataInvalid(
            f'NSD id {once[times > 1][0]} stands in {times.max()} names',
            folder,
            'one picture, one id: extract the archive again',
        )
    falls = np.flatnonzero(np.diff(ids) < 0)
    if len(falls):
        raise errors.DataInvalid(
            f'NSD ids do not ascend with the numbers, first after {part}-{falls[0] + 1:04d}',
            folder,
            'the challenge numbers its pictures by NSD id: the files were renamed',
        )
    listed = list(parsed)
    return [folder / listed[i] for i in order], ids


def numbered(folder) -> list[pathlib.Path]:
    """Pictures 0.png ... n-1.png, not padded, in the order of their numbers.

    Raises:
      DataMissing: no pictures.  DataInvalid: another name, or numbers that are not 0 to n - 1.
    """
    folder = pathlib.Path(folder)
    listed = names(folder)
    strange = [name for name in listed if not _NUMBERED.fullmatch(name)]
    if strange:
        raise errors.DataInvalid(
            f'{len(strange)} pictures are not named by a number, first {strange[0]}',
            folder,
            "wanted '0.png' to 'n-1.png'",
        )
    numbers = np.array([int(_NUMBERED.fullmatch(name)[1]) for name in listed])
    return [folder / listed[i] for i in _contiguous(numbers, 0, folder)]


def is_official(folder) -> bool:
    """Whether the first picture of a folder is named as the challenge names them."""
    return _NUMBERED.fullmatch(names(folder)[0]) is None


def images(paths, ids) -> types.Images:
    """Pictures by id, read from their files when asked for."""
    order = np.argsort(ids, kind='stable')
    paths = [paths[i] for i in order]
    shape = files.picture(paths[0]).shape[:2]

    def read(rows):
        found = np.empty((len(rows), *shape, 3), np.uint8)
        for i, row in enumerate(rows):
            picture = files.picture(paths[row])
            if picture.shape[:2] != shape:
                raise errors.DataInvalid(
                    f'a picture of {picture.shape[:2]} pixels, {paths[0].name} has {shape}',
                    paths[row],
                    'all pictures must be of one size: copy it again',
                )
            found[i] = picture
        return found

    return types.Images(np.asarray(ids)[order], read, shape)


def _contiguous(numbers: np.ndarray, first: int, folder) -> np.ndarray:
    """The order that sorts `numbers`, which must be first, first + 1 ..."""
    order = np.argsort(numbers, kind='stable')
    wanted = np.arange(first, first + len(numbers))
    wrong = np.flatnonzero(numbers[order] != wanted)
    if len(wrong):
        here = wrong[0]
        raise errors.DataInvalid(
            f'{len(numbers)} pictures are not numbered {first} to {wanted[-1]}: number '
            f'{numbers[order][here]} where {wanted[here]} should be',
            folder,
            'row i belongs to the i-th number: copy what is missing, take away what is double',
        )
    return order
