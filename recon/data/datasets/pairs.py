"""Any user's own arrays: voxels and pictures, joined by ids. A lab's own betas need no code."""

import pathlib

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.formats import (
    pairs_arrays,
    pairs_images,
    pairs_info,
    pairs_rois,
    pairs_rows,
    pairs_units,
    pairs_voxels,
)

# A block's `file` is a name within `path`; '' takes the obvious one (docs/datasets/pairs.md), and
# `key` is the array within an .npz, .mat or .h5 file, or the column of a table.
DEFAULTS = dict(
    path='',
    subject='1',
    voxels=dict(
        file='',  # several with commas between them, or a pattern: 'betas/ses-*.nii.gz'
        key='',
        axes='rows voxels',  # as stored: 'voxels rows'; with a mask also 'x y z rows' ...
        join='',  # several files: 'rows' (sessions; the default) or 'voxels' (hemispheres)
        mask='',  # NIfTI: which voxels are read of a volume, and where those of an array lie
        order='C',  # voxels of an array within the mask: 'C' as numpy's, 'F' as MATLAB's
        divide=1.0,  # by this, as they are read: 300 for NSD's int16 betas
        unit='not stated',
    ),
    drop_voxels='none',  # 'nan' drops voxels that are not finite in every row
    ids=dict(file='', key='', base=0),  # of rows; base: the number of the first picture
    images=dict(
        file='',
        key='',
        axes='n h w c',  # of an array, as stored: 'h w c n', 'n c h w', 'n hw' (flat) ...
        orientation='upright',  # as stored: or 'transposed', 'upside down', 'mirrored', 'half turn'
        range=(),  # (black, white); () is (0, 255) for uint8 and (0, 1) for floats
        size=(),  # (h, w): of flat pictures; of a folder: resized to it
        pattern='',  # of a folder: where in the name the id is, 'nsd-([0-9]+)'
        ids='',  # of an array: a file with the id of each picture; '' is image_ids.*, if there
    ),
    runs=dict(file='', key=''),
    sessions=dict(file='', key=''),
    repeats=dict(file='', key=''),
    trials=dict(file='', key=''),  # how many trials each row is the mean of
    parts=dict(file='', key=''),  # 'train', 'test' ... of each row
    test=dict(file='', key=''),  # ids of the test images
    validation=dict(file='', key=''),
    rois=dict(file=''),  # a folder of masks, or a file of arrays
    labels=dict(file='', key=''),
    captions=dict(file='', key=''),
    tr=0.0,  # seconds; 0 is not known
    split=dict(splitting.DEFAULTS),  # 'own': by parts, or by test ids; a fraction if there are none
)


def load(cfg) -> types.BrainData:
    """Reads a folder of arrays; which files, and how they are stored, is in DEFAULTS.

    Row i of the voxels is the response to the picture whose id is row i of the ids. Ids are
    numbers (counted from `ids.base`, and from 0 in what is returned) or names. A folder's pictures
    are found by their names, never by their order; an array's by number, or by `images.ids`.
    Without ids row i saw picture i, for an array of as many pictures as rows; else it is refused.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Voxels in the order of the files. `repeat` counts presentations in the order of the rows,
      where none is given and rows are single trials. voxel_info: xyz and hemisphere by a mask's
      affine, hemisphere and vertex of surfaces, and what ncsnr.npy, hemisphere.npy, vertex.npy and
      xyz.npy [v ...] say.

    Raises:
      DataMissing: a file that is not there.  DataInvalid: one that cannot be read, or does not fit.
      ConfigError: an option that does not fit.  LeakError: an image in two parts.
    """
    cfg = _filled(cfg)
    root = _folder(cfg)
    notes = []
    voxels = pairs_voxels.load(root, cfg['voxels'], notes)
    values, n = voxels.values, len(voxels.values)
    image_id, images = _stimuli(root, cfg, voxels, notes)
    rows = _rows(root, cfg, image_id, values.shape[1], notes)
    _note_uneven(voxels, rows, notes)
    rois = pairs_rois.load(root, cfg['rois'], voxels, notes)
    info = pairs_info.load(root, voxels, rois, notes)
    keep = _finite(values, cfg, voxels.files[0], notes)
    if not keep.all():
        values = values[:, keep]
        rois = {name: roi[keep] for name, roi in rois.items()}
        info = {name: field[keep] for name, field in info.items()}
    parts, rule = _split(root, cfg, image_id, rows, voxels.values.shape[1], notes)
    splits = {
        name: types.Split(
            np.ascontiguousarray(values[index]), image_id[index],
            **{key: column[index] for key, column in rows.items()},
        )
        for name, index in parts.items()
    }  # fmt: skip
    captions = pairs_rows.captions(root, cfg, cfg['ids']['base'])
    labels, names = pairs_rows.labels(root, cfg, cfg['ids']['base'], images.ids)
    for role, said in (('captions', captions), ('labels', labels)):
        pairs_rows.check_pictured(root / (cfg[role]['file'] or role), said, images.ids, notes)
    left_out = n - sum(len(index) for index in parts.values())
    if left_out:
        notes.append(f'{left_out} of {n} rows are in no part')
    return types.BrainData(
        train=splits['train'],
        validation=splits.get('validation'),
        test=splits['test'],
        images=images,
        rois=rois,
        voxel_info=info,
        labels=labels,
        label_names=names,
        captions=captions,
        tr=float(cfg['tr']) or None,
        facts=_facts(cfg, voxels, rows, rule, notes) | mark.facts(root),
    )


