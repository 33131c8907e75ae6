import dataclasses
import time

import numpy as np
import pytest

from recon.core import types
from recon.data.checks import alignment
from tests.data import small


def shifted(split, by):
    """The rows of `split` with the image of the block `by` places later, within each run."""
    ids = split.image_id.copy()
    for run in np.unique(split.run):
        rows = np.flatnonzero(split.run == run)
        ids[rows] = np.roll(ids[rows], -by)
    return dataclasses.replace(split, image_id=ids)


def data(seed=0, **options):
    return small.brain(seed, **(dict(n_train=200, repeats=1, noise=0.7) | options))


@pytest.mark.parametrize('seed', range(5))
def test_correct_data_score_best_unshifted_and_do_not_warn(seed):
    brain = data(seed)
    found = alignment.check(brain.train, brain.images, seed)
    assert found['alignment_warning'] is None
    assert found['alignment']['0'] > 0.3
    assert abs(found['alignment']['-1']) < 0.1 and abs(found['alignment']['1']) < 0.1
    low, high = found['alignment_ci95']['0']
    assert low < found['alignment']['0'] < high
    assert all(high < 0 for _, low, high in found['alignment_difference'].values())


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize(('by', 'wins', 'word'), [(1, '-1', 'before'), (-1, '1', 'after')])
def test_an_off_by_one_in_the_ids_is_found_and_its_side_named(seed, by, wins, word):
    brain = data(seed)
    found = alignment.check(shifted(brain.train, by), brain.images, seed)
    assert max(found['alignment'], key=found['alignment'].get) == wins
    assert f'the block {word} them' in found['alignment_warning']
    assert 'off-by-one' in found['alignment_warning']


def test_rows_of_one_presentation_are_one_block():
    """Three volumes of each presentation: a shift by block, not by row, finds the fault."""
    brain = data(voxels=40, noise=0.3)
    rows = np.repeat(np.arange(len(brain.train)), 3)
    rng = np.random.default_rng(0)
    thrice = brain.train.rows(rows)
    noisy = thrice.voxels + 0.1 * rng.normal(size=thrice.voxels.shape).astype(np.float32)
    thrice = dataclasses.replace(thrice, voxels=noisy)
    late = shifted(brain.train, 1).rows(rows)
    late = dataclasses.replace(thrice, image_id=late.image_id)
    assert alignment.check(thrice, brain.images)['alignment_warning'] is None
    found = alignment.check(late, brain.images)
    assert found['alignment']['-1'] > 0.3 and 'before' in found['alignment_warning']
    assert found['alignment_note'].startswith('184 blocks of 600 of 600 rows')  # 8 runs' ends


def test_noise_alone_rarely_warns():
    """Two differences, each with a 2.5 % tail: about 1 of 20 brains of pure noise warns."""
    warned = 0
    for seed in range(40):
        brain = data(seed, n_train=80, voxels=10)
        noise = np.random.default_rng(seed).normal(size=brain.train.voxels.shape)
        train = dataclasses.replace(brain.train, voxels=noise.astype(np.float32))
        warned += alignment.check(train, brain.images, seed)['alignment_warning'] is not None
    assert warned <= 6


def test_where_it_does_not_apply_it_says_why():
    brain = data()
    lost = dataclasses.replace(brain.train, run=None)
    found = alignment.check(lost, brain.images)
    assert found['alignment'] == {} and found['alignment_warning'] is None
    assert '200 of 200 training rows have no run' in found['alignment_note']
    one = dataclasses.replace(brain.train, run=np.ones(200))
    assert (
        'all training rows are of one run' in alignment.check(one, brain.images)['alignment_note']
    )
    few = brain.train.rows(np.arange(40) * 5)
    few = few.rows(np.isin(few.run, (0, 1)))
    assert 'blocks have neighbours' in alignment.check(few, brain.images)['alignment_note']


def test_rows_of_runs_that_are_not_in_turn_and_constant_voxels_do_no_harm():
    brain = data()
    voxels = brain.train.voxels.copy()
    voxels[:, 2] = 5
    train = dataclasses.replace(brain.train, voxels=voxels)
    order = np.argsort(np.arange(200) % 25, kind='stable')  # runs interleaved, each in its order
    a = alignment.check(train, brain.images)
    b = alignment.check(train.rows(order), brain.images)
    assert a['alignment_warning'] is None and b['alignment_warning'] is None
    assert abs(a['alignment']['0'] - b['alignment']['0']) < 1e-3


@pytest.mark.long
def test_ten_thousand_rows_of_four_thousand_voxels_take_three_seconds():
    rng = np.random.default_rng(0)
    n, v = 10_000, 4_000
    train = types.Split(
        rng.normal(size=(n, v)).astype(np.float32), np.arange(n), run=np.arange(n) // 63
    )
    pictures = rng.integers(0, 256, (n, 64, 64, 3), np.uint8)
    images = types.Images(np.arange(n), pictures.__getitem__, (64, 64))
    start = time.perf_counter()
    found = alignment.check(train, images)
    seconds = time.perf_counter() - start
    assert 'of 10000 rows, 600 of 4000 voxels' in found['alignment_note']
    assert seconds < 12, seconds  # 3 s on two quiet cores


def test_a_block_ends_with_its_run_even_if_the_next_begins_with_the_same_image():
    brain = data()
    ids = brain.train.image_id.copy()
    ids[25::25] = ids[24:-1:25]
    train = dataclasses.replace(brain.train, image_id=ids)
    assert alignment.check(train, brain.images)['alignment_note'].startswith('184 blocks')
