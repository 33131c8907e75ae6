"""The autoencoder against diffusers', block by block and whole."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import blocks, errors
from recon.data.simulator import scenes
from recon.zoo import features, sd_vae, tensors, weights
from tests.zoo import reference

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'vae.npz'
SHAPES = pathlib.Path(__file__).parent / 'shapes' / 'vae.json'
TWO = {'block_out_channels': (16, 24), 'layers_per_block': 1, 'norm_num_groups': 8}
THREE = {
    'block_out_channels': (6, 12, 18), 'layers_per_block': 2, 'norm_num_groups': 3,
    'latent_channels': 5, 'in_channels': 2, 'out_channels': 2, 'use_quant_conv': False,
    'use_post_quant_conv': False, 'mid_block_add_attention': False,
}  # fmt: skip
# Sizes, and pictures: heights and widths that halving leaves odd.
CONFIGS = {'two': (TWO, (2, 18, 22)), 'three': (THREE, (1, 21, 30))}


def pair(sizes, seed=0, perturbed=True, dtype=jnp.float32):
    """A random AutoencoderKL of diffusers, ours, and its parameters."""
    import diffusers

    config = sd_vae.Config(**sizes)
    torch.manual_seed(seed)
    model = diffusers.AutoencoderKL.from_config(sd_vae.write(config)).eval()
    model = reference.perturb(model, seed) if perturbed else model
    net = sd_vae.AutoencoderKL(config, dtype)
    return model, net, reference.params(model, net, *sd_vae.example(config), table=sd_vae.TABLE)


def pixels(shape, channels=3, seed=0, scale=1.0):
    """[n h w c] in [-scale, scale]."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-scale, scale, (*shape, channels)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def everything(net, params, x, weight):
    """Mean, log variance, reconstruction, and the gradient of a sum of them by the pixels."""

    def total(x):
        mean, logvar = net.apply({'params': params}, x, method='encode')
        rebuilt = net.apply({'params': params}, mean, method='decode')
        return (rebuilt * weight).sum() + logvar.sum(), (mean, logvar, rebuilt)

    gradient, out = jax.grad(total, has_aux=True)(x)
    return *out, gradient


def theirs(model, x, weight):
    """The same of diffusers'."""
    x = reference.nchw(x).requires_grad_()
    found = model.encode(x).latent_dist
    rebuilt = model.decode(found.mean).sample
    ((rebuilt * reference.nchw(weight)).sum() + found.logvar.sum()).backward()
    return [reference.nhwc(t) for t in (found.mean, found.logvar, rebuilt, x.grad)]


def differences(sizes, shape, seed, scale=1.0, **options):
    """Relative differences of what `everything` gives."""
    model, net, params = pair(sizes, seed, **options)
    channels = sizes.get('in_channels', 3)
    x = pixels(shape, channels, seed, scale)
    after = [s - s % 2 ** (len(sizes['block_out_channels']) - 1) for s in shape[1:]]
    weight = np.random.default_rng(seed + 1).normal(size=(shape[0], *after, channels))
    weight = weight.astype(np.float32)
    ours = everything(net, params, x, weight)
    return [reference.relative(a, b) for a, b in zip(ours, theirs(model, x, weight), strict=True)]


@pytest.mark.parametrize('perturbed', [False, True])
@pytest.mark.parametrize('name', CONFIGS)
def test_latents_reconstruction_and_gradient_are_diffusers(name, perturbed):
    found = differences(*CONFIGS[name], seed=3, perturbed=perturbed)
    assert max(found) < 1e-5, found


def test_every_block_is_diffusers():
    """What each module of theirs gives is what ours of that name gives."""
    model, net, params = pair(TWO, seed=5)
    given = {}

    def keep(name, out):  # what a hook returns would take the place of the output
        given[name] = out

    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: keep(name, out))
    x = pixels((1, 20, 12), seed=5)
    with torch.no_grad():
        model(reference.nchw(x))
    _, found = jax.jit(
        lambda p, x: net.apply(
            {'params': p}, x, capture_intermediates=True, mutable='intermediates'
        )
    )(params, x)
    compared = set()
    for path, value in tensors.flatten(found['intermediates']).items():
        name = '.'.join(path[:-1])
        # An upsampler's convolution is done by the upsampler, which is compared itself.
        if path[-1] != '__call__' or name.endswith('upsamplers.0.conv') or name not in given:
            continue
        if not torch.is_tensor(given[name]):  # of the whole
            continue
        out = given[name].numpy()
        if name.endswith('group_norm'):  # theirs [n c h*w]; ours [n h w c]
            out = out.reshape(*out.shape[:2], *value[0].shape[1:3])
        out = np.moveaxis(out, 1, -1) if out.ndim == 4 else out
        assert reference.relative(value[0], out.reshape(value[0].shape)) < 1e-5, name
        compared.add(name)
    inner = {name for name, module in model.named_modules() if list(module.parameters(False))}
    assert {name for name in inner - compared if 'upsamplers' not in name} == set()
    assert 'decoder.up_blocks.0.upsamplers.0' in compared


