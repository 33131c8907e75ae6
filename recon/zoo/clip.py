"""CLIP: a picture's and a text's towers, and the pair. NHWC pixels, int token ids.

Names of parameters are those of transformers' CLIPModel, CLIPTextModel (with `text_model.` before
each, as files on the hub have it) and CLIPVisionModelWithProjection.

Source: Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.4.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recon.core import resize
from recon.zoo import _clip_config, _clip_towers, tensors

MEAN, STD, RELEASED = _clip_config.MEAN, _clip_config.STD, _clip_config.RELEASED
Config, TextConfig = _clip_config.Config, _clip_config.TextConfig
VisionConfig = _clip_config.VisionConfig
read, write = _clip_config.read, _clip_config.write
TextTower, VisionTower = _clip_towers.TextTower, _clip_towers.VisionTower
TextStates = _clip_towers.TextStates
preprocessor, with_preprocessor = _clip_config.preprocessor, _clip_config.with_preprocessor

TABLE = tensors.Table(
    # The text encoder alone, as transformers 5 saves it, has no name before its parts.
    renames=((r'^(embeddings|encoder|final_layer_norm)\.', r'text_model.\1.'),),
    ignored=(r'embeddings\.position_ids$',),
)
DType = jnp.dtype


class Pair(NamedTuple):
    """What the two towers say of each other.

    Attributes:
      image_embeds: [n p], of length 1.
      text_embeds: [m p], of length 1.
      logits_per_image: [n m], cosines times exp(logit_scale).
    """

    image_embeds: Array
    text_embeds: Array
    logits_per_image: Array


def _layers(hidden, tokens, project) -> dict[str, Array]:
    """Names of LAYERS -> arrays."""
    projected = project(tokens)
    named = {f'hidden.{i}': x for i, x in enumerate(hidden)}
    named |= {'tokens_projected': projected, 'pooled': tokens[:, 0]}
    return named | {'image_embeds': projected[:, 0]}


class ClipText(nn.Module):
    """The text tower as a folder of its own: a diffusion model's `text_encoder`.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: TextConfig
    dtype: DType = jnp.float32

    def setup(self):
        """The tower."""
        self.text_model = TextTower(self.config, self.dtype)

    def __call__(self, ids: Int[Array, 'n k']) -> Float[Array, 'n k d']:
        """[n k] token ids -> [n k d] last states."""
        return self.text_model(ids).last

    def states(self, ids: Int[Array, 'n k']) -> TextStates:
        """[n k] token ids -> all states."""
        return self.text_model(ids)


class ClipVision(nn.Module):
    """The picture's tower and its projection.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: VisionConfig
    dtype: DType = jnp.float32

    def setup(self):
        """Tower and projection."""
        self.vision_model = VisionTower(self.config, self.dtype)
        width = self.config.projection_dim
        self.visual_projection = nn.Dense(width, use_bias=False, dtype=self.dtype)

    def __call__(self, pixels: Float[Array, 'n h w 3']) -> Float[Array, 'n p']:
        """[n h w 3] from `prepare` -> [n p] embeddings, not normalised."""
        return self.layers(pixels)['image_embeds']

    def layers(self, pixels: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] from `prepare` -> {name of LAYERS: array}."""
        return _layers(*self.vision_model(pixels), self.visual_projection)


class Clip(nn.Module):
    """Both towers, their projections and the temperature.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config
    dtype: DType = jnp.float32

    def setup(self):
        """Towers, projections, temperature."""
        c = self.config
        self.text_model = TextTower(c.text, self.dtype)
        self.vision_model = VisionTower(c.vision, self.dtype)
        self.text_projection = nn.Dense(c.projection_dim, use_bias=False, dtype=self.dtype)
        self.visual_projection = nn.Dense(c.projection_dim, use_bias=False, dtype=self.dtype)
        start = nn.initializers.constant(c.logit_scale_init_value)
        self.logit_scale = self.param('logit_scale', start, ())

    def __call__(self, pixels: Float[Array, 'n h w 3'], ids: Int[Array, 'm k']) -> Pair:
        """[n h w 3] from `prepare`, [m k] token ids -> embeddings and their cosines."""
        image = normalise(self.encode_image(pixels).astype(jnp.float32))
        text = normalise(self.encode_text(ids).astype(jnp.float32))
        return Pair(image, text, jnp.exp(self.logit_scale) * (image @ text.T))

    def encode_image(self, pixels: Float[Array, 'n h w 3']) -> Float[Array, 'n p']:
        """[n h w 3] from `prepare` -> [n p], not normalised."""
        return self.layers(pixels)['image_embeds']

    def encode_text(self, ids: Int[Array, 'n k']) -> Float[Array, 'n p']:
        """[n k] token ids -> [n p], not normalised."""
        return self.text_projection(self.text_model(ids).pooled)

    def layers(self, pixels: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] from `prepare` -> {name of LAYERS: array}."""
        return _layers(*self.vision_model(pixels), self.visual_projection)

    def states(self, ids: Int[Array, 'n k']) -> TextStates:
        """[n k] token ids -> all states of the text."""
        return self.text_model(ids)


def normalise(x: Float[Array, '... d']) -> Float[Array, '... d']:
    """[... d] -> of length 1."""
    return x / jnp.linalg.norm(x, axis=-1, keepdims=True)


CLASSES = {
    'CLIPModel': Clip,
    'CLIPTextModel': ClipText,
    'CLIPVisionModelWithProjection': ClipVision,
}


def LAYERS(config: Config | VisionConfig) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes of the picture's tower, as `layers` gives them.

    'hidden.0' (after the first norm) to 'hidden.<blocks>' [n k d] without norm; 'pooled' [n d], the
    class embedding after the norm; 'image_embeds' [n p], projected; 'tokens_projected' [n k p], all
    tokens after norm and projection.
    """
    depth = _vision(config).num_hidden_layers
    names = (f'hidden.{i}' for i in range(depth + 1))
    return (*names, 'tokens_projected', 'pooled', 'image_embeds')


def example(config: Config | TextConfig | VisionConfig) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Arguments of `init` after the key, as shapes."""
    ids = jax.ShapeDtypeStruct((1, 4), jnp.int32)
    if isinstance(config, TextConfig):
        return (ids,)
    vision = _vision(config)
    shape = (1, vision.image_size, vision.image_size, vision.num_channels)
    pixels = jax.ShapeDtypeStruct(shape, jnp.float32)
    return (pixels, ids) if isinstance(config, Config) else (pixels,)


def prepare(
    config: Config | VisionConfig, images: Float[Array, 'n h w 3']
) -> Float[Array, 'n s s 3']:
    """Pictures in [0, 1] -> pixels: shortest edge to s (bicubic), the middle s x s, normalised.

    Args:
      config: its image_size is s; its image_mean and image_std are taken off and divided by.
      images: [n h w 3], of any size.
    """
    c = _vision(config)
    if min(images.shape[1:3]) != c.image_size:
        # The pictures' own range: bicubic overshoots, and the reference rounds to bytes.
        images = jnp.clip(resize.shortest(images, c.image_size, 'bicubic'), 0, 1)
    images = resize.centre_crop(images, (c.image_size, c.image_size))
    mean, std = (jnp.asarray(x, jnp.float32) for x in (c.image_mean, c.image_std))
    return (images - mean) / std


def _vision(config: Config | VisionConfig) -> VisionConfig:
    return config.vision if isinstance(config, Config) else config
