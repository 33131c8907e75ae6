import json
import os
import shutil

import h5py
import nibabel
import numpy as np
import pytest

from recon.core import errors, stats
from recon.data import mark, prepare
from recon.data.datasets import nsd
from recon.data.layouts import nsd as layout
from recon.data.preprocess import audit

B3 = 'nsddata_betas/ppdata/subj01/{}/betas_fithrf_GLMdenoise_RR'
SPACES = {
    '': {},
    'b2_': {'betas': 'b2'},
    'func1mm_': {'space': 'func1mm'},
    'fsaverage_': {'space': 'fsaverage'},
    'nativesurface_': {'space': 'nativesurface'},
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('data') / 'nsd')


@pytest.fixture(scope='module')
def truth(folder):
    return np.load(folder.with_name('nsd_truth') / 'truth.npz')


@pytest.fixture(scope='module')
def brain(folder):
    return load(folder)


@pytest.fixture
def copy(folder, tmp_path):
    """A copy of the folder, its files linked: unlink before writing. No annotations: quicker."""
    copy = shutil.copytree(folder, tmp_path / 'copy', copy_function=os.link)
    shutil.rmtree(copy / 'annotations')
    return copy


def load(folder, **options):
    return nsd.load({'path': str(folder)} | options)


def betas(copy, session, space='func1pt8mm', name='betas_session{:02d}.hdf5'):
    return copy / B3.format(space) / name.format(session)


def rewrite(path, change):
    """New content for the dataset of an HDF5 file that may be linked."""
    with h5py.File(path) as file:
        values = change(file['betas'][()])
    path.unlink()
    with h5py.File(path, 'w') as file:
        file.create_dataset('betas', data=values, chunks=(1, *values.shape[1:]))


def equals_truth(brain, truth, key=''):
    of = '' if key == 'b2_' else key
    for part in ('train', 'test'):
        split = brain.splits()[part]
        assert split.voxels.dtype == np.float32
        assert np.array_equal(split.voxels, truth[f'{key}{part}_voxels']), (key, part)
        for field in ('image_id', 'session', 'run', 'repeat', 'trials'):
            assert np.array_equal(getattr(split, field), truth[f'{part}_{field}']), field
    rois = {n.removeprefix(f'{of}roi_') for n in truth.files if n.startswith(f'{of}roi_')}
    assert rois <= set(brain.rois)
    for name in rois:
        assert np.array_equal(brain.rois[name], truth[f'{of}roi_{name}']), name
    for field, value in brain.voxel_info.items():
        if key != 'b2_' or field != 'ncsnr':  # that of b2 is another one
            assert np.array_equal(value, truth[f'{of}info_{field}']), field


@pytest.mark.parametrize('key', SPACES)
def test_the_reader_returns_what_the_simulator_knows_to_be_true(copy, truth, key):
    equals_truth(load(copy, **SPACES[key]), truth, key)


@pytest.mark.long
@pytest.mark.parametrize(('subject', 'seed'), [(2, 3), (6, 1)])
def test_it_does_for_subjects_of_other_sizes_with_a_session_missing(tmp_path, subject, seed):
    root = layout.write(tmp_path / 'nsd', subject=subject, seed=seed)
    truth = np.load(tmp_path / 'nsd_truth' / 'truth.npz')
    with pytest.raises(errors.DataMissing, match='sessions 2 of 3 are not on disk'):
        load(root, subject=subject)
    for key, options in SPACES.items():
        found = load(root, subject=subject, missing='skip', **options)
        equals_truth(found, truth, key)
        assert found.facts['sessions'] == [1, 3] and found.facts['missing_sessions'] == [2]


def test_all_formats_of_one_session_hold_the_same(copy, brain):
    for form, sessions in (('nii.gz', 0), ('hdf5', 0), ('mat', 1)):
        other = load(copy, format=form, sessions=sessions, store=f'{copy}_{form}')
        rows = brain.train.session <= (sessions or 3)
        assert np.array_equal(other.train.voxels, brain.train.voxels[rows])
        made = copy.with_name(f'{copy.name}_{form}').rglob('index.json')
        (block, *_) = json.loads(next(made).read_text())['blocks'].values()
        assert block['sources'][0][0].endswith(form)


