"""Maps of the brain: voxel importance, noise ceiling and areas, on surface or in the head."""

import numpy as np

from recon.report import formats, glass, surface

RAMPS = {
    'warm': ('#fdf0c8', '#fbc56b', '#ee8240', '#c73a33', '#6a1038'),
    'cool': ('#e4f3e0', '#9dd3b6', '#44a6a6', '#20709a', '#152f5b'),
}
ROI_COLOURS = (
    '#3f6fb5', '#e0a526', '#3aa57c', '#c94a5a', '#7fb8e0', '#d76a2c', '#8a6fc0', '#9aab3b',
    '#b671b0', '#2b8c9b', '#a0673c', '#e58fa8', '#5a8f3c', '#6b7280', '#f0c987', '#4f4fa0',
    '#93d0c0', '#8c2f4a',
)  # fmt: skip
_WHOLE = 0.4  # an area with a larger share of the voxels is drawn last, behind the others
_FILL_STEPS = 2
FSAVERAGE5 = 10_242  # vertices of a hemisphere: the first of fsaverage's 163,842


def maps(held: dict, weights: dict, named: dict) -> list[dict]:
    """Maps of what maps.npz holds: on the surface, or through a head of glass.

    Args:
      held: maps.npz; `vertex` [v] and `hemisphere` [v] place voxels on fsaverage5 (on the surface
        of the surface_* arrays where they are there), else `xyz` [v 3] in the head; `ncsnr` [v] or
        `noise_ceiling` [v] is drawn.
      weights: {target: [v] importance}.
      named: {ROI: bool [v]}.

    Returns:
      [{'title', 'views': [{'side', 'view', 'uri'}], 'low', 'high', 'gradient', 'legend', 'note',
      'columns', 'ground'}]; [] where voxels have no place, and then nilearn is not even imported.
    """
    on_surface = {'vertex', 'hemisphere'} <= set(held) and (held['vertex'] >= 0).any()
    if not on_surface and 'xyz' not in held:
        return []
    values = {f'Importance for {target}': (v, 'warm', None) for target, v in weights.items()}
    if 'ncsnr' in held:
        snr = np.asarray(held['ncsnr'], np.float64).ravel()
        values['Noise ceiling of a single trial'] = (100 * snr**2 / (snr**2 + 1), 'cool', '%')
    elif 'noise_ceiling' in held:
        share = np.asarray(held['noise_ceiling'], np.float64).ravel()
        values['Noise ceiling'] = (100 * share, 'cool', '%')
    if not values and not named:
        return []
    return (_Painter if on_surface else _GlassPainter)(held, named).draw(values)


def _scale(values: np.ndarray) -> float:
    """The value at which the colours end: the 99th percentile, above 0."""
    high = float(np.nanpercentile(values, 99)) if np.isfinite(values).any() else 0.0
    return high or float(np.nanmax(np.append(values[np.isfinite(values)], 0))) or 1.0


def _scalar_map(title: str, views: list, high: float, name: str, unit, note: str) -> dict:
    return {
        'title': title,
        'views': views,
        'low': '0',
        'high': formats.number(high) + (f' {unit}' if unit else ''),
        'gradient': f'linear-gradient(90deg, {", ".join(RAMPS[name])})',
        'legend': [],
        'note': f'The colours end at the 99th percentile of the voxels. {note}',
    }


def _areas_map(views: list, names: list) -> dict:
    return {
        'title': 'Areas',
        'views': views,
        'low': '',
        'high': '',
        'gradient': '',
        'legend': list(zip(names, ROI_COLOURS, strict=False)),
        'note': 'Areas that lie mostly within others are left out.',
    }


def _palette() -> np.ndarray:
    """[colours + 1 4] RGBA; the last, for label -1, is clear."""
    return np.array([[*_rgb(c), 1.0] for c in ROI_COLOURS] + [[0.0, 0, 0, 0]])


