"""The tiny captioner: what a scene shows, in a sentence, the main object first.

It is taught with captions and, since captions alone teach a small vision tower slowly, with heads
on its patch tokens that are thrown away afterwards: each cell of the picture says which object it
shows, in which colour and size, where that object stands, and when the caption names it.

Test scenes pair categories with colours that no training scene has, and a net that is taught with
scenes as they are learns that such a pair cannot be. So in a second stage the colours of pictures
are exchanged, and the decoder hears some colours wrong.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import results
from recon.data import loader
from recon.data.simulator import backgrounds, scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _blip_lessons, _caption_scores, _scenes
from recon.zoo import blip, tokenizers, weights

SETTINGS = {
    'steps': 2000,
    'batch': 32,
    'learning_rate': 1.2e-3,
    'schedule': 'cosine',
    'warmup': 0.04,
    'weight_decay': 0.03,
    'clip': 1.0,
    'b2': 0.98,
    'ema': 0.998,
    # Those of the second stage.
    'then_steps': 1800,
    'then_batch': 40,
    'then_learning_rate': 1e-3,
    'said': 16,  # pictures of a batch whose captions are taught; all of them teach their cells
    'objects': 1.0,
    'exchanged': 0.5,
    'misheard': 0.4,
    'scenes': 65_700,
    'save_every': 250,
    'log_every': 50,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
_WATCHED = 125  # of them at once
FOLDER = 'blip'
LENGTH = 48  # ids; the longest caption has 45 with those that open and close it
PROMPT = 'a picture of a blurry'  # words that callers may put in front


def config(words: int) -> blip.Config:
    """Sizes for a tokenizer of `words` ids; the id after them opens a caption."""
    return blip.Config(
        blip.Vision(160, 640, 4, 5, image_size=64, patch_size=8, hidden_act='relu'),
        blip.Text(words + 1, 128, 512, 2, 4, 56, 'relu', bos_token_id=words, sep_token_id=3,
                  pad_token_id=0, eos_token_id=3),
    )  # fmt: skip


def run(settings: dict, out, work, *, seed: int = 0, stop=lambda: False) -> None:
    """Trains, from where `work/blip` stands, and writes `out/blip`.

    Args:
      settings: SETTINGS, changed.
      out: folder of the small nets.
      work: folder for checkpoints and drawn scenes.
      seed: of parameters and batches.
      stop: asked before every step.
    """
    drawn = _scenes.training(work, settings['scenes'])
    net, ids, *words = _vocabulary(f'{work}/{FOLDER}/words', drawn)
    root = jax.random.key(seed)
    params = lambda rng: _begin(net, rng)  # noqa: E731
    for name, stage in _stages(settings).items():
        optimizer = optim.make(stage, stage['steps'])
        state = states.create(params, optimizer, jax.random.fold_in(root, 0), ema=True)
        state = loop.fit(
            step.single(_loss(net, stage), optimizer, ema=settings['ema']),
            state,
            _batches(drawn, ids, words, stage, seed),
            steps=stage['steps'],
            folder=f'{work}/{FOLDER}/{name}',
            rng=jax.random.fold_in(root, 1),
            save_every=settings['save_every'],
            log_every=settings['log_every'],
            stop=stop,
            validate=_watch(net, drawn, ids),
        )
        before = state.averaged
        params = lambda rng, before=before: jax.tree.map(jnp.copy, before)  # noqa: E731
    write(out, net, jax.device_get(state.averaged)['net'], drawn)


def _stages(settings: dict) -> dict[str, dict]:
    """Settings of the two stages: scenes as they are, then disguised."""
    plain = settings | {'said': settings['batch'], 'objects': 0.0, 'disguised': False}
    again = {key.removeprefix('then_'): settings[key] for key in settings if key[:5] == 'then_'}
    return {'plain': plain, 'disguised': settings | again | {'disguised': True}}


def _loss(net: blip.Captioner, stage: dict):
    return lambda params, given, rng: _blip_lessons.losses(net, params, given, stage)


def _batches(drawn: scenes.Scenes, ids: np.ndarray, words, stage: dict, seed: int):
    """The function that gives the batch of a step."""
    rows = len(ids) - ASIDE

    def batch_at(i):
        chosen = loader.rows(seed, i, rows, stage['batch'])
        if not stage['disguised']:
            return _blip_lessons.batch(drawn, ids, np.sort(chosen))
        given = _blip_lessons.batch(drawn, ids, chosen)
        rng = np.random.default_rng((seed, 1, i))
        return _blip_lessons.disguise(given, *words, stage, rng)

    return batch_at


def _watch(net: blip.Captioner, drawn: scenes.Scenes, ids: np.ndarray):
    """The function that gives losses on the scenes put aside."""
    stage = {'said': _WATCHED, 'objects': 0.0}
    losses = jax.jit(lambda params, given: _blip_lessons.losses(net, params, given, stage)[1])

    def validate(state):
        parts = [
            losses(state.averaged, _blip_lessons.batch(drawn, ids, np.arange(i, i + _WATCHED)))
            for i in range(len(ids) - ASIDE, len(ids), _WATCHED)
        ]
        mean = {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}
        return {'loss': mean['words']} | mean

    return validate


def write(out, net: blip.Captioner, params: dict, drawn: scenes.Scenes) -> None:
    """Writes `out/blip`: config, weights, tokenizer and preprocessor."""
    folder = pathlib.Path(out) / FOLDER
    weights.save(folder, net, params, extra={'scenes_version': scenes.SCENES_VERSION})
    tokenizers.write_bert(folder, _sentences(drawn), PROMPT, LENGTH)
    text = results.to_json(blip.preprocessor(net.config)) + '\n'
    results.write_bytes(folder / 'preprocessor_config.json', text.encode())


def _sentences(drawn: scenes.Scenes) -> list[str]:
    fields = {name: np.array(getattr(drawn, name)) for name in ('category', 'colour', 'size')}
    fields |= {name: np.array(getattr(drawn, name)) for name in ('position', 'visible', 'place')}
    rest = {name: drawn.ids for name in ('ids', 'images', 'box', 'coverage', 'contents')}
    return scenes.captions(scenes.Scenes(**fields, **rest))


def _vocabulary(folder, drawn: scenes.Scenes) -> tuple:
    """The net for the captions' words, captions as ids [m LENGTH], ids of colours and comma."""
    sentences = _sentences(drawn)
    net = blip.Captioner(config(tokenizers.write_bert(folder, sentences, PROMPT, LENGTH)))
    tokenizer = tokenizers.load(folder)
    ids = tokenizer.encode(sentences, LENGTH)
    ids[:, 0] = net.config.text_config.bos_token_id
    return (
        net,
        ids,
        tokenizer.encode(scenes.COLOURS, 3)[:, 1],
        int(tokenizer.encode([','], 3)[0, 1]),
    )


