"""What the page says in sentences. Every sentence follows from the numbers, none is fixed."""

import math

from recon.report import formats, words

# Answers without a brain, or with a broken one. nearest_training is not among them: it starts from
# the decoded picture, so that a good decoder makes it good.
BLIND = ('mean_image', 'mean_latent', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels')
_FEW = 20  # images; a percentile bootstrap of fewer covers less than it says


def main_metric(config: dict, scores: dict) -> str | None:
    """The metric that the page leads with: the first of config.metrics that was scored.

    Without that list, pixel correlation, else the first by name.
    """
    listed = [name for name in config.get('metrics') or [] if name in scores]
    if listed:
        return listed[0]
    return 'pixcorr' if 'pixcorr' in scores else next(iter(sorted(scores)), None)


def ordered(config: dict, scores: dict) -> list[str]:
    """Names of `scores`, those of config.metrics first and in that order."""
    listed = [name for name in config.get('metrics') or [] if name in scores]
    return listed + sorted(set(scores) - set(listed))


def title(config: dict, scores: dict, has_images: bool) -> str:
    """What was seen, whose brain, and decoded with what."""
    name = part(config, 'dataset').get('name', 'unknown data')
    seen_things = words.DATASETS.get(name, (f'{name}: {"pictures" if has_images else "answers"}',))[
        0
    ]
    source = 'fMRI' if not simulated(config, scores) else 'a simulated brain'
    subject = part(config, 'dataset').get('subject', _data(scores).get('subject'))
    targets = list(part(config, 'targets'))
    if targets and not has_images:
        seen_things = f'{seen_things}: {targets[0].replace("_", " ")}'
    whose = '' if subject in (None, '') or source != 'fMRI' else f' of subject {subject}'
    whose = f' of {len(config["subjects"])} subjects' if config.get('subjects') else whose
    return f'{seen_things}, decoded from {source}{whose} with {method(config)}'


def method(config: dict) -> str:
    """The decoder in plain words; local decoders of a combination after it."""
    decoder = part(config, 'decoder')
    name, base = decoder.get('name', 'an unknown decoder'), part(decoder, 'base').get('name')
    text = words.DECODERS.get(name, name)
    if name == 'none':
        return system(config)
    if base:
        return f'{text}, each by {words.DECODERS.get(base, base)}'
    chain = part(config, 'generator').get('chain') or ()
    made = [words.GENERATORS[name] for name in chain if name in words.GENERATORS]
    return ' and '.join([', '.join([text, *made[:-1]]), *made[-1:]])


def system(config: dict) -> str | None:
    """The decoder by its name, or the generators where they read the voxels themselves."""
    name = part(config, 'decoder').get('name')
    return name if name != 'none' else ' + '.join(part(config, 'generator').get('chain') or ())


def simulated(config: dict, scores: dict) -> bool:
    """Whether a program drew the responses: its data set, or its file layout."""
    by_name = part(config, 'dataset').get('name') == 'simulated'
    return by_name or bool(config.get('layout')) or bool(_data(scores).get('simulated'))


def identity(config: dict, run: dict, scores: dict) -> str:
    """'miyawaki2008 (simulated), miyawaki (omp), seed 0', by the names of the config."""
    decoder = part(config, 'decoder')
    data, base = part(config, 'dataset').get('name'), part(decoder, 'base').get('name')
    made = data != 'simulated' and simulated(config, scores)
    seed = config.get('seed', run.get('seed'))
    seeds = config.get('seeds') and f'seeds {", ".join(map(str, config["seeds"]))}'
    known = (
        data and f'{data}{" (simulated)" if made else ""}',
        system(config) and f'{system(config)}{f" ({base})" if base else ""}',
        seeds or (None if seed is None else f'seed {seed}'),
    )
    return ', '.join(k for k in known if k)


def source(config: dict, scores: dict) -> str:
    """Whose data, for the line above the title; '' where no name is known."""
    if simulated(config, scores):
        layout = config.get('layout')
        return 'simulated brain' + (f', file layout of {layout}' if layout else '')
    return words.DATASETS.get(part(config, 'dataset').get('name'), ('', ''))[1]


def _data(scores: dict) -> dict:
    return part(scores.get('protocol') or {}, 'data')


def part(config: dict, key: str) -> dict:
    """A block of the config, {} where it is not one."""
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def result(name: str, scores: dict) -> str:
    """The main score in one sentence, with interval, chance and mean image beside it."""
    entry, known = scores['scores'][name], words.metric(name)
    label = known['label'][0].upper() + known['label'][1:]
    if entry.get('mean') is None:
        return f'{label} is undefined on all {_count(entry, scores)}.'
    beside = []
    if entry.get('ci95'):
        beside.append(f'95 % interval {formats.interval(entry, known["percent"])}')
    else:
        beside.append('no interval')
    if entry.get('chance') is not None:
        beside.append(f'chance {formats.number(entry["chance"], known["percent"])}')
    mean_image = scores.get('baselines', {}).get('mean_image', {}).get(name)
    if mean_image and mean_image.get('mean') is not None:
        beside.append(f'mean training image {formats.number(mean_image["mean"], known["percent"])}')
    if entry.get('unit') in ('subject', 'seed'):
        beside.insert(0, f'mean over {_plural(entry.get("n"), entry["unit"])}')
    aside = f' ({"; ".join(beside)})' if beside else ''
    value = formats.number(entry['mean'], known['percent'])
    return f'{label} {value}{aside} on {_count(entry, scores)} {seen(scores)}.'


def _count(entry: dict, scores: dict) -> str:
    """'10 test images', or '240 test rows of 20 images', by the unit of the score."""
    if entry.get('unit') == 'row':
        images = (scores.get('protocol') or {}).get('test_images')
        return _plural(entry.get('n'), 'test row') + (
            f' of {_plural(images, "image")}' if images else ''
        )
    return _plural(scores.get('n'), 'test image')


def _plural(n, noun: str) -> str:
    return f'{n:,} {noun}{"" if n == 1 else "s"}' if isinstance(n, int) else f'the {noun}s'


def seen(scores: dict) -> str:
    """'that the decoder never saw', or what the audit says instead."""
    audit = scores.get('audit') or {}
    n = audit.get('test_images', scores.get('n'))
    count = audit.get('seen_test_images')
    if count is None:
        return '(no audit says whether the decoder had seen them)'
    if count == 0:
        return 'that the decoder never saw'
    whole = 'all' if count == n else f'{count}'
    return f'of which {whole} {"was" if count == 1 else "were"} among the training images'


def verdict(name: str, scores: dict) -> list[str]:
    """What the main score shows, and what it does not: one to five sentences.

    Args:
      name: the main metric.
      scores: scores.json; the nearest training image is looked up under every metric.
    """
    return [*_main_verdict(name, scores), nearest(scores), few(scores)]


def _main_verdict(name: str, scores: dict) -> list[str]:
    entry, percent = scores['scores'][name], words.metric(name)['percent']
    ci = entry.get('ci95')
    if entry.get('mean') is None:
        return ['Nothing can be said of it.']
    if not ci or None in ci:
        return ['Without an interval nothing can be said of how far luck goes.']
    lower = entry.get('better') == 'lower'
    clear = _side(ci, entry['chance'], lower) if entry.get('chance') is not None else 1
    out = [_against_chance(entry, clear)]
    known = {
        k: held[name]
        for k, held in (scores.get('baselines') or {}).items()
        if held.get(name, {}).get('mean') is not None
    }
    blind = {k: known[k] for k in BLIND if k in known}
    if blind:
        sign = -1 if lower else 1
        best = max(blind, key=lambda k: round(sign * blind[k]['mean'], 4))
        out.append(_against(best, blind[best], entry, ci, clear > 0, percent))
        wins = _wins(entry, blind[best], lower)
        out += [f'One by one, the decoder beats that baseline on {wins}.'] if wins else []
    return out


def nearest(scores: dict) -> str:
    """Where the training image nearest to what was decoded does better than that itself.

    Args:
      scores: scores.json; all its metrics are compared.

    Returns:
      One sentence, '' where it does better on none.
    """
    held = (scores.get('baselines') or {}).get('nearest_training') or {}
    better = []
    for name, entry in scores['scores'].items():
        ours, theirs = entry.get('mean'), (held.get(name) or {}).get('mean')
        if None in (ours, theirs) or _equal(ours, theirs):
            continue
        if (theirs < ours) == (entry.get('better') == 'lower'):
            known = words.metric(name)
            values = [formats.number(v, known['percent']) for v in (theirs, ours)]
            better.append(f'{known["label"]} ({" against ".join(values)})')
    if not better:
        return ''
    listed = '; '.join(better[:-1]) + (' and ' if better[:-1] else '') + better[-1]
    return f'The training image nearest to what was decoded does better on {listed}.'


def few(scores: dict) -> str:
    """That intervals from fewer than 20 images are too narrow, '' where there are none such."""
    n = (scores.get('protocol') or {}).get('test_images', scores.get('n'))
    drawn = any(e.get('ci95') for e in scores['scores'].values())
    if not isinstance(n, int) or n >= _FEW or not drawn:
        return ''
    return (
        f'Only {_plural(n, "test image")}: the intervals that so small a set gives are too narrow.'
    )


def _equal(a: float, b: float) -> bool:
    """Whether two scores differ by no more than rounding."""
    return math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9)


