"""What must be read before the scores: leaks, misaligned rows, failed runs, simulated brains."""

from recon.report import formats, story

_ENOUGH = 1000  # bootstrap draws, random re-pairings


def build(config: dict, run: dict, scores: dict) -> list[dict]:
    """What must be read before the scores: [{'kind': 'bad' | 'note', 'title', 'text'}]."""
    audit = scores.get('audit') or run.get('audit') or {}
    out = []
    if run.get('status') in ('failed', 'stopped'):
        text = run.get('error') or 'What was finished before is shown.'
        out.append({'kind': 'bad', 'title': f'This run {run["status"]}', 'text': text})
    count = audit.get('seen_test_images')
    if count:
        text = (
            f'{count} of {audit.get("test_images", scores.get("n"))} test images were also among '
            'the training images, by name or by content: the scores measure memory too.'
        )
        out.append({'kind': 'bad', 'title': 'Seen images', 'text': text})
    for name, number in (audit.get('seen_extra_tests') or {}).items():
        if number:
            text = f'{number} images of the further test set {name} were trained on.'
            out.append({'kind': 'bad', 'title': 'Seen images', 'text': text})
    if audit.get('train_only_statistics') is False:
        text = 'Multiplying the test rows changed what was fitted: test rows leak into training.'
        out.append(
            {'kind': 'bad', 'title': 'Statistics not from training rows alone', 'text': text}
        )
    out += _constant(scores.get('protocol') or run.get('protocol') or {})
    warning = alignment_warning(audit)
    if warning:
        out.append({'kind': 'bad', 'title': 'Rows and pictures may be misaligned', 'text': warning})
    near = audit.get('near_duplicates')
    if near:
        rule = audit.get('near_duplicate_rule')
        text = f'{near} test images are nearly a training image' + (f' ({rule}).' if rule else '.')
        out.append({'kind': 'note', 'title': 'Near duplicates', 'text': text})
    if story.simulated(config, scores):
        layout = config.get('layout')
        where = f' in the file layout of {layout}' if layout else ''
        text = f'No person was scanned: a program drew these responses{where}, and their noise.'
        out.append({'kind': 'note', 'title': 'Simulated brain', 'text': text})
    return out + _reduced(config)


def _constant(protocol: dict) -> list[dict]:
    """A banner where more than half of the voxels never change."""
    constant = story.part(protocol, 'data').get('constant_voxels') or 0
    voxels = protocol.get('voxels') or 0
    if not constant or 2 * constant <= voxels:
        return []
    if constant >= voxels:
        text = f'All {constant:,} voxels have'
    else:
        text = f'{constant:,} of {voxels:,} voxels have'
    text += ' one value in every training row: nothing can be read from them. Check the recording.'
    return [{'kind': 'bad', 'title': 'Constant voxels', 'text': text}]


def _reduced(config: dict) -> list[dict]:
    """A banner where a run was made small: `:smoke`, or few draws or permutations."""
    said = {'draws': 'bootstrap draws', 'permutations': 'random re-pairings'}
    few = {k: config[k] for k in said if isinstance(config.get(k), int) and config[k] < _ENOUGH}
    if config.get('layout') or len(few) == len(said):
        text = 'Few draws, little data: it checks the machinery, and its scores mean no more.'
        return [{'kind': 'note', 'title': 'Smoke run', 'text': text}]
    if few:
        text = 'Only ' + ' and '.join(f'{v} {said[k]}' for k, v in few.items())
        text += f' (at least {_ENOUGH:,} are usual): intervals and p are coarse.'
        return [{'kind': 'note', 'title': 'Reduced run', 'text': text}]
    return []


def alignment(audit: dict) -> list[dict]:
    """[{'shift': int, 'mean', 'ci95', 'here': bool}] in order of shift, from the audit."""
    intervals = audit.get('alignment_ci95') or {}
    rows = [
        {'shift': int(shift), 'mean': mean, 'ci95': intervals.get(shift), 'here': int(shift) == 0}
        for shift, mean in (audit.get('alignment') or {}).items()
    ]
    return sorted(rows, key=lambda row: row['shift'])


def alignment_warning(audit: dict) -> str | None:
    """The audit's own warning; without one, ours where another shift is clear of no shift."""
    if audit.get('alignment_warning'):
        text = str(audit['alignment_warning'])
        return text[0].upper() + text[1:]
    rows = [row for row in alignment(audit) if row['mean'] is not None]
    here = next((row for row in rows if row['here']), None)
    if here is None or 'alignment_warning' in audit:
        return None
    best = max(rows, key=lambda row: row['mean'])
    low, high = (best['ci95'] or [best['mean']])[0], (here['ci95'] or [here['mean']])[-1]
    if low <= high or best['here']:
        return None
    return (
        f'Decoding is better ({formats.number(best["mean"])}) with the rows shifted by '
        f'{best["shift"]:+d} than as they are ({formats.number(here["mean"])}). '
        'Check the stimulus ids.'
    )
