"""Single-trial betas of one NSD file, in any of its formats: wanted voxels of trial after trial.

In all of them a trial lies as one stretch of positions, x fastest: HDF5 [trials Z Y X] (and MATLAB
7.3, which is HDF5), NIfTI [X Y Z trials], mgh [V 1 1 trials], HDF5 [trials V]. So a wanted voxel is
one number, its flat position with x fastest, and no volume is ever transposed.
"""

import contextlib
import dataclasses
import gzip
import os
import pathlib
from collections.abc import Iterator

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files, nifti

KEY = 'betas'
PER_UNIT = 300.0  # integers are percent signal change times this; floats are as they are
SURFACE = (
    'the vertices of the labels of this hemisphere: left and right may be swapped, or the surface '
    'is another one'
)
_TRIALS = 16  # handed out at once
_BUDGET = 256 * 2**20  # bytes of compressed HDF5 unpacked at once
BROKEN = (*nifti.BROKEN, nibabel.freesurfer.mghformat.MGHError)


@dataclasses.dataclass(frozen=True)
class Recording:
    """One file of betas, its header read and checked.

    Attributes:
      path: the file.
      trials: how many.
      positions: voxels or vertices of one trial.
      dtype: of the values on disk.
      divisor: what makes them percent signal change.
      offsets: [trials] bytes from the start of the (unpacked) file to each trial; None where the
        HDF5 library has to read.
      packed: the file is gzip.
    """

    path: pathlib.Path
    trials: int
    positions: int
    dtype: np.dtype
    divisor: float
    offsets: np.ndarray | None
    packed: bool


def inspect(path, grid: tuple[int, ...]) -> Recording:
    """Reads the header of a file of betas.

    Args:
      path: .hdf5, .mat (7.3), .nii, .nii.gz, .mgh or .mgz.
      grid: (X, Y, Z) of the masks, or (V,) of the hemisphere.

    Raises:
      DataMissing: not there.  DataInvalid: cannot be read, another grid, or axes in another order.
    """
    path = files.exists(path)
    name = path.name
    if name.endswith(('.nii', '.nii.gz')):
        return _nifti(path, grid)
    if name.endswith(('.mgh', '.mgz')):
        return _mgh(path, grid)
    return _hdf5(path, grid)


def trials(recording: Recording, positions: np.ndarray) -> Iterator[np.ndarray]:
    """The values of wanted positions, trial after trial.

    Args:
      recording: from `inspect`.
      positions: [v] flat, x fastest, in the order wanted.

    Yields:
      [k v], k small and the same for every file, of the type on disk in native byte order.

    Raises:
      DataInvalid: the file ends early, or cannot be unpacked.
    """
    if recording.offsets is None:
        yield from _even(_by_library(recording, np.asarray(positions)))
    else:
        yield from _by_offset(recording, np.asarray(positions))


def grid_index(mask: np.ndarray) -> np.ndarray:
    """[v] flat positions, x fastest, of the voxels of a mask in the order of `volume[mask]`."""
    return np.ravel_multi_index(np.nonzero(mask), mask.shape, order='F')


def _by_offset(recording: Recording, positions) -> Iterator[np.ndarray]:
    size = recording.dtype.itemsize
    # What lies before the first and after the last wanted voxel of a trial need not be read.
    first, last = (int(positions.min()), int(positions.max()) + 1) if len(positions) else (0, 0)
    if recording.packed:
        first, last = 0, recording.positions
    near = positions - first
    frame = np.empty(last - first, recording.dtype)
    native = recording.dtype.newbyteorder('=')
    what = f'cannot be unpacked or read, or is cut short ({recording.trials} trials promised)'
    with files.said(recording.path, what), _opened(recording) as fill:
        for start in range(0, recording.trials, _TRIALS):
            offsets = recording.offsets[start : start + _TRIALS]
            out = np.empty((len(offsets), len(positions)), native)
            for row, offset in zip(out, offsets, strict=True):
                fill(memoryview(frame).cast('B'), int(offset) + first * size)
                row[:] = frame[near]
            yield out


