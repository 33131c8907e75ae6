"""What an inspection found, in sentences: what is wrong, and what a user should know."""

import re

from recon.data.checks import readout

SMOKE = 'A program wrote these files just now, small: it checks the machinery and no recording.'
_MANY = 12  # names in a sentence
_SIGNAL = 0.05  # median of the noise ceiling, above which a picture should leave a trace
_LEAST = 10  # voxels of an area that should be on both sides
_ONE_SIDE = re.compile(r'^(LH|RH)|(^|[^a-z])(l|r|lh|rh|left|right)([^a-z]|$)', re.IGNORECASE)


def of(found: dict, smoke: bool = False) -> list[dict]:
    """Sentences from the content of inspection.json, the worst first.

    Args:
      found: 'facts', 'values', 'sides', 'splits', 'shared', 'areas', 'audit', 'ids', 'test_ids',
        'orientation', and where they were looked at 'scales', 'copies' and 'ceiling'.
      smoke: the files were simulated for this inspection.

    Returns:
      [{'kind': 'bad', 'warn' or 'note', 'title', 'text'}]: what is wrong, what is likely to be,
      and what should be known.
    """
    bad = [
        *_leaks(found),
        *_warning('Rows and pictures may be misaligned', found['audit'].get('alignment_warning')),
        *_warning('Rows may belong to other pictures', found['ids']['warning']),
        *_warning('Test rows may belong to other pictures', found['test_ids']['warning']),
        *_warning('Pictures or hemispheres may be the wrong way round', _turned(found)),
        *_warning('Hemispheres contradict places', found['sides']),
        *_warning('The values do not look like their unit', found['values']['warning']),
        *_warning('A part of the values is of another scale', found.get('scales')),
        *_warning('The same values in two places', found.get('copies')),
        *_voxels(found),
    ]
    signal = (found.get('ceiling') or {}).get('single_median') or 0
    undecoded, early, others = _undecodable(found, signal), *_one_sided(found['areas'])
    warnings = [*early, *_warning('The fraction is lost', found['values'].get('whole'))]
    notes = [*_missing(found), *_empty(found), *others, *_near(found['audit'])]
    (warnings if signal > _SIGNAL else notes).extend(undecoded)
    told = [_stopped(str(text)) for text in found['facts'].get('notes') or ()]
    notes += [{'title': 'The reader says', 'text': ' '.join(told)}] if told else []
    if smoke:
        notes.append(_note('Smoke inspection', SMOKE))
    elif found['facts'].get('simulated') or str(found['facts'].get('source')).startswith('simul'):
        notes.append(_note('Simulated brain', 'No person was scanned: a program drew these rows.'))
    kinds = (('bad', bad), ('warn', warnings), ('note', notes))
    return [{'kind': kind, **entry} for kind, entries in kinds for entry in entries]


def _note(title: str, text: str) -> dict:
    return {'title': title, 'text': _sentence(text)}


def _warning(title: str, text: str | None) -> list[dict]:
    return [_note(title, text)] if text else []


def _sentence(text: str) -> str:
    return _stopped(text[:1].upper() + text[1:])


def _stopped(text: str) -> str:
    return text if text.endswith(('.', '?', '!')) else f'{text}.'


def _leaks(found: dict) -> list[dict]:
    out = []
    for pair in found['shared']:
        a, b = pair['parts']
        if pair['images'] and a in ('train', 'validation'):
            text = f'{pair["images"]} images are in {a} and in {b}, by id: split by image.'
            out.append(_note('An image in two splits', text))
    audit, seen = found['audit'], {}
    if audit.get('seen_test_images'):
        seen['test'] = audit['seen_test_images']
    seen |= {k: n for k, n in (audit.get('seen_extra_tests') or {}).items() if n}
    # Images of two tests, such as those seen and then imagined, are no training images.
    pairs = [p['parts'] for p in found['shared'] if p['images']]
    by_id = {b for a, b in pairs if a in ('train', 'validation')}
    for name, count in seen.items():
        if name not in by_id:
            text = f'{count} images of {name} are also training images, under another id.'
            out.append(_note('Seen images', text))
    return out


