"""What decoders learn: pixels, image statistics, labels, or a layer of a pretrained net.

`cfg.targets.<name>` is {net, layer, size, standardise}. net 'image' has the layers LAYERS; net
'labels' the layer 'categories' and options of its own (`labelling.py`); any other is a pretrained
net: 'tiny/clip', a name of `zoo/catalog.py`, or a folder. With of='captions' the net reads a
picture's captions in its place (`sentences.py`). `areas` and `decoder` are of the target's decoder.
"""

import dataclasses
import json
import pathlib

import jax.numpy as jnp
import numpy as np

from recon import labelling, parts, sentences
from recon.core import errors, image, settings, types
from recon.zoo import catalog, features, weights

LAYERS = ('pixels', 'image_statistics')  # of net 'image'
ZOO = dict(
    path='',  # where weights lie: a folder of nets, or a cache of the hub; '' is the hub's own
    cache='',  # folder that keeps features on disk; '' computes them anew
    dtype='float32',  # of the nets' computation: float32 or bfloat16
    protocol='own',  # of metrics: resizings, nodes and directions, see docs/metrics.md
)
_PIXELS = 2**24  # pixels read at a time


def check(cfg) -> None:
    """Raises ConfigError for targets that cannot be decoded, DataMissing for nets not there."""
    if not cfg.targets and not cfg.generator.chain:
        raise errors.ConfigError(
            'targets is empty', 'targets', "name one: targets=dict(pixels=dict(layer='pixels'))"
        )
    if cfg.zoo.dtype not in ('float32', 'bfloat16'):
        raise errors.ConfigError(
            f'zoo.dtype is {cfg.zoo.dtype!r}', 'config', "'float32' or 'bfloat16'"
        )
    for name, spec in cfg.targets.items():
        if spec.size and (len(spec.size) != 2 or min(spec.size) < 1):
            raise errors.ConfigError(
                f'targets.{name}.size is {spec.size}', 'config', '(height, width) in pixels, or ()'
            )
        if name == 'pixels' and (spec.layer != 'pixels' or spec.standardise):
            raise errors.ConfigError(
                f'targets.pixels is {dict(spec)}',
                'config',
                "the target named 'pixels' is the picture itself: layer='pixels', as it is",
            )
        _check_decoder(cfg, name, spec)
        if spec.net == labelling.NET:
            labelling.check(name, spec)
        elif _of_captions(spec):
            sentences.check(name, spec, cfg.zoo)
        else:
            _check_layer(cfg, name, spec)


def check_data(cfg, brain: types.BrainData) -> None:
    """Raises ConfigError, DataMissing or DataInvalid for targets that these data cannot give."""
    for name, spec in cfg.targets.items():
        if spec.net == labelling.NET:
            labelling.check_data(name, spec, brain)
        if _of_captions(spec):
            sentences.check_data(name, brain)
        if voxels(name, spec, brain.rois) is not None and brain.laid is not None:
            raise errors.ConfigError(
                f'targets.{name}.areas is {spec.areas}, and rows are pictures of the cortex',
                'targets',
                'leave areas out, or keep them by preprocess.rois before the rows are laid out',
            )


def voxels(name: str, spec, rois: dict) -> np.ndarray | None:
    """Bool [v]: what the decoder of a target sees; None: all.

    Args:
      name: of the target.
      spec: of the target; its `areas` are names, or unions of them as 'V1+V2'.
      rois: {name: bool [v]}.

    Raises:
      ConfigError: an area that this recording does not have.  DataInvalid: areas without a voxel.
    """
    areas = spec.get('areas', ())
    return union(areas, rois, f'targets.{name}.areas') if areas else None


def union(areas, rois: dict, key: str) -> np.ndarray:
    """Bool [v]: the voxels of all `areas`, names or unions of them as 'V1+V2'.

    Args:
      areas: the names.
      rois: {name: bool [v]}.
      key: of the config that holds the names.

    Raises:
      ConfigError: an area that this recording does not have.  DataInvalid: areas without a voxel.
    """
    named = [part for area in areas for part in area.split('+')]
    missing = [part for part in named if part not in rois]
    if missing:
        raise errors.ConfigError(
            f'{key} has {missing[0]!r}',
            key,
            f'areas that exist: {", ".join(sorted(rois)) or "none"}',
        )
    mask = np.any([rois[part] for part in named], 0)
    if not mask.any():
        raise errors.DataInvalid(f'{key}: {"+".join(named)} has no voxel', key, 'leave it out')
    return mask


