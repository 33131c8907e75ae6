import numpy as np

from recon.core import kernel_search


def test_the_lowest_error_is_chosen_and_a_nan_never():
    error = np.full((2, 3, 1, 1, 2, 1), 1.0)
    error[1, 2, 0, 0, 1] = 0.5
    error[0, 0, 0, 0, 0] = np.nan
    best, penalties = kernel_search.choose(error)
    assert best.tolist() == [1, 2, 0, 0] and penalties.tolist() == [1]


def test_within_the_slack_the_highest_contrast_wins_and_of_these_the_lowest_error():
    error = np.array([1.0, 1.004, 1.02]).reshape(1, 1, 1, 3, 1, 1)
    contrasts = (1.0, 1.1, 1.2)
    assert kernel_search.choose(error, contrasts)[0][3] == 0
    assert kernel_search.choose(error, contrasts, slack=0.005)[0][3] == 1
    assert kernel_search.choose(error, contrasts, slack=0.05)[0][3] == 2


def test_each_target_has_its_own_penalty_in_the_chosen_kernel():
    error = np.ones((1, 2, 1, 1, 3, 2))
    error[0, 1, 0, 0, 2, 0] = error[0, 1, 0, 0, 0, 1] = 0.1
    best, penalties = kernel_search.choose(error)
    assert best.tolist() == [0, 1, 0, 0] and penalties.tolist() == [2, 0]


def test_the_best_voxels_of_each_area_are_used():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((200, 1)).astype('f')
    x = rng.standard_normal((200, 10)).astype('f')
    x[:, [2, 7]] += 3 * y
    areas = np.array([[True] * 5 + [False] * 5, [False] * 5 + [True] * 5])
    used = kernel_search.used_voxels({'score': 'covariance'}, x, y, areas, 1)
    assert np.flatnonzero(used[0]).tolist() == [2] and np.flatnonzero(used[1]).tolist() == [7]
    assert kernel_search.used_voxels({'score': 'covariance'}, x, y, areas, 5) is areas


def test_no_limits_are_infinite_ones():
    assert kernel_search.limits({'limits': ()}) == (-np.inf, np.inf)
    assert kernel_search.limits({'limits': (0.0, 1.0)}) == (0.0, 1.0)