def test_voxels_are_those_of_nibabel_and_h5py_over_300(folder, brain):
    mask = nibabel.load(folder / 'nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz')
    mask = np.asarray(mask.dataobj) == 1
    image = nibabel.load(betas(folder, 2, name='betas_session{:02d}.nii.gz'))
    wanted = np.asarray(image.dataobj)[mask].T.astype(np.float32) / 300
    rows = np.concatenate([brain.train.voxels[brain.train.session == 2],
                           brain.test.voxels[brain.test.session == 2]])  # fmt: skip
    order = np.lexsort(wanted.T), np.lexsort(rows.T)
    assert np.array_equal(wanted[order[0]], rows[order[1]])
    assert 0.3 < np.median(np.abs(rows)) < 10  # percent signal change, not times 300


def test_test_images_are_the_shared_ones_and_nothing_else_is(folder, brain):
    names = sorted((folder / 'nsddata/stimuli/nsd/shared1000').iterdir())
    shared = {int(p.stem.rpartition('nsd')[2]) - 1 for p in names}
    assert set(brain.test.image_id.tolist()) <= shared
    assert not set(brain.train.image_id.tolist()) & shared
    counts = np.unique(brain.test.image_id, return_counts=True)[1]
    assert brain.facts['test_images'] == len(counts)
    assert brain.facts['test_images_by_trials']['3'] == (counts == 3).sum()
    assert f'{len(counts)} of {len(shared)} shared images' in ' '.join(brain.facts['notes'])


def test_facts_say_what_was_read(brain):
    facts = brain.facts
    assert facts['source'] == 'nsd' and facts['simulated'] and facts['subject'] == 1
    assert facts['sessions'] == [1, 2, 3] and facts['missing_sessions'] == []
    assert facts['voxel_unit'] == 'percent signal change'
    assert facts['roi_definitions']['V1'] == 'V1v + V1d'
    assert facts['roi_definitions']['LVC'].startswith('Kastner2015/V1v + ')
    assert any('no voxel is labelled mTL-bodies' in note for note in facts['notes'])
    json.dumps(facts)


def test_pictures_are_those_of_the_ids(copy, brain):
    ids = brain.test.image_id[:3]
    with h5py.File(copy / 'nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5') as file:
        wanted = np.stack([file['imgBrick'][i] for i in ids]).astype(np.float32) / 255
    assert np.array_equal(brain.images[ids], wanted)
    assert load(copy, images_size=16).images[ids].shape == (3, 16, 16, 3)


def test_labels_and_captions_come_with_annotations_and_only_then(brain, copy):
    assert len(brain.label_names) == 133 and set(brain.labels) == set(brain.images.ids.tolist())
    assert all(isinstance(c, tuple) and c for c in brain.captions.values())
    shares = brain.coverage
    assert set(shares) == set(brain.labels) and all(s.max() <= 1 for s in shares.values())
    for i, label in brain.labels.items():  # the reader's own filter, by default
        np.testing.assert_array_equal(label > 0, (shares[i] > 0) & (shares[i] >= 0.014))
    without = load(copy)
    assert without.coverage is None and without.labels is None and without.captions is None


def test_annotations_can_be_left_unread(folder):
    assert load(folder, annotations=False).labels is None


def test_repeats_sessions_and_the_mixed_ceiling_fit_the_preprocessing(brain):
    options = {
        'order': ('normalise', 'repeats'),
        'normalise': {'by': 'session'},
        'repeats': {'test': 'mean'},
    }
    prepared, _ = prepare.run(options, brain)
    counts = np.unique(brain.test.image_id, return_counts=True)[1]
    assert np.array_equal(prepared.test.trials, counts)
    ncsnr = brain.voxel_info['ncsnr']
    n1, n2, n3 = ((counts == k).sum() for k in (1, 2, 3))
    wanted = ncsnr**2 / (ncsnr**2 + (n3 / 3 + n2 / 2 + n1) / (n1 + n2 + n3))
    np.testing.assert_allclose(stats.noise_ceiling(ncsnr, prepared.test.trials), wanted, rtol=1e-6)


