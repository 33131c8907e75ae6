"""What the page says in sentences. Every sentence follows from the numbers, none is fixed."""

import statistics

from recon.report import words

# Answers without a brain, or with a broken one. nearest_training is not among them: it starts from
# the decoded picture, so that a good decoder makes it good.
BLIND = ('mean_image', 'mean_latent', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels')


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


def title(config: dict, has_images: bool) -> str:
    """Whose brain, and decoded with what."""
    data = _part(config, 'dataset')
    name = data.get('name', 'unknown data')
    subject = data.get('subject')
    who = words.DATASETS.get(name, name)
    who = who if subject in (None, '') else f'{who}, subject {subject}'
    decoder = _part(config, 'decoder').get('name', 'unknown decoder')
    what = 'Pictures' if has_images else 'Answers'
    return f'{what} decoded from {who}, with {words.DECODERS.get(decoder, decoder)}'


def _part(config: dict, key: str) -> dict:
    value = config.get(key)
    return value if isinstance(value, dict) else {}


def result(name: str, scores: dict) -> str:
    """The main score in one sentence, with interval, chance and mean image beside it."""
    entry, known = scores['scores'][name], words.metric(name)
    label = known['label'][0].upper() + known['label'][1:]
    if entry.get('mean') is None:
        return f'{label} is undefined on all {_count(entry.get("n"), entry)}.'
    beside = []
    if entry.get('ci95'):
        beside.append(f'95 % interval {words.interval(entry, known["percent"])}')
    if entry.get('chance') is not None:
        beside.append(f'chance {words.number(entry["chance"], known["percent"])}')
    mean_image = scores.get('baselines', {}).get('mean_image', {}).get(name)
    if mean_image and mean_image.get('mean') is not None:
        beside.append(f'mean training image {words.number(mean_image["mean"], known["percent"])}')
    aside = f' ({"; ".join(beside)})' if beside else ''
    value = words.number(entry['mean'], known['percent'])
    return f'{label} {value}{aside} on {_count(scores.get("n"), None)} {seen(scores)}.'


def _count(n, entry: dict | None) -> str:
    unit = (entry or {}).get('unit') or 'image'
    noun = {'image': 'test image', 'category': 'category'}.get(unit, unit)
    plural = {'category': 'categories'}.get(noun, noun + 's')
    return f'{n if n is not None else "an unknown number of"} {noun if n == 1 else plural}'


def seen(scores: dict) -> str:
    """'that the decoder never saw', or what the audit says instead."""
    audit, n = scores.get('audit') or {}, scores.get('n')
    count = audit.get('seen_test_images')
    if count is None:
        return '(no audit says whether the decoder had seen them)'
    if count == 0:
        return 'that the decoder never saw'
    whole = 'all' if count == n else f'{count}'
    return f'of which {whole} {"was" if count == 1 else "were"} among the training images'


def verdict(name: str, scores: dict) -> list[str]:
    """What the main score shows, and what it does not: one to three sentences."""
    entry, percent = scores['scores'][name], words.metric(name)['percent']
    ci = entry.get('ci95')
    if entry.get('mean') is None:
        return ['Nothing can be said of it.']
    if not ci or None in ci:
        return ['Without an interval nothing can be said of how far luck goes.']
    lower = entry.get('better') == 'lower'
    out = [_against_chance(entry, ci, lower)]
    blind = {
        k: scores['baselines'][k][name]
        for k in BLIND
        if scores.get('baselines', {}).get(k, {}).get(name, {}).get('mean') is not None
    }
    if blind:
        best = (min if lower else max)(blind, key=lambda k: blind[k]['mean'])
        out.append(_against(best, blind[best], entry, ci, lower, percent))
        wins = _wins(entry, blind[best], lower)
        if wins:
            out.append(f'Picture by picture it is the better one on {wins}.')
    return out


def _side(ci, value: float, lower: bool) -> int:
    """1 the interval is on the good side of value, -1 on the bad side, 0 it holds the value."""
    if ci[0] <= value <= ci[1]:
        return 0
    return 1 if (ci[1] < value) == lower else -1


def _against_chance(entry: dict, ci, lower: bool) -> str:
    if entry.get('chance') is None:
        return 'No chance level was computed for this score.'
    return {
        1: 'The interval lies clear of chance.',
        0: 'The interval includes chance: this run does not show that anything was decoded.',
        -1: 'The score is worse than chance.',
    }[_side(ci, entry['chance'], lower)]


def _against(best: str, base: dict, entry: dict, ci, lower: bool, percent: bool) -> str:
    name, value = words.baseline(best), words.number(base['mean'], percent)
    return {
        1: f'It is also clear of every answer that ignores the brain; the nearest is the baseline '
        f'"{name}" at {value}.',
        0: f'But the interval includes the baseline "{name}" ({value}): by this score alone the '
        f'decoder cannot be told from an answer that ignores the brain.',
        -1: f'But the baseline "{name}" ({value}), which ignores the brain, does better.',
    }[_side(ci, base['mean'], lower)]


def _wins(entry: dict, base: dict, lower: bool) -> str | None:
    ours, theirs = entry.get('per_image') or [], base.get('per_image') or []
    if len(ours) != len(theirs):
        return None
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    if not pairs:
        return None
    wins = sum(a < b if lower else a > b for a, b in pairs)
    return f'{wins} of {len(pairs)} test images'


def banners(config: dict, run: dict, scores: dict) -> list[dict]:
    """What must be read before the scores: [{'kind': 'bad' | 'note', 'title', 'text'}]."""
    audit = scores.get('audit') or run.get('audit') or {}
    out = []
    if run.get('status') in ('failed', 'stopped'):
        text = run.get('error') or 'What was finished before is shown.'
        out.append({'kind': 'bad', 'title': f'This run {run["status"]}', 'text': text})
    count = audit.get('seen_test_images')
    if count:
        text = (
            f'{count} of {scores.get("n", "?")} test images were also among the training images, '
            'by name or by content. The scores measure memory as well as reading.'
        )
        out.append({'kind': 'bad', 'title': 'Seen images', 'text': text})
    if audit.get('train_only_statistics') is False:
        text = 'Multiplying the test rows changed what was fitted: test rows leak into training.'
        out.append(
            {'kind': 'bad', 'title': 'Statistics not from training rows alone', 'text': text}
        )
    warning = alignment_warning(audit)
    if warning:
        out.append({'kind': 'bad', 'title': 'Rows and pictures may be misaligned', 'text': warning})
    near = audit.get('near_duplicates')
    if near:
        text = f'{_many(near)} of test images nearly equal a training image.'
        out.append({'kind': 'note', 'title': 'Near duplicates', 'text': text})
    if 'simulated' in (
        _part(config, 'dataset').get('name'),
        scores.get('protocol', {}).get('data'),
    ):
        text = 'No person was scanned: a program drew these responses, and their noise.'
        out.append({'kind': 'note', 'title': 'Simulated brain', 'text': text})
    return out


def _many(value) -> str:
    return f'{len(value) if isinstance(value, list | tuple | dict) else value} cases'


def alignment(audit: dict) -> list[dict]:
    """[{'shift': int or text, 'mean', 'ci95', 'here': bool}] in order of shift, from the audit."""
    rows = []
    for shift, value in (audit.get('alignment') or {}).items():
        if isinstance(value, dict) and 'mean' in value:
            entry = {'mean': value['mean'], 'ci95': value.get('ci95')}
        elif value is None or isinstance(value, int | float) and not isinstance(value, bool):
            entry = {'mean': value, 'ci95': None}
        else:
            continue
        try:
            rows.append(entry | {'shift': int(shift), 'here': int(shift) == 0})
        except ValueError:
            continue
    return sorted(rows, key=lambda row: row['shift'])


def alignment_warning(audit: dict) -> str | None:
    """The audit's own warning, or ours where a shift beats no shift by more than its interval."""
    holder = audit.get('alignment') if isinstance(audit.get('alignment'), dict) else {}
    for said in (audit.get('alignment_warning'), holder.get('warning')):
        if said:
            return said if isinstance(said, str) else 'The audit found a better shift of the rows.'
    rows = [row for row in alignment(audit) if row['mean'] is not None]
    here = next((row for row in rows if row['here']), None)
    if here is None:
        return None
    best = max(rows, key=lambda row: row['mean'])
    if best['here'] or best['mean'] <= here['mean']:
        return None
    sure = (best['ci95'] or [best['mean']])[0] > (here['ci95'] or [here['mean']])[-1]
    if not sure:
        return None
    return (
        f'Decoding is better ({words.number(best["mean"])}) with the rows shifted by '
        f'{best["shift"]:+d} than as they are ({words.number(here["mean"])}). '
        'Check the stimulus ids.'
    )


def quote(run_name: str, name: str, scores: dict, run: dict) -> str:
    """One line to quote the result by, with all that makes it checkable."""
    entry, percent = scores['scores'][name], words.metric(name)['percent']
    parts = [
        run_name,
        f'{name} {words.number(entry.get("mean"), percent)}',
        f'95 % interval {words.interval(entry, percent)}',
        f'n = {scores.get("n", "unknown")} test images',
        f'commit {str(run.get("commit") or "unknown")[:12]}',
        f'seed {run.get("seed", "unknown")}',
    ]
    seen_images = (scores.get('audit') or {}).get('seen_test_images')
    return ', '.join(parts + (['seen images'] if seen_images else []))


def spread(values: list) -> str:
    """Lowest, median and highest of the defined values, in text."""
    known = [v for v in values if v is not None]
    if not known:
        return 'undefined'
    return ', '.join(
        f'{label} {words.number(f(known))}'
        for label, f in (('lowest', min), ('median', statistics.median), ('highest', max))
    )
