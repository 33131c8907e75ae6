import numpy as np
import pytest

from recon.core import errors
from recon.metrics import pictures


def several(recon, truth, clusters=None, nets=None):
    return pictures.Pictures(recon, truth, nets or {}, 0, 0.5, 'pixel', None, clusters)


def test_rows_are_found_by_image_in_ascending_order():
    found = pictures.members(5, ['b', 'a', 'b', 'c', 'a'])
    assert [rows.tolist() for rows in found] == [[1, 4], [0, 2], [3]]
    assert [rows.tolist() for rows in pictures.members(3, None)] == [[0], [1], [2]]


def test_every_reconstruction_is_owned_by_the_truth_of_its_image():
    r = np.random.default_rng(0)
    image = r.integers(0, 6, 30)
    truth = r.random((6, 3, 3, 1))[image]
    shown = several(truth, truth, image)
    [(matrix, owner)] = shown.whole(shown.similarity('pixel', 'pearson'))
    np.testing.assert_allclose(matrix[owner, np.arange(30)], 1)
    assert matrix.shape == (6, 30)
    assert (np.bincount(owner) == np.bincount(image)).all()
    for matrix, owner in shown.blocks(lambda a, b: (a[None] == b[:, None]).all((2, 3, 4)), 'mae'):
        np.testing.assert_array_equal(matrix.argmax(0), owner)


def test_features_are_made_once_a_side():
    calls = []

    def net(images):
        calls.append(len(images))
        return images.mean((1, 2))

    r = np.random.default_rng(0)
    shown = several(r.random((4, 3, 3, 3)), r.random((4, 3, 3, 3)), nets={'mean': net})
    for kind in ('pearson', 'cosine', 'pearson'):
        shown.similarity('mean', kind)
        shown.defined('mean', kind)
    assert calls == [4, 4]


def test_a_constant_truth_is_undefined_and_for_cosine_only_a_black_one():
    truth = np.random.default_rng(0).random((3, 4, 4, 3))
    truth[0], truth[1] = 0, 0.5
    shown = several(truth, truth)
    assert shown.defined('pixel', 'pearson').tolist() == [False, False, True]
    assert shown.defined('pixel', 'cosine').tolist() == [False, True, True]


def test_truths_of_one_image_may_differ_by_rounding_only():
    truth = np.full((2, 3, 3, 3), 0.5)
    truth[1] += 1e-7
    pictures.check(truth, truth, [7, 7])
    truth[1] += 1e-3
    with pytest.raises(errors.DataInvalid, match='rows of cluster 7 have different truths'):
        pictures.check(truth, truth, [7, 7])
