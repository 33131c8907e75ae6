"""System 2: voxels -> pictures by one net, trained beside a discriminator and a comparator.

Generator: three linear layers, then transposed convolutions from 4 x 4 pixels up; the picture is
cut from the middle of what comes out (227 of 256 pixels as published). Leaky ReLU, no norms. For
smaller pictures the last of the published upsampling steps but the final one are left out.
Discriminator: five convolutions, mean over places, two linear layers; it sees pictures alone.

Differences from the released nets: pictures are floats, and the generator gives their difference
from the mean colour of the training pictures; the transposed convolutions with stride 1 are written
as convolutions, which are the same functions; first weights are He's for what each output sees,
times 0.9, and a tenth of that in the last layer, so that a training begins near the mean colour.

Source: Shen et al. 2019, 'End-to-end deep image reconstruction from human brain activity', and the
layers of the released networks. The fit is `train/tasks/shen_gan.py`.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import batches, errors
from recon.core import rng as rngs
from recon.decoders import _shen_layers as layers

DEFAULTS = dict(
    hidden=4096,  # units of each of the three linear layers
    width=32,  # channels of the generator's last hidden layer; the others are multiples
    discriminator_width=32,  # channels of its first convolution; the others are multiples
    dropout=0.5,  # share of the discriminator's units, before each of its linear layers
    dtype='float32',  # of the nets' computation: float32 or bfloat16
    weights=(100.0, 100.0, 10000.0),  # image, feature, adversarial; published: 2e-6, 0.01, 100
    pixel_range=1.0,  # what white is in the image loss; published: 255, to go with its weights
    sums='published',  # losses count as over 227 x 227 x 3 numbers, 9216 features; or 'own' numbers
    comparator='tiny/alexnet',  # a net of recon/zoo that has layers; its folder or name
    layer='',  # of the comparator; '' for its last pooling before the linear layers
    whole=True,  # the comparator sees all of a picture; False: its own crop of the middle
    switch=True,  # hold a net that is ahead of the other (see the task)
    frozen_biases=True,  # biases of the generator's convolutions stay 0, as published
    noise_input=False,  # baseline: voxels are replaced by noise, in training and after
    gain=1.0,  # factor of the voxels in `predict`; published: 24 ** 0.5 for means of 24 trials
    shift=0.0,  # training pictures are moved by up to this share of a side; published: 10 / 227
    steps=0,  # length of the training; all four 0: the published 500,000 steps
    epochs=0,  # the same in another unit
    examples=0,  # the same
    batch=64,  # rows of a step
    optimizer='adam',  # of both nets, with its schedule: see train/optim.py
    learning_rate=2e-4,  # at the start
    b1=0.9,  # of Adam
    b2=0.999,  # of Adam
    schedule='step',  # times `drop` at each of `drops`
    drops=(0.6,),  # of all steps: published, 300,000 of 500,000
    drop=0.5,  # the factor
    warmup=0.0,  # share of the steps in which the rate rises
    clip=0.0,  # largest norm of a gradient, 0 for none
    discriminator_decay=4e-4,  # of its weights, added to their gradient (Caffe's rule)
    ema=0.0,  # decay of a running average of the parameters, 0 for none
    validation=0.0,  # share of the training images put aside to watch
    patience=-1,  # checkpoints without a lower validation loss before the end, -1: to the end
    save_every=1000,  # steps from checkpoint to checkpoint
    log_every=100,  # steps from line to line of the log
)
_CHANNELS = ((8, 16), (8, 8), (4, 4), (2, None), (1, None))  # of each upsampling step, in widths
_START = 4  # pixels on a side of the smallest picture
_SLOPE = 0.3  # of the leaky ReLU
_KERNELS = ((7, 0), (5, 1), (3, 2), (3, 1), (3, 2))  # of the discriminator; 0: by the picture
_SMALLEST = {4: 63, 2: 35, 1: 21}  # pixels that the discriminator needs, by its first stride
_HE = nn.initializers.he_normal()  # for a net alone; a training begins with its own draw
_BATCH = 64  # rows of `predict` at a time


class Layer(nn.Module):
    """A convolution, or the transposed one of kernel 4 and stride 2, in torch's or Caffe's sense.

    Attributes:
      features: channels out.
      kernel: pixels on a side.
      stride: of a convolution.
      pad: zeros on each side.
      up: the transposed convolution, to twice the size; kernel, stride and pad are then given.
      frozen: the bias takes no gradient.
      dtype: of the computation.
    """

    features: int
    kernel: int = 3
    stride: int = 1
    pad: int = 1
    up: bool = False
    frozen: bool = False
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, 'n h w c']) -> Float[Array, 'n i j f']:
        """[n h w c] -> [n i j features]."""
        size = 4 if self.up else self.kernel
        shape = (size, size, x.shape[-1], self.features)
        kernel = self.param('kernel', _HE, shape).astype(self.dtype)
        bias = self.param('bias', nn.initializers.zeros, shape[-1:])
        bias = jax.lax.stop_gradient(bias) if self.frozen else bias
        x = x.astype(self.dtype)
        y = layers.deconv(x, kernel) if self.up else layers.conv(x, kernel, self.stride, self.pad)
        return y + bias.astype(self.dtype)


class Generator(nn.Module):
    """Voxels -> pictures, as differences from a mean colour.

    Attributes:
      shape: of a picture, (h, w, c).
      hidden: units of each linear layer.
      width: channels of the last hidden layer at 256 pixels.
      frozen_biases: whether the biases of the convolutions take no gradient.
      dtype: of the computation.
    """

    shape: tuple[int, int, int]
    hidden: int = DEFAULTS['hidden']
    width: int = DEFAULTS['width']
    frozen_biases: bool = True
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, voxels: Float[Array, 'n ...']) -> Float[Array, 'n h w c']:
        """[n ...] -> [n h w c] float32."""
        leaky = functools.partial(jax.nn.leaky_relu, negative_slope=_SLOPE)
        layer = functools.partial(Layer, frozen=self.frozen_biases, dtype=self.dtype)
        sizes = self.hidden, self.hidden, 8 * self.width * _START**2
        x = voxels.reshape(len(voxels), -1).astype(self.dtype)
        for i, size in enumerate(sizes):
            x = leaky(nn.Dense(size, kernel_init=_HE, dtype=self.dtype, name=f'fc{7 - i}')(x))
        x = x.reshape(len(x), _START, _START, -1)
        steps = upsamplings(self.shape)
        names = range(5, 5 - steps, -1)
        for name, (first, second) in zip(names[:-1], _CHANNELS, strict=False):
            up = layer(first * self.width, up=True, name=f'deconv{name}')
            x = leaky(up(x))
            if second:
                x = leaky(layer(second * self.width, name=f'conv{name}_1')(x))
        last = layer(self.shape[2], up=True, name='deconv0')
        return _middle(last(x).astype(jnp.float32), self.shape)


def _middle(x, shape):
    top, left = ((there - here) // 2 for there, here in zip(x.shape[1:3], shape, strict=False))
    return x[:, top : top + shape[0], left : left + shape[1]]


def upsamplings(shape: tuple[int, ...]) -> int:
    """Doublings from 4 pixels to at least the picture's longer side.

    Raises:
      ConfigError: not a picture of 1 or 3 channels of 5 to 256 pixels.
    """
    side = max(shape[:2]) if len(shape) == 3 and shape[2] in (1, 3) else 0
    steps = math.ceil(math.log2(max(side, 1) / _START))
    if not 1 <= steps <= 6:
        raise errors.ConfigError(
            f'the target has shape {tuple(shape)}',
            'decoders/shen_gan',
            'pictures (height, width, 1 or 3), the longer side 5 to 256 pixels',
        )
    return steps


class Discriminator(nn.Module):
    """Pictures -> how sure it is that they are true.

    Attributes:
      width: channels of the first convolution.
      dropout: share of units dropped before each linear layer.
      dtype: of the computation.
    """

    width: int = DEFAULTS['discriminator_width']
    dropout: float = DEFAULTS['dropout']
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: Float[Array, 'n h w c'], deterministic: bool = True) -> Array:
        """[n h w c] in [0, 1] -> [n 2] float32, logits of true and of generated.

        Without `deterministic`, units are dropped by the random stream 'dropout'.
        """
        dense = functools.partial(nn.Dense, kernel_init=_HE, dtype=self.dtype)
        first = first_stride(images.shape[1:])
        x = 2 * images - 1
        for i, (kernel, stride) in enumerate(_KERNELS):
            width = self.width * (1, 2, 4, 8, 8)[i]
            layer = Layer(width, kernel, stride or first, 0, dtype=self.dtype, name=f'conv{i + 1}')
            x = jax.nn.relu(layer(x))
        x = x.astype(jnp.float32).mean((1, 2))  # [n f]
        x = nn.Dropout(self.dropout)(x, deterministic)
        x = jax.nn.relu(dense(8 * self.width, name='fc1')(x))
        x = nn.Dropout(self.dropout)(x, deterministic)
        return dense(2, name='fc2')(x).astype(jnp.float32)


def first_stride(shape: tuple[int, ...]) -> int:
    """Stride of the discriminator's first convolution: 4 as published, less for small pictures.

    Raises:
      ConfigError: the picture is too small for any.
    """
    for stride, side in _SMALLEST.items():
        if min(shape[:2]) >= side:
            return stride
    raise errors.ConfigError(
        f'pictures of {shape[0]} x {shape[1]} pixels are too small for the discriminator',
        'decoders/shen_gan',
        f'{min(_SMALLEST.values())} pixels or more, or an adversarial weight of 0',
    )


def build(cfg, out_shape: tuple[int, ...]) -> Generator:
    """The generator of pictures of `out_shape` = (h, w, c); options: see DEFAULTS."""
    upsamplings(out_shape)
    get = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    return Generator(
        tuple(int(side) for side in out_shape),
        get('hidden'),
        get('width'),
        bool(get('frozen_biases')),
        jnp.dtype(get('dtype')),
    )


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k ...']) -> np.ndarray:
    """Pictures, cut to [0, 1].

    Args:
      cfg: see DEFAULTS; `gain` and `noise_input` matter here.
      params: as the task's `fit` returns: 'net', 'shape' and 'mean' (the mean colour).
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k h w c] float32.
    """
    net = build(cfg, tuple(int(side) for side in params['shape']))
    rows = np.asarray(voxels, np.float32)
    if cfg.get('noise_input', DEFAULTS['noise_input']):
        rows = noise(0, 'predict', rows.shape)
    rows = rows * np.float32(cfg.get('gain', DEFAULTS['gain']))
    run = functools.partial(_program(net), params['net'], params['mean'])
    return batches.apply(run, rows, _BATCH, net.shape)


def describe(cfg, params: dict) -> dict:
    """Number of the generator's parameters, and what it reached on the rows put aside."""
    count = sum(leaf.size for leaf in jax.tree.leaves(params['net']))
    facts = {'parameters': int(count)}
    for name in ('loss', 'correlation', 'correlation_of_mean'):
        if f'validation_{name}' in params:
            told = f'{name.replace("_of_mean", " of the mean picture")} on validation'
            facts[told] = float(params[f'validation_{name}'])
    return {'curves': [], 'tables': [], 'facts': facts}


@functools.lru_cache(maxsize=8)
def _program(net: Generator):
    """Jitted: parameters, mean colour [c], voxels -> pictures in [0, 1]; compiled once a size."""
    return jax.jit(
        lambda params, mean, voxels: jnp.clip(net.apply({'params': params}, voxels) + mean, 0, 1)
    )


def noise(seed: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers in the place of voxels, float32: the same for the same seed and name."""
    return rngs.generator(seed, 'noise_input', name).standard_normal(shape, np.float32)
