"""How far pictures are from what is decoded of them, in the layers of a net that sees.

Sources: MindDiffuser (Lu et al. 2023, section 3.3), deep image reconstruction (Shen et al. 2019).
"""

import dataclasses
import functools
import importlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors
from recon.zoo import features

WEIGH = ('norm', 'square', 'none')
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What does not change in the loss: hashable, so that what is compiled for it is found again.

    Attributes:
      module: the net that sees.
      prepare: pictures [n h w 3] in [0, 1] -> its input.
      layers: whose values are compared.
      cosine: for each layer, whether by 1 - cosine; else by the mean squared difference.
      tv: weight of the total variation (mean absolute difference of neighbouring pixels).
    """

    module: nn.Module
    prepare: features.Own
    layers: tuple[str, ...]
    cosine: tuple[bool, ...]
    tv: float = 0.0

    def see(self, params: dict, images: Float[Array, 'n h w 3']) -> list[Float[Array, 'n ...']]:
        """Values of the layers for pictures in [0, 1], float32."""
        nodes = self.module.apply({'params': params}, self.prepare(images), method='layers')
        return [nodes[layer].astype(jnp.float32) for layer in self.layers]

    def __call__(self, params: dict, images, values, weights, units) -> Float[Array, ' n']:
        """The loss of each picture.

        Args:
          params: of the net.
          images: [n h w 3] in [0, 1].
          values: of each layer, what is decoded, [n d].
          weights: [n layers].
          units: of each layer, the d places among its values that are compared, or None for all.
        """
        loss = jnp.zeros(len(images))
        seen = self.see(params, images)
        for i, (found, wanted) in enumerate(zip(seen, values, strict=True)):
            found = found.reshape(len(found), -1)  # [n d]
            found = found if units[i] is None else found[:, units[i]]
            distance = _angle if self.cosine[i] else _square
            loss += weights[:, i] * distance(found, wanted)
        return loss + self.tv * variation(images) if self.tv else loss


def comparison(net, layers, by_cosine, tv: float) -> Comparison:
    """The comparison by `layers` of a loaded net; those named in `by_cosine` by their angle."""
    file = type(net.module).__module__
    cosine = tuple(layer in by_cosine for layer in layers)
    return Comparison(net.module, features.Own(file, net.config), tuple(layers), cosine, tv)


def _square(found, wanted):
    return ((found - wanted) ** 2).mean(-1)


def _angle(found, wanted):
    lengths = jnp.linalg.norm(found, axis=-1) * jnp.linalg.norm(wanted, axis=-1)
    return 1 - (found * wanted).sum(-1) / jnp.maximum(lengths, _TINY)


def variation(images: Float[Array, 'n h w 3']) -> Float[Array, ' n']:
    """Mean absolute difference of neighbours, down and across."""
    down, across = (jnp.abs(jnp.diff(images, axis=axis)).mean((1, 2, 3)) for axis in (1, 2))
    return down + across


def layers_of(net) -> tuple[str, ...]:
    """Names of the nodes of a loaded net."""
    file = importlib.import_module(type(net.module).__module__)
    return tuple(getattr(file, 'LAYERS', lambda config: ())(net.config))


def side(net) -> int:
    """Pixels on a side of what a loaded net sees."""
    file = importlib.import_module(type(net.module).__module__)
    return next(x.shape[1] for x in file.example(net.config) if len(x.shape) == 4)


def check(net, layers, name: str) -> None:
    """Raises ConfigError where a loaded net called `name` lacks one of `layers`."""
    known = layers_of(net)
    missing = [layer for layer in layers if layer not in known]
    if missing:
        raise errors.ConfigError(
            f'generator.optimise.match names the layer {missing[0]!r}',
            'config',
            f'layers of {name!r}: {", ".join(known) or "none"}',
        )


def wanted(compare: Comparison, params: dict, match, decoded: dict, shape) -> list[np.ndarray]:
    """What is decoded of each layer, flat: [n d] float32.

    Args:
      compare: of `comparison`.
      params: of its net.
      match: ((decoded target, layer, weight), ...).
      decoded: named arrays.
      shape: (h, w) of the pictures that are made.

    Raises:
      ConfigError: nothing of that name is decoded.
      DataInvalid: it has another shape than the layer has for such a picture.
    """
    picture = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    seen = jax.eval_shape(functools.partial(compare.see, params), picture)
    found = []
    for (target, layer, _), node in zip(match, seen, strict=True):
        if target not in decoded:
            raise errors.ConfigError(
                f'generator.optimise.match names the target {target!r}',
                'config',
                f'decoded: {", ".join(decoded)}',
            )
        values = np.asarray(decoded[target], np.float32)
        if values.shape[1:] != node.shape[1:]:
            raise errors.DataInvalid(
                f'{target} has shape {values.shape}',
                'generators.optimise',
                f'layer {layer} of a picture of {shape} pixels has {node.shape[1:]}: decode it',
            )
        found.append(values.reshape(len(values), -1))
    return found


def units(values: list[np.ndarray], share: float) -> list[np.ndarray | None]:
    """Of each layer [n d], the `share` of its units that vary most over the rows; None: all.

    MindDiffuser takes a quarter, by what a decoder says of each. Where several are equal, all of
    them stay, as they do where nothing varies.
    """
    if share >= 1:
        return [None] * len(values)
    spread = [v.std(0) for v in values]
    return [np.flatnonzero(s >= np.quantile(s, 1 - share)).astype(np.int32) for s in spread]


def weights(values: list[np.ndarray], match, cosine, how: str) -> np.ndarray:
    """[n layers] float32: what each layer's distance counts in the loss of each row.

    Args:
      values: decoded, [n d] of each layer.
      match: ((target, layer, weight), ...).
      cosine: for each layer, whether it is compared by its angle; then its weight is as it stands.
      how: 'norm': times 1 / |values|, scaled so that these sum to 1 (MindDiffuser); 'square': times
        d / |values|^2, so that a layer counts by the share of its square that is missed (Shen);
        'none'.
    """
    given = np.array([weight for _, _, weight in match], np.float32)
    lengths = np.stack([np.linalg.norm(v, axis=1) for v in values], 1)  # [n layers]
    lengths = np.maximum(lengths, _TINY)
    factors = np.ones_like(lengths)
    if how == 'norm':
        factors = 1 / lengths
        factors /= np.maximum((factors * ~np.array(cosine)).sum(1, keepdims=True), _TINY)
    elif how == 'square':
        factors = np.array([v.shape[1] for v in values]) / lengths**2
    factors[:, np.array(cosine)] = 1
    return (given * factors).astype(np.float32)
