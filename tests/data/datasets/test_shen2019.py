import os
import shutil

import h5py
import numpy as np
import pytest

from recon.core import errors
from recon.data.checks import alignment
from recon.data.datasets import shen2019
from recon.data.formats import files
from recon.data.layouts import shen2019 as layout
from recon.data.preprocess import audit

FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')
TRAIN = 'sub-01_perceptionNaturalImageTraining_original_VC.h5'
TEST = 'sub-01_perceptionNaturalImageTest_original_VC.h5'
SHAPES = 'sub-01_perceptionArtificialImage_original_VC.h5'
LETTERS = 'sub-01_perceptionLetterImage_original_VC.h5'
IMAGERY = 'sub-01_imagery_original_VC.h5'
NEW = 'sub-01_ImageNetTraining_fmriprep_volume_native.h5'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('data') / 'a')


@pytest.fixture(scope='module')
def fmriprep(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('data') / 'b', release='fmriprep')


@pytest.fixture(scope='module')
def brain(folder):
    return load(folder)


def copied(folder, tmp_path):
    """Pictures are linked (unlink before writing), everything else is a true copy."""
    made = shutil.copytree(folder / 'images', tmp_path / 'copy' / 'images', copy_function=os.link)
    for path in folder.iterdir():
        if path.is_file():
            shutil.copy(path, made.parent)
    return made.parent


@pytest.fixture
def copy(folder, tmp_path):
    return copied(folder, tmp_path)


@pytest.fixture
def new(fmriprep, tmp_path):
    return copied(fmriprep, tmp_path)


def load(folder, **options):
    return shen2019.load({'path': str(folder)} | options)


def refused(folder, match, error=errors.DataInvalid, **options):
    with pytest.raises(error, match=match):
        load(folder, **options)


def notes(folder, **options):
    return ' '.join(load(folder, **options).facts['notes'])


def rewrite(path, change, key=None):
    """Changes the table, or the columns of `key`, or the rows."""
    with h5py.File(path, 'r+') as file:
        whole = file['dataset'][()]
        if key is None:
            whole = change(whole)
        else:
            keys = [k.decode() for k in file['metadata/key'][()]]
            mask = file['metadata/value'][keys.index(key)] == 1
            whole[:, mask] = change(whole[:, mask])
        del file['dataset']
        file['dataset'] = whole


def check(brain, truth):
    assert list(brain.splits()) == ['train', 'test', 'artificial', 'letters', 'imagery']
    for name, split in brain.splits().items():
        for field in FIELDS:
            assert np.array_equal(getattr(split, field), truth[f'{name}_{field}']), (name, field)
    for name, roi in brain.rois.items():
        assert np.array_equal(roi, truth[f'roi_{name}']), name
    for name, field in brain.voxel_info.items():
        assert np.array_equal(field, truth[f'info_{name}']), name
    assert np.array_equal(brain.images.ids, truth['ids'])
    assert {'V4', 'hV4', 'LVC', 'HVC', 'VC'} < set(brain.rois)


@pytest.mark.parametrize('release', ['original', 'fmriprep'])
@pytest.mark.parametrize(('subject', 'seed'), [(1, 0), (2, 0), (3, 5)])
def test_rows_areas_and_places_are_the_writers_to_the_bit(tmp_path, release, subject, seed):
    root = layout.write(tmp_path / 'a', subject=subject, seed=seed, release=release)
    found = load(root, subject=subject)
    check(found, np.load(tmp_path / 'a_truth' / 'truth.npz'))
    assert found.facts['release'] == release and found.facts['simulated'] is True
    assert found.facts['categories'] == {'train': 15, 'test': 12, 'shared': 0}


def test_voxels_and_names_are_those_that_bdpy_gives(folder, brain, fmriprep, bdpy):
    theirs = bdpy.BData(str(folder / TRAIN))
    wanted = theirs.select('ROI_V4').astype(np.float32)
    assert np.array_equal(brain.train.voxels[:, brain.rois['V4']], wanted)
    ids = theirs.get('Label')[:, 1]  # the second column
    assert [int(i[1:9]) for i in brain.train.image_id] == np.floor(ids).astype(int).tolist()
    theirs, found = bdpy.BData(str(fmriprep / NEW)), load(fmriprep)
    assert theirs.get_labels('stimulus_name') == found.train.image_id.tolist()
    wanted = theirs.select('ROI_hV4').astype(np.float32)
    assert np.array_equal(found.train.voxels[:, found.rois['V4']], wanted)


def test_pictures_of_every_set_are_those_of_the_files_by_name(folder, brain):
    stored = {p.stem: p for p in (folder / 'images').rglob('*.*')}
    for split in brain.splits().values():
        for name in np.unique(split.image_id)[::3]:
            wanted = files.picture(stored[name]).astype(np.float32) / 255
            assert np.array_equal(brain.images[[name]][0], wanted)
    assert set(brain.extra_tests['imagery'].image_id) < set(brain.images.ids)


