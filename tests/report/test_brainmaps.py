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


def masks(**rows):
    return {name: np.array(list(row), int).astype(bool) for name, row in rows.items()}


def test_halves_of_an_area_are_not_drawn_over_it():
    named = masks(V1v='1100000000', V1='1110000000', V1d='0010000000', V2='0001100000')
    label, names = brainmaps.areas(named, 10)
    assert names == ['V1', 'V2'] and label.tolist() == [0, 0, 0, 1, 1, -1, -1, -1, -1, -1]


def test_an_area_of_nearly_everything_hides_no_other():
    named = masks(visual='1111111110', V1='1110000000', V2='0001100000')
    label, names = brainmaps.areas(named, 10)
    assert names == ['V1', 'V2'] or label.tolist()[:5] == [1, 1, 1, 2, 2]
    assert {names[k] for k in label[:3]} == {'V1'}


def test_there_are_no_more_areas_than_colours():
    named = {str(k): np.arange(40) == k for k in range(40)}
    label, names = brainmaps.areas(named, 40)
    assert len(names) == len(brainmaps.ROI_COLOURS) == label.max() + 1


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


def test_vertices_beyond_fsaverage5_are_counted_and_not_drawn():
    rng = np.random.default_rng(0)
    vertex = rng.integers(0, 163_842, 500)
    held = {'vertex': vertex, 'hemisphere': np.arange(500) % 2, 'ncsnr': np.ones(500)}
    note = brainmaps.maps(held, {}, {})[0]['note']
    near = int((vertex < 10_242).sum())
    assert f'{near} of 500 voxels lie' in note and f'{500 - near} voxels lie on finer' in note
    held['vertex'] = vertex % 10_242
    assert 'finer' not in brainmaps.maps(held, {}, {})[0]['note']
