import csv
import os
import shutil

import nibabel
import numpy as np
import pytest
from PIL import Image

from recon.core import errors, settings
from recon.data.datasets import pairs
from recon.data.layouts import pairs as layout
from recon.data.preprocess import audit

FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    base = tmp_path_factory.mktemp('pairs')
    return {kind: layout.write(base / kind, kind=kind) for kind in layout.KINDS}


@pytest.fixture
def folder(written, tmp_path):
    """A copy of the folder of arrays, its files linked: unlink before writing."""
    return shutil.copytree(written['npy'], tmp_path / 'copy', copy_function=os.link)


def load(folder, **options):
    return pairs.load({'path': str(folder)} | options)


def truth_of(folder):
    return np.load(folder.with_name(f'{folder.name}_truth') / 'truth.npz')


def save(path, array):
    path.unlink(missing_ok=True)
    np.save(path, array)


def same(brain, truth):
    for part in ('train', 'test'):
        for field in FIELDS:
            wanted = truth[f'{part}_{field}']
            np.testing.assert_array_equal(getattr(brain.splits()[part], field), wanted, field)


def check_all(brain, truth):
    """Voxels, rows, regions and places are the simulator's, to the bit."""
    same(brain, truth)
    for key in truth.files:
        if key.startswith('roi_'):
            assert np.array_equal(brain.rois[key[4:]], truth[key]), key
        if key.startswith('info_'):
            assert np.array_equal(brain.voxel_info[key[5:]], truth[key]), key


@pytest.mark.parametrize('kind', layout.KINDS)
def test_every_kind_is_read_as_the_simulator_knows_it_with_no_option_but_the_path(written, kind):
    options = {'drop_voxels': 'nan'} if kind == 'gifti' else {}
    brain, truth = load(written[kind], **options), truth_of(written[kind])
    check_all(brain, truth)
    pictures = brain.images[truth['ids']]
    png = Image.open(written['npy'] / 'images' / f'{truth["ids"][7]}.png')
    assert np.array_equal(pictures[7], np.asarray(png, np.float32) / 255)
    assert brain.label_names == tuple(truth['label_names'])
    for i, labels, caption in zip(truth['ids'], truth['labels'], truth['captions'], strict=True):
        assert np.array_equal(brain.labels[i], labels) and brain.captions[i] == (caption,)
    assert brain.facts['simulated'] and brain.facts['sessions'] == [1, 2]
    assert set(brain.train.image_id).isdisjoint(brain.test.image_id)


@pytest.mark.parametrize(('subject', 'seed'), [(2, 0), (3, 5)])
def test_other_subjects_and_seeds_are_read_as_well(tmp_path, subject, seed):
    folder = layout.write(tmp_path / 'a', subject=subject, seed=seed)
    check_all(load(folder), truth_of(folder))


def test_stored_axes_are_as_the_config_states_them(folder, written):
    truth, voxels = truth_of(written['npy']), np.load(folder / 'voxels.npy')
    save(folder / 'voxels.npy', voxels.T)
    same(load(folder, voxels={'axes': 'voxels rows'}), truth)
    with pytest.raises(errors.DataInvalid, match="axes='voxels rows'"):
        load(folder)
    save(folder / 'voxels.npy', voxels)
    with pytest.raises(errors.DataInvalid, match='500 in voxels.npy|500 rows.*other axis'):
        load(folder, voxels={'axes': 'voxels rows'})
    with pytest.raises(errors.ConfigError, match="axes is 'rows columns'"):
        load(folder, voxels={'axes': 'rows columns'})


def test_a_volume_of_each_row_needs_its_axes_and_the_message_says_which_would_fit(folder, written):
    truth = truth_of(written['npy'])
    volume = np.asarray(nibabel.load(written['nifti'] / 'voxels.nii.gz').dataobj)  # x y z rows
    save(folder / 'voxels.npy', volume.transpose(3, 2, 1, 0))  # as h5py shows what MATLAB wrote
    same(load(folder, voxels={'axes': 'rows z y x'}), truth)
    with pytest.raises(errors.DataInvalid, match="axes that would fit: 'rows z y x'"):
        load(folder, voxels={'axes': 'rows x y z'})
    (folder / 'mask.nii.gz').unlink()
    with pytest.raises(errors.DataMissing, match='no mask.*put mask.nii.gz beside it'):
        load(folder, voxels={'axes': 'rows z y x'})


