import numpy as np
import pytest

from recon.core import stats
from recon.metrics import paired


def entry(values, unit='image', better='higher'):
    values = [None if np.isnan(v) else float(v) for v in values]
    known = [v for v in values if v is not None]
    held = {'mean': np.mean(known) if known else None, 'unit': unit, 'better': better}
    held |= {'chance': 0.5, 'n': len(values), 'net': None, 'weights': None, 'split': 'test'}
    return held | {'per_image': values if unit == 'image' else None,
                   'per_unit': None if unit == 'image' else values}  # fmt: skip


def test_what_is_hard_for_both_cancels():
    random = np.random.default_rng(0)
    hard = random.normal(0, 10, 50)
    ours, theirs = hard + 1 + random.normal(0, 0.1, 50), hard
    scores = {'pixcorr': entry(ours)}
    held = {'zero_voxels': {'pixcorr': entry(theirs)}, 'mean_image': {'pixcorr': entry(theirs)}}
    found = paired.differences(scores, held, np.arange(50), seed=0, draws=1000)
    assert list(found) == ['zero_voxels']  # the mean picture is no control of a prior
    one = found['zero_voxels']['pixcorr']
    mean, interval = stats.paired_difference(ours, theirs, seed=0, draws=1000)
    assert one['mean'] == pytest.approx(mean) and one['ci95'] == pytest.approx(interval)
    assert 0.95 < one['ci95'][0] < 1 < one['ci95'][1] < 1.05
    assert (one['n'], one['better']) == (50, 'higher')


def test_pictures_that_are_undefined_in_one_are_left_out():
    scores = {'a': entry([1, 2, np.nan, 4]), 'b': entry([np.nan, 1])}
    held = {'nearest_training': {'a': entry([0, np.nan, 0, 1]), 'b': entry([1, np.nan])}}
    found = paired.differences(scores, held, np.arange(4), seed=0, draws=100)
    assert found['nearest_training']['a']['n'] == 2 and list(found['nearest_training']) == ['a']
    assert found['nearest_training']['a']['mean'] == 2


def test_rows_of_one_image_are_drawn_together():
    values, image = np.repeat(np.arange(6.0), 20), np.repeat(np.arange(6), 20)
    scores, held = {'a': entry(values, 'row')}, {'zero_voxels': {'a': entry(values * 0, 'row')}}
    wide = paired.differences(scores, held, image, seed=0, draws=2000)['zero_voxels']['a']['ci95']
    alone = stats.bootstrap_mean(values, seed=0, draws=2000)
    assert wide[1] - wide[0] > 3 * (alone[1] - alone[0])


def test_scores_that_are_of_no_picture_have_no_difference():
    scores = {'top1': entry([0.1, 0.2], 'draw')}
    held = {'zero_voxels': {'top1': entry([0.1, 0.2], 'draw')}}
    assert paired.differences(scores, held, np.arange(2), seed=0, draws=10) == {}


def covered(runs, pictures, spread, repeats=100):
    """How often the interval holds the truth, 0, for runs and pictures of such spreads."""
    random, hits = np.random.default_rng(0), 0
    for _ in range(repeats):
        of_run = random.normal(0, spread[0], (runs, 1))
        of_picture = random.normal(0, spread[1], (1, pictures))
        values = of_run + of_picture + random.normal(0, 0.5, (runs, pictures))
        ids = [np.arange(pictures)] * runs
        _, (low, high) = paired.over_runs(list(values), ids, seed=0, draws=400)
        hits += low <= 0 <= high
    return hits / repeats


def test_the_interval_covers_what_varies_with_pictures_that_all_runs_share():
    assert covered(8, 30, (0.0, 1.0)) > 0.88  # pictures drawn for each run apart: under one half


def test_the_interval_covers_what_varies_with_the_run():
    assert covered(12, 40, (1.0, 0.0)) > 0.8  # over pictures alone: near none


def test_runs_with_other_pictures_are_put_together_by_the_picture():
    values = [np.array([1.0, 2, 3]), np.array([3.0, 4, np.nan])]
    mean, interval = paired.over_runs(values, [[1, 2, 3], [3, 4, 5]], seed=0, draws=500)
    assert mean == pytest.approx((2 + 3.5) / 2) and interval[0] < mean < interval[1]


def test_one_run_or_one_picture_has_no_interval():
    assert paired.over_runs([[1.0, 2]], [[0, 1]], seed=0, draws=10) == (1.5, None)
    assert paired.over_runs([[1.0], [3.0]], [[0], [0]], seed=0, draws=10) == (2.0, None)
    assert paired.over_runs([[np.nan]], [[0]], seed=0, draws=10) == (None, None)


def test_several_entries_become_one():
    entries = [entry([1, 2, 3, 4]), entry([3, 4, 5, np.nan])]
    found = paired.pool(entries, [np.arange(4)] * 2, 'seed', seed=0, draws=200)
    assert found['mean'] == pytest.approx((2.5 + 4) / 2) and found['per_unit'] == [2.5, 4]
    assert found['per_image'][:3] == [2, 3, 4] and np.isnan(found['per_image'][3])
    assert found['sd_per_image'][0] == pytest.approx(np.sqrt(2))
    assert (found['unit'], found['n'], found['p'], found['chance']) == ('seed', 2, None, 0.5)


def test_scores_without_a_value_for_each_picture_are_drawn_by_run_alone():
    entries = [entry([0.1, 0.2], 'draw') | {'mean': m} for m in (0.2, 0.4, 0.9)]
    found = paired.pool(entries, [np.arange(7)] * 3, 'subject', seed=0, draws=500)
    assert found['mean'] == pytest.approx(0.5) and found['per_image'] is None
    assert 0.2 <= found['ci95'][0] < 0.4 < 0.7 < found['ci95'][1] <= 0.9


def test_differences_of_several_runs_are_taken_in_each():
    runs = []
    for shift in (0.0, 5.0):
        values = np.arange(4.0) + shift
        held = {'zero_voxels': {'a': entry(values - 1), 'b': entry(values)}}
        runs.append({'scores': {'a': entry(values)}, 'baselines': held})
    ids = [np.arange(4)] * 2
    found = paired.differences_over_runs(runs, ids, seed=0, draws=100)
    assert list(found) == ['zero_voxels'] and list(found['zero_voxels']) == ['a']
    one = found['zero_voxels']['a']
    assert one['mean'] == pytest.approx(1) and one['per_run'] == pytest.approx([1, 1])
    assert one['ci95'] == pytest.approx((1, 1)) and one['n'] == 2
