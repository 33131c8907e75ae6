import json
import os
import re
import shutil
import subprocess
import sys

import diffusers
import flax.serialization
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from recon.core import errors
from recon.zoo import _folders, alexnet, clip, tensors, weights
from tests.zoo import checkpoints, reference

VAE = dict(
    down_block_types=('DownEncoderBlock2D',) * 2,
    up_block_types=('UpDecoderBlock2D',) * 2,
    block_out_channels=(8, 16),
    layers_per_block=1,
    norm_num_groups=4,
    sample_size=16,
)
TEXT = dict(
    vocab_size=60, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
    num_attention_heads=2, max_position_embeddings=11,
)  # fmt: skip

OLD = {'to_q': 'query', 'to_k': 'key', 'to_v': 'value', 'to_out.0': 'proj_attn'}


@pytest.fixture(scope='module')
def vae(tmp_path_factory):
    """The reference's autoencoder and its folder, as it writes it."""
    folder = tmp_path_factory.mktemp('vae')
    net = reference.perturb(diffusers.AutoencoderKL(**VAE), 5)
    net.save_pretrained(folder)
    return net, folder


def rewritten(folder, out, change, name='diffusion_pytorch_model.safetensors'):
    """A copy of a folder whose tensors {name: array} went through `change`."""
    shutil.copytree(folder, out)
    path = out / name
    safetensors.numpy.save_file(change(safetensors.numpy.load_file(path)), path)
    return out


def test_a_folder_of_the_reference_gives_the_references_answer(tmp_path):
    net = reference.perturb(transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)), 9)
    net.save_pretrained(tmp_path)
    loaded = weights.load(tmp_path)
    assert (loaded.name, type(loaded.module)) == ('clip', clip.ClipText)
    ids = np.random.default_rng(1).integers(0, 60, (3, 11))
    ours = jax.jit(loaded.module.apply)({'params': loaded.params}, ids)
    theirs = net(torch.from_numpy(ids)).last_hidden_state
    assert reference.relative(ours, theirs) < 1e-5


def test_what_we_save_the_reference_reads_back_to_the_bit(vae, tmp_path):
    net, folder = vae
    loaded = weights.load(folder)
    weights.save(tmp_path, loaded.module, loaded.params, dtype=np.float32)
    back = diffusers.AutoencoderKL.from_pretrained(tmp_path).state_dict()
    assert back.keys() == net.state_dict().keys()
    assert all((back[name] == value).all() for name, value in net.state_dict().items())


def test_saving_in_half_precision_halves_the_file_and_keeps_three_digits(tmp_path):
    _, params = checkpoints.small(tmp_path / 'half', dtype=np.float16)
    checkpoints.small(tmp_path / 'full', dtype=None)
    sizes = [(tmp_path / k / 'model.safetensors').stat().st_size for k in ('half', 'full')]
    assert sizes[0] < 0.6 * sizes[1]
    checkpoints.assert_same(weights.load(tmp_path / 'half').params, params, 1e-3)
    checkpoints.assert_same(weights.load(tmp_path / 'full').params, params)


def test_weights_that_half_precision_cannot_hold_are_not_written(tmp_path):
    module, params = checkpoints.small()
    params['features.0']['bias'][1] = 70_000
    with pytest.raises(errors.DataInvalid, match=r'features.0.bias is not finite as float16'):
        weights.save(tmp_path, module, params)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float16])
def test_parameters_come_in_the_dtype_asked_for(dtype, tmp_path):
    _, params = checkpoints.small(tmp_path, seed=4)
    loaded = weights.load(tmp_path, dtype=dtype)
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded.params)} == {jnp.dtype(dtype)}
    assert loaded.module.dtype == dtype
    checkpoints.assert_same(loaded.params, params, 1e-2)
    assert weights.load(tmp_path, dtype=dtype, compute=jnp.float32).module.dtype == jnp.float32


def test_bfloat16_on_disk_is_read(tmp_path):
    module, params = checkpoints.small()
    weights.save(tmp_path, module, params, dtype=ml_dtypes.bfloat16)
    assert safetensors.numpy.load_file(tmp_path / 'model.safetensors')  # theirs reads it too
    checkpoints.assert_same(weights.load(tmp_path).params, params, 1e-2)


