r"""Turns pickled weights of torch into safetensors, in an environment that has torch.

    python launch/convert.py --list             released nets: where they come from, licences
    python launch/convert.py --source=FOLDER --out=DIR [--variant=fp16]
                                                a Hugging Face folder with .bin files, or a whole
                                                pipeline's folder (with model_index.json)
    python launch/convert.py --source=FILE.pth --out=DIR [--net=alexnet] [--trunk=FILE.pth]
                                                a file of torchvision's, SwAV's or LPIPS' (--net is
                                                a name of --list; the file's name may tell it);
                                                LPIPS' needs torchvision's net too, as --trunk

Pickles are opened with weights_only, which runs no code of theirs. What is written is checked
against the net. DIR is made whole or not at all. Exit codes: 0 done; 2 the user's cause, in one
line.
"""

import os
import pathlib
import pickle
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import ml_dtypes
import numpy as np

from launch import ending
from recon.core import errors, lookup, results
from recon.zoo import _folders, _safetensors, catalog, tensors, weights

_STEMS = {'diffusion_pytorch_model': 'diffusion_pytorch_model', 'pytorch_model': 'model'}
_ALONG = ('.json', '.txt')  # configs and tokenizers
_WRAPPERS = ('state_dict', 'model')


def main(argv: list[str]) -> int:
    """Parses `argv`, converts, returns the exit code."""
    parser = ending.Parser(__doc__)
    parser.add_argument('--source', help='file or folder with pickled weights')
    parser.add_argument('--out', help='folder to make')
    parser.add_argument('--net', default='', help='name of --list, for a single file')
    parser.add_argument('--trunk', default='', help="torchvision's file that LPIPS stands on")
    parser.add_argument('--variant', default='', help="of a folder's files, for example fp16")
    parser.add_argument('--list', action='store_true', help='print the released nets')
    with ending.exit_codes() as ended:
        arguments = parser.parse_args(argv)
        if arguments.list:
            print(catalog.table())
            return 0
        if not arguments.source or not arguments.out:
            parser.error('--source and --out are needed')
        options = (arguments.net, arguments.variant, arguments.trunk)
        convert(arguments.source, ended.writes(arguments.out, '--out'), *options)
        print(f'wrote {arguments.out}')
    return ended.code


def convert(source, out, net: str = '', variant: str = '', trunk: str = '') -> None:
    """Writes the folder `out` of safetensors from pickles, whole or not at all.

    Args:
      source: a Hugging Face folder, a pipeline's folder, or a file.
      out: folder that is not there yet, or empty.
      net: name in the catalog, for a file whose name does not tell.
      variant: of a folder's files.
      trunk: file of the net that LPIPS' weights belong to.

    Raises:
      DataMissing: nothing to convert.  DataInvalid: a file that cannot be read, or holds code.
      ConfigError: no torch, an unknown net, or `out` holds something.  WeightsMismatch: the
      weights are of another net.
    """
    source, out = pathlib.Path(source).expanduser(), pathlib.Path(out).expanduser()
    if not source.exists():
        raise errors.DataMissing('no such file or folder', source, 'check the path')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise errors.ConfigError('it holds something already', out, 'name another --out')
    staging = out.absolute().with_name(f'.{out.name}.{os.getpid()}.tmp')
    try:
        staging.mkdir(parents=True)
        if source.is_file():
            _file(source, staging, net, trunk)
        else:
            folder = _folders.snapshot(source)
            whole = (folder / 'model_index.json').is_file()
            (_pipeline if whole else _folder)(folder, staging, variant)
        if out.is_dir():
            out.rmdir()
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _file(path: pathlib.Path, out: pathlib.Path, name: str, trunk: str) -> None:
    """A single file of a net that has no config.json of its own."""
    state = _load(path)
    name = name or _name(path)
    if name not in catalog.ENTRIES:
        raise errors.ConfigError(
            f'which net it is of is not known ({name or "no --net"})', path,
            f'--net is one of {", ".join(k for k, e in catalog.ENTRIES.items() if e.is_pickle)}; '
            'where a config.json lies beside it, name the folder',
        )  # fmt: skip
    entry = catalog.ENTRIES[name]
    if not entry.is_pickle:
        raise errors.ConfigError(
            f'{name} has a folder on the hub', path, 'name the folder that holds its config.json'
        )
    file = lookup.find('recon.zoo', entry.net, '--net')
    config = file.RELEASED[entry.size]
    raw = file.write(config)
    _, cls = weights.find(raw, path)
    if entry.trunk:
        if not trunk:
            where = catalog.ENTRIES[entry.trunk].where
            raise errors.ConfigError(f'{name} needs a --trunk', path, f'fetch {where}')
        state = file.join(config, _load(pathlib.Path(trunk).expanduser()), state)
    shapes = weights.expected(file, cls(config))
    found = weights.match(shapes, _stored(state), file.TABLE, path)
    named = {tensors.name_of(key): tensor.read for key, tensor in found.items()}
    _safetensors.write(out / 'model.safetensors', named)
    text = results.to_json(raw | {'converted_from': path.name}) + '\n'
    results.write_bytes(out / 'config.json', text.encode())


