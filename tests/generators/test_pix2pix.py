import jax
import numpy as np
import pytest
import torch

from recon.core import batch_norm, errors
from recon.generators import _pix2pix_nets as nets
from recon.generators import pix2pix
from tests.zoo import reference

RNG = np.random.default_rng(5)
FUNCTIONAL = torch.nn.functional
THEIRS = {
    nets.down: lambda x, k: FUNCTIONAL.conv2d(x, k, stride=2, padding=1),
    nets.flat: lambda x, k: FUNCTIONAL.conv2d(x, k, stride=1, padding=1),
    nets.up: lambda x, k: FUNCTIONAL.conv_transpose2d(x, k, stride=2, padding=1),
}


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def count(module, *example):
    made = jax.eval_shape(module.init, jax.random.key(0), *example)
    return sum(leaf.size for leaf in jax.tree.leaves(made))


@pytest.mark.parametrize(
    ('kind', 'c', 'f'),
    [('down', 3, 5), ('flat', 3, 5), ('flat', 7, 2), ('up', 3, 5), ('up', 70, 2)],
)
def test_the_convolutions_are_torchs_with_their_gradients(kind, c, f):
    kind = getattr(nets, kind)
    order = (2, 3, 0, 1) if kind is nets.up else (3, 2, 0, 1)
    x, kernel = normal(2, 4, 4, c), normal(4, 4, c, f)  # 70 channels take another path
    x_t = reference.nchw(x).requires_grad_()
    k_t = torch.from_numpy(kernel.transpose(order).copy()).requires_grad_()
    wanted = THEIRS[kind](x_t, k_t)
    weight = normal(*np.moveaxis(wanted.detach().numpy(), 1, -1).shape)
    (wanted * reference.nchw(weight)).sum().backward()

    @jax.jit
    def ours(x, kernel, weight):
        value, pull = jax.vjp(kind, x, kernel)
        return value, *pull(weight)

    value, dx, dk = ours(x, kernel, weight)
    assert reference.relative(value, reference.nhwc(wanted)) < 1e-5
    assert reference.relative(dx, reference.nhwc(x_t.grad)) < 1e-5
    assert reference.relative(dk, k_t.grad.numpy().transpose(np.argsort(order))) < 1e-5


def test_the_published_numbers_of_parameters():
    pictures = jax.ShapeDtypeStruct((1, 256, 256, 3), np.float32)
    assert count(nets.Generator(), pictures) == 54_425_859
    both = jax.ShapeDtypeStruct((1, 256, 256, 6), np.float32)
    assert count(nets.Discriminator(), both) == 2_770_433


SMALL = dict(size=32, width=4, batch=1, test_dropout=False)


@pytest.fixture(scope='module')
def trained():
    """Parameters as a fit would return them, with statistics, and six conditions."""
    net, _ = pix2pix.build(SMALL, (24, 24, 3))
    shapes = jax.eval_shape(net.init, jax.random.key(0), np.zeros((1, 32, 32, 2), np.float32))
    fill = lambda s: (0.3 * RNG.standard_normal(s.shape)).astype(np.float32)  # noqa: E731
    params = jax.tree.map(fill, shapes['params'])
    statistics = jax.tree.map(lambda s: np.abs(fill(s)) + 0.5, shapes['batch_stats'])
    params = {'net': params, 'shape': np.array([24, 24, 3]), 'condition': np.array([2, 0])}
    return params, statistics, RNG.random((5, 32, 32, 2), np.float32)


def made(cfg, params, voxels, seed=0):
    return pix2pix.generate(cfg, params, {'voxels': voxels}, jax.random.key(seed))['images']


def test_at_batch_1_a_picture_is_made_of_its_own_row_alone(trained):
    params, _, voxels = trained
    whole = made(SMALL, params, voxels)
    assert whole.shape == (5, 24, 24, 3)
    assert whole.min() >= 0
    assert whole.max() <= 1
    assert whole.std(0).max() > 0.01
    np.testing.assert_array_equal(made(SMALL, params, voxels[3:4]), whole[3:4])
    noisy = SMALL | {'test_dropout': True}
    first, second = (made(noisy, params, voxels[:1], seed) for seed in (0, 1))
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(first, made(noisy, params, voxels[:1]))


