"""pix2pix: pictures from a picture of the cortex, from labels, or from both.

A U-Net makes them, and a net that judges patches of condition and picture together says how true
they look; the fit is `train/tasks/pix2pix.py`, the nets are `_pix2pix_nets.py`. Inside, pictures
are in [-1, 1]. Batch norms use the batch's own statistics in training and, with
`statistics='batch'`, afterwards too, as the published net does: with `batch=1` each picture is then
normed by itself; with a larger batch a picture depends on those that it is made together with.

Source: Isola et al. 2017, 'Image-to-image translation with conditional adversarial networks'; first
seed report, section III.D. Parameters at 256 pixels and three channels in: 54,425,859 (54,414,979
that are trained, and 10,880 means and variances of the norms), and 2,770,433 of the discriminator.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors, image
from recon.generators import _pix2pix_nets as nets

DEFAULTS = dict(
    size=256,  # pixels on a side of what the net sees and makes, a power of 2
    width=64,  # channels of the finest level of both nets
    condition='voxels',  # what is given: 'voxels', 'labels', 'both', or 'none' (noise alone)
    labels='labels',  # name of the decoded array [n k] that holds the labels
    noise=0,  # channels of normal noise z beside the condition; 'none' needs 1 or more
    dropout=0.5,  # after the first three doublings
    test_dropout=True,  # there too when pictures are made: the published net's noise
    leak=0.2,  # slope of LeakyReLU (Keras's default is 0.3)
    losses='adversarial+l1',  # any sum of 'adversarial', 'l1' and 'l2'
    l1=100.0,  # weight of mean |difference|, of pictures in [-1, 1]
    l2=100.0,  # weight of mean squared difference
    adversarial='nonsaturating',  # or 'least_squares', 'hinge', 'minimax'; its weight is 1
    statistics='batch',  # of norms when pictures are made: 'batch', or 'training' (of its rows)
    norm_batches=32,  # batches that 'training' measures
    jitter=288 / 256,  # pictures are enlarged by this and cut at random; 1 for none
    mirror=True,  # half of them, with their conditions
    optimizer='adam',
    learning_rate=2e-4,
    b1=0.5,
    b2=0.999,
    schedule='constant',
    clip=0.0,  # largest norm of each net's gradient, 0 is none
    ema=0.0,  # decay of a running average of the weights, 0 is none
    batch=1,
    epochs=200,  # of the training rows; 0 where steps are given
    steps=0,
    validation=0.0,  # share of the images put aside where none are given, 0 is none
    patience=-1,  # saves without a lower L1 on them before it ends; -1 goes on to the end
    save_epochs=10,  # from checkpoint to checkpoint; validation is computed there
    log_every=50,  # steps
    dtype='float32',  # of the computation: float32 or bfloat16; norms and losses are float32
)
LOSSES = ('adversarial', 'l1', 'l2')
CONDITIONS = ('voxels', 'labels', 'both', 'none')


@dataclasses.dataclass(frozen=True)
class Condition:
    """What n pictures are made from; `condition[rows]` is that of some of them.

    Attributes:
      pictures: [n h w c] float32 in [0, 1], or None.
      labels: [n k] float32 in [0, 1], each number a plane of its own, or None.
      count: n.
    """

    pictures: np.ndarray | None
    labels: np.ndarray | None
    count: int

    def __len__(self):
        return self.count

    def __getitem__(self, rows):
        some = [None if x is None else x[rows] for x in (self.pictures, self.labels)]
        return Condition(*some, len(np.arange(self.count)[rows]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n, channels of the pictures, labels)."""
        pictures, labels = (0 if x is None else x.shape[-1] for x in (self.pictures, self.labels))
        return self.count, pictures, labels


