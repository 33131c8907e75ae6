"""Parts of BLIP's captioner, used by `recon/zoo/blip.py`: vision tower, text decoder with a cache.

`config` is blip.Vision or blip.Text.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recon.core import blocks

Cache = tuple[tuple[Array, Array], ...]  # keys and values [m t d] of each layer


class Embeddings(nn.Module):
    """Pixels -> patch tokens with the class token in front, plus positions."""

    config: object
    dtype: blocks.DType = jnp.float32

    @nn.compact
    def __call__(self, pixels: Float[Array, 'n h w 3']) -> Float[Array, 'n p d']:
        """[n s s 3] -> [n 1+(s/patch)^2 d], patches row by row."""
        config = self.config
        width, side = config.hidden_size, config.image_size // config.patch_size
        small = nn.initializers.normal(0.02)
        first = self.param('class_embedding', small, (1, 1, width))
        place = self.param('position_embedding', small, (1, side * side + 1, width))
        layer = blocks.conv(
            width, config.patch_size, config.patch_size, 0, dtype=self.dtype, name='patch_embedding'
        )
        x = layer(pixels).reshape(pixels.shape[0], side * side, width)  # [n patches d]
        first = jnp.broadcast_to(first, (x.shape[0], 1, width)).astype(x.dtype)
        return jnp.concatenate([first, x], 1) + place.astype(x.dtype)


class VisionLayer(nn.Module):
    """norm, attention with fused query, key, value, +; norm, MLP, +."""

    config: object
    dtype: blocks.DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n p d']) -> Float[Array, 'n p d']:
        """[n p d] -> [n p d]."""
        config, width = self.config, self.config.hidden_size
        norm = lambda i: blocks.LayerNorm(  # noqa: E731
            config.layer_norm_eps, self.dtype, name=f'layer_norm{i}'
        )
        dense = lambda n, name: nn.Dense(n, dtype=self.dtype, name=name)  # noqa: E731
        query, key, value = jnp.split(dense(3 * width, 'self_attn.qkv')(norm(1)(x)), 3, -1)
        seen = blocks.attention(query, key, value, config.num_attention_heads)
        x = x + dense(width, 'self_attn.projection')(seen)
        h = dense(config.intermediate_size, 'mlp.fc1')(norm(2)(x))
        return x + dense(width, 'mlp.fc2')(blocks.ACTIVATIONS[config.hidden_act](h))


class VisionTower(nn.Module):
    """Pixels -> tokens, all layers kept."""

    config: object
    dtype: blocks.DType = jnp.float32

    @nn.compact
    def __call__(self, pixels: Float[Array, 'n h w 3']) -> list[Array]:
        """[n s s 3] -> embeddings, each layer's output, and the last normalised: each [n p d]."""
        config, dtype = self.config, self.dtype
        out = [Embeddings(config, dtype, name='embeddings')(pixels.astype(dtype))]
        for i in range(config.num_hidden_layers):
            out.append(VisionLayer(config, dtype, name=f'encoder.layers.{i}')(out[-1]))
        norm = blocks.LayerNorm(config.layer_norm_eps, dtype, name='post_layernorm')
        return [*out, norm(out[-1])]


