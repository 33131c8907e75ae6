"""Colour and luminance tell apart what each is blind to."""

import numpy as np
import pytest

from recon.core import errors
from recon.metrics import colour, feature, suite


def pictures(seed, n=6, side=8):
    return np.random.default_rng(seed).random((n, side, side, 3), np.float32)


def test_the_two_add_up_to_the_picture():
    images = pictures(0)
    of_colour = colour.colour(images).reshape(images.shape)
    of_shape = colour.luminance(images).reshape(*images.shape[:3], 1)
    rest = images - of_colour - of_shape
    np.testing.assert_allclose(rest, images.mean((1, 2, 3), keepdims=True) + 0 * rest, atol=1e-6)


def test_each_is_blind_to_the_other():
    images = 0.5 + 0.2 * (pictures(1) - 0.5)
    lighter = images + 0.2 * np.linspace(0, 1, 8, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(colour.colour(lighter), colour.colour(images), atol=1e-6)
    tinted = images + np.array([0.1, -0.05, -0.05], np.float32)
    np.testing.assert_allclose(colour.luminance(tinted), colour.luminance(images), atol=1e-6)


def test_grey_pictures_have_no_colour_and_flat_ones_no_shape():
    grey = np.repeat(pictures(2)[..., :1], 3, -1)
    assert not colour.colour(grey).any() and colour.luminance(grey).any()
    flat = np.full((2, 8, 8, 3), [0.9, 0.1, 0.3], np.float32)
    assert not colour.luminance(flat).any() and colour.colour(flat).any()


def test_they_are_metrics_that_need_no_weights():
    names = ('cosine_colour', 'corrdist_colour', 'two_way_luminance')
    feature.check(names, 'own', '/nowhere')
    truth = pictures(3)
    grey = np.repeat(truth.mean(-1, keepdims=True), 3, -1)
    nets = feature.nets(names, 'own', '/nowhere')
    scores = suite.score(names, grey, truth, seed=0, draws=50, permutations=9, nets=nets)
    assert scores['cosine_colour'].mean is None and scores['cosine_colour'].n_undefined == 6
    assert scores['two_way_luminance'].mean == 1
    assert scores['cosine_colour'].extra['weights'] == 'none'
    scores = suite.score(names, truth, truth, seed=0, draws=50, permutations=9, nets=nets)
    assert scores['cosine_colour'].mean == pytest.approx(1)
    assert scores['corrdist_colour'].mean == pytest.approx(0, abs=1e-9)


def test_another_feature_of_pixels_is_refused_by_name():
    with pytest.raises(errors.ConfigError, match='colour'):
        feature.check(('cosine_color',), 'own')
