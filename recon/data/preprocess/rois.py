"""Voxels of areas by name: a union, less another union."""

import numpy as np

from recon.core import errors, types

DEFAULTS = dict(
    keep=(),  # names whose union stays; empty: all voxels
    drop=(),  # names whose union is taken away from that
)


def fit(cfg, brain: types.BrainData) -> dict:
    """Chooses the voxels in any area of `keep` and in none of `drop`.

    Names come as a tuple, or as one string with commas or '+' between them ('V1+V2').

    Returns:
      {'keep': bool [v]}.

    Raises:
      ConfigError: a name that the data set does not have; the message lists those it has.
      DataInvalid: no voxel is left.
    """
    keep, drop = _names(cfg.get('keep', ())), _names(cfg.get('drop', ()))
    chosen = np.ones(brain.train.voxels.shape[1], bool)
    if keep:
        chosen = _union(brain.rois, keep, 'keep')
    if drop:
        chosen = chosen & ~_union(brain.rois, drop, 'drop')
    if not chosen.any():
        without = f' without {"+".join(drop)}' if drop else ''
        raise errors.DataInvalid(
            f'no voxel is in {"+".join(keep) or "the whole mask"}{without}',
            'preprocess.rois',
            f'areas: {_list(brain.rois)}',
        )
    return {'keep': chosen}


def _names(value) -> tuple[str, ...]:
    parts = value.replace('+', ',').split(',') if isinstance(value, str) else value
    return tuple(str(name).strip() for name in parts)


def _union(rois: dict, names, key: str) -> np.ndarray:
    unknown = [name for name in names if name not in rois]
    if unknown:
        raise errors.ConfigError(
            f'preprocess.rois.{key} names {", ".join(map(repr, unknown))}',
            'config',
            f'areas of this data set (voxels): {_list(rois) or "none"}',
        )
    return np.any([rois[name] for name in names], axis=0)


def _list(rois: dict) -> str:
    return ', '.join(f'{name} ({int(roi.sum())})' for name, roi in sorted(rois.items()))
