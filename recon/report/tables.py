"""Tables as plain lists and dicts; the templates only lay them out.

A table is {'columns': [{'text', 'sub', 'number': bool}], 'rows': [[cell]]}, a cell is {'text',
'sub', 'class', 'head'}: all text, escaped by the template.
"""

from urllib import parse

from recon.report import formats, words


def cell(text, sub: str = '', kind: str = '', head: bool = False, href: str = '') -> dict:
    """One cell: its text, a small second line, a CSS class, whether it heads its row, a link."""
    held = {'text': str(text), 'sub': sub, 'note': '', 'class': kind}
    return held | {'head': head, 'href': href}


def column(text: str, sub: str = '', number: bool = False) -> dict:
    """One column heading."""
    return {'text': text, 'sub': sub, 'number': number}


def scored(entry: dict | None, percent: bool) -> dict:
    """A score with its interval below, as a cell; a dash where there is no score."""
    if not entry:
        return cell('–', kind='muted')
    if entry.get('mean') is None:
        return cell('undefined', kind='muted')
    ci = formats.interval(entry, percent) if 'ci95' in entry else ''
    return cell(formats.number(entry['mean'], percent), ci)


def scores(entries: dict, names: list[str], baselines: dict, prior: bool = False) -> dict:
    """Every score with interval, chance, p and baselines.

    Args:
      entries: {metric: entry}.
      names: their order.
      baselines: {name: {metric: entry}}.
      prior: as in words.baseline.
    """
    shown = baseline_order(baselines)
    columns = [
        column('Score'),
        column('Result', '95 % interval', True),
        column('Chance', 'p', True),
    ]
    columns += [column(words.baseline(b, prior).capitalize(), '', True) for b in shown]
    columns += [column('n', '', True)]
    rows = []
    for name in names:
        entry, percent = entries[name], words.metric(name)['percent']
        row = [
            cell(words.metric(name)['label'], f'{name} {arrow(entry)[:1]}', 'wide', head=True),
            scored(entry, percent) | {'class': 'strong'},
            cell(or_dash(entry.get('chance'), percent), formats.p_text(entry, brief=True))
            | {'note': wrong_pairs(entry, percent)},
        ]
        row += [scored(baselines[b].get(name), percent) for b in shown]
        rows.append(row + [cell(entry.get('n', '–'), oddities(entry))])
    return {'columns': columns, 'rows': rows}


def members(held: dict, heading: str) -> dict:
    """scores.json's `members` or `subjects`, {name: {metric: mean or entry}}, as a table."""
    names = sorted({metric for value in held.values() for metric in _means(value)})
    columns = [column(heading)] + [column(words.metric(n)['label'], n, True) for n in names]
    rows = []
    for member, value in held.items():
        cells = [
            _mean_cell(_means(value).get(name), words.metric(name)['percent']) for name in names
        ]
        rows.append([cell(member, head=True), *cells])
    return {'columns': columns, 'rows': rows}


def _means(value) -> dict:
    value = value.get('scores', value) if isinstance(value, dict) else {}
    return {k: v for k, v in value.items() if v is None or isinstance(v, int | float | dict)}


def _mean_cell(value, percent: bool) -> dict:
    if isinstance(value, dict):
        return scored(value, percent)
    return cell(or_dash(value, percent))


def plain(told: dict) -> dict:
    """A decoder's own table ({'title', 'columns', 'rows'}) with its numbers written out."""
    rows = [
        [
            cell(
                formats.number(v) if isinstance(v, float) else ('–' if v is None else v),
                head=k == 0,
            )
            for k, v in enumerate(row)
        ]
        for row in told.get('rows', [])
    ]
    numeric = [
        bool(rows) and all(isinstance(r[k], int | float) or r[k] is None for r in told['rows'])
        for k in range(len(told.get('columns', [])))
    ]
    columns = [column(str(c), '', n) for c, n in zip(told.get('columns', []), numeric, strict=True)]
    return {'title': told.get('title', ''), 'columns': columns, 'rows': rows}


def flat(value, prefix: str = '') -> list[tuple[str, str]]:
    """A nested dict as (dotted key, text) rows, in its own order."""
    if isinstance(value, dict):
        rows = [
            row for k, v in value.items() for row in flat(v, f'{prefix}.{k}' if prefix else str(k))
        ]
        return rows or [(prefix, 'none')] if prefix else rows
    if isinstance(value, list | tuple):
        if any(isinstance(v, dict | list | tuple) for v in value):
            return [row for k, v in enumerate(value) for row in flat(v, f'{prefix}.{k}')]
        return [(prefix, ', '.join(_text(v) for v in value) or 'none')]
    return [(prefix, _text(value))]


def _text(value) -> str:
    if value is None:
        return 'not given'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int):
        return f'{value:,}' if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f'{value:g}'
    return str(value)


