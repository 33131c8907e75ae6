"""Scores by kind of picture: natural images, shapes, letters, imagined ones, training images."""

from recon.report import formats, story, tables, words

_NATURAL = ('shen2019', 'god')  # data sets whose test images are photographs, beside other kinds
_NAMES = {'artificial': 'shapes', 'letters': 'letters', 'imagery': 'imagined'}
TRAINING = 'training images'


def of_run(row: dict, natural: bool) -> dict[str, dict]:
    """{kind: {metric: entry}} of one run, the test images first and the training images last.

    Args:
      row: 'scores', and each optional 'extra_tests' {name: entries} and 'scores_train', as in
        scores.json.
      natural: call the test images natural.
    """
    kinds = {'natural images' if natural else 'test images': row.get('scores') or {}}
    for name, entries in (row.get('extra_tests') or {}).items():
        kinds[_NAMES.get(name, name.replace('_', ' '))] = entries
    return kinds | ({TRAINING: row['scores_train']} if row.get('scores_train') else {})


def natural(data: str | None) -> bool:
    """Whether the test images of a data set, named as in its config, are photographs."""
    return bool(data) and data.split()[0] in _NATURAL


def table(config: dict, held: dict, names: list[str]) -> dict | None:
    """One run: a row for each kind of picture, a column for each metric; None for one kind alone.

    Args:
      config: of the run.
      held: scores.json.
      names: metrics, in order.
    """
    if not held.get('extra_tests'):
        return None
    kinds = of_run(held, natural(story.part(config, 'dataset').get('name')))
    columns = [tables.column('Pictures'), tables.column('n', '', True)]
    columns += [tables.column(words.metric(n)['label'], n, True) for n in names]
    rows = []
    for kind, entries in kinds.items():
        cells = [tables.scored(entries.get(n), words.metric(n)['percent']) for n in names]
        rows.append([tables.cell(kind, head=True), tables.cell(count(entries)), *cells])
    return {'columns': columns, 'rows': rows}


def count(entries: dict) -> str:
    """How many pictures the scores are of."""
    return f'{max((e.get("n") or 0 for e in entries.values()), default=0) or "–"}'


def by_metric(rows: list[dict], name: str) -> dict | None:
    """Several runs, one metric: a row for each run, a column for each kind; published beside it.

    Args:
      rows: as `tables.comparison` takes them, and of_run's keys; 'published_train' {metric: text}.
      name: the metric.

    Returns:
      A table, or None where there is one kind alone.
    """
    named = natural(next((row['data'] for row in rows if row.get('data')), None))
    held = [(row, of_run(row, named)) for row in rows]
    kinds = list(dict.fromkeys(kind for _, found in held for kind in found))
    if len(kinds) < 2:
        return None
    percent, columns, takes = words.metric(name)['percent'], [tables.column('Run')], []
    for kind in kinds:
        key = {kinds[0]: 'published', TRAINING: 'published_train'}.get(kind, '')
        numbers = {count(found[kind]) for _, found in held if kind in found}
        n = f'n = {numbers.pop()}' if len(numbers) == 1 else ''
        columns.append(tables.column(kind.capitalize(), n, True))
        takes.append((kind, key if any((r.get(key) or {}).get(name) for r in rows) else ''))
        columns += [tables.column('published', 'on its own data', True)] if takes[-1][1] else []
    out = []
    for row, found in held:
        cells = [tables.cell(row['name'], head=True)]
        for kind, key in takes:
            entry = found.get(kind, {}).get(name)
            cells.append(tables.scored(entry, percent) | {'class': 'strong' if entry else 'muted'})
            if key:
                cells.append(tables.cell((row.get(key) or {}).get(name) or '–', kind='muted'))
        out.append(cells)
    label = words.metric(name)
    return {'title': label['label'], 'word': label['word'], 'columns': columns, 'rows': out}


def choice(rows: list[dict], by: str) -> dict:
    """What a choice was made by: a row for each run with its value on validation, the best marked.

    Args:
      rows: with 'validation' (a number) and 'chosen'.
      by: what the number is.
    """
    columns = [tables.column('Run'), tables.column(by.capitalize(), '', True), tables.column('')]
    out = [
        [
            tables.cell(row['name'], head=True),
            tables.cell(formats.number(row['validation']), kind='strong' if row['chosen'] else ''),
            tables.cell('chosen' if row['chosen'] else '', kind='strong'),
        ]
        for row in rows
    ]
    return {'columns': columns, 'rows': out}
