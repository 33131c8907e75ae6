"""Writes two simulated brains as vim-1's EstimatedResponses.mat (v7.3) and Stimuli.mat (v5)."""

import dataclasses
import io
import os
import pathlib

import h5py
import numpy as np
import scipy.io
import scipy.spatial

from recon.core import errors, results
from recon.core import image as pictures_of
from recon.data import mark
from recon.data.datasets import vim1
from recon.data.layouts import _study
from recon.data.simulator import areas, scenes
from recon.data.simulator import brain as brains

SUBJECTS = (1, 2)
# Published area -> area of the simulated brain, which has no V3B: an empty area, as may be.
AREAS = {'V1': 'V1', 'V2': 'V2', 'V3': 'V3', 'V3A': 'V3A', 'V4': 'hV4', 'LatOcc': 'LO'}
_GRID = vim1.DEFAULTS['grid']
_TRIALS = {'train': 2, 'test': 13}
_ROWS_OF_A_RUN = 35
_LOST = 0.03  # of the voxels: NaN in training, in validation, or in both


@dataclasses.dataclass(frozen=True)
class Scale:
    """Training and validation pictures, voxels of subject 1, pixels on a side."""

    train: int
    test: int
    voxels: int
    size: int


# 'full' has the counts of the real files; those of their voxels are not documented to the last.
SCALES = {'toy': Scale(160, 30, 500, 32), 'full': Scale(1750, 120, 25_915, 128)}


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes both files; the responses are of both subjects, as in the real one.

    Training pictures are shown twice and validation pictures 13 times, in another session each
    time; the means are z-scored for each voxel over training and over validation rows by
    themselves. Three of a hundred voxels are NaN in training rows, in validation rows, or in both.
    Pictures are grey, float64, from -.5 (black) to .5.

    The truth, `<root>_truth/truth.npz`, is of `subject`, without the NaN voxels: what the reader
    gives, and `scenes` [m], the scene of each picture, noise-free signals [m v], and the brain's
    own fields (`simulator.brain.truth`).

    Args:
      root: folder, made if it is not there.
      subject: whose truth is written, 1 or 2.
      scale: 'toy' (190 pictures, 500 voxels) or 'full' (1,870 and 25,915; some 400 MB).
      seed: of scenes, brains and noise; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale or a subject that does not exist.
    """
    spec = _study.scale(SCALES, scale, 'vim1')
    if subject not in SUBJECTS:
        raise errors.ConfigError(f'subject is {subject}', 'layouts.vim1', f'one of {SUBJECTS}')
    root = pathlib.Path(root)
    rng = np.random.default_rng((seed, 23))
    shown = {'train': scenes.choose(spec.train, False, rng)}
    shown['test'] = scenes.choose(spec.test, True, rng)
    shown = {part: rng.permutation(ids) for part, ids in shown.items()}
    grey = {part: _grey(ids, spec.size, seed) for part, ids in shown.items()}
    results.write_bytes(
        root / vim1.STIMULI, _mat({'stimTrn': grey['train'], 'stimVal': grey['test']})
    )
    unfinished = root / f'.{vim1.RESPONSES}.{os.getpid()}.tmp'
    try:
        with h5py.File(unfinished, 'w', userblock_size=512) as file:
            for who in SUBJECTS:
                truth = _subject(file, who, spec, shown, seed)
                if who == subject:
                    truth['scenes'] = np.concatenate(list(shown.values()))
                    folder = root.with_name(f'{root.name}_truth')
                    results.write_npz(folder / 'truth.npz', truth)
                del truth  # as large as what was written
        with open(unfinished, 'r+b') as file:
            file.write(b'MATLAB 7.3 MAT-file, simulated'.ljust(124) + b'\x00\x02IM')
        os.replace(unfinished, root / vim1.RESPONSES)
    finally:
        unfinished.unlink(missing_ok=True)
    mark.leave(root)
    return root


def _subject(file: h5py.File, who: int, spec: Scale, shown: dict, seed: int) -> dict:
    """Writes one subject's variables; returns the truth of them."""
    ids = np.sort(np.concatenate(list(shown.values())))
    study = _study.simulate(seed, who, spec.voxels, ids, np.isin(ids, shown['train']))
    brain = study.brain
    cells = _cells(brain.xyz, brain.hemisphere)
    order = np.argsort(cells)
    codes = np.zeros(len(order), np.uint8)
    for code, name in vim1.AREAS.items():
        if name in AREAS:
            codes[areas.region(AREAS[name], brain.area)] = code
    lost = np.random.default_rng((seed, who, 29)).random((2, len(order)))
    lost = np.where(lost[0] < _LOST, 1 + (3 * lost[1]).astype(int), 0)  # 1 train, 2 test, 3 both
    kept = lost == 0
    truth = {}
    for part, key, bit in (('train', 'dataTrn', 1), ('test', 'dataVal', 2)):
        rows = _means(study, shown[part], part)[:, order]
        truth[f'{part}_voxels'] = rows[:, kept]
        count = len(rows)
        first = 0 if part == 'train' else spec.train
        truth[f'{part}_image_id'] = first + np.arange(count)
        truth[f'{part}_trials'] = np.full(count, _TRIALS[part], np.int32)
        for name in ('session', 'run', 'repeat'):
            truth[f'{part}_{name}'] = np.full(count, -1, np.int32)
        rows[:, (lost & bit) > 0] = np.nan
        _store(file, f'{key}S{who}', rows, 'single')  # [n v] here is voxels by pictures there
    _store(file, f'roiS{who}', codes[order][:, None].astype(np.float64), 'double')
    _store(file, f'voxIdxS{who}', (1.0 + cells[order])[:, None], 'double')
    here = order[kept]
    for code, name in vim1.AREAS.items():
        truth[f'roi_{name}'] = codes[here] == code
    index = np.unravel_index(cells[here], _GRID, order='F')
    truth['info_xyz'] = np.stack(index, 1).astype(np.float32)
    truth['ids'] = np.arange(len(ids))
    wanted = np.concatenate([shown['train'], shown['test']])
    truth['signals'] = study.signals[study.rows(wanted)][:, here]
    known = brains.truth(brain)
    return {k: v[here] if np.shape(v)[:1] == order.shape else v for k, v in known.items()} | truth


