"""The COCO photographs that simulated scenes were cut from, and their annotations."""

import numpy as np

from recon.data.simulator import scenes as drawing

# Width and height, as common in COCO; the crop is a square of the shorter side, or of less.
_FRAMES = (
    (640, 480), (640, 427), (640, 426), (500, 375), (640, 361),
    (480, 640), (427, 640), (375, 500), (640, 640),
)  # fmt: skip
_BOTH = 0.15  # share of pictures that are cut on both axes
_VAL = 0.06  # share in val2017; held-out scenes are all in train2017, as NSD's shared ones are
_IDS = (7919, 580_000)  # step and range of COCO's ids: coprime, so that no two scenes share one


def originals(n: int, seed: int) -> dict[str, np.ndarray]:
    """Which photograph each of the scenes 0 .. n - 1 was cut from, and how.

    A row depends on (seed, id) alone, not on n.

    Returns:
      cocoId [n] int64, distinct; cocoSplit [n] <U9; cropBox [n 4] float64 (top, bottom, left,
      right), shares of the height and the width that are cut away, some by half a pixel; width and
      height [n] int64, of the photograph in pixels.
    """
    ids = np.arange(n)
    u = np.array([np.random.default_rng((62, seed, i)).random(5) for i in range(n)]).reshape(n, 5)
    frame = np.array(_FRAMES)[(u[:, 0] * len(_FRAMES)).astype(int)]  # [n 2]
    short = frame.min(1)
    side = np.where(u[:, 1] < _BOTH, short - 2 * (10 + (u[:, 1] / _BOTH * 40).astype(int)), short)
    cut = frame - side[:, None]  # [n 2], pixels of x, of y
    # A third each: all at one end, in the middle (half a pixel where odd), anywhere.
    share = np.select([u[:, 2] < 0.33, u[:, 2] < 0.67], [np.round(u[:, 3]), 0.5], 2)
    before = np.where(share[:, None] > 1, np.floor(cut * u[:, 3:4]), cut * share[:, None])
    first, last = before / frame, (cut - before) / frame
    return {
        'cocoId': 1 + (ids * _IDS[0] + 130_000 + 1_000 * seed) % _IDS[1],
        'cocoSplit': np.where((u[:, 4] < _VAL) & ~drawing.held_out(ids), 'val2017', 'train2017'),
        'cropBox': np.stack([first[:, 1], last[:, 1], first[:, 0], last[:, 0]], 1),
        'width': frame[:, 0],
        'height': frame[:, 1],
    }
