import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.train import optim, state, step
from tests.train import toy

SGD = {'optimizer': 'sgd', 'b1': 0.0, 'learning_rate': 0.1, 'schedule': 'constant'}


def batch(n=8, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, 3), np.float32)
    return {'x': x, 'y': x[:, :1] * 3}


def squared(params, batch, rng):
    error = batch['x'] @ params['w'] - batch['y']
    return jnp.square(error).mean(), {'bias': error.mean()}


def begin(optimizer, ema=False, dtype=jnp.float32):
    init = lambda rng: {'w': jax.random.normal(rng, (3, 1), dtype)}  # noqa: E731
    return state.create(init, optimizer, jax.random.key(1), ema=ema)


def test_a_step_goes_down_the_gradient():
    optimizer = optim.make(SGD, 10)
    before = jax.device_get(begin(optimizer))
    rows = batch()
    after, named = step.single(squared, optimizer)(begin(optimizer), rows, jax.random.key(0))
    w = before.params['w'].astype(np.float64)
    gradient = 2 * rows['x'].T @ (rows['x'] @ w - rows['y']) / 8
    np.testing.assert_allclose(after.params['w'], w - 0.1 * gradient, rtol=1e-5)
    np.testing.assert_allclose(named['grad_norm'], np.linalg.norm(gradient), rtol=1e-5)
    np.testing.assert_allclose(
        named['loss'], np.square(rows['x'] @ w - rows['y']).mean(), rtol=1e-5
    )
    np.testing.assert_allclose(named['bias'], (rows['x'] @ w - rows['y']).mean(), rtol=1e-4)
    assert int(after.step) == 1


def test_the_norm_of_the_gradient_is_that_before_clipping():
    optimizer = optim.make(SGD | {'clip': 1e-3}, 10)
    before = jax.device_get(begin(optimizer).params['w'])
    after, named = step.single(squared, optimizer)(begin(optimizer), batch(), jax.random.key(0))
    np.testing.assert_allclose(np.linalg.norm(after.params['w'] - before), 1e-4, rtol=1e-2)
    assert named['grad_norm'] > 0.1


def test_each_step_has_random_numbers_of_its_own_and_the_same_again():
    def loss(params, batch, rng):
        return (params['w'] * 0).sum(), {'drawn': jax.random.uniform(rng)}

    optimizer = optim.make(SGD, 10)
    take = step.single(loss, optimizer)

    def drawn(key):
        now, out = begin(optimizer), []
        for _ in range(3):
            now, named = take(now, {}, key)
            out.append(float(named['drawn']))
        return out

    first = drawn(jax.random.key(5))
    assert len(set(first)) == 3
    assert drawn(jax.random.key(5)) == first != drawn(jax.random.key(6))


def test_the_running_average_is_tensorflows_with_its_warm_up():
    optimizer = optim.make(SGD | {'learning_rate': 0.3}, 10)
    now = begin(optimizer, ema=True)
    take = step.single(squared, optimizer, ema=0.25)
    average = np.asarray(now.params['w'])
    for i in range(6):
        now, _ = take(now, batch(seed=i), jax.random.key(0))
        decay = min(0.25, (1 + i) / (10 + i))
        average = decay * average + (1 - decay) * np.asarray(now.params['w'])
        np.testing.assert_allclose(now.ema['w'], average, rtol=1e-5)
    assert np.abs(average - np.asarray(now.params['w'])).max() > 1e-3


def test_an_average_is_kept_by_the_state_and_the_step_or_by_neither():
    optimizer = optim.make(SGD, 10)
    with pytest.raises(AssertionError, match='ema in one only'):
        step.single(squared, optimizer, ema=0.9)(begin(optimizer), batch(), jax.random.key(0))


@pytest.mark.parametrize('parts', [2, 4])
def test_the_gradient_of_parts_is_that_of_the_whole_batch(parts):
    optimizer = optim.make({}, 10)
    ends = []
    for accumulate in (1, parts):
        take = step.single(squared, optimizer, accumulate=accumulate)
        ends.append(take(begin(optimizer), batch(12, seed=parts), jax.random.key(0)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), *ends)


def test_parts_draw_different_numbers_and_must_divide_the_batch():
    def loss(params, batch, rng):
        drawn = jax.random.normal(rng)
        return (params['w'] * 0).sum(), {'mean': drawn, 'square': drawn**2}

    optimizer = optim.make(SGD, 10)
    take = step.single(loss, optimizer, accumulate=2)
    _, named = take(begin(optimizer), batch(4), jax.random.key(3))
    assert abs(named['square'] - named['mean'] ** 2) > 1e-4
    with pytest.raises(AssertionError, match='accumulate=2 divides no batch of .5.'):
        take(begin(optimizer), batch(5), jax.random.key(3))


def test_the_state_that_went_in_is_taken_over():
    optimizer = optim.make({}, 10)
    before = begin(optimizer, ema=True)
    step.single(squared, optimizer, ema=0.9)(before, batch(), jax.random.key(0))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))


def test_a_net_that_computes_in_bfloat16_keeps_its_weights_in_float32():
    net = nn.Dense(1, dtype=jnp.bfloat16)

    def loss(params, batch, rng):
        out = net.apply({'params': params}, batch['x'])
        assert out.dtype == jnp.bfloat16
        return jnp.square(out.astype(jnp.float32) - batch['y']).mean(), {}

    optimizer = optim.make({'learning_rate': 1e-5, 'schedule': 'constant'}, 10)
    init = lambda rng: net.init(rng, jnp.zeros((1, 3)))['params']  # noqa: E731
    now = state.create(init, optimizer, jax.random.key(0), ema=True)
    start = np.asarray(now.params['kernel'])
    take = step.single(loss, optimizer, ema=0.5)
    for i in range(4):
        now, named = take(now, batch(seed=i), jax.random.key(0))
    kinds = {leaf.dtype for leaf in jax.tree.leaves((now.params, now.ema, named))}
    assert kinds == {jnp.dtype('float32')}
    moved = np.abs(np.asarray(now.params['kernel']) - start)
    assert 0 < moved.max() < 1e-4, 'bfloat16 would have lost so small an update'


def test_steps_bring_the_loss_down():
    take, now = toy.build(4, seed=1)
    training, losses = toy.Training(None, size=4), []
    for i in range(200):
        now, named = take(now, training.batch_at(i), jax.random.key(0))
        losses.append(float(named['loss']))
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
