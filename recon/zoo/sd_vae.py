"""Stable Diffusion's autoencoder (AutoencoderKL): pictures <-> latents at an eighth of the size.

Source: Rombach et al. 2022, 'High-resolution image synthesis with latent diffusion models',
section 3.1 and appendix G; tensor names as in diffusers. The only normalised things are inside:
pixels are in [-1, 1], latents of a diffusion net are `scaling_factor` times the latents here.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.core import autoencoder, blocks, errors, resize
from recon.zoo import tensors

EPSILON = autoencoder.EPSILON  # of every norm


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, named as in config.json.

    Attributes:
      in_channels: of pictures.
      out_channels: of reconstructions.
      block_out_channels: channels of each level; each level but the last halves the size.
      layers_per_block: residual blocks of a level in the encoder; the decoder has one more.
      latent_channels: of the latents.
      norm_num_groups: of every norm.
      sample_size: pixels on a side in training; nothing here depends on it.
      scaling_factor: times latents gives about unit variance.
      shift_factor: subtracted from latents before that; None is 0.
      mid_block_add_attention: whether attention stands in the middle.
      use_quant_conv: whether a 1x1 convolution follows the encoder.
      use_post_quant_conv: whether one precedes the decoder.
    """

    in_channels: int = 3
    out_channels: int = 3
    block_out_channels: tuple[int, ...] = (128, 256, 512, 512)
    layers_per_block: int = 2
    latent_channels: int = 4
    norm_num_groups: int = 32
    sample_size: int = 512
    scaling_factor: float = 0.18215
    shift_factor: float | None = None
    mid_block_add_attention: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True


RELEASED = {
    'stable-diffusion-v1-5': Config(),
    'stable-diffusion-2-1': Config(sample_size=768),
    'stable-diffusion-2-1-base': Config(),
}
# What diffusers takes where config.json is silent.
_SILENT = {'block_out_channels': (64,), 'layers_per_block': 1, 'sample_size': 32}
_FIXED = {
    'act_fn': ('silu', 'swish'),
    'latents_mean': (None,),
    'latents_std': (None,),
    'down_block_types': ('DownEncoderBlock2D',),
    'up_block_types': ('UpDecoderBlock2D',),
}


def read(raw: dict) -> Config:
    """config.json of an AutoencoderKL -> Config.

    Raises:
      ConfigError: an option that is not implemented here and changes what the net does.
    """
    levels = len(raw.get('block_out_channels', _SILENT['block_out_channels']))
    for key, known in _FIXED.items():
        listed = key.endswith('_types')
        values = raw.get(key, known * levels if listed else known[0])
        fits = len(values) == levels if listed else True
        if not fits or any(value not in known for value in (values if listed else [values])):
            raise errors.ConfigError(
                f'{key} is {values!r}',
                'config.json of an AutoencoderKL',
                f'implemented: {", ".join(map(repr, known))}{" at each level" * listed}',
            )
    given = {f.name: raw[f.name] for f in dataclasses.fields(Config) if f.name in raw}
    values = _SILENT | given
    values['block_out_channels'] = tuple(values['block_out_channels'])
    if values.get('scaling_factor', 1) is None:
        del values['scaling_factor']
    return Config(**values)


def write(config: Config) -> dict:
    """Config -> config.json as diffusers reads it."""
    levels = len(config.block_out_channels)
    return {
        '_class_name': 'AutoencoderKL',
        'act_fn': 'silu',
        'down_block_types': ['DownEncoderBlock2D'] * levels,
        'up_block_types': ['UpDecoderBlock2D'] * levels,
        **dataclasses.asdict(config),
        'block_out_channels': list(config.block_out_channels),
    }


