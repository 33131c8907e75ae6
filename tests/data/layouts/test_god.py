import csv
import hashlib

import h5py
import numpy as np
import pytest

from recon.core import errors
from recon.data import mark
from recon.data.datasets import god as reader
from recon.data.layouts import god
from recon.data.simulator import scenes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return god.write(tmp_path_factory.mktemp('data') / 'a')


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob('*'))
        if p.is_file()
    }


def column(folder, key, name='Subject1.h5'):
    with h5py.File(folder / name) as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        return file['dataset'][()][:, file['metadata/value'][keys.index(key)] == 1]


def test_the_files_are_those_of_the_release(folder):
    found = set(digests(folder))
    pictures = {name for name in found if name.startswith('images/')}
    lists = {'imageID_training.csv', 'imageID_test.csv'}
    lists |= {'stimulus_ImageNetTraining.tsv', 'stimulus_ImageNetTest.tsv'}
    assert found - pictures == {'Subject1.h5', 'Subject1.mat', mark.FILE} | lists
    assert len(pictures) == 108 and all(name.endswith('.JPEG') for name in pictures)
    assert sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) < 20e6


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder):
    again = digests(god.write(folder.with_name('b')))
    other = digests(god.write(folder.with_name('c'), seed=1))
    assert again == digests(folder)
    assert other['Subject1.h5'] != again['Subject1.h5']


def test_rows_are_those_of_three_experiments_in_runs_that_count_from_one(folder):
    kind, run = column(folder, 'DataType')[:, 0], column(folder, 'Run')[:, 0]
    assert np.bincount(kind.astype(int)).tolist() == [0, 96, 48, 24]
    for code, runs in ((1, 8), (2, 4), (3, 4)):
        assert set(run[kind == code]) == set(range(1, runs + 1))
    ids = column(folder, 'stimulus_id')[:, 0]
    assert np.unique(ids[kind == 1], return_counts=True)[1].tolist() == [1] * 96
    assert np.unique(ids[kind == 2], return_counts=True)[1].tolist() == [4] * 12
    assert (ids[kind == 3] % 1 == 0).all() and (ids[kind < 3] % 1 > 0).all()
    assert set(ids[kind == 3]) == set(np.floor(ids[kind == 2]))


def test_ids_hold_the_traps_of_real_ones(folder):
    ids = np.unique(column(folder, 'stimulus_id'))
    decimals = [f'{x:.6f}'.split('.')[1] for x in ids if x % 1]
    assert any(d.endswith('0') for d in decimals) and any(d.startswith('00') for d in decimals)
    assert (ids >= 1e7).any() and (ids < 1e7).any()
    with open(folder / 'imageID_training.csv') as file:
        rows = list(csv.reader(file))
    assert any(len(row[0].split('.')[1]) < 6 for row in rows)  # zeros vanish in print
    assert all((folder / 'images' / 'training' / row[1]).exists() for row in rows)


def test_categories_of_training_and_test_are_disjoint_and_so_are_scenes(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    train, test = (np.unique([i[:9] for i in truth[f'{k}_image_id']]) for k in ('train', 'test'))
    assert len(train) == 24 and len(test) == 12 and not set(train) & set(test)
    tested = np.isin(truth['ids'], truth['test_image_id'])
    assert np.array_equal(scenes.held_out(truth['scene']), tested)


def test_metadata_are_one_or_nan_or_coordinates_and_areas_overlap(folder):
    with h5py.File(folder / 'Subject1.h5') as file:
        keys = [k.decode() for k in file['metadata/key'][()]]
        values = dict(zip(keys, file['metadata/value'][()], strict=True))
    assert np.isnan(values['Run']).sum() == len(values['Run']) - 1
    assert np.isnan(values['ROI_V1'][460:]).all() and set(values['ROI_V1'][:460]) == {0, 1}
    assert 'ROI_V4' in keys and 'ROI_hV4' not in keys
    both = (values['ROI_V1'] == 1) & (values['ROI_LVC'] == 1) & (values['ROI_VC'] == 1)
    assert both.sum() == (values['ROI_V1'] == 1).sum() > 0
    assert (values['ROI_VC'][:460] == 0).any()


def test_the_older_spelling_has_label_and_no_value_map(folder):
    root = god.write(folder.with_name('d'), old=True)
    with h5py.File(root / 'Subject1.h5') as file:
        assert set(file) == {'dataSet', 'metaData'}
        keys = [k.decode() for k in file['metaData/key'][()]]
        assert 'Label' in keys and 'stimulus_id' not in keys
        assert (file['metaData/value'][keys.index('Label')] == 1).sum() == 3


def test_responses_are_those_of_the_scene_behind_the_id(folder):
    """Mean test responses of the best voxels follow the noise-free signals."""
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    mean = reader.load({'path': str(folder), 'rows': 'averaged'}).test
    clean = truth['signals'][np.searchsorted(truth['ids'], mean.image_id)]
    best = np.argsort(-truth['ncsnr'])[:60]
    r = [np.corrcoef(mean.voxels[:, i], clean[:, i])[0, 1] for i in best]
    assert np.mean(r) > 0.6
    assert (truth['signals'][:, ~truth['carries']] == 0).all()


@pytest.mark.long
def test_full_scale_has_the_true_numbers(full):
    brain = reader.load({'path': str(full('god')[0]), 'subject': 2, 'imagery': True})
    assert len(brain.train) == 1200 and brain.images.shape == (500, 500)
    assert abs(brain.train.voxels.shape[1] / 4404 - 1) < 0.1
    assert len(brain.test) == 1750 and brain.test.repeat.max() == 34
    assert len(brain.extra_tests['imagery']) == 500 and len(brain.images.ids) == 1250
    assert brain.facts['categories'] == {'train': 150, 'test': 50, 'shared': 0}


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        god.write(tmp_path / 'a', scale='huge')
