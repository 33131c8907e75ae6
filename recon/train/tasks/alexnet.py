"""The tiny category net: which of the sixteen categories are to be seen in a scene.

It judges pictures that were generated or decoded, so it is trained on pictures that are shifted,
scaled, mirrored, blurred, tinted and noisy; and, since test scenes pair categories with colours
that no training scene has, on pictures whose colours are exchanged.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from recon.data.simulator import scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _scenes
from recon.zoo import alexnet, weights

SETTINGS = {
    'steps': 4000,
    'batch': 128,
    'learning_rate': 2e-3,
    'schedule': 'cosine',
    'warmup': 0.05,
    'weight_decay': 0.02,
    'clip': 1.0,
    'ema': 0.998,
    'scenes': 65_700,
    'save_every': 500,
    'log_every': 50,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
FOLDER = 'alexnet'
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
    begin = lambda rng: net.init(rng, jnp.zeros((1, 64, 64, 3)))['params']  # noqa: E731
    state = states.create(begin, optimizer, jax.random.fold_in(root, 0), ema=True)

    def batch_at(i):
        chosen = np.sort(_scenes.batch_indices(seed, i, rows, settings['batch']))
        return {'images': drawn.images[chosen], 'shown': shown[chosen]}

    def loss(params, batch, rng):
        jitter, dropout = jax.random.fold_in(rng, 0), jax.random.fold_in(rng, 1)
        images = augment(batch['images'] / jnp.float32(255), batch['shown'], jitter)
        pixels = alexnet.normalise(images)
        logits = net.apply({'params': params}, pixels, False, rngs={'dropout': dropout})
        return optax.sigmoid_binary_cross_entropy(logits, batch['shown']).mean(), {}

    def validate(state):
        logits = _logits(net, state.averaged, drawn.images[rows:])
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
    weights.save(f'{out}/{FOLDER}', net, jax.device_get(state.averaged), extra=facts)


def augment(images: Float[Array, 'n h w 3'], shown: Float[Array, 'n 16'], rng) -> Array:
    """Pictures in [0, 1], changed as a generator or a camera might; the same shape and range.

    Scaled by 0.85 to 1.15 and moved by up to a tenth; mirrored by chance, but not where words or
    letters are shown; blurred by up to 1.5 pixels; colours mixed, and exchanged in a quarter of the
    pictures; brightness, contrast and noise.
    """
    n, size = len(images), images.shape[1]
    key = iter(jax.random.split(rng, 12))

    def between(low, high, *shape):
        return jax.random.uniform(next(key), (n, *shape), minval=low, maxval=high)

    blur = jnp.maximum(between(-1.5, 1.5, 1), 0.4)
    directed = shown[:, jnp.array(_DIRECTED)].any(1)
    mirror = jnp.where(directed, 1.0, jnp.sign(between(-1, 1)))
    zoom = between(0.88, 1.14, 1) * between(0.95, 1.05, 2)
    shift = between(-0.1, 0.1, 2)
    rows = _resampling(size, zoom[:, 0], shift[:, 0], blur[:, 0])
    columns = _resampling(size, zoom[:, 1] * mirror, shift[:, 1], blur[:, 0])
    images = jnp.einsum('nyh,nhwc->nywc', rows, images)
    images = jnp.einsum('nxw,nywc->nyxc', columns, images)
    order = jnp.argsort(between(0, 1, 3), -1)
    order = jnp.where(between(0, 1, 1) < 0.25, order, jnp.arange(3))
    mix = jax.nn.one_hot(order, 3) + 0.08 * jax.random.normal(next(key), (n, 3, 3))
    images = jnp.einsum('nyxc,ndc->nyxd', images - 0.5, mix * between(0.75, 1.2, 1, 1))
    images = images + 0.5 + between(-0.1, 0.1, 1, 1, 1)
    noise = between(0, 0.05, 1, 1, 1) * jax.random.normal(next(key), images.shape)
    return jnp.clip(images + noise, 0, 1)


def _resampling(size: int, zoom: Array, shift: Array, blur: Array) -> Float[Array, 'n size size']:
    """Weights of the pixels there in each pixel here: Gaussians of width `blur`, in pixels."""
    here = (jnp.arange(size) + 0.5) / size - 0.5
    there = (here / zoom[:, None] + shift[:, None] + 0.5) * size - 0.5
    there = jnp.clip(there, 0, size - 1)
    weights_ = jnp.exp(-(((jnp.arange(size) - there[..., None]) / blur[:, None, None]) ** 2) / 2)
    return weights_ / weights_.sum(-1, keepdims=True)


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
    """What `out/alexnet` reaches on the first `n` held-out scenes, each beside its chance."""
    net = weights.load(f'{out}/{FOLDER}')
    drawn = _scenes.held_out(n)
    logits = _logits(net.module, net.params, drawn.images)
    unseen = _unseen(drawn)
    parts = {'all': np.ones(n, bool), 'unseen_pairs': unseen, 'seen_pairs': ~unseen}
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
    return {
        key: value if value is None else round(float(value), 4) for key, value in result.items()
    }


def _unseen(drawn: scenes.Scenes) -> np.ndarray:
    """[m] bool: whether no training scene has the main object's category in its colour."""
    colours = tuple(scenes.COLOURS)
    left_out = np.array([colours.index(colour) for _, colour in scenes.UNSEEN])
    return drawn.colour[:, 0] == left_out[drawn.category[:, 0]]


def _logits(net, params, images: np.ndarray, batch: int = 250) -> np.ndarray:
    """[m 16] of uint8 pictures [m h w 3]."""
    apply = _applied(net)
    parts = [np.asarray(images[i : i + batch]) for i in range(0, len(images), batch)]
    return np.concatenate([apply(params, part) for part in parts])


def _applied(net):
    @jax.jit
    def apply(params, images):
        pixels = alexnet.prepare(net.config, images / jnp.float32(255))
        return net.apply({'params': params}, pixels)

    return apply
