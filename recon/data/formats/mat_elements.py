"""Elements of a MATLAB file of version 5, walked before a library reads them.

scipy looks a type up in a table without asking whether it is in there, so that one wrong byte ends
the process. Format: MathWorks, "MAT-File Format", chapter on level 5.
"""

import math
import struct
import zlib

_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}  # bytes of a number
_TEXT = (16, 17, 18)
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE, _FUNCTION, _OPAQUE = 1, 2, 3, 4, 5, 16, 17
_DEPTH = 32  # of cells in cells; a library calls itself for each
_PIECE = 2**20


def check(path) -> None:
    """Walks all elements of a file of version 5; files of version 4 are left alone.

    Compressed elements are unpacked to their end in pieces, so that their checksums are compared.
    Memory is bounded, whatever the file promises.

    Raises:
      ValueError, EOFError, zlib.error, struct.error: a type that does not exist or does not belong
        there, an element that is longer than what holds it, or a count that does not fit.
    """
    with open(path, 'rb') as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(128)
        if 0 in head[:4]:  # version 4
            return
        if len(head) < 128 or head[126:] not in (b'IM', b'MI'):
            raise ValueError('no header of a MATLAB file')
        order = '<' if head[126:] == b'IM' else '>'
        while file.tell() < size:
            begin = file.tell()
            kind, length = struct.unpack(f'{order}II', _exactly(file.read(8), 8))
            if begin + 8 + length > size:
                raise ValueError(f'at byte {begin} it promises {length:,} bytes, the file ends')
            if kind == _COMPRESSED:
                packed = _Packed(file, length, order)
                kind, inside = packed.unpack('II')
                _matrix(packed, inside, kind, 0)
                packed.drain()
            else:
                _matrix(_Plain(file, order), length, kind, 0)
            file.seek(begin + 8 + length)


class _Plain:
    """Bytes of an open file, in sequence."""

    def __init__(self, file, order: str):
        self.file, self.order = file, order

    def read(self, count: int) -> bytes:
        return _exactly(self.file.read(count), count)

    def skip(self, count: int) -> None:
        self.file.seek(count, 1)  # what holds it was checked to be in the file

    def unpack(self, form: str) -> tuple:
        form = self.order + form
        return struct.unpack(form, self.read(struct.calcsize(form)))


class _Packed(_Plain):
    """Unpacked bytes of a compressed element, in sequence."""

    def __init__(self, file, length: int, order: str):
        super().__init__(file, order)
        self.left, self.zlib, self.held = length, zlib.decompressobj(), b''

    def read(self, count: int) -> bytes:
        out = b''
        while len(out) < count:
            out += self._piece(count - len(out))
        return out

    def skip(self, count: int) -> None:
        while count:
            count -= len(self._piece(count))

    def drain(self) -> None:
        """To the end, where zlib compares its checksum; nothing may be left over."""
        while not self.zlib.eof:
            if self._more():
                raise ValueError('a compressed element holds more than its matrix')

    def _piece(self, most: int) -> bytes:
        """1 to `most` bytes."""
        while not self.held:
            if self.zlib.eof:
                raise EOFError('a compressed element ends early')
            self.held = self._more()
        piece, self.held = self.held[:most], self.held[most:]
        return piece

    def _more(self) -> bytes:
        packed = self.zlib.unconsumed_tail
        if not packed and self.left:
            packed = _exactly(self.file.read(min(self.left, _PIECE)), min(self.left, _PIECE))
            self.left -= len(packed)
        out = self.zlib.decompress(packed, _PIECE)
        if not (out or packed or self.zlib.eof):
            raise EOFError('a compressed element is cut short')
        return out


