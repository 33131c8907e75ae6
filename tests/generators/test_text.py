"""States of sentences against transformers' tokenizer and text encoder, as diffusers calls them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.generators import _text
from recon.zoo import tokenizers
from tests.generators import pipelines
from tests.zoo import reference

SAID = ['a large red house at the left', '', 'two BLUE boats, one zebra ' * 9, 'night over sand']


def pipeline(folder, seed, width, length):
    """Writes a random text encoder and its tokenizer as a pipeline does; gives transformers'."""
    net, speak = pipelines.text(folder, seed, width, length, SAID)
    net.save_pretrained(folder / 'text_encoder')

    def theirs(said, tokens=length):
        ids = speak(said, padding='max_length', max_length=tokens, truncation=True)['input_ids']
        with torch.no_grad():
            out = net(torch.tensor(ids))
        return out.last_hidden_state, out.pooler_output

    return theirs


@pytest.mark.parametrize(
    ('seed', 'width', 'length', 'tokens'),
    [(1, 32, 77, 15), (0, 16, 21, 0), pytest.param(2, 24, 30, 30, marks=pytest.mark.long)],
)
def test_states_are_those_of_transformers(tmp_path, seed, width, length, tokens):
    theirs = pipeline(tmp_path, seed, width, length)
    encoder = _text.load(str(tmp_path / 'text_encoder'), {})
    assert (encoder.width, encoder.length) == (width, length)
    states, ends = theirs(SAID, tokens or length)
    found = _text.encode(encoder, SAID, tokens)
    assert found.dtype == np.float32
    assert reference.relative(found, states) < 1e-5
    assert reference.relative(_text.pooled(encoder, SAID, tokens), ends) < 1e-5
    assert not np.allclose(found[0], found[1], atol=1e-2)  # the words are read


def test_many_sentences_are_encoded_as_each_alone(tmp_path):
    pipeline(tmp_path, 4, 16, 11)
    encoder = _text.load(tmp_path / 'text_encoder', {'path': ''})
    said = [f'{words} {i}' for i in range(12) for words in SAID]  # more than one batch
    together = _text.encode(encoder, np.array(said), 7)
    for i in (0, 33, 47):
        np.testing.assert_allclose(together[i], _text.encode(encoder, [said[i]], 7)[0], atol=1e-5)
    assert _text.encode(encoder, []).shape == (0, 11, 16)


def test_the_computation_is_in_the_type_that_the_zoo_says():
    half = _text.load('tiny/text_encoder', {'dtype': 'bfloat16'})
    assert {leaf.dtype for leaf in jax.tree.leaves(half.net.params)} == {jnp.dtype('bfloat16')}
    said = ['a small green boat at the right, night over sand']
    found, whole = (
        _text.encode(_text.load('tiny/text_encoder', {'dtype': dtype}), said)
        for dtype in ('bfloat16', 'float32')
    )
    assert found.dtype == np.float32
    assert 1e-4 < reference.relative(found, whole) < 5e-2


def test_a_clip_pair_is_a_text_encoder_too():
    encoder = _text.load('tiny/clip', {})
    assert _text.encode(encoder, ['a red house'], 9).shape == (1, 9, encoder.width)


def test_what_cannot_be_encoded_is_refused(tmp_path):
    with pytest.raises(errors.ConfigError, match="'tiny/alexnet', a alexnet"):
        _text.load('tiny/alexnet', {})
    pipeline(tmp_path, 5, 16, 12)
    encoder = _text.load(tmp_path / 'text_encoder', {})
    for tokens in (1, 13, -3):
        with pytest.raises(errors.ConfigError, match=f'tokens is {tokens} .*2 to 12'):
            _text.encode(encoder, SAID, tokens)
    with pytest.raises(errors.DataInvalid, match=r'float64 and shape \(2, 3\)'):
        _text.encode(encoder, np.zeros((2, 3)))
    tokenizers.write_clip(tmp_path / 'tokenizer', [*SAID, 'many more words than before'], 12)
    with pytest.raises(errors.DataInvalid, match='another vocabulary'):
        _text.load(tmp_path / 'text_encoder', {})
    with pytest.raises(errors.DataMissing):
        _text.load('text_encoder', {'path': str(tmp_path / 'nowhere')})


def test_a_cache_of_nets_is_looked_into(tmp_path):
    pipeline(tmp_path / 'mine', 6, 16, 12)
    encoder = _text.load('mine/text_encoder', {'path': str(tmp_path)})
    assert encoder.net.folder == tmp_path / 'mine' / 'text_encoder'
