"""Sizes of CLIP's towers, and their config.json."""

import dataclasses

from recon.core import blocks, errors

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """Of a text tower, as in config.json; defaults are ViT-B/32's.

    Attributes:
      vocab_size: number of tokens.
      hidden_size: width of a token.
      intermediate_size: width between the dense layers of a block.
      projection_dim: width of the embedding, where the text encoder stands alone (not used there).
      num_hidden_layers: blocks.
      num_attention_heads: of each block.
      max_position_embeddings: tokens in a text at most.
      hidden_act: name in blocks.ACTIVATIONS.
      layer_norm_eps: of all norms.
      bos_token_id: begins a text.
      eos_token_id: ends a text; 2 stands for the largest id in it.
      pad_token_id: fills up after it; not looked at.
    """

    vocab_size: int = 49408
    hidden_size: int = 512
    intermediate_size: int = 2048
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 8
    max_position_embeddings: int = 77
    hidden_act: str = 'quick_gelu'
    layer_norm_eps: float = 1e-5
    bos_token_id: int = 49406
    eos_token_id: int = 49407
    pad_token_id: int = 1


@dataclasses.dataclass(frozen=True)
class VisionConfig:
    """Of a picture's tower, as in config.json; defaults are ViT-B/32's.

    Attributes:
      hidden_size: width of a token.
      intermediate_size: width between the dense layers of a block.
      projection_dim: width of the embedding.
      num_hidden_layers: blocks.
      num_attention_heads: of each block.
      num_channels: of a picture.
      image_size: pixels on a side.
      patch_size: pixels on a side of a token's patch.
      hidden_act: name in blocks.ACTIVATIONS.
      layer_norm_eps: of all norms.
      image_mean: taken off, per channel (of preprocessor_config.json).
      image_std: divided by, per channel (of preprocessor_config.json).
    """

    hidden_size: int = 768
    intermediate_size: int = 3072
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32
    hidden_act: str = 'quick_gelu'
    layer_norm_eps: float = 1e-5
    image_mean: tuple[float, ...] = MEAN
    image_std: tuple[float, ...] = STD


@dataclasses.dataclass(frozen=True)
class Config:
    """Of the pair.

    Attributes:
      text: of the text tower.
      vision: of the picture's tower.
      projection_dim: width of both embeddings.
      logit_scale_init_value: logarithm of what cosines are multiplied by before training.
    """

    text: TextConfig = TextConfig()
    vision: VisionConfig = VisionConfig()
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592


def _sizes(width, depth, heads) -> dict[str, int]:
    return {
        'hidden_size': width,
        'intermediate_size': 4 * width,
        'num_hidden_layers': depth,
        'num_attention_heads': heads,
    }


def _pair(dim, text, vision, **both) -> Config:
    return Config(
        TextConfig(projection_dim=dim, **text, **both),
        VisionConfig(projection_dim=dim, **vision, **both),
        dim,
    )


_B, _L = _sizes(768, 12, 12), _sizes(1024, 24, 16)
_SD = {'bos_token_id': 0, 'eos_token_id': 2}
RELEASED = {
    'ViT-B/32': Config(),
    'ViT-B/16': _pair(512, {}, _B | {'patch_size': 16}),
    'ViT-L/14': _pair(768, _B, _L | {'patch_size': 14}),
    'ViT-H/14': _pair(1024, _L, _sizes(1280, 32, 16) | {'patch_size': 14}, hidden_act='gelu'),
    'SD 1.5 text encoder': TextConfig(**_B, **_SD, projection_dim=768),
    'SD 2.1 text encoder': TextConfig(**_sizes(1024, 23, 16), **_SD, hidden_act='gelu'),
}


def read(raw: dict) -> Config | TextConfig | VisionConfig:
    """config.json of CLIPModel, CLIPTextModel or CLIPVisionModelWithProjection -> sizes.

    Keys that are not there have transformers' defaults; of those that the net has no use for,
    nothing is said.

    Raises:
      ConfigError: another kind of model, or a value that this net does not know.
    """
    names = raw.get('architectures') or ['']
    kind = raw.get('model_type') or {
        'CLIPModel': 'clip',
        'CLIPTextModel': 'clip_text_model',
        'CLIPVisionModelWithProjection': 'clip_vision_model',
    }.get(names[0])
    if kind == 'clip_text_model':
        return _tower(TextConfig, raw)
    if kind == 'clip_vision_model':
        return _tower(VisionConfig, raw)
    if kind != 'clip':
        raise errors.ConfigError(
            f'model_type is {kind!r}',
            'config.json',
            'clip, clip_text_model or clip_vision_model',
        )
    towers = [
        _tower(of, (raw.get(f'{key}_config') or {}) | (raw.get(f'{key}_config_dict') or {}))
        for key, of in (('text', TextConfig), ('vision', VisionConfig))
    ]
    own = ('projection_dim', 'logit_scale_init_value')
    return Config(*towers, **{key: raw[key] for key in own if raw.get(key) is not None})


