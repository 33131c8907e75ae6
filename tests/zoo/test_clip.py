"""CLIP against transformers', block by block and whole."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import blocks, errors
from recon.zoo import _clip_towers, clip, tensors, weights
from tests.zoo import reference

TEXT = {
    **{'vocab_size': 61, 'hidden_size': 32, 'intermediate_size': 56, 'num_hidden_layers': 2},
    **{'num_attention_heads': 4, 'max_position_embeddings': 19, 'hidden_act': 'quick_gelu'},
    **{'bos_token_id': 0, 'eos_token_id': 2, 'pad_token_id': 1},
}
VISION = {
    **{'hidden_size': 48, 'intermediate_size': 80, 'num_hidden_layers': 3, 'image_size': 24},
    **{'num_attention_heads': 3, 'patch_size': 8, 'hidden_act': 'quick_gelu'},
}


def pair(seed, perturbed=True, dim=16, text=(), vision=()):
    """A random CLIPModel of transformers, ours, and its parameters."""
    import transformers

    config = transformers.CLIPConfig(
        text_config=TEXT | dict(text), vision_config=VISION | dict(vision), projection_dim=dim
    )
    torch.manual_seed(seed)
    model = transformers.CLIPModel(config).eval()
    model = reference.perturb(model, seed) if perturbed else model
    net = clip.Clip(clip.read(model.config.to_dict()))
    return model, net, reference.params(model, net, *clip.example(net.config), table=clip.TABLE)


def inputs(seed, n, m, length, size=24, vocabulary=61):
    """Pixels [n size size 3] and ids [m length]."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(size=(n, size, size, 3)).astype('f')
    return pixels, rng.integers(3, vocabulary, (m, length))


def theirs(model, pixels, ids):
    """All outputs of the reference, by our names, and the gradient of the logits' weighted sum."""
    x = reference.nchw(pixels).requires_grad_()
    out = model(pixel_values=x, input_ids=torch.from_numpy(ids), output_hidden_states=True)
    vision, text = out.vision_model_output, out.text_model_output
    tokens = model.vision_model.post_layernorm(vision.last_hidden_state)
    named = {f'hidden.{i}': h for i, h in enumerate(vision.hidden_states)}
    named |= {'pooled': tokens[:, 0], 'tokens_projected': model.visual_projection(tokens)}
    named |= {'image_embeds': model.visual_projection(tokens)[:, 0]}
    named |= {f'text.{i}': h for i, h in enumerate(text.hidden_states)}
    named |= {'text.last': text.last_hidden_state, 'logits': out.logits_per_image}
    named |= {'image': out.image_embeds, 'text': out.text_embeds}
    weight = torch.linspace(-1, 1, out.logits_per_image.numel()).reshape(out.logits_per_image.shape)
    (out.logits_per_image * weight).sum().backward()
    return {k: v.detach() for k, v in named.items()} | {'gradient': x.grad.permute(0, 2, 3, 1)}


def ours(net, params, pixels, ids):
    """The same of ours, one compilation."""

    def everything(params, pixels, ids):
        bound = {'params': params}

        def score(pixels):
            out = net.apply(bound, pixels, ids)
            weight = jnp.linspace(-1, 1, out.logits_per_image.size)
            return (out.logits_per_image.reshape(-1) * weight).sum(), out

        gradient, out = jax.grad(score, has_aux=True)(pixels)
        states = net.apply(bound, ids, method='states')
        named = net.apply(bound, pixels, method='layers')
        named |= {f'text.{i}': h for i, h in enumerate(states.hidden)}
        named |= {'text.last': states.last, 'logits': out.logits_per_image}
        return named | {
            'image': out.image_embeds,
            'text': out.text_embeds,
            'gradient': gradient,
            'penultimate': states.penultimate,
        }

    return jax.jit(everything)(params, pixels, ids)


def worst(mine, reference_):
    """Largest relative difference over the outputs of the reference."""
    return max(reference.relative(mine[name], value) for name, value in reference_.items())


CASES = {
    'fresh': ({'seed': 1, 'perturbed': False}, (2, 3, 13)),
    'perturbed': ({'seed': 2}, (1, 4, 19)),
    'gelu, other heads, even more tokens': (
        {
            'seed': 3,
            'dim': 20,
            'text': {'hidden_act': 'gelu', 'num_attention_heads': 2, 'num_hidden_layers': 1},
            'vision': {'hidden_act': 'gelu', 'patch_size': 6, 'num_attention_heads': 8},
        },
        (3, 2, 5),
    ),
}


