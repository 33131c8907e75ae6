"""Colour and shape of a picture apart from each other: features that need no net.

A pixel is its mean over the three channels (luminance here, unweighted) and what it deviates from
that (colour): the two add up to the picture, so a score of one is blind to the other. Both are
centred, so that their correlation and their cosine are the same number.
"""

import numpy as np
from jaxtyping import Float

_STEP = 1 / 255  # of an 8-bit picture: what deviates by less is grey


def colour(images: Float[np.ndarray, 'n h w 3']) -> Float[np.ndarray, 'n d']:
    """What each pixel deviates from its own mean over channels, d = h w 3.

    Rows of grey pictures are 0, not the rounding of their means: they have no colour to compare.

    Args:
      images: in [0, 1].

    Returns:
      [n d] float32; each row's mean is 0.
    """
    images = np.asarray(images, np.float32)
    rows = (images - images.mean(-1, keepdims=True)).reshape(len(images), -1)
    grey = np.abs(rows).max(1, keepdims=True) < _STEP
    return np.where(grey, 0, rows)


def luminance(images: Float[np.ndarray, 'n h w 3']) -> Float[np.ndarray, 'n d']:
    """The mean of each pixel over its channels, less the picture's own mean, d = h w.

    Args:
      images: in [0, 1].

    Returns:
      [n d] float32; rows of pictures of one grey are 0.
    """
    rows = np.asarray(images, np.float32).mean(-1).reshape(len(images), -1)
    rows = rows - rows.mean(1, keepdims=True)
    flat = np.abs(rows).max(1, keepdims=True) < _STEP / 2
    return np.where(flat, 0, rows)


FEATURES = {'colour': colour, 'luminance': luminance}
for _name, _function in FEATURES.items():  # what an entry of scores.json says of them
    _function.weights, _function.node = 'none', f'pixels {_name}'
