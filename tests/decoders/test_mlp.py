import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.decoders import mlp
from recon.train import checkpoint
from recon.zoo import tensors
from tests.decoders import torch_mlp
from tests.zoo import reference

SIZES = {'width': 20, 'blocks': 2, 'levels': (4, 6, 8), 'layers': 1, 'norm_groups': 2}
OPTIONS = SIZES | {'seed_channels': 6}
OUT, SEED, VOXELS, ROWS = (8, 12, 3), (2, 3, 6), 37, 4
RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((ROWS, VOXELS)).astype(np.float32)
Y = RANDOM.standard_normal((ROWS, *OUT)).astype(np.float32)
DIRECT = {'head': 'direct', 'blocks': 1, 'width': 8}


def pair(head):
    """The torch net with every parameter moved off its start, and its parameters as ours."""
    torch.manual_seed(1)
    seed = SEED if head == 'upsampler' else None
    net = reference.perturb(torch_mlp.Net(VOXELS, OUT, seed, **SIZES), 2)
    if not seed:  # so small before its norms that what is added to the variance is seen
        net.first[0].weight.data *= 0.05
        net.last.weight.data *= 0.02
    leaves = {
        path: torch_mlp.ours(value, path, net.shape)
        for path, value in torch_mlp.named(net, SIZES['blocks']).items()
    }
    shapes = shapes_of(OPTIONS | {'head': head}, OUT, VOXELS)
    if seed:
        state = {name: value.numpy() for name, value in net.upsampler.state_dict().items()}
        params = tensors.params(state, shapes['upsampler'])
        leaves |= {('upsampler', *path): leaf for path, leaf in tensors.flatten(params).items()}
    return net, tensors.unflatten(leaves)


def shapes_of(options, out_shape, voxels):
    rows = jnp.zeros((1, voxels))
    return jax.eval_shape(mlp.build(options, out_shape).init, jax.random.key(0), rows)['params']


def gradients_of_theirs(net, head):
    """{path: gradient} of a torch net after `backward`, as ours."""
    pairs = torch_mlp.named(net, SIZES['blocks'])
    found = {path: torch_mlp.ours(v.grad, path, net.shape) for path, v in pairs.items()}
    if head == 'upsampler':
        for name, parameter in net.upsampler.named_parameters():
            found[name] = parameter.grad.numpy()
    return found


@pytest.mark.parametrize(('head', 'kind'), [('upsampler', 'l1'), ('direct', 'mse')])
def test_outputs_and_gradients_are_those_of_torch(head, kind):
    net, params = pair(head)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(
        jnp.shape, shapes_of(OPTIONS | {'head': head}, OUT, VOXELS)
    )
    module = mlp.build(OPTIONS | {'head': head}, OUT)
    measure = {'l1': jnp.abs, 'mse': jnp.square}[kind]

    def loss(params, x):
        out = module.apply({'params': params}, x)
        return measure(out - Y).mean(), out

    (value, out), (by_params, by_voxels) = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(
        params, X
    )
    x = torch.from_numpy(X).requires_grad_()
    wanted = net(x)
    distance = {'l1': torch.nn.functional.l1_loss, 'mse': torch.nn.functional.mse_loss}[kind]
    total = distance(wanted, reference.nchw(Y))
    total.backward()
    assert reference.relative(out, reference.nhwc(wanted)) < 1e-5
    assert abs(float(value) / total.item() - 1) < 1e-5
    assert reference.relative(by_voxels, x.grad) < 1e-5
    theirs = gradients_of_theirs(net, head)
    compared = 0
    for path, leaf in tensors.flatten(by_params).items():
        if path[0] == 'upsampler':
            leaf = tensors.to_theirs(leaf, path[-1])
            path = tensors.name_of(path[1:])
        compared += 1
        if path == 'mid_block.attentions.0.to_k.bias':  # the softmax sees no constant: rounding
            assert max(np.abs(leaf).max(), np.abs(theirs[path]).max()) < 1e-8
            continue
        assert reference.relative(leaf, theirs[path]) < 2e-5, path
    assert compared == len(theirs)


def test_the_published_net_has_its_number_of_parameters():
    """39,548 voxels to latents of 64 x 64 x 4."""
    shapes = shapes_of({}, (64, 64, 4), 39_548)
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
    upsampler = count(shapes.pop('upsampler'))
    assert count(shapes) == 131_346_560
    assert upsampler == 138_188_228 - 131_346_560
    assert shapes['output']['kernel'].shape == (2_048, 16_384)
    direct = count(shapes_of({'head': 'direct'}, (64, 64, 4), 39_548))
    assert direct == 131_346_560 - 2 * 64 + 2 * 4


