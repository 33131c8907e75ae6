"""Which pixels of a photograph an annotation covers: polygons, run lengths, panoptic PNGs."""

import numpy as np

from recon.core import errors
from recon.data.formats import files


def fill(polygons, height: int, width: int) -> np.ndarray:
    """Pixels whose centre lies in one of the polygons (even-odd within each).

    Args:
      polygons: lists of x0, y0, x1, y1, ... in pixels, origin at the top left corner.
      height: of the photograph.
      width: of the photograph.

    Returns:
      [height width] bool. pycocotools rounds an outline otherwise: pixels on it may differ.
    """
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        mask |= _fill_one(points, height, width)
    return mask


def _fill_one(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """A row's pixels are inside after an odd number of crossings of the row's middle."""
    flips = np.zeros((height, width + 1), np.int32)
    (x0, y0), (x1, y1) = points.T, np.roll(points, -1, axis=0).T
    top = np.clip(np.ceil(np.minimum(y0, y1) - 0.5), 0, height).astype(int)
    end = np.clip(np.ceil(np.maximum(y0, y1) - 0.5), 0, height).astype(int)
    count = end - top  # rows whose middle each edge crosses
    edge = np.repeat(np.arange(len(points)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + top[edge]
    slope = (row + 0.5 - y0[edge]) / (y1 - y0)[edge]
    x = x0[edge] + slope * (x1 - x0)[edge]
    np.add.at(flips, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(int)), 1)
    return (np.cumsum(flips, 1)[:, :width] & 1).astype(bool)


def run_lengths(counts, height: int, width: int, where='') -> np.ndarray:
    """Run lengths down the columns, zeros first -> [height width] bool.

    Args:
      counts: numbers, or pycocotools' compressed text.
      height: of the photograph.
      width: of the photograph.
      where: for the message.

    Raises:
      DataInvalid: they do not add up to the photograph.
    """
    counts = np.asarray(_unpacked(counts) if isinstance(counts, str | bytes) else counts, np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise errors.DataInvalid(
            f'run lengths add up to {counts.sum()}, wanted {height} x {width}',
            where,
            'fetch the annotations again',
        )
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def _unpacked(text) -> list[int]:
    """Compressed run lengths: five bits a character, low first; from the third on, differences."""
    codes = text.encode() if isinstance(text, str) else text
    counts, value, shift = [], 0, 0
    for code in codes:
        bits = code - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value, shift = 0, 0
    return counts


def segments(path, shape: tuple[int, int]) -> np.ndarray:
    """A panoptic PNG as segment ids, [h w] uint32: R + 256 G + 65536 B; 0 is no segment.

    Raises:
      DataMissing: no such file.  DataInvalid: cannot be read, or not of `shape`.
    """
    picture = files.picture(path)
    if picture.shape[:2] != tuple(shape):
        (h, w), (height, width) = picture.shape[:2], shape
        raise errors.DataInvalid(
            f'{h} x {w} pixels, the JSON says {height} x {width}',
            path,
            'the PNG and the JSON must be of one release: fetch both again',
        )
    wide = np.empty((*picture.shape[:2], 4), np.uint8)
    wide[..., :3], wide[..., 3] = picture, 0
    return wide.view('<u4')[..., 0]


def outline(mask: np.ndarray) -> list[np.ndarray]:
    """Polygons along the pixels' edges around each part of `mask`, holes filled.

    Args:
      mask: [h w] bool.

    Returns:
      [k 2] float64 of x, y for each part, largest first; `fill` gives the mask back, but for holes.
    """
    padded = np.pad(mask, 1)
    following = {}  # corner -> corners, with the mask on the right
    for dy, dx, start, end in (
        (-1, 0, (0, 0), (0, 1)), (0, 1, (0, 1), (1, 1)),
        (1, 0, (1, 1), (1, 0)), (0, -1, (1, 0), (0, 0)),
    ):  # fmt: skip
        beside = padded[1 + dy : 1 + dy + mask.shape[0], 1 + dx : 1 + dx + mask.shape[1]]
        for y, x in np.argwhere(mask & ~beside).tolist():
            following.setdefault((x + start[1], y + start[0]), []).append((x + end[1], y + end[0]))
    parts = []
    while following:
        first = corner = next(iter(following))
        loop = []
        while True:
            loop.append(corner)
            ends = following[corner]
            corner = ends.pop()
            if not ends:
                del following[loop[-1]]
            if corner == first:
                break
        points = np.array(loop, np.float64)
        ahead = np.roll(points, -1, axis=0)
        area = (points[:, 0] * ahead[:, 1] - ahead[:, 0] * points[:, 1]).sum() / 2
        turns = ((ahead - points) != (points - np.roll(points, 1, axis=0))).any(1)
        if area > 0:  # a hole runs the other way
            parts.append((area, points[turns]))
    return [points for _, points in sorted(parts, key=lambda part: -part[0])]
