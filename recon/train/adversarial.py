"""One update of a generator and its discriminator, compiled once.

The order: the discriminator on what the old generator makes, then the generator against the new
discriminator. The generator runs forward once for both.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from recon.train import state as states
from recon.train import step as steps

PARTS = ('generator', 'discriminator')


def create(
    inits: dict, optimizers: dict, rng, *, ema: bool = False, switch: bool = False, place=None
) -> states.State:
    """The state before the first step: `params` and `opt_state` are {part: ...}.

    Args:
      inits: {part: init(rng) -> params} of PARTS.
      optimizers: {part: optax transformation}.
      rng: jax key of the parameters.
      ema: whether a running average of both is kept.
      switch: whether a rule of `step` may hold one of the two: `opt_state` then also has 'switch',
        {part: whether it trains in the next step}.
      place: as in `states.create`.
    """

    def init(rng):
        return {part: inits[part](jax.random.fold_in(rng, i)) for i, part in enumerate(PARTS)}

    def begin(params):
        moves = {'switch': {part: jnp.ones((), bool) for part in PARTS}} if switch else {}
        return {part: optimizers[part].init(params[part]) for part in PARTS} | moves

    optimizer = optax.GradientTransformation(begin, None)
    return states.create(init, optimizer, rng, ema=ema, place=place)


def step(
    generate,
    discriminator_loss,
    generator_loss,
    optimizers: dict,
    *,
    switch=None,
    ema: float = 0.0,
    like=None,
):
    """A step of both nets, jitted, its state donated.

    Args:
      generate: `generate(params, batch, rng) -> fake`, any pytree of arrays.
      discriminator_loss: `(params, fake, batch, rng) -> (scalar, {name: scalar})`; no gradient
        reaches the generator through it.
      generator_loss: `(fake, discriminator params, batch, rng) -> (scalar, {name: scalar})`; no
        gradient reaches the discriminator's parameters through it.
      optimizers: {part: optax transformation}, those of `create`.
      switch: `switch(scalars, moves) -> {part: train it?}` says which net is held in the next step,
        given this step's scalars and what it said before; a held net keeps its parameters and its
        optimizer's state. None trains both always.
      ema: decay of the running average, 0 for none.
      like: a state that is divided over devices, as in `step.single`.

    Returns:
      `step(state, batch, rng) -> (state, scalars)`: 'loss' (the generator's), 'discriminator_loss',
      'grad_norm' (of both together, before clipping), and the losses' own.
    """

    def one(state: states.State, batch: dict, rng):
        keys = [jax.random.fold_in(jax.random.fold_in(rng, state.step), i) for i in range(3)]
        old, moves = state.params, state.opt_state.get('switch')
        fake, pull = jax.vjp(lambda p: generate(p, batch, keys[0]), old['generator'])
        (value_d, named_d), grads_d = jax.value_and_grad(discriminator_loss, has_aux=True)(
            old['discriminator'], jax.lax.stop_gradient(fake), batch, keys[1]
        )
        new = {'discriminator': update('discriminator', state, grads_d, moves)}
        (value_g, named_g), grads_fake = jax.value_and_grad(generator_loss, has_aux=True)(
            fake, new['discriminator'][0], batch, keys[2]
        )
        (grads_g,) = pull(grads_fake)
        new['generator'] = update('generator', state, grads_g, moves)
        named = dict(named_d) | dict(named_g) | {'loss': value_g, 'discriminator_loss': value_d}
        named['grad_norm'] = optax.global_norm((grads_g, grads_d))
        params, opt_state = ({part: pair[i] for part, pair in new.items()} for i in (0, 1))
        if moves is not None:
            named |= {f'train_{part}': moves[part].astype(jnp.float32) for part in PARTS}
            later = switch(named, moves)
            opt_state['switch'] = {part: jnp.asarray(later[part], bool) for part in PARTS}
        averaged = steps.average(state.ema, params, state.step, ema) if ema else None
        return states.State(state.step + 1, params, opt_state, averaged), named

    def update(part: str, state, grads, moves):
        """New parameters and optimizer's state of a part, or the old ones where it is held."""
        params = state.params[part]
        updates, opt_state = optimizers[part].update(grads, state.opt_state[part], params)
        new = optax.apply_updates(params, updates), opt_state
        if moves is None:
            return new
        was = params, state.opt_state[part]
        return jax.tree.map(functools.partial(jnp.where, moves[part]), new, was)

    return steps.compiled(one, like)
