"""NIfTI volumes and masks, read with the errors that a user can act on."""

import gzip
import pathlib
import struct
import zlib

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files

# What nibabel raises depends on where a file breaks: header, gzip stream, or data cut short.
BROKEN = (OSError, EOFError, ValueError, OverflowError, MemoryError, LookupError, TypeError)
BROKEN += (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
BROKEN += (zlib.error, struct.error)


def read(path: pathlib.Path, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """A volume in its stored type, scaled as its header says, and its affine [4 4] (index -> mm).

    Args:
      path: a .nii or .nii.gz file.
      axes: 3, or 4 with volumes in time.

    Raises:
      DataInvalid: no NIfTI file, cut short, changed since it was packed, or of another number of
        axes.
    """
    files.exists(path, 'fetch it, or check dataset.path')
    try:
        loaded = nibabel.load(path)
        files.check_promise(path, loaded.shape, loaded.get_data_dtype().itemsize)
        check_packed(path)
        volume, affine = np.asanyarray(loaded.dataobj), loaded.affine
    except BROKEN as error:
        text = ' '.join(str(error).split())[:200]
        raise errors.DataInvalid(
            f'not a readable NIfTI file, or cut short ({type(error).__name__}: {text})',
            path,
            'fetch it again',
        ) from error
    if volume.ndim != axes:
        raise errors.DataInvalid(f'it has shape {volume.shape}', path, f'wanted {axes} axes')
    return volume, affine


def read_mask(path: pathlib.Path, one: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A mask, whatever is above 0, as bool [x y z], and its affine.

    Files of labels hold -1 where there is no cortex: that is outside, as NaN is.

    Args:
      path: a .nii or .nii.gz file.
      one: only one number above 0 will do, so that labels and statistics are refused.

    Raises:
      DataInvalid: as `read`, or several numbers where one is wanted.
    """
    volume, affine = read(path, 3)
    found = np.unique(volume[volume > 0]) if one else ()
    if len(found) > 1:
        raise errors.DataInvalid(
            f'it holds {", ".join(f"{x:g}" for x in found[:3])}, a mask has one number',
            path,
            'a file of labels or a statistic is no mask: fetch the mask again',
        )
    return np.nan_to_num(volume) > 0, affine


def check_packed(path: pathlib.Path) -> None:
    """Unpacks a gzip file to its end, in bounded memory, so that its checksum is compared.

    nibabel stops where the last value ends, before the checksum. Files of other kinds pass.

    Raises:
      OSError, EOFError, zlib.error: it is cut short, or is not what was packed.
    """
    with open(path, 'rb') as file:
        if file.read(2) != b'\x1f\x8b':
            return
    piece = bytearray(2**20)
    with gzip.open(path, 'rb') as file:
        while file.readinto(piece):
            pass


def check_grid(path: pathlib.Path, shape, affine, wanted_shape, wanted_affine) -> None:
    """Raises DataInvalid unless both grids are the same, to a thousandth of a millimetre."""
    if tuple(shape) != tuple(wanted_shape):
        raise errors.DataInvalid(
            f'its grid is {tuple(shape)}, that of the mask {tuple(wanted_shape)}',
            path,
            'all files must be of one data set; nothing is resampled',
        )
    if not np.allclose(affine, wanted_affine, atol=1e-3):
        raise errors.DataInvalid(
            f'its affine {np.round(affine, 3).tolist()} is not that of the mask, '
            f'{np.round(wanted_affine, 3).tolist()}',
            path,
            'all files must be of one data set; nothing is resampled',
        )
