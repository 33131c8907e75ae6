import dataclasses

import numpy as np
import pytest

from recon.core import errors, types
from recon.data import prepare
from recon.data.preprocess import hemispheres


def brain(side=(0, 0, 1, 0, 1)):
    voxels = np.arange(10, dtype=np.float32).reshape(2, 5) + 1
    split = types.Split(voxels, np.arange(2))
    images = types.Images(np.arange(2), lambda rows: np.zeros((len(rows), 2, 2, 1)), (2, 2), 1)
    info = {} if side is None else {'hemisphere': np.array(side, np.int8)}
    return types.BrainData(split, split.rows([1]), images, voxel_info=info)


def test_hemispheres_become_two_channels_in_the_order_of_the_voxels():
    ready, stats = prepare.run({'order': ('hemispheres',)}, brain())
    wanted = [[[1, 3], [2, 5], [4, 0]], [[6, 8], [7, 10], [9, 0]]]
    assert ready.train.voxels.tolist() == wanted
    assert ready.test.voxels.tolist() == wanted[1:]
    assert ready.train.voxels.dtype == np.float32
    assert stats['hemispheres']['index'].shape == (3, 2)


def test_a_larger_size_is_filled_with_zeros():
    cfg = {'order': ('hemispheres',), 'hemispheres': {'size': 6}}
    ready, _ = prepare.run(cfg, brain())
    assert ready.train.voxels.shape == (2, 6, 2)
    assert not ready.train.voxels[:, 3:].any()


def test_a_size_that_is_too_small_is_refused():
    with pytest.raises(errors.ConfigError, match='size is 2, a hemisphere has 3'):
        hemispheres.fit({'size': 2}, brain())


@pytest.mark.parametrize('side', [None, (0, 0, 0, 0, 0), (0, 1, 1, 0, -1)])
def test_hemispheres_that_are_not_known_are_refused(side):
    with pytest.raises(errors.DataInvalid, match='take it out of preprocess.order'):
        hemispheres.fit({}, brain(side))


def test_nothing_else_of_a_split_changes():
    given = dataclasses.replace(brain().train, run=np.array([3, 4], np.int32))
    got = hemispheres.apply({}, hemispheres.fit({}, brain()), given, 'train')
    assert got.run.tolist() == [3, 4]


def test_areas_are_a_filter_and_leave_the_others_zero():
    given = dataclasses.replace(brain(), rois={'V1': np.array([1, 0, 1, 0, 0], bool)})
    cfg = {'order': ('hemispheres',), 'hemispheres': {'keep': ('V1',)}}
    ready, stats = prepare.run(cfg, given)
    assert ready.train.voxels.tolist() == [[[1, 3], [0, 0], [0, 0]], [[6, 8], [0, 0], [0, 0]]]
    assert ready.count_voxels() == 2
    assert ready.laid.of(given.rois['V1']).tolist() == [[True, True], [False] * 2, [False] * 2]
    with pytest.raises(errors.ConfigError, match='V1 \\(2\\)'):
        hemispheres.fit({'keep': ('V9',)}, given)
