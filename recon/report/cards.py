"""Dot-and-interval charts: each score beside its baselines, chance, and other runs or areas.

A chart is {'rows': [{'label', 'value', 'ci', 'track', 'class'}], 'axis': SVG}; rows are laid out by
the template, so that their text keeps its size on a narrow screen.
"""

import math

from recon.report import figures, tables, words


def cards(entries: dict, names: list[str], baselines: dict) -> list[dict]:
    """One score card a metric: the score in large, and a chart of it beside its baselines.

    Returns:
      [{'name', 'label', 'word', 'value', 'interval', 'better', 'p', 'note', 'rows': [{'label',
      'value', 'track', 'class'}], 'axis', 'chance'}].
    """
    out = []
    for name in names:
        entry, known = entries[name], words.metric(name)
        named = [('this decoder', entry, 'system')]
        named += [
            (words.baseline(b), baselines[b][name], 'baseline')
            for b in tables.baseline_order(baselines)
            if name in baselines[b]
        ]
        chart = tracks(named, known['percent'], entry.get('chance'))
        out.append(
            known
            | chart
            | {
                'value': words.number(entry.get('mean'), known['percent']),
                'interval': words.interval(entry, known['percent']),
                'better': tables.arrow(entry),
                'p': words.p_value(entry.get('p')),
                'note': tables.oddities(entry),
                'chance': tables.or_dash(entry.get('chance'), known['percent']),
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
        if kind == 'system':
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
            'value': words.number(entry.get('mean'), percent),
            'ci': words.interval(entry, percent),
            'track': figures.track(entry, axis, chance, kind, ruled),
            'class': kind,
        }
        for label, entry, kind in named
    ]
    return {'rows': rows, 'axis': figures.axis_labels(axis, percent)}


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
            (r['name'], r['scores'][name], 'system')
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
            'value': words.number(r['importance'], True),
            'ci': f'{words.number(r["voxels"], True)} of {r["n_voxels"]:,} voxels',
            'track': figures.track({'mean': r['importance']}, (0, 1.06 * top), r['voxels'], 'bar'),
            'class': 'bar',
        }
        for r in rows
    ]
    return {'rows': out, 'axis': figures.axis_labels((0, 1.06 * top), True)}


def areas(held: dict, whole: dict, metric: str) -> dict:
    """One metric of the decoder on each area alone (as tables.areas), all voxels on top."""
    named = [('all voxels', whole[metric], 'system')]
    named += [(a, v.get('scores', {}).get(metric, {}), 'baseline') for a, v in held.items()]
    known = words.metric(metric)
    chart = tracks(named, known['percent'], whole[metric].get('chance'))
    return known | chart
