"""EfficientNet-B1 (and any other of B0 to B4, by its factors), with torchvision's names.

'avgpool' is the vector of 1,280 that the field's metrics use. torchvision has two sets of weights
for B1, whose preprocessing differs: IMAGENET1K_V2, its default (and MindEye's), and IMAGENET1K_V1
(Brain-Diffuser's). Whole blocks are dropped in training alone, so not here.

Source: Tan and Le 2019, table 1; squeeze and excitation: Hu et al. 2018.
"""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.core import errors
from recon.zoo import _vision, tensors


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the net and of its input.

    Attributes:
      width_mult: factor of the channels of B0.
      depth_mult: factor of the blocks of B0 in a stage, rounded up.
      num_classes: outputs.
      resize: shorter side in pixels before the crop.
      crop: side in pixels of what the net sees.
      interpolation: 'bilinear' or 'bicubic'.
    """

    width_mult: float = 1.0
    depth_mult: float = 1.1
    num_classes: int = 1000
    resize: int = 255
    crop: int = 240
    interpolation: str = 'bilinear'


RELEASED = {
    'efficientnet_b1': Config(),
    'efficientnet_b1_v1': Config(resize=256, interpolation='bicubic'),
}
TABLE = tensors.Table(ignored=(r'\.num_batches_tracked$',))
# Stages of B0: expansion, kernel, stride of the first block, channels, blocks.
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
_STEM = 32


def rounded(channels: float) -> int:
    """The multiple of 8 nearest to `channels`, at least 8 and nine tenths of it."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def _conv(x, features, kernel, stride=1, *, groups=1, dtype, name):
    """Convolution without bias that keeps the size at stride 1, and its norm."""
    size = (features, kernel, stride, (kernel - 1) // 2)
    x = _vision.conv(*size, groups=groups, bias=False, dtype=dtype, name=f'{name}.0')(x)
    return _vision.BatchNorm(dtype=dtype, name=f'{name}.1')(x)


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole picture holds.

    Attributes:
      squeezed: channels between the two layers.
      dtype: of the computation.
    """

    squeezed: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h w c']:
        """[n h w c] -> [n h w c]."""
        y = _vision.adaptive_pool(x, 1)
        y = jax.nn.silu(_vision.conv(self.squeezed, 1, dtype=self.dtype, name='fc1')(y))
        y = jax.nn.sigmoid(_vision.conv(x.shape[-1], 1, dtype=self.dtype, name='fc2')(y))
        return x * y


class MBConv(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection; the input added.

    Attributes:
      features: channels out.
      expansion: factor of the channels in between.
      kernel, stride: of the depthwise convolution.
      dtype: of the computation.
    """

    features: int
    expansion: int
    kernel: int
    stride: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n p q features']:
        """[n h w c] -> [n h/stride w/stride features]."""
        given = x.shape[-1]
        wide, y, i = rounded(given * self.expansion), x, 0
        if wide != given:
            y = jax.nn.silu(_conv(y, wide, 1, dtype=self.dtype, name='block.0'))
            i = 1
        depthwise = {'groups': wide, 'dtype': self.dtype, 'name': f'block.{i}'}
        y = jax.nn.silu(_conv(y, wide, self.kernel, self.stride, **depthwise))
        y = SqueezeExcitation(max(1, given // 4), self.dtype, name=f'block.{i + 1}')(y)
        y = _conv(y, self.features, 1, dtype=self.dtype, name=f'block.{i + 2}')
        return x + y if self.stride == 1 and given == self.features else y


class EfficientNet(nn.Module):
    """Pixels of `prepare` -> one logit a class.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    def __call__(self, x: Float[Array, 'n h w 3']) -> Float[Array, 'n num_classes']:
        """[n h w 3] -> [n num_classes]."""
        return self.layers(x)['classifier.1']

    @nn.compact
    def layers(self, x: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] -> every node of LAYERS: pictures [n h w c], then vectors [n d]."""
        cfg, out = self.config, {}
        width = rounded(_STEM * cfg.width_mult)
        x = jax.nn.silu(_conv(x, width, 3, 2, dtype=self.dtype, name='features.0'))
        out['features.0'] = x
        for i, blocks in enumerate(_depths(cfg)):
            expansion, kernel, stride, width, _ = _STAGES[i]
            size = (rounded(width * cfg.width_mult), expansion, kernel)
            for j in range(blocks):
                name = f'features.{i + 1}.{j}'
                x = MBConv(*size, 1 if j else stride, self.dtype, name=name)(x)
                out[name] = x
            out[f'features.{i + 1}'] = x
        x = jax.nn.silu(_conv(x, 4 * x.shape[-1], 1, dtype=self.dtype, name='features.8'))
        out['features.8'] = x
        x = out['avgpool'] = _vision.adaptive_pool(x, 1)
        x = out['flatten'] = _vision.flatten(x)
        x = out['classifier.0'] = x  # torchvision's dropout, which only trains
        last = _vision.dense(cfg.num_classes, dtype=self.dtype, name='classifier.1')
        out['classifier.1'] = last(x)
        return out


CLASSES = {'EfficientNet': EfficientNet}
normalise = _vision.normalise


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives, in order."""
    stages = []
    for i, blocks in enumerate(_depths(config), 1):
        stages += [*(f'features.{i}.{j}' for j in range(blocks)), f'features.{i}']
    head = ('avgpool', 'flatten', 'classifier.0', 'classifier.1')
    return ('features.0', *stages, 'features.8', *head)


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Array:
    """Pictures [n h w 3] in [0, 1] -> pixels [n crop crop 3] as torchvision's weights expect."""
    return _vision.prepare(images, config.resize, config.crop, config.interpolation)


def read(raw: dict) -> Config:
    """config.json -> Config.

    Raises:
      ConfigError: an interpolation that does not exist.
    """
    config = _vision.read(Config, raw)
    if config.interpolation not in ('bilinear', 'bicubic'):
        raise errors.ConfigError(
            f'interpolation is {config.interpolation!r}', 'config.json', 'bilinear or bicubic'
        )
    return config


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'EfficientNet')


def example(config: Config) -> tuple[jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    return _vision.example(config.crop)


def _depths(config: Config) -> list[int]:
    """Blocks in each stage."""
    return [math.ceil(blocks * config.depth_mult) for *_, blocks in _STAGES]
