"""Pictures as data URIs, and which the page shows: chosen by score, never by hand."""

import base64
import io

import numpy as np
from PIL import Image

from recon.core import errors, image
from recon.report import formats, words

SHOWN = 60  # pictures in the gallery; more make a page that is slow to open
_STRIPS = 24  # the same where stages make a line of each
_LOSSLESS_SIDE = 128  # larger ones are stored as JPEG, or a page outgrows what mail takes
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

    Args:
      arrays: reconstructions.npz.
      protocol: its `threshold` cuts the decoded picture where `binary` asks for it.
      binary: scores at a threshold were asked for, so the picture at that threshold is shown.

    Raises:
      DataInvalid: the arrays do not fit each other.
    """
    truth, decoded = arrays['truth'], arrays['images']
    shown = [('seen', truth), ('decoded', decoded)]
    stages = {k.removeprefix('stage_'): v for k, v in arrays.items() if k.startswith('stage_')}
    if binary and not any(name.startswith('binar') for name in stages):
        threshold = protocol.get('threshold')
        threshold = 0.5 if threshold is None else threshold
        shown.append(
            (f'above {formats.number(threshold)}', (decoded >= threshold).astype(np.float32))
        )
    first = sorted(stages, key=lambda name: (not name.startswith('binar'), name))
    shown += [(name.replace('_', ' '), stages[name]) for name in first]
    for name, array in shown:
        if len(array) != len(truth) or array.ndim not in (3, 4):
            raise errors.DataInvalid(
                f'{name} has shape {array.shape}, truth has {truth.shape}',
                'reconstructions.npz',
                'write the run again with launch/main.py',
            )
    return shown


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


def build(arrays: dict, scores: dict, names: list[str]) -> dict | None:
    """All that the page needs to show pictures.

    Args:
      arrays: reconstructions.npz.
      scores: scores.json.
      names: metrics, in order.

    Returns:
      {'headings', 'top': cards, 'items': cards, 'metric', 'n', 'shown', 'large'}, each card with
      'label', 'id', 'score', 'rank' and 'pictures'; None where the run decoded no pictures.
    """
    if not {'images', 'truth'} <= set(arrays) or len(arrays['truth']) == 0:
        return None
    shown = columns(
        arrays, scores.get('protocol') or {}, any(name.startswith('binary_') for name in names)
    )
    n = len(arrays['truth'])
    ids = arrays.get('row_image_id', arrays.get('image_id', np.arange(n)))
    ranked = {name: ranking(scores['scores'][name], n) for name in names}
    metric = next(
        (k for k in names if ranked[k] and any(v is not None for v in ranked[k][1])), None
    )
    order, values = ranked[metric] if metric else (np.arange(n), [None] * n)
    place = {int(row): k + 1 for k, row in enumerate(order)}

    def card(row: int, label: str, side: int) -> dict:
        percent = bool(metric) and words.metric(metric)['percent']
        return {
            'label': label,
            'id': str(ids[row]) if row < len(ids) else str(row),
            'score': formats.number(values[row], percent) if metric else None,
            'rank': place[row],
            'pictures': [picture(array[row], side) for _, array in shown],
        }

    rows = [int(row) for row in spaced(order, SHOWN if len(shown) <= 3 else _STRIPS)]
    return {
        'headings': [name for name, _ in shown],
        'top': [card(row, label, _LARGE) for label, row in picks(order, values)],
        'items': [card(row, '', _SMALL) for row in rows],
        'metric': metric and words.metric(metric),
        'n': n,
        'n_ranked': sum(v is not None for v in values),
        'shown': len(rows),
        'size': f'{arrays["truth"].shape[2]} x {arrays["truth"].shape[1]}',
    }
