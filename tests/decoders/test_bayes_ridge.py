"""Bayesian ridge against scikit-learn, target by target."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest
import sklearn.linear_model as peers

from recon.core import errors, evidence, solvers
from recon.decoders import bayes_ridge
from tests.core.test_solvers import draw

SIZES = ((60, 20, 5), (20, 60, 5), (40, 40, 3), (100, 30, 4))


def fit_predict(x, y, new, **options):
    cfg = ml_collections.ConfigDict(options)
    params = bayes_ridge.fit(cfg, x, y)
    return params, bayes_ridge.predict(cfg, params, new)


def peer(x, y, **options):
    return peers.BayesianRidge(**options).fit(np.float64(x), np.float64(y))


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('iterations', (1, 7, 40))
@pytest.mark.parametrize('intercept', (True, False))
def test_as_many_updates_give_what_scikit_learn_gives_in_float64(n, v, t, iterations, intercept):
    x, y = draw(n, v, t)
    new, _ = draw(6, v, t, 1)
    mean = intercept * x.mean(0)
    y = y - intercept * y.mean(0)
    with jax.enable_x64(True):
        rows = jnp.asarray(x - mean)
        factor = solvers.factor(rows, intercept)
        z = solvers.project(factor, y)
        found = evidence.maximise(factor, z, y, iterations, 0.0)
        spectral = evidence.spectral_weights(factor, z, found['lambda'] / found['alpha'])
        vectors = evidence.right_vectors(factor, rows)
        weights = np.asarray(vectors @ spectral)
        found = {k: np.asarray(a) for k, a in found.items()}
        values, vectors = np.asarray(factor.values), np.asarray(vectors)
    variance = evidence.variance(new - mean, vectors, values, found['alpha'], found['lambda'])
    for i in range(t):
        model = peer(x, y[:, i], max_iter=iterations, tol=1e-300, fit_intercept=intercept)
        np.testing.assert_allclose(found['alpha'][i], model.alpha_, rtol=1e-6)
        np.testing.assert_allclose(found['lambda'][i], model.lambda_, rtol=1e-6)
        np.testing.assert_allclose(weights[:, i], model.coef_, rtol=1e-5, atol=1e-9)
        wanted = model.predict(new, return_std=True)[1] ** 2
        np.testing.assert_allclose(variance[:, i], wanted, rtol=1e-5)


@pytest.mark.parametrize('n, v, t', ((80, 20, 4), (60, 100, 4)))
@pytest.mark.parametrize('seed', (0, 1))
def test_the_decoder_in_float32_settles_where_scikit_learn_does(n, v, t, seed):
    x, y = draw(n, v, t, seed, np.float32)
    y = y * 2 + 5
    new, _ = draw(9, v, t, seed + 3, np.float32)
    params, got = fit_predict(x, y, new, iterations=2000, tolerance=1e-5)
    variance = bayes_ridge.predict_variance(ml_collections.ConfigDict(), params, new)
    for i in range(t):
        model = peer(x, y[:, i], max_iter=2000, tol=1e-7)
        mean, std = model.predict(np.float64(new), return_std=True)
        np.testing.assert_allclose(got[:, i], mean, atol=0.01 * y.std())
        np.testing.assert_allclose(variance[:, i], std**2, rtol=0.02)


def test_the_variance_is_that_of_the_errors():
    x, y = draw(1200, 30, 20, dtype=np.float32)
    params, got = fit_predict(x[:200], y[:200], x[200:])
    cfg = ml_collections.ConfigDict()
    variance = bayes_ridge.predict_variance(cfg, params, x[200:])
    ratio = ((got - y[200:]) ** 2).mean() / variance.mean()
    assert 0.9 < ratio < 1.1
    far = bayes_ridge.predict_variance(cfg, params, x[200:] * 10)
    assert (far > variance).all()


def test_all_targets_at_once_equal_one_at_a_time_and_blocks():
    x, y = draw(30, 50, 7, dtype=np.float32)
    _, whole = fit_predict(x, y, x)
    _, parts = fit_predict(x, y, x, target_block=2)
    np.testing.assert_allclose(whole, parts, atol=1e-4)
    for i in range(7):
        np.testing.assert_allclose(fit_predict(x, y[:, i], x)[1], whole[:, i], atol=1e-3)


def test_targets_of_noise_are_drawn_to_their_mean_and_clean_ones_are_not():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((100, 20)).astype(np.float32)
    clean = x @ rng.standard_normal(20).astype(np.float32)
    y = np.stack([clean, rng.standard_normal(100).astype(np.float32)], 1)
    params, got = fit_predict(x, y, x)
    np.testing.assert_allclose(got[:, 0], clean, atol=0.01)
    assert got[:, 1].std() < 0.5 * y[:, 1].std()
    assert params['gamma'][0] > 19.9 and params['alpha'][0] > 1e3 * params['alpha'][1]


@pytest.mark.parametrize('n, v', ((40, 10), (10, 40)))
def test_constant_voxels_and_constant_targets_give_no_nan(n, v):
    x, y = draw(n, v, 3, dtype=np.float32)
    wanted = fit_predict(np.delete(x, [2, 5], 1), y, np.delete(x, [2, 5], 1))[1]
    x[:, 2], x[:, 5] = 0, 1e4 / 3
    params, got = fit_predict(x, y, x)
    np.testing.assert_allclose(got, wanted, atol=2e-3)
    assert (
        bayes_ridge.describe(ml_collections.ConfigDict(), params)['importance'][[2, 5]].max() == 0
    )
    y[:, 1] = 0.7
    params, got = fit_predict(x, y, x)
    np.testing.assert_allclose(got[:, 1], 0.7, atol=1e-5)
    variance = bayes_ridge.predict_variance(None, params, x)
    assert np.isfinite(got).all() and np.isfinite(variance).all() and (variance > 0).all()


def test_shuffled_rows_decode_at_chance():
    x, y = draw(200, 100, 40, dtype=np.float32)
    r = []
    for order in (np.random.default_rng(3).permutation(160), np.arange(160)):
        _, got = fit_predict(x[:160][order], y[:160], x[160:])
        r.append(np.corrcoef(got.ravel(), y[160:].ravel())[0, 1])
    assert abs(r[0]) < 0.1 < 0.2 < r[1]


def test_targets_keep_their_shape_and_the_report_its_table():
    x, y = draw(20, 30, 8, dtype=np.float32)
    params, got = fit_predict(x, y.reshape(20, 2, 4), x[:3])
    assert got.shape == (3, 2, 4) and got.dtype == np.float32
    assert bayes_ridge.predict_variance(None, params, x[:3]).shape == (3, 2, 4)
    told = bayes_ridge.describe(ml_collections.ConfigDict(), params)
    assert len(told['tables'][0]['rows']) == 4 and told['importance'].shape == (30,)


@pytest.mark.parametrize(
    'options, text', ((dict(iterations=0), 'iterations is 0'), (dict(prior=-1.0), 'prior is -1.0'))
)
def test_options_that_do_not_fit_are_refused_with_their_value(options, text):
    x, y = draw(20, 8, 2, dtype=np.float32)
    with pytest.raises(errors.ConfigError, match=text):
        fit_predict(x, y, x, **options)


def test_voxels_that_are_not_finite_are_refused():
    x, y = draw(20, 8, 2, dtype=np.float32)
    params, _ = fit_predict(x, y, x)
    x[4, 6] = np.nan
    for call in (bayes_ridge.predict, bayes_ridge.predict_variance):
        with pytest.raises(errors.DataInvalid, match=r'row 4, position \(6,\)'):
            call(None, params, x)
    with pytest.raises(errors.DataInvalid, match='bayes_ridge.fit'):
        fit_predict(x, y, x)
