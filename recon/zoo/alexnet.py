"""AlexNet: five convolutions and three linear layers; torchvision's variant, and a tiny one.

Nodes have torchvision's names: 'features.4' is the ReLU after the second convolution and
'features.11' the one after the fifth, which the field calls AlexNet(2) and AlexNet(5).
torchvision's ReLUs write in place, so that its own extractor returns rectified values for the
nodes of convolutions; here those nodes are what the convolutions give.

Source: Krizhevsky 2014, 'One weird trick for parallelizing convolutional neural networks'.
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
      widths: channels of the five convolutions.
      kernel, stride, padding: of the first convolution.
      pooled: the picture's side before the linear layers, in cells.
      hidden: width of the two hidden linear layers.
      num_classes: outputs.
      dropout: share of the linear layers' inputs dropped in training.
      resize: shorter side in pixels before the crop.
      crop: side in pixels of what the net sees.
      labels: names of the outputs, or none.
    """

    widths: tuple[int, ...] = (64, 192, 384, 256, 256)
    kernel: int = 11
    stride: int = 4
    padding: int = 2
    pooled: int = 6
    hidden: int = 4096
    num_classes: int = 1000
    dropout: float = 0.5
    resize: int = 256
    crop: int = 224
    labels: tuple[str, ...] = ()


RELEASED = {'alexnet': Config()}
TINY = Config(
    (32, 64, 96, 96, 64), 5, 2, 2, 3, hidden=256, num_classes=16, dropout=0.2, resize=64, crop=64
)
TABLE = tensors.Table()

_INDICES = (0, 3, 6, 8, 10)  # of the convolutions in `features`
_POOLED = (0, 1, 4)  # the convolutions after which a pooling follows


class AlexNet(nn.Module):
    """Pixels of `prepare` -> one logit a class.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    def __call__(self, x: Float[Array, 'n h w 3'], deterministic: bool = True) -> Array:
        """[n h w 3] -> [n num_classes].

        Without `deterministic`, units are dropped by the random stream 'dropout'.
        """
        return self.layers(x, deterministic)['classifier.6']

    @nn.compact
    def layers(self, x: Float[Array, 'n h w 3'], deterministic: bool = True) -> dict[str, Array]:
        """[n h w 3] -> every node of LAYERS: pictures [n h w c], then vectors [n d]."""
        cfg, out = self.config, {}
        for i, (index, width) in enumerate(zip(_INDICES, cfg.widths, strict=True)):
            kernel, stride, padding = (
                (cfg.kernel, cfg.stride, cfg.padding),
                (5, 1, 2),
                (3, 1, 1),
            )[min(i, 2)]
            name = f'features.{index}'
            layer = _vision.conv(width, kernel, stride, padding, dtype=self.dtype, name=name)
            out[name] = layer(x)
            x = out[f'features.{index + 1}'] = jax.nn.relu(out[name])
            if i in _POOLED:
                x = out[f'features.{index + 2}'] = _vision.max_pool(x, 3, 2)
        x = out['avgpool'] = _vision.adaptive_pool(x, cfg.pooled)
        x = out['flatten'] = _vision.flatten(x)
        for index in (1, 4):
            x = out[f'classifier.{index - 1}'] = nn.Dropout(cfg.dropout)(x, deterministic)
            name = f'classifier.{index}'
            out[name] = _vision.dense(cfg.hidden, dtype=self.dtype, name=name)(x)
            x = out[f'classifier.{index + 1}'] = jax.nn.relu(out[name])
        last = _vision.dense(cfg.num_classes, dtype=self.dtype, name='classifier.6')
        out['classifier.6'] = last(x)
        return out


CLASSES = {'AlexNet': AlexNet}
normalise = _vision.normalise


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives, in order."""
    del config  # the same at every size
    features = tuple(f'features.{i}' for i in range(13))
    return (*features, 'avgpool', 'flatten', *(f'classifier.{i}' for i in range(7)))


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Array:
    """Pictures [n h w 3] in [0, 1] -> pixels [n crop crop 3] as torchvision's weights expect."""
    return _vision.prepare(images, config.resize, config.crop, 'bilinear')


def read(raw: dict) -> Config:
    """config.json -> Config."""
    return _vision.read(Config, raw)


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'AlexNet')


def example(config: Config) -> tuple[jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    return _vision.example(config.crop)