@pytest.mark.parametrize('axes', [(), (1, 1)])
def test_old_names_of_the_autoencoders_attention_are_read(vae, tmp_path, axes):
    net, folder = vae

    def age(state):
        out = {}
        for name, value in state.items():
            old = next((name.replace(k, v) for k, v in OLD.items() if f'.{k}.' in name), name)
            is_matrix = old != name and value.ndim == 2
            out[old] = value.reshape(*value.shape, *axes) if is_matrix else value
        assert sum(name.endswith('proj_attn.weight') for name in out) == 2
        return out

    aged = weights.load(rewritten(folder, tmp_path / 'old', age))
    checkpoints.assert_same(aged.params, weights.load(folder).params)


def test_a_text_encoder_is_read_with_and_without_prefix_and_with_its_buffer(tmp_path):
    net = reference.perturb(transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)), 2)
    net.save_pretrained(tmp_path / 'new')
    names = safetensors.numpy.load_file(tmp_path / 'new' / 'model.safetensors')
    bare = {name.removeprefix('text_model.'): value for name, value in names.items()}
    wanted = weights.load(tmp_path / 'new')
    assert isinstance(wanted.module, clip.ClipText)
    prefixed = {f'text_model.{name}': value for name, value in bare.items()}
    prefixed['text_model.embeddings.position_ids'] = np.arange(11)[None]
    for out, state in (('bare', bare), ('hub', prefixed)):
        folder = rewritten(
            tmp_path / 'new', tmp_path / out, lambda _, state=state: state, 'model.safetensors'
        )
        checkpoints.assert_same(weights.load(folder).params, wanted.params)


def flax_names(params, attention=True):
    """Our parameters by path, named as diffusers' Flax nets had them."""
    out = {}
    for path, leaf in tensors.flatten(params).items():
        dotted = '.'.join(path[:-1])
        if attention:  # the autoencoder's
            for new, old in OLD.items():
                dotted = dotted.replace(new, old)
        joined = ''.join(f'_{x}' if x.isdigit() else f'.{x}' for x in dotted.split('.'))
        out[(*joined[1:].split('.'), path[-1])] = np.asarray(leaf)
    return out


@pytest.mark.parametrize('dtype', [np.float32, ml_dtypes.bfloat16])
def test_a_flax_folder_of_diffusers_is_read(vae, tmp_path, dtype):
    _, folder = vae
    wanted = weights.load(folder).params
    flax = {path: leaf.astype(dtype) for path, leaf in flax_names(wanted).items()}
    flax = tensors.unflatten(flax)
    assert 'resnets_0' in flax['encoder']['down_blocks_0']
    assert 'query' in flax['encoder']['mid_block']['attentions_0']
    path = tmp_path / 'diffusion_flax_model.msgpack'
    path.write_bytes(flax_bytes(flax))
    shutil.copy(folder / 'config.json', tmp_path)
    checkpoints.assert_same(
        weights.load(tmp_path).params, wanted, 1e-2 if dtype != np.float32 else 0
    )


def flax_bytes(tree):
    return flax.serialization.to_bytes(tree)


def test_a_flax_folder_of_transformers_is_read(tmp_path):
    net = reference.perturb(transformers.CLIPTextModel(transformers.CLIPTextConfig(**TEXT)), 3)
    net.save_pretrained(tmp_path)
    wanted = weights.load(tmp_path).params
    nested = {}
    for path, leaf in tensors.flatten(wanted).items():
        nested[(*'.'.join(path[:-1]).split('.'), path[-1])] = np.asarray(leaf)
    assert ('text_model', 'encoder', 'layers', '0', 'self_attn', 'q_proj', 'kernel') in nested
    (tmp_path / 'model.safetensors').unlink()
    (tmp_path / 'flax_model.msgpack').write_bytes(flax_bytes(tensors.unflatten(nested)))
    checkpoints.assert_same(weights.load(tmp_path).params, wanted)