def test_by_the_statistics_of_the_training_rows_of_a_batch_do_not_mix(trained):
    params, statistics, voxels = trained
    cfg = SMALL | {'batch': 2, 'statistics': 'training'}
    params = params | {'statistics': statistics}
    whole = made(cfg, params, voxels)  # the last batch is filled up
    assert whole.shape == (5, 24, 24, 3)
    np.testing.assert_allclose(made(cfg, params, voxels[[2, 4]]), whole[[2, 4]], atol=1e-6)


def test_a_share_of_the_numbers_is_dropped():
    net = nets.Generator(5, 4, dropout=0.25)
    drawn = {'dropout': jax.random.key(0)}
    kept = net.apply({}, 3, (4, 8, 16, 32, 32), method='_kept', rngs=drawn)
    assert {level: x.shape for level, x in kept.items()} == {
        4: (3, 2, 2, 32), 3: (3, 4, 4, 16), 2: (3, 8, 8, 8),
    }  # fmt: skip
    shares = [float(x.mean()) for x in kept.values()]
    np.testing.assert_allclose(shares, 0.75, atol=0.08)


def test_kernels_begin_as_published_each_with_numbers_of_its_own():
    params = nets.begin(nets.Discriminator(1, 8), np.zeros((1, 32, 32, 5)), jax.random.key(0))
    first, last = params['conv0']['kernel'], params['conv1']['kernel']
    np.testing.assert_allclose([np.std(first), np.std(last)], 0.02, rtol=0.1)
    assert not np.isin(np.asarray(first).ravel()[:50], np.asarray(last)).any()
    assert not np.any(params['out']['bias'])
    assert np.all(params['conv1']['norm']['scale'] == 1)


def test_a_condition_names_what_it_lacks():
    pictures, labels = np.zeros((3, 8, 8, 2)), np.zeros((3, 7))
    both = pix2pix.condition({'condition': 'both'}, {'voxels': pictures, 'labels': labels})
    assert both.shape == (3, 2, 7)
    assert both[np.array([True, False, True])].shape == (2, 2, 7)
    assert pix2pix.arrays_of(both, 16)['pictures'].shape == (3, 16, 16, 2)
    with pytest.raises(errors.DataInvalid, match='cortical_picture'):
        pix2pix.condition({}, {'voxels': labels})
    with pytest.raises(errors.DataInvalid, match="no labels .* 'labels'.*voxels"):
        pix2pix.condition({'condition': 'labels'}, {'voxels': pictures})
    with pytest.raises(errors.ConfigError, match='condition'):
        pix2pix.condition({'condition': 'sound'}, {'voxels': pictures})


def test_moments_of_the_norms_are_measured_by_name():
    net = nets.Generator(2, 4)
    x = RNG.random((3, 4, 4, 2), np.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), x)
    held = jax.eval_shape(
        lambda p: net.apply({'params': p}, x, mutable=[batch_norm.COLLECTION])[1],
        variables['params'],
    )
    assert jax.tree.structure(held['batch_stats']) == jax.tree.structure(variables['batch_stats'])


def test_it_says_how_well_its_discriminator_told_apart(trained):
    rows = np.array([[50, 0.5, 1.0], [100, 0.25, 0.75]], np.float32)
    told = pix2pix.describe(SMALL, trained[0] | {'accuracy': rows})
    (curve,) = told['curves']
    values = {one['name']: one['y'] for one in curve['series']}
    assert curve['series'][0]['x'] == [50, 100]
    assert values == {
        'true pictures': [0.5, 0.25],
        'made pictures': [1, 0.75],
        'both': [0.75, 0.5],
    }
    assert told['facts']['accuracy of the discriminator at the end'] == 0.5
    assert pix2pix.describe(SMALL, trained[0])['curves'] == []  # nothing adversarial
