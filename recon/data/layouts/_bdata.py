"""Writes BData files as bdpy and its MATLAB forerunner do, and what GOD and DIR share."""

import dataclasses
import io
import os
import pathlib

import h5py
import numpy as np
import scipy.io
from PIL import Image

from recon.core import results
from recon.data.layouts import _study
from recon.data.simulator import areas
from recon.data.simulator import brain as brains

# Areas of the files -> areas of the simulated brain; V4 is called hV4 in the fmriprep release.
_AREAS = {
    'V1': ('V1',),
    'V2': ('V2',),
    'V3': ('V3',),
    'V4': ('hV4',),
    'LOC': ('LO',),
    'FFA': ('FFA',),
    'PPA': ('PPA',),
    'LVC': ('V1', 'V2', 'V3'),
    'HVC': ('LO', 'FFA', 'PPA', 'OFA', 'EBA', 'FBA', 'OPA', 'RSC', 'VWFA'),
    'VC': areas.NAMES,
}
_BLOCK = 256  # rows at a time
_PIXELS = 2**22  # of the pictures drawn at a time
_MODULUS, _FACTOR = 99_991, 31_337  # a prime, so that every scene has an image number of its own
_MAT_HEADER = b'MATLAB 5.0 MAT-file, written by the simulator'  # without the hour of writing


@dataclasses.dataclass(frozen=True)
class Table:
    """One file to be.

    Attributes:
      voxels: [n v] float32.
      fields: {key: [n] or [n k]} further columns, in this order after the voxels.
      marks: {key: [v]} metadata over voxels: areas (0 and 1) and coordinates.
      texts: {key: {number: text}}, the value maps.
      families: {key: names of fields} metadata that mark several fields together.
    """

    voxels: np.ndarray
    fields: dict
    marks: dict
    texts: dict = dataclasses.field(default_factory=dict)
    families: dict = dataclasses.field(default_factory=dict)

    def metadata(self) -> tuple[list[str], list[str], np.ndarray]:
        """Keys, descriptions, values [keys columns]: 1 for members, NaN where nothing is said."""
        v = self.voxels.shape[1]
        widths = {key: np.atleast_2d(field.T).shape[0] for key, field in self.fields.items()}
        ends = dict(zip(widths, v + np.cumsum(list(widths.values())), strict=True))
        total = v + sum(widths.values())
        spans = {'VoxelData': slice(0, v)}
        spans |= {key: slice(ends[key] - widths[key], ends[key]) for key in widths}
        keys = [*spans, *self.families, *self.marks]
        values = np.full((len(keys), total), np.nan)
        for i, key in enumerate(keys):
            if key in spans:
                values[i, spans[key]] = 1
            elif key in self.marks:
                values[i, :v] = self.marks[key]
            else:
                for member in self.families[key]:
                    values[i, spans[member]] = 1
        return keys, [f'1 = {key}' for key in keys], values

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows of the whole table, float64."""
        parts = [self.voxels[start:stop]]
        for field in self.fields.values():
            parts.append(field[start:stop].reshape(stop - start, -1))
        return np.concatenate([np.asarray(part, np.float64) for part in parts], 1)


def write_h5(path: pathlib.Path, table: Table, old: bool = False) -> None:
    """The HDF5 form, row block by row block; `old` spells it dataSet and metaData, without vmap."""
    keys, descriptions, values = table.metadata()
    data, meta = ('dataSet', 'metaData') if old else ('dataset', 'metadata')
    n = len(table.voxels)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with h5py.File(temporary, 'w') as file:
            written = file.create_dataset(data, (n, values.shape[1]), np.float64)
            for start in range(0, n, _BLOCK):
                stop = min(n, start + _BLOCK)
                written[start:stop] = table.rows(start, stop)
            file[f'{meta}/key'] = [key.encode() for key in keys]
            file[f'{meta}/description'] = [text.encode() for text in descriptions]
            file[f'{meta}/value'] = values
            if not old:
                file['header/ctime'] = b'2000-01-01 00:00:00'
                file.create_group('vmap')
            for key, texts in {} if old else table.texts.items():
                for number, text in texts.items():
                    file[f'vmap/{key}/{float(number)}'] = text.encode()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_mat(path: pathlib.Path, table: Table) -> None:
    """The MATLAB version 5 form: dataSet and the struct metaData, with cells of text."""
    keys, descriptions, values = table.metadata()
    meta = {'key': _cells(keys), 'description': _cells(descriptions), 'value': values}
    held = io.BytesIO()
    whole = {'dataSet': table.rows(0, len(table.voxels)), 'metaData': meta}
    scipy.io.savemat(held, whole, format='5')
    held.seek(0)
    held.write(_MAT_HEADER.ljust(116))
    results.write_bytes(path, held.getvalue())


def _cells(texts: list[str]) -> np.ndarray:
    cells = np.empty((1, len(texts)), object)
    cells[0] = texts
    return cells


def marks(brain, v4: str = 'V4') -> dict[str, np.ndarray]:
    """Metadata of a brain's voxels: coordinates, then areas, which overlap (V1, LVC, VC)."""
    found = {f'voxel_{axis}': brain.xyz[:, i] for i, axis in enumerate('xyz')}
    for name, members in _AREAS.items():
        key = f'ROI_{v4 if name == "V4" else name}'
        found[key] = areas.region(members, brain.area).astype(np.float64)
    return found


