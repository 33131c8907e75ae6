import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from recon.core import errors, image, stats
from recon.metrics import ceiling


def responses(seed=0):
    r = np.random.default_rng(seed)
    measured = r.normal(size=(50, 6)).astype(np.float32) * 3 + 10
    return measured + r.normal(size=(50, 6)).astype(np.float32), measured


def test_voxel_r_equals_scipy_and_r2_scikit_learn():
    predicted, measured = responses()
    wanted = [scipy.stats.pearsonr(predicted[:, v], measured[:, v])[0] for v in range(6)]
    np.testing.assert_allclose(ceiling.voxel_r(predicted, measured), wanted, atol=1e-5)
    wanted = sklearn.metrics.r2_score(measured, predicted, multioutput='raw_values')
    np.testing.assert_allclose(ceiling.voxel_r2(predicted, measured), wanted, atol=1e-5)


def test_a_constant_voxel_is_undefined():
    predicted, measured = responses()
    measured[:, 2] = 1 / 3
    assert np.isnan(ceiling.voxel_r(predicted, measured)).tolist() == [0, 0, 1, 0, 0, 0]
    assert np.isnan(ceiling.voxel_r2(predicted, measured)).tolist() == [0, 0, 1, 0, 0, 0]


def test_r2_is_not_the_square_of_r():
    predicted, measured = responses()
    assert (ceiling.voxel_r2(predicted + 50, measured) < 0).all()
    np.testing.assert_allclose(
        ceiling.voxel_r(predicted + 50, measured), ceiling.voxel_r(predicted, measured), atol=1e-5
    )


def test_the_best_model_reaches_its_whole_ceiling():
    r = np.random.default_rng(0)
    signal = r.normal(size=(2000, 40))
    measured = signal + r.normal(size=signal.shape) / np.sqrt(3)  # ncsnr 1, three trials
    fraction = ceiling.ceiling_fraction(
        ceiling.voxel_r(signal, measured), np.full(40, stats.noise_ceiling(1.0, 3))
    )
    assert abs(fraction.mean() - 1) < 0.02


def test_the_fraction_keeps_its_sign_and_needs_a_ceiling():
    r, limit = np.array([0.5, -0.5, 0.5, np.nan]), np.array([0.5, 0.5, 0.001, 0.5])
    found = ceiling.ceiling_fraction(r, limit)
    np.testing.assert_allclose(found, [0.5, -0.5, np.nan, np.nan])


def test_ncsnr_is_found_in_rows_of_any_order_and_unit():
    r = np.random.default_rng(0)
    ids = np.concatenate([np.repeat(np.arange(300), 3), np.arange(300, 400)])
    signal = r.normal(size=(400, 50))[ids]
    voxels = 40 * (signal + r.normal(size=signal.shape)) + 7
    session = r.integers(0, 2, len(ids))
    voxels[session == 1] = voxels[session == 1] * 5 - 100
    order = r.permutation(len(ids))
    found = ceiling.from_rows(voxels[order], ids[order], session[order])
    assert abs(np.mean(found) - 1) < 0.05


def test_rows_without_repeats_are_refused():
    with pytest.raises(errors.DataInvalid, match=r'no image has exactly 3 trials \(found \[1\]\)'):
        ceiling.from_rows(np.ones((4, 2)), np.arange(4))


def test_each_value_has_a_row_with_its_name():
    truth = np.random.default_rng(0).standard_normal((9, len(image.STATISTICS)))
    table = ceiling.each_value('image_statistics', 2 * truth, truth)
    assert [row[0] for row in table['rows']] == list(image.STATISTICS)
    assert all(r == pytest.approx(1) and r2 < 1 for _, r, r2 in table['rows'])
    long = ceiling.each_value('features', truth.reshape(9, 2, -1), truth.reshape(9, 2, -1), most=3)
    assert long['rows'] == [[str(i), pytest.approx(1), pytest.approx(1)] for i in range(3)]
