"""The tiny category net: which of the sixteen categories are to be seen in a scene.

It judges pictures that were generated or decoded, so it is trained on pictures that are shifted,
scaled, mirrored, blurred, tinted and noisy; and, since test scenes pair categories with colours
that no training scene has, on pictures whose colours are exchanged.

Two things make it learn ten times faster, and leave no trace in what is written: batch norms after
the convolutions, which are folded into their weights in the end, and a second head, which says
where each category is.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from recon.data import loader
from recon.data.simulator import scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _scenes
from recon.zoo import alexnet, weights

SETTINGS = {
    'steps': 3600,
    'batch': 64,
    'learning_rate': 2e-3,
    'schedule': 'cosine',
    'warmup': 0.05,
    'weight_decay': 0.02,
    'clip': 1.0,
    'ema': 0.998,
    'norm_batches': 32,
    'scenes': 65_700,
    'save_every': 1000,
    'log_every': 100,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
FOLDER = 'alexnet'
_SIDE = 7  # cells on a side of 'features.11' at 64 pixels
_WHERE = 10.0  # weight of the second head's loss
_EPSILON = 1e-5
_DIRECTED = [scenes.CATEGORIES.index(name) for name in ('word', 'letter')]


def run(settings: dict, out, work, *, seed: int = 0, stop=lambda: False) -> None:
    """Trains, from where `work/alexnet` stands, and writes `out/alexnet`.

    Args:
      settings: SETTINGS, changed.
      out: folder of the small nets.
      work: folder for checkpoints and drawn scenes.
      seed: of parameters, batches and augmentation.
      stop: asked before every step.
    """
    drawn = _scenes.training(work, settings['scenes'])
    shown = scenes.labels(drawn).astype(np.float32)
    rows = len(shown) - ASIDE
    net = alexnet.AlexNet(dataclasses.replace(alexnet.TINY, labels=scenes.CATEGORIES))
    optimizer = optim.make(settings, settings['steps'])
    root = jax.random.key(seed)
    state = states.create(
        lambda rng: _begin(net, rng), optimizer, jax.random.fold_in(root, 0), ema=True
    )

    def batch_at(i):
        chosen = np.sort(loader.rows(seed, i, rows, settings['batch']))
        return {
            'images': drawn.images[chosen],
            'shown': shown[chosen],
            'contents': drawn.contents[chosen].transpose(0, 2, 3, 1),
        }

    loss = lambda *args: _loss(net, *args)  # noqa: E731
    folded = jax.jit(lambda params, batches, rng: _folded(net, params, batches, rng))

    def final(state):
        parts = [batch_at(i) for i in range(settings['norm_batches'])]
        batches = jax.tree.map(lambda *leaves: np.stack(leaves), *parts)
        return folded(state.averaged, batches, jax.random.fold_in(root, 2))

    def validate(state):
        logits = _logits(net, final(state), drawn.images[rows:])
        truth = shown[rows:]
        aside = optax.sigmoid_binary_cross_entropy(logits, truth).mean()
        return {'loss': aside, 'precision': average_precision(logits, truth).mean()}

    state = loop.fit(
        step.single(loss, optimizer, ema=settings['ema']),
        state,
        batch_at,
        steps=settings['steps'],
        folder=f'{work}/{FOLDER}',
        rng=jax.random.fold_in(root, 1),
        save_every=settings['save_every'],
        log_every=settings['log_every'],
        stop=stop,
        validate=validate,
    )
    facts = {'scenes_version': scenes.SCENES_VERSION}
    weights.save(f'{out}/{FOLDER}', net, jax.device_get(final(state)), extra=facts)


def _begin(net, rng) -> dict:
    """Parameters of the net, of its norms and of the second head."""
    params = net.init(rng, jnp.zeros((1, 64, 64, 3)))['params']
    widths = {name: leaf['bias'] for name, leaf in params.items() if 'features' in name}
    norms = {name: {'scale': jnp.ones_like(b), 'bias': b} for name, b in widths.items()}
    head = jnp.zeros((net.config.widths[-1], net.config.num_classes))
    return {'net': params, 'norms': norms, 'places': {'kernel': head, 'bias': head[0] - 3.0}}


def _forward(net, params: dict, images: Array, rng=None) -> tuple[dict, dict]:
    """Nodes of the net with a norm by the batch after each convolution; and each norm's moments.

    The convolutions' biases cancel. Without `rng` no unit is dropped.
    """
    moments = {}

    def normed(call, args, kwargs, context):
        y = call(*args, **kwargs)
        name = context.module.name
        if context.method_name != '__call__' or name not in params['norms']:
            return y
        mean, var = y.mean((0, 1, 2)), y.var((0, 1, 2))
        moments[name] = jnp.stack([mean, var])
        norm = params['norms'][name]
        return (y - mean) * (jax.lax.rsqrt(var + _EPSILON) * norm['scale']) + norm['bias']

    with nn.intercept_methods(normed):
        variables, pixels = {'params': params['net']}, alexnet.normalise(images)
        rngs = None if rng is None else {'dropout': rng}
        nodes = net.apply(variables, pixels, rng is None, rngs=rngs, method='layers')
    return nodes, moments


def _loss(net, params: dict, batch: dict, rng) -> tuple[Array, dict]:
    """Cross entropy of what is shown, and of where."""
    jitter, dropout = jax.random.fold_in(rng, 0), jax.random.fold_in(rng, 1)
    images, contents = augment(batch, _SIDE, jitter)
    nodes, _ = _forward(net, params, images, dropout)
    entropy = optax.sigmoid_binary_cross_entropy
    what = entropy(nodes['classifier.6'], batch['shown']).mean()
    places = nodes['features.11'] @ params['places']['kernel'] + params['places']['bias']
    where = entropy(places, contents).mean()
    return what + _WHERE * where, {'what': what, 'where': where}


def _folded(net, params: dict, batches: dict, rng) -> dict:
    """The net's parameters with the norms, at their mean moments over `batches`, in them."""

    def moments(i):
        batch = jax.tree.map(lambda leaf: leaf[i], batches)
        images, _ = augment(batch, _SIDE, jax.random.fold_in(rng, i))
        return _forward(net, params, images)[1]

    found = jax.lax.map(moments, jnp.arange(len(batches['shown'])))
    out = dict(params['net'])
    for name, norm in params['norms'].items():
        mean, var = found[name].mean(0)
        gain = norm['scale'] * jax.lax.rsqrt(var + _EPSILON)
        layer = params['net'][name]
        bias = (layer['bias'] - mean) * gain + norm['bias']
        out[name] = {'kernel': layer['kernel'] * gain, 'bias': bias}
    return out