def _begin(net: blip.Captioner, rng) -> dict:
    """Parameters of the net and of the heads on its tokens."""
    first = jax.random.fold_in(rng, 0)
    params = net.init(first, jnp.zeros((1, 64, 64, 3)), jnp.zeros((1, 4), jnp.int32))['params']
    vision = net.config.vision_config
    # Places as waves from the start: they are otherwise learned late.
    at = jnp.arange(8) / 8
    width = vision.hidden_size // 4
    waves = jnp.pi * at[:, None] * 2.0 ** jnp.linspace(-1, 3, width)  # [8 d/4]
    waves = 0.5 * jnp.concatenate([jnp.sin(waves), jnp.cos(waves)], -1)  # [8 d/2]
    grid = jnp.concatenate(
        [jnp.repeat(waves[:, None], 8, 1), jnp.repeat(waves[None], 8, 0)], -1
    ).reshape(64, -1)
    places = params['vision_model']['embeddings']['position_embedding']
    params['vision_model']['embeddings']['position_embedding'] = places.at[0, 1:].add(grid)
    kernel = jax.nn.initializers.lecun_normal()
    heads = (vision.hidden_size, sum(_blip_lessons.HEADS))
    place = (vision.hidden_size, len(backgrounds.SKIES) + len(backgrounds.GROUNDS))
    return {
        'net': params,
        'cells': kernel(jax.random.fold_in(rng, 1), heads),
        'place': kernel(jax.random.fold_in(rng, 2), place),
    }


def measure(out, n: int = 2000) -> dict:
    """How the captions of `out/blip` fit the first `n` held-out scenes; see `_caption_scores`."""
    drawn = _scenes.held_out(n)
    return _caption_scores.scores(captions(f'{out}/{FOLDER}', drawn.images), drawn)


def captions(folder, images: np.ndarray, **options) -> list[str]:
    """Sentences of the captioner in `folder` about pictures [n h w 3] uint8.

    Args:
      folder: of `write`.
      images: any number.
      **options: of `blip.generate`.
    """
    loaded = weights.load(folder)
    tokenizer = tokenizers.load(folder)
    options = {'length': LENGTH} | options
    said = []
    for start in range(0, len(images), 100):
        some = jnp.asarray(images[start : start + 100] / np.float32(255))
        ids = blip.generate(loaded.module, loaded.params, some, **options)
        said += tokenizer.decode(np.asarray(ids))
    return [sentence.replace(' ,', ',') for sentence in said]
