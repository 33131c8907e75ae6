"""AlexNet, ours against torchvision's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.zoo import _vision, alexnet
from tests.zoo import reference, vision

from torchvision import models, transforms  # isort: skip


SMALL = alexnet.Config((12, 20, 24, 16, 10), hidden=33, num_classes=11)
OURS = alexnet.AlexNet(SMALL)
NODES = alexnet.LAYERS(SMALL)


@pytest.fixture
def theirs():
    """torchvision's net with fewer channels, and its own way forward."""
    torch.manual_seed(3)
    with torch.device('meta'):
        module = models.alexnet(num_classes=11)
    channels = 3
    for index, width in zip((0, 3, 6, 8, 10), SMALL.widths, strict=True):
        old = module.features[index]
        module.features[index] = torch.nn.Conv2d(
            channels, width, old.kernel_size, old.stride, old.padding
        )
        channels = width
    for index, (rows, columns) in {1: (360, 33), 4: (33, 33), 6: (33, 11)}.items():
        module.classifier[index] = torch.nn.Linear(rows, columns)
    return module.eval()


@pytest.mark.parametrize(('shape', 'scale'), [((2, 64, 71, 3), 0.0), ((1, 130, 127, 3), 0.1)])
def test_every_node_and_the_gradient_equal_torchvisions(theirs, shape, scale):
    theirs = reference.perturb(theirs, 5, scale)
    found = vision.compare(theirs, OURS, shape, NODES, seed=shape[2])
    assert set(NODES) - set(found) == {'flatten'}
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_every_node_and_the_gradient_equal_torchvisions_at_full_width():
    torch.manual_seed(4)
    theirs = reference.perturb(models.alexnet(), 6, 0.01)
    # A seed at which no ReLU sits on its edge: there the gradient is either side's.
    found = vision.compare(theirs, alexnet.AlexNet(), (1, 256, 256, 3), NODES, seed=13)
    assert max(found.values()) < 1e-5, found


def test_in_bfloat16_it_stays_within_two_percent(theirs):
    ours = alexnet.AlexNet(OURS.config, jnp.bfloat16)
    assert vision.output_difference(theirs, ours, (2, 96, 96, 3), seed=8) < 2e-2


def test_a_flattening_with_channels_last_is_seen(theirs, monkeypatch):
    monkeypatch.setattr(_vision, 'flatten', lambda x: x.reshape(len(x), -1))
    assert vision.output_difference(theirs, OURS, (2, 90, 80, 3), seed=9) > 1e-4


def test_a_pooling_of_other_bins_is_seen(theirs, monkeypatch):
    plain = _vision._bins

    def bins(n, size):
        return np.roll(plain(n, size), 1, 1)

    monkeypatch.setattr(_vision, '_bins', bins)
    assert vision.output_difference(theirs, OURS, (2, 256, 255, 3), seed=9) > 1e-4


def test_the_released_size_has_torchvisions_tensors():
    config = alexnet.RELEASED['alexnet']
    named = vision.shapes(alexnet.AlexNet(config), alexnet.example(config))
    expected, count = vision.their_shapes(models.alexnet, alexnet.TABLE)
    assert named == expected
    assert vision.total(named) == count == 61_100_840


@pytest.mark.parametrize('size', [(300, 301), (256, 225), (97, 64)])
def test_prepare_is_torchvisions_preprocessing(size):
    vision.assert_prepares(alexnet, alexnet.Config(), models.AlexNet_Weights.IMAGENET1K_V1, size)


def test_normalise_is_torchvisions():
    images = np.random.default_rng(2).random((1, 5, 4, 3), np.float32)
    change = transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    expected = reference.nhwc(change(reference.nchw(images)))
    np.testing.assert_allclose(alexnet.normalise(images), expected, rtol=1e-6, atol=1e-6)


def test_a_config_survives_its_file():
    config = alexnet.Config((8, 8, 8, 8, 8), kernel=5, dropout=0.25, labels=('cat', 'dog'))
    assert alexnet.read(alexnet.write(config) | {'unknown': 3}) == config
    assert alexnet.CLASSES[alexnet.write(config)['_class_name']] is alexnet.AlexNet


def test_a_value_of_another_type_is_named():
    with pytest.raises(errors.ConfigError, match="stride is 'four'"):
        alexnet.read({'stride': 'four'})


def test_the_tiny_size_weighs_at_most_a_megabyte_in_float16():
    named = vision.shapes(alexnet.AlexNet(alexnet.TINY), alexnet.example(alexnet.TINY))
    assert 2 * vision.total(named) <= 1e6


def test_units_are_dropped_in_training_alone():
    net = alexnet.AlexNet(
        alexnet.Config((4, 4, 4, 4, 4), 3, 2, 1, 2, hidden=9, num_classes=2, crop=48)
    )
    x = vision.pictures((2, 48, 48, 3), 4)
    variables = vision.random_params(lambda rng: net.init(rng, x), 0)
    apply = jax.jit(net.apply, static_argnums=2)
    rngs = {'dropout': jax.random.key(1)}
    kept = apply(variables, x)
    np.testing.assert_array_equal(kept, apply(variables, x, rngs=rngs))
    assert np.abs(np.asarray(kept - apply(variables, x, False, rngs=rngs))).max() > 1e-4
