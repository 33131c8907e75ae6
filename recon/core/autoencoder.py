"""The two halves of a convolutional autoencoder: pictures -> small maps, and the way back.

Source: Rombach et al. 2022, 'High-resolution image synthesis with latent diffusion models',
appendix G; names of parameters are those of diffusers' tensors. Stable Diffusion's autoencoder has
both halves (`recon/zoo/sd_vae.py`), and MindEye's low-level net upsamples with the second.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.core import blocks

EPSILON = 1e-6  # of every norm; the U-Net's residual blocks have 1e-5


class Attention(nn.Module):
    """One head over all places, added to its input; biases everywhere.

    Attributes:
      groups: of the norm.
      epsilon: of the norm.
      dtype: of the computation.
    """

    groups: int
    epsilon: float = EPSILON
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h w c']:
        """[n h w c] -> [n h w c]."""
        norm = blocks.GroupNorm(self.groups, self.epsilon, self.dtype, name='group_norm')
        dense = lambda name: blocks.dense(x.shape[-1], dtype=self.dtype, name=name)  # noqa: E731
        h = norm(x).reshape(x.shape[0], -1, x.shape[-1])  # [n h*w c]
        h = blocks.attention(dense('to_q')(h), dense('to_k')(h), dense('to_v')(h), heads=1)
        return x + dense('to_out.0')(h).reshape(x.shape)


class _Levels(nn.Module):
    """What both halves share: their parts, under the names of the tensors.

    Attributes:
      features: channels of what comes out.
      widths: channels of each level, the finest first; between two levels the size halves.
      layers: residual blocks of a level in the encoder; the decoder has one more.
      groups: of every norm.
      attention: whether attention stands in the middle.
      epsilon: of every norm.
      dtype: of the computation; norms and softmax are float32.
    """

    features: int
    widths: tuple[int, ...]
    layers: int
    groups: int
    attention: bool = True
    epsilon: float = EPSILON
    dtype: jnp.dtype = jnp.float32

    def resnet(self, name: str, features: int):
        return blocks.ResnetBlock(features, self.groups, self.epsilon, self.dtype, name=name)

    def middle(self, x):
        x = self.resnet('mid_block.resnets.0', x.shape[-1])(x)
        if self.attention:
            attend = Attention(self.groups, self.epsilon, self.dtype, name='mid_block.attentions.0')
            x = attend(x)
        return self.resnet('mid_block.resnets.1', x.shape[-1])(x)

    def head(self, x):
        """The last norm, activation and convolution."""
        norm = blocks.GroupNorm(self.groups, self.epsilon, self.dtype, name='conv_norm_out')
        return blocks.conv(self.features, dtype=self.dtype, name='conv_out')(jax.nn.silu(norm(x)))


class Encoder(_Levels):
    """Pictures -> maps that are smaller by half for each level but the first."""

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h/8 w/8 f']:
        """[n h w c] -> [n h/8 w/8 features] (four levels)."""
        last = len(self.widths) - 1
        x = blocks.conv(self.widths[0], dtype=self.dtype, name='conv_in')(x)
        for i, width in enumerate(self.widths):
            for j in range(self.layers):
                x = self.resnet(f'down_blocks.{i}.resnets.{j}', width)(x)
            if i < last:  # pads the right and the bottom alone; [n h w c] -> [n h/2 w/2 c]
                x = blocks.Downsample(0, self.dtype, name=f'down_blocks.{i}.downsamplers.0')(x)
        return self.head(self.middle(x))


class Decoder(_Levels):
    """Maps -> pictures that are larger by two for each level but the first."""

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w d']) -> Float[Array, 'n 8*h 8*w f']:
        """[n h w d] -> [n 8h 8w features] (four levels)."""
        last = len(self.widths) - 1
        x = blocks.conv(self.widths[-1], dtype=self.dtype, name='conv_in')(x)
        x = self.middle(x)
        for i, width in enumerate(reversed(self.widths)):
            for j in range(self.layers + 1):
                x = self.resnet(f'up_blocks.{i}.resnets.{j}', width)(x)
            if i < last:  # [n h w c] -> [n 2h 2w c]
                x = blocks.Upsample(self.dtype, name=f'up_blocks.{i}.upsamplers.0')(x)
        return self.head(x)
