"""The safetensors format: a JSON header of names, types, shapes and offsets, then the bytes.

Read lazily from a memory map: nothing is allocated before the header is checked against the
file's size. Written one tensor at a time.
"""

import dataclasses
import json
import math
import mmap
import os
import pathlib
import struct
from collections.abc import Callable

import ml_dtypes
import numpy as np

from recon.core import errors

DTYPES = {
    'F64': np.dtype(np.float64),
    'F32': np.dtype(np.float32),
    'F16': np.dtype(np.float16),
    'BF16': np.dtype(ml_dtypes.bfloat16),
    'I64': np.dtype(np.int64),
    'I32': np.dtype(np.int32),
    'I16': np.dtype(np.int16),
    'I8': np.dtype(np.int8),
    'U64': np.dtype(np.uint64),
    'U32': np.dtype(np.uint32),
    'U16': np.dtype(np.uint16),
    'U8': np.dtype(np.uint8),
    'BOOL': np.dtype(bool),
    'F8_E4M3': np.dtype(ml_dtypes.float8_e4m3fn),
    'F8_E5M2': np.dtype(ml_dtypes.float8_e5m2),
}
FLOATS = [DTYPES[name] for name in ('F64', 'F32', 'F16', 'BF16')]  # what parameters are stored as
_LARGEST_HEADER = 100 * 10**6  # bytes; the format's own limit
_AGAIN = 'the file is broken or cut short: fetch or write it again'


class Map:
    """A file in memory, read as it is touched.

    Attributes:
      path: of the file.
      size: bytes.
    """

    def __init__(self, path: pathlib.Path):
        self.path = pathlib.Path(path)
        with open(self.path, 'rb') as file:
            self.size = os.fstat(file.fileno()).st_size
            if not self.size:
                raise errors.DataInvalid('the file is empty', path, _AGAIN)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def bytes(self, start: int, stop: int) -> bytes:
        """A copy of the bytes from `start` to `stop`."""
        return self._map[start:stop]

    def array(self, start: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """A view of the bytes from `start` on; they are read when it is."""
        count = math.prod(shape)
        if not count:
            return np.zeros(shape, dtype)
        return np.frombuffer(self._map, dtype, count, start).reshape(shape)

    def forget(self) -> None:
        """Gives back the memory of what was read; views stay good."""
        if hasattr(mmap, 'MADV_DONTNEED'):  # not on Windows
            self._map.madvise(mmap.MADV_DONTNEED)


@dataclasses.dataclass(frozen=True)
class Stored:
    """A tensor on disk, in torch's layout.

    Attributes:
      shape: of the tensor.
      dtype: as stored.
      map: the file that holds it.
      read: gives a view of it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    map: Map
    read: Callable[[], np.ndarray]


def read(path: pathlib.Path) -> dict[str, Stored]:
    """Names -> tensors of one file, not read yet.

    Raises:
      DataInvalid: no safetensors, cut short, or a header that does not fit the file.
    """
    file = Map(path)
    header, start = _header(file)
    out, spans = {}, []
    for name, entry in header.items():
        try:
            dtype = DTYPES[entry['dtype']]
            shape = tuple(entry['shape'])
            begin, end = entry['data_offsets']
            whole = all(type(x) is int and x >= 0 for x in (*shape, begin, end))
        except (TypeError, KeyError, ValueError):
            whole = False
        if not whole or end - begin != math.prod(shape) * dtype.itemsize:
            raise errors.DataInvalid(f'its header is wrong about {name!r}: {entry}', path, _AGAIN)
        spans.append((begin, end))
        out[name] = _stored(file, start + begin, dtype, shape)
    reached = 0
    for begin, end in sorted(spans):
        if begin != reached:
            raise errors.DataInvalid('its tensors overlap or leave gaps', path, _AGAIN)
        reached = end
    if reached != file.size - start:
        raise errors.DataInvalid(
            f'its tensors need {reached:,} bytes, it holds {file.size - start:,}', path, _AGAIN
        )
    return out


def write(path: pathlib.Path, tensors: dict, dtype=None) -> None:
    """Writes {name: array in torch's layout} whole or not at all, one tensor in memory at a time.

    Args:
      path: the file.
      tensors: arrays, or functions without arguments that give them (then they are called twice).
      dtype: to store as; None keeps each one's own.

    Raises:
      DataInvalid: a value that `dtype` cannot hold, or that is not finite.
    """
    path = pathlib.Path(path)
    names = {dtype: name for name, dtype in DTYPES.items()}
    header, reached = {'__metadata__': {'format': 'pt'}}, 0
    for name, tensor in tensors.items():
        array = tensor() if callable(tensor) else tensor
        kind = np.dtype(dtype or array.dtype)
        size = math.prod(array.shape) * kind.itemsize
        header[name] = {
            'dtype': names[kind],
            'shape': list(array.shape),
            'data_offsets': [reached, reached + size],
        }
        reached += size
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(struct.pack('<Q', len(text)) + text)
            for name, tensor in tensors.items():
                array = np.asarray(tensor() if callable(tensor) else tensor)
                file.write(_cast(name, array, dtype, path).tobytes())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _cast(name: str, array: np.ndarray, dtype, path) -> np.ndarray:
    with np.errstate(over='ignore'):
        cast = array if dtype is None else array.astype(dtype)
    if cast.dtype.kind in 'fV' and not np.isfinite(cast).all():
        raise errors.DataInvalid(
            f'{name} is not finite as {cast.dtype}', path, 'store it as float32, or train it again'
        )
    return cast


def _stored(file: Map, start: int, dtype: np.dtype, shape: tuple[int, ...]) -> Stored:
    return Stored(shape, dtype, file, lambda: file.array(start, dtype, shape))


def _header(file: Map) -> tuple[dict, int]:
    """The header without its metadata, and where the bytes of the tensors begin."""
    length = int.from_bytes(file.bytes(0, 8), 'little')
    if file.size < 8 or length > min(file.size - 8, _LARGEST_HEADER):
        raise errors.DataInvalid(_what_else(file), file.path, _AGAIN)
    try:
        pairs = json.loads(file.bytes(8, 8 + length), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise errors.DataInvalid(
            f'its header cannot be read ({error})'[:200], file.path, _AGAIN
        ) from error
    if not isinstance(pairs, dict):
        raise errors.DataInvalid('its header is no table of tensors', file.path, _AGAIN)
    pairs.pop('__metadata__', None)
    return pairs, 8 + length


def _once(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError('a name stands twice')
    return found


def _what_else(file: Map) -> str:
    """What a file is that is called safetensors and is none."""
    start = file.bytes(0, 64)
    if start.startswith(b'version https://git-lfs'):
        return "a Git LFS pointer stands in the file's place (git lfs pull fetches it)"
    if start.startswith((b'PK\x03\x04', b'\x80\x02', b'\x80\x04')):
        return 'a pickle of torch under the name of a safetensors file; it is never opened'
    return 'no safetensors file, or cut short within its header'
