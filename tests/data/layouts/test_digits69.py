import numpy as np
import pytest

from recon.core import errors
from recon.data.datasets import digits69 as reader
from recon.data.layouts import digits69


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    a = digits69.write(tmp_path / 'a', seed=1)
    b = digits69.write(tmp_path / 'b', seed=1)
    c = digits69.write(tmp_path / 'c', seed=2)
    content = [(folder / reader.FILE).read_bytes() for folder in (a, b, c)]
    assert content[0] == content[1] != content[2]
    names = ('a_truth', 'b_truth')
    truths = [np.load(tmp_path / name / 'truth.npz') for name in names]
    assert all(np.array_equal(truths[0][key], truths[1][key]) for key in ('signals', 'recorded'))


def test_no_digit_is_drawn_twice(tmp_path):
    digits69.write(tmp_path / 'a')
    pictures = np.load(tmp_path / 'a_truth' / 'truth.npz')['pictures']
    assert len({p.tobytes() for p in pictures}) == len(pictures) == 70


def test_voxels_follow_their_noise_free_signals_and_carry_noise(tmp_path):
    brain = reader.load({'path': str(digits69.write(tmp_path / 'a'))})
    truth = np.load(tmp_path / 'a_truth' / 'truth.npz')
    recorded = truth['recorded']
    ceiling = truth['noise_ceiling'][recorded]
    clean = truth['signals'][:60]
    best = np.argsort(-ceiling)[:60]
    r = [np.corrcoef(brain.train.voxels[:, i], clean[:, i])[0, 1] for i in best]
    assert np.mean(r) == pytest.approx(np.sqrt(ceiling[best]).mean(), abs=0.08)
    assert set(truth['area'][recorded]) <= {'V1v', 'V1d', 'V2v', 'V2d', 'V3v', 'V3d'}


@pytest.mark.long
def test_full_scale_has_the_counts_of_the_real_file(tmp_path):
    brain = reader.load({'path': str(digits69.write(tmp_path / 'a', scale='full', subject=3))})
    assert brain.train.voxels.shape == (90, 3092) and brain.test.voxels.shape == (10, 3092)


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'.*toy.*full"):
        digits69.write(tmp_path / 'a', scale='huge')
