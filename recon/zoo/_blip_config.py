"""Sizes of BLIP's captioner and its config.json; used by `recon/zoo/blip.py`."""

import dataclasses

from recon.core import blocks, errors
from recon.zoo import _clip_config

MEAN, STD = _clip_config.MEAN, _clip_config.STD


@dataclasses.dataclass(frozen=True)
class Vision:
    """The vision tower, fields as in `vision_config`; sizes of a picture and a patch in pixels."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    image_size: int = 384
    patch_size: int = 16
    hidden_act: str = 'gelu'
    layer_norm_eps: float = 1e-5


@dataclasses.dataclass(frozen=True)
class Text:
    """The text decoder, fields as in `text_config`."""

    vocab_size: int = 30524
    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    max_position_embeddings: int = 512
    hidden_act: str = 'gelu'
    layer_norm_eps: float = 1e-12
    bos_token_id: int = 30522
    sep_token_id: int = 102
    pad_token_id: int = 0
    eos_token_id: int = 2


@dataclasses.dataclass(frozen=True)
class Config:
    """Both halves, fields as in config.json; the defaults are blip-image-captioning-base."""

    vision_config: Vision = Vision()
    text_config: Text = Text()


RELEASED = {
    'Salesforce/blip-image-captioning-base': Config(),
    'Salesforce/blip-image-captioning-large': Config(Vision(1024, 4096, 24, 16)),
}
# What transformers takes for a key that config.json leaves out, where that is not our default.
_ABSENT = {'num_attention_heads': 8}
_REFUSED = {'is_decoder': True, 'tie_word_embeddings': True}  # key: the only value that we know


def _half(raw: dict, kind: type, where: str, absent: dict):
    fields = {f.name for f in dataclasses.fields(kind)}
    config = kind(**(absent | {key: raw[key] for key in fields & raw.keys()}))
    for key, known in _REFUSED.items():
        if raw.get(key, known) != known:
            raise errors.ConfigError(f'{where}.{key} is {raw[key]!r}', 'BLIP', f'use {known!r}')
    if config.hidden_act not in blocks.ACTIVATIONS:
        known = ', '.join(sorted(blocks.ACTIVATIONS))
        raise errors.ConfigError(f'{where}.hidden_act is {config.hidden_act!r}', 'BLIP', known)
    if config.hidden_size % config.num_attention_heads:
        raise errors.ConfigError(
            f'{where}.num_attention_heads is {config.num_attention_heads}',
            'BLIP',
            f'a divisor of hidden_size {config.hidden_size}',
        )
    return config


def read(raw: dict) -> Config:
    """config.json -> Config.

    Raises:
      ConfigError: a value that changes the function and is not implemented.
    """
    vision, text = raw.get('vision_config') or {}, raw.get('text_config') or {}
    for key in ('image_size', 'patch_size'):
        if isinstance(vision.get(key), list | tuple):
            if len(set(vision[key])) != 1:
                raise errors.ConfigError(
                    f'vision_config.{key} is {vision[key]!r}', 'BLIP', 'pictures are square'
                )
            vision = vision | {key: vision[key][0]}
    if raw.get('tie_word_embeddings', True) is not True:
        raise errors.ConfigError('tie_word_embeddings is false', 'BLIP', 'use true')
    return Config(
        _half(vision, Vision, 'vision_config', {}), _half(text, Text, 'text_config', _ABSENT)
    )


def write(config: Config) -> dict:
    """Config -> the config.json that transformers reads."""
    text = dataclasses.asdict(config.text_config) | {'model_type': 'blip_text_model'}
    text['encoder_hidden_size'] = config.vision_config.hidden_size
    return {
        'architectures': ['BlipForConditionalGeneration'],
        'model_type': 'blip',
        'vision_config': dataclasses.asdict(config.vision_config)
        | {'model_type': 'blip_vision_model'},
        'text_config': text,
    }


def with_preprocessor(config: Config, raw: dict) -> Config:
    """The config, if preprocessor_config.json asks for what `blip.prepare` does.

    Raises:
      ConfigError: it asks for something else.
    """
    _clip_config.refuse_preprocessing(raw, ('do_resize', 'do_rescale', 'do_normalize'))
    known, side = preprocessor(config), config.vision_config.image_size
    for key, among in (
        ('size', (side, known['size'])),
        ('image_mean', (known['image_mean'],)),
        ('image_std', (known['image_std'],)),
    ):
        if raw.get(key, among[0]) not in among:
            raise errors.ConfigError(
                f'{key} is {raw[key]!r}',
                'preprocessor_config.json of BLIP',
                f'{among[-1]!r} alone is built; prepare pictures yourself',
            )
    return config


def preprocessor(config: Config) -> dict:
    """preprocessor_config.json as transformers reads it: what `blip.prepare` does."""
    side = config.vision_config.image_size
    return {
        'image_processor_type': 'BlipImageProcessor',
        'do_convert_rgb': True,
        'do_resize': True,
        'size': {'height': side, 'width': side},
        'resample': 3,
        'do_rescale': True,
        'rescale_factor': 1 / 255,
        'do_normalize': True,
        'image_mean': list(MEAN),
        'image_std': list(STD),
    }
