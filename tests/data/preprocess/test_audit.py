import dataclasses
import json
import types as python_types

import numpy as np
import pytest

from recon.core import errors, types
from recon.data import prepare
from recon.data.preprocess import audit, normalise
from tests.data import small

PREPARE = {'order': ('normalise', 'repeats'), 'normalise': {'by': 'run'}}


def check(data, cfg=None, prepare_cfg=PREPARE):
    prepared, _ = prepare.run(prepare_cfg, data)
    return audit.check(cfg or {}, data, prepared, prepare_cfg)


def with_pictures(data, change):
    """The same data with the stored pictures [m h w 1] changed in place by `change`."""
    pictures = np.array(data.images.read(np.arange(len(data.images.ids))))
    change(pictures)
    return dataclasses.replace(
        data, images=dataclasses.replace(data.images, read=pictures.__getitem__)
    )


def test_clean_data_pass_and_the_entry_is_json():
    entry = check(small.brain())
    counts = {k: entry[k] for k in ('train_images', 'test_images', 'seen_test_images')}
    assert counts == {'train_images': 48, 'test_images': 12, 'seen_test_images': 0}
    assert entry['near_duplicates'] == 0 and entry['label'] is None
    assert entry['train_only_statistics'] is True
    assert set(entry['alignment']) == {'-1', '0', '1'}
    assert json.loads(json.dumps(entry)) == entry


def test_a_test_image_among_the_training_ids_is_refused():
    data = small.brain()
    ids = data.test.image_id.copy()
    ids[ids == 50] = 7
    seen = dataclasses.replace(data, test=dataclasses.replace(data.test, image_id=ids))
    with pytest.raises(errors.LeakError, match='1 images of test.*allow_seen=true'):
        check(seen)
    entry = check(seen, {'allow_seen': True})
    assert entry['seen_test_images'] == 1 and entry['label'] == 'seen images'


def test_a_copy_under_another_id_is_found_by_content():
    def copy(pictures):
        pictures[55] = pictures[3]

    data = with_pictures(small.brain(), copy)
    with pytest.raises(errors.LeakError, match='1 images of test'):
        check(data)
    assert check(data, {'allow_seen': True})['near_duplicates'] == 0  # it is seen, not near


def test_images_of_validation_and_of_extra_tests_count_too():
    data = small.brain()
    with pytest.raises(errors.LeakError, match='12 images of test'):
        check(dataclasses.replace(data, validation=data.test))
    extra = dataclasses.replace(data, extra_tests={'again': data.train})
    with pytest.raises(errors.LeakError, match='48 images of again'):
        check(extra)
    entry = check(extra, {'allow_seen': True})
    assert entry['seen_extra_tests'] == {'again': 48} and entry['seen_test_images'] == 0


def test_near_duplicates_are_counted_and_not_refused():
    def change(pictures):
        pictures[50] = np.clip(pictures[3].astype(int) + 3, 0, 255)  # brighter
        pictures[51] = pictures[4] // 2  # less contrast
        pictures[52] = 100
        pictures[5] = 101  # two flat pictures of nearly one grey

    assert check(with_pictures(small.brain(), change))['near_duplicates'] == 3


def test_one_pixel_of_a_pattern_is_not_a_near_duplicate():
    def change(pictures):
        pictures[:] = np.where(pictures > 127, 255, 0)
        pictures[50] = pictures[3]
        pictures[50, 2, 2] = 255 - pictures[50, 2, 2]

    assert check(with_pictures(small.brain(side=10), change))['near_duplicates'] == 0


