"""Voxels straight to pictures: convolutions over a picture of the cortex, then transposed ones.

A baseline of the first seed report (section III.E) and its released code: three convolutions (3 x
3, batch norm, ReLU, a maximum over 2 x 2) of 32, 64 and 128 channels, dropout, three transposed
ones that enlarge by 4, 2 and 2 (each as wide as its stride), and a sigmoid: 145 x 145 x 2 -> 18 x
18 x 128 -> 288 x 288. What comes out is resized to the size of the target (bilinear, antialiased).
Voxels come as pictures [n h w c] (`preprocess.cortical_picture`); a list [n v] is laid out in the
smallest square that holds it, zeros at the end. The fit is `train/tasks/cnn2d.py`.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import batch_norm, batches, blocks, errors, resize, solvers

DEFAULTS = dict(
    widths=(32, 64, 128),  # channels of each block
    up=(64, 32),  # channels after each enlargement but the last
    dropout=0.3,  # share of the numbers of the smallest map
    loss='mse',  # of pixels in [0, 1]: 'mse', 'l1', or 'bce' (binary cross-entropy: a seed)
    optimizer='adam',  # a seed: 'sgd' with learning_rate=1e-4
    learning_rate=1e-3,
    schedule='cosine',
    warmup=0.05,
    clip=1.0,
    batch=64,
    epochs=40,  # of the training rows; 0 where steps are given
    steps=0,
    validation=0.1,  # share of the images put aside where none are given, 0 is none
    patience=-1,  # saves without a lower loss of those before it ends; -1 goes on to the end
    save_epochs=5,  # from checkpoint to checkpoint; validation is computed there
    log_every=20,  # steps
    norm_batches=32,  # that the norms are measured on in the end
    dtype='float32',  # of the computation: float32 or bfloat16; norms and losses are float32
    predict_batch=64,  # rows at a time
)
STRIDES = (4, 2, 2)
_POOL = 2


class Net(nn.Module):
    """Logits of pixels.

    Attributes:
      out_shape: (h, w, c) of a picture.
      widths, up, dropout: see DEFAULTS.
      dtype: of the computation; norms and what comes out are float32.
    """

    out_shape: tuple[int, int, int]
    widths: tuple[int, ...] = DEFAULTS['widths']
    up: tuple[int, int] = DEFAULTS['up']
    dropout: float = DEFAULTS['dropout']
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, 'n p q k'], train: bool = False, moving: bool = False
    ) -> Float[Array, 'n h w c']:
        """[n p q k] -> [n *out_shape] float32; `train` drops units, `moving` norms as measured."""
        x = x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            x = blocks.conv(width, bias=False, dtype=self.dtype, name=f'conv{i}')(x)
            x = batch_norm.BatchNorm(dtype=self.dtype, name=f'norm{i}')(x, moving)
            x = _pool(jax.nn.relu(x))
        x = nn.Dropout(self.dropout, deterministic=not train, name='dropout')(x)
        height, width, channels = self.out_shape
        for i, (stride, features) in enumerate(zip(STRIDES, (*self.up, channels), strict=True)):
            x = enlarge(
                blocks.dense(stride**2 * features, dtype=self.dtype, name=f'up{i}')(x), stride
            )
            x = jax.nn.relu(x) if i < 2 else x
        return resize.resize(x.astype(jnp.float32), (height, width))


def _pool(x):
    """The largest of each 2 x 2; an odd last row or column is dropped."""
    n, h, w, c = x.shape
    x = x[:, : h // _POOL * _POOL, : w // _POOL * _POOL]
    return x.reshape(n, h // _POOL, _POOL, w // _POOL, _POOL, c).max((2, 4))


def enlarge(x: Float[Array, 'n h w d'], stride: int) -> Float[Array, 'n p q f']:
    """Pixels that lie behind each other side by side: [n h w s*s*f] -> [n s*h s*w f]."""
    n, h, w, _ = x.shape
    x = x.reshape(n, h, w, stride, stride, -1).swapaxes(2, 3)
    return x.reshape(n, stride * h, stride * w, -1)


def build(cfg, out_shape) -> Net:
    """The net of the options for pictures of `out_shape` (h, w, c).

    Raises:
      ConfigError: options that do not fit, or a target that is no picture.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    sizes = {key: tuple(int(w) for w in option(key)) for key in ('widths', 'up')}
    if (
        min(len(sizes['widths']), *(w for s in sizes.values() for w in s)) < 1
        or len(sizes['up']) != 2
    ):
        _refuse('widths, up', sizes, 'channels of 1 and more; two of `up`')
    if not 0 <= option('dropout') < 1:
        _refuse('dropout', option('dropout'), '0 to 1, without 1')
    if option('dtype') not in ('float32', 'bfloat16'):
        _refuse('dtype', option('dtype'), "'float32' or 'bfloat16'")
    if len(out_shape) != 3:
        _refuse('name', 'cnn2d', f'a target that is a picture (h, w, c), not {tuple(out_shape)}')
    shape = tuple(int(s) for s in out_shape)
    return Net(shape, dropout=option('dropout'), dtype=jnp.dtype(option('dtype')), **sizes)


