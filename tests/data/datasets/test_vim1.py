import os
import shutil

import h5py
import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data import prepare
from recon.data.datasets import vim1
from recon.data.layouts import vim1 as layout

FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    base = tmp_path_factory.mktemp('data')
    return {subject: layout.write(base / f's{subject}', subject=subject) for subject in (1, 2)}


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written[1], tmp_path / 'copy')


def load(folder, **options):
    return vim1.load({'path': str(folder)} | options)


def truth_of(folder):
    return np.load(folder.with_name(f'{folder.name}_truth') / 'truth.npz')


def check_all(brain, truth):
    for part in ('train', 'test'):
        for field in FIELDS:
            wanted = truth[f'{part}_{field}']
            np.testing.assert_array_equal(getattr(brain.splits()[part], field), wanted, field)
    for key in truth.files:
        if key.startswith('roi_'):
            assert np.array_equal(brain.rois[key[4:]], truth[key]), key
    assert np.array_equal(brain.voxel_info['xyz'], truth['info_xyz'])


def change(folder, **arrays):
    """Replaces variables of the responses, given as h5py shows them."""
    with h5py.File(folder / vim1.RESPONSES, 'r+') as file:
        for name, array in arrays.items():
            del file[name]
            if array is not None:
                file[name] = array


def held(folder, name):
    with h5py.File(folder / vim1.RESPONSES) as file:
        return file[name][:]


def stimuli(folder):
    found = scipy.io.loadmat(folder / vim1.STIMULI)
    return {name: found[name] for name in ('stimTrn', 'stimVal')}


@pytest.mark.parametrize('subject', [1, 2])
def test_the_reader_returns_what_the_simulator_knows(written, subject):
    brain = load(written[subject], subject=subject)
    check_all(brain, truth_of(written[subject]))
    assert brain.facts['dropped_voxels'] > 0 and brain.facts['simulated']
    assert any('V3B' in note for note in brain.facts['notes'])  # empty, and kept
    prepare.run({'order': ('normalise',), 'normalise': {'by': 'all'}}, brain)  # nothing is NaN


def test_voxels_and_pictures_are_as_h5py_and_scipy_read_them(written):
    brain, folder = load(written[1]), written[1]
    train, test = held(folder, 'dataTrnS1'), held(folder, 'dataValS1')
    kept = np.isfinite(train).all(0) & np.isfinite(test).all(0)
    assert np.array_equal(brain.train.voxels, train[:, kept])
    assert np.array_equal(brain.test.voxels, test[:, kept])
    pictures = np.concatenate(list(stimuli(folder).values()))
    scaled = (pictures - pictures.min()) / np.ptp(pictures)
    shown = brain.images[brain.images.ids]
    np.testing.assert_allclose(shown, np.stack([scaled] * 3, -1), atol=1e-6)
    assert brain.images.channels == 1 and brain.test.image_id[0] == 160
    index = np.unravel_index(
        held(folder, 'voxIdxS1').reshape(-1).astype(int) - 1, (64, 64, 18), 'F'
    )
    assert np.array_equal(brain.voxel_info['xyz'], np.stack(index, 1)[kept])
    assert 'not mm' in brain.facts['xyz_unit']


def test_stimuli_saved_again_are_read_whichever_way_their_axes_lie(folder, written):
    first, pictures = load(written[1]), stimuli(folder)
    ids = first.images.ids
    (folder / vim1.STIMULI).unlink()
    for turn in (lambda x: x.T, lambda x: x):  # as MATLAB's v7.3 lies on disk, as h5py saves it
        with h5py.File(folder / vim1.STIMULI, 'w') as file:
            for name, array in pictures.items():
                file[name] = turn(array)
        again = load(folder)
        assert np.array_equal(again.images[ids], first.images[ids])
    assert any('read reversed' in note for note in again.facts['notes'])
    turned = {name: array.transpose(0, 2, 1) for name, array in pictures.items()}
    scipy.io.savemat(folder / vim1.STIMULI, turned)
    again = load(folder, orientation='transposed')
    assert np.array_equal(again.images[ids], first.images[ids])
    assert 'stored transposed' in again.facts['orientation']
    assert not np.array_equal(load(folder).images[ids], first.images[ids])


def test_responses_saved_as_version_5_or_by_python_are_read_as_well(folder, written):
    truth = truth_of(written[1])
    names = [f'{name}S1' for name in ('dataTrn', 'dataVal', 'roi', 'voxIdx')]
    arrays = {name: held(folder, name) for name in names}
    (folder / vim1.RESPONSES).unlink()
    scipy.io.savemat(folder / vim1.RESPONSES, {name: array.T for name, array in arrays.items()})
    check_all(load(folder), truth)
    scipy.io.savemat(folder / vim1.RESPONSES, arrays)  # pictures by voxels
    check_all(load(folder), truth)
    with pytest.raises(errors.DataInvalid, match='no variable dataTrnS2.*it holds dataTrnS1'):
        load(folder, subject=2)


def test_a_voxel_that_is_nan_in_either_part_is_dropped_from_both(folder):
    train, test = held(folder, 'dataTrnS1'), held(folder, 'dataValS1')
    before = load(folder).train.voxels.shape[1]
    sound = np.flatnonzero(np.isfinite(train).all(0) & np.isfinite(test).all(0))
    train[5, sound[0]], test[2, sound[4]] = np.nan, np.inf
    change(folder, dataTrnS1=train, dataValS1=test)
    brain = load(folder)
    assert brain.train.voxels.shape[1] == brain.test.voxels.shape[1] == before - 2
    assert all(len(roi) == before - 2 for roi in brain.rois.values())
    change(folder, dataTrnS1=np.full_like(train, np.nan))
    with pytest.raises(errors.DataInvalid, match='no voxel is finite'):
        load(folder)