def test_one_error_tells_everything_that_does_not_fit(tmp_path):
    module, params = checkpoints.small()
    state = tensors.state(params)
    state['features.3.weight'] = state['features.3.weight'][:, :3]
    state['classifier.6.bias'] = state['classifier.6.bias'].astype(np.int8)
    del state['classifier.1.weight'], state['classifier.4.bias']
    state['fc.weight'] = np.zeros(2, np.float32)
    weights.save(tmp_path, module, params)
    safetensors.numpy.save_file(state, tmp_path / 'model.safetensors')
    with pytest.raises(errors.WeightsMismatch) as told:
        weights.load(tmp_path)
    text = str(told.value)
    assert '\n' not in text
    assert '1 tensors have no place in the net: fc.weight' in text
    assert 'features.3.weight (6, 3, 5, 5), wanted (6, 4, 5, 5)' in text
    assert 'classifier.6.bias of type int8' in text
    assert '2 parameters are left unset: classifier.1.weight, classifier.4.bias' in text


def test_of_many_faults_ten_are_named_and_the_rest_counted(vae, tmp_path):
    _, folder = vae
    aside = lambda state: {f'm.{name}': value for name, value in state.items()}  # noqa: E731
    broken = rewritten(folder, tmp_path / 'x', aside)
    with pytest.raises(errors.WeightsMismatch, match=r'and \d+ more') as told:
        weights.load(broken)
    assert str(told.value).count(' m.decoder.') == 10


def test_weights_that_are_not_finite_are_refused_by_name(vae, tmp_path):
    def spoilt(stored):
        stored['encoder.conv_in.weight'][1, 2, 0, 1] = np.nan
        return stored

    with pytest.raises(errors.DataInvalid, match='encoder.conv_in.weight holds values'):
        weights.load(rewritten(vae[1], tmp_path / 'x', spoilt))


def test_two_tensors_of_one_name_are_refused(vae, tmp_path):
    def twice(state):
        name = 'encoder.mid_block.attentions.0.to_q.bias'
        return state | {name.replace('to_q', 'query'): state[name]}

    with pytest.raises(errors.WeightsMismatch, match='have the name of another'):
        weights.load(rewritten(vae[1], tmp_path / 'x', twice))


def test_sharded_parameters_land_where_they_are_sent(tmp_path):
    _, params = checkpoints.small(tmp_path)
    device = jax.devices()[0]
    mesh = jax.sharding.Mesh(np.array([device]), ('d',))
    seen = {}

    def sharding(path, shape):
        seen['.'.join(path)] = shape
        spec = jax.sharding.PartitionSpec('d') if len(shape) > 1 else None
        return None if spec is None else jax.sharding.NamedSharding(mesh, spec)

    loaded = weights.load(tmp_path, sharding=sharding)
    checkpoints.assert_same(loaded.params, params, 1e-3)
    assert seen['features.0.kernel'] == (5, 5, 3, 4)
    kernel = loaded.params['classifier.1']['kernel']
    assert kernel.sharding.spec == jax.sharding.PartitionSpec('d')


@pytest.mark.long
def test_on_four_devices_each_holds_its_slice(tmp_path):
    _, params = checkpoints.small(tmp_path, dtype=np.float32)
    np.save(tmp_path / 'kernel.npy', params['classifier.1']['kernel'])
    code = (
        'import jax, numpy as np; from jax.sharding import *; from recon.zoo import weights\n'
        "mesh = Mesh(np.array(jax.devices()).reshape(4), ('d',))\n"
        "axes = lambda shape: PartitionSpec(*(['d'] * (shape[0] % 4 == 0)))\n"
        'spec = lambda path, shape: NamedSharding(mesh, axes(shape))\n'
        f'net = weights.load({str(tmp_path)!r}, sharding=spec)\n'
        "kernel = net.params['classifier.1']['kernel']\n"
        f'wanted = np.load({str(tmp_path / "kernel.npy")!r})\n'
        'shards = kernel.addressable_shards\n'
        'assert len(shards) == 4 and shards[0].data.shape[0] * 4 == wanted.shape[0]\n'
        'for s in shards: np.testing.assert_array_equal(s.data, wanted[s.index])\n'
    )
    env = os.environ | {'XLA_FLAGS': '--xla_force_host_platform_device_count=4'}
    done = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_stamp_tells_where_weights_are_from_and_changes_with_any_of_them(tmp_path):
    module, params = checkpoints.small(tmp_path / 'net', scenes_version=3)
    stamp = weights.load(tmp_path / 'net').stamp
    name, digest = stamp.rsplit(' ', 1)
    assert name == 'net scenes_version 3'
    assert digest.startswith('sha256:') and len(digest) == 23
    shutil.copytree(tmp_path / 'net', tmp_path / 'elsewhere' / 'net')
    assert weights.load(tmp_path / 'elsewhere' / 'net').stamp == stamp
    params['classifier.6']['bias'][2] += 0.01
    weights.save(tmp_path / 'net', module, params, extra={'scenes_version': 3})
    assert weights.load(tmp_path / 'net').stamp != stamp


