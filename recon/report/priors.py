"""How much of a picture is the brain's: controls beside it, paired differences, agreement maps."""

import numpy as np

from recon.core import image
from recon.report import brainmaps, formats, pictures, tables, words

ONLY = ('shuffled_voxels', 'zero_voxels')  # controls that show what a generator paints alone
_BESIDE = (*ONLY, 'nearest_training')
_LINES, _SAMPLES = 6, 4  # pictures that are shown, further samples of each
_SIDE, _BLUR = 160, 16  # pixels on the page; a map is smoothed over 1 / 16 of a picture's side
_RAMP = 'cool'
_EQUAL = 1e-9  # a difference of means below it is rounding


def build(folder: dict, names: list[str]) -> dict | None:
    """The section on the prior.

    Args:
      folder: `results.read`'s, with 'controls' {name: arrays}.
      names: metrics, in order.

    Returns:
      {'generative', 'table', 'over', 'grid': None or {'headings', 'lines'}, 'agreement': None or
      {'value', 'interval', 'text', 'gradient', 'samples'}}; None where there is nothing to show.
    """
    held, arrays = folder['scores'], folder['arrays']
    made = generative(held)
    table = differences(held.get('differences') or {}, names, made)
    grid = _grid(arrays, held, folder.get('controls') or {}, names) if made else None
    agreed = _agreement(held.get('agreement'), held) if held.get('agreement') else None
    if not (table or grid or agreed):
        return None
    runs = (held.get('protocol') or {}).get('runs') or {}
    over = ' and '.join(f'{len(v)} {kind}' for kind, v in runs.items())
    return {
        'generative': made,
        'table': table,
        'over': over,
        'grid': grid,
        'agreement': agreed,
    }


def generative(held: dict) -> bool:
    """Whether a generator that has learnt to paint is in the chain, by scores.json's protocol."""
    return bool((held.get('protocol') or {}).get('prior'))


def differences(held: dict, names: list[str], made: bool) -> dict | None:
    """System minus control as a table: a row for each metric, a column for each control.

    Args:
      held: `differences` of scores.json.
      names: metrics, in order.
      made: call the controls without a brain 'prior only'.
    """
    controls = [c for c in _BESIDE if c in held] + sorted(set(held) - set(_BESIDE))
    rows = []
    for name in names:
        entries = {c: held[c].get(name) for c in controls}
        if not any(entries.values()):
            continue
        known = words.metric(name)
        better = next(e['better'] for e in entries.values() if e)
        cells = [_difference(entries[c], known['percent']) for c in controls]
        head = tables.cell(known['label'], tables.arrow({'better': better}), 'wide', head=True)
        rows.append([head, *cells])
    if not rows:
        return None
    columns = [tables.column('Score')]
    columns += [tables.column(f'Minus {words.baseline(c, made)}', '', True) for c in controls]
    return {'columns': columns, 'rows': rows}


def _difference(entry: dict | None, percent: bool) -> dict:
    if not entry or entry.get('mean') is None:
        return tables.cell('–', kind='muted')
    ci = formats.interval(entry, percent) if entry.get('ci95') else 'no interval'
    side = told(entry)
    note = {1: 'better', 0: 'not told apart', -1: 'worse', None: ''}[side]
    found = tables.cell(signed(entry['mean'], percent), ci, 'strong' if side == 1 else '')
    return found | {'note': note}


def told(entry: dict) -> int | None:
    """1 where the interval lies on the good side of 0, -1 on the bad one, 0 if it holds 0."""
    ci = entry.get('ci95')
    if not ci or None in ci:
        return None
    if ci[0] <= 0 <= ci[1]:
        return 0
    return 1 if (ci[0] > 0) == (entry.get('better') != 'lower') else -1


def signed(value: float, percent: bool) -> str:
    """A difference with its sign."""
    value = 0.0 if abs(value) < _EQUAL else value
    return ('+' if value > 0 else '') + formats.number(value, percent)


