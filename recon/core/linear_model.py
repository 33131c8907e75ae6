"""What linear decoders share: centring, the smaller of two forms of weights, prediction.

A fitted model is a dictionary of arrays: voxel_mean, voxel_std [v], target_mean [t], shape of one
target, and either weights [v t], or rows [n v] and dual [n t] with weights = rows' dual.
"""

import numpy as np
from jaxtyping import Float

IMPORTANCE = 'norm over targets of the weights x standard deviation of the voxel'


def centre(voxels: Float[np.ndarray, 'n v'], intercept: bool) -> tuple[np.ndarray, dict]:
    """Voxels less their means (as they are without an intercept), float32, and the statistics.

    Returns:
      ([n v], {'voxel_mean', 'voxel_std': [v]}); a constant voxel becomes exactly 0, its std too.
    """
    voxels = np.asarray(voxels, np.float32)
    constant = voxels.max(0) == voxels.min(0)
    std = np.where(constant, 0, voxels.std(0, dtype=np.float64)).astype(np.float32)
    mean = np.zeros_like(std)
    if intercept:
        mean = np.where(constant, voxels[0], voxels.mean(0, dtype=np.float64)).astype(np.float32)
        voxels = voxels - mean
    return voxels, {'voxel_mean': mean, 'voxel_std': std}


def flatten(target: Float[np.ndarray, 'n ...'], intercept: bool) -> tuple[np.ndarray, dict]:
    """Targets as [n t] float32, not centred (they may fill the memory), and what belongs to them.

    Returns:
      ([n t], {'target_mean': [t], zeros without an intercept; 'shape': shape of one target}).
    """
    y = np.asarray(target, np.float32).reshape(len(target), -1)
    mean = y.mean(0, dtype=np.float64) if intercept else np.zeros(y.shape[1])
    shape = np.array(np.shape(target)[1:], np.int64)
    return y, {'target_mean': mean.astype(np.float32), 'shape': shape}


def keeps_dual(n: int, v: int, t: int) -> bool:
    """Whether rows [n v] and dual [n t] are fewer numbers than weights [v t]."""
    return n * (v + t) < v * t


def predict(params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Weighted sums of voxels plus the constant: [k ...] float32 in the unit of the target."""
    x = np.asarray(voxels, np.float32) - np.asarray(params['voxel_mean'])
    if 'weights' in params:
        out = x @ np.asarray(params['weights'])
    else:
        out = (x @ np.asarray(params['rows']).T) @ np.asarray(params['dual'])  # [k n] [n t]
    out = out + np.asarray(params['target_mean'])
    return out.reshape(len(x), *np.asarray(params['shape']))


def importance(params: dict) -> Float[np.ndarray, 'v']:
    """Norm over targets of each voxel's weights, times its standard deviation over training rows.

    In the unit of the target; the dual form never makes the weights: with dual = D and rows = X
    it is the root of the diagonal of X' D D' X.
    """
    if 'weights' in params:
        norms = np.linalg.norm(np.asarray(params['weights']), axis=1)
    else:
        rows, dual = np.asarray(params['rows']), np.asarray(params['dual'])
        norms = np.sqrt(np.maximum((((dual @ dual.T) @ rows) * rows).sum(0), 0))
    return norms * np.asarray(params['voxel_std'])
