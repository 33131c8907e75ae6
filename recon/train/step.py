"""One update of the parameters, compiled once."""

import jax
import jax.numpy as jnp
import optax

from recon.core import compiler
from recon.train import state as states


def single(
    loss,
    optimizer: optax.GradientTransformation,
    *,
    ema: float = 0.0,
    accumulate: int = 1,
    like: states.State | None = None,
):
    """A step of gradient descent on one loss.

    The step is jitted and its state donated: use what it returns, never what went in.

    Args:
      loss: `loss(params, batch, rng) -> (scalar, {name: scalar})`, the scalar a mean over the
        batch.
      optimizer: as `optim.make` gives it.
      ema: decay of the running average of the parameters, 0 for none; the state must then hold one.
        The first steps average over less: decay is at most (1 + step) / (10 + step).
      accumulate: the batch is taken in this many equal parts, one after the other, and the
        gradient is their mean; every array of the batch has rows that this number divides.
      like: a state that is divided over devices: what the step returns is divided as it is.

    Returns:
      `step(state, batch, rng) -> (state, {name: scalar})`: the loss's own scalars, 'loss' and
      'grad_norm' (global, before clipping). `rng` is folded with the state's step.
    """
    assert 0 <= ema < 1, ema
    assert accumulate >= 1, accumulate
    gradient = _accumulated(jax.value_and_grad(loss, has_aux=True), accumulate)

    def step(state: states.State, batch: dict, rng):
        assert (state.ema is not None) == (ema > 0), 'state.create and step.single: ema in one only'
        (value, named), grads = gradient(state.params, batch, jax.random.fold_in(rng, state.step))
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        averaged = average(state.ema, params, state.step, ema) if ema else None
        named = dict(named) | {'loss': value, 'grad_norm': optax.global_norm(grads)}
        return states.State(state.step + 1, params, opt_state, averaged), named

    return compiled(step, like)


def compiled(step, like: states.State | None):
    """`step(state, batch, rng)` jitted, its state donated and returned where `like` lies."""
    where = None if like is None else jax.tree.map(lambda leaf: leaf.sharding, like)
    return jax.jit(
        step,
        donate_argnums=0,
        out_shardings=where and (where, None),
        compiler_options=compiler.options(),
    )


def _accumulated(gradient, parts: int):
    if parts == 1:
        return gradient

    def over_parts(params, batch, rng):
        rows = {len(leaf) for leaf in jax.tree.leaves(batch)}
        assert all(n % parts == 0 for n in rows), f'accumulate={parts} divides no batch of {rows}'
        split = jax.tree.map(lambda x: x.reshape(parts, len(x) // parts, *x.shape[1:]), batch)

        def add(total, part):
            i, rows = part
            new = gradient(params, rows, jax.random.fold_in(rng, i))
            return jax.tree.map(lambda a, b: a + b / parts, total, new), None

        shapes = jax.eval_shape(
            lambda s: gradient(params, jax.tree.map(lambda x: x[0], s), rng), split
        )
        zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return jax.lax.scan(add, zeros, (jnp.arange(parts), split))[0]

    return over_parts


def average(average, params, step, decay: float):
    """Exponential running average, with a warm-up as TensorFlow's `num_updates` has it."""
    decay = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda a, p: (a + (1 - decay) * (p - a)).astype(a.dtype), average, params)
