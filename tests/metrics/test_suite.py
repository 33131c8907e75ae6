import dataclasses

import numpy as np
import pytest
import scipy.io
import sklearn.linear_model

from recon.core import errors
from recon.metrics import identify, naming, pixel, suite
from recon.metrics import pictures as shared

PIXEL = [
    *('pixcorr', 'ssim', 'ssim_skimage019', 'ssim_uniform7', 'mse', 'mae'),
    *('binary_accuracy', 'binary_precision', 'binary_recall', 'binary_f1'),
    *('two_way_pixel', 'two_way_takagi_pixel', 'nway3_pixel', 'corrdist_pixel', 'cosine_pixel'),
    *('brain_to_image_top1', 'brain_to_image_top5', 'image_to_brain_top1', 'image_to_brain_top5'),
]


def pictures(n=12, side=16, seed=0, noise=0.4):
    r = np.random.default_rng(seed)
    truth = r.random((n, side, side, 3)).astype(np.float32)
    recon = np.clip(truth + noise * r.normal(size=truth.shape), 0, 1).astype(np.float32)
    return recon, truth


def test_every_name_gives_an_entry_with_all_that_the_run_folder_asks():
    recon, truth = pictures()
    found = suite.score(PIXEL, recon, truth, seed=0)
    assert list(found) == PIXEL
    for name, entry in found.items():
        low, high = entry.ci95
        assert low <= entry.mean <= high, name
        assert entry.p == 1 / 1001, name
        assert entry.unit == 'image'
        assert (entry.n, entry.n_undefined, len(entry.per_unit)) == (12, 0, 12)
        assert entry.better == ('lower' if name[:3] in ('mse', 'mae', 'cor') else 'higher')
        assert (entry.mean < entry.chance) == (entry.better == 'lower'), name
        assert entry.mean == pytest.approx(np.mean(entry.per_unit))
        assert (entry.extra['net'], entry.extra['weights']) == ('pixel', 'none')


def test_a_perfect_reconstruction_is_perfect():
    _, truth = pictures()
    for name, entry in suite.score(PIXEL, truth, truth, seed=0).items():
        wanted = 0 if entry.better == 'lower' else 1
        assert entry.mean == pytest.approx(wanted, abs=1e-9), name


@pytest.mark.parametrize('seed', range(3))
def test_unrelated_pictures_score_at_chance(seed):
    recon, _ = pictures(n=60, seed=seed)
    _, truth = pictures(n=60, seed=seed + 100)
    for name, entry in suite.score(PIXEL, recon, truth, seed=seed).items():
        if name == 'binary_accuracy':  # chance is the majority class, which a picture need not be
            continue
        spread = np.std(entry.per_unit)
        if 'top' in name:  # hits are rare: their spread is known, and hardly to be measured
            spread = np.sqrt(entry.chance * (1 - entry.chance))
        error = spread / np.sqrt(60)
        assert abs(entry.mean - entry.chance) < 3.5 * error, name
        assert entry.p > 0.002, name


def test_scores_of_images_keep_the_order_of_the_images():
    recon, truth = pictures(n=15)
    order = np.random.default_rng(5).permutation(15)
    plain = suite.score(PIXEL, recon, truth, seed=0)
    moved = suite.score(PIXEL, recon[order], truth[order], seed=0)
    for name in PIXEL:
        np.testing.assert_allclose(
            moved[name].per_unit, plain[name].per_unit[order], atol=1e-12, err_msg=name
        )


def test_a_score_does_not_depend_on_its_company():
    recon, truth = pictures()
    whole = suite.score(PIXEL, recon, truth, seed=0)
    for name in ('ssim', 'two_way_pixel', 'mae'):
        alone = suite.score([name], recon, truth, seed=0)[name]
        assert (alone.mean, alone.ci95, alone.chance, alone.p) == (
            whole[name].mean,
            whole[name].ci95,
            whole[name].chance,
            whole[name].p,
        )