@contextlib.contextmanager
def _opened(recording: Recording):
    """A function (buffer, offset) that fills the buffer or raises EOFError."""
    if not recording.packed:
        with open(recording.path, 'rb', buffering=0) as file:

            def fill(buffer, offset):
                while buffer:
                    count = os.preadv(file.fileno(), [buffer], offset)
                    if not count:
                        raise EOFError('the file ends')
                    buffer, offset = buffer[count:], offset + count

            yield fill
    else:
        with gzip.open(recording.path, 'rb') as file:

            def fill(buffer, offset):
                if file.tell() != offset:
                    file.seek(offset)
                while buffer:
                    count = file.readinto(buffer)
                    if not count:
                        raise EOFError('the file ends')
                    buffer = buffer[count:]

            yield fill
            file.read(1)  # the end, where gzip compares its checksum


def _by_library(recording: Recording, positions) -> Iterator[np.ndarray]:
    """Compressed HDF5, or chunks that are no whole trials: unpack slabs, each chunk once."""
    with files.hdf5(recording.path) as file:
        data = file[KEY]
        chunk = data.chunks or (1, *data.shape[1:])
        per_chunk, volume = min(chunk[0], data.shape[0]), recording.positions * data.dtype.itemsize
        step = max(1, _TRIALS // per_chunk) * per_chunk
        # A slab is some of the slowest axis of space; one chunk of it at least.
        rows = max(1, _BUDGET // max(step * volume // data.shape[1], 1))
        rows = max(rows // chunk[1], 1) * chunk[1]
        inner = recording.positions // data.shape[1]
        for start in range(0, recording.trials, step):
            stop = min(start + step, recording.trials)
            out = np.empty((stop - start, len(positions)), data.dtype.newbyteorder('='))
            for low in range(0, data.shape[1], rows):
                high = min(low + rows, data.shape[1])
                here = np.flatnonzero((positions >= low * inner) & (positions < high * inner))
                if len(here):
                    slab = files.read(data, (slice(start, stop), slice(low, high)))
                    slab = slab.reshape(stop - start, -1)
                    out[:, here] = slab[:, positions[here] - low * inner]
            yield out


def _even(pieces) -> Iterator[np.ndarray]:
    """The same rows, _TRIALS at a time, so that two hemispheres go in step."""
    rest = None
    for piece in pieces:
        rest = piece if rest is None else np.concatenate([rest, piece])
        while len(rest) >= _TRIALS:
            yield rest[:_TRIALS]
            rest = rest[_TRIALS:]
    if rest is not None and len(rest):
        yield rest


def _hdf5(path, grid) -> Recording:
    with files.hdf5(path) as file:
        data = files.array(file, KEY, kinds='if')
        wanted = tuple(grid)[::-1]
        if data.shape[1:] != wanted:
            raise errors.DataInvalid(
                f'{KEY} has shape {data.shape}{_axes(data.shape, tuple(grid))}',
                path,
                f'wanted (trials, {", ".join(map(str, wanted))}), '
                + (
                    'the axes of the masks reversed, as NSD writes them: fetch the file again'
                    if len(wanted) > 1
                    else SURFACE
                ),
            )
        files.check_promise(path, data.shape, data.dtype.itemsize, data.id.get_storage_size())
        offsets = _chunk_offsets(data, path)
        count = data.shape[0]
        dtype = data.dtype
    return _recording(path, count, grid, dtype, 0.0, offsets, packed=False)


def _chunk_offsets(data, path) -> np.ndarray | None:
    """Where each trial begins, if trials lie whole and unpacked in the file."""
    size = int(np.prod(data.shape[1:])) * data.dtype.itemsize
    plain = data.id.get_create_plist().get_nfilters() == 0 and not data.external
    # Offsets of chunks do not count what MATLAB puts before its HDF5, in every version alike.
    plain = plain and not data.file.userblock_size
    if data.chunks is None:
        start = data.id.get_offset()
        if not plain or start is None:
            return None
        return start + size * np.arange(data.shape[0])
    if not plain or data.chunks != (1, *data.shape[1:]):
        return None
    rest = (0,) * (data.ndim - 1)
    chunks = [data.id.get_chunk_info_by_coord((i, *rest)) for i in range(data.shape[0])]
    found = np.array([-1 if c.byte_offset is None else c.byte_offset for c in chunks], np.int64)
    if (found < 0).any():
        raise errors.DataInvalid(
            f'{(found < 0).sum()} of {len(found)} trials were never written, first trial '
            f'{np.flatnonzero(found < 0)[0]} (from 0)',
            path,
            'fetch it again',
        )
    return found


def _axes(shape, grid) -> str:
    """What seems to have happened to axes that should be (trials, *reversed grid)."""
    if len(shape) != len(grid) + 1:
        return ''
    if shape[1:] == grid:
        return ': its axes of space are in the other order'
    if shape[:-1] in (grid, grid[::-1]):
        return ': its trials are at the other end'
    return f', the masks {grid}'


def _nifti(path, grid) -> Recording:
    with files.said(path, 'not a readable NIfTI file', BROKEN):
        image = nibabel.load(path, mmap=False)
        shape, header = image.shape, image.header
        dtype, offset = header.get_data_dtype(), int(image.dataobj.offset)
        slope, inter = float(image.dataobj.slope), float(image.dataobj.inter)  # 1, 0 where unset
    if len(shape) != len(grid) + 1 or shape[:-1] != tuple(grid):
        raise errors.DataInvalid(
            f'its shape is {shape}{_axes(shape[::-1], tuple(grid))}',
            path,
            f'wanted ({", ".join(map(str, grid))}, trials), the grid of the masks',
        )
    if inter:
        raise errors.DataInvalid(
            f'its header adds {inter:g} to the values', path, 'fetch the original betas'
        )
    return _sequential(path, grid, shape[-1], dtype, 0.0 if slope == 1 else slope, offset)


def _mgh(path, grid) -> Recording:
    with files.said(path, 'not a readable mgh file', BROKEN):
        image = nibabel.load(path, mmap=False)
        shape, dtype, offset = image.shape, image.get_data_dtype(), int(image.dataobj.offset)
    if len(shape) != 4 or shape[:3] != (grid[0], 1, 1):
        raise errors.DataInvalid(
            f'its shape is {shape}',
            path,
            f'wanted ({grid[0]}, 1, 1, trials), {SURFACE}',
        )
    return _sequential(path, grid, shape[3], dtype.newbyteorder('>'), 0.0, offset)


def _sequential(path, grid, count, dtype, slope, offset) -> Recording:
    packed = path.name.endswith(('.gz', '.mgz'))
    files.check_promise(path, (*grid, count), dtype.itemsize)
    size = int(np.prod(grid)) * dtype.itemsize
    there = path.stat().st_size
    if not packed and there < offset + size * count:
        raise errors.DataInvalid(
            f'{count} trials need {offset + size * count:,} bytes, it has {there:,}',
            path,
            'it is cut short: fetch it again',
        )
    return _recording(path, count, grid, dtype, slope, offset + size * np.arange(count), packed)


def _recording(path, count, grid, dtype, slope, offsets, packed) -> Recording:
    if dtype.kind not in 'if':
        raise errors.DataInvalid(f'its type is {dtype}', path, 'wanted int16 or floats')
    divisor = 1 / slope if slope else PER_UNIT if dtype.kind == 'i' else 1.0
    divisor = round(divisor, 3)  # a slope is a float32 and 1 / 300 is not
    positions = int(np.prod(grid))
    return Recording(pathlib.Path(path), int(count), positions, dtype, divisor, offsets, packed)
