"""Kernel ridge against scikit-learn, himalaya and ridge."""

import himalaya.backend
import himalaya.kernel_ridge
import jax
import ml_collections
import numpy as np
import pytest
import sklearn.kernel_ridge as peers
import sklearn.model_selection as splits

from recon.core import errors, kernel_search, kernels, select, validation
from recon.decoders import kernel_ridge, ridge
from tests.core.test_solvers import draw


def fit_predict(x, y, new, groups=None, rois=None, rng=None, **options):
    cfg = ml_collections.ConfigDict(options)
    params = kernel_ridge.fit(cfg, x, y, rng, groups=groups, rois=rois)
    return params, kernel_ridge.predict(cfg, params, new)


def median_distance(x):
    d = ((x[:, None].astype(float) - x[None]) ** 2).sum(-1)
    return np.median(d[np.triu_indices(len(x), 1)])


@pytest.mark.parametrize('n, v, t', ((40, 12, 3), (12, 40, 3), (150, 20, 2)))
@pytest.mark.parametrize('seed', (0, 1))
@pytest.mark.parametrize('width', (0.5, 2.0))
def test_rbf_equals_scikit_learn(n, v, t, seed, width):
    x, y = draw(n, v, t, seed, np.float32)
    new, _ = draw(7, v, t, seed + 9, np.float32)
    model = peers.KernelRidge(alpha=0.1, kernel='rbf', gamma=1 / width / median_distance(x))
    wanted = model.fit(np.float64(x), np.float64(y)).predict(np.float64(new))
    options = dict(widths=(width,), penalties=(0.1,), intercept=False)
    np.testing.assert_allclose(fit_predict(x, y, new, **options)[1], wanted, atol=2e-4)


@pytest.mark.parametrize('n, v, t', ((40, 12, 3), (12, 40, 30)))
def test_a_linear_kernel_is_ridge_with_penalties_over_the_number_of_voxels(n, v, t):
    x, y = draw(n, v, t, dtype=np.float32)
    x, y = x + 3, y + 5
    grid = np.geomspace(1e-2, 1e2, 6)
    cfg = ml_collections.ConfigDict(
        dict(penalties=tuple(grid * v), cv='kfold', folds=4, per_target=True)
    )
    params = ridge.fit(cfg, x, y)
    options = dict(kernel='linear', penalties=tuple(grid), folds=4, per_target=True)
    ours, got = fit_predict(x, y, x[:, ::-1], **options)
    np.testing.assert_allclose(ours['penalty'] * v, params['penalty'], rtol=1e-5)
    np.testing.assert_allclose(got, ridge.predict(cfg, params, x[:, ::-1]), atol=1e-3)


@pytest.mark.parametrize('n, v, t', ((40, 12, 20), (24, 60, 20)))
@pytest.mark.parametrize('seed', (0, 1))
def test_penalties_are_chosen_as_by_himalaya(n, v, t, seed):
    himalaya.backend.set_backend('numpy')
    x, y = draw(n, v, t, seed)
    grid = np.geomspace(1e-3, 1e1, 8)
    fold = validation.fold_of_rows(np.arange(n), 4)
    model = himalaya.kernel_ridge.KernelRidgeCV(
        alphas=grid * v, kernel='linear', cv=splits.PredefinedSplit(fold)
    )
    wanted = model.fit(x, y).predict(x[::-1])
    x, y = x.astype(np.float32), y.astype(np.float32)
    options = dict(kernel='linear', penalties=tuple(grid), folds=4, per_target=True)
    params, got = fit_predict(x, y, x[::-1], intercept=False, **options)
    same = np.isclose(params['penalty'] * v, model.best_alphas_, rtol=1e-5)
    assert same.mean() >= 0.99
    np.testing.assert_allclose(got[:, same], wanted[:, same], atol=1e-3)


@pytest.mark.parametrize('kernel', kernels.KERNELS)
def test_a_sum_over_areas_equals_himalaya_on_the_summed_kernel(kernel):
    himalaya.backend.set_backend('numpy')
    x, y = draw(30, 24, 5, dtype=np.float32)
    rois = {'a': np.arange(24) < 10, 'b': np.arange(24) >= 8, 'c': np.zeros(24, bool)}
    options = dict(kernel=kernel, widths=(1.0,), penalties=(0.3,), intercept=False)
    _, got = fit_predict(x, y, x, rois=rois, areas=('a', 'b'), **options)
    total = 0
    for name in 'ab':
        part = np.float64(x[:, rois[name]])
        linear = part @ part.T / part.shape[1]
        square = np.diag(linear)[:, None] + np.diag(linear) - 2 * linear
        rbf = np.exp(-square * part.shape[1] / median_distance(part))
        total = total + (linear if kernel == 'linear' else rbf) / 2
    model = himalaya.kernel_ridge.KernelRidge(alpha=0.3, kernel='precomputed').fit(
        total, np.float64(y)
    )
    np.testing.assert_allclose(got, model.predict(total), atol=1e-4)


