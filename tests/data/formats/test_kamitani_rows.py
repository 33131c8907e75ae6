import dataclasses

import numpy as np
import pytest

from recon.core import errors
from recon.data import splitting
from recon.data.formats import bdata, kamitani_rows
from recon.data.layouts import _bdata as writer


def table(voxels=8, rows=12, v4='V4', seed=0, **fields):
    rng = np.random.default_rng(seed)
    marks = {f'voxel_{a}': rng.uniform(-40, 40, voxels) for a in 'xyz'}
    marks['voxel_x'][:2] = -1, 1  # exactly 1 is a coordinate, not a membership
    marks |= {'ROI_V1': np.arange(voxels) < 3, f'ROI_{v4}': np.arange(voxels) > 5}
    marks['ROI_VC'] = np.ones(voxels)
    data = rng.standard_normal((rows, voxels)).astype(np.float32)
    return writer.Table(data, {'Run': np.arange(rows) // 4, **fields}, marks)


def opened(path, content, old=False):
    writer.write_h5(path, content, old)
    return bdata.opened(path)


def refused(match, call, *args):
    with pytest.raises(errors.DataInvalid, match=match):
        call(*args)


@pytest.mark.parametrize('v4', ['V4', 'hV4'])
def test_areas_places_and_hemispheres_are_those_of_the_metadata(tmp_path, v4):
    content = table(v4=v4)
    with opened(tmp_path / 'a.h5', content) as file:
        found = kamitani_rows.cortex(file)
    assert found.columns.tolist() == [True] * 8 + [False]
    assert set(found.rois) == {'V1', 'V4', 'hV4', 'VC'}
    assert np.array_equal(found.rois['V4'], found.rois['hV4']) and found.rois['V4'].sum() == 2
    x = content.marks['voxel_x']
    assert np.array_equal(found.info['xyz'][:, 0], x.astype(np.float32))
    assert np.array_equal(found.info['hemisphere'], x > 0)


@pytest.mark.parametrize(('keep', 'count'), [('V1+V4', 5), ('V1, VC', 8), (('hV4',), 2), ('', 8)])
def test_only_the_voxels_of_areas_that_are_asked_for_are_kept(tmp_path, keep, count):
    with opened(tmp_path / 'a.h5', table()) as file:
        found = kamitani_rows.cortex(file, keep)
        assert found.columns.sum() == count == len(found.rois['V1']) == len(found.info['xyz'])
        with pytest.raises(errors.ConfigError, match="names 'V9'.*V1, V4, VC"):
            kamitani_rows.cortex(file, 'V1+V9')


def test_an_area_that_marks_other_columns_or_no_voxels_at_all_are_refused(tmp_path):
    content = table()
    content.families['ROI_X'] = ('Run',)
    with opened(tmp_path / 'a.h5', content) as file:
        refused('1 columns of ROI_X are no voxels', kamitani_rows.cortex, file)
    content = dataclasses.replace(table(), voxels=np.ones((12, 0)), marks={})
    with opened(tmp_path / 'b.h5', content) as file:
        refused('no column belongs to VoxelData', kamitani_rows.cortex, file)


def test_indices_instead_of_millimetres_tell_no_hemisphere(tmp_path):
    content = table()
    content.marks['voxel_x'] = np.arange(8.0)
    with opened(tmp_path / 'a.h5', content) as file:
        assert set(kamitani_rows.cortex(file).info) == {'xyz'}
    content.marks['voxel_y'] = np.full(8, np.nan)
    with opened(tmp_path / 'a.h5', content) as file:
        assert kamitani_rows.cortex(file).info == {}


@pytest.mark.parametrize(
    ('key', 'change', 'message'),
    [
        ('voxel_x', lambda x: -x, 'lie elsewhere'),
        ('voxel_z', lambda x: x[::-1], 'lie elsewhere'),
        ('ROI_V1', lambda x: ~x, 'area V1 is not'),
    ],
)
def test_files_of_other_voxels_do_not_go_together(tmp_path, key, change, message):
    one, other = table(), table()
    other.marks[key] = change(other.marks[key])
    with opened(tmp_path / 'a.h5', one) as a, opened(tmp_path / 'b.h5', other) as b:
        same, unlike = kamitani_rows.cortex(a), kamitani_rows.cortex(b)
        kamitani_rows.check_same(same, kamitani_rows.cortex(a), 'a')
    refused(message, kamitani_rows.check_same, same, unlike, 'b')
    with opened(tmp_path / 'c.h5', table(voxels=9)) as c:
        wide = kamitani_rows.cortex(c)
    refused('9 voxels, the training file has 8', kamitani_rows.check_same, same, wide, 'c')


IDS = np.array([1443537.022563, 1621127.01902, 11879895.5] * 4)


@pytest.mark.parametrize(
    'fields',
    [
        {'stimulus_id': IDS},
        {'Label': np.stack([IDS, np.arange(12)], 1)},
        {'Label': np.stack([np.arange(12), IDS, np.arange(12)], 1)},
    ],
)
@pytest.mark.parametrize('old', [False, True])
def test_names_come_from_whichever_column_holds_ids(tmp_path, fields, old):
    with opened(tmp_path / 'a.h5', table(**fields), old) as file:
        found = kamitani_rows.natural(file)
    assert found.tolist() == ['n01443537_22563', 'n01621127_19020', 'n11879895_500000'] * 4


def test_names_come_from_the_value_map_where_there_is_one(tmp_path):
    content = table(stimulus_name=np.arange(12) % 2, stimulus_id=IDS)
    content.texts['stimulus_name'] = {0: 'n01443537_22563', 1: 'n01621127_00019020'}
    with opened(tmp_path / 'a.h5', content) as file:
        found = kamitani_rows.natural(file)
    assert found.tolist() == ['n01443537_22563', 'n01621127_19020'] * 6


def test_no_ids_and_ids_of_single_precision_are_refused(tmp_path):
    with opened(tmp_path / 'a.h5', table()) as file:
        refused('no stimulus ids.*holds VoxelData, Run', kamitani_rows.natural, file)
    with opened(tmp_path / 'b.h5', table(stimulus_id=IDS)) as file:
        file.itemsize = 4
        refused('single precision', kamitani_rows.natural, file)


def test_numbers_of_a_missing_key_are_unknown_and_fractions_are_refused(tmp_path):
    with opened(tmp_path / 'a.h5', table(Half=np.arange(12) / 2)) as file:
        assert kamitani_rows.numbers(file, 'Run').tolist() == np.repeat([0, 1, 2], 4).tolist()
        assert kamitani_rows.numbers(file, 'Session').tolist() == [-1] * 12
        with pytest.raises(errors.DataInvalid, match="'Half' has 1 columns, or"):
            kamitani_rows.numbers(file, 'Half')


def part(ids, run, session=None, seed=0):
    ids = np.array(ids)
    voxels = np.random.default_rng(seed).standard_normal((len(ids), 5)).astype(np.float32)
    session = np.full(len(ids), -1) if session is None else np.array(session)
    return kamitani_rows.Part(voxels, ids, np.array(run), session)


def test_runs_are_numbered_over_parts_and_sessions_and_repeats_over_rows():
    parts = {
        'train': part(['b', 'a', 'b', 'a'], [1, 1, 1, 2], [1, 1, 2, 2]),
        'test': part(['c', 'c', 'd'], [1, 2, 2], seed=1),
        'letters': part(['e', 'a'], [7, 8], seed=2),
    }
    made = kamitani_rows.splits({}, parts, 'single')
    assert made['train'].run.tolist() == [1, 1, 2, 3] and made['test'].run.tolist() == [4, 5, 5]
    assert made['letters'].run.tolist() == [6, 7]
    assert made['train'].repeat.tolist() == [0, 0, 1, 1] and made['test'].repeat.tolist() == [
        0,
        1,
        0,
    ]
    assert made['train'].session.tolist() == [1, 1, 2, 2]
    assert np.array_equal(made['letters'].voxels, parts['letters'].voxels)


def test_runs_that_no_file_gives_stay_unknown():
    parts = {'train': part(['a', 'b'], [-1, -1]), 'test': part(['c'], [1])}
    made = kamitani_rows.splits({}, parts, 'single')
    assert made['train'].run.tolist() == [-1, -1] and made['test'].run[0] >= 1


def test_averaged_rows_are_the_means_of_the_single_ones():
    ids = np.random.default_rng(0).choice(list('abcdef'), 40)
    parts = {'train': part(ids, np.arange(40) // 8), 'test': part(['x', 'y', 'x'], [1, 1, 2])}
    single = kamitani_rows.splits({}, parts, 'single')
    mean = kamitani_rows.splits({}, parts, 'averaged')
    for name in parts:
        for i, image in enumerate(mean[name].image_id):
            rows = single[name].image_id == image
            np.testing.assert_allclose(
                mean[name].voxels[i], single[name].voxels[rows].mean(0), atol=1e-6
            )
            assert mean[name].trials[i] == rows.sum()
        assert len(np.unique(mean[name].image_id)) == len(mean[name])
    with pytest.raises(errors.ConfigError, match="rows is 'mean'"):
        kamitani_rows.splits({}, parts, 'mean')


def test_an_image_in_training_and_test_is_a_leak_and_other_splits_are_by_image():
    parts = {'train': part(['a', 'b'], [1, 1]), 'test': part(['c', 'b'], [1, 1])}
    with pytest.raises(errors.LeakError, match='image b'):
        kamitani_rows.splits({}, parts, 'single')
    ids = [f'i{i}' for i in range(30)]
    parts = {'train': part(ids[:20] * 2, [1] * 40), 'test': part(ids[20:] * 3, [1] * 30)}
    cfg = splitting.DEFAULTS | {'by': 'fraction', 'test': 0.3, 'validation': 0.2}
    made = kamitani_rows.splits(cfg, parts, 'single')
    shown = [set(made[name].image_id) for name in ('train', 'validation', 'test')]
    assert len(shown[2]) == 9 and not shown[0] & shown[2] and not shown[0] & shown[1]
    assert sum(len(s) for s in made.values()) == 70
