"""Pictures as data URIs, and which the page shows: chosen by score, never by hand."""

import base64
import dataclasses
import io

import numpy as np
from PIL import Image

from recon.core import errors, image
from recon.report import formats, words

SHOWN = 60  # pictures in the gallery; more make a page that is slow to open
_STRIPS = 24  # the same where stages make a line of each
_LOSSLESS_SIDE = 128  # larger ones are stored as JPEG, or a page outgrows what mail takes
_ELSEWHERE = ('sample_', 'low_')  # stages that other parts of the page show
_RUNS = ('member ', 'subject ', 'seed ')  # each shown even where it is the chosen one
_LARGE, _SMALL = 256, 160  # longest side in pixels: the three on top, the gallery


def picture(pixels: np.ndarray, max_side: int = 256) -> dict:
    """One picture as a data URI.

    Args:
      pixels: [h w], [h w 1] or [h w 3], float in [0, 1] or uint8.
      max_side: longer side in pixels above which it is reduced (antialiased).

    Returns:
      {'uri', 'width', 'height', 'small'}: PNG up to 128 pixels a side (lossless; `small` asks the
      page for sharp pixels), JPEG of quality 90 above.
    """
    array = image.to_uint8(np.nan_to_num(image.to_float(pixels)))
    if array.ndim == 3 and (array.shape[2] == 1 or (array == array[..., :1]).all()):
        array = array[..., 0]
    shown = Image.fromarray(array)
    shown.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    small = max(shown.size) <= _LOSSLESS_SIDE
    uri = _uri(shown, 'PNG', optimize=True) if small else _uri(shown, 'JPEG', quality=90)
    return {'uri': uri, 'width': shown.width, 'height': shown.height, 'small': small}


def png(pixels: np.ndarray, colours: int = 0) -> str:
    """uint8 [h w c] as a PNG data URI; `colours` > 0 reduces it to a palette of that many."""
    shown = Image.fromarray(pixels)
    if colours:
        shown = shown.quantize(colours, method=Image.Quantize.FASTOCTREE)
    return _uri(shown, 'PNG', optimize=True)


def svg_uri(content: bytes | str) -> str:
    """SVG text of others as a data URI; as an <img> it can neither run scripts nor load files."""
    content = content.encode() if isinstance(content, str) else content
    return 'data:image/svg+xml;base64,' + base64.b64encode(content).decode()


def png_uri(content: bytes) -> str:
    """A finished PNG as a data URI."""
    return 'data:image/png;base64,' + base64.b64encode(content).decode()


def _uri(shown: Image.Image, kind: str, **options) -> str:
    buffer = io.BytesIO()
    shown.save(buffer, kind, **options)
    return f'data:image/{kind.lower()};base64,' + base64.b64encode(buffer.getvalue()).decode()


def columns(arrays: dict, protocol: dict, binary: bool) -> list[tuple[str, np.ndarray]]:
    """(heading, [n h w c]) of what stands side by side: seen, decoded, then stages.

    Several samples and what a vote was about are shown elsewhere. Of runs on several subjects or
    with several seeds each run's picture stands beside what was seen, and their mean last.

    Args:
      arrays: reconstructions.npz.
      protocol: its `threshold` cuts the decoded picture where `binary` asks for it; `runs`.
      binary: scores at a threshold were asked for, so the picture at that threshold is shown.

    Raises:
      DataInvalid: the arrays do not fit each other.
    """
    truth, decoded = arrays['truth'], arrays['images']
    shown = [('seen', truth), ('decoded', decoded)]
    stages = {k.removeprefix('stage_'): v for k, v in arrays.items() if k.startswith('stage_')}
    stages = {k: v for k, v in stages.items() if not k.startswith(_ELSEWHERE)}
    if binary and not any(name.startswith('binar') for name in stages):
        threshold = protocol.get('threshold')
        threshold = 0.5 if threshold is None else threshold
        shown.append(
            (f'above {formats.number(threshold)}', (decoded >= threshold).astype(np.float32))
        )
    first = sorted(stages, key=lambda name: not name.startswith('binar'))
    shown += [(words.stage(name), stages[name]) for name in first]
    if protocol.get('runs'):
        shown = [shown[0], *shown[2:], ('mean picture', decoded)]
    for name, array in shown:
        if len(array) != len(truth) or array.ndim not in (3, 4):
            raise errors.DataInvalid(
                f'{name} has shape {array.shape}, truth has {truth.shape}',
                'reconstructions.npz',
                'write the run again with launch/main.py',
            )
    return [shown[0]] + [pair for pair in shown[1:] if not _again(pair, shown[1:], decoded)]


def _again(pair: tuple, shown: list, decoded: np.ndarray) -> bool:
    """Whether a stage is the decoded picture itself, as the last of a chain is."""
    name, array = pair
    stage = name not in ('decoded', 'mean picture') and not name.startswith(_RUNS)
    return (
        stage and len(shown) > 2 and array.shape == decoded.shape and np.array_equal(array, decoded)
    )


