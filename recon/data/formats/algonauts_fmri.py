"""Responses of the Algonauts 2023 trees: a pair of arrays, one for each hemisphere."""

import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import files

SIDES = ('lh', 'rh')
_TURNED = 'the axes are [vertices, images]: transpose the arrays'
_ROWS = 256  # read at once
# Averages of z-scores over one to three repeats spread by .5 to 1.
_SPREADS = (0.05, 10.0)


def pair(folder, part: str) -> tuple[np.ndarray, np.ndarray]:
    """{lh,rh}_<part>_fmri.npy of `folder`, [n v] each, memory-mapped.

    Raises:
      DataMissing: a file is not there.  DataInvalid: one that cannot be read, is not of floats, or
        has other rows than its sibling.
    """
    folder = pathlib.Path(folder)
    paths = [folder / f'{side}_{part}_fmri.npy' for side in SIDES]
    left, right = (files.npy(path, 2, 'f') for path in paths)
    if len(left) != len(right):
        raise errors.DataInvalid(
            f'{len(left)} rows of the left hemisphere, {len(right)} of the right',
            folder,
            _TURNED
            if left.shape[1] == right.shape[1]
            else 'both must have one row for each image: extract them again',
        )
    return left, right


def check_rows(arrays, images: int, folder) -> None:
    """As many rows as pictures; DataInvalid says so if the axes are the other way round."""
    left, right = arrays
    if len(left) == images:
        return
    turned = left.shape[1] == right.shape[1] == images
    raise errors.DataInvalid(
        f'{len(left)} rows of responses, {images} pictures',
        folder,
        _TURNED
        if turned
        else 'one row for each picture, in the order of their numbers: copy what is missing',
    )


def read(arrays, rows, keep, folder) -> np.ndarray:
    """Rows of both hemispheres side by side, left then right.

    Args:
      arrays: from `pair`.
      rows: [n] int.
      keep: [v] bool, columns of both hemispheres that are wanted.
      folder: for messages.

    Returns:
      [n, keep.sum()] float32.

    Raises:
      DataInvalid: values that are not finite, or that are no z-scores.
    """
    cuts = np.split(np.asarray(keep), [arrays[0].shape[1]])
    left = int(cuts[0].sum())
    out = np.empty((len(rows), left + int(cuts[1].sum())), np.float32)
    for start in range(0, len(rows), _ROWS):
        part = slice(start, start + _ROWS)
        for array, cut, columns in zip(
            arrays, cuts, (slice(0, left), slice(left, None)), strict=True
        ):
            out[part, columns] = array[rows[part]][:, cut]
        bad = ~np.isfinite(out[part])
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise errors.DataInvalid(
                f'{bad.sum()} values are NaN or infinite, first in row {rows[start + row]}, '
                f'vertex {column} of those read',
                folder,
                'the challenge files have none: fetch them again',
            )
    for side, columns in zip(SIDES, (slice(0, left), slice(left, None)), strict=True):
        _check_unit(out[: 4 * _ROWS, columns], side, folder)
    return out


def _check_unit(voxels: np.ndarray, side: str, folder) -> None:
    """Of one hemisphere: a factor in one alone hides in the median over both."""
    spread = voxels.std(0) if len(voxels) > 4 else np.zeros(1)
    spread = float(np.median(spread[spread > 0])) if (spread > 0).any() else 0.0
    low, high = _SPREADS
    if spread and not low < spread < high:
        times = spread / 0.7
        guess = 'multiplied by 300' if 100 < times < 1000 else 'scaled'
        guess = 'divided by 300' if 1 / 1000 < times < 1 / 100 else guess
        raise errors.DataInvalid(
            f'responses of {side} spread by {spread:.4g} (median over vertices), z-scores averaged '
            'over repeats by .5 to 1',
            folder,
            f'it looks as if they had been {guess}: use the files as they were given out',
        )
