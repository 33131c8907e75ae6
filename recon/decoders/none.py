"""No decoder: what a generator reads straight from the voxels needs none.

`decoded['voxels']` is there anyway; a target decoded by this is the voxels once more.
"""

import numpy as np
from jaxtyping import Float

from recon.core import errors

DEFAULTS = dict()


def fit(
    cfg,
    voxels: Float[np.ndarray, 'n ...'],
    target: Float[np.ndarray, 'n ...'],
    rng=None,
    *,
    groups=None,
    rois=None,
) -> dict:
    """Nothing is fitted.

    Returns:
      {'shape': int64, that of one row of voxels}.
    """
    return {'shape': np.array(voxels.shape[1:], np.int64)}


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k ...']) -> np.ndarray:
    """The voxels as they are, [k ...] float32.

    Raises:
      DataInvalid: rows of another shape than those of the fit.
    """
    wanted = tuple(np.asarray(params['shape']).tolist())
    if voxels.shape[1:] != wanted:
        raise errors.DataInvalid(
            f'rows have shape {voxels.shape[1:]}', 'none.predict', f'those of the fit had {wanted}'
        )
    return np.asarray(voxels, np.float32)
