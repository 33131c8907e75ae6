"""The .msgpack files of Flax nets, as older repositories hold them: maps of maps, leaves arrays.

Walked in a memory map: lengths are checked before they are believed, arrays stay on disk, and of
the extension types only arrays are taken.

Source: https://github.com/msgpack/msgpack/blob/master/spec.md; flax.serialization keeps an array
as extension 1, a scalar as extension 3, both a packed (shape, name of type, bytes).
"""

import math
import pathlib
import re
import struct

import ml_dtypes
import numpy as np

from recon.core import errors
from recon.zoo import _safetensors, tensors

_AGAIN = 'the file is broken or cut short: fetch it again'
_DEEPEST = 32
_DTYPES = ('float64', 'float32', 'float16', 'int64', 'int32', 'int16', 'int8', 'uint8', 'bool')
_NUMBERS = {
    0xCA: '>f', 0xCB: '>d', 0xCC: '>B', 0xCD: '>H', 0xCE: '>I', 0xCF: '>Q',
    0xD0: '>b', 0xD1: '>h', 0xD2: '>i', 0xD3: '>q',
}  # fmt: skip
_KINDS = {
    **dict.fromkeys((0xC4, 0xC5, 0xC6), 'bytes'),
    **dict.fromkeys((0xC7, 0xC8, 0xC9), 'extension'),
    **dict.fromkeys((0xD9, 0xDA, 0xDB), 'text'),
    **dict.fromkeys((0xDC, 0xDD), 'list'),
    **dict.fromkeys((0xDE, 0xDF), 'map'),
}
_LENGTHS = {
    **dict.fromkeys((0xC4, 0xC7, 0xD9), 1),
    **dict.fromkeys((0xC5, 0xC8, 0xDA, 0xDC, 0xDE), 2),
    **dict.fromkeys((0xC6, 0xC9, 0xDB, 0xDD, 0xDF), 4),
}  # bytes of the length


class _FormatError(ValueError):
    """What is wrong with a file."""


def read(path: pathlib.Path) -> dict[str, _safetensors.Stored]:
    """Torch's names -> tensors in torch's layout of one file, not read yet.

    Flax says down_blocks_0.kernel where torch says down_blocks.0.weight, and lays kernels out as
    we do.

    Raises:
      DataInvalid: no msgpack of arrays, or cut short.
    """
    file = _safetensors.Map(path)
    try:
        tree, end = _Walk(file).value(0)
        if end != file.size:
            raise _FormatError(f'{file.size - end:,} bytes follow its end')
        if not isinstance(tree, dict):
            raise _FormatError('it is no map of arrays')
        if set(tree) == {'params'} and isinstance(tree['params'], dict):
            tree = tree['params']
        return _named(tree)
    except (_FormatError, struct.error, UnicodeDecodeError) as error:
        raise errors.DataInvalid(f'not a Flax net ({error})', path, _AGAIN) from error


def _named(tree: dict) -> dict[str, _safetensors.Stored]:
    out = {}
    for path, leaf in tensors.flatten(tree).items():
        if not isinstance(leaf, _safetensors.Stored):
            raise _FormatError(f'{".".join(path)} is no array')
        dotted = re.sub(r'(?<!linear)_(\d+)(?=\.|$)', r'.\1', '.'.join(path))  # but linear_1
        name = tensors.name_of(tuple(dotted.split('.')))
        if name in out:
            raise _FormatError(f'{name} stands twice')
        out[name] = _as_torch(leaf, path[-1])
    return out


def _as_torch(leaf: _safetensors.Stored, kind: str) -> _safetensors.Stored:
    shape = tensors.shape_of_theirs(leaf.shape, kind)
    return _safetensors.Stored(
        shape, leaf.dtype, leaf.map, lambda: tensors.to_theirs(leaf.read(), kind)
    )


class _Walk:
    """Reads values at places of a file; every method gives the value and where the next begins."""

    def __init__(self, file: _safetensors.Map):
        self.file = file

    def value(self, at: int, depth: int = 0) -> tuple[object, int]:
        code = self._take(at, 1)[0]
        at += 1
        if code <= 0x7F or code >= 0xE0:
            return (code if code <= 0x7F else code - 256), at
        if code in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[code], at
        if code in _NUMBERS:
            size = struct.calcsize(_NUMBERS[code])
            return struct.unpack(_NUMBERS[code], self._take(at, size))[0], at + size
        if 0xD4 <= code <= 0xD8:
            return self._of('extension', 1 << (code - 0xD4), at, depth)
        if code <= 0x8F:
            return self._of('map', code & 0x0F, at, depth)
        if code <= 0x9F:
            return self._of('list', code & 0x0F, at, depth)
        if code <= 0xBF:
            return self._of('text', code & 0x1F, at, depth)
        if code not in _KINDS:
            raise _FormatError(f'unknown type {code:#x}')
        width = _LENGTHS[code]
        length = int.from_bytes(self._take(at, width), 'big')
        return self._of(_KINDS[code], length, at + width, depth)

    def _of(self, kind: str, length: int, at: int, depth: int) -> tuple[object, int]:
        if length * (2 if kind == 'map' else 1) > self.file.size - at:
            raise _FormatError(f'{length:,} values or bytes are promised and are not there')
        if kind == 'text':
            return self._take(at, length).decode(), at + length
        if kind == 'bytes':
            return (at, length), at + length  # a place, not a copy
        if depth > _DEEPEST:
            raise _FormatError('maps within maps without end')
        if kind == 'extension':
            return self._array(at, length, depth + 1)
        out = {} if kind == 'map' else []
        for _ in range(length):
            item, at = self.value(at, depth + 1)
            if kind == 'list':
                out.append(item)
                continue
            if not isinstance(item, str) or item in out:
                raise _FormatError(f'the name {item!r} is no text, or stands twice')
            out[item], at = self.value(at, depth + 1)
        return out, at

    def _array(self, at: int, length: int, depth: int) -> tuple[_safetensors.Stored, int]:
        code, end = self._take(at, 1)[0], at + 1 + length
        self._take(end - 1, 1)
        if code not in (1, 3):
            raise _FormatError(f'extension {code} is no array')
        packed, reached = self.value(at + 1, depth)
        try:
            shape, name, (start, size) = packed
            dtype = np.dtype(ml_dtypes.bfloat16 if name == 'bfloat16' else name)
            known = name in (*_DTYPES, 'bfloat16') and all(type(x) is int and x >= 0 for x in shape)
            whole = known and size == math.prod(shape) * dtype.itemsize and reached == end
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise _FormatError('an array without a shape, a type and as many bytes')
        shape, file = tuple(shape), self.file
        stored = _safetensors.Stored(shape, dtype, file, lambda: file.array(start, dtype, shape))
        return stored, end

    def _take(self, at: int, length: int) -> bytes:
        if at + length > self.file.size:
            raise _FormatError('it ends too early')
        return self.file.bytes(at, at + length)
