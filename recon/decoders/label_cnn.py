"""A convolutional net from voxels to labels: what is in the picture, one yes or no a category.

Three blocks of two convolutions along the voxels (3 wide, batch norm, ReLU) with a maximum over
pairs after each, two hidden layers, an output a category. Voxels come as [n v], or as [n v 2] with
the hemispheres as channels (`preprocess.hemispheres`), and decide how many channels the first
convolution has. Zeros around keep the length; convolutions have no constant, since the norm after
them takes it out again.

The norms' mean and variance, which a batch gives in training, are measured once after the training:
over all training rows exactly, layer after layer, each behind norms that are already measured. So
`predict` on the training rows is what the net gives for all of them as one batch, and no running
average is kept.

Source: Fig. 2 of the first seed report and the released code; batch norm: Ioffe and Szegedy 2015.
Fit: `recon/train/tasks/label_cnn.py`.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import batches, errors, solvers

DEFAULTS = dict(
    widths=(32, 64, 128),  # channels of each block
    dense=(256, 256),  # units of the hidden layers
    dropout=0.0,  # share of their inputs that a step drops; the report has none
    dtype='float32',  # of the computation, or 'bfloat16'; norms and losses are float32
    parts=64,  # rows at a time in `predict`: bounds the memory
    gamma=2.0,  # of the focal loss; 0 is the binary cross-entropy
    alpha=0.0,  # weight of the ones in (0, 1), 1 - alpha that of the zeros; 0 weighs neither
    optimizer='adam',
    learning_rate=0.01,
    schedule='step',  # times `drop` at the end of each epoch from `drop_after` on; any of optim's
    drop=0.1,
    drop_after=10,  # epochs at the full rate
    weight_decay=0.0,  # with optimizer='adamw' or 'sgd'
    clip=0.0,  # largest global norm of the gradient, 0 for none
    batch=64,
    epochs=20,  # or steps, examples
    steps=0,
    validation=0.1,  # share of the training images put aside, for the thresholds; 0 none
    patience=None,  # checkpoints without a lower validation loss; None trains to the end
    save_every=0,  # steps; 0: an epoch
    log_every=10,
    norm_rows=512,  # rows that the norms are measured on while it trains; in the end all
)
EPSILON = 1e-3  # Keras's
_OF_NET = ('widths', 'dense', 'dropout', 'dtype')
_POOL = 2


class Net(nn.Module):
    """Logits of the labels.

    Attributes:
      labels: how many.
      widths: see DEFAULTS.
      dense: see DEFAULTS.
      dropout: see DEFAULTS; nothing is dropped without a key of that name in `rngs`.
      dtype: of the computation.
    """

    labels: int
    widths: tuple[int, ...] = DEFAULTS['widths']
    dense: tuple[int, ...] = DEFAULTS['dense']
    dropout: float = DEFAULTS['dropout']
    dtype: jnp.dtype = jnp.float32

    @property
    def norms(self) -> tuple[str, ...]:
        """Names of the normed layers, in the order of the computation."""
        return tuple(f'block{b}_conv{i}' for b in range(len(self.widths)) for i in range(2))

    @nn.compact
    def __call__(
        self, x: Float[Array, 'n v c'], statistics: dict | None = None, moments: bool = False
    ) -> Float[Array, 'n labels']:
        """[n v c] -> [n labels] float32.

        Args:
          x: voxels.
          statistics: {layer: {'mean', 'var': [c]}}; None takes those of the batch.
          moments: returns {layer: {'mean', 'var'}} of the batch, before each norm, instead.
        """
        x, seen = jnp.asarray(x, self.dtype), {}
        for block, width in enumerate(self.widths):
            for i in range(2):
                name = f'block{block}_conv{i}'
                x = _Conv(width, self.dtype, name=name)(x)
                seen[name] = _moments(x) if statistics is None or moments else None
                known = seen[name] if statistics is None else statistics[name]
                x = jax.nn.relu(_Norm(name=f'{name}_norm')(x, known)).astype(self.dtype)
            x = _pool(x)
        if moments:
            return seen
        x = x.reshape(len(x), -1)
        drop = nn.Dropout(self.dropout, deterministic=not self.has_rng('dropout'))
        for i, width in enumerate(self.dense):
            x = drop(x)
            x = jax.nn.relu(nn.Dense(width, dtype=self.dtype, name=f'dense{i}')(x))
        return nn.Dense(self.labels, dtype=jnp.float32, name='out')(drop(x).astype(jnp.float32))


class _Conv(nn.Module):
    """Three neighbours along the axis, as three products: XLA's gradient of a convolution in one
    dimension is many times slower on a CPU.
    """

    features: int
    dtype: jnp.dtype

    @nn.compact
    def __call__(self, x):
        shape = (3, x.shape[-1], self.features)
        kernel = self.param('kernel', nn.initializers.he_normal(), shape).astype(self.dtype)
        before, here, after = (x @ kernel[i] for i in range(3))
        before = jnp.pad(before[:, :-1], ((0, 0), (1, 0), (0, 0)))
        after = jnp.pad(after[:, 1:], ((0, 0), (0, 1), (0, 0)))
        return before + here + after


class _Norm(nn.Module):
    @nn.compact
    def __call__(self, x, moments):
        scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
        bias = self.param('bias', nn.initializers.zeros, x.shape[-1:])
        factor = scale * jax.lax.rsqrt(moments['var'] + EPSILON)
        return (x.astype(jnp.float32) - moments['mean']) * factor + bias


def _moments(x) -> dict:
    """Mean and variance (ddof 0) of each channel, float32."""
    x = x.astype(jnp.float32)
    mean = x.mean((0, 1))
    return {'mean': mean, 'var': jnp.square(x - mean).mean((0, 1))}


def _pool(x):
    """[n v c] -> [n v//2 c]: the larger of two neighbours; an odd last one is dropped."""
    n, v, c = x.shape
    pairs = x[:, : v // _POOL * _POOL].reshape(n, v // _POOL, _POOL, c)
    return jnp.maximum(pairs[:, :, 0], pairs[:, :, 1])


def build(cfg, out_shape) -> Net:
    """The net of `cfg` for `out_shape` = (labels,).

    Raises:
      ConfigError: options that do not fit, or a target that is not one axis of labels.
    """
    options = {key: cfg.get(key, DEFAULTS[key]) for key in _OF_NET}
    widths, dense = (tuple(int(w) for w in options[key]) for key in ('widths', 'dense'))
    if not widths or min(widths + dense) < 1 or options['dtype'] not in ('float32', 'bfloat16'):
        raise errors.ConfigError(
            f'widths={widths}, dense={dense}, dtype={options["dtype"]!r}',
            'decoder',
            "widths of 1 and more, at least one; dtype 'float32' or 'bfloat16'",
        )
    if not 0 <= options['dropout'] < 1:
        raise errors.ConfigError(f'dropout is {options["dropout"]!r}', 'decoder', '0 to below 1')
    if len(out_shape) != 1 or out_shape[0] < 1:
        raise errors.ConfigError(
            f'a target of shape {tuple(out_shape)}', 'decoder', 'label_cnn learns labels: (labels,)'
        )
    return Net(int(out_shape[0]), widths, dense, options['dropout'], jnp.dtype(options['dtype']))


def channels(voxels, net: Net) -> Float[np.ndarray, 'n v c']:
    """Rows as the net takes them: [n v] gets a channel, [n v c] stays, [n h w c] is read by rows.

    Raises:
      DataInvalid: another shape, fewer voxels than the poolings leave one of, values that are not
        finite.
    """
    voxels = np.asarray(voxels, np.float32)
    least = _POOL ** len(net.widths)
    if voxels.ndim == 4:  # a picture of the cortex
        voxels = voxels.reshape(len(voxels), -1, voxels.shape[-1])
    if voxels.ndim not in (2, 3) or voxels.shape[1] < least or not voxels.size:
        raise errors.DataInvalid(
            f'voxels have shape {voxels.shape}',
            'label_cnn',
            f'wanted [rows, voxels] or [rows, voxels, channels] with {least} voxels or more',
        )
    solvers.check_rows(voxels.reshape(len(voxels), -1), where='label_cnn')
    return voxels[..., None] if voxels.ndim == 2 else voxels


def measure(net: Net, params: dict, rows: Float[np.ndarray, 'n v c'], parts: int = 64) -> dict:
    """The norms' statistics over `rows`, exactly, `parts` rows at a time.

    One pass a layer: its inputs are normed by the layers before, which are measured already.

    Returns:
      {layer: {'mean', 'var': [c] float32}}.
    """
    widths = {name: net.widths[i // 2] for i, name in enumerate(net.norms)}
    found = {name: {'mean': np.zeros(w, np.float32), 'var': np.ones(w, np.float32)}
             for name, w in widths.items()}  # fmt: skip
    for name in net.norms:
        mean, square, seen = 0.0, 0.0, 0
        for start in range(0, len(rows), parts):
            part = rows[start : start + parts]
            here = jax.device_get(_moments_of_parts(net, params, found, part)[name])
            apart, total = np.float64(here['mean']) - mean, seen + len(part)
            # Means and sums of squares of two parts: Chan, Golub and LeVeque 1983, equation 2.1.
            square = square + here['var'] * len(part) + apart**2 * seen * len(part) / total
            mean, seen = mean + apart * len(part) / total, total
        found[name] = {'mean': np.float32(mean), 'var': np.float32(square / seen)}
    return found


def logits(net: Net, params: dict, statistics: dict, rows, parts: int = 64) -> np.ndarray:
    """[n labels] float32, `parts` rows at a time; one compilation for all parts."""
    run = functools.partial(_logits, net, params, statistics)
    return batches.apply(run, rows, parts, (net.labels,))


@functools.partial(jax.jit, static_argnums=0)
def _moments_of_parts(net, params, statistics, rows):
    return net.apply({'params': params}, rows, statistics, moments=True)


@functools.partial(jax.jit, static_argnums=0)
def _logits(net, params, statistics, rows):
    return net.apply({'params': params}, rows, statistics)


def predict(cfg, params: dict, voxels: Float[np.ndarray, 'k ...']) -> np.ndarray:
    """Probabilities of the labels: [k labels] float32.

    Args:
      cfg: see DEFAULTS.
      params: as `fit` of the task returns: net, statistics, shape, input, threshold [labels] (what
        is above it is a yes; chosen on left-out rows), positives [labels], rows.
      voxels: rows in the unit and shape of those that were fitted.

    Raises:
      DataInvalid: rows of another shape, or values that are not finite.
    """
    net = build(cfg, tuple(np.asarray(params['shape']).tolist()))
    rows = channels(voxels, net)
    wanted = tuple(np.asarray(params['input']).tolist())
    if rows.shape[1:] != wanted:
        raise errors.DataInvalid(
            f'rows have shape {rows.shape[1:]}, those of the training had {wanted}',
            'label_cnn.predict',
            'give the voxels of the run that was trained',
        )
    parts = int(cfg.get('parts', DEFAULTS['parts']))
    found = logits(net, params['net'], params['statistics'], rows, parts)
    return np.asarray(jax.nn.sigmoid(found))


def describe(cfg, params: dict) -> dict:
    """Size, rows, imbalance and thresholds."""
    sizes = [np.size(leaf) for leaf in jax.tree.leaves(params['net'])]
    positives, threshold = np.asarray(params['positives']), np.asarray(params['threshold'])
    facts = {
        'parameters': int(sum(sizes)),
        'training rows': int(params['rows']),
        'rows with a category': f'{positives.min():,} to {positives.max():,}',
        'thresholds': f'{threshold.min():.3g} to {threshold.max():.3g}',
    }
    return {'curves': [], 'tables': [], 'facts': facts}
