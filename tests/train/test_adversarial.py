import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recon.train import adversarial

X = np.random.default_rng(3).standard_normal((5, 3)).astype(np.float32)
Y = np.random.default_rng(4).standard_normal((5, 2)).astype(np.float32)
BATCH = {'x': X, 'y': Y}


def generate(params, batch, rng):
    return jnp.tanh(batch['x'] @ params['w'])


def judge(params, y):
    return (jnp.sin(y) @ params['v']).squeeze(-1)


def discriminator_loss(params, fake, batch, rng):
    real, made = judge(params, batch['y']), judge(params, fake)
    return (jax.nn.softplus(-real) + jax.nn.softplus(made)).mean(), {'real': real.mean()}


def generator_loss(fake, params, batch, rng):
    error = jnp.abs(fake - batch['y']).mean()
    return jax.nn.softplus(-judge(params, fake)).mean() + 3 * error, {'error': error}


def made(optimizers, **options):
    inits = {
        'generator': lambda rng: {'w': jax.random.normal(rng, (3, 2))},
        'discriminator': lambda rng: {'v': jax.random.normal(rng, (2, 1))},
    }
    state = adversarial.create(inits, optimizers, jax.random.key(7), ema='ema' in options)
    losses = generate, discriminator_loss, generator_loss
    return state, adversarial.step(*losses, optimizers, **options)


def optimizers():
    return {'generator': optax.sgd(0.3), 'discriminator': optax.adam(0.05)}


def longhand(w, v, adam=0.05):
    """One step by hand: D on the old G, then G against the new D."""
    sigmoid = lambda t: 1 / (1 + np.exp(-t))  # noqa: E731
    fake = np.tanh(X @ w)
    d_real, d_fake = -sigmoid(-np.sin(Y) @ v) / 5, sigmoid(np.sin(fake) @ v) / 5
    grad_v = np.sin(Y).T @ d_real + np.sin(fake).T @ d_fake
    new_v = v - adam * grad_v / (np.abs(grad_v) + 1e-8)  # the first step of Adam
    d_out = (-sigmoid(-np.sin(fake) @ new_v) / 5) @ new_v.T * np.cos(fake)
    d_out = d_out + 3 * np.sign(fake - Y) / 10
    return w - 0.3 * X.T @ (d_out * (1 - fake**2)), new_v


def test_a_step_is_the_discriminators_on_the_old_generator_then_the_generators():
    state, step = made(optimizers())
    w, v = (np.asarray(jax.tree.leaves(state.params[p])[0], np.float64) for p in adversarial.PARTS)
    wanted = longhand(w, v)
    state, scalars = step(state, BATCH, jax.random.key(0))
    np.testing.assert_allclose(state.params['generator']['w'], wanted[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(state.params['discriminator']['v'], wanted[1], rtol=1e-4, atol=1e-6)
    assert int(state.step) == 1
    assert {'loss', 'discriminator_loss', 'grad_norm', 'real', 'error'} <= set(scalars)


@pytest.mark.parametrize('held', adversarial.PARTS)
def test_a_net_that_is_held_keeps_its_parameters_and_its_optimizer(held):
    state, step = switched(lambda named, moves: {part: part != held for part in adversarial.PARTS})
    state, _ = step(state, BATCH, jax.random.key(0))  # says so for the next
    before = jax.device_get((state.params, state.opt_state))
    state, scalars = step(state, BATCH, jax.random.key(0))
    for part in adversarial.PARTS:
        same = jax.tree.map(np.array_equal, before[0][part], jax.device_get(state.params[part]))
        assert all(jax.tree.leaves(same)) == (part == held)
        assert scalars[f'train_{part}'] == (part != held)
    jax.tree.map(np.testing.assert_array_equal, before[1][held], state.opt_state[held])


def switched(switch):
    inits = {
        'generator': lambda rng: {'w': jax.random.normal(rng, (3, 2))},
        'discriminator': lambda rng: {'v': jax.random.normal(rng, (2, 1))},
    }
    state = adversarial.create(inits, optimizers(), jax.random.key(7), switch=True)
    losses = generate, discriminator_loss, generator_loss
    return state, adversarial.step(*losses, optimizers(), switch=switch)


def test_a_rule_with_a_memory_is_given_what_it_said_and_governs_the_next_step():
    """Pauses the discriminator for every other step: no function of the scalars alone can."""
    state, step = switched(
        lambda named, moves: {'generator': True, 'discriminator': ~moves['discriminator']}
    )
    trained = []
    for _ in range(4):
        before = np.asarray(state.params['discriminator']['v'])
        state, scalars = step(state, BATCH, jax.random.key(0))
        moved = bool((before != np.asarray(state.params['discriminator']['v'])).all())
        assert moved == scalars['train_discriminator']
        assert scalars['train_generator'] == 1
        trained.append(moved)
    assert trained == [True, False, True, False]
    assert step._cache_size() == 1


def test_with_a_memory_the_generator_sees_the_discriminator_that_is_held():
    state, step = switched(
        lambda named, moves: {'generator': True, 'discriminator': named['error'] < 0}
    )
    state, _ = step(state, BATCH, jax.random.key(0))  # decides for the next
    w, v = (np.asarray(jax.tree.leaves(state.params[p])[0], np.float64) for p in adversarial.PARTS)
    wanted, _ = longhand(w, v, adam=0)
    state, scalars = step(state, BATCH, jax.random.key(0))
    np.testing.assert_allclose(state.params['generator']['w'], wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(state.params['discriminator']['v'], np.float32(v))
    assert scalars['train_discriminator'] == 0


def test_the_average_follows_and_the_step_is_traced_once():
    state, step = made(optimizers(), ema=0.9)
    first = np.asarray(state.params['generator']['w'])
    for _ in range(3):
        state, _ = step(state, BATCH, jax.random.key(0))
    assert step._cache_size() == 1
    moved = np.abs(np.asarray(state.params['generator']['w']) - first)
    behind = np.abs(np.asarray(state.ema['generator']['w']) - first)
    assert (behind <= moved + 1e-6).all()
    assert behind.max() > 0