def test_matlabs_order_of_voxels_within_a_mask_is_an_option(folder, written):
    mask = np.asarray(nibabel.load(folder / 'mask.nii.gz').dataobj) > 0
    volume = np.asarray(nibabel.load(written['nifti'] / 'voxels.nii.gz').dataobj)
    flat = volume.reshape(-1, volume.shape[-1], order='F')[mask.reshape(-1, order='F')]
    save(folder / 'voxels.npy', flat.T)  # data(mask > 0) of MATLAB
    (folder / 'ncsnr.npy').unlink()
    brain, plain = load(folder, voxels={'order': 'F'}), load(written['npy'])
    places = {tuple(p): i for i, p in enumerate(plain.voxel_info['xyz'])}
    order = [places[tuple(p)] for p in brain.voxel_info['xyz']]
    assert order != sorted(order)
    assert np.array_equal(brain.train.voxels, plain.train.voxels[:, order])
    for name, roi in brain.rois.items():
        assert np.array_equal(roi, plain.rois[name][order])


def test_ids_off_by_one_are_said_with_the_base_that_would_fit(written, tmp_path):
    folder = shutil.copytree(written['h5'], tmp_path / 'a')
    truth = truth_of(written['h5'])
    place = np.searchsorted(truth['ids'], np.load(folder / 'ids.npy'))
    (folder / 'image_ids.npy').unlink()  # pictures of an array count from 0
    for name in ('labels.csv', 'captions.csv', 'test_ids.txt'):
        (folder / name).unlink()
    save(folder / 'ids.npy', place + 1)
    split = {'split': {'by': 'fraction'}}
    with pytest.raises(errors.DataInvalid, match=r'look 1-based: set dataset.ids.base=1'):
        load(folder, **split)
    brain = load(folder, ids={'base': 1}, **split)
    assert set(brain.train.image_id) | set(brain.test.image_id) == set(range(140))
    rows = np.concatenate([s.image_id for s in brain.splits().values()])
    voxels = np.concatenate([s.voxels for s in brain.splits().values()])
    order = np.argsort(truth['ids'][rows], kind='stable')
    wanted = np.concatenate([truth['train_voxels'], truth['test_voxels']])
    ids = np.concatenate([truth['train_image_id'], truth['test_image_id']])
    by_id = np.argsort(ids, kind='stable')
    assert np.array_equal(np.sort(voxels[order], 0), np.sort(wanted[by_id], 0))
    # Not all pictures seen: off by one then fits, so it is at least said.
    save(folder / 'ids.npy', np.clip(place, 1, None))
    assert any('if ids count from 1' in note for note in load(folder, **split).facts['notes'])


def test_a_folder_of_pictures_that_counts_otherwise_than_the_ids_is_said(folder):
    ids = np.load(folder / 'ids.npy')
    save(folder / 'ids.npy', ids + 1)
    with pytest.raises(errors.DataInvalid, match='ids look 1-based: set dataset.ids.base=1'):
        load(folder)
    save(folder / 'ids.npy', ids - 1)
    with pytest.raises(errors.DataInvalid, match='ids look 0-based: set dataset.ids.base=-1'):
        load(folder)


@pytest.mark.parametrize('name', ['labels.csv', 'captions.csv'])
def test_labels_and_captions_that_count_otherwise_than_the_pictures_are_refused(folder, name):
    header, *lines = (folder / name).read_text().splitlines()
    cut = [line.split(',', 1) for line in lines]
    (folder / name).unlink()
    (folder / name).write_text('\n'.join([header, *(f'{int(i) + 1},{rest}' for i, rest in cut)]))
    with pytest.raises(errors.DataInvalid, match=f'ids look 1-based.*{name[:-4]}|{name[:-4]}.*1-b'):
        load(folder)


