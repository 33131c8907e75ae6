import dataclasses

import numpy as np
import pytest

from recon.data.checks import scales
from tests.data import small


def data(seed=0, **options):
    brain = small.brain(seed, voxels=60, **options)
    side = (np.arange(60) >= 30).astype(np.int8)
    return dataclasses.replace(brain, voxel_info=brain.voxel_info | {'hemisphere': side})


def changed(brain, rows, columns=slice(None), factor=300.0, split='train'):
    held = getattr(brain, split)
    voxels = held.voxels.copy()
    voxels[np.ix_(rows, np.arange(60)[columns])] *= factor
    return dataclasses.replace(brain, **{split: dataclasses.replace(held, voxels=voxels)})


def spreads(brain):
    return scales.spreads(brain, np.ones(60, bool))


@pytest.mark.parametrize('seed', range(5))
def test_sound_data_are_silent(seed):
    brain = data(seed, runs=12)
    assert spreads(brain) is None
    assert scales.copies(brain, np.ones(60, bool)) is None


def test_gains_and_means_of_repeats_are_silent():
    brain = data(0)
    for session, gain in ((1, 3.0), (2, 0.5)):
        brain = changed(brain, brain.train.session == session, factor=gain)
    assert spreads(changed(brain, brain.test.run >= 0, factor=0.3, split='test')) is None


@pytest.mark.parametrize(
    ('field', 'number', 'columns', 'split', 'name'),
    [
        ('session', 2, slice(None), 'train', 'session 2 of train, '),
        ('session', 1, slice(30, 60), 'train', 'session 1 of train, right hemisphere'),
        ('run', 3, slice(None), 'train', 'run 3 of train, '),
        ('run', None, slice(30, 60), 'train', 'train, right hemisphere'),
        ('run', None, slice(None), 'test', 'test, '),
    ],
)
@pytest.mark.parametrize('factor', [300.0, 1 / 300])
def test_a_part_of_another_scale_is_named(field, number, columns, split, name, factor):
    brain = data(1)
    held = getattr(getattr(brain, split), field)
    rows = held == number if number is not None else np.ones(len(held), bool)
    said = spreads(changed(brain, rows, columns, factor, split))
    assert f'{"voxels of" if factor > 1 else "those of"} {name}' in said


def test_without_hemispheres_runs_and_sessions_splits_are_compared():
    brain = data(2)
    lost = {'run': None, 'session': None}
    splits = {k: dataclasses.replace(s, **lost) for k, s in brain.splits().items()}
    brain = dataclasses.replace(brain.with_splits(splits), voxel_info={})
    assert spreads(brain) is None
    said = spreads(changed(brain, np.ones(len(brain.test), bool), split='test'))
    assert said.startswith('voxels of test spread by')


def copied(brain, source, target, columns=slice(None)):
    voxels = brain.train.voxels.copy()
    voxels[target, columns] = voxels[source, columns]
    return dataclasses.replace(brain, train=dataclasses.replace(brain.train, voxels=voxels))


@pytest.mark.parametrize('columns', [slice(None), slice(30, 60)])
def test_a_session_copied_over_another_is_named_even_of_one_hemisphere(columns):
    brain = data(3)
    a, b = (np.flatnonzero(brain.train.session == k) for k in (1, 2))
    said = scales.copies(copied(brain, a, b, columns), np.ones(60, bool))
    assert f'{len(a)} of session 2 of train are those of session 1 of train' in said
    assert ('in the right hemisphere' in said) == (columns != slice(None))


def test_rows_read_twice_and_training_rows_in_the_test_are_named():
    brain = data(4)
    said = scales.copies(copied(brain, [0], [1]), np.ones(60, bool))
    assert '1 of session 1 of train are there twice' in said
    test = brain.train.rows(np.arange(4))
    said = scales.copies(dataclasses.replace(brain, test=test), np.ones(60, bool))
    assert said.startswith('4 rows hold') and '4 of test are those of session 1 of train' in said


def test_a_few_voxels_are_not_compared():
    brain = data(5)
    few = np.arange(60) % 30 < 8
    assert scales.copies(copied(brain, [0], [1]), few) is None
