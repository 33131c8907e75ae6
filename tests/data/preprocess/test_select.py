import dataclasses

import numpy as np
import pytest
from sklearn import feature_selection

from recon.core import errors
from recon.data.preprocess import select
from tests.data import small


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_f_chooses_what_scikit_learn_chooses(seed):
    data = small.brain(seed)
    labels = [data.labels[i] for i in data.train.image_id]
    for classes, y in (('labels', labels), ('image_id', data.train.image_id)):
        oracle = feature_selection.SelectKBest(feature_selection.f_classif, k=7)
        oracle.fit(data.train.voxels.astype(np.float64), y)
        ours = select.fit({'by': 'f', 'k': 7, 'classes': classes}, data)
        assert np.array_equal(ours['keep'], oracle.get_support())
        np.testing.assert_allclose(ours['score'], oracle.scores_, rtol=1e-3)


def test_correlation_is_the_root_mean_square_over_pixels():
    data = small.brain()
    pixels = data.images[data.train.image_id][..., 0].reshape(len(data.train), -1)
    both = np.corrcoef(data.train.voxels.T, pixels.T)[:30, 30:]
    score = select.fit({'by': 'correlation', 'k': 5}, data)['score']
    np.testing.assert_allclose(score, np.sqrt(np.square(both).mean(1)), atol=1e-5)


def test_voxels_that_see_the_picture_are_chosen_before_noise():
    data = small.brain(noise=0.5, voxels=40)
    voxels = data.train.voxels.copy()
    voxels[:, 20:] = np.random.default_rng(1).normal(size=(len(voxels), 20))
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, voxels=voxels))
    for cfg in ({'by': 'correlation'}, {'by': 'f', 'classes': 'image_id'}):
        keep = select.fit(cfg | {'k': 20}, data)['keep']
        assert keep[:20].sum() >= 18


def test_ncsnr_by_threshold_and_by_count():
    data = small.brain()
    keep = select.fit({'by': 'ncsnr', 'k': 0, 'threshold': 0.5}, data)['keep']
    assert np.array_equal(keep, data.voxel_info['ncsnr'] > 0.5)
    keep = select.fit({'by': 'ncsnr', 'k': 4}, data)['keep']
    assert np.flatnonzero(keep).tolist() == [26, 27, 28, 29]
    keep = select.fit({'by': 'ncsnr', 'k': 1000}, data)['keep']
    assert np.flatnonzero(~keep).tolist() == [0]  # its ncsnr is 0


def test_a_constant_voxel_is_never_chosen():
    data = small.brain()
    voxels = data.train.voxels.copy()
    voxels[:, 3] = 5.0
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, voxels=voxels))
    for by in ('f', 'correlation'):
        keep = select.fit({'by': by, 'k': 1000}, data)['keep']
        assert not keep[3] and keep.sum() == 29


def test_what_cannot_be_chosen_by_says_why():
    data = small.brain()
    with pytest.raises(errors.DataInvalid, match='highest of 30 is 1'):
        select.fit({'by': 'ncsnr', 'k': 0, 'threshold': 9.0}, data)
    with pytest.raises(errors.DataInvalid, match='no ncsnr'):
        select.fit({'by': 'ncsnr'}, dataclasses.replace(data, voxel_info={}))
    with pytest.raises(errors.DataInvalid, match='no label of one class'):
        select.fit({'by': 'f'}, dataclasses.replace(data, labels=None))
    with pytest.raises(errors.DataInvalid, match='F needs two classes'):
        once = data.train.rows(data.train.repeat == 0)
        select.fit({'by': 'f', 'classes': 'image_id'}, dataclasses.replace(data, train=once))
    with pytest.raises(errors.ConfigError, match="by='luck'"):
        select.fit({'by': 'luck'}, data)
    with pytest.raises(errors.ConfigError, match="classes is 'x'"):
        select.fit({'by': 'f', 'classes': 'x'}, data)