def test_chance_is_what_theory_says_where_theory_says_it():
    recon, truth = pictures(n=10)
    truth[:, :, :12] = 0.0
    found = suite.score(PIXEL, recon, truth, seed=0, candidates=8)
    assert found['two_way_pixel'].chance == found['two_way_takagi_pixel'].chance == 0.5
    assert found['nway3_pixel'].chance == pytest.approx(1 / 3)
    assert found['brain_to_image_top1'].chance == pytest.approx(1 / 8)
    assert found['image_to_brain_top5'].chance == pytest.approx(5 / 8)
    assert found['brain_to_image_top1'].extra['candidates'] == 8
    assert found['binary_accuracy'].chance == pytest.approx(pixel.majority(truth))
    matrix = pixel.pixcorr_matrix(recon, truth)
    assert found['pixcorr'].chance == pytest.approx(matrix[~np.eye(10, dtype=bool)].mean())


def test_ssim_of_many_pictures_exchanges_truths_within_blocks(monkeypatch):
    monkeypatch.setattr(shared, 'BUDGET', {'ssim': 1.0, 'mae': 1.0, 'product': 1e12})
    recon, truth = pictures(n=40, noise=0.6)
    found = suite.score(['ssim', 'mae'], recon, truth, seed=0)
    for name, entry in found.items():
        assert entry.extra['permuted_within'] == 4
        assert entry.extra['permutations'] == 1000
        assert entry.p == 1 / 1001
        np.testing.assert_allclose(entry.per_unit, getattr(pixel, name)(recon, truth))


def test_a_constant_reconstruction_is_undefined_in_correlation_and_fails_in_identification():
    recon, truth = pictures(n=8, noise=0.05)
    recon[3] = 0.25
    found = suite.score(['pixcorr', 'two_way_pixel', 'corrdist_pixel'], recon, truth, seed=0)
    for name in ('pixcorr', 'corrdist_pixel'):
        assert found[name].n_undefined == 1
        assert np.isnan(found[name].per_unit[3])
        assert found[name].mean == pytest.approx(np.nanmean(found[name].per_unit))
    assert found['two_way_pixel'].per_unit[3] == 0
    assert found['two_way_pixel'].n_undefined == 0
    assert found['two_way_pixel'].extra['undefined_as_failure'] == 7


def test_nothing_defined_gives_no_mean_and_nothing_that_json_cannot_hold():
    _, truth = pictures(n=4)
    entry = suite.score(['pixcorr'], np.zeros_like(truth), truth, seed=0)['pixcorr']
    assert (entry.mean, entry.ci95, entry.chance, entry.p) == (None, None, None, None)
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        if field.name not in ('per_unit', 'extra'):
            assert value is None or not np.isnan(value) if isinstance(value, float) else True


def test_one_picture_is_scored_without_chance_or_p():
    recon, truth = pictures(n=1)
    found = suite.score(['pixcorr', 'ssim', 'two_way_pixel', 'mae'], recon, truth, seed=0)
    assert found['pixcorr'].mean is not None
    assert (found['pixcorr'].chance, found['pixcorr'].p) == (None, None)
    assert all(entry.ci95 is None for entry in found.values())
    assert (found['two_way_pixel'].mean, found['two_way_pixel'].n_undefined) == (None, 1)


def test_copied_channels_are_scored_once_and_nets_still_see_three():
    recon, truth = (p[..., :1].repeat(3, -1) for p in pictures())
    seen = []

    def tiny(images):
        seen.append(images.shape)
        return images.mean((1, 2)) + images.reshape(len(images), -1)[:, :3]

    tiny.weights = 'tiny, embedded'
    found = suite.score(
        ['mse', 'corrdist_tiny', 'two_way_tiny'], recon, truth, seed=0, channels=1,
        nets={'tiny': tiny},
    )  # fmt: skip
    assert found['mse'].mean == pytest.approx(pixel.mse(recon[..., :1], truth[..., :1]).mean())
    assert seen == [(12, 16, 16, 3)] * 2  # once a side, for both metrics
    assert found['two_way_tiny'].extra['net'] == 'tiny'
    assert found['two_way_tiny'].extra['weights'] == 'tiny, embedded'


