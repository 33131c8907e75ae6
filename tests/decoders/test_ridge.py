"""Ridge against scikit-learn and himalaya."""

import himalaya.backend
import himalaya.ridge
import ml_collections
import numpy as np
import pytest
import sklearn.linear_model as peers
import sklearn.model_selection as splits

from recon.core import errors, validation
from recon.decoders import ridge
from tests.core.test_solvers import draw

GRID = tuple(float(a) for a in np.geomspace(1e-1, 1e4, 9))
SIZES = ((60, 25, 6), (25, 60, 6), (40, 40, 2), (30, 200, 300))


def config(**options):
    return ml_collections.ConfigDict({'penalties': GRID} | options)


def fit_predict(x, y, new, groups=None, **options):
    cfg = config(**options)
    params = ridge.fit(cfg, x, y, groups=groups)
    return params, ridge.predict(cfg, params, new)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('per_target', (False, True))
@pytest.mark.parametrize('seed', (0, 1))
def test_leave_one_out_chooses_and_predicts_as_scikit_learn(n, v, t, per_target, seed):
    x, y = draw(n, v, t, seed, np.float32)
    new, _ = draw(9, v, t, seed + 10, np.float32)
    model = peers.RidgeCV(GRID, alpha_per_target=per_target).fit(
        np.float64(x + 3), np.float64(y + 1)
    )
    params, got = fit_predict(x + 3, y + 1, new, per_target=per_target, cv='loo')
    same = np.isclose(params['penalty'], model.alpha_, rtol=1e-6)
    assert same.mean() >= 0.99  # errors that differ in the eighth digit are a tie in float32
    wanted, same = model.predict(np.float64(new)), np.broadcast_to(same, t)
    np.testing.assert_allclose(got[:, same], wanted[:, same], atol=2e-4)


@pytest.mark.parametrize('n, v, t', SIZES)
@pytest.mark.parametrize('seed', (0, 1))
def test_folds_choose_and_predict_as_himalaya(n, v, t, seed):
    himalaya.backend.set_backend('numpy')
    x, y = draw(n, v, t, seed)
    new, _ = draw(9, v, t, seed + 10)
    groups = np.arange(n) // 2
    fold = validation.fold_of_rows(groups, 4)
    model = himalaya.ridge.RidgeCV(
        np.array(GRID), fit_intercept=True, cv=splits.PredefinedSplit(fold)
    ).fit(x, y)
    params, got = fit_predict(
        x, y.astype(np.float32), new, groups, per_target=True, cv='kfold', folds=4
    )
    same = np.isclose(params['penalty'], model.best_alphas_, rtol=1e-6)
    assert same.mean() >= 0.99
    np.testing.assert_allclose(got[:, same], model.predict(new)[:, same], atol=2e-4)


@pytest.mark.parametrize('cv', validation.RULES)
@pytest.mark.parametrize('per_target', (False, True))
@pytest.mark.parametrize('n, v', ((40, 15), (15, 40)))
def test_blocks_of_targets_change_nothing(cv, per_target, n, v):
    x, y = draw(n, v, 50, dtype=np.float32)
    options = dict(cv=cv, per_target=per_target)
    one, whole = fit_predict(x, y, x, **options)
    many, parts = fit_predict(x, y, x, target_block=7, **options)
    np.testing.assert_array_equal(one['penalty'], many['penalty'])
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    np.testing.assert_allclose(one['curve'], many['curve'], rtol=1e-5)


@pytest.mark.parametrize('cv', validation.RULES)
def test_a_penalty_for_each_target_equals_one_target_at_a_time(cv):
    x, y = draw(20, 50, 8, dtype=np.float32)
    params, whole = fit_predict(x, y, x, cv=cv, per_target=True)
    assert len(np.unique(params['penalty'])) > 1
    for i in range(8):
        alone, one = fit_predict(x, y[:, i], x, cv=cv)
        assert alone['penalty'] == params['penalty'][i]
        np.testing.assert_allclose(one, whole[:, i], atol=1e-5)


@pytest.mark.parametrize('n, v, t', ((30, 12, 4), (12, 30, 4), (12, 30, 500)))
def test_a_single_penalty_equals_scikit_learn_and_the_grid_of_two(n, v, t):
    x, y = draw(n, v, t, dtype=np.float32)
    wanted = peers.Ridge(3.0).fit(np.float64(x), np.float64(y)).predict(np.float64(x))
    for options in ({}, {'target_block': 3}):
        _, got = fit_predict(x, y, x, penalties=(3.0,), **options)
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    _, got = fit_predict(x, y, x, penalties=(3.0, 3.0))
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize('n, v', ((30, 12), (12, 30)))
def test_a_single_penalty_below_rounding_is_least_squares(n, v):
    x, y = draw(n, v, 3, dtype=np.float32)
    x[:, 3] = x[:, 4]
    wanted = peers.LinearRegression().fit(np.float64(x), np.float64(y)).predict(x)
    _, got = fit_predict(x * 100, y, x * 100, penalties=(1e-2,))
    np.testing.assert_allclose(got, wanted, atol=1e-2)


def test_many_targets_are_kept_in_the_smaller_dual_form():
    x, y = draw(12, 30, 500, dtype=np.float32)
    dual, _ = fit_predict(x, y, x)
    assert dual['dual'].shape == (12, 500) and 'weights' not in dual
    few, _ = fit_predict(x, y[:, :5], x)
    assert few['weights'].shape == (30, 5)
    importance = ridge.describe(config(), dual)['importance']
    wanted = np.linalg.norm(x.T @ dual['dual'], axis=1) * x.std(0)
    np.testing.assert_allclose(importance, wanted, rtol=1e-3)