def _means(study: _study.Study, shown: np.ndarray, part: str) -> np.ndarray:
    """Means over the repeats, z-scored over the rows, [n v] float32; one session at a time."""
    signals = study.signals[study.rows(shown)]
    run = np.arange(len(shown)) // _ROWS_OF_A_RUN
    first = 0 if part == 'train' else _TRIALS['train']
    total = np.zeros_like(signals)
    for session in range(first, first + _TRIALS[part]):
        total += brains.measure(study.brain, signals, np.full(len(shown), session), run)
    total -= total.mean(0, dtype=np.float64).astype(np.float32)
    return total / total.std(0, dtype=np.float64).astype(np.float32)


def _cells(xyz: np.ndarray, hemisphere: np.ndarray) -> np.ndarray:
    """Distinct places in the volume [v], first axis fastest: near ones for near voxels."""
    low, high = xyz.min(0), xyz.max(0)
    wanted = (xyz - low) / (high - low) * (np.array(_GRID) - 1)
    index = np.stack(np.meshgrid(*map(np.arange, _GRID), indexing='ij'), -1).reshape(-1, 3)
    flat = np.ravel_multi_index(index.T, _GRID, order='F')
    cells = np.full(len(xyz), -1)
    for side in (0, 1):
        free = np.flatnonzero((index[:, 0] >= _GRID[0] // 2) == bool(side))
        waiting = np.flatnonzero(hemisphere == side)
        while len(waiting):
            near = scipy.spatial.cKDTree(index[free]).query(wanted[waiting])[1]
            chosen, first = np.unique(near, return_index=True)  # of several the first gets it
            cells[waiting[first]] = flat[free[chosen]]
            waiting, free = np.delete(waiting, first), np.delete(free, chosen)
    return cells


def _grey(ids: np.ndarray, size: int, seed: int) -> np.ndarray:
    """[m h w] float64 from -.5 to .5."""
    parts = [_study.pictures(ids[i : i + 128], size, seed) for i in range(0, len(ids), 128)]
    return pictures_of.to_gray(pictures_of.to_float(np.concatenate(parts))).astype(float) - 0.5


def _store(file: h5py.File, name: str, array: np.ndarray, kind: str) -> None:
    stored = file.create_dataset(name, data=array)
    stored.attrs['MATLAB_class'] = np.bytes_(kind)


def _mat(content: dict) -> bytes:
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content, do_compression=True)
    return b'MATLAB 5.0 MAT-file, simulated'.ljust(116) + buffer.getvalue()[116:]