class AutoencoderKL(nn.Module):
    """The autoencoder. Its latents are unscaled: see `latents` and `pictures`.

    Attributes:
      config: sizes.
      dtype: of the computation; norms, softmax and the outputs are float32.
    """

    config: Config
    dtype: jnp.dtype = jnp.float32

    def setup(self):
        """Names the parts."""
        config = self.config
        sizes = {
            'widths': config.block_out_channels,
            'layers': config.layers_per_block,
            'groups': config.norm_num_groups,
            'attention': config.mid_block_add_attention,
            'epsilon': EPSILON,
            'dtype': self.dtype,
        }
        self.encoder = autoencoder.Encoder(2 * config.latent_channels, **sizes)
        self.decoder = autoencoder.Decoder(config.out_channels, **sizes)
        if config.use_quant_conv:
            self.quant_conv = blocks.conv(2 * config.latent_channels, 1, dtype=self.dtype)
        if config.use_post_quant_conv:
            self.post_quant_conv = blocks.conv(config.latent_channels, 1, dtype=self.dtype)

    def encode(self, pixels: Float[Array, 'n h w c']):
        """Pixels in [-1, 1], [n h w c] -> mean and log variance of the latents, [n h/8 w/8 d]."""
        h = self.encoder(pixels.astype(self.dtype))
        h = self.quant_conv(h) if self.config.use_quant_conv else h
        mean, logvar = jnp.split(h.astype(jnp.float32), 2, -1)
        return mean, jnp.clip(logvar, -30, 20)

    def decode(self, latents: Float[Array, 'n h w d']) -> Float[Array, 'n 8*h 8*w c']:
        """Unscaled latents [n h w d] -> pixels about [-1, 1], [n 8h 8w c], not clipped."""
        h = latents.astype(self.dtype)
        h = self.post_quant_conv(h) if self.config.use_post_quant_conv else h
        return self.decoder(h).astype(jnp.float32)

    def layers(self, pixels: Float[Array, 'n h w c']) -> dict[str, Array]:
        """Pixels in [-1, 1] -> {'latents': [n h/8 w/8 d]}, their mean, as `latents` scales it."""
        return {'latents': _scaled(self.config, self.encode(pixels)[0])}

    def __call__(self, pixels: Float[Array, 'n h w c']) -> Float[Array, 'n h w c']:
        """Pixels in [-1, 1] -> their reconstruction from the mean."""
        return self.decode(self.encode(pixels)[0])


def latents(
    module: AutoencoderKL,
    params: dict,
    images: Float[Array, 'n h w 3'],
    rng: Array | None = None,
) -> Float[Array, 'n h/8 w/8 d']:
    """Pictures in [0, 1] -> latents as a diffusion net takes them (shifted and scaled).

    Args:
      module: the autoencoder.
      params: its parameters.
      images: [n h w 3] in [0, 1].
      rng: draws a sample; without it the mean is given.
    """
    mean, logvar = module.apply({'params': params}, 2 * images - 1, method='encode')
    if rng is not None:
        mean = mean + jnp.exp(logvar / 2) * jax.random.normal(rng, mean.shape)
    return _scaled(module.config, mean)


def _scaled(config: Config, latents):
    return (latents - (config.shift_factor or 0)) * config.scaling_factor


def pictures(
    module: AutoencoderKL, params: dict, latents: Float[Array, 'n h w d']
) -> Float[Array, 'n 8*h 8*w 3']:
    """The way back: scaled latents [n h w d] -> pictures in [0, 1], clipped."""
    latents = latents / module.config.scaling_factor + (module.config.shift_factor or 0)
    pixels = module.apply({'params': params}, latents, method='decode')
    return jnp.clip(pixels / 2 + 0.5, 0, 1)


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives."""
    return ('latents',)


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Float[Array, 'n s s 3']:
    """Pictures in [0, 1] -> [-1, 1] at the size of the training, bilinear with antialias."""
    return 2 * resize.resize(images, (config.sample_size,) * 2) - 1


def example(config: Config) -> tuple:
    """Arguments for `init` after rng, as shapes."""
    side = 2 ** len(config.block_out_channels)
    return (jax.ShapeDtypeStruct((1, side, side, config.in_channels), jnp.float32),)


CLASSES = {'AutoencoderKL': AutoencoderKL}
TABLE = tensors.Table(
    renames=(
        (r'\.attentions\.0\.query\.', '.attentions.0.to_q.'),
        (r'\.attentions\.0\.key\.', '.attentions.0.to_k.'),
        (r'\.attentions\.0\.value\.', '.attentions.0.to_v.'),
        (r'\.attentions\.0\.proj_attn\.', '.attentions.0.to_out.0.'),
    )
)
