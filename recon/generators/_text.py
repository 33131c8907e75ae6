"""Sentences -> states of a text encoder, which a diffusion net attends to.

Padded as diffusers pads: every sentence has the tokenizer's own number of tokens, the filled-up
places among them, and the net attends to all of them. Source: Rombach et al. 2022, section 3.3;
as released, the text tower of CLIP is taken after its last norm.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import batches, errors
from recon.zoo import catalog, clip, tokenizers, weights

_BATCH = 32  # sentences at a time
_FILES = ('tokenizer.json', 'vocab.json')


@dataclasses.dataclass(frozen=True)
class Encoder:
    """A text encoder and its tokenizer.

    Attributes:
      name: as it was named in the config.
      net: of `weights.load`.
      tokenizer: of `tokenizers.load`.
    """

    name: str
    net: weights.Loaded
    tokenizer: tokenizers.Tokenizer

    @property
    def config(self) -> clip.TextConfig:
        """Sizes of the text tower."""
        return getattr(self.net.config, 'text', self.net.config)

    @property
    def width(self) -> int:
        """d: numbers of a state."""
        return self.config.hidden_size

    @property
    def length(self) -> int:
        """Most tokens of a sentence, with those that begin and end it."""
        places = self.config.max_position_embeddings
        return min(self.tokenizer.longest or places, places)


def load(net: str, zoo: dict) -> Encoder:
    """The text encoder `net`.

    Args:
      net: 'tiny/text_encoder', 'sd15/text_encoder', or a CLIP pair ('tiny/clip'). Its tokenizer
        lies in its own folder, or in `tokenizer` beside it.
      zoo: path: a folder of nets or a cache of the hub, '' for the hub's own; dtype: of the
        computation.

    Raises:
      DataMissing: net or tokenizer is not there.  ConfigError: the net has no text tower.
    """
    folder = catalog.resolve(net, zoo.get('path') or None)
    loaded = weights.load(folder, dtype=jnp.dtype(zoo.get('dtype', 'float32')))
    if not isinstance(loaded.module, clip.Clip | clip.ClipText):
        raise errors.ConfigError(
            f'the text encoder is {net!r}, a {loaded.name}', 'config', "name CLIP's text tower"
        )
    own = any((folder / name).is_file() for name in _FILES)
    speak = tokenizers.load(folder if own else folder.parent / 'tokenizer')
    if speak.size > Encoder(net, loaded, speak).config.vocab_size:
        raise errors.DataInvalid(
            f'a tokenizer of {speak.size} words for a text encoder of another vocabulary',
            folder,
            'fetch the whole folder of the pipeline again',
        )
    return Encoder(net, loaded, speak)


def encode(encoder: Encoder, sentences, tokens: int = 0) -> np.ndarray:
    """[n k d] float32: states of n sentences after the last norm, as a diffusion net takes them.

    Args:
      encoder: of `load`.
      sentences: n strings; '' is the empty text that guidance leads away from.
      tokens: k, to which sentences are padded or cut; 0: the tokenizer's own, 77 in Stable
        Diffusion (MindDiffuser: 15).

    Raises:
      ConfigError: fewer than 2 tokens, or more than the net has places for.
      DataInvalid: no array of strings.
    """
    ids = _ids(encoder, sentences, tokens)
    run = functools.partial(_last, encoder.net.module, encoder.net.params)
    return batches.apply(run, ids, _BATCH, (ids.shape[1], encoder.width))


def pooled(encoder: Encoder, sentences, tokens: int = 0) -> np.ndarray:
    """[n d] float32: the state at the end of each sentence; arguments and errors as `encode`."""
    ids = _ids(encoder, sentences, tokens)
    run = functools.partial(_pooled, encoder.net.module, encoder.net.params)
    return batches.apply(run, ids, _BATCH, (encoder.width,))


def _ids(encoder: Encoder, sentences, tokens: int) -> np.ndarray:
    length = tokens or encoder.length
    if not 2 <= length <= encoder.length:
        raise errors.ConfigError(
            f'tokens is {tokens}',
            'config',
            f'{encoder.name} takes 2 to {encoder.length}, or 0 for all of them',
        )
    sentences = np.asarray(sentences)
    if sentences.ndim != 1 or (sentences.dtype.kind != 'U' and len(sentences)):
        raise errors.DataInvalid(
            f'sentences of type {sentences.dtype} and shape {sentences.shape}',
            encoder.name,
            'wanted n strings',
        )
    return encoder.tokenizer.encode(list(sentences), length)


@functools.partial(jax.jit, static_argnums=0)
def _last(module, params, ids):
    return module.apply({'params': params}, ids, method='states').last.astype(jnp.float32)


@functools.partial(jax.jit, static_argnums=0)
def _pooled(module, params, ids):
    return module.apply({'params': params}, ids, method='states').pooled.astype(jnp.float32)
