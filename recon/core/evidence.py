"""Bayesian ridge regression: penalty and noise by evidence maximisation, all targets at once.

Model: y = x w + noise, w ~ N(0, 1 / lambda), noise ~ N(0, 1 / alpha), gamma priors on both
precisions. The rows are factorised once. What an update then needs of a target is its power in each
eigendirection: one pass over [r t] and no product of matrices.

Source: MacKay 1992; Tipping 2001, appendix A; variance: Bishop 2006, eq. 3.59. Start, order of
updates and priors as scikit-learn's BayesianRidge, to which the same number of updates is equal.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import solvers


@functools.partial(jax.jit, static_argnames=('iterations',))
@solvers.exact
def maximise(
    factor: solvers.Factor,
    z: Float[Array, 'r t'],
    y: Float[Array, 'n t'],
    iterations: int = 300,
    tolerance: float = 1e-4,
    prior: float = 1e-6,
) -> dict[str, Array]:
    """Precisions of noise and weights of every target.

    With s the eigenvalues of x'x, q the target in the left singular vectors, p = lambda / alpha:
    |w|^2 = sum s q^2 / (s + p)^2, residual = rest + sum (p q / (s + p))^2, gamma = sum s / (s + p);
    then lambda = (gamma + 2 prior) / (|w|^2 + 2 prior), alpha = (n - gamma + 2 prior) / (residual +
    2 prior). A target stops when neither moves by more than `tolerance`, relatively.

    Args:
      factor: of the training rows.
      z: `solvers.project(factor, y)`.
      y: targets, centred if the factor has an intercept.
      iterations: updates at most.
      tolerance: 0 makes all of them.
      prior: shape and rate of both gamma priors.

    Returns:
      alpha [t] 1 / variance of the noise, lambda [t] 1 / variance of the weights, gamma [t]
      effective number of weights, updates [t] how many were made.
    """
    n, s = len(y), factor.values[:, None]  # [r 1]
    floor = jnp.finfo(z.dtype).eps * max(n, len(s)) * jnp.max(s, initial=0)
    # In the primal z = s^(1/2) q; directions of rounding hold nothing.
    power = z**2 if factor.dual else jnp.where(s > floor, z**2 / jnp.where(s > floor, s, 1), 0)
    total = (y**2).sum(0)
    rest = jnp.zeros_like(total) if factor.dual else jnp.maximum(total - power.sum(0), 0)

    def update(state):
        alpha, lambda_, gamma, updates, moving, step = state
        p = lambda_ / alpha
        shrunk = 1 / (s + p)  # [r t]
        norm = (s * power * shrunk**2).sum(0)
        residual = rest + (power * (p * shrunk) ** 2).sum(0)
        new_gamma = (s * shrunk).sum(0)
        new_lambda = (new_gamma + 2 * prior) / (norm + 2 * prior)
        new_alpha = (n - new_gamma + 2 * prior) / (residual + 2 * prior)
        moved = jnp.maximum(abs(new_alpha / alpha - 1), abs(new_lambda / lambda_ - 1))
        pick = functools.partial(jnp.where, moving)
        return (
            pick(new_alpha, alpha),
            pick(new_lambda, lambda_),
            pick(new_gamma, gamma),
            updates + moving,
            moving & (moved > tolerance),
            step + 1,
        )

    spread = y.var(0)
    start = (
        1 / (spread + jnp.finfo(z.dtype).eps),
        jnp.ones_like(total),
        jnp.zeros_like(total),
        jnp.zeros(total.shape, jnp.int32),
        jnp.ones(total.shape, bool),
        0,
    )
    going = jax.lax.while_loop(lambda a: jnp.any(a[4]) & (a[5] < iterations), update, start)
    return dict(zip(('alpha', 'lambda', 'gamma', 'updates'), going, strict=False))


def right_vectors(factor: solvers.Factor, x: Float[Array, 'n v']) -> Float[Array, 'v r']:
    """Right singular vectors of x; zero where the singular value is lost in rounding."""
    if not factor.dual:
        return factor.rotation
    values = factor.values
    floor = jnp.finfo(values.dtype).eps * max(x.shape) * jnp.max(values, initial=0)
    scale = jnp.where(values > floor, 1 / jnp.sqrt(jnp.where(values > floor, values, 1)), 0)
    return solvers.dual_weights(x, factor.basis) * scale


def spectral_weights(
    factor: solvers.Factor, z: Float[Array, 'r t'], penalty: Float[Array, 't']
) -> Float[Array, 'r t']:
    """Ridge weights in the basis of `right_vectors`: weights = right_vectors @ these."""
    values = factor.values[:, None]
    root = jnp.sqrt(values) if factor.dual else 1
    return root * z / (values + penalty)


def variance(
    new: Float[np.ndarray, 'k v'],
    vectors: Float[np.ndarray, 'v r'],
    values: Float[np.ndarray, 'r'],
    alpha: Float[np.ndarray, 't'],
    lambda_: Float[np.ndarray, 't'],
) -> Float[np.ndarray, 'k t']:
    """Predictive variance: noise, and what the weights do not know about a row.

    1 / alpha + sum_i (v_i'x)^2 / (alpha s_i + lambda), directions outside of the training rows with
    s = 0. numpy in float64: the two parts of |x|^2 cancel for rows like the training rows.

    Args:
      new: rows, less the training means.
      vectors: right singular vectors of the training rows; a column of zeros counts as absent.
      values: squared singular values.
      alpha: precision of the noise.
      lambda_: precision of the weights.
    """
    new, vectors, values, alpha, lambda_ = (
        np.asarray(a, np.float64) for a in (new, vectors, values, alpha, lambda_)
    )
    power = (new @ vectors) ** 2  # [k r]
    outside = np.maximum((new**2).sum(1) - power.sum(1), 0)  # [k]
    inside = power @ (1 / (values[:, None] * alpha + lambda_))
    return 1 / alpha + outside[:, None] / lambda_ + inside
