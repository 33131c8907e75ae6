"""ResNet-50, ours against torchvision's."""

import jax.numpy as jnp
import pytest
import torch

from recon.core import errors
from recon.zoo import _vision, resnet
from tests.zoo import vision

from torchvision import models  # isort: skip

# (theirs, ours): narrow nets of both kinds of 3x3 convolutions.
OPTIONS = [
    {'layers': (1, 2, 1, 1), 'width_per_group': 8, 'num_classes': 7},
    {'layers': (2, 1, 1, 2), 'width_per_group': 4, 'groups': 4, 'num_classes': 3},
]


def make(options, seed):
    torch.manual_seed(seed)
    block, layers = models.resnet.Bottleneck, list(options['layers'])
    rest = {key: value for key, value in options.items() if key != 'layers'}
    return models.ResNet(block, layers, **rest).eval()


@pytest.fixture(scope='module')
def theirs():
    return vision.perturb(make(OPTIONS[0], 2), 3)


@pytest.mark.parametrize(('options', 'shape'), [(OPTIONS[0], (2, 45, 50, 3))])
def test_every_node_and_the_gradient_equal_torchvisions(theirs, options, shape):
    ours = resnet.ResNet(resnet.Config(**options))
    nodes = resnet.LAYERS(ours.config)
    found = vision.compare(theirs, ours, shape, nodes, seed=11, table=resnet.TABLE)
    assert set(nodes) - set(found) == {'flatten'}
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_fresh_weights_in_groups_agree_too():
    ours = resnet.ResNet(resnet.Config(**OPTIONS[1]))
    theirs = make(OPTIONS[1], 4)
    assert vision.output_difference(theirs, ours, (1, 33, 64, 3), 5, resnet.TABLE) < 1e-5


@pytest.mark.long
def test_resnet50_equals_torchvisions():
    torch.manual_seed(8)
    theirs, ours = vision.perturb(models.resnet50(), 9, 0.01), resnet.ResNet()
    nodes = ('maxpool', 'layer2.3', 'layer4', 'avgpool')
    found = vision.compare(theirs, ours, (1, 75, 64, 3), nodes, seed=10, table=resnet.TABLE)
    assert max(found.values()) < 1e-5, found


@pytest.mark.long
def test_in_bfloat16_it_stays_within_two_percent(theirs):
    ours = resnet.ResNet(resnet.Config(**OPTIONS[0]), jnp.bfloat16)
    assert vision.output_difference(theirs, ours, (2, 64, 48, 3), 6, resnet.TABLE) < 2e-2


def test_a_stride_in_the_first_convolution_is_seen(theirs, monkeypatch):
    # The paper's own variant, v1: the same tensors, another net.
    plain = _vision.conv

    def moved(features, kernel, stride=1, padding=0, *, name, **rest):
        if name == 'conv1' and kernel == 1 and features > 8:
            stride = 2
        if name == 'conv2' and features > 8:
            stride = 1
        return plain(features, kernel, stride, padding, name=name, **rest)

    monkeypatch.setattr(_vision, 'conv', moved)
    ours = resnet.Bottleneck(resnet.Config(**OPTIONS[0]), 128, 2, True)
    x = vision.pictures((1, 12, 12, 256), 2)
    assert vision.block_difference(theirs.layer2[0], ours, x)[0] > 1e-4


@pytest.mark.parametrize(('fault', 'value'), [('epsilon', 1e-3), ('epsilon', 1e-6)])
def test_another_epsilon_is_seen(theirs, fault, value, monkeypatch):
    ours = resnet.Bottleneck(resnet.Config(**OPTIONS[0]), 64, 1, True)
    part = make(OPTIONS[0], 6).layer1[0]
    for name, values in part.named_buffers():
        if name.endswith('running_var'):
            values *= 1e-3  # small variances are where it shows
    x = vision.pictures((1, 9, 10, 64), 1)
    assert vision.block_difference(part, ours, x)[0] < 1e-5
    plain = _vision.BatchNorm
    monkeypatch.setattr(_vision, 'BatchNorm', lambda **rest: plain(**{fault: value}, **rest))
    assert vision.block_difference(part, ours, x)[0] > 1e-4


def test_the_released_sizes_have_torchvisions_tensors():
    expected, count = vision.their_shapes(models.resnet50, resnet.TABLE)
    for name, config in resnet.RELEASED.items():
        named = vision.shapes(resnet.ResNet(config), resnet.example(config))
        head = {} if name != 'swav' else {'fc.weight': (1000, 2048), 'fc.bias': (1000,)}
        assert named | head == expected
        assert vision.total(named) + vision.total(head) == count == 25_557_032


def test_swavs_own_names_are_ours():
    table = resnet.TABLE
    assert table.today('module.layer1.0.downsample.1.weight') == 'layer1.0.downsample.1.weight'
    for name in ('module.projection_head.0.weight', 'module.prototypes.weight'):
        assert table.today(name) is None
    assert table.today('bn1.num_batches_tracked') is None


def test_a_config_survives_its_file_and_other_blocks_are_refused():
    config = resnet.Config(**OPTIONS[1])
    assert resnet.read(resnet.write(config)) == config
    with pytest.raises(errors.ConfigError, match="block is 'BasicBlock'"):
        resnet.read({'block': 'BasicBlock'})


@pytest.mark.parametrize('version', ['V1', 'V2'])
def test_prepare_is_torchvisions_preprocessing(version):
    released = models.ResNet50_Weights[f'IMAGENET1K_{version}']
    config = resnet.RELEASED['resnet50' + ('_v2' if version == 'V2' else '')]
    vision.assert_prepares(resnet, config, released, (233, 290))