def test_counts_that_do_not_fit_are_named(folder):
    train, roi = held(folder, 'dataTrnS1'), held(folder, 'roiS1')
    change(folder, dataTrnS1=train[:, :-1])
    with pytest.raises(errors.DataInvalid, match=r'dataTrnS1 has shape \(499, 160\).*500 voxels'):
        load(folder)
    change(folder, dataTrnS1=train[:-1])
    with pytest.raises(errors.DataInvalid, match='stimTrn has shape.*159 rows'):
        load(folder)
    change(folder, dataTrnS1=train, roiS1=roi[:-1])
    with pytest.raises(errors.DataInvalid, match='roiS1 has 499 voxels, voxIdxS1 500'):
        load(folder)
    change(folder, roiS1=None)
    with pytest.raises(errors.DataInvalid, match='no variable roiS1'):
        load(folder)


def test_places_outside_the_volume_or_counted_from_0_are_named(folder):
    place = held(folder, 'voxIdxS1')
    for wrong, message in (
        (place - place.min(), 'voxIdx is from 0.0'),
        (place + 64 * 64 * 18, 'the volume .64, 64, 18. has 73728 places'),
        (place + 0.5, 'whole numbers from 1'),
        (np.where(place == place.max(), place.min(), place), 'names a place twice'),
    ):
        change(folder, voxIdxS1=wrong)
        with pytest.raises(errors.DataInvalid, match=message):
            load(folder)
    change(folder, voxIdxS1=place + 64 * 64 * 18)
    assert load(folder, grid=(64, 64, 40)).voxel_info['xyz'][:, 2].max() >= 18


@pytest.mark.parametrize(
    ('where', 'value', 'said'),
    [(slice(0, 40), -1, '-1 of 40 of'), (slice(7, 8), 9, '9 of 1 of.*first voxel 7'),
     (slice(3, 5), 1.5, '1.5 of 2 of'), (slice(0, 1), np.nan, 'nan of 1 of')],
)  # fmt: skip
def test_codes_that_are_no_area_are_refused_with_the_first(folder, where, value, said):
    roi = held(folder, 'roiS1').reshape(-1).astype(float)
    roi[where] = value
    change(folder, roiS1=roi[:, None])
    with pytest.raises(errors.DataInvalid, match=f'roi is {said}'):
        load(folder)


def test_pictures_by_rows_by_columns_are_not_turned_silently(folder):
    pictures = stimuli(folder)
    turned = {name: array.transpose(1, 2, 0) for name, array in pictures.items()}
    scipy.io.savemat(folder / vim1.STIMULI, turned)
    notes = [note for note in load(folder).facts['notes'] if 'look at the pictures' in note]
    assert len(notes) == 2 and 'orientation=transposed' in notes[0]
    first, ids = load(folder, orientation='transposed'), np.arange(5)
    scipy.io.savemat(folder / vim1.STIMULI, pictures)
    assert np.array_equal(first.images[ids], load(folder).images[ids])


def test_values_times_300_are_said(folder):
    change(folder, dataTrnS1=held(folder, 'dataTrnS1') * 300)
    assert any('should be near 1' in note for note in load(folder).facts['notes'])


def test_other_splits_and_numbers_of_trials_are_options(written):
    brain = load(written[1], split={'by': 'fraction', 'test': 0.3}, trials_test=5)
    assert len(brain.test) == round(0.3 * 190) and '30% of the images' in brain.facts['split']
    for split in brain.splits().values():
        assert np.array_equal(split.trials, np.where(split.image_id < 160, 2, 5))
    assert set(brain.train.image_id).isdisjoint(brain.test.image_id)


def test_black_and_white_are_options(written):
    brain, pictures = load(written[1], range=(-1, 1)), stimuli(written[1])
    np.testing.assert_allclose(
        brain.images[[3]][0, ..., 0], (pictures['stimTrn'][3] + 1) / 2, atol=1e-6
    )
    with pytest.raises(errors.DataInvalid, match='black and white are 1.0, 1.0'):
        load(written[1], range=(1, 1))


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(errors.DataMissing, match='dataset.path is not set.*fetch.py vim1'):
        vim1.load({})
    with pytest.raises(errors.DataMissing, match='no EstimatedResponses.mat and no Stimuli.mat'):
        load(tmp_path / 'nowhere')
    os.unlink(folder / vim1.STIMULI)
    with pytest.raises(errors.DataMissing, match='no Stimuli.mat.*--layout=vim1'):
        load(folder)


def test_options_that_do_not_fit_are_refused(written):
    for options in ({'orientation': 'sideways'}, {'trials_train': 0}):
        with pytest.raises(errors.ConfigError, match="orientation is 'upright' or 'transposed'"):
            load(written[1], **options)


@pytest.mark.parametrize('name', [vim1.RESPONSES, vim1.STIMULI])
@pytest.mark.parametrize('fault', ['empty', 'cut', 'text'])
def test_broken_files_are_named(folder, name, fault):
    whole = (folder / name).read_bytes()
    broken = {'empty': b'', 'cut': whole[: len(whole) // 2], 'text': b'<html>' * 90}[fault]
    (folder / name).write_bytes(broken)
    with pytest.raises(errors.DataInvalid, match=name):
        load(folder)


def test_a_header_that_promises_a_million_million_voxels_is_refused(folder):
    with h5py.File(folder / vim1.RESPONSES, 'r+') as file:
        del file['dataTrnS1']
        file.create_dataset('dataTrnS1', (10**6, 10**6), 'f4', chunks=(100, 100))
    with pytest.raises(errors.DataInvalid, match=r'promises \(1000000, 1000000\)'):
        load(folder)
