"""Which metric names exist: those of scores.json, to the letter."""

import dataclasses
import re

from recon.core import errors
from recon.metrics import pixel

PLAIN = ('pixcorr', *pixel.WINDOWS, 'mse', 'mae', *(f'binary_{name}' for name in pixel.BINARY))
PATTERNS = {
    'two_way_takagi_<feature>': r'(?P<kind>two_way_takagi)_(?P<feature>.+)',
    'two_way_<feature>': r'(?P<kind>two_way)_(?P<feature>.+)',
    'nway<k>_<feature>': r'(?P<kind>nway)(?P<k>\d+)_(?P<feature>.+)',
    'corrdist_<feature>': r'(?P<kind>corrdist)_(?P<feature>.+)',
    'cosine_<feature>': r'(?P<kind>cosine)_(?P<feature>.+)',
    'brain_to_image_top1|5': r'(?P<kind>brain_to_image)_top(?P<k>[15])',
    'image_to_brain_top1|5': r'(?P<kind>image_to_brain)_top(?P<k>[15])',
    'lpips_<net>': r'(?P<kind>lpips)_(?P<net>\w+)',
}
ELSEWHERE = {
    'map|f1_macro|f1_micro|(category|top1|top5|first_label)_accuracy': 'labels',
    'voxel_r|voxel_r2|ceiling_fraction': 'responses of voxels',
    'latent_l1': 'latents',
}
LPIPS_SIDE = 32  # below it, nothing is left after the last pooling


@dataclasses.dataclass(frozen=True)
class Name:
    """A metric's name taken apart: two_way_clip is kind two_way, feature clip.

    The feature of lpips_alexnet is itself: nets that compare pictures stand beside those that
    describe them.
    """

    kind: str
    feature: str | None = None
    k: int | None = None


def known() -> list[str]:
    """Names and patterns of names that `score` takes."""
    return [*PLAIN, *PATTERNS]


def check(names, nets=None, *, n: int | None = None, size: tuple[int, int] | None = None) -> None:
    """Refuses names that cannot be scored, before any work.

    Args:
      names: as in config.metrics.
      nets: features that exist beside 'pixel' (anything with `in`).
      n: number of test images, if known already.
      size: (h, w) of the pictures, if known already.

    Raises:
      ConfigError: no name, a name given twice, an unknown name or feature, pictures smaller than a
        window, or a choice among more candidates than there are images. The message lists what
        exists.
    """
    names = list(names)
    if not names:
        raise errors.ConfigError(
            'metrics is empty', 'config.metrics', f'names that exist: {", ".join(known())}'
        )
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise errors.ConfigError(
            f'metrics names {", ".join(twice)} twice', 'config.metrics', 'name each metric once'
        )
    for name in names:
        parsed = parse(name, nets or {})
        if size is not None and name in pixel.WINDOWS:
            pixel.check_size(name, size)
        if size is not None and parsed.kind == 'lpips' and min(size) < LPIPS_SIDE:
            raise errors.ConfigError(
                f'{name} needs {LPIPS_SIDE} pixels a side, pictures have {size[0]} x {size[1]}',
                'config.metrics',
                'leave it out: growing the pictures would score the interpolation',
            )
        if n is not None and parsed.kind == 'nway' and not 2 <= parsed.k <= n:
            raise errors.ConfigError(
                f'{name} chooses among {parsed.k} images, there are {n}',
                'config.metrics',
                f'give nway<k> a k of 2 to {n}',
            )


def features(names, retrieval: str = 'pixel') -> tuple[str, ...]:
    """Keys of `nets` that the metrics `names` ask for, each once; names of no pattern have none."""
    found = []
    for name in names:
        match = next((m for p in PATTERNS.values() if (m := re.fullmatch(p, str(name)))), None)
        parts = match.groupdict() if match else {}
        if parts.get('net'):
            found.append(str(name))
        elif match:
            found.append(parts.get('feature') or retrieval)
    return tuple(dict.fromkeys(key for key in found if key != 'pixel'))


def parse(name: str, nets) -> Name:
    """Takes `name` apart; ConfigError if it, or its feature, does not exist."""
    if name in PLAIN:
        return Name(name)
    found = next((m for p in PATTERNS.values() if (m := re.fullmatch(p, str(name)))), None)
    for pattern, source in ELSEWHERE.items():
        if re.fullmatch(pattern, str(name)):
            raise errors.ConfigError(
                f'{name} is scored from {source}, not from pictures',
                'config.metrics',
                f'names for pictures: {", ".join(known())}',
            )
    parts = found.groupdict() if found else {}
    if parts.get('net'):
        parts['feature'] = str(name)
    comparing = {key for key in nets if key.startswith('lpips_')}
    allowed = comparing if parts.get('net') else {'pixel', *nets} - comparing
    if found is None or parts.get('feature', 'pixel') not in {'pixel', *allowed}:
        raise errors.ConfigError(
            f'metric {name!r} does not exist' if found is None else f'metric {name!r} has no net',
            'config.metrics',
            f'names that exist: {", ".join(known())}; features that exist: '
            f'{", ".join(["pixel", *sorted(nets)])}',
        )
    k = parts.get('k')
    return Name(parts['kind'], parts.get('feature'), int(k) if k else None)
