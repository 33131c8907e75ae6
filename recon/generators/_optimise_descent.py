"""Descent on a loss of each row, in one compiled loop; of each row its best is kept."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

_TINY = 1e-20


@dataclasses.dataclass(frozen=True)
class Rule:
    """How variables follow their gradient; hashable.

    Attributes:
      iterations: how often.
      rate: of the first iteration.
      decay: Adam's rate is multiplied by it after each iteration.
      pixels: variables are pixels in [0, 1], which go by gradient descent with momentum: the
        gradient's mean absolute value is 1 in each row, the rate falls to 0 in a line.
      momentum: of pixels.
      shrink: of pixels: share of the way to grey that they go in the first iteration; falls too.
      blur: of pixels: width in pixels (standard deviation) of the blur at first; falls too.
    """

    iterations: int
    rate: float
    decay: float = 1.0
    pixels: bool = False
    momentum: float = 0.0
    shrink: float = 0.0
    blur: float = 0.0


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def descend(picture, compare, rule: Rule, params: dict, rows: dict, shared: dict):
    """Changes variables so that their pictures come nearer to what is decoded.

    Args:
      picture: (parameters, {name: variable}, shared) -> pictures [n h w 3] in [0, 1]; hashable.
      compare: of _optimise_loss.
      rule: how to go.
      params: of the nets; those of the one that sees are 'vision'.
      rows: 'free': {name: [n ...]} what is changed; 'fixed': {name: [n ...]} what is not; 'values'
        and 'weights' of `compare`.
      shared: what is the same for all rows, 'units' of `compare` among it.

    Returns:
      pictures [n h w 3] of each row's lowest loss; losses [n iterations]; the variables that gave
      these pictures. The first loss is of the start.
    """

    def total(free):
        images = picture(params, rows['fixed'] | free, shared)
        given = (rows['values'], rows['weights'], shared['units'])
        losses = compare(params['vision'], images, *given)
        return losses.sum(), (losses, images)  # no row is in another's loss

    def step(carry, i):
        free, state, best = carry
        (_, (losses, images)), slopes = jax.value_and_grad(total, has_aux=True)(free)
        better = losses < best['loss']
        now = {'loss': losses, 'images': images, 'free': free}
        best = jax.tree.map(lambda new, old: _where(better, new, old), now, best)
        free, state = update(free, slopes, state, i)
        return (free, state, best), losses

    adam = optax.adam(optax.exponential_decay(rule.rate, 1, rule.decay))
    update = functools.partial(_pixels, rule) if rule.pixels else functools.partial(_adam, adam)
    start = rows['free']
    n = len(rows['weights'])
    shape = jax.eval_shape(lambda free: total(free)[1][1], start)
    best = {'loss': jnp.full(n, jnp.inf), 'images': jnp.zeros(shape.shape, shape.dtype)}
    state = jax.tree.map(jnp.zeros_like, start) if rule.pixels else adam.init(start)
    carry = (start, state, best | {'free': start})
    (_, _, best), losses = jax.lax.scan(step, carry, jnp.arange(rule.iterations))
    return best['images'], losses.T, best['free']


def _where(rows, new, old):
    return jnp.where(rows.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _adam(adam, free, slopes, state, i):
    del i  # counted in the state
    changes, state = adam.update(slopes, state)
    return optax.apply_updates(free, changes), state


def _pixels(rule: Rule, free, slopes, speed, i):
    """One step of Shen et al. 2019 (as released: icnn's gradient descent), in [0, 1]."""
    left = 1 - i / rule.iterations
    x, slope = free['pixels'], slopes['pixels']
    size = jnp.abs(slope).mean((1, 2, 3), keepdims=True)
    speed = rule.momentum * speed['pixels'] - rule.rate * left * slope / jnp.maximum(size, _TINY)
    x = x + speed
    x = x - rule.shrink * left * (x - 0.5)
    x = blurred(x, rule.blur * left) if rule.blur else x
    return {'pixels': jnp.clip(x, 0, 1)}, {'pixels': speed}


def blurred(images: Float[Array, 'n h w c'], width) -> Float[Array, 'n h w c']:
    """Pictures under a Gaussian of standard deviation `width` pixels; the border counts less."""
    down, across = (_gaussian(size, width) for size in images.shape[1:3])
    return jnp.einsum('ph,nhwc,qw->npqc', down, images, across)


def _gaussian(size: int, width) -> Float[Array, 'p h']:
    apart = np.arange(size)[:, None] - np.arange(size)
    kernel = jnp.exp(-(apart**2) / (2 * jnp.maximum(width, 1e-3) ** 2))
    return kernel / kernel.sum(1, keepdims=True)
