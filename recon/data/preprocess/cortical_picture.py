"""Responses as pictures: each voxel a pixel, in a square or on the flat map of the cortex.

'square' is the first seed report's: the voxels of a hemisphere in their order, row by row, with
zeros at the end; neighbours in a row are neighbours in the list, those in a column are not.
'flatmap' is a map: fsaverage's cortex cut open and flattened (`_flat.py`), seen at right angles,
left and right hemisphere at one scale, cut to the part of it that has voxels. A pixel is the mean
of the voxels in it; one without takes the nearest that has some, as far as about two voxels.
Name it last in preprocess.order, or before `repeats`.
"""

import dataclasses
import math

import numpy as np
from scipy import spatial

from recon.core import errors, types
from recon.data.preprocess import _flat, rois

DEFAULTS = dict(
    how='square',  # or 'flatmap' (data with vertices of fsaverage)
    side=0,  # pixels on a side of 'square'; 0: as few as hold the larger hemisphere (a seed: 145)
    size=(64, 64),  # (h, w) of 'flatmap'
    hemispheres='channels',  # or 'beside' each other; 'flatmap' then has w / 2 for each
    keep=(),  # areas whose voxels are shown, the others are left blank (a filter); () is all
    by='all',  # minimum and maximum of 'all' voxels together, as the seed's, or of each 'voxel'
)
_REACH = 2.0  # of a voxel on the flat map, in median distances of neighbours


def fit(cfg, brain: types.BrainData) -> dict:
    """Where voxels go, and the smallest and largest response of the training rows.

    Returns:
      {'index': int32 [h w c], the group of voxels that a pixel shows, -1 none; 'group': int32 [v],
      the group of each voxel, -1 none; 'low', 'factor': float32 [v], of response -> [0, 1];
      'background': float32, of pixels without a voxel: what a response of 0 gives; 0 by 'voxel'}.

    Raises:
      ConfigError: an option that does not fit.
      DataInvalid: 'flatmap' of data without vertices, or none of them on the map; no voxel in
        `keep`.
    """
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    _check(options)
    x = brain.train.voxels
    side = brain.voxel_info.get('hemisphere')
    side = np.zeros(x.shape[1], int) if side is None else np.asarray(side).astype(int).ravel()
    layout = _square if options['how'] == 'square' else _flatmap
    shown = rois.fit({'keep': tuple(options['keep'])}, brain)['keep']
    halves, group = layout(options, brain, side, shown)
    beside = options['hemispheres'] == 'beside'
    index = np.concatenate(halves, 1)[..., None] if beside else np.stack(halves, -1)
    stats = {'index': index.astype(np.int32), 'group': group.astype(np.int32)}
    return stats | _scale(x, options['by'], group >= 0)


def places(stats: dict) -> tuple[np.ndarray, np.ndarray]:
    """(index [h w c], group [v]) as in `types.Laid`."""
    return stats['index'], stats['group']


def apply(cfg, stats: dict, split: types.Split, part: str) -> types.Split:
    """Split with voxels float32 [n h w c] in [0, 1]; responses beyond the training's are cut."""
    group, groups = stats['group'], int(stats['index'].max()) + 1
    order = np.argsort(group, kind='stable')[np.count_nonzero(group < 0) :]
    starts = np.searchsorted(group[order], np.arange(groups))
    counts = np.diff(np.append(starts, len(order))).astype(np.float32)
    out = np.empty((len(split), *stats['index'].shape), np.float32)
    for start in range(0, len(split), 1024):  # no second copy of the whole array
        rows = slice(start, start + 1024)
        x = np.clip((split.voxels[rows] - stats['low']) * stats['factor'], 0, 1)
        means = np.add.reduceat(x[:, order], starts, axis=1) / counts  # [n g]
        background = np.full((len(x), 1), stats['background'], np.float32)
        out[rows] = np.concatenate([means, background], 1)[:, stats['index']]  # -1 is the last
    return dataclasses.replace(split, voxels=out)


def _square(options: dict, brain: types.BrainData, side: np.ndarray, shown: np.ndarray):
    """(a [s s] index for each hemisphere, [v] group): every voxel `shown` is a group of its own."""
    parts = [np.flatnonzero(side == h) for h in np.unique(side)]
    most = max(len(part) for part in parts)
    wanted = options['side'] or math.isqrt(most - 1) + 1
    if wanted**2 < most:
        raise errors.ConfigError(
            f'side is {wanted}, a hemisphere has {most} voxels',
            'preprocess.cortical_picture',
            f'give {math.isqrt(most - 1) + 1} or more, or 0',
        )
    group = np.where(shown, np.cumsum(shown) - 1, -1)
    halves = np.full((len(parts), wanted**2), -1)
    for half, part in zip(halves, parts, strict=True):
        half[: len(part)] = group[part]
    return list(halves.reshape(-1, wanted, wanted)), group