def test_test_ids_count_as_the_ids_do(folder, written):
    save(folder / 'ids.npy', np.load(folder / 'ids.npy') + 1)
    test = np.loadtxt(folder / 'test_ids.txt', dtype=int) + 1
    (folder / 'test_ids.txt').unlink()
    (folder / 'test_ids.txt').write_text('\n'.join(map(str, test)))
    for name in ('labels.csv', 'captions.csv'):
        (folder / name).unlink()
    same(load(folder, ids={'base': 1}), truth_of(written['npy']))


def test_pictures_go_by_their_names_and_not_by_the_order_of_files(folder, written):
    """Ids 0, 1, ... and names '0.png' ... '139.png', of which text sorts '10' before '2'."""
    truth = truth_of(written['npy'])
    images = [np.asarray(Image.open(folder / 'images' / f'{i}.png')) for i in truth['ids']]
    shutil.rmtree(folder / 'images')
    (folder / 'images').mkdir()
    for i, picture in enumerate(images):
        Image.fromarray(picture).save(folder / 'images' / f'{i}.png')
    place = np.searchsorted(truth['ids'], np.load(folder / 'ids.npy'))
    save(folder / 'ids.npy', place)
    for name in ('labels.csv', 'captions.csv', 'test_ids.txt'):
        (folder / name).unlink()
    brain = load(folder)
    assert np.array_equal(
        brain.images[[2, 10, 100]] * 255, np.stack([images[i] for i in (2, 10, 100)])
    )
    assert any('test images are drawn' in note for note in brain.facts['notes'])
    assert '20% of the images' in brain.facts['split']


def test_ids_may_be_names_of_pictures(folder, written):
    names = [f'dog_{i}s.jpg' for i in np.load(folder / 'ids.npy')]
    for path in list((folder / 'images').iterdir()):
        path.rename(path.with_name(f'dog_{path.stem}s.png'))
    (folder / 'ids.npy').unlink()
    (folder / 'ids.txt').write_text('\n'.join(names))
    tests = (folder / 'test_ids.txt').read_text().split()
    (folder / 'test_ids.txt').unlink()
    (folder / 'test_ids.txt').write_text('\n'.join(f'dog_{i}s' for i in tests))
    for name in ('labels.csv', 'captions.csv'):
        (folder / name).unlink()
    brain, truth = load(folder), truth_of(written['npy'])
    assert brain.test.image_id.tolist() == [f'dog_{i}s' for i in truth['test_image_id']]
    assert np.array_equal(brain.test.voxels, truth['test_voxels'])
    with pytest.raises(errors.ConfigError, match='base is 1, but ids are names'):
        load(folder, ids={'base': 1})


def test_without_ids_nothing_is_guessed_but_for_an_array_of_as_many_pictures(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / 'voxels.npy', rng.normal(size=(30, 12)))
    np.save(tmp_path / 'images.npy', rng.integers(0, 256, (30, 8, 6, 3), np.uint8))
    brain = load(tmp_path)
    assert any('taken to have seen picture i' in note for note in brain.facts['notes'])
    assert np.array_equal(np.sort(np.r_[brain.train.image_id, brain.test.image_id]), np.arange(30))
    save(tmp_path / 'images.npy', rng.integers(0, 256, (31, 8, 6, 3), np.uint8))
    with pytest.raises(errors.DataMissing, match='which of 31 pictures each of 30 rows saw'):
        load(tmp_path)
    (tmp_path / 'images.npy').unlink()
    (tmp_path / 'images').mkdir()
    for i in range(1, 31):
        Image.fromarray(np.full((6, 6, 3), 8 * i, np.uint8)).save(tmp_path / 'images' / f'{i}.png')
    with pytest.raises(errors.DataMissing, match='order of files is never taken'):
        load(tmp_path)


def test_one_table_of_rows_will_do_for_all_columns(folder, written):
    columns = {n: np.load(folder / f'{s}.npy') for n, s in
               (('image_id', 'ids'), ('run', 'runs'), ('session', 'sessions'))}  # fmt: skip
    test = np.loadtxt(folder / 'test_ids.txt', dtype=int)
    columns['part'] = np.where(np.isin(columns['image_id'], test), 'test', 'train')
    columns['run'] = np.char.add('run-', columns['run'].astype(str))
    with open(folder / 'rows.csv', 'w', newline='') as file:
        csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
    for name in ('ids.npy', 'runs.npy', 'sessions.npy', 'test_ids.txt'):
        (folder / name).unlink()
    same(load(folder), truth_of(written['npy']))
    with pytest.raises(errors.DataInvalid, match="no array 'stimulus'.*image_id"):
        load(folder, ids={'key': 'stimulus'})


