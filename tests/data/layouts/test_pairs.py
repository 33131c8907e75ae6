import hashlib
import json

import h5py
import nibabel
import numpy as np
import pytest
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data import mark
from recon.data.layouts import pairs


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """One folder of each kind, with their truth."""
    base = tmp_path_factory.mktemp('pairs')
    return {
        kind: (pairs.write(base / kind, kind=kind), np.load(base / f'{kind}_truth' / 'truth.npz'))
        for kind in pairs.KINDS
    }


def digests(folder):
    paths = sorted(p for p in folder.rglob('*') if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def voxels_of(truth):
    """All rows of the truth, sorted so that kinds can be compared."""
    return np.sort(np.concatenate([truth['train_voxels'], truth['test_voxels']]), axis=None)


@pytest.mark.parametrize('kind', pairs.KINDS)
def test_the_same_seed_gives_the_same_bytes(written, tmp_path, kind):
    folder, truth = written[kind]
    again = pairs.write(tmp_path / 'again', kind=kind)
    assert digests(again) == digests(folder)
    assert digests(tmp_path / 'again_truth') == digests(folder.with_name(f'{kind}_truth'))
    assert mark.facts(folder) == {'simulated': True}
    assert np.array_equal(voxels_of(truth), voxels_of(written['npy'][1]))  # one brain for all
    assert sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) < 20e6


def test_other_seeds_and_subjects_differ(written, tmp_path):
    one = written['npy'][1]
    for options in (dict(seed=1), dict(subject=2), dict(subject=3)):
        pairs.write(tmp_path / 'a', **options)
        other = np.load(tmp_path / 'a_truth' / 'truth.npz')
        assert not np.array_equal(one['ids'], other['ids'])
        sizes = [(t['train_voxels'].shape, len(t['ids'])) for t in (one, other)]
        assert (sizes[0] != sizes[1]) == ('subject' in options)


def test_the_peers_own_readers_find_the_truth_in_each_kind(written):
    def rows(truth, image_id):
        """The truth's rows in the order of the file, whose rows show `image_id`."""
        out = np.empty((len(image_id), truth['train_voxels'].shape[1]), np.float32)
        test = np.isin(image_id, truth['test_image_id'])
        out[~test], out[test] = truth['train_voxels'], truth['test_voxels']
        return out

    for kind, (folder, truth) in written.items():
        wanted = rows(truth, np.load(folder / 'ids.npy'))
        if kind == 'npy':
            found = np.load(folder / 'voxels.npy')
        elif kind == 'h5':
            with h5py.File(folder / 'voxels.h5') as file:
                found = file['voxels'][:]
        elif kind == 'mat':
            found = scipy.io.loadmat(folder / 'voxels.mat')['voxels']
        elif kind == 'mat73':
            with h5py.File(folder / 'voxels.mat') as file:
                found = file['voxels'][:].T  # as MATLAB would show it
        elif kind == 'nifti':
            mask = nibabel.load(folder / 'mask.nii.gz').get_fdata() > 0
            found = nibabel.load(folder / 'voxels.nii.gz').get_fdata(dtype=np.float32)[mask].T
        else:
            sides = [nibabel.load(folder / f'{s}h.voxels.func.gii').agg_data() for s in 'lr']
            found = np.concatenate([np.stack(side) for side in sides], 1)
            found = found[:, np.isfinite(found).all(0)]
        np.testing.assert_array_equal(found, wanted, kind)


def test_files_are_as_a_lab_would_have_them(written):
    folder, truth = written['nifti']
    areas = np.asarray(nibabel.load(folder / 'rois' / 'areas.nii.gz').dataobj)
    names = json.loads((folder / 'rois' / 'areas.json').read_text())
    assert areas.min() == -1 and {int(c) for c in names} == set(np.unique(areas)) - {-1, 0}
    for code, name in names.items():
        assert (areas == int(code)).sum() == truth[f'roi_{name}'].sum() > 0
    pictures = sorted(p.name for p in (folder / 'images').iterdir())
    assert {int(name.removesuffix('.png')) for name in pictures} == set(truth['ids'].tolist())
    assert len({len(name) for name in pictures}) > 1  # not padded
    picture = np.asarray(Image.open(folder / 'images' / pictures[0]))
    assert picture.shape == (48, 48, 3) and picture.dtype == np.uint8
    assert (folder / 'voxels.nii.gz').exists() and not (folder / 'ids.csv').exists()
    label = nibabel.load(written['gifti'][0] / 'rois' / 'lh.areas.label.gii')
    assert label.labeltable.get_labels_as_dict()[1] == 'V1v'
    header = (written['mat73'][0] / 'voxels.mat').read_bytes()[:128]
    assert header.startswith(b'MATLAB 7.3') and header.endswith(b'IM')


def test_test_images_are_the_held_out_scenes_and_are_among_the_others_in_time(written):
    folder, truth = written['npy']
    ids = np.load(folder / 'ids.npy')
    test = np.loadtxt(folder / 'test_ids.txt', dtype=int)
    assert np.array_equal(np.unique(truth['test_image_id']), test) and (test % 10 == 9).all()
    assert np.bincount(np.searchsorted(np.unique(ids), ids)).tolist().count(3) == 20
    where = np.flatnonzero(np.isin(ids, test)) / len(ids)
    assert where.min() < 0.2 and where.max() > 0.8


def test_voxels_follow_the_noise_free_signal_as_their_ceiling_says(written):
    truth = written['npy'][1]
    clean = truth['signals'][np.searchsorted(truth['ids'], truth['train_image_id'])]
    best = np.argsort(-truth['noise_ceiling'])[:60]
    r = [np.corrcoef(truth['train_voxels'][:, i], clean[:, i])[0, 1] for i in best]
    wanted = np.sqrt(truth['noise_ceiling'][best]).mean()
    assert wanted - 0.12 < np.mean(r) < wanted + 0.06
    silent = ~truth['carries']
    assert (truth['signals'][:, silent] == 0).all() and (truth['info_ncsnr'][silent] == 0).all()


@pytest.mark.long
def test_full_scale_is_a_labs_study(full):
    truth = np.load(f'{full("pairs")[0]}_truth/truth.npz')
    # Subject 2 sees three training images more than subject 1's 800, each of them twice.
    assert len(truth['train_voxels']) == 1606 and len(truth['test_voxels']) == 400
    assert abs(truth['train_voxels'].shape[1] / 20_000 - 1) < 0.1 and len(truth['ids']) == 903


def test_unknown_scales_and_kinds_are_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        pairs.write(tmp_path / 'a', scale='huge')
    with pytest.raises(errors.ConfigError, match="kind is 'xls'.*nifti"):
        pairs.write(tmp_path / 'a', kind='xls')
