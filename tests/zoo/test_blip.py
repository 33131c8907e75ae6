"""BLIP's captioner against transformers': blocks, the whole, and its ways of generating."""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import blocks, errors
from recon.zoo import _blip_parts, _decoding, blip, tensors, weights
from tests.zoo import reference

SHAPES = pathlib.Path(__file__).parent / 'shapes'
END = 102  # closes a sentence
TEXT = {'vocab_size': 131, 'hidden_size': 32, 'intermediate_size': 64, 'num_attention_heads': 4}
VISION = {'hidden_size': 24, 'intermediate_size': 56, 'num_attention_heads': 3, 'image_size': 32}


@functools.cache
def pair(seed=0, perturbed=0.1, close=0.0, text=(), vision=()):
    """A random captioner of transformers, ours, and its parameters.

    Args:
      seed: of the weights.
      perturbed: standard deviation of what is added to all of them.
      close: added to the logit of the id that closes a sentence.
      text, vision: (key, value) pairs of the configs.
    """
    import transformers

    text, vision = TEXT | dict(text), VISION | dict(vision)
    text |= {'num_hidden_layers': 2, 'max_position_embeddings': 40, 'sep_token_id': END}
    text |= {'bos_token_id': text['vocab_size'] - 1, 'encoder_hidden_size': vision['hidden_size']}
    vision = {'patch_size': 8, 'num_hidden_layers': 3} | vision
    torch.manual_seed(seed)
    config = transformers.BlipConfig(text_config=text, vision_config=vision)
    model = transformers.BlipForConditionalGeneration(config).eval()
    if perturbed:
        reference.perturb(model, seed, perturbed)
    head = model.text_decoder.cls.predictions
    assert head.bias is head.decoder.bias
    head.bias.data[END] += close
    ours = blip.Captioner(blip.read(model.config.to_dict()))
    return model, ours, reference.params(model, ours, *blip.example(ours.config), table=blip.TABLE)


def inputs(ours, seed, n, k):
    """Pixels [n s s 3], ids [n k] and their mask, each row of another length."""
    config, rng = ours.config, np.random.default_rng(seed)
    side = config.vision_config.image_size
    pixels = rng.normal(size=(n, side, side, 3)).astype('f')
    ids = rng.integers(1, config.text_config.vocab_size, (n, k))
    mask = np.arange(k) < rng.integers(2, k + 1, n)[:, None]
    return pixels, ids, mask


def forward(model, pixels, ids, mask):
    """Their logits, tokens, and gradient of a weighted sum of logits with respect to pixels."""
    pixels = reference.nchw(pixels).requires_grad_()
    out = model(
        pixel_values=pixels,
        input_ids=torch.from_numpy(ids),
        attention_mask=torch.from_numpy(mask.astype(int)),
    )
    weight = torch.from_numpy(weights_of(out.logits.shape))
    (gradient,) = torch.autograd.grad((out.logits * weight).sum(), pixels)
    return out.logits, out.image_embeds, reference.nhwc(gradient)


def weights_of(shape):
    """What the logits are weighted with."""
    return np.random.default_rng(5).normal(size=shape).astype('f')


@functools.partial(jax.jit, static_argnums=0)
def ours_forward(ours, params, pixels, ids, mask):
    """The same of ours."""

    def weighted(pixels):
        states = ours.apply({'params': params}, pixels, method='encode')
        logits = ours.apply({'params': params}, ids, states, mask, method='logits')
        return (logits * weights_of(logits.shape)).sum(), (logits, states)

    gradient, (logits, states) = jax.grad(weighted, has_aux=True)(pixels)
    return logits, states, gradient


OTHER = (
    ('text', (('hidden_size', 40), ('num_attention_heads', 5), ('hidden_act', 'relu'))),
    ('vision', (('hidden_size', 48), ('image_size', 40), ('hidden_act', 'quick_gelu'))),
)


@pytest.mark.parametrize(
    ('options', 'n', 'k'),
    [
        pytest.param({'seed': 1, 'perturbed': 0}, 3, 11, id='fresh'),
        pytest.param({'seed': 2}, 3, 11, id='perturbed'),
        pytest.param({'seed': 3, **dict(OTHER)}, 2, 17, id='other_sizes', marks=pytest.mark.long),
    ],
)
def test_logits_tokens_and_gradient_are_transformers(options, n, k):
    model, ours, params = pair(**options)
    given = inputs(ours, n + k, n, k)
    for mine, wanted in zip(
        ours_forward(ours, params, *given), forward(model, *given), strict=True
    ):
        assert reference.relative(mine, wanted) < 1e-5


