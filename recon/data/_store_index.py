"""What a prepared store says of itself: index.json, and whether its files agree with it."""

import hashlib
import json
import pathlib

import numpy as np

from recon.core import errors, results
from recon.data.formats import files

VERSION = 2
ROWS, VOXELS, INDEX = 'rows.npy', 'voxels.npy', 'index.json'
KEYS = {'version', 'dtype', 'divisor', 'voxels', 'voxels_sha256', 'about', 'blocks'}
BLOCK_KEYS = {'first', 'rows', 'sha256', 'sources', 'blank'}
PIECE = 8 * 2**20  # bytes handled at once when rows are read or verified
_LOOK = 2**16  # bytes of a source that are looked at in one place
_LOOKS = 6  # such places, besides the first and the last


def read(folder: pathlib.Path) -> dict | None:
    """The index, or None where there is none that this version can use."""
    try:
        index = json.loads((folder / INDEX).read_text())
        usable = index['version'] == VERSION and set(index) >= KEYS and _sound(index)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if usable else None


def _sound(index: dict) -> bool:
    """Whether everything in it is of its kind and no two blocks claim the same row.

    Raises what a broken one does where it is looked at.
    """

    def count(*numbers):
        return all(type(number) is int and number >= 0 for number in numbers)

    good = isinstance(index['dtype'], str) and isinstance(index['voxels_sha256'], str)
    good = good and index['divisor'] > 0 and count(index['voxels'])
    end, blocks = 0, index['blocks'].values()
    for block in blocks:
        good = good and set(block) == BLOCK_KEYS and count(block['first'], block['rows'])
        good = good and len(bytes.fromhex(block['sha256'])) == 32
        good = good and count(*block['blank']) and max(block['blank'], default=-1) < block['rows']
        for path, size, changed, looks in block['sources']:
            good = good and isinstance(path, str) and isinstance(looks, str)
            good = good and count(size) and type(changed) is int
    for block in sorted(blocks, key=lambda b: b['first']) if good else ():
        good = good and (block['first'] >= end or not block['rows'])
        end = max(end, block['first'] + block['rows'])
    return good


def save(folder: pathlib.Path, index: dict) -> None:
    """Writes the index, whole or not at all."""
    results.write_bytes(folder / INDEX, json.dumps(index, indent=1).encode())


def differs(index: dict, what: dict) -> list[str]:
    """Keys of `what` in which the index differs."""
    return [key for key, value in what.items() if index.get(key) != value]


def complete(folder, index, what: dict, blocks) -> bool:
    """Whether everything asked for is there."""
    if index is None or differs(index, what) or not whole(folder, index):
        return False
    return all(fresh(index['blocks'].get(b.name), b) for b in blocks)


def whole(folder, index: dict) -> bool:
    """Whether rows.npy and voxels.npy have what the index says, by type and size."""
    try:
        open_files(folder, index)
    except (errors.DataInvalid, errors.DataMissing):
        return False
    return True


def fresh(entry: dict | None, block) -> bool:
    """Whether a block is recorded and its files are as they were, wherever they lie now."""

    def by_name(sources):
        return [(pathlib.Path(path).name, *rest) for path, *rest in sources]

    return (
        entry is not None
        and entry['rows'] == block.rows
        and by_name(entry['sources']) == by_name(stamps(block.sources))
    )


def stamps(sources) -> list:
    """[[path, bytes, time of last change in ns, sha256 of some places], ...].

    Times are kept by programs that edit, rename or unpack; so a little of the content is read too.
    """
    found = [(path, pathlib.Path(path).stat()) for path in sources]
    return [[str(p), stat.st_size, stat.st_mtime_ns, _look(p, stat.st_size)] for p, stat in found]


def _look(path, size: int) -> str:
    """sha256 of the start, the end, and places between them; of all of a small file."""
    # At no round part of the file: a volume's borders, which are empty, lie at such.
    inner = [int(k * 0.6180339887 % 1 * size) for k in range(1, _LOOKS + 1)]
    found = hashlib.sha256()
    with open(path, 'rb') as file:
        if size <= (_LOOKS + 2) * _LOOK:
            found.update(file.read())
        else:
            for offset in (0, *inner, size - _LOOK):
                file.seek(offset)
                found.update(file.read(_LOOK))
    return found.hexdigest()


def refuse_copies(folder, names: list[str], entries: list[dict]) -> None:
    """Raises DataInvalid where two blocks hold the same rows."""
    first = {}
    for name, entry in zip(names, entries, strict=True):
        other = first.setdefault((entry['rows'], entry['sha256']), name)
        if other != name and entry['rows']:
            raise errors.DataInvalid(
                f'{other} and {name} hold the same {entry["rows"]} rows, value by value',
                ', '.join(source[0] for source in entry['sources']) or folder,
                'one was copied over the other: fetch the files of both again',
            )


def open_files(folder, index: dict) -> tuple[np.ndarray, np.ndarray]:
    """rows.npy and voxels.npy, memory-mapped; DataInvalid where they are not as the index says."""
    data = files.npy(folder / ROWS, 2)
    voxels = files.npy(folder / VOXELS, 1, 'i')
    end = max((b['first'] + b['rows'] for b in index['blocks'].values()), default=0)
    if data.dtype.str != index['dtype'] or data.shape[1] != index['voxels'] or len(data) < end:
        raise errors.DataInvalid(
            f'it holds {data.shape} of {data.dtype.str}, the index says {end} rows x '
            f'{index["voxels"]} of {index["dtype"]}',
            folder / ROWS,
            f'remove {folder}; it is prepared again',
        )
    if digest(voxels) != index['voxels_sha256']:
        raise errors.DataInvalid(
            'it is not what the index says',
            folder / VOXELS,
            f'remove {folder}; it is prepared again',
        )
    return data, voxels


def digest(array) -> str:
    """Checksum of positions."""
    return hashlib.sha256(np.ascontiguousarray(array, np.int64)).hexdigest()


def verify(folder, data, name: str, entry: dict) -> None:
    """Raises DataInvalid where the bytes of a block are not those that were written."""
    found, end = hashlib.sha256(), entry['first'] + entry['rows']
    step = max(1, PIECE // max(data.shape[1] * data.itemsize, 1))
    for start in range(entry['first'], end, step):
        found.update(np.ascontiguousarray(data[start : min(start + step, end)]))
    if found.hexdigest() != entry['sha256']:
        raise errors.DataInvalid(
            f'checksum of {name} differs from when it was written',
            folder / ROWS,
            f'the disk or a program changed it: remove {folder}; it is prepared again',
        )
