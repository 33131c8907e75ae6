import numpy as np
import pytest
import scipy.stats

from recon.core import stats


@pytest.mark.parametrize(('n', 'd', 'seed'), [(1, 5, 0), (7, 100, 1), (40, 3000, 2)])
def test_pearson_of_rows_equals_scipy(n, d, seed):
    r = np.random.default_rng(seed)
    a = (r.normal(size=(n, d)) + 5).astype(np.float32)
    b = (r.normal(size=(n, d)) + 0.3 * a).astype(np.float32)
    wanted = [
        scipy.stats.pearsonr(x, y)[0] for x, y in zip(a.astype(float), b.astype(float), strict=True)
    ]
    np.testing.assert_allclose(stats.pearson_rows(a, b), wanted, atol=1e-12)


def test_pearson_matrix_equals_numpy_also_in_blocks(monkeypatch):
    r = np.random.default_rng(0)
    a, b = r.normal(size=(6, 50)) + 3, r.normal(size=(9, 50))
    wanted = np.corrcoef(a, b)[:6, 6:]
    np.testing.assert_allclose(stats.pearson_matrix(a, b), wanted, atol=1e-13)
    monkeypatch.setattr(stats, '_BLOCK', 70)  # 7 columns, or one row, at a time
    np.testing.assert_allclose(stats.pearson_matrix(a, b), wanted, atol=1e-13)
    rows = stats.pearson_rows(a, b[:6])
    np.testing.assert_allclose(rows, np.diagonal(wanted), atol=1e-13)


def test_cosine_matrix_equals_the_formula_and_does_not_centre():
    r = np.random.default_rng(0)
    a, b = r.random((4, 8)), r.random((5, 8))
    wanted = a @ b.T / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    np.testing.assert_allclose(stats.cosine_matrix(a, b), wanted, atol=1e-14)


@pytest.mark.parametrize('value', [0.0, 0.1, 1 / 3, 1.0])
def test_a_constant_row_has_no_correlation_even_with_rounding_noise(value):
    r = np.random.default_rng(0)
    flat = np.full((2, 500), value, np.float32)
    flat[1] = np.nextafter(flat[1], np.float32(2), where=r.random(500) < 0.5, out=flat[1].copy())
    other = r.random((2, 500)).astype(np.float32)
    if value:
        assert np.isnan(stats.pearson_rows(flat, other)).all()
    assert np.isnan(stats.pearson_matrix(flat, other)[0]).all()
    assert np.isnan(stats.pearson_matrix(other, flat)[:, 0]).all()


def test_one_pixel_that_differs_by_one_grey_level_is_not_constant():
    row = np.ones((1, 200_000), np.float32)
    row[0, 0] -= 1 / 255
    assert np.isfinite(stats.pearson_rows(row, row)).all()


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    r = np.random.default_rng(0)
    inside = 0
    for seed in range(300):
        low, high = stats.bootstrap_mean(r.normal(2, 3, 60), seed=seed, draws=400)
        inside += low < 2 < high
    assert 0.90 < inside / 300 < 0.98


def test_the_bootstrap_interval_equals_scipys_averaged_over_seeds():
    units = np.random.default_rng(1).exponential(size=50)
    ours, wanted = [], []
    for seed in range(20):  # the ends of one interval scatter by .004 and .007
        ours.append(stats.bootstrap_mean(units, seed=seed))
        rng = np.random.default_rng(seed)
        found = scipy.stats.bootstrap(
            (units,), np.mean, method='percentile', n_resamples=9999, rng=rng
        )
        wanted.append(tuple(found.confidence_interval))
    np.testing.assert_allclose(np.mean(ours, 0), np.mean(wanted, 0), atol=0.007)


def test_undefined_units_are_dropped_and_the_same_seed_gives_the_same_interval():
    units = np.array([1.0, 2.0, 4.0, 8.0])
    plain = stats.bootstrap_mean(units, seed=3)
    holes = stats.bootstrap_mean([1, np.nan, 2, 4, np.nan, 8], seed=3)
    assert plain == holes == stats.bootstrap_mean(units, seed=3)
    many = np.random.default_rng(0).normal(size=100)
    assert stats.bootstrap_mean(many, seed=3) != stats.bootstrap_mean(many, seed=4)
    assert stats.bootstrap_mean([np.nan, np.nan], seed=0) is None
    assert stats.bootstrap_mean([], seed=0) is None