def test_in_bfloat16_the_captioner_stays_within_two_percent():
    model, ours, params = pair(seed=2)
    pixels, ids, mask = inputs(ours, 6, 3, 11)
    half = blip.Captioner(ours.config, jnp.bfloat16)
    logits = jax.jit(half.apply)({'params': params}, pixels, ids, mask)
    assert logits.dtype == jnp.float32
    assert 1e-4 < reference.relative(logits, forward(model, pixels, ids, mask)[0]) < 2e-2


def test_every_vision_node_is_transformers():
    model, ours, params = pair(seed=2)
    pixels = inputs(ours, 7, 2, 3)[0]
    with torch.no_grad():
        out = model.vision_model(reference.nchw(pixels), output_hidden_states=True)
    nodes = jax.jit(lambda x: ours.apply({'params': params}, x, method='layers'))(pixels)
    assert tuple(nodes) == blip.LAYERS(ours.config)
    wanted = [*out.hidden_states, out.last_hidden_state]
    assert len(wanted) == len(nodes)
    for mine, theirs in zip(nodes.values(), wanted, strict=True):
        assert reference.relative(mine, theirs) < 1e-5


def test_every_text_block_is_transformers():
    model, ours, params = pair(seed=4)
    rng, bert = np.random.default_rng(8), model.text_decoder.bert
    states = rng.normal(size=(2, 17, 24)).astype('f')
    x = rng.normal(size=(2, 9, 32)).astype('f')
    past = np.tril(np.ones((9, 9), bool))
    added = torch.where(torch.from_numpy(past), 0.0, -torch.inf)[None, None]
    for i in range(2):
        layer = _blip_parts.TextLayer(ours.config.text_config)
        own = {'params': params['text_decoder'][f'bert.encoder.layer.{i}']}
        seen = layer.apply(own, states, method='look')
        mine, _ = layer.apply(own, x, seen, past[None, None])
        with torch.no_grad():
            theirs = bert.encoder.layer[i](
                torch.from_numpy(x), torch.from_numpy(states), attention_mask=added
            )
        assert reference.relative(mine, theirs) < 1e-5


def _swapped(name, a, b):
    """A mutation: two parts of the first text or vision layer exchanged."""

    def change(monkeypatch, params):
        half, layer = name
        inner = params[half][layer]
        return params | {half: params[half] | {layer: inner | {a: inner[b], b: inner[a]}}}

    return change


def _constant(key, value):
    """A mutation: another constant in the config, by (half, field)."""

    def change(monkeypatch, params):
        return {'config': (key, value)}

    return change


def _tanh(monkeypatch, params):
    monkeypatch.setitem(blocks.ACTIVATIONS, 'gelu', jax.nn.gelu)
    return params


def _acausal(monkeypatch, params):
    monkeypatch.setattr(blip.jnp, 'tril', lambda x: x)
    return params


FIRST = ('text_decoder', 'bert.encoder.layer.0')
MUTANTS = {
    'none': (0.1, lambda monkeypatch, params: params),
    'tanh gelu': (0.1, _tanh),
    'sees the words to come': (0.1, _acausal),
    'text epsilon': (0, _constant(('text_config', 'layer_norm_eps'), 1e-5)),
    'vision epsilon': (0, _constant(('vision_config', 'layer_norm_eps'), 1e-6)),
    'text heads': (0.1, _constant(('text_config', 'num_attention_heads'), 8)),
    'vision heads': (0.1, _constant(('vision_config', 'num_attention_heads'), 6)),
    'text norms': (0.1, _swapped(FIRST, 'attention.output.LayerNorm', 'output.LayerNorm')),
    'cross norms': (
        0.1,
        _swapped(FIRST, 'attention.output.LayerNorm', 'crossattention.output.LayerNorm'),
    ),
    'vision norms': (
        0.1,
        _swapped(('vision_model', 'encoder.layers.0'), 'layer_norm1', 'layer_norm2'),
    ),
}


