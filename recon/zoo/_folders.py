"""Which files of a folder hold a net's weights: Hugging Face's folders as they are on disk."""

import dataclasses
import hashlib
import json
import pathlib
import re
import shlex

from recon.core import errors
from recon.zoo import _msgpack, _safetensors

ASSETS = pathlib.Path(__file__).parent / 'assets'  # holds tiny/<part>
STEMS = ('diffusion_pytorch_model', 'model')
FLAX = ('diffusion_flax_model', 'flax_model')
PICKLES = ('.bin', '.pth', '.pt', '.ckpt', '.h5', '.tar')  # never opened
_WHOLE = 64 * 2**20  # bytes up to which a digest is of every one
_BLOCKS = 4096  # of a larger file, and bytes of each
_FETCH = 'fetch the folder again'


@dataclasses.dataclass(frozen=True)
class Weights:
    """What a folder holds.

    Attributes:
      paths: files, in the order of their names.
      stored: tensors under the names on disk, in torch's layout, not read yet.
    """

    paths: tuple[pathlib.Path, ...]
    stored: dict[str, _safetensors.Stored]


def snapshot(folder) -> pathlib.Path:
    """A plain folder, or the snapshot that a repository's folder in the hub cache points to.

    Raises:
      DataMissing: no such folder, or no snapshot in it.  DataInvalid: several, none of them main.
      ConfigError: a file, not a folder.
    """
    folder = pathlib.Path(folder).expanduser()
    if folder.is_file():
        refuse_pickle(folder)
        raise errors.ConfigError('a file, wanted the folder of a net', folder, 'name its folder')
    if not folder.is_dir():
        raise errors.DataMissing('no such folder', folder, 'check the path, or fetch the net')
    snapshots = folder / 'snapshots'
    if not folder.name.startswith('models--') or not snapshots.is_dir():
        return folder
    main = folder / 'refs' / 'main'
    there = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    wanted = main.read_text().strip() if main.is_file() else None
    if wanted in there:
        return snapshots / wanted
    if len(there) == 1:
        return snapshots / there[0]
    if not there:
        raise errors.DataMissing('the hub cache holds no snapshot', folder, 'fetch the net again')
    raise errors.DataInvalid(
        f'{len(there)} snapshots and none is main', snapshots, f'name one: {", ".join(there)}'
    )


def source(folder: pathlib.Path) -> str:
    """Where a folder is from, without the path on this machine: 'org/name', or the folder's name.

    A part of a pipeline is called by both: 'stable-diffusion-v1-5/unet'.
    """
    folder = folder.absolute()
    if folder.is_relative_to(ASSETS):
        return str(folder.relative_to(ASSETS))
    for i, part in enumerate(folder.parts):
        match = re.fullmatch(r'models--(.+?)--(.+)', part)
        if match and folder.parts[i + 1 : i + 2] == ('snapshots',):
            return '/'.join([*match.groups(), *folder.parts[i + 3 :]])
    is_part = (folder.parent / 'model_index.json').is_file()
    return f'{folder.parent.name}/{folder.name}' if is_part else folder.name


def config(folder: pathlib.Path) -> dict:
    """The content of config.json.

    Raises:
      DataMissing: none; the message lists the parts of a pipeline.  DataInvalid: no JSON object.
    """
    path = folder / 'config.json'
    if not path.is_file():
        parts = sorted(found.parent.name for found in folder.glob('*/config.json'))
        remedy = f'name a part: {", ".join(parts)}' if parts else 'name the folder of a net'
        raise errors.DataMissing('no config.json', folder, remedy)
    return read_json(path)


