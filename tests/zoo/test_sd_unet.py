import dataclasses
import json
import pathlib

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import blocks, errors
from recon.zoo import sd_unet, tensors, weights
from tests.zoo import reference

SHAPES = pathlib.Path(__file__).with_name('shapes')
SMALL = {
    **{'sample_size': 16, 'in_channels': 4, 'out_channels': 4, 'layers_per_block': 1},
    **{'down_block_types': ('CrossAttnDownBlock2D', 'DownBlock2D'), 'norm_num_groups': 32},
    **{'up_block_types': ('UpBlock2D', 'CrossAttnUpBlock2D'), 'block_out_channels': (32, 64)},
}
V1 = SMALL | {'attention_head_dim': 8, 'cross_attention_dim': 32}
V2 = SMALL | {
    **{'attention_head_dim': (2, 4), 'cross_attention_dim': 20, 'use_linear_projection': True},
    **{'upcast_attention': True, 'in_channels': 6, 'out_channels': 5, 'norm_num_groups': 8},
}
DEEP = SMALL | {
    'block_out_channels': (16, 32, 48),
    'down_block_types': ('DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'),
    'up_block_types': ('CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'),
    **{'layers_per_block': (1, 2, 1), 'attention_head_dim': (1, 2, 3), 'cross_attention_dim': 24},
    **{'norm_num_groups': 4, 'norm_eps': 1e-4, 'flip_sin_to_cos': False, 'freq_shift': 1},
    'center_input_sample': True,
}


def draw(config, size, batch, tokens, seed):
    random = np.random.default_rng(seed)
    latents = random.standard_normal((batch, *size, config.in_channels)).astype(np.float32)
    states = random.standard_normal((batch, tokens, config.cross_attention_dim))
    times = random.integers(0, 1000, batch)
    return latents, times, states.astype(np.float32)


def run_theirs(net, latents, times, states):
    """Output and the gradient of sum(output ** 2) with respect to the latents, NHWC."""
    latents = reference.nchw(latents).requires_grad_()
    out = net(latents, torch.from_numpy(times), torch.from_numpy(states)).sample
    out.square().sum().backward()
    return reference.nhwc(out), reference.nhwc(latents.grad)


def compiled(raw, dtype=jnp.float32):
    """diffusers' net with fresh weights, ours, and ours jitted with its gradient."""
    torch.manual_seed(3)
    net = diffusers.UNet2DConditionModel(**raw).eval()
    ours = sd_unet.UNet(sd_unet.read(dict(net.config)), dtype=dtype)

    def run(params, latents, times, states):
        def energy(latents):
            out = ours.apply({'params': params}, latents, times, states).astype(jnp.float32)
            return (out**2).sum(), out

        return jax.grad(energy, has_aux=True)(latents)[::-1]

    return net, ours, jax.jit(run)


def params_of(net, ours):
    return reference.params(net, ours, *sd_unet.example(ours.config))


def check(raw, size, batch, tokens):
    """Fresh and perturbed weights, output and gradient, float32; and a mutant that must differ."""
    net, ours, run = compiled(raw)
    inputs = draw(ours.config, size, batch, tokens, seed=len(raw) + batch)
    for seed in (None, 5):
        net = net if seed is None else reference.perturb(net, seed)
        params = params_of(net, ours)
        got, wanted = run(params, *inputs), run_theirs(net, *inputs)
        assert reference.relative(got[0], wanted[0]) < 1e-5
        assert reference.relative(got[1], wanted[1]) < 1e-5
    name = 'down_blocks.1.resnets.0'
    wrong = {**params, name: swapped(params[name], 'conv1', 'conv2', 'bias')}
    got = run(wrong, *inputs)
    assert reference.relative(got[0], wanted[0]) > 1e-3
    assert reference.relative(got[1], wanted[1]) > 1e-4


def swapped(params, first, second, leaf=None):
    """Parameters in which two modules (or a leaf of each) are exchanged."""
    if leaf is None:
        return {**params, first: params[second], second: params[first]}
    a, b = params[first], params[second]
    return {**params, first: {**a, leaf: b[leaf]}, second: {**b, leaf: a[leaf]}}


@pytest.mark.long
def test_an_sd1_net_equals_the_reference():
    check(V1, (8, 8), 2, 7)


def test_an_sd2_net_with_odd_sizes_equals_the_reference():
    check(V2, (9, 5), 1, 3)


@pytest.mark.long
def test_three_levels_with_every_option_equal_the_reference():
    check(DEEP, (13, 10), 3, 77)


@pytest.mark.long
def test_bfloat16_stays_near_the_reference():
    net, ours, _ = compiled(V2, jnp.bfloat16)
    run = jax.jit(ours.apply)
    for seed in (None, 2):
        net = net if seed is None else reference.perturb(net, seed)
        inputs = draw(ours.config, (9, 5), 1, 3, seed=8)
        half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), params_of(net, ours))
        got = run({'params': half}, *inputs)
        assert got.dtype == jnp.bfloat16
        assert reference.relative(got, run_theirs(net, *inputs)[0]) < 2e-2


TRANSFORMER = {'num_attention_heads': 2, 'attention_head_dim': 8, 'in_channels': 16}


def transformers(linear, seed):
    """diffusers' transformer over pixels, perturbed, ours, its parameters, inputs."""
    torch.manual_seed(seed)
    sizes = TRANSFORMER | {'norm_num_groups': 4, 'cross_attention_dim': 12}
    net = diffusers.Transformer2DModel(**sizes, use_linear_projection=linear)
    net = reference.perturb(net, seed)
    ours = sd_unet.Transformer(heads=2, groups=4, linear=linear)
    random = np.random.default_rng(seed)
    x = random.standard_normal((2, 3, 5, 16)).astype(np.float32)
    states = random.standard_normal((2, 6, 12)).astype(np.float32)
    return net, ours, reference.params(net, ours, x, states), x, states


