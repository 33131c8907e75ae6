"""NSD's volumes: masks, ROIs and betas of one subject on one grid, written a trial at a time."""

import dataclasses
import gzip
import pathlib

import h5py
import nibabel
import numpy as np

from recon.core import results
from recon.data.layouts import _grid, _nsd_labels
from recon.data.simulator import brain as brains

SCALE = np.float32(300)  # int16 = 300 x percent signal change
_INSIDE, _NOISE, _MAPS = 121, 122, 123  # streams of random numbers
_POOL = 5  # volumes of noise that are used again and again, shifted
_DEEP = {'thalamus': (12, -20, 4), 'MTL': (26, -22, -18)}  # mm; x mirrored on the left
_MAT = b'MATLAB 7.3 MAT-file, simulated'.ljust(116) + bytes(8) + b'\x00\x02IM'


@dataclasses.dataclass(frozen=True)
class Grid(_grid.Grid):
    """As its base, for odd numbers of cells too: a border of cells, not a centre, is at x = 0."""

    @property
    def corner(self) -> np.ndarray:
        """The outer corner of the first cell, mm."""
        return super().corner + (self.shape[0] % 2 * self.size / 2, 0, 0)


@dataclasses.dataclass(frozen=True)
class Volume:
    """Where a subject's voxels lie. Flat indices are in C order over (x, y, z).

    Attributes:
      grid: the grid.  tr: seconds.  seed: of what fills the rest.
      cells: [k] flat indices, ascending, of cells with a simulated voxel.
      voxels: [k] which voxel of the brain each holds.
      inside: [x*y*z] bool, the brain mask.
      cortex: [x*y*z] bool, cells of the cortex, simulated or not.
    """

    grid: Grid
    tr: float
    seed: tuple
    cells: np.ndarray
    voxels: np.ndarray
    inside: np.ndarray
    cortex: np.ndarray

    @property
    def xyz(self) -> np.ndarray:
        """[k 3] float32 mm, centres of the cells."""
        index = np.stack(np.unravel_index(self.cells, self.grid.shape), 1)
        # A NIfTI file keeps its affine in float32.
        affine = self.grid.affine.astype(np.float32).astype(float)
        return nibabel.affines.apply_affine(affine, index).astype(np.float32)

    def invalid(self, session: int) -> np.ndarray:
        """Flat indices of cells that were not measured in a session: none of a simulated voxel."""
        rng = np.random.default_rng((*self.seed, _INSIDE, session))
        spare = np.setdiff1d(np.flatnonzero(self.inside), self.cells)
        return np.sort(rng.choice(spare, len(spare) // 100, replace=False)) if session > 1 else []


def place(grid: Grid, brain: brains.Brain, chosen, reach: float, tr: float, seed) -> Volume:
    """Puts the voxels `chosen` of a brain on a grid; the mask is an ellipsoid around its middle.

    Args:
      grid: where.
      brain: whose.
      chosen: [k] indices of voxels.
      reach: half axes of the ellipsoid, as a share of the grid's; 1 fills it to 52 %.
      tr: seconds.
      seed: tuple, of what is drawn.
    """
    cells, order = _grid.place(grid, brain.xyz[chosen], brain.hemisphere[chosen])
    axes = [(2 * np.arange(size) + 1) / size - 1 for size in grid.shape]
    x, y, z = np.meshgrid(*axes, indexing='ij', sparse=True)
    inside = (x**2 + y**2 + z**2 <= reach**2).ravel()
    inside[cells] = True
    rng = np.random.default_rng((*seed, _INSIDE))
    cortex = inside & (rng.random(inside.size) < 0.2)
    cortex[cells] = True
    return Volume(grid, tr, tuple(seed), cells, np.asarray(chosen)[order], inside, cortex)


def write_maps(folder: pathlib.Path, volume: Volume, sessions) -> None:
    """brainmask, mean, R2 and valid_sessionNN of one subject."""
    rng = np.random.default_rng((*volume.seed, _MAPS))
    shape, inside = volume.grid.shape, volume.inside

    def save(name, flat):
        results.write_bytes(folder / f'{name}.nii.gz', to_bytes(volume.grid, flat.reshape(shape)))

    save('brainmask', inside.astype(np.int16))
    save('mean', np.where(inside, rng.normal(1200, 150, inside.size), 0).astype(np.float32))
    save('R2', np.where(inside, rng.gamma(2, 3, inside.size), 0).astype(np.float32))
    for session in sessions:
        valid = inside.astype(np.int16)
        valid[volume.invalid(session)] = 0
        save(f'valid_session{session:02d}', valid)


def write_rois(folder: pathlib.Path, volume: Volume, numbers: dict) -> None:
    """Label volumes {,lh.,rh.}<name>.nii.gz: -1 outside the cortex (of the hemisphere), 0, 1 .. N.

    Args:
      folder: roi/.
      volume: where the voxels lie.
      numbers: {file: [v] labels of the brain's voxels}; deep nuclei are added, without -1.
    """
    left = np.arange(volume.inside.size) // np.prod(volume.grid.shape[1:])
    left = left < volume.grid.shape[0] // 2
    sides = {'': np.ones_like(left), 'lh.': left, 'rh.': ~left}
    deep = {name: _deep(volume, name, left) for name in _nsd_labels.DEEP}
    for name in (*numbers, *deep):
        for prefix, side in sides.items():
            if name in deep:
                flat = np.where(side, deep[name], 0)
            else:
                flat = np.where(volume.cortex & side, 0, -1)
                here = side[volume.cells]
                flat[volume.cells[here]] = numbers[name][volume.voxels[here]]
            whole = flat.astype(np.int16).reshape(volume.grid.shape)
            content = to_bytes(volume.grid, whole)
            results.write_bytes(folder / f'{prefix}{name}.nii.gz', content)


def write_ncsnr(folder: pathlib.Path, volume: Volume, ncsnr: np.ndarray) -> None:
    """ncsnr.nii.gz and those of two halves; `ncsnr` [k], 0 elsewhere."""
    rng = np.random.default_rng((*volume.seed, _MAPS, 1))
    for name in ('ncsnr', 'ncsnr_split1', 'ncsnr_split2'):
        spread = np.exp(0.1 * rng.standard_normal(len(ncsnr))) if name != 'ncsnr' else 1
        whole = _grid.fill(volume.grid, volume.cells, (ncsnr * spread).astype(np.float32))
        results.write_bytes(folder / f'{name}.nii.gz', to_bytes(volume.grid, whole))


def write_betas(folder: pathlib.Path, volume: Volume, session: int, betas, endings) -> None:
    """betas_sessionNN: `betas` [n k] int16 where voxels are simulated, noise in the brain, else 0.

    Args:
      folder: of the version of betas.
      volume: where the voxels lie.
      session: from 1.
      betas: [n k] int16.
      endings: some of 'hdf5', 'mat' (written a trial at a time) and 'nii.gz' (as a whole).
    """
    name = f'betas_session{session:02d}'
    folder.mkdir(parents=True, exist_ok=True)
    x, y, z = volume.grid.shape
    for ending in endings:
        trials = _trials(volume, session, betas)
        if ending == 'nii.gz':
            whole = np.stack(list(trials)).reshape(-1, z, y, x)
            content = to_bytes(volume.grid, whole.transpose(3, 2, 1, 0), volume.tr)
            results.write_bytes(folder / f'{name}.{ending}', content)
            continue
        path = folder / f'{name}.{ending}'
        with h5py.File(path, 'w', userblock_size=512 if ending == 'mat' else 0) as file:
            shape = (len(betas), z, y, x)
            held = file.create_dataset('betas', shape, np.int16, chunks=(1, *shape[1:]))
            if ending == 'mat':
                held.attrs['MATLAB_class'] = np.bytes_('int16')
            for i, trial in enumerate(trials):
                held.id.write_direct_chunk((i, 0, 0, 0), trial.tobytes())
        if ending == 'mat':
            with open(path, 'r+b') as file:
                file.write(_MAT)


def to_int16(percent: np.ndarray) -> np.ndarray:
    """Percent signal change -> as it is stored in volumes."""
    return np.rint(percent * SCALE).clip(-32_000, 32_000).astype(np.int16)


def to_bytes(grid: Grid, volume: np.ndarray, tr: float | None = None) -> bytes:
    """The content of a .nii.gz file whose header says scl_slope = 0, as NSD's do."""
    image = nibabel.Nifti1Image(volume, grid.affine)
    image.header.set_xyzt_units('mm', 'sec')
    if tr is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], tr))
    content = bytearray(image.to_bytes())
    content[112:120] = bytes(8)  # scl_slope, scl_inter
    return gzip.compress(bytes(content), compresslevel=1, mtime=0)


