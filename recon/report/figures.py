"""Charts as SVG text.

The SVG is written by hand: it takes its colours from the page (light or dark), keeps its text at
reading size on any screen, and is the same to the byte on every machine.
"""

import math

from markupsafe import Markup, escape

from recon.core import errors
from recon.report import formats

_SERIES = 6  # colours in templates/style.css: --series-0 to --series-5


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About `count` round numbers within [low, high]."""
    span = high - low
    if not span > 0:
        return [low]
    raw = span / count
    size = 10 ** math.floor(math.log10(raw))
    step = min((m * size for m in (1, 2, 5, 10)), key=lambda s: abs(s - raw))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def domain(values, floor: float | None = None, ceiling: float | None = None) -> tuple:
    """(low, high) of an axis that holds all finite `values`, with a margin of 6 percent.

    `floor` and `ceiling` stop the margin (a share has none below 0), never the data.
    """
    finite = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 0.5
    start, end = low - margin, high + margin
    if floor is not None:
        start = max(start, min(floor, low))
    if ceiling is not None:
        end = min(end, max(ceiling, high))
    return start, end


def placer(axis: tuple, length: float):
    """A function from a value to its place on an axis (low, high) of `length`; the ends hold."""
    low, high = axis

    def place(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(length * min(max(share, 0), 1), 2)

    return place


def curves(curve: dict, points: bool = False) -> Markup:
    """A line chart from a dict of a decoder's `describe`.

    Args:
      curve: {'title', 'x_label', 'y_label', 'log_x', 'series': [{'name', 'x', 'y', and optionally
        'low', 'high' (interval)}], 'chosen': x or None}; None or NaN breaks a line.
      points: marks without lines, as `scatter` draws.

    Returns:
      SVG, 440 x 270 units; the legend is `legend(curve)`.

    Raises:
      DataInvalid: x and y of a series differ in length.
    """
    rows = [_series(s, bool(curve.get('log_x'))) for s in curve.get('series', [])]
    flat = [point for row in rows for point in row]
    if not flat:
        return Markup('<p class="muted">no points to draw</p>')
    x_axis = domain([p[0] for p in flat])
    y_axis = domain([v for p in flat for v in p[1:]])
    frame = _Frame(x_axis, y_axis, bool(curve.get('log_x')))
    parts = [frame.grid(curve)]
    chosen = curve.get('chosen')
    if chosen is not None and (not frame.log or chosen > 0):
        parts.append(frame.marker(chosen))
    for k, row in enumerate(rows):
        parts.append(frame.line(row, _style(k), points))
    title = escape(curve.get('title', ''))
    return Markup(
        f'<svg class="chart" viewBox="0 0 440 270" role="img" aria-label="{title}">'
        f'{"".join(parts)}</svg>'
    )


def scatter(curve: dict) -> Markup:
    """Points without lines, from the same dict as `curves`."""
    return curves(curve, points=True)


def legend(curve: dict) -> list[dict]:
    """[{'name', 'class'}] of the series of a chart, empty where one unnamed series needs none."""
    series = curve.get('series', [])
    named = [{'name': s.get('name', ''), 'class': _style(k)} for k, s in enumerate(series)]
    return named if len(named) > 1 else []


def _style(k: int) -> str:
    """CSS classes of the k-th series: six colours, then the same dashed, then dotted."""
    return f's{k % _SERIES} d{k // _SERIES % 3}'


def _series(series: dict, log_x: bool) -> list[tuple]:
    x, y = series.get('x', []), series.get('y', [])
    low, high = series.get('low', y), series.get('high', y)
    if not len(x) == len(y) == len(low) == len(high):
        raise errors.DataInvalid(
            f'series {series.get("name")!r} has {len(x)} x and {len(y)} y',
            'a curve of decoder.json',
            'x, y, low and high are of one length',
        )
    rows = []
    for values in zip(x, y, low, high, strict=True):
        defined = all(v is not None and math.isfinite(v) for v in values)
        if not defined or (log_x and values[0] <= 0):
            rows.append((math.nan,) * 4)
        else:
            rows.append((math.log10(values[0]) if log_x else values[0], *values[1:]))
    return rows


class _Frame:
    """Axes of one chart: where a value lands, and the lines and labels around it."""

    left, right, top, bottom = 66, 432, 20, 222

    def __init__(self, x_axis: tuple, y_axis: tuple, log: bool):
        self.x_axis, self.y_axis, self.log = x_axis, y_axis, log
        self._x = placer(x_axis, self.right - self.left)
        self._y = placer(y_axis, self.bottom - self.top)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return round(self.left + self._x(x), 1), round(self.bottom - self._y(y), 1)

    def grid(self, curve: dict) -> str:
        parts = []
        y_ticks = ticks(*self.y_axis, 4)
        places = max(0, formats.decimals(y_ticks[1] - y_ticks[0]) - 2) if len(y_ticks) > 1 else 3
        for value in y_ticks:
            y = self.at(self.x_axis[0], value)[1]
            parts.append(
                f'<line class="rule" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>'
            )
            text = f'{value:.{places}f}' if abs(value) < 1e5 else f'{value:.0e}'
            parts.append(f'<text x="{self.left - 8}" y="{y + 4}" text-anchor="end">{text}</text>')
        for value, text in self._x_ticks():
            x = self.at(value, self.y_axis[0])[0]
            parts.append(f'<text x="{x}" y="{self.bottom + 18}" text-anchor="middle">{text}</text>')
        middle, mid_y = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        x_label, y_label = escape(curve.get('x_label', '')), escape(curve.get('y_label', ''))
        parts.append(f'<line class="base" x1="{self.left}" x2="{self.right}" y1="222" y2="222"/>')
        parts.append(
            f'<text class="name" x="{middle}" y="262" text-anchor="middle">{x_label}</text>'
        )
        parts.append(
            f'<text class="name" transform="translate(13 {mid_y}) rotate(-90)" '
            f'text-anchor="middle">{y_label}</text>'
        )
        return ''.join(parts)

    def _x_ticks(self) -> list[tuple]:
        if not self.log:
            marks = ticks(*self.x_axis, 5)
            places = max(0, formats.decimals(marks[1] - marks[0]) - 2) if len(marks) > 1 else 2
            return [(t, f'{t:,.{places}f}') for t in marks]
        first, last = math.ceil(self.x_axis[0]), math.floor(self.x_axis[1])
        powers = range(first, last + 1, max(1, math.ceil((last - first + 1) / 7)))
        return [(k, _power(k)) for k in powers]

    def marker(self, chosen: float) -> str:
        value = math.log10(chosen) if self.log else chosen
        x = self.at(value, self.y_axis[0])[0]
        near_end = min(max(x, self.left + 40), self.right - 40)  # the text stays within the frame
        return (
            f'<line class="chosen" x1="{x}" x2="{x}" y1="{self.top}" y2="{self.bottom}"/>'
            f'<text class="chosen" x="{near_end}" y="13" text-anchor="middle">'
            f'chosen: {_round(chosen)}</text>'
        )

    def line(self, rows: list[tuple], style: str, points: bool) -> str:
        parts, pen = [], []
        for x, y, low, high in rows:
            if math.isnan(x):
                pen.append(None)
                continue
            px, py = self.at(x, y)
            pen.append((px, py))
            if high > low:
                top, bottom = self.at(x, high)[1], self.at(x, low)[1]
                parts.append(
                    f'<line class="whisker" x1="{px}" x2="{px}" y1="{top}" y2="{bottom}"/>'
                )
        if not points:
            path, broken = '', True
            for point in pen:
                path += '' if point is None else f'{"M" if broken else "L"}{point[0]} {point[1]}'
                broken = point is None
            parts.append(f'<path class="line" d="{path}"/>')
        drawn = [p for p in pen if p is not None]
        if points or len(drawn) <= 40:
            parts += [f'<circle cx="{x}" cy="{y}" r="{3.5 if points else 2.6}"/>' for x, y in drawn]
        return f'<g class="{style}">{"".join(parts)}</g>'


def _power(k: int) -> str:
    return '10' + ''.join('⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.index(c)] for c in str(k))


def _round(value: float) -> str:
    """A chosen penalty in the way that the axis writes it."""
    power = math.log10(value) if value > 0 else 0.5
    if abs(power - round(power)) < 1e-6 and abs(power) > 1:
        return _power(round(power))
    return f'{value:,.0f}' if value >= 1000 else formats.number(value)
