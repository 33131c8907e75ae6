"""The tiny category net: its pictures, its norms that are folded away, its scores."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from recon.data.simulator import scenes
from recon.train.tasks import _scenes, alexnet
from recon.zoo import alexnet as zoo
from recon.zoo import weights
from tests.zoo import vision

SMALL = dataclasses.replace(zoo.TINY, widths=(4, 6, 8, 6, 5), hidden=12)


def batch(n, seed, size=64):
    rng = np.random.default_rng(seed)
    return {
        'images': rng.integers(0, 255, (n, size, size, 3), np.uint8),
        'shown': np.zeros((n, 16), np.float32),
        'contents': rng.random((n, 8, 8, 16), np.float32),
    }


augment = jax.jit(alexnet.augment, static_argnums=1)


def test_contents_go_where_the_picture_goes():
    n = 40
    spots = np.random.default_rng(1).integers(2, 6, (n, 2))
    given = batch(n, 0)
    given['images'][:], given['contents'][:] = 0, 0
    for i, (y, x) in enumerate(spots):
        given['images'][i, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8] = 255
        given['contents'][i, y, x, 3] = 1
    images, contents = augment(given, 7, jax.random.key(2))
    assert images.shape == (n, 64, 64, 3)
    assert 0 <= images.min() < images.max() <= 1

    def centre(weights_, power):
        weights_ = np.asarray(weights_, np.float64) ** power
        size = weights_.shape[1]
        at = (np.arange(size) + 0.5) / size
        total = weights_.sum((1, 2))
        return np.stack([(weights_.sum(2) @ at) / total, (weights_.sum(1) @ at) / total], 1)

    light = np.asarray(images).sum(-1)
    light = np.maximum(light - np.median(light, (1, 2), keepdims=True) - 0.6, 0)
    seen, told = centre(light, 2), centre(contents[..., 3], 1)
    assert np.abs(seen - told).max() < 0.12  # less than a cell
    before = (spots + 0.5) / 8
    assert np.abs(told - before)[:, 1].max() > 0.3  # some were mirrored
    assert np.abs(told - before)[:, 0].max() < 0.25  # never upside down


def test_scenes_with_words_are_not_mirrored():
    given = batch(40, 3)
    given['contents'][:] = 0
    given['contents'][:, :, 6] = 1  # all on the right
    given['shown'][:, scenes.CATEGORIES.index('word')] = 1
    _, contents = augment(given, 7, jax.random.key(4))
    assert (np.asarray(contents).sum((1, 3)).argmax(1) >= 4).all()


def test_folded_norms_are_the_norms_of_the_batch():
    net = zoo.AlexNet(SMALL)
    params = vision.random_params(lambda rng: alexnet._begin(net, rng), 5, 0.2)
    given, key = batch(6, 7), jax.random.key(8)

    @jax.jit
    def both(params, given):
        folded = alexnet._folded(net, params, jax.tree.map(lambda leaf: leaf[None], given), key)
        images, _ = alexnet.augment(given, 7, jax.random.fold_in(key, 0))
        nodes, moments = alexnet._forward(net, params, images)
        return nodes, net.apply({'params': folded}, zoo.normalise(images), method='layers'), moments

    normed, plain, moments = both(params, given)
    assert set(moments) == {f'features.{i}' for i in (0, 3, 6, 8, 10)}
    for name in ('features.0', 'features.11', 'classifier.6'):
        np.testing.assert_allclose(plain[name], normed[name], rtol=1e-4, atol=1e-4)
    assert np.abs(np.asarray(normed['features.10']).mean((0, 1, 2))).max() < 0.5


def test_average_precision_is_scikit_learns():
    rng = np.random.default_rng(6)
    scores, truth = rng.normal(size=(90, 4)), rng.random((90, 4)) < [0.1, 0.5, 0.9, 0.3]
    expected = metrics.average_precision_score(truth, scores, average=None)
    np.testing.assert_allclose(alexnet.average_precision(scores, truth), expected, rtol=1e-12)
    assert np.isnan(alexnet.average_precision(scores, truth * 0)).all()


def test_perfect_logits_reach_everything_and_random_ones_chance():
    drawn = scenes.draw(np.arange(9, 4009, 10))
    every = np.ones(400, bool)
    shown = scenes.labels(drawn)
    perfect = alexnet._reached(drawn, shown + np.eye(16)[drawn.category[:, 0]], every)
    for name in ('mean_average_precision', 'main_category_in_top_k', 'main_category_first',
                 'some_shown_category_first', 'one_object_right'):  # fmt: skip
        assert perfect[name] == 1, name
    random = alexnet._reached(drawn, np.random.default_rng(1).normal(size=(400, 16)), every)
    assert abs(random['main_category_first'] - random['chance_first']) < 0.05
    assert abs(random['main_category_in_top_k'] - random['chance_in_top_k']) < 0.06
    chance = random['chance_mean_average_precision']
    assert abs(random['mean_average_precision'] - chance) < 0.05
    assert random['scenes'] == 400 > 2 * random['scenes_of_one_object'] > 0


def test_unseen_pairs_are_in_test_scenes_alone():
    assert not alexnet._unseen(scenes.draw(np.arange(0, 400, 2))).any()
    drawn = scenes.draw(np.arange(9, 2009, 10))
    found = alexnet._unseen(drawn)
    assert 5 < found.sum() < 60
    assert scenes.has_unseen(drawn)[found].all()


@pytest.mark.long
def test_a_training_of_two_steps_writes_a_folder_that_is_read_and_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(alexnet, 'ASIDE', 20)
    monkeypatch.setattr(zoo, 'TINY', SMALL)
    settings = alexnet.SETTINGS | {
        'steps': 2, 'batch': 4, 'scenes': 60, 'norm_batches': 2, 'save_every': 2, 'log_every': 1,
    }  # fmt: skip
    alexnet.run(settings, tmp_path / 'out', tmp_path / 'work', seed=3)
    loaded = weights.load(tmp_path / 'out' / 'alexnet')
    assert loaded.config == dataclasses.replace(SMALL, labels=scenes.CATEGORIES)
    reached = alexnet.measure(tmp_path / 'out', n=30)
    assert reached['all']['scenes'] == 30
    drawn = _scenes.held_out(30)
    for part, unseen in (
        ('unseen_pairs', scenes.has_unseen(drawn)),
        ('unseen_main', alexnet._unseen(drawn)),
    ):
        assert reached.get(part, {'scenes': 0})['scenes'] == unseen.sum()
    images = _scenes.held_out(2).images / np.float32(255)
    pixels = zoo.prepare(loaded.config, jnp.asarray(images))
    apply = jax.jit(loaded.module.apply)
    assert np.isfinite(apply({'params': loaded.params}, pixels)).all()


def test_the_embedded_net_says_what_it_said():
    golden = json.loads((pathlib.Path(__file__).parent / 'golden' / 'alexnet.json').read_text())
    net = weights.load('tiny/alexnet')
    logits = alexnet._logits(net.module, net.params, _scenes.held_out(4).images)
    np.testing.assert_allclose(logits, golden['logits'], atol=2e-2)
    assert net.config.labels == scenes.CATEGORIES


@pytest.mark.long
def test_the_embedded_net_knows_what_is_shown():
    reached = alexnet.measure(pathlib.Path(weights.__file__).parent / 'assets' / 'tiny', n=400)
    assert reached['all']['mean_average_precision'] > 0.94
    assert reached['all']['one_object_right'] > 0.97
    assert reached['unseen_main']['main_category_in_top_k'] > 0.9


@pytest.mark.long
def test_the_training_learns_what_is_shown(tmp_path):
    settings = alexnet.SETTINGS | {'steps': 300, 'scenes': 4000, 'norm_batches': 8}
    alexnet.run(settings | {'save_every': 300}, tmp_path, tmp_path / 'work', seed=1)
    reached = alexnet.measure(tmp_path, n=300)['all']
    assert reached['mean_average_precision'] > 1.3 * reached['chance_mean_average_precision']
