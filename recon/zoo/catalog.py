"""Where released nets come from, under which licence, and where they are on this machine.

Source: the repositories' own pages and torchvision's tables of weights. Revisions were not checked
against the hub, so all are 'main'.
"""

import dataclasses
import fnmatch
import pathlib
import shlex

from recon.core import errors
from recon.zoo import _folders

_TORCH = 'https://download.pytorch.org/models'
_IMAGENET = 'BSD-3-Clause (trained on ImageNet, for research)'
_UNIT, _SIGNED = '[0, 1], normalised by the net', '[-1, 1]'
_SAFE = ('.safetensors', '-*.safetensors', '.safetensors.index.json')  # no variants
_ALONG = ('*.json', '*.txt')  # configs and tokenizers


@dataclasses.dataclass(frozen=True)
class Entry:
    """A released net.

    Attributes:
      net: its file in recon/zoo.
      size: its key in that file's RELEASED.
      where: repository on the Hugging Face hub, or the address of a .pth file.
      licence: of the weights.
      takes: range of its input.
      parameters: how many the file holds, statistics of norms not counted.
      used: what it is for.
      part: folder of the repository that holds it; '' for all of it.
      revision: of the repository; 'main' where none was checked.
      trunk: the entry whose convolutions it weighs, for weights without a trunk.
    """

    net: str
    size: str
    where: str
    licence: str
    takes: str
    parameters: int
    used: str
    part: str = ''
    revision: str = 'main'
    trunk: str = ''

    @property
    def is_pickle(self) -> bool:
        """Whether it comes as a .pth that has to be converted."""
        return self.where.startswith('https://')

    @property
    def file(self) -> str:
        """Name of the .pth file."""
        return self.where.rpartition('/')[2]


def _diffusion(name: str, size: str, repository: str, licence: str, text: str, used: str) -> dict:
    parts = {
        'unet': ('sd_unet', size, 'latents, variance 1'),
        'vae': ('sd_vae', size, _SIGNED),
        'text_encoder': ('clip', text, 'ids'),
    }
    return {
        f'{name}/{part}': Entry(
            net, its, repository, licence, takes, _COUNTS[its][part], used, part
        )
        for part, (net, its, takes) in parts.items()
    }


def _clip(size: str, repository: str, parameters: int, used: str) -> Entry:
    return Entry('clip', size, repository, 'MIT', _UNIT, parameters, used)


def _blip(size: str, parameters: int) -> Entry:
    return Entry('blip', size, size, 'BSD-3-Clause', _UNIT, parameters, 'captions')


def _torchvision(net: str, size: str, file: str, parameters: int, used: str) -> Entry:
    return Entry(net, size, f'{_TORCH}/{file}', _IMAGENET, _UNIT, parameters, used)


def _lpips(name: str, parameters: int, trunk: str) -> Entry:
    used = f'metric lpips, on {trunk}'
    file = f'{_LPIPS}/{name}.pth'
    size = f'lpips_{name}'
    return Entry('lpips', size, file, 'BSD-2-Clause', '[0, 1]', parameters, used, trunk=trunk)


_V1, _V2, _V2_BASE = (
    'stable-diffusion-v1-5', 'stable-diffusion-2-1', 'stable-diffusion-2-1-base',
)  # fmt: skip
_TEXT1, _TEXT2 = 'SD 1.5 text encoder', 'SD 2.1 text encoder'
_COUNTS = {
    _V1: {'unet': 859_520_964, 'vae': 83_653_863},
    _V2: {'unet': 865_910_724, 'vae': 83_653_863},
    _V2_BASE: {'unet': 865_910_724, 'vae': 83_653_863},
    _TEXT1: {'text_encoder': 123_060_480},
    _TEXT2: {'text_encoder': 340_387_840},
}
_LPIPS = 'https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1'
_SWAV = 'https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar'
# runwayml's and stabilityai's own repositories were removed; these are copies.
_SD1, _SD2 = f'{_V1}/{_V1}', 'sd2-community'
_1, _2 = 'CreativeML Open RAIL-M', 'CreativeML Open RAIL++-M'