def test_unpadded_names_do_not_disturb_the_order(folder, brain):
    """shape_10 sorts before shape_2 as text; the list tells which number it has."""
    with h5py.File(folder / SHAPES) as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        label = file['dataset'][()][:, file['metadata/value'][keys.index('Label')] == 1]
    names = brain.extra_tests['artificial'].image_id
    assert names.tolist() == [f'shape_{int(n)}' for n in label[:, 1]]


def test_averaged_rows_are_means_over_presentations(folder, brain):
    mean = load(folder, rows='averaged')
    assert [len(s) for s in mean.splits().values()] == [60, 12, 8, 5, 7]
    assert (mean.train.trials == 5).all() and (mean.test.trials == 4).all()
    first = brain.train.image_id == mean.train.image_id[7]
    np.testing.assert_allclose(mean.train.voxels[7], brain.train.voxels[first].mean(0), atol=1e-6)


def test_sessions_follow_on_each_other_and_a_missing_one_is_named(new):
    found = load(new)
    assert set(found.train.session) == {1, 2, 3} and set(found.test.session) == {4, 5}
    assert found.facts['missing_sessions'] == []
    assert found.facts['sessions'] == list(range(1, 9))
    session = found.train.session
    rewrite(new / NEW, lambda whole: whole[session != 2])
    found = load(new)
    assert found.facts['missing_sessions'] == [2]
    said = ' '.join(found.facts['notes'])
    assert (
        'sessions 2 are missing' in said
        and 'fewer than the others: a run or a session is missing' in said
    )


def test_a_session_may_be_held_out(fmriprep, folder):
    split = {'by': 'session', 'sessions': (5,)}
    found = load(fmriprep, split=split)
    assert set(found.test.session) == {5}
    assert not set(found.train.image_id) & set(found.test.image_id)
    refused(folder, 'dataset.split.sessions is', errors.ConfigError, split=split)


def test_runs_that_restart_in_each_session_are_told_apart(fmriprep, bdpy):
    theirs = bdpy.BData(str(fmriprep / NEW))
    assert theirs.get('Run').max() < len(np.unique(load(fmriprep).train.run)) == 15


def test_correct_files_pass_the_audit_and_ids_off_by_one_row_do_not(copy, brain):
    clean = audit.check({}, brain, brain, {})
    assert clean['alignment_warning'] is None and clean['seen_test_images'] == 0
    rewrite(copy / TRAIN, lambda x: np.roll(x, 1, 0), 'Label')
    late = load(copy)
    assert 'off-by-one' in alignment.check(late.train, late.images)['alignment_warning']


def test_two_releases_in_one_folder_must_be_chosen_between(copy, fmriprep):
    for path in fmriprep.glob('*.h5'):
        shutil.copy(path, copy)
    refused(
        copy, 'files of two releases: fmriprep and original.*dataset.release', errors.ConfigError
    )
    assert load(copy, release='original').train.voxels.shape[1] == 420
    assert load(copy, release='fmriprep').train.voxels.shape[1] == 460
    refused(copy, "release is 'new'", errors.ConfigError, release='new')
    (copy / TEST).unlink()
    refused(copy, f'no {TEST}', errors.DataMissing, release='original')


def test_files_of_other_voxels_are_not_put_together(copy, fmriprep):
    shutil.copy(fmriprep / 'sub-01_ImageNetTest_fmriprep_volume_native.h5', copy / TEST)
    refused(copy, '460 voxels, the training file has 420')


@pytest.mark.parametrize(
    ('key', 'change', 'message'),
    [
        ('voxel_x', np.negative, 'lie elsewhere'),
        ('voxel_y', lambda x: x[::-1], 'lie elsewhere'),
        ('ROI_V1', lambda x: 1 - x, 'area V1 is not that of the training file'),
    ],
)
def test_mirrored_hemispheres_and_other_areas_in_one_file_are_refused(copy, key, change, message):
    with h5py.File(copy / TEST, 'r+') as file:
        at = [k.decode() for k in file['metadata/key'][()]].index(key)
        row = file['metadata/value'][at]
        row[:420] = change(row[:420])
        file['metadata/value'][at] = row
    refused(copy, f'{message}.*{TEST}')


def test_a_factor_of_300_in_one_file_is_refused(copy):
    rewrite(copy / TEST, lambda x: 300 * x, 'VoxelData')
    refused(copy, 'voxels of test spread by.*not in one unit')


def test_further_sets_are_optional(copy):
    for name in (SHAPES, LETTERS, IMAGERY):
        (copy / name).unlink()
    found = load(copy)
    assert not found.extra_tests
    said = [note for note in found.facts['notes'] if note.startswith('no file of')]
    assert len(said) == 3 and 'no file of artificial (sub-01_...artificial' in said[0]
    assert '_original_VC.h5' in said[0] and 'letter' in said[1] and 'alphabet' in said[1]


def test_a_run_without_rows_between_others_is_named(copy, brain):
    assert 'missing_runs' not in brain.facts
    rewrite(copy / TRAIN, lambda x: np.delete(x, np.s_[40:60], 0))  # the third run of 20
    found = load(copy)
    assert found.facts['missing_runs'] == {'train': [3]}
    assert 'train: runs 3 are missing, by their numbers' in found.facts['notes']


