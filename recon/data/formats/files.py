"""Opening files safely: what is wrong with one is said in a line, and nothing is ever unpickled."""

import contextlib
import csv
import io
import json as json_
import math
import pathlib
import re
import struct
import tokenize
import zipfile
import zlib

import h5py
import numpy as np
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data.formats import mat_elements

KINDS = {'f': 'floats', 'i': 'integers', 'u': 'integers', 'b': 'booleans', 'U': 'text', 'S': 'text'}
# Deflate makes at most 1,032 bytes of one, so a header that promises more is not to be believed.
_MOST = 1032
_FREE = 64 * 2**20  # bytes below which nobody is hurt
_BROKEN = (OSError, EOFError, ValueError, TypeError, LookupError, OverflowError, MemoryError)
_BROKEN += (RuntimeError, ArithmeticError, zlib.error, struct.error, zipfile.BadZipFile)
# numpy parses the header of an .npy as if it were Python.
_BROKEN += (scipy.io.matlab.MatReadError, tokenize.TokenError, SyntaxError)


def exists(path, remedy: str = 'check the path') -> pathlib.Path:
    """`path` as a Path; DataMissing if there is no such file, DataInvalid if it is empty."""
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        what = 'a folder, wanted a file' if path.is_dir() else 'no such file'
        raise errors.DataMissing(what, path, remedy)
    if not path.stat().st_size:
        raise errors.DataInvalid('the file is empty', path, 'fetch or write it again')
    return path


def check_promise(path, shape, itemsize: int, stored: int | None = None) -> None:
    """Refuses a header that promises more than its file can hold, before memory is asked for.

    Args:
      path: for the message.
      shape: as promised.
      itemsize: bytes of one element.
      stored: bytes on disk; default the size of `path`.

    Raises:
      DataInvalid: over 1,032 times `stored` (the most that gzip can do) and over 64 MiB.
    """
    stored = pathlib.Path(path).stat().st_size if stored is None else stored
    promised = math.prod(int(s) for s in shape) * itemsize
    if promised > _FREE and promised > _MOST * stored:
        raise errors.DataInvalid(
            f'its header promises {tuple(int(s) for s in shape)}, {promised / 2**30:,.1f} GiB, but '
            f'{stored:,} bytes are stored',
            path,
            'the file is broken: fetch or write it again',
        )


@contextlib.contextmanager
def said(path, what: str, broken=_BROKEN):
    """Turns what a library raises on a broken file into DataInvalid; ours pass through."""
    try:
        yield
    except broken as error:
        raise errors.DataInvalid(
            f'{what} ({type(error).__name__}: {_told(error)})', path, 'fetch or write it again'
        ) from error


def _told(error) -> str:
    """What a library says, but for advice to switch its own safety off."""
    told = ' '.join(str(error).split())
    unsafe = ('allow_pickle', 'pickle.load', 'max_header_size')
    kept = [s for s in re.split(r'(?<=[.:]) ', told) if not any(word in s for word in unsafe)]
    return ' '.join(kept)[:160] or ('it holds objects' if told else '')


def npy(path, axes: int | None = None, kinds: str = 'fiub') -> np.ndarray:
    """A .npy file, memory-mapped read-only.

    Args:
      path: the file.
      axes: how many it should have.
      kinds: numpy kinds of dtype that are taken.

    Raises:
      DataMissing: not there.  DataInvalid: no array, cut short, a pickle, other axes or kind.
    """
    path = exists(path)
    with said(path, 'not an array that can be read (objects are never unpickled), or cut short'):
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise errors.DataInvalid('an .npz archive, wanted .npy', path, 'save the array alone')
    _check(array, path, axes, kinds)
    return array


def npz(path) -> dict[str, np.ndarray]:
    """All arrays of an .npz; objects are refused. Raises as `npy`."""
    path = exists(path)
    with (
        said(path, 'not an .npz that can be read (objects are never unpickled)'),
        np.load(path, allow_pickle=False) as file,
    ):
        return {name: file[name] for name in file.files}


@contextlib.contextmanager
def hdf5(path):
    """An open HDF5 file; what h5py raises while it is read becomes DataInvalid."""
    path = exists(path)
    what = 'not an HDF5 file that can be read, or cut short'
    with said(path, what, (OSError, RuntimeError)), h5py.File(path, 'r') as file:
        yield file


def array(file, key: str, axes: int | None = None, kinds: str = 'fiu') -> h5py.Dataset:
    """The dataset `key` of an open HDF5 file, checked but not read.

    Raises:
      DataInvalid: not there (the message lists what is), no dataset, other axes or kind.
    """
    path = file.file.filename
    found = file.get(key)
    if not isinstance(found, h5py.Dataset):
        raise errors.DataInvalid(
            f'no dataset {key!r}', path, f'it holds {", ".join(sorted(file)) or "nothing"}'
        )
    _check(found, f'{path}:{key}', axes, kinds)
    return found


