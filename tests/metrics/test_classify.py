import numpy as np
import pytest
import sklearn.metrics

from recon.core import errors
from recon.metrics import classify


def multilabel(seed, n=60, k=7):
    r = np.random.default_rng(seed)
    truth = r.random((n, k)) < 0.3
    scores = np.round(truth * 0.5 + r.random((n, k)), 1)  # rounded, so that scores tie
    return scores, scores > 0.8, truth


@pytest.mark.parametrize('seed', range(3))
def test_average_precision_equals_scikit_learn_with_ties(seed):
    scores, _, truth = multilabel(seed)
    wanted = sklearn.metrics.average_precision_score(truth, scores, average=None)
    np.testing.assert_allclose(classify.average_precision(scores, truth), wanted, atol=1e-12)


@pytest.mark.parametrize('seed', range(3))
def test_f1_equals_scikit_learn(seed):
    _, pred, truth = multilabel(seed)
    pred[:, 0] = truth[:, 0] = False
    wanted = sklearn.metrics.f1_score(truth, pred, average=None, zero_division=np.nan)
    np.testing.assert_allclose(classify.f1_by_category(pred, truth), wanted)
    assert np.isnan(classify.f1_by_category(pred, truth)[0])
    wanted = sklearn.metrics.f1_score(truth, pred, average='micro')
    assert classify.f1_micro(pred, truth) == pytest.approx(wanted)


def test_counts_over_images_pool_to_f1_micro():
    _, pred, truth = multilabel(0)
    top, bottom = classify.counts(pred, truth, axis=1)
    assert top.shape == (60,)
    assert top.sum() / bottom.sum() == pytest.approx(classify.f1_micro(pred, truth))


def test_a_category_that_no_image_has_is_undefined():
    truth = np.array([[1, 0], [0, 0]])
    found = classify.average_precision(np.random.default_rng(0).random((2, 2)), truth)
    assert np.isnan(found).tolist() == [False, True]
    assert np.isnan(classify.f1_micro(np.zeros((2, 2)), np.zeros((2, 2))))


def test_confusion_has_the_truth_in_rows():
    r = np.random.default_rng(0)
    pred, truth = r.integers(0, 4, 50), r.integers(0, 5, 50)
    wanted = sklearn.metrics.confusion_matrix(truth, pred, labels=range(6))
    np.testing.assert_array_equal(classify.confusion(pred, truth, 6), wanted)
    assert classify.confusion(np.array([2]), np.array([0]), 3)[0, 2] == 1


@pytest.mark.parametrize('within', [1, 2, 5])
def test_top_accuracy_equals_scikit_learn_without_ties(within):
    r = np.random.default_rng(within)
    scores, truth = r.random((40, 8)), r.integers(0, 8, 40)
    wanted = sklearn.metrics.top_k_accuracy_score(truth, scores, k=within, labels=range(8))
    assert classify.top_accuracy(scores, truth, within).mean() == pytest.approx(wanted)


def test_a_tie_for_the_top_is_a_failure_and_so_is_nan():
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.5, 0.5], [np.nan, 0.5, 0.1]])
    assert classify.top_accuracy(scores, np.array([0, 0, 0]), 1).tolist() == [0, 1, 0]
    assert classify.top_accuracy(scores, np.array([0, 0, 0]), 2).tolist() == [1, 1, 0]


def test_category_accuracy_and_one_hot():
    pred, truth = np.array([1, 2, 0]), np.array([1, 0, 0])
    assert classify.category_accuracy(pred, truth).tolist() == [1, 0, 1]
    assert classify.one_hot(truth, 2).tolist() == [[False, True], [True, False], [True, False]]


def test_unlike_shapes_are_named():
    with pytest.raises(errors.DataInvalid, match=r'confusion: .*\(2,\), truth \(3,\)'):
        classify.confusion(np.zeros(2, int), np.zeros(3, int), 2)
