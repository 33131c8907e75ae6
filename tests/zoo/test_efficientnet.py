"""EfficientNet, ours against torchvision's."""

import functools

import jax
import jax.numpy as jnp
import pytest
import torch

from recon.core import errors
from recon.zoo import _vision, efficientnet
from tests.zoo import vision

from torchvision import models  # isort: skip

SMALL = efficientnet.Config(width_mult=0.25, depth_mult=0.1, num_classes=5)
OURS = efficientnet.EfficientNet(SMALL)
TABLE = efficientnet.TABLE


def make(config, seed):
    torch.manual_seed(seed)
    factors = {'width_mult': config.width_mult, 'depth_mult': config.depth_mult}
    stages, last = models.efficientnet._efficientnet_conf('efficientnet_b1', **factors)
    options = {'dropout': 0.2, 'last_channel': last, 'num_classes': config.num_classes}
    return models.EfficientNet(stages, **options).eval()


@pytest.fixture(scope='module')
def theirs():
    return vision.perturb(make(SMALL, 5), 6)


def test_every_node_and_the_gradient_equal_torchvisions(theirs):
    nodes = efficientnet.LAYERS(SMALL)
    found = vision.compare(theirs, OURS, (2, 61, 48, 3), nodes, seed=7, table=TABLE)
    assert set(nodes) - set(found) == {'flatten'}
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_fresh_weights_at_another_size_agree_too():
    config = efficientnet.Config(width_mult=0.6, depth_mult=0.4, num_classes=8)
    ours = efficientnet.EfficientNet(config)
    assert vision.output_difference(make(config, 1), ours, (1, 34, 65, 3), 2, TABLE) < 1e-5


@pytest.mark.long
def test_b1_equals_torchvisions():
    torch.manual_seed(3)
    theirs = vision.perturb(models.efficientnet_b1(), 4, 0.02)
    ours = efficientnet.EfficientNet(efficientnet.RELEASED['efficientnet_b1'])
    nodes = ('features.0', 'features.4.2', 'features.8', 'avgpool')
    found = vision.compare(theirs, ours, (1, 71, 64, 3), nodes, seed=5, table=TABLE)
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_in_bfloat16_it_stays_within_two_percent(theirs):
    ours = efficientnet.EfficientNet(SMALL, jnp.bfloat16)
    assert vision.output_difference(theirs, ours, (2, 48, 48, 3), 8, TABLE) < 2e-2


@pytest.mark.parametrize('fault', ['relu', 'squeezed by the expanded channels', 'epsilon'])
def test_a_wrong_block_is_seen(theirs, fault, monkeypatch):
    part, ours = theirs.features[2][0], efficientnet.MBConv(8, 6, 3, 2)
    x = vision.pictures((2, 10, 9, 8), 1) * 0.1
    assert vision.block_difference(part, ours, x)[0] < 1e-5
    if fault == 'relu':
        monkeypatch.setattr(jax.nn, 'silu', jax.nn.relu)
    elif fault == 'epsilon':
        norm = functools.partial(_vision.BatchNorm, 1e-3)
        monkeypatch.setattr(_vision, 'BatchNorm', norm)
    else:
        monkeypatch.setattr(_vision, 'adaptive_pool', lambda x, size: x[:, :1, :1])
    assert vision.block_difference(part, ours, x)[0] > 1e-4


@pytest.mark.parametrize(
    ('channels', 'wanted'), [(32, 32), (8.1, 8), (11.9, 16), (40 * 1.1, 48), (18, 24), (3, 8)]
)
def test_channels_are_rounded_as_in_torchvision(channels, wanted):
    assert efficientnet.rounded(channels) == wanted
    assert models._utils._make_divisible(channels, 8) == wanted


def test_the_released_size_has_torchvisions_tensors():
    config = efficientnet.RELEASED['efficientnet_b1']
    named = vision.shapes(efficientnet.EfficientNet(config), efficientnet.example(config))
    expected, count = vision.their_shapes(models.efficientnet_b1, TABLE)
    assert named == expected
    assert vision.total(named) == count == 7_794_184


def test_a_config_survives_its_file():
    assert efficientnet.read(efficientnet.write(SMALL)) == SMALL
    with pytest.raises(errors.ConfigError, match="interpolation is 'nearest'"):
        efficientnet.read({'interpolation': 'nearest'})


@pytest.mark.parametrize(('name', 'version'), [('', 'V2'), ('_v1', 'V1')])
def test_prepare_is_torchvisions_preprocessing(name, version):
    config = efficientnet.RELEASED[f'efficientnet_b1{name}']
    released = models.EfficientNet_B1_Weights[f'IMAGENET1K_{version}']
    vision.assert_prepares(efficientnet, config, released, (301, 256))
