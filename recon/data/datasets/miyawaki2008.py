"""Black and white 10 x 10 patterns, fMRI of one person's visual cortex (Miyawaki et al. 2008)."""

import pathlib
import shutil

import nibabel
import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.formats import nifti

DEFAULTS = dict(
    path='',  # the folder that holds func/, label/ and mask/, or its parent with miyawaki2008/
    download=False,  # fetch into `path` with nilearn where the files are not there
    shift=2,  # volumes by which the response is later than the stimulus
    rows='volumes',  # 'volumes', or 'blocks': one mean row for each presentation
    split=dict(splitting.DEFAULTS),
)
RUNS = {'random': 20, 'figure': 12}  # training, test: split by the name of the run
AREAS = ('V1d', 'V1v', 'V2d', 'V2v', 'V3', 'V3A', 'V4v', 'VP')
BANDS = tuple(f'lag{i}to{i + 1}' for i in range(11))  # retinotopic bands of the published masks
SIDE = 10
TR = 2.0
_SHARED = 0.2  # of a mask may be in that of the other side
_REMEDY = (
    '`python launch/fetch.py miyawaki2008 --accept` fetches it (153 MB); or set dataset.path, or '
    'dataset.download=true'
)


def load(cfg) -> types.BrainData:
    """Reads the folder that nilearn's fetch_miyawaki2008 leaves.

    Each run by itself: voxels of mask/mask.nii.gz, linear detrending, then volume i + shift goes
    with the label of volume i; only then are rest volumes (label -1) dropped and runs joined.
    A voxel that does not change in a run is 0 there. Random runs are `train`, figure runs `test`.

    Ids are by content: distinct patterns are numbered as they first appear in random runs 1 to 20,
    then figure runs 1 to 12, so a figure that is also a training pattern has its id. Runs are
    1 to 20 (random) and 21 to 32 (figure); session is 1 and 2, the paper's two kinds of session;
    `repeat` counts the presentations of a pattern within its split, and volumes of one presentation
    share it. A presentation is a stretch of volumes with the same label.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Pictures upright, 10 x 10, one channel. ROIs: every mask by its file's name ('LHV1d'), both
      hemispheres together ('V1d', 'lag0to1'), and V1 = V1d | V1v, V2 = V2d | V2v. voxel_info:
      hemisphere (by the area masks, else by the sign of x), xyz in mm.

    Raises:
      DataMissing: files that are not there, by name.  DataInvalid: a file that cannot be read, is
        on another grid than the mask, has other numbers of rows, values that are not finite, or
        is no mask of one side.
      ConfigError: an option that does not fit.
    """
    shift, kind = cfg.get('shift', DEFAULTS['shift']), cfg.get('rows', DEFAULTS['rows'])
    if kind not in ('volumes', 'blocks') or shift < 0:
        raise errors.ConfigError(
            f'dataset has rows={kind!r}, shift={shift}',
            'config',
            "rows is 'volumes' or 'blocks', shift a number of volumes >= 0",
        )
    root = _folder(cfg)
    mask, affine = nifti.read_mask(root / 'mask' / 'mask.nii.gz', one=True)
    if not mask.any():
        raise errors.DataInvalid(
            'no voxel is in the mask', root / 'mask' / 'mask.nii.gz', 'fetch it again'
        )
    numbers, splits = {}, {}
    for session, (name, part) in enumerate((('random', 'train'), ('figure', 'test')), start=1):
        first = 1 if name == 'random' else RUNS['random'] + 1
        runs = [
            _run(root, f'data_{name}_run{i + 1:02d}', first + i, (mask, affine), numbers, shift)
            for i in range(RUNS[name])
        ]
        splits[part] = _join(runs, session, kind, root)
    rois = _rois(root, mask, affine)
    patterns = np.stack([np.frombuffer(p, np.int8) for p in numbers])
    brain = types.BrainData(
        train=splits['train'],
        test=splits['test'],
        images=pattern_images(upright(patterns)),
        rois=rois,
        voxel_info=_voxel_info(mask, affine, rois),
        tr=TR,
        facts={
            'source': 'miyawaki2008',
            'subject': 1,
            'split': 'random runs train, figure runs test',
            'rows': 'single volumes' if kind == 'volumes' else 'block averages',
            'shift_volumes': shift,
            'detrend': 'linear, by run',
            'voxel_unit': 'scanner units, detrended, not z-scored',
        }
        | mark.facts(root),
    )
    return splitting.regroup(cfg.get('split', splitting.DEFAULTS), brain)


