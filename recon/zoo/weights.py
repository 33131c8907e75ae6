"""Reads and writes the folders of pretrained nets as they are on disk.

`net = weights.load(folder)`, then `net.module.apply({'params': net.params}, ...)`.
"""

import dataclasses
import hashlib
import importlib
import json
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors, lookup, results
from recon.zoo import _safetensors, tensors

_ASSETS = pathlib.Path(__file__).parent / 'assets'
_DIFFUSERS = ('AutoencoderKL', 'UNet2DConditionModel')  # their weights have another file name


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A net with its weights.

    Attributes:
      name: of the net's file in recon/zoo, for example 'clip'.
      module: the linen module.
      params: nested dict of its parameters.
      config: the net's Config.
      folder: that it came from.
      stamp: for scores: where the weights are from, and a digest of them.
    """

    name: str
    module: nn.Module
    params: dict
    config: object
    folder: pathlib.Path
    stamp: str


def load(folder, *, dtype=jnp.float32) -> Loaded:
    """A net and its parameters from the folder of a checkpoint.

    Args:
      folder: with config.json and safetensors, or 'tiny/<part>'.
      dtype: of the parameters.

    Raises:
      DataMissing: no such folder or file.  DataInvalid: a broken file.
      ConfigError: a net or an option that is not there.  WeightsMismatch: the file and the net
      do not fit.
    """
    if str(folder).startswith('tiny'):
        folder = _ASSETS / folder
    folder = pathlib.Path(folder)
    path = folder / 'config.json'
    if not path.is_file():
        raise errors.DataMissing('no config.json', folder, 'name the folder of a net')
    raw = json.loads(path.read_text())
    net, cls = find(raw, path)
    config = net.read(raw)
    module = cls(config)
    shapes = tensors.flatten(
        jax.eval_shape(module.init, jax.random.key(0), *net.example(config))['params']
    )
    files = sorted(folder.glob('*.safetensors'))
    table = getattr(net, 'TABLE', tensors.Table())
    stored = {table.today(k): v for k, v in _safetensors.read(files[0]).items()}
    params = {}
    for key in shapes:
        name = tensors.name_of(key)
        view = stored[table.tied.get(name, name) if name not in stored else name].read()
        params[key] = jax.device_put(
            np.ascontiguousarray(tensors.to_ours(view, key[-1]).astype(dtype))
        )
    digest = hashlib.sha256(files[0].read_bytes()).hexdigest()[:8]
    return Loaded(
        net.__name__.rpartition('.')[2],
        module,
        tensors.unflatten(params),
        config,
        folder,
        f'{folder.parent.name}/{folder.name} sha256:{digest}',
    )


def save(folder, module: nn.Module, params: dict, *, dtype=np.float16, extra=None) -> None:
    """Writes config.json and the weights, with the reference's names and layout.

    Args:
      folder: made if it is not there.
      module: with `config`; its file's `write` makes config.json.
      params: nested dict.
      dtype: to store as.
      extra: further keys for config.json, for example {'scenes_version': 1}, which the stamp shows.

    Raises:
      DataInvalid: a value that is not finite as `dtype`.
    """
    net = importlib.import_module(type(module).__module__)
    name = next(name for name, cls in net.CLASSES.items() if cls is type(module))
    raw = net.write(module.config)
    raw |= {'_class_name': name} if '_class_name' in raw else {'architectures': [name]}
    stem = 'diffusion_pytorch_model' if name in _DIFFUSERS else 'model'
    folder = pathlib.Path(folder)
    _safetensors.write(folder / f'{stem}.safetensors', tensors.state(params), dtype)
    results.write_bytes(
        folder / 'config.json', (results.to_json(raw | (extra or {})) + '\n').encode()
    )


def find(raw: dict, where) -> tuple:
    """config.json -> the file of recon/zoo that holds its net, and the class.

    Raises:
      ConfigError: no file has such a class.
    """
    name = raw.get('_class_name') or (raw.get('architectures') or [None])[0]
    known = []
    for file in lookup.names('recon.zoo'):
        # A file that does not name the class need not be imported.
        source = pathlib.Path(__file__).with_name(f'{file}.py').read_text()
        if 'CLASSES' not in source or (name and name not in source):
            continue
        net = importlib.import_module(f'recon.zoo.{file}')
        classes = getattr(net, 'CLASSES', {})
        if name in classes:
            return net, classes[name]
        known += classes
    raise errors.ConfigError(
        f'the net is {name!r}', where, f'nets that exist: {", ".join(sorted(known))}'
    )