@pytest.mark.parametrize('leaky', ['statistics', 'rows'])
def test_an_op_that_looks_at_test_rows_is_caught_by_name(leaky, monkeypatch):
    def fit(cfg, data):
        """The fault: the scaler sees all rows."""
        rows = [s.voxels for s in data.splits().values()]
        both = dataclasses.replace(data.train, voxels=np.concatenate(rows), image_id=None)
        return normalise.fit(cfg, dataclasses.replace(data, train=both))

    def as_rows(cfg, stats, split, part):
        return split

    monkeypatch.setattr(types.Split, '__post_init__', lambda self: None)
    op = python_types.SimpleNamespace(
        fit=fit, apply=normalise.apply if leaky == 'rows' else as_rows
    )
    monkeypatch.setattr(prepare, '_find', lambda name: op)
    with pytest.raises(errors.LeakError, match='leaky.*multiplied by 100'):
        check(small.brain(), prepare_cfg={'order': ('leaky',)})


def test_every_op_with_its_options_keeps_to_the_training_rows():
    for cfg in (
        {'order': ('normalise',), 'normalise': {'by': 'session', 'method': 'minmax'}},
        {'order': ('normalise',), 'normalise': {'by': 'run', 'unseen': 'own'}},
        {'order': ('select', 'repeats'), 'select': {'by': 'correlation', 'k': 9}},
        {'order': ('repeats', 'select'), 'repeats': {'train': 'sample'}, 'select': {'k': 9}},
        {'order': ('rois', 'select'), 'rois': {'keep': 'V1'}, 'select': {'by': 'ncsnr', 'k': 3}},
    ):
        assert check(small.brain(), prepare_cfg=cfg)['train_only_statistics'] is True


def test_the_alignment_check_survives_averaged_rows_and_can_be_switched_off():
    data = small.brain(n_train=100)
    joined = check(data, prepare_cfg={'order': ('repeats',), 'repeats': {'train': 'mean'}})
    assert joined['alignment'] == check(data, prepare_cfg={})['alignment'] != {}
    off = check(data, {'alignment': False})
    assert off['alignment'] == {} and 'audit.alignment' in off['alignment_note']


def test_an_off_by_one_warns_in_the_entry():
    data = small.brain(n_train=150, noise=0.5)
    ids = np.roll(data.train.image_id, 1)
    late = dataclasses.replace(data, train=dataclasses.replace(data.train, image_id=ids))
    assert 'off-by-one' in check(late)['alignment_warning']


def test_large_recordings_are_checked_on_some_voxels_of_those_that_are_kept(monkeypatch):
    data, asked = small.brain(), []
    monkeypatch.setattr(audit, '_MOST', 100)
    monkeypatch.setattr(audit, '_SOME', 4)
    whole = prepare.run
    prepared, _ = whole(PREPARE, data)

    def spied(cfg, brain):
        asked.append(brain.train.voxels.shape[1])
        return whole(cfg, brain)

    monkeypatch.setattr(prepare, 'run', spied)
    cfg = {'order': ('rois', *PREPARE['order']), 'rois': {'keep': ('V2',)}} | {
        k: v for k, v in PREPARE.items() if k != 'order'
    }
    entry = audit.check({'alignment': False}, data, prepared, cfg)
    assert entry['train_only_statistics'] is True and asked == [4, 4, 4]


def test_rows_that_are_pictures_are_audited_like_lists():
    data = small.brain()
    entry = check(data, prepare_cfg={'order': ('normalise', 'cortical_picture')})
    assert entry['train_only_statistics'] is True and set(entry['alignment']) == {'-1', '0', '1'}
    assert entry['alignment'] == check(data, prepare_cfg={'order': ()})['alignment']


def test_large_recordings_of_which_a_picture_shows_some_areas_are_checked_on_voxels_of_these(
    monkeypatch,
):
    data = small.brain(voxels=600)
    rare = np.arange(600) == 500  # never among four drawn of all with this seed
    data = dataclasses.replace(data, rois=data.rois | {'rare': rare})
    cfg = {'order': ('normalise', 'cortical_picture'), 'cortical_picture': {'keep': ('rare',)}}
    monkeypatch.setattr(audit, '_MOST', 100)
    monkeypatch.setattr(audit, '_SOME', 4)
    assert check(data, {'alignment': False}, cfg)['train_only_statistics'] is True