def test_runs_that_begin_anew_in_each_session_are_told_apart(folder):
    run, session = np.load(folder / 'runs.npy'), np.load(folder / 'sessions.npy')
    save(folder / 'runs.npy', 1 + (run - 1) % 4)
    brain = load(folder)
    rows = np.isin(np.load(folder / 'ids.npy'), brain.test.image_id)
    assert np.array_equal(brain.test.run, run[rows])
    assert any('runs begin anew' in note for note in brain.facts['notes'])
    assert np.array_equal(brain.test.session, session[rows])


def test_a_missing_session_is_said(folder):
    session = np.load(folder / 'sessions.npy')
    save(folder / 'sessions.npy', np.where(session == 2, 4, session))
    facts = load(folder).facts
    assert facts['missing_sessions'] == [2, 3] and 'sessions 2, 3 are missing' in facts['notes']


def test_several_files_are_joined_by_row_in_the_order_of_their_numbers(folder, written):
    voxels = np.load(folder / 'voxels.npy')
    (folder / 'voxels.npy').unlink()
    edges = [0, 10, 30, 60, 100, 140, 180, 200, 220, 260, 280, 300]
    for i in range(11):
        np.save(folder / f'ses-{i + 1}.npy', voxels[edges[i] : edges[i + 1]])
    truth = truth_of(written['npy'])
    same(load(folder, voxels={'file': 'ses-*.npy'}), truth)
    (folder / 'ses-7.npy').unlink()
    with pytest.raises(errors.DataInvalid, match='300 rows, the voxels have 280 rows'):
        load(folder, voxels={'file': 'ses-*.npy'})
    with pytest.raises(errors.DataInvalid, match='unlike shapes.*join='):
        load(folder, voxels={'file': 'ses-1.npy,ses-2.npy', 'join': 'voxels'})


def test_values_times_300_are_said_and_divided_on_request(folder, written):
    voxels = np.load(folder / 'voxels.npy')
    save(folder / 'voxels.npy', np.rint(voxels * 300).astype(np.int16))
    assert any('divide=300' in note for note in load(folder).facts['notes'])
    brain = load(folder, voxels={'divide': 300})
    assert not any('divide' in note for note in brain.facts['notes'])
    np.testing.assert_allclose(
        brain.test.voxels, truth_of(written['npy'])['test_voxels'], atol=2e-3
    )
    assert not load(written['npy']).facts['notes']
    with pytest.raises(errors.ConfigError, match='divide is 0'):
        load(folder, voxels={'divide': 0})


def test_one_session_times_300_is_said(folder):
    voxels, session = np.load(folder / 'voxels.npy'), np.load(folder / 'sessions.npy')
    save(folder / 'voxels.npy', np.where(session[:, None] == 2, 300 * voxels, voxels))
    assert any('voxels of session 2 by' in note for note in load(folder).facts['notes'])
    (folder / 'sessions.npy').unlink()
    for i in (1, 2):
        np.save(folder / f'ses-{i}.npy', voxels[session == i] * (1 if i == 1 else 300))
    ids = np.load(folder / 'ids.npy')
    save(folder / 'ids.npy', np.concatenate([ids[session == i] for i in (1, 2)]))
    notes = load(folder, voxels={'file': 'ses-*.npy'}).facts['notes']
    assert any('voxels of file 2 by' in note for note in notes)