def _trials(volume: Volume, session: int, betas: np.ndarray):
    """Each trial's cells in the order of the files, x fastest: [z*y*x] int16."""
    swap = np.arange(volume.inside.size).reshape(volume.grid.shape[::-1]).T.ravel()
    rest = np.setdiff1d(np.flatnonzero(volume.inside), volume.cells)
    rest = np.setdiff1d(rest, volume.invalid(session))
    rng = np.random.default_rng((*volume.seed, _NOISE, session))
    pool = to_int16(1.5 * rng.standard_normal(_POOL * len(rest), dtype=np.float32))
    starts = rng.integers(0, (_POOL - 1) * len(rest) + 1, len(betas))
    rest, cells = np.sort(swap[rest]), swap[volume.cells]
    for start, row in zip(starts, betas, strict=True):
        out = np.zeros(volume.inside.size, np.int16)
        out[rest] = pool[start : start + len(rest)]
        out[cells] = row
        yield out


def _deep(volume: Volume, name: str, left: np.ndarray) -> np.ndarray:
    """Labels 1 .. N for some cells deep in each half of the brain, 0 elsewhere."""
    count = len(_nsd_labels.NAMES[name])
    free = volume.inside & ~volume.cortex
    out = np.zeros(volume.inside.size, np.int16)
    for side, mirror in ((left, -1), (~left, 1)):
        cells = np.flatnonzero(free & side)
        index = np.stack(np.unravel_index(cells, volume.grid.shape), 1)
        mm = nibabel.affines.apply_affine(volume.grid.affine, index)
        far = np.square(mm - np.array(_DEEP[name]) * (mirror, 1, 1)).sum(1)
        near = cells[np.argsort(far, kind='stable')[: 3 * count]]
        out[near] = 1 + np.arange(len(near)) % count
    return out