ENTRIES = {
    **_diffusion('sd15', _V1, _SD1, _1, _TEXT1, 'diffusion, 512 pixels, epsilon'),
    **_diffusion('sd21', _V2, f'{_SD2}/{_V2}', _2, _TEXT2, 'diffusion, 768 pixels, v'),
    **_diffusion(
        'sd21base', _V2_BASE, f'{_SD2}/{_V2_BASE}', _2, _TEXT2, 'diffusion, 512 pixels, epsilon'
    ),
    'clip_vit_b32': _clip('ViT-B/32', 'openai/clip-vit-base-patch32', 151_277_313, 'CLIP score'),
    'clip_vit_b16': _clip('ViT-B/16', 'openai/clip-vit-base-patch16', 149_620_737, 'targets'),
    'clip_vit_l14': _clip('ViT-L/14', 'openai/clip-vit-large-patch14', 427_616_513, 'metric clip'),
    'clip_vit_h14': _clip(
        'ViT-H/14', 'laion/CLIP-ViT-H-14-laion2B-s32B-b79K', 986_109_441, 'targets'
    ),
    'blip_base': _blip('Salesforce/blip-image-captioning-base', 223_971_644),
    'blip_large': _blip('Salesforce/blip-image-captioning-large', 446_290_492),
    'alexnet': _torchvision(
        'alexnet', 'alexnet', 'alexnet-owt-7be5be79.pth', 61_100_840, 'alexnet2, alexnet5, lpips'
    ),
    'vgg19': _torchvision('vgg', 'vgg19', 'vgg19-dcbb9e9d.pth', 143_667_240, 'targets'),
    'vgg16': _torchvision('vgg', 'vgg16', 'vgg16-397923af.pth', 138_357_544, 'metric lpips'),
    'inception_v3': _torchvision(
        'inception', 'inception_v3', 'inception_v3_google-0cc3c7bd.pth', 27_161_264, 'inception'
    ),
    'efficientnet_b1': _torchvision(
        'efficientnet', 'efficientnet_b1', 'efficientnet_b1-c27df63c.pth', 7_794_184, 'efficientnet'
    ),
    'efficientnet_b1_v1': _torchvision(
        'efficientnet',
        'efficientnet_b1_v1',
        'efficientnet_b1_rwightman-bac287d4.pth',
        7_794_184,
        'targets',
    ),
    'resnet50': _torchvision('resnet', 'resnet50', 'resnet50-0676ba61.pth', 25_557_032, 'targets'),
    'resnet50_v2': _torchvision(
        'resnet', 'resnet50_v2', 'resnet50-11ad3fa6.pth', 25_557_032, 'targets'
    ),
    'swav': Entry('resnet', 'swav', _SWAV, 'CC BY-NC 4.0', _UNIT, 23_508_032, 'metric swav'),
    'lpips_alex': _lpips('alex', 1_152, 'alexnet'),
    'lpips_vgg': _lpips('vgg', 1_472, 'vgg16'),
}