@pytest.mark.parametrize('name', MUTANTS)
def test_a_wrong_port_is_seen(name, monkeypatch):
    perturbed, change = MUTANTS[name]
    # Small inputs of the first norms show their epsilons.
    model, ours, params = pair(seed=9, perturbed=perturbed, vision=(('initializer_range', 1e-3),))
    pixels, ids, mask = inputs(ours, 9, 2, 10)
    pixels = pixels * (1e-2 if not perturbed else 1)
    with torch.no_grad():
        wanted = model(
            pixel_values=reference.nchw(pixels),
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask.astype(int)),
        ).logits
    params = change(monkeypatch, params)
    config = ours.config
    if 'config' in params:
        (half, field), value = params['config']
        config = dataclasses.replace(
            config, **{half: dataclasses.replace(getattr(config, half), **{field: value})}
        )
        params = pair(seed=9, perturbed=perturbed, vision=(('initializer_range', 1e-3),))[2]
    mine = blip.Captioner(config).apply({'params': params}, pixels, ids, mask)
    error = reference.relative(mine, wanted)
    assert error < 1e-5 if name == 'none' else error > 2e-5, error


def generated(seed, length, n=3, prompt=(), method='greedy', close=0.0, **options):
    """Ids of both, ours and theirs; what they put behind the closing id is blanked.

    transformers fills up with the closing id where the padding is 0: no part of the answer.
    """
    model, ours, params = pair(seed=seed, perturbed=0.3, close=close)
    images = np.random.default_rng(seed).uniform(size=(n, 32, 32, 3)).astype('f')
    prompt = np.tile(np.array(prompt, np.int32), (n, 1))
    options = {'method': method, **options}
    ids = blip.generate(ours, params, images, prompt_ids=prompt, length=length, **options)
    more = {'num_beams': options.get('beams', 3)} if method == 'beam' else {}
    more |= {'length_penalty': options['length_penalty']} if 'length_penalty' in options else {}
    full = np.pad(prompt, ((0, 0), (1, 1)), constant_values=101).astype(int)
    pixels = reference.nchw(blip.prepare(ours.config, images))
    want = model.generate(pixels, input_ids=torch.from_numpy(full), max_length=length, **more)
    want = np.pad(want.numpy(), ((0, 0), (0, length - want.shape[1])))
    after = np.cumsum(want == END, 1) - (want == END) > 0
    return np.asarray(ids), np.where(after, 0, want)


GENERATED = (
    {'length': 11, 'prompt': (7, 55), 'n': 2},
    {'length': 14, 'method': 'beam'},
    {'length': 14},
    {'length': 12, 'method': 'beam', 'beams': 4, 'prompt': (9, 3, 77), 'n': 2},
    {'length': 14, 'method': 'beam', 'length_penalty': 2.0},
)


@pytest.mark.parametrize('options', GENERATED[:2], ids=str)
def test_sentences_are_transformers_word_for_word(options):
    closed = []
    for seed in (11, 13, 15):
        ids, want = generated(seed, close=2.0 * (seed - 12), **options)
        np.testing.assert_array_equal(ids, want, f'seed {seed}')
        closed += (want == END).any(1).tolist()
    assert 0 < sum(closed) < len(closed)  # both ways to end were seen


@pytest.mark.long
@pytest.mark.parametrize('options', GENERATED, ids=str)
def test_many_sentences_are_transformers_word_for_word(options):
    for seed in range(20, 36):
        ids, want = generated(seed, close=seed % 7 - 1.0, **options)
        np.testing.assert_array_equal(ids, want, f'seed {seed}')


@pytest.mark.parametrize('p', [0.23, 0.9, 1.0])
def test_nucleus_keeps_the_words_that_transformers_keeps(p):
    from transformers.generation import logits_process

    logits = np.random.default_rng(int(10 * p)).normal(size=(6, 50)).astype('f') * 3
    logits[0] = 0
    logits[1, 4] = 40
    kept = np.asarray(_decoding.top_p(jnp.array(logits), p))
    want = logits_process.TopPLogitsWarper(p)(None, torch.from_numpy(logits)).numpy()
    # Of equal logits any may be kept: their number counts.
    np.testing.assert_array_equal(np.isfinite(kept).sum(1), np.isfinite(want).sum(1))
    np.testing.assert_array_equal(kept[1:], want[1:])


