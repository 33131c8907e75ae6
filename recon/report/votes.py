"""The vote of a bag: each member's low-level and refined picture, and which one was chosen."""

import numpy as np

from recon.report import formats, pictures, tables

_LINES, _SIDE = 8, 128
_RULES = {
    'own': 'a picture is taken from the member whose refined picture is most like its own '
    'low-level picture',
    'decoded': 'a picture is taken from the member whose picture is most like the vector that was '
    'decoded from the brain',
}


def build(arrays: dict, held: dict, names: list[str]) -> dict | None:
    """The voting figure.

    Args:
      arrays: reconstructions.npz of a bag.
      held: its scores.json.
      names: metrics, in order.

    Returns:
      {'text', 'lines': [{'id', 'seen': picture, 'members': [{'name', 'pictures': [picture],
      'cosine', 'chosen'}]}], 'low', 'counts': {member: pictures}}; None where nothing was voted on.
    """
    if not {'vote_choice', 'vote_cosine'} <= set(arrays):
        return None
    members = list(held.get('members') or {})
    choice, cosine = arrays['vote_choice'], arrays['vote_cosine']
    chosen = pictures.ranked(arrays, held['scores'], names)
    low = all(f'stage_low_{name}' in arrays for name in members)
    lines = []
    for row in pictures.spaced(chosen.order, _LINES):
        shown = []
        for k, name in enumerate(members):
            kinds = ('low', 'member') if low else ('member',)
            made = [pictures.picture(arrays[f'stage_{kind}_{name}'][row], _SIDE) for kind in kinds]
            said = {'name': name, 'pictures': made, 'chosen': bool(choice[row] == k)}
            shown.append(said | {'cosine': formats.number(float(cosine[row, k]))})
        seen = pictures.picture(arrays['truth'][row], _SIDE)
        lines.append({'id': str(chosen.ids[row]), 'seen': seen, 'members': shown})
    counts = {name: int(np.sum(choice == k)) for k, name in enumerate(members)}
    won = ', '.join(f'{name}: {count}' for name, count in counts.items())
    rule = _RULES.get(held.get('vote_rule'), 'a picture is taken from one member')
    text = (
        f'The rule: {rule}, by the cosine of CLIP vectors. The picture that was seen has no part '
        f'in it. Pictures won: {won}.'
    )
    return {'text': text, 'lines': lines, 'low': low, 'counts': counts}


def table(held: dict, key: str, heading: str) -> dict:
    """The members (subjects, seeds) of scores.json with what they make together as last rows.

    Args:
      held: scores.json.
      key: 'members', 'members_train', 'subjects' or 'seeds'.
      heading: of the first column.
    """
    entries = held['scores_train'] if key == 'members_train' else held['scores']
    rows = dict(held[key])
    if key in ('subjects', 'seeds'):
        rows |= {'mean': entries, 'spread (s.d.)': {k: _sd(e) for k, e in entries.items()}}
    else:
        together = 'mean picture' if held.get('vote_rule') is None else 'the vote'
        rows |= {together: {k: e['mean'] for k, e in entries.items()}}
    title = 'Members on the training images' if key == 'members_train' else f'{heading}s'
    return tables.members(rows, heading) | {'title': title}


def _sd(entry: dict):
    """Standard deviation between runs; None for fewer than two."""
    values = [v for v in entry.get('per_unit') or [] if v is not None]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