def test_bf16_is_near():
    """Each way alone: what goes in is the same."""
    model, net, params = pair(TWO, seed=7, dtype=jnp.bfloat16)
    x = pixels((1, 16, 24), seed=7)
    with torch.no_grad():
        found = model.encode(reference.nchw(x)).latent_dist
        rebuilt = model.decode(found.mean).sample
    want = [reference.nhwc(tensor) for tensor in (found.mean, found.logvar, rebuilt)]

    @jax.jit
    def run(params, x, z):
        both = net.apply({'params': params}, x, method='encode')
        return *both, net.apply({'params': params}, z, method='decode')

    ours = run(params, x, want[0])
    assert all(out.dtype == jnp.float32 for out in ours)
    differences_ = [reference.relative(a, b) for a, b in zip(ours, want, strict=True)]
    assert max(differences_) < 2e-2, differences_
    assert min(differences_) > 1e-4  # it was computed in bf16


def test_sizes_and_names_are_those_of_the_released_nets():
    released = json.loads(SHAPES.read_text())
    for config in sd_vae.RELEASED.values():
        shapes = weights.expected(sd_vae, sd_vae.AutoencoderKL(config))
        ours = {
            tensors.name_of(path): list(tensors.shape_of_theirs(s.shape, path[-1]))
            for path, s in shapes.items()
        }
        assert ours == released
        assert sum(np.prod(shape) for shape in ours.values()) == 83_653_863


def _swapped(params):
    """Norms 1 and 2 of a residual block exchanged."""
    block = dict(params['decoder']['mid_block.resnets.0'])
    block['norm1'], block['norm2'] = block['norm2'], block['norm1']
    return params | {'decoder': params['decoder'] | {'mid_block.resnets.0': block}}


def _exchanged(params):
    """Query and value of the encoder's attention exchanged."""
    block = dict(params['encoder']['mid_block.attentions.0'])
    block['to_q'], block['to_v'] = block['to_v'], block['to_q']
    return params | {'encoder': params['encoder'] | {'mid_block.attentions.0': block}}


