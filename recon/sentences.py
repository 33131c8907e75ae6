"""Captions of pictures as a target: what a text encoder makes of them, averaged over a picture's.

A target with of='captions' has a text encoder as its net ('tiny/text_encoder') and the layer
'states' [k d], as a diffusion model takes them, or 'pooled' [d], the state at the end of the text.

Source: Lu et al. 2023 (MindDiffuser), section 3.1: c is the mean over the captions of a picture.
"""

import json

import numpy as np
from jaxtyping import Float

from recon.core import errors, types
from recon.generators import _text
from recon.zoo import catalog

LAYERS = ('states', 'pooled')
_PICTURES = 128  # whose sentences are held at a time


def check(name: str, spec, zoo) -> None:
    """Raises ConfigError for a target of captions whose options do not fit, DataMissing for nets.

    Args:
      name: of the target.
      spec: of the target, resolved.
      zoo: cfg.zoo.
    """
    raw = json.loads((catalog.resolve(spec.net, zoo.path or None) / 'config.json').read_text())
    is_text = bool({'CLIPTextModel', 'CLIPModel'} & set(raw.get('architectures') or ()))
    longest = raw.get('text_config', raw).get('max_position_embeddings', 0)
    for key, right, wanted in (
        ('net', is_text, "a text encoder, such as 'tiny/text_encoder' or 'sd15/text_encoder'"),
        ('layer', spec.layer in LAYERS, ' or '.join(map(repr, LAYERS))),
        ('size', not spec.size, '(): sentences have none'),
        ('tokens', spec.tokens == 0 or 2 <= spec.tokens <= longest, f'0, or 2 to {longest}'),
    ):
        if not right:
            what = f'targets.{name}.{key} is {spec[key]!r}'
            raise errors.ConfigError(what, 'config', f'wanted {wanted}')


def check_data(name: str, brain: types.BrainData) -> None:
    """Raises DataMissing where the recording has no captions, or none of some training pictures."""
    source = brain.facts.get('source', 'the data')
    remedy = (
        'give the annotations (of nsd: dataset.annotations=true and `python launch/fetch.py '
        'coco`), or leave this target out'
    )
    if brain.captions is None:
        what = f'targets.{name} is made of captions, and the pictures have none'
        raise errors.DataMissing(what, source, remedy)
    fitted = [split for split in (brain.train, brain.validation) if split is not None]
    ids = np.unique(np.concatenate([split.image_id for split in fitted]))
    bare = [i for i in ids.tolist() if not brain.captions.get(i)]
    if bare:
        what = f'{len(bare)} of {len(ids)} training pictures have no caption, first {bare[0]}'
        raise errors.DataMissing(f'targets.{name}: {what}', source, remedy)


def measure(spec, zoo, captions: dict, ids) -> Float[np.ndarray, 'm ...']:
    """[m k d], or [m d] of layer 'pooled': the mean over the captions of each of `ids` [m].

    Equal sentences are encoded once.

    Args:
      spec: of the target.
      zoo: cfg.zoo.
      captions: {image id: sentences}.
      ids: of the pictures.

    Raises:
      DataMissing: a picture without a caption.
    """
    said = [tuple(captions.get(i, ())) for i in np.asarray(ids).tolist()]
    if not all(said):
        bare = [i for i, one in zip(np.asarray(ids).tolist(), said, strict=True) if not one]
        what = f'{len(bare)} pictures have no caption, first {bare[0]}'
        raise errors.DataMissing(what, 'captions', 'give them')
    encoder = _text.load(spec.net, zoo)
    encode = _text.encode if spec.layer == 'states' else _text.pooled
    parts = [said[i : i + _PICTURES] for i in range(0, len(said), _PICTURES)]
    return np.concatenate([_mean(part, encode, encoder, spec.tokens) for part in parts])


def _mean(said: list, encode, encoder, tokens: int) -> np.ndarray:
    """[m ...]: the mean state of the sentences of each of m pictures."""
    distinct, inverse = np.unique([text for one in said for text in one], return_inverse=True)
    states = np.asarray(encode(encoder, distinct, tokens), np.float32)[inverse]
    starts = np.cumsum([0, *map(len, said[:-1])])
    sums = np.add.reduceat(states, starts, axis=0)  # [m ...]
    counts = np.array([len(one) for one in said], np.float32)
    return sums / counts.reshape(-1, *[1] * (sums.ndim - 1))