@pytest.mark.parametrize('case', CASES)
def test_towers_and_pair_are_transformers_outputs_and_gradient(case):
    chosen, (n, m, length) = CASES[case]
    model, net, params = pair(**chosen)
    pixels, ids = inputs(chosen['seed'], n, m, length)
    want, got = theirs(model, pixels, ids), ours(net, params, pixels, ids)
    assert worst(got, want) < 1e-5
    assert set(clip.LAYERS(net.config)) <= set(got)
    depth = net.config.text.num_hidden_layers
    np.testing.assert_array_equal(got['penultimate'], got[f'text.{depth - 1}'])


def test_bfloat16_is_near_transformers_in_float32():
    model, net, params = pair(4, perturbed=False)
    pixels, ids = inputs(4, 2, 3, 11)
    half = net.clone(dtype=jnp.bfloat16)
    got = jax.jit(half.apply)({'params': params}, pixels, ids)
    want = theirs(model, pixels, ids)
    assert got.logits_per_image.dtype == jnp.float32
    assert reference.relative(got.image_embeds, want['image']) < 2e-2
    assert reference.relative(got.text_embeds, want['text']) < 2e-2
    embeds = half.apply({'params': params}, pixels, method='encode_image')
    assert embeds.dtype == jnp.bfloat16


def swapped(params, *path):
    """The parameters with both norms of a block exchanged."""
    params = jax.tree.map(lambda x: x, params)
    block = params
    for key in path:
        block = block[key]
    block['layer_norm1'], block['layer_norm2'] = block['layer_norm2'], block['layer_norm1']
    return params


def altered(config, **both):
    return dataclasses.replace(
        config,
        text=dataclasses.replace(config.text, **both),
        vision=dataclasses.replace(config.vision, **both),
    )


@pytest.mark.parametrize('mutant', ['epsilon', 'activation', 'norms', 'mask', 'pooling'])
def test_a_wrong_port_is_seen(mutant, monkeypatch):
    model, net, params = pair(5, perturbed=mutant != 'epsilon')
    pixels, ids = inputs(5, 2, 2, 9)
    names = ('image', 'text')
    if mutant == 'epsilon':
        pixels = 0.01 * pixels  # where little varies, the epsilon counts
        net = clip.Clip(altered(net.config, layer_norm_eps=1e-6))
    elif mutant == 'activation':
        net = clip.Clip(altered(net.config, hidden_act='gelu'))
    elif mutant == 'norms':
        params = swapped(params, 'vision_model', 'encoder.layers.1')
        params = swapped(params, 'text_model', 'encoder.layers.0')
    elif mutant == 'mask':
        names = ('text',)
        real = blocks.attention
        monkeypatch.setattr(
            blocks, 'attention', lambda q, k, v, heads, mask=None: real(q, k, v, heads)
        )
    else:
        names = ('text',)
        text = dataclasses.replace(net.config.text, eos_token_id=int(ids[0, 3]))
        net = clip.Clip(dataclasses.replace(net.config, text=text))
    out = net.apply({'params': params}, pixels, ids)
    got = {'image': out.image_embeds, 'text': out.text_embeds}
    want = theirs(model, pixels, ids)
    assert all(reference.relative(got[name], want[name]) > 4e-5 for name in names)


@pytest.mark.parametrize('kind', ['vision', 'text'])
def test_a_block_alone_is_transformers(kind):
    from transformers.models.clip import modeling_clip

    model, net, params = pair(6)
    tower = getattr(net.config, kind)
    x = np.random.default_rng(6).normal(size=(2, 7, tower.hidden_size)).astype('f')
    block = getattr(model, f'{kind}_model').encoder.layers[1]
    assert isinstance(block, modeling_clip.CLIPEncoderLayer)
    mask = np.tri(7, dtype=bool)[None, None] if kind == 'text' else None
    added = None if mask is None else torch.from_numpy(np.where(mask, 0, -np.inf)).float()
    with torch.no_grad():
        want = block(torch.from_numpy(x), added)
    held = {'params': params[f'{kind}_model']['encoder.layers.1']}
    got = _clip_towers.Layer(tower).apply(held, x, mask)
    assert reference.relative(got, want) < 1e-5