def rois(brain) -> dict[str, np.ndarray]:
    """{name: bool [v]} as a reader should give them, V4 under both names."""
    found = {name: areas.region(members, brain.area) for name, members in _AREAS.items()}
    return found | {'hV4': found['V4']}


def number(wordnet: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """[m] float64: the stimulus id, WordNet id and image number with six decimals."""
    return np.array(
        [float(f'{w}.{i:06d}') for w, i in zip(wordnet.tolist(), _image(scene), strict=True)]
    )


def name(wordnet: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """[m] <U: the same as a name, 'n01443537_22563'."""
    pairs = zip(wordnet.tolist(), _image(scene), strict=True)
    return np.array([f'n{w:08d}_{i}' for w, i in pairs])


def _image(scene: np.ndarray) -> list[int]:
    """Image numbers, 1 to 99,991: some with leading and some with trailing zeros as decimals."""
    return [1 + s * _FACTOR % _MODULUS for s in np.asarray(scene).tolist()]


def wordnet(count: int, of_each: int, test: bool) -> np.ndarray:
    """[count] int: made-up WordNet ids, `of_each` images each; test's are never training's.

    Every seventh test category has eight digits.
    """
    category = np.arange(count) // of_each
    if not test:
        return 1_443_537 + 2_311 * category
    return np.where(category % 7 == 3, 11_879_895, 2_071_294) + 3_407 * category


def pictures(folder: pathlib.Path, names, ids, size: int, seed: int, ending: str) -> None:
    """Scenes `ids` as picture files `names`; JPEG loses a little, PNG nothing."""
    step = max(1, _PIXELS // size**2)
    for start in range(0, len(ids), step):
        drawn = _study.pictures(ids[start : start + step], size, seed)
        for text, picture in zip(names[start : start + step], drawn, strict=True):
            held = io.BytesIO()
            kind = 'JPEG' if ending == 'JPEG' else 'PNG'
            Image.fromarray(picture).save(held, kind, quality=92)
            results.write_bytes(folder / f'{text}.{ending}', held.getvalue())


def repeats(image_id: np.ndarray) -> np.ndarray:
    """[n] int32: how often each row's image was shown before it."""
    seen, out = {}, np.empty(len(image_id), np.int32)
    for i, image in enumerate(image_id.tolist()):
        out[i] = seen[image] = seen.get(image, -1) + 1
    return out


def known(study: _study.Study, names: np.ndarray, scene: np.ndarray) -> dict[str, np.ndarray]:
    """What is true of a study whatever was shown: ids (names, ascending), scenes, signals, voxels.

    Hemispheres are by the sign of x, as all that the files tell; the brain's own is `side`.
    """
    order = np.argsort(names)
    truth = brains.truth(study.brain)
    truth |= {'side': truth['hemisphere'], 'ids': names[order], 'scene': scene[order]}
    truth['signals'] = study.signals[study.rows(scene[order])]
    truth['info_xyz'] = study.brain.xyz
    truth['info_hemisphere'] = (study.brain.xyz[:, 0] > 0).astype(np.int8)
    return truth | {f'roi_{name}': roi for name, roi in rois(study.brain).items()}
