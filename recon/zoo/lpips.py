"""LPIPS 0.1: a perceptual distance of two pictures, on AlexNet's or VGG-16's convolutions.

Activations are scaled to unit length at each place; their squared differences are weighted by
channel, averaged over places, and summed over five layers.

A folder holds trunk and weights under the names of the authors' net (`net.slice1.0.weight`,
`lin0.model.1.weight`). Their own file holds the weights alone, and the trunk is torchvision's:
`join` makes one of both.

Source: Zhang et al. 2018, equation 1; shift and scale of the pixels from the authors' release.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors
from recon.zoo import _vision, tensors


@dataclasses.dataclass(frozen=True)
class Config:
    """Which trunk, and its sizes.

    Attributes:
      net: 'alex' or 'vgg'.
      widths: channels of the trunk's convolutions.
    """

    net: str = 'alex'
    widths: tuple[int, ...] = (64, 192, 384, 256, 256)


RELEASED = {
    'lpips_alex': Config(),
    'lpips_vgg': Config('vgg', (64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6),
}
# Their module holds the weights under two names, and its constants as buffers.
TABLE = tensors.Table(ignored=(r'^lins\.', r'^scaling_layer\.'))
EPSILON = 1e-10  # added to the length
SHIFT = (-0.030, -0.088, -0.188)  # of pixels in [-1, 1]
SCALE = (0.458, 0.448, 0.450)

_ALEX = ((11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1))  # kernel, stride, padding
# Convolutions of each slice by torchvision's index; a pooling comes before those marked.
_SLICES = {
    'alex': ((0,), (3,), (6,), (8,), (10,)),
    'vgg': ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)),
}
_POOLED = {'alex': (3, 6), 'vgg': (5, 10, 17, 24)}


class LPIPS(nn.Module):
    """Two pictures -> their distance.

    Attributes:
      config: which trunk.
      dtype: of the convolutions; lengths and means are float32.
    """

    config: Config = Config()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, a: Float[Array, 'n h w 3'], b: Float[Array, 'n h w 3']) -> Float[Array, 'n']:
        """Pictures in [0, 1], [n h w 3] twice -> distances [n]; 0 for equal ones.

        At least 32 pixels on a side; VGG-16 needs 16.
        """
        total = jnp.zeros(len(a), jnp.float32)
        both = self.slices(jnp.concatenate([a, b]))
        for i, features in enumerate(both):
            features = unit(features.astype(jnp.float32))
            difference = (features[: len(a)] - features[len(a) :]) ** 2
            layer = nn.Conv(
                1, (1, 1), use_bias=False, dtype=jnp.float32, name=f'lin{i}.model.1',
                kernel_init=nn.initializers.constant(1 / features.shape[-1]),
            )  # fmt: skip
            total = total + layer(difference).mean((1, 2, 3))
        return total

    def slices(self, images: Float[Array, 'n h w 3']) -> list[Array]:
        """Pictures in [0, 1] -> the five activations that are compared, [n h w c] each."""
        net = self.config.net
        x = (2 * images - 1 - jnp.array(SHIFT)) / jnp.array(SCALE)
        widths, out = iter(self.config.widths), []
        for i, indices in enumerate(_SLICES[net]):
            for index in indices:
                if index in _POOLED[net]:
                    x = _vision.max_pool(x, *((3, 2) if net == 'alex' else (2, 2)))
                size = _ALEX[i] if net == 'alex' else (3, 1, 1)
                name = f'net.slice{i + 1}.{index}'
                x = _vision.conv(next(widths), *size, dtype=self.dtype, name=name)(x)
                x = jax.nn.relu(x)
            out.append(x)
        return out


CLASSES = {'LPIPS': LPIPS}


def unit(x: Float[Array, 'n h w c']) -> Array:
    """[n h w c]: each place's channels over their length.

    The gradient at length 0 is 0, where the reference's is NaN.
    """
    square = (x * x).sum(-1, keepdims=True)
    length = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return x / (length + EPSILON)


def join(config: Config, trunk: dict[str, np.ndarray], lins: dict[str, np.ndarray]) -> dict:
    """Tensors of torchvision's AlexNet or VGG-16 and of the authors' file -> those of our folder.

    Args:
      config: which trunk.
      trunk: {'features.0.weight': array ...}; the linear layers are left out.
      lins: {'lin0.model.1.weight': [1 c 1 1] ...}.

    Raises:
      WeightsMismatch: a tensor is not there.
    """
    wanted = {
        f'net.slice{i}.{index}.{leaf}': (trunk, f'features.{index}.{leaf}')
        for i, indices in enumerate(_SLICES[config.net], 1)
        for index in indices
        for leaf in ('weight', 'bias')
    }
    wanted |= {f'lin{i}.model.1.weight': (lins, f'lin{i}.model.1.weight') for i in range(5)}
    absent = [name for held, name in wanted.values() if name not in held]
    if absent:
        raise errors.WeightsMismatch(
            f'{", ".join(absent[:3])} and so on ({len(absent)}) not there',
            f'weights for LPIPS on {config.net}',
            "give torchvision's trunk of that name and the authors' weights of version 0.1",
        )
    return {name: held[key] for name, (held, key) in wanted.items()}


def read(raw: dict) -> Config:
    """config.json -> Config.

    Raises:
      ConfigError: another trunk or version.
    """
    config = _vision.read(Config, raw, version='0.1')
    if config.net not in _SLICES:
        raise errors.ConfigError(f'net is {config.net!r}', 'config.json', 'alex or vgg')
    return config


def write(config: Config) -> dict:
    """Config -> config.json."""
    return _vision.write(config, 'LPIPS') | {'version': '0.1'}


def example(config: Config) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    """Arguments of `init` after the key."""
    del config  # pictures of any size
    return _vision.example(64) * 2
