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
    [({'seed': 1, 'perturbed': 0}, 3, 11), ({'seed': 2}, 3, 11), ({'seed': 3, **dict(OTHER)}, 2, 17)],
    ids=['fresh', 'perturbed', 'other_sizes'],
)  # fmt: skip
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
            pixel_values=reference.nchw(pixels), input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(mask.astype(int)),
        ).logits  # fmt: skip
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