def _voxels(found: dict) -> list[dict]:
    values, total = found['values'], found['voxels']
    out = []
    if values['not_finite']:
        text = (
            f'{values["not_finite"]:,} of {total:,} voxels hold NaN or infinity in some row; they '
        )
        text += 'were left out of the checks, and a run will refuse them.'
        out.append(_note('Values that are not finite', text))
    if 2 * values['constant'] > total:
        text = f'{values["constant"]:,} of {total:,} voxels have one value in every training row.'
        out.append(_note('Constant voxels', text))
    return out


def _missing(found: dict) -> list[dict]:
    lost = found['facts'].get('missing_sessions') or ()
    if not len(lost):
        return []
    names = ', '.join(map(str, lost))
    return [_note('Missing sessions', f'session {names}: not on disk, so its trials are absent')]


def _empty(found: dict) -> list[dict]:
    empty = [area['name'] for area in found['areas'] if not area['voxels']]
    if not empty:
        return []
    text = ', '.join(empty)
    if len(empty) > _MANY:  # an atlas of 180 areas, of which a recording holds a few
        atlas = [name.partition('/')[0] if '/' in name else 'others' for name in empty]
        counts = ', '.join(f'{name} {atlas.count(name)}' for name in dict.fromkeys(atlas))
        text = f'{len(empty)} areas: {counts}'
    text = f'no voxel of this recording is in {text}. That is usual where a subject lacks an area'
    return [_note('Empty areas', text)]


def _one_sided(areas: list) -> tuple[list[dict], list[dict]]:
    """(warning on V1 to V3, note on other areas) that lie on one side, unlike most of their kind.

    A name that says its side is no finding, nor is an atlas of which most areas are one-sided.
    """
    known = [a for a in areas if a.get('left') is not None and a['voxels'] >= _LEAST]
    known = [a for a in known if not _ONE_SIDE.search(a['name'].rpartition('/')[2])]
    early, others = [], []
    for area in known:
        atlas = area['name'].rpartition('/')[0]
        kin = [a for a in known if a['name'].rpartition('/')[0] == atlas and a is not area]
        both = sum(1 for a in kin if a['left'] and a['right'])
        if (area['left'] and area['right']) or len(kin) < 2 or 2 * both <= len(kin):
            continue
        side = 'left' if area['left'] else 'right'
        text = f'{area["name"]} ({area["voxels"]:,} voxels, {side})'
        (early if readout.EARLY.fullmatch(area['name']) else others).append(text)
    told = []
    for names, why in (
        (early, 'these are on both sides of every brain: is the file of one hemisphere missing?'),
        (others, 'usual for a few areas, such as those of words and faces, in a few people'),
    ):
        more = f' and {len(names) - _MANY} more' if len(names) > _MANY else ''
        text = f'on one side only: {", ".join(names[:_MANY])}{more}; {why}'
        told.append([_note('Areas on one side', text)] if names else [])
    return told[0], told[1]


def _turned(found: dict) -> str | None:
    """The warning of orientation, unless not even the luminance of a picture can be decoded."""
    interval = found['ids'].get('as_is_ci95')
    return None if interval and interval[0] <= 0 else found['orientation']['warning']


def _undecodable(found: dict, signal: float) -> list[dict]:
    interval = found['ids'].get('as_is_ci95')
    if not interval or interval[0] > 0 or found['ids']['warning']:
        return []
    text = (
        f'Luminance and contrast decode with a correlation of {found["ids"]["as_is"]:.3f} '
        f'[{interval[0]:.3f}, {interval[1]:.3f}], which chance gives too: weak or few data, or '
        'rows that do not belong to their pictures in a way that was not tried.'
    )
    if signal > _SIGNAL:
        text += (
            f' The noise ceiling has a median of {signal:.0%}, so there is something to decode: '
            'check which picture each row names.'
        )
    return [_note('Nothing is decoded yet', text)]


def _near(audit: dict) -> list[dict]:
    if not audit.get('near_duplicates'):
        return []
    text = f'{audit["near_duplicates"]} test images are nearly a training image'
    return [_note('Near duplicates', f'{text} ({audit["near_duplicate_rule"]})')]
