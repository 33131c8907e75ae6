"""BLIP's captioner: a vision transformer, and a text decoder that attends to its tokens.

Names of parameters are those of transformers' BlipForConditionalGeneration, without the decoder
weight and bias that it ties to the word embeddings and to `cls.predictions.bias`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from recon.core import blocks, errors, resize
from recon.zoo import _blip_config, _blip_parts, _decoding, tensors

Config, Vision, Text = _blip_config.Config, _blip_config.Vision, _blip_config.Text
RELEASED, read, write = _blip_config.RELEASED, _blip_config.read, _blip_config.write
preprocessor, with_preprocessor = _blip_config.preprocessor, _blip_config.with_preprocessor
MEAN, STD = _blip_config.MEAN, _blip_config.STD
TABLE = tensors.Table(
    ignored=(
        r'embeddings\.position_ids$',
        r'^text_decoder\.cls\.predictions\.decoder\.(weight|bias)$',
    )
)


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Float[Array, 'n s s 3']:
    """Pictures in [0, 1] at any size -> the net's pixels: s x s bicubic, not cropped, normalised.

    Pillow's antialiased bicubic, which cuts overshoot off after each of its two passes.
    """
    side = config.vision_config.image_size
    for size in ((images.shape[1], side), (side, side)):
        if images.shape[1:3] != size:
            images = resize.resize(images, size, method='bicubic', antialias=True).clip(0, 1)
    return (images - jnp.array(MEAN)) / jnp.array(STD)


def example(config: Config) -> tuple:
    """Arguments of `module.init` after its rng, as shapes: pixels and ids."""
    side = config.vision_config.image_size
    return (
        jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32),
        jax.ShapeDtypeStruct((1, 4), jnp.int32),
    )


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `Captioner.layers` gives."""
    count = config.vision_config.num_hidden_layers
    blocks_ = tuple(f'vision_model.encoder.layers.{i}' for i in range(count))
    return ('vision_model.embeddings', *blocks_, 'vision_model.post_layernorm')


class Captioner(nn.Module):
    """A picture -> a sentence about it.

    Attributes:
      config: sizes.
      dtype: of the computation; norms, softmax and logits are float32.
    """

    config: Config
    dtype: blocks.DType = jnp.float32

    def setup(self):
        """The two halves, named as in the checkpoint."""
        self.vision_model = _blip_parts.VisionTower(self.config.vision_config, self.dtype)
        self.text_decoder = _blip_parts.Decoder(self.config.text_config, self.dtype)

    def encode(self, pixels: Float[Array, 'n s s 3']) -> Float[Array, 'n p d']:
        """Pixels of `prepare` -> tokens, the class token first.

        Raises:
          DataInvalid: pixels of another size.
        """
        return self._tokens(pixels)[-1]

    def layers(self, pixels: Float[Array, 'n s s 3']) -> dict[str, Array]:
        """Pixels -> tokens [n p d] at every node of `LAYERS`; the last is that of `encode`."""
        return dict(zip(LAYERS(self.config), self._tokens(pixels), strict=True))

    def _tokens(self, pixels):
        side = self.config.vision_config.image_size
        if pixels.shape[1:] != (side, side, 3):
            raise errors.DataInvalid(
                f'pixels are {list(pixels.shape)}', 'BLIP', f'wanted [n {side} {side} 3]: `prepare`'
            )
        return self.vision_model(pixels)

    def look(self, states: Float[Array, 'n p d']) -> tuple[tuple[Array, Array], ...]:
        """Tokens -> keys and values that the text decoder's layers attend to, each [n p e]."""
        return self.text_decoder.look(states)

    def logits(
        self,
        ids: Int[Array, 'n k'],
        states: Float[Array, 'n p d'],
        mask: Bool[Array, 'n k'] | None = None,
    ) -> Float[Array, 'n k v']:
        """Logits of the word after each word, all words known (teacher forcing).

        Args:
          ids: [n k].
          states: of `encode`.
          mask: [n k], False for padding; None: no padding.

        Raises:
          DataInvalid: more words than the net has places for.
        """
        k, places = ids.shape[1], self.config.text_config.max_position_embeddings
        if k > places:
            raise errors.DataInvalid(f'{k} ids a sentence', 'BLIP', f'at most {places}')
        before = jnp.tril(jnp.ones((k, k), bool))[None, None]  # [1 1 k k]
        if mask is not None:
            before = before & mask[:, None, None, :]
        return self.text_decoder(ids, self.look(states), before)[0]

    def step(
        self,
        ids: Int[Array, 'm k'],
        seen: tuple[tuple[Array, Array], ...],
        cache: _blip_parts.Cache,
        start: int | Array,
    ) -> tuple[Float[Array, 'm k v'], _blip_parts.Cache]:
        """Logits [m k v] after k further words, and the cache with them.

        Args:
          ids: [m k], m = n x beams.
          seen: of `look`, n pictures.
          cache: of `empty`, or of the step before.
          start: how many words came before.
        """
        at = start + jnp.arange(ids.shape[1])
        mask = jnp.arange(cache[0][0].shape[1])[None, :] <= at[:, None]  # [k t]
        return self.text_decoder(ids, seen, mask[None, None], cache, start)

    def empty(self, m: int, length: int) -> _blip_parts.Cache:
        """A cache for m sentences of at most `length` words."""
        config = self.config.text_config
        none = jnp.zeros((m, length, config.hidden_size), self.dtype)
        return ((none, none),) * config.num_hidden_layers

    def __call__(self, pixels, ids, mask=None) -> Float[Array, 'n k v']:
        """Pixels [n s s 3] and ids [n k] -> logits [n k v]; see `logits`."""
        return self.logits(ids, self.encode(pixels), mask)


