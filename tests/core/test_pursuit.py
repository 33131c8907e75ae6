"""Orthogonal matching pursuit against scikit-learn's Gram path in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model

from recon.core import pursuit

SIZES = [(0, 60, 200, 7, 12), (1, 200, 50, 50, 5), (2, 30, 30, 1, 9), (3, 150, 300, 40, 20)]


def _data(seed, n, v, t, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, v)) @ (np.eye(v) + 0.3 * rng.standard_normal((v, v)) / np.sqrt(v))
    w = rng.standard_normal((v, t)) * (rng.random((v, t)) < 5 / v)
    y = x @ w + noise * rng.standard_normal((n, t))
    return x - x.mean(0), y - y.mean(0)


def _dense(found, v):
    support, weights = np.asarray(found.support), np.asarray(found.weights)
    dense = np.zeros((v, len(support)))
    for i in range(len(support)):
        np.add.at(dense[:, i], support[i], weights[i])
    return dense


def _double(x, y, *args, **kwargs):
    with pursuit.double('float64'):
        found = pursuit.solve(jnp.asarray(x), jnp.asarray(y), *args, **kwargs)
        return jax.tree.map(np.asarray, found)


@pytest.mark.parametrize(('seed', 'n', 'v', 'k', 't'), SIZES)
def test_a_count_of_coefficients_equals_scikit_learns_gram_path(seed, n, v, k, t):
    x, y = _data(seed, n, v, t)
    found = _double(x, y, k)
    wanted = linear_model.orthogonal_mp(x, y, n_nonzero_coefs=k, precompute=True).reshape(v, t)
    np.testing.assert_allclose(_dense(found, v), wanted, rtol=1e-8, atol=1e-10)
    assert (found.count == k).all()


@pytest.mark.parametrize('share', [0.5, 0.05, 1.0])
@pytest.mark.parametrize(('seed', 'n', 'v', 't'), [(0, 60, 200, 12), (1, 120, 80, 6)])
def test_a_tolerance_stops_where_scikit_learn_stops(seed, n, v, t, share):
    x, y = _data(seed, n, v, t)
    tol = share * (y**2).sum() / t
    found = _double(x, y, min(n, v), tol)
    wanted = linear_model.orthogonal_mp(x, y, tol=tol, precompute=True)
    np.testing.assert_allclose(_dense(found, v), wanted, rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(found.count, (wanted != 0).sum(0))
    assert (found.residual <= tol)[found.count < min(n, v)].all()


def test_a_long_pursuit_grows_its_basis_and_still_equals_scikit_learn():
    x, y = _data(5, 200, 250, 3)
    found = _double(x, y, 140)  # more than 32 and more than 128
    wanted = linear_model.orthogonal_mp(x, y, n_nonzero_coefs=140, precompute=True)
    np.testing.assert_allclose(_dense(found, 250), wanted, rtol=1e-6, atol=1e-8)


def test_targets_with_voxels_of_their_own_equal_scikit_learn_on_those_columns():
    x, y = _data(4, 90, 120, 15)
    chosen = np.stack([np.random.default_rng(i).permutation(120)[:40] for i in range(15)])
    allowed = np.zeros((15, 120), bool)
    np.put_along_axis(allowed, chosen, True, axis=1)
    dense = _dense(_double(x, y, 8, None, allowed), 120)
    for i, columns in enumerate(np.sort(chosen)):
        wanted = np.zeros(120)
        wanted[columns] = linear_model.orthogonal_mp(
            x[:, columns], y[:, i], n_nonzero_coefs=8, precompute=True
        )
        np.testing.assert_allclose(dense[:, i], wanted, rtol=1e-8, atol=1e-10)


def test_float32_agrees_with_float64():
    x, y = _data(6, 300, 400, 50)
    single = pursuit.solve(x.astype(np.float32), y.astype(np.float32), 10)
    double = _double(x, y, 10)
    assert single.weights.dtype == np.float32
    same = (np.asarray(single.support) == double.support).all(1)
    assert same.mean() >= 0.98
    np.testing.assert_allclose(single.weights[same], double.weights[same], rtol=1e-3, atol=1e-5)


def test_float32_with_strongly_correlated_voxels_keeps_its_digits():
    x, y = _data(7, 200, 60, 10)
    x = x + 30 * x[:, :1]  # voxels share one signal: r about .999
    single = pursuit.solve(x.astype(np.float32), y.astype(np.float32), 12)
    fit = np.einsum('nts,ts->nt', x[:, np.asarray(single.support)], single.weights)
    for i in range(10):
        columns = x[:, np.asarray(single.support)[i]]
        best = columns @ np.linalg.lstsq(columns, y[:, i])[0]
        np.testing.assert_allclose(fit[:, i], best, atol=2e-3 * np.abs(y[:, i]).max())


def test_a_voxel_almost_inside_the_basis_is_left_orthogonal_to_it():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((100, 8)))[0].T.astype(np.float32)
    column = basis.T @ rng.standard_normal(8) + 1e-4 * rng.standard_normal(100)
    left, _ = pursuit._orthogonal(basis[None], column[None].astype(np.float32))
    assert np.abs(basis @ np.asarray(left)[0]).max() < 1e-6 * np.linalg.norm(left)


def test_near_twins_in_float32_do_not_blow_up_the_weights():
    x, y = _data(13, 60, 12, 5)
    x[:, 7] = x[:, 2] + 1e-4 * np.random.default_rng(1).standard_normal(60)
    found = pursuit.solve(x.astype(np.float32), y.astype(np.float32), 12)
    assert np.abs(found.weights).max() < 10
    assert (np.asarray(found.count) <= 11).all()


def test_an_exact_target_stops_early_and_unused_places_are_zero():
    x, _ = _data(8, 50, 30, 1)
    y = x[:, [3]] * 2 - x[:, [11]]
    found = _double(x, y, 10)
    assert found.count[0] <= 4
    assert (found.weights[0, found.count[0] :] == 0).all()
    dense = _dense(found, 30)
    np.testing.assert_allclose(dense[[3, 11], 0], [2, -1], atol=1e-9)
    assert np.abs(np.delete(dense[:, 0], [3, 11])).max() < 1e-9


def test_constant_voxels_constant_targets_and_twins_give_no_nan():
    x, y = _data(9, 40, 20, 3)
    x[:, 5], y[:, 1], x[:, 7] = 0, 0, x[:, 2]
    found = _double(x, y, 20)
    for field in found:
        assert np.isfinite(field).all()
    assert found.count[1] == 0
    used = [found.support[i, : found.count[i]] for i in range(3)]
    assert all(5 not in u and not {2, 7} <= set(u) for u in used)
    assert found.count[0] == 18  # all but the constant one and one of the twins


def test_the_unit_of_the_data_does_not_change_the_choice():
    x, y = _data(10, 80, 60, 6)
    one, other = _double(x, y, 12), _double(x * 1e-6, y * 1e-9, 12)
    np.testing.assert_array_equal(one.support, other.support)
    np.testing.assert_allclose(one.weights * 1e-3, other.weights, rtol=1e-9)


def test_of_equal_voxels_the_first_is_chosen():
    x, _ = _data(11, 40, 10, 1)
    x[:, 8] = x[:, 4]
    found = _double(x, 3 * x[:, [4]], 1)
    assert found.support[0, 0] == 4


def test_one_program_serves_all_calls_of_one_shape():
    x, y = _data(12, 40, 20, 4)
    pursuit.solve(x.astype(np.float32), y.astype(np.float32), 3)
    compiled = pursuit.solve._cache_size()
    pursuit.solve(2 * x.astype(np.float32), 3 * y.astype(np.float32), 3)
    assert pursuit.solve._cache_size() == compiled


def test_the_global_precision_is_left_alone():
    with pursuit.double('float64'):
        assert jnp.zeros(1).dtype == jnp.float64
    assert jnp.zeros(1).dtype == jnp.float32
    with pursuit.double('float32'):
        assert jnp.zeros(1).dtype == jnp.float32