def test_features_of_a_net_are_compared_by_pearson():
    recon, truth = pictures()

    def net(images):
        return images.mean(1)  # [n w 3], flattened

    found = suite.score(['corrdist_x', 'two_way_x'], recon, truth, seed=0, nets={'x': net})
    a, b = (net(p).reshape(12, -1) for p in (truth, recon))
    similarity = np.corrcoef(a, b)[:12, 12:]
    np.testing.assert_allclose(found['corrdist_x'].per_unit, 1 - np.diagonal(similarity), atol=1e-6)
    np.testing.assert_allclose(
        found['two_way_x'].per_unit, np.diagonal(identify.two_way(similarity))
    )


def test_retrieval_knows_brain_from_image_through_the_suite():
    # Every reconstruction looks most like picture 0, a little like its own: images find their
    # brains (all but none), brains find picture 0.
    truth = np.zeros((5, 4, 4, 3), np.float32)
    truth.reshape(5, -1)[np.arange(5), np.arange(5)] = 1
    recon = 0.5 * truth + np.float32(0.9) * truth[:1]
    found = suite.score(['brain_to_image_top1', 'image_to_brain_top1'], recon, truth, seed=0)
    assert found['brain_to_image_top1'].mean == pytest.approx(0.2)
    assert found['image_to_brain_top1'].mean == pytest.approx(1.0)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('pixcor', "metric 'pixcor' does not exist.*names that exist: pixcorr, ssim,"),
        ('two_way_clip', "metric 'two_way_clip' has no net.*features that exist: pixel, tiny_clip"),
        ('two_way_takagi', "'two_way_takagi' has no net"),
        ('brain_to_image_top2', "'brain_to_image_top2' does not exist"),
        ('map', 'map is scored from labels, not from pictures'),
        ('voxel_r2', 'voxel_r2 is scored from responses of voxels'),
        ('nway50_pixel', 'nway50_pixel chooses among 50 images, there are 12'),
        ('nway1_pixel', 'nway1_pixel chooses among 1 images'),
    ],
)
def test_a_wrong_name_is_told_what_exists(name, message):
    with pytest.raises(errors.ConfigError, match=message):
        suite.check([name], {'tiny_clip': None}, n=12)


def test_names_of_nets_that_exist_are_taken():
    suite.check(['two_way_tiny_clip', 'nway5_tiny_clip', 'two_way_takagi_tiny_clip', 'ssim'],
                {'tiny_clip': None}, n=5, size=(11, 11))  # fmt: skip
    assert 'two_way_<feature>' in suite.known()


def test_ten_by_ten_pictures_are_told_why_they_have_no_ssim():
    recon, truth = pictures(side=10)
    with pytest.raises(errors.ConfigError, match='at least 11 x 11 pixels, these are 10 x 10'):
        suite.score(['mse', 'ssim'], recon, truth, seed=0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'candidates': 13}, 'among 13 candidates, there are 12 images'),
        ({'retrieval': 'clip'}, "retrieval by 'clip'.*features that exist: pixel"),
    ],
)
def test_wrong_retrieval_options_are_refused(options, message):
    with pytest.raises(errors.ConfigError, match=message):
        suite.score(['brain_to_image_top1'], *pictures(), seed=0, **options)


def test_nan_and_unlike_shapes_are_refused_with_count_and_place():
    recon, truth = pictures()
    bad = recon.copy()
    bad[2, 1, 0, 2] = np.nan
    message = r'1 of 9216 values of the reconstructions are not finite, first at \(2, 1, 0, 2\)'
    with pytest.raises(errors.DataInvalid, match=message):
        suite.score(['mse'], bad, truth, seed=0)
    with pytest.raises(errors.DataInvalid, match=r'shape \(11, 16, 16, 3\), truth \(12'):
        suite.score(['mse'], recon[:11], truth, seed=0)


