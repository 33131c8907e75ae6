"""Regions of a user's own: masks and label images (NIfTI, GIFTI, arrays) as bool [v] by name."""

import pathlib
import re

import numpy as np

from recon.core import errors
from recon.data.formats import files, nifti, pairs_arrays, pairs_voxels

SUFFIXES = ('', '.npz', '.mat', '.h5')
_KINDS = ('.nii', '.gii', '.npy', '.npz', '.mat', '.h5', '.hdf5')


def load(root: pathlib.Path, cfg: dict, voxels: pairs_voxels.Voxels, notes: list) -> dict:
    """Regions of `cfg` (dataset.rois): every file of the folder, or every array of the file.

    0 and below is no region (NSD's have -1). A file of 0 and 1 is one region, by its name. One
    with further codes gives one region a code, named by the label table within it (GIFTI), or
    beside it: `<name>.json` ({"1": "V1"}), `.ctab` or `.txt` (a code and a name a line); without
    one, '<name>=<code>'. 'lh.V1' and 'rh.V1' also give 'V1'. An empty region is noted and kept.

    Returns:
      {name: bool [v]} in the order of the files.

    Raises:
      DataInvalid: a file that cannot be read, or of another size than the voxels.
    """
    found = pairs_arrays.find(root, cfg['file'], 'rois', SUFFIXES)
    paths = []
    for path in found:
        paths += files.natural(path.iterdir()) if path.is_dir() else [path]
    rois = {}
    for path in paths:
        if pairs_arrays.suffix(path) in _KINDS:
            for name, codes, labels in _read(path, voxels):
                _add(rois, path, name, codes, labels)
    for name in list(rois):
        _join(rois, name)
    empty = [name for name, roi in rois.items() if not roi.any()]
    if empty:
        notes.append(f'no voxel is in {", ".join(empty)}')
    return rois


def _read(path, voxels: pairs_voxels.Voxels) -> list:
    """[(name, codes [v], labels {code: name})] of one file."""
    kind, name, v = pairs_arrays.suffix(path), pairs_arrays.stem(path), voxels.values.shape[1]
    if kind == '.nii':
        if voxels.grid is None:
            raise errors.DataMissing(
                'a region in a volume, and no mask that says where the voxels are',
                path,
                'put mask.nii.gz beside the voxels, or set dataset.voxels.mask',
            )
        volume, affine = nifti.read(path, 3)
        nifti.check_grid(path, volume.shape, affine, voxels.grid.mask.shape, voxels.grid.affine)
        return [(name, voxels.grid.take(volume), _labels(path))]
    if kind == '.gii':
        return [(name, *_gifti(path, voxels))]
    if kind == '.npy':
        named = {name: files.npy(path, kinds='fiub')}
    else:
        named = {k: a for k, a in pairs_arrays.many(path).items() if a.dtype.kind in 'fiub'}
    out = []
    for key, array in named.items():
        codes = np.asarray(array).reshape(-1) if 1 in array.shape[-2:] else np.asarray(array)
        if codes.shape != (v,):
            raise errors.DataInvalid(
                f'{key} has shape {array.shape}, there are {v} voxels',
                path,
                'wanted one value a voxel (true inside, or a code), in the order of the voxels; '
                'lists of indices are not taken',
            )
        out.append((key.split('/')[-1], codes, _labels(path)))
    return out


def _gifti(path, voxels: pairs_voxels.Voxels) -> tuple:
    image = pairs_voxels.gifti(path)
    codes = image.darrays[0].data
    side = pairs_voxels.side_of(path)
    v = voxels.values.shape[1]
    columns = voxels.columns.get(side, slice(0, v))
    here = columns.stop - columns.start
    if len(codes) != here:
        other = {s: c.stop - c.start for s, c in voxels.columns.items() if s != side}
        swapped = any(len(codes) == count for count in other.values())
        raise errors.DataInvalid(
            f'{len(codes)} vertices, the voxels have {here}' + (f' of {side}' if side else ''),
            path,
            'the other hemisphere has so many: are left and right swapped?'
            if swapped
            else 'regions and voxels must be on one surface',
        )
    full = np.zeros(v, codes.dtype)
    full[columns] = codes
    table = {int(k): str(n) for k, n in image.labeltable.get_labels_as_dict().items()}
    return full, table or _labels(path)


def _labels(path) -> dict:
    """{code: name} of a table beside the file; empty if there is none."""
    beside = path.with_name(pairs_arrays.stem(path))
    options = [beside.with_name(f'{beside.name}{ending}') for ending in ('.json', '.ctab', '.txt')]
    found = next((option for option in options if option.exists()), None)
    if found is None:
        return {}
    if found.suffix == '.json':
        table = files.json(found)
        pairs = table.items() if isinstance(table, dict) else [('', table)]
    else:
        lines = [line.split() for line in files.text(found).splitlines()]
        pairs = [line[:2] if len(line) > 1 else ('', line) for line in lines if line]
    try:
        return {int(code): str(name) for code, name in pairs}
    except ValueError:
        raise errors.DataInvalid(
            'no table of codes and names', found, 'wanted {"1": "V1", ...}, or `1 V1` a line'
        ) from None


def _add(rois: dict, path, name: str, codes: np.ndarray, labels: dict) -> None:
    values = np.asarray(codes, np.float64)
    present = np.unique(values[np.isfinite(values)])
    if (present % 1 != 0).any():
        raise errors.DataInvalid(
            f'{name} has values such as {present[present % 1 != 0][0]:g}',
            path,
            'a region is 0 and 1, or whole codes: set a threshold and save it again',
        )
    inside = present[present > 0].astype(int).tolist()
    if not labels and set(inside) <= {1}:
        parts = {name: values > 0}
    else:
        wanted = sorted({*inside, *(code for code in labels if code > 0)})
        parts = {labels.get(code, f'{name}={code}'): values == code for code in wanted}
        prefix = re.match(r'(lh|rh)[._-]', name)
        if prefix:
            parts = {f'{prefix.group(1)}.{key}': roi for key, roi in parts.items()}
    for key, roi in parts.items():
        if key in rois:
            raise errors.DataInvalid(
                f'two regions are called {key}', path, 'rename one of them or its label'
            )
        rois[key] = roi


def _join(rois: dict, name: str) -> None:
    """'lh.V1' and 'rh.V1' -> 'V1' too, unless there is one."""
    found = re.match(r'lh([._-])(.+)', name)
    if found and f'rh{found.group(1)}{found.group(2)}' in rois and found.group(2) not in rois:
        rois[found.group(2)] = rois[name] | rois[f'rh{found.group(1)}{found.group(2)}']