def test_a_config_that_says_nothing_known_is_told(tmp_path):
    checkpoints.small(tmp_path)
    path = tmp_path / 'config.json'
    for content, error, told in (
        (
            '{"architectures": ["ViTModel"]}',
            errors.ConfigError,
            "the net is 'ViTModel'.*AutoencoderKL",
        ),
        ('{}', errors.ConfigError, 'the net is None.*AlexNet'),
        ('{"_class_name": "AlexNet", "widths": 3}', errors.ConfigError, 'widths|understood'),
        ('[1]', errors.DataInvalid, 'no JSON object'),
        ('{"_class_name": ', errors.DataInvalid, 'cannot be|can be read'),
    ):
        path.write_text(content)
        with pytest.raises(error, match=told):
            weights.load(tmp_path)


@pytest.mark.parametrize(
    'wrong',
    [
        {'widths': [4, 6, 8, 6, 0]},
        {'kernel': 0, 'stride': 'x'},
        {'pooled': -1},
        {'hidden': -3},
        {'_class_name': {'a': 1}},
    ],
)
def test_a_config_of_impossible_sizes_is_told_in_one_line(wrong, tmp_path):
    checkpoints.small(tmp_path)
    raw = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps(raw | wrong))
    with pytest.raises((errors.ConfigError, errors.WeightsMismatch)):
        weights.load(tmp_path)


def test_what_newer_transformers_say_of_preprocessing_is_read(tmp_path):
    vision = clip.VisionConfig(40, 64, 8, 1, 4, image_size=18, patch_size=6)
    net = clip.ClipVision(vision)
    shapes = weights.expected(clip, net)
    zeros = {path: np.zeros(struct.shape, np.float32) for path, struct in shapes.items()}
    weights.save(tmp_path, net, tensors.unflatten(zeros))
    raw = clip.preprocessor(vision) | {'image_mean': [0.5, 0.4, 0.3]}
    path = tmp_path / 'processor_config.json'
    path.write_text(json.dumps({'image_processor': raw, 'processor_class': 'CLIPProcessor'}))
    assert weights.load(tmp_path).config.image_mean == (0.5, 0.4, 0.3)
    path.write_text(json.dumps({'image_processor': raw | {'resample': 0}}))
    with pytest.raises(errors.ConfigError, match='resample is 0'):
        weights.load(tmp_path)


def test_every_net_declares_what_the_loader_needs():
    for name in ('AlexNet', 'AutoencoderKL', 'CLIPModel', 'UNet2DConditionModel'):
        file, cls = weights.find({'_class_name': name}, 'here')
        assert isinstance(file.TABLE, tensors.Table)
        config = next(iter(file.RELEASED.values()))
        raw = file.write(config)
        assert file.read(json.loads(json.dumps(raw))) == config
        assert cls in file.CLASSES.values()


def test_a_directory_is_found_by_the_class_of_its_config(tmp_path):
    checkpoints.small(tmp_path)
    loaded = weights.load(tmp_path)
    assert loaded.config == checkpoints.CONFIG
    assert isinstance(loaded.module, alexnet.AlexNet)
    assert loaded.folder == tmp_path


