"""Trial noise as scanners have it: shared by the whole brain, shared by neighbours, drifting."""

import numpy as np
from scipy.spatial import distance

STREAM = 7  # of random numbers for trials
_LOADINGS = 8
# Shares of the noise's variance.
BRAINWIDE, LOCAL, DRIFT = 0.20, 0.25, 0.10
_FACTORS = 8  # brain-wide ones: arousal, breathing, motion
_REACH = 6.0  # mm, how far neighbours share noise
_NEIGHBOURS = 12  # voxels for each centre of local noise
_WAVES = 3  # slow waves of a run's drift: half a period, one, one and a half


def loadings(seed: tuple, xyz: np.ndarray, hemisphere: np.ndarray) -> dict[str, np.ndarray]:
    """How voxels share noise: 'brainwide' [8 v] and 'local' [c v], columns of norm 1, float32."""
    rng = np.random.default_rng((*seed, _LOADINGS))
    v = len(xyz)
    waves = rng.standard_normal((_FACTORS, 3)) / 40  # smooth over some 40 mm
    smooth = np.cos(waves @ xyz.T + 2 * np.pi * rng.random((_FACTORS, 1)))
    smooth[0] = 1.5  # one that moves all voxels alike
    smooth *= np.exp(0.3 * rng.standard_normal((_FACTORS, v)))
    centres = rng.choice(v, max(1, v // _NEIGHBOURS), replace=False)
    # The hemispheres are set far apart, since what is near across the midline shares no tissue.
    apart = np.concatenate([xyz, 1e3 * hemisphere[:, None]], 1)
    local = np.exp(-distance.cdist(apart[centres], apart, 'sqeuclidean') / (2 * _REACH**2))
    local += 1e-6 * rng.random(local.shape)
    return {
        'brainwide': (smooth / np.linalg.norm(smooth, axis=0)).astype(np.float32),
        'local': (local / np.linalg.norm(local, axis=0)).astype(np.float32),
    }


def draw(rng: np.random.Generator, shared: dict, run: np.ndarray) -> np.ndarray:
    """Noise of one session.

    Args:
      rng: of this session.
      shared: from `loadings`.
      run: [n] int, rows of a run in the order of time.

    Returns:
      [n v] float32, standard deviation 1 (drift included), correlated over voxels, and over trials
      by the drift alone.
    """
    n, v = len(run), shared['local'].shape[1]
    out = rng.standard_normal((n, v), dtype=np.float32)
    out *= np.float32(np.sqrt(1 - BRAINWIDE - LOCAL - DRIFT))
    for name, part in (('brainwide', BRAINWIDE), ('local', LOCAL)):
        factors = rng.standard_normal((n, len(shared[name])), dtype=np.float32)
        out += (np.float32(np.sqrt(part)) * factors) @ shared[name]
    for number in np.unique(run):
        rows = np.flatnonzero(run == number)
        time = (np.arange(len(rows)) + 0.5) / len(rows)
        waves = np.sqrt(2) * np.cos(np.pi * time[:, None] * np.arange(1, _WAVES + 1))
        common = rng.standard_normal((_WAVES, _FACTORS), dtype=np.float32) @ shared['brainwide']
        own = rng.standard_normal((_WAVES, v), dtype=np.float32)
        amounts = np.float32(np.sqrt(DRIFT / _WAVES / 2)) * (common + own)
        out[rows] += waves.astype(np.float32) @ amounts
    return out


def session(rng: np.random.Generator, v: int) -> tuple[np.ndarray, np.ndarray]:
    """One session's gain (about 1) and offset (in units of noise), each [v] float32."""
    together, each, offset = rng.standard_normal(), rng.standard_normal(v), rng.standard_normal(v)
    gain = np.exp(0.08 * together + 0.05 * each)
    return gain.astype(np.float32), (0.4 * offset).astype(np.float32)
