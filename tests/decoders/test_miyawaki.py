"""Local bases against the published recipe, written anew with scikit-learn; weights; safeguards."""

import functools

import jax
import ml_collections
import numpy as np
import pytest
from sklearn import feature_selection, linear_model, pipeline, preprocessing

from recon.core import errors, patterns
from recon.decoders import _windows, miyawaki

FOUR = ((1, 1), (1, 2), (2, 1), (2, 2))


def config(**options):
    return ml_collections.ConfigDict(options)


@functools.cache
def brain(seed=0, n=240, extra=40, side=6, v=200, noise=2.0):
    """Voxels that each see a few patches: (voxels, pictures, run of each row)."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(0, 2, (n + extra, side, side)).astype(np.float32)
    fields = rng.standard_normal((side * side, v)) * (rng.random((side * side, v)) < 0.06)
    voxels = pictures.reshape(len(pictures), -1) @ fields
    voxels = voxels + noise * rng.standard_normal(voxels.shape) + 5
    return voxels.astype(np.float32), pictures, np.arange(n + extra) // 20


def small(**options):
    return config(**(dict(base=dict(name='omp', coefficients=5), select=dict(k=60)) | options))


def published(voxels, pictures, test, k, coefficients):
    """nilearn's recipe, one pipeline for each window; its picture, supports and coefficients."""
    n = len(pictures)
    a, b = pictures.shape[1:]
    targets = [
        pictures,
        (pictures[:, :, 1:] + pictures[:, :, :-1]) / 2,
        (pictures[:, 1:] + pictures[:, :-1]) / 2,
        (pictures[:, 1:, 1:] + pictures[:, :-1, 1:] + pictures[:, 1:, :-1] + pictures[:, :-1, :-1])
        / 4,
    ]
    targets = np.concatenate([t.reshape(n, -1) for t in targets], 1).astype(np.float64)
    columns, supports = [], []
    for y in targets.T:
        model = pipeline.Pipeline(
            [
                ('select', feature_selection.SelectKBest(feature_selection.f_classif, k=k)),
                ('scale', preprocessing.StandardScaler()),
                (
                    'omp',
                    linear_model.OrthogonalMatchingPursuit(
                        n_nonzero_coefs=coefficients, precompute=True
                    ),
                ),
            ]
        ).fit(voxels.astype(np.float64), y)
        chosen = np.flatnonzero(model['select'].get_support())
        supports.append(frozenset(chosen[np.flatnonzero(model['omp'].coef_)]))
        columns.append(model.predict(test.astype(np.float64)))
    values = np.stack(columns, -1)

    def spread(size):
        matrix = (np.eye(size) + np.eye(size, k=-1))[:, :-1] / 2
        matrix[0, 0] = matrix[-1, -1] = 1
        return matrix

    one, wide, tall, both = np.split(values, np.cumsum([a * b, a * (b - 1), (a - 1) * b]), 1)
    m = len(test)
    down, across = spread(a), spread(b)
    picture = (
        one.reshape(m, a, b)
        + wide.reshape(m, a, b - 1) @ across.T
        + np.einsum('hi,niw->nhw', down, tall.reshape(m, a - 1, b))
        + np.einsum('hi,nij,wj->nhw', down, both.reshape(m, a - 1, b - 1), across)
    ) / 4
    return picture, values, supports


@pytest.mark.parametrize(('seed', 'side', 'v', 'k'), [(0, 10, 400, 100), (1, 7, 300, 50)])
def test_omp_with_equal_weights_is_the_published_recipe(seed, side, v, k):
    voxels, pictures, _ = brain(seed, n=300, extra=40, side=side, v=v)
    cfg = config(base=dict(name='omp', coefficients=10, dtype='float64'), select=dict(by='f', k=k))
    params = miyawaki.fit(cfg, voxels[:300], pictures[:300])
    got = miyawaki.predict(cfg, params, voxels[300:])
    wanted, values, supports = published(voxels[:300], pictures[:300], voxels[300:], k, 10)
    base = params['local']['base']
    same = [set(s) == set(own) for s, own in zip(supports, base['support'], strict=True)]
    assert len(same) == sum(patterns.count((side, side), s) for s in FOUR)
    assert np.mean(same) >= 0.995
    ours = _windows.predict(miyawaki._options(cfg), params['local'], voxels[300:])
    np.testing.assert_allclose(ours[:, same], values[:, same], atol=1e-6)
    if all(same):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_float32_agrees_with_the_published_recipe_too():
    voxels, pictures, _ = brain(2, n=300, extra=40, side=7, v=300)
    cfg = config(base=dict(name='omp', coefficients=10), select=dict(k=50))
    params = miyawaki.fit(cfg, voxels[:300], pictures[:300])
    _, values, supports = published(voxels[:300], pictures[:300], voxels[300:], 50, 10)
    base = params['local']['base']
    same = [set(s) == set(own) for s, own in zip(supports, base['support'], strict=True)]
    assert np.mean(same) >= 0.99
    ours = _windows.predict(miyawaki._options(cfg), params['local'], voxels[300:])
    np.testing.assert_allclose(ours[:, same], values[:, same], atol=1e-4)


