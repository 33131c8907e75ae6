"""Pictures of the Kamitani lab's stimuli: matched by name, never by order, read when asked for."""

import pathlib

import numpy as np
from PIL import Image

from recon.core import errors, image, types
from recon.data.formats import files, kamitani_ids

ENDINGS = ('.jpeg', '.jpg', '.png', '.tif', '.tiff', '.bmp')
MIXED = 256  # pixels on a side where stored pictures are of several sizes and none is asked for


def index(folder) -> dict[str, pathlib.Path]:
    """{tidy name: path} of the pictures in a folder; empty if there is no such folder.

    Raises:
      DataInvalid: two pictures of one name.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(
        p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and p.name[0] != '.'
    ):
        name = kamitani_ids.tidy(path.name)
        if name in found:
            raise errors.DataInvalid(
                f'two pictures of {name}: {found[name].name} and {path.name}',
                folder,
                'keep one of them',
            )
        found[name] = path
    return found


def find(names, folder, remedy: str) -> dict[str, pathlib.Path]:
    """{name: path} of the pictures `names` in `folder`.

    Raises:
      DataMissing: how many are not there, and the first of them.
    """
    held = index(folder)
    names = np.unique(names).tolist()
    missing = [name for name in names if name not in held]
    if missing:
        raise errors.DataMissing(
            f'{len(missing)} of {len(names)} pictures are not there, first {missing[0]} '
            f'({len(held)} pictures are)',
            folder,
            remedy,
        )
    return {name: held[name] for name in names}


def opened(paths: dict[str, pathlib.Path], size: int = 0) -> tuple[types.Images, list[str]]:
    """Pictures by name, decoded when asked for, and notes for the user.

    Args:
      paths: {name: path}.
      size: pixels on a side; 0 for the stored size, or `MIXED` where that is not one for all.
        Whatever is not of that size is cropped to its middle square and resized.

    Raises:
      DataInvalid: a file that is no picture.  ConfigError: a size under 8.
    """
    if size and size < 8:
        raise errors.ConfigError(f'dataset.image_size is {size}', 'config', '0, or at least 8')
    ids = np.array(sorted(paths))
    ordered = [paths[i] for i in ids.tolist()]
    stored, notes = {_stored(path) for path in ordered}, []
    if size:
        shape = (size, size)
    elif len(stored) == 1:
        shape = next(iter(stored))
    else:
        shape = (MIXED, MIXED)
        notes.append(
            f'pictures are stored at {len(stored)} sizes ({min(stored)} to {max(stored)} pixels): '
            f'cropped to the middle square and resized to {MIXED} x {MIXED}; dataset.image_size '
            'sets another'
        )

    def read(rows):
        pictures = [fit(files.picture(ordered[i]), shape) for i in np.asarray(rows).tolist()]
        return np.stack(pictures) if pictures else np.empty((0, *shape, 3), np.uint8)

    return types.Images(ids, read, shape), notes


def fit(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """[h w 3] uint8 as it is if of `shape`, else its middle square resized to `shape`."""
    if picture.shape[:2] == tuple(shape):
        return picture
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return np.rint(image.resize(square[None], shape)[0]).clip(0, 255).astype(np.uint8)


def _stored(path: pathlib.Path) -> tuple[int, int]:
    """(height, width) from the header of a picture file."""
    path = files.exists(path)
    broken = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
    with files.said(path, 'not a picture that can be read', broken), Image.open(path) as held:
        width, height = held.size
    return height, width