def augment(batch: dict, side: int, rng) -> tuple[Array, Array]:
    """Pictures changed as a generator or a camera might change them, and where things are in them.

    Scaled by 0.85 to 1.15 and moved by up to a tenth; mirrored by chance, but not where words or
    letters are shown; blurred by up to 1.5 pixels; colours mixed, and exchanged in a quarter of the
    pictures; brightness, contrast and noise.

    Args:
      batch: 'images' [n h h 3] uint8; 'shown' [n 16]; 'contents' [n 8 8 16], the coverage of each
        cell by each category.
      side: cells on a side that the contents are wanted on.
      rng: jax key.

    Returns:
      [n h h 3] float32 in [0, 1]; [n side side 16].
    """
    images, contents = batch['images'] / jnp.float32(255), batch['contents']
    n, size, cells = len(images), images.shape[1], contents.shape[1]
    key = iter(jax.random.split(rng, 12))

    def between(low, high, *shape):
        return jax.random.uniform(next(key), (n, *shape), minval=low, maxval=high)

    blur = jnp.maximum(between(-1.5, 1.5), 0.4)
    directed = batch['shown'][:, jnp.array(_DIRECTED)].any(1)
    mirror = jnp.where(directed, 1.0, jnp.sign(between(-1, 1)))
    zoom = between(0.88, 1.14, 1) * between(0.95, 1.05, 2)
    zoom = zoom * jnp.stack([jnp.ones(n), mirror], 1)
    shift = between(-0.1, 0.1, 2)
    for axis, product in enumerate(('nph,nhwc->npwc', 'npw,nhwc->nhpc')):
        place = zoom[:, axis], shift[:, axis]
        images = jnp.einsum(product, _resampling(size, size, *place, blur), images)
        few = _resampling(cells, side, *place, jnp.full(n, 0.4))
        contents = jnp.einsum(product, few, contents)
    order = jnp.argsort(between(0, 1, 3), -1)
    order = jnp.where(between(0, 1, 1) < 0.25, order, jnp.arange(3))
    mix = jax.nn.one_hot(order, 3) + 0.08 * jax.random.normal(next(key), (n, 3, 3))
    images = jnp.einsum('nyxc,ndc->nyxd', images - 0.5, mix * between(0.75, 1.2, 1, 1))
    images = images + 0.5 + between(-0.1, 0.1, 1, 1, 1)
    noise = between(0, 0.05, 1, 1, 1) * jax.random.normal(next(key), images.shape)
    return jnp.clip(images + noise, 0, 1), contents


