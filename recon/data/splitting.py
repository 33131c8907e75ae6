"""Which rows train and which test: always by image, never by row."""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors, types
from recon.data.formats import files

DEFAULTS = dict(
    by='own',  # 'own' (the data set's), 'fraction', 'session' or 'file'
    test=0.2,  # fraction of the images, by='fraction' (.2 is 8:2, .3 is 7:3)
    validation=0.0,  # fraction of the images that are left to train on
    seed=0,  # of fractions
    sessions=(),  # test sessions, by='session'
    file='',  # by='file': test ids, one a line, or JSON {'test': [ids], 'validation': [...], ...}
)
PARTS = ('train', 'validation', 'test')


def parts(cfg, image_id, session=None, own=None) -> dict[str, np.ndarray]:
    """Row indices of each part, ascending. No image is in two parts.

    'own': as `own` says. 'fraction': images drawn with the seed. 'session': the rows of
    `sessions` test; rows of other sessions that show one of their images are dropped. 'file': the
    ids of a file; a JSON file that names 'train' drops what it does not name, otherwise all other
    images train. `validation` then takes a fraction of the training images, drawn with the seed.

    Args:
      cfg: see DEFAULTS.
      image_id: [n] int or <U.
      session: [n] int, -1 unknown; needed for 'session'.
      own: [n] names of parts, '' for rows that are in none; needed for 'own'.

    Returns:
      {'train': int64 [k], 'test': ..., 'validation': ... if it has rows}.

    Raises:
      ConfigError: an option that does not fit, or an empty part.
      LeakError: an image in two parts.
      DataInvalid: ids of the file that are not in the data.
    """
    cfg, image_id = _checked(cfg), np.asarray(image_id)
    if cfg['by'] == 'own':
        if own is None:
            raise errors.ConfigError(
                "dataset.split.by is 'own', but the data name no parts",
                'dataset.split',
                "choose 'fraction', 'session' or 'file'",
            )
        part = np.asarray(own, dtype='<U10').copy()
    elif cfg['by'] == 'fraction':
        part = np.where(np.isin(image_id, _drawn(image_id, cfg['test'], cfg['seed'])), 'test', '')
        part = np.where(part == '', 'train', part).astype('<U10')
    elif cfg['by'] == 'session':
        part = _by_session(cfg, image_id, session)
    else:
        part = _by_file(cfg, image_id)
    _refuse_leak(image_id, part)
    if cfg['validation'] > 0:
        rest = part == 'train'
        drawn = _drawn(image_id[rest], cfg['validation'], (cfg['seed'], 1))
        part[rest & np.isin(image_id, drawn)] = 'validation'
    rows = {name: np.flatnonzero(part == name) for name in PARTS}
    for name in ('train', 'test'):
        if not len(rows[name]):
            raise errors.ConfigError(
                f'no row is left to {name} with dataset.split.by={cfg["by"]!r}',
                'dataset.split',
                f'{len(np.unique(image_id))} images in {len(image_id)} rows: choose another split',
            )
    return {name: index for name, index in rows.items() if len(index) or name != 'validation'}


def regroup(cfg, brain: types.BrainData) -> types.BrainData:
    """`brain` with the rows of train, validation and test parted anew, as `cfg` says.

    For data sets that are read whole. Their own split stays as it is, an image in two parts
    included, which the audit judges. Rows of a run must lie in one part, or lose their order.
    """
    checked = _checked(cfg)
    if checked['by'] == 'own' and not checked['validation']:
        return brain
    held = [split for name, split in brain.splits().items() if name in PARTS]
    names = [name for name in brain.splits() if name in PARTS]
    whole = types.Split(
        **{
            field.name: np.concatenate([getattr(split, field.name) for split in held])
            for field in dataclasses.fields(types.Split)
        }
    )
    own = np.repeat(names, [len(split) for split in held])
    rows = parts(checked, whole.image_id, whole.session, own)
    said = describe(checked, brain.facts.get('split', ''))
    return dataclasses.replace(
        brain,
        train=whole.rows(rows['train']),
        validation=whole.rows(rows['validation']) if 'validation' in rows else None,
        test=whole.rows(rows['test']),
        facts=brain.facts | {'split': said},
    )


def describe(cfg, own: str) -> str:
    """The split in words, for facts['split']; `own` are those of the data set's own split."""
    cfg = _checked(cfg)
    said = {
        'own': own,
        'fraction': f'{100 * cfg["test"]:g}% of the images test, drawn with seed {cfg["seed"]}',
        'session': f'sessions {", ".join(map(str, cfg["sessions"]))} test; their images do not '
        'train',
        'file': f'by image, as {pathlib.Path(cfg["file"]).name} says',
    }[cfg['by']]
    if cfg['validation'] > 0:
        said += f'; {100 * cfg["validation"]:g}% of the training images validate'
    return said


