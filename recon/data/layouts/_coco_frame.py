"""A simulated photograph: a scene in its crop, and what the crop leaves out around it."""

import dataclasses

import numpy as np

from recon.data.simulator import backgrounds, painting, shapes
from recon.data.simulator import scenes as drawing

# What is seen in scenes -> COCO's nearest panoptic category. COCO knows no faces, hands, words,
# letters, fish or stars: those are our choice.
OBJECTS = {
    'face': 'person', 'cat': 'cat', 'person': 'person', 'hand': 'person',
    'house': 'house', 'tower': 'building-other-merged', 'word': 'banner', 'letter': 'paper-merged',
    'tree': 'tree-merged', 'flower': 'flower', 'car': 'car', 'cup': 'cup',
    'bird': 'bird', 'fish': 'food-other-merged', 'ball': 'sports ball', 'star': 'kite',
}  # fmt: skip
SKIES = dict.fromkeys(backgrounds.SKIES, 'sky-other-merged') | {
    'a cream wall': 'wall-other-merged',
    'a rose wall': 'wall-brick',
    'a teal wall': 'wall-tile',
}
GROUNDS = {
    'grass': 'grass-merged', 'sand': 'sand', 'snow': 'snow', 'water': 'water-other',
    'earth': 'dirt-merged', 'asphalt': 'road', 'a wooden floor': 'floor-wood',
    'a lilac carpet': 'rug-merged',
}  # fmt: skip
# What stands beside the crop; none of it is in any scene, so a score shows whether one has cropped.
BESIDE = ('dog', 'bicycle', 'chair', 'bench', 'umbrella', 'clock', 'fence-merged')

_GRID = 128  # cells across a scene at which its outlines are drawn
_CROWD = 0.12  # share of margins with a crowd of people
_DRAWS = 128  # uniform numbers of a scene, see simulator.scenes


@dataclasses.dataclass(frozen=True)
class Segment:
    """One thing, or all stuff of a kind: its category's name, whether it is a crowd, [h w] bool."""

    name: str
    crowd: bool
    mask: np.ndarray


def photograph(image_id: int, place, seed: int, frame, crop, things) -> list[Segment]:
    """What is seen where in the photograph of a scene; parts do not overlap, some pixels are void.

    The scene fills the crop. Sky and ground go on beyond it; things that touch its edge reach over
    it; in each margin there may be something else, or a crowd.

    Args:
      image_id: of the scene.
      place: [2], its sky and its ground.
      seed: of the scenes.
      frame: (width, height) in pixels.
      crop: (left, top, right, bottom) in pixels, square, possibly at half pixels.
      things: names of the categories that are things.
    """
    width, height = frame
    rng = np.random.default_rng((63, seed, image_id))
    u = np.random.default_rng((drawing.SCENES_VERSION, seed, image_id)).random(_DRAWS)
    x = (np.arange(width) + 0.5 - crop[0]) / (crop[2] - crop[0])  # 0 to 1 inside the crop
    y = (np.arange(height) + 0.5 - crop[1]) / (crop[3] - crop[1])
    horizon = 0.25 + 0.55 * u[66] + 0.07 * u[67] * np.sin(2 * np.pi * (x * 1.5 + u[68]))
    below = y[:, None] > horizon
    sky = SKIES[tuple(backgrounds.SKIES)[place[0]]]
    ground = GROUNDS[tuple(backgrounds.GROUNDS)[place[1]]]
    parts = [Segment(sky, False, ~below), Segment(ground, False, below)]
    inside = (x >= 0) & (x < 1), (y >= 0) & (y < 1)
    cells = [np.floor(np.clip(axis, 0, 1 - 1e-9) * _GRID).astype(int) for axis in (y, x)]
    for category, shown in _outlines(image_id, seed, u):
        mask = shown[np.ix_(*cells)] * (inside[1][:, None] & inside[0])
        name = OBJECTS[shapes.CATEGORIES[category]]
        solid = mask > 0.5
        if name in things:
            solid |= _beyond(solid, inside, rng)
        parts = _over(parts, Segment(name, False, solid), void=(mask > 0.1) & (mask <= 0.5))
    for window in _margins(inside):
        parts = _beside(parts, window, (height, width), rng)
    return _merged([part for part in parts if part.mask.any()], things)


def _outlines(image_id: int, seed: int, u: np.ndarray):
    """(category, [128 128] share of each cell in which the object is seen), back to front."""
    plan = drawing._plan(u[None, :64], drawing.held_out([image_id]))
    count = drawing.MAX_OBJECTS
    contents = np.zeros((len(shapes.CATEGORIES), _GRID, _GRID), np.float32)
    # With cells as small as pixels, `contents` is the object itself.
    painting.paint(
        0,
        plan,
        np.zeros((_GRID, _GRID, 3), np.float32),
        np.zeros((count, 4), np.float32),
        np.zeros((count, 2), np.float32),
        contents,
        np.eye(_GRID, dtype=np.float32),
    )
    return [(k, contents[k]) for k in plan['category'][0, ::-1] if k >= 0]


def _beyond(mask: np.ndarray, inside, rng) -> np.ndarray:
    """How an object that touches an edge of the crop goes on outside: up to 40 pixels."""
    more = np.zeros_like(mask)
    for axis in (0, 1):
        across, grown = (mask.T, more.T) if axis else (mask, more)
        within = np.flatnonzero(inside[1 - axis])
        for edge, step in ((within[0], -1), (within[-1], 1)):
            reach = int(rng.integers(10, 40))
            rows = np.arange(edge + step, edge + step * (reach + 1), step)
            rows = rows[(rows >= 0) & (rows < len(across))]
            grown[rows] |= across[edge]
    return more


def _margins(inside) -> list[tuple[slice, slice]]:
    """The strips outside the crop that are at least 24 pixels wide, as [rows, columns]."""
    found = []
    for axis in (0, 1):
        within = np.flatnonzero(inside[axis])
        size = len(inside[axis])
        for strip in (slice(0, within[0]), slice(within[-1] + 1, size)):
            if strip.stop - strip.start >= 24:
                found.append((slice(None), strip) if axis == 0 else (strip, slice(None)))
    return found


def _beside(parts, window, shape, rng) -> list[Segment]:
    """Puts an oval thing (most often), a crowd, or nothing into a margin."""
    mask = np.zeros(shape, bool)
    view = mask[window]
    h, w = view.shape
    draw, place = rng.random(), rng.random(2)
    if draw < _CROWD:
        view[h // 2 :, ::3] = True
        return _over(parts, Segment('person', True, mask))
    if draw < 0.8:
        ry, rx = 0.42 * min(h, 1.5 * w), 0.42 * min(w, 1.5 * h)
        cy, cx = ry + place[0] * (h - 2 * ry), rx + place[1] * (w - 2 * rx)
        rows, cols = np.ogrid[:h, :w]
        view[((rows - cy) / ry) ** 2 + ((cols - cx) / rx) ** 2 < 1] = True
        parts = _over(parts, Segment(BESIDE[rng.integers(len(BESIDE))], False, mask))
    return parts


def _over(parts, top: Segment, void=False) -> list[Segment]:
    hidden = top.mask | void
    return [dataclasses.replace(part, mask=part.mask & ~hidden) for part in parts] + [top]


def _merged(parts, things) -> list[Segment]:
    """Stuff of one kind is one segment, as in COCO."""
    out = {}
    for k, part in enumerate(parts):
        key = k if part.name in things else part.name
        out[key] = dataclasses.replace(part, mask=out[key].mask | part.mask) if key in out else part
    return list(out.values())
