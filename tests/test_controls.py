import dataclasses
import types

import ml_collections
import numpy as np
import pytest

from recon import controls
from recon import experiment as experiments
from recon.core import errors, rng
from recon.core import types as data


def experiment(image_id, train_id=(0, 1, 2, 3)):
    """A decoder whose picture is the first voxel; the first voxel of test rows is their image."""
    image_id, train_id = np.asarray(image_id), np.asarray(train_id)
    images = np.zeros((len(np.unique(train_id)), 2, 2, 3), np.float32)
    train = data.Split(np.zeros((len(train_id), 3), np.float32), train_id)
    test = data.Split(np.repeat(image_id[:, None], 3, 1).astype(np.float32), image_id)

    def decode(fitted, voxels):
        return {'images': np.broadcast_to(voxels[:, :1, None, None], (len(voxels), 2, 2, 3))}

    cfg = types.SimpleNamespace(
        seed=0,
        targets={'pixels': {}},
        generator=types.SimpleNamespace(chain=()),
        baselines=controls.BASELINES,
        areas=(),
        areas_missing='refuse',
        learning_curve=(),
        score_train=False,
        train_scored=0,
        samples=1,
    )  # fmt: skip
    return types.SimpleNamespace(
        cfg=cfg,
        brain=data.BrainData(train, test, None),
        answer='images',
        train_answers=images,
        truth=lambda split: np.zeros((len(split), 2, 2, 3), np.float32),
        decode=decode,
        fit=lambda name, **options: options,
    ), test


def test_each_row_gets_a_row_of_another_image():
    for seed in range(20):
        r = np.random.default_rng(seed)
        image = r.integers(0, 5, 40)
        order = controls.rows_of_others(r, image)
        assert (image[order] != image).all()
        for one in np.unique(image):  # rows of one image stay together
            assert len(np.unique(image[order][image == one])) == 1


def test_equally_many_rows_an_image_are_each_used_once():
    image = np.tile(['a', 'b', 'c'], 12)
    order = controls.rows_of_others(np.random.default_rng(0), image)
    assert sorted(order) == list(range(36))


def test_rows_of_distinct_images_are_deranged_as_before():
    image = np.arange(12)
    order = controls.rows_of_others(np.random.default_rng(3), image)
    np.testing.assert_array_equal(order, rng.derangement(np.random.default_rng(3), 12))


def test_the_control_of_shuffled_voxels_never_shows_a_row_its_own_image():
    image = np.repeat(np.arange(4), 9)
    made, test = experiment(image)
    shown = controls.baseline('shuffled_voxels', made, {}, test, None)['images']
    assert (shown[:, 0, 0, 0] != image).all()


@pytest.mark.parametrize(
    ('name', 'image_id', 'train_id'),
    [
        ('shuffled_voxels', [5, 5, 5], [0, 1, 2, 3]),
        ('shuffled_voxels', [5], [0, 1, 2, 3]),
        ('shuffled_rows', [5, 6], [0, 1]),
        ('shuffled_rows', [5, 6], [0, 0, 0, 0]),
    ],
)
def test_a_control_with_nothing_to_exchange_is_left_out(name, image_id, train_id):
    made, test = experiment(image_id, train_id)
    images = np.zeros((len(test), 2, 2, 3), np.float32)
    assert controls.baseline(name, made, {}, test, images) is None
    done = []
    scores, _ = controls.run(
        made, {}, test, images, lambda shown, *_: {'n': len(shown)}, done.append
    )
    assert name not in scores['baselines']
    assert len(scores['baselines']) == len(controls.BASELINES) - 1
    assert done == list(controls.BASELINES)


def test_areas_that_a_recording_lacks_are_refused_or_left_out():
    rois = {'V1': np.array([True, False]), 'EBA': np.zeros(2, bool), 'V2': np.array([0, 1]) > 0}
    cfg = types.SimpleNamespace(areas=('V1', 'EBA', 'V1+V2', 'V1+PPA'), areas_missing='skip')
    assert controls.areas(cfg, rois) == ['V1', 'V1+V2']
    cfg.areas_missing = 'refuse'
    with pytest.raises(errors.DataInvalid, match='areas: EBA has no voxel'):
        controls.areas(cfg, rois)
    cfg.areas = ('PPA',)
    with pytest.raises(errors.ConfigError, match='areas that exist: EBA, V1, V2'):
        controls.areas(cfg, rois)