@pytest.mark.parametrize(('eos', 'end'), [(2, 60), (33, 33)])
def test_a_text_is_pooled_at_its_end(eos, end):
    """At the largest id where the config says 2, else where the end first stands."""
    import transformers

    torch.manual_seed(7)
    config = transformers.CLIPTextConfig(**(TEXT | {'eos_token_id': eos}))
    model = reference.perturb(transformers.CLIPTextModel(config), 7)
    net = clip.ClipText(clip.read(model.config.to_dict()))
    params = reference.params(model, net, *clip.example(net.config), table=clip.TABLE)
    ids = np.random.default_rng(7).integers(3, 33, (3, 10))
    ids[0, 4:], ids[1, 9], ids[2, 6] = end, end, end
    ids[2, 7:] = 1
    if eos == 33:
        ids[2, 2] = 50  # larger than the end, before it
    with torch.no_grad():
        want = model(input_ids=torch.from_numpy(ids))
    got = jax.jit(lambda p, i: net.apply({'params': p}, i, method='states'))(params, ids)
    assert reference.relative(got.pooled, want.pooler_output) < 1e-5
    assert reference.relative(got.last, want.last_hidden_state) < 1e-5
    np.testing.assert_array_equal(got.pooled[2], got.last[2, 6])
    np.testing.assert_array_equal(net.apply({'params': params}, ids).shape, (3, 10, 32))


def test_the_pictures_tower_alone_is_transformers():
    import transformers

    torch.manual_seed(8)
    config = transformers.CLIPVisionConfig(**(VISION | {'image_size': 20, 'patch_size': 4}))
    model = reference.perturb(transformers.CLIPVisionModelWithProjection(config), 8)
    net = clip.ClipVision(clip.read(model.config.to_dict()))
    params = reference.params(model, net, *clip.example(net.config), table=clip.TABLE)
    pixels, _ = inputs(8, 2, 1, 4, size=20)
    with torch.no_grad():
        want = model(pixel_values=reference.nchw(pixels)).image_embeds
    assert want.shape == (2, 512)
    assert reference.relative(net.apply({'params': params}, pixels), want) < 1e-5


def shapes_of(config):
    """{tensor name: shape in torch's layout} and total of a size of ours."""
    kind = clip.Clip if isinstance(config, clip.Config) else clip.ClipText
    shapes = jax.eval_shape(kind(config).init, jax.random.key(0), *clip.example(config))['params']
    found = {}
    for path, leaf in tensors.flatten(shapes).items():
        flat = np.lib.stride_tricks.as_strided(np.zeros(1, 'b'), leaf.shape, (0,) * leaf.ndim)
        there = flat
        if path[-1] == 'kernel':
            there = flat.T if flat.ndim == 2 else np.moveaxis(flat, (-1, -2), (0, 1))
        found[tensors.name_of(path)] = there.shape
    return found, sum(int(np.prod(shape)) for shape in found.values())


@pytest.mark.parametrize(
    ('name', 'file', 'total'),
    [
        ('ViT-L/14', 'clipL', 427_616_513),
        ('ViT-H/14', 'clipH', 986_109_441),
        ('SD 1.5 text encoder', 'te15', 123_060_480),
        ('SD 2.1 text encoder', 'te21', 340_387_840),
    ],
)
def test_released_sizes_have_the_released_tensors(root, name, file, total):
    table = json.loads((root / 'tests' / 'zoo' / 'shapes' / f'{file}.json').read_text())
    found, count = shapes_of(clip.RELEASED[name])
    assert found == {clip.TABLE.today(key): tuple(shape) for key, shape in table.items()}
    assert count == total


@pytest.mark.parametrize(('name', 'patch'), [('ViT-B/32', 32), ('ViT-B/16', 16)])
def test_base_sizes_have_the_reference_classes_tensors(name, patch):
    import transformers

    with torch.device('meta'):
        model = transformers.CLIPModel(
            transformers.CLIPConfig(vision_config={'patch_size': patch}, projection_dim=512)
        )
    want = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert shapes_of(clip.RELEASED[name])[0] == want


def test_a_folder_goes_to_transformers_and_back(tmp_path):
    import transformers

    model, _, _ = pair(9)
    model.save_pretrained(tmp_path / 'theirs')
    held = weights.load(tmp_path / 'theirs')
    weights.save(tmp_path / 'ours', held.module, held.params, dtype=np.float32)
    again = transformers.CLIPModel.from_pretrained(tmp_path / 'ours')
    for name, value in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    alone = clip.ClipText(held.config.text)
    weights.save(
        tmp_path / 'text', alone, {'text_model': held.params['text_model']}, dtype=np.float32
    )
    text = transformers.CLIPTextModel.from_pretrained(tmp_path / 'text')
    ids = torch.tensor([[5, 9, 60]])
    with torch.no_grad():
        want = model.text_model(input_ids=ids).last_hidden_state
        torch.testing.assert_close(text(input_ids=ids).last_hidden_state, want)
    text.save_pretrained(tmp_path / 'bare')  # without `text_model.`
    bare = weights.load(tmp_path / 'bare')
    assert reference.relative(bare.module.apply({'params': bare.params}, ids.numpy()), want) < 1e-5


