import hashlib

import h5py
import numpy as np
import pytest

from recon.core import errors
from recon.data import mark
from recon.data.datasets import shen2019 as reader
from recon.data.layouts import shen2019
from recon.data.simulator import scenes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return shen2019.write(tmp_path_factory.mktemp('data') / 'a')


@pytest.fixture(scope='module')
def fmriprep(tmp_path_factory):
    return shen2019.write(tmp_path_factory.mktemp('data') / 'b', release='fmriprep')


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob('*'))
        if p.is_file()
    }


def test_the_files_are_those_of_the_release(folder, fmriprep):
    names = {n for n in digests(folder) if not n.startswith('images/')}
    sets = [f'perception{s}' for s in ('NaturalImageTraining', 'NaturalImageTest')]
    sets += ['perceptionArtificialImage', 'perceptionLetterImage', 'imagery']
    lists = (
        'NaturalImageTraining',
        'NaturalImageTest',
        'ArtificialImage',
        'LetterImage',
        'Imagery',
    )
    wanted = {f'sub-01_{s}_original_VC.h5' for s in sets} | {f'{name}.tsv' for name in lists}
    assert names == wanted | {mark.FILE}
    new = {n for n in digests(fmriprep) if n.endswith('.h5')}
    assert {f'sub-01_ImageNet{s}_fmriprep_volume_native.h5' for s in ('Training', 'Test')} < new
    assert len(new) == 5
    endings = {p.parent.name: p.suffix for p in (folder / 'images').rglob('*.*')}
    assert endings == {
        'training': '.JPEG',
        'test': '.JPEG',
        'artificial': '.png',
        'letters': '.png',
    }
    assert sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) < 20e6


@pytest.mark.parametrize('release', ['original', 'fmriprep'])
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path, release):
    one, again, other = (
        digests(shen2019.write(tmp_path / name, seed=seed, release=release))
        for name, seed in (('a', 0), ('b', 0), ('c', 1))
    )
    assert one == again
    assert all(other[n] != one[n] for n in one if n.endswith('.h5'))


def test_the_original_has_the_id_in_the_second_column_and_numbers_for_the_other_sets(folder, bdpy):
    label = bdpy.BData(str(folder / 'sub-01_perceptionNaturalImageTraining_original_VC.h5'))
    assert 'ROI_V4' in label.metadata.key and 'Session' not in label.metadata.key
    label = label.get('Label')
    assert label.shape == (300, 3) and (label[:, 0] < 1e6).all() and (label[:, 1] > 1e6).all()
    shapes = bdpy.BData(str(folder / 'sub-01_perceptionArtificialImage_original_VC.h5'))
    assert set(shapes.get('Label')[:, 1]) == set(range(1, 9))
    assert (folder / 'ArtificialImage.tsv').read_text().splitlines()[0] == 'shape_1\t1.0'


def test_fmriprep_has_value_maps_families_sessions_and_nan(fmriprep, bdpy):
    data = bdpy.BData(str(fmriprep / 'sub-01_ImageNetTraining_fmriprep_volume_native.h5'))
    assert {'ROI_hV4', 'voxel_x', 'voxel_i', 'Session', 'MotionParameter'} < set(data.metadata.key)
    assert 'ROI_V4' not in data.metadata.key
    assert data.get('Label').shape[1] == 6 and data.get('MotionParameter').shape[1] == 6
    assert set(data.get('Session').ravel()) == {1, 2, 3} and data.get('Run').max() == 5
    assert np.isnan(data.get('response')).all()
    assert data.get_labels('stimulus_name')[0].startswith('n0')
    imagery = bdpy.BData(str(fmriprep / 'sub-01_Imagery_fmriprep_volume_native.h5'))
    assert 'fixation' in imagery.get_labels('imagery_name')


def test_scenes_of_training_are_never_those_of_a_test(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    trained = np.isin(truth['ids'], truth['train_image_id'])
    assert np.array_equal(scenes.held_out(truth['scene']), ~trained)
    assert len(np.unique(truth['scene'])) == len(truth['scene']) == 60 + 12 + 8 + 5


def test_imagery_is_weaker_than_seeing_and_fixation_holds_nothing(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    assert 'fixation' not in truth['imagery_image_id'] and len(truth['imagery_image_id']) == 14
    with h5py.File(folder / 'sub-01_imagery_original_VC.h5') as file:
        assert file['dataset'].shape[0] == 16


def test_responses_are_those_of_the_scene_behind_the_id(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    brain = reader.load({'path': str(folder), 'rows': 'averaged'})
    best = np.argsort(-truth['ncsnr'])[:60]
    for split, least in ((brain.train, 0.65), (brain.extra_tests['artificial'], 0.5)):
        clean = truth['signals'][np.searchsorted(truth['ids'], split.image_id)]
        r = [np.corrcoef(split.voxels[:, i], clean[:, i])[0, 1] for i in best]
        assert np.mean(r) > least


@pytest.mark.long
def test_full_scale_has_the_true_numbers(full):
    brain = reader.load({'path': str(full('shen2019')[0]), 'subject': 2})
    counts = {name: len(split) for name, split in brain.splits().items()}
    assert counts == {
        'train': 6000,
        'test': 1200,
        'artificial': 800,
        'letters': 120,
        'imagery': 500,
    }
    assert brain.images.shape == (500, 500) and len(brain.images.ids) == 1300


def test_an_unknown_scale_or_release_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        shen2019.write(tmp_path / 'a', scale='huge')
    with pytest.raises(errors.ConfigError, match="release is 'new'"):
        shen2019.write(tmp_path / 'a', release='new')
