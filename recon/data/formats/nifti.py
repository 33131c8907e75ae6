"""NIfTI volumes and masks, read with the errors that a user can act on."""

import pathlib
import struct
import zlib

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files

# What nibabel raises depends on where a file breaks: header, gzip stream, or data cut short.
_BROKEN = (OSError, EOFError, ValueError, OverflowError, MemoryError, LookupError, TypeError)
_BROKEN += (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError)
_BROKEN += (zlib.error, struct.error)


def read(path: pathlib.Path, axes: int) -> tuple[np.ndarray, np.ndarray]:
    """A volume in its stored type, scaled as its header says, and its affine [4 4] (index -> mm).

    Args:
      path: a .nii or .nii.gz file.
      axes: 3, or 4 with volumes in time.

    Raises:
      DataInvalid: no NIfTI file, cut short, or of another number of axes.
    """
    files.exists(path, 'fetch it, or check dataset.path')
    try:
        loaded = nibabel.load(path)
        files.check_promise(path, loaded.shape, loaded.get_data_dtype().itemsize)
        volume, affine = np.asanyarray(loaded.dataobj), loaded.affine
    except _BROKEN as error:
        text = ' '.join(str(error).split())[:200]
        raise errors.DataInvalid(
            f'not a readable NIfTI file, or cut short ({type(error).__name__}: {text})',
            path,
            'fetch it again',
        ) from error
    if volume.ndim != axes:
        raise errors.DataInvalid(f'it has shape {volume.shape}', path, f'wanted {axes} axes')
    return volume, affine


def read_mask(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """A mask, whatever is not 0, as bool [x y z], and its affine. Raises as `read`."""
    volume, affine = read(path, 3)
    return volume != 0, affine


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
