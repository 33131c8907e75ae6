"""Grey photographs seen by two people (Kay et al. 2008), as CRCNS gives vim-1 out."""

import pathlib

import numpy as np

from recon.core import errors, settings, types
from recon.data import mark, splitting
from recon.data.formats import files

DEFAULTS = dict(
    path='',  # the folder that holds EstimatedResponses.mat and Stimuli.mat
    subject=1,  # 1 or 2
    grid=(64, 64, 18),  # the volume that voxIdx counts through, first axis fastest
    orientation='upright',  # of the stored pictures: or 'transposed'
    range=(),  # values that are black and white; () is the least and the largest in the file
    trials_train=2,  # trials that a training row is the mean of, as published
    trials_test=13,
    split=dict(splitting.DEFAULTS),  # 'own': Trn trains, Val tests
)
RESPONSES, STIMULI = 'EstimatedResponses.mat', 'Stimuli.mat'
AREAS = {1: 'V1', 2: 'V2', 3: 'V3', 4: 'V3A', 5: 'V3B', 6: 'V4', 7: 'LatOcc'}  # 0 is elsewhere
_REMEDY = (
    '`python launch/fetch.py vim1` says where to ask for it; `python launch/simulate.py '
    '--layout=vim1` writes simulated files, as does :smoke of its config'
)
_BLOCK = 2048  # voxels at once


def load(cfg) -> types.BrainData:
    """Reads EstimatedResponses.mat and Stimuli.mat, each of MATLAB version 5 or 7.3.

    The files hold no ids: row i of dataTrnS<subject> saw picture i of stimTrn (ids 0, 1, ...), and
    ids of stimVal follow on. Responses are means over repeats, so `repeat` is -1. A voxel that is
    NaN in training or in validation rows is dropped. Which axis is which follows from the counts of
    voxels (roiS) and of pictures, so that files saved again by Python are read as well.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Pictures of one channel. ROIs by code. voxel_info: xyz, the index from 0 in the volume of
      voxIdx (not millimetres: the files have no affine, and no hemisphere).

    Raises:
      DataMissing: a file that is not there.  DataInvalid: one that cannot be read or does not fit.
      ConfigError: an option that does not fit.
    """
    root = _folder(cfg)
    notes, subject = [], cfg.get('subject', DEFAULTS['subject'])
    responses = root / RESPONSES
    names = [f'{name}S{subject}' for name in ('dataTrn', 'dataVal', 'roi', 'voxIdx')]
    held = files.mat(responses, names)
    roi, place = (held.pop(name).reshape(-1) for name in names[2:])
    if len(roi) != len(place):
        raise errors.DataInvalid(
            f'{names[2]} has {len(roi)} voxels, {names[3]} {len(place)}', responses, _AGAIN
        )
    parts = [_rows(held.pop(name), len(roi), responses, name) for name in names[:2]]
    pictures = _pictures(root / STIMULI, [len(part) for part in parts], cfg, notes)
    kept = np.logical_and(*(_finite(part) for part in parts))
    if not kept.all():
        notes.append(f'{(~kept).sum()} of {len(kept)} voxels are not finite in some row: dropped')
    if not kept.any():
        raise errors.DataInvalid('no voxel is finite in all rows', responses, _AGAIN)
    voxels = np.concatenate([part[:, kept].astype(np.float32) for part in parts])
    _note_scale(voxels, notes)
    counts = [len(part) for part in parts]
    splits, rule = _splits(cfg, voxels, counts)
    return types.BrainData(
        train=splits['train'],
        validation=splits.get('validation'),
        test=splits['test'],
        images=types.Images(
            np.arange(len(pictures)), pictures.__getitem__, pictures.shape[1:3], channels=1
        ),
        rois=_rois(roi, kept, responses, notes),
        voxel_info={'xyz': _xyz(place, cfg, responses)[kept]},
        facts={
            'source': 'vim1',
            'subject': int(subject),
            'split': rule,
            'rows': 'means over repeats, as published',
            'voxel_unit': 'z-scores of each voxel, as published',
            'xyz_unit': f'index in the volume {tuple(cfg.get("grid", DEFAULTS["grid"]))}, not mm',
            'orientation': 'pictures are stored '
            f'{cfg.get("orientation", DEFAULTS["orientation"])}, as the config says',
            'dropped_voxels': int((~kept).sum()),
            'notes': notes,
        }
        | mark.facts(root),
    )


_AGAIN = 'fetch it again'


def _folder(cfg) -> pathlib.Path:
    given = cfg.get('path', DEFAULTS['path'])
    if not given:
        raise errors.DataMissing('dataset.path is not set', 'config', _REMEDY)
    root = pathlib.Path(given).expanduser()
    absent = [name for name in (RESPONSES, STIMULI) if not (root / name).is_file()]
    if absent:
        raise errors.DataMissing(f'no {" and no ".join(absent)}', root, _REMEDY)
    orientation = cfg.get('orientation', DEFAULTS['orientation'])
    trials = [cfg.get(key, DEFAULTS[key]) for key in ('trials_train', 'trials_test')]
    if orientation not in ('upright', 'transposed') or min(trials) < 1:
        raise errors.ConfigError(
            f'dataset has orientation={orientation!r}, trials {trials}',
            'config',
            "orientation is 'upright' or 'transposed', trials 1 or more",
        )
    return root


