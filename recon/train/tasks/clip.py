"""The small CLIP pair: scenes and what is said of them; writes clip/, text_encoder/, tokenizer/.

First the text tower, beside a net that is told what is in a scene (`Scene`); then the picture's
tower, which has to say the same as both, while the text stays: what is built on the text encoder
may be trained as soon as that is written. Symmetric InfoNCE (Radford et al. 2021), also against
captions in which one thing is wrong (Yuksekgonul et al. 2023), and heads that are thrown away:
each patch says what is in its cell, each embedding what stands at each of nine positions.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import results
from recon.data.simulator import scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _clip_batches, _clip_losses, _judge, _phrases, _scenes
from recon.zoo import clip, tokenizers, weights

# The embedded pair took these numbers of steps, but its picture's tower in three starts whose
# schedules were those of 1000 (261 steps), 6000 (161) and 532 steps (110).
SETTINGS = {
    'text_steps': 700,
    'text_learning_rate': 2e-3,
    'text_batch': 128,
    'steps': 532,
    'learning_rate': 1e-3,
    'batch': 64,
    'warmup': 0.05,
    'weight_decay': 0.05,
    'clip': 1.0,
    'b2': 0.98,
    'slots': 0.5,
    'cells': 6.0,
    'teach': 5.0,
    'save_every': 100,
    'log_every': 20,
}
VALIDATED = 1000  # the last training scenes, never trained on


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
    first = jax.jit(net.init)(jax.random.key(seed), *_zeros(clip.example(net.config)))['params']
    training = _Training(settings, drawn, speak, net, first, work / 'clip', seed, stop)
    text = _fit_text(training)
    save(out, net, training.whole(text))
    save(out, net, training.whole(text | _fit_vision(training, text)))


@dataclasses.dataclass(frozen=True)
class _Training:
    """What both parts of the training share: see `run`; `first` are the pair's first parameters."""

    settings: dict
    drawn: scenes.Scenes
    speak: _phrases.Speaker
    net: clip.Clip
    first: dict
    folder: pathlib.Path
    seed: int
    stop: object

    @property
    def count(self) -> int:
        """Scenes that are trained on."""
        return len(self.drawn.ids) - VALIDATED

    def whole(self, params: dict) -> dict:
        """All parameters of the pair, those that are not in `params` as they began."""
        return self.first | {key: value for key, value in params.items() if key in self.first}

    def judged(self):
        """Pictures, what is in them, places: of the scenes put aside."""
        rows = np.arange(self.count, len(self.drawn.ids))
        place = np.array(self.drawn.place[rows], int)
        return np.array(self.drawn.images[rows]), _phrases.objects(self.drawn, rows), place

    def fit(self, name: str, init, loss, validate) -> dict:
        """Parameters on the host, trained as the settings say of `name`."""
        settings, of = self.settings, 'text_' if name == 'text' else ''
        steps = settings[f'{of}steps']
        rate = {'learning_rate': settings[f'{of}learning_rate']}
        optimizer = optim.make(settings | rate, steps)
        batches = _clip_batches.Batches(
            *(self.drawn, self.count, self.speak, settings[f'{of}batch'], self.seed),
            pictures=name == 'vision',
        )
        state = loop.fit(
            step.single(loss, optimizer),
            states.create(init, optimizer, jax.random.key(self.seed)),
            batches,
            steps=steps,
            folder=self.folder / name,
            rng=jax.random.key(self.seed),
            save_every=settings['save_every'],
            log_every=settings['log_every'],
            stop=self.stop,
            validate=validate,
        )
        return jax.tree.map(np.asarray, state.params)


def _fit_text(training: _Training) -> dict:
    """Text tower, projection, temperature; with them `scene` and `slots` of _clip_losses."""
    net, settings = training.net, training.settings
    _, present, place = training.judged()

    def init(rng):
        scene = _clip_losses.Scene().init(rng, present[:1], place[:1])['params']
        slots = _clip_losses.Slots().init(rng, jnp.zeros((1, net.config.projection_dim)))['params']
        own = {key: training.first[key] for key in (*_clip_losses.OF_TEXT, 'logit_scale')}
        return own | {'scene': scene, 'slots': slots}

    def validate(state):
        told = _clip_losses.Scene().apply({'params': state.params['scene']}, present, place)
        judge = _judge.Judge(net, training.whole(state.params), training.speak)
        return _judge.scores(judge, np.asarray(told), present, place)

    loss = functools.partial(_clip_losses.text_loss, net, settings, training.whole)
    return training.fit('text', init, loss, validate)


def _fit_vision(training: _Training, text: dict) -> dict:
    """The picture's tower, its projection, the temperature; with them `slots` and `cells`."""
    net, settings = training.net, training.settings
    shown, present, place = training.judged()

    def init(rng):
        patches = jnp.zeros((1, 64, net.config.vision.hidden_size))
        own = {key: value for key, value in training.first.items() if key not in text}
        own['vision_model'] = _clip_losses.near(
            own['vision_model'], np.random.default_rng(training.seed)
        )
        learnt = {key: text[key] for key in ('slots', 'logit_scale')}
        return own | learnt | {'cells': _clip_losses.Cells().init(rng, patches)['params']}

    def validate(state):
        judge = _judge.Judge(net, training.whole(text | state.params), training.speak)
        return _judge.scores(judge, judge.images(shown), present, place)

    loss = functools.partial(_clip_losses.vision_loss, net, settings, text)
    return training.fit('vision', init, loss, validate)


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
      exchanged: 'main_category_of_16' and 'main_colour_of_8'; each also for scenes with pairs of
      category and colour that no training scene shows, and with its chance.
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
