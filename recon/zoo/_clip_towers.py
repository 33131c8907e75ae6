"""The towers of CLIP: a text's and a picture's. See recon/zoo/clip.py."""

from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recon.core import blocks, errors
from recon.zoo._clip_config import TextConfig, VisionConfig

DType = jnp.dtype


class TextStates(NamedTuple):
    """What the text tower says.

    Attributes:
      last: [n k d], after the final norm: what a diffusion model attends to.
      penultimate: [n k d], before the last block, without norm.
      hidden: blocks + 1 arrays [n k d]: the embedded ids, then each block's output, without norm.
      pooled: [n d], `last` at the end of the text.
    """

    last: Array
    penultimate: Array
    hidden: tuple[Array, ...]
    pooled: Array


def _norm(config, dtype, name):
    return blocks.LayerNorm(config.layer_norm_eps, dtype, name=name)


class Layer(nn.Module):
    """norm, attention, + input; norm, two dense layers, + input.

    Attributes:
      config: of a tower.
      dtype: of the computation.
    """

    config: TextConfig | VisionConfig
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n k d'], mask: Array | None = None):
        """[n k d], mask [k k] or None -> [n k d]."""
        c = self.config
        dense = lambda width, name: nn.Dense(width, dtype=self.dtype, name=name)  # noqa: E731
        h = _norm(c, self.dtype, 'layer_norm1')(x)
        query, key, value = (
            dense(c.hidden_size, f'self_attn.{part}_proj')(h) for part in ('q', 'k', 'v')
        )
        h = blocks.attention(query, key, value, c.num_attention_heads, mask)
        x = x + dense(c.hidden_size, 'self_attn.out_proj')(h)
        h = _norm(c, self.dtype, 'layer_norm2')(x)
        h = blocks.ACTIVATIONS[c.hidden_act](dense(c.intermediate_size, 'mlp.fc1')(h))
        return x + dense(c.hidden_size, 'mlp.fc2')(h)


def _encode(config, dtype, x, mask=None) -> tuple[Array, ...]:
    """All blocks: input and every block's output. Called inside a compact method alone."""
    hidden = [x]
    for i in range(config.num_hidden_layers):
        hidden.append(Layer(config, dtype, name=f'encoder.layers.{i}')(hidden[-1], mask))
    return tuple(hidden)


class TextTower(nn.Module):
    """Token ids -> states; each token sees those before it alone.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: TextConfig
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, ids: Int[Array, 'n k']) -> TextStates:
        """[n k] token ids, k at most max_position_embeddings.

        Raises:
          DataInvalid: more tokens than positions.
        """
        c, length = self.config, ids.shape[1]
        if length > c.max_position_embeddings:
            raise errors.DataInvalid(
                f'{length} tokens in a text, positions for {c.max_position_embeddings}',
                'clip.TextTower',
                'let the tokenizer truncate',
            )
        embed = lambda n, name: nn.Embed(  # noqa: E731
            n, c.hidden_size, self.dtype, embedding_init=nn.initializers.normal(0.02), name=name
        )
        x = embed(c.vocab_size, 'embeddings.token_embedding')(ids)
        x = x + embed(c.max_position_embeddings, 'embeddings.position_embedding')(
            jnp.arange(length)[None]
        )
        hidden = _encode(c, self.dtype, x, jnp.tri(length, dtype=bool)[None, None])
        last = _norm(c, self.dtype, 'final_layer_norm')(hidden[-1])
        # Old configs say 2 for the end of a text, which it never was: there, it is the largest id.
        ends = ids if c.eos_token_id == 2 else (ids == c.eos_token_id).astype(jnp.int32)
        pooled = jnp.take_along_axis(last, jnp.argmax(ends, -1)[:, None, None], 1)[:, 0]  # [n d]
        return TextStates(last, hidden[-2], hidden, pooled)


class VisionTower(nn.Module):
    """Pixels -> tokens: the class token first, then the patches row by row.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: VisionConfig
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, pixels: Float[Array, 'n h w 3']) -> tuple[tuple[Array, ...], Array]:
        """[n h w 3] from `prepare` -> blocks + 1 arrays [n k d] without norm, and `tokens` [n k d].

        `tokens` is the last of them after the norm; its first row is the class embedding.

        Raises:
          DataInvalid: pixels of another size than the config's.
        """
        c = self.config
        if pixels.shape[1:] != (c.image_size, c.image_size, c.num_channels):
            raise errors.DataInvalid(
                f'pixels have shape {pixels.shape}',
                'clip.VisionTower',
                f'clip.prepare makes them [n {c.image_size} {c.image_size} {c.num_channels}]',
            )
        name = 'embeddings.patch_embedding'
        x = blocks.conv(c.hidden_size, c.patch_size, c.patch_size, 0, bias=False, dtype=self.dtype,
                        name=name)(pixels)  # fmt: skip
        x = x.reshape(x.shape[0], -1, c.hidden_size)
        small = nn.initializers.normal(0.02)
        first = self.param('embeddings.class_embedding', small, (c.hidden_size,))
        first = jnp.broadcast_to(first.astype(self.dtype), (x.shape[0], 1, c.hidden_size))
        x = jnp.concatenate([first, x], 1)  # [n 1+patches d]
        position = nn.Embed(x.shape[1], c.hidden_size, self.dtype, embedding_init=small,
                            name='embeddings.position_embedding')  # fmt: skip
        x = x + position(jnp.arange(x.shape[1])[None])
        x = _norm(c, self.dtype, 'pre_layrnorm')(x)
        hidden = _encode(c, self.dtype, x)
        return hidden, _norm(c, self.dtype, 'post_layernorm')(hidden[-1])