def _tower(of: type, raw: dict) -> TextConfig | VisionConfig:
    """One tower's part of config.json."""
    given = {}
    for field in dataclasses.fields(of):
        value = raw.get(field.name)
        if value is None:
            continue
        if isinstance(value, list):
            value = tuple(value)
        if field.name in ('image_size', 'patch_size') and isinstance(value, tuple):
            value = value[0] if len(set(value)) == 1 else value
        if isinstance(field.default, int) and not isinstance(value, int):
            raise errors.ConfigError(
                f'{field.name} is {value!r}', 'config.json', 'CLIP here takes one whole number'
            )
        given[field.name] = value
    out = of(**given)
    if out.hidden_act not in blocks.ACTIVATIONS:
        raise errors.ConfigError(
            f'hidden_act is {out.hidden_act!r}', 'config.json', f'known: {list(blocks.ACTIVATIONS)}'
        )
    if out.hidden_size % out.num_attention_heads:
        raise errors.ConfigError(
            f'hidden_size is {out.hidden_size}, num_attention_heads {out.num_attention_heads}',
            'config.json',
            'heads divide the width',
        )
    return out


def write(config: Config | TextConfig | VisionConfig) -> dict:
    """Sizes -> config.json as transformers reads it."""
    if isinstance(config, Config):
        return {
            'architectures': ['CLIPModel'],
            'model_type': 'clip',
            'projection_dim': config.projection_dim,
            'logit_scale_init_value': config.logit_scale_init_value,
            'text_config': _written(config.text),
            'vision_config': _written(config.vision),
        }
    text = isinstance(config, TextConfig)
    name = 'CLIPTextModel' if text else 'CLIPVisionModelWithProjection'
    return {'architectures': [name], **_written(config)}


def _written(config: TextConfig | VisionConfig) -> dict:
    raw = dataclasses.asdict(config)
    raw = {
        key: value
        for key, value in raw.items()
        if not key.startswith('image_') or key == 'image_size'
    }
    kind = 'clip_text_model' if isinstance(config, TextConfig) else 'clip_vision_model'
    return {'model_type': kind} | raw


def with_preprocessor(config: Config | VisionConfig, raw: dict) -> Config | VisionConfig:
    """The config with mean and standard deviation of preprocessor_config.json.

    Raises:
      ConfigError: pictures would be cropped or resized to another size than the net's, or in
        another way than `clip.prepare` does.
    """
    if isinstance(config, TextConfig):
        return config
    refuse_preprocessing(raw, ('do_resize', 'do_rescale', 'do_center_crop', 'do_normalize'))
    vision = config.vision if isinstance(config, Config) else config
    crop = raw.get('crop_size', vision.image_size)
    sides = set(crop.values()) if isinstance(crop, dict) else {crop}
    if sides != {vision.image_size}:
        raise errors.ConfigError(
            f'crop_size is {crop!r}',
            'preprocessor_config.json',
            f'config.json says {vision.image_size} pixels',
        )
    size = raw.get('size', vision.image_size)
    if size not in (vision.image_size, {'shortest_edge': vision.image_size}):
        raise errors.ConfigError(
            f'size is {size!r}',
            'preprocessor_config.json',
            f'the shortest edge to {vision.image_size} pixels is built; prepare pictures yourself',
        )
    mean, std = raw.get('image_mean', MEAN), raw.get('image_std', STD)
    vision = dataclasses.replace(vision, image_mean=tuple(mean), image_std=tuple(std))
    return dataclasses.replace(config, vision=vision) if isinstance(config, Config) else vision


def refuse_preprocessing(raw: dict, steps: tuple[str, ...]) -> None:
    """Raises ConfigError where a preprocessor leaves one of `steps` out, or is not bicubic."""
    wanted = {'resample': 3} | dict.fromkeys(steps, True)
    for key, value in wanted.items():
        if raw.get(key, value) != value:
            raise errors.ConfigError(
                f'{key} is {raw[key]!r}',
                'preprocessor_config.json',
                f'{value!r} alone is built; prepare pictures yourself',
            )


def preprocessor(config: Config | VisionConfig) -> dict:
    """preprocessor_config.json as transformers reads it: what `clip.prepare` does."""
    vision = config.vision if isinstance(config, Config) else config
    size = vision.image_size
    return {
        'image_processor_type': 'CLIPImageProcessor',
        'feature_extractor_type': 'CLIPFeatureExtractor',
        'do_convert_rgb': True,
        'do_resize': True,
        'size': {'shortest_edge': size},
        'resample': 3,
        'do_center_crop': True,
        'crop_size': {'height': size, 'width': size},
        'do_rescale': True,
        'rescale_factor': 1 / 255,
        'do_normalize': True,
        'image_mean': list(vision.image_mean),
        'image_std': list(vision.image_std),
    }