def condition(cfg, decoded: dict) -> Condition:
    """What `cfg.condition` says, of decoded['voxels'] and decoded[cfg.labels].

    Raises:
      ConfigError: an unknown name.  DataInvalid: an array that is not there, or of another shape.
    """
    kind, name = (cfg.get(key, DEFAULTS[key]) for key in ('condition', 'labels'))
    _one_of('condition', kind, CONDITIONS)
    pictures, labels = None, None
    if kind in ('voxels', 'both'):
        pictures = np.asarray(decoded['voxels'], np.float32)
        if pictures.ndim != 4:
            raise errors.DataInvalid(
                f'voxels have shape {pictures.shape}',
                'generator.pix2pix',
                "make pictures of them: 'cortical_picture' last in preprocess.order",
            )
    if kind in ('labels', 'both'):
        if name not in decoded or np.ndim(decoded[name]) != 2:
            held = ', '.join(f'{k} {list(np.shape(v))}' for k, v in decoded.items())
            raise errors.DataInvalid(
                f'no labels [n k] named {name!r}', 'generator.pix2pix.labels', f'there are: {held}'
            )
        labels = np.clip(np.asarray(decoded[name], np.float32), 0, 1)  # a linear decoder's leave it
    return Condition(pictures, labels, len(decoded['voxels']))


def as_condition(cfg, rows) -> Condition:
    """A job's rows: a Condition, pictures [n h w c], or labels [n k] where `cfg` asks for those."""
    if isinstance(rows, Condition):
        return rows
    kind = cfg.get('condition', DEFAULTS['condition'])
    _one_of('condition', kind, CONDITIONS)
    if kind == 'both':
        raise errors.DataInvalid(
            f'an array of shape {np.shape(rows)}',
            'generator.pix2pix.condition',
            "'both' needs pictures and labels: pix2pix.condition(cfg, {'voxels': ..., ...})",
        )
    name = cfg.get('labels', DEFAULTS['labels'])
    return condition(cfg, {'voxels': rows} | ({name: rows} if kind == 'labels' else {}))