def _filled(cfg) -> dict:
    """All options, those of the blocks too, as plain dictionaries."""
    full = {}
    for key, default in DEFAULTS.items():
        given = cfg.get(key, default)
        full[key] = default | dict(given) if isinstance(default, dict) else given
    if full['drop_voxels'] not in ('none', 'nan'):
        raise errors.ConfigError(
            f'dataset.drop_voxels is {full["drop_voxels"]!r}', 'config', "'none' or 'nan'"
        )
    return full


def _folder(cfg: dict) -> pathlib.Path:
    if not cfg['path']:
        raise errors.DataMissing('dataset.path is not set', 'config', pairs_arrays.REMEDY)
    root = pathlib.Path(cfg['path']).expanduser()
    if not root.is_dir():
        raise errors.DataMissing(
            'no such folder',
            root,
            f'{pairs_arrays.REMEDY}; `python launch/simulate.py --layout=pairs` writes one',
        )
    return root


def _stimuli(root, cfg: dict, voxels, notes: list) -> tuple[np.ndarray, types.Images]:
    """The id of each row, and the pictures; every row's picture is there."""
    base = cfg['ids']['base']
    found = pairs_rows.column(root, cfg, 'ids')
    image_id = None if found is None else pairs_rows.ids(*found, base)
    of_array = pairs_arrays.find(root, cfg['images']['ids'], 'image_ids', pairs_arrays.COLUMNS)
    if of_array:
        of_array = pairs_rows.ids(pairs_arrays.read(of_array[0]), of_array[0], base)
    text = image_id is not None and image_id.dtype.kind == 'U'
    given = of_array if len(of_array) else None
    images = pairs_images.load(root, cfg['images'], given, text, notes)
    n, v = voxels.values.shape
    if image_id is None:
        if given is not None or len(images.ids) != n or images.ids[-1] != n - 1:
            raise errors.DataMissing(
                f'no ids: which of {len(images.ids)} pictures each of {n} rows saw is not said',
                root,
                'put ids.npy, ids.txt or ids.csv beside the voxels (one id a row), or set '
                'dataset.ids.file; an order of files is never taken for it' + pairs_rows.hint(root),
            )
        notes.append('no ids: row i of the voxels is taken to have seen picture i')
        image_id = images.ids
    pairs_rows.check_length(len(image_id), n, v, root if found is None else found[1])
    _check_known(image_id, images.ids, root if found is None else found[1], base)
    if image_id.dtype.kind == 'i' and 0 in images.ids and 0 not in image_id and 1 in image_id:
        notes.append('no row saw picture 0: if ids count from 1, set dataset.ids.base=1')
    unseen = len(images.ids) - len(np.unique(image_id))
    if unseen:
        notes.append(f'{unseen} of {len(images.ids)} pictures were not seen')
    return image_id, images


