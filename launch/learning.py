"""What a sweep shows of trainings: curves of the loss, and losses that a part states of itself."""

_CURVE = 'Training of '  # how recon/train/log.curve titles the losses of a part


def series(name: str, kept: dict) -> dict:
    """The training loss of a run against its steps: the first part that was trained.

    Args:
      name: of the run.
      kept: its folder, as results.read gives it.

    Returns:
      {'name', 'x', 'y', 'panel'}, empty lists where nothing was trained; `panel` is the batch, and
      runs of one panel stand in one figure.
    """
    batch = kept['config'].get('decoder', {}).get('batch')
    for part in kept['decoder'].values():
        for curve in part.get('curves', []):
            if not curve.get('title', '').startswith(_CURVE):
                continue
            found = [s for s in curve['series'] if s['name'] == 'training']
            if found:
                return {'name': name, 'x': found[0]['x'], 'y': found[0]['y'], 'panel': batch}
    return {'name': name, 'x': [], 'y': [], 'panel': batch}


def figures(all_series: list[dict]) -> list[dict]:
    """One figure of curves for each batch size, ascending; each holds the runs of that size."""
    panels = sorted({s['panel'] for s in all_series}, key=lambda p: (p is None, p))
    return [
        {
            'title': 'Training loss' + (f', batch {panel}' if panel is not None else ''),
            'x_label': 'steps',
            'y_label': 'loss',
            'log_x': False,
            'series': [
                {key: s[key] for key in ('name', 'x', 'y')}
                for s in all_series
                if s['panel'] == panel
            ],
            'chosen': None,
        }
        for panel in panels
    ]


def entries(kept: dict, names, split: str = 'train') -> dict:
    """{fact: entry} of the facts `names` of decoder.json, as scores.json has metrics.

    A fact is a number over all rows: it has neither interval nor chance. One that no part of the
    run states is left out.

    Args:
      kept: a run's folder, as results.read gives it.
      names: facts, in order.
      split: what is written into the entries.
    """
    found = {}
    for part in kept['decoder'].values():
        for name in names:
            value = part.get('facts', {}).get(name)
            if isinstance(value, int | float):
                found.setdefault(name, value)
    blank = dict(ci95=None, chance=None, p=None, unit='row', better='lower', n=None, n_undefined=0)
    return {
        name: {'mean': float(found[name]), 'split': split, 'per_image': None} | blank
        for name in names
        if name in found
    }