CLASSES = {'BlipForConditionalGeneration': Captioner}


def generate(
    module: Captioner,
    params: dict,
    images: Float[Array, 'n h w 3'],
    *,
    method: str = 'greedy',
    beams: int = 3,
    top_p: float = 0.9,
    length: int = 48,
    prompt_ids: Int[Array, 'n q'] | None = None,
    length_penalty: float = 1.0,
    rng: Array | None = None,
) -> Int[Array, 'n length']:
    """Sentences about pictures, as ids; one compilation for each shape and method.

    Args:
      module: the net.
      params: its parameters.
      images: [n h w 3] in [0, 1], any size (see `prepare`).
      method: 'greedy'; 'beam'; 'nucleus' (samples; transformers does the same with top_k=0).
      beams: of beam search.
      top_p: of nucleus sampling.
      length: most ids of a sentence, the opening one and the prompt included.
      prompt_ids: [n q], words that all sentences begin with, without opening and closing ids.
      length_penalty: of beam search: sums of log probabilities are over length ** this.
      rng: for 'nucleus' alone.

    Returns:
      [n length] int32: opening id, prompt, sentence, closing id, padding.

    Raises:
      ConfigError: a method that does not exist, a length that the net has no places for, no rng.
      DataInvalid: pictures of another shape, or whole numbers.
    """
    text, (n, *rest) = module.config.text_config, images.shape
    if not n or len(rest) != 3 or rest[-1] != 3 or not jnp.issubdtype(images.dtype, jnp.floating):
        raise errors.DataInvalid(
            f'pictures of {images.dtype} have shape {images.shape}', 'BLIP',
            'wanted floats [n h w 3] in [0, 1]',
        )  # fmt: skip
    opening = jnp.full((n, 1), text.bos_token_id, jnp.int32)
    words = () if prompt_ids is None else (jnp.asarray(prompt_ids, jnp.int32).reshape(n, -1),)
    prompt = jnp.concatenate([opening, *words], 1)  # [n 1+q]
    _decoding.check(method, length, prompt.shape[1], text.max_position_embeddings, beams, rng)
    return _generate(
        module, params, images, prompt, top_p, length_penalty, rng,
        method=method, beams=beams, length=length,
    )  # fmt: skip


@functools.partial(jax.jit, static_argnames=('module', 'method', 'beams', 'length'))
def _generate(module, params, images, prompt, top_p, penalty, rng, *, method, beams, length):
    text = module.config.text_config
    net = functools.partial(module.apply, {'params': params})
    n, begun = prompt.shape
    states = net(prepare(module.config, images), method='encode')
    seen = net(states, method='look')
    logits, cache = net(prompt, seen, module.empty(n, length), 0, method='step')
    ids = jnp.full((n, length), text.pad_token_id, jnp.int32).at[:, :begun].set(prompt)

    def step(words, cache, at):
        logits, cache = net(words[:, None], seen, cache, at, method='step')
        return logits[:, 0], cache

    start = _decoding.Start(logits[:, -1], cache, ids, begun)
    if method == 'beam':
        return _decoding.beam(step, start, text.sep_token_id, beams, penalty)
    pick = _decoding.picker(method, top_p, rng)
    return _decoding.follow(step, start, text.sep_token_id, text.pad_token_id, pick)
