"""What the voxels of each area are like, and the drawing of one subject's."""

import dataclasses

import numpy as np

from recon.data.simulator import areas, channels, scenes

FINE = ('V1', 'V2', 'V3', 'hV4', 'V3A')  # areas that see the fine grid; the others the coarse one
SILENT = 0.12  # of the voxels within areas carry nothing, beside all those around them


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the voxels of an area are like.

    Attributes:
      ceiling: median single-trial noise ceiling, r squared.
      size: of receptive fields, (sigma at the centre, growth per degree), in degrees.
      opponent: mean share of the colour-opponent channels in what is seen.
      category: mean share of categories; 0 for early areas, on the fine grid.
      likes: {category: strength}; None likes a few at random, for each voxel others.
    """

    ceiling: float
    size: tuple[float, float]
    opponent: float = 0.3
    category: float = 0.0
    likes: dict | None = None


_FACES = {'face': 1.0, 'cat': 0.5, 'person': 0.25}
_BODIES = {'person': 1.0, 'hand': 0.8, 'cat': 0.3, 'bird': 0.2}
_PLACES_LIKED = {'house': 1.0, 'tower': 0.9, 'tree': 0.35, 'car': 0.15}
_WORDS = {'word': 1.0, 'letter': 0.8}
_ALL = dict.fromkeys(scenes.CATEGORIES, 1.0)
KINDS = {
    'V1': Kind(0.22, (0.35, 0.10), opponent=0.30),
    'V2': Kind(0.20, (0.50, 0.15), opponent=0.30),
    'V3': Kind(0.18, (0.70, 0.20), opponent=0.30),
    'hV4': Kind(0.16, (1.00, 0.28), opponent=0.50),
    'V3A': Kind(0.13, (1.10, 0.30), opponent=0.20),
    'VO': Kind(0.14, (1.50, 0.30), opponent=0.65, category=0.15),
    'MT': Kind(0.12, (1.60, 0.40), opponent=0.15),
    'LO': Kind(0.16, (1.60, 0.35), category=0.75),
    'IPS': Kind(0.10, (1.80, 0.40), opponent=0.2, category=0.6, likes=_ALL),
    'OFA': Kind(0.15, (1.50, 0.30), category=0.75, likes=_FACES),
    'FFA': Kind(0.17, (2.20, 0.30), category=0.85, likes=_FACES),
    'EBA': Kind(0.17, (2.00, 0.30), category=0.80, likes=_BODIES),
    'FBA': Kind(0.14, (2.20, 0.30), category=0.85, likes=_BODIES),
    'OPA': Kind(0.14, (2.00, 0.30), category=0.70, likes=_PLACES_LIKED),
    'PPA': Kind(0.17, (2.40, 0.30), category=0.80, likes=_PLACES_LIKED),
    'RSC': Kind(0.12, (2.80, 0.30), category=0.75, likes=_PLACES_LIKED),
    'VWFA': Kind(0.14, (1.80, 0.30), category=0.85, likes=_WORDS),
}


def place(rng: np.random.Generator, voxels: int) -> dict:
    """Voxels over the atlas in proportion to its patches; vertices twice only if they run out."""
    atlas = areas.atlas()
    groups = [
        np.stack([np.full(len(at), side), at], 1)
        for side in (0, 1)
        for index in range(-1, len(areas.NAMES))
        for at in [np.flatnonzero(atlas.area[side] == index)]
    ]
    shares = np.array([len(group) for group in groups])
    edges = np.round(np.cumsum(shares) / shares.sum() * voxels).astype(int)
    chosen = []
    for group, count in zip(groups, np.diff([0, *edges]), strict=True):
        laps = [rng.permutation(len(group)) for _ in range(-(-count // len(group)))]
        chosen.append(group[np.sort(np.concatenate([np.array([], int), *laps])[:count])])
    side, vertex = np.concatenate(chosen).T
    area = atlas.area[side, vertex]
    return {
        'area': area,
        'hemisphere': side.astype(np.int8),
        'vertex': vertex.astype(np.int32),
        'xyz': atlas.xyz[side, vertex],
        'carries': (area >= 0) & (rng.random(voxels) >= SILENT),
    }


def receptive(rng: np.random.Generator, fields: dict) -> dict:
    """Receptive fields [v]: the atlas' smooth map, scattered; sizes grow with eccentricity."""
    atlas = areas.atlas()
    side, vertex = fields['hemisphere'], fields['vertex']
    x, y = atlas.x[side, vertex], atlas.y[side, vertex]
    at_centre, growth = np.array([kind.size for kind in kinds_of(fields['area'])]).T
    size = at_centre + growth * np.hypot(x, y)
    scatter, widths = rng.standard_normal((2, len(x))), rng.standard_normal(len(x))
    low, high = np.where(np.isin(fields['area'], _index(FINE)), [[0.45], [0.75]], [[0.4], [0.6]])
    exponent = low + (high - low) * rng.random(len(x))
    silent = ~fields['carries']
    drawn = {
        'x': x + 0.3 * size * scatter[0],
        'y': y + 0.3 * size * scatter[1],
        'size': size * np.exp(0.2 * widths),
        'exponent': exponent,
    }
    return {k: np.where(silent, np.nan, value).astype(np.float32) for k, value in drawn.items()}


