"""A residual MLP from voxels to the latents of an autoencoder: the low-level half of MindEye.

voxels -> linear, layer norm, SiLU, dropout -> residual blocks of the same four -> linear -> group
norm over a small map -> a convolutional decoder that upsamples it to the latents ('upsampler'), or
the latents themselves ('direct'). No linear layer has a bias. The fit is `train/tasks/mlp.py`.

Source: Scotti et al. 2023, 'Reconstructing the mind's eye', section 3.3 and appendix A; sizes,
losses and schedule of the report 'Relation of visual stimuli and brain response' (sections II and
III), which has 2048 units where MindEye has 4096.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import autoencoder, batches, blocks, errors, solvers

DEFAULTS = dict(
    width=2048,  # units of the hidden layers
    blocks=4,  # residual ones
    dropout=0.5,  # share of units dropped after the first layer
    block_dropout=0.3,  # the same within a residual block
    head='upsampler',  # 'upsampler': a map of a few pixels, then a decoder; 'direct': the latents
    seed_channels=64,  # of the map that is upsampled
    levels=(64, 128, 256),  # channels of the upsampler, the finest first; each but one doubles
    layers=1,  # residual blocks of a level, less one
    norm_groups=32,  # of the upsampler's norms
    groups=1,  # of the norm over the map; 0 is none
    loss='l1',  # to the latents: 'l1' or 'mse'
    contrastive=0.0,  # weight of the contrastive loss among the latents of a batch
    temperature=0.075,  # of the contrastive loss
    noise=0.0,  # standard deviation of what is added to voxels in training, in their unit
    shift=0,  # latents are moved by up to this many of their rows and columns in training
    optimizer='adam',
    learning_rate=5e-4,  # the highest
    schedule='onecycle',
    initial=0.2,  # the first rate, as a fraction of the highest: 1e-4
    final=2e-5,  # the last one: 1e-8
    warmup=0.3,  # share of the training in which the rate rises
    weight_decay=0.0,  # with optimizer='adamw'
    clip=0.0,  # largest norm of the gradient, 0 is none
    ema=0.0,  # decay of a running average of the parameters that is used in their place, 0 is none
    batch=16,  # rows of a step
    accumulate=1,  # parts that a batch is taken in
    epochs=200,  # of the training rows; 0 where steps are given
    steps=0,
    validation=0.3,  # share of the images put aside where none are given, 0 is none
    seed=0,  # other weights, batches and dropout; what is put aside is the run's seed's alone
    patience=-1,  # saves without a lower loss of those before it ends; -1 goes on to the end
    save_epochs=10,  # from checkpoint to checkpoint; validation is computed there
    log_every=50,  # steps
    dtype='float32',  # of the computation: float32 or bfloat16; norms are float32
    predict_batch=64,  # rows at a time
    resident=2.0,  # GB: training rows of up to this are kept on an accelerator, others are streamed
)
_EPSILON = 1e-5  # of the norms here; the upsampler's are autoencoder.EPSILON


class Net(nn.Module):
    """The net.

    Attributes:
      out_shape: of one row of latents, (h, w, d) or, without an upsampler, any.
      width: units of the hidden layers.
      blocks: residual ones.
      dropout: after the first layer.
      block_dropout: in a residual block.
      seed: shape (h, w, d) of the map that is upsampled, or None: `out_shape` itself.
      levels: channels of the upsampler, the finest first.
      layers: residual blocks of a level, less one.
      norm_groups: of the upsampler's norms.
      groups: of the norm over the map, 0 for none.
      dtype: of the computation; norms and what comes out are float32.
    """

    out_shape: tuple[int, ...]
    width: int = 2048
    blocks: int = 4
    dropout: float = 0.5
    block_dropout: float = 0.3
    seed: tuple[int, ...] | None = None
    levels: tuple[int, ...] = (64, 128, 256)
    layers: int = 1
    norm_groups: int = 32
    groups: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, voxels: Float[Array, 'n v'], train: bool = False) -> Float[Array, 'n ...']:
        """[n v] -> [n *out_shape] float32; with `train` units are dropped (rng 'dropout')."""
        x = self._layer('input', self.dropout, train)(voxels.astype(self.dtype))
        for i in range(self.blocks):
            x = x + self._layer(f'blocks.{i}', self.block_dropout, train)(x)
        shape = self.out_shape if self.seed is None else self.seed
        x = self._linear(math.prod(shape), 'output')(x).reshape(len(x), *shape)
        if self.groups:
            x = blocks.GroupNorm(self.groups, _EPSILON, self.dtype, name='norm')(x)
        if self.seed is not None:  # [n h w d] -> [n *out_shape]
            upsample = autoencoder.Decoder(
                self.out_shape[-1], self.levels, self.layers, self.norm_groups,
                dtype=self.dtype, name='upsampler',
            )  # fmt: skip
            x = upsample(x)
        return x.astype(jnp.float32)

    def _layer(self, name: str, rate: float, train: bool):
        linear = self._linear(self.width, name)
        norm = blocks.LayerNorm(_EPSILON, self.dtype, name=f'{name}.norm')
        drop = nn.Dropout(rate, deterministic=not train, name=f'{name}.dropout')
        return lambda x: drop(jax.nn.silu(norm(linear(x))))

    def _linear(self, features: int, name: str):
        # Uniform in +-1/sqrt(inputs), torch's default.
        draw = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')
        return nn.Dense(features, use_bias=False, dtype=self.dtype, kernel_init=draw, name=name)


def build(cfg, out_shape) -> Net:
    """The net of the options for targets of `out_shape`.

    Raises:
      ConfigError: a head that does not exist, or sizes that do not fit each other.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    shape, levels = tuple(int(s) for s in out_shape), tuple(option('levels'))
    head, seed = option('head'), None
    if head not in ('upsampler', 'direct'):
        _refuse('head', head, "'upsampler' or 'direct'")
    if head == 'upsampler':
        factor = 2 ** (len(levels) - 1)
        if len(shape) != 3 or shape[0] % factor or shape[1] % factor:
            _refuse(
                'levels',
                levels,
                f'for targets of {shape} rows, columns and channels: sides that {factor} divides, '
                "or head='direct'",
            )
        groups = option('norm_groups')
        if not levels or groups < 1 or any(width % groups for width in levels):
            _refuse('norm_groups', groups, f'a divisor of each of levels={levels}')
        seed = (shape[0] // factor, shape[1] // factor, option('seed_channels'))
    channels = (seed or shape)[-1]
    if option('groups') < 0 or (option('groups') and channels % option('groups')):
        _refuse('groups', option('groups'), f'a divisor of {channels} channels, or 0')
    for key in ('dropout', 'block_dropout'):
        if not 0 <= option(key) < 1:
            _refuse(key, option(key), '0 to 1, without 1')
    if option('dtype') not in ('float32', 'bfloat16'):
        _refuse('dtype', option('dtype'), "'float32' or 'bfloat16'")
    plain = ('width', 'blocks', 'dropout', 'block_dropout', 'layers', 'norm_groups', 'groups')
    sizes = {key: option(key) for key in plain}
    return Net(shape, seed=seed, levels=levels, dtype=jnp.dtype(option('dtype')), **sizes)


def _refuse(key: str, value, remedy: str):
    raise errors.ConfigError(f'decoder.{key} is {value!r}', 'config', remedy)


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k v']) -> np.ndarray:
    """Latents of rows, nothing dropped.

    Args:
      cfg: see DEFAULTS; the same as in the fit.
      params: as the fit returned: net (nested dict), shape of one target.
      voxels: rows in the unit of those that were fitted.

    Returns:
      [k *shape] float32, in the unit of the target.

    Raises:
      DataInvalid: values that are not finite, or another number of voxels.
    """
    solvers.check_rows(voxels, where='mlp.predict')
    net = build(cfg, np.asarray(params['shape']))
    wanted = params['net']['input']['kernel'].shape[0]
    if voxels.shape[1] != wanted:
        raise errors.DataInvalid(
            f'{voxels.shape[1]} voxels', 'mlp.predict', f'the net was trained on {wanted}'
        )
    run = functools.partial(_apply, net, jax.tree.map(jnp.asarray, params['net']))
    size = cfg.get('predict_batch', DEFAULTS['predict_batch'])
    return batches.apply(run, np.asarray(voxels, np.float32), size, net.out_shape)


@functools.partial(jax.jit, static_argnums=0)
def _apply(net: Net, params: dict, voxels):
    return net.apply({'params': params}, voxels)


def describe(cfg, params: dict) -> dict:
    """Number of parameters, and losses: of the rows fitted, put aside, and of the mean latents."""
    count = sum(leaf.size for leaf in jax.tree.leaves(params['net']))
    facts = {'parameters': int(count), 'head': cfg.get('head', DEFAULTS['head'])}
    kind = cfg.get('loss', DEFAULTS['loss'])
    named = {
        'train_loss': f'{kind} on training',
        'validation_loss': f'{kind} on validation',
        'mean_loss': f'{kind} of the mean target there',
    }
    facts |= {words: float(params[name]) for name, words in named.items() if name in params}
    return {'curves': [], 'tables': [], 'facts': facts}
