"""What the tiny captioner is taught with: batches of scenes, and its losses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from recon.data.simulator import backgrounds, scenes
from recon.zoo import blip

# Of a cell: category or none, colour, size, position, place in the caption.
HEADS = (
    len(scenes.CATEGORIES) + 1,
    len(scenes.COLOURS),
    len(scenes.SIZES),
    len(scenes.POSITIONS),
    scenes.MAX_OBJECTS,
)


def batch(drawn: scenes.Scenes, ids: np.ndarray, rows: np.ndarray) -> dict:
    """Arrays of the scenes `rows`, whose captions are ids[rows] ([m k], 0 pads), as they are."""
    what, shown = cells(drawn, rows)
    said = ids[rows]
    return {
        'images': np.asarray(drawn.images[rows]),
        'ids': said,
        'heard': said,
        'counted': (said[:, 1:] != 0).astype(np.float32),
        'cells': what,
        'shown': shown,
        'place': np.asarray(drawn.place[rows], np.int32),
        'plain': np.ones(len(said), np.float32),
    }


def cells(drawn: scenes.Scenes, rows) -> tuple[np.ndarray, np.ndarray]:
    """What objects there are, and how much of each cell each of them covers.

    Returns:
      [n 4 5] int32: category, colour, size, position, place in the caption; the last is 3 at most,
        and 0 where the object is absent or not named.
      [n 4 64] float32: coverage of the cells, row by row; categories differ within a scene.
    """
    kinds = [
        np.asarray(x[rows]) for x in (drawn.category, drawn.colour, drawn.size, drawn.position)
    ]
    there = kinds[0] >= 0
    named = there & (np.asarray(drawn.visible[rows]) >= scenes.VISIBLE)
    order = np.where(named, np.cumsum(named, 1) - 1, 0)
    contents = np.asarray(drawn.contents[rows])
    shown = np.take_along_axis(
        contents.reshape(len(contents), -1, 64), np.maximum(kinds[0], 0)[..., None].astype(int), 1
    )
    what = np.stack([*(np.where(there, kind, 0) for kind in kinds), order], -1)
    return what.astype(np.int32), (shown * there[..., None]).astype(np.float32)


def mishear(ids: np.ndarray, colours: np.ndarray, share, rng) -> np.ndarray:
    """Ids [n k] with this share (a number or [n 1]) of the words `colours` exchanged for any."""
    wrong = np.isin(ids, colours) & (rng.random(ids.shape) < share)
    return np.where(wrong, rng.choice(colours, ids.shape), ids).astype(np.int32)


def disguise(given: dict, colours: np.ndarray, comma: int, settings: dict, rng) -> dict:
    """A batch in which colours say less about categories.

    In a share of the pictures the three channels change places, and in some of these light and dark
    too: there no colour and no place is asked for. Elsewhere some colours are misheard.

    Args:
      given: of `batch`.
      colours: [8] ids of colours.
      comma: id of the sign before the place, the last of its kind in a caption.
      settings: 'exchanged' and 'misheard', shares of pictures and of colours.
      rng: of the choices.
    """
    ids, n = given['ids'], len(given['ids'])
    changed = rng.random(n) < settings['exchanged']
    order = np.where(changed[:, None], np.argsort(rng.random((n, 3)), 1), np.arange(3))
    images = np.take_along_axis(given['images'], order[:, None, None], -1)
    inverted = changed & (rng.random(n) < 0.3)
    images = np.where(inverted[:, None, None, None], 255 - images, images)
    last = ids.shape[1] - 1 - np.argmax(ids[:, ::-1] == comma, 1)
    unknown = np.isin(ids, colours) | (np.arange(ids.shape[1]) >= last[:, None])
    counted = given['counted'] * ~(unknown & changed[:, None])[:, 1:]
    share = np.where(changed, 1.0, settings['misheard'])[:, None]
    return given | {
        'images': images,
        'heard': mishear(ids, colours, share, rng),
        'counted': counted.astype(np.float32),
        'plain': (~changed).astype(np.float32),
    }


def losses(net: blip.Captioner, params: dict, given: dict, stage: dict) -> tuple[Array, dict]:
    """The loss of a batch, and its parts.

    Args:
      net: the net.
      params: 'net', its own; 'cells' and 'place', heads on its tokens.
      given: of `batch` or `disguise`.
      stage: 'said', how many of the pictures have their captions taught; 'objects': `cell_loss`.

    Returns:
      A scalar; {'words', 'cells': nats, 'right': share of words}.
    """
    pixels = blip.prepare(net.config, given['images'] / jnp.float32(255))
    apply = lambda *args, method: net.apply({'params': params['net']}, *args, method=method)  # noqa: E731
    states = apply(pixels, method='encode')  # [n 65 d]
    some = slice(stage['said'])
    ids, counted = given['ids'][some, 1:], given['counted'][some]
    logits = apply(given['heard'][some, :-1], states[some], method='logits')
    each = optax.softmax_cross_entropy_with_integer_labels(logits, ids)
    total = jnp.maximum(counted.sum(), 1)
    words = (each * counted).sum() / total
    right = ((logits.argmax(-1) == ids) * counted).sum() / total
    cells_ = cell_loss(
        states[:, 1:] @ params['cells'], given['cells'], given['shown'], given['plain'],
        stage['objects'],
    )  # fmt: skip
    place = states[:, 0] @ params['place']
    skies = len(backgrounds.SKIES)
    for i, part in enumerate((place[:, :skies], place[:, skies:])):
        each = optax.softmax_cross_entropy_with_integer_labels(part, given['place'][:, i])
        cells_ = cells_ + 0.1 * (each * given['plain']).mean()
    return words + cells_, {'words': words, 'cells': cells_, 'right': right}


def cell_loss(
    logits: Float[Array, 'n p k'],
    what: Array,
    shown: Float[Array, 'n 4 p'],
    plain: Float[Array, ' n'],
    objects: float = 0.0,
) -> Float[Array, '']:
    """Cross entropy of what the cells say of the objects in them, in nats.

    Args:
      logits: [n 64 41], the heads side by side.
      what: [n 4 5], see `cells`.
      shown: [n 4 64], coverage.
      plain: [n], 0 where the colours are not to be asked for.
      objects: weight of a further term, in which each object's category counts about alike,
        however small it is.

    Returns:
      Category (17 classes, the last is nothing): mean over cells. The rest: half the sums of means
      over what is covered.
    """
    total, start = 0.0, 0
    area = shown.sum(-1, keepdims=True)
    for i, size in enumerate(HEADS):
        log = jax.nn.log_softmax(logits[..., start : start + size], -1)  # [n p size]
        label = jax.nn.one_hot(what[..., i], size)  # [n 4 size]
        start += size
        if i == 0:
            target = jnp.einsum('nop,nos->nps', shown, label)
            target = target.at[..., -1].set(1 - target.sum(-1))
            total += -(target * log).sum(-1).mean()
            if objects:
                alike = jnp.einsum('nop,nos->nps', shown / (area + 1), label)
                total += -objects * (alike * log).sum() / (area > 0).sum()
            continue
        weight = shown * plain[:, None, None] if i == 1 else shown
        target = jnp.einsum('nop,nos->nps', weight, label)
        total += -0.5 * (target * log).sum() / jnp.maximum(shown.sum(), 1)
    return total
