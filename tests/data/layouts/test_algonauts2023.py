import hashlib

import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data import mark
from recon.data.datasets import algonauts2023 as reader
from recon.data.formats import algonauts_rois
from recon.data.layouts import _surface, algonauts2023


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return algonauts2023.write(tmp_path_factory.mktemp('data') / 'a', seed=3)


@pytest.fixture(scope='module')
def truth(folder):
    return dict(np.load(folder.with_name('a_truth') / 'truth.npz'))


def digests(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob('*'))
        if p.is_file()
    }


def test_files_are_named_and_shaped_as_the_challenges(folder, truth):
    found = set(digests(folder))
    train, test = len(truth['train_image_id']), len(truth['test_image_id'])
    first = (
        f'subj01/training_split/training_images/train-0001_nsd-{truth["train_image_id"][0]:05d}.png'
    )
    assert first in found and mark.FILE in found
    sides, masks = ('lh', 'rh'), 'subj01/roi_masks'
    wanted = {f'{masks}/mapping_{name}.npy' for name in algonauts_rois.CLASSES}
    for name in algonauts_rois.CLASSES:
        wanted |= {
            f'{masks}/{s}.{name}_{k}_space.npy' for s in sides for k in ('challenge', 'fsaverage')
        }
    wanted |= {f'{masks}/{s}.all-vertices_fsaverage_space.npy' for s in sides}
    wanted |= {f'subj01/test_split/noise_ceiling/{s}_noise_ceiling.npy' for s in sides}
    wanted |= {
        f'subj01/{p}_split/{p}_fmri/{s}_{p}_fmri.npy' for p in ('training', 'test') for s in sides
    }
    pictures = {name for name in found if name.endswith('.png')}
    assert found - pictures - {mark.FILE} == wanted and len(pictures) == train + test
    left = np.load(folder / 'subj01/training_split/training_fmri/lh_training_fmri.npy')
    assert left.dtype == np.float32 and left.shape == (train, 690)
    assert np.load(folder / masks / 'rh.streams_fsaverage_space.npy').shape == (163_842,)
    ceiling = np.load(folder / 'subj01/test_split/noise_ceiling/rh_noise_ceiling.npy')
    assert ceiling.shape == (715,) and 0 <= ceiling.min() < ceiling.max() < 1
    with Image.open(folder / first) as picture:
        assert picture.mode == 'RGB' and picture.size == (64, 64)
    assert sum(p.stat().st_size for p in folder.rglob('*') if p.is_file()) < 20e6


def test_the_sum_of_masks_has_twos_and_no_stream_means_retrosplenial(folder):
    masks = folder / 'subj01' / 'roi_masks'
    both = [np.load(masks / f'{s}.all-vertices_fsaverage_space.npy') for s in ('lh', 'rh')]
    assert set(np.unique(both)) == {0, 1, 2}
    for side, inside in zip(('lh', 'rh'), both, strict=True):
        streams = np.load(masks / f'{side}.streams_fsaverage_space.npy')
        bare = (inside != 0) & (streams == 0)
        assert bare.any() and (inside[bare] == 1).all() and (streams[inside == 0] == 0).all()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(folder):
    again = digests(algonauts2023.write(folder.with_name('b'), seed=3))
    assert again == digests(folder)
    other = digests(algonauts2023.write(folder.with_name('c'), seed=4))
    shared = [name for name in again if name.endswith('fmri.npy')]
    assert all(other[name] != again[name] for name in shared)


def test_training_holds_shared_images_and_test_images_were_never_trained_on(truth):
    train, test = truth['train_image_id'], truth['test_image_id']
    assert not np.isin(test, train).any() and (test % 10 == 9).all()
    assert (train % 10 == 9).sum() == len(train) // 10
    assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all()


def test_signals_show_in_rows_as_the_noise_ceiling_says(truth):
    """r squared of test rows with the noise-free signal is the ceiling of a test average."""
    rows = np.searchsorted(truth['ids'], truth['test_image_id'])
    clean, seen = truth['signals'][rows], truth['test_voxels']
    r = [np.corrcoef(clean[:, i], seen[:, i])[0, 1] for i in np.flatnonzero(truth['carries'])]
    wanted = truth['info_noise_ceiling'][truth['carries']]
    assert abs(np.mean(r) - np.sqrt(wanted).mean()) < 0.06
    assert (truth['signals'][:, ~truth['carries']] == 0).all()


@pytest.mark.parametrize(('subject', 'seed'), [(1, 0), (3, 1), (8, 5)])
def test_trials_are_planned_as_the_challenge_needs_them(subject, seed):
    plan = algonauts2023.plan_of('full', subject)
    shown, session, run = _surface._trials(plan, np.random.default_rng(seed))
    late = session >= plan.scanned - _surface.HELD
    assert session.max() == plan.scanned - 1 and (np.diff(session) >= 0).all()
    # Test pictures are in the last sessions only; every picture is where it is averaged.
    assert (shown[~late] < plan.train).all() and len(np.unique(shown[~late])) == plan.train
    test = np.unique(shown[late & (shown >= plan.train)])
    assert test.tolist() == list(range(plan.train, plan.train + plan.test))
    times = np.bincount(shown)
    assert times.max() == 3 and times.min() >= 1
    assert (plan.scanned == plan.planned) == (times.min() == 3)
    assert len(np.unique(np.stack([session, run]), axis=1).T) == len(np.unique(run))


def test_rows_are_means_of_z_scores(truth):
    """Of pictures seen three times: less spread than single z-scores, more than noise alone."""
    spread = truth['train_voxels'].std(0)
    assert spread.min() > 0.5 and spread.max() < 1 and abs(truth['train_voxels'].mean()) < 0.05


def test_sizes_differ_between_subjects_and_hemispheres_and_scales_are_known(tmp_path):
    plans = [algonauts2023.plan_of('toy', s) for s in range(1, 9)]
    assert len({p.columns for p in plans}) == 8 and all(p.columns[0] != p.columns[1] for p in plans)
    full = {s: algonauts2023.plan_of('full', s) for s in range(1, 9)}
    for subject, (_, test, left, right) in reader.PUBLISHED.items():
        assert full[subject].columns == (left, right) and full[subject].test == test
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        algonauts2023.write(tmp_path / 'a', scale='huge')


def test_at_full_size_every_voxel_has_a_vertex_of_its_own():
    plan = algonauts2023.plan_of('full', 6)
    brain = _surface._brain(plan, 6, 0)
    for side, count in enumerate(plan.columns):
        vertex = brain.vertex[brain.hemisphere == side]
        assert len(vertex) == count == len(np.unique(vertex)) and (np.diff(vertex) > 0).all()
        assert vertex.max() < 163_842 and (vertex < _surface.FSAVERAGE5).sum() > 1900


@pytest.mark.long
def test_full_scale_has_the_true_numbers_of_vertices(full):
    brain = reader.load({'path': str(full('algonauts2023')[0]), 'subject': 2})
    assert brain.train.voxels.shape == (1968, 39_548) and len(brain.test) == 159
    assert brain.images.shape == (425, 425)
