"""A grid of voxels in mm, and NIfTI files of it that are the same for the same content."""

import dataclasses
import gzip

import nibabel
import numpy as np

_BACK, _BOTTOM = -123.0, -45.0  # mm: behind and below the occipital lobe
_REACH = 6  # cells


@dataclasses.dataclass(frozen=True)
class Grid:
    """Cells of `size` mm, `shape` of them (x to the right, y forwards, z up); x is centred."""

    shape: tuple[int, int, int]
    size: float

    @property
    def corner(self) -> np.ndarray:
        """The outer corner of the first cell, mm."""
        return np.array([-self.shape[0] * self.size / 2, _BACK, _BOTTOM])

    @property
    def affine(self) -> np.ndarray:
        """[4 4], index of a cell -> mm of its centre."""
        affine = np.diag([self.size] * 3 + [1.0])
        affine[:3, 3] = self.corner + self.size / 2
        return affine


def place(grid: Grid, xyz: np.ndarray, hemisphere: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A cell for each voxel: the nearest that is free, in its own hemisphere.

    Args:
      grid: an even number of cells from left to right.
      xyz: [v 3] mm.
      hemisphere: [v] 0 left, 1 right.

    Returns:
      Flat indices of the cells, ascending [v], and the voxel that each holds [v].
    """
    reach = np.arange(-_REACH, _REACH + 1)
    steps = np.stack(np.meshgrid(reach, reach, reach, indexing='ij'), -1).reshape(-1, 3)
    steps = steps[np.argsort(np.square(steps).sum(1), kind='stable')]
    middle = grid.shape[0] // 2
    taken, flat = set(), np.empty(len(xyz), int)
    wanted = np.floor((xyz - grid.corner) / grid.size).astype(int)
    for i, side in enumerate(hemisphere):
        near = wanted[i] + steps
        low, high = (middle, grid.shape[0]) if side else (0, middle)
        inside = ((near >= (low, 0, 0)) & (near < (high, *grid.shape[1:]))).all(1)
        found = np.ravel_multi_index(near[inside].T, grid.shape).tolist()
        flat[i] = next(cell for cell in found if cell not in taken)
        taken.add(int(flat[i]))
    order = np.argsort(flat)
    return flat[order], order


def fill(grid: Grid, cells: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values [v] or [v t] in their cells of an empty grid, [x y z] or [x y z t]."""
    volume = np.zeros((np.prod(grid.shape), *values.shape[1:]), values.dtype)
    volume[cells] = values
    return volume.reshape(*grid.shape, *values.shape[1:])


def to_bytes(grid: Grid, volume: np.ndarray, tr: float | None = None) -> bytes:
    """The content of a .nii.gz file; `tr` in seconds where there are volumes in time."""
    image = nibabel.Nifti1Image(volume, grid.affine)
    image.header.set_xyzt_units('mm', 'sec')
    if tr is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