def test_voxels_that_are_not_finite_are_counted_and_dropped_only_on_request(folder, written):
    voxels = np.load(folder / 'voxels.npy').copy()
    voxels[3, 7], voxels[250, 40] = np.nan, np.inf
    save(folder / 'voxels.npy', voxels)
    with pytest.raises(errors.DataInvalid, match='2 of 500 voxels.*some of 2 rows, first voxel 7'):
        load(folder)
    brain, truth = load(folder, drop_voxels='nan'), truth_of(written['npy'])
    kept = np.delete(np.arange(500), [7, 40])
    assert np.array_equal(brain.train.voxels, truth['train_voxels'][:, kept])
    assert np.array_equal(brain.rois['V1'], truth['roi_V1'][kept])
    assert np.array_equal(brain.voxel_info['xyz'], truth['info_xyz'][kept])
    assert any('2 of 500 voxels' in note for note in brain.facts['notes'])
    voxels[11] = np.nan
    save(folder / 'voxels.npy', voxels)
    with pytest.raises(errors.DataInvalid, match='no voxel would be left'):
        load(folder, drop_voxels='nan')
    with pytest.raises(errors.ConfigError, match="drop_voxels is 'some'"):
        load(folder, drop_voxels='some')


def test_pictures_that_lie_on_their_side_are_righted_as_the_config_says(folder, written):
    upright = load(written['npy'])
    ids = upright.images.ids
    for path in list((folder / 'images').iterdir()):
        picture = np.asarray(Image.open(path))
        path.unlink()
        Image.fromarray(np.ascontiguousarray(picture.transpose(1, 0, 2)[:30])).save(path)
    turned = load(folder, images={'orientation': 'transposed'})
    assert turned.images.shape == (48, 30)
    assert np.array_equal(turned.images[ids], upright.images[ids][:, :, :30])
    assert 'stored transposed' in turned.facts['orientation']
    assert load(folder).images.shape == (30, 48)
    with pytest.raises(errors.ConfigError, match="orientation is 'sideways'"):
        load(folder, images={'orientation': 'sideways'})


def test_an_image_in_two_parts_is_refused_and_the_audit_sees_copies_under_other_names(folder):
    parts = np.where(np.arange(300) % 2, 'test', 'train')
    (folder / 'test_ids.txt').unlink()
    (folder / 'parts.txt').write_text('\n'.join(parts))
    with pytest.raises(errors.LeakError, match='is in train and in test'):
        load(folder)
    brain = load(folder, split={'by': 'fraction', 'test': 0.3})
    assert set(brain.train.image_id).isdisjoint(brain.test.image_id)
    a, b = brain.train.image_id[0], brain.test.image_id[0]
    (folder / 'images' / f'{a}.png').unlink()
    shutil.copy(folder / 'images' / f'{b}.png', folder / 'images' / f'{a}.png')
    brain = load(folder, split={'by': 'fraction', 'test': 0.3})
    with pytest.raises(errors.LeakError, match='1 images of test are also training images'):
        audit.check({}, brain, brain, {})


def test_an_id_that_validates_and_tests_is_refused(folder):
    first = (folder / 'test_ids.txt').read_text().split()[0]
    (folder / 'validation_ids.txt').write_text(first)
    with pytest.raises(errors.LeakError, match=f'image {first} is in validation and in test'):
        load(folder)
    (folder / 'validation_ids.txt').write_text('72999')
    with pytest.raises(errors.DataInvalid, match='1 of 1 validation ids are of no row.*72999'):
        load(folder)


def test_rows_split_by_session_need_sessions(folder, written):
    brain = load(folder, split={'by': 'session', 'sessions': (2,)})
    assert set(brain.test.session) == {2} and set(brain.train.session) == {1}
    assert set(brain.train.image_id).isdisjoint(brain.test.image_id)
    assert any('rows are in no part' in note for note in brain.facts['notes'])
    (folder / 'sessions.npy').unlink()
    with pytest.raises(errors.ConfigError, match='do not say of which session'):
        load(folder, split={'by': 'session', 'sessions': (2,)})


def test_rows_that_are_means_have_trials_and_no_repeat(folder):
    np.save(folder / 'trials.npy', np.full(300, 3))
    brain = load(folder)
    assert (brain.train.trials == 3).all() and (brain.train.repeat == -1).all()
    assert brain.facts['rows'] == 'means of up to 3 trials'


