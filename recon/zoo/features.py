"""What a pretrained net sees in pictures: values of its layers, batched, jitted, cached on disk.

    net = weights.load('tiny/alexnet')
    values = features.extract(net, ('features.4', 'features.11'), images, cache=folder)
    values['features.4']  # [m h w c]

A net's file gives `prepare(config, images)`, `LAYERS(config)` and the module's method `layers`.
"""

import dataclasses
import functools
import hashlib
import importlib
import pathlib
import types as modules

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors
from recon.zoo import _feature_cache

_BRIGHTEST = 10  # decoded pictures may leave [0, 1]; those in [0, 255] go far beyond


@dataclasses.dataclass(frozen=True)
class Own:
    """The net's own preprocessing.

    Attributes:
      file: name of the module in recon/zoo.
      config: of the net.
    """

    file: str
    config: object

    def __call__(self, images):
        """[n h w 3] in [0, 1] -> what the net takes."""
        return importlib.import_module(self.file).prepare(self.config, images)


def extract(
    net, layers, images, *, ids=None, batch: int = 32, dtype=None, cache=None, prepare=None
) -> dict[str, np.ndarray]:
    """Values of some layers of a net for pictures.

    Args:
      net: weights.Loaded.
      layers: names of nodes, of the net's LAYERS(config).
      images: [m h w 3] in [0, 1] (uint8 counts as n / 255), or a types.Images, read in parts.
      ids: which pictures of a types.Images, default all; they may repeat.
      batch: pictures at a time; one compilation, the last batch is padded.
      dtype: of the computation, for example jnp.bfloat16; default the module's own.
      cache: a folder that keeps every value by content of the picture, net, stamp of its weights,
        layer, dtypes, preprocessing and code, or None. A stopped run goes on where it was, several
        processes may share it, and pictures that are equal are computed once.
      prepare: pictures -> the net's input, jit-able; hashable, and its repr names all that it does
        (a frozen dataclass does). Default: the net's own.

    Returns:
      {layer: [m ...] float32}; with a cache read-only views of its file where that is possible.

    Raises:
      ConfigError: no such layer, or the net has none.
      DataInvalid: pictures of another shape, or a value that is not finite.
    """
    assert batch >= 1, batch
    file, layers = type(net.module).__module__, tuple(layers)
    _check(net, file, layers)
    source = _Source(images, ids)
    module = net.module if dtype is None else net.module.clone(dtype=jnp.dtype(dtype))
    prepare = prepare or Own(file, net.config)
    batch = batch if len(source) >= batch else 1 << max(len(source) - 1, 0).bit_length()
    shape = (batch, *source.shape)
    run = functools.partial(_run, module, prepare, net.params, shape)
    shapes = functools.partial(_shapes, module, layers, prepare, net.params, shape)
    if cache is None:
        return _straight(run, layers, shapes(), source, batch)
    facts = {
        'net': f'{file}.{type(module).__name__}',
        'config': repr(net.config),
        'weights': net.stamp,
        'dtype': str(jnp.dtype(module.dtype)),
        'parameters': sorted({str(leaf.dtype) for leaf in jax.tree.leaves(net.params)}),
        'prepare': repr(prepare),
        'code': _code(importlib.import_module(file)),
        'pictures': list(source.shape),
    }
    rows = {
        name: _feature_cache.Rows(
            pathlib.Path(cache), facts | {'layer': name}, lambda name=name: shapes()[name]
        )
        for name in layers
    }
    return _through(run, rows, source, batch)


def _straight(run, layers, shapes, source, batch):
    out = {name: np.empty((len(source), *shapes[name]), np.float32) for name in layers}
    pending = None

    def finish(start, count, values):
        for name, rows in values.items():
            out[name][start : start + count] = _finite(rows, count, name)

    for start in range(0, len(source), batch):
        pictures = source.part(start, start + batch)
        started = start, len(pictures), run(layers, pictures)
        if pending:  # the device works on the next batch meanwhile
            finish(*pending)
        pending = started
    if pending:
        finish(*pending)
    return out


def _through(run, rows, source, batch):
    names, waiting = [], {}
    for start in range(0, len(source), batch):
        pictures = source.part(start, start + batch)
        found = [_feature_cache.digest(picture) for picture in pictures]
        names += found
        for layer in rows.values():
            layer.check(found)
        for name, picture in zip(found, pictures, strict=True):
            if any(name not in layer.known for layer in rows.values()):
                waiting[name] = picture
        _fill(run, rows, waiting, batch, batch)
    while waiting:
        _fill(run, rows, waiting, batch, 1)
    return {name: layer.read(names) for name, layer in rows.items()}


