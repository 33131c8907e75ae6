"""Generic Object Decoding: five people see 1,250 photographs (Horikawa and Kamitani 2017)."""

import pathlib

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.formats import (
    bdata,
    kamitani_checks,
    kamitani_ids,
    kamitani_images,
    kamitani_rows,
)

DEFAULTS = dict(
    path='',  # the folder that holds Subject1.h5 (or .mat), or its parent with data/
    subject=1,
    images='',  # the folder with training/ and test/; default: images/ in `path`
    image_size=0,  # pixels on a side; 0: as stored (256 where stored sizes differ)
    rows='single',  # 'single', or 'averaged': one mean row an image
    rois='',  # read only these areas, 'V1+V2'; empty: every voxel
    imagery=False,  # imagined categories as a further test, each stood for by its test picture
    split=dict(splitting.DEFAULTS),
)
PARTS = {1: 'train', 2: 'test', 3: 'imagery'}  # DataType
PUBLISHED = {'train': (1200, 1), 'test': (50, 35)}  # images, presentations of each
_REMEDY = (
    '`python launch/fetch.py god` says where it is; `python launch/simulate.py --layout=god '
    '--out=DIR` writes a simulated one, and so does :smoke of a config'
)
_NO_PICTURES = (
    'their names are those of the stimulus ids; they come by request form only: '
    '`python launch/fetch.py god`; set dataset.images to their folder'
)


def load(cfg) -> types.BrainData:
    """Reads Subject<n>.h5, or .mat where there is no .h5.

    DataType 1 trains, 2 tests. Ids are names, 'n01443537_22563', parsed as text from the stimulus
    ids, and pictures are matched by them in images/training and images/test. Imagery (DataType 3)
    names categories and no picture: those rows are left out, unless `imagery` asks for a further
    test in which the one test picture of its category stands for each.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Voxels as stored. ROIs as the file has them, V4 as hV4 too. voxel_info: xyz in mm,
      hemisphere by the sign of x. Runs are numbered from 1 in the order of the file; sessions are
      unknown unless the file has them. facts['categories'] counts WordNet categories of train and
      test and those in both; facts['notes'] says what is unlike the published counts.

    Raises:
      DataMissing: no file of the subject, or pictures; the first is named.
      DataInvalid: a file that is broken or no BData, ids that cannot be parsed or contradict
        imageID_*.csv, a test of another unit than training.
      LeakError: an image in both training and test.  ConfigError: an option that does not fit.
    """
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    path = _file(cfg)
    cortex, parts = _read(path, cfg['rois'])
    notes = kamitani_checks.cortex_notes(cortex) + kamitani_checks.check_unit(
        {name: part for name, part in parts.items() if len(part.run)}, path
    )
    simulated = mark.facts(path.parent)
    seen = {name: parts[name] for name in ('train', 'test')}
    notes += kamitani_checks.counts(seen, {} if simulated else PUBLISHED)
    runs = kamitani_checks.run_facts({k: p for k, p in parts.items() if len(p.run)}, notes)
    _check_lists(path.parent, seen)
    if cfg['imagery']:
        seen['imagery'] = _imagined(parts['imagery'], seen['test'], notes, path)
    elif len(parts['imagery'].run):
        notes.append(
            f'{len(parts["imagery"].run)} imagery rows are left out: they name a category and no '
            'picture; dataset.imagery=true lets its test picture stand for each'
        )
    made = kamitani_rows.splits(cfg['split'], seen, cfg['rows'])
    images, said = _pictures(cfg, path.parent, seen)
    return types.BrainData(
        train=made['train'],
        validation=made.get('validation'),
        test=made['test'],
        extra_tests={k: v for k, v in made.items() if k == 'imagery'},
        images=images,
        rois=cortex.rois,
        voxel_info=cortex.info,
        facts=_facts(cfg, path, made, notes + said) | runs | simulated,
    )


def _read(path, rois) -> tuple:
    """The Cortex of a file, and its rows by DataType."""
    with bdata.opened(path) as file:
        cortex = kamitani_rows.cortex(file, rois)
        kind = kamitani_rows.numbers(file, 'DataType')
        everything = kamitani_rows.Part(
            file.select(cortex.columns, np.float32),
            kamitani_rows.natural(file),
            kamitani_rows.numbers(file, 'Run'),
            kamitani_rows.numbers(file, 'Session'),
        )
    parts = {name: everything.rows(kind == code) for code, name in PARTS.items()}
    _check_parts(parts, kind, path)
    return cortex, parts


