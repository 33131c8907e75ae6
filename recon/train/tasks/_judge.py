"""The CLIP pair as a judge of scenes: is the right caption found among others?"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from recon.train.tasks import _phrases
from recon.zoo import clip

GROUP = 100  # captions among which the right one is looked for
_CHUNK = 256


def speaker(tokenizer) -> _phrases.Speaker:
    """What makes ids of captions as `tokenizer` (of zoo/tokenizers) does, but from indices."""
    words = _phrases.words()
    ids = tokenizer.encode(words, 4)  # begin, word, end, fill
    return _phrases.Speaker(
        dict(zip(words, ids[:, 1].tolist(), strict=True)), int(ids[0, 0]), int(ids[0, 2])
    )


@dataclasses.dataclass(frozen=True)
class Judge:
    """Cosines between pictures and captions.

    Attributes:
      net: the pair.
      params: of it.
      speak: makes its token ids.
    """

    net: clip.Clip
    params: dict
    speak: _phrases.Speaker

    def images(self, images) -> np.ndarray:
        """[n 64 64 3], uint8 or in [0, 1] -> [n p] of length 1."""
        scale = 255 if images.dtype == np.uint8 else 1
        return _in_chunks(
            lambda x: _image(self.net, self.params, x), np.asarray(images, np.float32) / scale
        )

    def captions(self, said, place) -> np.ndarray:
        """[n 4 4], [n 2] of _phrases -> [n p] of length 1."""
        return _in_chunks(lambda x: _text(self.net, self.params, x), self.speak(said, place))

    def exchanged(self, images, said, place, column: int) -> np.ndarray:
        """Whether each picture's caption beats those with the main object's `column` exchanged.

        Args:
          images: [n p] embeddings.
          said: [n 4 4], the main object first.
          place: [n 2].
          column: _phrases.CATEGORY (15 others) or COLOUR (7 others).

        Returns:
          [n] bool.
        """
        every = _phrases.exchanged(said, column)
        n, c = every.shape[:2]
        text = self.captions(every.reshape(n * c, 4, 4), np.repeat(place, c, 0)).reshape(n, c, -1)
        cosines = np.einsum('np,ncp->nc', images, text)
        return cosines.argmax(1) == said[:, 0, column]


def top1(images, text, said, place) -> tuple[float, float]:
    """Right caption of each picture, and right picture of each caption, among GROUP distinct ones.

    Args:
      images: [n p].
      text: [n p].
      said: [n 4 4], that `text` says; a caption that came before is left out.
      place: [n 2].

    Returns:
      Two fractions over all whole groups, in the order of the scenes.
    """
    whole = np.concatenate([said.reshape(len(said), -1), place], 1)
    keep = np.sort(np.unique(whole, axis=0, return_index=True)[1])
    keep = keep[: len(keep) // GROUP * GROUP].reshape(-1, GROUP)
    if not len(keep):
        return float('nan'), float('nan')
    cosines = np.einsum('gip,gjp->gij', images[keep], text[keep])
    right = np.arange(GROUP)
    return tuple(float((cosines.argmax(axis) == right).mean()) for axis in (2, 1))


def scores(judge: Judge, image, said, place) -> dict[str, float]:
    """Of pictures' embeddings [n p] and what their captions say: fractions that are right."""
    text = judge.captions(said, place)
    to_text, to_image = top1(image, text, said, place)
    return {
        'image_to_text_top1': to_text,
        'text_to_image_top1': to_image,
        'main_category_of_16': float(judge.exchanged(image, said, place, _phrases.CATEGORY).mean()),
        'main_colour_of_8': float(judge.exchanged(image, said, place, _phrases.COLOUR).mean()),
    }


def _in_chunks(apply, x) -> np.ndarray:
    """`apply` on equal chunks, so that it is compiled once."""
    padded = np.concatenate([x, np.repeat(x[:1], -len(x) % _CHUNK, 0)])
    parts = [np.asarray(apply(padded[i : i + _CHUNK])) for i in range(0, len(padded), _CHUNK)]
    return np.concatenate(parts)[: len(x)]


@functools.partial(jax.jit, static_argnums=0)
def _image(net, params, images):
    pixels = clip.prepare(net.config, images)
    embeds = net.apply({'params': params}, pixels, method='encode_image')
    return clip.normalise(embeds.astype(jnp.float32))


@functools.partial(jax.jit, static_argnums=0)
def _text(net, params, ids):
    embeds = net.apply({'params': params}, ids, method='encode_text')
    return clip.normalise(embeds.astype(jnp.float32))
