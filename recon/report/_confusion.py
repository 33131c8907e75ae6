"""The confusion matrix as a picture: SVG that takes its colours from the page, and the worst pairs.

The rule by which several categories an image are counted is `metrics/classify.confusion`'s.
"""

import numpy as np
from jaxtyping import Float
from markupsafe import Markup, escape

from recon.core import errors
from recon.report import formats, tables

SHOWN = 40  # categories that are drawn: more have no legible names
_CELL, _LETTER, _LONGEST, _MARGIN = 14, 6.4, 20, 6
_LARGEST, _WIDE = 1.6, 520  # a small matrix is drawn larger, up to this width in pixels
_FAINT = 0.004  # a share below it cannot be seen


def picture(counts: Float[np.ndarray, 'k k'], categories, limit: int = SHOWN) -> dict:
    """Rows: the truth; columns: what was decoded; darker: a larger share of the row.

    Args:
      counts: as `classify.confusion` gives it, whole or not.
      categories: [k] names.
      limit: the most frequent ones of those that occur are drawn, in this order.

    Returns:
      {'svg'; 'right': share on the diagonal, as text; 'note': what is not drawn, or ''; 'pairs': a
      table of the most frequent confusions, or None where there is none}.

    Raises:
      DataInvalid: not a square of numbers of 0 and more, or another number of names.
    """
    counts, names = _checked(counts, categories)
    often = np.argsort(-(counts.sum(1) + 1e-9 * counts.sum(0)), kind='stable')
    there = [i for i in often if counts[i].sum() or counts[:, i].sum()]
    drawn = there[:limit]
    rest, absent = len(there) - len(drawn), len(names) - len(there)
    notes = [f'not drawn: the {rest} least frequent'] if rest else []
    notes += [f'neither shown nor decoded: {absent}'] if absent else []
    return {
        'svg': _draw(counts, names, drawn),
        'right': formats.number(float(np.trace(counts) / max(counts.sum(), 1e-9)), True),
        'note': '; '.join(notes),
        'pairs': _pairs(counts, names),
    }


def _draw(counts, names: list[str], drawn: list[int]) -> Markup:
    if not drawn:
        return Markup('<p class="muted">nothing was decoded</p>')
    short = [name if len(name) <= _LONGEST else name[: _LONGEST - 1] + '…' for name in names]
    edge = round(_LETTER * max(len(short[i]) for i in drawn)) + 2 * _MARGIN
    side = _CELL * len(drawn)
    size = edge + side + _MARGIN
    parts = [f'<g transform="translate({edge} {edge})">']
    parts.append(f'<rect class="rule" fill="none" width="{side}" height="{side}"/>')
    for row, i in enumerate(drawn):
        middle, name = _CELL * row + 10, escape(short[i])
        parts.append(f'<text x="-{_MARGIN}" y="{middle}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({middle} -{_MARGIN}) rotate(-90)">{name}</text>')
        parts += _cells(counts[i], names, i, row, drawn)
    parts.append('</g>')
    width = round(size * max(1, min(_LARGEST, _WIDE / size)))
    return Markup(
        f'<svg class="chart s0" viewBox="0 0 {size} {size}" style="max-width:{width}px" role="img" '
        f'aria-label="confusion matrix">{"".join(parts)}</svg>'
    )


def _cells(counts, names, i: int, row: int, drawn) -> list[str]:
    """The squares of one row that can be seen; each says its numbers where the mouse rests."""
    out, total = [], max(counts.sum(), 1e-9)
    for column, j in enumerate(drawn):
        share = counts[j] / total
        if share < _FAINT:
            continue
        told = f'{names[i]}, decoded as {names[j]}: {_count(counts[j])} of {_count(counts.sum())}'
        out.append(
            f'<rect x="{_CELL * column}" y="{_CELL * row}" width="{_CELL}" height="{_CELL}" '
            f'fill="currentColor" fill-opacity="{share:.3f}"><title>{escape(told)}</title></rect>'
        )
    return out


def _pairs(counts, names: list[str], most: int = 10) -> dict | None:
    """The confusions that are most frequent, as a table of `tables`."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind='stable')[:most]
    found = [divmod(int(flat), len(wrong)) for flat in order if wrong.flat[flat] > 0]
    if not found:
        return None
    columns = [
        tables.column('True'),
        tables.column('Decoded'),
        tables.column('Times', 'of the true one', True),
    ]
    rows = [
        [
            tables.cell(names[i], head=True),
            tables.cell(names[j]),
            tables.cell(_count(wrong[i, j]), formats.number(wrong[i, j] / counts[i].sum(), True)),
        ]
        for i, j in found
    ]
    return {'columns': columns, 'rows': rows}


def _count(value: float) -> str:
    """Counts are whole with one class an image, and shares of one with several."""
    return f'{value:,.0f}' if float(value).is_integer() else f'{value:,.1f}'


def _checked(counts, categories) -> tuple[np.ndarray, list[str]]:
    counts, names = np.asarray(counts, np.float64), [str(name) for name in categories]
    if counts.ndim != 2 or counts.shape != (len(names), len(names)) or not (counts >= 0).all():
        raise errors.DataInvalid(
            f'confusion has shape {counts.shape}, smallest {counts.min(initial=0)}, and there are '
            f'{len(names)} names',
            'predictions.npz',
            'wanted a square of counts with a name each',
        )
    return counts, names
