import numpy as np
import pytest

from recon.core import linear_model


@pytest.fixture
def fitted():
    rng = np.random.default_rng(0)
    rows, dual = rng.standard_normal((6, 40)), rng.standard_normal((6, 30))
    shared = {
        'voxel_mean': rng.standard_normal(40).astype('f'),
        'voxel_std': rng.random(40).astype('f'),
        'target_mean': rng.standard_normal(30).astype('f'),
        'shape': np.array([5, 6]),
    }
    shared['voxel_std'][3] = 0
    weights = shared | {'weights': (rows.T @ dual).astype('f')}
    return weights, shared | {'rows': rows.astype('f'), 'dual': dual.astype('f')}


def test_both_forms_predict_and_weigh_voxels_alike(fitted):
    voxels = np.random.default_rng(1).standard_normal((4, 40)).astype('f')
    one, two = (linear_model.predict(params, voxels) for params in fitted)
    assert one.shape == (4, 5, 6)
    np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)
    weigh = [linear_model.importance(params) for params in fitted]
    np.testing.assert_allclose(*weigh, rtol=1e-4)
    assert weigh[0][3] == 0 and (weigh[0] >= 0).all()


def test_a_constant_voxel_becomes_exactly_nothing():
    voxels = np.random.default_rng(2).standard_normal((7, 3)).astype('f')
    voxels[:, 1] = 0.1
    centred, kept = linear_model.centre(voxels, True)
    assert (centred[:, 1] == 0).all() and kept['voxel_std'][1] == 0
    np.testing.assert_allclose(centred.mean(0), 0, atol=1e-6)
    np.testing.assert_array_equal(linear_model.centre(voxels, False)[0], voxels)


def test_the_smaller_form_is_kept():
    assert linear_model.keeps_dual(100, 5_000, 5_000)
    assert not linear_model.keeps_dual(100, 50, 5_000)


def test_targets_of_any_shape_come_flat_with_their_means():
    target = np.random.default_rng(3).random((4, 2, 3)).astype('f')
    flat, kept = linear_model.flatten(target, True)
    assert flat.shape == (4, 6) and kept['shape'].tolist() == [2, 3]
    np.testing.assert_allclose(kept['target_mean'], target.mean(0).ravel(), rtol=1e-6)