def ranking(entry: dict, n: int) -> tuple[np.ndarray, list] | None:
    """Rows from best to worst, undefined ones last; ties stay in the order of the file.

    Returns:
      (order [n] int, values [n] float or None), or None where there is no value for each picture.
    """
    values = entry.get('per_image')
    if values is None and entry.get('unit') in ('image', 'row'):
        values = entry.get('per_unit')
    if values is None or len(values) != n or n == 0:
        return None
    sign = 1 if entry.get('better') == 'lower' else -1
    keys = [np.inf if v is None else sign * v for v in values]
    return np.argsort(keys, kind='stable'), list(values)


def picks(order: np.ndarray, values: list) -> list[tuple[str, int]]:
    """(label, row) of best, median (of two the lower in rank) and worst of the defined."""
    ranked = [int(i) for i in order if values[i] is not None]
    if not ranked:
        return []
    middle = 'median' if len(ranked) % 2 else 'median (lower)'
    named = [('best', 0), (middle, len(ranked) // 2), ('worst', len(ranked) - 1)]
    return [(label, ranked[k]) for label, k in named]


def spaced(order: np.ndarray, limit: int = SHOWN) -> np.ndarray:
    """At most `limit` rows at even steps through the ranking, the first and the last among them."""
    if len(order) <= limit:
        return order
    return order[np.linspace(0, len(order) - 1, limit).round().astype(int)]


@dataclasses.dataclass(frozen=True)
class Ranked:
    """Pictures in an order.

    Attributes:
      metric: by which they are ranked, or None.
      order: [n] rows, best first; as in the file without a metric.
      values: [n] float or None.
      spread: [n] float or None, between runs; None where there is one run.
      ids: [n].
    """

    metric: str | None
    order: np.ndarray
    values: list
    spread: list | None
    ids: np.ndarray


def ranked(arrays: dict, entries: dict, names: list[str]) -> Ranked:
    """The pictures by the first metric that has a value for each.

    Args:
      arrays: reconstructions.npz.
      entries: {metric: entry}.
      names: metrics, in order.
    """
    n = len(arrays['truth'])
    ids = arrays.get('row_image_id', arrays.get('image_id', np.arange(n)))
    ids = ids if len(ids) == n else np.arange(n)
    for name in names:
        found = ranking(entries[name], n)
        if found and any(v is not None for v in found[1]):
            return Ranked(name, *found, entries[name].get('sd_per_image'), ids)
    return Ranked(None, np.arange(n), [None] * n, None, ids)


def build(arrays: dict, scores: dict, names: list[str], beside=()) -> dict | None:
    """All that the page needs to show pictures.

    Args:
      arrays: reconstructions.npz.
      scores: scores.json.
      names: metrics, in order.
      beside: (heading, [n h w 3]) that stand beside the three on top too.

    Returns:
      {'headings', 'above', 'top': cards, 'items': cards, 'metric', 'n', 'shown', 'large'}, each
      card with 'label', 'id', 'score', 'rank', 'caption' and 'pictures'; `above` are the headings
      of `top`. None where the run decoded no pictures.
    """
    if not {'images', 'truth'} <= set(arrays) or len(arrays['truth']) == 0:
        return None
    shown = columns(
        arrays, scores.get('protocol') or {}, any(name.startswith('binary_') for name in names)
    )
    found = ranked(arrays, scores['scores'], names)
    place = {int(row): k + 1 for k, row in enumerate(found.order)}
    percent = bool(found.metric) and words.metric(found.metric)['percent']

    def card(row: int, label: str, side: int, held: list) -> dict:
        return {
            'label': label,
            'id': str(found.ids[row]),
            'score': _score(found, row, percent) if found.metric else None,
            'rank': place[row],
            'caption': str(arrays['captions'][row]) if 'captions' in arrays else '',
            'pictures': [picture(array[row], side) for _, array in held],
        }

    n, above = len(arrays['truth']), [*shown, *beside]
    rows = [int(row) for row in spaced(found.order, SHOWN if len(shown) <= 3 else _STRIPS)]
    top = picks(found.order, found.values)
    return {
        'headings': [name for name, _ in shown],
        'above': [name for name, _ in above],
        'top': [card(row, label, _LARGE, above) for label, row in top],
        'items': [card(row, '', _SMALL, shown) for row in rows],
        'metric': found.metric and words.metric(found.metric),
        'n': n,
        'n_ranked': sum(v is not None for v in found.values),
        'shown': len(rows),
        'size': f'{arrays["truth"].shape[2]} x {arrays["truth"].shape[1]}',
    }


def _score(found: Ranked, row: int, percent: bool) -> str:
    text = formats.number(found.values[row], percent)
    if not found.spread or found.spread[row] is None:
        return text
    return f'{text} ± {formats.number(found.spread[row], percent)}'
