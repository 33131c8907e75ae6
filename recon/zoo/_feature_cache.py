"""One layer of one net on disk: a row for each picture, found by the picture's content.

A folder holds `facts.json` (what the values are of), `values.bin` (float32 rows) and `images.bin`
(20 bytes a row: digest of the picture, CRC-32 of its values). Rows are appended, values before
digests, and never change: a reader needs no lock, a killed writer leaves at worst a tail that the
next one cuts off. A row that is not as it was written, as after a crash of the whole machine, which
may leave zeros, is not used: it is computed and appended anew.
"""

import fcntl
import hashlib
import json
import os
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
from absl import logging

from recon.core import errors, results

_WIDTH = 16  # bytes of a digest
_RECORD = np.dtype([('image', f'V{_WIDTH}'), ('sum', '<u4')])
_FORMAT = 2


def digest(picture: np.ndarray) -> bytes:
    """16 bytes that name a picture [h w c]: of its values, type and shape."""
    made = hashlib.sha256(
        f'{picture.dtype} {picture.shape}'.encode()
    )  # processors have it built in
    made.update(np.ascontiguousarray(picture).data)
    return made.digest()[:_WIDTH]


class Rows:
    """Values of one layer.

    Attributes:
      folder: of the three files.
      shape: of one row.
      known: {digest: row}, as of the last `refresh` or `append`, without what `check` threw out.
    """

    def __init__(self, root: pathlib.Path, facts: dict, shape: Callable[[], tuple[int, ...]]):
        """`facts` tell rows of one kind from others; `shape` is asked where none are there yet.

        Raises:
          DataInvalid: a facts.json that cannot be read.
        """
        facts = facts | {'format': _FORMAT}
        name = hashlib.blake2b(results.to_json(facts).encode(), digest_size=10).hexdigest()
        self.folder = pathlib.Path(root) / name
        path = self.folder / 'facts.json'
        try:
            self.shape = tuple(json.loads(path.read_text())['shape'])
        except FileNotFoundError:
            self.shape = tuple(shape())
            text = results.to_json(facts | {'shape': list(self.shape)}) + '\n'
            results.write_bytes(path, text.encode())
        except (ValueError, KeyError, TypeError) as error:
            raise errors.DataInvalid(
                f'broken facts in a cache of features ({error})'[:200], path, 'remove its folder'
            ) from error
        self.known, self._count = {}, 0
        self._sums, self._sound, self._told = [], set(), False
        self._bytes = 4 * int(np.prod(self.shape, dtype=np.int64))
        self.refresh()

    def refresh(self) -> None:
        """Looks for rows that another process has added."""
        try:
            with open(self.folder / 'images.bin', 'rb') as file:
                file.seek(self._count * _RECORD.itemsize)
                new = file.read()
        except FileNotFoundError:
            return
        count = min(len(new) // _RECORD.itemsize, self._written() - self._count)
        records = np.frombuffer(new, _RECORD, max(count, 0))
        self._add([image.tobytes() for image in records['image']], records['sum'].tolist())

    def check(self, names: list[bytes]) -> None:
        """Throws out of `known` what of `names` is not as it was written; each row is read once."""
        rows = {self.known[name]: name for name in names if name in self.known}
        left = sorted(rows.keys() - self._sound)
        values = self._values() if left else None
        for row in left:
            if zlib.crc32(values[row]) == self._sums[row]:
                self._sound.add(row)
                continue
            del self.known[rows[row]]
            if not self._told:
                logging.warning('%s: damaged rows are computed again', self.folder)
            self._told = True

    def append(self, names: list[bytes], values: np.ndarray) -> None:
        """Adds rows [k *shape] under their pictures' digests, but for those that are there."""
        with open(self.folder / 'lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            new = {name: i for i, name in enumerate(names) if name not in self.known}
            if not new:
                return
            rows = np.ascontiguousarray(values[list(new.values())], np.float32)
            sums = [zlib.crc32(row.data) for row in rows]
            records = np.array(list(zip(new, sums, strict=True)), _RECORD)
            _write(self.folder / 'values.bin', self._count * self._bytes, rows.data)
            _write(self.folder / 'images.bin', self._count * _RECORD.itemsize, records.tobytes())
            self._sound |= set(range(self._count, self._count + len(new)))
            self._add(list(new), sums)

    def read(self, names: list[bytes]) -> np.ndarray:
        """[m *shape] of `names`: a view of the file where they lie in this order, else a copy."""
        rows = np.array([self.known[name] for name in names], np.int64)
        if not len(rows):
            return np.zeros((0, *self.shape), np.float32)
        values = self._values()
        if (np.diff(rows) == 1).all():
            return values[rows[0] : rows[-1] + 1]
        return np.array(values[rows])

    def _add(self, names: list[bytes], sums: list[int]) -> None:
        self.known |= {name: self._count + i for i, name in enumerate(names)}
        self._sums += sums
        self._count += len(names)

    def _values(self) -> np.ndarray:
        """[count *shape], a view of the file."""
        shape = (self._count, *self.shape)
        return np.memmap(self.folder / 'values.bin', np.float32, 'r', shape=shape)

    def _written(self) -> int:
        try:
            return (self.folder / 'values.bin').stat().st_size // self._bytes
        except FileNotFoundError:
            return 0


def _write(path: pathlib.Path, at: int, data) -> None:
    """Puts `data` at byte `at`, cuts off what an unfinished write left behind it, and syncs."""
    with open(path, 'r+b' if path.exists() else 'w+b') as file:
        file.truncate(at)
        file.seek(at)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