def _checked(cfg) -> dict:
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    if cfg['by'] not in ('own', 'fraction', 'session', 'file'):
        raise errors.ConfigError(
            f'dataset.split.by is {cfg["by"]!r}',
            'config',
            "one of 'own', 'fraction', 'session', 'file'",
        )
    if not 0 < cfg['test'] < 1 or not 0 <= cfg['validation'] < 1:
        raise errors.ConfigError(
            f'dataset.split has test={cfg["test"]}, validation={cfg["validation"]}',
            'config',
            'fractions of the images: test in (0, 1), validation in [0, 1)',
        )
    return cfg


def _drawn(image_id, fraction: float, seed) -> np.ndarray:
    """A fraction of the distinct images, at least one."""
    distinct = np.unique(image_id)
    count = max(1, round(fraction * len(distinct)))
    return np.random.default_rng(seed).permutation(distinct)[:count]


def _by_session(cfg: dict, image_id, session) -> np.ndarray:
    wanted = cfg['sessions']
    if not all(str(number).lstrip('-').isdigit() for number in wanted):
        raise errors.ConfigError(
            f'dataset.split.sessions is {tuple(wanted)}', 'dataset.split', 'wanted numbers'
        )
    wanted = np.asarray(wanted, int)
    known = np.unique(session) if session is not None else np.array([], int)
    known = known[known >= 0]
    if not len(wanted) or not np.isin(wanted, known).all():
        raise errors.ConfigError(
            f'dataset.split.sessions is {tuple(wanted.tolist())}',
            'dataset.split',
            f'name test sessions among {known.tolist()}'
            if len(known)
            else 'the data do not say of which session a row is: choose another split',
        )
    test = np.isin(session, wanted)
    shared = np.isin(image_id, image_id[test])
    return np.select([test, ~shared], ['test', 'train'], '').astype('<U10')


def _by_file(cfg: dict, image_id) -> np.ndarray:
    if not cfg['file']:
        raise errors.ConfigError(
            "dataset.split.by is 'file'", 'dataset.split', 'set dataset.split.file'
        )
    path = pathlib.Path(cfg['file']).expanduser()
    named = files.json(path) if path.suffix == '.json' else {'test': _lines(path)}
    if not isinstance(named, dict) or not set(named) <= set(PARTS) or 'test' not in named:
        raise errors.DataInvalid(
            'it does not name parts', path, "wanted: {'test': [ids], 'validation': ..., ...}"
        )
    part = np.full(len(image_id), '' if 'train' in named else 'train', '<U10')
    taken = {}
    for name, ids in named.items():
        ids = _of_kind(ids, image_id, path)
        for i in ids.tolist():
            if taken.setdefault(i, name) != name:
                raise errors.LeakError(
                    f'image {i} is in {taken[i]} and in {name}', path, 'name each image once'
                )
        unknown = ids[~np.isin(ids, image_id)]
        if len(unknown):
            raise errors.DataInvalid(
                f'{len(unknown)} of {len(ids)} {name} ids are not in the data, first {unknown[0]}',
                path,
                f'ids of the data are like {image_id[0]}',
            )
        part[np.isin(image_id, ids)] = name
    return part


def _lines(path: pathlib.Path) -> list[str]:
    return [line.strip() for line in files.text(path).splitlines() if line.strip()]


def _of_kind(ids, image_id, path) -> np.ndarray:
    """The file's ids as the kind that the data have, numbers or names."""
    if not isinstance(ids, list):
        raise errors.DataInvalid(f'ids are {str(ids)[:40]}', path, 'wanted a list of ids')
    try:
        if image_id.dtype.kind not in 'iu':
            return np.array([str(i) for i in ids], str)
        if any(int(i) != i for i in ids if isinstance(i, float)):
            raise ValueError('a fraction')
        return np.array([int(i) for i in ids], image_id.dtype)
    except (ValueError, TypeError, OverflowError):
        raise errors.DataInvalid(
            'some ids are not numbers', path, f'ids of the data are like {image_id[0]}'
        ) from None


def _refuse_leak(image_id, part) -> None:
    """An image in two parts is refused wherever the parts came from."""
    owner = {}
    for name in PARTS:
        for i in np.unique(image_id[part == name]).tolist():
            if owner.setdefault(i, name) != name:
                raise errors.LeakError(
                    f'image {i} is in {owner[i]} and in {name}',
                    'split',
                    'split by image: all rows of one image belong to one part',
                )