UNET = dict(
    sample_size=4, block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2,
    down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
    up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'), cross_attention_dim=6,
)  # fmt: skip
BLIP = dict(
    text_config=dict(
        vocab_size=30, hidden_size=8, encoder_hidden_size=8, intermediate_size=12,
        num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=9, bos_token_id=28,
        sep_token_id=3, pad_token_id=0, eos_token_id=3,
    ),
    vision_config=dict(
        hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2,
        image_size=8, patch_size=4,
    ),
    projection_dim=4, image_text_hidden_size=4,
)  # fmt: skip


def unet(**more):
    return diffusers.UNet2DConditionModel(**UNET, **more)


def blip():
    return transformers.BlipForConditionalGeneration(transformers.BlipConfig(**BLIP))


@pytest.mark.parametrize(
    ('name', 'make'),
    [
        ('sd_unet', lambda: unet(attention_head_dim=2)),
        ('sd_unet', lambda: unet(attention_head_dim=(2, 4), use_linear_projection=True)),
        (
            'blip',
            lambda: transformers.BlipForConditionalGeneration(transformers.BlipConfig(**BLIP)),
        ),
    ],
    ids=['conv', 'linear', 'blip'],
)
def test_every_tensor_of_the_references_folder_is_where_it_belongs(name, make, tmp_path):
    net = reference.perturb(make(), 6)
    net.save_pretrained(tmp_path)
    loaded = weights.load(tmp_path)
    assert loaded.name == name
    state, found = net.state_dict(), tensors.state(loaded.params)
    assert len(found) > 30
    for key, value in found.items():
        np.testing.assert_array_equal(value, state[key], key)
    weights.save(tmp_path / 'ours', loaded.module, loaded.params, dtype=np.float32)
    back, told = type(net).from_pretrained(tmp_path / 'ours', output_loading_info=True)
    assert not told['unexpected_keys'] and not told['mismatched_keys']
    assert all((back.state_dict()[key] == value).all() for key, value in state.items())


def test_a_captioner_whose_file_repeats_what_is_tied_is_read(tmp_path):
    blip().save_pretrained(tmp_path)
    wanted = weights.load(tmp_path).params
    path = tmp_path / 'model.safetensors'
    state = safetensors.numpy.load_file(path)
    words = state['text_decoder.bert.embeddings.word_embeddings.weight']
    state['text_decoder.cls.predictions.decoder.weight'] = words.copy()
    state['text_decoder.cls.predictions.decoder.bias'] = np.zeros(len(words), np.float32)
    state['text_decoder.bert.embeddings.position_ids'] = np.arange(9)[None]
    safetensors.numpy.save_file(state, path)
    checkpoints.assert_same(weights.load(tmp_path).params, wanted)


def test_a_flax_unet_is_read(tmp_path):
    unet(attention_head_dim=2).save_pretrained(tmp_path)
    wanted = weights.load(tmp_path).params
    flax = tensors.unflatten(flax_names(wanted, attention=False))
    block = flax['down_blocks_0']['attentions_0']['transformer_blocks_0']
    assert {'net_0', 'net_2'} == set(block['ff']) and 'to_out_0' in block['attn1']
    assert set(flax['time_embedding']) == {'linear_1', 'linear_2'}
    (tmp_path / 'diffusion_pytorch_model.safetensors').unlink()
    (tmp_path / 'diffusion_flax_model.msgpack').write_bytes(flax_bytes({'params': flax}))
    checkpoints.assert_same(weights.load(tmp_path).params, wanted)


EMBEDDED = sorted(path.parent.name for path in (_folders.ASSETS / 'tiny').glob('*/config.json'))


@pytest.mark.parametrize('part', EMBEDDED)
def test_an_embedded_net_loads_and_is_stamped_with_its_scenes(part):
    loaded = weights.load(f'tiny/{part}')
    assert re.fullmatch(rf'tiny/{part} scenes_version \d+ sha256:[0-9a-f]{{16}}', loaded.stamp)
    held = [np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(loaded.params)]
    assert all(held)


def test_the_embedded_nets_together_stay_small():
    files = [path for path in (_folders.ASSETS / 'tiny').rglob('*') if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25 * 10**6
    assert not any(path.suffix in _folders.PICKLES for path in files)
