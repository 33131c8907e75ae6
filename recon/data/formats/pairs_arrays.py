"""One array of a user's own, from whatever kind of file it lies in."""

import glob
import pathlib

import h5py
import numpy as np

from recon.core import errors
from recon.data.formats import files

COLUMNS = ('.npy', '.txt', '.csv', '.tsv', '.npz', '.mat', '.h5', '.hdf5')
ARRAYS = ('.npy', '.npz', '.mat', '.h5', '.hdf5')
REMEDY = '`python launch/fetch.py pairs` says what a folder of pairs holds'


def find(root: pathlib.Path, given: str, stem: str, suffixes) -> list[pathlib.Path]:
    """Files of one role: those that the config names, else the one with the obvious name.

    Args:
      root: names are relative to it.
      given: a name, several with commas between them (or a tuple), or a pattern with '*', whose
        files come in the order of the numbers in their names; '' looks for `stem` + a suffix.
      stem: the obvious name, 'voxels'.
      suffixes: those that are looked for.

    Returns:
      Paths; empty if nothing was named and nothing is there.

    Raises:
      DataMissing: a name or a pattern that fits no file.  ConfigError: two obvious files.
    """
    if given:
        names = given.split(',') if isinstance(given, str) else list(given)
        return [path for name in names for path in _named(root, str(name).strip())]
    found = [root / f'{stem}{suffix}' for suffix in suffixes]
    found = [path for path in found if path.exists()]
    if len(found) > 1:
        raise errors.ConfigError(
            f'{" and ".join(path.name for path in found)} are both there',
            root,
            f'name one of them in dataset.{stem}.file',
        )
    return found


def _named(root: pathlib.Path, name: str) -> list[pathlib.Path]:
    if '*' in name:
        found = files.natural(map(pathlib.Path, glob.glob(str(root / name))))
        if not found:
            raise errors.DataMissing(f'no file fits {name!r}', root, REMEDY)
        return found
    path = root / pathlib.Path(name).expanduser()
    if not path.exists():
        near = ', '.join(sorted(p.name for p in root.iterdir())[:12])
        raise errors.DataMissing(f'no {name}', root, f'it holds {near or "nothing"}. {REMEDY}')
    return [path]


def suffix(path) -> str:
    """'.nii.gz', '.func.gii' and the like are '.nii' and '.gii'; the rest as pathlib says."""
    name = pathlib.PurePath(path).name.lower()
    if name.endswith('.nii.gz'):
        return '.nii'
    return pathlib.PurePath(name).suffix


def stem(path) -> str:
    """The name without '.nii.gz', '.label.gii', '.npy' ..."""
    name = pathlib.PurePath(path).name
    for ending in ('.nii.gz', '.func.gii', '.label.gii', '.shape.gii'):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return pathlib.PurePath(name).stem


def read(path, key: str = '') -> np.ndarray:
    """The array `key` of a file, in the type it is stored in; text as <U.

    Args:
      path: .npy (memory-mapped), .npz, .mat of version 5 or 7.3 (axes in MATLAB's order), .h5 (axes
        as h5py shows them; `key` may be a path), .csv or .tsv (`key` is a column of the header;
        without one the file is one value a line), .txt (one value a line).
      key: '' takes the only array, or the one that is called as the file.

    Raises:
      DataMissing: not there.  DataInvalid: cannot be read, no such array, or a pickle.
    """
    kind = suffix(path)
    if kind == '.npy':
        return files.npy(path, kinds='fiubU')
    if kind == '.npz':
        held = files.npz(path)
        return held[choose(held, key, path)]
    if kind == '.mat':
        return _mat(path, key)
    if kind in ('.h5', '.hdf5'):
        with files.hdf5(path) as file:
            return _hdf5(file, choose(datasets(file), key, path))
    if kind in ('.txt', '.csv', '.tsv'):
        return _column(path, key, '\t' if kind == '.tsv' else ',')
    raise errors.DataInvalid(
        f'files of kind {kind or "no suffix"} are not read here', path, f'wanted {COLUMNS}'
    )


