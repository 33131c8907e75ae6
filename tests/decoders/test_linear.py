"""Least squares against numpy and scikit-learn."""

import ml_collections
import numpy as np
import pytest
import sklearn.linear_model as peers

from recon.core import errors
from recon.decoders import linear, ridge
from tests.core.test_solvers import draw

SIZES = ((60, 20, 4), (20, 60, 4), (30, 30, 1), (10, 40, 300), (300, 280, 3))


def fit_predict(x, y, new, **options):
    cfg = ml_collections.ConfigDict(options)
    params = linear.fit(cfg, x, y)
    return params, linear.predict(cfg, params, new)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('block', (4096, 3))
@pytest.mark.parametrize('seed', (0, 1))
def test_least_squares_equals_scikit_learn(n, v, t, block, seed):
    x, y = draw(n, v, t, seed, np.float32)
    new, _ = draw(7, v, t, seed + 5, np.float32)
    wanted = peers.LinearRegression().fit(np.float64(x), np.float64(y) + 2).predict(new)
    _, got = fit_predict(x, y + 2, new, target_block=block)
    np.testing.assert_allclose(got, wanted.reshape(got.shape), atol=2e-3 * np.abs(wanted).max())


@pytest.mark.parametrize('n, v', ((30, 12), (12, 30)))
def test_without_a_constant_the_weights_are_those_of_numpy_with_the_smallest_norm(n, v):
    x, y = draw(n, v, 3, dtype=np.float32)
    params, _ = fit_predict(x, y, x, intercept=False)
    wanted = np.linalg.lstsq(np.float64(x), np.float64(y))[0]
    np.testing.assert_allclose(params['weights'], wanted, atol=1e-5)
    assert params['rank'] == 12


def test_it_is_the_limit_of_ridge():
    x, y = draw(20, 50, 4, dtype=np.float32)
    cfg = ml_collections.ConfigDict({'penalties': (1e-3,)})
    wanted = ridge.predict(cfg, ridge.fit(cfg, x, y), x[:, ::-1])
    np.testing.assert_allclose(fit_predict(x, y, x[:, ::-1])[1], wanted, atol=1e-3)


@pytest.mark.parametrize('n, v', ((40, 10), (10, 40)))
def test_copied_and_constant_voxels_share_the_weight_and_give_no_nan(n, v):
    x, y = draw(n, v, 3, dtype=np.float32)
    x[:, 3], x[:, 4], x[:, 5] = x[:, 2], 0, 77.7
    params, got = fit_predict(x, y, x)
    wanted = peers.LinearRegression().fit(np.float64(x), np.float64(y)).predict(x)
    np.testing.assert_allclose(got, wanted, atol=1e-3)
    np.testing.assert_allclose(params['weights'][2], params['weights'][3], atol=1e-5)
    assert params['rank'] == min(n - 1, v - 3)
    importance = linear.describe(None, params)['importance']
    assert importance[[4, 5]].max() == 0 and importance.shape == (v,)


def test_a_wide_cut_leaves_only_the_large_directions():
    x, y = draw(30, 10, 2, dtype=np.float32)
    u, s, w = np.linalg.svd(x - x.mean(0), full_matrices=False)
    params, _ = fit_predict(x, y, x, cut=float((s[3] + s[4]) / 2 / s[0]))
    assert params['rank'] == 4
    wanted = w[:4].T @ ((u[:, :4].T @ (y - y.mean(0))) / s[:4, None])
    np.testing.assert_allclose(params['weights'], wanted, atol=1e-5)


def test_what_does_not_fit_is_refused():
    x, y = draw(20, 8, 2, dtype=np.float32)
    with pytest.raises(errors.ConfigError, match='cut is 1.0, target_block 4096'):
        fit_predict(x, y, x, cut=1.0)
    with pytest.raises(errors.DataInvalid, match='linear.fit'):
        fit_predict(np.where(x > 1, np.nan, x), y, x)
    with pytest.raises(errors.DataInvalid, match='linear.predict'):
        fit_predict(x, y, np.where(x > 1, np.nan, x))
