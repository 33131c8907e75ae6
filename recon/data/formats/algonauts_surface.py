"""Masks of the Algonauts 2023 trees: where on fsaverage the columns lie, and in which areas."""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import algonauts_fmri, algonauts_rois, files

VERTICES = 163_842  # of one hemisphere of fsaverage
_HERE = {'official': '_challenge_space', 'course': '_space'}  # end of the names of short masks
_MOST = 254  # far more labels than any class has; 255 is -1 in a byte without a sign
_REMEDY = 'extract the archive again'


@dataclasses.dataclass(frozen=True)
class Surface:
    """The columns of both hemispheres, left then right.

    Attributes:
      hemisphere: [v] int8, 0 left, 1 right.
      vertex: [v] int32, index in fsaverage within the hemisphere; None if the tree does not say.
      labels: {class: [v] int16}, of the classes that are there.
      notes: what the user should know.
    """

    hemisphere: np.ndarray
    vertex: np.ndarray | None
    labels: dict
    notes: tuple[str, ...]


def read(folder, layout: str, columns: tuple[int, int]) -> Surface:
    """Reads the masks of `folder` and checks them against each other and the responses.

    Each short mask must be as long as its hemisphere has columns. Where the long ones (all of
    fsaverage) are there, they must equal the short ones at the challenge vertices, vertex by
    vertex: that catches swapped hemispheres and shifts also where sizes agree.

    Args:
      folder: roi_masks.
      layout: 'official' or 'course'.
      columns: of the left and of the right hemisphere's responses.

    Raises:
      DataMissing: no masks at all, or one hemisphere's.  DataInvalid: a mask that cannot be read,
        has another length, other labels than whole numbers, or contradicts another.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise errors.DataMissing(
            'no such folder', folder, '`python launch/fetch.py algonauts2023` says what to get'
        )
    vertices = [_vertices(folder, side, columns) for side in (0, 1)]
    notes, labels = [], {}
    if vertices[0] is None or vertices[1] is None:
        vertices = None
        notes.append('no all-vertices masks: places on the cortex are not known')
    for name in algonauts_rois.CLASSES:
        paths = [folder / f'{side}.{name}{_HERE[layout]}.npy' for side in algonauts_fmri.SIDES]
        there = [path.exists() for path in paths]
        if not any(there):
            notes.append(f'no masks of {name}: its areas are missing')
            continue
        short = [_short(path, side, columns) for side, path in enumerate(paths)]
        for side in (0, 1):
            if vertices is not None:
                _compare(folder, paths, name, side, short, vertices)
        labels[name] = np.concatenate(short)
    if not labels:
        raise errors.DataMissing(
            f'no masks named like lh.streams{_HERE[layout]}.npy', folder, 'check dataset.layout'
        )
    return Surface(
        np.repeat(np.array([0, 1], np.int8), columns),
        None if vertices is None else np.concatenate(vertices).astype(np.int32),
        labels,
        tuple(notes),
    )


def _vertices(folder, side: int, columns) -> np.ndarray | None:
    """Challenge vertices of a hemisphere, ascending; None where the tree does not say.

    The file is the sum of two masks, so that some of its values are 2.
    """
    path = folder / f'{algonauts_fmri.SIDES[side]}.all-vertices_fsaverage_space.npy'
    if not path.exists():
        return None
    found = np.flatnonzero(_long(path))
    _check_length(path, len(found), side, columns, 'vertices')
    return found


def _short(path, side: int, columns) -> np.ndarray:
    values = _whole(path, files.npy(path, 1, 'fiub'))
    _check_length(path, len(values), side, columns, 'labels')
    return values


def _long(path) -> np.ndarray:
    values = files.npy(path, 1, 'fiub')
    if len(values) != VERTICES:
        raise errors.DataInvalid(
            f'{len(values)} values, fsaverage has {VERTICES} vertices', path, _REMEDY
        )
    return _whole(path, values)


def _whole(path, values: np.ndarray) -> np.ndarray:
    """Labels as int16; some tools write them as floats."""
    values = np.asarray(values)
    if values.dtype.kind == 'f' and not (np.isfinite(values) & (values % 1 == 0)).all():
        raise errors.DataInvalid('labels are not whole numbers', path, _REMEDY)
    if values.size and (values.min() < -1 or values.max() > _MOST):
        odd = next(int(x) for x in np.unique(values)[::-1] if not -1 <= x <= _MOST)
        raise errors.DataInvalid(
            f'it holds label {odd}, labels are 0 to {_MOST}',
            path,
            '255 is -1, no cortex, in a type without a sign: write it with one (int16)'
            if odd == 255
            else _REMEDY,
        )
    return values.astype(np.int16)


def _check_length(path, length: int, side: int, columns, what: str) -> None:
    if length == columns[side]:
        return
    swapped = length == columns[1 - side]
    raise errors.DataInvalid(
        f'{length} {what}, the responses of this hemisphere have {columns[side]} columns',
        path,
        'the other hemisphere has just as many: lh and rh files are swapped'
        if swapped
        else 'masks and responses must be of one subject: ' + _REMEDY,
    )


def _compare(folder, paths, name: str, side: int, short, vertices) -> None:
    """The long mask at the challenge vertices against the short one."""
    path = folder / f'{algonauts_fmri.SIDES[side]}.{name}_fsaverage_space.npy'
    if not path.exists():
        return
    long = _long(path)
    differs = int((long[vertices[side]] != short[side]).sum())
    if not differs:
        return
    # Long masks of both sides have all vertices, so that the other side's places can be tried, as
    # can its labels where both sides have as many. Labels that are all 0 fit everywhere.
    other = 1 - side
    tried = ((other, other), (side, other), (other, side))
    mirrored = any(short[b].any() and np.array_equal(long[vertices[a]], short[b]) for a, b in tried)
    raise errors.DataInvalid(
        f'it differs from {paths[side].name} at {differs} of {len(short[side])} vertices',
        path,
        'it fits the other hemisphere: lh and rh files are swapped'
        if mirrored
        else 'files of two subjects or releases are mixed: ' + _REMEDY,
    )
