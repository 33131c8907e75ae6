"""Sizes of Stable Diffusion's U-Net, and its config.json. Read through `recon/zoo/sd_unet.py`."""

import dataclasses

from recon.core import errors

DOWN = ('CrossAttnDownBlock2D', 'DownBlock2D')
UP = ('CrossAttnUpBlock2D', 'UpBlock2D')


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes, named as in diffusers' config.json; defaults are Stable Diffusion 1.5.

    Attributes:
      sample_size: height and width of the latents that it was trained on; any others work too.
      in_channels: of the latents.
      out_channels: of the answer.
      block_out_channels: channels at each level, finest first.
      down_block_types: of each level, with or without attention.
      up_block_types: the same on the way up, coarsest first.
      layers_per_block: residual blocks at each level; one more on the way up.
      cross_attention_dim: width of the text states.
      attention_head_dim: the NUMBER of heads at each level, or one for all (a misnomer on disk).
      use_linear_projection: around a transformer; else 1x1 convolutions, the same function.
      upcast_attention: queries and keys meet in float32 even if the rest is computed in less.
      norm_num_groups: of all group norms.
      norm_eps: of the residual blocks and the last norm.
      flip_sin_to_cos: cosines before sines in the embedding of time.
      freq_shift: subtracted from the number of frequencies.
      center_input_sample: latents in [0, 1] are moved to [-1, 1] first.
    """

    sample_size: int | None = 64
    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    down_block_types: tuple[str, ...] = (DOWN[0],) * 3 + (DOWN[1],)
    up_block_types: tuple[str, ...] = (UP[1],) + (UP[0],) * 3
    layers_per_block: int | tuple[int, ...] = 2
    cross_attention_dim: int = 768
    attention_head_dim: int | tuple[int, ...] = 8
    use_linear_projection: bool = False
    upcast_attention: bool = False
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    flip_sin_to_cos: bool = True
    freq_shift: int = 0
    center_input_sample: bool = False

    def per_level(self, value) -> tuple[int, ...]:
        """One value for all levels, or one for each -> one for each."""
        levels = len(self.block_out_channels)
        return (value,) * levels if isinstance(value, int) else tuple(value)


_V2 = Config(
    sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
    use_linear_projection=True, upcast_attention=True,
)  # fmt: skip
RELEASED = {
    'stable-diffusion-v1-5': Config(),
    'stable-diffusion-2-1': _V2,
    'stable-diffusion-2-1-base': dataclasses.replace(_V2, sample_size=64, upcast_attention=False),
}
# What would change the function and is not built: the values at which it does not.
_ONLY = {
    'downsample_padding': (1,),
    'act_fn': ('silu', 'swish'),
    'mid_block_type': ('UNetMidBlock2DCrossAttn',),
    'mid_block_scale_factor': (1,),
    'only_cross_attention': (False,),
    'mid_block_only_cross_attention': (None, False),
    'dual_cross_attention': (False,),
    'transformer_layers_per_block': (1,),
    'reverse_transformer_layers_per_block': (None,),
    'num_attention_heads': (None,),
    'encoder_hid_dim': (None,),
    'encoder_hid_dim_type': (None,),
    'class_embed_type': (None,),
    'num_class_embeds': (None,),
    'addition_embed_type': (None,),
    'resnet_time_scale_shift': ('default',),
    'resnet_skip_time_act': (False,),
    'resnet_out_scale_factor': (1,),
    'time_embedding_type': ('positional',),
    'time_embedding_dim': (None,),
    'time_embedding_act_fn': (None,),
    'timestep_post_act': (None,),
    'time_cond_proj_dim': (None,),
    'conv_in_kernel': (3,),
    'conv_out_kernel': (3,),
    'attention_type': ('default',),
    'class_embeddings_concat': (False,),
    'cross_attention_norm': (None,),
}
# Keys that a file leaves out have diffusers' defaults, not Stable Diffusion's.
_DEFAULTS = {'sample_size': None, 'cross_attention_dim': 1280}


def read(raw: dict) -> Config:
    """The config.json of diffusers -> Config.

    Raises:
      errors.ConfigError: an option that is not built, or sizes that do not fit each other.
    """
    for key, allowed in _ONLY.items():
        if key in raw and raw[key] not in allowed:
            what = f'{key} = {raw[key]!r}; this U-Net knows {" or ".join(map(repr, allowed))}'
            raise errors.ConfigError(what, 'config.json of a U-Net', 'use another checkpoint')
    fields = {f.name for f in dataclasses.fields(Config)}
    values = {k: v for k, v in (_DEFAULTS | raw).items() if k in fields}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    config = Config(**values)
    levels = len(config.block_out_channels)
    checks = {
        'down_block_types': len(config.down_block_types) == levels,
        'up_block_types': len(config.up_block_types) == levels,
        'layers_per_block': len(config.per_level(config.layers_per_block)) == levels,
        'attention_head_dim': len(config.per_level(config.attention_head_dim)) == levels,
        'cross_attention_dim': isinstance(config.cross_attention_dim, int),
        'norm_num_groups': isinstance(config.norm_num_groups, int),
    }
    for key, fits in checks.items():
        if not fits:
            what = f'{key} = {values.get(key)!r} does not fit {levels} levels of channels'
            raise errors.ConfigError(what, 'config.json of a U-Net', 'check the file')
    for key, known in (('down_block_types', DOWN), ('up_block_types', UP)):
        for kind in getattr(config, key):
            if kind not in known:
                what = f'{key} has {kind!r}; known are {", ".join(known)}'
                raise errors.ConfigError(what, 'config.json of a U-Net', 'use another checkpoint')
    return config


def write(config: Config) -> dict:
    """Config -> the config.json that diffusers reads."""
    return {'_class_name': 'UNet2DConditionModel'} | dataclasses.asdict(config)