def table() -> str:
    """All entries as lines of text."""
    rows = [('name', 'net', 'from', 'revision', 'licence', 'input', 'GB', 'for')]
    for name, entry in ENTRIES.items():
        where = '/'.join(filter(None, (entry.where, entry.part)))
        revision = '-' if entry.is_pickle else entry.revision
        size = f'{entry.parameters * 4 / 1e9:.2f}'
        rows.append(
            (name, entry.net, where, revision, entry.licence, entry.takes, size, entry.used)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ['  '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    return '\n'.join(line.rstrip() for line in lines)


def resolve(name, cache=None, offline: bool = True) -> pathlib.Path:
    """The folder of a net on this machine.

    Args:
      name: a path; 'tiny/<part>', embedded; a name of ENTRIES; or 'org/name[/part]' of the hub.
      cache: a folder of nets by name, which come first, or of the hub's cache; None takes
        huggingface_hub's own.
      offline: False lets huggingface_hub download what is not there; never a pickle.

    Raises:
      DataMissing: not on this machine (the message says what to run).
      ConfigError: no such name.
    """
    text = str(name)
    if text == 'tiny' or text.startswith('tiny/'):
        return _tiny(text)
    if cache is not None and text and not pathlib.PurePath(text).is_absolute():
        own = pathlib.Path(cache).expanduser() / text
        if own.is_dir():
            return _folders.snapshot(own)
    if isinstance(name, pathlib.PurePath) or (text and pathlib.Path(text).expanduser().exists()):
        return _folders.snapshot(text)
    entry = ENTRIES.get(text)
    if entry is None:
        pieces = text.split('/')
        if len(pieces) < 2 or text.startswith(('/', '.', '~')) or '' in pieces:
            raise errors.DataMissing(
                f'no folder and no net is called {text!r}', 'recon/zoo/catalog.py',
                f'there are: {", ".join(ENTRIES)}, tiny/<part>',
            )  # fmt: skip
        entry = Entry('', '', '/'.join(pieces[:2]), '', '', 0, '', '/'.join(pieces[2:]))
    cache = _cache() if cache is None else pathlib.Path(cache).expanduser()
    if entry.is_pickle:
        return _converted(text, entry, cache)
    return _from_hub(text, entry, cache, offline)


def _tiny(text: str) -> pathlib.Path:
    folder = _folders.ASSETS / text
    if not folder.is_dir() or '..' in folder.parts:
        there = sorted(path.name for path in (_folders.ASSETS / 'tiny').glob('*') if path.is_dir())
        raise errors.ConfigError(
            f'no embedded net {text!r}', 'recon/zoo/assets', f'there are: {", ".join(there)}'
        )
    return folder


def _cache() -> pathlib.Path:
    from huggingface_hub import constants  # it reads HF_HOME and HF_HUB_CACHE

    return pathlib.Path(constants.HF_HUB_CACHE)


def _converted(name: str, entry: Entry, cache: pathlib.Path) -> pathlib.Path:
    folder = cache / f'converted--{name}'
    if folder.is_dir():
        return folder
    where, trunk = entry.where, ''
    if entry.trunk:
        where += f' and {ENTRIES[entry.trunk].where}'
        trunk = f' --trunk={ENTRIES[entry.trunk].file}'
    raise errors.DataMissing(
        f'{name} is not on this machine',
        folder,
        f'fetch {where} and run, with torch: python launch/convert.py --source={entry.file} '
        f'--net={name} --out={shlex.quote(str(folder))}{trunk}',
    )


def _from_hub(name: str, entry: Entry, cache: pathlib.Path, offline: bool) -> pathlib.Path:
    repository = cache / f'models--{entry.where.replace("/", "--")}'
    if not offline:
        _download(entry, cache)
    if repository.is_dir():
        folder = _folders.snapshot(repository) / entry.part
        if (folder / 'config.json').is_file() or (folder / 'model_index.json').is_file():
            return folder
    part = f" --include '{entry.part}/*'" if entry.part else ''
    raise errors.DataMissing(
        f'no folder {name!r}, and it is not in the cache of the hub', repository,
        f"hf download {entry.where}{part} --exclude '*.bin' '*.h5' '*.onnx', or in Python: "
        f'recon.zoo.catalog.resolve({name!r}, offline=False)',
    )  # fmt: skip


def _download(entry: Entry, cache: pathlib.Path) -> None:
    """Configs, tokenizers and one set of weights; no pickle. DataMissing where that fails."""
    import huggingface_hub

    try:
        there = huggingface_hub.HfApi().list_repo_files(entry.where, revision=entry.revision)
        huggingface_hub.snapshot_download(
            entry.where,
            revision=entry.revision,
            cache_dir=cache,
            allow_patterns=_wanted(there, f'{entry.part}/' if entry.part else ''),
        )
    except Exception as error:  # noqa: BLE001  the hub's and httpx' errors have no common base
        raise errors.DataMissing(
            f'could not be fetched ({" ".join(str(error).split())})'[:300], entry.where,
            'check the name and the network, or fetch it by hand',
        ) from error  # fmt: skip


def _wanted(there: list[str], inside: str) -> list[str]:
    """The files of a repository to fetch: plain weights or else Flax's, configs, tokenizers."""
    if not inside and 'model_index.json' in there:
        inside = '*/'
    safe = [f'{inside}{stem}{more}' for stem in _folders.STEMS for more in _SAFE]
    flax = [f'{inside}{stem}.msgpack*' for stem in _folders.FLAX]
    has = any(fnmatch.fnmatch(name, pattern) for name in there for pattern in safe)
    return [
        *(safe if has else flax),
        *(f'{inside}{pattern}' for pattern in _ALONG),
        'model_index.json',
    ]
