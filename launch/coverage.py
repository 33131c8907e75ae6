"""The figures of a sweep over coverage: scores of labels against the smallest share that counts."""

METRICS = {
    'first_label_accuracy': 'accuracy of the first label (what the first seed report scores)',
    'map': 'mean average precision',
}


def series(name: str, run: dict) -> dict:
    """Of one run: its decoder, its threshold of coverage, its scores and their chance.

    Args:
      name: of the run, not used.
      run: its folder, as results.read gives it.

    Returns:
      {'decoder', 'x', <metric>: (mean, chance)}; a metric that the run lacks is left out.
    """
    config, scores = run['config'], run['scores']['scores']
    labels = next(spec for spec in config['targets'].values() if spec['net'] == 'labels')
    held = {m: (scores[m]['mean'], scores[m]['chance']) for m in METRICS if m in scores}
    return {'decoder': config['decoder']['name'], 'x': labels['coverage']} | held


def figures(runs: list[dict]) -> list[dict]:
    """A figure a metric: a line a decoder, and the mean chance of the decoders.

    Args:
      runs: as `series` gives them.
    """
    return [_figure(metric, label, runs) for metric, label in METRICS.items() if metric in runs[0]]


def _figure(metric: str, label: str, runs: list[dict]) -> dict:
    lines, chance = {}, {}
    for run in sorted(runs, key=lambda run: run['x']):
        mean, blind = run.get(metric, (None, None))
        if mean is not None:
            lines.setdefault(run['decoder'], []).append((run['x'], mean))
        if blind is not None:
            chance.setdefault(run['x'], []).append(blind)
    lines['chance'] = [(x, sum(found) / len(found)) for x, found in chance.items()]
    return {
        'title': f'{label[0].upper()}{label[1:]} against the filter of coverage',
        'x_label': 'smallest share of the picture that a label covers',
        'y_label': label.partition(' (')[0],
        'log_x': False,
        'series': [
            {'name': name, 'x': [x for x, _ in points], 'y': [y for _, y in points]}
            for name, points in lines.items()
            if points
        ],
        'chosen': None,
    }
