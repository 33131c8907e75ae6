import dataclasses
import os
import pickle
import shutil

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data.checks import alignment
from recon.data.datasets import god
from recon.data.formats import files
from recon.data.layouts import god as layout
from recon.data.preprocess import audit, rois

FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('data') / 'god')


@pytest.fixture(scope='module')
def truth(folder):
    return np.load(folder.with_name('god_truth') / 'truth.npz')


@pytest.fixture(scope='module')
def brain(folder):
    return load(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the folder, its files linked: unlink before writing; the .h5 is a true copy."""
    made = shutil.copytree(folder, tmp_path / 'copy', copy_function=os.link)
    (made / 'Subject1.h5').unlink()
    shutil.copy(folder / 'Subject1.h5', made)
    return made


def load(folder, **options):
    return god.load({'path': str(folder)} | options)


def refused(folder, match, error=errors.DataInvalid, **options):
    with pytest.raises(error, match=match):
        load(folder, **options)


def rewrite(folder, column, change, ending='h5'):
    """Changes columns of the table in place; `column` is a metadata key."""
    with h5py.File(folder / f'Subject1.{ending}', 'r+') as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        mask = file['metadata/value'][keys.index(column)] == 1
        whole = file['dataset'][()]
        whole[:, mask] = change(whole[:, mask])
        file['dataset'][...] = whole


def layout_rois():
    return ('V1', 'V2', 'V3', 'LOC', 'FFA', 'PPA', 'LVC', 'HVC', 'VC')


def check(brain, truth):
    for name, split in brain.splits().items():
        for field in FIELDS:
            assert np.array_equal(getattr(split, field), truth[f'{name}_{field}']), (name, field)
    for name, roi in brain.rois.items():
        assert np.array_equal(roi, truth[f'roi_{name}']), name
    for name, field in brain.voxel_info.items():
        assert np.array_equal(field, truth[f'info_{name}']), name
    assert np.array_equal(brain.images.ids, truth['ids'])


@pytest.mark.parametrize(
    ('form', 'subject', 'seed'),
    [('h5', 1, 0), ('h5', 2, 0), ('mat', 1, 0), ('mat', 5, 3), ('old', 2, 3)],
)
def test_rows_areas_and_places_are_the_writers_to_the_bit(tmp_path, form, subject, seed):
    root = layout.write(tmp_path / 'a', subject=subject, seed=seed, old=form == 'old')
    if form == 'mat':
        (root / f'Subject{subject}.h5').unlink()
    found = load(root, subject=subject)
    check(found, np.load(tmp_path / 'a_truth' / 'truth.npz'))
    assert set(found.rois) == set(layout_rois()) | {'V4', 'hV4'}
    assert set(found.voxel_info) == {'xyz', 'hemisphere'}
    assert set(found.voxel_info['hemisphere']) == {0, 1}
    assert found.facts['file'] == f'Subject{subject}.{"mat" if form == "mat" else "h5"}'


def test_subjects_differ_in_size(tmp_path, brain):
    root = layout.write(tmp_path / 'a', subject=2)
    assert load(root, subject=2).train.voxels.shape[1] != brain.train.voxels.shape[1]


def test_voxels_areas_and_ids_are_those_that_bdpy_selects(folder, brain, bdpy):
    theirs = bdpy.BData(str(folder / 'Subject1.h5'))
    kind = theirs.select('DataType')[:, 0]
    for code, split in ((1, brain.train), (2, brain.test)):
        for area in ('V1', 'LVC', 'VC'):
            wanted = theirs.select(f'ROI_{area} = 1')[kind == code].astype(np.float32)
            assert np.array_equal(split.voxels[:, brain.rois[area]], wanted)
        ids = theirs.select('stimulus_id')[kind == code, 0]
        assert [float(i[1:9]) for i in split.image_id] == np.floor(ids).tolist()


def test_pictures_are_those_of_the_files_by_name(folder, brain):
    for split, below in ((brain.train, 'training'), (brain.test, 'test')):
        for name in np.unique(split.image_id)[::5]:
            stored = files.picture(folder / 'images' / below / f'{name}.JPEG')
            assert np.array_equal(brain.images[[name]][0], stored.astype(np.float32) / 255)


def test_a_voxel_is_in_several_areas_and_some_are_in_none(brain):
    v1, lvc, vc = (brain.rois[name] for name in ('V1', 'LVC', 'VC'))
    assert v1.sum() < lvc.sum() < vc.sum() < len(vc) and (v1 & lvc & vc).sum() == v1.sum()
    assert rois.fit({'keep': 'V1+V2+V3'}, brain)['keep'].sum() == lvc.sum()


def test_only_areas_that_are_asked_for_are_read(folder, brain):
    found = load(folder, rois='V1+PPA')
    keep = brain.rois['V1'] | brain.rois['PPA']
    assert np.array_equal(found.train.voxels, brain.train.voxels[:, keep])
    assert np.array_equal(found.rois['VC'], brain.rois['VC'][keep])
    refused(folder, "rois names 'V7'", errors.ConfigError, rois='V7')


def test_averaged_rows_are_means_over_presentations(folder, brain):
    mean = load(folder, rows='averaged')
    assert len(mean.test) == 12 and (mean.test.trials == 4).all() and len(mean.train) == 96
    first = brain.test.image_id == mean.test.image_id[0]
    np.testing.assert_allclose(mean.test.voxels[0], brain.test.voxels[first].mean(0), atol=1e-6)
    assert mean.facts['rows'] == 'mean of each image'


def test_imagery_is_left_out_with_a_note_and_taken_when_asked_for(folder, brain):
    assert not brain.extra_tests and any('24 imagery rows' in n for n in brain.facts['notes'])
    found = load(folder, imagery=True)
    imagined = np.load(folder.with_name('god_truth') / 'imagery.npz')
    for field in FIELDS:
        assert np.array_equal(
            getattr(found.extra_tests['imagery'], field), imagined[f'imagery_{field}']
        )
    assert any('nobody saw a picture' in note for note in found.facts['notes'])


def test_splits_are_by_image_and_category_leakage_is_counted(folder, brain):
    assert brain.facts['categories'] == {'train': 24, 'test': 12, 'shared': 0}
    found = load(folder, split={'by': 'fraction', 'test': 0.3, 'validation': 0.1})
    parts = [set(s.image_id) for s in found.splits().values()]
    assert len(parts) == 3 and sum(map(len, parts)) == len(set.union(*parts)) == 108
    assert found.facts['categories']['shared'] > 0 and '30%' in found.facts['split']


def test_correct_files_pass_the_audit(brain):
    clean = audit.check({}, brain, brain, {})
    assert clean['alignment_warning'] is None and clean['seen_test_images'] == 0


@pytest.mark.long
def test_ids_off_by_one_row_are_seen_by_the_alignment_check(tmp_path, monkeypatch):
    """Each training image is shown once: it takes the true 1,200 rows to see it."""
    scale = dataclasses.replace(layout.SCALES['toy'], train=(24, 50), voxels=900)
    monkeypatch.setitem(layout.SCALES, 'toy', scale)
    root = layout.write(tmp_path / 'a')
    found = load(root)
    assert alignment.check(found.train, found.images)['alignment_warning'] is None
    for shift in (1, -2):  # one late, then one early

        def roll(x, shift=shift):
            return np.concatenate([np.roll(x[:1200], shift), x[1200:]])

        rewrite(root, 'stimulus_id', roll)
        late = load(root)
        assert 'off-by-one' in alignment.check(late.train, late.images)['alignment_warning']


def test_image_numbers_off_by_one_are_not_in_the_list_or_have_no_picture(copy):
    rewrite(copy, 'stimulus_id', lambda x: x + 1e-6 * (x % 1 > 0))
    refused(copy, '96 stimuli of train are not in the list, first n0', errors.DataInvalid)
    for name in ('training', 'test'):
        (copy / f'imageID_{name}.csv').unlink()
    refused(copy, r'96 of 96 pictures.*first n0.*set dataset.images', errors.DataMissing)


def test_a_list_that_is_off_by_one_line_contradicts_itself(copy):
    path = copy / 'imageID_training.csv'
    rows = [line.split(',') for line in path.read_text().splitlines()]
    path.unlink()
    path.write_text('\n'.join(f'{a[0]},{b[1]}' for a, b in zip(rows, rows[1:], strict=False)))
    refused(copy, 'line 1 names n0.* beside .* ids are off')


def test_rounded_ids_and_a_missing_label_column_are_refused(copy):
    rewrite(copy, 'stimulus_id', np.floor)
    refused(copy, '24 of 24 stimuli of train name no picture.*rounded')
    rewrite(copy, 'stimulus_id', lambda x: x * 0 + 7)
    refused(copy, "no column of 'stimulus_id' holds stimulus ids.*7 to 7")


def test_a_test_image_that_was_trained_on_is_a_leak(copy):
    rewrite(copy, 'stimulus_id', lambda x: np.concatenate([x[:95], x[100:101], x[96:]]))
    for name in ('training', 'test'):
        (copy / f'imageID_{name}.csv').unlink()
    refused(copy, 'image n0.* is in train and in test', errors.LeakError)


def test_a_test_picture_that_was_trained_on_under_another_name_is_seen_by_the_audit(copy):
    source = next((copy / 'images' / 'test').iterdir())
    target = next((copy / 'images' / 'training').iterdir())
    target.unlink()
    shutil.copy(source, target)
    seen = load(copy)
    with pytest.raises(errors.LeakError, match='1 images of test'):
        audit.check({}, seen, seen, {})


def test_a_factor_of_300_is_refused_in_a_part_and_noted_in_all(copy, brain):
    rewrite(copy, 'VoxelData', lambda x: np.concatenate([x[:96], 300 * x[96:]]))
    refused(copy, 'voxels of test spread by.*not in one unit')
    rewrite(copy, 'VoxelData', lambda x: np.concatenate([300 * x[:96], x[96:]]))
    assert any('scale factor' in note for note in load(copy).facts['notes'])
    assert not any('scale factor' in note for note in brain.facts['notes'])


def test_a_missing_run_is_noted(copy):
    with h5py.File(copy / 'Subject1.h5', 'r+') as file:
        whole = np.delete(file['dataset'][()], np.s_[96:102], 0)  # half a test run
        del file['dataset']
        file['dataset'] = whole
    notes = ' '.join(load(copy).facts['notes'])
    assert 'test: images are shown 3 to 4 times, 6 of 12 fewer' in notes
    assert 'test: runs have 6 to 12 rows' in notes
    assert 'missing_runs' not in load(copy).facts
    with h5py.File(copy / 'Subject1.h5', 'r+') as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        kind, run = (
            whole[:, file['metadata/value'][keys.index(key)] == 1][:, 0]
            for key in ('DataType', 'Run')
        )
        del file['dataset']
        file['dataset'] = whole[(kind != 2) | (run != 2)]
    facts = load(copy).facts
    assert facts['missing_runs'] == {'test': [2]}
    assert 'test: runs 2 are missing, by their numbers' in facts['notes']


def test_counts_unlike_the_published_are_noted_for_real_data_only(copy, brain):
    assert not any('published' in note for note in brain.facts['notes'])
    assert brain.facts['simulated'] is True
    (copy / 'SIMULATED.txt').unlink()
    notes = ' '.join(load(copy).facts['notes'])
    assert 'train: 96 images shown 1 times; published are 1200 shown 1 times' in notes


@pytest.mark.parametrize('content', [b'', b'<html>' * 99, pickle.dumps([1.0] * 999), 'cut'])
@pytest.mark.parametrize('ending', ['h5', 'mat'])
def test_broken_files_are_named(copy, content, ending):
    (copy / 'Subject1.h5').unlink()
    path = copy / f'Subject1.{ending}'
    if content == 'cut':
        whole = (copy / 'Subject1.mat').read_bytes() if ending == 'mat' else None
        content = whole[: len(whole) // 2] if whole else layout_bytes(copy)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    refused(copy, rf'(empty|cut short|cannot be read|can be read).*Subject1.{ending}')


def layout_bytes(copy):
    """Half of an HDF5 file."""
    path = copy / 'half.h5'
    with h5py.File(path, 'w') as file:
        file['dataset'] = np.ones((99, 99))
    content = path.read_bytes()
    path.unlink()
    return content[: len(content) // 2]


def test_axis_order_is_told_by_the_metadata(copy):
    with h5py.File(copy / 'Subject1.h5', 'r+') as file:
        whole = file['dataset'][()]
        del file['dataset']
        file['dataset'] = whole.T
    refused(copy, 'transposed.*Subject1.h5')


def test_a_header_that_promises_too_much_is_refused(copy):
    with h5py.File(copy / 'Subject1.h5', 'r+') as file:
        columns = file['dataset'].shape[1]
        del file['dataset']
        file.create_dataset('dataset', (10**12 // columns, columns), np.float64, chunks=(1000, 10))
    refused(copy, r'promises \(.*Subject1.h5')


def test_data_types_that_do_not_exist_or_lack_are_refused(copy):
    rewrite(copy, 'DataType', lambda x: np.where(x == 2, 4, x))
    refused(copy, r'DataType holds \[1, 3, 4\]: no rows of test')
    rewrite(copy, 'DataType', lambda x: np.where(x == 3, 2.5, x))
    refused(copy, "'DataType' has 1 columns, or numbers that are not whole")


def test_pictures_that_lack_are_counted_and_broken_ones_named(copy):
    lost = sorted((copy / 'images' / 'training').iterdir())
    for path in lost[3:5]:
        path.unlink()
    refused(copy, f'2 of 96 pictures are not there, first {lost[3].stem}', errors.DataMissing)
    for path in lost[3:5]:
        path.write_bytes(b'GIF89a')
    refused(copy, f'not a picture.*{lost[3].name}')


def test_pictures_may_lie_elsewhere_and_be_png(copy, brain, tmp_path):
    shutil.move(copy / 'images', tmp_path / 'pictures')
    refused(copy, '96 of 96 pictures', errors.DataMissing)
    for path in (tmp_path / 'pictures').rglob('*.JPEG'):
        Image.fromarray(files.picture(path)).save(path.with_suffix('.png'))
        path.unlink()
    found = load(copy, images=str(tmp_path / 'pictures'))
    assert np.array_equal(found.images[found.images.ids], brain.images[brain.images.ids])
    assert load(copy, images=str(tmp_path / 'pictures'), image_size=32).images.shape == (32, 32)


def test_the_parent_with_data_will_do_and_missing_subjects_are_named(copy, brain, tmp_path):
    shutil.move(copy, tmp_path / 'repository' / 'data')
    assert np.array_equal(load(tmp_path / 'repository').train.voxels, brain.train.voxels)
    refused(tmp_path / 'repository', 'no Subject4.h5.*Subject1.h5', errors.DataMissing, subject=4)
    refused(tmp_path / 'nowhere', r'no Subject1.*launch/fetch.py god.*:smoke', errors.DataMissing)
    refused('', 'dataset.path is not set', errors.DataMissing)


def test_other_options_are_refused(folder):
    refused(folder, "dataset.rows is 'mean'", errors.ConfigError, rows='mean')
    refused(folder, 'image_size is 3', errors.ConfigError, image_size=3)


def test_empty_areas_are_noted(copy):
    with h5py.File(copy / 'Subject1.h5', 'r+') as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        values = file['metadata/value'][()]
        values[keys.index('ROI_FFA')] *= 0
        file['metadata/value'][...] = values
    found = load(copy)
    assert not found.rois['FFA'].any() and 'area FFA has no voxel' in found.facts['notes']


def test_a_matlab_file_by_scipy_alone_is_read(copy, brain):
    """Written here, not by the layout: other field order, lower-case names, a header."""
    held = scipy.io.loadmat(copy / 'Subject1.mat')
    meta = held['metaData'][0, 0]
    (copy / 'Subject1.h5').unlink()
    (copy / 'Subject1.mat').unlink()
    scipy.io.savemat(
        copy / 'Subject1.mat',
        {
            'header': {'by': 'hand'},
            'dataset': held['dataSet'],
            'metadata': {k: meta[k] for k in ('value', 'description', 'key')},
        },
        do_compression=True,
    )
    assert np.array_equal(load(copy).train.voxels, brain.train.voxels)