@pytest.mark.parametrize('per', ['scale', 'position'])
def test_learned_weights_beat_equal_ones_on_held_out_runs_and_are_told_as_a_table(per):
    voxels, pictures, runs = brain()
    cfg = small(combine=dict(how='nnls', per=per, folds=4))
    params = miyawaki.fit(cfg, voxels[:240], pictures[:240], jax.random.key(0), groups=runs[:240])
    got = miyawaki.predict(cfg, params, voxels[240:])
    equal = miyawaki.predict(small(combine=dict(per=per)), params, voxels[240:])
    error = [((p - pictures[240:]) ** 2).mean() for p in (got, equal)]
    assert error[0] < error[1]
    assert (params['weights']['nnls'] >= 0).all()
    table = miyawaki.describe(cfg, params)['tables'][0]
    assert table['columns'] == ['scale', 'windows', 'nnls', 'sgd', 'equal']
    assert [row[0] for row in table['rows'][:4]] == ['1x1', '1x2', '2x1', '2x2']
    assert [row[4] for row in table['rows'][:4]] == [0.25] * 4
    held_out = dict(zip(table['columns'][2:], table['rows'][4][2:], strict=True))
    assert held_out['nnls'] <= held_out['equal']
    if per == 'scale':
        np.testing.assert_allclose(held_out['sgd'], held_out['nnls'], rtol=0.02)


def test_weights_are_fitted_on_rows_that_the_decoders_did_not_see(monkeypatch):
    voxels, pictures, runs = brain()
    seen = []
    fit = _windows.fit

    def spy(options, x, windows, rng, *, groups, rois):
        seen.append((set(groups), len(x)))
        return fit(options, x, windows, rng, groups=groups, rois=rois)

    monkeypatch.setattr(_windows, 'fit', spy)
    cfg = small(combine=dict(how='nnls', folds=3))
    miyawaki.fit(cfg, voxels[:240], pictures[:240], groups=runs[:240])
    everything = set(range(12))
    left_out = [everything - groups for groups, _ in seen[:3]]
    assert set.union(*left_out) == everything  # every run is held out once, and never split
    assert sum(map(len, left_out)) == 12
    assert [n for _, n in seen] == [240 - 20 * len(out) for out in left_out] + [240]


def test_a_fit_looks_at_nothing_but_its_own_rows():
    voxels, pictures, runs = brain()
    cfg = small(combine=dict(how='sgd', folds=3))
    fitted = [
        miyawaki.fit(cfg, rows[:240], pictures[:240], jax.random.key(1), groups=runs[:240])
        for rows in (voxels, np.concatenate([voxels[:240], 100 * voxels[240:]]))
    ]
    jax.tree.map(np.testing.assert_array_equal, *fitted)


@pytest.mark.parametrize('base', ['omp', 'univariate'])
def test_one_call_with_own_voxels_equals_a_call_for_each_window(base, monkeypatch):
    voxels, pictures, _ = brain()
    cfg = small(base=dict(name=base), scales=((1, 1), (2, 2)))
    fast = miyawaki.fit(cfg, voxels[:240], pictures[:240])
    monkeypatch.setattr(_windows, '_IN_ONE_CALL', ())
    slow = miyawaki.fit(cfg, voxels[:240], pictures[:240])
    a = miyawaki.describe(cfg, slow)['importance']
    got = miyawaki.predict(cfg, slow, voxels[240:])
    monkeypatch.undo()
    np.testing.assert_allclose(got, miyawaki.predict(cfg, fast, voxels[240:]), atol=1e-4)
    np.testing.assert_allclose(a, miyawaki.describe(cfg, fast)['importance'], atol=1e-4)


@pytest.mark.parametrize(
    ('base', 'peer'),
    [
        (dict(name='ridge', penalties=(50.0,)), linear_model.Ridge(alpha=50.0)),
        (dict(name='linear'), linear_model.LinearRegression()),
    ],
)
def test_other_decoders_with_own_voxels_equal_scikit_learns_pipeline(base, peer):
    voxels, pictures, _ = brain(3, side=3)
    cfg = config(base=base, select=dict(k=25), scales=((1, 1), (2, 2)))
    params = miyawaki.fit(cfg, voxels[:240], pictures[:240])
    targets = np.concatenate([patterns.unfold(pictures, s) for s in ((1, 1), (2, 2))], 1)
    got = _windows.predict(miyawaki._options(cfg), params['local'], voxels[240:])
    for i, target in enumerate(targets.T):
        best = feature_selection.SelectKBest(feature_selection.f_classif, k=25)
        model = pipeline.make_pipeline(best, preprocessing.StandardScaler(), peer)
        model.fit(voxels[:240].astype(np.float64), target[:240].astype(np.float64))
        wanted = model.predict(voxels[240:].astype(np.float64))
        np.testing.assert_allclose(got[:, i], wanted, atol=1e-3)
    importance = miyawaki.describe(cfg, params)['importance']
    assert importance.shape == (200,)
    assert ((importance > 0) == np.isin(np.arange(200), params['local']['chosen'])).all()


