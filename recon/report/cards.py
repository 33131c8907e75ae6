"""Dot-and-interval charts: each score beside its baselines, chance, and other runs or areas.

A chart is {'rows': [{'label', 'value', 'ci', 'track', 'class'}], 'axis': SVG}; rows are laid out by
the template, so that their text keeps its size on a narrow screen.
"""

import math
import statistics

from markupsafe import Markup

from recon.report import figures, formats, tables, words


def cards(entries: dict, names: list[str], baselines: dict, prior: bool = False) -> list[dict]:
    """One score card a metric: the score in large, and a chart of it beside its baselines.

    `prior`: as in words.baseline.

    Returns:
      [{'name', 'label', 'word', 'value', 'interval', 'better', 'p', 'note', 'wrong_pairs',
      'rows': [{'label', 'value', 'track', 'class'}], 'axis', 'chance'}].
    """
    out = []
    for name in names:
        entry, known = entries[name], words.metric(name)
        named = [('this decoder', entry, 'system')]
        named += [
            (words.baseline(b, prior), baselines[b][name], 'baseline')
            for b in tables.baseline_order(baselines)
            if name in baselines[b]
        ]
        chart = tracks(named, known['percent'], entry.get('chance'))
        out.append(
            known
            | chart
            | {
                'value': formats.number(entry.get('mean'), known['percent']),
                'interval': formats.interval(entry, known['percent']),
                'better': tables.arrow(entry),
                'p': formats.p_text(entry),
                'note': tables.oddities(entry),
                'spread': _spread(entry, known['percent']),
                'chance': tables.or_dash(entry.get('chance'), known['percent']),
                'wrong_pairs': tables.wrong_pairs(entry, known['percent']),
            }
        )
    return out


def tracks(named: list[tuple], percent: bool, chance=None) -> dict:
    """A dot-and-interval chart: rows under one axis.

    Args:
      named: [(label, entry, class)].
      percent: how values are written.
      chance: dashed line, or None.

    Returns:
      {'rows': [{'label', 'value', 'ci', 'track', 'class'}], 'axis': SVG}.
    """
    values = [chance]
    for _, entry, kind in named:
        values += [entry.get('mean'), *(entry.get('ci95') or [])]
        if kind in ('system', 'area'):
            values += _middle(entry.get('per_image') or entry.get('per_unit') or [])
    finite = [v for v in values if v is not None]
    share = bool(finite) and min(finite) >= 0
    axis = figures.domain(
        finite, floor=0 if share else None, ceiling=1 if max(finite + [0]) <= 1 else None
    )
    ruled = figures.ticks(*axis, 3)
    rows = [
        {
            'label': label,
            'value': formats.number(entry.get('mean'), percent),
            'ci': formats.interval(entry, percent),
            'track': track(entry, axis, chance, kind, ruled),
            'class': kind,
        }
        for label, entry, kind in named
    ]
    return {'rows': rows, 'axis': axis_labels(axis, percent)}


def _spread(entry: dict, percent: bool) -> str:
    """Lowest, median and highest of the pictures, in text; '' where there are fewer than two."""
    values = [v for v in entry.get('per_image') or entry.get('per_unit') or [] if v is not None]
    if len(values) < 2:
        return ''
    parts = ((n, f(values)) for n, f in (('from', min), ('to', max), ('median', statistics.median)))
    low, high, middle = (f'{n} {formats.number(v, percent)}' for n, v in parts)
    nouns = {'image': 'pictures', 'row': 'rows', 'category': 'categories'}
    unit = 'image' if entry.get('per_image') else entry.get('unit')
    noun = nouns.get(unit, f'{unit}s')
    of_two = '' if len(values) % 2 else ' (mean of the middle two)'
    return f'{noun} {low} {high}, {middle}{of_two}'


def _middle(values: list) -> list:
    """1st and 99th percentile: one odd picture must not squeeze the chart."""
    known = sorted(v for v in values if v is not None)
    if not known:
        return []
    cut = math.floor(0.01 * len(known))
    return [known[cut], known[len(known) - 1 - cut]]


def alignment(rows: list[dict]) -> dict:
    """The alignment check as a chart: one row a shift."""
    named = [
        (f'rows shifted by {r["shift"]:+d}' if r['shift'] else 'as they are', r,
         'system' if r['here'] else 'baseline')
        for r in rows
    ]  # fmt: skip
    return tracks(named, False)