def _matrix(stream, length: int, kind: int, depth: int) -> None:
    """One matrix of `length` bytes after its tag."""
    if kind != _MATRIX:
        raise ValueError(f'an element of type {kind} where a matrix belongs')
    if depth > _DEPTH:
        raise ValueError(f'matrices lie {depth} deep in each other')
    if not length:  # an empty matrix inside another
        if not depth:
            raise ValueError('a variable without content')
        return
    inside = _Inside(stream, length, depth)
    flags = struct.unpack(f'{stream.order}I', inside.leaf((6,), keep=8)[:4])[0]
    what, complex_ = flags & 255, flags >> 11 & 1
    sides = (1,)
    if what != _OPAQUE:
        packed = inside.leaf((5, 6), keep=4 * 32)
        sides = struct.unpack(f'{stream.order}{len(packed) // 4}i', packed)
    if min(sides, default=-1) < 0 or len(sides) < 1:
        raise ValueError(f'a matrix has shape {sides}')
    count = math.prod(sides)
    if what != _OPAQUE:
        inside.leaf((1, 2, *_TEXT))  # its name
    if what in (_STRUCT, _OBJECT):
        if what == _OBJECT:
            inside.leaf((1, 2, *_TEXT))
        width = struct.unpack(f'{stream.order}i', inside.leaf((5, 6), keep=4))[0]
        names = len(inside.leaf((1, 2), keep=_PIECE))
        if width < 1 or names % width:
            raise ValueError(f'names of {width} letters take {names} bytes')
        inside.matrices(count * (names // width))
    elif what == _CELL:
        inside.matrices(count)
    elif what == _FUNCTION:
        inside.matrices(1)
    elif what == _OPAQUE:
        for _ in range(3):
            inside.leaf((1, 2, *_TEXT))
        inside.matrices(1)
    elif what == _SPARSE:
        for _ in range(3 + complex_):
            inside.leaf(_SIZES)
    elif what == _CHAR:
        inside.leaf((*_SIZES, *_TEXT))
    elif 6 <= what <= 15:
        for _ in range(1 + complex_):
            inside.leaf(_SIZES, count)
    else:
        raise ValueError(f'a matrix of class {what}')
    if inside.left:
        raise ValueError(f'{inside.left} bytes are left over in a matrix')


class _Inside:
    """What is inside a matrix, element by element, never beyond its length."""

    def __init__(self, stream, length: int, depth: int):
        self.stream, self.left, self.depth = stream, length, depth

    def _take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ValueError('an element is longer than the matrix that holds it')

    def leaf(self, kinds, count: int | None = None, keep: int = 0) -> bytes:
        """A plain element of one of `kinds`; its bytes, if at most `keep` are to be kept."""
        self._take(8)
        kind, length = self.stream.unpack('II')
        small = kind >> 16
        if small:
            kind, tag, length, room = kind & 0xFFFF, length, small, 4
            if length > 4:
                raise ValueError(f'a small element of {length} bytes')
        else:
            room = length
        if kind not in kinds:
            raise ValueError(f'an element of type {kind} where it does not belong')
        if count is not None and length != count * _SIZES[kind]:
            raise ValueError(f'{length:,} bytes for {count:,} numbers of {_SIZES[kind]}')
        if keep and length > keep:
            raise ValueError(f'{length:,} bytes in the head of a matrix')
        if small:
            return struct.pack(f'{self.stream.order}I', tag)[:length]
        self._take(room)
        data = self.stream.read(length) if keep else b''
        self.stream.skip(0 if keep else length)
        padding = min(-length % 8, self.left)
        self._take(padding)
        self.stream.skip(padding)
        return data

    def matrices(self, count: int) -> None:
        if count * 8 > self.left:
            raise ValueError(f'{count:,} matrices promised in {self.left:,} bytes')
        for _ in range(count):
            self._take(8)
            kind, length = self.stream.unpack('II')
            self._take(length)
            _matrix(self.stream, length, kind, self.depth + 1)


def _exactly(data: bytes, count: int) -> bytes:
    if len(data) != count:
        raise EOFError('the file ends')
    return data
