import itertools

import numpy as np
import pytest

from recon.core import stats
from recon.metrics import identify


def features(n, d, seed, noise=1.5):
    r = np.random.default_rng(seed)
    truth = r.normal(size=(n, d))
    return truth + noise * r.normal(size=(n, d)), truth


@pytest.mark.parametrize(('n', 'seed'), [(2, 0), (5, 1), (17, 2), (40, 3)])
def test_two_way_equals_a_double_loop_in_both_directions(n, seed):
    recon, truth = features(n, 12, seed)
    others_true, others_decoded = np.zeros(n), np.zeros(n)
    for own in range(n):
        right = np.corrcoef(truth[own], recon[own])[0, 1]
        for k in set(range(n)) - {own}:
            others_true[own] += np.corrcoef(truth[k], recon[own])[0, 1] < right
            others_decoded[own] += np.corrcoef(truth[own], recon[k])[0, 1] < right
    similarity = stats.pearson_matrix(truth, recon)
    np.testing.assert_allclose(np.diagonal(identify.two_way(similarity)), others_true / (n - 1))
    np.testing.assert_allclose(
        np.diagonal(identify.two_way_takagi(similarity)), others_decoded / (n - 1)
    )


def test_the_two_directions_of_two_way_differ():
    # Reconstruction 1 resembles truth 0 best; truth 1 still has no better reconstruction than it.
    similarity = np.array([[0.9, 0.8, 0.1], [0.1, 0.5, 0.1], [0.2, 0.1, 0.7]])
    assert np.diagonal(identify.two_way(similarity)).tolist() == [1, 0.5, 1]
    assert np.diagonal(identify.two_way_takagi(similarity)).tolist() == [1, 1, 1]


def test_off_the_diagonal_stands_the_score_with_another_truth_as_own():
    recon, truth = features(6, 9, 0)
    similarity = stats.pearson_matrix(truth, recon)
    order = np.array([3, 1, 0, 5, 4, 2])
    moved = identify.two_way(similarity[order])
    np.testing.assert_allclose(
        identify.two_way(similarity)[order, np.arange(6)], np.diagonal(moved)
    )


@pytest.mark.parametrize(('n', 'k'), [(6, 2), (6, 3), (7, 5), (7, 7)])
def test_nway_equals_the_mean_over_every_choice_of_distractors(n, k):
    recon, truth = features(n, 8, n * k)
    similarity = stats.pearson_matrix(truth, recon)
    wanted = np.zeros(n)
    for j in range(n):
        others = [i for i in range(n) if i != j]
        choices = list(itertools.combinations(others, k - 1))
        wanted[j] = np.mean([similarity[list(c), j].max() < similarity[j, j] for c in choices])
    np.testing.assert_allclose(np.diagonal(identify.nway(similarity, k)), wanted, atol=1e-12)


def test_two_way_is_nway_of_two():
    similarity = stats.pearson_matrix(*features(30, 20, 0))
    np.testing.assert_allclose(
        identify.nway(similarity, 2), identify.two_way(similarity), atol=1e-12
    )


@pytest.mark.parametrize(('within', 'candidates'), [(1, 7), (2, 5), (3, 4), (5, 3), (1, 2)])
def test_retrieval_equals_the_mean_over_every_choice_of_candidates(within, candidates):
    n = 7
    similarity = stats.cosine_matrix(*features(n, 6, within))
    for direction, matrix in (
        (identify.brain_to_image, similarity),
        (identify.image_to_brain, similarity.T),
    ):
        wanted = np.zeros(n)
        for j in range(n):
            others = [i for i in range(n) if i != j]
            hits = [
                (matrix[list(c), j] >= matrix[j, j]).sum() < within
                for c in itertools.combinations(others, candidates - 1)
            ]
            wanted[j] = np.mean(hits)
        found = np.diagonal(direction(similarity, within, candidates))
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_the_direction_of_retrieval_is_that_of_its_name():
    # Decoded vectors are e0 + their own axis: every image finds its brain, no brain its image,
    # since image 0 is nearer to each than its own.
    images = np.eye(5)
    brains = 0.6 * np.eye(5)
    brains[:, 0] += 1
    similarity = stats.cosine_matrix(images, brains)
    assert np.diagonal(identify.brain_to_image(similarity)).tolist() == [1, 0, 0, 0, 0]
    assert np.diagonal(identify.image_to_brain(similarity)).tolist() == [1, 1, 1, 1, 1]


