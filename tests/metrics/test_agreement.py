import numpy as np
import pytest

from recon.metrics import agreement


def drawn(n, share, samples=3, seed=0):
    """Pictures whose variance is by `share` the picture's own, and else of each sample."""
    random = np.random.default_rng(seed)
    own = random.standard_normal((n, 8, 8, 3))
    return [
        np.sqrt(share) * own + np.sqrt(1 - share) * random.standard_normal(own.shape)
        for _ in range(samples)
    ]


@pytest.mark.parametrize('share', [0.0, 0.3, 0.8])
def test_it_finds_the_share_that_pictures_were_made_with(share):
    found = agreement.score(drawn(60, share), seed=0, draws=500)
    assert found['mean'] == pytest.approx(share, abs=0.03)
    assert found['ci95'][0] <= found['mean'] <= found['ci95'][1]
    assert (found['n'], found['samples'], len(found['per_image'])) == (60, 3, 60)
    assert np.mean(found['per_image']) == pytest.approx(found['mean'])


def test_of_a_few_pictures_that_share_nothing_it_is_zero_on_average():
    found = [agreement.score(drawn(3, 0.0, 2, k), seed=0, draws=0)['mean'] for k in range(30)]
    assert np.mean(found) == pytest.approx(0, abs=0.05)


def test_equal_samples_agree_wholly():
    picture = drawn(5, 0.5)[0]
    assert agreement.score([picture, picture], seed=0, draws=100)['mean'] == 1


def test_a_picture_whose_samples_differ_is_told_from_others():
    samples, random = drawn(20, 0.9), np.random.default_rng(9)
    for sample in samples:
        sample[4] = random.standard_normal((8, 8, 3))
    assert np.argmin(agreement.score(samples, seed=0, draws=10)['per_image']) == 4


def test_one_sample_one_picture_or_one_picture_for_all_says_nothing():
    samples = drawn(4, 0.5)
    assert agreement.score(samples[:1], seed=0, draws=10) is None
    assert agreement.score([s[:1] for s in samples], seed=0, draws=10) is None
    assert agreement.score([np.ones((4, 8, 8, 3))] * 2, seed=0, draws=10) is None