def _check_decoder(cfg, name: str, spec) -> None:
    """What can be known of a target's own areas and decoder before any data are read."""
    areas, of = spec.get('areas', ()), spec.get('of', 'images')
    if isinstance(areas, str) or not all(isinstance(area, str) and area for area in areas):
        raise errors.ConfigError(
            f'targets.{name}.areas is {areas!r}', 'config', "names in a tuple: ('V1', 'V2+V3')"
        )
    if of not in ('images', 'captions'):
        raise errors.ConfigError(
            f'targets.{name}.of is {of!r}', 'config', "wanted 'images' or 'captions'"
        )
    if of == 'images' and spec.get('tokens', 0):
        raise errors.ConfigError(
            f'targets.{name}.tokens is {spec.tokens}', 'config', "0, or of='captions'"
        )
    if spec.get('decoder'):
        trained = parts.task(parts.file(cfg, name))
        if hasattr(trained, 'check'):
            trained.check(settings.decoder_of(cfg, name), cfg.zoo)


def _of_captions(spec) -> bool:
    return spec.get('of', 'images') == 'captions'


def _check_layer(cfg, name: str, spec) -> None:
    """The layer is one of its net's, and the net is there."""
    if spec.net == 'image':
        known = LAYERS
    else:
        folder = _folder(cfg, spec.net)
        raw = json.loads((folder / 'config.json').read_text())
        file, _ = weights.find(raw, folder)
        known = getattr(file, 'LAYERS', lambda config: ())(file.read(raw))
    if spec.layer not in known:
        raise errors.ConfigError(
            f'targets.{name}.layer is {spec.layer!r}',
            'config',
            f'layers of net {spec.net!r}: {", ".join(known) or "none"}',
        )


def measure(cfg, name: str, brain: types.BrainData, ids) -> np.ndarray:
    """[m ...] float32: target `name` of the pictures `ids` [m], not standardised."""
    spec, images = cfg.targets[name], brain.images
    if spec.net == labelling.NET:
        return labelling.measure(spec, brain, ids)
    if _of_captions(spec):
        return sentences.measure(spec, cfg.zoo, brain.captions or {}, ids)
    if spec.net != 'image':
        net = weights.load(_folder(cfg, spec.net))
        values = features.extract(
            net,
            (spec.layer,),
            _resized(images, spec.size),
            ids=ids,
            dtype=jnp.dtype(cfg.zoo.dtype),
            cache=cfg.zoo.cache or None,
        )
        return values[spec.layer]
    some = _in_parts(images, ids, spec.size)
    if spec.layer == 'pixels':
        return np.concatenate([image.pixels(part, images.channels) for part in some])
    return np.concatenate([image.image_statistics(part) for part in some])


def _folder(cfg, net: str) -> pathlib.Path:
    return catalog.resolve(net, cfg.zoo.path or None)


def pictures(images: types.Images, ids, size=()) -> np.ndarray:
    """[m h w 3] of `ids`, resized to `size` (h, w) if given; full size for a part at a time."""
    return np.concatenate(list(_in_parts(images, ids, size)))


def _in_parts(images: types.Images, ids, size):
    """Yields pictures of `ids`, some at a time, so that only these are held at their full size."""
    step = max(1, _PIXELS // (images.shape[0] * images.shape[1]))
    for start in range(0, len(ids), step):
        part = images[ids[start : start + step]]
        yield image.resize(part, tuple(size)) if size else part


def _resized(images: types.Images, size) -> types.Images:
    if not size:
        return images

    def read(rows):
        return image.resize(images[images.ids[rows]], tuple(size))

    return dataclasses.replace(images, read=read, shape=tuple(size))
