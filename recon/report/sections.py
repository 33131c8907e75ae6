"""The parts of the page: from a run folder's content to what the templates lay out. Pure."""

import json

import numpy as np

from recon.core import errors
from recon.report import (
    _kinds,
    answers,
    banners,
    brainmaps,
    cards,
    figures,
    formats,
    pictures,
    priors,
    story,
    tables,
    votes,
    words,
)

_RUNS = {
    'members': 'Member',
    'members_train': 'Member',
    'subjects': 'Subject',
    'seeds': 'Seed',
}


def context(folder: dict, run_name: str) -> dict:
    """All that templates/report.html shows, from `results.read`; pure, and the same every time."""
    config, run, held = folder['config'], folder['run'], folder['scores']
    names = story.ordered(config, held['scores'])
    main = story.main_metric(config, held['scores'])
    baselines = held.get('baselines') or {}
    made = priors.generative(held)
    shown = pictures.build(folder['arrays'], held, names, _beside(folder, made))
    extra = held.get('extra_tests') or {}
    return {
        'title': story.title(config, held, shown is not None),
        'run_name': run_name,
        'identity': story.identity(config, run, held),
        'source': story.source(config, held),
        'result': story.result(main, held),
        'verdict': [s for s in (*story.verdict(main, held), priors.sentence(main, held)) if s],
        'few': story.few(held),
        'with_nearest': 'nearest_training' in baselines,
        'banners': banners.build(config, run, held),
        'seen': bool((held.get('audit') or {}).get('seen_test_images')),
        'facts': _facts(config, run, held),
        'pictures': shown,
        'answers': answers.build(folder['arrays'], held.get('protocol')) if shown is None else None,
        'priors': priors.build(folder, names),
        'votes': votes.build(folder['arrays'], held, names),
        'cards': cards.cards(held['scores'], names, baselines, made),
        'scores': tables.scores(held['scores'], names, baselines, made),
        'kinds': _kinds.table(config, held, names),
        'train': _further(config, held.get('scores_train')),
        'extra_tests': {name: _further(config, value) for name, value in extra.items()},
        'members': [
            votes.table(held, key, heading) for key, heading in _RUNS.items() if held.get(key)
        ],
        'areas': _areas(config, held, names),
        'brain': brain(folder['maps'], folder['decoder']),
        'decoder': _decoder(folder['decoder']),
        'log': _log(folder['log']),
        'alignment': _alignment(held),
        'audit': _audit(held.get('audit') or {}),
        'protocol': [(k.replace('_', ' '), v) for k, v in tables.flat(held.get('protocol') or {})],
        'machine': _machine(run),
        'config': json.dumps(config, indent=2, sort_keys=True),
        'quote': story.quote(run_name, main, held, run, config),
        'words': _glossary(config, names, held),
    }


def _beside(folder: dict, made: bool) -> list:
    """Pictures of a generator alone that stand beside the three on top: those of one control."""
    controls = folder.get('controls') or {}
    first = next((name for name in priors.ONLY if name in controls), None)
    if not made or first is None or 'truth' not in folder['arrays']:
        return []
    return priors.beside(folder['arrays'], {first: controls[first]})


def _facts(config: dict, run: dict, held: dict) -> list[tuple[str, str]]:
    """The short list under the headline: what a reader needs to place the result."""
    protocol, audit = held.get('protocol') or {}, held.get('audit') or {}
    data = story.part(config, 'dataset')
    train = protocol.get('train_images', audit.get('train_images'))
    test = protocol.get('test_images', audit.get('test_images', held.get('n')))
    rows = [
        ('data', data.get('name')),
        ('decoder', story.system(config)),
        ('training images', train),
        ('test images', test),
        ('voxels', protocol.get('voxels')),
        *((key, len(held[key])) for key in ('members', 'subjects', 'seeds') if held.get(key)),
        ('took', formats.duration(run['wall_s']) if run.get('wall_s') else None),
    ]
    return [(k, f'{v:,}' if isinstance(v, int) else str(v)) for k, v in rows if v is not None]


def _areas(config: dict, held: dict, names: list[str]) -> dict | None:
    if not held.get('areas'):
        return None
    listed = [a for a in config.get('areas') or [] if a in held['areas']]
    order = listed + sorted(set(held['areas']) - set(listed))
    found = {area: held['areas'][area] for area in order}
    table = tables.areas(found, held['scores'], names)
    return {'table': table, 'chart': cards.areas(found, held['scores'], names[0])}


def _further(config: dict, entries: dict | None) -> dict | None:
    """A table of scores without baselines: training images, extra tests."""
    return tables.scores(entries, story.ordered(config, entries), {}) if entries else None


def brain(maps: dict, told: dict) -> dict | None:
    """Where in the brain: surface maps where voxels have vertices, and shares of each ROI.

    Args:
      maps: maps.npz.
      told: decoder.json (for the definition of importance).
    """
    named = brainmaps.rois(maps)
    weights = {k.removeprefix('importance_'): v for k, v in maps.items() if k[:11] == 'importance_'}
    weights = {k: np.asarray(v, np.float64).ravel() for k, v in weights.items()}
    bars = [
        {
            'target': target,
            'definition': ((told.get(target) or {}).get('facts') or {}).get('importance', ''),
            'chart': cards.importance(brainmaps.shares(value, named)),
        }
        for target, value in weights.items()
        if named
    ]
    drawn = brainmaps.maps(maps, weights, named)
    return {'bars': bars, 'maps': drawn} if bars or drawn else None


