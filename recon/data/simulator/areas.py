"""Where things lie: visual areas as patches of fsaverage5, and the visual field on them.

V1, V2 and V3 are strips along the calcarine sulcus on the sphere, foveal at the occipital pole and
mirrored at each border, as in the banded models of Schira et al. 2010 and Benson et al. 2014, much
simplified. The other areas are grown from a seed near their usual place (mm, MNI) over the mesh.
The atlas is the same for every subject; what differs between subjects is in brain.py.
"""

import dataclasses
import functools

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

HEMISPHERES = ('left', 'right')
FIELD = 4.2  # degrees from the centre of the picture to its edge, as in NSD

_POLE = (24, -99, -6)  # foveal confluence; x is mirrored for the left hemisphere
_CALCARINE = (13, -64, 6)  # anterior end of the simulated part
_CUNEUS = (10, -90, 25)  # above the calcarine: tells up from down
_LENGTH = 0.72  # of the strips along the calcarine, radian on the sphere
_WIDTHS = {'V1': 0.22, 'V2': 0.145, 'V3': 0.115, 'hV4': 0.22}  # of a strip; V1: half of it


@dataclasses.dataclass(frozen=True)
class Area:
    """One grown area: its seed in mm (right hemisphere) and vertices in the left and the right."""

    seed: tuple[float, float, float]
    left: int
    right: int


# In the order of growing: what comes first takes its place first.
GROWN = {
    'VWFA-1': Area((44, -66, -16), 36, 14),
    'VWFA-2': Area((43, -53, -18), 34, 10),
    'FFA-1': Area((38, -66, -20), 32, 44),
    'FFA-2': Area((40, -49, -22), 32, 44),
    'OFA': Area((40, -80, -14), 36, 46),
    'VO': Area((26, -62, -10), 50, 50),
    'PPA': Area((27, -46, -10), 78, 78),
    'FBA-1': Area((46, -58, -16), 28, 32),
    'FBA-2': Area((44, -42, -20), 24, 28),
    'EBA': Area((48, -72, 6), 92, 96),
    'MT': Area((46, -62, 4), 40, 40),
    'LO': Area((38, -86, 2), 130, 130),
    'OPA': Area((34, -80, 22), 60, 60),
    'RSC': Area((14, -54, 12), 54, 54),
    'V3A': Area((20, -88, 24), 56, 56),
    'IPS': Area((26, -68, 44), 90, 90),
}
STRIPS = ('V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d', 'hV4')
NAMES = (*STRIPS, *GROWN)
UNIONS = {
    'V1': ('V1v', 'V1d'),
    'V2': ('V2v', 'V2d'),
    'V3': ('V3v', 'V3d'),
    'FFA': ('FFA-1', 'FFA-2'),
    'FBA': ('FBA-1', 'FBA-2'),
    'VWFA': ('VWFA-1', 'VWFA-2'),
}
_SURROUND = 600  # vertices a hemisphere that lie around the areas and belong to none


@dataclasses.dataclass(frozen=True)
class Atlas:
    """Both hemispheres, fsaverage5's 10,242 vertices each; the first axis is left, right.

    Attributes:
      area: [2 10242] int8, index into NAMES; -1 around the areas, -2 the rest of the cortex.
      xyz: [2 10242 3] float32 mm, halfway between white matter and pial surface.
      x, y: [2 10242] float32 degrees, the place in the visual field that a vertex stands for, x to
        the right and y up from the centre; NaN outside the areas.
      neighbours: two sparse [10242 10242] matrices, edge lengths in mm.
    """

    area: np.ndarray
    xyz: np.ndarray
    x: np.ndarray
    y: np.ndarray
    neighbours: tuple


@functools.lru_cache(maxsize=1)
def atlas() -> Atlas:
    """The areas on fsaverage5, from the surface files that nilearn carries (nothing is fetched)."""
    sides = [_hemisphere(name) for name in HEMISPHERES]
    area, xyz, x, y, neighbours = zip(*sides, strict=True)
    return Atlas(np.stack(area), np.stack(xyz), np.stack(x), np.stack(y), neighbours)


def region(names, area: np.ndarray) -> np.ndarray:
    """Bool, shape of `area`: where it is one of `names` (areas or UNIONS)."""
    names = [names] if isinstance(names, str) else names
    parts = [part for name in names for part in UNIONS.get(name, (name,))]
    return np.isin(area, [NAMES.index(part) for part in parts])


def _hemisphere(name: str) -> tuple:
    from nilearn import datasets, surface  # two seconds, and only who simulates pays them

    files = datasets.fetch_surf_fsaverage('fsaverage5')
    mesh = {kind: surface.load_surf_mesh(files[f'{kind}_{name}']) for kind in _SURFACES}
    xyz = (mesh['pial'].coordinates + mesh['white'].coordinates) / 2
    sphere = (
        mesh['sphere'].coordinates / np.linalg.norm(mesh['sphere'].coordinates, axis=1)[:, None]
    )
    neighbours = _graph(np.asarray(mesh['white'].faces), xyz)
    side = -1 if name == 'left' else 1
    area, x, y = _strips(xyz, sphere, side)
    area = _largest_pieces(area, neighbours)
    _grow(area, xyz, neighbours, name, side)
    for label in GROWN:
        patch = area == NAMES.index(label)
        x[patch], y[patch] = _field(sphere[patch], xyz[patch])
    outside = area < 0
    x[outside] = y[outside] = np.nan
    return area.astype(np.int8), xyz.astype(np.float32), side * x, y, neighbours


