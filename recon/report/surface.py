"""The fsaverage5 surface that nilearn carries, or the full one of a folder, projected and drawn.

nilearn gives the meshes; they are drawn here by a small rasteriser, since its matplotlib engine
takes over a second a view and the page needs eight views a map. One projection serves all maps.
"""

import dataclasses
import math
import pathlib

import numpy as np

from recon.core import errors
from recon.report import pictures

SIDES = ('left', 'right')
VIEWS = ('lateral', 'medial', 'ventral', 'posterior')
_FACES = 20_480  # projected at a time: all of fsaverage5, a sixteenth of fsaverage
_SCALE = 3.2  # pixels a millimetre while drawing; the picture is reduced by half for smooth edges


@dataclasses.dataclass(frozen=True)
class _View:
    """One projection: for each pixel its face, and where in the face.

    Attributes:
      face: [h w] int, -1 outside;  weight: [h w 3] float32, barycentric;  grey: [h w] float32.
    """

    face: np.ndarray
    weight: np.ndarray
    grey: np.ndarray


def read(folder) -> dict[str, np.ndarray]:
    """Inflated fsaverage of a FreeSurfer folder, as arrays for maps.npz.

    Args:
      folder: subjects/fsaverage, or its `surf`: lh.inflated, rh.inflated, and lh.sulc, rh.sulc (or
        lh.curv, rh.curv).

    Returns:
      {'surface_left_points' float16 [k 3] mm, 'surface_left_faces' int32 [f 3],
      'surface_left_depth' float16 [k], and the same of the right}.

    Raises:
      DataMissing: a file that is not there.  DataInvalid: one that cannot be read.
    """
    from nibabel import freesurfer

    folder, out = pathlib.Path(folder).expanduser(), {}
    folder = folder / 'surf' if (folder / 'surf').is_dir() else folder
    for side, prefix in zip(SIDES, ('lh', 'rh'), strict=True):
        paths = [folder / f'{prefix}.{name}' for name in ('inflated', 'sulc', 'curv')]
        depth = next((p for p in paths[1:] if p.is_file()), paths[1])
        for path in (paths[0], depth):
            if not path.is_file():
                remedy = "name FreeSurfer's subjects/fsaverage, or leave `surface` empty"
                raise errors.DataMissing('no such file', path, remedy)
        try:
            points, faces = freesurfer.read_geometry(paths[0])
            relief = freesurfer.read_morph_data(depth)
        except (OSError, ValueError, IndexError, EOFError, MemoryError, OverflowError) as error:
            raise errors.DataInvalid(
                f'not a FreeSurfer surface ({type(error).__name__})', paths[0], 'copy it again'
            ) from error
        if faces.min(initial=0) < 0 or faces.max(initial=0) >= len(points) != len(relief):
            raise errors.DataInvalid(
                f'{len(points)} points, {len(relief)} depths', depth, 'files of one surface'
            )
        scale = np.abs(relief).max(initial=0) or 1.0  # fsaverage5 of nilearn lies within 2
        out[f'surface_{side}_points'] = points.astype(np.float16)
        out[f'surface_{side}_faces'] = faces.astype(np.int32)
        out[f'surface_{side}_depth'] = (relief * (1.5 / scale)).astype(np.float16)
    return out


def _carried() -> dict[str, np.ndarray]:
    """The same arrays of fsaverage5, which nilearn has (10,242 vertices a hemisphere)."""
    from nilearn import datasets, surface

    files, out = datasets.fetch_surf_fsaverage('fsaverage5'), {}
    for side in SIDES:
        mesh = surface.load_surf_mesh(files[f'infl_{side}'])
        out[f'surface_{side}_points'] = np.asarray(mesh.coordinates, np.float32)
        out[f'surface_{side}_faces'] = np.asarray(mesh.faces)
        out[f'surface_{side}_depth'] = np.asarray(
            surface.load_surf_data(files[f'sulc_{side}']), np.float32
        )
    return out


