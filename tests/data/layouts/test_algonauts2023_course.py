import numpy as np
import pandas
import pytest
from PIL import Image

from recon.core import errors
from recon.data.layouts import _coco, algonauts2023, algonauts2023_course
from recon.data.simulator import scenes


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return algonauts2023_course.write(tmp_path_factory.mktemp('data') / 'a', subject=2, seed=1)


@pytest.fixture(scope='module')
def truth(folder):
    return dict(np.load(folder.with_name('a_truth') / 'truth.npz'))


def test_it_is_the_official_tree_with_less_and_under_other_names(folder, truth, tmp_path):
    algonauts2023.write(tmp_path / 'o', subject=2, seed=1)
    official, course = tmp_path / 'o' / 'subj02', folder / 'subj02'
    ids = np.load(tmp_path / 'o_truth' / 'truth.npz')['train_image_id']
    rows = np.searchsorted(ids, truth['nsd_id'])
    assert np.array_equal(ids[rows], truth['nsd_id']) and len(rows) < len(ids)
    inside = 'training_split/training_fmri/rh_training_fmri.npy'
    assert np.array_equal(np.load(course / inside), np.load(official / inside)[rows])
    for i in (0, 10, len(rows) - 1):
        name = f'train-{rows[i] + 1:04d}_nsd-{ids[rows[i]]:05d}.png'
        whole = (official / 'training_split' / 'training_images' / name).read_bytes()
        assert (course / 'training_split' / 'training_images' / f'{i}.png').read_bytes() == whole
    masks = {p.name for p in (course / 'roi_masks').iterdir()}
    renamed = {p.name.replace('challenge_', '') for p in (official / 'roi_masks').iterdir()}
    assert masks == renamed and not any('challenge' in name for name in masks)
    assert not (course / 'test_split' / 'test_images').exists()


def test_labels_are_of_the_scenes_and_of_a_little_beside_them(folder, truth):
    frame = pandas.read_csv(folder / 'subj02' / 'image_infos' / 'subj02_infos_train.csv')
    known = _coco.originals(73_000, 1)
    assert list(frame.columns[:3]) == ['cocoId', 'cocoSplit', 'person']
    assert frame.columns[-1] == 'rug-merged' and frame.shape[1] == 135
    assert np.array_equal(frame['cocoId'], known['cocoId'][truth['nsd_id']])
    assert np.array_equal(frame['cocoSplit'], known['cocoSplit'][truth['nsd_id']])
    assert np.array_equal(frame.iloc[:, 2:], truth['labels'])
    drawn = scenes.draw(truth['nsd_id'], 16, 1)
    cats = (drawn.category == scenes.CATEGORIES.index('cat')) & (drawn.visible >= scenes.VISIBLE)
    assert np.array_equal(frame['cat'] == 1, cats.any(1)) and cats.any()
    beside = frame[['dog', 'bicycle', 'chair', 'bench', 'umbrella', 'clock', 'fence-merged']]
    assert 0.2 < beside.to_numpy().any(1).mean() < 0.5


def test_numbers_are_not_padded_and_the_truth_is_a_fifth_to_test(folder, truth):
    listed = {p.name for p in (folder / 'subj02/training_split/training_images').iterdir()}
    assert {'0.png', '9.png', '10.png', '100.png'} <= listed and len(listed) == len(truth['ids'])
    both = np.concatenate([truth['train_image_id'], truth['test_image_id']])
    assert np.array_equal(np.sort(both), truth['ids'])
    assert len(truth['test_image_id']) == round(0.2 * len(both))
    with Image.open(folder / 'subj02/training_split/training_images/0.png') as picture:
        assert picture.size == (64, 64)


def test_an_unknown_scale_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="scale is 'huge'"):
        algonauts2023_course.write(tmp_path / 'a', scale='huge')