def many(path) -> dict[str, np.ndarray]:
    """All arrays of an .npz, .mat or .h5 file by name."""
    kind = suffix(path)
    if kind == '.npz':
        return files.npz(path)
    if kind == '.mat':
        return files.mat(path)
    with files.hdf5(path) as file:
        return {name: _hdf5(file, name) for name in datasets(file)}


def datasets(file: h5py.File) -> list[str]:
    """Paths of all datasets of an open HDF5 file."""
    names = []

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            names.append(name)

    file.visititems(visit)
    return [name for name in names if not name.startswith('#')]  # MATLAB's own tables


def choose(held, key: str, path) -> str:
    """The name that is meant among `held`; DataInvalid lists them where that is not clear."""
    named = stem(path)
    if key and key in held:
        return key
    if not key and len(held) == 1:
        return next(iter(held))
    if not key and named in held:
        return named
    what = f'no array {key!r}' if key else 'several arrays and no key'
    raise errors.DataInvalid(
        what, path, f'set the key to one of: {", ".join(sorted(held)) or "(it holds nothing)"}'
    )


def numbers(values, where) -> np.ndarray:
    """One value a row as [n] int64 if all are whole numbers, as <U if they are text.

    Raises:
      DataInvalid: not one value a row, or numbers that are not whole.
    """
    values = np.asarray(values)
    if values.ndim == 2 and 1 in values.shape:  # MATLAB has no vectors
        values = values.reshape(-1)
    if values.ndim != 1 or not len(values):
        raise errors.DataInvalid(f'its shape is {values.shape}', where, 'wanted one value a row')
    if values.dtype.kind in 'US':
        text = np.char.decode(values, 'utf-8') if values.dtype.kind == 'S' else values
        try:
            values = text.astype(np.float64)
        except ValueError:
            return np.char.strip(text)
    whole = np.isfinite(values) & (np.asarray(values, np.float64) % 1 == 0)
    if not whole.all():
        row = int(np.argmin(whole))
        raise errors.DataInvalid(
            f'row {row} is {values[row]}, no whole number', where, 'wanted whole numbers or names'
        )
    return values.astype(np.int64)


def axes(text: str, key: str, wanted) -> list[str]:
    """'rows voxels' -> its words, which must be one of the sets `wanted`; ConfigError otherwise."""
    words = str(text).split()
    if not any(sorted(words) == sorted(option) for option in wanted):
        options = ' or '.join(repr(' '.join(option)) for option in wanted)
        raise errors.ConfigError(f'{key} is {text!r}', 'config', f'wanted {options}, in any order')
    return words


def _mat(path, key: str) -> np.ndarray:
    held = files.mat(path, (key,) if key else None)
    value = held[choose(held, key, path)]
    if value.dtype == object:  # a cell array of text
        cells = [np.asarray(cell) for cell in value.reshape(-1)]
        if all(cell.dtype.kind == 'U' and cell.size <= 1 for cell in cells):
            return np.array([cell.item() if cell.size else '' for cell in cells])
        raise errors.DataInvalid('a cell array of other things than text', path, 'save an array')
    return value


def _hdf5(file: h5py.File, name: str) -> np.ndarray:
    if isinstance(file.get(name), h5py.Dataset) and h5py.check_string_dtype(file[name].dtype):
        return np.asarray(file[name].asstr()[()]).astype(str)
    return files.read(files.array(file, name, kinds='fiubU'))


def _column(path, key: str, delimiter: str) -> np.ndarray:
    if key:
        table = files.table(path, delimiter)
        return table[choose(table, key, path)]
    text = files.text(path)
    if '\0' in text:
        raise errors.DataInvalid('no text: it holds zero bytes', path, 'write it again')
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or any(delimiter in line for line in lines):
        raise errors.DataInvalid(
            'no rows' if not lines else 'several columns and no key', path, 'set the key'
        )
    return np.array([line.strip('"') for line in lines])