def test_an_answer_of_zeros_chooses_nothing():
    made, test = experiment(np.array([5, 6, 7]))
    entries = {'two_way_stats': {}, 'nway5_stats': {}, 'mse': {}}
    made.cfg.baselines = ('mean_image', 'zero_voxels')
    scores, _ = controls.run(
        made, {}, test, np.ones((3, 2, 2, 3)), lambda *_: dict(entries), lambda name: None
    )
    assert set(scores['baselines']['mean_image']) == {'mse'}


def test_of_pictures_of_the_cortex_areas_are_pixels_and_silence_is_a_response_of_0():
    made, test = experiment(np.array([5, 6, 7]))
    pictures = dataclasses.replace(test, voxels=np.ones((3, 2, 2), np.float32))
    blank = np.full((2, 2), 0.25, np.float32)
    laid = data.Laid(np.array([[0, 1], [2, -1]]), np.array([0, 0, 1, 2]), blank)
    rois = {'V1': np.array([1, 0, 1, 0], bool), 'V2': np.array([0, 1, 0, 0], bool)}
    made.brain = data.BrainData(pictures, pictures, None, rois=rois, laid=laid)
    made.cfg.baselines, made.cfg.areas = ('zero_voxels', 'shuffled_voxels'), ('V1',)
    seen, asked = [], []
    made.decode = lambda fitted, voxels: seen.append(voxels) or {'images': voxels}
    made.fit = lambda name, **options: asked.append(options)
    controls.run(made, {}, pictures, None, lambda *_: {}, lambda name: None)
    np.testing.assert_array_equal(seen[0], np.broadcast_to(blank, (3, 2, 2)))
    np.testing.assert_array_equal(seen[1], pictures.voxels)
    np.testing.assert_array_equal(seen[2][0], [[0.25, 1], [0.25, 0.25]])
    assert asked[0]['voxels'].tolist() == rois['V1'].tolist()
    with pytest.raises(errors.DataInvalid, match='no pixel shows voxels of V2 alone'):
        controls.areas(types.SimpleNamespace(areas=('V2',), areas_missing='refuse'), rois, laid)
    skip = types.SimpleNamespace(areas=('V1', 'V2'), areas_missing='skip')
    assert controls.areas(skip, rois, laid) == ['V1']


def test_training_rows_are_decoded_without_the_gain_of_test_means(tmp_path):
    cfg = ml_collections.ConfigDict({'decoder': {'name': 'shen_gan', 'gain': 5.0}, 'seed': 0})
    made = experiments.Experiment(cfg.lock(), None, None)
    assert controls.on_training(made).cfg.decoder.gain == 1 and made.cfg.decoder.gain == 5
    plain = experiments.Experiment(ml_collections.ConfigDict({'decoder': {}}), None, None)
    assert controls.on_training(plain) is plain


def test_some_training_images_and_what_was_decoded_of_them_are_left(tmp_path):
    made, test = experiment([20, 21], train_id=np.repeat(np.arange(30), 2))
    made.cfg.decoder, made.cfg.score_train, made.cfg.score_rows = {}, True, False
    rows = np.repeat(np.arange(30), 2)
    train = data.Split(np.repeat(rows[:, None], 3, 1).astype(np.float32), rows)
    made.brain = dataclasses.replace(made.brain, train=train)
    made.cfg.baselines = ()
    scores, further = controls.run(
        made, {}, test, None, lambda answers, *rest: {'n': len(answers)}, lambda name: None
    )
    assert scores['scores_train'] == {'n': 30}
    rows, decoded, truth = further['train_examples']
    assert len(rows) == len(truth) == len(decoded['images']) == 12
    assert rows.image_id[0] == 0 and rows.image_id[-1] == 29
    np.testing.assert_array_equal(decoded['images'][:, 0, 0, 0], rows.image_id)
