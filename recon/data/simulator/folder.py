"""A user's folder of pictures, as square pictures of one size."""

import pathlib

import numpy as np
from PIL import Image, ImageOps

from recon.core import errors

ENDINGS = ('.png', '.jpg', '.jpeg')


def read(folder, n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`n` pictures of `folder`, drawn by chance.

    Args:
      folder: holds PNG or JPEG files, not searched deeper.
      n: how many.
      size: pixels on a side; the middle square is cut out, then resized.
      seed: of the choice.

    Returns:
      File names [n] <U, and pictures [n size size 3] uint8.

    Raises:
      DataMissing: no such folder, or no pictures in it.
      ConfigError: fewer pictures than asked for.
      DataInvalid: a file that cannot be read as a picture.
    """
    folder = pathlib.Path(folder).expanduser()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    names = [path.name for path in found if path.suffix.lower() in ENDINGS]
    if not names:
        what = 'no PNG or JPEG files' if folder.is_dir() else 'no such folder'
        raise errors.DataMissing(what, folder, 'set dataset.images to a folder of pictures')
    if n > len(names):
        raise errors.ConfigError(
            f'{n} pictures asked for, {len(names)} are there',
            folder,
            'lower dataset.n_train, n_validation or n_test',
        )
    order = np.random.default_rng((seed, len(names))).permutation(len(names))[:n]
    names = [names[i] for i in order]
    return np.array(names), np.stack([_square(folder / name, size) for name in names])


def _square(path: pathlib.Path, size: int) -> np.ndarray:
    try:
        with Image.open(path) as picture:
            upright = ImageOps.exif_transpose(picture).convert('RGB')
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise errors.DataInvalid(
            f'not a picture that can be read ({error})', path, 'replace it or take it away'
        ) from None
    return np.asarray(ImageOps.fit(upright, (size, size), Image.Resampling.LANCZOS))
