"""ResNet-50 and its kin of bottleneck blocks, with torchvision's names; SwAV's trunk is one.

The stride of a block is in its 3x3 convolution (ResNet v1.5). SwAV's ResNet-50 has no last layer:
`num_classes=0`, and 'avgpool' is the vector of 2,048 that the field's metrics use.

Source: He et al. 2016, table 1; Caron et al. 2020 (SwAV).
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.zoo import _vision, tensors


@dataclasses.dataclass(frozen=True)
class Config:
    """Sizes of the net and of its input.

    Attributes:
      layers: blocks in each of the four stages.
      groups: of the 3x3 convolutions.
      width_per_group: channels of a group in the first stage.
      num_classes: outputs; 0 for a trunk without the last layer.
      resize: shorter side in pixels before the crop.
      crop: side in pixels of what the net sees.
    """

    layers: tuple[int, ...] = (3, 4, 6, 3)
    groups: int = 1
    width_per_group: int = 64
    num_classes: int = 1000
    resize: int = 256
    crop: int = 224


RELEASED = {
    'resnet50': Config(),
    'resnet50_v2': Config(resize=232),  # torchvision's second weights, IMAGENET1K_V2
    'swav': Config(num_classes=0),
}
# The names of SwAV's own file, and what it holds beside the trunk.
TABLE = tensors.Table(
    renames=((r'^module\.', ''),),
    ignored=(r'\.num_batches_tracked$', r'^projection_head\.', r'^prototypes\.'),
)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with norms, and the input added.

    Attributes:
      config: of the net.
      features: of the stage, a quarter of the channels out.
      stride: of the 3x3 convolution.
      project: whether the input goes through a convolution of its own.
      dtype: of the computation.
    """

    config: Config
    features: int
    stride: int
    project: bool
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n p q d']:
        """[n h w c] -> [n h/stride w/stride 4*features]."""
        cfg, out = self.config, _EXPANSION * self.features
        width = int(self.features * (cfg.width_per_group / 64)) * cfg.groups

        def conv(y, name, norm, *size, groups=1):
            layer = _vision.conv(*size, groups=groups, bias=False, dtype=self.dtype, name=name)
            return _vision.BatchNorm(dtype=self.dtype, name=norm)(layer(y))

        y = jax.nn.relu(conv(x, 'conv1', 'bn1', width, 1))
        y = jax.nn.relu(conv(y, 'conv2', 'bn2', width, 3, self.stride, 1, groups=cfg.groups))
        y = conv(y, 'conv3', 'bn3', out, 1)
        if self.project:
            x = conv(x, 'downsample.0', 'downsample.1', out, 1, self.stride)
        return jax.nn.relu(y + x)


class ResNet(nn.Module):
    """Pixels of `prepare` -> one logit a class, or the trunk's vector where there are no classes.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    def __call__(self, x: Float[Array, 'n h w 3']) -> Float[Array, 'n d']:
        """[n h w 3] -> [n num_classes], or [n 2048] where that is 0."""
        return self.layers(x)['fc' if self.config.num_classes else 'flatten']

    @nn.compact
    def layers(self, x: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] -> every node of LAYERS: pictures [n h w c], then vectors [n d]."""
        cfg, out = self.config, {}
        stem = _vision.conv(64, 7, 2, 3, bias=False, dtype=self.dtype, name='conv1')
        x = out['conv1'] = stem(x)
        x = out['bn1'] = _vision.BatchNorm(dtype=self.dtype, name='bn1')(x)
        x = out['relu'] = jax.nn.relu(x)
        x = out['maxpool'] = _vision.max_pool(x, 3, 2, 1)
        for i, blocks in enumerate(cfg.layers):
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                name = f'layer{i + 1}.{j}'
                block = Bottleneck(cfg, 64 * 2**i, stride, j == 0, self.dtype, name=name)
                x = out[name] = block(x)
            out[f'layer{i + 1}'] = x
        x = out['avgpool'] = _vision.adaptive_pool(x, 1)
        x = out['flatten'] = _vision.flatten(x)
        if cfg.num_classes:
            out['fc'] = _vision.dense(cfg.num_classes, dtype=self.dtype, name='fc')(x)
        return out


CLASSES = {'ResNet': ResNet}
normalise = _vision.normalise


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives, in order."""
    stages = []
    for i, blocks in enumerate(config.layers, 1):
        stages += [*(f'layer{i}.{j}' for j in range(blocks)), f'layer{i}']
    head = ('fc',) if config.num_classes else ()
    return ('conv1', 'bn1', 'relu', 'maxpool', *stages, 'avgpool', 'flatten', *head)


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Array:
    """Pictures [n h w 3] in [0, 1] -> pixels [n crop crop 3] as torchvision's weights expect."""
    return _vision.prepare(images, config.resize, config.crop, 'bilinear')


def read(raw: dict) -> Config:
    """config.json -> Config.

    Raises:
      ConfigError: blocks of two convolutions (ResNet-18 and -34).
    """
    return _vision.read(Config, raw, block='Bottleneck')


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'ResNet') | {'block': 'Bottleneck'}


def example(config: Config) -> tuple[jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    return _vision.example(config.crop)
