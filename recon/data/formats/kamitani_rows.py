"""What GOD and DIR share: voxels, areas and rows of a BData file, and their splits."""

import dataclasses

import numpy as np

from recon.core import errors, types
from recon.data import splitting
from recon.data.formats import kamitani_ids
from recon.data.preprocess import repeats

_VOXELS, _ROI = 'VoxelData', 'ROI_'
_AXES = ('voxel_x', 'voxel_y', 'voxel_z')


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows as a file has them: voxels [n v] float32; image_id [n] <U; run, session [n] int."""

    voxels: np.ndarray
    image_id: np.ndarray
    run: np.ndarray
    session: np.ndarray

    def rows(self, index) -> 'Part':
        """The rows `index`."""
        fields = dataclasses.fields(self)
        return Part(**{field.name: getattr(self, field.name)[index] for field in fields})


@dataclasses.dataclass(frozen=True)
class Cortex:
    """Columns that are voxels [columns] bool, and over these voxels areas and fields [v ...]."""

    columns: np.ndarray
    rois: dict[str, np.ndarray]
    info: dict[str, np.ndarray]


def cortex(file, keep='') -> Cortex:
    """Voxels, areas and places of a BData file.

    Args:
      file: an open `bdata.BData`.
      keep: areas whose union is taken ('V1+V2', or a tuple); empty: every voxel.

    Returns:
      Areas by name without 'ROI_', V4 and hV4 under both names; xyz in mm and hemisphere (by the
      sign of x) where the file has coordinates on both sides of 0.

    Raises:
      DataInvalid: no voxels, or an area with columns that are none.  ConfigError: an unknown area.
    """
    columns = file.columns(_VOXELS)
    if not columns.any():
        raise errors.DataInvalid(f'no column belongs to {_VOXELS}', file.path, 'fetch it again')
    rois = {k.removeprefix(_ROI): file.columns(k) for k in file.keys if k.startswith(_ROI)}
    for name, roi in rois.items():
        if (roi & ~columns).any():
            raise errors.DataInvalid(
                f'{(roi & ~columns).sum()} columns of {_ROI}{name} are no voxels',
                file.path,
                'the metadata do not fit the data: fetch it again',
            )
    for name, other in (('V4', 'hV4'), ('hV4', 'V4')):
        if other in rois:
            rois.setdefault(name, rois[other])
    names = (
        [n.strip() for n in keep.replace('+', ',').split(',')] if isinstance(keep, str) else keep
    )
    if any(names):
        unknown = [name for name in names if name not in rois]
        if unknown:
            raise errors.ConfigError(
                f'dataset.rois names {unknown[0]!r}', 'config', f'areas: {", ".join(rois)}'
            )
        columns = np.any([rois[name] for name in names], axis=0)
    info = {}
    if all(key in file.keys for key in _AXES):
        xyz = np.stack([file.values(key)[columns] for key in _AXES], 1)
        if np.isfinite(xyz).all():
            info['xyz'] = xyz.astype(np.float32)
            if len(xyz) and xyz[:, 0].min() < 0 < xyz[:, 0].max():
                info['hemisphere'] = (xyz[:, 0] > 0).astype(np.int8)
    return Cortex(columns, {name: roi[columns] for name, roi in rois.items()}, info)


def check_same(a: Cortex, b: Cortex, path) -> None:
    """Raises DataInvalid unless voxels, areas and places of two files of a subject are the same."""
    counts = [cortex.columns.sum() for cortex in (a, b)]
    what = ''
    if counts[0] != counts[1]:
        what = f'{counts[1]} voxels, the training file has {counts[0]}'
    elif set(a.info) != set(b.info) or not all(
        np.allclose(a.info[key], b.info[key], atol=1e-3) for key in a.info
    ):
        what = 'its voxels lie elsewhere than those of the training file'
    else:
        unlike = [n for n in a.rois if n not in b.rois or not np.array_equal(a.rois[n], b.rois[n])]
        what = f'area {unlike[0]} is not that of the training file' if unlike else ''
    if what:
        raise errors.DataInvalid(what, path, 'all files must be of one subject and one release')


def numbers(file, key: str) -> np.ndarray:
    """[n] int64, the one column of `key`; -1 throughout where the file has no such key."""
    if key not in file.keys:
        return np.full(file.shape[0], -1)
    values = file.get(key)
    if values.shape[1] != 1 or not (values == np.round(values)).all():
        raise errors.DataInvalid(
            f'{key!r} has {values.shape[1]} columns, or numbers that are not whole',
            file.path,
            'wanted one whole number a row',
        )
    return values[:, 0].astype(np.int64)


def natural(file) -> np.ndarray:
    """[n] <U: names of natural images, from the value map `stimulus_name` or from ids as numbers.

    Raises:
      DataInvalid: no key, or no column of it, holds stimulus ids.
    """
    if 'stimulus_name' in file.vmap_keys:
        return np.array([kamitani_ids.tidy(name) for name in file.labels('stimulus_name')])
    key = next((key for key in ('stimulus_id', 'Label') if key in file.keys), None)
    if key is None:
        raise errors.DataInvalid(
            "no stimulus ids: neither 'stimulus_name', 'stimulus_id' nor 'Label'",
            file.path,
            f'it holds {", ".join(file.keys)}',
        )
    if file.itemsize < 8:
        raise errors.DataInvalid(
            'stored in single precision: the image number in the stimulus ids is lost',
            file.path,
            'save the table as doubles',
        )
    labels = file.get(key)
    return kamitani_ids.names(labels[:, kamitani_ids.find_column(labels, file.path, key)])


def splits(cfg, parts: dict[str, Part], how: str) -> dict[str, types.Split]:
    """Splits by image of 'train' and 'test' as `splitting` does; the other parts stay as they are.

    Runs are numbered from 1 in the order of `parts` and rows; -1 where the file has none. `repeat`
    counts the rows of an image in that order. `how` is 'single', or 'averaged': one row an image,
    `trials` says of how many.
    """
    if how not in ('single', 'averaged'):
        raise errors.ConfigError(f'dataset.rows is {how!r}', 'config', "'single' or 'averaged'")
    own = ('train', 'test')
    names = np.concatenate([np.full(len(parts[name].run), name) for name in own])
    pool = Part(
        **{
            field.name: np.concatenate([getattr(parts[name], field.name) for name in own])
            for field in dataclasses.fields(Part)
        }
    )
    index = splitting.parts(cfg, pool.image_id, pool.session, names)
    run = _numbered(names, pool, 0)
    whole = _split(pool, run)
    made = {name: whole.rows(rows) for name, rows in index.items()}
    last = max(0, run.max())
    for name, part in parts.items():
        if name not in own:
            run = _numbered(np.full(len(part.run), name), part, last)
            made[name], last = _split(part, run), max(last, run.max())
    return {k: repeats.mean(s) for k, s in made.items()} if how == 'averaged' else made


def _split(part: Part, run: np.ndarray) -> types.Split:
    order = np.argsort(part.image_id, kind='stable')
    ids = part.image_id[order]
    repeat = np.empty(len(ids), np.int32)
    repeat[order] = np.arange(len(ids)) - np.searchsorted(ids, ids)
    return types.Split(part.voxels, part.image_id, run, part.session, repeat)


def _numbered(names: np.ndarray, part: Part, last: int) -> np.ndarray:
    """[n] int32: runs numbered after `last`, as (part, session, run) first appear in the file."""
    seen = {}
    keys = zip(names.tolist(), part.session.tolist(), part.run.tolist(), strict=True)
    run = np.array([seen.setdefault(key, last + len(seen) + 1) for key in keys], np.int32)
    return np.where(part.run < 0, -1, run).astype(np.int32)
