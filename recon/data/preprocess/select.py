"""Voxels by what they carry in the training rows: F score, correlation with pixels, or ncsnr."""

import numpy as np

from recon.core import errors, image, types
from recon.core import select as scores

DEFAULTS = dict(
    by='f',  # 'f', 'correlation' or 'ncsnr'
    k=500,  # this many voxels with the highest score (all, if there are fewer); 0: use threshold
    threshold=0.0,  # with k=0: voxels whose score is above
    classes='labels',  # of 'f': 'labels' or 'image_id'
)
_SIDE = 16  # pictures are shrunk to at most this many pixels a side before 'correlation'


def fit(cfg, brain: types.BrainData) -> dict:
    """Chooses voxels by a score of the training rows.

    'f': ANOVA F of the voxel over the classes (labels, or the images themselves where they are
    repeated). 'correlation': root mean square over pixels (grey, at most 16 x 16) of the voxel's
    correlation with the pixel. 'ncsnr': the data set's own signal-to-noise of a single trial, noise
    ceiling = ncsnr^2 / (ncsnr^2 + 1). A voxel whose score is 0 or undefined (a constant one)
    is never among the k best; ties as in `core.select.top`.

    Returns:
      {'keep': bool [v], 'score': float32 [v]}.

    Raises:
      ConfigError: an option that does not fit.
      DataInvalid: the data lack what the score needs, or no voxel is left.
    """
    by, k = cfg.get('by', DEFAULTS['by']), cfg.get('k', DEFAULTS['k'])
    known = {'f': _f, 'correlation': _correlation, 'ncsnr': _ncsnr}
    if by not in known or k < 0:
        raise errors.ConfigError(
            f'preprocess.select has by={by!r}, k={k}', 'config', f'by: one of {sorted(known)}; k>=0'
        )
    score = np.nan_to_num(np.asarray(known[by](cfg, brain), np.float32), posinf=np.inf)
    if k:
        keep = np.zeros(len(score), bool)
        keep[scores.top(score, k)] = True
        keep &= score > 0
    else:
        keep = score > cfg.get('threshold', DEFAULTS['threshold'])
    if not keep.any():
        raise errors.DataInvalid(
            f'no voxel has a {by} above {0 if k else cfg.get("threshold", DEFAULTS["threshold"])}; '
            f'the highest of {len(score)} is {score.max():.3g}',
            'preprocess.select',
            'lower the threshold, or choose by something else',
        )
    return {'keep': keep, 'score': score}


def _f(cfg, brain: types.BrainData) -> np.ndarray:
    kind, ids = cfg.get('classes', DEFAULTS['classes']), brain.train.image_id
    if kind not in ('labels', 'image_id'):
        raise errors.ConfigError(
            f'preprocess.select.classes is {kind!r}', 'config', "'labels' or 'image_id'"
        )
    if kind == 'labels':
        if not brain.labels or np.ndim(next(iter(brain.labels.values()))):
            raise errors.DataInvalid(
                'this data set has no label of one class an image',
                'preprocess.select',
                "use classes='image_id', by='correlation' or by='ncsnr'",
            )
        ids = np.array([brain.labels[i] for i in ids.tolist()])
    classes, count = np.unique(ids, return_counts=True)
    if len(classes) < 2 or count.max() < 2:
        raise errors.DataInvalid(
            f'F needs two classes and one with two rows; {len(ids)} rows are in {len(classes)}',
            'preprocess.select',
            "images must repeat for classes='image_id'; else use by='correlation'",
        )
    return scores.f_score(brain.train.voxels, ids)


def _correlation(cfg, brain: types.BrainData) -> np.ndarray:
    del cfg
    ids, inverse = np.unique(brain.train.image_id, return_inverse=True)
    size = tuple(min(side, _SIDE) for side in brain.images.shape)
    blocks = [ids[i : i + 256] for i in range(0, len(ids), 256)]  # never all pictures at full size
    small = [image.to_gray(image.resize(brain.images[block], size)) for block in blocks]
    pixels = np.concatenate(small).reshape(len(ids), -1)[inverse]  # [n t]
    found = np.asarray(scores.correlation(brain.train.voxels, pixels))  # [v t]
    return np.sqrt(np.square(found).mean(1))


def _ncsnr(cfg, brain: types.BrainData) -> np.ndarray:
    del cfg
    if 'ncsnr' not in brain.voxel_info:
        raise errors.DataInvalid(
            'this data set has no ncsnr', 'preprocess.select', "use by='f' or by='correlation'"
        )
    return brain.voxel_info['ncsnr']