_SURFACES = ('pial', 'white', 'sphere')


def _graph(faces: np.ndarray, xyz: np.ndarray) -> sparse.csr_matrix:
    """Edges of the mesh with their lengths, both ways."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    a, b = np.concatenate([a, b]), np.concatenate([b, a])
    edges = np.unique(np.stack([a, b]), axis=1)
    length = np.linalg.norm(xyz[edges[0]] - xyz[edges[1]], axis=1)
    return sparse.csr_matrix((length, (edges[0], edges[1])), shape=(len(xyz),) * 2)


def _nearest(xyz: np.ndarray, point, side: int) -> int:
    return int(np.argmin(((xyz - np.array(point) * (side, 1, 1)) ** 2).sum(1)))


def _strips(xyz: np.ndarray, sphere: np.ndarray, side: int) -> tuple:
    """V1 to hV4: area [n] (-2 elsewhere), and x, y as if the field were to the left (x <= 0)."""
    pole, calcarine, cuneus = (
        sphere[_nearest(xyz, point, side)] for point in (_POLE, _CALCARINE, _CUNEUS)
    )
    ahead = calcarine - (calcarine @ pole) * pole
    ahead /= np.linalg.norm(ahead)
    up = np.cross(pole, ahead)
    up *= np.sign(up @ cuneus)
    along = np.arctan2(sphere @ ahead, sphere @ pole)
    across = np.arcsin(np.clip(sphere @ up, -1, 1))
    part = np.clip(along / _LENGTH, 0, 1)
    scale = 0.55 + 0.45 * np.sqrt(part)  # strips narrow towards the fovea
    edges = np.cumsum([0, *_WIDTHS.values()])  # of the strips: V1, V2, V3, hV4
    inside = (along > -0.06) & (along < _LENGTH)
    strip = np.digitize(np.abs(across) / scale, edges[1:])  # 0 to 3; 4 is beyond
    within = (np.abs(across) / scale - edges[strip.clip(max=3)]) / np.diff(edges)[strip.clip(max=3)]
    dorsal = across > 0
    inside &= (strip < 3) | ((strip == 3) & ~dorsal & (part < 0.6))
    area = np.where(inside, np.where(strip == 3, 6, 2 * strip + dorsal), -2)
    # Polar angle above (+) or below (-) the horizontal, mirrored at each border.
    angle = np.choose(strip.clip(max=3), [within, 1 - within, within, 1 - 2 * within]) * np.pi / 2
    angle = np.where(dorsal, -angle, angle)
    reach = np.where(strip == 3, part / 0.6, part)
    eccentricity = 0.12 + (1.25 * FIELD) * np.expm1(1.8 * reach) / np.expm1(1.8)
    return area, -eccentricity * np.cos(angle), eccentricity * np.sin(angle)


def _largest_pieces(area: np.ndarray, neighbours) -> np.ndarray:
    """Drops what does not hang together with the largest piece of its area."""
    area = area.copy()
    for index in range(len(STRIPS)):
        members = np.flatnonzero(area == index)
        _, piece = csgraph.connected_components(neighbours[members][:, members], directed=False)
        area[members[piece != np.argmax(np.bincount(piece))]] = -2
    return area


def _grow(area: np.ndarray, xyz: np.ndarray, neighbours, name: str, side: int) -> None:
    """Fills in the grown areas, each as the free vertices nearest to its seed over the mesh."""
    for label, spec in GROWN.items():
        free = np.flatnonzero(area == -2)
        start = _nearest(xyz[free], spec.seed, side)
        distance = csgraph.dijkstra(neighbours[free][:, free], directed=False, indices=start)
        chosen = np.argsort(distance)[: getattr(spec, name)]
        assert np.isfinite(distance[chosen]).all(), f'{label}: no room around its seed'
        area[free[chosen]] = NAMES.index(label)
    taken = np.flatnonzero(area >= 0)
    distance = csgraph.dijkstra(neighbours, directed=False, indices=taken, min_only=True)
    distance[taken] = np.inf
    area[np.argsort(distance)[:_SURROUND]] = -1


def _field(sphere: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A smooth map of the contralateral field on a grown patch, as if to the left (x <= 0).

    Eccentricity grows forwards and polar angle falls upwards, by rank, so that the map fills the
    field whatever the patch's shape.
    """
    flat = sphere - sphere.mean(0)
    axes = np.linalg.svd(flat, full_matrices=False)[2][:2]
    plane = flat @ axes.T  # [k 2]
    forwards = plane @ (plane.T @ (xyz[:, 1] - xyz[:, 1].mean()))
    first = plane.T @ forwards / np.linalg.norm(plane.T @ forwards)
    upwards = plane @ np.array([-first[1], first[0]])
    upwards *= np.sign(upwards @ (xyz[:, 2] - xyz[:, 2].mean()) or 1)
    ranks = [np.argsort(np.argsort(u)) / (len(u) - 1) for u in (forwards, upwards)]
    eccentricity = 0.3 + 2.6 * ranks[0]
    angle = np.pi * 0.44 * (1 - 2 * ranks[1])
    return -eccentricity * np.cos(angle), eccentricity * np.sin(angle)
