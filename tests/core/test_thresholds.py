import numpy as np
import pytest
import sklearn.metrics

from recon.core import errors, thresholds


def draw(seed, n=40, k=3):
    r = np.random.default_rng(seed)
    truth = r.random((n, k)) < 0.3
    return np.round(0.4 * truth + r.random((n, k)), 1), truth  # rounded, so that scores tie


@pytest.mark.parametrize('seed', range(5))
def test_no_threshold_has_a_higher_f1(seed):
    scores, truth = draw(seed)
    chosen = thresholds.best_f1(scores[:, 0], truth[:, 0])
    tried = np.concatenate([[-1], np.unique(scores[:, 0])])
    wanted = max(sklearn.metrics.f1_score(truth[:, 0], scores[:, 0] > t) for t in tried)
    reached = sklearn.metrics.f1_score(truth[:, 0], scores[:, 0] > chosen)
    assert reached == pytest.approx(wanted)


def test_a_threshold_lies_between_the_scores_that_it_parts():
    scores = np.array([0.9, 0.7, 0.3, 0.1])
    assert thresholds.best_f1(scores, np.array([1, 1, 0, 0])) == pytest.approx(0.5)
    assert thresholds.best_f1(scores, np.ones(4)) < 0.1  # everything is named


def test_a_rare_category_takes_the_threshold_of_all():
    scores, truth = draw(0, 60)
    truth[:, 2] = False
    truth[0, 2] = True
    got = thresholds.choose(scores, truth, least=5)
    assert got.dtype == np.float32
    assert got[2] == np.float32(thresholds.best_f1(scores.ravel(), truth.ravel()))
    assert got[0] == np.float32(thresholds.best_f1(scores[:, 0], truth[:, 0]))


def test_without_any_label_the_threshold_is_a_half():
    assert thresholds.choose(np.zeros((4, 2)), np.zeros((4, 2))).tolist() == [0.5, 0.5]


def test_what_cannot_be_chosen_on_is_refused():
    with pytest.raises(errors.DataInvalid, match=r'shape \(3, 2\), labels \(2, 3\)'):
        thresholds.choose(np.zeros((3, 2)), np.zeros((2, 3)))
    with pytest.raises(errors.DataInvalid, match='1 scores are not finite'):
        thresholds.choose(np.array([[np.nan, 1]]), np.ones((1, 2)))