def test_ties_fail_and_are_counted():
    truth = np.array([[1.0, 2, 3, 5], [1, 2, 3, 5], [4, 1, 0, 2]])  # two equal pictures
    similarity = stats.pearson_matrix(truth, truth)
    assert np.diagonal(identify.two_way(similarity)).tolist() == [0.5, 0.5, 1]
    assert identify.doubtful(similarity) == {
        'comparisons': 6,
        'ties': 2,
        'undefined_as_failure': 0,
    }


def test_one_picture_for_all_ties_in_one_direction_and_halves_in_the_other():
    _, truth = features(9, 20, 0)
    similarity = stats.pearson_matrix(truth, np.tile(truth.mean(0), (9, 1)))
    assert np.diagonal(identify.two_way_takagi(similarity)).sum() == 0
    assert identify.doubtful(similarity.T)['ties'] == 72
    assert np.diagonal(identify.two_way(similarity)).mean() == pytest.approx(0.5)
    assert identify.doubtful(similarity)['ties'] == 0


def test_a_constant_reconstruction_or_distractor_fails_and_is_counted():
    recon, truth = features(4, 10, 0, noise=0)
    recon[1] = 3.0
    similarity = stats.pearson_matrix(truth, recon)
    assert np.diagonal(identify.two_way(similarity)).tolist() == [1, 0, 1, 1]
    assert identify.doubtful(similarity)['undefined_as_failure'] == 3
    similarity = stats.pearson_matrix(recon, truth)
    assert np.diagonal(identify.two_way(similarity))[0] == pytest.approx(2 / 3)


def test_one_picture_alone_cannot_be_identified():
    assert np.isnan(identify.two_way(np.ones((1, 1)))).all()


def test_hundreds_of_candidates_stay_exact():
    similarity = np.tile(np.arange(1000.0)[:, None], (1, 1000)) + np.zeros((1000, 1000))
    found = identify.nway(similarity, 300)
    assert found[999, 0] == pytest.approx(1)
    assert found[:299].max() == 0
    assert found.mean() == pytest.approx(1 / 300, rel=1e-6)


def test_the_nearest_training_image_is_found_from_the_reconstruction():
    r = np.random.default_rng(0)
    train = r.random((20, 6, 6, 3)).astype(np.float32)
    recon = 0.2 * train[[7, 3, 19]] + 0.5
    assert identify.nearest_training(recon, train).tolist() == [7, 3, 19]


def test_a_constant_reconstruction_takes_the_training_image_of_least_error():
    train = np.random.default_rng(0).random((5, 4, 4, 1))
    train[2] = train[2] * 0.1 + 0.85
    flat = np.full((1, 4, 4, 1), 0.9)
    assert identify.nearest_training(flat, train).tolist() == [2]


def test_chance_is_that_of_random_ranks_among_the_defined_truths():
    r = np.random.default_rng(0)
    for n, blank, within, candidates in [(9, 3, 1, 2), (9, 3, 1, 4), (9, 2, 5, 9), (7, 6, 1, 2)]:
        found = []
        for _ in range(400):
            similarity = r.random((n, n))
            similarity[:blank] = np.nan
            found.append(np.diagonal(identify.brain_to_image(similarity, within, candidates)))
        wanted = identify.chance(n, n - blank, within, candidates)
        assert abs(np.mean(found) - wanted) < 4 * np.sqrt(0.25 / np.size(found))
    assert identify.chance(9, 9, 1, 3) == 1 / 3
    assert identify.chance(9, 0, 1, 3) == 0
    assert identify.chance(3, 3, 5, 3) == 1