def _mutate(monkeypatch, name):
    if name == 'epsilon 1e-5':
        monkeypatch.setattr(sd_vae, 'EPSILON', 1e-5)
    elif name == 'padding on all sides':
        real = blocks.Downsample
        monkeypatch.setattr(
            blocks, 'Downsample', lambda _pad, dtype, name: real(1, dtype, name=name)
        )
    elif name == 'tanh gelu for silu':
        monkeypatch.setattr(jax.nn, 'silu', jax.nn.gelu)
    elif name == 'half the groups':
        real = blocks.GroupNorm
        monkeypatch.setattr(blocks, 'GroupNorm', lambda g, *a, **k: real(g // 2, *a, **k))


MUTANTS = {
    'epsilon 1e-5': (False, 1e-2),  # perturbed weights hide it, and large values
    'padding on all sides': (True, 1.0),
    'tanh gelu for silu': (True, 1.0),
    'half the groups': (True, 1.0),
    'norms exchanged': (True, 1.0),
    'query and value exchanged': (True, 1.0),
}


@pytest.mark.parametrize('name', MUTANTS)
def test_a_wrong_port_is_seen(name, monkeypatch):
    perturbed, scale = MUTANTS[name]
    model, net, params = pair(TWO, seed=11, perturbed=perturbed)
    change = {'norms exchanged': _swapped, 'query and value exchanged': _exchanged}.get(name)
    params = change(params) if change else params
    x = pixels((1, 8, 12), seed=11, scale=scale)
    with torch.no_grad():
        right = model(reference.nchw(x)).sample
    _mutate(monkeypatch, name)
    wrong = jax.jit(net.apply)({'params': params}, x)
    assert reference.relative(wrong, reference.nhwc(right)) > 2e-5


def test_old_names_and_1x1_convolutions_are_read(tmp_path):
    """A folder as diffusers before 0.13 wrote it, and one in today's, hold the same net."""
    from safetensors import numpy as safetensors

    model, net, params = pair(TWO, seed=13)
    new = ('to_q', 'to_k', 'to_v', 'to_out.0')
    state = {}
    for name, value in model.state_dict().items():
        for today, old in zip(new, ('query', 'key', 'value', 'proj_attn'), strict=True):
            if f'.attentions.0.{today}.' in name:
                name = name.replace(f'.{today}.', f'.{old}.')
                value = value[..., None, None] if value.ndim == 2 else value
        state[name] = value.numpy().copy()
    assert sum('proj_attn' in name for name in state) == 4
    safetensors.save_file(state, tmp_path / 'diffusion_pytorch_model.safetensors')
    raw = sd_vae.write(net.config)
    new_keys = ('scaling_factor', 'shift_factor', 'use_quant_conv', 'mid_block_add_attention')
    for key in new_keys:
        del raw[key]
    (tmp_path / 'config.json').write_text(json.dumps(raw | {'_diffusers_version': '0.6.0'}))
    loaded = weights.load(tmp_path)
    assert loaded.config == net.config
    assert loaded.config.scaling_factor == 0.18215
    for path, value in tensors.flatten(loaded.params).items():
        want = tensors.flatten(params)[path]
        np.testing.assert_array_equal(value, want, err_msg='.'.join(path))


def test_diffusers_reads_what_is_written(tmp_path):
    import diffusers

    sizes = TWO | {'scaling_factor': 0.5, 'shift_factor': 0.25, 'latent_channels': 3}
    _, net, params = pair(sizes, seed=17)
    weights.save(tmp_path, net, params, dtype=np.float32)
    model = diffusers.AutoencoderKL.from_pretrained(tmp_path).eval()
    assert (model.config.scaling_factor, model.config.shift_factor) == (0.5, 0.25)
    assert sd_vae.read(json.loads((tmp_path / 'config.json').read_text())) == net.config
    z = np.random.default_rng(17).normal(size=(1, 3, 5, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = model.decode(reference.nchw(z)).sample
    ours = jax.jit(lambda p, z: net.apply({'params': p}, z, method='decode'))(params, z)
    assert reference.relative(ours, reference.nhwc(theirs)) < 1e-5


def test_latents_are_shifted_and_scaled_and_pictures_undo_it():
    _, net, params = pair(TWO | {'scaling_factor': 0.4, 'shift_factor': -0.3}, seed=19)
    images = (pixels((3, 8, 8), seed=19) + 1) / 2
    apply = jax.jit(net.apply, static_argnames='method')
    mean, logvar = apply({'params': params}, 2 * images - 1, method='encode')
    latents = jax.jit(functools.partial(sd_vae.latents, net))
    ours = latents(params, images)
    np.testing.assert_allclose(ours, (mean + 0.3) * 0.4, atol=1e-6)
    rng = jax.random.key(4)
    noise = jax.random.normal(rng, mean.shape) * jnp.exp(logvar / 2)
    np.testing.assert_allclose(latents(params, images, rng) - ours, 0.4 * noise, atol=1e-5)
    back = jax.jit(functools.partial(sd_vae.pictures, net))(params, ours)
    rebuilt = apply({'params': params}, mean, method='decode')
    np.testing.assert_allclose(back, np.clip(rebuilt / 2 + 0.5, 0, 1), atol=1e-5)
    assert back.min() >= 0
    assert back.max() <= 1


def test_what_config_json_leaves_out_is_what_diffusers_takes():
    import diffusers

    model = diffusers.AutoencoderKL()
    assert sd_vae.read({'_class_name': 'AutoencoderKL'}) == sd_vae.read(dict(model.config))
    assert sd_vae.read({'scaling_factor': None}).scaling_factor == 0.18215


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('act_fn', 'gelu'),
        ('down_block_types', ['DownEncoderBlock2D', 'AttnDownEncoderBlock2D']),
        ('up_block_types', ['UpDecoderBlock2D']),
        ('latents_mean', [0.1, 0.2]),
    ],
)
def test_an_option_that_is_not_implemented_is_named(key, value):
    raw = sd_vae.write(sd_vae.Config(**TWO)) | {key: value}
    with pytest.raises(errors.ConfigError, match=f'{key} is .*{str(value)[1:5]}'):
        sd_vae.read(raw)


def test_the_tiny_autoencoder_gives_what_it_gave():
    """A change of these values is a change of every tiny system: retrain them in one commit."""
    golden = np.load(GOLDEN)
    net = weights.load('tiny/vae')
    images = scenes.draw(golden['ids']).images / np.float32(255)
    latents = jax.jit(lambda p, x: sd_vae.latents(net.module, p, x))(net.params, images)
    pictures = jax.jit(lambda p, z: sd_vae.pictures(net.module, p, z))(net.params, latents)
    np.testing.assert_allclose(latents[:, ::3, ::3], golden['latents'], atol=2e-3)
    np.testing.assert_allclose(pictures[:, 3::8, 3::8], golden['pictures'], atol=2e-3)
    np.testing.assert_allclose(pictures.mean((1, 2)), golden['mean'], atol=2e-4)
    error = np.asarray((pictures - images) ** 2).mean((1, 2, 3))
    assert (-10 * np.log10(error) > 26).all()


def test_latents_as_a_layer_are_those_of_latents_at_the_size_of_the_training():
    net = weights.load('tiny/vae')
    images = np.random.default_rng(5).random((3, 64, 64, 3)).astype(np.float32)
    wanted = sd_vae.latents(net.module, net.params, images)
    found = features.extract(net, ('latents',), images)['latents']
    assert reference.relative(found, wanted) < 1e-5
    other = features.extract(net, ('latents',), images[:, :40])['latents']
    assert other.shape == wanted.shape, 'whatever the size of the pictures'
