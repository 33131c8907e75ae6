import dataclasses

import numpy as np
import pytest

from recon.core import types
from recon.data.checks import neighbours, readout
from tests.data import small


def tried(split, images, **options):
    rng = np.random.default_rng(0)
    return neighbours.tried(split, images, np.arange(split.voxels.shape[1]), rng, **options)


def test_rows_without_a_run_and_few_images_are_not_asked():
    brain = small.brain(0)
    assert tried(dataclasses.replace(brain.train, run=None), brain.images) == (
        [],
        'rows have no run, so neighbours in time were not tried',
    )
    found, note = tried(brain.test, brain.images)
    assert found == [] and '12 images are too few' in note


@pytest.mark.parametrize('repeats', [1, 3])
def test_scores_are_by_image_and_the_own_picture_is_the_best(repeats):
    brain = small.brain(1, n_train=90, repeats=repeats, noise=0.5)
    found, note = tried(brain.train, brain.images)
    assert note == '' and [name.split()[4] for name, _, _ in found] == ['next', 'previous']
    for _, own, other in found:
        assert len(own) == len(other) <= 90
        assert own.mean() > 0.2 > abs(other.mean())


def test_volumes_of_one_stimulus_are_one_block():
    ids = np.array([4, 4, 7, 7, 7, 4, 4, 2])
    run = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    voxels = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    x, shown, runs = neighbours._blocks(types.Split(voxels, ids, run=run), np.arange(3))
    assert shown.tolist() == [4, 7, 4, 4, 2] and runs.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(x[1], readout.z_score(voxels[:6])[2:5].mean(0), atol=1e-5)


def test_whole_runs_are_drawn_until_there_are_enough():
    run = np.repeat(np.arange(10), 300)
    rows = neighbours._rows(run, np.random.default_rng(0))
    assert len(rows) == 1200 and (np.unique(run[rows], return_counts=True)[1] == 300).all()
    assert len(neighbours._rows(np.zeros(5000, int), np.random.default_rng(0))) == 1200
