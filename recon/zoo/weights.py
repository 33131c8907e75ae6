"""Reads and writes the folders of pretrained nets as they are on disk.

`net = weights.load('tiny/clip')`, then `net.module.apply({'params': net.params}, ...)`.
"""

import dataclasses
import importlib
import pathlib
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors, lookup, results
from recon.zoo import _folders, _safetensors, catalog, tensors

_DIFFUSERS = ('AutoencoderKL', 'UNet2DConditionModel')  # their weights have another file name
_SHOWN = 10  # names of each kind in a message
# What a config.json whose values have other types, or do not fit each other, makes a net raise.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A net with its weights.

    Attributes:
      name: of the net's file in recon/zoo, for example 'clip'.
      module: the linen module.
      params: nested dict of its parameters.
      config: the net's Config.
      folder: that it came from.
      stamp: for scores: where the weights are from, and a digest of them (`_folders.digest`), for
        example 'openai/clip-vit-large-patch14 sha256:1a2b3c4d5e6f7a8b'.
    """

    name: str
    module: nn.Module
    params: dict
    config: object
    folder: pathlib.Path
    stamp: str


def load(
    folder,
    *,
    dtype=jnp.float32,
    compute=None,
    variant: str | None = None,
    sharding: Callable | None = None,
) -> Loaded:
    """A net and its parameters from the folder of a checkpoint, read tensor by tensor.

    Safetensors (one file, or several with an index), fp16 variants, Flax's msgpack; old and new
    names of tensors. No pickle is ever opened.

    Args:
      folder: a folder, a repository in the hub cache, or a name that `catalog.resolve` knows.
      dtype: of the parameters.
      compute: of the computation; None takes `dtype`.
      variant: of the files, for example 'fp16'.
      sharding: (path, shape) -> jax.sharding.Sharding of that parameter, of which each process
        then reads its own slices alone; None puts all on the default device.

    Raises:
      DataMissing: no such folder or file.  DataInvalid: a broken file, only pickles, or values that
        are not finite.
      ConfigError: a net, an option or a variant that is not there.  WeightsMismatch: the file and
      the net do not fit; one message lists everything.
    """
    folder = catalog.resolve(folder)
    raw = _folders.config(folder)
    file, cls = find(raw, folder / 'config.json')
    config = _config(file, raw, folder)
    module = cls(config, dtype=dtype if compute is None else compute)
    shapes = _shapes(file, module, folder)
    found = _folders.weights(folder, variant)
    stored = match(shapes, found.stored, file.TABLE, folder)
    leaves = {}
    for path, tensor in stored.items():
        leaves[path] = _put(tensor, path, shapes[path].shape, dtype, sharding, folder)
        tensor.map.forget()
    version = f' scenes_version {raw["scenes_version"]}' if 'scenes_version' in raw else ''
    return Loaded(
        file.__name__.rpartition('.')[2],
        module,
        tensors.unflatten(leaves),
        config,
        folder,
        f'{_folders.source(folder)}{version} sha256:{_folders.digest(found.paths)}',
    )


def save(folder, module: nn.Module, params: dict, *, dtype=np.float16, extra=None) -> None:
    """Writes config.json and the weights, with the reference's names and layout.

    Args:
      folder: made if it is not there.
      module: with `config`; its file's `write` makes config.json.
      params: nested dict.
      dtype: to store as; None keeps each parameter's own.
      extra: further keys for config.json, for example {'scenes_version': 1}, which the stamp shows.

    Raises:
      DataInvalid: a value that is not finite as `dtype`.
    """
    file = importlib.import_module(type(module).__module__)
    name = next(name for name, cls in file.CLASSES.items() if cls is type(module))
    raw = file.write(module.config)
    raw |= {'_class_name': name} if '_class_name' in raw else {'architectures': [name]}
    stem = 'diffusion_pytorch_model' if name in _DIFFUSERS else 'model'
    folder = pathlib.Path(folder)
    leaves = tensors.flatten(params)
    lazily = {
        tensors.name_of(path): (lambda path=path: tensors.to_theirs(leaves[path], path[-1]))
        for path in leaves
    }
    _safetensors.write(folder / f'{stem}.safetensors', lazily, dtype)
    text = results.to_json(raw | (extra or {})) + '\n'
    results.write_bytes(folder / 'config.json', text.encode())


def find(raw: dict, where) -> tuple:
    """config.json -> the file of recon/zoo that holds its net, and the class.

    Raises:
      ConfigError: no file has such a class.
    """
    listed = raw.get('architectures')
    name = raw.get('_class_name') or (listed[0] if isinstance(listed, list) and listed else None)
    name = name if isinstance(name, str) else None
    known = {}
    for file in lookup.names('recon.zoo'):
        # A file that does not name the class need not be imported.
        source = pathlib.Path(__file__).with_name(f'{file}.py').read_text(encoding='utf-8')
        if '\nCLASSES' in source and f"'{name}'" in source:
            net = importlib.import_module(f'recon.zoo.{file}')
            known |= {found: net for found in net.CLASSES}
    if name in known:
        return known[name], known[name].CLASSES[name]
    raise errors.ConfigError(f'the net is {name!r}', where, f'nets that exist: {_nets()}')


def expected(file, module: nn.Module) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
    """{path: shape} of the parameters of a net, without making any."""
    example = file.example(module.config)
    variables = jax.eval_shape(module.init, jax.random.key(0), *example)
    return tensors.flatten(variables['params'])


def match(shapes: dict, stored: dict, table: tensors.Table, where) -> dict:
    """Finds each parameter's tensor.

    Args:
      shapes: of `expected`.
      stored: {name on disk: Stored}.
      table: of the net.
      where: for the message.

    Returns:
      {path: Stored}, of the shape that the parameter has in torch's layout but for axes of 1 at
      the end of a kernel (a 1x1 convolution is a matrix).

    Raises:
      WeightsMismatch: tensors without a place, under two names, of another shape or of no floating
        type, and parameters left unset: all in one message.
    """
    doubled, misshapen, unset, out, named = [], [], [], {}, {}
    for old, tensor in stored.items():
        name = table.today(old)
        if name is None:
            continue
        if name in named:
            doubled.append(f'{old} ({name})')
        named[name] = tensor
    for path, struct in shapes.items():
        name = tensors.name_of(path)
        tensor = named.get(name)
        if tensor is None:
            unset.append(name)
            continue
        shape = tensors.shape_of_theirs(struct.shape, path[-1])
        if tensor.dtype not in _safetensors.FLOATS:
            misshapen.append(f'{name} of type {tensor.dtype}')
        elif _matrix(tensor.shape, path[-1]) != _matrix(shape, path[-1]):
            misshapen.append(f'{name} {tensor.shape}, wanted {shape}')
        out[path] = tensor
    places = {tensors.name_of(path) for path in shapes}
    faults = {
        'tensors have no place in the net': [name for name in named if name not in places],
        'tensors have the name of another': doubled,
        'tensors have another shape or type': misshapen,
        'parameters are left unset': unset,
    }
    told = '; '.join(_told(what, names) for what, names in faults.items() if names)
    if told:
        remedy = 'the weights are of another net than config.json says, or incomplete'
        raise errors.WeightsMismatch(told, where, remedy)
    return out


def _told(what: str, names: list[str]) -> str:
    more = f' and {len(names) - _SHOWN:,} more' if len(names) > _SHOWN else ''
    return f'{len(names):,} {what}: {", ".join(names[:_SHOWN])}{more}'


def _nets() -> str:
    files = [importlib.import_module(f'recon.zoo.{name}') for name in lookup.names('recon.zoo')]
    return ', '.join(sorted(name for file in files for name in getattr(file, 'CLASSES', ())))


def _matrix(shape: tuple[int, ...], leaf: str) -> tuple[int, ...]:
    """A 1x1 convolution's shape as a matrix's, others as they are."""
    return shape[:2] if leaf == 'kernel' and len(shape) == 4 and shape[2:] == (1, 1) else shape


def _config(file, raw: dict, folder: pathlib.Path):
    """The net's Config; what a broken config.json makes its file raise becomes ConfigError."""
    try:
        config = file.read(raw)
        seen = _folders.preprocessor(folder)
        if hasattr(file, 'with_preprocessor') and seen is not None:
            config = file.with_preprocessor(config, seen)
    except _MALFORMED as error:
        raise _malformed(error, folder) from error
    return config