def test_summarise_makes_an_entry_of_anything_measured_elsewhere():
    entry = suite.summarise(
        [0.5, np.nan, 0.7], better='higher', seed=0, unit='voxel', extra={'split': 'test'}
    )
    assert entry.mean == pytest.approx(0.6)
    assert (entry.n, entry.n_undefined, entry.unit) == (3, 1, 'voxel')
    assert entry.extra == {'split': 'test'}


@pytest.mark.real
def test_digits69_gives_the_scores_that_scikit_learn_reaches(shared):
    file = scipy.io.loadmat(shared / 'data' / 'digits69' / 'digit69_28x28.mat')

    def upright(rows):
        images = np.stack([row.reshape(28, 28, order='F') for row in rows])
        return (images.astype(np.float32) / 255)[..., None].repeat(3, -1)

    train, truth = upright(file['stimTrn']), upright(file['stimTest'])
    x, x_test = file['fmriTrn'], file['fmriTest']
    scale = (x.mean(0), x.std(0))
    model = sklearn.linear_model.RidgeCV(alphas=np.logspace(0, 7, 15))
    model.fit((x - scale[0]) / scale[1], train[..., 0].reshape(90, -1))
    pixels = model.predict((x_test - scale[0]) / scale[1]).clip(0, 1).astype(np.float32)
    recon = pixels.reshape(10, 28, 28, 1).repeat(3, -1)
    names = ['pixcorr', 'mse', 'ssim', 'ssim_uniform7', 'two_way_pixel']
    for pictures_, wanted in (
        (recon, [0.791, 0.0379, 0.458, 0.507, 0.944]),
        (np.tile(train.mean(0), (10, 1, 1, 1)), [0.655, 0.0547, 0.245, 0.309, 0.5]),
    ):
        found = suite.score(names, pictures_, truth, seed=0, channels=1)
        for name, value in zip(names, wanted, strict=True):
            digits = 5e-5 if name == 'mse' else 5e-4
            assert abs(found[name].mean - value) <= digits + 1e-9, name


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'seed': -1}, 'seed is -1.*integer of 0 or more'),
        ({'seed': 0.5}, 'seed is 0.5'),
        ({'draws': 0}, 'draws is 0.*integer of 1 or more'),
        ({'permutations': -1}, 'permutations is -1.*integer of 0 or more'),
        ({'permutations': True}, 'permutations is True'),
        ({'threshold': float('nan')}, 'threshold is nan'),
        ({'threshold': 1.5}, r'threshold is 1.5.*\[0, 1\]'),
        ({'threshold': -0.1}, 'threshold is -0.1'),
        ({'threshold': 'half'}, "threshold is 'half'"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_any_work(settings, message):
    with pytest.raises(errors.ConfigError, match=message):
        suite.check_settings(**({'seed': 0} | settings))
    with pytest.raises(errors.ConfigError, match=message):
        suite.score(['mse'], *pictures(), **({'seed': 0} | settings))


def test_settings_at_their_limits_are_taken():
    suite.check_settings(0, draws=1, permutations=0, threshold=0)
    suite.check_settings(np.int64(7), draws=np.int32(2), permutations=5, threshold=np.float32(1))


def rows_of_images(seed, images=20, rows=36, side=5):
    """Rows that know nothing of their image, but are alike within one; and their truths."""
    r = np.random.default_rng(seed)
    image = np.repeat(np.arange(images), rows)
    truth = r.random((images, side, side, 3)).astype(np.float32)[image]
    base = r.random((images, side, side, 3)).astype(np.float32)[image]
    recon = np.clip(base + 0.2 * r.normal(size=base.shape), 0, 1).astype(np.float32)
    return recon, truth, image


def test_p_of_rows_is_uniform_when_only_the_image_makes_them_alike():
    names, of_images, of_rows = ['pixcorr', 'mse'], [], []
    for seed in range(60):
        recon, truth, image = rows_of_images(seed)
        options = dict(seed=seed, draws=1, permutations=199)
        found = suite.score(names, recon, truth, clusters=image, **options)
        of_images.append([found[name].p for name in names])
        assert found['mse'].extra['permuted'] == 'images'
        assert found['mse'].extra['permuted_within'] == 20
        if seed < 20:
            found = suite.score(names, recon, truth, **options)
            of_rows.append([found[name].p for name in names])
    p = np.array(of_images)
    assert (p < 0.05).mean(0).max() <= 0.12  # 60 draws of .05: above .12 once in 150
    for level in (0.25, 0.5, 0.75):
        assert np.abs((p <= level).mean(0) - level).max() < 0.18
    assert (np.array(of_rows) < 0.05).mean(0).min() > 0.25  # why rows must not be permuted


def test_rows_that_follow_their_image_are_significant():
    recon, truth, image = rows_of_images(0)
    recon = np.clip(0.5 * recon + 0.5 * truth, 0, 1)
    for entry in suite.score(['pixcorr', 'mae'], recon, truth, seed=0, clusters=image).values():
        assert entry.p == 1 / 1001


@pytest.mark.parametrize('budget', [1e9, 1.0])
def test_chance_of_rows_is_the_mean_of_rows_with_truths_of_other_images(monkeypatch, budget):
    monkeypatch.setattr(shared, 'BUDGET', {'ssim': budget, 'mae': budget, 'product': 1e12})
    r = np.random.default_rng(0)
    image = r.permutation(np.repeat(np.arange(8), [1, 2, 3, 4, 1, 2, 3, 4]))  # in no order
    truth = r.random((8, 12, 12, 3)).astype(np.float32)[image]
    recon = np.clip(truth + r.normal(size=truth.shape), 0, 1).astype(np.float32)
    names = [*naming.PLAIN, 'corrdist_pixel']
    found = suite.score(names, recon, truth, seed=0, clusters=image)
    parts = shared.Pictures(recon, truth, {}, 0, 0.5, 'pixel', None, image).blocks(
        lambda a, b: np.zeros((len(b), len(a))), 'ssim'
    )
    assert [len(matrix) for matrix, _ in parts] == ([8] if budget > 1 else [4, 4])
    assert sorted(np.concatenate([np.bincount(o) for _, o in parts])) == [1, 1, 2, 2, 3, 3, 4, 4]
    matrices = {
        'pixcorr': pixel.pixcorr_matrix(recon, truth),
        'mse': pixel.mse_matrix(recon, truth),
        'binary_f1': pixel.binary_matrix(recon, truth)['f1'],
        'corrdist_pixel': 1 - pixel.pixcorr_matrix(recon, truth),
    }
    if budget > 1:
        matrices |= {'ssim': pixel.ssim_matrix(recon, truth), 'mae': pixel.mae_matrix(recon, truth)}
    first = np.unique(image, return_index=True)[1]
    for name, matrix in matrices.items():
        wrong = matrix[first][np.arange(8)[:, None] != image]
        assert found[name].chance == pytest.approx(wrong.mean()), name
    for name in names:
        assert found[name].extra['permuted'] == 'images', name


def test_clusters_of_one_row_each_change_no_score():
    recon, truth = pictures(n=15, noise=2)
    plain = suite.score(PIXEL, recon, truth, seed=0)
    alone = suite.score(PIXEL, recon, truth, seed=0, clusters=np.arange(15))
    for name in PIXEL:
        assert plain[name].extra['permuted'] == 'rows'
        assert (alone[name].mean, alone[name].p) == (plain[name].mean, plain[name].p), name
        assert (alone[name].chance, alone[name].ci95) == (plain[name].chance, plain[name].ci95)


def test_rows_of_one_image_have_no_chance_p_or_interval():
    recon, truth = pictures(n=5)
    truth[:] = truth[0]
    entry = suite.score(['mse'], recon, truth, seed=0, clusters=np.zeros(5))['mse']
    assert entry.mean is not None
    assert (entry.chance, entry.p, entry.ci95) == (None, None, None)


def test_clusters_that_are_no_images_are_refused():
    recon, truth = pictures(n=4)
    with pytest.raises(errors.DataInvalid, match='rows of cluster b have different truths'):
        suite.score(['mse'], recon, truth, seed=0, clusters=['a', 'b', 'b', 'c'])
    with pytest.raises(errors.DataInvalid, match=r'clusters have shape \(3,\), there are 4 rows'):
        suite.score(['mse'], recon, truth, seed=0, clusters=[0, 1, 2])


def test_blank_truths_take_from_chance_what_they_take_from_every_score():
    names = [name for name in PIXEL if name.startswith(('two', 'nway', 'brain', 'image'))]
    seeds, n = 40, 12
    means = dict.fromkeys(names, 0.0)
    for seed in range(seeds):
        recon, _ = pictures(n=n, side=6, seed=seed)
        _, truth = pictures(n=n, side=6, seed=seed + 100)
        truth[:4] = 0
        options = dict(seed=0, draws=1, permutations=0, candidates=7)
        found = suite.score(names, recon, truth, **options)
        for name in names:
            assert found[name].extra['undefined_truths'] == 4
            means[name] += found[name].mean / seeds
    for name in names:
        assert abs(means[name] - found[name].chance) < 4 * np.sqrt(0.25 / (seeds * n)), name
    assert found['two_way_pixel'].chance == pytest.approx(0.5 * 8 * 7 / (12 * 11))
    assert found['two_way_takagi_pixel'].chance == pytest.approx(0.5 * 8 / 12)


def test_all_truths_blank_leave_nothing_to_win():
    recon, truth = pictures(n=6)
    entry = suite.score(['two_way_pixel'], recon, 0 * truth, seed=0)['two_way_pixel']
    assert (entry.mean, entry.chance, entry.p) == (0, 0, 1)
    assert entry.extra['undefined_truths'] == 6


def test_blank_reconstructions_do_not_lower_the_bar():
    recon, truth = pictures(n=6)
    entry = suite.score(['two_way_pixel'], 0 * recon, truth, seed=0)['two_way_pixel']
    assert (entry.mean, entry.chance, entry.extra['undefined_truths']) == (0, 0.5, 0)


def test_entries_with_a_known_chance_also_say_what_wrong_pairs_score():
    recon, truth = pictures()
    found = suite.score(PIXEL, recon, truth, seed=0)
    for name, entry in found.items():
        known = name == 'binary_accuracy' or name.startswith(('two', 'nway', 'brain', 'image'))
        assert ('wrong_pairs' in entry.extra) == known, name
    off = ~np.eye(12, dtype=bool)
    matrix = pixel.binary_matrix(recon, truth)['accuracy']
    assert found['binary_accuracy'].extra['wrong_pairs'] == pytest.approx(matrix[off].mean())
    won = identify.two_way(pixel.pixcorr_matrix(recon, truth))
    assert found['two_way_pixel'].extra['wrong_pairs'] == pytest.approx(won[off].mean())


@pytest.mark.parametrize(('n', 't', 'seed'), [(9, 14, 0), (31, 5, 4)])
def test_values_are_scored_as_numpy_would(n, t, seed):
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((n, t)).astype(np.float32)
    decoded = truth + rng.standard_normal((n, t)).astype(np.float32)
    names = ('mse', 'mae', 'two_way_stats', 'corrdist_stats', 'cosine_stats')
    found = suite.score_values(names, decoded, truth, 'stats', seed=0, draws=50, permutations=20)
    r = np.corrcoef(decoded, truth)[:n, n:]
    np.testing.assert_allclose(found['mse'].per_unit, ((decoded - truth) ** 2).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found['mae'].per_unit, abs(decoded - truth).mean(1), rtol=1e-5)
    np.testing.assert_allclose(found['corrdist_stats'].per_unit, 1 - np.diag(r), rtol=1e-4)
    beaten = [(r[i, i] > np.delete(r[i], i)).mean() for i in range(n)]
    np.testing.assert_allclose(found['two_way_stats'].per_unit, beaten)
    assert found['two_way_stats'].chance == 0.5


@pytest.mark.parametrize('name', ['pixcorr', 'ssim', 'two_way_pixel', 'two_way_clip', 'nothing'])
def test_a_metric_of_pictures_is_refused_for_values(name):
    with pytest.raises(errors.ConfigError):
        suite.check_values((name,), 'stats')
