"""The sparse decoder against scikit-learn's estimators and pipeline."""

import ml_collections
import numpy as np
import pytest
from sklearn import feature_selection, linear_model, pipeline, preprocessing

from recon.core import errors, select
from recon.decoders import omp


def config(**options):
    return ml_collections.ConfigDict(options)


def data(seed=0, n=120, v=150, t=9):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, v)) * rng.uniform(0.5, 3, v) + rng.uniform(-20, 20, v)
    y = x @ (rng.standard_normal((v, t)) * (rng.random((v, t)) < 0.05)) + rng.standard_normal(
        (n, t)
    )
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize('seed', [0, 1])
def test_predictions_equal_scikit_learns_estimator(seed):
    x, y = data(seed)
    cfg = config(coefficients=6, dtype='float64')
    params = omp.fit(cfg, x[:90], y[:90])
    model = linear_model.OrthogonalMatchingPursuit(n_nonzero_coefs=6, precompute=True)
    wanted = model.fit(x[:90].astype(np.float64), y[:90]).predict(x[90:].astype(np.float64))
    np.testing.assert_allclose(omp.predict(cfg, params, x[90:]), wanted, rtol=1e-5, atol=1e-5)


def test_a_share_of_the_variance_equals_scikit_learns_tolerance():
    x, y = data(2)
    cfg = config(coefficients=0, tolerance=0.3, dtype='float64')
    params = omp.fit(cfg, x, y)
    for i in range(y.shape[1]):
        tol = 0.3 * ((y[:, i].astype(np.float64) - y[:, i].mean(dtype=np.float64)) ** 2).sum()
        model = linear_model.OrthogonalMatchingPursuit(tol=tol, precompute=True)
        coef = model.fit(x.astype(np.float64), y[:, i].astype(np.float64)).coef_
        assert set(params['support'][i, : params['count'][i]]) == set(np.flatnonzero(coef))


def test_own_voxels_for_each_target_equal_the_published_pipeline():
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 5, (200, 30)) / 4
    x = levels @ rng.standard_normal((30, 400)) + 4 * rng.standard_normal((200, 400)) + 50
    x = x.astype(np.float32)
    chosen = select.top(select.f_scores(x[:160], levels[:160]), 60)
    cfg = config(coefficients=8, standardise=True, dtype='float64')
    params = omp.fit(cfg, x[:160], levels[:160], chosen=chosen)
    got = omp.predict(cfg, params, x[160:])
    for i in range(30):
        peer = pipeline.Pipeline(
            [
                ('select', feature_selection.SelectKBest(feature_selection.f_classif, k=60)),
                ('scale', preprocessing.StandardScaler()),
                (
                    'omp',
                    linear_model.OrthogonalMatchingPursuit(n_nonzero_coefs=8, precompute=True),
                ),
            ]
        )
        labels = np.unique(levels[:160, i], return_inverse=True)[1] / 4.0
        peer.fit(x[:160].astype(np.float64), labels)
        support = np.flatnonzero(peer['select'].get_support())[np.flatnonzero(peer['omp'].coef_)]
        assert set(params['support'][i]) == set(support)
        wanted = peer.predict(x[160:].astype(np.float64))
        np.testing.assert_allclose(got[:, i], wanted, atol=1e-6)


def test_blocks_of_targets_change_nothing():
    x, y = data(4, t=10)
    chosen = select.top(np.abs(select.correlation(x, y)).T, 50)
    whole = omp.fit(config(dtype='float64'), x, y, chosen=chosen)
    parts = omp.fit(config(dtype='float64', block=4), x, y, chosen=chosen)
    np.testing.assert_array_equal(whole['support'], parts['support'])
    np.testing.assert_allclose(whole['weights'], parts['weights'], rtol=1e-9)


def test_any_shape_of_target_and_the_unit_of_the_voxels_with_standardise():
    x, y = data(5, t=12)
    cfg = config(coefficients=5, standardise=True)
    params = omp.fit(cfg, x, y.reshape(-1, 2, 3, 2))
    got = omp.predict(cfg, params, x[:7])
    assert got.shape == (7, 2, 3, 2)
    assert got.dtype == np.float32
    unit = np.linspace(1, 100, x.shape[1]).astype(np.float32)
    other = omp.fit(cfg, x * unit, y)
    np.testing.assert_array_equal(params['support'], other['support'])
    np.testing.assert_allclose(
        got.reshape(7, -1), omp.predict(cfg, other, x[:7] * unit), rtol=2e-3, atol=2e-3
    )


def test_constant_voxels_and_targets_give_the_mean_and_no_nan():
    x, y = data(6)
    x[:, 4], y[:, 2] = 0.1, 0.7
    cfg = config(standardise=True)
    params = omp.fit(cfg, x, y)
    got = omp.predict(cfg, params, x)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:, 2], 0.7, rtol=1e-6)
    assert not (params['support'] == 4)[params['weights'] != 0].any()


def test_importance_is_spread_over_the_voxels_that_carry_the_target():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((300, 50)).astype(np.float32)
    x[:, 7] *= 10
    y = np.stack([x[:, 7] / 10, x[:, 3] - x[:, 9]], -1)
    info = omp.describe(config(), omp.fit(config(coefficients=2, standardise=True), x, y))
    np.testing.assert_allclose(info['importance'][[7, 3, 9]], 1, atol=0.1)
    assert info['facts']['voxels used by any target'] in (3, 4)


def test_more_coefficients_than_voxels_uses_all_voxels():
    x, y = data(9, v=6)
    params = omp.fit(config(coefficients=10), x, y)
    assert (params['count'] == 6).all()


def test_errors_name_the_offending_value():
    x, y = data(8)
    with pytest.raises(errors.ConfigError, match='coefficients=0, tolerance=0.0'):
        omp.fit(config(coefficients=0), x, y)
    with pytest.raises(errors.ConfigError, match="dtype='float16'"):
        omp.fit(config(dtype='float16'), x, y)
    bad = x.copy()
    bad[5, 3] = np.nan
    with pytest.raises(errors.DataInvalid, match='1 values that are not finite, first at row 5'):
        omp.fit(config(), bad, y)
    params = omp.fit(config(), x, y)
    with pytest.raises(errors.DataInvalid, match='not finite'):
        omp.predict(config(), params, bad)