def test_weights_of_areas_find_the_area_that_knows():
    x, _ = draw(60, 60, 1, dtype=np.float32)
    y = x[:, :5] @ np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    rois = {'knows': np.arange(60) < 10, 'noise': np.arange(60) >= 10}
    params, _ = fit_predict(
        x, y, x, rois=rois, areas=('knows', 'noise'), mixtures=4, rng=jax.random.key(0),
        kernel='linear',
    )  # fmt: skip
    assert params['tried_mixtures'].shape == (5, 2)
    np.testing.assert_allclose(params['tried_mixtures'].sum(1), 1, rtol=1e-5)
    assert params['mixture'][0] == params['tried_mixtures'][:, 0].max()


def test_selection_and_width_are_found_again_on_the_rows_of_every_fold():
    x, y = draw(40, 200, 6, dtype=np.float32)
    fold = validation.fold_of_rows(np.arange(40), 4)
    options = dict(voxels=(20,), widths=(1.0,), penalties=(0.1, 1.0), folds=4, limits=(-1.0, 1.0))
    params, _ = fit_predict(x, y, x, **options)
    wanted = np.zeros(2)
    for k, (i, alpha) in ((k, a) for k in range(4) for a in enumerate((0.1, 1.0))):
        train, test = fold != k, fold == k
        a, b = x[train], x[test]
        z = (a - a.mean(0)) / a.std(0)
        covariance = z.T @ (y[train] - y[train].mean(0)) / len(z)
        used = select.top(np.linalg.norm(covariance, axis=1), 20)
        one = dict(widths=(1.0,), penalties=(alpha,), limits=(-1.0, 1.0))
        _, got = fit_predict(a[:, used], y[train], b[:, used], **one)
        wanted[i] += ((got - y[test]) ** 2).mean() / 4
    np.testing.assert_allclose(params['errors'].ravel(), wanted, rtol=1e-4)
    assert params['used'].sum() == 20


def test_the_lowest_error_wins_and_repeats_average_other_folds():
    x, y = draw(60, 30, 3, dtype=np.float32)
    grid = dict(voxels=(5, 30), widths=(0.5, 2.0), penalties=(0.1, 1.0, 10.0))
    params, _ = fit_predict(x, y, x, repeats=3, rng=jax.random.key(1), **grid)
    assert params['errors'].shape == (2, 2, 1, 1, 3)
    c, w, _, _, a = np.unravel_index(params['errors'].argmin(), params['errors'].shape)
    assert params['choice'].tolist() == [c, w, 0, 0] and params['penalty'] == grid['penalties'][a]
    again, _ = fit_predict(x, y, x, repeats=3, rng=jax.random.key(1), **grid)
    np.testing.assert_array_equal(params['errors'], again['errors'])
    other, _ = fit_predict(x, y, x, repeats=3, rng=jax.random.key(2), **grid)
    assert (params['errors'] != other['errors']).any()


def test_contrast_is_chosen_with_the_rest_and_used():
    x, y = draw(60, 30, 3, dtype=np.float32)
    y = np.float32(y[:, :1] > 0)
    x += 3 * (y - 0.5)  # easy to decode, and drawn to the mean by a large penalty
    options = dict(penalties=(10.0,), widths=(1.0,), limits=(0.0, 1.0))
    plain, before = fit_predict(x, y, x, **options)
    params, after = fit_predict(x, y, x, contrasts=(1.0, 2.0, 0.5), **options)
    errors_of = params['errors'].ravel()
    assert params['contrast'] == 2 and errors_of.argmin() == 1
    np.testing.assert_allclose(after, np.clip((before - 0.5) * 2 + 0.5, 0, 1), atol=1e-6)


def test_slack_buys_contrast_and_nothing_else():
    error = np.full((2, 1, 1, 3, 2, 1), 2.0)
    error[1, 0, 0, 0, 1] = 1.0  # the lowest
    error[0, 0, 0, 1, 0], error[1, 0, 0, 1, 1] = 1.009, 1.008
    error[0, 0, 0, 2, 0] = 1.02
    for slack, wanted, penalty in ((0, [1, 0, 0, 0], 1), (0.01, [1, 0, 0, 1], 1), (1, 0, 0)):
        choice, chosen = kernel_search.choose(error, (1.0, 1.1, 1.2), slack)
        assert choice.tolist() == (wanted or [0, 0, 0, 2]) and chosen == [penalty]


def test_runs_are_never_split():
    x, y = draw(30, 8, 2, dtype=np.float32)
    x = np.repeat(x[:10], 3, 0)  # each run repeats a row: a split run would be decoded by heart
    y = np.repeat(draw(30, 8, 2, seed=5, dtype=np.float32)[1][:10], 3, 0)
    options = dict(widths=(0.1,), penalties=(1e-4, 1e-3), folds=5)
    honest, _ = fit_predict(x, y, x, groups=np.repeat(np.arange(10), 3), **options)
    split, _ = fit_predict(x, y, x, groups=np.tile(np.arange(10), 3), **options)
    assert split['errors'].min() < 0.05 < 0.5 < honest['errors'].min()


