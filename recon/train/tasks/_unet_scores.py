"""What the tiny U-Net reaches: its pictures of held-out captions, before the other tiny nets."""

import dataclasses
import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import rng as rngs
from recon.data.simulator import scenes
from recon.generators import diffusion
from recon.train.tasks import _judge, _phrases, _scenes
from recon.zoo import alexnet, sd_vae, tokenizers, weights

STEPS, SCALE, STRENGTH = 50, 4.0, 0.5
_CHUNK = 100


@dataclasses.dataclass(frozen=True)
class Painter:
    """The nets of a folder that make a picture from a caption.

    Attributes:
      nets: {'unet', 'vae', 'text_encoder': Loaded}.
      config: of the scheduler.
      speak: makes token ids.
    """

    nets: dict
    config: diffusion.Config
    speak: _phrases.Speaker

    def states(self, said, place) -> np.ndarray:
        """[n 4 4], [n 2] of _phrases -> text states [n k d]."""
        text = self.nets['text_encoder']
        ids = self.speak(said, place)
        parts = [text.module.apply({'params': text.params}, part) for part in _parts(ids)]
        return np.concatenate(parts)[: len(ids)]

    def paint(self, said, place, seed: int = 0, images=None, strength: float = 1.0) -> np.ndarray:
        """Pictures [n 64 64 3] in [0, 1] of captions.

        Args:
          said: [n 4 4].
          place: [n 2].
          seed: of the noise.
          images: [n 64 64 3] uint8 to start from (img2img), or None.
          strength: share of the steps, where there are images.
        """
        plan = diffusion.plan(self.config, STEPS, strength)
        known = self.states(said, place)
        nothing = self.states(np.full((1, 4, 4), -1), np.full((1, 2), -1))
        params = {name: net.params for name, net in self.nets.items()}
        modules = tuple((name, net.module) for name, net in self.nets.items())
        out = []
        for i, part in enumerate(_parts(known)):
            begun = None if images is None else _parts(images)[i] / np.float32(255)
            key = jax.random.fold_in(jax.random.key(seed), i)
            out.append(_paint(modules, params, plan, part, nothing, begun, key))
        return np.concatenate(out)[: len(said)]


def load(out) -> Painter:
    """The painter of a folder that is laid out like Stable Diffusion's."""
    out = pathlib.Path(out)
    nets = {name: weights.load(out / name) for name in ('unet', 'vae', 'text_encoder')}
    raw = json.loads((out / 'scheduler' / 'scheduler_config.json').read_text())
    speak = _judge.speaker(tokenizers.load(out / 'tokenizer'))
    return Painter(nets, diffusion.read(raw), speak)


@functools.partial(jax.jit, static_argnums=0)
def _paint(modules, params, plan, known, nothing, images, key):
    nets = dict(modules)
    unet = functools.partial(nets['unet'].apply, {'params': params['unet']})
    shape = (len(known), *[nets['unet'].config.sample_size] * 2, nets['unet'].config.in_channels)
    begun = None if images is None else sd_vae.latents(nets['vae'], params['vae'], images)
    x = diffusion.begin(plan, jax.random.normal(key, shape), begun)
    x = diffusion.sample(diffusion.guided(unet, known, nothing, SCALE), plan, x)
    return sd_vae.pictures(nets['vae'], params['vae'], x)


def _parts(x: np.ndarray) -> list[np.ndarray]:
    """Equal chunks, the last one filled up, so that what takes them is compiled once."""
    size = min(_CHUNK, len(x))
    x = np.concatenate([x, np.repeat(x[:1], -len(x) % size, 0)])
    return [x[i : i + size] for i in range(0, len(x), size)]


