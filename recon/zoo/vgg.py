"""VGG-19 and VGG-16: sixteen or thirteen 3x3 convolutions in five blocks, three linear layers.

Nodes have torchvision's names ('features.0') and those of the paper's tables too ('conv1_1',
'relu1_1', 'pool1', 'fc6', 'relu6'); 'conv' and 'fc' are before the ReLU. torchvision's ReLUs write
in place, so that its own extractor returns rectified values for the nodes of convolutions.

Source: Simonyan and Zisserman 2015, configurations D and E.
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
      widths: channels of the convolutions, block by block; a pooling ends each block.
      pooled: the picture's side before the linear layers, in cells.
      hidden: width of the two hidden linear layers.
      num_classes: outputs.
      resize: shorter side in pixels before the crop.
      crop: side in pixels of what the net sees.
    """

    widths: tuple[tuple[int, ...], ...] = (
        (64,) * 2,
        (128,) * 2,
        (256,) * 4,
        (512,) * 4,
        (512,) * 4,
    )
    pooled: int = 7
    hidden: int = 4096
    num_classes: int = 1000
    resize: int = 256
    crop: int = 224


RELEASED = {
    'vgg19': Config(),
    'vgg16': Config(((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3)),
}
TABLE = tensors.Table()
_LINEAR = {'classifier.0': 'fc6', 'classifier.3': 'fc7', 'classifier.6': 'fc8'}


class VGG(nn.Module):
    """Pixels of `prepare` -> one logit a class.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    def __call__(self, x: Float[Array, 'n h w 3']) -> Float[Array, 'n num_classes']:
        """[n h w 3] -> [n num_classes]."""
        return self.layers(x)['classifier.6']

    @nn.compact
    def layers(self, x: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] -> every node of LAYERS: pictures [n h w c], then vectors [n d]."""
        cfg, out = self.config, {}
        widths = {
            f'conv{i}_{j}': width
            for i, block in enumerate(cfg.widths, 1)
            for j, width in enumerate(block, 1)
        }
        for name, alias in _features(cfg).items():
            if alias in widths:
                x = _vision.conv(widths[alias], 3, 1, 1, dtype=self.dtype, name=name)(x)
            else:
                x = jax.nn.relu(x) if alias.startswith('relu') else _vision.max_pool(x, 2, 2)
            out[name] = out[alias] = x
        x = out['avgpool'] = _vision.adaptive_pool(x, cfg.pooled)
        x = out['flatten'] = _vision.flatten(x)
        for name, alias in _LINEAR.items():
            last = alias == 'fc8'
            width = cfg.num_classes if last else cfg.hidden
            x = out[name] = out[alias] = _vision.dense(width, dtype=self.dtype, name=name)(x)
            if not last:
                i = int(name[-1])
                x = out[f'classifier.{i + 1}'] = out[f'relu{alias[2:]}'] = jax.nn.relu(x)
                out[f'classifier.{i + 2}'] = x  # torchvision's dropout, which only trains
        return out


CLASSES = {'VGG': VGG}
normalise = _vision.normalise


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives: torchvision's in order, then the paper's."""
    features = _features(config)
    classifier = tuple(f'classifier.{i}' for i in range(7))
    paper = (*features.values(), 'fc6', 'relu6', 'fc7', 'relu7', 'fc8')
    return (*features, 'avgpool', 'flatten', *classifier, *paper)


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Array:
    """Pictures [n h w 3] in [0, 1] -> pixels [n crop crop 3] as torchvision's weights expect."""
    return _vision.prepare(images, config.resize, config.crop, 'bilinear')


def read(raw: dict) -> Config:
    """config.json -> Config.

    Raises:
      ConfigError: the variant with norms.
    """
    return _vision.read(Config, raw, batch_norm=False)


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'VGG')


def example(config: Config) -> tuple[jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    return _vision.example(config.crop)


def _features(config: Config) -> dict[str, str]:
    """{torchvision's name: the paper's} of the nodes before the linear layers, in order."""
    names = []
    for i, block in enumerate(config.widths, 1):
        for j in range(1, len(block) + 1):
            names += [f'conv{i}_{j}', f'relu{i}_{j}']
        names.append(f'pool{i}')
    return {f'features.{k}': name for k, name in enumerate(names)}