def read_json(path: pathlib.Path) -> dict:
    """A JSON object. Raises DataInvalid."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise errors.DataInvalid(f'no JSON that can be read ({error})', path, _FETCH) from error
    if not isinstance(found, dict):
        raise errors.DataInvalid('no JSON object', path, _FETCH)
    return found


def preprocessor(folder: pathlib.Path) -> dict | None:
    """What a folder says of its preprocessing of pictures; None where it says nothing.

    Newer transformers write it into processor_config.json, beside the tokenizer's part.

    Raises:
      DataInvalid: no JSON object.
    """
    path, newer = folder / 'preprocessor_config.json', folder / 'processor_config.json'
    if path.is_file():
        return read_json(path)
    found = read_json(newer).get('image_processor') if newer.is_file() else None
    return found if isinstance(found, dict) else None


def weights(folder: pathlib.Path, variant: str | None = None) -> Weights:
    """The tensors of a folder, not read yet.

    Args:
      folder: of a net.
      variant: for example 'fp16'. Without it the plain safetensors are taken (one file or several
        with an index), else Flax's msgpack, else the only variant that is there.

    Raises:
      DataMissing: no weights, or a file that an index names is not there.
      DataInvalid: a broken file, an index that does not fit, or only pickles (the message says
      how to convert them).
      ConfigError: no such variant.
    """
    found = _candidates(folder)
    there = sorted(name for name in found if name not in ('', 'flax'))
    if variant is not None:
        if variant not in found or variant == '':
            raise errors.ConfigError(
                f'variant is {variant!r}', folder, f'there is: {", ".join(there) or "none"}'
            )
        return _open(found[variant])
    for name in ('', 'flax', *(there if len(there) == 1 else ())):
        if name in found:
            return _open(found[name])
    if there:
        raise errors.ConfigError('no variant is named', folder, f'there are: {", ".join(there)}')
    for path in sorted(folder.iterdir()):
        refuse_pickle(path)
    raise errors.DataMissing('no weights (safetensors or Flax msgpack)', folder, _FETCH)


def refuse_pickle(path: pathlib.Path) -> None:
    """Raises DataInvalid with the command that converts, if `path` is of a kind never opened."""
    if path.suffix == '.h5':
        raise errors.DataInvalid(
            "TensorFlow's weights are not read", path, 'fetch the safetensors of the same net'
        )
    if path.suffix in PICKLES:
        has_config = (path.parent / 'config.json').is_file()
        named, out = path, path.with_name(path.name.split('.')[0])
        if has_config:
            named = out = path.parent
        raise errors.DataInvalid(
            'pickles are never opened, they can run any code',
            path,
            'in an environment with torch: '
            f'python launch/convert.py --source={shlex.quote(str(named))} '
            f'--out={shlex.quote(f"{out}-safetensors")}',
        )


def digest(paths) -> str:
    """16 hex digits of a sha256 of weight files.

    Of all bytes where the files have no more than 64 MiB together; else of each file's size, its
    first MiB (the header) and 4,096 blocks of 4 KiB spread evenly over it.
    """
    sha = hashlib.sha256()
    sizes = [path.stat().st_size for path in paths]
    for path, size in zip(paths, sizes, strict=True):
        sha.update(f'{size};'.encode())
        with open(path, 'rb') as file:
            if sum(sizes) <= _WHOLE:
                sha.update(file.read())
                continue
            sha.update(file.read(2**20))
            for i in range(_BLOCKS):
                file.seek(max(0, i * (size - _BLOCKS) // (_BLOCKS - 1)))
                sha.update(file.read(_BLOCKS))
    return sha.hexdigest()[:16]


def _candidates(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """{variant: file or index}; '' is the plain one, 'flax' Flax's."""
    found = {}
    for name in sorted(path.name for path in folder.iterdir()):
        for stem in STEMS:
            middle = re.fullmatch(rf'{stem}(?:\.(.+))?\.safetensors', name)
            index = re.fullmatch(rf'{stem}\.safetensors\.index(?:\.(.+))?\.json', name)
            match = middle or index
            if match and not re.search(r'-of-\d+$', match[1] or ''):
                found.setdefault(match[1] or '', folder / name)
        if name in [f'{stem}.msgpack{end}' for stem in FLAX for end in ('', '.index.json')]:
            found.setdefault('flax', folder / name)
    return found


def _open(path: pathlib.Path) -> Weights:
    if path.suffix != '.json':
        return Weights((path,), _read(path))
    where = read_json(path).get('weight_map')
    if not isinstance(where, dict) or not all(isinstance(x, str) for x in where.values()):
        raise errors.DataInvalid('an index without a weight_map', path, _FETCH)
    strange = [file for file in where.values() if pathlib.PurePath(file).name != file]
    if strange:
        raise errors.DataInvalid(f'it names {strange[0]!r}, no file beside it', path, _FETCH)
    paths = tuple(path.with_name(file) for file in sorted(set(where.values())))
    stored = {}
    for shard in paths:
        stored |= {(shard.name, name): tensor for name, tensor in _read(shard).items()}
    # Msgpack's index has slashes and Flax's names; there the files are taken as they are.
    if path.name.endswith('.msgpack.index.json'):
        return Weights(paths, {name: tensor for (_, name), tensor in stored.items()})
    lost = [name for name, file in where.items() if (file, name) not in stored]
    if lost or len(stored) != len(where):
        what = f'{lost[0]!r} is not where the index says' if lost else 'tensors it does not name'
        raise errors.DataInvalid(f'the index does not fit its files: {what}', path, _FETCH)
    return Weights(paths, {name: tensor for (_, name), tensor in stored.items()})


def _read(path: pathlib.Path) -> dict[str, _safetensors.Stored]:
    if not path.is_file():
        link = ', a link into the hub cache that leads nowhere' if path.is_symlink() else ''
        raise errors.DataMissing(f'no such file{link}', path, _FETCH)
    return (_msgpack if path.suffix == '.msgpack' else _safetensors).read(path)
