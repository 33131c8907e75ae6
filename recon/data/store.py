"""The prepared store: rows x voxels of one recording, masked and written once, read at disk speed.

A folder of four files: `rows.npy` [rows voxels] in the type of the source (int16 stays int16, so
nothing is lost and it is half the size of float32), memory-mapped; `voxels.npy` [v], which
positions of the source's grid they are; `index.json`, what it is, and for each block (a session)
its rows, their checksum, those that are blank, and the files that they came from with size, time
and a checksum of a few places; `writer.lock` while one writes.

Blocks are recorded one by one after their bytes are on the disk. A killed writer loses the block it
was at, and the next start goes on there. A block whose files have changed since is written again.
"""

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterable

import numpy as np
from absl import logging

from recon.core import errors, lock, results
from recon.data import _store_index

ROWS, VOXELS, LOCK = _store_index.ROWS, _store_index.VOXELS, 'writer.lock'
_REMEDY = 'set dataset.store to a folder that can be written'


@dataclasses.dataclass(frozen=True)
class Block:
    """Rows that are written together, a session say.

    Attributes:
      name: unique within the store.
      rows: how many.
      sources: the files that they come from.
      read: gives them in order, in pieces [k v] of the store's type.
    """

    name: str
    rows: int
    sources: tuple[pathlib.Path, ...]
    read: Callable[[], Iterable[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Store:
    """Rows on disk, in the order of the blocks that were asked for.

    Attributes:
      folder: where it lies.
      data: [written v], memory-mapped, in the type of the source.
      order: [n] int64, the row of `data` of each row.
      divisor: what a value is divided by to be in its unit.
      voxels: [v] int64, flat positions in the source's grid.
      about: what was stored, as `prepare` was told.
      blank: [b] int64, rows of `order` in which every value is 0 or NaN.
    """

    folder: pathlib.Path
    data: np.ndarray
    order: np.ndarray
    divisor: float
    voxels: np.ndarray
    about: dict
    blank: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, voxels)."""
        return len(self.order), self.data.shape[1]

    def rows(self, index=slice(None), keep=None) -> np.ndarray:
        """Rows `index` (integers, bool or a slice) in their unit, [n v] float32.

        `keep`, bool [v], takes some of the voxels alone.
        """
        wanted = self.order[index]
        columns = slice(None) if keep is None or np.all(keep) else np.flatnonzero(keep)
        width = self.data.shape[1] if isinstance(columns, slice) else len(columns)
        out = np.empty((len(wanted), width), np.float32)
        step = max(1, _store_index.PIECE // max(out.shape[1] * 4, 1))
        for start in range(0, len(wanted), step):
            part = out[start : start + step]
            # Mapped anew for each piece: pages of the last one do not count as memory in use.
            data = np.lib.format.open_memmap(self.folder / ROWS, mode='r')
            piece = data[_run(wanted[start : start + step])][:, columns]
            np.divide(piece, np.float32(self.divisor), part, dtype=np.float32, casting='same_kind')
        return out


def prepare(
    folder, blocks: list[Block], *, voxels, dtype, divisor=1.0, about=None, patience=86_400.0
) -> Store:
    """Writes what is not there yet, and opens the store.

    Blocks that are there and whose files are as they were are left alone, so a store grows when
    sessions are added and nothing is read twice. Anything else about it that is not as asked for
    (voxels, type, divisor) has it written anew. Nothing is written, and no lock taken, where all is
    there: a store may lie in a folder that its readers cannot write. A second writer waits.

    Args:
      folder: of this store alone.
      blocks: in the order in which `Store.rows` counts them.
      voxels: [v] positions in the source's grid.
      dtype: of the source, in any byte order.
      divisor: see `Store`.
      about: words on what is stored, JSON-able; part of what has to agree.
      patience: seconds to wait for another writer.

    Raises:
      ConfigError: the folder cannot be written, or has too little space.
      DataInvalid: a block gives other rows or another type than it promised, or its files change
        while they are read.  RunFolderError: another writer did not end in time.
    """
    folder, dtype = pathlib.Path(folder).expanduser(), np.dtype(dtype).newbyteorder('<')
    what = {
        'version': _store_index.VERSION,
        'dtype': dtype.str,
        'divisor': float(divisor),
        'voxels': len(voxels),
        'voxels_sha256': _store_index.digest(voxels),
        'about': json.loads(json.dumps(about or {})),  # as it comes back
    }
    index = _store_index.read(folder)
    if _store_index.complete(folder, index, what, blocks):
        return load(folder, [b.name for b in blocks])
    try:
        held = _take_lock(folder, patience)
        try:
            _write(folder, what, blocks, np.asarray(voxels, np.int64))
        finally:
            held.release()
    except OSError as error:
        raise errors.ConfigError(f'cannot write ({error})', folder, _REMEDY) from error
    return load(folder, [b.name for b in blocks])


def load(folder, blocks=None, verify: bool = False) -> Store:
    """Opens a store that `prepare` has written.

    Args:
      folder: of the store.
      blocks: names, in the order wanted; default all, in the order of writing.
      verify: read everything once and compare checksums.

    Raises:
      DataMissing: no store, or a block is not in it.  DataInvalid: rows.npy is not what the index
        says, two blocks hold the same rows, or a checksum differs (the message names the block).
    """
    folder = pathlib.Path(folder).expanduser()
    index = _store_index.read(folder)
    if index is None:
        raise errors.DataMissing('no prepared store', folder, 'load the data set to prepare it')
    data, voxels = _store_index.open_files(folder, index)
    names = list(index['blocks']) if blocks is None else list(blocks)
    absent = [name for name in names if name not in index['blocks']]
    if absent:
        raise errors.DataMissing(
            f'{", ".join(absent)} not prepared', folder, 'load the data set to prepare it'
        )
    wanted = [index['blocks'][name] for name in names]
    if verify:
        for name, block in zip(names, wanted, strict=True):
            _store_index.verify(folder, data, name, block)
    _store_index.refuse_copies(folder, names, wanted)
    none = np.zeros(0, np.int64)
    order = [none, *(np.arange(b['first'], b['first'] + b['rows']) for b in wanted)]
    ends = np.cumsum([len(rows) for rows in order])
    blank = [none, *(np.array(b['blank'], np.int64) for b in wanted)]
    blank[1:] = [end + rows for end, rows in zip(ends[:-1], blank[1:], strict=True)]
    order, blank = np.concatenate(order), np.concatenate(blank)
    return Store(folder, data, order, index['divisor'], np.asarray(voxels), index['about'], blank)


def _write(folder, what: dict, blocks: list[Block], voxels: np.ndarray) -> None:
    """Writes the blocks that are not there as they are now, and records each when it is."""
    index = _index_to_go_on_with(folder, what, voxels)
    todo, places = [], {}
    for block in blocks:
        if _store_index.fresh(index['blocks'].get(block.name), block):
            continue
        todo.append(block)
        old = index['blocks'].pop(block.name, None)
        if old is not None:
            logging.info('%s: %s prepared again, its files changed since', folder, block.name)
            if old['rows'] == block.rows:
                places[block.name] = old['first'], block.rows
    taken = [(entry['first'], entry['rows']) for entry in index['blocks'].values()]
    end = max((first + rows for first, rows in (*taken, *places.values())), default=0)
    for block in todo:
        if block.name not in places:
            places[block.name], end = (end, block.rows), end + block.rows
    _store_index.save(folder, index)  # what is about to be overwritten is in no index
    dtype, started, done, path = np.dtype(what['dtype']), time.monotonic(), 0, folder / ROWS
    with open(path, 'r+b' if path.exists() else 'w+b') as file:
        offset = _make_room(file, (end, len(voxels)), dtype, folder)
        for block in todo:
            first = places[block.name][0]
            entry = _write_block(file, offset, first, block, dtype, len(voxels))
            index['blocks'][block.name] = entry
            _store_index.save(folder, index)
            done += block.rows
            seconds = time.monotonic() - started
            logging.info('%s: %s, %d rows in %.0f s', folder, block.name, done, seconds)


def _index_to_go_on_with(folder, what: dict, voxels: np.ndarray) -> dict:
    """The index on disk if it is of the same store and its files are whole, else a new one."""
    index = _store_index.read(folder)
    if index is not None:
        changed = _store_index.differs(index, what)
        if not changed and _store_index.whole(folder, index):
            return index
        reason = (
            f'{", ".join(changed)} changed since' if changed else 'its files are not as it says'
        )
        logging.info('%s: prepared again, %s', folder, reason)
    for name in (_store_index.INDEX, ROWS):
        (folder / name).unlink(missing_ok=True)
    buffer = io.BytesIO()
    np.save(buffer, voxels)
    results.write_bytes(folder / VOXELS, buffer.getvalue())
    return what | {'blocks': {}}


def _write_block(file, offset, first, block: Block, dtype, voxels: int) -> dict:
    """Writes one block where it belongs; its entry of the index."""
    before = _store_index.stamps(block.sources)
    at, rows, digest = offset + first * voxels * dtype.itemsize, 0, hashlib.sha256()
    blank = []
    for piece in block.read():
        if piece.dtype.newbyteorder('<') != dtype or piece.shape[1:] != (voxels,):
            raise errors.DataInvalid(
                f'{block.name} gives {piece.shape[1:]} of {piece.dtype}, the others '
                f'({voxels},) of {dtype}',
                block.sources[0],
                'all sessions must be of one kind: name the format, or remove the odd ones out',
            )
        nothing = ~((piece != 0) & (piece == piece)).any(1)  # NaN is not equal to itself
        blank += (rows + np.flatnonzero(nothing)).tolist()
        rows += len(piece)
        if rows > block.rows:
            break
        content = memoryview(np.ascontiguousarray(piece, dtype)).cast('B')
        digest.update(content)
        while content:
            written = os.pwrite(file.fileno(), content, at)
            at, content = at + written, content[written:]
    if rows != block.rows or _store_index.stamps(block.sources) != before:
        what = f'gives {rows} rows, promised {block.rows}'
        what = what if rows != block.rows else 'changed while it was read'
        raise errors.DataInvalid(f'{block.name} {what}', block.sources[0], 'start again')
    os.fsync(file.fileno())
    found = {'rows': rows, 'sha256': digest.hexdigest(), 'sources': before, 'blank': blank}
    return {'first': int(first)} | found


def _make_room(file, shape, dtype, folder) -> int:
    """Header and length of rows.npy for `shape`; rows that are there stay. Offset of row 0."""
    header = {'descr': dtype.str, 'fortran_order': False, 'shape': shape}
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, header)  # numpy leaves space to grow in place
    size = buffer.tell() + shape[0] * shape[1] * dtype.itemsize
    more = size - os.fstat(file.fileno()).st_size
    free = shutil.disk_usage(folder).free
    if more > free:
        raise errors.ConfigError(
            f'{more / 2**30:.1f} GiB are needed, {free / 2**30:.1f} GiB are free', folder, _REMEDY
        )
    os.ftruncate(file.fileno(), max(size, buffer.tell()))
    os.pwrite(file.fileno(), buffer.getvalue(), 0)
    return buffer.tell()


def _take_lock(folder: pathlib.Path, patience: float) -> lock.Lock:
    folder.mkdir(parents=True, exist_ok=True)
    held, started, said = lock.Lock(folder / LOCK), time.monotonic(), False
    while True:
        try:
            held.take()
            return held
        except errors.RunFolderError as error:
            if time.monotonic() - started >= patience:
                raise
            if not said:
                logging.info('%s: waiting for another writer (%s)', folder, error.what)
            said = True
            time.sleep(min(1.0, patience))


def _run(wanted: np.ndarray):
    """Row numbers as a slice where they follow each other, which is read without gathering."""
    if len(wanted) and (np.diff(wanted) == 1).all():
        return slice(int(wanted[0]), int(wanted[-1]) + 1)
    return wanted
