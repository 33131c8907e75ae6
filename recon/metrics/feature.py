"""Pretrained nets as the features that metrics compare: the field's eight, and the tiny ones.

    feature.check(cfg.metrics, 'mindeye', cfg.zoo.path)        # before any work
    nets = feature.nets(cfg.metrics, 'mindeye', cfg.zoo.path)  # loads those that the names ask for
    suite.check(cfg.metrics, nets, n=n, size=size, protocol='mindeye')
    suite.score(cfg.metrics, recon, truth, seed=0, nets=nets, protocol='mindeye')

`path` holds nets in folders named as in zoo/catalog.py, or is a cache of the hub. A published name
(alexnet2, alexnet5, inception, clip, effnet, swav) exists only with released weights; the embedded
small nets stand under their own: tiny_alexnet2, tiny_alexnet5, tiny_category, tiny_clip. Of pixels
alone are colour and luminance (colour.py).
"""

import dataclasses
import pathlib

import numpy as np
from jaxtyping import Float

from recon.core import errors, image
from recon.metrics import _perceptual, colour, naming, protocols, suite


@dataclasses.dataclass(frozen=True)
class Preparation:
    """Pictures in [0, 1] -> a net's input, where a protocol says how.

    Attributes:
      steps: resizings, none of them Pillow's.
      mean: of each channel.
      deviation: of each channel.
    """

    steps: tuple[protocols.Resize, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, images):
        """[n h w 3] -> [n p q 3]; jit-able."""
        for step in self.steps:
            images = protocols.on_device(images, step)
        return (images - np.float32(self.mean)) / np.float32(self.deviation)


class Feature:
    """One layer of a net as a function of pictures.

    Attributes:
      weights: stamp of the net's weights;  protocol: name of the resizings;  node: 'net layer'.
    """

    def __init__(self, net, node: protocols.Node, protocol='own', *, batch=16, dtype=None):
        """`net` is a weights.Loaded; `node` says which layer, after which preprocessing."""
        self.weights, self.protocol = net.stamp, protocol if node.steps is not None else 'own'
        self.node = f'{net.name} {node.layer}'
        self._net, self._layer, self._batch, self._dtype = net, node.layer, batch, dtype
        self._pillow, self._prepare, self._remembered = (), None, (None, None)
        if node.steps is not None:
            self._pillow = tuple(step for step in node.steps if step.kind == 'pillow')
            rest = tuple(step for step in node.steps if step.kind != 'pillow')
            self._prepare = Preparation(rest, *node.statistics)

    def __call__(self, images: Float[np.ndarray, 'n h w c']) -> Float[np.ndarray, 'n d']:
        """Pictures in [0, 1] -> [n d] float32; one channel is copied to three."""
        from recon.zoo import features  # the nets' library, only where a net is asked for

        images = protocols.resized(image.to_rgb(images), self._pillow)
        found = features.extract(
            self._net,
            (self._layer,),
            images,
            batch=self._batch,
            dtype=self._dtype,
            prepare=self._prepare,
        )
        return found[self._layer].reshape(len(images), -1)

    def kept(self, images: Float[np.ndarray, 'n h w c']) -> Float[np.ndarray, 'n d']:
        """The same; values of the last pictures that came here are remembered."""
        key = hash((images.shape, np.ascontiguousarray(images).tobytes()))
        if self._remembered[0] != key:
            self._remembered = (key, self(images))
        return self._remembered[1]


def check(names, protocol: str = 'own', path='', *, retrieval: str = 'pixel') -> None:
    """Refuses what can be known to be wrong before any net is read.

    Args:
      names: as in config.metrics.
      protocol: a name of protocols.PROTOCOLS.
      path: a folder that holds nets by their names in the catalog, or a cache of the hub; '' is the
        hub's own.
      retrieval: the feature of brain_to_image_* and image_to_brain_*.

    Raises:
      ConfigError: an unknown protocol or feature; a feature or a direction that the protocol has
        not; a published name without its weights.
    """
    found = protocols.find(protocol).features
    suite.check(names, {*found, *protocols.COMPARING}, protocol=protocol)
    for name in naming.features(names, retrieval):
        if name not in found and name not in protocols.COMPARING:
            raise errors.ConfigError(
                f'retrieval by {name!r} under protocol {protocol}',
                'config.retrieval',
                f'features that it has: pixel, {", ".join(found)}',
            )
        net = found[name].net if name in found else name
        if net:
            _folder(name, net, path)


def nets(
    names, protocol: str = 'own', path='', *, retrieval: str = 'pixel', batch=16, dtype=None
) -> dict:
    """The nets that some metrics ask for, loaded: what `suite.score` takes as `nets`.

    Args:
      names: as in config.metrics; those of pixels ask for none.
      protocol: a name of protocols.PROTOCOLS; fixes nodes and resizings of published features.
      path: as in `check`.
      retrieval: the feature of brain_to_image_* and image_to_brain_*.
      batch: pictures at a time.
      dtype: of the nets' computation, default float32.

    Returns:
      {feature: Feature}, features of one net share its weights; {lpips_<net>: Perceptual};
      {'colour', 'luminance': function}.

    Raises:
      ConfigError: see `check`; a folder that holds another net than its name says.
      DataMissing, DataInvalid, WeightsMismatch: see weights.load.
    """
    check(names, protocol, path, retrieval=retrieval)
    found, loaded, made = protocols.find(protocol).features, {}, {}
    for name in naming.features(names, retrieval):
        if name in protocols.COMPARING:
            made[name] = _perceptual.Perceptual(_load(name, _folder(name, name, path)), batch=batch)
            continue
        node = found[name]
        if not node.net:
            made[name] = colour.FEATURES[name]
            continue
        if node.net not in loaded:
            loaded[node.net] = _load(node.net, _folder(name, node.net, path))
        made[name] = Feature(loaded[node.net], node, protocol, batch=batch, dtype=dtype)
    return made


def _folder(feature: str, net: str, path) -> pathlib.Path:
    """Where the weights of a feature lie; ConfigError, with what to run, where they are not."""
    from recon.zoo import catalog

    try:
        return catalog.resolve(net, path or None)
    except errors.DataMissing as error:
        tiny = [name for name in protocols.TINY if feature.partition('_')[0] in name]
        instead = f'; or score {tiny[0]}, of the embedded net' if tiny else ''
        raise errors.ConfigError(
            f'{feature} needs the released weights of {net}: {error.what}',
            f'config.zoo.path, {error.where}',
            f'{error.remedy}{instead}',
        ) from error


def _load(name: str, folder: pathlib.Path):
    from recon.zoo import weights

    net = weights.load(folder)
    wanted = protocols.NETS.get(name)
    if wanted is None:
        return net
    config = getattr(net.config, 'vision', net.config)  # of a pair, the picture's half
    differs = [
        f'{field} {getattr(config, field, None)!r}, not {value!r}'
        for field, value in wanted.sizes.items()
        if getattr(config, field, None) != value
    ]
    if net.name != wanted.file:
        differs = [f'its net is {net.name}, not {wanted.file}']
    if differs:
        raise errors.ConfigError(
            f'{folder} is not the released {name}: {"; ".join(differs)}',
            'config.zoo.path',
            'published names stand for published weights; embedded nets have their own names',
        )
    return net