def _folder(folder: pathlib.Path, out: pathlib.Path, variant: str) -> None:
    """A Hugging Face folder: its weights as one file, what lies beside them copied."""
    raw = _folders.config(folder)
    file, cls = weights.find(raw, folder / 'config.json')
    paths, target = _pickles(folder, variant)
    state = {}
    for path in paths:
        state |= _load(path)
    out.mkdir(parents=True, exist_ok=True)
    named = {name: tensor.read for name, tensor in _stored(state).items()}
    _safetensors.write(out / target, named)
    _along(folder, out)
    weights.match(
        weights.expected(file, cls(file.read(raw))), _folders.weights(out, variant or None).stored,
        file.TABLE, folder,
    )  # fmt: skip


def _pipeline(folder: pathlib.Path, out: pathlib.Path, variant: str) -> None:
    """All parts of a diffusion pipeline that we know; what has no weights is copied."""
    _along(folder, out)
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        held = [path.suffix for path in part.iterdir()]
        if '.safetensors' in held or '.bin' not in held:
            _along(part, out / part.name, (*_ALONG, '.safetensors'))
        elif part.name == 'safety_checker':
            print('left out: safety_checker, no net of ours')
        else:
            _folder(part, out / part.name, variant)


def _along(folder: pathlib.Path, out: pathlib.Path, suffixes=_ALONG) -> None:
    """Copies what needs no conversion."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.iterdir()):
        if path.suffix in suffixes and '.bin.index' not in path.name and path.is_file():
            shutil.copyfile(path, out / path.name)


def _pickles(folder: pathlib.Path, variant: str) -> tuple[list[pathlib.Path], str]:
    """The .bin files of a folder, and the name of the safetensors file that replaces them."""
    dotted = f'.{variant}' if variant else ''
    for stem, ours in _STEMS.items():
        single = folder / f'{stem}{dotted}.bin'
        index = folder / f'{stem}.bin.index{dotted}.json'
        if single.exists():
            return [single], f'{ours}{dotted}.safetensors'
        if index.exists():
            where = _folders.read_json(index).get('weight_map')
            if not isinstance(where, dict):
                raise errors.DataInvalid('an index without a weight_map', index, 'fetch it again')
            names = sorted({pathlib.PurePath(str(name)).name for name in where.values()})
            return [folder / name for name in names], f'{ours}{dotted}.safetensors'
    what = f'no pytorch_model{dotted}.bin or diffusion_pytorch_model{dotted}.bin'
    has = ', '.join(sorted(p.name for p in folder.iterdir() if p.suffix in _folders.PICKLES))
    safe = any(p.suffix == '.safetensors' for p in folder.iterdir())
    raise errors.DataMissing(
        what, folder,
        'its safetensors are read as they are' if safe else f'there is: {has or "no pickle"}',
    )  # fmt: skip


def _load(path: pathlib.Path) -> dict:
    """The tensors of a pickle, on disk as far as torch can leave them there."""
    if path.suffix in ('.safetensors', '.msgpack'):
        raise errors.ConfigError('no pickle', path, 'it is read as it is: name its folder')
    if path.suffix == '.h5':
        raise errors.ConfigError("TensorFlow's weights", path, 'take the .bin of the same net')
    try:
        import torch
    except ImportError:
        raise errors.ConfigError(
            'torch is not installed here', 'launch/convert.py',
            'pip install torch (in another environment if you like) and run the same command there',
        ) from None  # fmt: skip
    try:
        state = _open(torch, path)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError,
            AttributeError, TypeError, IndexError, AssertionError) as error:  # fmt: skip
        told = ' '.join(str(error).split('. ')[0].split())
        raise errors.DataInvalid(
            f'not a pickle of tensors alone ({type(error).__name__}: {told})'[:300], path,
            'fetch it again; a pickle that holds other objects is not opened',
        ) from error  # fmt: skip
    while isinstance(state, dict):
        inner = [state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)]
        if not inner:
            break
        state = inner[0]
    if not isinstance(state, dict) or not state:
        raise errors.DataInvalid('it holds no table of tensors', path, 'name a state_dict')
    strange = [key for key, value in state.items() if not torch.is_tensor(value)]
    if strange:
        raise errors.DataInvalid(f'{strange[0]!r} is no tensor', path, 'name a state_dict')
    if any(key.startswith(('model.diffusion_model.', 'first_stage_model.')) for key in state):
        raise errors.DataInvalid(
            'a single-file Stable Diffusion checkpoint, whose names are others', path,
            "take the diffusers folder of the same net (unet, vae, text_encoder), or diffusers' "
            'own conversion script',
        )  # fmt: skip
    return {key.removeprefix('module.'): value.detach() for key, value in state.items()}


def _open(torch, path: pathlib.Path) -> object:
    try:
        return torch.load(path, map_location='cpu', weights_only=True, mmap=True)
    except RuntimeError:  # an old file, which cannot be mapped
        return torch.load(path, map_location='cpu', weights_only=True)


def _stored(state: dict) -> dict[str, _safetensors.Stored]:
    """Torch's tensors as ours, not copied."""
    return {name: _as_stored(tensor) for name, tensor in state.items()}


def _as_stored(tensor) -> _safetensors.Stored:
    def read():
        if str(tensor.dtype) != 'torch.bfloat16':
            return tensor.contiguous().numpy()
        import torch  # numpy knows no bfloat16

        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)

    name = str(tensor.dtype).removeprefix('torch.')
    dtype = np.dtype(ml_dtypes.bfloat16 if name == 'bfloat16' else name)
    return _safetensors.Stored(tuple(tensor.shape), dtype, None, read)


def _name(path: pathlib.Path) -> str:
    """The name in the catalog of a file that is called as it was published."""
    for name, entry in catalog.ENTRIES.items():
        if entry.is_pickle and entry.file == path.name:
            return name
    return ''


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
