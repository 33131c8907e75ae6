"""The fsaverage5 surface that nilearn carries, projected and drawn (no download).

nilearn gives the meshes; they are drawn here by a small rasteriser, since its matplotlib engine
takes over a second a view and the page needs eight views a map. One projection serves all maps.
"""

import dataclasses
import math

import numpy as np

from recon.report import pictures

SIDES = ('left', 'right')
VIEWS = ('lateral', 'medial', 'ventral', 'posterior')
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


class Surface:
    """Both hemispheres of inflated fsaverage5 (10,242 vertices each), projected once.

    Imports nilearn, about 2 s, hence made only for a page that has vertices to show.
    """

    def __init__(self):
        from nilearn import datasets, surface

        files = datasets.fetch_surf_fsaverage('fsaverage5')
        self.faces, self.neighbours, self._views = {}, {}, {}
        for side in SIDES:
            mesh = surface.load_surf_mesh(files[f'infl_{side}'])
            depth = np.asarray(surface.load_surf_data(files[f'sulc_{side}']), np.float32)
            points, faces = np.asarray(mesh.coordinates, np.float32), np.asarray(mesh.faces)
            self.faces[side] = faces
            self.neighbours[side] = np.unique(
                np.concatenate([faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])]
                               + [faces[:, pair] for pair in ([1, 0], [2, 1], [0, 2])]), axis=0
            )  # fmt: skip
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
    steps = 2 * math.ceil(np.abs(np.diff(flat[faces], axis=1)).max() / 2)
    grid = np.array([(i, j) for i in range(steps + 1) for j in range(steps + 1 - i)], np.float32)
    weight = np.concatenate([grid, steps - grid.sum(1, keepdims=True)], 1) / steps  # [s 3]
    spots = np.einsum('sk,fkc->fsc', weight, flat[faces[front]]).round().astype(int)
    rows = (spots[..., 1] * width + spots[..., 0]).ravel()
    face = np.full(width * height, -1)
    place = np.zeros(width * height, np.int64)
    face[rows] = np.repeat(front, len(weight))
    place[rows] = np.tile(np.arange(len(weight)), len(front))
    face, inside = face.reshape(height, width), (face >= 0).reshape(height, width)
    weight = weight[place].reshape(height, width, 3)
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