def _rows(array: np.ndarray, voxels: int, path, name: str) -> np.ndarray:
    """[v n] as MATLAB holds it, or [n v] -> [n v]."""
    if array.ndim == 2 and array.dtype.kind in 'fiu' and voxels in array.shape:
        return array.T if array.shape[0] == voxels else array
    raise errors.DataInvalid(
        f'{name} has shape {array.shape}, there are {voxels} voxels in roi and voxIdx',
        path,
        'wanted voxels by pictures',
    )


def _pictures(path: pathlib.Path, counts: list, cfg, notes: list) -> np.ndarray:
    """[m h w 1] float32 in [0, 1], upright: those of training, then those of validation."""
    held = files.mat(path, ('stimTrn', 'stimVal'))
    parts = []
    for name, count in zip(('stimTrn', 'stimVal'), counts, strict=True):
        pictures = held.pop(name)
        if pictures.ndim == 3 and pictures.shape[0] != count and pictures.shape[-1] == count:
            pictures = pictures.T  # not as MATLAB saves: all axes are reversed
            notes.append(
                f'{name} lies with its pictures on the last axis: all axes are read reversed, as '
                'from a version 7.3 file. If it was saved as rows by columns by pictures, they now '
                'lie on their side: look at the pictures; dataset.orientation=transposed turns them'
            )
        if pictures.ndim != 3 or len(pictures) != count or pictures.dtype.kind not in 'fiu':
            raise errors.DataInvalid(
                f'{name} has shape {pictures.shape} and type {pictures.dtype}, there are {count} '
                f'rows of responses',
                path,
                'wanted pictures by rows by columns, one picture a row of responses',
            )
        parts.append(pictures.astype(np.float32))
    if parts[0].shape[1:] != parts[1].shape[1:]:
        raise errors.DataInvalid(
            f'pictures are {parts[0].shape[1:]} in stimTrn, {parts[1].shape[1:]} in stimVal',
            path,
            _AGAIN,
        )
    pictures = np.concatenate(parts)
    if cfg.get('orientation', DEFAULTS['orientation']) == 'transposed':
        pictures = pictures.transpose(0, 2, 1)
    low, high = pictures.min(), pictures.max()
    if cfg.get('range', ()):
        low, high = settings.numbers(cfg['range'], 2, 'dataset.range', '0,255')
    if not np.isfinite(pictures).all() or not low < high:
        raise errors.DataInvalid(
            f'pixels from {pictures.min()} to {pictures.max()}, black and white are {low}, {high}',
            path,
            'wanted finite pixels, and dataset.range=(black, white)',
        )
    notes.append(f'pixels of {low:g} are black, of {high:g} white')
    scaled = (pictures - np.float32(low)) / np.float32(np.float32(high) - np.float32(low))
    return scaled.clip(0, 1)[..., None]


def _finite(rows: np.ndarray) -> np.ndarray:
    """[n v] -> bool [v], voxels that are finite in every row."""
    blocks = range(0, rows.shape[1], _BLOCK)
    return np.concatenate([np.isfinite(rows[:, i : i + _BLOCK]).all(0) for i in blocks])


def _note_scale(voxels: np.ndarray, notes: list) -> None:
    spread = float(np.median(voxels[:, :: max(1, voxels.shape[1] // 500)].std(0)))
    if not 0.1 < spread < 5:
        notes.append(
            f'voxels have a median standard deviation of {spread:.3g}; the published ones are '
            'z-scored, so it should be near 1'
        )


def _splits(cfg, voxels: np.ndarray, counts: list) -> tuple[dict, str]:
    rule = cfg.get('split', DEFAULTS['split'])
    ids = np.arange(sum(counts))
    own = np.repeat(['train', 'test'], counts)
    shared = [cfg.get(key, DEFAULTS[key]) for key in ('trials_train', 'trials_test')]
    trials = np.repeat(shared, counts).astype(np.int32)
    parts = splitting.parts(rule, ids, None, own)
    splits = {
        name: types.Split(voxels[index], ids[index], trials=trials[index])
        for name, index in parts.items()
    }
    return splits, splitting.describe(rule, 'as published: Trn trains, Val tests')


def _rois(codes: np.ndarray, kept: np.ndarray, path, notes: list) -> dict:
    strange = ~np.isin(codes, [0, *AREAS])
    if strange.any():
        raise errors.DataInvalid(
            f'roi is {codes[strange][0]:g} of {strange.sum()} of {len(codes)} voxels, first voxel '
            f'{np.argmax(strange)}',
            path,
            f'wanted whole codes from 0 (elsewhere) to {max(AREAS)} ({AREAS[max(AREAS)]})',
        )
    codes = codes[kept]
    rois = {name: codes == code for code, name in AREAS.items()}
    empty = [name for name, roi in rois.items() if not roi.any()]
    if empty:
        notes.append(f'no voxel is in {", ".join(empty)}')
    return rois


def _xyz(place: np.ndarray, cfg, path) -> np.ndarray:
    """[v 3] float32, index from 0, of MATLAB's linear index from 1."""
    grid = tuple(int(side) for side in cfg.get('grid', DEFAULTS['grid']))
    whole = np.isfinite(place).all() and (np.asarray(place, np.float64) % 1 == 0).all()
    if not whole or place.min() < 1 or place.max() > np.prod(grid):
        raise errors.DataInvalid(
            f'voxIdx is from {place.min()} to {place.max()}, the volume {grid} has '
            f'{np.prod(grid)} places',
            path,
            'wanted whole numbers from 1; set dataset.grid to the volume',
        )
    if len(np.unique(place)) != len(place):
        raise errors.DataInvalid('voxIdx names a place twice', path, _AGAIN)
    index = np.unravel_index(place.astype(np.int64) - 1, grid, order='F')
    return np.stack(index, 1).astype(np.float32)
