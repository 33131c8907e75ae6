import numpy as np
import pytest

from recon.core import errors, types


def split(n=4, v=3):
    return types.Split(np.arange(n * v, dtype=np.float32).reshape(n, v), np.arange(n))


def test_rows_without_a_run_are_groups_of_their_own():
    s = types.Split(np.zeros((4, 2), np.float32), np.arange(4), run=np.array([5, 5, -1, -1]))
    groups = s.groups()
    assert groups[0] == groups[1] and len(set(groups)) == 3


def test_rows_and_ids_must_agree():
    with pytest.raises(errors.DataInvalid, match='image_id has 3 rows'):
        types.Split(np.zeros((4, 2), np.float32), np.arange(3))


def test_keep_takes_voxels_out_of_everything():
    brain = types.BrainData(
        split(),
        split(2),
        types.Images(np.arange(4), lambda rows: np.zeros((len(rows), 2, 2, 3)), (2, 2)),
        rois={'V1': np.array([True, False, True])},
        voxel_info={'xyz': np.eye(3, dtype=np.float32)},
    ).keep(np.array([True, False, True]))
    assert brain.train.voxels.shape == (4, 2) and brain.test.voxels.shape == (2, 2)
    assert brain.rois['V1'].tolist() == [True, True] and brain.voxel_info['xyz'].shape == (2, 3)
    np.testing.assert_array_equal(brain.train.voxels[1], [3, 5])


def test_images_come_by_id_in_the_order_asked_in_three_channels():
    stored = np.array([[[[10]]], [[[20]]], [[[30]]]], np.uint8)
    images = types.Images(np.array([2, 5, 9]), lambda rows: stored[rows], (1, 1), channels=1)
    np.testing.assert_allclose(
        images[[9, 2, 9]][:, 0, 0], np.array([[30] * 3, [10] * 3, [30] * 3]) / 255
    )


def test_an_unknown_image_id_is_named():
    images = types.Images(np.array([2, 5]), lambda rows: np.zeros((len(rows), 1, 1, 3)), (1, 1))
    with pytest.raises(errors.DataInvalid, match='1 of 2 image ids are unknown, first 7'):
        images[[2, 7]]


def laid():
    """Five voxels in a row of 2 x 2 pixels: 0 and 1 share one, 2 and 3 have their own, 4 is off."""
    index = np.array([[0, 1], [2, -1]])
    return types.Laid(index, np.array([0, 0, 1, 2, -1]), np.full((2, 2), 0.5, np.float32))


@pytest.mark.parametrize(
    ('mask', 'wanted'),
    [
        ([1, 1, 0, 0, 0], [[1, 0], [0, 0]]),
        ([1, 0, 1, 0, 1], [[0, 1], [0, 0]]),
        ([0, 0, 0, 0, 1], [[0, 0], [0, 0]]),
        ([1, 1, 1, 1, 0], [[1, 1], [1, 0]]),
    ],
)
def test_a_pixel_is_of_an_area_if_no_voxel_of_another_is_in_it(mask, wanted):
    assert laid().of(np.array(mask, bool)).tolist() == np.array(wanted, bool).tolist()


def test_voxels_alone_are_columns_or_pixels_with_the_others_silent():
    images = types.Images(np.arange(4), lambda rows: np.zeros((len(rows), 2, 2, 3)), (2, 2))
    brain = types.BrainData(split(), split(2), images)
    x = brain.train.voxels
    np.testing.assert_array_equal(brain.only(x, np.array([True, False, True])), x[:, [0, 2]])
    np.testing.assert_array_equal(brain.silence(2), np.zeros((2, 3)))
    assert brain.count_voxels() == 3
    pictures = types.Split(np.arange(16, dtype=np.float32).reshape(4, 2, 2), np.arange(4))
    brain = types.BrainData(pictures, pictures.rows([0]), images, laid=laid())
    alone = brain.only(pictures.voxels, np.array([0, 0, 1, 1, 1], bool))
    np.testing.assert_array_equal(alone[1], [[0.5, 5], [6, 0.5]])
    np.testing.assert_array_equal(brain.silence(3), np.full((3, 2, 2), 0.5))
    assert brain.count_voxels() == 4
