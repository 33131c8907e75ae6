"""Ridge regression in closed form: one factorisation serves every penalty and every target.

n rows, v voxels, t targets, r rank of the factorisation. Primal if n > v, dual if not. Everything
follows the dtype of its input; float64 needs `jax.enable_x64`. Products are asked for at full
precision, since a TPU or a GPU would otherwise round to bfloat16 or TF32.

Source: Hastie, Tibshirani and Friedman 2009, eq. 3.44 and 3.47; dual form: Saunders, Gammerman and
Vovk 1998. The penalty is scikit-learn's `alpha`: ||x w - y||^2 + alpha ||w||^2, not divided by n.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors

_GRAM_BLOCKS = 4  # 10 of 16 blocks of a symmetric product are computed, the others mirrored


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=['basis', 'values', 'rotation'],
    meta_fields=['intercept'],
)
@dataclasses.dataclass(frozen=True)
class Factor:
    """A factorised set of rows, for any penalty and any target.

    Attributes:
      basis: [n r]. Dual: eigenvectors V of the Gram matrix, without the constant direction if
        there is an intercept. Primal: x U, with U the eigenvectors of x'x.
      values: [r] eigenvalues, >= 0, ascending, in the unit of squared singular values of x.
      rotation: [v r] U in the primal, None in the dual.
      intercept: whether the constant is fitted, without a penalty.
    """

    basis: Array
    values: Array
    rotation: Array | None
    intercept: bool

    @property
    def dual(self) -> bool:
        """Whether this is the dual form."""
        return self.rotation is None


def exact(function):
    """Asks for products in the full precision of their dtype on every kind of device."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.default_matmul_precision('highest'):
            return function(*args, **kwargs)

    return wrapped


def check_rows(voxels, target=None, where: str = 'decoder') -> None:
    """Refuses rows that no solver can use.

    Args:
      voxels: [n v].
      target: [n ...] or None.
      where: who asks, for the message.

    Raises:
      DataInvalid: not a matrix, different numbers of rows, or values that are not finite; the
        message has their count and the first place.
    """
    if np.ndim(voxels) != 2 or 0 in np.shape(voxels):
        raise errors.DataInvalid(
            f'voxels have shape {np.shape(voxels)}', where, 'wanted [rows, voxels], none of them 0'
        )
    if target is not None and len(target) != len(voxels):
        raise errors.DataInvalid(
            f'{len(voxels)} rows of voxels, {len(target)} of the target', where, 'one for each row'
        )
    for name, array in (('voxels', voxels), ('target', target)):
        # A finite sum proves finite parts and needs no temporary array of the size of the target.
        if array is None or np.isfinite(np.sum(array, dtype=np.float64)):
            continue
        bad = ~np.isfinite(np.asarray(array))
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise errors.DataInvalid(
            f'{name} hold {int(bad.sum())} values that are not finite, first at row {first[0]}, '
            f'position {first[1:]}',
            where,
            'drop those voxels or rows in preprocess, or mend the file',
        )


