import numpy as np
import pytest

from recon.report import brainmaps


def test_voxels_that_share_a_vertex_are_averaged():
    got = brainmaps.to_vertices([1.0, 3.0, 5.0, 9.0], [2, 2, 0, -1], 4)
    np.testing.assert_array_equal(got, [5, np.nan, 2, np.nan])


def test_filling_takes_the_mean_of_neighbours_step_by_step():
    line = np.array([(i, i + 1) for i in range(4)])
    both = np.concatenate([line, line[:, ::-1]])
    values = np.array([1.0, np.nan, 3.0, np.nan, np.nan])
    np.testing.assert_array_equal(brainmaps.fill(values, both, 1), [1, 2, 3, 3, np.nan])
    np.testing.assert_array_equal(brainmaps.fill(values, both, 2), [1, 2, 3, 3, 3])
    assert np.isnan(values[1])


def test_the_ramp_gets_darker_and_leaves_gaps_clear():
    rgba = brainmaps.ramp(np.array([0, 0.5, 1, 2, np.nan]), 0, 1, 'warm')
    light = rgba[:, :3].sum(1)
    assert light[0] > light[1] > light[2] == light[3]
    assert rgba[:, 3].tolist() == [1, 1, 1, 1, 0]


def test_a_voxel_in_several_areas_takes_the_smallest():
    named = {'early': np.array([1, 1, 1, 0], bool), 'V1': np.array([1, 0, 0, 0], bool)}
    label, names = brainmaps.areas(named, 4)
    assert names == ['early', 'V1'] and label.tolist() == [1, 0, 0, -1]


def test_an_area_that_is_hidden_by_others_is_not_in_the_legend():
    named = {'all': np.ones(2, bool), 'a': np.array([1, 0], bool), 'b': np.array([0, 1], bool)}
    assert brainmaps.areas(named, 2)[1] == ['a', 'b']


def test_shares_add_up_over_areas_that_split_the_voxels():
    named = {'a': np.array([1, 1, 0, 0], bool), 'b': np.array([0, 0, 1, 1], bool)}
    rows = brainmaps.shares(np.array([1.0, 0, 2, 5]), named)
    assert [(r['name'], r['importance'], r['voxels']) for r in rows] == [
        ('b', 0.875, 0.5),
        ('a', 0.125, 0.5),
    ]


def test_empty_rois_are_left_out():
    assert list(
        brainmaps.rois({'roi_x': np.zeros(3), 'roi_y': np.ones(3), 'ncsnr': np.ones(3)})
    ) == ['y']


@pytest.mark.parametrize('held', [{}, {'vertex': np.full(3, -1), 'hemisphere': np.zeros(3)}])
def test_without_vertices_there_is_no_map(held):
    assert brainmaps.maps(held, {'pixels': np.ones(3)}, {}) == []