@pytest.mark.long
def test_nucleus_sampling_draws_from_what_is_kept():
    _, ours, params = pair(seed=16, perturbed=0.3)
    image = np.random.default_rng(16).uniform(size=(1, 32, 32, 3)).astype('f')
    images = np.repeat(image, 4000, 0)
    ids = blip.generate(
        ours, params, images, method='nucleus', top_p=0.8, length=2, rng=jax.random.key(3)
    )
    pixels = blip.prepare(ours.config, image)
    opening = jnp.full((1, 1), ours.config.text_config.bos_token_id)
    logits = jax.jit(ours.apply)({'params': params}, pixels, opening)[:, -1]
    expected = np.asarray(jax.nn.softmax(_decoding.top_p(logits, 0.8)))[0]
    found = np.bincount(np.asarray(ids)[:, 1], minlength=131) / 4000
    assert 3 < (expected > 0).sum() < 100
    assert (found[expected == 0] == 0).all()
    spread = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(found - expected) <= 4.5 * spread).all()


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'method': 'best'}, 'greedy, beam, nucleus'),
        ({'length': 41}, '40 .places.'),
        ({'length': 1}, '2 .prompt and a word.'),
        ({'method': 'nucleus'}, 'jax.random.key'),
        ({'method': 'beam', 'beams': 0}, 'at least 1'),
    ],
)
def test_generating_refuses_what_cannot_work(options, match):
    _, ours, params = pair(seed=16, perturbed=0.3)
    with pytest.raises(errors.ConfigError, match=match):
        blip.generate(ours, params, np.zeros((1, 32, 32, 3), 'f'), **({'length': 9} | options))


def test_inputs_of_wrong_sizes_are_refused():
    _, ours, params = pair(seed=16, perturbed=0.3)
    with pytest.raises(errors.DataInvalid, match=r'wanted \[n 32 32 3\]'):
        ours.apply({'params': params}, jnp.zeros((1, 40, 40, 3)), method='encode')
    with pytest.raises(errors.DataInvalid, match='at most 40'):
        ours.apply({'params': params}, jnp.zeros((1, 32, 32, 3)), jnp.zeros((1, 41), int))


def test_pixels_are_those_of_transformers_processor():
    from transformers.models.blip import image_processing_pil_blip

    rng, config = np.random.default_rng(17), blip.Config(blip.Vision(image_size=48))
    coarse = rng.integers(0, 256, (2, 9, 14, 3))
    images = coarse.repeat(8, 1).repeat(7, 2).astype(np.uint8)  # [2 72 98 3]
    processor = image_processing_pil_blip.BlipImageProcessorPil(size={'height': 48, 'width': 48})
    want = processor(list(images), return_tensors='np')['pixel_values']
    pixels = blip.prepare(config, images.astype('f') / 255)
    # Pillow rounds to bytes after each of its two passes.
    assert np.abs(np.moveaxis(np.asarray(pixels), -1, 1) - want).max() < 1.5 / 255 / min(blip.STD)


def test_preparing_pixels_of_the_right_size_only_normalises_them():
    config = blip.Config(blip.Vision(image_size=20))
    images = jnp.full((1, 20, 20, 3), 1.0)
    gradient = jax.grad(lambda x: blip.prepare(config, x).sum())(images)
    np.testing.assert_allclose(gradient[0, 3, 4], 1 / np.array(blip.STD), 1e-6)


def test_a_folder_of_transformers_holds_no_tied_decoder_and_is_read(tmp_path):
    from safetensors import numpy as safetensors

    model, ours, params = pair(seed=18)
    model.save_pretrained(tmp_path)
    names = safetensors.load_file(tmp_path / 'model.safetensors').keys()
    assert not [name for name in names if 'predictions.decoder' in name]
    loaded = weights.load(tmp_path)
    assert loaded.config == ours.config
    mine, theirs = tensors.flatten(loaded.params), tensors.flatten(params)
    assert mine.keys() == theirs.keys()
    for path in mine:
        np.testing.assert_array_equal(mine[path], theirs[path])