def test_prepare_is_the_preprocessor():
    import transformers

    config = clip.VisionConfig(image_size=32, image_mean=(0.5, 0.4, 0.3), image_std=(0.2, 0.3, 0.4))
    processor = transformers.CLIPImageProcessorPil(**clip.preprocessor(config))
    rng = np.random.default_rng(10)
    for size in ((47, 71), (64, 40), (32, 45), (20, 29)):
        # Within 64 to 192: the reference cuts what overshoots after each direction.
        image = (64 + 128 * rng.random((*size, 3))).astype(np.uint8)
        want = processor(image, return_tensors='np')['pixel_values'][0].transpose(1, 2, 0)
        got = clip.prepare(config, image[None].astype(np.float32) / 255)[0]
        assert np.abs((got - want) * np.array(config.image_std) * 255).max() < 1.6, size
    slope = jax.grad(lambda x: (clip.prepare(config, x) ** 2).sum())(jnp.full((1, 40, 50, 3), 0.4))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0


def test_preprocessor_config_is_read():
    raw = clip.preprocessor(clip.VisionConfig(image_size=48)) | {'image_mean': [0.1, 0.2, 0.3]}
    config = clip.with_preprocessor(clip.Config(vision=clip.VisionConfig(image_size=48)), raw)
    assert config.vision.image_mean == (0.1, 0.2, 0.3)
    with pytest.raises(errors.ConfigError, match='48'):
        clip.with_preprocessor(clip.VisionConfig(image_size=64), raw)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        *(('do_resize', False), ('do_center_crop', False), ('do_normalize', False)),
        *(('do_rescale', False), ('resample', 2)),
        *(('size', {'shortest_edge': 50}), ('size', {'height': 48, 'width': 48}), ('size', 60)),
    ],
)
def test_preprocessing_that_is_not_built_is_refused(key, value):
    config = clip.VisionConfig(image_size=48)
    raw = clip.preprocessor(config)
    assert clip.with_preprocessor(config, raw) == config
    assert clip.with_preprocessor(config, raw | {'size': 48, 'crop_size': 48}) == config
    with pytest.raises(errors.ConfigError, match=key):
        clip.with_preprocessor(config, raw | {key: value})


def test_configs_are_read_as_transformers_reads_them():
    """Compact files leave out most keys; old ones say some twice."""
    import transformers

    raw = {
        'model_type': 'clip',
        'projection_dim': 768,
        'text_config': {'hidden_size': 768, 'num_attention_heads': 12, 'intermediate_size': 3072},
        'vision_config': {'patch_size': 14, 'hidden_act': 'gelu', 'dropout': 0.0},
        'vision_config_dict': {'patch_size': 16},
        'text_config_dict': None,
    }
    config = clip.read(raw)
    want = transformers.CLIPConfig(**raw)
    for mine, other in ((config.text, want.text_config), (config.vision, want.vision_config)):
        for field in dataclasses.fields(mine):
            if field.name not in ('image_mean', 'image_std', 'hidden_act'):
                assert getattr(mine, field.name) == getattr(other, field.name), field.name
    assert config.projection_dim == 768
    assert clip.read(clip.write(config)) == config
    for name, size in clip.RELEASED.items():
        assert clip.read(clip.write(size)) == size, name


@pytest.mark.parametrize(
    ('raw', 'said'),
    [
        ({'model_type': 'clip_text_model', 'hidden_act': 'gelu_new'}, 'gelu_new'),
        ({'model_type': 'clip_vision_model', 'image_size': [224, 196]}, '224, 196'),
        ({'model_type': 'clip_text_model', 'eos_token_id': [2, 3]}, '2, 3'),
        ({'model_type': 'clip_text_model', 'num_attention_heads': 7}, 'heads divide'),
        ({'model_type': 'siglip'}, 'siglip'),
    ],
)
def test_what_is_not_implemented_is_refused(raw, said):
    with pytest.raises(errors.ConfigError, match=said):
        clip.read(raw)


def test_wrong_lengths_and_sizes_are_said():
    text, vision = clip.TextConfig(**TEXT), clip.VisionConfig(**VISION)
    with pytest.raises(errors.DataInvalid, match='20 tokens in a text, positions for 19'):
        jax.eval_shape(clip.ClipText(text).init, jax.random.key(0), jnp.zeros((1, 20), int))
    with pytest.raises(errors.DataInvalid, match=r'\[n 24 24 3\]'):
        jax.eval_shape(clip.ClipVision(vision).init, jax.random.key(0), jnp.zeros((1, 25, 24, 3)))
