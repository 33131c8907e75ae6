"""Inception v3, ours against torchvision's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.zoo import _vision, inception
from tests.zoo import vision

from torchvision import models  # isort: skip

OURS = inception.Inception3(inception.Config(num_classes=6))
NODES = inception.LAYERS(OURS.config)


@pytest.fixture(scope='module')
def theirs():
    torch.manual_seed(1)
    module = models.inception_v3(num_classes=6, init_weights=False, transform_input=True)
    return vision.perturb(module, 2, 0.02)


@pytest.mark.parametrize(
    ('name', 'channels'),
    [('Mixed_5b', 192), ('Mixed_6a', 288), ('Mixed_6c', 768), ('Mixed_7a', 768)],
)
def test_each_kind_of_block_and_its_gradient_equal_torchvisions(theirs, name, channels):
    ours = inception.Mixed(inception._BLOCKS[name])
    x = vision.pictures((2, 7, 6, channels), channels)
    found = vision.block_difference(getattr(theirs, name), ours, x, gradient=True)
    assert max(found) < 1e-5, found


def test_the_last_kind_of_block_and_its_gradient_equal_torchvisions(theirs):
    x = vision.pictures((1, 3, 4, 2048), 7)
    found = vision.block_difference(theirs.Mixed_7c, inception.Split(), x, gradient=True)
    assert max(found) < 1e-5, found


@pytest.mark.long
@pytest.mark.parametrize('transformed', [True, False])
def test_every_node_and_the_gradient_equal_torchvisions(transformed):
    torch.manual_seed(5)
    options = {'num_classes': 9, 'transform_input': transformed}
    theirs = models.inception_v3(aux_logits=False, init_weights=False, **options).eval()
    theirs = vision.perturb(theirs, 2, 0.02) if transformed else theirs  # fresh and perturbed
    ours, shape = inception.Inception3(inception.Config(**options)), (1 + transformed, 107, 90, 3)
    found = vision.compare(theirs, ours, shape, NODES, seed=6, table=inception.TABLE)
    assert set(NODES) - set(found) == {'flatten'}
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_the_whole_equals_torchvisions(theirs):
    difference = vision.output_difference(theirs, OURS, (1, 83, 75, 3), 4, inception.TABLE)
    assert difference < 1e-5


@pytest.mark.long
def test_in_bfloat16_it_stays_within_two_percent(theirs):
    ours = inception.Inception3(OURS.config, jnp.bfloat16)
    shape, table = (2, 79, 79, 3), inception.TABLE
    assert vision.output_difference(theirs, ours, shape, 8, table) < 2e-2


@pytest.mark.parametrize('fault', ['epsilon', 'mean of what is inside'])
def test_a_wrong_block_is_seen(theirs, fault, monkeypatch):
    part, ours = theirs.Mixed_5c, inception.Mixed(inception._BLOCKS['Mixed_5c'])
    x = np.abs(vision.pictures((2, 9, 8, 256), 3)) * 0.1
    (right,) = vision.block_difference(part, ours, x)
    if fault == 'epsilon':
        monkeypatch.setattr(inception, 'EPSILON', 1e-5)
    else:
        pool = _vision.mean_pool
        inside = pool(jnp.ones((1, 9, 8, 1)), 3)
        monkeypatch.setattr(_vision, 'mean_pool', lambda x, window: pool(x, window) / inside)
    assert right < 1e-5 < 1e-4 < vision.block_difference(part, ours, x)[0]


def test_the_released_size_has_torchvisions_tensors_but_the_auxiliary_ones():
    config = inception.RELEASED['inception_v3']
    named = vision.shapes(inception.Inception3(config), inception.example(config))
    make = lambda: models.inception_v3(init_weights=False)  # noqa: E731
    expected, count = vision.their_shapes(make, inception.TABLE)
    assert named == expected
    assert count == 27_161_264  # with the auxiliary head
    assert vision.total(named) == 23_834_568


def test_a_config_survives_its_file():
    config = inception.Config(num_classes=12, transform_input=False, crop=100)
    assert inception.read(inception.write(config)) == config


def test_prepare_is_torchvisions_preprocessing():
    released = models.Inception_V3_Weights.IMAGENET1K_V1
    vision.assert_prepares(inception, inception.Config(), released, (350, 411))


def test_pooling_lets_nan_through_and_gives_the_gradient_to_the_first_of_equals():
    x = jnp.zeros((1, 5, 4, 1)).at[0, 2, 1, 0].set(jnp.nan)
    assert np.isnan(_vision.max_pool(x, 3, 2)[0, :, 0, 0]).all()
    slope = jax.grad(lambda x: _vision.max_pool(x, 2, 2).sum())(jnp.ones((1, 4, 4, 1)))
    np.testing.assert_array_equal(slope[0, :, :, 0], np.tile([[1, 0], [0, 0]], (2, 2)))
