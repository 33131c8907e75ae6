"""The best single voxel against scikit-learn's univariate regression."""

import ml_collections
import numpy as np
import pytest
from sklearn import feature_selection, linear_model

from recon.core import errors
from recon.decoders import univariate

CFG = ml_collections.ConfigDict({})


def data(seed=0, n=80, v=60, t=7):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, v)) * rng.uniform(0.5, 3, v) + 10
    y = x[:, :t] * rng.uniform(-2, 2, t) + 3 * rng.standard_normal((n, t))
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_voxel_and_line_equal_scikit_learns(seed):
    x, y = data(seed)
    params = univariate.fit(CFG, x[:60], y[:60])
    got = univariate.predict(CFG, params, x[60:])
    for i in range(y.shape[1]):
        f = feature_selection.f_regression(x[:60].astype(np.float64), y[:60, i])[0]
        best = f.argmax()
        assert params['voxel'][i] == best
        line = linear_model.LinearRegression().fit(x[:60, [best]], y[:60, i])
        np.testing.assert_allclose(got[:, i], line.predict(x[60:, [best]]), rtol=1e-4, atol=1e-4)


def test_own_voxels_limit_the_choice_and_blocks_change_nothing():
    x, y = data(3)
    chosen = np.stack([np.arange(i + 1, i + 21) for i in range(y.shape[1])])
    params = univariate.fit(CFG, x, y, chosen=chosen)
    assert all(v in own for v, own in zip(params['voxel'], chosen, strict=True))
    blocks = univariate.fit(ml_collections.ConfigDict({'block': 3}), x, y, chosen=chosen)
    np.testing.assert_array_equal(params['voxel'], blocks['voxel'])
    np.testing.assert_allclose(params['slope'], blocks['slope'], rtol=1e-6)


def test_constant_voxels_constant_targets_and_shape():
    x, y = data(4, t=6)
    x[:, 0], y[:, 1] = 0.1, 0.3
    params = univariate.fit(CFG, x, y.reshape(-1, 3, 2))
    got = univariate.predict(CFG, params, x)
    assert got.shape == (80, 3, 2)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got[:, 0, 1], 0.3, rtol=1e-6)


def test_only_constant_voxels_decode_the_mean():
    _, y = data(5)
    params = univariate.fit(CFG, np.full((80, 3), 0.1, np.float32), y)
    got = univariate.predict(CFG, params, np.zeros((2, 3), np.float32))
    np.testing.assert_allclose(got, np.repeat(y.mean(0)[None], 2, 0), rtol=1e-5)


def test_importance_is_the_deviation_that_each_voxel_adds():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((500, 10)).astype(np.float32)
    x[:, 2] *= 5
    info = univariate.describe(CFG, univariate.fit(CFG, x, np.stack([x[:, 2], 2 * x[:, 4]], -1)))
    np.testing.assert_allclose(info['importance'][[2, 4]], [5, 2], rtol=0.1)
    assert (np.delete(info['importance'], [2, 4]) == 0).all()


def test_nan_is_refused_with_count_and_place():
    x, y = data(7)
    x[3, 1] = np.inf
    with pytest.raises(errors.DataInvalid, match='1 values that are not finite, first at row 3'):
        univariate.fit(CFG, x, y)