@pytest.mark.parametrize(
    ('options', 'share'),
    [({'blocks': 0, 'dropout': 0.3}, 0.3), ({'dropout': 0.0, 'block_dropout': 0.4}, 0.4)],
)
def test_units_are_dropped_as_often_as_asked_and_the_rest_made_larger(options, share):
    width = 512
    options = {'head': 'direct', 'groups': 0, 'width': width, 'blocks': 1} | options
    net = mlp.build(options, (width,))
    x = RANDOM.standard_normal((30, 9)).astype(np.float32)
    params = net.init(jax.random.key(0), x)['params']
    params['output']['kernel'] = jnp.eye(width)  # what comes out is the last hidden layer
    kept = net.apply({'params': params}, x)
    dropped = net.apply({'params': params}, x, True, rngs={'dropout': jax.random.key(1)})
    other = net.apply({'params': params}, x, True, rngs={'dropout': jax.random.key(2)})
    first = mlp.build(options | {'blocks': 0}, (width,))
    before = first.apply({'params': params}, x) if options['blocks'] else 0.0
    added, whole = np.asarray(dropped - before), np.asarray(kept - before)
    gone = np.abs(added) < 1e-6
    assert abs(gone.mean() - share) < 0.02  # 15,360 units: four standard deviations
    np.testing.assert_allclose(added[~gone], (whole / (1 - share))[~gone], rtol=1e-3, atol=1e-5)
    assert not np.allclose(dropped, other)


def test_bfloat16_is_near_and_its_parameters_are_float32():
    net, params = pair('upsampler')
    module = mlp.build(OPTIONS | {'dtype': 'bfloat16'}, OUT)
    out = jax.jit(module.apply)({'params': params}, X)
    assert out.dtype == jnp.float32
    with torch.no_grad():
        wanted = reference.nhwc(net(torch.from_numpy(X)))
    assert 1e-4 < reference.relative(out, wanted) < 0.1
    shapes = shapes_of(OPTIONS | {'dtype': 'bfloat16'}, OUT, VOXELS)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype('float32')}


def fitted(options, out_shape=(4, 4, 2), voxels=9):
    net = mlp.build(options, out_shape)
    params = net.init(jax.random.key(3), jnp.zeros((1, voxels)))['params']
    return {'net': jax.device_get(params), 'shape': np.array(out_shape)}


def test_rows_are_predicted_in_batches_as_one_by_one_and_after_a_save(tmp_path):
    cfg = DIRECT | {'predict_batch': 4}
    params = fitted(cfg)
    x = RANDOM.standard_normal((7, 9)).astype(np.float32)
    found = mlp.predict(cfg, params, x)
    assert found.shape == (7, 4, 4, 2)
    assert found.dtype == np.float32
    alone = [mlp.predict(cfg, params, x[i : i + 1])[0] for i in range(7)]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    checkpoint.save(tmp_path / 'net', params, 'mark')
    again = mlp.predict(cfg, checkpoint.load(tmp_path / 'net', 'mark'), x)
    np.testing.assert_array_equal(again, found)


def test_the_net_says_its_size_and_how_it_fares_beside_the_mean():
    params = fitted(DIRECT)
    facts = mlp.describe(DIRECT, params)['facts']
    count = 9 * 8 + 2 * 8 + 8 * 8 + 2 * 8 + 8 * 32 + 2 * 2
    assert facts == {'parameters': count, 'head': 'direct'}
    losses = {'validation_loss': np.float32(0.25), 'mean_loss': np.float32(0.5)}
    told = mlp.describe({'loss': 'mse'}, params | losses)['facts']
    assert told['mse on validation'] == 0.25
    assert told['mse of the mean target there'] == 0.5


@pytest.mark.parametrize(
    ('options', 'shape', 'text'),
    [
        ({'head': 'upsample'}, (64, 64, 4), "head is 'upsample' .*'direct'"),
        ({}, (6, 8, 4), r'levels is \(64, 128, 256\) .*that 4 divides'),
        ({}, (64,), r"levels is .*\(64,\).*head='direct'"),
        ({'levels': (64, 100)}, (8, 8, 4), 'norm_groups is 32 .*divisor'),
        ({'levels': ()}, (8, 8, 4), r'levels=\(\)'),
        ({'groups': 3}, (64, 64, 4), 'groups is 3 .*64 channels'),
        ({'dropout': 1.0}, (64, 64, 4), 'dropout is 1.0'),
        ({'block_dropout': -0.1}, (64, 64, 4), 'block_dropout is -0.1'),
        ({'dtype': 'float16'}, (64, 64, 4), "dtype is 'float16' .*bfloat16"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, shape, text):
    with pytest.raises(errors.ConfigError, match=text):
        mlp.build(options, shape)


def test_other_voxels_than_those_of_the_training_are_refused():
    params = fitted(DIRECT)
    with pytest.raises(errors.DataInvalid, match='8 voxels .*trained on 9'):
        mlp.predict(DIRECT, params, np.zeros((2, 8), np.float32))
    with pytest.raises(errors.DataInvalid, match='mlp.predict'):
        mlp.predict(DIRECT, params, np.full((2, 9), np.nan, np.float32))
