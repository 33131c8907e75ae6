"""Voxels straight to pictures: convolutions along the voxels, then transposed ones to pixels.

A baseline of the first seed report (section III.E): its classifier's three blocks (two convolutions
of three neighbours, batch norm, ReLU; a maximum over pairs) and hidden layers, then a small map
that three transposed convolutions enlarge by 4, 2 and 2 (each as wide as its stride), and a
sigmoid. The report gives no sizes for the way up; these are the way down of its other baseline.
Voxels come as [n v], or as [n v c] with hemispheres as channels; pictures [n h w c] are read row by
row. The fit is `train/tasks/cnn1d.py`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import batch_norm, batches, errors, solvers

DEFAULTS = dict(
    widths=(32, 64, 128),  # channels of each block
    dense=(256, 256),  # units of the hidden layers
    up=(128, 64, 32),  # channels of the small map, and after each enlargement but the last
    dropout=0.3,  # share of the last hidden layer's units
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
      widths, dense, up, dropout: see DEFAULTS.
      dtype: of the computation; norms and what comes out are float32.
    """

    out_shape: tuple[int, int, int]
    widths: tuple[int, ...] = DEFAULTS['widths']
    dense: tuple[int, ...] = DEFAULTS['dense']
    up: tuple[int, int, int] = DEFAULTS['up']
    dropout: float = DEFAULTS['dropout']
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, 'n v c'], train: bool = False, moving: bool = False
    ) -> Float[Array, 'n h w d']:
        """[n v c] -> [n *out_shape] float32; `train` drops units, `moving` norms as measured."""
        x = x.astype(self.dtype)
        for i, width in enumerate(self.widths):
            for j in range(2):
                x = _Conv(width, self.dtype, name=f'block{i}_conv{j}')(x)
                x = batch_norm.BatchNorm(dtype=self.dtype, name=f'block{i}_norm{j}')(x, moving)
                x = jax.nn.relu(x)
            n, v, c = x.shape
            x = x[:, : v // _POOL * _POOL].reshape(n, v // _POOL, _POOL, c).max(2)
        x = x.reshape(len(x), -1)
        for i, width in enumerate(self.dense):
            x = jax.nn.relu(nn.Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
        x = nn.Dropout(self.dropout, deterministic=not train, name='dropout')(x)
        height, width, channels = self.out_shape
        rows, columns = -(-height // 16), -(-width // 16)
        x = nn.Dense(rows * columns * self.up[0], dtype=self.dtype, name='map')(x)
        x = jax.nn.relu(x).reshape(-1, rows, columns, self.up[0])
        for i, (stride, features) in enumerate(zip(STRIDES, (*self.up[1:], channels), strict=True)):
            x = enlarge(nn.Dense(stride**2 * features, dtype=self.dtype, name=f'up{i}')(x), stride)
            x = jax.nn.relu(x) if i < 2 else x
        top, left = (x.shape[1] - height) // 2, (x.shape[2] - width) // 2
        return x[:, top : top + height, left : left + width].astype(jnp.float32)


def enlarge(x: Float[Array, 'n h w d'], stride: int) -> Float[Array, 'n p q f']:
    """Pixels that lie behind each other side by side: [n h w s*s*f] -> [n s*h s*w f]."""
    n, h, w, _ = x.shape
    x = x.reshape(n, h, w, stride, stride, -1).swapaxes(2, 3)
    return x.reshape(n, stride * h, stride * w, -1)


class _Conv(nn.Module):
    """Three neighbours along the axis, zeros outside, as three products: fast on a CPU."""

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        shape = (3, x.shape[-1], self.features)
        kernel = self.param('kernel', nn.initializers.he_normal(), shape).astype(self.dtype)
        x = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
        v = x.shape[1] - 2
        return sum(x[:, i : i + v] @ kernel[i] for i in range(3))


def build(cfg, out_shape) -> Net:
    """The net of the options for pictures of `out_shape` (h, w, c).

    Raises:
      ConfigError: options that do not fit, or a target that is no picture.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    sizes = {key: tuple(int(w) for w in option(key)) for key in ('widths', 'dense', 'up')}
    if (
        min(len(sizes['widths']), *(w for s in sizes.values() for w in s)) < 1
        or len(sizes['up']) != 3
    ):
        _refuse('widths, dense, up', sizes, 'channels of 1 and more; three of `up`')
    if not 0 <= option('dropout') < 1:
        _refuse('dropout', option('dropout'), '0 to 1, without 1')
    if option('dtype') not in ('float32', 'bfloat16'):
        _refuse('dtype', option('dtype'), "'float32' or 'bfloat16'")
    if len(out_shape) != 3:
        _refuse('name', 'cnn1d', f'a target that is a picture (h, w, c), not {tuple(out_shape)}')
    shape = tuple(int(s) for s in out_shape)
    return Net(shape, dropout=option('dropout'), dtype=jnp.dtype(option('dtype')), **sizes)


def _refuse(key: str, value, remedy: str):
    raise errors.ConfigError(f'decoder.{key} is {value!r}', 'config', remedy)


def rows(cfg, voxels) -> Float[np.ndarray, 'n v c']:
    """Rows as the net takes them, float32: [n v] gets one channel, [n h w c] becomes [n h*w c].

    Raises:
      DataInvalid: fewer voxels than the poolings leave one of, or values that are not finite.
    """
    voxels = np.asarray(voxels, np.float32)
    least = _POOL ** len(cfg.get('widths', DEFAULTS['widths']))
    shaped = voxels[..., None] if voxels.ndim == 2 else voxels
    shaped = shaped.reshape(len(shaped), -1, shaped.shape[-1])
    if shaped.shape[1] < least:
        raise errors.DataInvalid(
            f'voxels have shape {voxels.shape}', 'cnn1d', f'wanted {least} voxels or more'
        )
    solvers.check_rows(shaped.reshape(len(shaped), -1), where='cnn1d')
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
            'cnn1d.predict',
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
