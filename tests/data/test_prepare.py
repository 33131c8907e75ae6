import dataclasses

import ml_collections
import numpy as np
import pytest

from recon.core import errors
from recon.data import prepare
from recon.data.preprocess import normalise, repeats
from tests.data import small


def test_ops_run_in_the_order_of_the_config():
    data = small.brain()
    cfg = ml_collections.ConfigDict(
        dict(
            order=('rois', 'normalise', 'repeats'),
            rois=dict(keep=('V1',)),
            normalise=dict(by='run'),
            repeats=dict(train='mean', test='mean'),
        )
    )
    prepared, stats = prepare.run(cfg, data)
    by_hand = data.keep(data.rois['V1'])
    fitted = normalise.fit({'by': 'run'}, by_hand)
    wanted = repeats.mean(normalise.apply({'by': 'run'}, fitted, by_hand.train, 'train'))
    assert np.array_equal(prepared.train.voxels, wanted.voxels)
    assert list(stats) == ['rois', 'normalise', 'repeats']
    assert all(isinstance(a, np.ndarray) for op in stats.values() for a in op.values())
    other = dict(cfg.to_dict(), order=('rois', 'repeats', 'normalise'), normalise={})
    assert not np.array_equal(prepare.run(other, data)[0].train.voxels, wanted.voxels)


def test_no_op_changes_nothing_and_constant_voxels_are_counted():
    data = small.brain()
    voxels = data.train.voxels.copy()
    voxels[:, :3] = 1.5
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, voxels=voxels))
    prepared, stats = prepare.run({}, data)
    assert prepared.facts['constant_voxels'] == 3 and stats == {}
    assert np.array_equal(prepared.train.voxels, voxels)
    assert 'constant_voxels' not in data.facts


def test_extra_tests_and_validation_are_treated_too():
    data = small.brain()
    data = dataclasses.replace(data, validation=data.test, extra_tests={'again': data.test})
    prepared, _ = prepare.run({'order': ('normalise',)}, data)
    for split in (prepared.validation, prepared.extra_tests['again']):
        assert np.array_equal(split.voxels, prepared.test.voxels)


@pytest.mark.parametrize('part', ['train', 'test'])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_counted_and_placed(part, value):
    data = small.brain()
    split = data.splits()[part]
    voxels = split.voxels.copy()
    voxels[3, 7] = voxels[5, 7] = value
    data = data.with_splits(data.splits() | {part: dataclasses.replace(split, voxels=voxels)})
    with pytest.raises(
        errors.DataInvalid, match=f'2 voxel values of {part}.*2 rows and 1 voxels.*row 3, voxel 7'
    ):
        prepare.run({'order': ('normalise',)}, data)


def test_unknown_repeated_and_special_ops_are_refused():
    data = small.brain()
    with pytest.raises(errors.ConfigError, match="preprocess.order is 'normalize'.*'normalise'"):
        prepare.run({'order': ('normalize',)}, data)
    with pytest.raises(errors.ConfigError, match='name each op once'):
        prepare.run({'order': ('normalise', 'normalise')}, data)
    with pytest.raises(errors.ConfigError, match="'audit', which runs by itself"):
        prepare.run({'order': ('audit',)}, data)


def test_no_rows_and_no_voxels_are_refused():
    data = small.brain()
    with pytest.raises(errors.DataInvalid, match='test has no rows'):
        prepare.run({}, dataclasses.replace(data, test=data.test.rows([])))
    with pytest.raises(errors.DataInvalid, match='train has no voxels'):
        prepare.run({}, data.keep(np.zeros(30, bool)))


def test_new_rows_are_prepared_as_the_test_rows_were():
    data = small.brain()
    cfg = dict(
        order=('rois', 'normalise', 'repeats'),
        rois=dict(keep=('V1',)),
        normalise=dict(by='run'),
        repeats=dict(train='keep', test='mean'),
    )
    prepared, stats = prepare.run(cfg, data)
    kept = prepare.remember(data, stats)
    again = prepare.again(cfg, kept, data.test)
    assert np.array_equal(again.voxels, prepared.test.voxels)
    assert np.array_equal(again.image_id, prepared.test.image_id)
    assert np.array_equal(kept['seen'], np.unique(data.train.image_id))
    assert np.array_equal(kept['roi/V1'], data.rois['V1'])


def test_new_rows_of_another_number_of_voxels_are_refused():
    data = small.brain()
    _, stats = prepare.run({'order': ('normalise',)}, data)
    kept = prepare.remember(data, stats)
    fewer = dataclasses.replace(data.test, voxels=data.test.voxels[:, 1:])
    with pytest.raises(errors.DataInvalid, match='the run was fitted on'):
        prepare.again({'order': ('normalise',)}, kept, fewer)


def test_what_is_remembered_is_written_once(tmp_path):
    data = small.brain()
    _, stats = prepare.run({'order': ('normalise',)}, data)
    kept, path = prepare.remember(data, stats), tmp_path / prepare.FILE
    prepare.keep(tmp_path, kept)
    written = path.stat().st_mtime_ns
    prepare.keep(tmp_path, kept)
    assert path.stat().st_mtime_ns == written
    prepare.keep(tmp_path, kept | {'seen': kept['seen'][1:]})
    assert path.stat().st_mtime_ns > written
    path.write_bytes(path.read_bytes()[:100])
    prepare.keep(tmp_path, kept)
    assert path.stat().st_size > 100


def test_rows_that_become_pictures_keep_to_their_voxels_and_to_what_silence_is():
    data = small.brain()
    cfg = {'order': ('normalise', 'cortical_picture', 'repeats')}
    prepared, stats = prepare.run(cfg, data)
    listed, _ = prepare.run({'order': ('normalise',)}, data)
    x = np.pad(listed.train.voxels, ((0, 0), (0, 6))).reshape(-1, 6, 6, 1)
    low, high = x.min(), x.max()
    np.testing.assert_allclose(prepared.train.voxels, (x - low) / (high - low), atol=1e-5)
    assert prepared.test.voxels.shape == (12, 6, 6, 1)
    np.testing.assert_allclose(prepared.silence(1)[0], -low / (high - low), atol=1e-5)
    alone = prepared.only(prepared.train.voxels, data.rois['V1']).reshape(-1, 36)
    np.testing.assert_allclose(alone[:, 0:30:3], prepared.train.voxels.reshape(-1, 36)[:, 0:30:3])
    assert np.ptp(np.delete(alone, np.s_[0:30:3], 1)) < 1e-5
    assert prepared.count_voxels() == 30 and prepared.rois['V1'].shape == (30,)


@pytest.mark.parametrize('op', ['normalise', 'rois', 'select'])
def test_an_op_of_lists_after_one_that_makes_pictures_is_refused(op):
    with pytest.raises(errors.ConfigError, match=f"name '{op}' earlier"):
        prepare.run({'order': ('cortical_picture', op)}, small.brain())
