import hashlib

import h5py
import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data import mark
from recon.data.layouts import vim1
from recon.data.simulator import scenes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return vim1.write(tmp_path_factory.mktemp('data') / 'a')


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder, tmp_path):
    again = vim1.write(tmp_path / 'b', subject=2)  # both subjects are in the one file
    assert digests(again) == digests(folder)
    other = digests(vim1.write(tmp_path / 'c', seed=1))
    assert all(other[name] != found for name, found in digests(folder).items() if 'mat' in name)
    names = {'EstimatedResponses.mat', 'Stimuli.mat', mark.FILE}
    assert set(other) == names and mark.facts(folder) == {'simulated': True}


def test_responses_are_a_matlab_7_3_file_with_voxels_first_for_matlab(folder):
    path = folder / 'EstimatedResponses.mat'
    header = path.read_bytes()[:128]
    assert header.startswith(b'MATLAB 7.3') and header.endswith(b'IM')
    with h5py.File(path) as file:
        assert set(file) == {
            f'{name}S{s}' for name in ('dataTrn', 'dataVal', 'roi', 'voxIdx') for s in (1, 2)
        }
        sizes = []
        for s in (1, 2):
            train, test = file[f'dataTrnS{s}'], file[f'dataValS{s}']
            v = train.shape[1]  # h5py shows MATLAB's voxels x pictures the other way round
            assert train.shape == (160, v) and test.shape == (30, v)
            assert file[f'roiS{s}'].size == file[f'voxIdxS{s}'].size == v
            place = file[f'voxIdxS{s}'][:]
            assert place.min() >= 1 and place.max() <= 64 * 64 * 18
            assert len(np.unique(place)) == v
            lost = [np.isnan(rows[:]) for rows in (train, test)]
            assert all((x == x[0]).all() for x in lost)  # whole voxels
            lost = [x[0] for x in lost]
            assert (lost[0] & ~lost[1]).any() or (lost[1] & ~lost[0]).any()
            rows = train[:][:, ~lost[0]]
            np.testing.assert_allclose(rows.mean(0), 0, atol=1e-5)
            np.testing.assert_allclose(rows.std(0), 1, atol=1e-5)
            sizes.append(v)
    assert sizes[0] != sizes[1]


def test_stimuli_are_grey_pictures_of_a_matlab_5_file(folder):
    held = scipy.io.loadmat(folder / 'Stimuli.mat')
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    assert held['stimTrn'].shape == (160, 32, 32) and held['stimVal'].shape == (30, 32, 32)
    assert held['stimTrn'].dtype == np.float64 and np.abs(held['stimTrn']).max() <= 0.5
    drawn = scenes.draw(truth['scenes'][[5, 170]], 32, 0).images / 255 @ [0.2125, 0.7154, 0.0721]
    np.testing.assert_allclose(held['stimTrn'][5], drawn[0] - 0.5, atol=1e-5)
    np.testing.assert_allclose(held['stimVal'][10], drawn[1] - 0.5, atol=1e-5)
    assert np.array_equal(truth['scenes'] % 10 == 9, np.arange(190) >= 160)


def test_validation_rows_are_the_means_of_more_trials_and_so_less_noisy(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    best = np.argsort(-truth['noise_ceiling'])[:60]

    def r(part, first):
        rows = truth[f'{part}_voxels']
        clean = truth['signals'][first : first + len(rows)]
        return np.mean([np.corrcoef(rows[:, i], clean[:, i])[0, 1] for i in best])

    ncsnr = truth['ncsnr'][best] ** 2
    for part, first, trials in (('train', 0, 2), ('test', 160, 13)):
        wanted = np.sqrt(ncsnr / (ncsnr + 1 / trials)).mean()
        assert wanted - 0.12 < r(part, first) < wanted + 0.06, part


def test_near_voxels_lie_near_each_other(folder):
    truth = np.load(folder.with_name('a_truth') / 'truth.npz')
    r = [np.corrcoef(truth['xyz'][:, i], truth['info_xyz'][:, i])[0, 1] for i in range(3)]
    assert min(r) > 0.95
    right = truth['hemisphere'] == 1
    assert truth['info_xyz'][right, 0].min() >= 32 > truth['info_xyz'][~right, 0].max()


@pytest.mark.long
def test_full_scale_has_the_counts_of_the_real_files(full):
    folder, _ = full('vim1')
    with h5py.File(folder / 'EstimatedResponses.mat') as file:
        assert file['dataTrnS1'].shape == (1750, 25_915) and file['dataValS1'].shape[0] == 120
    assert scipy.io.whosmat(folder / 'Stimuli.mat')[0][1] == (1750, 128, 128)


def test_unknown_scales_and_subjects_are_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        vim1.write(tmp_path / 'a', scale='huge')
    with pytest.raises(errors.ConfigError, match='subject is 3'):
        vim1.write(tmp_path / 'a', subject=3)
