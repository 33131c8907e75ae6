"""What a user says of the rows (ids, runs, sessions, parts) and of the pictures (words, labels)."""

import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import files, pairs_arrays, pairs_images

# Obvious name of a column's own file, and of the column in a table rows.csv.
COLUMNS = {
    'ids': ('ids', 'image_id'),
    'runs': ('runs', 'run'),
    'sessions': ('sessions', 'session'),
    'repeats': ('repeats', 'repeat'),
    'trials': ('trials', 'trials'),
    'parts': ('parts', 'part'),
    'test': ('test_ids', ''),
    'validation': ('validation_ids', ''),
}


def column(root: pathlib.Path, cfg: dict, role: str) -> tuple[np.ndarray, pathlib.Path] | None:
    """One value a row, and the file it is from: the role's own file, or a column of rows.csv."""
    stem, name = COLUMNS[role]
    block = cfg[role]
    found = pairs_arrays.find(root, block['file'], stem, pairs_arrays.COLUMNS)
    if found:
        if len(found) > 1:
            raise errors.ConfigError(
                f'dataset.{role}.file names {len(found)} files', 'config', 'one file'
            )
        return pairs_arrays.read(found[0], block['key']), found[0]
    table = pairs_arrays.find(root, '', 'rows', ('.csv', '.tsv'))
    if not table or not name:
        return None
    columns = files.table(table[0], '\t' if table[0].suffix == '.tsv' else ',')
    key = block['key'] or name
    if key not in columns:
        if block['key']:
            pairs_arrays.choose(columns, key, table[0])
        return None
    return columns[key], table[0]


def hint(root: pathlib.Path) -> str:
    """What a table rows.csv has in place of a column of ids; '' where there is no table."""
    table = pairs_arrays.find(root, '', 'rows', ('.csv', '.tsv'))
    if not table:
        return ''
    first = files.text(table[0]).splitlines()[:1]
    return (
        f'. {table[0].name} is there, but its first line is {"".join(first)[:60]!r}: wanted a '
        'header with image_id, and commas (tabs in a .tsv)'
    )


def ids(values, where, base: int) -> np.ndarray:
    """Stimulus ids as int64, counted from 0, or as names without the ending of a picture.

    Raises:
      DataInvalid: no ids.  ConfigError: a base for names.
    """
    found = pairs_arrays.numbers(values, where)
    if found.dtype.kind == 'U':
        if base:
            raise errors.ConfigError(
                f'dataset.ids.base is {base}, but ids are names such as {found[0]}',
                where,
                'leave it at 0',
            )
        return np.array([pairs_images.name_of(name) for name in found])
    return found - base


def whole(found, rows: int, voxels: int, least: int = 0) -> np.ndarray | None:
    """A column of numbers, int32 [n]; text such as 'run-03' gives its number.

    Raises:
      DataInvalid: another number of rows, or no whole numbers.
    """
    if found is None:
        return None
    values, path = found
    try:
        values = pairs_arrays.numbers(values, path)
    except errors.DataInvalid as error:
        raise errors.DataInvalid(error.what, path, 'wanted whole numbers') from None
    if values.dtype.kind == 'U':
        digits = [''.join(c for c in value if c.isdigit()) for value in values.tolist()]
        if not all(digits):
            raise errors.DataInvalid(
                f'row {digits.index("")} is {str(values[digits.index("")])!r}',
                path,
                'wanted numbers',
            )
        values = np.array([int(d) for d in digits])
    check_length(len(values), rows, voxels, path)
    if values.min() < least or values.max() > 2**31 - 1:
        raise errors.DataInvalid(
            f'values from {values.min()} to {values.max()}', path, f'wanted {least} or more'
        )
    return values.astype(np.int32)