def _flatmap(options: dict, brain: types.BrainData, side: np.ndarray, shown: np.ndarray):
    """(an [h w] index for each hemisphere, [v] group): voxels `shown` in one pixel are a group.

    The frame is that of all voxels, so that areas lie where they lie in the whole map.
    """
    vertex = brain.voxel_info.get('vertex')
    if vertex is None or 'hemisphere' not in brain.voxel_info:
        raise errors.DataInvalid(
            f'voxels have {", ".join(brain.voxel_info) or "no places"}, not hemisphere and vertex',
            'preprocess.cortical_picture',
            "use how='square', or data on fsaverage",
        )
    vertex = np.asarray(vertex).ravel()
    place = np.full((len(vertex), 2), np.nan)
    for h in (0, 1):
        place[side == h] = _flat.places(h, vertex[side == h])
    on_map = np.isfinite(place).all(1)
    if not (on_map & shown).any():
        raise errors.DataInvalid(
            f'none of {shown.sum()} voxels lies on the flat map of fsaverage',
            'preprocess.cortical_picture',
            "use how='square'",
        )
    height, width = options['size']
    width = width // 2 if options['hemispheres'] == 'beside' else width
    corners, pixel = _frame(place, side, on_map, height, width)
    on_map &= shown
    group, halves, used = np.full(len(vertex), -1), [], 0
    for h in (0, 1):
        here = np.flatnonzero(on_map & (side == h))
        down_right = (place[here] - corners[h]) * (1, -1) / pixel  # columns, rows
        columns, rows = np.floor(down_right).astype(int).T
        filled, group[here] = np.unique(rows * width + columns, return_inverse=True)
        half = _spread(filled, place[here], height, width, pixel)
        group[here] += used
        halves.append(np.where(half >= 0, half + used, -1))
        used += len(filled)
    return halves, group


def _frame(place, side, on_map, height: int, width: int):
    """(top left corner [2 2] mm, mm a pixel): both hemispheres in the middle, at one scale."""
    low, high = np.full((2, 2), np.nan), np.full((2, 2), np.nan)
    for h in np.unique(side[on_map]):
        points = place[on_map & (side == h)]
        low[h], high[h] = points.min(0), points.max(0)
    extent = np.nanmax(high - low, axis=0)  # mm across and up
    pixel = max(extent[0] / (width - 1), extent[1] / (height - 1), 1e-3)
    middle = np.nan_to_num((low + high) / 2)
    return middle + np.array([-width, height]) / 2 * pixel, pixel


def _spread(filled: np.ndarray, points: np.ndarray, height: int, width: int, pixel: float):
    """[h w] rank in `filled` (places of pixels that have voxels) of the nearest such, -1 none."""
    half = np.full(height * width, -1)
    if not len(filled):
        return half.reshape(height, width)
    reach = 1.0
    if len(points) > 1:
        apart = spatial.cKDTree(points).query(points, k=2)[0][:, 1]
        apart = apart[apart > 0] if apart.any() else apart  # voxels may share a vertex
        reach = max(1.0, _REACH * float(np.median(apart)) / pixel)
    grid = np.stack(np.divmod(np.arange(height * width), width), 1)
    distance, nearest = spatial.cKDTree(grid[filled]).query(grid)
    return np.where(distance <= reach, nearest, half).reshape(height, width)


def _scale(x: np.ndarray, by: str, shown: np.ndarray) -> dict:
    """low, factor [v] and background of training rows [n v], of the voxels `shown`."""
    if by == 'all':  # zeros that fill up a square are among the values
        some = x if shown.all() else x[:, shown]
        low, high = min(float(some.min()), 0.0), max(float(some.max()), 0.0)
        low, high = np.full(x.shape[1], low), np.full(x.shape[1], high)
    else:
        low, high = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
    flat = high <= low
    factor = np.where(flat, 0, 1 / np.where(flat, 1, high - low))
    background = -low[0] * factor[0] if by == 'all' else 0.0
    return {
        'low': low.astype(np.float32),
        'factor': factor.astype(np.float32),
        'background': np.array(background, np.float32),
    }


def _check(options: dict) -> None:
    known = {'how': ('square', 'flatmap'), 'hemispheres': ('channels', 'beside')}
    for key, values in (known | {'by': ('all', 'voxel')}).items():
        if options[key] not in values:
            raise errors.ConfigError(
                f'preprocess.cortical_picture.{key} is {options[key]!r}',
                'config',
                f'one of {values}',
            )
    size = tuple(options['size'])
    if options['side'] < 0 or len(size) != 2 or min(size) < 8:
        raise errors.ConfigError(
            f'preprocess.cortical_picture has side={options["side"]}, size={size}',
            'config',
            'side 0 or more, size (height, width) of 8 pixels or more',
        )