def _fill(run, rows, waiting: dict, batch: int, least: int):
    """Computes a batch of the waiting pictures, where `least` wait that nobody else has done."""
    if len(waiting) < least:
        return
    for layer in rows.values():
        layer.refresh()
    for name in [n for n in waiting if all(n in layer.known for layer in rows.values())]:
        del waiting[name]
    if len(waiting) < least:
        return
    names = list(waiting)[:batch]
    lacking = tuple(
        key for key, layer in rows.items() if any(name not in layer.known for name in names)
    )
    values = run(lacking, np.stack([waiting.pop(name) for name in names]))
    for key in lacking:
        rows[key].append(names, _finite(values[key], len(names), key))


def _finite(values, count: int, layer: str) -> np.ndarray:
    values = np.asarray(values)[:count]
    if not np.isfinite(values).all():
        raise errors.DataInvalid(
            f'layer {layer} has values that are not finite',
            'recon/zoo/features',
            'look for NaN in the pictures and the weights; in bfloat16 or float16, try float32',
        )
    return values


def _run(module, prepare, params, shape, layers, pictures):
    """Values of `layers` for up to shape[0] pictures; the batch is filled up with the last one."""
    if len(pictures) < shape[0]:
        fill = np.broadcast_to(pictures[-1:], (shape[0] - len(pictures), *shape[1:]))
        pictures = np.concatenate([pictures, fill])
    return _program(module, layers, prepare)(params, pictures)


@functools.lru_cache(maxsize=32)
def _program(module, layers, prepare):
    """One jitted function for one net, its layers and its preprocessing; compiled once a shape.

    float32 is meant: accelerators would multiply in fewer bits, and values are kept for long.
    """
    precision = 'highest' if jnp.dtype(module.dtype) == jnp.float32 else None

    @jax.jit
    def run(params, pictures):
        with jax.default_matmul_precision(precision):
            nodes = module.apply({'params': params}, prepare(pictures), method='layers')
        return {name: nodes[name].astype(jnp.float32) for name in layers}

    return run


def _shapes(module, layers, prepare, params, shape) -> dict:
    pictures = jax.ShapeDtypeStruct(shape, jnp.float32)
    nodes = jax.eval_shape(_program(module, layers, prepare), params, pictures)
    return {name: node.shape[1:] for name, node in nodes.items()}


def _code(file) -> str:
    """Digest of the source of a net's file and of those of ours that it uses."""
    found, left = {}, [file]
    while left:
        module = left.pop()
        if module.__name__ in found:
            continue
        found[module.__name__] = pathlib.Path(module.__file__).read_bytes()
        used = (v for v in vars(module).values() if isinstance(v, modules.ModuleType))
        left += [m for m in used if m.__name__.startswith('recon.')]
    whole = b''.join(found[name] for name in sorted(found))
    return hashlib.blake2b(whole, digest_size=8).hexdigest()


def _check(net, file, layers):
    known = getattr(importlib.import_module(file), 'LAYERS', lambda config: ())(net.config)
    missing = [name for name in layers if name not in known]
    if missing or not hasattr(net.module, 'layers'):
        raise errors.ConfigError(
            f'{net.name} has no layer {missing[0]!r}' if missing else f'{net.name} has no layers',
            net.folder,
            f'layers that exist: {", ".join(known) or "none"}',
        )


class _Source:
    """Pictures from an array or from a types.Images, some at a time.

    Attributes:
      shape: of one picture.
    """

    def __init__(self, images, ids):
        if hasattr(images, 'ids'):
            ids = images.ids if ids is None else np.asarray(ids)
            self.shape, self._count = (*images.shape, 3), len(ids)
            self._read = lambda rows: images[ids[rows]]
            return
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[-1] != 3 or ids is not None:
            raise errors.DataInvalid(
                f'pictures have shape {images.shape}', 'recon/zoo/features', 'wanted [m h w 3]'
            )
        self.shape, self._count = images.shape[1:], len(images)
        self._read = lambda rows: images[rows]

    def __len__(self):
        return self._count

    def part(self, start: int, stop: int) -> np.ndarray:
        """Pictures start:stop, float32."""
        pictures = np.asarray(self._read(slice(start, stop)))
        if pictures.dtype == np.uint8:
            return pictures.astype(np.float32) / 255
        if pictures.dtype.kind not in 'fV' or pictures.max() > _BRIGHTEST:
            raise errors.DataInvalid(
                f'pictures of {pictures.dtype} up to {pictures.max()}',
                'recon/zoo/features',
                'wanted floats in [0, 1], or uint8',
            )
        return pictures.astype(np.float32, copy=False)