def check_length(found: int, rows: int, voxels: int, path) -> None:
    """Raises DataInvalid unless `found` is the number of rows; says which axes would fit."""
    if found == rows:
        return
    what = f'{found} rows, the voxels have {rows} rows (and {voxels} voxels)'
    remedy = 'one row for each row of the voxels, in the same order'
    if found == voxels:
        remedy = "it fits the other axis: set dataset.voxels.axes='voxels rows', or back"
    elif found == rows + 1:
        remedy = 'one too many: if its first line is a header, set the key to that name'
    raise errors.DataInvalid(what, path, remedy)


def unique_runs(runs, sessions, notes: list):
    """Runs numbered anew from 1 where sessions use the same numbers."""
    if runs is None or sessions is None:
        return runs
    pairs, inverse = np.unique(np.stack([sessions, runs], 1), axis=0, return_inverse=True)
    if len(pairs) == len(np.unique(runs)):
        return runs
    notes.append(f'runs begin anew in each session: numbered 1 to {len(pairs)} over all of them')
    return (inverse.reshape(-1) + 1).astype(np.int32)


def presentations(image_id) -> np.ndarray:
    """[n] int32: how many earlier rows show the same image."""
    order = np.argsort(image_id, kind='stable')
    ordered = np.asarray(image_id)[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.arange(len(ordered)) - np.repeat(starts, np.diff([*starts, len(ordered)]))
    out = np.empty(len(ordered), np.int32)
    out[order] = counts
    return out


def own_parts(root, cfg: dict, image_id, base: int, voxels: int) -> np.ndarray | None:
    """[n] names of parts by the column `parts`, or by the ids of test and validation; or None.

    Raises:
      DataInvalid: a part of another name, or ids that no row has.  LeakError: one id in two parts.
    """
    given = column(root, cfg, 'parts')
    if given is not None:
        names = np.char.strip(np.asarray(given[0]).astype(str))
        check_length(len(names), len(image_id), voxels, given[1])
        wrong = ~np.isin(names, ('train', 'validation', 'test', ''))
        if wrong.any():
            raise errors.DataInvalid(
                f'row {np.argmax(wrong)} is {str(names[wrong][0])!r}',
                given[1],
                "wanted 'train', 'validation', 'test', or nothing for a row to leave out",
            )
        return names
    part, given_parts = np.full(len(image_id), 'train', '<U10'), []
    for name in ('validation', 'test'):
        given = column(root, cfg, name)
        if given is None:
            continue
        wanted = ids(given[0], given[1], base)
        given_parts.append(name)
        if wanted.dtype.kind != image_id.dtype.kind or not np.isin(wanted, image_id).all():
            absent = wanted[~np.isin(wanted, image_id)]
            raise errors.DataInvalid(
                f'{len(absent)} of {len(wanted)} {name} ids are of no row, '
                f'first {absent.tolist()[0]!r}',
                given[1],
                f'ids of the rows are like {image_id.tolist()[0]!r} (both are counted from '
                'dataset.ids.base)',
            )
        here = np.isin(image_id, wanted)
        both = here & (part != 'train')
        if both.any():
            raise errors.LeakError(
                f'image {image_id[both][0]} is in validation and in test',
                given[1],
                'name each image once',
            )
        part[here] = name
    if given_parts == ['validation']:
        raise errors.DataMissing(
            'ids of validation and none of test', root, 'add test_ids.txt, or set dataset.split'
        )
    return part if given_parts else None


def check_pictured(path, said: dict | None, known: np.ndarray, notes: list) -> None:
    """What is said of pictures (captions, labels) must be of those that are there.

    A table may tell of more pictures than were shown, or of fewer: that is noted.

    Args:
      path: for messages.
      said: {image id: ...}, or None.
      known: ids of the pictures.
      notes: a sentence is added where ids differ.

    Raises:
      DataInvalid: hardly any id has a picture, or all have once they are counted from another base.
    """
    if not said:
        return
    keys = np.array(list(said))
    same = keys.dtype.kind == known.dtype.kind
    there = np.isin(keys, known) if same else np.zeros(len(keys), bool)
    if there.all():
        return
    what = (
        f'{(~there).sum()} of {len(keys)} ids have no picture, first {keys[~there].tolist()[0]!r}'
    )
    like = f'ids of the pictures are like {known.tolist()[0]!r} ... {known.tolist()[-1]!r}'
    if same and keys.dtype.kind == 'i':
        for shift, word in ((1, '1'), (-1, '0')):
            if np.isin(keys - shift, known).all():
                raise errors.DataInvalid(
                    what,
                    path,
                    f'ids look {word}-based beside those of the rows: count both from one '
                    f'dataset.ids.base; {like}',
                )
    if there.sum() < min(len(keys), len(known)) / 2:
        raise errors.DataInvalid(what, path, f'wanted the ids of the pictures; {like}')
    lacking = len(known) - int(there.sum())
    notes.append(f'{path.name}: {what}; of {lacking} of {len(known)} pictures it says nothing')


def captions(root, cfg: dict, base: int) -> dict | None:
    """{image id: (sentence, ...)}: JSON {id: sentence or list}, or a table `image_id,caption`."""
    found = pairs_arrays.find(root, cfg['captions']['file'], 'captions', ('.json', '.csv', '.tsv'))
    if not found:
        return None
    if found[0].suffix == '.json':
        held = files.json(found[0])
        if not isinstance(held, dict):
            raise errors.DataInvalid('no table', found[0], 'wanted {"id": ["a sentence", ...]}')
        pairs = [
            (key, text)
            for key, texts in held.items()
            for text in ([texts] if isinstance(texts, str) else texts)
        ]
    else:
        table = files.table(found[0], '\t' if found[0].suffix == '.tsv' else ',')
        text = table[pairs_arrays.choose(table, cfg['captions']['key'] or 'caption', found[0])]
        pairs = list(zip(next(iter(table.values())).tolist(), text.tolist(), strict=True))
    if not pairs:
        return None
    keys = ids(np.array([key for key, _ in pairs]), found[0], base).tolist()
    out = {}
    for key, (_, text) in zip(keys, pairs, strict=True):
        out[key] = (*out.get(key, ()), ' '.join(str(text).split()))
    return out


def labels(root, cfg: dict, base: int, image_ids) -> tuple[dict | None, tuple]:
    """{image id: [k] 0/1 uint8}, or {image id: int} of one column, and the names of the labels.

    A table: the first column is the id, each further one a label (its header its name), 0 and 1;
    one further column alone holds classes, numbers or names. An array [m k] of 0 and 1, or [m] of
    classes: row j is of picture j of an array of pictures.
    """
    found = pairs_arrays.find(
        root, cfg['labels']['file'], 'labels', ('.csv', '.tsv', '.npy', '.mat')
    )
    if not found:
        return None, ()
    path = found[0]
    if path.suffix in ('.csv', '.tsv'):
        table = files.table(path, '\t' if path.suffix == '.tsv' else ',')
        first, *rest = table
        keys, names = ids(table[first], path, base), tuple(rest)
        values = np.stack([table[name] for name in rest], 1) if rest else np.zeros((len(keys), 0))
    else:
        values, keys, names = pairs_arrays.read(path, cfg['labels']['key']), image_ids, ()
        values = values.reshape(len(values), -1)
    if keys is None or len(keys) != len(values) or not values.shape[1]:
        raise errors.DataInvalid(
            f'labels of shape {values.shape}, {0 if keys is None else len(keys)} pictures',
            path,
            'wanted a table whose first column is the image id',
        )
    if values.shape[1] == 1:
        names, codes = np.unique(values[:, 0], return_inverse=True)
        return dict(zip(keys.tolist(), codes.tolist(), strict=True)), tuple(map(str, names))
    try:
        flags = np.asarray(values, np.float64)
    except ValueError:
        flags = np.full(values.shape, np.nan)
    if not np.isin(flags, (0, 1)).all():
        raise errors.DataInvalid('labels are not all 0 or 1', path, 'wanted 0 and 1, or one column')
    names = names or tuple(f'label {i}' for i in range(flags.shape[1]))
    return dict(zip(keys.tolist(), flags.astype(np.uint8), strict=True)), names
