"""What a training is made of at one moment: step, parameters, optimizer state, running average."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax


@flax.struct.dataclass
class State:
    """A pytree; a training is resumed from it alone, since the data are a function of the step.

    Attributes:
      step: int32 scalar, the updates made so far.
      params: nested dict of the master weights, in their own dtype (float32).
      opt_state: what the optimizer keeps.
      ema: running average of `params`, or None where none is kept.
    """

    step: jax.Array
    params: Any
    opt_state: Any
    ema: Any = None

    @property
    def averaged(self):
        """The parameters to be used: the running average where there is one."""
        return self.params if self.ema is None else self.ema


def create(
    init, optimizer: optax.GradientTransformation, rng, *, ema: bool = False, place=None
) -> State:
    """The state before the first step, made under one jit.

    Arrays that are made outside of jit would have the step traced a second time, once for them and
    once for what it returns.

    Args:
      init: `init(rng) -> params`.
      optimizer: as `optim.make` gives it.
      rng: jax key of the parameters.
      ema: whether a running average is kept.
      place: `place(shapes) -> shardings` of the state, as `sharding.by_rules` makes it; None leaves
        all on the default device.
    """

    def begin(rng):
        params = init(rng)
        made = State(jnp.zeros((), jnp.int32), params, optimizer.init(params))
        # jnp.full(shape, 0.5) has a weak type, and what a step returns has none: a second trace.
        made = jax.tree.map(lambda leaf: leaf.astype(leaf.dtype), made)
        return made.replace(ema=made.params) if ema else made

    where = None if place is None else place(jax.eval_shape(begin, rng))
    return jax.jit(begin, out_shardings=where)(rng)
