"""The page of an inspection, from its folder alone. No jax, and nothing of the data set is read."""

import json
import pathlib

import jinja2

from recon.core import errors, results
from recon.report import (
    banners,
    brainmaps,
    cards,
    census,
    formats,
    pictures,
    tables,
    words,
)

_TEMPLATES = pathlib.Path(__file__).parent / 'templates'
_SHOWN_AREAS = 30  # in the open table; a table of 180 is folded away
# Areas that lie side by side; streams, atlases and unions of these would hide them on a map.
_DRAWN = (
    *('V1', 'V2', 'V3', 'V4', 'hV4', 'V4v', 'VP', 'V3A', 'V3B', 'VO', 'LO', 'LOC', 'LatOcc', 'MT'),
    *('OFA', 'FFA', 'EBA', 'FBA', 'OPA', 'PPA', 'RSC', 'VWFA', 'IPS'),
)
_WORDS = ('ceiling', 'audit', 'interval', 'chance', 'simulated')
_SAID = {
    'train_images': 'training images',
    'test_images': 'test images',
    'seen_test_images': 'test images seen in training, by id or content',
    'near_duplicates': 'near duplicates of training images',
}
_UNASKED = {'tried': [], 'note': 'not asked when this folder was written'}
_IN_NOTES = ('notes', 'roi_definitions', 'missing_sessions')  # of facts, shown elsewhere


def write(run_dir) -> pathlib.Path:
    """Writes DIR/report.html from inspection.json and what lies beside it.

    Args:
      run_dir: the folder of an inspection.

    Returns:
      The page's path.

    Raises:
      DataMissing: no inspection.json in it.  DataInvalid: it is not JSON.
    """
    run_dir = pathlib.Path(run_dir)
    held = {name: _json(run_dir / f'{name}.json') for name in ('inspection', 'config', 'run')}
    arrays = {name: results.read_arrays(run_dir / f'{name}.npz') for name in ('maps', 'pictures')}
    page = _render('inspection.html', **context(held, arrays, run_dir.resolve().name))
    results.write_bytes(run_dir / 'report.html', page.encode())
    return run_dir / 'report.html'


def _render(name: str, **values) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(glossary=words.GLOSSARY, **values)


def _json(path: pathlib.Path) -> dict:
    if not path.exists():
        remedy = 'launch/main.py --config=configs/inspect.py writes it'
        raise errors.DataMissing('no such file', path, remedy)
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise errors.DataInvalid('not JSON', path, 'inspect the data set again') from error


def context(held: dict, arrays: dict, run_name: str) -> dict:
    """All that templates/inspection.html shows; pure."""
    found, config, run = held['inspection'], held['config'], held['run']
    name = config['dataset']['name']
    named = brainmaps.rois(arrays['maps'])
    plain = {k: v for k, v in named.items() if k in _DRAWN}
    held_areas = sorted((a for a in found['areas'] if a['voxels']), key=lambda a: '/' in a['name'])
    rows = [census.area(area) for area in held_areas]
    return {
        'title': f'What the recording holds: {name}{_subject(found)}',
        'run_name': run_name,
        'source': words.DATASETS.get(name, ('', ''))[1],
        'path': config['dataset'].get('path') or '',
        'banners': found['findings'],
        'clean': not any(f['kind'] == 'bad' for f in found['findings']),
        'warned': any(f['kind'] == 'warn' for f in found['findings']),
        'facts': _facts(found, run),
        'pictures': _pictures(found, arrays['pictures']),
        'splits': census.splits(found),
        'charts': census.charts(found),
        'areas': census.table(rows[:_SHOWN_AREAS]) if rows else None,
        'more_areas': census.table(rows[_SHOWN_AREAS:]) if rows[_SHOWN_AREAS:] else None,
        'empty_areas': [a['name'] for a in found['areas'] if not a['voxels']],
        'definitions': tables.flat(found['facts'].get('roi_definitions') or {}),
        'maps': brainmaps.maps(arrays['maps'], {}, plain if len(plain) > 2 else named),
        'ceiling': census.ceiling(found['ceiling']),
        'values': census.values(found['values']),
        'alignment': _alignment(found['audit']),
        'ids': _hypotheses(found['ids'], 'as they are'),
        'test_ids': _hypotheses(found.get('test_ids') or _UNASKED, 'as they are'),
        'orientation': _hypotheses(found['orientation'], 'as they are'),
        'audit': _audit(found),
        'rule': found['audit'].get('near_duplicate_rule', ''),
        'split': _sentence(found['facts'].get('split', 'the reader does not say how it is made')),
        'told': [
            (k.replace('_', ' '), v)
            for k, v in tables.flat({k: v for k, v in found['facts'].items() if k not in _IN_NOTES})
        ],
        'machine': tables.flat({k: v for k, v in run.items() if k in _MACHINE}),
        'config': json.dumps(config, indent=2, sort_keys=True),
        'words': [(key, *words.GLOSSARY[key]) for key in _WORDS],
    }


_MACHINE = ('commit', 'seed', 'device', 'wall_s', 'peak_rss_mb', 'versions')


def _subject(found: dict) -> str:
    subject = found['facts'].get('subject')
    return '' if subject in (None, '') else f', subject {subject}'


def _sentence(text) -> str:
    text = str(text)
    return text[:1].upper() + text[1:] + ('' if text.endswith('.') else '.')


def _facts(found: dict, run: dict) -> list[tuple[str, str]]:
    """The short list under the headline."""
    sessions = sorted({s for part in found['splits'] for s in part['sessions']})
    height, width = found['image_size']
    rows = [(f'{part["name"]} rows', f'{part["rows"]:,}') for part in found['splits']]
    rows += [('voxels', f'{found["voxels"]:,}')]
    rows += [('sessions', str(len(sessions)))] if sessions else []
    rows += [('pictures', f'{width} x {height}{" grey" if found["channels"] == 1 else ""}')]
    return rows + [('took', formats.duration(run.get('wall_s')))]


def _pictures(found: dict, arrays: dict) -> list[dict]:
    """Cards of the pictures shown: {'picture', 'id', 'part', 'labels', 'captions'}."""
    shown = zip(found['pictures'], arrays.get('images', ()), strict=False)
    return [told | {'picture': pictures.picture(image)} for told, image in shown]


def _alignment(audit: dict) -> dict:
    rows, note = banners.alignment(audit), audit.get('alignment_note') or ''
    return {'chart': cards.alignment(rows) if rows else None, 'note': note}


def _hypotheses(check: dict, here: str) -> dict:
    """A check of readout.judge as a chart: as it is first, then what was tried."""
    if not check['tried']:
        return {'chart': None, 'note': check['note']}
    named = [(here, {'mean': check['as_is'], 'ci95': check['as_is_ci95']}, 'system')]
    named += [(entry['name'], entry, 'baseline') for entry in check['tried']]
    return {'chart': cards.tracks(named, False), 'note': check['note']}


def _audit(found: dict) -> list[tuple[str, str]]:
    audit = found['audit']
    rows = {said: audit[key] for key, said in _SAID.items() if audit.get(key) is not None}
    for name, number in (audit.get('seen_extra_tests') or {}).items():
        rows[f'images of {name} seen in training'] = number
    for pair in found['shared']:
        rows[f'images of both {pair["parts"][0]} and {pair["parts"][1]}, by id'] = pair['images']
    return tables.flat(rows)