def test_runs_are_looked_for_in_each_session_where_they_begin_anew(new):
    assert 'missing_runs' not in load(new).facts
    rewrite(new / NEW, lambda x: np.delete(x, np.s_[120:140], 0))
    assert load(new).facts['missing_runs'] == {'train, session 2': [2]}


@pytest.mark.parametrize('part', ['Training', 'Test'])
def test_a_list_of_natural_images_must_name_every_stimulus(copy, part):
    path = copy / f'NaturalImage{part}.tsv'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(lines[1:]))
    name = lines[0].split('\t')[0]
    refused(copy, f'1 stimuli of {"train" if part == "Training" else "test"} are.*first {name}')


def test_further_sets_without_names_or_pictures_are_left_out_with_a_note(copy):
    (copy / 'ArtificialImage.tsv').unlink()
    shutil.rmtree(copy / 'images' / 'letters')
    found = load(copy)
    said = ' '.join(found.facts['notes'])
    assert list(found.extra_tests) == ['imagery']
    assert 'artificial is left out' in said and 'artificial.tsv' in said
    assert 'letters is left out: none of its pictures' in said
    assert (
        '2 rows are left out, of which there is no picture: 1 of 8 stimuli, first fixation' in said
    )


def test_a_list_in_another_order_names_the_same_rows_and_one_off_by_one_is_refused(copy, brain):
    path = copy / 'ArtificialImage.tsv'
    lines = path.read_text().splitlines()
    path.write_text('\n'.join(reversed(lines)))
    names = load(copy).extra_tests['artificial'].image_id
    assert np.array_equal(names, brain.extra_tests['artificial'].image_id)
    shifted = [line.replace(f'\t{i}.0', f'\t{i - 1}.0') for i, line in enumerate(lines, 1)]
    path.write_text('\n'.join(shifted))
    assert 'no column of it fits ArtificialImage.tsv' in notes(copy)


def test_an_image_in_training_and_test_is_a_leak(copy):
    with h5py.File(copy / TRAIN) as file:
        taken = file['dataset'][0, -3:]
    rewrite(copy / TEST, lambda x: np.where(np.arange(48)[:, None] == 5, taken, x), 'Label')
    shutil.copytree(copy / 'images' / 'training', copy / 'images' / 'test', dirs_exist_ok=True)
    refused(copy, 'image n0.* is in train and in test', errors.LeakError)


def test_ids_that_are_nowhere_are_refused(copy):
    rewrite(copy / TRAIN, np.floor, 'Label')
    refused(copy, '15 of 15 pictures are not there, first n0', errors.DataMissing)
    rewrite(copy / TRAIN, lambda x: x * 0 + 3, 'Label')
    refused(copy, f"no column of 'Label' holds stimulus ids.*{TRAIN}")


@pytest.mark.parametrize('name', [TRAIN, TEST, LETTERS])
@pytest.mark.parametrize('part', [0, 0.01, 0.6])
def test_empty_and_truncated_files_are_named(copy, name, part):
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: int(part * len(whole))])
    refused(copy, f'(empty|cut short).*{name}')


def test_a_pickle_a_promise_and_another_axis_order_are_refused(copy):
    with h5py.File(copy / TEST, 'r+') as file:
        whole = file['dataset'][()]
        del file['dataset']
        file['dataset'] = whole.T
    refused(copy, f'transposed.*{TEST}')
    with h5py.File(copy / TEST, 'r+') as file:
        del file['dataset']
        file.create_dataset('dataset', (10**7, 10**5), np.float64, chunks=(100, 100))
    refused(copy, f'promises .*{TEST}')
    (copy / TEST).write_bytes(b'\x80\x04\x95' + bytes(999))
    refused(copy, f'not an HDF5 file.*{TEST}')


def test_what_is_not_there_is_said(copy, tmp_path):
    refused('', 'dataset.path is not set', errors.DataMissing)
    refused(tmp_path / 'nowhere', 'launch/fetch.py shen2019.*:smoke', errors.DataMissing)
    refused(copy, r'no sub-04_.*\(sub-01 there\)', errors.DataMissing, subject=4)
    shutil.copy(copy / TRAIN, copy / TRAIN.replace('VC', 'V1'))
    refused(copy, 'two files of train', errors.ConfigError)


def test_files_may_lie_in_fmri_and_pictures_elsewhere(copy, brain, tmp_path):
    shutil.move(copy / 'images', tmp_path / 'pictures')
    shutil.move(copy, tmp_path / 'repository' / 'fmri')
    found = load(tmp_path / 'repository', images=str(tmp_path / 'pictures'), image_size=16)
    assert np.array_equal(found.test.voxels, brain.test.voxels)
    assert found.images[found.images.ids[:2]].shape == (2, 16, 16, 3)


def test_counts_unlike_the_published_are_noted_for_real_data_only(copy, brain):
    assert not any('published' in note for note in brain.facts['notes'])
    (copy / 'SIMULATED.txt').unlink()
    assert 'test: 12 images shown 4 times; published are 50 shown 24 times' in notes(copy)
