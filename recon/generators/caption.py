"""What is to be seen on decoded pictures, in words: BLIP's captions of them.

The second seed's way from a blurry picture to the text that leads the diffusion: `vae` makes the
picture, `caption` says what it shows, `img2img` follows both. The captioner sees that the picture
is blurry and says so; such words are taken out, as the seed takes out 'blurry '.

Source: Li et al. 2022, 'BLIP: bootstrapping language-image pre-training'; second seed report,
section III.D, and its code (BLIP large, pictures of 384 pixels).
"""

import re

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors, image
from recon.zoo import blip, catalog, tokenizers, weights

DEFAULTS = dict(
    net='tiny/blip',  # the captioner: BLIP; the seed's is 'blip_large'
    method='greedy',  # or 'beam', 'nucleus' (samples)
    beams=3,  # of beam search
    length=48,  # most tokens of a caption, with the prompt and the one that begins it
    prompt='',  # what every caption begins with
    drop=('blurry',),  # words that are taken out of captions
    size=0,  # pixels on a side that pictures are brought to first; 0 is as they come; seed: 384
    batch=16,  # pictures at a time
)


def load(cfg, zoo: dict) -> dict:
    """The captioner of `cfg.net` and its tokenizer, which lies in the same folder.

    Args:
      cfg: see DEFAULTS.
      zoo: path: a folder of nets or a cache of the hub, '' for the hub's own; dtype: of the
        computation.

    Returns:
      {'net': the loaded net, 'tokenizer': its tokenizer}.

    Raises:
      DataMissing: it is not there.  ConfigError: the net is no captioner, or an option does not
        fit.
    """
    name = cfg.get('net', DEFAULTS['net'])
    _check(cfg)
    folder = catalog.resolve(name, zoo.get('path') or None)
    net = weights.load(folder, dtype=jnp.dtype(zoo.get('dtype', 'float32')))
    if not isinstance(net.module, blip.Captioner):
        raise errors.ConfigError(
            f'generator.caption.net is {name!r}, a {net.name}', 'config', 'name a BLIP captioner'
        )
    return {'net': net, 'tokenizer': tokenizers.load(folder)}


def generate(cfg, params: dict, decoded: dict, rng) -> dict:
    """Adds 'captions' [n] `<U` to what is decoded.

    Args:
      cfg: see DEFAULTS.
      params: as `load` returned.
      decoded: holds 'images' [n h w 3] in [0, 1].
      rng: jax key, for method 'nucleus'; each batch draws with its own.

    Raises:
      ConfigError: no picture is decoded before, or an option that cannot work.
    """
    if 'images' not in decoded:
        raise errors.ConfigError(
            'generator.caption has no pictures to caption',
            'generator.chain',
            f"a generator before it makes 'images', such as vae; decoded: {', '.join(decoded)}",
        )
    _check(cfg)
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    images = image.to_rgb(np.asarray(decoded['images'], np.float32))
    if option('size'):
        images = image.resize(images, (option('size'),) * 2)
    net, speak = params['net'], params['tokenizer']
    words = _words(speak, option('prompt'))
    batch = max(1, min(option('batch'), len(images)))
    said = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        full = np.pad(part, ((0, batch - len(part)), (0, 0), (0, 0), (0, 0)))
        ids = blip.generate(
            net.module,
            net.params,
            jnp.asarray(full),
            method=option('method'),
            beams=option('beams'),
            length=option('length'),
            prompt_ids=np.tile(words, (batch, 1)),
            rng=jax.random.fold_in(rng, start) if option('method') == 'nucleus' else None,
        )
        said += speak.decode(np.asarray(ids)[: len(part)])
    said = [clean(sentence, option('drop')) for sentence in said]
    return dict(decoded) | {'captions': np.array(said, np.str_)}


def clean(sentence: str, drop) -> str:
    """`sentence` without the words `drop`, in upper or lower case, one space between the others.

    'a blurry picture of a dog' becomes 'a picture of a dog', as in the seed's code; that lets the
    word stand at the end of a sentence, which this does not.
    """
    for word in drop:
        sentence = re.sub(rf'(?<!\w){re.escape(word)}(?!\w)', '', sentence, flags=re.IGNORECASE)
    return ' '.join(sentence.split())


def _words(speak: tokenizers.Tokenizer, prompt: str) -> np.ndarray:
    """[1 q] ids of the prompt, without those that begin and end a text."""
    return np.asarray(speak.inner(prompt, add_special_tokens=False)['input_ids'], np.int32)[None]


def _check(cfg) -> None:
    drop, size = (cfg.get(key, DEFAULTS[key]) for key in ('drop', 'size'))
    if isinstance(drop, str) or not all(isinstance(w, str) and w.strip() for w in drop):
        raise errors.ConfigError(
            f'generator.caption.drop is {drop!r}', 'config', "a tuple of words, such as ('blurry',)"
        )
    if size < 0:
        raise errors.ConfigError(
            f'generator.caption.size is {size}', 'config', 'pixels on a side, or 0'
        )