def _side(ci, value: float, lower: bool) -> int:
    """1 the interval is on the good side of value, -1 on the bad side, 0 it holds the value."""
    if ci[0] <= value <= ci[1]:
        return 0
    return 1 if (ci[1] < value) == lower else -1


def _against_chance(entry: dict, side: int) -> str:
    if entry.get('chance') is None:
        return 'No chance level was computed for this score.'
    text = {
        1: 'The interval lies clear of chance.',
        0: 'The interval includes chance: by this score alone nothing was decoded.',
        -1: 'The score is worse than chance.',
    }[side]
    # Chance may be a level (the commoner answer), p is of the pairing: they can part ways.
    if side < 1 and (entry.get('p') or 1) < 0.05:
        text += (
            ' Yet pictures fit their own truth better than that of others '
            f'({formats.p_text(entry)}); see the other scores.'
        )
    return text


def _against(best: str, base: dict, entry: dict, ci, clear: bool, percent: bool) -> str:
    name, value = words.baseline(best), formats.number(base['mean'], percent)
    also, but = ('also', 'But the') if clear else ('at least', 'The')
    return {
        1: f'It is {also} clear of every answer that ignores the brain; the nearest is the '
        f'baseline "{name}" at {value}.',
        0: f'{but} interval includes the baseline "{name}" ({value}): by this score alone the '
        'decoder cannot be told from an answer that ignores the brain.',
        -1: f'{but} baseline "{name}" ({value}), which ignores the brain, does better.',
    }[_side(ci, base['mean'], entry.get('better') == 'lower')]