def test_the_first_sessions_may_be_chosen(copy, brain):
    two = load(copy, sessions=2)
    rows = brain.train.session <= 2
    assert np.array_equal(two.train.voxels, brain.train.voxels[rows])
    assert np.array_equal(two.train.repeat, brain.train.repeat[rows])
    with pytest.raises(errors.DataMissing, match='sessions 4, 5 of 5 are not on disk'):
        load(copy, sessions=5)


def test_a_missing_session_is_refused_or_skipped_and_said(copy, brain):
    for path in betas(copy, 2).parent.glob('betas_session02.*'):
        path.unlink()
    with pytest.raises(errors.DataMissing, match=r"sessions 2 of 3 .*dataset.missing='skip'"):
        load(copy)
    skipped = load(copy, missing='skip')
    rows = brain.train.session != 2
    for field in ('voxels', 'image_id', 'run', 'session', 'repeat'):
        assert np.array_equal(getattr(skipped.train, field), getattr(brain.train, field)[rows])
    assert skipped.facts['missing_sessions'] == [2]


def test_areas_by_name_and_the_whole_brain(folder, brain, copy):
    v1 = load(copy, voxels='V1+hV4')
    keep = brain.rois['V1'] | brain.rois['hV4']
    assert np.array_equal(v1.train.voxels, brain.train.voxels[:, keep])
    assert np.array_equal(v1.rois['V1v'], brain.rois['V1v'][keep])
    whole = load(copy, voxels='brainmask')
    inside = whole.rois['nsdgeneral']
    assert np.array_equal(whole.train.voxels[:, inside], brain.train.voxels)
    assert inside.sum() < len(inside)
    with pytest.raises(errors.ConfigError, match="dataset.voxels names 'V9'"):
        load(copy, voxels='V9')


@pytest.mark.parametrize('by', ['fraction', 'session', 'file'])
def test_other_splits_are_by_image_too(copy, tmp_path, brain, by):
    names = tmp_path / 'split.json'
    ids = np.unique(brain.train.image_id)
    names.write_text(json.dumps({'test': ids[:9].tolist(), 'validation': ids[9:12].tolist()}))
    split = {
        'fraction': dict(by='fraction', test=0.3, seed=4),
        'session': dict(by='session', sessions=(3,)),
        'file': dict(by='file', file=str(names)),
    }[by]
    found = load(copy, split=split)
    assert not set(found.train.image_id) & set(found.test.image_id)
    assert len(found.train) and len(found.test)
    if by == 'file':
        assert set(found.validation.image_id) == set(ids[9:12])
        both = {'test': ids[:9].tolist(), 'validation': ids[8:12].tolist()}
        names.write_text(json.dumps(both))
        with pytest.raises(errors.LeakError, match=f'image {ids[8]} is in'):
            load(copy, split=split)


def test_prepared_voxels_are_read_and_not_the_betas(copy, brain, monkeypatch):
    load(copy)
    read = []
    real = nsd.nsd_volumes.trials
    monkeypatch.setattr(nsd.nsd_volumes, 'trials', lambda r, p: read.append(r) or real(r, p))
    again = load(copy, verify=True)
    assert np.array_equal(again.train.voxels, brain.train.voxels)
    assert len(read) == 1  # some trials of the first session, for their unit
    path = betas(copy, 3)
    rewrite(path, lambda x: x + 3)
    changed = load(copy)
    assert {r.path for r in read[1:]} == {path, betas(copy, 1)}
    apart = changed.train.voxels - brain.train.voxels
    np.testing.assert_allclose(apart[changed.train.session == 3], 0.01, atol=1e-5)
    assert (apart[changed.train.session != 3] == 0).all()
    rows = next((copy.parent / 'copy_prepared').rglob('rows.npy'))
    content = bytearray(rows.read_bytes())
    content[-5] ^= 4
    rows.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='checksum of session'):
        load(copy, verify=True)


def test_a_store_that_cannot_be_written_names_the_option(copy, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.ConfigError, match='set dataset.store to a folder'):
        load(copy, store=str(tmp_path / 'file' / 'x'))


