"""Attention, whole or by parts. Read through `recon/core/blocks.py`."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_SCORES = (2**24, 2**22)  # bytes of scores: more than the first are made in parts of the second
_FEWEST = 4  # queries of a part


def attention(
    query: Float[Array, 'n q d'],
    key: Float[Array, 'n k d'],
    value: Float[Array, 'n k d'],
    heads: int,
    mask: Array | None = None,
) -> Float[Array, 'n q d']:
    """Scaled dot-product attention, the heads side by side in the last axis; softmax in float32.

    Args:
      query: [n q d], d = heads x width.
      key: [n k d].
      value: [n k d].
      heads: number of heads.
      mask: bool, broadcast to [n heads q k]; False is never attended to.

    Source: Vaswani et al. 2017, equation 1. Explicit batched products: on CPU four times faster
    than jax.nn.dot_product_attention.
    """
    (n, q, d), k = query.shape, key.shape[1]

    def split(x):
        x = x.reshape(*x.shape[:2], heads, d // heads).transpose(0, 2, 1, 3)
        return x if few else x.reshape(-1, *x.shape[2:])  # [n heads k width] or [n*heads k width]

    few = mask is not None or 4 * n * heads * q * k <= _SCORES[0]
    parts = (split(query), split(key), split(value))
    mixed = _attend(*parts, mask) if few else _attend_by_parts(*parts)
    return mixed.reshape(n, heads, q, -1).transpose(0, 2, 1, 3).reshape(n, q, d)


def _attend_by_parts(query, key, value) -> Array:
    """[m q width], [m k width] twice -> [m q width], some heads or some queries at a time.

    The scores of a part stay in the processor's cache; all of them would be moved about in memory,
    and be kept for the gradient, for which they are made again here.
    """
    (m, q, width), k = query.shape, key.shape[1]
    together = max(
        g for g in range(1, m + 1) if m % g == 0 and (g == 1 or 4 * g * q * k <= _SCORES[1])
    )
    rows = max(r for r in range(1, q + 1) if q % r == 0 and (r == 1 or 4 * r * k <= _SCORES[1]))
    rows = rows if rows >= _FEWEST else q  # q may have no fitting divisor
    attend = jax.checkpoint(lambda *parts: _attend(*parts, None))

    def some(parts):
        query, key, value = parts  # [together q width] ...
        if rows == q:
            return attend(query, key, value)
        query = query.reshape(together, q // rows, rows, width).swapaxes(0, 1)
        return jax.lax.map(lambda query: attend(query, key, value), query).swapaxes(0, 1)

    grouped = [x.reshape(m // together, together, *x.shape[1:]) for x in (query, key, value)]
    return jax.lax.map(some, grouped).reshape(m, q, width)


def _attend(query, key, value, mask) -> Array:
    """[... q width], [... k width] twice, a mask or None -> [... q width], in value's dtype."""
    scale = jnp.asarray(query.shape[-1] ** -0.5, query.dtype)
    scores = jnp.matmul(
        query * scale, key.swapaxes(-1, -2), preferred_element_type=jnp.float32
    )  # [... q k]
    if mask is not None:
        scores = jnp.where(mask, scores, jnp.finfo(jnp.float32).min)
    weights = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    total = weights.sum(-1, keepdims=True)
    mixed = jnp.matmul(weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
    return (mixed / total).astype(value.dtype)