def comparison(rows: list[dict], metric_names: list[str]) -> dict:
    """Several runs side by side: what was measured, and beside it what others published.

    Args:
      rows: one a run, [{'name', 'scores': {metric: entry}, and, each optional, 'published':
        {metric: text}, 'data': text, 'n': int, 'workdir': folder of its report, 'baselines':
        {'mean_image': {metric: entry}}}].
      metric_names: the metrics, in order.

    Returns:
      A table with a column a metric, and one 'published' beside it where any row has one; last
      the mean training image, one row for each set of runs that share its scores.
    """
    columns = [column('Run')]
    with_data = any(row.get('data') for row in rows)
    columns += [column('Measured on')] if with_data else []
    published = [n for n in metric_names if any((r.get('published') or {}).get(n) for r in rows)]
    for name in metric_names:
        columns.append(column(words.metric(name)['label'], name, True))
        columns += [column('published', 'on its own data', True)] if name in published else []
    out = []
    for row in rows:
        href = f'{parse.quote(row["workdir"])}/report.html' if row.get('workdir') else ''
        sub = f'n = {row["n"]}' if row.get('n') else ''
        cells = [cell(row['name'], sub, head=True, href=href)]
        cells += [cell(row.get('data') or '–', kind='wide')] if with_data else []
        for name in metric_names:
            value = (row.get('scores') or {}).get(name)
            percent = words.metric(name)['percent']
            chance = (value or {}).get('chance')
            note = '' if chance is None else f'chance {formats.number(chance, percent)}'
            cells.append(scored(value, percent) | {'class': 'strong', 'note': note})
            if name in published:
                cells.append(cell((row.get('published') or {}).get(name) or '–', kind='muted'))
        out.append(cells)
    out += [
        _mean_image(group, metric_names, published, with_data)
        for group in _same_mean_image(rows, metric_names)
    ]
    return {'columns': columns, 'rows': out}


def _same_mean_image(rows: list[dict], metric_names: list[str]) -> list[list[dict]]:
    """The rows that carry a mean training image, grouped by what it scores."""
    groups = {}
    for row in rows:
        held = (row.get('baselines') or {}).get('mean_image') or {}
        means = [(held.get(name) or {}).get('mean') for name in metric_names]
        key = (row.get('data'), row.get('n'), *(None if m is None else f'{m:.6g}' for m in means))
        if any(m is not None for m in means):
            groups.setdefault(key, []).append(row)
    return list(groups.values())


def _mean_image(group: list[dict], names: list[str], published: list[str], with_data: bool) -> list:
    """One row of `comparison`: the mean training image of these runs."""
    held = group[0]['baselines']['mean_image']
    runs = ', '.join(row['name'] for row in group)
    sub = f'for {runs}' if len(group) <= 3 else f'for {len(group)} runs'
    sub = f'n = {group[0]["n"]}, {sub}' if group[0].get('n') else sub
    cells = [cell(words.baseline('mean_image'), sub, head=True)]
    cells += [cell(group[0].get('data') or '–', kind='wide')] if with_data else []
    for name in names:
        cells.append(scored(held.get(name), words.metric(name)['percent']) | {'class': 'muted'})
        cells += [cell('–', kind='muted')] if name in published else []
    return cells


def baseline_order(baselines: dict) -> list[str]:
    """The baselines that are there, the usual ones first."""
    known = [name for name in words.BASELINES if name in baselines]
    return known + sorted(set(baselines) - set(known))


def arrow(entry: dict) -> str:
    """Which way is better, with an arrow."""
    return {'higher': '↑ higher is better', 'lower': '↓ lower is better'}.get(
        entry.get('better'), ''
    )


def wrong_pairs(entry: dict, percent: bool) -> str:
    """'other pairings 53.1 %', the mean over wrong pairs beside an analytic chance; else ''."""
    value = entry.get('wrong_pairs')
    return '' if value is None else f'other pairings {formats.number(value, percent)}'


def or_dash(value, percent: bool) -> str:
    """A number, or a dash for None."""
    return '–' if value is None else formats.number(value, percent)


def oddities(entry: dict) -> str:
    """Undefined units, ties and candidates of an entry, where there are any."""
    parts = []
    if entry.get('n_undefined'):
        parts.append(f'{entry["n_undefined"]} undefined')
    ties = entry.get('ties', entry.get('n_ties'))
    if ties:
        parts.append(f'{formats.number(ties) if isinstance(ties, float) else ties} ties')
    if (entry.get('candidates') or 2) > 2:  # of two it is said by the metric's name
        parts.append(f'{entry["candidates"]} candidates')
    if entry.get('undefined_as_failure'):
        parts.append(f'{entry["undefined_as_failure"]} undefined comparisons failed')
    unit = entry.get('unit')
    if unit not in (None, 'image'):
        parts.append(f'per {unit}')
    return ', '.join(parts)


def areas(held: dict, whole: dict, names: list[str]) -> dict:
    """The decoder refitted on each area alone, against all voxels: a table and a chart.

    Args:
      held: scores.json's areas, {area: {'n_voxels', 'scores'}}.
      whole: {metric: entry}.
      names: metrics, in order.
    """
    rows = [[cell('all voxels', head=True), cell('–'), *_entries(whole, names)]]
    for area, value in held.items():
        counted = cell(f'{value["n_voxels"]:,}' if value.get('n_voxels') is not None else '–')
        rows.append([cell(area, head=True), counted, *_entries(value.get('scores', {}), names)])
    columns = [column('Area'), column('Voxels', '', True)]
    columns += [column(words.metric(n)['label'], n, True) for n in names]
    return {'columns': columns, 'rows': rows}


def _entries(entries: dict, names: list[str]) -> list[dict]:
    return [scored(entries.get(name), words.metric(name)['percent']) for name in names]
