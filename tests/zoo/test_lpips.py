"""LPIPS, ours against a transcription of its definition in torch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.zoo import lpips
from tests.zoo import reference, vision

from torchvision import models  # isort: skip

ALEX = lpips.Config('alex', (8, 12, 10, 7, 9))
VGG = lpips.Config('vgg', (6, 5, 8, 7, 10, 9, 8, 12, 11, 10, 9, 8, 7))
# Indices of the ReLUs that are compared, in torchvision's `features`.
ENDS = {'alex': (1, 4, 7, 9, 11), 'vgg': (3, 8, 15, 22, 29)}


def trunk(config, seed, scale):
    """torchvision's `features` with other widths."""
    torch.manual_seed(seed)
    with torch.device('meta'):
        features = (models.alexnet if config.net == 'alex' else models.vgg16)().features
    channels, widths = 3, iter(config.widths)
    for i, layer in enumerate(features):
        if isinstance(layer, torch.nn.Conv2d):
            size = layer.kernel_size, layer.stride, layer.padding
            features[i] = torch.nn.Conv2d(channels, channels := next(widths), *size)
        elif isinstance(layer, torch.nn.ReLU):
            layer.inplace = False
    return reference.perturb(features, seed + 1, scale)


def distance(features, lins, ends, a, b):
    """Equation 1 of the paper, on pictures [n 3 h w] in [0, 1]."""
    total = 0
    shift = torch.tensor([-0.030, -0.088, -0.188])[:, None, None]
    scale = torch.tensor([0.458, 0.448, 0.450])[:, None, None]
    a, b = (((2 * x - 1) - shift) / scale for x in (a, b))
    for i, layer in enumerate(features):
        a, b = layer(a), layer(b)
        if i in ends:
            unit = [x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b)]
            weights = lins[ends.index(i)]
            total = total + ((unit[0] - unit[1]) ** 2 * weights).sum(1).mean((1, 2))
    return total


def both(config, seed, scale=0.1):
    """(their function, our parameters)."""
    features = trunk(config, seed, scale)
    generator = np.random.default_rng(seed)
    found = {name: value.numpy() for name, value in features.state_dict().items()}
    found = {f'features.{name}': value for name, value in found.items()}
    lins = {}
    for k, end in enumerate(ENDS[config.net]):
        width = features[end - 1].out_channels
        lins[f'lin{k}.model.1.weight'] = generator.random((1, width, 1, 1), np.float32)
    named = lpips.join(config, found, lins)
    net = lpips.LPIPS(config)
    params = vision.from_tensors(net, named, *lpips.example(config))
    weights = [torch.from_numpy(value[0]) for value in lins.values()]
    return lambda a, b: distance(features, weights, ENDS[config.net], a, b), params


def pictures(seed, shape):
    return np.random.default_rng(seed).random((2, *shape), np.float32)


@pytest.mark.parametrize(
    ('config', 'shape', 'scale'), [(ALEX, (3, 64, 71, 3), 0.1), (VGG, (2, 33, 48, 3), 0.05)]
)
def test_distance_and_gradient_equal_the_definition(config, shape, scale):
    theirs, params = both(config, 3, scale)
    a, b = pictures(1, shape)
    x = reference.nchw(a).requires_grad_(True)
    expected = theirs(x, reference.nchw(b))
    (slope,) = torch.autograd.grad(expected.sum(), x)

    def scalar(a):
        found = lpips.LPIPS(config).apply({'params': params}, a, b)
        return found.sum(), found

    (_, found), gradient = jax.jit(jax.value_and_grad(scalar, has_aux=True))(a)
    assert reference.relative(found, expected) < 1e-5
    assert reference.relative(gradient, reference.nhwc(slope)) < 1e-5


def test_in_bfloat16_it_stays_within_two_percent():
    theirs, params = both(ALEX, 5)
    a, b = pictures(2, (2, 64, 64, 3))
    net = lpips.LPIPS(ALEX, jnp.bfloat16)
    found = jax.jit(net.apply)({'params': params}, a, b)
    assert reference.relative(found, theirs(reference.nchw(a), reference.nchw(b))) < 2e-2


@pytest.mark.parametrize('fault', ['SHIFT', 'SCALE', 'unit'])
def test_pixels_or_lengths_that_are_not_normalised_are_seen(fault, monkeypatch):
    theirs, params = both(ALEX, 6)
    a, b = pictures(3, (1, 80, 64, 3))
    if fault == 'unit':
        monkeypatch.setattr(lpips, 'unit', lambda x: x)
    else:
        monkeypatch.setattr(lpips, fault, {'SHIFT': (0, 0, 0), 'SCALE': (0.5, 0.5, 0.5)}[fault])
    found = jax.jit(lambda: lpips.LPIPS(ALEX).apply({'params': params}, a, b))()
    assert reference.relative(found, theirs(reference.nchw(a), reference.nchw(b))) > 1e-3


def test_where_no_channel_is_active_the_gradient_is_finite():
    _, params = both(ALEX, 7)
    dead = {'kernel': lambda leaf: 0 * leaf, 'bias': lambda leaf: 0 * leaf - 1}
    params = {
        name: {k: dead[k](leaf) for k, leaf in part.items()} if 'net.' in name else part
        for name, part in params.items()
    }
    a, b = pictures(4, (1, 64, 64, 3))
    net = lpips.LPIPS(ALEX)
    total = lambda a, b: net.apply({'params': params}, a, b).sum()  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(total))(a, b)
    assert value == 0
    assert np.isfinite(slope).all()


def test_equal_pictures_are_at_no_distance():
    _, params = both(ALEX, 7)
    a, b = pictures(4, (1, 64, 64, 3))
    apply = jax.jit(lpips.LPIPS(ALEX).apply)
    assert abs(apply({'params': params}, a, a)[0]) < 1e-10 < apply({'params': params}, a, b)[0]


@pytest.mark.parametrize(
    ('name', 'count'), [('lpips_alex', 2_469_696 + 1_152), ('lpips_vgg', 14_714_688 + 1_472)]
)
def test_the_released_sizes_have_the_trunks_tensors(name, count):
    config = lpips.RELEASED[name]
    named = vision.shapes(lpips.LPIPS(config), lpips.example(config))
    assert vision.total(named) == count
    make = models.alexnet if config.net == 'alex' else models.vgg16
    with torch.device('meta'):
        theirs = make().features.state_dict()
    trunk_ = {n.split('.', 2)[2]: s for n, s in named.items() if n.startswith('net.')}
    assert trunk_ == {n: tuple(v.shape) for n, v in theirs.items()}


def test_what_is_not_there_is_named():
    with pytest.raises(errors.WeightsMismatch, match='features.0.weight'):
        lpips.join(ALEX, {}, {})


def test_a_config_survives_its_file():
    assert lpips.read(lpips.write(VGG)) == VGG
    with pytest.raises(errors.ConfigError, match="net is 'squeeze'"):
        lpips.read({'net': 'squeeze'})
    with pytest.raises(errors.ConfigError, match="version is '0.0'"):
        lpips.read({'version': '0.0'})