def upright(labels: np.ndarray) -> np.ndarray:
    """Rows of a label file [m 100], stored column by column -> [m 10 10]."""
    return labels.reshape(-1, SIDE, SIDE).transpose(0, 2, 1)


def pattern_images(patterns: np.ndarray) -> types.Images:
    """Upright patterns of 0 and 1, [m h w] -> `Images` with ids 0 .. m - 1 and one channel."""
    pictures = (np.asarray(patterns, np.uint8) * 255)[..., None]
    ids = np.arange(len(pictures))
    return types.Images(ids, pictures.__getitem__, pictures.shape[1:3], channels=1)


def files() -> list[str]:
    """Paths below the folder, of all files that `load` reads."""
    runs = [f'data_{k}_run{i:02d}' for k, count in RUNS.items() for i in range(1, count + 1)]
    masks = ['mask', *(h + name for h in ('LH', 'RH') for name in (*AREAS, *BANDS))]
    return [
        *(f'func/{run}.nii.gz' for run in runs),
        *(f'label/{run}_label.csv' for run in runs),
        *(f'mask/{mask}.nii.gz' for mask in masks),
    ]


def download(folder) -> None:
    """Fetches the data set into `folder`/miyawaki2008 with nilearn (153 MB, from NITRC).

    Raises:
      DataMissing: no network, or the server did not deliver.
    """
    from nilearn import datasets  # slow to import, and needed here alone

    folder = pathlib.Path(folder)
    made = not folder.exists()
    try:
        datasets.fetch_miyawaki2008(data_dir=str(folder), verbose=0)
    except (OSError, RuntimeError, ValueError) as error:
        if made:  # nilearn leaves an empty tree behind
            shutil.rmtree(folder, ignore_errors=True)
        text = ' '.join(str(error).split())[:120]
        raise errors.DataMissing(
            f'the download failed ({type(error).__name__}: {text})',
            folder,
            'check the network, or copy the folder miyawaki2008 from a machine that has one',
        ) from error


def _folder(cfg) -> pathlib.Path:
    given = cfg.get('path', DEFAULTS['path'])
    if not given:
        raise errors.DataMissing('dataset.path is not set', 'miyawaki2008', _REMEDY)
    path = pathlib.Path(given).expanduser()
    if cfg.get('download', DEFAULTS['download']) and not any(
        (p / 'func').is_dir() for p in (path, path / 'miyawaki2008')
    ):
        download(path)
    root = path if (path / 'func').is_dir() else path / 'miyawaki2008'
    root = root if root.is_dir() else path
    wanted = files()
    missing = [name for name in wanted if not (root / name).is_file()]
    if missing:
        raise errors.DataMissing(
            f'{len(missing)} of {len(wanted)} files are not there, first {", ".join(missing[:3])}',
            root,
            _REMEDY,
        )
    return root


def _run(root, name: str, number: int, mask, numbers: dict, shift: int) -> dict:
    """One run after shift and before rest is dropped: voxels [n v], id, block, run [n]."""
    path = root / 'func' / f'{name}.nii.gz'
    volumes, affine = nifti.read(path, 4)
    nifti.check_grid(path, volumes.shape[:3], affine, mask[0].shape, mask[1])
    series = volumes[mask[0]].T.astype(np.float64)  # [n v]
    label_path = root / 'label' / f'{name}_label.csv'
    labels = _labels(label_path)
    if len(labels) != len(series):
        raise errors.DataInvalid(
            f'{len(labels)} rows of labels, {len(series)} volumes in {path.name}',
            label_path,
            'one row for each volume',
        )
    if len(series) <= shift:
        raise errors.DataInvalid(f'{len(series)} volumes, shift {shift}', path, 'too few volumes')
    bad = ~np.isfinite(series)
    if bad.any():
        raise errors.DataInvalid(
            f'{bad.sum()} values inside the mask are NaN or infinite, in {bad.any(0).sum()} voxels',
            path,
            'fetch it again, or shrink the mask',
        )
    # Numbered before the shift, so that an id does not depend on it.
    ids = [-1 if p[0] < 0 else numbers.setdefault(p.tobytes(), len(numbers)) for p in labels]
    ids = np.array(ids)[: len(ids) - shift]
    block = np.cumsum(np.concatenate([[0], ids[1:] != ids[:-1]]))
    return {'voxels': _detrend(series)[shift:], 'id': ids, 'block': block, 'run': number}