def test_transformers_reads_the_folder_that_ours_writes(tmp_path):
    import transformers

    model, ours, params = pair(seed=19, **dict(OTHER))
    weights.save(tmp_path, ours, params, dtype=np.float32)
    again = transformers.BlipForConditionalGeneration.from_pretrained(tmp_path).eval()
    pixels, ids, mask = inputs(ours, 20, 1, 6)
    with torch.no_grad():
        given = {'pixel_values': reference.nchw(pixels), 'input_ids': torch.from_numpy(ids)}
        assert torch.equal(again(**given).logits, model(**given).logits)
    assert again.config.text_config.encoder_hidden_size == 48


def test_the_released_base_has_the_released_tensors():
    shapes = weights.expected(blip, blip.Captioner(blip.Config()))
    table = json.loads((SHAPES / 'blip.json').read_text())
    tied = {f'text_decoder.cls.predictions.decoder.{leaf}' for leaf in ('weight', 'bias')}
    found = _torch_shapes(shapes)
    assert found == {key: value for key, value in table.items() if key not in tied}
    assert sum(int(np.prod(shape)) for shape in found.values()) == 223_971_644


def _torch_shapes(shapes):
    # One byte a tensor: only strides are moved about.
    small = {k: np.broadcast_to(np.zeros((), 'b'), v.shape) for k, v in shapes.items()}
    return {tensors.name_of(k): list(tensors.to_theirs(v, k[-1]).shape) for k, v in small.items()}


def test_the_released_large_has_the_tensors_of_transformers_class():
    import transformers

    config = blip.RELEASED['Salesforce/blip-image-captioning-large']
    with torch.device('meta'):
        model = transformers.BlipForConditionalGeneration(
            transformers.BlipConfig(**blip.write(config))
        )
    found = _torch_shapes(weights.expected(blip, blip.Captioner(config)))
    assert found == {key: list(value.shape) for key, value in model.named_parameters()}
    assert sum(int(np.prod(shape)) for shape in found.values()) == 446_290_492


def test_configs_are_read_as_transformers_reads_them():
    assert blip.read({'text_config': {}}).text_config.num_attention_heads == 8
    for config in blip.RELEASED.values():
        assert blip.read(json.loads(json.dumps(blip.write(config)))) == config
    listed = {'image_size': [224, 224], 'patch_size': [16, 16], 'projection_dim': 512}
    assert blip.read({'vision_config': listed}).vision_config.image_size == 224


@pytest.mark.parametrize(
    ('raw', 'match'),
    [
        ({'text_config': {'is_decoder': False}}, 'text_config.is_decoder is False'),
        ({'tie_word_embeddings': False}, 'tie_word_embeddings is false'),
        ({'text_config': {'hidden_act': 'gelu_new'}}, "text_config.hidden_act is 'gelu_new'"),
        (
            {'vision_config': {'image_size': [384, 224]}},
            r'vision_config.image_size is \[384, 224\]',
        ),
        ({'vision_config': {'num_attention_heads': 5}}, 'divisor of hidden_size 768'),
    ],
)
def test_options_that_change_the_function_are_refused(raw, match):
    with pytest.raises(errors.ConfigError, match=match):
        blip.read(raw)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        *(('resample', 2), ('do_normalize', False), ('image_mean', [0.5, 0.5, 0.5])),
        *(('image_std', [0.5, 0.5, 0.5]), ('size', {'height': 24, 'width': 20}), ('size', 30)),
    ],
)
def test_a_preprocessor_that_does_something_else_is_refused(key, value):
    config = blip.Config(blip.Vision(image_size=24, patch_size=8))
    raw = blip.preprocessor(config)
    assert blip.with_preprocessor(config, raw) == config
    assert blip.with_preprocessor(config, {'size': 24}) == config
    with pytest.raises(errors.ConfigError, match=key):
        blip.with_preprocessor(config, raw | {key: value})


@pytest.mark.parametrize(
    'images',
    [
        np.full((2, 24, 24, 3), 255, np.uint8),
        *(np.zeros((24, 24, 3), np.float32), np.zeros((0, 24, 24, 3), np.float32)),
        np.zeros((2, 24, 24, 1), np.float32),
    ],
)
def test_pictures_of_bytes_or_of_another_shape_are_refused(images):
    net = blip.Captioner(blip.Config(blip.Vision(image_size=24, patch_size=8)))
    with pytest.raises(errors.DataInvalid, match=r'wanted floats \[n h w 3\]'):
        blip.generate(net, {}, images, length=5)
