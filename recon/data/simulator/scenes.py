"""Procedural colour scenes: sky, ground, textures, and one to four objects that overlap.

A picture is a pure function of (scenes_version, seed, image id, size in pixels); at another size it
is the same scene. Every tenth id is a test picture (`held_out`), and only test pictures show the
category-colour pairs of UNSEEN.
"""

import dataclasses

import numpy as np

from recon.core import errors, image
from recon.data.simulator import backgrounds, painting, shapes

SCENES_VERSION = 1
CATEGORIES = shapes.CATEGORIES
COLOURS = shapes.COLOURS
SIZES = {'small': 0.25, 'medium': 0.38, 'large': 0.56}  # height over the picture's height
POSITIONS = (
    'top left', 'top', 'top right', 'left', 'centre', 'right',
    'bottom left', 'bottom', 'bottom right',
)  # fmt: skip
MAX_OBJECTS = 4
MAP = 8  # contents are kept on a grid of MAP x MAP
VISIBLE = 0.25  # an object of which less is seen is neither labelled nor named

# Each category with the colour that it has in test pictures alone.
UNSEEN = tuple(
    (category, tuple(COLOURS)[(3 * i + 1) % len(COLOURS)]) for i, category in enumerate(CATEGORIES)
)

_CHUNK = 128  # pictures at once
_DRAWS = 128  # uniform numbers a picture; the first 64 are the objects', the rest the background's
_COUNTS = np.cumsum((0.25, 0.30, 0.25))  # share of pictures with 1, 2, 3 objects; the rest has 4
_JITTERS = (0.93, 1.07)  # of an object's height


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Pictures, and what is in them. Object 0 is the main one: in front, and none is larger.

    Attributes:
      ids: [m] int64.
      images: [m h w 3] uint8.
      category, colour, size, position: [m 4] int8, index into CATEGORIES, COLOURS, SIZES and
        POSITIONS; -1 where a picture has fewer objects.
      box: [m 4 4] float32, top, left, bottom, right as fractions of the picture; 0 where absent.
      coverage: [m 4] float32, fraction of the picture in which the object is seen.
      visible: [m 4] float32, fraction of the object that is seen.
      place: [m 2] int8, index into backgrounds.SKIES and backgrounds.GROUNDS.
      contents: [m 16 8 8] float32, coverage of each cell of the picture by each category.
    """

    ids: np.ndarray
    images: np.ndarray
    category: np.ndarray
    colour: np.ndarray
    size: np.ndarray
    position: np.ndarray
    box: np.ndarray
    coverage: np.ndarray
    visible: np.ndarray
    place: np.ndarray
    contents: np.ndarray


def held_out(ids) -> np.ndarray:
    """[m] bool: whether each id is a test picture, never to be trained on (every tenth)."""
    return np.asarray(ids) % 10 == 9


def choose(n: int, test: bool, rng: np.random.Generator, below: int = 73_000) -> np.ndarray:
    """`n` distinct ids under `below`, drawn among the test pictures or among the others, ascending.

    Raises:
      ConfigError: there are not so many.
    """
    pool = np.arange(below)
    pool = pool[held_out(pool) == test]
    if not 0 <= n <= len(pool):
        kind = 'test' if test else 'training'
        raise errors.ConfigError(
            f'{n} {kind} pictures asked for', 'scenes.choose', f'0 to {len(pool)} exist'
        )
    return np.sort(rng.choice(pool, n, replace=False))


def draw(ids, size: int = 64, seed: int = 0, version: int = SCENES_VERSION) -> Scenes:
    """Draws the scenes `ids` at `size` x `size` pixels.

    Args:
      ids: [m] int >= 0.
      size: pixels on a side, at least 16.
      seed: another seed, other scenes.
      version: of the scenes; 1 is the only one.

    Raises:
      ConfigError: a version that does not exist, or a size under 16.
    """
    if version != SCENES_VERSION:
        raise errors.ConfigError(
            f'scenes_version is {version!r}',
            'scenes.draw',
            f'versions that exist: {SCENES_VERSION}',
        )
    if size < 16:
        raise errors.ConfigError(f'size is {size!r}', 'scenes.draw', 'at least 16 pixels')
    ids = np.asarray(ids, np.int64).reshape(-1)
    u = np.array(
        [np.random.default_rng((version, seed, i)).random(_DRAWS) for i in ids.tolist()]
    ).reshape(-1, _DRAWS)
    plan = _plan(u[:, :64], held_out(ids))
    m = len(ids)
    images, place = np.empty((m, size, size, 3), np.uint8), np.empty((m, 2), np.int8)
    box = np.zeros((m, MAX_OBJECTS, 4), np.float32)
    seen = np.zeros((m, MAX_OBJECTS, 2), np.float32)
    contents = np.zeros((m, len(CATEGORIES), MAP, MAP), np.float32)
    pool = painting.pooling(size, MAP)
    for start in range(0, m, _CHUNK):
        rows = slice(start, start + _CHUNK)
        canvas, place[rows] = backgrounds.draw(u[rows, 64:], size)
        for i, picture in enumerate(canvas, start):
            painting.paint(i, plan, picture, box[i], seen[i], contents[i], pool)
        images[rows] = image.to_uint8(canvas)
    keep = ('category', 'colour', 'size', 'position')
    return Scenes(
        ids,
        images,
        **{key: plan[key].astype(np.int8) for key in keep},
        box=box,
        coverage=seen[..., 0],
        visible=seen[..., 1],
        place=place,
        contents=contents,
    )


def labels(scenes: Scenes) -> np.ndarray:
    """[m 16] uint8: 1 where a category is to be seen (at least a quarter of an object of it)."""
    out = np.zeros((len(scenes.ids), len(CATEGORIES)), np.uint8)
    rows, k = np.nonzero((scenes.category >= 0) & (scenes.visible >= VISIBLE))
    out[rows, scenes.category[rows, k]] = 1
    return out


def coverages(scenes: Scenes) -> np.ndarray:
    """[m 16] float32: share of the picture in which each category is seen."""
    out = np.zeros((len(scenes.ids), len(CATEGORIES)), np.float32)
    rows, k = np.nonzero(scenes.category >= 0)
    np.add.at(out, (rows, scenes.category[rows, k]), scenes.coverage[rows, k])
    return out


def has_unseen(scenes: Scenes) -> np.ndarray:
    """[m] bool: whether a picture shows a category-colour pair of UNSEEN."""
    colour = np.array([tuple(COLOURS).index(colour) for _, colour in UNSEEN])
    present = scenes.category >= 0
    return (present & (scenes.colour == colour[scenes.category])).any(1)


def captions(scenes: Scenes) -> list[str]:
    """One sentence a picture: the main object first, then the others that are seen, then the place.

    For example 'a large red house at the centre and a small blue ball at the top left, a night sky
    over sand'.
    """
    colours, sizes = tuple(COLOURS), tuple(SIZES)
    out = []
    for i in range(len(scenes.ids)):
        things = [
            f'a {sizes[scenes.size[i, k]]} {colours[scenes.colour[i, k]]} '
            f'{CATEGORIES[scenes.category[i, k]]} at the {POSITIONS[scenes.position[i, k]]}'
            for k in range(MAX_OBJECTS)
            if scenes.category[i, k] >= 0 and scenes.visible[i, k] >= VISIBLE
        ]
        listed = ' and '.join([', '.join(things[:-1]), things[-1]] if things[1:] else things)
        out.append(f'{listed}, {backgrounds.describe(scenes.place[i])}')
    return out


def _plan(u: np.ndarray, test: np.ndarray) -> dict:
    """What stands where, from uniform numbers [m 64]: arrays [m 4], absent objects -1."""
    k = MAX_OBJECTS
    count = 1 + np.searchsorted(_COUNTS, u[:, 0], side='right')
    absent = np.arange(k) >= count[:, None]
    category = np.argsort(u[:, 1:17], 1)[:, :k]  # distinct within a picture
    position = np.argsort(u[:, 17:26], 1)[:, :k]
    # One colour of each category is left out, but not in test pictures.
    colours = len(COLOURS)
    left_out = np.array([tuple(COLOURS).index(colour) for _, colour in UNSEEN])[category]
    among = (u[:, 26:30] * np.where(test, colours, colours - 1)[:, None]).astype(int)
    colour = among + (~test[:, None] & (among >= left_out))
    largest = (u[:, 30] * 3).astype(int)
    size = np.minimum((u[:, 31:35] * (largest[:, None] + 1)).astype(int), largest[:, None])
    size[:, 0] = largest
    plan = {'category': category, 'colour': colour, 'size': size, 'position': position}
    plan = {key: np.where(absent, -1, value) for key, value in plan.items()}
    jitter = np.array(_JITTERS)[(u[:, 35:39] * 2).astype(int)]
    jitter[:, 1:] = np.where(size[:, 1:] == largest[:, None], jitter[:, 1:].clip(max=jitter[:, :1]),
                             jitter[:, 1:])  # fmt: skip
    plan['height'] = np.array(list(SIZES.values()))[size] * jitter
    plan['stretch'] = (u[:, 39:43] * len(shapes.STRETCHES)).astype(int)
    plan['mirror'] = u[:, 43:47] < 0.5
    plan['variant'] = (u[:, 47:51] * shapes.VARIANTS).astype(int)
    rows, cols = np.divmod(position, 3)
    shift = 0.12 * (u[:, 51:59].reshape(-1, 2, k) - 0.5)
    plan['y'] = 0.2 + 0.3 * rows + shift[:, 0]
    plan['x'] = 0.2 + 0.3 * cols + shift[:, 1]
    plan['tint'] = 0.92 + 0.14 * u[:, 59:63]
    return plan