def tuned(rng: np.random.Generator, fields: dict) -> dict:
    """Weights of channels [v 18] and of categories [v 16]; they sum to 1 in each voxel."""
    v = len(fields['area'])
    kinds = kinds_of(fields['area'])
    share = np.array([kind.category for kind in kinds])
    share = share * np.where(share > 0, np.exp(0.1 * rng.standard_normal(v)), 0)
    share = share.clip(max=0.95)
    opponent = np.array([kind.opponent for kind in kinds])
    opponent = rng.beta(5 * opponent, 5 * (1 - opponent))[:, None]
    weights = np.concatenate(
        [(1 - opponent) * _energies(rng, fields), opponent * _opponents(rng, fields['area'])], 1
    )
    weights *= (1 - share)[:, None] * fields['carries'][:, None]
    likes = share[:, None] * _likes(rng, kinds) * fields['carries'][:, None]
    return {'channels': weights.astype(np.float32), 'categories': likes.astype(np.float32)}


def kinds_of(area: np.ndarray) -> list[Kind]:
    """The Kind of each voxel, given its area's index; what lies outside gets V1's, unused."""
    by_area = [KINDS[_stem(name)] for name in areas.NAMES]
    return [by_area[max(i, 0)] for i in area]


def fine(area: np.ndarray) -> np.ndarray:
    """[v] bool: whether a voxel's area sees the fine grid."""
    return np.isin(area, _index(FINE))


def _stem(name: str) -> str:
    """'V1v' -> 'V1', 'FFA-2' -> 'FFA'."""
    stem = name.split('-')[0]
    return stem if stem in KINDS else stem[:-1]


def _index(stems) -> list[int]:
    return [i for i, name in enumerate(areas.NAMES) if _stem(name) in stems]


def _energies(rng: np.random.Generator, fields: dict) -> np.ndarray:
    """[v 12], sum 1: weakly tuned to orientation, finer wavelengths towards the fovea."""
    v = len(fields['area'])
    angles = np.pi * np.arange(channels.ORIENTATIONS) / channels.ORIENTATIONS
    preferred, strength = np.pi * rng.random((v, 1)), rng.gamma(2, 0.5, (v, 1))
    orientation = np.exp(strength * np.cos(2 * (angles - preferred)))
    x, y, size = (np.nan_to_num(fields[key], nan=1) for key in ('x', 'y', 'size'))
    best = np.clip(0.25 * np.hypot(x, y) + 0.4 * (size - 0.5), 0, 2) + 0.5 * rng.standard_normal(v)
    scale = np.exp(-((np.arange(len(channels.WAVELENGTHS)) - best[:, None]) ** 2) / 1.2)
    both = (scale[:, :, None] * orientation[:, None]).reshape(v, -1)
    return both / both.sum(1, keepdims=True)


def _opponents(rng: np.random.Generator, area: np.ndarray) -> np.ndarray:
    """[v 6], sum 1: each voxel its own mixture; hV4 and VO care more for colour than for light."""
    colourful = np.isin(area, _index(('hV4', 'VO')))[:, None]
    usual = np.where(colourful, [0.5, 0.5, 1.2, 1.2, 1, 1], [1.2, 1.2, 0.8, 0.8, 0.7, 0.7])
    weights = usual * np.exp(1.0 * rng.standard_normal((len(area), len(channels.OPPONENTS))))
    return weights / weights.sum(1, keepdims=True)


def _likes(rng: np.random.Generator, kinds: list[Kind]) -> np.ndarray:
    """[v 16], sum 1: the area's categories, each voxel with other strengths, and a few strays."""
    shape = (len(kinds), len(scenes.CATEGORIES))
    spread = np.exp(0.5 * rng.standard_normal(shape))
    random = rng.gamma(0.25, 1, shape)  # a few strong ones
    stray = 0.04 * rng.random(shape)
    named = np.array(
        [[(kind.likes or {}).get(name, 0.0) for name in scenes.CATEGORIES] for kind in kinds]
    )
    anyone = np.array([kind.likes is None for kind in kinds])[:, None]
    weights = np.where(anyone, random, named * spread) + stray
    return weights / weights.sum(1, keepdims=True)