def test_no_intercept_goes_through_the_origin():
    x, y = draw(20, 8, 3, dtype=np.float32)
    _, got = fit_predict(x, y + 5, x, penalties=(2.0, 2.0), intercept=False)
    wanted = peers.Ridge(2.0, fit_intercept=False).fit(x, y + 5).predict(x)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_large_penalties_give_the_mean_and_small_ones_least_squares():
    x, y = draw(40, 10, 3, dtype=np.float32)
    y += 7
    _, got = fit_predict(x, y, x, penalties=(1e10, 1e12))
    np.testing.assert_allclose(got, np.broadcast_to(y.mean(0), got.shape), atol=1e-4)
    _, got = fit_predict(x, y, x, penalties=(1e-5, 1e-6))
    wanted = peers.LinearRegression().fit(np.float64(x), np.float64(y)).predict(x)
    np.testing.assert_allclose(got, wanted, atol=1e-3)


@pytest.mark.parametrize('n, v', ((40, 10), (10, 40)))
def test_constant_voxels_get_no_weight_and_no_nan(n, v):
    x, y = draw(n, v, 3, dtype=np.float32)
    wanted = fit_predict(np.delete(x, [2, 5], 1), y, np.delete(x, [2, 5], 1))[1]
    x[:, 2], x[:, 5] = 0, 1e4 / 3
    params, got = fit_predict(x, y, x)
    np.testing.assert_allclose(got, wanted, atol=1e-4)
    assert ridge.describe(config(), params)['importance'][[2, 5]].max() == 0


def test_shuffled_rows_decode_at_chance():
    x, y = draw(200, 300, 40, dtype=np.float32)
    rows = np.random.default_rng(3).permutation(160)
    _, got = fit_predict(x[:160][rows], y[:160], x[160:])
    _, fair = fit_predict(x[:160], y[:160], x[160:])
    r = [np.corrcoef(a.ravel(), y[160:].ravel())[0, 1] for a in (got, fair)]
    assert abs(r[0]) < 0.1 < 0.2 < r[1]


def test_targets_keep_their_shape():
    x, y = draw(20, 8, 12, dtype=np.float32)
    _, got = fit_predict(x, y.reshape(20, 2, 3, 2), x[:5])
    assert got.shape == (5, 2, 3, 2) and got.dtype == np.float32


def test_the_report_hears_of_the_curve_and_of_the_choice():
    x, y = draw(20, 30, 8, dtype=np.float32)
    params, _ = fit_predict(x, y, x, per_target=True)
    told = ridge.describe(config(), params)
    (curve,) = told['curves']
    assert curve['series'][0]['x'] == pytest.approx(GRID) and curve['log_x']
    assert sum(count for _, count in told['tables'][0]['rows']) == 8
    assert told['importance'].shape == (30,) and (told['importance'] >= 0).all()
    params, _ = fit_predict(x, y, x, penalties=(1.0,))
    assert ridge.describe(config(), params)['curves'] == []


@pytest.mark.parametrize(
    'options, text',
    (
        (dict(penalties=(1.0, 0.0)), r'penalties are \(1.0, 0.0\)'),
        (dict(penalties=()), r'penalties are \(\)'),
        (dict(cv='gvc'), "cv is 'gvc'.*loo, gcv, kfold"),
        (dict(cv='kfold', folds=30), '30 folds for 20 runs'),
        (dict(target_block=0), 'target_block is 0'),
    ),
)
def test_options_that_do_not_fit_are_refused_with_their_value(options, text):
    x, y = draw(20, 8, 2, dtype=np.float32)
    with pytest.raises(errors.ConfigError, match=text):
        ridge.fit(config(**options), x, y)


def test_voxels_that_are_not_finite_are_refused_before_and_after():
    x, y = draw(20, 8, 2, dtype=np.float32)
    params = ridge.fit(config(), x, y)
    x[4, 6] = np.nan
    with pytest.raises(errors.DataInvalid, match=r'1 values .* row 4, position \(6,\)'):
        ridge.fit(config(), x, y)
    with pytest.raises(errors.DataInvalid, match='ridge.predict'):
        ridge.predict(config(), params, x)


@pytest.mark.real
def test_real_digits_decode_as_with_scikit_learn(shared):
    import scipy.io

    data = scipy.io.loadmat(shared / 'data/digits69/digit69_28x28.mat')
    x, new = (np.float64(data[k]) for k in ('fmriTrn', 'fmriTest'))
    mean, std = x.mean(0), x.std(0)
    x, new = (x - mean) / std, (new - mean) / std
    y = np.float64(data['stimTrn']) / 255
    grid = tuple(np.logspace(0, 7, 15))
    for per_target in (False, True):
        model = peers.RidgeCV(grid, alpha_per_target=per_target).fit(x, y)
        params, got = fit_predict(
            x.astype(np.float32),
            y.astype(np.float32),
            new.astype(np.float32),
            penalties=grid,
            per_target=per_target,
        )
        varied = y.std(0) > 0
        np.testing.assert_allclose(got, model.predict(new), atol=1e-3)
        chosen = np.broadcast_to(params['penalty'], 784)[varied]
        assert np.isclose(chosen, np.broadcast_to(model.alpha_, 784)[varied]).mean() > 0.99
