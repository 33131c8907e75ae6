import jax
import jax.numpy as jnp
import numpy as np

from recon.train import optim, state
from tests.train import toy


def test_a_state_begins_at_nought_with_what_init_gives():
    optimizer = optim.make({}, 5)
    init = lambda rng: {'a': jax.random.normal(rng, (2, 3)), 'b': jnp.ones(3)}  # noqa: E731
    made = state.create(init, optimizer, jax.random.key(4))
    assert made.step.dtype == jnp.int32 and int(made.step) == 0
    np.testing.assert_allclose(made.params['a'], init(jax.random.key(4))['a'], rtol=1e-6)
    assert made.ema is None and made.averaged is made.params
    toy.same(made.opt_state, jax.jit(optimizer.init)(made.params))


def test_the_average_begins_at_the_parameters_in_arrays_of_its_own():
    _, made = toy.build(3, seed=8)
    toy.same(made.ema, made.params)
    assert made.averaged is made.ema
    pointers = {x.unsafe_buffer_pointer() for x in jax.tree.leaves((made.ema, made.params))}
    assert len(pointers) == 4, 'else a step could not take both over'


def test_every_leaf_is_made_under_jit():
    traced = []

    def init(rng):
        traced.append(isinstance(rng, jax.core.Tracer))
        return {'a': jnp.full((2, 2), 0.5)}

    made = state.create(init, optim.make({}, 5), jax.random.key(0))
    assert traced == [True] and not any(leaf.weak_type for leaf in jax.tree.leaves(made))