def read(dataset: h5py.Dataset, index=()) -> np.ndarray:
    """`dataset[index]`, refused when it promises more than is stored (see `check_promise`)."""
    index = index if isinstance(index, tuple) else (index,)
    shape = [_length(i, size) for i, size in zip(index, dataset.shape, strict=False)]
    shape += dataset.shape[len(index) :]
    where = f'{dataset.file.filename}:{dataset.name}'
    check_promise(where, shape, dataset.dtype.itemsize, dataset.id.get_storage_size())
    return dataset[index]


def mat(path, names=None) -> dict[str, np.ndarray]:
    """Variables of a MATLAB file, version 5 or 7.3, axes in MATLAB's own order.

    Args:
      path: the file.
      names: variables to read; default all. Of version 7.3 only numbers and text are read.

    Raises:
      DataMissing: not there.  DataInvalid: cannot be read, or a variable is missing.
    """
    path = exists(path)
    if h5py.is_hdf5(path):
        with hdf5(path) as file:
            there = sorted(name for name in file if not name.startswith('#'))
            wanted = [k for k in names or there if isinstance(file.get(k), h5py.Dataset)]
            held = {k: _matlab(file[k]) for k in wanted if file[k].dtype.kind in 'fiub'}
    else:
        with said(path, 'not a MATLAB file that can be read, or cut short'):
            mat_elements.check(path)
            there = sorted(name for name, _, _ in scipy.io.whosmat(path))
            held = scipy.io.loadmat(path, variable_names=None if names is None else list(names))
        held = {k: v for k, v in held.items() if not k.startswith('__')}
    missing = [name for name in names or () if name not in held]
    if missing:
        raise errors.DataInvalid(
            f'no variable {", ".join(missing)}', path, f'it holds {", ".join(there) or "nothing"}'
        )
    return held


def text(path) -> str:
    """The content of a text file (UTF-8)."""
    path = exists(path)
    with said(path, 'not text'):
        return path.read_text(encoding='utf-8-sig')


def table(path, delimiter: str = ',') -> dict[str, np.ndarray]:
    """Columns of a table with a header, as text.

    Returns:
      {name: [n] <U}; a column without a name is called ''.

    Raises:
      DataMissing: not there.  DataInvalid: no text, no rows, or rows of unlike length.
    """
    path = exists(path)
    with said(path, 'not a table', (csv.Error, ValueError)):
        lines = csv.reader(io.StringIO(text(path)), delimiter=delimiter, strict=True)
        rows = [row for row in lines if row]
    if len(rows) < 2:
        raise errors.DataInvalid('no rows under a header', path, 'fetch or write it again')
    twice = next((name for i, name in enumerate(rows[0]) if name in rows[0][:i]), None)
    if twice is not None:
        raise errors.DataInvalid(
            f'two columns are called {twice!r}', path, 'rename one: columns go by their names'
        )
    uneven = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
    if uneven is not None:
        raise errors.DataInvalid(
            f'row {uneven} has {len(rows[uneven])} columns, the header {len(rows[0])}',
            path,
            'the file is cut short or edited: fetch it again',
        )
    return {name: np.array(column) for name, *column in zip(*rows, strict=True)}


def json(path):
    """The content of a JSON file."""
    path = exists(path)
    with said(path, 'not JSON that can be read, or cut short'):
        return json_.loads(text(path))


def picture(path) -> np.ndarray:
    """A picture file as RGB, [h w 3] uint8."""
    path = exists(path)
    broken = (*_BROKEN, Image.DecompressionBombError)
    what = 'not a picture that can be read, or cut short'
    with said(path, what, broken), Image.open(path) as opened:
        if opened.mode[0] in 'IF':  # Pillow would cut what is above 255
            raise errors.DataInvalid(
                f'its pixels are of more than 8 bits ({opened.mode})', path, 'save it with 8 bits'
            )
        return np.asarray(opened.convert('RGB'))


def natural(names) -> list:
    """Names (or paths, by their name) in the order of the numbers in them: 2.png before 10.png."""

    def key(name):
        parts = re.split(r'(\d+)', pathlib.PurePath(name).name)
        return [(0, int(p), '') if i % 2 else (1, 0, p) for i, p in enumerate(parts)]

    return sorted(names, key=key)


def _matlab(dataset: h5py.Dataset) -> np.ndarray:
    """A variable of a version 7.3 file, axes in MATLAB's order."""
    values = read(dataset)
    if dataset.attrs.get('MATLAB_empty', 0):  # then the file holds the shape
        shape = [int(side) for side in values.reshape(-1)[:32]]
        return np.zeros(shape if 0 in shape else 0, dataset.dtype)
    return values.T


def _check(found, where, axes, kinds) -> None:
    if found.dtype.kind not in kinds:
        wanted = ' or '.join(dict.fromkeys(KINDS[k] for k in kinds))
        raise errors.DataInvalid(f'its type is {found.dtype}', where, f'wanted {wanted}')
    if axes is not None and found.ndim != axes:
        raise errors.DataInvalid(f'its shape is {found.shape}', where, f'wanted {axes} axes')


def _length(index, size: int) -> int:
    """How many of `size` elements an index takes along one axis."""
    if isinstance(index, slice):
        return len(range(*index.indices(size)))
    if index is Ellipsis:
        return size
    index = np.asarray(index)
    return int(index.sum()) if index.dtype == bool else max(index.size, 1)