class Surface:
    """Both hemispheres of an inflated surface, projected once.

    Args:
      held: maps.npz, whose surface_* arrays (see `read`) are drawn; without them it is fsaverage5
        of nilearn, whose import takes about 2 s: made only for a page that has vertices to show.

    Attributes:
      name: of the surface, for captions.
    """

    def __init__(self, held: dict | None = None):
        held = held or {}
        given = 'surface_left_points' in held
        held = held if given else _carried()
        self.name = 'fsaverage, from the given folder' if given else 'fsaverage5'
        self.faces, self.neighbours, self._views = {}, {}, {}
        for side in SIDES:
            points = np.asarray(held[f'surface_{side}_points'], np.float32)
            faces = np.asarray(held[f'surface_{side}_faces'])
            depth = np.asarray(held[f'surface_{side}_depth'], np.float32)
            self.faces[side] = faces
            self.neighbours[side] = _edges(faces)
            for view in VIEWS:
                self._views[side, view] = _project(points, faces, depth, *_camera(side, view))

    @property
    def n_vertices(self) -> int:
        """Vertices of one hemisphere."""
        return int(self.faces['left'].max()) + 1

    def draw(self, side: str, view: str, colour: np.ndarray, labels=None) -> str:
        """One view as a PNG data URI.

        Args:
          side: 'left' or 'right'.
          view: one of VIEWS.
          colour: [vertices 4] float RGBA in [0, 1]; alpha 0 shows the bare cortex.
          labels: [vertices] int of areas whose borders are drawn, -1 none; or None.
        """
        shown = self._views[side, view]
        inside = shown.face >= 0
        corner = self.faces[side][shown.face]  # [h w 3]
        premultiplied = np.concatenate([colour[:, :3] * colour[:, 3:], colour[:, 3:]], 1)
        paint = (premultiplied[corner] * shown.weight[..., None]).sum(2)
        alpha = np.where(paint[..., 3:] > 0.5, 1.0, 0.0)
        rgb = paint[..., :3] / np.maximum(paint[..., 3:], 1e-6)
        # The relief stays visible under the map, or a filled area loses its place on the cortex.
        relief = 0.86 + 0.14 * (shown.grey[..., None] - 0.6) / 0.25
        rgb = alpha * np.clip(rgb * relief, 0, 1) + (1 - alpha) * shown.grey[..., None]
        if labels is not None:
            nearest = np.take_along_axis(corner, shown.weight.argmax(2)[..., None], 2)[..., 0]
            rgb[_borders(np.where(inside, labels[nearest], -1)) & inside] *= 0.35
        rgba = np.concatenate([rgb * inside[..., None], inside[..., None]], -1)
        return pictures.png(_halve(rgba), colours=128)


def _edges(faces: np.ndarray) -> np.ndarray:
    """[edges 2] int, both directions, sorted."""
    pairs = np.concatenate([faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]).astype(np.int64)
    pairs, n = np.concatenate([pairs, pairs[:, ::-1]]), int(faces.max()) + 1
    return np.stack(np.divmod(np.unique(pairs @ (n, 1)), n), 1)


def _camera(side: str, view: str) -> tuple:
    """(towards the viewer, right on the page), unit vectors in RAS."""
    out = -1.0 if side == 'left' else 1.0
    forward = np.array([0.0, out, 0.0])  # lateral: the left hemisphere faces left, as one sees it
    cameras = {
        'lateral': (np.array([out, 0.0, 0.0]), forward),
        'medial': (np.array([-out, 0.0, 0.0]), -forward),
        'ventral': (np.array([0.0, 0.0, -1.0]), forward),
        'posterior': (np.array([0.0, -1.0, 0.0]), np.array([1.0, 0.0, 0.0])),
    }
    return cameras[view]


def _project(points, faces, depth, towards, right) -> _View:
    up = np.cross(towards, right)
    flat = np.stack([points @ right, -(points @ up)], 1) * _SCALE
    flat -= flat.min(0) - 4
    width, height = (math.ceil(v / 2) * 2 for v in flat.max(0) + 4)
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    front = np.flatnonzero(normal @ towards > 0)
    front = front[np.argsort((corners[front].mean(1)) @ towards)]  # far to near: the near one wins
    face = np.full(width * height, -1)
    weight = np.zeros((width * height, 3), np.float32)
    for start in range(0, len(front), _FACES):  # the far ones first, as sorted
        part = front[start : start + _FACES]
        steps = 2 * math.ceil(np.abs(np.diff(flat[faces[part]], axis=1)).max() / 2)
        grid = np.array(
            [(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)], np.float32
        )
        inner = np.concatenate([grid, steps - grid.sum(1, keepdims=True)], 1) / steps  # [s 3]
        spots = np.einsum('sk,fkc->fsc', inner, flat[faces[part]]).round().astype(int)
        rows = (spots[..., 1] * width + spots[..., 0]).ravel()
        face[rows] = np.repeat(part, len(inner))
        weight[rows] = np.tile(inner, (len(part), 1))
    face, inside = face.reshape(height, width), (face >= 0).reshape(height, width)
    weight = weight.reshape(height, width, 3)
    grey = _relief(points, faces, depth, towards, up)
    shade = (grey[faces[face]] * weight).sum(2)
    return _View(face, weight, np.where(inside, shade, 0).astype(np.float32))


def _relief(points, faces, depth, towards, up) -> np.ndarray:
    """[vertices] grey: light gyri, darker sulci, lit from the viewer's upper side."""
    corners = points[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = np.zeros_like(points)
    for k in range(3):
        np.add.at(smooth, faces[:, k], normal)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=1, keepdims=True), 1e-6)
    light = towards + 0.4 * up
    lit = np.clip(smooth @ (light / np.linalg.norm(light)), 0, 1)
    return (0.86 - 0.16 / (1 + np.exp(-6 * depth))) * (0.62 + 0.38 * lit)


def _borders(labels: np.ndarray) -> np.ndarray:
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return edge


def _halve(rgba: np.ndarray) -> np.ndarray:
    height, width = rgba.shape[0] // 2, rgba.shape[1] // 2
    small = rgba[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 4).mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:], 1e-6)
    return (np.clip(small, 0, 1) * 255).round().astype(np.uint8)