def _wins(entry: dict, base: dict, lower: bool) -> str | None:
    ours, theirs = (e.get('per_image') or e.get('per_unit') or [] for e in (entry, base))
    if len(ours) != len(theirs):
        return None
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    ties = sum(_equal(a, b) for a, b in pairs)
    wins = sum((a < b if lower else a > b) and not _equal(a, b) for a, b in pairs)
    nouns = {'image': 'test images', 'category': 'categories'}
    unit = 'image' if entry.get('per_image') else entry.get('unit')
    noun = nouns.get(unit, f'{unit}s')
    return f'{wins} of {len(pairs)} {noun}' + (f', with {_plural(ties, "tie")}' if ties else '')


def quote(run_name: str, name: str, scores: dict, run: dict, config: dict) -> str:
    """One line to quote the result by, with all that makes it checkable."""
    entry, percent = scores['scores'][name], words.metric(name)['percent']
    parts = [
        identity(config, run, scores) or 'unknown data and decoder',
        f'folder {run_name}',
        f'{name} {formats.number(entry.get("mean"), percent)}',
        f'95 % interval {formats.interval(entry, percent)}' if entry.get('ci95') else 'no interval',
        _count(entry, scores),
        f'commit {str(run.get("commit") or "unknown")[:12]}',
    ]
    seen_images = (scores.get('audit') or {}).get('seen_test_images')
    return ', '.join(parts + (['seen images'] if seen_images else []))