def _refuse(key: str, value, remedy: str):
    raise errors.ConfigError(f'decoder.{key} is {value!r}', 'config', remedy)


def rows(cfg, voxels) -> Float[np.ndarray, 'n p q c']:
    """Rows as the net takes them, float32: [n v] becomes [n side side 1], zeros at the end.

    Raises:
      DataInvalid: another shape, fewer pixels than the poolings leave one of, or values that are
        not finite.
    """
    shaped = np.asarray(voxels, np.float32)
    if shaped.ndim == 2:
        side = math.isqrt(max(shaped.shape[1] - 1, 0)) + 1
        shaped = np.pad(shaped, ((0, 0), (0, side**2 - shaped.shape[1])))
        shaped = shaped.reshape(-1, side, side, 1)
    least = _POOL ** len(cfg.get('widths', DEFAULTS['widths']))
    if shaped.ndim != 4 or min(shaped.shape[1:3]) < least:
        raise errors.DataInvalid(
            f'voxels have shape {np.shape(voxels)}',
            'cnn2d',
            f'wanted pictures of {least} x {least} or more, or that many voxels',
        )
    solvers.check_rows(shaped.reshape(len(shaped), -1), where='cnn2d')
    return shaped


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k ...']) -> np.ndarray:
    """Pictures [k h w c] float32 in [0, 1], nothing dropped, norms as measured in training.

    Args:
      cfg: see DEFAULTS; the same as in the fit.
      params: as the fit returned: net, statistics, shape of a picture, input of a row.
      voxels: rows in the unit and shape of those that were fitted.

    Raises:
      DataInvalid: rows of another shape, or values that are not finite.
    """
    net = build(cfg, np.asarray(params['shape']).tolist())
    given, wanted = rows(cfg, voxels), tuple(np.asarray(params['input']).tolist())
    if given.shape[1:] != wanted:
        raise errors.DataInvalid(
            f'rows have shape {given.shape[1:]}',
            'cnn2d.predict',
            f'the net was trained on {wanted}',
        )
    held = {'params': params['net'], 'batch_stats': params['statistics']}
    run = functools.partial(_apply, net, jax.tree.map(jnp.asarray, held))
    size = cfg.get('predict_batch', DEFAULTS['predict_batch'])
    return batches.apply(run, given, size, net.out_shape)


@functools.partial(jax.jit, static_argnums=0)
def _apply(net: Net, held: dict, part):
    return jax.nn.sigmoid(net.apply(held, part, moving=True))


def describe(cfg, params: dict) -> dict:
    """Number of parameters, and the loss on rows put aside beside that of the mean picture."""
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(params['net']))
    facts = {'parameters': int(count)}
    if 'validation_loss' in params:
        kind = cfg.get('loss', DEFAULTS['loss'])
        facts |= {
            f'{kind} on validation': float(params['validation_loss']),
            f'{kind} of the mean picture there': float(params['mean_loss']),
        }
    return {'curves': [], 'tables': [], 'facts': facts}
