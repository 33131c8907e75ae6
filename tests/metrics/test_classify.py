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


def test_decision_accuracy_is_scikit_learns_by_category():
    _, pred, truth = multilabel(0)
    wanted = [sklearn.metrics.accuracy_score(truth[:, i], pred[:, i]) for i in range(7)]
    np.testing.assert_allclose(classify.decision_accuracy(pred, truth), wanted)


def test_no_constant_answer_beats_the_chance_of_decisions():
    *_, truth = multilabel(1, k=4)
    best = max(
        classify.decision_accuracy(np.tile(answer, (60, 1)), truth).mean()
        for answer in np.ndindex(2, 2, 2, 2)
    )
    assert classify.decision_chance(truth) == pytest.approx(best)


def test_top_accuracy_of_several_categories_counts_the_best_true_one():
    scores = np.array([[0.9, 0.5, 0.4, 0.1]] * 4)
    truth = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    got = classify.top_accuracy(scores, truth, 1)
    np.testing.assert_array_equal(got, [0, 1, 0, np.nan])
    np.testing.assert_array_equal(classify.top_accuracy(scores, truth, 2), [1, 1, 0, np.nan])
    one = np.array([1, 0, 3])
    hot = classify.one_hot(one, 4)
    for within in (1, 2, 3, 4):
        np.testing.assert_array_equal(
            classify.top_accuracy(scores[:3], hot, within),
            classify.top_accuracy(scores[:3], one, within),
        )


def test_the_chance_of_top_is_naming_the_most_frequent():
    truth = np.array([[1, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert classify.top_chance(truth, 1) == pytest.approx(2 / 3)  # of the labelled images
    assert classify.top_chance(truth, 2) == 1
    assert classify.top_chance(truth * 0, 1) is None


def test_the_seeds_accuracy_knows_an_images_first_category_alone():
    scores = np.array([[0.1, 0.9, 0.2], [0.1, 0.2, 0.9], [0.9, 0.1, 0.1]])
    truth = np.array([[0, 1, 1], [0, 1, 1], [0, 0, 0]])
    assert classify.first_label_accuracy(scores, truth).tolist() == [1, 0, 1]


def test_a_missed_category_is_shared_among_what_was_named_in_its_place():
    pred = np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    truth = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    wanted = np.zeros((4, 4))
    wanted[0, 0] = wanted[1, 1] = 1  # hits; the second image's miss has nothing in its place
    wanted[1, 2] = wanted[1, 3] = 0.5
    np.testing.assert_array_equal(classify.confusion(pred, truth), wanted)


def test_with_one_category_an_image_both_rules_are_one():
    r = np.random.default_rng(3)
    pred, truth = r.integers(0, 4, 30), r.integers(0, 4, 30)
    hot = classify.confusion(classify.one_hot(pred, 4), classify.one_hot(truth, 4))
    np.testing.assert_array_equal(hot, classify.confusion(pred, truth, 4))


def test_as_many_categories_as_shown_leave_no_miss_without_a_column():
    scores, _, truth = multilabel(2)
    pred = classify.as_many(scores, truth)
    np.testing.assert_array_equal(pred.sum(1), truth.sum(1))
    assert (np.where(pred, scores, 9).min(1) >= np.where(~pred, scores, -9).max(1)).all()
    np.testing.assert_allclose(classify.confusion(pred, truth).sum(1), truth.sum(0))
