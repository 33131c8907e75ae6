"""Pictures against pictures: correlation, error, structural similarity, binary scores.

Each metric comes twice: image by image [n], and as a matrix [n m] of every truth (rows) with every
reconstruction (columns), which is what a permuted pairing needs. Pictures are [n h w c] in [0, 1],
c 1 or 3, scored at their own size.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.spatial import distance

from recon.core import errors, image, stats


@dataclasses.dataclass(frozen=True)
class Window:
    """How SSIM looks at a picture.

    Attributes:
      taps: weights of the window along one axis, summing to 1.
      axes: 2 for a square window, 1 for a window along each column (rows of one column only).
      covariance: factor on variances: 1, or N / (N - 1) for N pixels in the window.
      text: what it is, for the score's entry.
    """

    taps: np.ndarray
    axes: int
    covariance: float
    text: str


def _gaussian(sigma, truncate):
    radius = int(truncate * sigma + 0.5)
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return taps / taps.sum()


_GAUSSIAN = _gaussian(1.5, 3.5)  # 11 taps
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 for data of range L = 1
WINDOWS = {
    'ssim': Window(_GAUSSIAN, 2, 1.0, '2-D gaussian window, sigma 1.5, population covariance'),
    'ssim_skimage019': Window(
        _GAUSSIAN, 1, 1.0, 'window along each column alone, as scikit-image <= 0.19 multichannel'
    ),
    'ssim_uniform7': Window(
        np.full(7, 1 / 7), 2, 49 / 48, '7 x 7 uniform window, sample covariance'
    ),
}
BINARY = ('accuracy', 'precision', 'recall', 'f1')


def flat(images: Float[np.ndarray, 'n h w c']) -> Float[np.ndarray, 'n d']:
    """Rows of pixels, all channels in one row."""
    return images.reshape(len(images), -1)


def pixcorr(recon: Float[np.ndarray, 'n h w c'], truth: Float[np.ndarray, 'n h w c']):
    """Pearson correlation over all pixels and channels of each pair: [n], NaN if one is constant.

    Source: Ozcelik and VanRullen 2023 (there after a resize to 425 pixels).
    """
    return stats.pearson_rows(flat(recon), flat(truth))


def pixcorr_matrix(recon, truth):
    """[m truths, n reconstructions]; see `pixcorr`."""
    return stats.pearson_matrix(flat(truth), flat(recon))


def mse(recon: Float[np.ndarray, 'n h w c'], truth: Float[np.ndarray, 'n h w c']):
    """Mean squared difference over pixels and channels of each pair: [n], in squared units."""
    return np.array(
        [np.mean((a.astype(np.float64) - b) ** 2) for a, b in zip(recon, truth, strict=True)]
    )


def mse_matrix(recon, truth):
    """[m truths, n reconstructions]; see `mse`."""
    a, b = flat(truth), flat(recon)
    size_a, size_b = (np.einsum('nd,nd->n', z, z, dtype=np.float64) for z in (a, b))
    squares = size_a[:, None] + size_b - 2 * stats.dot_matrix(a, b)
    return np.maximum(squares, 0) / a.shape[1]


def mae(recon: Float[np.ndarray, 'n h w c'], truth: Float[np.ndarray, 'n h w c']):
    """Mean absolute difference over pixels and channels of each pair: [n]."""
    return np.array(
        [np.mean(np.abs(a.astype(np.float64) - b)) for a, b in zip(recon, truth, strict=True)]
    )


def mae_matrix(recon, truth):
    """[m truths, n reconstructions]; see `mae`. Cost m n d: give it blocks."""
    return distance.cdist(flat(truth), flat(recon), 'cityblock') / flat(truth).shape[1]


def binary(recon: Float[np.ndarray, 'n h w c'], truth, threshold: float = 0.5) -> dict:
    """Accuracy, precision, recall and F1 of the pixels above `threshold`, for each picture.

    A pixel is on if it is > threshold. Precision is NaN where no pixel was decoded as on, recall
    where no pixel is on, F1 where both hold (scikit-learn would say 0).

    Returns:
      {'accuracy', 'precision', 'recall', 'f1': [n]}.
    """
    a, b = flat(truth) > threshold, flat(recon) > threshold
    return _binary((a & b).sum(1), a.sum(1), b.sum(1), a.shape[1])


def binary_matrix(recon, truth, threshold: float = 0.5) -> dict:
    """{name: [m truths, n reconstructions]}; see `binary`."""
    a, b = flat(truth) > threshold, flat(recon) > threshold
    return _binary(stats.dot_matrix(a, b), a.sum(1)[:, None], b.sum(1)[None], a.shape[1])


def binary_by_pixel(recon, truth, threshold: float = 0.5) -> dict:
    """The same the other way round: each score over the n pictures at one pixel, then the mean.

    So does nilearn's Miyawaki example. Undefined pixels count as 0, as scikit-learn has it.

    Returns:
      {'accuracy', 'precision', 'recall', 'f1': float}.
    """
    a, b = flat(truth) > threshold, flat(recon) > threshold
    scores = _binary((a & b).sum(0), a.sum(0), b.sum(0), len(a))
    return {name: float(np.nan_to_num(values).mean()) for name, values in scores.items()}


def majority(truth, threshold: float = 0.5) -> float:
    """Accuracy of saying always 'on' or always 'off', whichever is commoner in `truth`."""
    on = float((truth > threshold).mean())
    return max(on, 1 - on)


def _binary(both, on_truth, on_recon, d):
    with np.errstate(invalid='ignore', divide='ignore'):
        return {
            'accuracy': (d - on_truth - on_recon + 2 * both) / d,
            'precision': both / np.where(on_recon > 0, on_recon, np.nan),
            'recall': both / np.where(on_truth > 0, on_truth, np.nan),
            'f1': 2 * both / np.where(on_truth + on_recon > 0, on_truth + on_recon, np.nan),
        }


def ssim(recon: Float[np.ndarray, 'n h w c'], truth: Float[np.ndarray, 'n h w c'], variant='ssim'):
    """Structural similarity of the grey pictures, mean over the places where the window fits.

    Args:
      recon: in [0, 1]; three channels are made grey with scikit-image's weights.
      truth: the same.
      variant: a name of WINDOWS.

    Returns:
      [n] float64 in [-1, 1].

    Raises:
      ConfigError: the pictures are smaller than the window.

    Source: Wang et al. 2004, eq. 13, K1 .01, K2 .03; equals scikit-image's structural_similarity.
    """
    check_size(variant, truth.shape[1:3])
    window, out = WINDOWS[variant], np.empty(len(truth))
    step = max(1, 2**20 // (truth.shape[1] * truth.shape[2]))
    for start in range(0, len(truth), step):
        rows = slice(start, start + step)
        x, y = grey(truth[rows]), grey(recon[rows])
        cross = _smooth(x * y, window)
        out[rows] = _index(_moments(x, window), _moments(y, window), cross, window)
    return out


def ssim_matrix(recon, truth, variant: str = 'ssim'):
    """[m truths, n reconstructions]; see `ssim`. One filtering for each pair: give it blocks."""
    check_size(variant, truth.shape[1:3])
    window, out = WINDOWS[variant], np.empty((len(truth), len(recon)))
    x, y = grey(truth), grey(recon)
    of_x, of_y = _moments(x, window), _moments(y, window)
    for j, picture in enumerate(y):
        one = tuple(moment[j] for moment in of_y)
        out[:, j] = _index(of_x, one, _smooth(x * picture, window), window)
    return out


def grey(images: Float[np.ndarray, 'n h w c']) -> Float[np.ndarray, 'n h w']:
    """Luminance (or the one channel there is) in float64."""
    return (images[..., 0] if images.shape[-1] == 1 else image.to_gray(images)).astype(np.float64)


def check_size(variant: str, size) -> None:
    """Raises ConfigError if pictures of `size` (h, w) are smaller than the window of `variant`."""
    window = WINDOWS[variant]
    need = len(window.taps)
    if min(size[: window.axes]) < need:
        raise errors.ConfigError(
            f'{variant} needs pictures of at least {need} x {need} pixels, these are '
            f'{size[0]} x {size[1]}',
            'config.metrics',
            f'leave {variant} out, or decode larger pictures',
        )


def _smooth(x, window):
    """Weighted means over the window, only where it fits: [n h w] -> [n h-2r w-2r] (or w).

    As products with a banded matrix, in strips: faster than a filter of a few taps in scipy.
    """
    if window.axes == 2:
        strips = _strips(x.shape[-1], window.taps)
        x = np.concatenate([x[..., span] @ band.T for span, band in strips], -1)  # [n h w-2r]
    strips = _strips(x.shape[-2], window.taps)
    return np.concatenate([band @ x[..., span, :] for span, band in strips], -2)


def _strips(length, taps, strip=64):
    """Spans of an axis of `length`, and for each the matrix that weighs its windows."""
    out = []
    for start in range(0, length - len(taps) + 1, strip):
        m = min(strip, length - len(taps) + 1 - start)
        band = np.zeros((m, m + len(taps) - 1))
        for i, tap in enumerate(taps):
            band[np.arange(m), np.arange(m) + i] = tap
        out.append((slice(start, start + band.shape[1]), band))
    return out


def _moments(x, window):
    """Mean and variance at each place of the window."""
    mean = _smooth(x, window)
    return mean, window.covariance * (_smooth(x * x, window) - mean * mean)


def _index(of_x, of_y, cross, window):
    """Mean over places of the SSIM index: [n]."""
    (mean_x, var_x), (mean_y, var_y) = of_x, of_y
    product = mean_x * mean_y
    covariance = window.covariance * (cross - product)
    top = (2 * product + _C1) * (2 * covariance + _C2)
    bottom = (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    return (top / bottom).mean((-2, -1))
