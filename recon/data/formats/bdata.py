"""BData, the container of the Kamitani lab's bdpy: rows of samples, columns named by metadata.

Voxels, labels, run numbers and the like stand side by side as columns of one table of doubles. The
metadata have one line for each key and one number for each column: 1 where the column belongs to
the key, some other number (a coordinate, say), or NaN where the key means nothing. HDF5 holds it as
`dataset` and `metadata` (older files: `dataSet`, `metaData`) and `vmap` (number -> text); MATLAB
version 5 as the variables `dataSet` and `metaData`.
"""

import contextlib
import math

import h5py
import numpy as np

from recon.core import errors
from recon.data.formats import files

_BLOCK = 32 * 2**20  # bytes of doubles read at a time
_NAMES = {'data': ('dataset', 'dataSet'), 'meta': ('metadata', 'metaData')}
_NO_LABEL = 'n/a'  # as bdpy: the text of a NaN


class BData:
    """An open BData file.

    Attributes:
      path: of the file.
      keys: names of the metadata, in the order of the file.
      shape: (rows, columns).
      itemsize: bytes of a stored number; stimulus ids need 8.
    """

    def __init__(self, path, data, keys, values, vmap=None):
        self.path, self.keys, self.shape = path, tuple(keys), tuple(data.shape)
        self.itemsize = data.dtype.itemsize
        self._data, self._values, self._vmap = data, values, vmap or {}
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if self.keys.count(key) > 1)
            raise errors.DataInvalid(f'the metadata hold {twice!r} twice', path, 'name keys once')
        if values.shape != (len(keys), data.shape[1]):
            turned = ': transposed' if len(keys) and values.shape[-1] == data.shape[0] else ''
            raise errors.DataInvalid(
                f'metadata of shape {values.shape} for {len(keys)} keys and data of shape '
                f'{tuple(data.shape)}{turned}',
                path,
                'wanted data [rows, columns] and metadata [keys, columns]',
            )

    def values(self, key: str) -> np.ndarray:
        """[columns] float64: the metadata of `key`, NaN where it means nothing.

        Raises:
          DataInvalid: no such key; the message lists those there are.
        """
        if key not in self.keys:
            raise errors.DataInvalid(
                f'no metadata {key!r}', self.path, f'it holds {", ".join(self.keys) or "none"}'
            )
        return self._values[self.keys.index(key)]

    def columns(self, *keys: str) -> np.ndarray:
        """[columns] bool: those that belong to any of `keys` (exactly 1; NaN never does)."""
        return np.any([self.values(key) == 1 for key in keys], axis=0)

    def select(self, columns: np.ndarray, dtype=np.float64) -> np.ndarray:
        """Columns (bool [columns]) of all rows, [n k] of `dtype`, in the order of the file.

        Reads blocks of rows: peak memory is the result and about 32 MiB for HDF5. A MATLAB file
        is in memory whole, as doubles, while it is open.
        """
        columns = np.asarray(columns)
        assert columns.dtype == bool and columns.shape == self.shape[1:], columns.shape
        chosen = np.flatnonzero(columns)
        out = np.empty((self.shape[0], len(chosen)), dtype)
        if not out.size:
            return out
        span = slice(chosen[0], chosen[-1] + 1)
        for start in range(0, self.shape[0], self._step(span.stop - span.start)):
            rows = slice(start, start + self._step(span.stop - span.start))
            with np.errstate(over='ignore'):  # what single precision cannot hold becomes infinite
                out[rows] = self._data[rows, span][:, chosen - span.start]
        return out

    def get(self, key: str, dtype=np.float64) -> np.ndarray:
        """The columns of `key`, [n k]. Stimulus ids need the doubles: leave `dtype` alone there."""
        return self.select(self.columns(key), dtype)

    @property
    def vmap_keys(self) -> tuple[str, ...]:
        """Keys whose numbers stand for texts."""
        return tuple(self._vmap)

    def labels(self, key: str) -> np.ndarray:
        """[n] <U: the column of `key` as text; 'n/a' where it is NaN.

        Raises:
          DataInvalid: no map of `key`, more than one column, or a number that the map lacks.
        """
        if key not in self._vmap:
            raise errors.DataInvalid(
                f'no value map {key!r}', self.path, f'it maps {", ".join(self._vmap) or "nothing"}'
            )
        numbers = self.get(key)
        if numbers.shape[1] != 1:
            raise errors.DataInvalid(
                f'{key!r} has {numbers.shape[1]} columns', self.path, 'labels need one'
            )
        known = self._texts(key)
        distinct, inverse = np.unique(numbers[:, 0], return_inverse=True)
        unknown = [x for x in distinct.tolist() if x not in known and not math.isnan(x)]
        if unknown:
            raise errors.DataInvalid(
                f'{len(unknown)} numbers of {key!r} have no text, first {unknown[0]:.6f}',
                f'{self.path}:vmap/{key}',
                'fetch the file again',
            )
        texts = [known.get(x, _NO_LABEL) for x in distinct.tolist()]
        return np.array(texts)[inverse]

    def _texts(self, key: str) -> dict[float, str]:
        with files.said(f'{self.path}:vmap/{key}', 'not a map of numbers to texts'):
            held = self._vmap[key].items()
            texts = {k: v for k, v in held if h5py.check_string_dtype(v.dtype) and not v.shape}
            if len(texts) < len(held):
                raise ValueError('some entries are no text')
            return {float(k): _text(v[()]) for k, v in texts.items()}

    def _step(self, width: int) -> int:
        step = max(1, _BLOCK // (8 * width))
        chunks = getattr(self._data, 'chunks', None)
        return -(-step // chunks[0]) * chunks[0] if chunks else step


@contextlib.contextmanager
def opened(path):
    """The BData file `path`, open for reading; its kind is told by its content.

    Raises:
      DataMissing: not there.  DataInvalid: broken, no BData, or metadata that do not fit the data.
    """
    path = files.exists(path)
    if h5py.is_hdf5(path):
        with files.hdf5(path) as file:
            with files.said(path, 'not a BData file that can be read'):
                found = _from_hdf5(path, file)
            yield found
    elif path.suffix.lower() in ('.h5', '.hdf5'):
        raise errors.DataInvalid(
            'not an HDF5 file that can be read, or cut short', path, 'fetch or write it again'
        )
    else:
        with files.said(path, 'not a BData file that can be read'):
            found = _from_matlab(path, files.mat(path))
        yield found


def _from_hdf5(path, file) -> BData:
    data = files.array(file, _spelled(file, 'data', path), 2, 'f')
    stored, itemsize = data.id.get_storage_size(), data.dtype.itemsize
    files.check_promise(path, data.shape, itemsize, stored)
    if data.chunks is None and stored < math.prod(data.shape) * itemsize:
        raise errors.DataInvalid(
            f'data of shape {data.shape} with {stored:,} bytes stored', path, 'fetch it again'
        )
    meta = _spelled(file, 'meta', path)
    values = np.asarray(files.read(files.array(file, f'{meta}/value', 2)), np.float64)
    keys = files.array(file, f'{meta}/key', 1, 'SUOfiub')
    if h5py.check_ref_dtype(keys.dtype):
        raise errors.DataInvalid(
            'a MATLAB 7.3 file', path, "save it in MATLAB with '-v7', or take the .h5 file"
        )
    if not h5py.check_string_dtype(keys.dtype):  # else HDF5 may read memory that is not its own
        raise errors.DataInvalid(f'keys of type {keys.dtype}', f'{path}:{meta}', 'wanted text')
    vmap = file.get('vmap')
    vmap = {} if vmap is None else {k: v for k, v in vmap.items() if isinstance(v, h5py.Group)}
    keys = [_text(key).strip() for key in files.read(keys)]
    return BData(path, data, keys, values, vmap)


def _from_matlab(path, variables: dict) -> BData:
    data = np.asarray(variables[_spelled(variables, 'data', path)])
    meta = variables[_spelled(variables, 'meta', path)]
    if data.ndim != 2 or data.dtype.kind not in 'fiu':
        what = f'data of shape {data.shape} and type {data.dtype}'
        raise errors.DataInvalid(what, path, 'wanted numbers [rows, columns]')
    if not {'key', 'value'} <= set(meta.dtype.names or ()) or meta.size != 1:
        raise errors.DataInvalid(
            'its metaData is no struct with key, description and value', path, 'fetch it again'
        )
    entry = meta.reshape(-1)[0]
    keys = [''.join(np.ravel(key).tolist()).strip() for key in np.ravel(entry['key'])]
    values = np.atleast_2d(np.asarray(entry['value'], np.float64))
    return BData(path, data, keys, values)


def _spelled(held, kind: str, path) -> str:
    """Which of the two spellings is there."""
    found = [name for name in _NAMES[kind] if name in held]
    if not found:
        raise errors.DataInvalid(
            f'no {" or ".join(_NAMES[kind])}',
            path,
            f'not a BData file: it holds {", ".join(sorted(map(str, held))) or "nothing"}',
        )
    return found[0]


def _text(value) -> str:
    return value.decode('utf-8') if isinstance(value, bytes) else str(value)
