"""What a prepared store says of itself: index.json, and whether its files agree with it."""

import hashlib
import json
import pathlib

import numpy as np

from recon.core import errors, results
from recon.data.formats import files

VERSION = 1
ROWS, VOXELS, INDEX = 'rows.npy', 'voxels.npy', 'index.json'
KEYS = {'version', 'dtype', 'divisor', 'voxels', 'voxels_sha256', 'about', 'blocks'}
BLOCK_KEYS = {'first', 'rows', 'sha256', 'sources'}
PIECE = 8 * 2**20  # bytes handled at once when rows are read or verified


def read(folder: pathlib.Path) -> dict | None:
    """The index, or None where there is none that this version can use."""
    try:
        index = json.loads((folder / INDEX).read_text())
        usable = index['version'] == VERSION and set(index) >= KEYS
        usable = usable and all(set(b) == BLOCK_KEYS for b in index['blocks'].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return index if usable else None


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
        return [(pathlib.Path(path).name, size, time) for path, size, time in sources]

    return (
        entry is not None
        and entry['rows'] == block.rows
        and by_name(entry['sources']) == by_name(stamps(block.sources))
    )


def stamps(sources) -> list:
    """[[path, bytes, time of last change in ns], ...]."""
    found = [(path, pathlib.Path(path).stat()) for path in sources]
    return [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found]


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