def test_times_300_and_its_opposite_are_refused(copy):
    rewrite(betas(copy, 1), lambda x: x.astype(np.float32))
    with pytest.raises(errors.DataInvalid, match='floats that are still times 300'):
        load(copy, sessions=1)
    rewrite(betas(copy, 1), lambda x: x / np.float32(300))  # floats in percent are as they are
    assert np.abs(load(copy, sessions=1).train.voxels).max() < 60
    rewrite(betas(copy, 1), lambda x: np.round(x).astype(np.int16))
    with pytest.raises(errors.DataInvalid, match='lost their fraction'):
        load(copy, sessions=1)
    path = betas(copy, 3, 'fsaverage', 'lh.betas_session{:02d}.mgh')
    image = nibabel.load(path)
    values = image.get_fdata(dtype=np.float32) * 300
    path.unlink()
    nibabel.save(nibabel.freesurfer.MGHImage(values, image.affine), path)
    right = path.with_name(path.name.replace('lh.', 'rh.'))
    image = nibabel.load(right)
    values = image.get_fdata(dtype=np.float32) * 300
    right.unlink()
    nibabel.save(nibabel.freesurfer.MGHImage(values, image.affine), right)
    with pytest.raises(errors.DataInvalid, match='still times 300|session 3'):
        load(copy, space='fsaverage')


def test_rows_against_images_by_a_trial_warn(copy, truth):
    """With little noise: 200 trials of ordinary noise are too few for the check to see it."""
    mask = nibabel.load(copy / 'nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz')
    x, y, z = np.nonzero(np.asarray(mask.dataobj) == 1)
    rows = {k: np.concatenate([truth[f'{p}_{k}'] for p in ('train', 'test')])
            for k in ('trial', 'image_id', 'session')}  # fmt: skip
    clean = truth['signals'][np.searchsorted(truth['ids'], rows['image_id'])]
    clean = clean + np.random.default_rng(0).normal(0, 0.1, clean.shape)  # also where it is 0
    for late, warned in ((0, False), (1, True)):
        for session in (1, 2, 3):
            at = np.flatnonzero(rows['session'] == session)
            at = np.roll(at[np.argsort(rows['trial'][at])], late)

            def fill(values, at=at):
                values[:, z, y, x] = np.round(300 * clean[at])
                return values

            rewrite(betas(copy, session), fill)
        found = load(copy)
        warning = audit.check({}, found, found, {})['alignment_warning']
        assert bool(warning) == warned, warning
    assert 'image of the block before' in warning and 'off-by-one' in warning


def test_axes_not_reversed_and_sessions_too_short_are_named(copy):
    rewrite(betas(copy, 2), lambda x: x.transpose(0, 3, 2, 1))
    with pytest.raises(errors.DataInvalid, match='axes of space are in the other order.*session02'):
        load(copy)
    rewrite(betas(copy, 2), lambda x: x.transpose(0, 3, 2, 1)[:-4])
    with pytest.raises(errors.DataInvalid, match='session 2 has 74 trials, 78 are planned'):
        load(copy)


def test_left_and_right_swapped_are_seen_where_files_can_tell(copy):
    left, right = (
        betas(copy, 1, 'nativesurface', f'{side}.betas_session{{:02d}}.hdf5')
        for side in ('lh', 'rh')
    )
    left.rename(left.with_name('x'))
    right.rename(left)
    left.with_name('x').rename(right)
    with pytest.raises(errors.DataInvalid, match='left and right may be swapped'):
        load(copy, space='nativesurface')
    folder = copy / 'nsddata/ppdata/subj01/func1pt8mm/roi'
    for path in list(folder.glob('lh.*')):
        other = path.with_name(path.name.replace('lh.', 'rh.', 1))
        path.rename(folder / 'x')
        other.rename(path)
        (folder / 'x').rename(other)
    with pytest.raises(errors.DataInvalid, match='left and right look swapped'):
        load(copy)


def test_vertices_that_are_nan_in_a_session_are_dropped_and_counted(copy):
    found = load(copy, space='fsaverage')
    lost = [note for note in found.facts['notes'] if 'are NaN in some session' in note]
    assert len(lost) == 1 and int(lost[0].split()[0]) > 0
    assert np.isfinite(found.train.voxels).all() and np.isfinite(found.test.voxels).all()
    first = load(copy, space='fsaverage', sessions=1)  # they are NaN in the last one
    assert first.train.voxels.shape[1] == found.train.voxels.shape[1] + int(lost[0].split()[0])