@pytest.mark.parametrize('score', kernels.SCORES)
def test_voxels_that_carry_the_target_are_selected(score):
    x, _ = draw(100, 50, 1, dtype=np.float32)
    y = x[:, [3, 17, 40]] @ np.ones((3, 8), np.float32)
    x[:, 9] = 4.0
    params, _ = fit_predict(x, y, x, voxels=(3,), score=score)
    assert np.flatnonzero(params['used'][0]).tolist() == [3, 17, 40]
    assert kernels.scores(x, y, score)[9] == 0
    wide = np.repeat(y, 20, 1)  # more targets than rows takes the other way round
    ratio = kernels.scores(x, wide, score) / np.maximum(kernels.scores(x, y, score), 1e-9)
    np.testing.assert_allclose(np.delete(ratio, 9), 20**0.5 if score == 'covariance' else 1, 1e-4)


def test_blocks_of_targets_change_nothing():
    x, y = draw(30, 20, 10, dtype=np.float32)
    for per_target in (True, False):
        whole = fit_predict(x, y, x, per_target=per_target)[1]
        parts = fit_predict(x, y, x, per_target=per_target, target_block=3)[1]
        np.testing.assert_allclose(whole, parts, atol=1e-4)


def test_a_large_penalty_gives_the_mean_within_the_limits():
    x, y = draw(30, 20, 4, dtype=np.float32)
    _, got = fit_predict(x, y + 4, x, penalties=(1e7,))
    np.testing.assert_allclose(got, np.broadcast_to((y + 4).mean(0), got.shape), atol=1e-4)
    _, got = fit_predict(x, y, x, penalties=(1e-3,), limits=(0.0, 1.0))
    assert got.min() == 0 and got.max() == 1


def test_constant_voxels_give_no_nan_and_change_little():
    x, y = draw(30, 20, 4, dtype=np.float32)
    x[:, 3] = 1e3 / 3
    params, got = fit_predict(x, y, x)
    assert np.isfinite(got).all() and params['voxel_std'][3] == 0
    params, got = fit_predict(np.ones_like(x), y, x)
    assert np.isfinite(got).all()


def test_shuffled_rows_decode_at_chance():
    x, y = draw(160, 100, 30, dtype=np.float32)
    rows = np.random.default_rng(3).permutation(120)
    r = []
    for order in (rows, np.arange(120)):
        _, got = fit_predict(x[:120][order], y[:120], x[120:])
        r.append(np.corrcoef(got.ravel(), y[120:].ravel())[0, 1])
    assert abs(r[0]) < 0.1 < 0.2 < r[1]


def test_the_report_hears_of_every_axis_that_was_searched():
    x, y = draw(30, 20, 4, dtype=np.float32)
    options = dict(voxels=(5, 10), limits=(-1.0, 1.0), contrasts=(1.0, 1.2))
    params, _ = fit_predict(x, y.reshape(30, 2, 2), x, **options)
    told = kernel_ridge.describe(ml_collections.ConfigDict(), params)
    assert [c['x_label'] for c in told['curves']] == [
        'voxels',
        'width',
        'contrast',
        'penalty',
    ]
    assert told['curves'][0]['chosen'] in (5, 10)
    assert told['importance'].sum() == told['facts']['voxels in each kernel'][0]


@pytest.mark.parametrize(
    'options, text',
    (
        (dict(kernel='poly'), "kernel is 'poly'.*linear, rbf"),
        (dict(score='f'), "score is 'f'.*covariance, peak"),
        (dict(widths=(1.0, 0.0)), r'widths is \(1.0, 0.0\)'),
        (dict(voxels=(0,)), r'voxels is \(0,\)'),
        (dict(limits=(1.0,)), r'limits are \(1.0,\)'),
        (dict(slack=-0.1), 'slack is -0.1'),
        (dict(contrasts=(1.1,)), r'contrasts are \(1.1,\) .*need limits'),
        (dict(areas=('V9',)), "area 'V9' does not exist .* V1"),
        (dict(areas=('none',)), "area 'none' is empty"),
        (dict(folds=99), '99 folds for 20 runs'),
        (dict(penalties=(-1.0,)), r'penalties are \(-1.0,\)'),
    ),
)
def test_options_that_do_not_fit_are_refused_with_their_value(options, text):
    x, y = draw(20, 8, 2, dtype=np.float32)
    rois = {'V1': np.ones(8, bool), 'none': np.zeros(8, bool)}
    with pytest.raises(errors.ConfigError, match=text):
        fit_predict(x, y, x, rois=rois, **options)


def test_voxels_that_are_not_finite_are_refused():
    x, y = draw(20, 8, 2, dtype=np.float32)
    params, _ = fit_predict(x, y, x)
    x[4, 6] = np.nan
    with pytest.raises(errors.DataInvalid, match=r'row 4, position \(6,\)'):
        kernel_ridge.predict(ml_collections.ConfigDict(), params, x)
