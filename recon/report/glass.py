"""Voxels that have a place but no vertex, seen through the head: from above, behind and the sides.

Each voxel is a square of its own size; of those in a line of sight the last painted is seen.
"""

import dataclasses

import numpy as np
from scipy import spatial

from recon.report import pictures

_EXTENT = 300  # pixels of the longest side of the recording
_MARGIN = 26  # pixels around, for the letters
_REST = (0.55, 0.57, 0.6, 0.35)  # voxels without a colour of their own


@dataclasses.dataclass(frozen=True)
class _View:
    """One direction: which of x (right), y (front), z (up) lie where on the page; its edges."""

    name: str
    across: tuple[int, int]  # (axis, sign) that points to the right on the page
    up: int  # axis that points up on the page
    depth: tuple[int, int]  # (axis, sign) that points towards the viewer
    words: tuple[str, str, str, str]  # at the left, right, upper and lower edge


_ABOVE = _View('from above', (0, 1), 1, (2, 1), ('left', 'right', 'front', 'back'))
_BEHIND = _View('from behind', (0, 1), 2, (1, -1), ('left', 'right', 'up', 'down'))
_LEFT = _View('from the left', (1, -1), 2, (0, -1), ('front', 'back', 'up', 'down'))
_RIGHT = _View('from the right', (1, 1), 2, (0, 1), ('back', 'front', 'up', 'down'))


class Glass:
    """A head of glass around one set of voxels.

    Args:
      xyz: [v 3] mm: right, front, up.
      hemisphere: [v], 0 left and 1 right; None draws both sides as one.
    """

    columns = 'repeat(auto-fit, minmax(min(100%, 200px), 1fr))'  # of the page's grid

    def __init__(self, xyz, hemisphere=None):
        self.xyz = np.asarray(xyz, np.float64).reshape(-1, 3)
        known = np.isfinite(self.xyz).all(1)
        self.known, places = known, np.unique(self.xyz[known], axis=0)
        extent = np.ptp(places, axis=0).max() if len(places) else 0
        gaps = spatial.cKDTree(places).query(places, 2)[0][:, 1] if len(places) > 1 else [1.0]
        self.size = float(np.median(gaps))  # of a voxel, mm
        self.scale = _EXTENT / max(extent + self.size, 1e-6)
        self.corner = places.min(0) - self.size / 2 if len(places) else np.zeros(3)
        self.far = places.max(0) + self.size / 2 if len(places) else np.ones(3)
        self.sides = np.ceil((self.far - self.corner) * self.scale).astype(int) + 1  # pixels
        all_ = np.ones(len(self.xyz), bool)
        self._views = [(_ABOVE, all_), (_BEHIND, all_)]
        if hemisphere is not None and len(np.unique(np.asarray(hemisphere)[known])) > 1:
            side = np.asarray(hemisphere).ravel()
            self._views += [(_LEFT, side == 0), (_RIGHT, side == 1)]
        else:
            self._views.append((_RIGHT, all_))
        shown = [(self.sides[v.across[0]], self.sides[v.up]) for v, _ in self._views]
        self.frame = tuple(int(s) for s in np.max(shown, 0))

    def draw(self, colour: np.ndarray, height=None) -> list[dict]:
        """All views.

        Args:
          colour: [v 4] RGBA in [0, 1]; alpha 0 is drawn as a grey voxel.
          height: [v], the highest of a line of sight is seen; None shows the nearest.

        Returns:
          [{'side': '', 'view': name, 'uri': SVG}].
        """
        return [
            {'side': '', 'view': view.name, 'uri': self._draw(view, mask, colour, height)}
            for view, mask in self._views
        ]

    def _draw(self, view: _View, mask, colour, height) -> str:
        mask = mask & self.known
        (axis, sign), up, (deep, near) = view.across, view.up, view.depth
        across = self.xyz[mask, axis] - self.corner[axis]
        if sign < 0:
            across = self.far[axis] - self.xyz[mask, axis]
        down = self.far[up] - self.xyz[mask, up]
        order = near * self.xyz[mask, deep] if height is None else np.asarray(height)[mask]
        plain = colour[mask, 3] == 0
        order = np.lexsort((np.nan_to_num(order, nan=-np.inf), ~plain))  # grey ones first
        width, tall = self.sides[axis], self.sides[up]
        half = self.size / 2 * self.scale
        span = np.arange(max(1, int(np.ceil(2 * half))))
        dy, dx = (g.ravel() for g in np.meshgrid(span, span, indexing='ij'))
        rows = np.clip(
            (down[order] * self.scale - half).round().astype(int)[:, None] + dy, 0, tall - 1
        )
        cols = np.clip(
            (across[order] * self.scale - half).round().astype(int)[:, None] + dx, 0, width - 1
        )
        rgba = np.where(plain[:, None], _REST, colour[mask])[order]
        page = np.zeros((tall * width, 4))
        page[(rows * width + cols).ravel()] = np.repeat(rgba, len(dy), 0)
        return _svg(page.reshape(tall, width, 4), view.words, self.frame)


def _svg(page: np.ndarray, words: tuple, frame: tuple[int, int]) -> str:
    """The picture in a frame that all views share, so that a millimetre is as long in each.

    A word stands at each edge; their grey reads on light and dark ground.
    """
    height, width = page.shape[:2]
    uri = pictures.png((page * 255).round().astype(np.uint8), colours=128)
    left, right, top, bottom = words
    m = _MARGIN
    full, tall = frame[0] + 2 * m, frame[1] + 2 * m
    x, y = (full - width) / 2, (tall - height) / 2
    turned = '<text transform="translate({} {}) rotate(-90)">{}</text>'
    text = [
        turned.format(x - 9, tall / 2, left),
        turned.format(x + width + 19, tall / 2, right),
        f'<text x="{full / 2}" y="{y - 9}">{top}</text>',
        f'<text x="{full / 2}" y="{y + height + 19}">{bottom}</text>',
    ]
    return pictures.svg_uri(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} {tall}" '
        'font-family="sans-serif" font-size="14" fill="#8b8f97" text-anchor="middle">'
        f'<rect x="{x - 4}" y="{y - 4}" width="{width + 8}" height="{height + 8}" rx="6" '
        'fill="none" stroke="#8b8f97" stroke-opacity=".35"/>'
        f'<image x="{x}" y="{y}" width="{width}" height="{height}" href="{uri}"/>'
        f'{"".join(text)}</svg>'
    )
