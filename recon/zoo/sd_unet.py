"""The denoising U-Net of Stable Diffusion 1.x and 2.x, and its smaller kin. NHWC.

Rombach et al. 2022, appendix E. A path of parameters is the name of diffusers' tensor. What no
released 1.x or 2.x checkpoint uses (class embeddings, gated attention ...) is refused by `read`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from recon.core import blocks
from recon.zoo import _sd_unet_config, tensors

DType = jnp.dtype
_NORM_EPSILON = 1e-6  # of the norm that opens a transformer; the residual blocks' is in the config
_LAYER_EPSILON = 1e-5
Config = _sd_unet_config.Config
RELEASED = _sd_unet_config.RELEASED
read = _sd_unet_config.read
write = _sd_unet_config.write
TABLE = tensors.Table()


def embed_time(timesteps: Num[Array, ' n'], config: Config) -> Float[Array, 'n d']:
    """Steps of the noise schedule [n] -> sines and cosines [n d], d the first level's channels.

    Source: Vaswani et al. 2017, section 3.5, periods up to 10,000; float32.
    """
    half = config.block_out_channels[0] // 2
    # In numpy, in diffusers' order: a last bit of these shows in the sine of 999 times them.
    rates = np.float32(-np.log(10_000)) * np.arange(half, dtype=np.float32)
    rates = np.exp(rates / np.float32(half - config.freq_shift))
    angles = jnp.asarray(timesteps, jnp.float32)[:, None] * rates
    parts = [jnp.sin(angles), jnp.cos(angles)]
    return jnp.concatenate(parts[::-1] if config.flip_sin_to_cos else parts, -1)


class Attention(nn.Module):
    """Queries of one sequence to keys and values of another, or of itself.

    Attributes:
      heads: number of them.
      upcast: queries and keys meet in float32.
      dtype: of the computation.
    """

    heads: int
    upcast: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n q d'], states: Float[Array, 'n k s']):
        """[n q d], states [n k s] -> [n q d]."""
        width = x.shape[-1]
        dense = lambda name: blocks.dense(width, bias=False, dtype=self.dtype, name=name)  # noqa: E731
        query, key, value = dense('to_q')(x), dense('to_k')(states), dense('to_v')(states)
        if self.upcast:
            query, key = query.astype(jnp.float32), key.astype(jnp.float32)
        mixed = blocks.attention(query, key, value, self.heads)
        return blocks.dense(width, dtype=self.dtype, name='to_out.0')(mixed)


class FeedForward(nn.Module):
    """A gated layer of four times the width (Shazeer 2020, GEGLU with the exact GELU)."""

    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n k d']) -> Float[Array, 'n k d']:
        """[n k d] -> [n k d]."""
        width = x.shape[-1]
        both = blocks.dense(8 * width, dtype=self.dtype, name='net.0.proj')(x)
        value, gate = jnp.split(both, 2, -1)
        return blocks.dense(width, dtype=self.dtype, name='net.2')(value * blocks.gelu(gate))


class TransformerBlock(nn.Module):
    """Attention to itself, attention to the text, a gated layer; each after a norm, each added.

    Attributes:
      heads: number of them.
      upcast: queries and keys meet in float32.
      dtype: of the computation.
    """

    heads: int
    upcast: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n k d'], states: Float[Array, 'n s t']):
        """[n k d], text states [n s t] -> [n k d]."""
        norm = lambda name: blocks.LayerNorm(_LAYER_EPSILON, self.dtype, name=name)  # noqa: E731
        attend = lambda name: Attention(self.heads, self.upcast, self.dtype, name=name)  # noqa: E731
        h = norm('norm1')(x)
        x = x + attend('attn1')(h, h)
        x = x + attend('attn2')(norm('norm2')(x), states)
        return x + FeedForward(self.dtype, name='ff')(norm('norm3')(x))


class Transformer(nn.Module):
    """A transformer block over the pixels, row by row, between two projections; added.

    Attributes:
      heads: number of them.
      groups: of the first norm.
      linear: dense projections; else 1x1 convolutions, the same but for the tensors' shape.
      upcast: queries and keys meet in float32.
      dtype: of the computation.
    """

    heads: int
    groups: int
    linear: bool
    upcast: bool = False
    dtype: DType = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c'], states: Float[Array, 'n s t']):
        """[n h w c], text states [n s t] -> [n h w c]."""
        n, h, w, c = x.shape

        def project(name):
            if self.linear:
                return blocks.dense(c, dtype=self.dtype, name=name)
            return blocks.conv(c, 1, dtype=self.dtype, name=name)

        y = blocks.GroupNorm(self.groups, _NORM_EPSILON, self.dtype, name='norm')(x)
        y = project('proj_in')(y).reshape(n, h * w, c)  # [n h*w c]
        inner = TransformerBlock(self.heads, self.upcast, self.dtype, name='transformer_blocks.0')
        y = inner(y, states).reshape(n, h, w, c)
        return x + project('proj_out')(y)


class UNet(nn.Module):
    """Noisy latents, time and text -> noise (or v), as the scheduler's prediction_type says.

    Attributes:
      config: sizes.
      dtype: of the computation; norms, softmax and the embedding of time are in float32.
    """

    config: Config
    dtype: DType = jnp.float32

    def _resnet(self, features, name):
        c = self.config
        return blocks.ResnetBlock(features, c.norm_num_groups, c.norm_eps, self.dtype, name=name)

    def _transformer(self, level, name):
        c = self.config
        heads = c.per_level(c.attention_head_dim)[level]
        kind = (heads, c.norm_num_groups, c.use_linear_projection, c.upcast_attention)
        return Transformer(*kind, self.dtype, name=name)

    @nn.compact
    def __call__(
        self,
        latents: Float[Array, 'n h w c'],
        timesteps: Num[Array, ' n'],
        states: Float[Array, 'n k d'],
    ) -> Float[Array, 'n h w o']:
        """Latents [n h w c] of any size, steps [n], text states [n k d] -> [n h w o].

        Sizes that halving does not divide are rounded up on the way down and cut on the way up.
        """
        c, widths = self.config, self.config.block_out_channels
        x = latents.astype(self.dtype)
        states = states.astype(self.dtype)
        if c.center_input_sample:
            x = 2 * x - 1
        time = embed_time(timesteps, c).astype(self.dtype)
        time = blocks.dense(4 * widths[0], dtype=self.dtype, name='time_embedding.linear_1')(time)
        time = jax.nn.silu(time)
        time = blocks.dense(4 * widths[0], dtype=self.dtype, name='time_embedding.linear_2')(time)
        x = blocks.conv(widths[0], dtype=self.dtype, name='conv_in')(x)
        x, skips = self._down(x, time, states)
        x = self._resnet(widths[-1], 'mid_block.resnets.0')(x, time)
        x = self._transformer(-1, 'mid_block.attentions.0')(x, states)
        x = self._resnet(widths[-1], 'mid_block.resnets.1')(x, time)
        x = self._up(x, skips, time, states)
        norm = blocks.GroupNorm(c.norm_num_groups, c.norm_eps, self.dtype, name='conv_norm_out')
        return blocks.conv(c.out_channels, dtype=self.dtype, name='conv_out')(jax.nn.silu(norm(x)))

    def _down(self, x, time, states):
        """The way down: the coarsest features, and what the way up will want, last first out."""
        c, skips = self.config, [x]
        for i, kind in enumerate(c.down_block_types):
            at = f'down_blocks.{i}'
            for j in range(c.per_level(c.layers_per_block)[i]):
                x = self._resnet(c.block_out_channels[i], f'{at}.resnets.{j}')(x, time)
                if kind == _sd_unet_config.DOWN[0]:
                    x = self._transformer(i, f'{at}.attentions.{j}')(x, states)
                skips.append(x)
            if i + 1 < len(c.block_out_channels):
                name = f'{at}.downsamplers.0'
                x = blocks.Downsample(dtype=self.dtype, name=name)(x)
                skips.append(x)
        return x, skips

    def _up(self, x, skips, time, states):
        """The way up, taking `skips` from the end."""
        c, levels = self.config, len(self.config.block_out_channels)
        for i, kind in enumerate(c.up_block_types):
            at, level = f'up_blocks.{i}', levels - 1 - i
            for j in range(c.per_level(c.layers_per_block)[level] + 1):
                x = jnp.concatenate([x, skips.pop()], -1)
                x = self._resnet(c.block_out_channels[level], f'{at}.resnets.{j}')(x, time)
                if kind == _sd_unet_config.UP[0]:
                    x = self._transformer(level, f'{at}.attentions.{j}')(x, states)
            if level:
                h, w = skips[-1].shape[1:3]
                x = blocks.Upsample(self.dtype, name=f'{at}.upsamplers.0')(x, (h, w))
        return x


CLASSES = {'UNet2DConditionModel': UNet}


def example(config: Config) -> tuple:
    """Arguments for `UNet.init` after the key: two levels' worth of pixels are enough."""
    size = 2 ** len(config.block_out_channels)
    shapes = ((1, size, size, config.in_channels), (1,), (1, 3, config.cross_attention_dim))
    return tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes)
