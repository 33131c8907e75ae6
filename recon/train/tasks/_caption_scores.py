"""How well captions fit scenes: each number beside that of the same captions on other scenes."""

import re

import numpy as np

from recon.data.simulator import backgrounds, scenes

_THING = re.compile(
    rf'\b({"|".join(scenes.SIZES)}) ({"|".join(scenes.COLOURS)}) '
    rf'({"|".join(scenes.CATEGORIES)}) at the '
    rf'({"|".join(sorted(scenes.POSITIONS, key=len, reverse=True))})\b'
)
_SHIFTS = 8  # chance is the mean over captions exchanged this often
SIZE, COLOUR, CATEGORY, POSITION = range(4)


def things(sentence: str) -> list[tuple[str, str, str, str]]:
    """Objects that a caption names: (size, colour, category, position), in its order."""
    return _THING.findall(sentence)


def scores(said: list[str], drawn: scenes.Scenes) -> dict:
    """What captions say right, over all scenes and apart for category-colour pairs never trained.

    Args:
      said: n captions.
      drawn: n scenes.

    Returns:
      {part: {name: share in [0, 1], 'chance_' + name: share, 'scenes': count}}; parts: 'all',
      'seen_pairs', 'unseen_pairs' (some object is such a pair), 'unseen_main' (the main one is).
      Names: main_named ('<colour> <category>' of the main object is in the caption), main_first
      (its first object is that one), main_category, main_size and main_position (its category is
      named, and with the right size, position), category_recall (of visible objects), place (sky
      and ground), same_content (all of the true caption in any order), exact.
    """
    truth = scenes.captions(drawn)
    main = [_main(drawn, i) for i in range(len(said))]
    n = len(said)
    table = _table(said, truth, main)
    shifts = [max(1, n * k // (_SHIFTS + 1)) for k in range(1, _SHIFTS + 1)]
    chance = [_table(said[k:] + said[:k], truth, main) for k in shifts]
    unseen = scenes.has_unseen(drawn)
    parts = {
        'all': np.ones(n, bool),
        'seen_pairs': ~unseen,
        'unseen_pairs': unseen,
        'unseen_main': np.array([(m[CATEGORY], m[COLOUR]) in scenes.UNSEEN for m in main], bool),
    }
    return {
        part: {key: float(values[rows].mean()) for key, values in table.items()}
        | {f'chance_{key}': float(np.mean([c[key][rows].mean() for c in chance])) for key in table}
        | {'scenes': int(rows.sum())}
        for part, rows in parts.items()
        if rows.any()
    }


def _main(drawn: scenes.Scenes, i: int) -> tuple[str, str, str, str]:
    return (
        tuple(scenes.SIZES)[drawn.size[i, 0]],
        tuple(scenes.COLOURS)[drawn.colour[i, 0]],
        scenes.CATEGORIES[drawn.category[i, 0]],
        scenes.POSITIONS[drawn.position[i, 0]],
    )


def _table(said: list[str], truth: list[str], main: list[tuple]) -> dict[str, np.ndarray]:
    """{name: [n] float}; see `scores`."""
    rows = [_row(*one) for one in zip(said, truth, main, strict=True)]
    return {key: np.array([row[key] for row in rows], np.float64) for key in rows[0]}


def _row(said: str, truth: str, main: tuple[str, str, str, str]) -> dict[str, float]:
    named, there = things(said), things(truth)
    of_main = [thing for thing in named if thing[CATEGORY] == main[CATEGORY]]
    found = {thing[CATEGORY] for thing in named}
    return {
        'main_named': any(thing[COLOUR] == main[COLOUR] for thing in of_main),
        'main_first': bool(named) and named[0][1:3] == main[1:3],
        'main_category': bool(of_main),
        'main_size': any(thing[SIZE] == main[SIZE] for thing in of_main),
        'main_position': any(thing[POSITION] == main[POSITION] for thing in of_main),
        'category_recall': float(np.mean([thing[CATEGORY] in found for thing in there])),
        'place': place(said) == place(truth),
        'same_content': sorted(named) == sorted(there) and place(said) == place(truth),
        'exact': said == truth,
    }


def place(sentence: str) -> str:
    """Sky and ground that a caption names, '' if it names none."""
    skies, grounds = '|'.join(backgrounds.SKIES), '|'.join(backgrounds.GROUNDS)
    found = re.search(rf'({skies}) over ({grounds})$', sentence)
    return found.group(0) if found else ''