def comparison_charts(rows: list[dict], metric_names: list[str]) -> list[dict]:
    """One dot-and-interval chart a metric over all runs that have it."""
    out = []
    for name in metric_names:
        named = [
            (r['name'], r['scores'][name], 'area')
            for r in rows
            if (r.get('scores') or {}).get(name)
        ]
        if not named:
            continue
        chances = {entry.get('chance') for _, entry, _ in named}
        chance = chances.pop() if len(chances) == 1 else None
        known = words.metric(name)
        chart = tracks(named, known['percent'], chance)
        better = tables.arrow(named[0][1])
        out.append(
            known | chart | {'better': better, 'chance': tables.or_dash(chance, known['percent'])}
        )
    return out


def importance(rows: list[dict]) -> dict:
    """brainmaps.shares as a bar chart: share of importance, with the share of voxels beside it."""
    top = max([max(r['importance'], r['voxels']) for r in rows] + [0.01])
    out = [
        {
            'label': r['name'],
            'value': formats.number(r['importance'], True),
            'ci': f'{formats.number(r["voxels"], True)} of {r["n_voxels"]:,} voxels',
            'track': track({'mean': r['importance']}, (0, 1.06 * top), r['voxels'], 'bar'),
            'class': 'bar',
        }
        for r in rows
    ]
    return {'rows': out, 'axis': axis_labels((0, 1.06 * top), True)}


def areas(held: dict, whole: dict, metric: str) -> dict:
    """One metric of the decoder on each area alone (as tables.areas), all voxels on top."""
    named = [('all voxels', whole[metric], 'system')]
    named += [(a, v.get('scores', {}).get(metric, {}), 'area') for a, v in held.items()]
    known = words.metric(metric)
    chart = tracks(named, known['percent'], whole[metric].get('chance'))
    return known | chart


def track(entry: dict, axis: tuple, chance=None, kind: str = 'system', ruled=()) -> Markup:
    """One row of a score chart: a dot for the mean, a bar for its interval, a hair for each unit.

    Positions are percentages, so that the row stretches with the page and its marks do not.

    Args:
      entry: as in scores.json; 'mean', 'ci95', 'per_image' or 'per_unit' are used, each optional.
      axis: (low, high).
      chance: where to draw the dashed line, or None.
      kind: class of the marks: 'system', 'baseline' or 'bar'.
      ruled: values at which to draw a faint vertical rule.
    """
    place = figures.placer(axis, 100)
    parts = [
        f'<line class="rule" x1="{p}%" x2="{p}%" y1="0" y2="100%"/>' for p in map(place, ruled)
    ]
    units = [v for v in entry.get('per_image') or entry.get('per_unit') or [] if v is not None]
    if len(units) > 1:
        spots = sorted({round(place(v), 1) for v in units})
        hairs = ''.join(f'M{spot} 5v14' for spot in spots)
        parts.append(
            '<svg viewBox="0 0 100 24" preserveAspectRatio="none" width="100%" height="24">'
            f'<path class="hair" vector-effect="non-scaling-stroke" d="{hairs}"/></svg>'
        )
    ci, mean = entry.get('ci95'), entry.get('mean')
    if mean is not None and kind == 'bar':
        zero = place(max(axis[0], 0))
        parts.append(
            f'<rect class="bar" x="{zero}%" width="{max(place(mean) - zero, 0):.2f}%" '
            'y="6" height="12"/>'
        )
    if chance is not None:
        parts.append(
            f'<line class="chance" x1="{place(chance)}%" x2="{place(chance)}%" y1="0" y2="24"/>'
        )
    if ci and None not in ci:
        low, high = place(ci[0]), place(ci[1])
        parts.append(f'<line class="span" x1="{low}%" x2="{high}%" y1="12" y2="12"/>')
    if mean is not None and kind != 'bar':
        parts.append(f'<circle class="dot" cx="{place(mean)}%" cy="12" r="4.5"/>')
    return Markup(
        f'<svg class="track {kind}" height="24" aria-hidden="true">{"".join(parts)}</svg>'
    )


def axis_labels(axis: tuple, percent: bool = False, count: int = 3) -> Markup:
    """The numbers under a column of tracks."""
    place = figures.placer(axis, 100)
    marks = figures.ticks(*axis, count)
    marks = marks[:: math.ceil(len(marks) / 3)]  # more would collide on a narrow screen
    places = formats.decimals(marks[1] - marks[0]) - 2 if len(marks) > 1 else 3
    labels = ''.join(
        f'<text x="{place(t)}%" y="11" text-anchor="middle">'
        f'{f"{100 * t:.{max(0, places - 2)}f} %" if percent else f"{t:.{max(0, places)}f}"}</text>'
        for t in marks
    )
    return Markup(f'<svg class="track axis" height="15" aria-hidden="true">{labels}</svg>')