def _facts(cfg: dict, path: pathlib.Path, made: dict, notes: list[str]) -> dict:
    return {
        'source': 'god',
        'subject': cfg['subject'],
        'split': splitting.describe(
            cfg['split'], 'the training and test runs of the data set (DataType 1 and 2)'
        ),
        'rows': 'single trials' if cfg['rows'] == 'single' else 'mean of each image',
        'voxel_unit': 'as stored in the file, which does not say',
        'file': path.name,
        'categories': kamitani_checks.categories(made),
        'notes': notes,
    }


def _file(cfg: dict) -> pathlib.Path:
    """Subject<n>.h5 or .mat, in `path` or in `path`/data."""
    if not cfg['path']:
        raise errors.DataMissing('dataset.path is not set', 'config', _REMEDY)
    root = pathlib.Path(cfg['path']).expanduser()
    for folder in (root, root / 'data'):
        for ending in ('h5', 'mat'):
            if (folder / f'Subject{cfg["subject"]}.{ending}').exists():
                return folder / f'Subject{cfg["subject"]}.{ending}'
    there = sorted({p.name for f in (root, root / 'data') for p in f.glob('Subject*.*')})
    raise errors.DataMissing(
        f'no Subject{cfg["subject"]}.h5 or .mat ({", ".join(there) or "no subject"} there)',
        root,
        _REMEDY,
    )


def _check_parts(parts: dict, kind: np.ndarray, path) -> None:
    unknown = np.setdiff1d(kind, list(PARTS))
    empty = [name for name in ('train', 'test') if not len(parts[name].run)]
    if len(unknown) or empty:
        found = f'DataType holds {np.unique(kind).tolist()}'
        raise errors.DataInvalid(
            f'{found}: no rows of {empty[0]}' if empty else found,
            path,
            'wanted 1 (training), 2 (test) and 3 (imagery)',
        )
    for name in ('train', 'test'):
        ids = np.unique(parts[name].image_id).tolist()
        plain = [i for i in ids if not kamitani_ids.is_picture(i)]
        if plain:
            raise errors.DataInvalid(
                f'{len(plain)} of {len(ids)} stimuli of {name} name no picture, first {plain[0]}',
                path,
                'wanted ids with six decimals, like 1518878.005958: were they rounded?',
            )


def _check_lists(folder: pathlib.Path, seen: dict) -> None:
    """imageID_training.csv and imageID_test.csv, where they are there, must name every stimulus."""
    for name, part in seen.items():
        path = folder / f'imageID_{"training" if name == "train" else "test"}.csv'
        if path.exists():
            kamitani_ids.check_listed(path, part.image_id, name)


def _imagined(part, test, notes: list, path):
    """Imagery rows with the test picture of their category as id."""
    pictures = {}
    for name in np.unique(test.image_id).tolist():
        pictures.setdefault(kamitani_ids.category(name), name)
    wanted = [kamitani_ids.category(name) for name in part.image_id.tolist()]
    unknown = sorted(set(wanted) - set(pictures))
    if unknown or not wanted:
        raise errors.DataInvalid(
            f'{len(unknown)} imagined categories have no test picture, first {unknown[0]}'
            if unknown
            else 'no imagery rows (DataType 3)',
            path,
            'set dataset.imagery=false',
        )
    notes.append(
        f'imagery: {len(wanted)} rows of {len(set(wanted))} categories; nobody saw a picture: the '
        'test picture of the category stands for it'
    )
    ids = np.array([pictures[name] for name in wanted])
    return kamitani_rows.Part(part.voxels, ids, part.run, part.session)


def _pictures(cfg: dict, folder: pathlib.Path, seen: dict):
    """The pictures of all rows, and notes."""
    root = pathlib.Path(cfg['images']).expanduser() if cfg['images'] else folder / 'images'
    if not cfg['images'] and not root.is_dir() and (folder.parent / 'images').is_dir():
        root = folder.parent / 'images'
    paths = {}
    for name, part in seen.items():
        below = 'training' if name == 'train' else 'test'
        paths |= kamitani_images.find(part.image_id, root / below, _NO_PICTURES)
    return kamitani_images.opened(paths, cfg['image_size'])
