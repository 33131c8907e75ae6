"""One layer of one net on disk: a row for each picture, found by the picture's content.

A folder holds `facts.json` (what the values are of), `images.bin` (16 bytes a row: digest of the
picture) and `values.bin` (float32 rows). Rows are appended, values before digests, and never
change: a reader needs no lock, a killed writer leaves at worst a tail that the next one cuts off.
"""

import fcntl
import hashlib
import json
import os
import pathlib
from collections.abc import Callable

import numpy as np

from recon.core import errors, results

_WIDTH = 16  # bytes of a digest


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
      known: {digest: row}, as of the last `refresh` or `append`.
    """

    def __init__(self, root: pathlib.Path, facts: dict, shape: Callable[[], tuple[int, ...]]):
        """`facts` tell rows of one kind from others; `shape` is asked where none are there yet.

        Raises:
          DataInvalid: a facts.json that cannot be read.
        """
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
        self.known = {}
        self._bytes = 4 * int(np.prod(self.shape, dtype=np.int64))
        self.refresh()

    def refresh(self) -> None:
        """Looks for rows that another process has added."""
        start = len(self.known)
        try:
            with open(self.folder / 'images.bin', 'rb') as file:
                file.seek(start * _WIDTH)
                new = file.read()
        except FileNotFoundError:
            return
        for row in range(start, min(start + len(new) // _WIDTH, self._written())):
            at = (row - start) * _WIDTH
            self.known[new[at : at + _WIDTH]] = row

    def append(self, names: list[bytes], values: np.ndarray) -> None:
        """Adds rows [k *shape] under their pictures' digests, but for those that are there."""
        with open(self.folder / 'lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refresh()
            new = {name: i for i, name in enumerate(names) if name not in self.known}
            if not new:
                return
            count = len(self.known)
            rows = np.ascontiguousarray(values[list(new.values())], np.float32)
            _write(self.folder / 'values.bin', count * self._bytes, rows.data)
            _write(self.folder / 'images.bin', count * _WIDTH, b''.join(new))
            self.known |= {name: count + i for i, name in enumerate(new)}

    def read(self, names: list[bytes]) -> np.ndarray:
        """[m *shape] of `names`: a view of the file where they lie in this order, else a copy."""
        rows = np.array([self.known[name] for name in names], np.int64)
        if not len(rows):
            return np.zeros((0, *self.shape), np.float32)
        path, shape = self.folder / 'values.bin', (int(rows.max()) + 1, *self.shape)
        values = np.memmap(path, np.float32, 'r', shape=shape)
        if (np.diff(rows) == 1).all():
            return values[rows[0] : rows[-1] + 1]
        return np.array(values[rows])

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