def _shapes(file, module: nn.Module, folder: pathlib.Path) -> dict:
    """`expected`; sizes of a config.json that no net can have become ConfigError."""
    try:
        return expected(file, module)
    except _MALFORMED as error:
        raise _malformed(error, folder) from error


def _malformed(error: Exception, folder: pathlib.Path) -> errors.ConfigError:
    told = ' '.join(str(error).split())[:200]
    return errors.ConfigError(
        f'cannot be understood ({type(error).__name__}: {told})',
        folder / 'config.json',
        'fetch the folder again',
    )


def _put(tensor, path: tuple, shape: tuple, dtype, sharding, folder) -> jax.Array:
    """One tensor, from its file to its devices; it is read where it is copied."""
    torchs = tensors.shape_of_theirs(shape, path[-1])
    stored = tensor.read()
    if not np.isfinite(stored).all():
        raise errors.DataInvalid(
            f'{tensors.name_of(path)} holds values that are not finite', folder, 'fetch it again'
        )
    ours = tensors.to_ours(stored.reshape(torchs), path[-1])
    where = sharding(path, shape) if sharding else None
    if where is None:
        return jax.device_put(np.array(ours, dtype, order='C')).block_until_ready()
    return jax.make_array_from_callback(
        shape, where, lambda index: np.array(ours[index], dtype, order='C')
    ).block_until_ready()
