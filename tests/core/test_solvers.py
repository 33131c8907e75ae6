"""Ridge in closed form against scikit-learn."""

import jax
import numpy as np
import pytest
import sklearn.linear_model as peers

from recon.core import errors, solvers

SIZES = ((60, 20, 7), (20, 60, 7), (30, 30, 1), (300, 400, 5), (400, 300, 5))


def draw(n, v, t, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, v))
    y = x @ rng.standard_normal((v, t)) / v**0.5 + rng.standard_normal((n, t))
    return x.astype(dtype), y.astype(dtype)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('alpha', (1e-2, 30.0, 1e5))
def test_weights_equal_those_of_scikit_learn_in_float64(n, v, t, alpha):
    x, y = draw(n, v, t)
    with jax.enable_x64(True):
        ours = np.asarray(solvers.ridge_weights(x, y, alpha))
    theirs = peers.Ridge(alpha, fit_intercept=False, solver='svd').fit(x, y).coef_
    np.testing.assert_allclose(ours, theirs.reshape(t, v).T, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize('n, v, t', SIZES)
def test_a_penalty_for_each_target_equals_one_target_at_a_time(n, v, t):
    x, y = draw(n, v, t, seed=1)
    alpha = np.geomspace(0.1, 1e3, t)
    with jax.enable_x64(True):
        ours = np.asarray(solvers.ridge_weights(x, y, alpha))
        single = [solvers.ridge_weights(x, y[:, [i]], alpha[i])[:, 0] for i in range(t)]
    np.testing.assert_allclose(ours, np.stack(single, 1), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize('n, v, t', SIZES)
def test_float32_agrees_with_float64(n, v, t):
    x, y = draw(n, v, t, seed=2)
    with jax.enable_x64(True):
        wanted = np.asarray(solvers.ridge_weights(x, y, 10.0))
    got = np.asarray(solvers.ridge_weights(x.astype(np.float32), y.astype(np.float32), 10.0))
    assert got.dtype == np.float32
    assert np.abs(got - wanted).max() < 2e-5 * np.abs(wanted).max()


@pytest.mark.parametrize('n', (5, 255, 256, 301))
def test_the_mirrored_gram_is_the_product(n):
    x, _ = draw(n, 40, 1, dtype=np.float32)
    np.testing.assert_allclose(solvers.gram(x), x @ x.T, atol=1e-4)


@pytest.mark.parametrize('n, v', ((40, 15), (15, 40)))
@pytest.mark.parametrize('offset', (0.0, 50.0))
def test_a_factor_with_intercept_equals_centred_rows(n, v, offset):
    x, y = draw(n, v, 3)
    x, y = x - x.mean(0), y - y.mean(0)
    theirs = peers.Ridge(2.0, solver='svd').fit(x, y)
    with jax.enable_x64(True):
        factor = solvers.factor(x)
        found = solvers.coefficients(factor, solvers.project(factor, y), 2.0)
        ours = np.asarray(solvers.dual_weights(x, found) if factor.dual else found)
        # A kernel of rows that are not centred says the same: the constant direction is gone.
        kernel = solvers.factor_gram((x + offset) @ (x + offset).T)
        dual = np.asarray(solvers.coefficients(kernel, solvers.project(kernel, y), 2.0))
    np.testing.assert_allclose(ours, theirs.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose((x + offset).T @ dual, theirs.coef_.T, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('n, v', ((12, 30), (30, 12)))
def test_a_penalty_of_zero_with_a_cut_is_the_pseudo_inverse(n, v):
    x, y = draw(n, v, 2)
    x[5], x[:, 5] = x[6], x[:, 6]  # a row and a voxel twice: one direction less in either form
    with jax.enable_x64(True):
        factor = solvers.factor(x, intercept=False)
        z = solvers.project(factor, y)
        found = solvers.coefficients(factor, z, 0.0, 1e-9)
        ours = np.asarray(solvers.dual_weights(x, found) if factor.dual else found)
    np.testing.assert_allclose(ours, np.linalg.pinv(x) @ y, atol=1e-9)


def test_an_infinite_penalty_leaves_nothing():
    x, y = draw(20, 30, 2, dtype=np.float32)
    assert np.abs(solvers.ridge_weights(x, y, 1e12)).max() < 1e-8


@pytest.mark.parametrize(
    'alpha, rows, text',
    ((0.0, 20, 'alpha must be > 0'), (1.0, 19, '20 rows, y has 19'), ([1.0], 20, r'shape \(1,\)')),
)
def test_what_cannot_be_solved_is_refused_with_the_value(alpha, rows, text):
    x, y = draw(20, 4, 2, dtype=np.float32)
    with pytest.raises(ValueError, match=text):
        solvers.ridge_weights(x, y[:rows], alpha)


def test_voxels_that_are_not_finite_are_counted_and_placed():
    x, y = draw(20, 4, 2, dtype=np.float32)
    solvers.check_rows(x, y)
    x[3, 1], x[7, 2] = np.nan, np.inf
    with pytest.raises(errors.DataInvalid, match=r'2 values .* row 3, position \(1,\)'):
        solvers.check_rows(x, y, 'ridge')
    with pytest.raises(errors.DataInvalid, match='20 rows of voxels, 19 of the target'):
        solvers.check_rows(y, x[:19])
    with pytest.raises(errors.DataInvalid, match=r'shape \(0, 4\)'):
        solvers.check_rows(x[:0])
