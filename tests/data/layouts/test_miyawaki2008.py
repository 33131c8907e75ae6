import hashlib

import nibabel
import numpy as np
import pytest
from nilearn.datasets import func as nilearn_files

from recon.core import errors
from recon.data import mark
from recon.data.datasets import miyawaki2008 as reader
from recon.data.layouts import miyawaki2008


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return miyawaki2008.write(tmp_path_factory.mktemp('data') / 'a')


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob('*'))
        if p.is_file()
    }


def test_the_files_are_those_that_nilearn_fetches(folder):
    masks = {f'mask/{name}' for name in nilearn_files.miyawaki2008_file_mask()}
    assert len(masks) == 39
    runs = [f'{kind}_run{i + 1:02d}' for kind, n in reader.RUNS.items() for i in range(n)]
    func = {f'func/data_{run}.nii.gz' for run in runs}
    labels = {f'label/data_{run}_label.csv' for run in runs}
    assert set(digests(folder)) == masks | func | labels | {'bg.nii.gz', mark.FILE}
    assert set(reader.files()) == masks | func | labels


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder):
    again = digests(miyawaki2008.write(folder.with_name('b')))
    other = digests(miyawaki2008.write(folder.with_name('c'), seed=1))
    assert again == digests(folder)
    assert all(other[name] != again[name] for name in again if name.startswith('func/'))


def test_volumes_are_whole_numbers_on_one_grid_with_their_time_in_the_header(folder):
    run = nibabel.load(folder / 'func' / 'data_random_run01.nii.gz')
    assert run.shape == (24, 28, 14, 41) and run.get_data_dtype() == np.int16
    assert run.header.get_zooms() == (7, 7, 7, 2) and run.header.get_xyzt_units() == ('mm', 'sec')
    mask = nibabel.load(folder / 'mask' / 'mask.nii.gz')
    inside = mask.get_fdata() > 0
    assert inside.sum() == 500 and np.array_equal(run.affine, mask.affine)
    data = np.asarray(run.dataobj)
    assert (data[~inside] == 0).all() and 5000 < data[inside].min() < data[inside].max() < 12_000


def test_labels_have_a_row_for_each_volume_and_rest_is_minus_one(folder):
    for kind, shape, on in (('random', (41, 100), 18), ('figure', (35, 100), 15)):
        labels = np.loadtxt(folder / 'label' / f'data_{kind}_run03_label.csv', delimiter=',')
        assert labels.shape == shape
        rest = (labels == -1).all(1)
        assert (~rest).sum() == on and np.isin(labels[~rest], (0, 1)).all()


def test_random_patterns_are_distinct_and_figures_recur(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    assert len(np.unique(truth['patterns'].reshape(140, -1), axis=0)) == 140
    assert np.array_equal(np.unique(truth['train_image_id']), np.arange(120))
    assert np.array_equal(np.unique(truth['test_image_id']), np.arange(120, 140))


def test_responses_are_two_volumes_late_and_have_the_ceiling_of_one_trial_as_block_means(tmp_path):
    """Against the noise-free signal: r is the root of the ceiling, and lower at other shifts."""
    folder = miyawaki2008.write(tmp_path / 'a', seed=3)
    truth = np.load(tmp_path / 'a_truth' / 'truth.npz')
    best = np.argsort(-truth['noise_ceiling'])[:80]
    found = {}
    for shift in (0, 1, 2, 3, 4):
        train = reader.load({'path': str(folder), 'shift': shift, 'rows': 'blocks'}).train
        clean = truth['signals'][train.image_id]
        r = [np.corrcoef(train.voxels[:, i], clean[:, i])[0, 1] for i in best]
        found[shift] = np.mean(r)
    assert max(found, key=found.get) == 2
    wanted = np.sqrt(truth['noise_ceiling'][best]).mean()
    # Rest between patterns is a far larger response, whose tail is left in: a little below.
    assert wanted - 0.15 < found[2] < wanted + 0.05, (found, wanted)


def test_silent_voxels_follow_nothing(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    assert (truth['signals'][:, ~truth['carries']] == 0).all() and (~truth['carries']).mean() > 0.3
    assert np.isnan(truth['x'][~truth['carries']]).all()


@pytest.mark.long
def test_full_scale_is_like_the_real_thing(tmp_path):
    brain = reader.load({'path': str(miyawaki2008.write(tmp_path / 'a', scale='full'))})
    assert brain.train.voxels.shape == (20 * 22 * 3, 5438)
    assert brain.test.voxels.shape == (12 * 10 * 6, 5438)
    assert len(np.unique(brain.train.image_id)) == 440
    assert len(np.unique(brain.test.image_id)) == 20
    blocks = reader.load({'path': str(tmp_path / 'a'), 'rows': 'blocks'})
    assert len(blocks.train) == 440 and len(blocks.test) == 120
    assert blocks.test.repeat.max() == 7  # a figure twice in each of four runs


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        miyawaki2008.write(tmp_path / 'a', scale='huge')
