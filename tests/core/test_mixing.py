"""Weights of the scales: against scipy's NNLS on the whole design matrix, and SGD near it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from recon.core import mixing


def problem(seed, n=50, m=12, p=30, s=3, noise=0.1, wanted=(0.5, 0.3, 0.2)):
    rng = np.random.default_rng(seed)
    owner = np.sort(np.arange(m) % s)
    values = rng.random((n, m))
    shapes = (rng.random((m, p)) < 0.4) * rng.random((m, p))
    weights = np.asarray(wanted)[owner]
    truth = (values * weights) @ shapes + noise * rng.standard_normal((n, p))
    return values, shapes, truth, owner


def design(values, shapes, owner):
    columns = values[:, None, :] * shapes.T[None]  # [n p m]
    return np.stack([columns[..., owner == s].sum(-1).ravel() for s in range(owner.max() + 1)], -1)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('s', [3, 12])
def test_weights_equal_scipys_on_the_whole_design(seed, s):
    wanted = np.random.default_rng(seed).standard_normal(s)
    wanted[1] = -1  # so that the bound is felt
    values, shapes, truth, owner = problem(seed, s=s, noise=1.0, wanted=wanted)
    full = design(values, shapes, owner)
    gram, cross = mixing.products(values, shapes, truth, owner)
    np.testing.assert_allclose(gram, full.T @ full, rtol=1e-9)
    got = mixing.nonnegative(gram, cross)
    wanted = scipy.optimize.nnls(full, truth.ravel())[0]
    assert (wanted == 0).any() and (got >= 0).all()
    np.testing.assert_allclose(got, wanted, atol=1e-8)


def test_parts_that_are_twins_or_empty_give_finite_weights():
    values, shapes, truth, owner = problem(5, m=6, s=3)
    values[:, owner == 1], shapes[owner == 1] = values[:, owner == 0], shapes[owner == 0]
    values[:, owner == 2] = 0
    weights = mixing.nonnegative(*mixing.products(values, shapes, truth, owner))
    assert np.isfinite(weights).all() and (weights >= 0).all()
    full = design(values, shapes, owner)
    best = scipy.optimize.nnls(full[:, :1], truth.ravel())[1]
    np.testing.assert_allclose(np.linalg.norm(full @ weights - truth.ravel()), best, rtol=1e-9)
    assert (mixing.nonnegative(np.zeros((2, 2)), np.zeros(2)) == 0).all()


@pytest.mark.parametrize('s', [3, 12])
def test_sgd_ends_near_the_least_squares_weights_on_easy_data(s):
    wanted = np.random.default_rng(1).uniform(0.1, 0.6, s)
    values, shapes, truth, owner = problem(6, n=200, s=s, noise=0.02, wanted=wanted)
    # Scales cover every pixel once: shapes of an owner's parts sum to 1 everywhere.
    shapes = shapes / np.maximum(shapes.sum(0), 1e-3)
    truth = (values * wanted[owner]) @ shapes
    exact = mixing.nonnegative(*mixing.products(values, shapes, truth, owner))
    np.testing.assert_allclose(exact, wanted, rtol=1e-6)
    arrays = [jnp.asarray(a, jnp.float32) for a in (values, shapes, truth)]
    start = jnp.full(s, 1 / 3, jnp.float32)
    settings = dict(learning_rate=0.2, epochs=1500)
    got = mixing.descend(*arrays, jnp.asarray(owner), start, jax.random.key(0), **settings)
    np.testing.assert_allclose(got, wanted, atol=0.02)
    again = mixing.descend(*arrays, jnp.asarray(owner), start, jax.random.key(0), **settings)
    np.testing.assert_array_equal(got, again)