def build(cfg, out_shape) -> tuple[nets.Generator, nets.Discriminator]:
    """Both nets for pictures of `out_shape` (h, w, c); they work at `cfg.size`.

    The patches' share of a picture is the same at every size: 30 x 30 of them.

    Raises:
      ConfigError: an option that does not fit.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    size = option('size')
    levels = int(size).bit_length() - 1
    if size != 2**levels or levels < 5:
        _refuse('size', size, 'a power of 2, at least 32')
    for key, least, most in (('width', 1, math.inf), ('dropout', 0, 1), ('leak', 0, 1)):
        if not least <= option(key) <= most or (key == 'dropout' and option(key) == 1):
            _refuse(key, option(key), f'{least} to {most} (dropout: below 1)')
    if option('condition') == 'none' and option('noise') < 1:
        _refuse('noise', option('noise'), "1 or more with condition='none'")
    _one_of('dtype', option('dtype'), ('float32', 'bfloat16'))
    _one_of('statistics', option('statistics'), ('batch', 'training'))
    if option('statistics') == 'training' and option('batch') == 1:
        _refuse('statistics', 'training', "'batch', or batch=2 or more: one row has no variance")
    shared = dict(width=option('width'), leak=option('leak'), dtype=jnp.dtype(option('dtype')))
    generator = nets.Generator(
        levels, channels=int(out_shape[-1]), dropout=option('dropout'), **shared
    )
    return generator, nets.Discriminator(levels - 5, **shared)


def planes(size: int, arrays: dict, noise):
    """The generator's input: [n s s c + k + z], in [-1, 1] but for the noise.

    Args:
      size: s.
      arrays: 'pictures' [n s s c] and 'labels' [n k], in [0, 1]; either may be absent.
      noise: [n s s z].
    """
    parts = [2 * arrays['pictures'] - 1] if 'pictures' in arrays else []
    if 'labels' in arrays:
        labels = 2 * arrays['labels'][:, None, None] - 1
        parts.append(jnp.broadcast_to(labels, (len(labels), size, size, labels.shape[-1])))
    return jnp.concatenate([*parts, noise], -1)


def arrays_of(given: Condition, size: int) -> dict:
    """{'pictures': [n s s c], 'labels': [n k]} of a condition, what there is, at `size`."""
    arrays = {}
    if given.pictures is not None:
        arrays['pictures'] = image.resize(given.pictures, (size, size))
    if given.labels is not None:
        arrays['labels'] = given.labels
    return arrays


def generate(cfg, params: dict, decoded: dict, rng) -> dict:
    """Adds pictures to what is decoded.

    Args:
      cfg: see DEFAULTS; the same as in the fit.
      params: as the fit returned.
      decoded: 'voxels' [n h w c] and, where `cfg.condition` says so, labels [n k].
      rng: jax key, of dropout and of noise.

    Returns:
      `decoded` with 'images' [n h w 3] in [0, 1], at the size of the training pictures.

    Raises:
      DataInvalid: another condition than that of the training.
    """
    given = condition(cfg, decoded)
    if given.shape[1:] != tuple(int(k) for k in params['condition']):
        raise errors.DataInvalid(
            f'{given.shape[1]} channels and {given.shape[2]} labels',
            'generator.pix2pix',
            f'the net was trained on {int(params["condition"][0])} and {params["condition"][1]}',
        )
    made = pictures(cfg, params, given, rng)
    return decoded | {'images': image.to_rgb(made)}


def pictures(cfg, params: dict, given: Condition, rng) -> np.ndarray:
    """[n *shape] float32 in [0, 1] of conditions, `cfg.batch` rows at a time.

    The last batch is filled up with rows from the first on; where norms use the batch's own
    statistics all batches so have the size that was trained.
    """
    shape = tuple(int(s) for s in params['shape'])
    net, _ = build(cfg, shape)
    size, n, batch = 2**net.levels, len(given), cfg.get('batch', DEFAULTS['batch'])
    settings = tuple(cfg.get(key, DEFAULTS[key]) for key in ('noise', 'test_dropout', 'statistics'))
    held = {'params': params['net']}
    held |= {'batch_stats': params['statistics']} if 'statistics' in params else {}
    held = jax.tree.map(jnp.asarray, held)
    out = np.empty((n, *shape), np.float32)
    for start in range(0, n, batch):
        rows = np.arange(start, start + batch) % n
        some = arrays_of(given[rows], size)
        made = np.asarray(_made(net, settings, held, some, jax.random.fold_in(rng, start), batch))
        out[start : start + batch] = image.resize(made, shape[:2])[: n - start]
    return np.clip(out, 0, 1)


@functools.partial(jax.jit, static_argnums=(0, 1, 5))
def _made(net, settings, held, arrays, rng, n):
    channels, drop, statistics = settings
    size = 2**net.levels
    noise = jax.random.normal(jax.random.fold_in(rng, 0), (n, size, size, channels))
    x = planes(size, arrays, noise)
    rngs = {'dropout': jax.random.fold_in(rng, 1)}
    return net.apply(held, x, drop, statistics == 'training', rngs=rngs) / 2 + 0.5


def describe(cfg, params: dict) -> dict:
    """Number of weights, condition and losses, and how well the discriminator told apart."""
    count = sum(np.size(leaf) for leaf in jax.tree.leaves(params['net']))
    facts = {'parameters': int(count), 'losses': cfg.get('losses', DEFAULTS['losses'])}
    facts['condition'] = cfg.get('condition', DEFAULTS['condition'])
    if 'accuracy' not in params:
        return {'curves': [], 'tables': [], 'facts': facts}
    step, true, made = np.asarray(params['accuracy'], np.float64).T.tolist()
    both = np.mean([true, made], 0).tolist()
    facts['accuracy of the discriminator at the end'] = both[-1]
    named = {'true pictures': true, 'made pictures': made, 'both': both}
    curve = {
        'title': 'Pictures that the discriminator judged rightly (mean patch, threshold 0.5)',
        'x_label': 'steps',
        'y_label': 'share of the training pictures',
        'log_x': False,
        'series': [{'name': name, 'x': step, 'y': values} for name, values in named.items()],
        'chosen': None,
    }
    return {'curves': [curve], 'tables': [], 'facts': facts}


def _one_of(key: str, value, known) -> None:
    if value not in known:
        _refuse(key, value, f'one of {", ".join(map(repr, known))}')


def _refuse(key: str, value, remedy: str):
    raise errors.ConfigError(f'generator.pix2pix.{key} is {value!r}', 'config', remedy)
