"""Inception v3, torchvision's, without its auxiliary head.

Nodes have torchvision's names; 'avgpool' is the vector of 2,048 that the field's metrics use.
torchvision's released weights come with `transform_input`: pixels normalised by ImageNet's mean and
deviation are turned back into [-1, 1], which the weights were made for.

Source: Szegedy et al. 2016, table 1 and figures 5 to 7.
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.zoo import _vision, tensors


@dataclasses.dataclass(frozen=True)
class Config:
    """Size of the output and of the input; the net itself has one size.

    Attributes:
      num_classes: outputs.
      transform_input: pixels come with ImageNet's normalisation and are wanted in [-1, 1].
      resize: shorter side in pixels before the crop.
      crop: side in pixels of what the net sees.
    """

    num_classes: int = 1000
    transform_input: bool = True
    resize: int = 342
    crop: int = 299


RELEASED = {'inception_v3': Config()}
TABLE = tensors.Table(ignored=(r'\.num_batches_tracked$', r'^AuxLogits\.'))
EPSILON = 1e-3  # of every norm

_WIDE, _TALL = ((1, 7), (0, 3)), ((7, 1), (3, 0))  # kernel and padding
# name, channels, kernel, stride, padding
_STEM = (
    ('Conv2d_1a_3x3', 32, 3, 2, 0),
    ('Conv2d_2a_3x3', 32, 3, 1, 0),
    ('Conv2d_2b_3x3', 64, 3, 1, 1),
    ('maxpool1',),
    ('Conv2d_3b_1x1', 80, 1, 1, 0),
    ('Conv2d_4a_3x3', 192, 3, 1, 0),
    ('maxpool2',),
)
# A branch is a chain of (channels, kernel, stride, padding); its convolutions' names end in _1, _2
# where there are several.
_ONE = (1, 1, 0)


def _block_a(pooled: int) -> dict:
    return {
        'branch1x1': [(64, *_ONE)],
        'branch5x5': [(48, *_ONE), (64, 5, 1, 2)],
        'branch3x3dbl': [(64, *_ONE), (96, 3, 1, 1), (96, 3, 1, 1)],
        'branch_pool': [(pooled, *_ONE)],
    }


def _block_c(width: int) -> dict:
    (wide, across), (tall, down) = _WIDE, _TALL
    turns = [(tall, down), (wide, across)] * 2
    return {
        'branch1x1': [(192, *_ONE)],
        'branch7x7': [(width, *_ONE), (width, wide, 1, across), (192, tall, 1, down)],
        'branch7x7dbl': [
            (width, *_ONE),
            *((192 if i == 3 else width, kernel, 1, pad) for i, (kernel, pad) in enumerate(turns)),
        ],
        'branch_pool': [(192, *_ONE)],
    }


_BLOCKS = {
    'Mixed_5b': _block_a(32),
    'Mixed_5c': _block_a(64),
    'Mixed_5d': _block_a(64),
    'Mixed_6a': {
        'branch3x3': [(384, 3, 2, 0)],
        'branch3x3dbl': [(64, *_ONE), (96, 3, 1, 1), (96, 3, 2, 0)],
    },
    'Mixed_6b': _block_c(128),
    'Mixed_6c': _block_c(160),
    'Mixed_6d': _block_c(160),
    'Mixed_6e': _block_c(192),
    'Mixed_7a': {
        'branch3x3': [(192, *_ONE), (320, 3, 2, 0)],
        'branch7x7x3': [
            (192, *_ONE),
            (192, _WIDE[0], 1, _WIDE[1]),
            (192, _TALL[0], 1, _TALL[1]),
            (192, 3, 2, 0),
        ],
    },
}
_SPLIT = ('Mixed_7b', 'Mixed_7c')  # blocks whose branches split again


class BasicConv(nn.Module):
    """Convolution without bias, norm, ReLU.

    Attributes:
      features: channels out.
      kernel, stride, padding: of the convolution.
      dtype: of the computation.
    """

    features: int
    kernel: int | tuple[int, int]
    stride: int = 1
    padding: int | tuple[int, int] = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n p q features']:
        """[n h w c] -> [n p q features]."""
        size = (self.features, self.kernel, self.stride, self.padding)
        x = _vision.conv(*size, bias=False, dtype=self.dtype, name='conv')(x)
        return jax.nn.relu(_vision.BatchNorm(EPSILON, self.dtype, name='bn')(x))


class Mixed(nn.Module):
    """Branches side by side; their outputs are joined along the channels.

    Attributes:
      branches: {name: chain of convolutions}; 'branch_pool' begins with a mean of 3x3; where there
        is none, the last branch is the largest of each 3x3.
      dtype: of the computation.
    """

    branches: dict
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n p q d']:
        """[n h w c] -> [n p q d]."""
        out = []
        for name, chain in self.branches.items():
            y = _vision.mean_pool(x, 3) if name == 'branch_pool' else x
            for i, size in enumerate(chain, 1):
                full = f'{name}_{i}' if len(chain) > 1 else name
                y = BasicConv(*size, dtype=self.dtype, name=full)(y)
            out.append(y)
        if 'branch_pool' not in self.branches:
            out.append(_vision.max_pool(x, 3, 2))
        return jnp.concatenate(out, -1)


class Split(nn.Module):
    """The last two blocks: 3x3 convolutions whose last step is 1x3 and 3x1 side by side.

    Attributes:
      dtype: of the computation.
    """

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n h w 2048']:
        """[n h w c] -> [n h w 2048]."""
        conv = functools.partial(BasicConv, dtype=self.dtype)
        both = lambda y, name: [  # noqa: E731
            conv(384, (1, 3), 1, (0, 1), name=f'{name}a')(y),
            conv(384, (3, 1), 1, (1, 0), name=f'{name}b')(y),
        ]
        single = conv(384, 1, name='branch3x3_1')(x)
        double = conv(448, 1, name='branch3x3dbl_1')(x)
        double = conv(384, 3, 1, 1, name='branch3x3dbl_2')(double)
        return jnp.concatenate(
            [
                conv(320, 1, name='branch1x1')(x),
                *both(single, 'branch3x3_2'),
                *both(double, 'branch3x3dbl_3'),
                conv(192, 1, name='branch_pool')(_vision.mean_pool(x, 3)),
            ],
            -1,
        )


class Inception3(nn.Module):
    """Pixels of `prepare` -> one logit a class.

    Attributes:
      config: sizes.
      dtype: of the computation.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    def __call__(self, x: Float[Array, 'n h w 3']) -> Float[Array, 'n num_classes']:
        """[n h w 3] -> [n num_classes]; pictures of at least 75 pixels."""
        return self.layers(x)['fc']

    @nn.compact
    def layers(self, x: Float[Array, 'n h w 3']) -> dict[str, Array]:
        """[n h w 3] -> every node of LAYERS: pictures [n h w c], then vectors [n d]."""
        out = {}
        if self.config.transform_input:
            mean, std = jnp.array(_vision.MEAN), jnp.array(_vision.STD)
            x = x * (std / 0.5) + (mean - 0.5) / 0.5
        for name, *size in _STEM:
            conv = BasicConv(*size, dtype=self.dtype, name=name) if size else None
            x = out[name] = conv(x) if size else _vision.max_pool(x, 3, 2)
        for name, branches in _BLOCKS.items():
            x = out[name] = Mixed(branches, self.dtype, name=name)(x)
        for name in _SPLIT:
            x = out[name] = Split(self.dtype, name=name)(x)
        x = out['avgpool'] = _vision.adaptive_pool(x, 1)
        x = out['dropout'] = x  # only in training
        x = out['flatten'] = _vision.flatten(x)
        out['fc'] = _vision.dense(self.config.num_classes, dtype=self.dtype, name='fc')(x)
        return out


CLASSES = {'Inception3': Inception3}
normalise = _vision.normalise


def LAYERS(config: Config) -> tuple[str, ...]:  # noqa: N802
    """Names of the nodes that `layers` gives, in order."""
    del config  # the same whatever it says
    stem = tuple(name for name, *_ in _STEM)
    return (*stem, *_BLOCKS, *_SPLIT, 'avgpool', 'dropout', 'flatten', 'fc')


def prepare(config: Config, images: Float[Array, 'n h w 3']) -> Array:
    """Pictures [n h w 3] in [0, 1] -> pixels [n crop crop 3] as torchvision's weights expect."""
    return _vision.prepare(images, config.resize, config.crop, 'bilinear')


def read(raw: dict) -> Config:
    """config.json -> Config."""
    return _vision.read(Config, raw)


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'Inception3')


def example(config: Config) -> tuple[jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    return _vision.example(config.crop)
