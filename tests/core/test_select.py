"""F score, correlation and the k best, against scikit-learn, scipy and numpy."""

import warnings

import numpy as np
import pytest
from sklearn import feature_selection

from recon.core import errors, select


def _data(seed, n=60, v=40, offset=0.0):
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 5, n) / 4
    x = rng.standard_normal((n, v)) + rng.standard_normal(v) * levels[:, None] + offset
    return x, levels


@pytest.mark.parametrize(
    ('seed', 'n', 'v', 'offset'), [(0, 60, 40, 0), (1, 440, 7, 50), (2, 9, 2000, 0)]
)
def test_f_equals_scikit_learns(seed, n, v, offset):
    x, levels = _data(seed, n, v, offset)
    wanted = feature_selection.f_classif(x, levels.astype(str))[0]
    np.testing.assert_allclose(select.f_score(x, levels), wanted, rtol=1e-8, atol=1e-12)


def test_f_of_float32_voxels_keeps_its_digits_far_from_zero():
    x, levels = _data(3, 300, 50, offset=1000)
    x = x.astype(np.float32)
    wanted = feature_selection.f_classif(x.astype(np.float64), levels.astype(str))[0]
    np.testing.assert_allclose(select.f_score(x, levels), wanted, rtol=2e-6)


def test_many_targets_with_different_levels_equal_one_target_at_a_time():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 700))  # more than one block of voxels
    classes = np.stack([rng.integers(0, k, 80) / max(k - 1, 1) for k in (2, 3, 5, 10, 26)], -1)
    got = select.f_scores(x, classes)
    for t in range(classes.shape[1]):
        wanted = feature_selection.f_classif(x, classes[:, t].astype(str))[0]
        np.testing.assert_allclose(got[t], wanted, rtol=1e-9, atol=1e-12)


def test_constant_voxels_and_single_classes_score_zero_without_a_warning():
    x, levels = _data(0)
    x[:, 3] = 0.1
    classes = np.stack([levels, np.ones_like(levels)], -1)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        scores = select.f_scores(x, classes)
    assert scores[0, 3] == 0
    assert (np.delete(scores[0], 3) > 0).all()
    assert (scores[1] == 0).all()


def test_a_voxel_that_the_classes_explain_without_rest_scores_highest():
    x, levels = _data(0)
    x[:, 5] = levels
    assert select.f_score(x, levels).argmax() == 5


def test_correlation_equals_numpys_and_constants_give_zero():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 6)) + 300, rng.standard_normal((50, 3))
    wanted = np.corrcoef(x.T, y.T)[:6, 6:]
    np.testing.assert_allclose(select.correlation(x, y), wanted, rtol=1e-10, atol=1e-12)
    single = select.correlation(x.astype(np.float32), y.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, atol=1e-5)
    x[:, 2], y[:, 1] = 7.1, 0.3
    r = select.correlation(x, y)
    assert (r[2] == 0).all()
    assert (r[:, 1] == 0).all()
    assert np.isfinite(r).all()


@pytest.mark.parametrize('k', [1, 5, 17, 30, 99])
def test_top_equals_select_k_best_ties_and_nan_included(k):
    rng = np.random.default_rng(k)
    scores = rng.integers(0, 6, (4, 30)).astype(float)
    scores[1, 4] = np.nan
    got = select.top(scores, k)
    for row, chosen in zip(scores, got, strict=True):
        best = feature_selection.SelectKBest(lambda x, y, row=row: row, k=min(k, 30))
        mask = best.fit(np.zeros((3, 30)), [0, 1, 1]).get_support()
        np.testing.assert_array_equal(chosen, np.nonzero(mask)[0])


def test_top_of_one_row_has_no_leading_axis():
    np.testing.assert_array_equal(select.top(np.array([3.0, 1.0, 2.0, 3.0]), 2), [0, 3])


def test_errors_say_what_came():
    x = np.zeros((4, 2))
    with pytest.raises(errors.DataInvalid, match='target 0 has 4 levels in 4 rows'):
        select.f_score(x, np.arange(4))
    with pytest.raises(errors.DataInvalid, match=r'\(4, 2\), targets \(3, 1\)'):
        select.f_score(x, np.zeros(3))
    with pytest.raises(errors.ConfigError, match='k is 0'):
        select.top(np.zeros(3), 0)