def _detrend(series: np.ndarray) -> np.ndarray:
    """[n v] less mean and slope over the run, float32; exactly 0 where a voxel does not change."""
    time = np.arange(len(series)) - (len(series) - 1) / 2
    slope = time @ series / max(np.square(time).sum(), 1)
    detrended = series - series.mean(0) - time[:, None] * slope
    return np.where(np.ptp(series, axis=0) == 0, 0, detrended).astype(np.float32)


def _labels(path: pathlib.Path) -> np.ndarray:
    """[n 100] int8 of 0 and 1; rest volumes are -1 throughout."""
    try:
        labels = np.loadtxt(path, delimiter=',', ndmin=2)
    except (OSError, ValueError) as error:
        raise errors.DataInvalid(f'not a table of numbers ({error})', path, 'fetch it again') from (
            error
        )
    if labels.shape[1:] != (SIDE**2,) or not len(labels):
        raise errors.DataInvalid(
            f'labels have shape {labels.shape}', path, f'wanted {SIDE**2} columns, 10 x 10 patches'
        )
    rest = (labels == -1).all(1)
    wrong = ~rest & ~np.isin(labels, (0, 1)).all(1)
    if wrong.any():
        raise errors.DataInvalid(
            f'row {np.flatnonzero(wrong)[0] + 1} is neither 0 and 1 nor -1 throughout',
            path,
            'fetch it again',
        )
    return labels.astype(np.int8)


def _join(runs: list[dict], session: int, kind: str, root) -> types.Split:
    """Drops rest, averages blocks if asked, numbers presentations, joins runs."""
    seen, columns = {}, {'voxels': [], 'image_id': [], 'run': [], 'repeat': []}
    for run in runs:
        shown = run['id'] >= 0
        voxels, ids, block = run['voxels'][shown], run['id'][shown], run['block'][shown]
        _, first, inverse = np.unique(block, return_index=True, return_inverse=True)
        repeat = np.empty(len(first), np.int32)
        for i, row in enumerate(first):
            repeat[i] = seen[ids[row]] = seen.get(ids[row], -1) + 1
        if kind == 'blocks' and len(first):
            voxels = np.add.reduceat(voxels, first) / np.bincount(inverse)[:, None]
            ids = ids[first]
        columns['voxels'].append(voxels.astype(np.float32))
        columns['image_id'].append(ids)
        columns['repeat'].append(repeat if kind == 'blocks' else repeat[inverse])
        columns['run'].append(np.full(len(ids), run['run'], np.int32))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    if not len(joined['image_id']):
        raise errors.DataInvalid(
            'every volume of a whole split is rest', root / 'label', 'fetch the labels again'
        )
    return types.Split(**joined, session=np.full(len(joined['run']), session))


def _rois(root, mask, affine) -> dict:
    """All masks, by their files' names and both sides together, [v] bool.

    Raises DataInvalid for another grid, for numbers in place of a mask, and where a fifth of one is
    in that of the other side too.
    """
    rois = {}
    for name in (*AREAS, *BANDS):
        for side in ('LH', 'RH'):
            path = root / 'mask' / f'{side}{name}.nii.gz'
            area, area_affine = nifti.read_mask(path, one=True)
            nifti.check_grid(path, area.shape, area_affine, mask.shape, affine)
            rois[side + name] = area[mask]
        left, right = rois[f'LH{name}'], rois[f'RH{name}']
        both, smaller = int((left & right).sum()), int(min(left.sum(), right.sum()))
        if both > _SHARED * smaller:  # a few voxels at the middle may be of both
            raise errors.DataInvalid(
                f'{both} of {smaller} voxels of LH{name}.nii.gz and RH{name}.nii.gz are the same',
                root / 'mask',
                'a mask is of one side: fetch both again',
            )
        rois[name] = left | right
    return rois | {area: rois[f'{area}d'] | rois[f'{area}v'] for area in ('V1', 'V2')}


def _voxel_info(mask, affine, rois: dict) -> dict:
    index = np.argwhere(mask)  # in the order of volume[mask]
    xyz = nibabel.affines.apply_affine(affine, index).astype(np.float32)
    side = (xyz[:, 0] > 0).astype(np.int8)
    for value, prefix in ((0, 'LH'), (1, 'RH')):
        named = np.any([rois[prefix + area] for area in AREAS], axis=0)
        side[named] = value
    return {'hemisphere': side, 'xyz': xyz}
