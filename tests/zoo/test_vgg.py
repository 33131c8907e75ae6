"""VGG, ours against torchvision's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.zoo import _vision, vgg
from tests.zoo import reference, vision

from torchvision import models  # isort: skip

SMALL = vgg.Config(((8, 6), (10,), (12, 7, 9)), hidden=21, num_classes=5)
OURS = vgg.VGG(SMALL)


@pytest.fixture
def theirs():
    """torchvision's class and way forward, with fewer and narrower layers."""
    torch.manual_seed(2)
    layers = [8, 6, 'M', 10, 'M', 12, 7, 9, 'M']
    features = models.vgg.make_layers(layers)
    module = models.VGG(torch.nn.Sequential(), num_classes=5, init_weights=False)
    module.features = features
    module.classifier[0] = torch.nn.Linear(9 * 49, 21)
    module.classifier[3] = torch.nn.Linear(21, 21)
    module.classifier[6] = torch.nn.Linear(21, 5)
    return module.eval()


@pytest.mark.parametrize(('shape', 'scale'), [((3, 56, 63, 3), 0.0), ((1, 74, 61, 3), 0.1)])
def test_every_node_and_the_gradient_equal_torchvisions(theirs, shape, scale):
    theirs = reference.perturb(theirs, 4, scale)
    names = [name for name in vgg.LAYERS(SMALL) if '.' in name or name == 'avgpool']
    found = vision.compare(theirs, OURS, shape, names, seed=shape[1])
    assert set(names) == set(found) - {'output', 'gradient'}
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_vgg19_equals_torchvisions():
    torch.manual_seed(9)
    theirs = models.vgg19().eval()
    names = ['features.2', 'features.21', 'features.34', 'features.36', 'classifier.3']
    found = vision.compare(theirs, vgg.VGG(), (1, 97, 64, 3), names, seed=1)
    assert set(names) < set(found)
    assert max(found.values()) < 1e-5, found


def test_in_bfloat16_it_stays_within_two_percent(theirs):
    ours = vgg.VGG(SMALL, jnp.bfloat16)
    assert vision.output_difference(theirs, ours, (2, 40, 48, 3), seed=3) < 2e-2


def test_a_pooling_of_rounded_up_size_is_seen(theirs, monkeypatch):
    plain = _vision.max_pool

    def padded(x, window, stride, padding=0):
        x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
        return plain(x, window, stride, padding)

    monkeypatch.setattr(_vision, 'max_pool', padded)
    assert vision.output_difference(theirs, OURS, (2, 57, 59, 3), seed=3) > 1e-4


def test_the_papers_names_stand_for_torchvisions():
    x = vision.pictures((1, 33, 32, 3), 5)
    variables = vision.random_params(lambda rng: OURS.init(rng, x), 4)
    found = jax.jit(lambda variables: OURS.apply(variables, x, method='layers'))(variables)
    assert set(found) == set(vgg.LAYERS(SMALL))
    for paper, index in {'conv1_2': 2, 'relu1_2': 3, 'pool1': 4, 'conv3_1': 8}.items():
        np.testing.assert_array_equal(found[paper], found[f'features.{index}'])
    assert found['conv3_3'].min() < 0 == found['relu3_3'].min()
    np.testing.assert_array_equal(found['relu6'], np.maximum(found['fc6'], 0))
    np.testing.assert_array_equal(found['fc8'], found['classifier.6'])


@pytest.mark.parametrize(('name', 'last'), [('vgg19', 'features.34'), ('vgg16', 'features.28')])
def test_the_released_sizes_have_torchvisions_tensors(name, last):
    config = vgg.RELEASED[name]
    named = vision.shapes(vgg.VGG(config), vgg.example(config))
    make = getattr(models, name)
    expected, count = vision.their_shapes(lambda: make(init_weights=False), vgg.TABLE)
    assert named == expected
    assert vision.total(named) == count == {'vgg19': 143_667_240, 'vgg16': 138_357_544}[name]
    assert vgg._features(config)[last].startswith('conv5_')


def test_a_config_survives_its_file_and_norms_are_refused():
    assert vgg.read(vgg.write(SMALL)) == SMALL
    with pytest.raises(errors.ConfigError, match='batch_norm is True'):
        vgg.read({'batch_norm': True})


def test_prepare_is_torchvisions_preprocessing():
    vision.assert_prepares(vgg, vgg.Config(), models.VGG19_Weights.IMAGENET1K_V1, (280, 231))
