"""Voxels of a user's own: arrays, volumes within a mask, or surfaces, as [rows voxels]."""

import dataclasses
import itertools
import pathlib
import re

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files, nifti, pairs_arrays, pairs_units

SUFFIXES = (*pairs_arrays.ARRAYS, '.nii.gz', '.nii', '.func.gii')
# fsaverage3 to 6 are the first vertices of fsaverage.
_NESTED = {642: 3, 2_562: 4, 10_242: 5, 40_962: 6, 163_842: 7}
_SIDES = re.compile(r'(?i)(?:^|[._-])(?:hemi-)?(lh|rh|l|r|left|right)(?=[._-])')
_BLOCK = 256  # rows at once


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where voxels lie in a volume.

    Attributes:
      mask: [x y z] bool.  affine: [4 4], index -> mm.
      order: 'C', z runs fastest (numpy's data[mask]), or 'F', x does (MATLAB's data(mask)).
    """

    mask: np.ndarray
    affine: np.ndarray
    order: str

    def take(self, volume: np.ndarray) -> np.ndarray:
        """[x y z ...] -> [v ...], voxels in their order."""
        if self.order == 'C':
            return volume[self.mask]
        turned = volume.transpose(2, 1, 0, *range(3, volume.ndim))
        return turned[self.mask.transpose(2, 1, 0)]

    def xyz(self) -> np.ndarray:
        """[v 3] float32 mm."""
        index = np.stack(np.meshgrid(*map(np.arange, self.mask.shape), indexing='ij'), -1)
        return nibabel.affines.apply_affine(self.affine, self.take(index)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Voxels:
    """What was measured.

    Attributes:
      values: [n v] float32, perhaps memory-mapped.
      files: names, in the order in which they were joined.
      rows: of each file, where files are joined by row.
      grid: the mask, or None.
      listed: whether the voxels were stored as a list, whose order within the mask is a claim.
      info: fields of voxel_info that follow from the files.
      columns: {'lh' | 'rh': slice} of surfaces.
    """

    values: np.ndarray
    files: list
    rows: list
    grid: Grid | None
    listed: bool
    info: dict
    columns: dict


def load(root: pathlib.Path, cfg: dict, notes: list) -> Voxels:
    """The files of `cfg` (dataset.voxels), joined.

    Raises:
      DataMissing: no such file.  DataInvalid: unreadable, or shapes that do not fit.
      ConfigError: an option that does not fit.
    """
    _check(cfg)
    paths, join = _paths(root, cfg)
    grid = _grid(root, cfg, paths)
    parts = [_one(path, cfg, grid) for path in paths]
    sides = [side_of(path) if pairs_arrays.suffix(path) == '.gii' else '' for path in paths]
    along = 0 if join == 'rows' else 1
    lengths = {part.shape[1 - along] for part in parts}
    if len(lengths) > 1:
        listed = ', '.join(f'{p.name} {part.shape}' for p, part in zip(paths, parts, strict=True))
        raise errors.DataInvalid(
            f'files joined by {join} have unlike shapes [rows voxels]: {listed}',
            root,
            f"set dataset.voxels.join='{'voxels' if join == 'rows' else 'rows'}', or mend them",
        )
    values = parts[0] if len(parts) == 1 else np.concatenate(parts, along)
    if not all(values.shape):
        raise errors.DataInvalid(f'its shape is {values.shape}', paths[0], 'nothing is in it')
    pairs_units.note(values, cfg['divide'], notes)
    info, columns = _surface(parts, sides, join, notes)
    rows = [len(part) for part in parts] if join == 'rows' else [len(values)]
    volumes = pairs_arrays.suffix(paths[0]) == '.nii' or len(cfg['axes'].split()) > 2
    listed = grid is not None and not volumes
    names = [path.name for path in paths]
    return Voxels(_divided(values, cfg), names, rows, grid, listed, info, columns)


def side_of(path) -> str:
    """'lh' or 'rh' by the file's name ('lh.x', 'sub-1_hemi-L_x'), else ''."""
    found = _SIDES.search(pathlib.PurePath(path).name)
    return f'{found.group(1)[0].lower()}h' if found else ''


