import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from skimage import color
from skimage.metrics import structural_similarity

from recon.core import errors
from recon.metrics import pixel


def pictures(n, h, w, seed, channels=3, noise=0.3):
    r = np.random.default_rng(seed)
    truth = r.random((n, h, w, channels)).astype(np.float32)
    recon = np.clip(truth + noise * r.normal(size=truth.shape), 0, 1).astype(np.float32)
    return recon, truth


SIZES = [(11, 11, 0), (12, 30, 1), (28, 28, 2), (64, 80, 3), (75, 64, 4), (150, 139, 5)]
GAUSSIAN = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)


@pytest.mark.parametrize(('h', 'w', 'seed'), SIZES)
@pytest.mark.parametrize(
    ('variant', 'options'),
    [
        ('ssim', GAUSSIAN),
        ('ssim_skimage019', GAUSSIAN | {'channel_axis': -1}),  # columns taken for channels
        ('ssim_uniform7', {'data_range': 1.0}),
    ],
)
def test_ssim_equals_scikit_image(variant, options, h, w, seed):
    recon, truth = pictures(3, h, w, seed)
    recon[0], truth[1, :, : w // 2] = truth[0], 0.7  # equal, and half flat
    wanted = [
        structural_similarity(
            color.rgb2gray(t.astype(np.float64)), color.rgb2gray(r.astype(np.float64)), **options
        )
        for t, r in zip(truth, recon, strict=True)
    ]
    np.testing.assert_allclose(pixel.ssim(recon, truth, variant), wanted, atol=1e-6)


def test_the_three_ssims_differ_so_that_the_name_matters():
    recon, truth = pictures(4, 28, 28, 0)
    means = [pixel.ssim(recon, truth, name).mean() for name in pixel.WINDOWS]
    assert min(abs(np.diff(sorted(means)))) > 1e-3


def test_ssim_of_one_channel_is_that_of_three_copies():
    recon, truth = pictures(3, 20, 20, 0, channels=1)
    three = pixel.ssim(recon.repeat(3, -1), truth.repeat(3, -1))
    np.testing.assert_allclose(pixel.ssim(recon, truth), three, atol=1e-5)


@pytest.mark.parametrize('variant', list(pixel.WINDOWS))
def test_pictures_smaller_than_the_window_are_refused_by_size(variant):
    recon, truth = pictures(1, 6, 6, 0)
    with pytest.raises(errors.ConfigError, match=f'{variant} needs .* 6 x 6.*leave {variant} out'):
        pixel.ssim(recon, truth, variant)


def test_ssim_along_columns_asks_for_height_alone():
    recon, truth = pictures(1, 11, 5, 0)
    assert np.isfinite(pixel.ssim(recon, truth, 'ssim_skimage019')).all()


def test_pixcorr_runs_over_all_channels_at_once():
    recon, truth = pictures(5, 6, 7, 0)
    wanted = [
        scipy.stats.pearsonr(a.ravel().astype(float), b.ravel().astype(float))[0]
        for a, b in zip(recon, truth, strict=True)
    ]
    np.testing.assert_allclose(pixel.pixcorr(recon, truth), wanted, atol=1e-12)


def test_errors_are_means_over_pixels():
    recon, truth = pictures(3, 4, 5, 0)
    d = recon.astype(float) - truth
    np.testing.assert_allclose(pixel.mse(recon, truth), (d**2).mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(pixel.mae(recon, truth), abs(d).mean((1, 2, 3)), rtol=1e-12)


def each(recon, truth):
    """name -> (one by one, matrix) of every metric that has both."""
    found = {
        'pixcorr': (pixel.pixcorr, pixel.pixcorr_matrix),
        'mse': (pixel.mse, pixel.mse_matrix),
        'mae': (pixel.mae, pixel.mae_matrix),
    }
    for name in pixel.WINDOWS:
        found[name] = (
            lambda r, t, name=name: pixel.ssim(r, t, name),
            lambda r, t, name=name: pixel.ssim_matrix(r, t, name),
        )
    for name in pixel.BINARY:
        found[f'binary_{name}'] = (
            lambda r, t, name=name: pixel.binary(r, t)[name],
            lambda r, t, name=name: pixel.binary_matrix(r, t)[name],
        )
    return {name: (one(recon, truth), all_(recon, truth)) for name, (one, all_) in found.items()}


def test_a_matrix_has_truths_in_rows_and_reconstructions_in_columns():
    recon, truth = pictures(4, 15, 13, 0)
    for i, j in [(0, 0), (1, 3), (2, 0)]:
        single = each(recon[[j]], truth[[i]])
        for name, (_, matrix) in each(recon, truth).items():
            np.testing.assert_allclose(matrix[i, j], single[name][0][0], atol=1e-9, err_msg=name)


def test_a_perfect_reconstruction_scores_one_and_errs_by_nothing():
    _, truth = pictures(3, 12, 12, 0)
    for name, (values, _) in each(truth, truth).items():
        wanted = 0 if name in ('mse', 'mae') else 1
        np.testing.assert_allclose(values, wanted, atol=1e-12, err_msg=name)


def test_a_constant_reconstruction_has_no_pixcorr_but_has_an_error():
    recon, truth = pictures(3, 5, 5, 0)
    recon[1] = 0.1
    assert np.isnan(pixel.pixcorr(recon, truth)).tolist() == [False, True, False]
    assert np.isfinite(pixel.mse(recon, truth)).all()


@pytest.mark.parametrize('seed', range(3))
def test_binary_scores_of_each_picture_equal_scikit_learn(seed):
    recon, truth = pictures(4, 10, 10, seed, channels=1, noise=0.5)
    found = pixel.binary(recon, truth, 0.4)
    for i in range(4):
        a, b = truth[i].ravel() > 0.4, recon[i].ravel() > 0.4
        assert found['accuracy'][i] == pytest.approx(sklearn.metrics.accuracy_score(a, b))
        assert found['precision'][i] == pytest.approx(sklearn.metrics.precision_score(a, b))
        assert found['recall'][i] == pytest.approx(sklearn.metrics.recall_score(a, b))
        assert found['f1'][i] == pytest.approx(sklearn.metrics.f1_score(a, b))


def test_binary_scores_by_pixel_are_nilearns_and_share_the_accuracy_alone():
    recon, truth = pictures(12, 10, 10, 0, channels=1, noise=0.6)
    a, b = truth.reshape(12, 100) > 0.5, recon.reshape(12, 100) > 0.5
    found, own = pixel.binary_by_pixel(recon, truth), pixel.binary(recon, truth)
    for name in ('accuracy', 'precision', 'recall', 'f1'):
        one = getattr(sklearn.metrics, f'{name}_score')
        wanted = np.mean([one(a[:, i], b[:, i]) for i in range(100)])
        assert found[name] == pytest.approx(wanted), name
    assert found['accuracy'] == pytest.approx(own['accuracy'].mean())
    assert abs(found['precision'] - own['precision'].mean()) > 1e-3


def test_what_is_divided_by_nothing_is_undefined():
    blank, dot = np.zeros((1, 4, 4, 1)), np.zeros((1, 4, 4, 1))
    dot[0, 0, 0] = 1

    def undefined(recon, truth):
        return {name for name, v in pixel.binary(recon, truth).items() if np.isnan(v[0])}

    assert undefined(blank, dot) == {'precision'}
    assert undefined(dot, blank) == {'recall'}
    assert undefined(blank, blank) == {'precision', 'recall', 'f1'}
    assert pixel.binary(blank, dot)['f1'][0] == 0


def test_a_pixel_is_on_above_the_threshold_not_at_it():
    half, full = np.full((1, 2, 2, 1), 0.5), np.ones((1, 2, 2, 1))
    assert pixel.binary(half, full)['recall'][0] == 0
    assert pixel.binary(half, full, 0.49)['recall'][0] == 1


def test_the_majority_class_is_the_commoner_one():
    truth = np.zeros((2, 2, 5, 1))
    truth[0, 0] = 1
    assert pixel.majority(truth) == pytest.approx(0.75)
    assert pixel.majority(1 - truth) == pytest.approx(0.75)