def _resampling(size: int, wanted: int, zoom, shift, blur) -> Float[Array, 'n wanted size']:
    """The weight of each of `size` pixels in each wanted one: Gaussians of `blur` pixels."""
    here = (jnp.arange(wanted) + 0.5) / wanted - 0.5
    there = (here / zoom[:, None] + shift[:, None] + 0.5) * size - 0.5
    there = jnp.clip(there, 0, size - 1)
    bells = jnp.exp(-(((jnp.arange(size) - there[..., None]) / blur[:, None, None]) ** 2) / 2)
    return bells / bells.sum(-1, keepdims=True)


def average_precision(scores, truth) -> np.ndarray:
    """Area under precision over recall, a category at a time, without interpolation.

    Args:
      scores: [n c].
      truth: [n c], 1 where the category is there.

    Returns:
      [c] float64, in [0, 1]; chance is the share of pictures that have the category; NaN for a
      category that no picture has.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    order = np.argsort(-scores, 0, kind='stable')
    hits = np.take_along_axis(truth, order, 0)
    precision = hits.cumsum(0) / np.arange(1, len(hits) + 1)[:, None]
    count = truth.sum(0)
    return np.where(count > 0, (precision * hits).sum(0) / np.maximum(count, 1), np.nan)


def measure(out, n: int = 4000) -> dict:
    """What `out/alexnet` reaches on the first `n` held-out scenes, each beside its chance.

    In 'unseen_main' the main object, in 'unseen_pairs' some object is such a pair.
    """
    net = weights.load(f'{out}/{FOLDER}')
    drawn = _scenes.held_out(n)
    logits = _logits(net.module, net.params, drawn.images)
    unseen = scenes.has_unseen(drawn)
    parts = {'all': np.ones(n, bool), 'seen_pairs': ~unseen, 'unseen_pairs': unseen}
    parts['unseen_main'] = _unseen(drawn)
    return {name: _reached(drawn, logits, rows) for name, rows in parts.items() if rows.any()}


def _reached(drawn: scenes.Scenes, logits, rows) -> dict:
    """The numbers of the scenes `rows` (bool)."""
    shown, main = scenes.labels(drawn)[rows], drawn.category[rows, 0].astype(int)
    logits = logits[rows]
    count = shown.sum(1)
    place = (logits > np.take_along_axis(logits, main[:, None], 1)).sum(1)  # of the main category
    alone = (drawn.category[rows] >= 0).sum(1) == 1
    number = len(scenes.CATEGORIES)
    there = shown.any(0)
    result = {
        'mean_average_precision': average_precision(logits, shown)[there].mean(),
        'chance_mean_average_precision': shown.mean(0)[there].mean(),
        'main_category_in_top_k': (place < count).mean(),
        'chance_in_top_k': (count / number).mean(),
        'main_category_first': (place == 0).mean(),
        'chance_first': 1 / number,
        'some_shown_category_first': shown[np.arange(len(shown)), logits.argmax(1)].mean(),
        'one_object_right': (place[alone] == 0).mean() if alone.any() else None,
        'chance_one_object': 1 / number,
        'scenes': len(shown),
        'scenes_of_one_object': int(alone.sum()),
    }
    exact = int | None  # counts stay whole
    return {k: v if isinstance(v, exact) else round(float(v), 4) for k, v in result.items()}


def _unseen(drawn: scenes.Scenes) -> np.ndarray:
    """[m] bool: whether no training scene has the main object's category in its colour."""
    main = {name: getattr(drawn, name)[:, :1] for name in ('category', 'colour')}
    return scenes.has_unseen(dataclasses.replace(drawn, **main))


def _logits(net, params, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """[m 16] of uint8 pictures [m h w 3]."""

    @jax.jit
    def apply(params, images):
        pixels = alexnet.prepare(net.config, images / jnp.float32(255))
        return net.apply({'params': params}, pixels)

    parts = [np.asarray(images[i : i + batch]) for i in range(0, len(images), batch)]
    return np.concatenate([apply(params, part) for part in parts])
