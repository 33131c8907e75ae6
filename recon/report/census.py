"""What was counted in a data set, as tables and charts of the page of an inspection."""

from recon.report import cards, figures, formats, tables


def splits(found: dict) -> dict:
    """Rows, images, repeats, sessions and runs of each split, as a table."""
    heads = ('Split', 'Rows', 'Images', 'Times shown', 'Trials a row', 'Sessions', 'Runs')
    rows = []
    for part in found['splits']:
        rows.append(
            [
                tables.cell(part['name'].replace('_', ' '), head=True),
                tables.cell(f'{part["rows"]:,}'),
                tables.cell(f'{part["images"]:,}'),
                tables.cell(times(part['shown'], 'image')),
                tables.cell(times(part['trials'], 'row')),
                tables.cell(ranges(part['sessions'])),
                tables.cell(f'{part["runs"]:,}' if part['runs'] else 'not known'),
            ]
        )
    numbers = ('Rows', 'Images', 'Runs')
    return {'columns': [tables.column(h, '', h in numbers) for h in heads], 'rows': rows}


def times(histogram: dict, what: str) -> str:
    """{'1': 20, '3': 10} -> '1 (20 images), 3 (10 images)'; many kinds become a range."""
    pairs = sorted((int(k), n) for k, n in histogram.items())
    if len(pairs) > 4:
        return f'{pairs[0][0]:,} to {pairs[-1][0]:,}'
    if len(pairs) == 1:
        return f'{pairs[0][0]:,}'
    return ', '.join(f'{k:,} ({n:,} {what}{"s" if n != 1 else ""})' for k, n in pairs)


def ranges(numbers: list[int]) -> str:
    """[1, 2, 3, 5] -> '1 to 3, 5'."""
    groups = []
    for number in sorted(numbers):
        if groups and number == groups[-1][1] + 1:
            groups[-1][1] = number
        else:
            groups.append([number, number])
    parts = [str(a) if a == b else f'{a} to {b}' for a, b in groups]
    return ', '.join(parts) or 'not known'


def _bars(counts: dict, label) -> list[dict]:
    top = max(counts.values(), default=0) or 1
    return [
        {
            'label': label(key),
            'value': f'{number:,}',
            'ci': '',
            'track': cards.track({'mean': number}, (0, 1.06 * top), None, 'bar'),
            'class': 'bar',
        }
        for key, number in sorted(counts.items(), key=lambda pair: int(pair[0]))
    ]


def charts(found: dict) -> list[dict]:
    """Bars: how often images are shown, over all splits, and rows of each session."""
    shown, sessions = {}, {}
    for part in found['splits']:
        for into, held in ((shown, part['shown']), (sessions, part['rows_by_session'])):
            for key, number in held.items():
                into[key] = into.get(key, 0) + number
    out = []
    if 1 < len(shown) <= 12:
        bars = _bars(shown, lambda k: f'{k} time{"s" if int(k) != 1 else ""}')
        out.append({'title': 'Images by how often they are shown', 'rows': bars})
    if sessions:
        for lost in found['facts'].get('missing_sessions') or ():
            sessions[str(lost)] = 0
        bars = _bars(sessions, lambda k: f'session {k}')
        out.append({'title': 'Rows of each session', 'rows': bars})
    return out


def area(area: dict) -> list[dict]:
    """One area as a row of `table`."""
    counts = [area['voxels'], area['left'], area['right']]
    cells = [tables.cell('–' if n is None else f'{n:,}') for n in counts]
    share = tables.cell(formats.number(area['share'], True))
    ceiling = tables.cell(tables.or_dash(area['ceiling'], True))
    return [tables.cell(area['name'], head=True), *cells, share, ceiling]


def table(rows: list) -> dict:
    """Rows of `area` under their headings."""
    heads = [('Area', '', False), ('Voxels', '', True), ('Left', '', True), ('Right', '', True)]
    heads += [('Share', 'of all voxels', True), ('Noise ceiling', 'median, single trial', True)]
    return {'columns': [tables.column(*h) for h in heads], 'rows': rows}


def _histogram(held: dict, title: str, label: str, factor: float = 1.0) -> dict:
    edges = [factor * e for e in held['edges']]
    middle = [(a + b) / 2 for a, b in zip(edges[:-1], edges[1:], strict=True)]
    total = sum(held['counts']) or 1
    share = [100 * n / total for n in held['counts']]
    curve = {
        'title': title,
        'x_label': label,
        'y_label': '%',
        'series': [{'name': '', 'x': middle, 'y': share}],
    }
    return {'title': title, 'svg': figures.curves(curve), 'legend': []}


def ceiling(told: dict) -> dict:
    """What the picture can explain: {'text', 'chart' or None}."""
    text = [f'{told["source"][:1].upper()}{told["source"][1:]}.']
    if told.get('single_median') is not None:
        median = formats.number(told['single_median'], True)
        text.append(f'Of a single trial the picture explains {median}, median over voxels')
    if told.get('test_median') is not None:
        counts = {int(k): n for k, n in told['test'].items()}
        shown = f'{min(counts):,}' if len(counts) == 1 else f'{min(counts):,} to {max(counts):,}'
        median = formats.number(told['test_median'], True)
        text[-1] += f'; of the test rows averaged by image ({shown} trials each) {median}'
    text = [text[0], *(t + '.' for t in text[1:])]
    chart = None
    if told.get('histogram'):
        chart = _histogram(
            told['histogram'], 'Voxels by noise ceiling of a single trial', 'noise ceiling, %', 100
        )
    return {'text': ' '.join(text), 'chart': chart}


def values(values: dict) -> dict:
    """Size and spread of the values: {'rows', 'chart' or None}."""
    said = {
        'unit': values['unit'],
        'median spread of a voxel over rows': values.get('median_spread'),
        'median absolute value': values.get('median_absolute'),
        'voxels with values that are not finite': values['not_finite'],
        'constant voxels': values['constant'],
    }
    names = {
        '0': 'lowest',
        '1': '1st percentile',
        '50': 'median',
        '99': '99th percentile',
        '100': 'highest',
    }
    percentiles = values.get('percentiles') or {}
    said |= {names[k]: percentiles[k] for k in names if k in percentiles}
    rows = [
        (k, formats.number(v) if isinstance(v, float) else str(v))
        for k, v in said.items()
        if v is not None
    ]
    chart = None
    if values.get('histogram'):
        chart = _histogram(
            values['histogram'], 'Training values, 1st to 99th percentile', values['unit']
        )
    return {'rows': rows, 'chart': chart}
