import dataclasses

import numpy as np
import pytest

from recon.core import errors, types
from recon.data.preprocess import repeats
from tests.data import small


def test_the_mean_equals_a_loop_over_images_and_adds_up_trials():
    data = small.brain(repeats=3)
    split = dataclasses.replace(data.test, trials=np.arange(len(data.test)) % 2 + 1)
    out = repeats.apply({'test': 'mean'}, {}, split, 'test')
    assert np.array_equal(out.image_id, np.unique(split.image_id))
    for i, image_id in enumerate(out.image_id):
        rows = split.image_id == image_id
        np.testing.assert_allclose(out.voxels[i], split.voxels[rows].mean(0), rtol=1e-6)
        assert out.trials[i] == split.trials[rows].sum()
        runs = np.unique(split.run[rows])
        assert out.run[i] == (runs[0] if len(runs) == 1 else -1)
    assert (out.repeat == -1).all()
    assert out.voxels.dtype == np.float32 and out.run.dtype == np.int32


def test_a_run_that_all_averaged_rows_share_is_kept():
    split = types.Split(
        np.arange(8.0, dtype=np.float32).reshape(4, 2), np.array([5, 5, 2, 2]), run=[1, 1, 1, 3]
    )
    out = repeats.mean(split)
    assert out.image_id.tolist() == [2, 5] and out.run.tolist() == [-1, 1]
    assert out.voxels.tolist() == [[5, 6], [1, 2]] and out.trials.tolist() == [2, 2]


def test_ids_may_be_strings():
    split = types.Split(np.ones((3, 2), np.float32), np.array(['b', 'a', 'b']))
    assert repeats.mean(split).image_id.tolist() == ['a', 'b']
    assert repeats.sample(split, 0, 'test').image_id.tolist() in (['a', 'b'], ['b', 'a'])


def test_a_sample_is_one_whole_row_an_image_the_same_for_a_seed():
    data = small.brain(repeats=4)
    cfg = {'train': 'sample', 'seed': 3}
    out = repeats.apply(cfg, {}, data.train, 'train')
    again = repeats.apply(cfg, {}, data.train, 'train')
    other = repeats.apply(cfg | {'seed': 4}, {}, data.train, 'train')
    assert sorted(out.image_id) == sorted(np.unique(data.train.image_id))
    assert np.array_equal(out.voxels, again.voxels)
    assert not np.array_equal(out.voxels, other.voxels)
    assert (np.diff(out.run) >= 0).all() and (out.repeat >= 0).all()
    rows = {row.tobytes() for row in data.train.voxels}
    assert all(row.tobytes() in rows for row in out.voxels)


def test_every_repeat_is_drawn_about_equally_often():
    data = small.brain(n_train=400, repeats=3)
    counts = np.bincount(repeats.sample(data.train, 0, 'train').repeat, minlength=3)
    assert counts.min() > 100  # 133 expected, standard deviation 9


def test_extra_tests_follow_the_test_option_and_keep_is_untouched():
    data = small.brain()
    cfg = {'train': 'keep', 'test': 'mean'}
    assert repeats.apply(cfg, {}, data.train, 'train') is data.train
    assert len(repeats.apply(cfg, {}, data.test, 'imagery')) == 12


def test_an_unknown_way_is_refused():
    with pytest.raises(errors.ConfigError, match="repeats.train is 'median'"):
        repeats.fit({'train': 'median'}, small.brain())


def test_rows_of_any_shape_are_averaged():
    data = small.brain(repeats=3)
    pictures = dataclasses.replace(data.test, voxels=data.test.voxels.reshape(-1, 5, 3, 2))
    wanted = repeats.mean(data.test).voxels.reshape(-1, 5, 3, 2)
    np.testing.assert_array_equal(repeats.mean(pictures).voxels, wanted)