@pytest.mark.parametrize('name', ['voxels.npy', 'ids.npy', 'runs.npy', 'ncsnr.npy'])
@pytest.mark.parametrize('fault', ['empty', 'cut', 'text', 'pickle'])
def test_broken_arrays_are_named(folder, name, fault):
    path = folder / name
    whole = path.read_bytes()
    path.unlink()
    if fault == 'pickle':
        np.save(path, np.array([{'a': 1}, None], object), allow_pickle=True)
    else:
        path.write_bytes({'empty': b'', 'cut': whole[: len(whole) // 2], 'text': b'<html>'}[fault])
    with pytest.raises(errors.DataInvalid, match=name):
        load(folder)


def test_a_header_that_promises_a_million_million_voxels_is_refused(folder):
    path = folder / 'voxels.npy'
    path.unlink()
    with open(path, 'wb') as file:
        header = {'descr': '<f4', 'fortran_order': False, 'shape': (10**6, 10**6)}
        np.lib.format.write_array_header_1_0(file, header)
        file.write(b'\0' * 1000)
    with pytest.raises(errors.DataInvalid, match='cut short.*voxels.npy'):
        load(folder)


def test_what_is_not_there_is_named_with_what_would_be_taken(folder, tmp_path):
    with pytest.raises(errors.DataMissing, match='dataset.path is not set'):
        pairs.load({})
    with pytest.raises(errors.DataMissing, match='no such folder.*simulate.py --layout=pairs'):
        load(tmp_path / 'nowhere')
    with pytest.raises(errors.DataMissing, match=r'no betas.mat.*it holds .*voxels.npy'):
        load(folder, voxels={'file': 'betas.mat'})
    np.savez(folder / 'voxels.npz', a=np.zeros(3))
    with pytest.raises(errors.ConfigError, match='voxels.npy and voxels.npz are both there'):
        load(folder)
    (folder / 'voxels.npy').unlink()
    (folder / 'voxels.npz').unlink()
    with pytest.raises(errors.DataMissing, match='no voxels: none of voxels.npy'):
        load(folder)
    shutil.rmtree(folder / 'images')
    with pytest.raises(errors.DataMissing, match='no voxels|no pictures'):
        load(folder)


def test_columns_of_another_length_are_named(folder):
    runs = np.load(folder / 'runs.npy')
    save(folder / 'runs.npy', runs[:-1])
    with pytest.raises(errors.DataInvalid, match='299 rows, the voxels have 300.*runs.npy'):
        load(folder)
    save(folder / 'runs.npy', runs + 0.5)
    with pytest.raises(errors.DataInvalid, match='row 0 is 1.5, no whole number.*runs.npy'):
        load(folder)
    save(folder / 'runs.npy', runs)
    save(folder / 'ncsnr.npy', np.zeros(499))
    with pytest.raises(errors.DataInvalid, match=r'its shape is \(499,\).*ncsnr.npy'):
        load(folder)


def test_the_options_are_known_to_the_config_and_a_misspelt_one_is_refused(folder, written):
    from recon import pipeline

    def resolved(**options):
        cfg = {'dataset': {'name': 'pairs', 'path': str(folder)} | options}
        cfg |= {'decoder': {'name': 'ridge'}, 'targets': {}, 'metrics': ()}
        return settings.resolve(cfg, pipeline.DEFAULTS)

    same(pairs.load(resolved().dataset), truth_of(written['npy']))
    with pytest.raises(errors.ConfigError, match=r'dataset.voxels.axis'):
        resolved(voxels={'axis': 'voxels rows'})


@pytest.mark.parametrize('header', ['image_id;run', 'nsdId,run', 'image_id\trun'])
def test_a_table_of_rows_without_a_column_of_ids_is_named(folder, header):
    n = len(np.load(folder / 'voxels.npy'))
    for path in folder.glob('ids.*'):
        path.unlink()
    between = header.replace('image_id', '').replace('nsdId', '').replace('run', '')
    lines = [header, *(f'{i}{between}1' for i in range(n))]
    (folder / 'rows.csv').write_text('\n'.join(lines))
    with pytest.raises(errors.DataMissing, match='rows.csv is there, but its first line is'):
        load(folder)


@pytest.mark.parametrize('value', [(255,), ('a', 'b'), (0, 1, 2)])
def test_a_range_or_a_size_that_is_not_two_numbers_is_refused(folder, value):
    with pytest.raises(errors.ConfigError, match='wanted 2 numbers'):
        load(folder, images={'size': value})