def test_voxels_that_are_zero_in_a_session_are_counted(copy):
    mask = nibabel.load(copy / 'nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz')
    x, y, z = np.argwhere(np.asarray(mask.dataobj) == 1)[7]

    def silence(values):
        values[:, z, y, x] = 0
        return values

    rewrite(betas(copy, 2), silence)
    found = load(copy)
    assert '1 voxels are 0 throughout session 2: not valid in it' in found.facts['notes']
    assert (found.train.voxels[found.train.session == 2, 7] == 0).all()


def scale(path, by):
    image = nibabel.load(path)
    values = image.get_fdata(dtype=np.float32) * by
    path.unlink()
    nibabel.save(nibabel.freesurfer.MGHImage(values.astype(np.float32), image.affine), path)


@pytest.mark.parametrize(('side', 'name'), [('lh', 'left'), ('rh', 'right')])
def test_one_hemisphere_times_300_is_refused_by_its_name(copy, side, name):
    scale(betas(copy, 3, 'fsaverage', f'{side}.betas_session{{:02d}}.mgh'), 300)
    with pytest.raises(errors.DataInvalid, match=f'session 3, {name} hemisphere.*times 300'):
        load(copy, space='fsaverage')


@pytest.mark.parametrize(('axes', 'rows'), [('volume', 30), ('volume', 1), ('surface', 3)])
def test_trials_without_a_value_are_refused_wherever_they_are(copy, axes, rows):
    def silence(values):
        values[7 : 7 + rows] = 0
        return values

    if axes == 'volume':
        rewrite(betas(copy, 2), silence)
        options, count = {}, rows
    else:
        for side in ('lh', 'rh'):
            path = betas(copy, 2, 'fsaverage', f'{side}.betas_session{{:02d}}.mgh')
            image = nibabel.load(path)
            values = image.get_fdata(dtype=np.float32)
            values[..., 7 : 7 + rows] = np.nan
            path.unlink()
            nibabel.save(nibabel.freesurfer.MGHImage(values, image.affine), path)
        options, count = {'space': 'fsaverage'}, rows
    message = f'session 2, trial 8 is 0 or NaN in all .* {count} trials of this session.*fetch'
    for _ in range(2):  # when it is prepared, and when it is there
        with pytest.raises(errors.DataInvalid, match=message):
            load(copy, **options)


def test_a_session_that_is_a_copy_of_another_is_refused(copy):
    one, three = betas(copy, 1), betas(copy, 3)
    three.unlink()
    shutil.copy(one, three)
    with pytest.raises(errors.DataInvalid, match='session01 and session03 hold the same 78 rows'):
        load(copy)


