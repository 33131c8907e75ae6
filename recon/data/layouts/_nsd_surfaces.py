"""NSD's surfaces: labels and betas by vertex, on fsaverage and on the subject's own cortex."""

import dataclasses
import gzip
import pathlib

import h5py
import nibabel
import numpy as np

from recon.core import results
from recon.data.layouts import _nsd_labels, _nsd_volumes
from recon.data.simulator import brain as brains

SIDES = ('lh', 'rh')
_VERTICES, _NOISE, _LOST = 131, 132, 133  # streams of random numbers


@dataclasses.dataclass(frozen=True)
class Surface:
    """Where a subject's voxels lie on two hemispheres, left first.

    Attributes:
      counts: vertices of the left and of the right.
      vertices: for each side [k] int, ascending: vertices with a simulated voxel.
      voxels: for each side [k], which voxel of the brain it is.
      seed: of what fills the rest.
    """

    counts: tuple[int, int]
    vertices: tuple[np.ndarray, np.ndarray]
    voxels: tuple[np.ndarray, np.ndarray]
    seed: tuple

    @property
    def all_voxels(self) -> np.ndarray:
        """[k] of both sides, left first."""
        return np.concatenate(self.voxels)

    def lost(self, side: int) -> np.ndarray:
        """[k] bool: vertices that are NaN in the one session in which some are."""
        rng = np.random.default_rng((*self.seed, _LOST, side))
        return rng.random(len(self.vertices[side])) < 0.02


def fsaverage(brain: brains.Brain, count: int, seed) -> Surface:
    """The voxels whose vertex is among the first `count` of fsaverage."""
    vertices, voxels = [], []
    for side in (0, 1):
        mine = np.flatnonzero((brain.hemisphere == side) & (brain.vertex < count))
        at, first = np.unique(brain.vertex[mine], return_index=True)
        vertices.append(at.astype(np.int32))
        voxels.append(mine[first])
    return Surface((count, count), tuple(vertices), tuple(voxels), tuple(seed))


def native(brain: brains.Brain, counts, chosen, seed) -> Surface:
    """The voxels `chosen`, at vertices drawn by chance: a subject's own numbers say nothing."""
    rng = np.random.default_rng((*seed, _VERTICES))
    voxels = [chosen[brain.hemisphere[chosen] == side] for side in (0, 1)]
    vertices = [
        np.sort(rng.choice(count, len(mine), replace=False)).astype(np.int32)
        for count, mine in zip(counts, voxels, strict=True)
    ]
    return Surface(tuple(counts), tuple(vertices), tuple(voxels), tuple(seed))


def write_tables(folder: pathlib.Path, names) -> None:
    """<name>.mgz.ctab of ROI files."""
    for name in names:
        results.write_bytes(folder / f'{name}.mgz.ctab', _nsd_labels.table(name))


def write_labels(folder: pathlib.Path, surface: Surface, numbers: dict) -> None:
    """{lh,rh}.<name>.mgz, 0 .. N, of {name: [v] labels of the brain's voxels}."""
    for name, number in numbers.items():
        for side, prefix in enumerate(SIDES):
            whole = np.zeros(surface.counts[side], np.int32)
            whole[surface.vertices[side]] = number[surface.voxels[side]]
            content = gzip.compress(_mgh(whole[:, None]), compresslevel=1, mtime=0)
            results.write_bytes(folder / f'{prefix}.{name}.mgz', content)


def write_ncsnr(folder: pathlib.Path, surface: Surface, ncsnr: np.ndarray) -> None:
    """{lh,rh}.ncsnr.mgh; `ncsnr` [v] of the brain's voxels, 0 elsewhere."""
    for side, prefix in enumerate(SIDES):
        whole = np.zeros(surface.counts[side], np.float32)
        whole[surface.vertices[side]] = ncsnr[surface.voxels[side]]
        results.write_bytes(folder / f'{prefix}.ncsnr.mgh', _mgh(whole[:, None]))


def write_mgh(folder: pathlib.Path, surface: Surface, session: int, percent, lossy: bool) -> None:
    """{lh,rh}.betas_sessionNN.mgh: float32 percent signal change [vertices 1 1 n].

    Args:
      folder: of the version of betas.
      surface: where the voxels lie.
      session: from 1.
      percent: [n v] float32, of all voxels of the brain.
      lossy: whether some vertices are NaN, all through the session.
    """
    for side, prefix in enumerate(SIDES):
        whole = _noise(surface, side, session, len(percent))
        whole[:, surface.vertices[side]] = percent[:, surface.voxels[side]]
        if lossy:
            whole[:, surface.vertices[side][surface.lost(side)]] = np.nan
            elsewhere = np.arange(0, surface.counts[side], 97)
            whole[:, np.setdiff1d(elsewhere, surface.vertices[side])] = np.nan
        content = _mgh(whole.T)
        results.write_bytes(folder / f'{prefix}.betas_session{session:02d}.mgh', content)


def write_hdf5(folder: pathlib.Path, surface: Surface, session: int, percent) -> None:
    """{lh,rh}.betas_sessionNN.hdf5: int16, 300 x percent signal change, [n vertices]."""
    folder.mkdir(parents=True, exist_ok=True)
    for side, prefix in enumerate(SIDES):
        whole = _noise(surface, side, session, len(percent))
        whole[:, surface.vertices[side]] = percent[:, surface.voxels[side]]
        with h5py.File(folder / f'{prefix}.betas_session{session:02d}.hdf5', 'w') as file:
            chunks = (1, whole.shape[1])
            file.create_dataset('betas', data=_nsd_volumes.to_int16(whole), chunks=chunks)


def _noise(surface: Surface, side: int, session: int, n: int) -> np.ndarray:
    rng = np.random.default_rng((*surface.seed, _NOISE, session, side))
    return 1.5 * rng.standard_normal((n, surface.counts[side]), dtype=np.float32)


def _mgh(values: np.ndarray) -> bytes:
    """[vertices n] -> the content of an .mgh file, [vertices 1 1 n]."""
    shape = (len(values), 1, 1, *(values.shape[1:] if values.shape[1] > 1 else ()))
    return nibabel.MGHImage(values.reshape(shape), np.eye(4)).to_bytes()
