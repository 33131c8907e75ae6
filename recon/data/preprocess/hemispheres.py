"""Both hemispheres side by side as two channels: [n v] -> [n side 2].

What a net that convolves along the vertices is given (the first seed report: 21,025 numbers of each
hemisphere, zeros at the end). Vertices keep their order, so neighbours in the list stay neighbours.
Name it last in preprocess.order, or before `repeats`.
"""

import dataclasses

import numpy as np

from recon.core import errors, types
from recon.data.preprocess import rois

DEFAULTS = dict(
    size=0,  # places of a hemisphere; 0: as many as the larger one has voxels (a seed: 21025)
    keep=(),  # areas whose voxels are shown, the others are 0 (a filter); () is all
)


def fit(cfg, brain: types.BrainData) -> dict:
    """Which voxel stands where.

    Returns:
      {'index': int32 [side 2], left and right, -1 for a place that stays 0; 'group': int32 [v],
      the voxel's own number, -1 where it is not shown}.

    Raises:
      DataInvalid: hemispheres are not known, or there is only one; no voxel in `keep`.
      ConfigError: `size` is smaller than a hemisphere; an area that does not exist.
    """
    side = brain.voxel_info.get('hemisphere')
    counts = [0, 0] if side is None else [int((np.asarray(side) == h).sum()) for h in (0, 1)]
    if side is None or min(counts) == 0 or sum(counts) < len(side):
        raise errors.DataInvalid(
            f'{counts[0]} voxels are known to lie left, {counts[1]} right',
            'preprocess.hemispheres',
            'take it out of preprocess.order: this data set has no two hemispheres to tell apart',
        )
    size = cfg.get('size', DEFAULTS['size']) or max(counts)
    if size < max(counts):
        raise errors.ConfigError(
            f'size is {size}, a hemisphere has {max(counts)} voxels',
            'preprocess.hemispheres',
            f'give {max(counts)} or more, or 0',
        )
    index = np.full((size, 2), -1, np.int32)
    for h, count in enumerate(counts):
        index[:count, h] = np.flatnonzero(np.asarray(side) == h)
    shown = np.append(rois.fit({'keep': tuple(cfg.get('keep', ()))}, brain)['keep'], False)
    index = np.where(shown[index], index, -1).astype(np.int32)
    group = np.where(shown[:-1], np.arange(len(side)), -1).astype(np.int32)
    return {'index': index, 'group': group}


def places(stats: dict) -> tuple[np.ndarray, np.ndarray]:
    """(index [side 2], group [v]) as in `types.Laid`: every voxel is a group of its own."""
    return stats['index'], stats['group']


def apply(cfg, stats: dict, split: types.Split, part: str) -> types.Split:
    """Split with voxels float32 [n side 2], zeros where a hemisphere has fewer."""
    index = stats['index']
    voxels = np.where(index >= 0, split.voxels[:, index], 0).astype(np.float32)
    return dataclasses.replace(split, voxels=voxels)
