"""Writes the simulated brain as a user's own arrays, in any of the kinds that `pairs` reads."""

import csv
import dataclasses
import io
import json
import pathlib

import h5py
import nibabel
import numpy as np
import scipy.io
from PIL import Image

from recon.core import errors, results
from recon.data import mark
from recon.data.layouts import _grid, _study
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes

KINDS = ('npy', 'h5', 'mat', 'mat73', 'nifti', 'gifti')
_VERTICES = 10_242
# A file of codes can hold areas apart from each other only; masks may overlap.
_APART = ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4', 'LO', 'FFA', 'PPA')
_UNIONS = ('V1', 'V2', 'V3')


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is written: distinct images and how often each is shown, voxels, pixels, grid.

    A subject after the first sees three training images more than the one before.
    """

    train: int
    test: int
    train_repeats: int
    test_repeats: int
    voxels: int
    size: int
    sessions: int
    runs: int  # in each session
    grid: _grid.Grid


# 'full' is as large as a study of a lab: 2,000 rows and 20,000 voxels for subject 1.
SCALES = {
    'toy': Scale(120, 20, 2, 3, 500, 48, 2, 4, _grid.Grid((24, 28, 14), 7.0)),
    'full': Scale(800, 100, 2, 4, 20_000, 128, 5, 8, _grid.Grid((96, 96, 48), 2.0)),
}


def write(
    root, *, subject: int = 1, scale: str = 'toy', seed: int = 0, kind: str = 'npy'
) -> pathlib.Path:
    """Writes voxels, ids, pictures, runs, sessions, test ids, regions, labels and captions.

    Ids are those of the scenes, so neither contiguous nor padded; images are shown in random order,
    test images among the others. All kinds hold the same numbers (float32 percent signal change):

      npy: voxels.npy [rows voxels], ids.npy, images/<id>.png, rois/<area>.nii.gz, mask.nii.gz.
      h5, mat73: voxels.h5 or .mat (HDF5; MATLAB's are axis-reversed), images and rois likewise,
        image_ids.npy, xyz.npy, hemisphere.npy.
      mat: the same as MATLAB version 5.
      nifti: voxels.nii.gz [x y z rows], mask.nii.gz, rois/areas.nii.gz (-1 where no area is) and
        areas.json, images/<id>.png.
      gifti: {lh,rh}.voxels.func.gii on fsaverage5, NaN where nothing was measured, and
        rois/{lh,rh}.areas.label.gii. Needs subjects whose voxels are at distinct vertices.

    The truth, `<root>_truth/truth.npz`, is what the reader gives, to the bit: <part>_voxels,
    <part>_image_id, _session, _run, _repeat and _trials, roi_<name>, info_<field>, ids and
    noise-free signals [m v], labels [m k] and captions; and the brain's own (`brain.truth`).

    Args:
      root: folder, made if it is not there.
      subject: of the simulated brain.
      scale: 'toy' (300 rows of 500 voxels) or 'full' (2,000 rows of 20,000 voxels).
      seed: of scenes, brain, order and noise; the same seed gives the same bytes.
      kind: one of KINDS.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale or a kind that does not exist.
    """
    if kind not in KINDS:
        raise errors.ConfigError(f'kind is {kind!r}', 'layouts.pairs', f'one of {KINDS}')
    spec = _study.scale(SCALES, scale, 'pairs')
    root, rng = pathlib.Path(root), np.random.default_rng((seed, subject, 17))
    train = scenes.choose(spec.train + 3 * (subject - 1), False, rng)
    test = scenes.choose(spec.test, True, rng)
    ids = np.sort(np.concatenate([train, test]))
    study = _study.simulate(seed, subject, spec.voxels, ids, np.isin(ids, train))
    shown = rng.permutation(
        np.concatenate([np.tile(train, spec.train_repeats), np.tile(test, spec.test_repeats)])
    )
    runs = spec.sessions * spec.runs
    run = 1 + np.arange(len(shown)) * runs // len(shown)
    rows = {'image_id': shown, 'session': 1 + (run - 1) // spec.runs, 'run': run}
    order, place = _places(study, spec.grid, kind)
    voxels = brains.measure(study.brain, study.signals[study.rows(shown)], rows['session'], run)
    voxels = voxels[:, order]
    areas = _APART if kind in ('nifti', 'gifti') else (*_APART, *_UNIONS)
    rois = {name: brains.rois(study.brain)[name][order] for name in areas}
    _write_voxels(root, kind, voxels, rois, place, spec.grid)
    _write_pictures(root, kind, ids, spec.size, seed)
    words = _write_rows(root, rows, test, study, spec.size, seed)
    ncsnr = study.brain.ncsnr[order]
    if kind == 'gifti':  # of every vertex of both hemispheres, as the voxels
        full = np.full(2 * _VERTICES, np.nan, np.float32)
        full[_VERTICES * place['hemisphere'].astype(int) + place['vertex']] = ncsnr
        ncsnr = full
    results.write_bytes(root / 'ncsnr.npy', _npy(ncsnr))
    mark.leave(root)
    truth = _truth(study, rows, voxels, rois, order, place) | words
    results.write_npz(root.with_name(f'{root.name}_truth') / 'truth.npz', truth)
    return root


def _places(study: _study.Study, grid: _grid.Grid, kind: str) -> tuple:
    """Order of the voxels in the files, and where each lies."""
    brain = study.brain
    if kind == 'gifti':
        order = np.lexsort((brain.vertex, brain.hemisphere))
        place = {'hemisphere': brain.hemisphere[order], 'vertex': brain.vertex[order]}
        both = np.stack(list(place.values()))
        assert len(np.unique(both, axis=1).T) == len(order), 'more voxels than vertices'
        return order, place
    cells, order = _grid.place(grid, brain.xyz, brain.hemisphere)
    index = np.stack(np.unravel_index(cells, grid.shape), 1)
    xyz = nibabel.affines.apply_affine(grid.affine, index).astype(np.float32)
    return order, {'cells': cells, 'xyz': xyz, 'hemisphere': brain.hemisphere[order]}


def _write_voxels(root, kind: str, voxels, rois: dict, place: dict, grid) -> None:
    codes = np.zeros(voxels.shape[1], np.int16)
    for code, roi in enumerate(rois.values(), start=1):
        codes[roi] = code
    names = {code: name for code, name in enumerate(rois, start=1)}
    if kind == 'gifti':
        for side, letter in enumerate('lr'):
            here = place['hemisphere'] == side
            at = place['vertex'][here]
            full = np.full((len(voxels), _VERTICES), np.nan, np.float32)
            full[:, at] = voxels[:, here]
            results.write_bytes(root / f'{letter}h.voxels.func.gii', _func(full))
            label = np.zeros(_VERTICES, np.int32)
            label[at] = codes[here]
            results.write_bytes(root / 'rois' / f'{letter}h.areas.label.gii', _label(label, names))
        return
    if kind in ('npy', 'nifti'):

        def volume(values):
            return _grid.to_bytes(grid, _grid.fill(grid, place['cells'], values))

        results.write_bytes(root / 'mask.nii.gz', volume(np.ones(len(codes), np.uint8)))
    if kind == 'npy':
        results.write_bytes(root / 'voxels.npy', _npy(voxels))
        for name, roi in rois.items():
            results.write_bytes(root / 'rois' / f'{name}.nii.gz', volume(roi.astype(np.uint8)))
    elif kind == 'nifti':
        results.write_bytes(root / 'voxels.nii.gz', volume(np.ascontiguousarray(voxels.T)))
        outside = np.where(codes > 0, codes, -1).astype(np.int16)
        results.write_bytes(root / 'rois' / 'areas.nii.gz', volume(outside))
        text = json.dumps({str(code): name for code, name in names.items()})
        results.write_bytes(root / 'rois' / 'areas.json', text.encode())
    else:
        ending = 'h5' if kind == 'h5' else 'mat'
        results.write_bytes(root / f'voxels.{ending}', _file(kind, {'voxels': voxels}))
        masks = {name: roi.astype(np.uint8) for name, roi in rois.items()}
        for name in ('xyz', 'hemisphere'):
            results.write_bytes(root / f'{name}.npy', _npy(place[name]))
        results.write_bytes(root / f'rois.{ending}', _file(kind, masks))


def _write_pictures(root, kind: str, ids, size: int, seed: int) -> None:
    if kind in ('npy', 'nifti', 'gifti'):
        for start in range(0, len(ids), 128):
            part = ids[start : start + 128]
            for i, picture in zip(part, _study.pictures(part, size, seed), strict=True):
                buffer = io.BytesIO()
                Image.fromarray(picture).save(buffer, 'PNG')
                results.write_bytes(root / 'images' / f'{i}.png', buffer.getvalue())
        return
    ending = 'h5' if kind == 'h5' else 'mat'
    pictures = _study.pictures(ids, size, seed)
    results.write_bytes(root / f'images.{ending}', _file(kind, {'images': pictures}))
    results.write_bytes(root / 'image_ids.npy', _npy(ids))


def _write_rows(root, rows: dict, test, study, size: int, seed: int) -> dict:
    """Columns and words; returns labels, their names and captions for the truth."""
    for name, stem in (('image_id', 'ids'), ('run', 'runs'), ('session', 'sessions')):
        results.write_bytes(root / f'{stem}.npy', _npy(rows[name]))
    results.write_bytes(root / 'test_ids.txt', '\n'.join(map(str, test)).encode() + b'\n')
    parts = [study.ids[i : i + 128] for i in range(0, len(study.ids), 128)]
    drawn = [_study.scenes(part, size, seed) for part in parts]
    labels = np.concatenate([scenes.labels(part) for part in drawn])
    captions = [text for part in drawn for text in scenes.captions(part)]
    table = [['image_id', *scenes.CATEGORIES]]
    table += [[i, *row] for i, row in zip(study.ids.tolist(), labels.tolist(), strict=True)]
    results.write_bytes(root / 'labels.csv', _csv(table))
    said = [['image_id', 'caption'], *zip(study.ids.tolist(), captions, strict=True)]
    results.write_bytes(root / 'captions.csv', _csv(said))
    names = np.array(scenes.CATEGORIES)
    return {'labels': labels, 'label_names': names, 'captions': np.array(captions)}


def _truth(study, rows: dict, voxels, rois: dict, order, place: dict) -> dict:
    image_id = rows['image_id']
    seen, repeat = {}, np.empty(len(image_id), np.int32)
    for i, image in enumerate(image_id.tolist()):
        repeat[i] = seen[image] = seen.get(image, -1) + 1
    known = brains.truth(study.brain)
    truth = {k: v[order] if np.shape(v)[:1] == order.shape else v for k, v in known.items()}
    truth |= {'ids': study.ids, 'signals': study.signals[:, order]}
    columns = rows | {'repeat': repeat, 'trials': np.ones(len(image_id), np.int32)}
    test = scenes.held_out(image_id)
    for part, here in (('train', ~test), ('test', test)):
        truth[f'{part}_voxels'] = voxels[here]
        truth |= {f'{part}_{name}': column[here] for name, column in columns.items()}
    truth |= {f'roi_{name}': roi for name, roi in rois.items()}
    info = place | {'ncsnr': study.brain.ncsnr[order]}
    return truth | {f'info_{name}': field for name, field in info.items() if name != 'cells'}


def _file(kind: str, arrays: dict) -> bytes:
    buffer = io.BytesIO()
    if kind == 'mat':
        scipy.io.savemat(buffer, arrays, do_compression=True)
        return b'MATLAB 5.0 MAT-file, simulated'.ljust(116) + buffer.getvalue()[116:]
    with h5py.File(buffer, 'w', userblock_size=512 if kind == 'mat73' else 0) as file:
        for name, array in arrays.items():
            held = np.atleast_2d(array).T if kind == 'mat73' else array
            stored = file.create_dataset(name, data=held, compression='gzip', compression_opts=1)
            if kind == 'mat73':
                classes = {'f': b'single', 'u': b'uint8'}
                stored.attrs['MATLAB_class'] = np.bytes_(classes[array.dtype.kind])
    if kind == 'mat73':
        header = b'MATLAB 7.3 MAT-file, simulated'.ljust(124) + b'\x00\x02IM'
        return header.ljust(512, b'\0') + buffer.getvalue()[512:]
    return buffer.getvalue()


def _func(rows: np.ndarray) -> bytes:
    arrays = [nibabel.gifti.GiftiDataArray(row, 'NIFTI_INTENT_ESTIMATE') for row in rows]
    return nibabel.gifti.GiftiImage(darrays=arrays).to_bytes()


def _label(codes: np.ndarray, names: dict) -> bytes:
    table = nibabel.gifti.GiftiLabelTable()
    for code, name in ({0: '???'} | names).items():
        label = nibabel.gifti.GiftiLabel(code)
        label.label = name
        table.labels.append(label)
    array = nibabel.gifti.GiftiDataArray(codes, 'NIFTI_INTENT_LABEL')
    return nibabel.gifti.GiftiImage(darrays=[array], labeltable=table).to_bytes()


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _csv(rows: list) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue().encode()