@pytest.mark.parametrize('how', ['equal', 'nnls'])
def test_params_are_arrays_in_nested_dicts(how):
    voxels, pictures, runs = brain()
    cfg = small(combine=dict(how=how, folds=3), base=dict(name='univariate'))
    params = miyawaki.fit(cfg, voxels[:240], pictures[:240], groups=runs[:240])
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))
    assert ('errors' in params) == (how == 'nnls')


@pytest.mark.parametrize('select', [None, dict(by='none'), dict(by='correlation', k=60)])
def test_other_ways_to_choose_voxels_decode_above_chance(select):
    voxels, pictures, _ = brain()
    cfg = config(base=dict(name='omp', coefficients=5), select=select)
    params = miyawaki.fit(cfg, voxels[:240], pictures[:240])
    assert ('chosen' in params['local']) == (select == dict(by='correlation', k=60))
    got = miyawaki.stages(cfg, params, voxels[240:])['binary']
    assert (got == pictures[240:]).mean() > 0.65


def test_a_shuffled_brain_decodes_at_chance():
    voxels, pictures, _ = brain()
    rows = np.random.default_rng(0).permutation(240)
    params = miyawaki.fit(small(), voxels[rows], pictures[:240])
    got = miyawaki.stages(small(), params, voxels[240:])['binary']
    assert abs((got == pictures[240:]).mean() - 0.5) < 0.06


def test_stages_are_the_scales_and_their_mean_is_the_picture():
    voxels, pictures, _ = brain()
    scales = ((1, 1), (1, 3), (3, 1), (3, 3))
    cfg = small(scales=scales)
    params = miyawaki.fit(cfg, voxels[:240], pictures[:240, ..., None])
    picture = miyawaki.predict(cfg, params, voxels[240:])
    assert picture.shape == (40, 6, 6, 1)
    assert picture.dtype == np.float32
    stages = miyawaki.stages(cfg, params, voxels[240:])
    assert list(stages) == ['scale_1x1', 'scale_1x3', 'scale_3x1', 'scale_3x3', 'binary']
    mean = sum(stages[f'scale_{a}x{b}'] for a, b in scales) / 4
    np.testing.assert_allclose(picture[..., 0], mean, atol=1e-5)
    np.testing.assert_array_equal(stages['binary'], picture[..., 0] > 0.5)


def test_constant_voxels_and_patches_give_no_nan_and_importance_points_at_the_signal():
    voxels, pictures, _ = brain()
    voxels, pictures = voxels.copy(), pictures.copy()
    voxels[:, 150:] = np.random.default_rng(0).standard_normal((280, 50))
    voxels[:, 5], pictures[:, 0, 0] = 7.1, 0
    params = miyawaki.fit(small(), voxels[:240], pictures[:240])
    assert np.isfinite(miyawaki.predict(small(), params, voxels[240:])).all()
    told = miyawaki.describe(small(), params)
    assert told['importance'].shape == (200,)
    assert told['importance'][5] == 0
    assert told['importance'][:150].mean() > 1.5 * told['importance'][150:].mean()
    assert told['facts']['voxels for each window'] == 60
    assert 'standard deviation' in told['facts']['importance']


def test_errors_say_what_came_and_what_exists():
    voxels, pictures, _ = brain()
    fit = functools.partial(miyawaki.fit, voxels=voxels, target=pictures)
    for options, text in (
        (dict(select=dict(by='g')), "select.by is 'g'.*f, correlation, none"),
        (dict(combine=dict(how='best')), "combine.how is 'best'.*equal, nnls, sgd"),
        (dict(base=dict(name='opm')), "decoder.base.name is 'opm'.*did you mean 'omp'"),
        (dict(base=dict(name='miyawaki')), "base.name is 'miyawaki'"),
        (dict(scales=((1, 7),)), r'window of \(1, 7\) in pictures of \(6, 6\)'),
        (dict(combine=dict(how='nnls')), 'folds for 1 runs'),
    ):
        with pytest.raises(errors.ConfigError, match=text):
            fit(config(**options), groups=np.zeros(280, int))
    with pytest.raises(errors.DataInvalid, match=r'shape \(280, 6, 6, 3\)'):
        fit(config(), target=np.zeros((280, 6, 6, 3), np.float32))
    noisy = pictures + np.random.default_rng(0).random(pictures.shape).astype(np.float32)
    with pytest.raises(errors.DataInvalid, match='280 levels in 280 rows.*select by correlation'):
        fit(small(), target=noisy)
    bad = voxels.copy()
    bad[7, 3] = np.nan
    with pytest.raises(errors.DataInvalid, match='1 values that are not finite, first at row 7'):
        miyawaki.fit(config(), bad, pictures)
