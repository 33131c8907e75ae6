import itertools

import numpy as np
import pytest

from recon.metrics import permute


def test_blocks_hold_every_image_once_and_are_not_too_small():
    for n, size in [(10, 10), (10, 6), (10, 4), (1000, 7), (3, 4), (1, 4)]:
        found = permute.blocks(n, size, np.random.default_rng(0))
        assert sorted(np.concatenate(found).tolist()) == list(range(n))
        assert min(len(b) for b in found) >= min(size, n)


@pytest.mark.parametrize('blocks', [1, 5])
def test_p_is_uniform_when_the_pairing_means_nothing(blocks):
    r = np.random.default_rng(0)
    p = []
    for _ in range(400):
        matrices = [r.normal(size=(8, 8)) for _ in range(blocks)]
        found = permute.pairing_test(matrices, better='higher', permutations=99, rng=r)
        p.append(found.p)
    for level in (0.1, 0.5, 0.9):
        assert abs(np.mean(np.array(p) <= level) - level) < 4 * np.sqrt(level * (1 - level) / 400)


@pytest.mark.parametrize('better', ['higher', 'lower'])
def test_p_is_small_when_own_pairs_are_better(better):
    r = np.random.default_rng(0)
    matrix = r.normal(size=(30, 30)) + (1 if better == 'higher' else -1) * 2 * np.eye(30)
    found = permute.pairing_test([matrix], better=better, permutations=999, rng=r)
    assert found.p == 1 / 1000
    other = permute.pairing_test(
        [matrix],
        better='lower' if better == 'higher' else 'higher',
        permutations=999,
        rng=r,
    )
    assert other.p > 0.9


def test_chance_is_the_mean_of_wrong_pairs():
    matrix = np.arange(9.0).reshape(3, 3)
    rng = np.random.default_rng(0)
    found = permute.pairing_test([matrix], better='higher', permutations=10, rng=rng)
    assert found.chance == pytest.approx((matrix.sum() - np.trace(matrix)) / 6)


def test_undefined_pairs_are_left_out():
    rng = np.random.default_rng(0)
    matrix = np.eye(4)
    matrix[:, 2] = np.nan
    found = permute.pairing_test([matrix], better='higher', permutations=50, rng=rng)
    assert found.chance == 0
    empty = permute.pairing_test(
        [np.full((3, 3), np.nan)], better='higher', permutations=50, rng=rng
    )
    assert (empty.chance, empty.p) == (None, None)


def test_one_image_or_no_permutations_give_no_p():
    rng = np.random.default_rng(0)
    one = permute.pairing_test([np.ones((1, 1))], better='higher', permutations=50, rng=rng)
    assert (one.chance, one.p) == (None, None)
    none = permute.pairing_test([np.eye(3)], better='higher', permutations=0, rng=rng)
    assert (none.chance, none.p) == (0, None)


def test_a_pooled_statistic_is_tested_by_pairing_too():
    r = np.random.default_rng(0)
    pred = r.integers(0, 4, 200)
    truth = np.where(r.random(200) < 0.5, pred, r.integers(0, 4, 200))
    found = permute.statistic_test(
        lambda i: float(np.mean(pred == truth[i])), 200, better='higher', permutations=199, rng=r
    )
    assert found.p == 1 / 200
    assert abs(found.chance - 0.25) < 0.03


def test_several_reconstructions_of_an_image_move_together():
    owner = np.array([0, 0, 1, 2, 2, 2])
    matrix = np.random.default_rng(0).normal(size=(3, 6))
    found = permute.pairing_test(
        [matrix], better='higher', permutations=6000, rng=np.random.default_rng(0), owners=[owner]
    )
    all_pairings = [
        matrix[np.array(o)[owner], np.arange(6)] for o in itertools.permutations((0, 1, 2))
    ]
    own = matrix[owner, np.arange(6)].mean()
    share = np.mean([pairing.mean() >= own - 1e-12 for pairing in all_pairings])
    assert abs(found.p - share) < 0.03
    wrong = [matrix[i, j] for i in range(3) for j in range(6) if owner[j] != i]
    assert found.chance == pytest.approx(np.mean(wrong))
    assert found.within == 3
