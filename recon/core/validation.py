"""Choosing a ridge penalty from one factorisation: leave-one-out, GCV, k folds that respect runs.

Nothing is refitted. With R = I - H the residual maker of ridge on all rows (constant included), the
errors of the rows G under the model fitted without them are (R_GG)^-1 (R y)_G, exactly. In the dual
R is alpha V diag(1 / (values + alpha)) V', so alpha cancels and no digits are lost.

Source: leave-one-out, Allen 1974; groups, Hastie et al. 2009 section 7.10 and the block inverse of
the bordered system (Cawley and Talbot 2004); GCV, Golub, Heath and Wahba 1979.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from recon.core import errors, solvers

RULES = ('loo', 'gcv', 'kfold')


def fold_of_rows(
    groups: Int[np.ndarray, 'n'], folds: int, generator: np.random.Generator | None = None
) -> Int[np.ndarray, 'n']:
    """Gives each row a fold so that no group is split.

    Groups stand in the order of their first row, or in a random one with `generator`, and are cut
    into `folds` stretches of about equally many rows: neighbours in time stay together.

    Args:
      groups: the run of each row.
      folds: how many, >= 2.
      generator: draws another order for each repeat.

    Returns:
      Fold of each row, 0 to (number of folds that are not empty) - 1.

    Raises:
      ConfigError: fewer than two folds, or fewer groups than folds.
    """
    names, first, group, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    if not 2 <= folds <= len(names):
        raise errors.ConfigError(
            f'{folds} folds for {len(names)} runs in {len(groups)} rows',
            'decoder.folds',
            f'wanted 2 to {len(names)}, since a run is never split (a row of unknown run counts '
            'as its own)',
        )
    order = np.argsort(first) if generator is None else generator.permutation(len(names))
    middle = np.cumsum(sizes[order]) - sizes[order] / 2
    fold = np.empty(len(names), np.int64)
    fold[order] = (middle * folds / len(groups)).astype(np.int64)
    return np.unique(fold[group], return_inverse=True)[1].reshape(-1)


def rows_of_folds(fold: Int[np.ndarray, 'n']) -> Int[np.ndarray, 'k m']:
    """The rows of each fold, padded with -1 to the largest fold."""
    counts = np.bincount(fold)
    rows = np.full((len(counts), counts.max()), -1, np.int32)
    for k, count in enumerate(counts):
        rows[k, :count] = np.flatnonzero(fold == k)
    return rows


@functools.partial(jax.jit, static_argnames='rule')
@solvers.exact
def errors_by_penalty(
    factor: solvers.Factor,
    z: Float[Array, 'r t'],
    y: Float[Array, 'n t'],
    penalties: Float[Array, 'a'],
    rows: Int[Array, 'k m'] | None = None,
    rule: str = 'loo',
) -> Float[Array, 'a t']:
    """Mean squared error of left-out rows, for every penalty and target.

    Cost: O(n r t) for each penalty, O(r t) with GCV. With folds: the mean over folds of the mean
    within each.

    Args:
      factor: of all training rows.
      z: `solvers.project(factor, y)`.
      y: targets, centred if the factor has an intercept.
      penalties: > 0.
      rows: of each fold, padded with -1, for the rule 'kfold'.
      rule: 'loo', 'gcv' or 'kfold'.
    """
    one = {'loo': _leave_one_out, 'gcv': _generalised, 'kfold': _leave_fold_out}[rule]
    if rule == 'kfold':
        one = functools.partial(one, rows=rows)
    return jax.lax.map(lambda penalty: one(factor, z, y, penalty), penalties)


def _generalised(factor, z, y, penalty):
    shrunk = 1 / (factor.values + penalty)  # [r]
    if factor.dual:
        return len(y) * ((shrunk[:, None] * z) ** 2).sum(0) / shrunk.sum() ** 2
    hat = factor.values * shrunk
    residual = (y**2).sum(0) - ((shrunk * (2 - hat))[:, None] * z**2).sum(0)
    free = len(y) - factor.intercept - hat.sum()
    return len(y) * jnp.maximum(residual, 0) / free**2


def _leave_one_out(factor, z, y, penalty):
    shrunk = 1 / (factor.values + penalty)
    fitted = factor.basis @ (shrunk[:, None] * z)  # [n t]
    leverage = factor.basis**2 @ shrunk  # [n]
    if factor.dual:
        left_out = fitted / leverage[:, None]
    else:
        left_out = (y - fitted) / (1 - factor.intercept / len(y) - leverage)[:, None]
    return (left_out**2).mean(0)


def _leave_fold_out(factor, z, y, penalty, rows):
    real = rows >= 0  # [k m], False where a short fold is padded
    basis = jnp.where(real[..., None], factor.basis[rows], 0)  # [k m r]
    shrunk = 1 / (factor.values + penalty)
    # One large product for all folds: small ones leave half of the machine unused.
    right = basis.reshape(rows.size, -1) @ (shrunk[:, None] * z)  # [km t]
    right = right.reshape(*rows.shape, -1)  # [k m t]

    def fold(one):
        index, real, basis, right = one
        block = (basis * shrunk) @ basis.T  # [m m]
        if factor.dual:
            block = block + jnp.diag(jnp.where(real, 0, 1).astype(block.dtype))
        else:
            constant = factor.intercept / len(y) * jnp.outer(real, real)
            block = jnp.eye(len(index), dtype=block.dtype) - constant - block
            right = jnp.where(real[:, None], y[index], 0) - right
        left_out = jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(block, True), right)
        return (left_out**2).sum(0) / real.sum()

    return jax.lax.map(fold, (rows, real, basis, right)).mean(0)


def choose(error: Float[np.ndarray, 'a t'], per_target: bool) -> Int[np.ndarray, '...']:
    """Index of the best penalty, [t] or a single one; the first of equals; never a NaN.

    Without `per_target` the error is averaged over targets as it is, so that targets with more
    variance count for more (scikit-learn's RidgeCV does the same).
    """
    error = np.where(np.isfinite(error), error, np.inf)
    return np.argmin(error if per_target else error.mean(1), axis=0)