def transformer_error(net, params, ours, x, states, scale=1.0):
    x = (x * scale).astype(np.float32)
    both = reference.nchw(x), torch.from_numpy(states)
    wanted = reference.nhwc(net(both[0], encoder_hidden_states=both[1]).sample) - x
    got = np.asarray(ours.apply({'params': params}, x, states)) - x
    return reference.relative(got, wanted)


@pytest.mark.parametrize('linear', [False, True])
def test_the_transformer_and_its_gradients_equal_the_reference(linear):
    net, ours, params, x, states = transformers(linear, 4 + linear)
    assert transformer_error(net, params, ours, x, states) < 1e-5
    leaves = reference.nchw(x).requires_grad_(), torch.from_numpy(states).requires_grad_()
    net(leaves[0], encoder_hidden_states=leaves[1]).sample.square().sum().backward()
    energy = jax.jit(
        jax.grad(lambda *given: (ours.apply({'params': params}, *given) ** 2).sum(), (0, 1))
    )
    to_pixels, to_text = energy(x, states)
    assert reference.relative(to_pixels, reference.nhwc(leaves[0].grad)) < 1e-5
    assert reference.relative(to_text, leaves[1].grad) < 1e-5


@pytest.mark.parametrize(
    ('mutant', 'scale'),
    [('norms', 1), ('gelu', 1), ('group epsilon', 1e-2), ('layer epsilon', 1)],
)
def test_a_wrong_transformer_is_seen(monkeypatch, mutant, scale):
    net, ours, params, x, states = transformers(True, 9)
    if mutant == 'layer epsilon':  # what enters the norms is small
        net.proj_in.weight.data *= 0.02
        net.proj_in.bias.data *= 0.02
        params = reference.params(net, ours, x, states)
        assert transformer_error(net, params, ours, x, states) < 1e-5
    if mutant == 'norms':
        name = 'transformer_blocks.0'
        params = {**params, name: swapped(params[name], 'norm1', 'norm3')}
    elif mutant == 'gelu':
        monkeypatch.setattr(blocks, 'gelu', jax.nn.gelu)
    elif mutant == 'group epsilon':
        monkeypatch.setattr(sd_unet, '_NORM_EPSILON', 1e-5)
    else:
        monkeypatch.setattr(sd_unet, '_LAYER_EPSILON', 1e-6)
    assert transformer_error(net, params, ours, x, states, scale) > 1e-5


def test_the_embedding_of_time_equals_the_reference():
    for flip, shift in ((True, 0), (False, 1)):
        theirs = diffusers.models.embeddings.Timesteps(14, flip, shift)
        config = sd_unet.Config(block_out_channels=(14,), flip_sin_to_cos=flip, freq_shift=shift)
        times = np.array([0, 3, 999, 41])
        got = sd_unet.embed_time(times, config)
        # A last bit of the exponential is 999 times as large in the angle.
        assert reference.relative(got, theirs(torch.from_numpy(times))) < 1e-4


def test_a_saved_folder_is_read_and_written_back(tmp_path):
    torch.manual_seed(0)
    net = reference.perturb(diffusers.UNet2DConditionModel(**V2), 6)
    net.save_pretrained(tmp_path / 'theirs')
    loaded = weights.load(tmp_path / 'theirs')
    assert loaded.config == sd_unet.read(dict(net.config))
    weights.save(tmp_path / 'ours', loaded.module, loaded.params, dtype=np.float32)
    again = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / 'ours')
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ('name', 'table', 'total'),
    [
        ('stable-diffusion-v1-5', 'unet15', 859_520_964),
        ('stable-diffusion-2-1', 'unet21', 865_910_724),
        ('stable-diffusion-2-1-base', 'unet21', 865_910_724),
    ],
)
def test_released_sizes_have_the_released_tensors(name, table, total):
    config = sd_unet.RELEASED[name]
    net = sd_unet.UNet(config)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *sd_unet.example(config))['params']
    flat = tensors.flatten(shapes)
    assert sum(leaf.size for leaf in flat.values()) == total
    wanted = json.loads((SHAPES / f'{table}.json').read_text())
    got = {
        tensors.name_of(path): list(tensors.shape_of_theirs(leaf.shape, path[-1]))
        for path, leaf in flat.items()
    }
    assert got == wanted


def test_configs_survive_being_written():
    for raw in (V1, V2, DEEP):
        config = sd_unet.read(raw)
        assert sd_unet.read(json.loads(json.dumps(sd_unet.write(config)))) == config
    assert (
        sd_unet.read({}).cross_attention_dim == 1280
    )  # what diffusers takes where a file is silent
    assert sd_unet.read({'_class_name': 'UNet2DConditionModel', 'later': 1}) is not None
    assert dataclasses.asdict(sd_unet.read(V1))['layers_per_block'] == 1


@pytest.mark.parametrize(
    'change',
    [
        {'class_embed_type': 'timestep'},
        {'dual_cross_attention': True},
        {'act_fn': 'relu'},
        {'downsample_padding': 0},
        {'mid_block_type': None},
        {'layers_per_block': [1, 2, 3]},
        {'attention_head_dim': [4]},
        {'cross_attention_dim': [4, 4]},
        {'norm_num_groups': None},
        {'down_block_types': ['DownBlock2D']},
        {'down_block_types': ['AttnDownBlock2D', 'DownBlock2D']},
        {'up_block_types': ['UpBlock2D', 'ResnetUpsampleBlock2D']},
    ],
)
def test_options_that_are_not_built_are_named(change):
    with pytest.raises(errors.ConfigError, match=next(iter(change))):
        sd_unet.read(V1 | change)
