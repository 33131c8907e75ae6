"""Batch norm without running averages: by the batch, or by statistics that were measured after.

Source: Ioffe and Szegedy 2015, algorithms 1 and 2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

COLLECTION = 'batch_stats'


class BatchNorm(nn.Module):
    """Over all axes but the last, in float32.

    `apply({'params': p}, x)` norms by the batch and keeps nothing, so that a training has
    parameters alone. `apply({'params': p}, x, mutable=['batch_stats'])` also gives the batch's
    moments, {'mean', 'var': [d]} for each norm; `pooled` makes those of all batches of them.

    Attributes:
      epsilon: added to the variance: 1e-3 in Keras, 1e-5 in torch.
      dtype: of the output.
    """

    epsilon: float = 1e-3
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, '... d'], moving: bool = False) -> Float[Array, '... d']:
        """[... d] -> [... d]; with `moving` by the statistics in 'batch_stats' (ddof 0)."""
        scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
        bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
        kept = None
        if moving or self.is_mutable_collection(COLLECTION):
            kept = {
                'mean': self.variable(COLLECTION, 'mean', jnp.zeros, x.shape[-1:]),
                'var': self.variable(COLLECTION, 'var', jnp.ones, x.shape[-1:]),
            }
        x = x.astype(jnp.float32)
        if moving:
            mean, var = kept['mean'].value, kept['var'].value
        else:
            axes = tuple(range(x.ndim - 1))
            mean = x.mean(axes)
            var = jnp.square(x - mean).mean(axes)
            if kept is not None and not self.is_initializing():
                kept['mean'].value, kept['var'].value = mean, var
        gain = jax.lax.rsqrt(var + self.epsilon) * scale
        return ((x - mean) * gain + bias).astype(self.dtype)


def pooled(batches: list) -> dict:
    """Moments of all rows together, of those of batches of one size: nested dicts of float32.

    The variance is the mean of the batches' variances plus the variance of their means.
    """
    first = batches[0]
    if 'mean' not in first:
        return {name: pooled([batch[name] for batch in batches]) for name in first}
    means, variances = (np.stack([np.float64(b[k]) for b in batches]) for k in ('mean', 'var'))
    return {
        'mean': means.mean(0).astype(np.float32),
        'var': (variances.mean(0) + means.var(0)).astype(np.float32),
    }
