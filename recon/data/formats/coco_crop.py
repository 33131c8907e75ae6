"""From COCO's photographs to the squares that NSD cut out of them: windows, boxes, coverage."""

import ast

import numpy as np

from recon.core import errors
from recon.data.formats import coco_masks


def crops(crop_box) -> np.ndarray:
    """CropBox as text '(top, bottom, left, right)' or numbers -> [m 4] float64.

    Raises:
      DataInvalid: not four shares of height and width that leave something.
    """
    given = np.asarray(crop_box)
    if given.dtype.kind not in 'fiu':
        try:
            given = np.array([ast.literal_eval(str(text).strip()) for text in given], np.float64)
        except (ValueError, SyntaxError, TypeError) as error:
            raise errors.DataInvalid(
                f'cropBox cannot be read ({error})',
                'cropBox',
                "wanted '(top, bottom, left, right)'",
            ) from None
    given = given.astype(np.float64)
    if given.shape[1:] != (4,) and given.size:
        raise errors.DataInvalid(f'cropBox has shape {given.shape}', 'cropBox', 'wanted four a row')
    given = given.reshape(-1, 4)
    whole = np.stack([given[:, 0] + given[:, 1], given[:, 2] + given[:, 3]], 1)
    wrong = ~((given >= 0).all(1) & (whole < 1).all(1))
    if wrong.any():
        raise errors.DataInvalid(
            f'cropBox is {tuple(given[wrong][0].tolist())} in row {np.flatnonzero(wrong)[0]}',
            'cropBox',
            'wanted (top, bottom, left, right), shares that are cut away, in [0, 1)',
        )
    return given


def window(frame: tuple[int, int], crop, where='') -> np.ndarray:
    """The crop in pixels of the photograph, [4] float64: left, top, right, bottom.

    Args:
      frame: (width, height) of the photograph.
      crop: (top, bottom, left, right), shares that are cut away.
      where: for the message.

    Raises:
      DataInvalid: not square after rounding.
    """
    (width, height), (top, bottom, left, right) = frame, crop
    found = np.array([left * width, top * height, (1 - right) * width, (1 - bottom) * height])
    across, down = np.round(found[2] - found[0]), np.round(found[3] - found[1])
    if across != down or not across:
        raise errors.DataInvalid(
            f'the crop {tuple(float(v) for v in crop)} of {width} x {height} pixels is '
            f'{across:.0f} x {down:.0f}, not square',
            where,
            'is it (top, bottom, left, right), and of this cocoId and cocoSplit?',
        )
    return found


def boxes(given, frame: tuple[int, int], crop: np.ndarray, size: int, where=''):
    """Boxes of the photograph as they are in the shown picture.

    Args:
      given: [k 4] x, y, width, height in pixels of the photograph.
      frame: (width, height) of the photograph.
      crop: from `window`.
      size: pixels on a side of the shown picture.
      where: for the message.

    Returns:
      [k 4] float32, x, y, width, height in the shown picture, and [k] float32, the share of each
      box that is in it; 0 for what was cut away and for boxes without area.

    Raises:
      DataInvalid: a box outside its photograph by more than a pixel, or with a negative side.
    """
    given = np.asarray(given, np.float64).reshape(-1, 4)
    corners = np.concatenate([given[:, :2], given[:, :2] + given[:, 2:]], 1)
    wrong = (corners < -1).any(1) | (corners > np.array([*frame, *frame]) + 1).any(1)
    wrong |= (given[:, 2:] < 0).any(1) | ~np.isfinite(given).all(1)
    if wrong.any():
        raise errors.DataInvalid(
            f'a box (x, y, width, height) is {tuple(given[wrong][0].tolist())}, the photograph '
            f'{frame[0]} x {frame[1]} pixels',
            where,
            'boxes lie in the whole photograph, in pixels: fetch the annotations again',
        )
    low, high = np.tile(crop[:2], 2), np.tile(crop[2:], 2)
    inside = np.clip(corners, low, high)
    extent = inside[:, 2:] - inside[:, :2]
    whole = given[:, 2] * given[:, 3]
    visible = np.divide(extent.prod(1), whole, out=np.zeros(len(given)), where=whole > 0)
    scale = size / np.round(crop[2:] - crop[:2])
    shown = np.concatenate([(inside[:, :2] - crop[:2]) * scale, extent * scale], 1)
    return shown.astype(np.float32), visible.astype(np.float32)


def shares(path, listed, frame: tuple[int, int], crop: np.ndarray) -> np.ndarray:
    """[k] float64: the share of the crop that each segment of a panoptic PNG covers.

    Args:
      path: of the PNG.
      listed: [k] ids of its segments, distinct.
      frame: (width, height) of the photograph.
      crop: from `window`.

    Raises:
      DataMissing, DataInvalid: as `coco_masks.segments`, and where the PNG has a segment that is
        not listed.
    """
    listed = np.asarray(listed, np.int64)
    order = np.argsort(listed)
    # Void counts as a segment of its own, in front.
    known = np.concatenate([[0], listed[order]])
    rows, cols, weight = _weights(crop, frame)
    found = coco_masks.segments(path, frame[::-1])
    place = np.minimum(np.searchsorted(known, found), len(known) - 1)
    unknown = found[known[place] != found]
    if len(unknown):
        raise errors.DataInvalid(
            f'segment {unknown[0]} of {len(unknown)} pixels is not among the {len(listed)} that '
            'the JSON lists',
            path,
            'a segment is R + 256 G + 65536 B; the PNG and the JSON must be of one release',
        )
    covered = np.bincount(place[rows, cols].ravel(), weight.ravel(), len(known))
    out = np.empty(len(listed))
    out[order] = covered[1:]
    return out / np.square(crop[2] - crop[0])


def share(mask: np.ndarray, frame: tuple[int, int], crop: np.ndarray) -> float:
    """The share of the crop that `mask` [h w] bool covers."""
    rows, cols, weight = _weights(crop, frame)
    return float((mask[rows, cols] * weight).sum() / np.square(crop[2] - crop[0]))


def _weights(crop: np.ndarray, frame: tuple[int, int]):
    """Rows and columns that the crop touches, and how much of each pixel is in it [h w]."""
    spans, parts = [], []
    for axis in (1, 0):
        first, last = np.floor(crop[axis]), np.ceil(crop[axis + 2])
        pixels = np.arange(max(first, 0), min(last, frame[axis]))
        inside = np.minimum(pixels + 1, crop[axis + 2]) - np.maximum(pixels, crop[axis])
        spans.append(slice(int(pixels[0]), int(pixels[-1]) + 1))
        parts.append(np.clip(inside, 0, 1))
    return *spans, np.outer(*parts)
