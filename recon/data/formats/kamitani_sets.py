"""Shapes, letters and imagery of DIR: what was shown in each row, where the files tell."""

import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import kamitani_ids, kamitani_images

_MAPS = ('stimulus_name', 'imagery_name', 'Label')  # value maps that may hold names
_NUMBERS = ('stimulus_id', 'Label', 'image_index', 'imagery_image_index')  # columns with numbers
_WORDS = {'artificial': ('artificial',), 'letters': ('letter', 'alphabet'), 'imagery': ('imagery',)}
_FOLDERS = {'imagery': ('imagery', 'test', 'artificial')}  # imagined were pictures of both


def names(file, kind: str, folder: pathlib.Path) -> tuple[np.ndarray | None, list[str]]:
    """[n] <U, the stimulus of each row of an open BData file, or None, and notes.

    Names come from a value map; else from a list in `folder` (a .tsv or .csv whose name says the
    set), through the column whose numbers are those of the list, all of them and no other.

    Args:
      file: an open `bdata.BData`.
      kind: 'artificial', 'letters' or 'imagery'.
      folder: where lists may lie.
    """
    for key in _MAPS:
        if key in file.vmap_keys and file.columns(key).sum() == 1:
            return np.array([kamitani_ids.tidy(name) for name in file.labels(key)]), []
    lists = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix in ('.tsv', '.csv') and any(w in path.name.lower() for w in _WORDS[kind])
    ]
    for path in lists:
        listed = kamitani_ids.listed(path)
        fitting = _fitting(file, listed)
        if len(fitting) == 1:
            return np.array([listed[x] for x in fitting[0]]), []
        if fitting:
            return None, [
                f'{kind} is left out: {len(fitting)} unlike columns of {file.path.name} fit '
                f'{path.name}, so nobody can tell which of them is the stimulus'
            ]
    where = f'no column of it fits {lists[0].name}' if lists else 'there is no list beside it'
    return None, [
        f'{kind} is left out: {file.path.name} has no names of stimuli, and {where} '
        f'({kind}.tsv: name, tab, number as in the file)'
    ]


def _fitting(file, listed: dict) -> list[tuple]:
    """Distinct columns whose numbers are those of the list, all of them and no other."""
    wanted = sorted(listed)
    columns = [c for key in _NUMBERS if key in file.keys for c in file.get(key).T]
    fitting = (c for c in columns if np.unique(c).tolist() == wanted)
    return list(dict.fromkeys(tuple(c.tolist()) for c in fitting))


def pictures(shown: np.ndarray, kind: str, images: pathlib.Path, known: dict) -> tuple:
    """Which rows have a picture, {name: path} of these, and notes.

    Args:
      shown: [n] names.
      kind: 'artificial', 'letters' or 'imagery'.
      images: the folder with a folder for each set.
      known: {name: path} of pictures that are already in use.

    Returns:
      [n] bool, {name: path} and sentences. What is imagined has the picture that was seen.

    Raises:
      DataInvalid: a name that another set has too, for another picture.
    """
    held = {}
    for below in reversed(_FOLDERS.get(kind, (kind,))):
        held |= kamitani_images.index(images / below)
    distinct = np.unique(shown).tolist()
    if kind == 'imagery':
        held |= {name: known[name] for name in distinct if name in known}
    found = {name: held[name] for name in distinct if name in held}
    twice = [name for name, path in found.items() if known.get(name, path) != path]
    if twice:
        raise errors.DataInvalid(
            f'{kind} and another set both have a stimulus {twice[0]}',
            images / kind,
            'names must tell pictures apart: rename one in the folder and in the list',
        )
    keep = np.isin(shown, list(found))
    lacking = [name for name in distinct if name not in found]
    if not found:
        return keep, {}, [f'{kind} is left out: none of its pictures is in {images / kind}']
    if lacking:
        return (
            keep,
            found,
            [
                f'{kind}: {(~keep).sum()} rows are left out, of which there is no picture: '
                f'{len(lacking)} of {len(distinct)} stimuli, first {lacking[0]}'
            ],
        )
    return keep, found, []