def _decoder(told: dict) -> list[dict]:
    """decoder.json as charts and tables, one group a target."""
    groups = []
    for target, value in told.items():
        group = {
            'target': target,
            'charts': [_chart(c) for c in value.get('curves') or []],
            'tables': [tables.plain(t) for t in value.get('tables') or []],
            'facts': tables.flat(value.get('facts') or {}),
        }
        if any(group[k] for k in ('charts', 'tables', 'facts')):
            groups.append(group)
    return groups


def _chart(curve: dict, points: bool = False) -> dict:
    svg = figures.curves(curve, points)
    return {'title': curve.get('title', ''), 'svg': svg, 'legend': figures.legend(curve)}


def _log(lines: list[dict]) -> dict | None:
    """logs/metrics.jsonl: a chart for each scalar with a course, a table of what took how long."""
    series = {}
    for line in lines:
        if line.get('value') is not None and 'name' in line:
            series.setdefault(str(line['name']), {})[line.get('step', 0)] = line['value']
    charts, took = [], []
    for name, points in series.items():
        if name.startswith('seconds/'):
            took.append((name.removeprefix('seconds/').replace('_', ' '), sum(points.values())))
        elif len(points) > 1:
            steps = sorted(points)
            line = {'name': name, 'x': steps, 'y': [points[s] for s in steps]}
            charts.append(_chart({'title': name, 'x_label': 'step', 'series': [line]}))
    top = max([seconds for _, seconds in took] + [1e-9])
    rows = [
        {
            'label': what,
            'value': formats.duration(seconds),
            'ci': '',
            'track': cards.track({'mean': seconds}, (0, top), None, 'bar'),
            'class': 'bar',
        }
        for what, seconds in took
    ]
    return {'charts': charts, 'took': rows} if charts or rows else None


def _alignment(held: dict) -> dict | None:
    audit = held.get('audit') or {}
    rows, note = banners.alignment(audit), audit.get('alignment_note') or ''
    if not rows and not note:
        return None
    return {'chart': cards.alignment(rows) if rows else None, 'note': note}


def _audit(audit: dict) -> list[tuple[str, str]]:
    """The audit in plain words; the alignment check has a chart of its own."""
    said = {
        'train_images': 'training images',
        'test_images': 'test images',
        'seen_test_images': 'test images seen in training',
        'near_duplicates': 'near duplicates of training images',
        'train_only_statistics': 'statistics from training rows alone (measured)',
    }
    rows = [(said[key], audit[key]) for key in said if audit.get(key) is not None]
    rest = {
        k: v for k, v in audit.items() if k not in said and k[:9] != 'alignment' and k != 'label'
    }
    named = {k.replace('_', ' '): v for k, v in rest.items() if v not in (None, {}, [])}
    return tables.flat(dict(rows) | named)


def _machine(run: dict) -> list[tuple[str, str]]:
    """run.json: status, commit, versions, device, time, memory."""
    own = {k: v for k, v in run.items() if k not in ('audit', 'protocol', 'outputs', 'schema')}
    own['wall_s'] = formats.duration(run.get('wall_s'))
    own['peak_rss_mb'] = formats.memory(run.get('peak_rss_mb'))
    # The page is written as the last thing of a run, whose status is then still 'running'.
    own['status'] = 'done' if run.get('status') == 'running' else run.get('status')
    labels = {'wall_s': 'wall time', 'peak_rss_mb': 'peak memory'}
    order = ('status', 'error', 'commit', 'seed', 'device', 'wall_s', 'peak_rss_mb')
    first = {labels.get(k, k): own[k] for k in order if own.get(k) is not None}
    rest = {k: own[k] for k in sorted(own) if k not in order}
    return tables.flat(first | rest)


def _glossary(config: dict, names: list[str], held: dict) -> list[tuple[str, str, str]]:
    """(key, term, explanation) of the words that this page uses, in the glossary's order."""
    used = {words.metric(name)['word'] for name in names} | {'interval', 'chance', 'audit'}
    used |= {'baseline'} if held.get('baselines') else set()
    used |= {'training'} if held.get('scores_train') else set()
    used |= {'importance', 'ceiling'}
    used |= {'prior'} if priors.generative(held) else set()
    used |= {'agreement'} if held.get('agreement') else set()
    used |= {'simulated'} if story.simulated(config, held) else set()
    return [(key, *text) for key, text in words.GLOSSARY.items() if key in used]


def figure(figure: dict) -> dict:
    """A figure of a comparison page: a curves dict, or a finished SVG or PNG."""
    shown = {'title': figure.get('title', ''), 'note': figure.get('note', ''), 'legend': []}
    if figure.get('series') is not None:
        return shown | _chart(figure, bool(figure.get('points')))
    if figure.get('svg') is not None:
        return shown | {'uri': pictures.svg_uri(figure['svg'])}
    if figure.get('png') is not None:
        return shown | {'uri': pictures.png_uri(figure['png'])}
    raise errors.DataInvalid(
        f'figure {figure.get("title")!r} has keys {sorted(figure)}',
        'figures of a table',
        "give one of 'series', 'svg' or 'png'",
    )
