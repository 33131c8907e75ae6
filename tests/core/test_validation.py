"""Closed forms of cross-validation against refitting."""

import jax
import numpy as np
import pytest
import sklearn.linear_model as peers

from recon.core import errors, solvers, validation
from tests.core.test_solvers import draw

PENALTIES = np.geomspace(1e-2, 1e4, 7)
SIZES = ((40, 15, 3), (15, 40, 3), (30, 29, 2), (30, 30, 2))


def ours(x, y, rule, intercept, fold=None, dtype=np.float64):
    with jax.enable_x64(dtype == np.float64):
        x, y = (a - intercept * a.mean(0) for a in (x, y))
        x, y = x.astype(dtype), y.astype(dtype)
        factor = solvers.factor(x, intercept)
        rows = None if fold is None else validation.rows_of_folds(fold)
        z = solvers.project(factor, y)
        penalties = PENALTIES.astype(dtype)
        return np.asarray(validation.errors_by_penalty(factor, z, y, penalties, rows, rule))


def refitted(x, y, fold, intercept):
    error = []
    for alpha in PENALTIES:
        parts = []
        for k in np.unique(fold):
            model = peers.Ridge(alpha, fit_intercept=intercept, solver='svd')
            model.fit(x[fold != k], y[fold != k])
            parts.append(((model.predict(x[fold == k]) - y[fold == k]) ** 2).mean(0))
        error.append(np.mean(parts, 0))
    return np.array(error)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('intercept', (True, False))
def test_leave_one_out_equals_refitting_without_each_row(n, v, t, intercept):
    x, y = draw(n, v, t)
    wanted = refitted(x, y, np.arange(n), intercept)
    np.testing.assert_allclose(ours(x, y, 'loo', intercept), wanted, rtol=1e-6)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('intercept', (True, False))
def test_folds_of_unequal_size_equal_refitting_without_each_fold(n, v, t, intercept):
    x, y = draw(n, v, t, seed=1)
    fold = np.sort(np.random.default_rng(0).integers(0, 4, n))
    wanted = refitted(x, y, fold, intercept)
    np.testing.assert_allclose(ours(x, y, 'kfold', intercept, fold), wanted, rtol=1e-6)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('intercept', (True, False))
def test_gcv_is_the_squared_residual_over_the_squared_free_degrees(n, v, t, intercept):
    x, y = draw(n, v, t, seed=2)
    centre = np.eye(n) - intercept / n
    xc, yc, wanted = centre @ x, centre @ y, []
    for alpha in PENALTIES:
        hat = xc @ np.linalg.solve(xc.T @ xc + alpha * np.eye(v), xc.T)
        residual = ((yc - hat @ yc) ** 2).sum(0)
        wanted.append(n * residual / np.trace(centre - hat) ** 2)
    np.testing.assert_allclose(ours(x, y, 'gcv', intercept), wanted, rtol=1e-6)


@pytest.mark.parametrize('rule', validation.RULES)
@pytest.mark.parametrize('n, v', ((80, 30), (30, 80)))
def test_float32_gives_the_errors_of_float64(rule, n, v):
    x, y = draw(n, v, 5, seed=3)
    fold = np.arange(n) % 5 if rule == 'kfold' else None
    got = ours(x, y, rule, True, fold, np.float32)
    np.testing.assert_allclose(got, ours(x, y, rule, True, fold), rtol=2e-4)


@pytest.mark.parametrize('seed', range(5))
def test_folds_never_split_a_run_and_are_about_equal(seed):
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.repeat(generator.permutation(50)[:12], 10))
    for shuffle in (None, generator):
        fold = validation.fold_of_rows(groups, 4, shuffle)
        assert all(len(set(fold[groups == g])) == 1 for g in groups)
        assert np.bincount(fold).tolist() == [30] * 4


def test_folds_of_rows_in_order_are_stretches_of_time():
    fold = validation.fold_of_rows(np.arange(17), 4)
    assert (np.diff(fold) >= 0).all() and np.bincount(fold).tolist() == [4, 4, 5, 4]


def test_two_repeats_of_shuffled_folds_differ():
    generator = np.random.default_rng(0)
    one, two = (validation.fold_of_rows(np.arange(20), 4, generator) for _ in range(2))
    assert (one != two).any()


@pytest.mark.parametrize('folds', (1, 4))
def test_a_number_of_folds_that_cannot_be_is_refused(folds):
    with pytest.raises(errors.ConfigError, match=f'{folds} folds for 3 runs in 6 rows'):
        validation.fold_of_rows(np.repeat([4, 1, 9], 2), folds)


def test_rows_of_folds_pads_short_folds():
    assert validation.rows_of_folds(np.array([0, 1, 1])).tolist() == [[0, -1], [1, 2]]


def test_the_choice_skips_nan_and_takes_the_first_of_equals():
    error = np.array([[np.nan, 2.0], [3.0, 2.0], [3.0, 1.0]])
    assert validation.choose(error, per_target=True).tolist() == [1, 2]
    assert validation.choose(error, per_target=False) == 2
