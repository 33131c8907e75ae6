"""The small CLIP pair: scenes and what is said of them; writes clip/, text_encoder/, tokenizer/.

First the text tower, beside a net that is told what is in a scene (`Scene`); then the picture's
tower, which has to say the same as both, while the text stays: what is built on the text encoder
may be trained as soon as that is written. Symmetric InfoNCE (Radford et al. 2021), also against
captions in which one thing is wrong (Yuksekgonul et al. 2023), and heads that are thrown away:
each patch says what is in its cell, each embedding what stands at each of nine positions.
"""

import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from recon.core import results
from recon.data.simulator import scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _clip_batches, _judge, _phrases, _scenes
from recon.zoo import clip, tokenizers, weights

SETTINGS = {
    'text_steps': 700,
    'text_learning_rate': 2e-3,
    'steps': 1100,
    'learning_rate': 1e-3,
    'batch': 128,
    'warmup': 0.05,
    'weight_decay': 0.05,
    'clip': 1.0,
    'b2': 0.98,
    'slots': 0.5,
    'cells': 2.0,
    'teach': 5.0,
    'save_every': 100,
    'log_every': 20,
}
VALIDATED = 1000  # the last training scenes, never trained on
_HOTTEST = float(np.log(100))
_OF_TEXT = ('text_model', 'text_projection')


def config(vocabulary: int) -> clip.Config:
    """Sizes of the small pair; the last id of the vocabulary ends a text."""
    text = clip.TextConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        projection_dim=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=_phrases.LENGTH,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
        pad_token_id=vocabulary - 1,
    )
    vision = clip.VisionConfig(
        hidden_size=192,
        intermediate_size=384,
        projection_dim=128,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=64,
        patch_size=8,
    )
    return clip.Config(text, vision, 128)


def run(settings: dict, out, work, *, seed: int = 0, stop=lambda: False) -> None:
    """Trains and writes out/clip, out/text_encoder and out/tokenizer.

    Args:
      settings: as SETTINGS.
      out: folder of the small nets.
      work: folder of drawn scenes and checkpoints; a run that was stopped goes on from there.
      seed: of parameters and batches.
      stop: asked before every step.

    Raises:
      Stopped: `stop()` was true.
    """
    out, work = pathlib.Path(out), pathlib.Path(work)
    drawn = _scenes.training(work)
    vocabulary, speak = _tokenizer(work / 'clip' / 'tokenizer')
    net = clip.Clip(config(vocabulary))
    count = len(drawn.ids) - VALIDATED
    last = np.arange(count, len(drawn.ids))
    shown, present = np.array(drawn.images[last]), _phrases.objects(drawn, last)
    place = np.array(drawn.place[last], int)
    first = jax.jit(net.init)(jax.random.key(seed), *_zeros(clip.example(net.config)))['params']

    def fit(name, init, loss, validate, rate, steps):
        optimizer = optim.make(settings | {'learning_rate': rate}, steps)
        return loop.fit(
            step.single(loss, optimizer),
            states.create(init, optimizer, jax.random.key(seed)),
            _clip_batches.Batches(
                drawn, count, speak, settings['batch'], seed, pictures=name == 'vision'
            ),
            steps=steps,
            folder=work / 'clip' / name,
            rng=jax.random.key(seed),
            save_every=settings['save_every'],
            log_every=settings['log_every'],
            stop=stop,
            validate=validate,
        ).params

    def whole(params):
        return first | {key: value for key, value in params.items() if key in first}

    def by_scene(state):
        told = Scene().apply({'params': state.params['scene']}, present, place)
        judge = _judge.Judge(net, whole(state.params), speak)
        return _judge.scores(judge, np.asarray(told), present, place)

    def text_init(rng):
        told = Scene().init(rng, present[:1], place[:1])['params']
        slots = Slots().init(rng, jnp.zeros((1, net.config.projection_dim)))['params']
        own = {key: first[key] for key in (*_OF_TEXT, 'logit_scale')}
        return own | {'scene': told, 'slots': slots}

    text = fit(
        *('text', text_init, lambda *args: text_loss(net, settings, whole, *args), by_scene),
        *(settings['text_learning_rate'], settings['text_steps']),
    )
    text = jax.tree.map(np.asarray, text)
    save(out, net, whole(text))

    def by_sight(state):
        judge = _judge.Judge(net, whole(text | state.params), speak)
        return _judge.scores(judge, judge.images(shown), present, place)

    def vision_init(rng):
        patches = jnp.zeros((1, 64, net.config.vision.hidden_size))
        own = {key: value for key, value in first.items() if key not in text}
        learnt = {key: text[key] for key in ('slots', 'logit_scale')}
        return own | learnt | {'cells': Cells().init(rng, patches)['params']}

    vision = fit(
        *('vision', vision_init, lambda *args: vision_loss(net, settings, text, *args), by_sight),
        *(settings['learning_rate'], settings['steps']),
    )
    save(out, net, whole(text | jax.tree.map(np.asarray, vision)))


def _zeros(shapes) -> list:
    return [jnp.zeros(shape.shape, shape.dtype) for shape in shapes]


def save(out, net: clip.Clip, params: dict) -> None:
    """Writes out/clip, the text tower alone as out/text_encoder, and the tokenizer of both."""
    out, facts = pathlib.Path(out), {'scenes_version': scenes.SCENES_VERSION}
    weights.save(out / 'clip', net, params, extra=facts)
    results.write_bytes(
        out / 'clip' / 'preprocessor_config.json',
        (results.to_json(clip.preprocessor(net.config)) + '\n').encode(),
    )
    alone = {'text_model': params['text_model']}
    weights.save(out / 'text_encoder', clip.ClipText(net.config.text), alone, extra=facts)
    for folder in ('clip', 'tokenizer'):
        _tokenizer(out / folder)


def measure(out, n: int = 2000) -> dict:
    """What the pair in out/clip reaches on `n` held-out scenes.

    Returns:
      Top-1 of the right caption among 100 distinct ones and of the right picture; whether the
      caption beats those with the main object's category (15 others) or colour (7 others)
      exchanged; each also for scenes with pairs of category and colour that no training scene
      shows, and with its chance.
    """
    folder = pathlib.Path(out) / 'clip'
    held = weights.load(folder)
    judge = _judge.Judge(held.module, held.params, _judge.speaker(tokenizers.load(folder)))
    drawn = _scenes.held_out(n)
    present, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    image = judge.images(drawn.images)
    reached = _judge.scores(judge, image, present, place)
    rows = np.flatnonzero(scenes.has_unseen(drawn))
    unseen = _judge.scores(judge, image[rows], present[rows], place[rows])
    chance = {'top1': 1 / _judge.GROUP, 'category': 1 / 16, 'colour': 1 / 8}
    return {
        'scenes': n,
        **reached,
        'unseen_pairs': {'scenes': len(rows), **unseen},
        'chance': chance,
        'caption_among': _judge.GROUP,
    }


def _tokenizer(folder) -> tuple[int, _phrases.Speaker]:
    """Writes it; size of its vocabulary, and what speaks in its ids."""
    size = tokenizers.write_clip(folder, _phrases.words(), _phrases.LENGTH)
    return size, _judge.speaker(tokenizers.load(folder))


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
    held = {key: text[key] for key in _OF_TEXT} | params
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
