import numpy as np
import pytest

from recon.core import errors
from recon.data.preprocess import labels


def test_boxes_of_one_category_cover_their_union_within_the_picture():
    box = np.array([[0, 0, 5, 10], [3, 0, 4, 10], [8, 8, 9, 9], [-2, 0, 4, 1]], float)
    got = labels.coverage(box, [0, 0, 1, 1], [1, 1, 0, 2], pictures=2, categories=3, size=10)
    np.testing.assert_allclose(got, [[0, 0.7, 0], [0.04, 0, 0.02]], atol=1e-7)
    nothing = labels.coverage(np.zeros((0, 4)), [], [], 1, 2, 10)
    assert nothing.tolist() == [[0, 0]]


def test_a_class_a_picture_becomes_one_label():
    got = labels.multi_hot({7: 0, 3: 2}, np.array([3, 7, 3]), 3)
    assert got.dtype == np.float32
    assert got.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_the_coverage_filter_drops_what_covers_too_little():
    shares = {'a': [0.0, 0.02, 0.5], 'b': [0.014, 0.013, 0.0]}
    off = labels.multi_hot(shares, ['a', 'b'], 3)
    assert off.tolist() == [[0, 1, 1], [1, 1, 0]]
    on = labels.multi_hot(shares, ['a', 'b'], 3, threshold=0.014)
    assert on.tolist() == [[0, 1, 1], [1, 0, 0]]
    known = {1: np.array([1, 0], np.uint8)}
    assert labels.multi_hot(known, [1], 2, threshold=0.9).tolist() == [[1, 0]]


def test_imbalance_counts_pictures():
    hot = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 0, 0, 0], [1, 0, 0, 1]])
    got = labels.imbalance(hot, 'abcd')
    assert list(got['positives'].items()) == [('a', 4), ('d', 3), ('b', 1), ('c', 0)]
    assert got['never'] == ['c']
    assert got['always'] == ['a']
    assert got['ratio'] == 4
    assert got['per_picture'] == {'mean': 2.0, 'least': 1, 'most': 3}
    assert got['unlabelled'] == 0
    assert labels.imbalance(np.zeros((2, 3)))['unlabelled'] == 2
    assert labels.imbalance(np.zeros((2, 3)))['ratio'] is None


def test_what_can_be_learned_occurs_and_is_missing_often_enough():
    hot = np.array([[1, 1, 0, 1], [1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]])
    assert labels.learnable(hot).tolist() == [False, True, False, True]
    assert labels.learnable(hot, 2).tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    'given, message',
    [
        ({1: 0}, '1 of 2 pictures have no labels, first 2'),
        ({1: 0, 2: 3}, 'classes are 0 to 3'),
        ({1: [0, 1], 2: [1, 0]}, r'shape \(2, 2\)'),
        ({1: [0, 1, 0], 2: [-1, 0, 0]}, 'smallest -1'),
    ],
)
def test_labels_that_do_not_fit_are_refused(given, message):
    with pytest.raises(errors.DataInvalid, match=message):
        labels.multi_hot(given, [1, 2], 3)


def test_a_threshold_is_a_share():
    with pytest.raises(errors.ConfigError, match='threshold of coverage is 50'):
        labels.multi_hot({1: 0}, [1], 2, threshold=50)