def test_a_single_unit_has_no_interval():
    assert stats.bootstrap_mean([5.0], seed=0) is None
    assert stats.bootstrap_mean([np.nan, 5.0], seed=0) is None
    assert stats.bootstrap_mean([1.0, 2.0, 3.0], seed=0, clusters=['a', 'a', 'a']) is None
    assert stats.bootstrap_ratio([1.0], [2.0], seed=0) is None
    assert stats.paired_difference([1.0, np.nan], [0.5, 1.0], seed=0) == (0.5, None)


def test_small_blocks_draw_an_interval_of_the_same_quality(monkeypatch):
    units = np.random.default_rng(0).normal(size=30)
    whole = stats.bootstrap_mean(units, seed=0)
    monkeypatch.setattr(stats, '_BLOCK', 64 * 30)
    np.testing.assert_allclose(stats.bootstrap_mean(units, seed=0), whole, atol=0.02)


def test_a_ratio_pools_its_sums_before_it_divides():
    top, bottom = np.array([1.0, 0.0, 30.0]), np.array([1.0, 1.0, 60.0])
    low, high = stats.bootstrap_ratio(top, bottom, seed=0)
    assert low < 31 / 62 < high
    assert stats.bootstrap_ratio(2 * bottom, bottom, seed=0) == (2.0, 2.0)
    assert stats.bootstrap_ratio([1.0], [0.0], seed=0) is None


def test_a_paired_difference_is_narrower_than_the_units_are_scattered():
    r = np.random.default_rng(0)
    hard = r.normal(0, 10, 40)
    mean, (low, high) = stats.paired_difference(
        hard + 1 + r.normal(0, 0.1, 40), [*hard[:39], np.nan], seed=0
    )
    assert low < 1 < high
    assert high - low < 0.2
    assert abs(mean - 1) < 0.1
    assert stats.paired_difference([np.nan], [1.0], seed=0) == (None, None)


def test_permutation_p_counts_the_true_pairing_and_equal_draws():
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert stats.permutation_p(0.5, null) == 1 / 5
    assert stats.permutation_p(0.3, null) == 3 / 5
    assert stats.permutation_p(0.3 + 1e-15, null) == 3 / 5
    assert stats.permutation_p(0.05, null, 'lower') == 1 / 5
    assert stats.permutation_p(0.0, null) == 1


def test_noise_ceilings_are_those_of_the_nsd_paper():
    assert stats.noise_ceiling(1.0, 3) == pytest.approx(0.75)
    assert stats.noise_ceiling(1.0, 1) == pytest.approx(0.5)
    assert stats.correlation_ceiling(1.0, 3) == pytest.approx(np.sqrt(0.75))
    mixed = [3] * 5 + [2] * 4 + [1] * 2
    wanted = 1 / (1 + (5 / 3 + 4 / 2 + 2) / 11)
    assert stats.noise_ceiling(1.0, mixed) == pytest.approx(wanted)
    assert stats.noise_ceiling(np.array([0.0, 1.0]), 1).tolist() == [0.0, 0.5]


@pytest.mark.parametrize('ncsnr', [0.3, 1.0])
def test_ncsnr_is_found_again_in_simulated_repeats(ncsnr):
    r = np.random.default_rng(0)
    signal = ncsnr * r.normal(size=(400, 1, 200))
    voxels = 7 * (signal + r.normal(size=(400, 3, 200))) + 100
    found = stats.ncsnr_from_repeats(voxels)
    assert abs(np.sqrt(np.mean(found**2)) - ncsnr) < 0.05 * ncsnr
    assert stats.ncsnr_from_repeats(np.ones((4, 3, 2))).tolist() == [0, 0]


def test_rows_of_one_image_are_drawn_together():
    values = np.repeat(np.random.default_rng(5).normal(size=30), 8)  # 8 identical rows an image
    images = np.repeat(np.arange(30), 8)
    by_image = stats.bootstrap_mean(values[::8], seed=1)
    together = stats.bootstrap_mean(values, seed=1, clusters=images)
    apart = stats.bootstrap_mean(values, seed=1)
    np.testing.assert_allclose(together, by_image, rtol=1e-12)
    assert (apart[1] - apart[0]) < 0.5 * (together[1] - together[0])