def _check_known(image_id, known, where, base: int) -> None:
    absent = np.unique(image_id[~np.isin(image_id, known)])
    if not len(absent):
        return
    remedy = f'ids of the pictures are like {known[0]} ... {known[-1]}'
    if image_id.dtype.kind == 'i' and known.dtype.kind == 'i':
        for shift, word in ((1, '1'), (-1, '0')):
            if np.isin(image_id - shift, known).all():
                remedy = f'ids look {word}-based: set dataset.ids.base={base + shift}; {remedy}'
    raise errors.DataInvalid(
        f'{len(absent)} of {len(np.unique(image_id))} ids have no picture, '
        f'first {absent.tolist()[0]!r}',
        where,
        remedy,
    )


def _rows(root, cfg: dict, image_id, v: int, notes: list) -> dict:
    """run, session, repeat and trials [n] int32, where they are known."""
    n = len(image_id)
    least = {'runs': 0, 'sessions': 0, 'repeats': 0, 'trials': 1}
    found = {
        role: pairs_rows.whole(pairs_rows.column(root, cfg, role), n, v, low)
        for role, low in least.items()
    }
    runs = pairs_rows.unique_runs(found['runs'], found['sessions'], notes)
    repeats, trials = found['repeats'], found['trials']
    if repeats is None and (trials is None or (trials == 1).all()):
        repeats = pairs_rows.presentations(image_id)
    rows = {'run': runs, 'session': found['sessions'], 'repeat': repeats, 'trials': trials}
    return {name: column for name, column in rows.items() if column is not None}


def _note_uneven(voxels, rows: dict, notes: list) -> None:
    """A session or a file in another unit; one of several files, where sessions are not told."""
    groups, kind = rows.get('session'), 'session'
    if groups is None:
        groups, kind = np.repeat(np.arange(len(voxels.rows)) + 1, voxels.rows), 'file'
    said = pairs_units.uneven(voxels.values, groups, kind)
    notes += [said] if said else []


def _finite(values, cfg: dict, name: str, notes: list) -> np.ndarray:
    good, rows = pairs_voxels.finite(values)
    bad = int((~good).sum())
    if not bad:
        return good
    what = f'{bad} of {len(good)} voxels are NaN or infinite in some of {rows} rows'
    if cfg['drop_voxels'] == 'none' or not good.any():
        raise errors.DataInvalid(
            f'{what}, first voxel {int(np.argmin(good))}',
            name,
            "set dataset.drop_voxels='nan' to drop those voxels, or mend the file"
            if good.any()
            else 'no voxel would be left: leave out those rows, or mend the file',
        )
    notes.append(f'{what}: dropped')
    return good


def _split(root, cfg: dict, image_id, rows: dict, v: int, notes: list) -> tuple[dict, str]:
    own = pairs_rows.own_parts(root, cfg, image_id, cfg['ids']['base'], v)
    rule = cfg['split']
    if own is None and rule['by'] == 'own':
        rule = rule | {'by': 'fraction'}
        notes.append(
            'neither test_ids nor parts are given: test images are drawn; set dataset.split to '
            'choose'
        )
    parts = splitting.parts(rule, image_id, rows.get('session'), own)
    return parts, splitting.describe(rule, 'as the files say, by image')


def _facts(cfg: dict, voxels, rows: dict, rule: str, notes: list) -> dict:
    trials = rows.get('trials')
    single = trials is None or (trials == 1).all()
    facts = {
        'source': 'pairs',
        'subject': str(cfg['subject']),
        'split': rule,
        'rows': 'single rows as stored' if single else f'means of up to {trials.max()} trials',
        'voxel_unit': cfg['voxels']['unit'],
        'files': voxels.files[:20],
        'rows_of_files': voxels.rows[:20],
        'orientation': f'pictures are stored {cfg["images"]["orientation"]}, as the config says',
    }
    if 'session' in rows:
        there = np.unique(rows['session']).tolist()
        missing = sorted(set(range(there[0], there[-1])) - set(there))
        facts |= {'sessions': there, 'missing_sessions': missing}
        if missing:
            notes.append(f'sessions {", ".join(map(str, missing))} are missing')
    return facts | {'notes': notes}
