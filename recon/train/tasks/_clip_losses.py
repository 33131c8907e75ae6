"""Losses of the CLIP pair's training, and the nets that help and are thrown away."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from recon.train.tasks import _clip_batches, _phrases
from recon.zoo import clip

OF_TEXT = ('text_model', 'text_projection')
_HOTTEST = float(np.log(100))


class Scene(nn.Module):
    """An embedding from what is in a scene: what a picture's tower that sees all would say."""

    @nn.compact
    def __call__(self, present, place):
        """[n 4 4], [n 2] of _phrases -> [n 128] of length 1."""
        parts = [jax.nn.one_hot(present[..., i], n) for i, n in enumerate(_phrases.COUNTS)]
        x = nn.Dense(256)(jnp.concatenate(parts, -1))
        x = nn.Dense(256)(nn.gelu(x)) * (present[..., :1] >= 0)
        where = jnp.concatenate([jax.nn.one_hot(place[:, i], 8) for i in range(2)], -1)
        return clip.normalise(nn.Dense(128)(x.sum(1) + nn.Dense(256)(where)))


class Cells(nn.Module):
    """What is in the cell of each patch."""

    @nn.compact
    def __call__(self, patches) -> list:
        """[n 64 d] -> logits of category [n 64 17] and colour [n 64 9], 0 for none."""
        return jnp.split(nn.Dense(17 + 9)(nn.LayerNorm(1e-5)(patches)), [17], -1)


class Slots(nn.Module):
    """What stands at each position, from an embedding."""

    @nn.compact
    def __call__(self, embeds) -> list:
        """[n p] of length 1 -> logits of category, colour, size [n 9 .], sky and ground [n 8]."""
        x = nn.Dense(9 * (17 + 9 + 4) + 8 + 8)(embeds * embeds.shape[-1] ** 0.5)
        slots, sky, ground = jnp.split(x, [270, 278], -1)
        return [*jnp.split(slots.reshape(-1, 9, 30), [17, 26], -1), sky, ground]


def near(vision: dict, rng: np.random.Generator) -> dict:
    """A picture's tower that begins by looking near: a small set of pictures does not teach that.

    Positions begin as sines and cosines of row and column, as large as what patches show, and
    queries begin as keys, so that a patch attends to patches that are near or alike.

    Source: Beyer et al. 2022, https://arxiv.org/abs/2205.01580; Trockman and Kolter 2023,
    https://arxiv.org/abs/2305.09828.

    Args:
      vision: parameters of clip.VisionTower, just made.
      rng: of queries and keys.
    """
    out = dict(vision)
    patches, width = vision['embeddings.position_embedding']['embedding'].shape
    side, waves = int((patches - 1) ** 0.5), width // 4
    angle = np.arange(side)[:, None] * np.pi / side * 1.2 ** -np.arange(waves) * 4
    both = np.concatenate([np.sin(angle), np.cos(angle)], -1)  # [side width/2]
    rows, columns = np.repeat(both, side, 0), np.tile(both, (side, 1))
    grid = np.concatenate([rows, columns], -1)
    out['embeddings.position_embedding'] = {
        'embedding': jnp.asarray(np.concatenate([np.zeros((1, width)), grid]), jnp.float32)
    }
    for name in vision:
        if name.startswith('encoder.'):
            kernel = rng.normal(0, 0.7 * width**-0.5, (width, width)).astype(np.float32)
            same = {
                f'self_attn.{part}_proj': vision[name][f'self_attn.{part}_proj']
                | {'kernel': jnp.asarray(kernel)}
                for part in ('q', 'k')
            }
            out[name] = vision[name] | same
    return out


def text_loss(net: clip.Clip, settings: dict, whole, params: dict, batch: dict, rng=None):
    """Text tower and `Scene`: the loss and its parts.

    Args:
      net: the pair.
      settings: weight 'slots'.
      whole: params -> those of the pair.
      params: text_model, text_projection, logit_scale, scene, slots.
      batch: of _clip_batches.
      rng: not used.
    """
    told = Scene().apply({'params': params['scene']}, batch['present'], batch['place'])
    text = _text(net, whole(params), batch)
    contrast, found = _contrast(told, text, params['logit_scale'], batch['holds'])
    embeds = jnp.concatenate([told, text[_clip_batches.own(len(told))]])
    labels = jax.tree.map(lambda *x: jnp.concatenate(x), batch['scene_slots'], batch['said_slots'])
    slots = _slots(params['slots'], embeds, labels)
    total = contrast + settings['slots'] * slots
    return total, {'contrast': contrast, 'slots': slots, 'found': found}


def vision_loss(net: clip.Clip, settings: dict, text: dict, params: dict, batch: dict, rng=None):
    """The picture's tower beside a text tower that stays: the loss and its parts.

    Args:
      net: the pair.
      settings: weights 'slots', 'cells', 'teach'.
      text: what `text_loss` has trained.
      params: vision_model, visual_projection, logit_scale, slots, cells.
      batch: of _clip_batches.
      rng: not used.
    """
    pixels = clip.prepare(net.config, batch['images'].astype(jnp.float32) / 255)
    held = {key: text[key] for key in OF_TEXT} | params
    seen = net.apply({'params': held}, pixels, method='layers')
    image = clip.normalise(seen['image_embeds'])
    contrast, found = _contrast(
        image, _text(net, held, batch), params['logit_scale'], batch['holds']
    )
    told = Scene().apply({'params': text['scene']}, batch['present'], batch['place'])
    taught = (1 - (image * told).sum(-1)).mean()
    slots = _slots(params['slots'], image, batch['scene_slots'])
    patches = seen[f'hidden.{net.config.vision.num_hidden_layers}'][:, 1:]
    cells = sum(
        optax.softmax_cross_entropy(logit, share.astype(jnp.float32)).mean()
        for logit, share in zip(
            Cells().apply({'params': params['cells']}, patches), batch['cells'], strict=True
        )
    )
    parts = {'contrast': contrast, 'slots': slots, 'cells': cells, 'taught': taught}
    weighted = settings['slots'] * slots + settings['cells'] * cells + settings['teach'] * taught
    return contrast + weighted, parts | {'found': found}


def _text(net, params, batch):
    """[m p] embeddings of a batch's captions, of length 1."""
    both = [
        net.apply({'params': params}, batch[name], method='encode_text')
        for name in ('short', 'long')
    ]
    return clip.normalise(jnp.concatenate(both))


def _contrast(image, text, logit_scale, holds):
    """Symmetric InfoNCE of [n p] with [m p], and how often the own caption is the nearest."""
    own = _clip_batches.own(len(image))
    logits = jnp.exp(jnp.minimum(logit_scale, _HOTTEST)) * (image @ text.T)
    other = jnp.ones(logits.shape, bool).at[jnp.arange(len(image)), own].set(False)
    logits = jnp.where(holds & other, -1e9, logits)  # right too, though not the own
    entropy = optax.softmax_cross_entropy_with_integer_labels
    to_text = entropy(logits, own).mean()
    to_image = entropy(logits[:, own].T, jnp.arange(len(image))).mean()
    return (to_text + to_image) / 2, (logits.argmax(-1) == own).mean()


def _slots(params, embeds, labels):
    """Mean cross entropies of `Slots`, where the label is not -1."""
    total = 0.0
    for logits, label in zip(Slots().apply({'params': params}, embeds), labels, strict=True):
        said = label >= 0
        each = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(label, 0))
        total += (each * said).sum() / jnp.maximum(said.sum(), 1)
    return total
