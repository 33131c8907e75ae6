"""Weights that mix decoded parts into one picture: least squares that never subtracts, and SGD.

Picture n is the sum over parts m of weight[owner[m]] * values[n, m] * shapes[m]; parts of one owner
(a scale) share a weight. n rows, m parts, p pixels, s weights.
"""

import functools

import jax
import numpy as np
import optax
import scipy.optimize
from jaxtyping import Array, Float, Int

_RANK = 1e-12  # directions with less of the largest eigenvalue are rounding


def products(values, shapes, truth, owner: Int[np.ndarray, 'm']) -> tuple[np.ndarray, np.ndarray]:
    """Normal equations of the weights, without the [n p, m] design matrix; float64.

    gram[m, m'] = (sum_n values values') (sum_p shapes shapes'), summed over parts of one owner.

    Args:
      values: [n m].
      shapes: [m p].
      truth: [n p].
      owner: the weight of each part, 0 to s - 1.

    Returns:
      gram [s s], cross [s].
    """
    values, shapes, truth = (np.asarray(a, np.float64) for a in (values, shapes, truth))
    own = (owner[:, None] == np.arange(owner.max() + 1)).astype(np.float64)  # [m s]
    gram = (values.T @ values) * (shapes @ shapes.T)
    cross = ((values.T @ truth) * shapes).sum(1)
    return own.T @ gram @ own, own.T @ cross


def nonnegative(gram: Float[np.ndarray, 's s'], cross: Float[np.ndarray, 's']) -> np.ndarray:
    """min_w w' gram w - 2 w' cross, w >= 0: least squares from its normal equations.

    The root R of gram = R'R gives the same problem min ||R w - b||, R'b = cross, in s rows.
    Source: Lawson and Hanson 1974, as scipy.optimize.nnls.

    Returns:
      [s] float64.
    """
    values, vectors = np.linalg.eigh(gram)
    keep = values > _RANK * max(values[-1], 0)
    root = np.sqrt(values[keep])
    if not root.size:
        return np.zeros(len(cross))
    return scipy.optimize.nnls(
        root[:, None] * vectors[:, keep].T, vectors[:, keep].T @ cross / root
    )[0]


@functools.partial(jax.jit, static_argnames=('epochs', 'batch_size'))
def descend(
    values: Float[Array, 'n m'],
    shapes: Float[Array, 'm p'],
    truth: Float[Array, 'n p'],
    owner: Int[Array, ' m'],
    start: Float[Array, ' s'],
    rng: Array,
    *,
    learning_rate: float = 0.1,
    epochs: int = 100,
    batch_size: int = 32,
) -> Float[Array, ' s']:
    """The same weights by stochastic gradient descent, free to be negative.

    Loss: squared error, mean over rows, sum over pixels, over the pixels that a weight reaches
    (p times scales over weights), so that one rate serves few weights and many.
    Source: Agarwal and Sharma's report trains the weights of the scales so.

    Args:
      values: [n m], of rows that the parts were not fitted on.
      shapes: [m p].
      truth: [n p].
      owner: the weight of each part.
      start: where to begin.
      rng: key; draws the order of the rows in every epoch.
      learning_rate: of plain SGD.
      epochs: passes over the rows.
      batch_size: rows in an update; a last incomplete batch is left out.

    Returns:
      [s].
    """
    n, size = len(values), min(batch_size, len(values))
    # Shapes of one scale sum to p over its parts, so their total over p is the number of scales.
    reach = truth.shape[1] * (shapes.sum() / truth.shape[1]) / len(start)
    tx = optax.sgd(learning_rate)

    def loss(weights, rows):
        picture = (values[rows] * weights[owner]) @ shapes  # [b p]
        return ((picture - truth[rows]) ** 2).sum(1).mean() / reach

    def update(state, rows):
        weights, opt = state
        step, opt = tx.update(jax.grad(loss)(weights, rows), opt)
        return (optax.apply_updates(weights, step), opt), None

    keys = jax.random.split(rng, epochs)
    order = jax.vmap(lambda key: jax.random.permutation(key, n))(keys)[:, : n // size * size]
    state, _ = jax.lax.scan(update, (start, tx.init(start)), order.reshape(-1, size))
    return state[0]