class _GlassPainter:
    """Draws maps of one set of voxels within the head."""

    _GROUND = (
        'Each square is a voxel, seen through the head; in a line of sight the highest value is '
        'shown, of areas the nearest. Places are those of the recording, in its own space.'
    )

    def __init__(self, held: dict, named: dict):
        self.glass = glass.Glass(held['xyz'], held.get('hemisphere'))
        self.label, self.names = areas(named, len(held['xyz']))

    def draw(self, values: dict) -> list[dict]:
        """One map for each of {title: ([v], ramp, unit)}, then one of the areas."""
        out = []
        for title, (value, name, unit) in values.items():
            value, high = np.asarray(value, np.float64), _scale(value)
            views = self.glass.draw(ramp(value, 0, high, name), value)
            out.append(_scalar_map(title, views, high, name, unit, ''))
        if self.names:
            out.append(_areas_map(self.glass.draw(_palette()[self.label]), self.names))
        return [m | {'columns': self.glass.columns, 'ground': self._GROUND} for m in out]


class _Painter:
    """Draws maps of one set of voxels on one surface."""

    def __init__(self, held: dict, named: dict):
        self.mesh = surface.Surface(held)
        self.vertex = np.asarray(held['vertex']).ravel()
        self.side = np.asarray(held['hemisphere']).ravel()
        on_it = (self.vertex >= 0) & (self.vertex < self.mesh.n_vertices)
        # Few voxels on a fine mesh would be dots: there they spread as far as on fsaverage5.
        finer = round((self.mesh.n_vertices / FSAVERAGE5) ** 0.5)
        sparse = on_it.sum() < self.mesh.n_vertices / 10
        self.steps = _FILL_STEPS * (max(1, finer) if sparse else 1)
        label, self.names = areas(named, len(self.vertex))
        self.labels = {s: self._labels(k, label) for k, s in enumerate(surface.SIDES)}

    def draw(self, values: dict) -> list[dict]:
        """One map for each of {title: ([v], ramp, unit)}, then one of the areas."""
        out = []
        for title, (value, name, unit) in values.items():
            high = _scale(value)
            colours = {
                side: ramp(self._on_surface(value, k), 0, high, name)
                for k, side in enumerate(surface.SIDES)
            }
            views = self._views(colours, borders=bool(self.names))
            out.append(_scalar_map(title, views, high, name, unit, self._coverage()))
        if self.names:
            colours = {side: _palette()[labels] for side, labels in self.labels.items()}
            out.append(_areas_map(self._views(colours, borders=True), self.names))
        ground = (
            f'Inflated cortex of the average brain {self.mesh.name}; dark grey is the depth of a '
            'fold. Lines are borders of areas.'
        )
        return [m | {'columns': '', 'ground': ground} for m in out]

    def _labels(self, k: int, label: np.ndarray) -> np.ndarray:
        """[vertices] int: the area of each vertex of hemisphere k, -1 none."""
        best = np.full(self.mesh.n_vertices, -1)
        high = np.zeros(self.mesh.n_vertices)
        for code in range(len(self.names)):
            share = self._on_surface((label == code).astype(float), k)
            wins = np.nan_to_num(share) > np.maximum(high, 0.3)
            best[wins], high[wins] = code, share[wins]
        return best

    def _on_surface(self, values: np.ndarray, k: int) -> np.ndarray:
        here = np.where(self.side == k, self.vertex, -1)
        known = to_vertices(values, here, self.mesh.n_vertices)
        return fill(known, self.mesh.neighbours[surface.SIDES[k]], self.steps)

    def _views(self, colours: dict, borders: bool) -> list[dict]:
        return [
            {
                'side': side,
                'view': view,
                'uri': self.mesh.draw(
                    side, view, colours[side], self.labels[side] if borders else None
                ),
            }
            for side in surface.SIDES
            for view in surface.VIEWS
        ]

    def _coverage(self) -> str:
        placed = (self.vertex >= 0) & (self.vertex < self.mesh.n_vertices)
        spots = len(np.unique(np.stack([self.side[placed], self.vertex[placed]]), axis=1).T)
        beyond = int((self.vertex >= self.mesh.n_vertices).sum())
        text = (
            f'{placed.sum():,} of {len(placed):,} voxels lie on {spots:,} vertices; voxels that '
            f'share a vertex are averaged, and a vertex without one takes the mean of its '
            f'neighbours, up to {self.steps} steps along the mesh.'
        )
        if not beyond:
            return text
        return (
            f'{text} {beyond:,} voxels lie on finer vertices of fsaverage and are not drawn: name '
            'the folder of the full surface in the option `surface`.'
        )