def sentence(name: str, held: dict) -> str:
    """What the main score adds to that of the prior alone; '' where that was not measured."""
    if not generative(held):
        return ''
    found = held.get('differences') or {}
    said = []
    for control in ONLY:
        entry = (found.get(control) or {}).get(name)
        side = entry and told(entry)
        if side is None:
            continue
        whose = {'shuffled_voxels': 'that of another picture', 'zero_voxels': 'none'}[control]
        percent = words.metric(name)['percent']
        by, ci = signed(entry['mean'], percent), formats.interval(entry, percent)
        verdict = {1: 'better', 0: 'not told apart', -1: 'worse'}[side]
        said.append(f'{by} against {whose} ({ci}: {verdict})')
    if not said:
        return ''
    return (
        'The generator paints a likely picture whatever it is given. What this brain activity adds '
        f'to {words.metric(name)["label"]}: {", ".join(said)}.'
    )


def _agreement(entry: dict, held: dict) -> dict:
    share = formats.number(max(0.0, entry['mean']), True)
    text = (
        'of the variance of the decoded pixels is common to all samples of a picture: that much '
        'is fixed by what was decoded from the brain. The rest differs from sample to sample: the '
        'generator invents it.'
    )
    return {
        'value': share,
        'interval': formats.interval(entry, True),
        'text': text,
        'samples': entry['samples'],
        'gradient': f'linear-gradient(90deg, {", ".join(brainmaps.RAMPS[_RAMP])})',
    }


def _grid(arrays: dict, held: dict, controls: dict, names: list[str]) -> dict | None:
    """Lines of pictures: seen, decoded, further samples, where they agree, controls."""
    if not {'images', 'truth'} <= set(arrays) or not len(arrays['truth']):
        return None
    samples = [v for k, v in arrays.items() if k.startswith('stage_sample_')]
    columns = [('seen', arrays['truth']), ('decoded', arrays['images'])]
    columns += [(f'sample {k + 1}', v) for k, v in enumerate(samples[:_SAMPLES])]
    chosen = pictures.ranked(arrays, held['scores'], names)
    rows = pictures.spaced(chosen.order, _LINES)
    if samples:
        columns.append(('where they agree', maps([arrays['images'], *samples], rows)))
    others = beside(arrays, controls)
    if not samples and not others:
        return None
    columns += others
    lines = [
        {
            'id': str(chosen.ids[row]),
            'pictures': [
                pictures.picture(array[row] if name != 'where they agree' else array[k], _SIDE)
                for name, array in columns
            ],
        }
        for k, row in enumerate(rows)
    ]
    return {'headings': [name for name, _ in columns], 'lines': lines}


def beside(arrays: dict, controls: dict) -> list[tuple[str, np.ndarray]]:
    """(heading, [n h w 3]) of the controls whose pictures are there, one a row."""
    n = len(arrays['truth'])
    return [
        (words.baseline(name, True), controls[name]['images'])
        for name in _BESIDE
        if len((controls.get(name) or {}).get('images', ())) == n
    ]


def maps(samples: list[np.ndarray], rows) -> np.ndarray:
    """[rows h w 3]: where the samples of each of `rows` agree, in the colours of the scale.

    1 - (variance between the samples of a picture) / (variance between all reconstructions at that
    place), both smoothed and cut to [0, 1].

    Args:
      samples: S arrays [n h w 3].
      rows: which pictures.
    """
    whole = np.mean([s.astype(np.float64).var(0, ddof=1) for s in samples], 0).mean(-1)  # [h w]
    whole = np.maximum(_smooth(whole), 1e-12)
    out = []
    for row in rows:
        within = np.stack([image.to_float(s[row]) for s in samples]).astype(np.float64)
        spread = _smooth(within.var(0, ddof=1).mean(-1))
        share = np.clip(1 - spread / whole, 0, 1)
        out.append(brainmaps.ramp(share.ravel(), 0, 1, _RAMP)[:, :3].reshape(*share.shape, 3))
    return np.array(out, np.float32)


def _smooth(x: np.ndarray) -> np.ndarray:
    """[h w]: the mean over a window of 1 / _BLUR of each side, at least 3 pixels; edges repeat."""
    for axis, length in enumerate(x.shape):
        half = max(1, length // _BLUR // 2)
        wide = np.pad(x, [(half, half) if k == axis else (0, 0) for k in range(2)], mode='edge')
        width = 2 * half + 1
        x = np.mean([np.take(wide, range(k, k + length), axis) for k in range(width)], 0)
    return x