class TextLayer(nn.Module):
    """Attention to the words so far, attention to the picture, MLP; a norm after each sum."""

    config: object
    dtype: blocks.DType = jnp.float32

    def setup(self):
        """Names the parts as the checkpoint does."""
        width, names = self.config.hidden_size, ('query', 'key', 'value')
        dense = lambda n, name: nn.Dense(n, dtype=self.dtype, name=name)  # noqa: E731
        norm = lambda name: blocks.LayerNorm(  # noqa: E731
            self.config.layer_norm_eps, self.dtype, name=f'{name}.LayerNorm'
        )
        self.own = [dense(width, f'attention.self.{name}') for name in names]
        self.own_out, self.own_norm = (
            dense(width, 'attention.output.dense'),
            norm('attention.output'),
        )
        self.cross = [dense(width, f'crossattention.self.{name}') for name in names]
        self.cross_out = dense(width, 'crossattention.output.dense')
        self.cross_norm = norm('crossattention.output')
        self.wide = dense(self.config.intermediate_size, 'intermediate.dense')
        self.narrow, self.norm = dense(width, 'output.dense'), norm('output')

    def look(self, states: Float[Array, 'n p e']) -> tuple[Array, Array]:
        """Tokens of the picture -> their keys and values for this layer, each [n p d]."""
        return self.cross[1](states), self.cross[2](states)

    def __call__(self, x, seen, mask, past=None, start=0):
        """One layer.

        Args:
          x: [m k d], words; m = n x beams.
          seen: keys and values [n p d] of `look`; the beams of a picture share them.
          mask: bool, broadcast to [m heads k t].
          past: keys and values of t words, [m t d] each, or None: the k words alone, t = k.
          start: place of the first of the k words among the t.

        Returns:
          [m k d], and the keys and values with those of the k words put in.
        """
        heads, shape = self.config.num_attention_heads, x.shape
        query, *now = [layer(x) for layer in self.own]
        if past is not None:
            put = jax.lax.dynamic_update_slice_in_dim
            now = [put(old, new, start, 1) for old, new in zip(past, now, strict=True)]
        said = blocks.attention(query, *now, heads, mask)
        x = self.own_norm(self.own_out(said) + x)
        query = self.cross[0](x).reshape(seen[0].shape[0], -1, shape[-1])  # [n beams*k d]
        found = blocks.attention(query, *seen, heads).reshape(shape)
        x = self.cross_norm(self.cross_out(found) + x)
        h = blocks.ACTIVATIONS[self.config.hidden_act](self.wide(x))
        return self.norm(self.narrow(h) + x), tuple(now)


class Bias(nn.Module):
    """What is added to the logits."""

    @nn.compact
    def __call__(self, logits: Float[Array, '... v']) -> Float[Array, '... v']:
        """[... v] -> [... v]."""
        return logits + self.param('bias', nn.initializers.zeros, (logits.shape[-1],))


class Decoder(nn.Module):
    """Words so far and a picture's tokens -> logits of the next word.

    Attributes:
      config: blip.Text.
      dtype: of the computation; norms, softmax and the logits given are float32.
    """

    config: object
    dtype: blocks.DType = jnp.float32

    def setup(self):
        """Names the parts as the checkpoint does."""
        config, dtype, small = self.config, self.dtype, nn.initializers.normal(0.02)
        width, epsilon = config.hidden_size, config.layer_norm_eps
        embed = lambda n, name: nn.Embed(  # noqa: E731
            n, width, dtype=dtype, embedding_init=small, name=f'bert.embeddings.{name}'
        )
        self.words = embed(config.vocab_size, 'word_embeddings')
        self.places = embed(config.max_position_embeddings, 'position_embeddings')
        self.norm = blocks.LayerNorm(epsilon, dtype, name='bert.embeddings.LayerNorm')
        self.stack = [
            TextLayer(config, dtype, name=f'bert.encoder.layer.{i}')
            for i in range(config.num_hidden_layers)
        ]
        self.dense = nn.Dense(width, dtype=dtype, name='cls.predictions.transform.dense')
        self.last = blocks.LayerNorm(epsilon, dtype, name='cls.predictions.transform.LayerNorm')
        self.bias = Bias(name='cls.predictions')

    def look(self, states: Float[Array, 'n p e']) -> tuple[tuple[Array, Array], ...]:
        """Tokens of the picture -> keys and values of every layer, each [n p d]."""
        return tuple(layer.look(states) for layer in self.stack)

    def __call__(
        self,
        ids: Int[Array, 'm k'],
        seen: tuple[tuple[Array, Array], ...],
        mask: Array,
        cache: Cache | None = None,
        start: int | Array = 0,
    ) -> tuple[Float[Array, 'm k v'], Cache]:
        """Logits [m k v] in float32, and keys and values with these words put in at `start`.

        Args:
          ids: [m k]; m = n x beams.
          seen: of `look`.
          mask: bool, broadcast to [m heads k t]: which of t words each word attends to.
          cache: keys and values [m t d] of each layer; None: these words alone, t = k.
          start: place of the first word.
        """
        place = start + jnp.arange(ids.shape[1])
        x = self.norm(self.words(ids) + self.places(place)[None])
        now = []
        for i, layer in enumerate(self.stack):
            x, kept = layer(x, seen[i], mask, cache[i] if cache else None, start)
            now.append(kept)
        h = self.last(blocks.ACTIVATIONS[self.config.hidden_act](self.dense(x)))
        return self.bias(self.words.attend(h).astype(jnp.float32)), tuple(now)