def finite(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Which voxels are finite in all rows, bool [v], and how many rows have one that is not."""
    good, rows = np.ones(values.shape[1], bool), 0
    for start in range(0, len(values), _BLOCK):
        block = np.isfinite(values[start : start + _BLOCK])
        good &= block.all(0)
        rows += int((~block.all(1)).sum())
    return good, rows


def surface(path) -> list[np.ndarray]:
    """The data arrays of a GIFTI file. Raises DataInvalid where it cannot be read."""
    return [array.data for array in gifti(path).darrays]


def gifti(path) -> nibabel.gifti.GiftiImage:
    """A GIFTI file that holds data, all arrays of one length."""
    from xml.parsers import expat

    files.exists(path, pairs_arrays.REMEDY)
    broken = (*files._BROKEN, expat.ExpatError, nibabel.filebasedimages.ImageFileError)
    with files.said(
        path, 'not a GIFTI file that can be read, or cut short', (*broken, SyntaxError)
    ):
        image = nibabel.load(path)
        shapes = {np.shape(array.data) for array in image.darrays}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise errors.DataInvalid(
            f'its arrays have shapes {sorted(shapes)}', path, 'wanted arrays of one value a vertex'
        )
    return image


def _check(cfg: dict) -> None:
    for name, options in (('join', ('', 'rows', 'voxels')), ('order', ('C', 'F'))):
        if cfg[name] not in options:
            raise errors.ConfigError(
                f'dataset.voxels.{name} is {cfg[name]!r}', 'config', f'one of {options}'
            )
    if not cfg['divide'] > 0:
        raise errors.ConfigError(
            f'dataset.voxels.divide is {cfg["divide"]}', 'config', 'a number above 0'
        )


def _paths(root: pathlib.Path, cfg: dict) -> tuple[list, str]:
    paths = pairs_arrays.find(root, cfg['file'], 'voxels', SUFFIXES)
    both = [root / f'{side}.voxels.func.gii' for side in ('lh', 'rh')]
    if not paths and all(path.exists() for path in both):
        return both, 'voxels'
    if not paths:
        listed = ', '.join(f'voxels{suffix}' for suffix in SUFFIXES)
        raise errors.DataMissing(
            f'no voxels: none of {listed}',
            root,
            f'name the file in dataset.voxels.file. {pairs_arrays.REMEDY}; `python '
            'launch/simulate.py --layout=pairs` writes one, as does :smoke of its config',
        )
    return paths, cfg['join'] or 'rows'


def _grid(root: pathlib.Path, cfg: dict, paths: list) -> Grid | None:
    found = pairs_arrays.find(root, cfg['mask'], 'mask', ('.nii.gz', '.nii'))
    if not found:
        if any(pairs_arrays.suffix(path) == '.nii' for path in paths):
            raise errors.DataMissing(
                f'no mask for {paths[0].name}',
                root,
                'put mask.nii.gz beside it (1 where a voxel is to be read), or set '
                'dataset.voxels.mask',
            )
        return None
    if len(found) > 1:
        raise errors.ConfigError(
            f'dataset.voxels.mask names {len(found)} files', 'config', 'one NIfTI mask'
        )
    volume, affine = nifti.read(found[0], 3)
    mask = np.nan_to_num(volume) > 0  # NSD's regions have -1 where there is no cortex
    if not mask.any():
        raise errors.DataInvalid('no voxel is in the mask', found[0], 'wanted values above 0')
    return Grid(mask, affine, cfg['order'])


def _one(path, cfg: dict, grid: Grid | None) -> np.ndarray:
    """One file as [n v], in its own type."""
    kind = pairs_arrays.suffix(path)
    if kind == '.nii':
        volume, affine = nifti.read(path, 4)
        nifti.check_grid(path, volume.shape[:3], affine, grid.mask.shape, grid.affine)
        return grid.take(volume).T
    if kind == '.gii':
        return np.stack(surface(path))
    array = pairs_arrays.read(path, cfg['key'])
    if array.dtype.kind not in 'fiu':
        raise errors.DataInvalid(f'its type is {array.dtype}', path, 'wanted numbers')
    words = pairs_arrays.axes(
        cfg['axes'], 'dataset.voxels.axes', (('rows', 'voxels'), ('rows', 'x', 'y', 'z'))
    )
    if array.ndim != len(words):
        raise errors.DataInvalid(
            f'its shape is {array.shape}, dataset.voxels.axes is {cfg["axes"]!r}',
            path,
            "state its axes: 'rows voxels', 'x y z rows' (with a mask), ...",
        )
    if len(words) == 2:
        return array if words[0] == 'rows' else array.T
    return _masked(path, array, words, grid)


def _masked(path, array: np.ndarray, words: list, grid: Grid | None) -> np.ndarray:
    if grid is None:
        raise errors.DataMissing(
            'voxels in a volume, and no mask', path, 'put mask.nii.gz beside it'
        )
    volume = array.transpose([words.index(axis) for axis in ('x', 'y', 'z', 'rows')])
    if volume.shape[:3] != grid.mask.shape:
        fitting = [
            ' '.join(order)
            for order in itertools.permutations(('x', 'y', 'z', 'rows'))
            if tuple(array.shape[order.index(axis)] for axis in 'xyz') == grid.mask.shape
        ]
        raise errors.DataInvalid(
            f'its shape is {array.shape}; with axes {" ".join(words)!r} its grid is '
            f'{volume.shape[:3]}, that of the mask {grid.mask.shape}',
            path,
            f'axes that would fit: {" or ".join(map(repr, fitting)) or "none"}',
        )
    return grid.take(volume).T


def _divided(values: np.ndarray, cfg: dict) -> np.ndarray:
    if values.dtype != np.float32:
        values = np.ascontiguousarray(values, np.float32)
    return values if cfg['divide'] == 1 else values / np.float32(cfg['divide'])


def _surface(parts, sides, join: str, notes: list) -> tuple[dict, dict]:
    """Hemisphere and vertex of GIFTI files, and the columns of each hemisphere."""
    if join == 'rows':  # all files are of the same vertices
        parts, sides = parts[:1], sides[:1] if len(set(sides)) == 1 else ['']
    if not all(sides):
        return {}, {}
    counts = [part.shape[1] for part in parts]
    info = {'hemisphere': np.repeat([int(s == 'rh') for s in sides], counts).astype(np.int8)}
    if all(count in _NESTED for count in counts):
        info['vertex'] = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
        notes.append(
            f'{counts[0]:,} vertices a hemisphere: taken to be fsaverage{_NESTED[counts[0]]}'
        )
    edges = np.cumsum([0, *counts]).tolist()
    columns = {side: slice(*edges[i : i + 2]) for i, side in enumerate(sides)}
    return info, columns