def measure(out, n: int = 400) -> dict:
    """What the nets of `out` reach on the first `n` held-out scenes' captions.

    Pictures of 50 guided steps are judged as if they were the scenes: by the category net (the main
    category is first, or among the first k of a caption of k objects) and by CLIP (the caption
    beats those with another category or colour of the main object, and 99 others). Beside them
    stand the true scenes, pictures of other captions, and chance.

    Returns:
      {who: numbers}; with img2img from the scenes: whether the mean luminance of 8 x 8 cells is
      nearer (correlation) to the source's than to another's, with the own and another's caption.
    """
    out = pathlib.Path(out)
    painter, drawn = load(out), _scenes.held_out(n)
    judges = _judges(out)
    said, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    painted = painter.paint(said, place)
    other = rngs.derangement(np.random.default_rng(0), n)
    unseen = scenes.has_unseen(drawn)
    pictures = {'samples': painted, 'true_scenes': drawn.images, 'other_captions': painted[other]}
    count = (said[..., 0] >= 0).sum(1)
    chance = {'main_category_first': 1 / 16, 'main_category_among_k': float(count.mean()) / 16}
    chance |= {'main_category_of_16': 1 / 16, 'main_colour_of_8': 1 / 8}
    chance |= {'image_to_text_top1': 1 / _judge.GROUP}
    result = {'scenes': n, 'steps': STEPS, 'guidance': SCALE, 'chance': chance}
    for name, images in pictures.items():
        result[name] = _scores(judges, images, said, place)
        result[name]['unseen_pairs'] = {'scenes': int(unseen.sum())} | _scores(
            judges, images[unseen], said[unseen], place[unseen]
        )
    again = {'own': np.arange(n), 'another': other}
    result['img2img'] = {'strength': STRENGTH, 'chance': 0.5} | {
        f'layout_kept_with_{whose}_caption': _kept(
            painter.paint(said[rows], place[rows], 1, drawn.images, STRENGTH), drawn.images
        )
        for whose, rows in again.items()
    }
    return result


def _judges(out: pathlib.Path):
    """The category net and the CLIP pair."""
    clip = weights.load(out / 'clip')
    speak = _judge.speaker(tokenizers.load(out / 'clip'))
    return weights.load(out / 'alexnet'), _judge.Judge(clip.module, clip.params, speak)


def _scores(judges, images, said, place) -> dict[str, float]:
    """Of pictures [n 64 64 3] (uint8, or in [0, 1]) and what their captions say."""
    net, judge = judges
    scale = 255 if images.dtype == np.uint8 else 1
    logits = np.concatenate(
        [_categories(net.module, net.params, part) for part in _parts(images / np.float32(scale))]
    )[: len(images)]
    main = said[:, 0, _phrases.CATEGORY]
    place_of_main = (logits > np.take_along_axis(logits, main[:, None], 1)).sum(1)
    named = (said[..., _phrases.CATEGORY] >= 0).sum(1)
    found = _judge.scores(judge, judge.images(images), said, place)
    return {
        'main_category_first': float((place_of_main == 0).mean()),
        'main_category_among_k': float((place_of_main < named).mean()),
    } | {key: found[key] for key in found if key != 'text_to_image_top1'}


@functools.partial(jax.jit, static_argnums=0)
def _categories(module, params, images):
    pixels = alexnet.prepare(module.config, images)
    return module.apply({'params': params}, pixels).astype(jnp.float32)


def _kept(images: np.ndarray, sources: np.ndarray) -> float:
    """How often a picture's cells resemble its source's more than another source's."""
    maps = [_luminance(images), _luminance(sources / np.float32(255))]
    maps = [x - x.mean(1, keepdims=True) for x in maps]
    ours, theirs = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in maps)
    alike = ours @ theirs.T  # [n n]
    n = len(alike)
    return float((np.diag(alike)[:, None] > alike).sum() / (n * (n - 1)))


def _luminance(images: np.ndarray) -> np.ndarray:
    """[n 64]: mean luminance of 8 x 8 cells."""
    n, h, w, _ = images.shape
    grey = images @ np.array([0.299, 0.587, 0.114], np.float32)
    return grey.reshape(n, 8, h // 8, 8, w // 8).mean((2, 4)).reshape(n, -1)
