"""The three losses of system 2, its comparator, and its rule of which net trains next.

Each loss is a sum over a picture's numbers, halved, and a mean over rows (Caffe's EuclideanLoss).
Counted as over the published numbers (`sums='published'`), the balance of the three is the same
for pictures of any size and for any comparator.

Source: Shen et al. 2019, equation 1; the rule: Dosovitskiy and Brox 2016, section 3.3, with the
released code's numbers.
"""

import dataclasses
import importlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recon.core import errors
from recon.train import losses
from recon.zoo import catalog, weights

PIXELS = 227 * 227 * 3  # numbers of a published picture
FEATURES = 6 * 6 * 256  # of what the published comparator gives
_PAUSE, _RESUME, _AHEAD = 0.1, 0.5, 10.0  # of the ratio of losses


@dataclasses.dataclass(frozen=True)
class Comparator:
    """What a pretrained net sees in pictures.

    Attributes:
      net: a net of the zoo that has layers.
      layer: of them.
      whole: it sees all of the picture, else its own crop of the middle.
    """

    net: weights.Loaded
    layer: str
    whole: bool

    def __call__(self, images: Float[Array, 'n h w c']) -> Array:
        """[n h w c] near [0, 1], of one channel or three -> [n ...] float32."""
        file, config = _file(self.net), self.net.config
        images = jnp.broadcast_to(images, (*images.shape[:3], 3))
        if self.whole and hasattr(config, 'resize') and hasattr(config, 'crop'):
            config = dataclasses.replace(config, resize=config.crop)
        pixels = file.prepare(config, images)
        nodes = self.net.module.apply({'params': self.net.params}, pixels, method='layers')
        return nodes[self.layer].astype(jnp.float32)


def comparator(name: str, layer: str, whole: bool, zoo: dict) -> Comparator:
    """Loads the comparator.

    Args:
      name: of a net (`catalog.resolve`), for example 'tiny/alexnet', 'alexnet', 'vgg19'.
      layer: one of its LAYERS; '' for the last that is a picture's, before the linear layers.
      whole: see Comparator.
      zoo: 'path' of a folder of nets or of the hub's cache, 'dtype' of the computation: both may
        be absent.

    Raises:
      ConfigError: a net without layers, or no such layer.  DataMissing: it is not there.
    """
    folder = catalog.resolve(name, zoo.get('path') or None)
    net = weights.load(folder, compute=jnp.dtype(zoo.get('dtype') or 'float32'))
    file = _file(net)
    if not hasattr(net.module, 'layers'):
        raise errors.ConfigError(f'{name} has no layers', 'comparator', 'alexnet or vgg19, say')
    known = file.LAYERS(net.config)
    last = [node for node in known if node.startswith('features.')] or list(known)
    if layer and layer not in known:
        raise errors.ConfigError(f'no layer {layer!r} in {name}', 'layer', ', '.join(known))
    return Comparator(net, layer or last[-1], whole)


def _file(net):
    return importlib.import_module(type(net.module).__module__)


def check(options: dict, zoo) -> None:
    """Refuses options that cannot be trained with.

    Args:
      options: all of DEFAULTS of `decoders/shen_gan.py`.
      zoo: as in `comparator`.

    Raises:
      ConfigError: weights, sums or shift do not fit.  DataMissing: the comparator is not there.
    """
    found = options['weights']
    if len(found) != 3 or min(found) < 0 or not any(found):
        raise errors.ConfigError(
            f'weights is {found!r}', 'decoder', 'three: image, feature, adversarial; not all 0'
        )
    if options['sums'] not in ('published', 'own'):
        raise errors.ConfigError(f'sums is {options["sums"]!r}', 'decoder', "'published' or 'own'")
    if not 0 <= options['shift'] < 0.5:
        raise errors.ConfigError(f'shift is {options["shift"]!r}', 'decoder', '0 to 0.5')
    if found[1]:
        catalog.resolve(options['comparator'], zoo.get('path') or None)


def euclidean(
    a: Float[Array, 'n ...'], b: Float[Array, 'n ...'], count: int | None = None
) -> Float[Array, '']:
    """Half the sum of squared differences of a row, a mean over rows.

    Args:
      a: any shape.
      b: the same shape.
      count: of numbers in a row that it counts as, None: as many as there are.
    """
    mean = jnp.square(a.astype(jnp.float32) - b.astype(jnp.float32)).mean()
    return 0.5 * mean * (a[0].size if count is None else count)


def judged(logits: Float[Array, 'n 2']) -> Float[Array, ' n']:
    """Of the logits (true, generated): that of being true, so that a sigmoid is the softmax."""
    return logits[:, 0] - logits[:, 1]


def of_discriminator(real: Float[Array, 'n 2'], fake: Float[Array, 'n 2']) -> tuple[Array, dict]:
    """Cross entropy of true and of generated pictures, added; and each, with the share right."""
    real, fake = judged(real), judged(fake)
    named = {
        'discriminator_real': jax.nn.softplus(-real).mean(),
        'discriminator_fake': jax.nn.softplus(fake).mean(),
        'discriminator_right': 0.5 * ((real > 0).mean() + (fake < 0).mean()),
    }
    return losses.discriminator(real, fake, 'nonsaturating'), named


def of_generator(fake, real, options: dict, comparator=None, logits=None) -> tuple[Array, dict]:
    """The weighted sum of the image, feature and adversarial losses; and each, not weighted.

    Args:
      fake: [n h w c], what the generator made.
      real: [n h w c] in [0, 1].
      options: 'weights', 'pixel_range' and 'sums' of DEFAULTS.
      comparator: pictures -> features, None where the second weight is 0.
      logits: [n 2], the discriminator's for `fake`, None where the third weight is 0.
    """
    own = options['sums'] == 'own'
    white = options['pixel_range']
    named = {'image': white**2 * euclidean(fake, real, None if own else PIXELS)}
    if comparator is not None:
        seen = comparator(fake), jax.lax.stop_gradient(comparator(real))
        named['feature'] = euclidean(*seen, None if own else FEATURES)
    if logits is not None:
        named['adversarial'] = losses.generator(judged(logits), 'nonsaturating')
    total = jnp.zeros((), jnp.float32)
    for name, weight in zip(('image', 'feature', 'adversarial'), options['weights'], strict=True):
        total += weight * named.get(name, 0.0)
    return total, named


def switch(scalars: dict, moves: dict) -> dict:
    """Which nets train in the next step, from the losses of this one and who trained in it.

    The ratio of the discriminator's loss (true and generated) to the generator's adversarial one:
    below 0.1 the discriminator pauses, above 0.5 it goes on; above 10 the generator pauses, until
    the discriminator pauses or goes on again.

    Args:
      scalars: those of `of_discriminator` and `of_generator`.
      moves: {'generator', 'discriminator': bool}, of this step.
    """
    both = scalars['discriminator_real'] + scalars['discriminator_fake']
    ratio = both / jnp.maximum(scalars['adversarial'], 1e-12)
    generator, discriminator = moves['generator'], moves['discriminator']
    pause = (ratio < _PAUSE) & discriminator
    resume = (ratio > _RESUME) & ~discriminator
    generator = generator | pause | resume
    discriminator = (discriminator & ~pause) | resume
    held = (ratio > _AHEAD) & generator
    return {'generator': generator & ~held, 'discriminator': discriminator | held}
