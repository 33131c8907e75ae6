"""Kernels of rows of voxels, and what kernel ridge regression needs besides core/solvers.py.

Every kernel is about 1 on its diagonal for z-scored voxels, whatever the number of voxels, so that
one grid of penalties serves voxel sets of all sizes.

Source: Saunders, Gammerman and Vovk 1998 (kernel ridge); Scholkopf and Smola 2002 (RBF); sums of
kernels, one for each set of features: Nunez-Elizalde, Huth and Gallant 2019.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import select, solvers

KERNELS = ('linear', 'rbf')
SCORES = ('covariance', 'peak')


@functools.partial(jax.jit, static_argnames='kind')
@solvers.exact
def base(a: Float[Array, 'k v'], b: Float[Array, 'n v'], kind: str) -> Float[Array, 'k n']:
    """What a kernel is made of: mean product ('linear') or mean squared difference ('rbf').

    Both are means over voxels: the inner product or the squared distance over v.
    """
    product = a @ b.T / a.shape[1]
    if kind == 'linear':
        return product
    squares = ((a**2).mean(1)[:, None], (b**2).mean(1)[None])
    return jnp.maximum(squares[0] + squares[1] - 2 * product, 0)


def bases(a: np.ndarray, b: np.ndarray, used: np.ndarray, kind: str) -> Float[Array, 's k n']:
    """`base` of the voxels of each set, `used` [s v] bool."""
    return jnp.stack([base(a[:, u], b[:, u], kind) for u in used])


@functools.partial(jax.jit, static_argnames='kind')
def mix(
    bases: Float[Array, 's k n'], scales: Float[Array, 's'], weights: Float[Array, 's'], kind: str
) -> Float[Array, 'k n']:
    """Weighted sum over voxel sets of their kernels.

    Args:
      bases: `base` of each set.
      scales: squared distance at which an RBF kernel falls to 1 / e, for each set; not used by
        'linear'.
      weights: of the sets.
      kind: 'linear' or 'rbf'.
    """
    each = bases if kind == 'linear' else jnp.exp(-bases / scales[:, None, None])
    return jnp.tensordot(weights, each, 1)


def median_scale(bases: Float[np.ndarray, 's n n']) -> Float[np.ndarray, 's']:
    """Median over pairs of different rows of the squared distances of each set; > 0."""
    upper = np.triu_indices(bases.shape[1], 1)
    if not upper[0].size:
        return np.ones(len(bases), np.float32)
    found = np.array([np.median(np.asarray(b)[upper]) for b in bases], np.float32)
    return np.where(found > 0, found, 1)


@jax.jit
@solvers.exact
def held_out_errors(
    factor: solvers.Factor,
    kernels: tuple[Array, Array],
    train: Float[Array, 'n t'],
    test: Float[Array, 'k t'],
    penalties: Float[Array, 'a'],
    limits: tuple[float, float],
    contrasts: Float[Array, 'g'],
) -> Float[Array, 'g a t']:
    """Mean squared error on rows that were left out, for every contrast, penalty and target.

    Args:
      factor: `solvers.factor_gram` of the training kernel.
      kernels: training kernel [n n], and kernel of the rows left out with the training rows [k n].
      train: targets of the training rows.
      test: targets of the rows left out.
      penalties: > 0.
      limits: predictions are clipped to these, (-inf, inf) for not at all.
      contrasts: see `finish`.
    """
    mean = train.mean(0) * factor.intercept  # [t]
    z = solvers.project(factor, train - mean)

    def one(penalty):
        dual = solvers.coefficients(factor, z, penalty)
        predicted = kernels[1] @ dual + mean
        if factor.intercept:
            predicted = predicted + constant(kernels[0], dual)
        return jnp.stack([((finish(predicted, limits, g) - test) ** 2).mean(0) for g in contrasts])

    return jnp.swapaxes(jax.lax.map(one, penalties), 0, 1)


def finish(predicted: Float[Array, 'k t'], limits: tuple[float, float], contrast: float):
    """Predictions stretched about the middle of `limits` and clipped; untouched by infinite limits.

    A penalty draws predictions to their mean, which leaves a grey haze where pictures are black or
    white. A contrast above 1 undoes that, and clipping takes what it overshoots.
    """
    middle = (limits[0] + limits[1]) / 2
    stretched = (predicted - middle) * contrast + middle
    return jnp.clip(jnp.where(jnp.isfinite(middle), stretched, predicted), *limits)


def constant(kernel: Float[Array, 'n n'], dual: Float[Array, 'n t']) -> Float[Array, 't']:
    """What kernel ridge adds to `k dual` for centred targets, so that residuals have mean 0."""
    return -(kernel.mean(0) @ dual)


def scores(voxels: Float[np.ndarray, 'n v'], target: Float[np.ndarray, 'n t'], by: str):
    """How much each voxel says about the targets, [v] >= 0; 0 for a constant voxel.

    'covariance': norm over targets of the covariance with the z-scored voxel, so that targets count
    by their variance; through the products of rows with each other where they are fewer than
    targets. 'peak': largest |correlation| with any target.
    """
    if by == 'peak':
        return np.abs(select.correlation(voxels, target)).max(1)
    n, t = target.shape
    std = np.where(voxels.max(0) == voxels.min(0), 0, voxels.std(0, dtype=np.float64))
    x = (voxels - voxels.mean(0, dtype=np.float64)) / np.where(std == 0, 1, std)
    y = target - target.mean(0, dtype=np.float64)
    squares = ((y @ y.T) @ x * x).sum(0) if n < t else ((y.T @ x) ** 2).sum(0)
    return np.where(std == 0, 0, np.sqrt(np.maximum(squares, 0)) / n)