def gram(x: Float[Array, 'n v']) -> Float[Array, 'n n']:
    """The product x x', with the blocks above the diagonal mirrored instead of computed."""
    n = x.shape[0]
    if n < 64 * _GRAM_BLOCKS:
        return x @ x.T
    edges = [n * i // _GRAM_BLOCKS for i in range(_GRAM_BLOCKS + 1)]
    rows = [x[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    blocks = [[None] * _GRAM_BLOCKS for _ in rows]
    for i, left in enumerate(rows):
        for j, right in enumerate(rows[: i + 1]):
            blocks[i][j] = left @ right.T
            blocks[j][i] = blocks[i][j] if i == j else blocks[i][j].T
    return jnp.block(blocks)


def ridge_weights(
    x: Float[Array, 'n v'], y: Float[Array, 'n t'], alpha: float | Float[Array, 't']
) -> Float[Array, 'v t']:
    """Solves min_w ||x w - y||^2 + alpha ||w||^2, without an intercept.

    One penalty: Cholesky of x x' + alpha (n <= v) or x'x + alpha (n > v), O(n v min(n, v) + n v t).
    A penalty for each target: one eigendecomposition of the same matrix.

    Args:
      x: voxels, centred if the caller wants an intercept.
      y: targets, likewise.
      alpha: > 0, in the unit of squared singular values of `x`; a number, or one for each target.

    Returns:
      Weights in the dtype of `x`.

    Raises:
      ValueError: `x` and `y` differ in n, `alpha` is not positive or has another length than t.
    """
    if x.shape[0] != y.shape[0]:
        raise ValueError(f'x has {x.shape[0]} rows, y has {y.shape[0]}')
    if np.shape(alpha) not in ((), (y.shape[1],)):
        raise ValueError(f'alpha has shape {np.shape(alpha)}, wanted () or ({y.shape[1]},)')
    if not isinstance(alpha, jax.core.Tracer) and not np.all(np.asarray(alpha) > 0):
        raise ValueError(f'alpha must be > 0, smallest is {np.min(alpha)}')
    if np.ndim(alpha) == 0:
        return _one_penalty(x, y, alpha)
    decomposed = factor(x, intercept=False)
    found = coefficients(decomposed, project(decomposed, y), alpha)
    return dual_weights(x, found) if decomposed.dual else found


@jax.jit
@exact
def _one_penalty(x, y, alpha):
    found = cholesky_solve(cholesky(x, alpha), x, y)
    return x.T @ found if x.shape[0] <= x.shape[1] else found


@jax.jit
@exact
def cholesky(x: Float[Array, 'n v'], alpha: float) -> Float[Array, 'm m']:
    """Lower triangle of x x' + alpha (dual, n <= v) or of x'x + alpha, for a single penalty."""
    a = gram(x if x.shape[0] <= x.shape[1] else x.T)
    a = a + jnp.asarray(alpha, a.dtype) * jnp.eye(len(a), dtype=a.dtype)
    return jnp.linalg.cholesky(a, symmetrize_input=False)


@jax.jit
@exact
def cholesky_solve(
    lower: Float[Array, 'm m'], x: Float[Array, 'n v'], y: Float[Array, 'n t']
) -> Float[Array, 'm t']:
    """Coefficients, dual [n t] or primal [v t], from `lower = cholesky(x, alpha)`."""
    right = y if x.shape[0] <= x.shape[1] else x.T @ y
    return jax.scipy.linalg.cho_solve((lower, True), right)


@functools.partial(jax.jit, static_argnames='intercept')
@exact
def factor(x: Float[Array, 'n v'], intercept: bool = True) -> Factor:
    """Factorises rows once, O(n v r + r^3): dual if v >= n, primal if not.

    Args:
      x: voxels; with an intercept they must be centred.
      intercept: whether a constant is fitted beside them.
    """
    if x.shape[1] >= x.shape[0]:
        return factor_gram(gram(x), intercept)
    values, rotation = jnp.linalg.eigh(gram(x.T))
    return Factor(x @ rotation, jnp.maximum(values, 0), rotation, intercept)


@functools.partial(jax.jit, static_argnames='intercept')
@exact
def factor_gram(k: Float[Array, 'n n'], intercept: bool = True) -> Factor:
    """The dual form of any positive semidefinite kernel, O(n^3).

    An unpenalised constant takes the direction of ones out of the problem. A Householder reflection
    carries that direction to the first axis, which is dropped. Nothing is subtracted afterwards, so
    that small penalties lose no digits, and the kernel need not be centred.
    """
    if not intercept:
        values, vectors = jnp.linalg.eigh(k)
        return Factor(vectors, jnp.maximum(values, 0), None, intercept)
    u = jnp.full(len(k), len(k) ** -0.5, k.dtype).at[0].add(-1)
    u = u / jnp.maximum(jnp.linalg.norm(u), jnp.finfo(k.dtype).tiny)
    k = k - 2 * jnp.outer(u, u @ k)
    k = k - 2 * jnp.outer(k @ u, u)
    values, vectors = jnp.linalg.eigh(k[1:, 1:])
    vectors = jnp.pad(vectors, ((1, 0), (0, 0)))
    vectors = vectors - 2 * jnp.outer(u, u @ vectors)  # [n n-1]
    return Factor(vectors, jnp.maximum(values, 0), None, intercept)


@jax.jit
@exact
def project(factor: Factor, y: Float[Array, 'n t']) -> Float[Array, 'r t']:
    """Targets in the basis of the factorisation: what every penalty starts from."""
    return factor.basis.T @ y


@jax.jit
@exact
def coefficients(
    factor: Factor, z: Float[Array, 'r t'], alpha, cut: float = -1.0
) -> Float[Array, 'm t']:
    """Ridge coefficients from `z = project(factor, y)`.

    Args:
      factor: of the training rows.
      z: projected targets; `y` centred if there is an intercept.
      alpha: penalty, a number or [t].
      cut: directions with eigenvalues <= `cut` are left out (a pseudo-inverse for alpha = 0).

    Returns:
      Dual: m = n, prediction = k(new, train) @ coefficients. Primal: m = v, the weights.
    """
    values = factor.values[:, None]  # [r 1]
    alpha = jnp.atleast_1d(jnp.asarray(alpha, z.dtype))  # [1] or [t]
    scaled = jnp.where(values > cut, z / (values + alpha), 0)  # [r t]
    return (factor.basis if factor.dual else factor.rotation) @ scaled


@jax.jit
@exact
def dual_weights(x: Float[Array, 'n v'], dual: Float[Array, 'n t']) -> Float[Array, 'v t']:
    """Primal weights from dual coefficients."""
    return x.T @ dual
