import dataclasses

import numpy as np
import pytest

from recon.data.checks import summary
from tests.data import small


def changed(brain, function):
    """The brain with `function(voxels)` in the place of its training voxels."""
    train = dataclasses.replace(brain.train, voxels=function(brain.train.voxels.copy()))
    return dataclasses.replace(brain, train=train)


def united(brain, unit):
    return dataclasses.replace(brain, facts=brain.facts | {'voxel_unit': unit})


@pytest.mark.parametrize(('images', 'repeats', 'runs'), [(48, 2, 8), (30, 3, 5)])
def test_rows_images_repeats_sessions_and_runs_are_counted(images, repeats, runs):
    brain = small.brain(1, n_train=images, repeats=repeats, runs=runs)
    train, test = summary.parts(brain)
    assert (train['rows'], train['images'], train['runs']) == (images * repeats, images, runs)
    assert train['shown'] == {repeats: images} and train['trials'] == {1: images * repeats}
    assert train['sessions'] == [1, 2] and sum(train['rows_by_session'].values()) == train['rows']
    assert test['name'] == 'test'
    lost = dataclasses.replace(brain.train, run=None, session=None)
    lost = summary.parts(dataclasses.replace(brain, train=lost))[0]
    assert lost['runs'] == 0 and lost['sessions'] == [] and lost['rows_by_session'] == {}


def test_images_of_two_splits_are_counted_for_each_pair():
    brain = small.brain()
    extra = brain.train.rows(np.arange(5))
    brain = dataclasses.replace(brain, extra_tests={'more': extra})
    found = {tuple(p['parts']): p['images'] for p in summary.shared(brain)}
    assert found == {('train', 'test'): 0, ('train', 'more'): 5, ('test', 'more'): 0}


def test_areas_are_counted_by_hemisphere():
    brain = small.brain(voxels=30)
    side = np.arange(30) % 2
    rois = brain.rois | {'none': np.zeros(30, bool)}
    brain = dataclasses.replace(brain, rois=rois, voxel_info={'hemisphere': side})
    ceiling = np.arange(30) / 30
    rows = {r['name']: r for r in summary.areas(brain, ceiling)}
    assert (rows['V1']['voxels'], rows['V1']['left'], rows['V1']['right']) == (10, 5, 5)
    assert rows['V1']['ceiling'] == np.median(ceiling[brain.rois['V1']])
    assert rows['none']['voxels'] == 0 and rows['none']['ceiling'] is None
    unknown = summary.areas(dataclasses.replace(brain, voxel_info={}))
    assert unknown[0]['left'] is None and unknown[0]['ceiling'] is None


def test_constant_voxels_and_those_that_are_not_finite_are_found_in_any_split():
    brain = small.brain(voxels=12)
    voxels = brain.train.voxels.copy()
    voxels[:, 3] = 7
    test = brain.test.voxels.copy()
    test[4, 5] = np.inf
    brain = dataclasses.replace(
        brain,
        train=dataclasses.replace(brain.train, voxels=voxels),
        test=dataclasses.replace(brain.test, voxels=test),
    )
    found = summary.broken(brain)
    assert np.flatnonzero(found['constant']).tolist() == [3]
    assert np.flatnonzero(found['not_finite']).tolist() == [5]


@pytest.mark.parametrize(
    ('unit', 'factor', 'word'),
    [
        ('percent signal change', 1, None),
        ('percent signal change (int16 / 300)', 300, 'never divided by 300'),
        ('percent signal change', 1 / 300, 'divided by 300 twice'),
        ('% signal change', 300, 'never divided'),
        ('z-score, by session', 1, None),
        ('z-score, by session', 300, 'hardly z-scores'),
        ('z-scored', 1 / 300, 'hardly z-scores'),
        ('response amplitude, not z-scored', 300, None),
        ('scanner units', 5000, None),
    ],
)
@pytest.mark.parametrize('spread', [0.8, 3.0])
def test_values_that_cannot_be_in_their_unit_are_named(unit, factor, word, spread):
    brain = united(small.brain(voxels=200), unit)
    rng = np.random.default_rng(0)
    made = changed(brain, lambda x: factor * (spread * rng.normal(size=x.shape)).astype('f4'))
    warning = summary.values(made)['warning']
    assert (word in warning) if word else warning is None


def test_the_summary_of_values_is_that_of_numpy():
    brain = united(small.brain(voxels=20), 'x')
    found, x = summary.values(brain), brain.train.voxels.astype(np.float64)
    assert found['median_spread'] == pytest.approx(np.median(x.std(0)))
    assert found['median_absolute'] == pytest.approx(np.median(np.abs(x)))
    assert found['percentiles']['99'] == pytest.approx(np.percentile(x, 99))
    assert found['unit'] == 'x' and len(found['histogram']['counts']) == 40


def test_a_recording_of_nothing_says_so():
    brain = changed(small.brain(voxels=5), lambda x: x * 0)
    assert 'no voxel changes' in summary.values(brain)['warning']
    brain = changed(small.brain(voxels=5), lambda x: x * np.nan)
    found = summary.values(brain)
    assert found['not_finite'] == 5 and 'none is finite' in found['warning']


def test_hemispheres_that_contradict_their_places_are_found():
    brain = small.brain(voxels=60)
    x = np.random.default_rng(0).uniform(-60, 60, (60, 3)).astype(np.float32)
    right = (x[:, 0] > 0).astype(np.int8)

    def told(side):
        info = {'hemisphere': side, 'xyz': x}
        return summary.sides(dataclasses.replace(brain, voxel_info=info))

    assert told(right) is None
    assert 'left and right are swapped' in told(1 - right) and '100%' in told(1 - right)
    assert summary.sides(brain) is None


@pytest.mark.parametrize(
    ('unit', 'spread', 'fine', 'told'),
    [('not said', 2, 1, True), ('not said', 2, 300, False), ('not said', 90, 1, False)]
    + [('scanner units', 2, 1, False)],
)
def test_whole_numbers_of_a_small_spread_have_lost_their_fraction(unit, spread, fine, told):
    rng = np.random.default_rng(3)
    brain = united(small.brain(voxels=50), unit)

    def cut(x):
        return (np.rint(fine * spread * rng.normal(size=x.shape)) / fine).astype('f4')

    assert bool(summary.values(changed(brain, cut))['whole']) == told
