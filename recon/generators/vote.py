"""Which member of a bag each picture is taken from: by CLIP vectors, never by the truth.

It is no link of a chain: it stands above the members, in `cfg.vote` (recon/bag.py).

Source: the course report of the four members (rule 'own'); the choice of a sample by its nearness
to a CLIP vector decoded from the brain is MindEye's (Scotti et al. 2023, section 3.3).
"""

import jax.numpy as jnp
import numpy as np

from recon.core import errors
from recon.zoo import catalog, features, weights

RULES = ('mean', 'own', 'decoded')
LAYER = 'image_embeds'  # of `net`, with rule 'own'
DEFAULTS = dict(
    # 'own': the member whose refined picture is most like its own low-level picture;
    # 'decoded': most like the CLIP vector decoded from the brain; 'mean': the mean picture.
    rule='mean',
    net='tiny/clip',  # sees the pictures; with rule 'decoded' it is the target's own net
    low='vae',  # the generator whose picture is the low-level one
    target='z_clip',  # the decoded target of rule 'decoded'
)


def check(cfg, one, where: str = 'vote') -> None:
    """Raises ConfigError for a vote that a member cannot take part in, DataMissing for a net.

    Args:
      cfg: see DEFAULTS.
      one: the member's config: targets, generator, zoo.
      where: for the message.
    """
    if cfg.rule not in RULES:
        raise errors.ConfigError(
            f'{where}.rule is {cfg.rule!r}', 'vote', f'rules that exist: {", ".join(RULES)}'
        )
    chain = one.generator.chain
    if cfg.rule == 'own' and cfg.low not in chain[:-1]:
        raise errors.ConfigError(
            f'{where}.low is {cfg.low!r}, which paints nothing that is refined',
            'generator.chain',
            f'a generator before the last of {tuple(chain)}',
        )
    if cfg.rule == 'decoded':
        spec = one.targets.get(cfg.target) or {}
        if spec.get('net', 'image') in ('image', 'labels') or spec.get('of', 'images') != 'images':
            raise errors.ConfigError(
                f'{where}.target is {cfg.target!r}',
                'vote',
                f'a target that a net sees in pictures; there are: {", ".join(one.targets)}',
            )
    if cfg.rule == 'own':
        catalog.resolve(cfg.net, one.zoo.path or None)


def vectors(images: np.ndarray, net: str, zoo, layer: str = LAYER) -> np.ndarray:
    """[n d]: what `net` sees in pictures [n h w 3] in [0, 1].

    Raises:
      DataMissing: the net is not there.  ConfigError: it has no such layer.
    """
    loaded = weights.load(catalog.resolve(net, zoo.get('path') or None))
    dtype = jnp.dtype(zoo.get('dtype') or 'float32')
    values = features.extract(loaded, (layer,), images, dtype=dtype)[layer]
    return values.reshape(len(values), -1)


def choose(refined: np.ndarray, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The member whose vector is nearest to what it should be like.

    Args:
      refined: [m n d] of m members' pictures.
      like: rule 'own': [m n d] of their own low-level pictures; rule 'decoded': [n d], as
        `decoded` gives it.

    Returns:
      [n] int, the member (of equals the first); [m n] float, the cosines. A picture without a
      direction (NaN) is chosen only where no member has one.
    """
    cosine = cosines(refined, like)  # [m n]
    return np.argmax(np.where(np.isfinite(cosine), cosine, -np.inf), 0), cosine


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[...]: cosine of vectors [... d] in float64, NaN where one has no direction."""
    return (_unit(np.asarray(a, np.float64)) * _unit(np.asarray(b, np.float64))).sum(-1)


def decoded(predicted: np.ndarray) -> np.ndarray:
    """[n d]: the mean over members of the vectors [m n ...] that they decoded from the brain."""
    predicted = np.asarray(predicted, np.float64)
    return predicted.mean(0).reshape(predicted.shape[1], -1)


def _unit(x: np.ndarray) -> np.ndarray:
    size = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(size > 0, size, np.nan)