def to_vertices(values, vertex, n_vertices: int) -> np.ndarray:
    """Mean of the voxels at each vertex: [v], [v] (-1 none) -> [vertices], NaN where none."""
    values, vertex = np.asarray(values, np.float64), np.asarray(vertex)
    use = (vertex >= 0) & (vertex < n_vertices) & np.isfinite(values)
    total = np.bincount(vertex[use], values[use], n_vertices)
    count = np.bincount(vertex[use], minlength=n_vertices)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fill(values: np.ndarray, neighbours: np.ndarray, steps: int = 2) -> np.ndarray:
    """Gives empty (NaN) vertices the mean of their filled neighbours, `steps` times over.

    Args:
      values: [vertices] float.
      neighbours: [edges 2] int, both directions.
      steps: how many rings of neighbours are filled.
    """
    values = values.copy()
    start, end = neighbours.T
    for _ in range(steps):
        known = np.isfinite(values)
        use = known[end]
        total = np.bincount(start[use], values[end[use]], len(values))
        count = np.bincount(start[use], minlength=len(values))
        new = ~known & (count > 0)
        values[new] = total[new] / count[new]
    return values


def ramp(values: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    """[vertices] -> RGBA [vertices 4]; NaN is transparent."""
    stops = np.array([_rgb(c) for c in RAMPS[name]])
    share = np.clip((np.nan_to_num(values) - low) / max(high - low, 1e-12), 0, 1)
    place = np.linspace(0, 1, len(stops))
    rgb = np.stack([np.interp(share, place, stops[:, k]) for k in range(3)], 1)
    return np.concatenate([rgb, np.isfinite(values)[:, None]], 1)


def _rgb(colour: str) -> tuple:
    return tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))


def rois(maps: dict) -> dict:
    """{name: bool [v]} of the ROIs in maps.npz that hold a voxel, in the order of the file."""
    found = {
        k.removeprefix('roi_'): np.asarray(m, bool) for k, m in maps.items() if k[:4] == 'roi_'
    }
    return {k: v for k, v in found.items() if v.any()}


def areas(named: dict, n_voxels: int) -> tuple[np.ndarray, list[str]]:
    """One area a voxel, for drawing, from ROIs that may hold each other (V1 and its halves).

    The largest come first, those of over 40 % of the voxels last; an area with more than half of
    its voxels already taken is left out, and so are those beyond the number of colours.

    Returns:
      [v] int, index into the names or -1; the names that are drawn, in the order of `named`.
    """

    def order(name):  # areas of an atlas, 'HCP_MMP1/V1', after the others
        return '/' in name, named[name].mean() > _WHOLE, -int(named[name].sum())

    by_size = sorted(named, key=order)
    drawn, label = [], np.full(n_voxels, '', object)
    for name in by_size:
        free = named[name] & (label == '')
        if len(drawn) < len(ROI_COLOURS) and 2 * free.sum() > named[name].sum():
            label[free] = name
            drawn.append(name)
    names = [name for name in named if name in drawn]
    return np.array([names.index(name) if name else -1 for name in label]), names


def shares(importance: np.ndarray, named: dict) -> list[dict]:
    """Share of the voxels and of the importance that each ROI holds, largest importance first."""
    total = float(np.nansum(importance)) or 1.0
    rows = [
        {
            'name': name,
            'n_voxels': int(mask.sum()),
            'voxels': float(mask.mean()),
            'importance': float(np.nansum(importance[mask])) / total,
        }
        for name, mask in named.items()
    ]
    return sorted(rows, key=lambda row: (-row['importance'], row['name']))
