"""Handwritten sixes and nines, fMRI of one person's V1 to V3 (van Gerven et al. 2010)."""

import hashlib
import pathlib

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.formats import files

DEFAULTS = dict(
    path='',  # digit69_28x28.mat, or the folder that holds it
    split=dict(splitting.DEFAULTS),
)
FILE = 'digit69_28x28.mat'
SHA256 = '44513e09ad2398566aedd550088b817a3c0bf9cd7873f87078ecd7fdf170b22d'  # of the public file
SIDE = 28
LABELS = ('six', 'nine')
_REMEDY = '`python launch/fetch.py digits69` says where to get it; then set dataset.path'


def load(cfg) -> types.BrainData:
    """Reads the file as it was published with the Deep Generative Multiview Model.

    Keys: fmriTrn, fmriTest [n v] (voxels; not z-scored); stimTrn, stimTest [n 784] uint8, one
    picture a row, stored column by column; labelTrn, labelTest [n 1], 1 six and 2 nine.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Train and test as published, or as `split` says; image ids count on from the first training
      row through the test rows; pictures upright, 28 x 28, one channel; labels {id: 0 six, 1 nine}.
      Runs are not in the file (rows are sorted by class, not by time), nor are areas. Its bytes
      are compared with those of the published file, and facts['notes'] says if they differ.

    Raises:
      DataMissing: no such file.  DataInvalid: not that kind of file, a key that is missing, shapes
        that do not agree, or values that are not finite.
    """
    path = _find(cfg.get('path', ''))
    content = files.mat(path)
    parts = {part: _part(content, part, path) for part in ('Trn', 'Test')}
    if parts['Trn'][0].shape[1] != parts['Test'][0].shape[1]:
        raise errors.DataInvalid(
            f'fmriTrn has {parts["Trn"][0].shape[1]} voxels, fmriTest {parts["Test"][0].shape[1]}',
            path,
            'both parts must have the same voxels',
        )
    n = len(parts['Trn'][0])
    total = n + len(parts['Test'][0])
    simulated = mark.facts(path.parent)
    pictures = np.concatenate([parts['Trn'][1], parts['Test'][1]])
    labels = np.concatenate([parts['Trn'][2], parts['Test'][2]])
    brain = types.BrainData(
        train=types.Split(parts['Trn'][0], np.arange(n), repeat=np.zeros(n)),
        test=types.Split(parts['Test'][0], np.arange(n, total), repeat=np.zeros(total - n)),
        images=types.Images(np.arange(total), pictures.__getitem__, (SIDE, SIDE), channels=1),
        labels=dict(enumerate(labels.tolist())),
        label_names=LABELS,
        facts={
            'source': 'digits69',
            'file': path.name,
            'subject': 1,
            'split': 'as published: fmriTrn and fmriTest',
            'voxel_unit': 'response amplitude as published, not z-scored',
            'notes': [] if simulated else _unlike(path),
        }
        | simulated,
    )
    return splitting.regroup(cfg.get('split', splitting.DEFAULTS), brain)


def _find(path: str) -> pathlib.Path:
    if not path:
        raise errors.DataMissing('dataset.path is not set', f'digits69, {FILE}', _REMEDY)
    path = pathlib.Path(path).expanduser()
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise errors.DataMissing('no such file', path, _REMEDY)
    return path


def _unlike(path: pathlib.Path) -> list[str]:
    """A note if the file is not the published one, byte by byte."""
    with open(path, 'rb') as file:
        found = hashlib.file_digest(file, 'sha256').hexdigest()
    if found == SHA256:
        return []
    return [
        f'{path.name} is not the published file (its sha256 is {found[:12]}..., published is '
        f'{SHA256[:12]}...): labels, pictures or a factor may have been changed; fetch it again'
    ]


def _part(content: dict, part: str, path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Voxels [n v] float32, upright pictures [n 28 28 1] uint8, labels [n] 0 or 1."""
    missing = [k for k in (f'fmri{part}', f'stim{part}', f'label{part}') if k not in content]
    if missing:
        found = ', '.join(sorted(k for k in content if not k.startswith('__')))
        raise errors.DataInvalid(f'no {", ".join(missing)}; it holds {found}', path, _REMEDY)
    voxels, pictures, labels = (content[f'{key}{part}'] for key in ('fmri', 'stim', 'label'))
    n = len(voxels)
    if voxels.ndim != 2 or not voxels.size or pictures.shape != (n, SIDE**2) or labels.size != n:
        raise errors.DataInvalid(
            f'fmri{part} {voxels.shape}, stim{part} {pictures.shape}, label{part} {labels.shape}; '
            f'wanted (n, voxels), (n, {SIDE**2}), (n, 1)',
            path,
            _REMEDY,
        )
    numbers = all(np.issubdtype(a.dtype, np.number) for a in (voxels, pictures, labels))
    if not numbers or not np.isin(labels, (1, 2)).all() or pictures.dtype != np.uint8:
        raise errors.DataInvalid(
            f'{part}: dtypes {voxels.dtype}, {pictures.dtype}, {labels.dtype}, labels '
            f'{np.unique(labels)[:5]}; wanted numbers, uint8 pictures, labels 1 and 2',
            path,
            _REMEDY,
        )
    bad = ~np.isfinite(voxels)
    if bad.any():
        raise errors.DataInvalid(
            f'{bad.sum()} values of fmri{part} are NaN or infinite, first at row '
            f'{np.argwhere(bad)[0][0]}, voxel {np.argwhere(bad)[0][1]}',
            path,
            f'fetch it again; its sha256 is {SHA256}',
        )
    upright = pictures.reshape(n, SIDE, SIDE).transpose(0, 2, 1)[..., None]
    return voxels.astype(np.float32), upright, labels.ravel().astype(int) - 1