def test_many_voxels_that_are_zero_in_every_session_are_refused(copy):
    mask = nibabel.load(copy / 'nsddata/ppdata/subj01/func1pt8mm/roi/nsdgeneral.nii.gz')
    voxels = np.argwhere(np.asarray(mask.dataobj) == 1)
    x, y, z = voxels[: len(voxels) // 8].T

    def silence(values):
        values[:, z, y, x] = 0
        return values

    for session in (1, 2):
        rewrite(betas(copy, session), silence)
    load(copy)
    rewrite(betas(copy, 3), silence)
    count = f'{len(x)} of {len(voxels)} chosen voxels are 0 in every session.*two grids'
    with pytest.raises(errors.DataInvalid, match=count):
        load(copy)
    load(copy, voxels='brainmask')  # whose edge may hold nothing; they are counted in notes


@pytest.mark.parametrize('change', ['flip', 'shift', None])
def test_nifti_betas_that_lie_elsewhere_than_the_masks_are_noted(copy, brain, change):
    path = betas(copy, 2, name='betas_session{:02d}.nii.gz')
    image = nibabel.load(path)
    affine, values = image.affine.copy(), np.asarray(image.dataobj)
    if change == 'flip':
        affine[0] *= -1
    elif change == 'shift':
        affine[1, 3] += 1.8
    path.unlink()
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    found = load(copy, format='nii.gz')
    assert np.array_equal(found.train.voxels, brain.train.voxels)
    notes = [note for note in found.facts['notes'] if 'another affine than that of the' in note]
    assert len(notes) == bool(change) and all(n.startswith('betas_session02') for n in notes)


def test_the_last_session_is_missed_by_the_answers_given_in_it(copy):
    for path in betas(copy, 3).parent.glob('betas_session03.*'):
        path.unlink()
    facts = load(copy).facts
    assert facts['sessions'] == [1, 2] and facts['missing_sessions'] == [3]
    note = 'sessions 3 are in responses.tsv, their betas are not on disk'
    assert note in facts['notes']
    facts = load(copy, sessions=2).facts  # they were not asked for
    assert facts['missing_sessions'] == [] and note not in facts['notes']


def test_a_table_of_other_names_and_pictures_compared_with_nothing_are_noted(copy, brain):
    assert not any('compared with nothing' in note for note in brain.facts['notes'])
    shutil.rmtree(copy / 'nsddata/stimuli/nsd/shared1000')
    path = next((copy / 'nsddata/freesurfer').glob('*/label/prf-visualrois.mgz.ctab'))
    text = path.read_text().replace('V1v', 'x').replace('V1d', 'V1v').replace('x', 'V1d')
    for path in (copy / 'nsddata/freesurfer').glob('*/label/prf-visualrois.mgz.ctab'):
        path.unlink()
        path.write_text(text)
    found = load(copy)
    notes = ' '.join(found.facts['notes'])
    assert 'imgBrick was compared with nothing' in notes
    assert "prf-visualrois: its table calls label 1 'V1d', known as 'V1v'" in notes
    assert np.array_equal(found.rois['V1d'], brain.rois['V1v'])


def test_a_real_copy_with_another_count_than_the_published_one_is_noted(copy, brain):
    (copy / mark.FILE).unlink()
    found = load(copy)
    assert 'simulated' not in found.facts
    count = brain.train.voxels.shape[1]
    assert f'nsdgeneral has {count} voxels, 15724 were published' in found.facts['notes']


def test_without_ncsnr_there_is_no_ceiling_and_a_note(copy):
    (betas(copy, 1).parent / 'ncsnr.nii.gz').unlink()
    found = load(copy)
    assert 'ncsnr' not in found.voxel_info
    assert 'ncsnr.nii.gz is not there: no noise ceiling' in found.facts['notes']


@pytest.mark.parametrize(
    'name',
    ['betas_session02.hdf5', 'betas_session02.nii.gz', 'betas_session01.mat', 'ncsnr.nii.gz'],
)
@pytest.mark.parametrize('kind', ['empty', 'half', 'text'])
def test_a_broken_file_is_named(copy, name, kind):
    path = betas(copy, 0).parent / name
    content = path.read_bytes()
    path.unlink()
    broken = {'empty': b'', 'text': b'<html>' * 60}
    path.write_bytes(broken.get(kind, content[: len(content) // 2]))
    form = {'betas_session02.nii.gz': 'nii.gz', 'betas_session01.mat': 'mat'}.get(name, '')
    with pytest.raises(errors.DataInvalid, match=path.name):
        load(copy, format=form, sessions=1 if form == 'mat' else 0)


def test_missing_folders_and_wrong_options_say_what_to_do(tmp_path, copy):
    for path in ('', tmp_path):
        with pytest.raises(errors.DataMissing, match='launch/fetch.py nsd.*--layout=nsd.*:smoke'):
            load(path)
    with pytest.raises(errors.ConfigError, match='dataset.subject is 9'):
        load(copy, subject=9)
    with pytest.raises(errors.DataMissing, match='responses|subj02'):
        load(copy, subject=2)
    with pytest.raises(errors.ConfigError, match="dataset.space is 'MNI'"):
        load(copy, space='MNI')
    with pytest.raises(errors.DataMissing, match='versions there: betas_fithrf, betas_fithrf_GLM'):
        load(copy, betas='b1')
    shutil.rmtree(copy / 'nsddata_stimuli')
    with pytest.raises(errors.DataMissing, match='nsd_stimuli.hdf5'):
        load(copy)
