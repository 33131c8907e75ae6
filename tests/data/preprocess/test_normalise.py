import dataclasses

import numpy as np
import pytest
from sklearn import preprocessing

from recon.core import errors, types
from recon.data.preprocess import normalise
from tests.data import small


def apply(cfg, data, split, part='test'):
    return normalise.apply(cfg, normalise.fit(cfg, data), split, part).voxels


@pytest.mark.parametrize('seed', [0, 1])
def test_all_rows_at_once_equals_scikit_learn(seed):
    data = small.brain(seed)
    for method, oracle in (
        ('zscore', preprocessing.StandardScaler()),
        ('minmax', preprocessing.MinMaxScaler()),
    ):
        oracle.fit(data.train.voxels.astype(np.float64))
        for part in (data.train, data.test):
            ours = apply({'method': method}, data, part)
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, oracle.transform(part.voxels), atol=2e-5)


@pytest.mark.parametrize('by', ['run', 'session'])
def test_by_run_each_run_equals_scikit_learn_on_that_run(by):
    data = small.brain()
    ours = apply({'by': by}, data, data.train, 'train')
    for group in np.unique(getattr(data.train, by)):
        rows = getattr(data.train, by) == group
        oracle = preprocessing.scale(data.train.voxels[rows].astype(np.float64))
        np.testing.assert_allclose(ours[rows], oracle, atol=2e-5)


def test_a_run_without_training_rows_gets_the_mean_and_the_within_run_spread_of_training():
    data = small.brain()
    x, run = data.train.voxels.astype(np.float64), data.train.run
    residual = x - np.stack([x[run == r].mean(0) for r in run])
    wanted = (data.test.voxels - x.mean(0)) / np.sqrt(np.square(residual).mean(0))
    np.testing.assert_allclose(apply({'by': 'run'}, data, data.test), wanted, atol=2e-5)


def test_a_test_row_in_a_training_run_gets_that_runs_training_statistics():
    data = small.brain()
    run = data.train.run[0]
    x = data.train.voxels[data.train.run == run].astype(np.float64)
    shared = dataclasses.replace(data.test, run=np.full(len(data.test), run, np.int32))
    wanted = (data.test.voxels - x.mean(0)) / x.std(0)
    np.testing.assert_allclose(apply({'by': 'run'}, data, shared), wanted, atol=2e-5)


def test_own_statistics_of_unseen_runs_are_an_option_and_leave_training_alone():
    data = small.brain()
    ours = apply({'by': 'run', 'unseen': 'own'}, data, data.test)
    for group in np.unique(data.test.run):
        rows = data.test.run == group
        oracle = preprocessing.scale(data.test.voxels[rows].astype(np.float64))
        np.testing.assert_allclose(ours[rows], oracle, atol=2e-5)
    train = apply({'by': 'run', 'unseen': 'own'}, data, data.train, 'train')
    assert np.array_equal(train, apply({'by': 'run'}, data, data.train, 'train'))


@pytest.mark.parametrize('by', ['all', 'run'])
@pytest.mark.parametrize('method', ['zscore', 'minmax'])
@pytest.mark.parametrize('constant', [0.0, 7.1, -1e6])
def test_a_voxel_that_is_constant_in_training_becomes_zero(by, method, constant):
    data = small.brain()
    voxels = data.train.voxels.copy()
    voxels[:, 4] = constant
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, voxels=voxels))
    for split in (data.train, data.test):
        out = apply({'by': by, 'method': method}, data, split)
        assert np.isfinite(out).all() and (out[:, 4] == 0).all() and (out[:, 5] != 0).any()


def test_the_training_output_and_the_statistics_ignore_the_test_rows_bit_by_bit():
    data = small.brain()
    louder = dataclasses.replace(
        data, test=dataclasses.replace(data.test, voxels=data.test.voxels * 100)
    )
    for by in ('all', 'run', 'session'):
        a, b = normalise.fit({'by': by}, data), normalise.fit({'by': by}, louder)
        assert all(a[key].tobytes() == b[key].tobytes() for key in a)


def test_small_spread_on_a_large_mean_keeps_its_precision():
    rng = np.random.default_rng(0)
    x = (8000 + rng.normal(size=(3000, 3))).astype(np.float32)
    split = types.Split(x, np.arange(3000))
    data = dataclasses.replace(small.brain(), train=split, test=split)
    out = apply({}, data, split)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(out.std(0), 1, atol=1e-3)


def test_rows_without_a_run_cannot_be_normalised_by_run():
    data = small.brain()
    lost = dataclasses.replace(data, train=dataclasses.replace(data.train, run=None))
    with pytest.raises(errors.ConfigError, match='96 of 96 rows of training have no run.*by=.all'):
        normalise.fit({'by': 'run'}, lost)
    lost = dataclasses.replace(data.test, run=None)
    stats = normalise.fit({'by': 'run', 'unseen': 'own'}, data)
    with pytest.raises(errors.ConfigError, match='test have no run'):
        normalise.apply({'by': 'run', 'unseen': 'own'}, stats, lost, 'test')
    # With pooled statistics a row without a run is simply of an unseen one.
    pooled = normalise.apply({'by': 'run'}, stats, lost, 'test')
    assert np.array_equal(pooled.voxels, apply({'by': 'run'}, data, data.test))


def test_a_run_of_one_row_and_unknown_options_are_refused():
    data = small.brain()
    run = data.train.run.copy()
    run[0] = 99
    alone = dataclasses.replace(data, train=dataclasses.replace(data.train, run=run))
    with pytest.raises(errors.DataInvalid, match='run 99 has a single training row'):
        normalise.fit({'by': 'run'}, alone)
    for key, value in (('by', 'day'), ('method', 'rank'), ('unseen', 'mean')):
        with pytest.raises(errors.ConfigError, match=f'normalise.{key} is {value!r}'):
            normalise.fit({key: value}, data)
