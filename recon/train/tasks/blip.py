"""The tiny captioner: what a scene shows, in a sentence, the main object first.

It is taught with captions and, since captions alone teach a small vision tower slowly, with heads
on its patch tokens that are thrown away afterwards: each cell of the picture says which object it
shows, in which colour and size, where that object stands, and when the caption names it.

Test scenes pair categories with colours that no training scene has. So that the decoder does not
learn to exclude such pairs from the words alone, it hears some colours wrong while it is taught.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from recon.core import results
from recon.data.simulator import backgrounds, scenes
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _caption_scores, _scenes
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
    'cells': 1.0,  # weight of the heads on patch tokens beside that of the captions
    'misheard': 0.3,  # share of the colours that the decoder hears wrong
    'scenes': 65_700,
    'save_every': 250,
    'log_every': 50,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
FOLDER = 'blip'
LENGTH = 48  # ids; the longest caption has 45 with those that open and close it
PROMPT = 'a picture of a blurry'  # words that callers may put in front
# Of a cell: category or none, colour, size, position, place in the caption.
_HEADS = (
    len(scenes.CATEGORIES) + 1,
    len(scenes.COLOURS),
    len(scenes.SIZES),
    len(scenes.POSITIONS),
    scenes.MAX_OBJECTS,
)


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
    net, ids, colours = _vocabulary(f'{work}/{FOLDER}/words', drawn)
    rows = len(ids) - ASIDE
    optimizer = optim.make(settings, settings['steps'])
    root = jax.random.key(seed)
    state = states.create(
        lambda rng: _begin(net, rng), optimizer, jax.random.fold_in(root, 0), ema=True
    )

    def batch_at(i):
        return _batch(drawn, ids, np.sort(_scenes.batch_indices(seed, i, rows, settings['batch'])))

    def loss(params, batch, rng):
        return losses(net, params, batch, settings['cells'])

    aside = jax.jit(lambda params, batch: losses(net, params, batch, settings['cells'])[1])

    def validate(state):
        parts = [
            aside(state.averaged, _batch(drawn, ids, np.arange(start, start + 125)))
            for start in range(rows, len(ids), 125)
        ]
        mean = {key: float(np.mean([part[key] for part in parts])) for key in parts[0]}
        return {'loss': mean['words']} | mean

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
    write(out, net, jax.device_get(state.averaged)['net'], drawn)


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
    """The net for the words of the captions, the captions as ids [m LENGTH], the colours' ids."""
    sentences = _sentences(drawn)
    net = blip.Captioner(config(tokenizers.write_bert(folder, sentences, PROMPT, LENGTH)))
    tokenizer = tokenizers.load(folder)
    ids = tokenizer.encode(sentences, LENGTH)
    ids[:, 0] = net.config.text_config.bos_token_id
    return net, ids, tokenizer.encode(scenes.COLOURS, 3)[:, 1]


def mishear(ids: np.ndarray, colours: np.ndarray, share: float, rng) -> np.ndarray:
    """Ids [n k] with this share of the words `colours` [8] exchanged for any of them."""
    wrong = np.isin(ids, colours) & (rng.random(ids.shape) < share)
    return np.where(wrong, rng.choice(colours, ids.shape), ids).astype(np.int32)


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
    heads = (vision.hidden_size, sum(_HEADS))
    place = (vision.hidden_size, len(backgrounds.SKIES) + len(backgrounds.GROUNDS))
    return {
        'net': params,
        'cells': kernel(jax.random.fold_in(rng, 1), heads),
        'place': kernel(jax.random.fold_in(rng, 2), place),
    }


def _batch(drawn: scenes.Scenes, ids: np.ndarray, rows: np.ndarray) -> dict:
    cells, shown = _cells(drawn, rows)
    return {
        'images': drawn.images[rows], 'ids': ids[rows], 'heard': ids[rows],
        'cells': cells, 'shown': shown, 'place': np.asarray(drawn.place[rows], np.int32),
    }  # fmt: skip


def _cells(drawn: scenes.Scenes, rows) -> tuple[np.ndarray, np.ndarray]:
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


def losses(net: blip.Captioner, params: dict, batch: dict, weight: float) -> tuple[Array, dict]:
    """The loss of a batch, and its parts: 'words' and 'cells' (nats), 'right' (share of words)."""
    pixels = blip.prepare(net.config, batch['images'] / jnp.float32(255))
    apply = lambda *args, method: net.apply({'params': params['net']}, *args, method=method)  # noqa: E731
    states_ = apply(pixels, method='encode')  # [n 65 d]
    ids = batch['ids']
    logits = apply(batch['heard'][:, :-1], states_, method='logits')
    counted = (ids[:, 1:] != net.config.text_config.pad_token_id).astype(jnp.float32)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, ids[:, 1:])
    words = (each * counted).sum() / counted.sum()
    right = ((logits.argmax(-1) == ids[:, 1:]) * counted).sum() / counted.sum()
    cells = cell_loss(states_[:, 1:] @ params['cells'], batch['cells'], batch['shown'])
    place = states_[:, 0] @ params['place']
    skies = len(backgrounds.SKIES)
    for i, part in enumerate((place[:, :skies], place[:, skies:])):
        each = optax.softmax_cross_entropy_with_integer_labels(part, batch['place'][:, i])
        cells = cells + 0.1 * each.mean()
    return words + weight * cells, {'words': words, 'cells': cells, 'right': right}


def cell_loss(
    logits: Float[Array, 'n p k'], what: Array, shown: Float[Array, 'n 4 p']
) -> Float[Array, '']:
    """Cross entropy of what the cells say of the objects in them, in nats.

    Args:
      logits: [n 64 41], the heads side by side.
      what: [n 4 5], see `_cells`.
      shown: [n 4 64], coverage.

    Returns:
      Category (17 classes, the last is nothing): mean over cells. The rest: sums of means over
      what is covered.
    """
    total, start = 0.0, 0
    for i, size in enumerate(_HEADS):
        log = jax.nn.log_softmax(logits[..., start : start + size], -1)  # [n p size]
        label = jax.nn.one_hot(what[..., i], size)  # [n 4 size]
        target = jnp.einsum('nop,nos->nps', shown, label)
        start += size
        if i == 0:
            target = target.at[..., -1].set(1 - target.sum(-1))
            total += -(target * log).sum(-1).mean()
        else:
            total += -0.5 * (target * log).sum() / jnp.maximum(shown.sum(), 1)
    return total


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
