"""The sixteen things that scenes are made of, drawn by our own hand.

A shape is a list of parts in a unit square, x to the right and y down, painted in order. Paints are
`main` (the object's colour), `shade` and `light` (darker, lighter than it), `dark` and `pale`
(nearly black, nearly white whatever the colour) and `wood`. A thin rim surrounds every shape.
"""

import numpy as np

CATEGORIES = (
    'face', 'cat', 'person', 'hand', 'house', 'tower', 'word', 'letter',
    'tree', 'flower', 'car', 'cup', 'bird', 'fish', 'ball', 'star',
)  # fmt: skip
COLOURS = {
    'red': (0.85, 0.15, 0.13),
    'orange': (0.96, 0.55, 0.10),
    'yellow': (0.97, 0.87, 0.15),
    'green': (0.16, 0.62, 0.24),
    'blue': (0.15, 0.32, 0.85),
    'purple': (0.55, 0.22, 0.70),
    'white': (0.95, 0.95, 0.95),
    'black': (0.12, 0.12, 0.14),
}
VARIANTS = 4  # of words and letters; other shapes have one form
STRETCHES = (0.86, 1.0, 1.16)  # width over height

_STAR = tuple(
    (0.5 + r * np.sin(np.pi * k / 5), 0.54 - r * np.cos(np.pi * k / 5))
    for k, r in enumerate([0.5, 0.21] * 5)
)
_PETALS = tuple(
    ('oval', (x - 0.15, y - 0.15, x + 0.15, y + 0.15), 'main')
    for x, y in (
        (0.5 + 0.21 * np.cos(a), 0.32 + 0.21 * np.sin(a)) for a in 2 * np.pi * np.arange(6) / 6
    )
)

# Parts: ('oval' | 'box', (x0, y0, x1, y1), paint), ('poly', points, paint),
# ('line', points, width, paint). Lines have round ends.
SHAPES = {
    'face': (
        ('oval', (0.10, 0.02, 0.90, 0.80), 'shade'),
        ('oval', (0.14, 0.10, 0.86, 0.98), 'main'),
        ('oval', (0.25, 0.38, 0.45, 0.54), 'pale'),
        ('oval', (0.55, 0.38, 0.75, 0.54), 'pale'),
        ('oval', (0.32, 0.41, 0.42, 0.53), 'dark'),
        ('oval', (0.60, 0.41, 0.70, 0.53), 'dark'),
        ('poly', ((0.50, 0.50), (0.43, 0.67), (0.57, 0.67)), 'shade'),
        ('oval', (0.33, 0.71, 0.67, 0.85), 'dark'),
        ('box', (0.40, 0.75, 0.60, 0.79), 'pale'),
    ),
    'cat': (
        ('poly', ((0.08, 0.02), (0.46, 0.26), (0.12, 0.52)), 'main'),
        ('poly', ((0.92, 0.02), (0.54, 0.26), (0.88, 0.52)), 'main'),
        ('poly', ((0.16, 0.13), (0.34, 0.26), (0.18, 0.36)), 'light'),
        ('poly', ((0.84, 0.13), (0.66, 0.26), (0.82, 0.36)), 'light'),
        ('oval', (0.06, 0.22, 0.94, 0.92), 'main'),
        ('oval', (0.22, 0.40, 0.40, 0.60), 'pale'),
        ('oval', (0.60, 0.40, 0.78, 0.60), 'pale'),
        ('oval', (0.28, 0.41, 0.35, 0.59), 'dark'),
        ('oval', (0.65, 0.41, 0.72, 0.59), 'dark'),
        ('poly', ((0.42, 0.64), (0.58, 0.64), (0.50, 0.74)), 'dark'),
        ('line', ((0.02, 0.62), (0.34, 0.70)), 0.025, 'dark'),
        ('line', ((0.04, 0.82), (0.34, 0.75)), 0.025, 'dark'),
        ('line', ((0.98, 0.62), (0.66, 0.70)), 0.025, 'dark'),
        ('line', ((0.96, 0.82), (0.66, 0.75)), 0.025, 'dark'),
    ),
    'person': (
        ('line', ((0.50, 0.36), (0.18, 0.16)), 0.11, 'light'),
        ('line', ((0.50, 0.36), (0.84, 0.50)), 0.11, 'light'),
        ('line', ((0.44, 0.62), (0.30, 0.94)), 0.13, 'shade'),
        ('line', ((0.56, 0.62), (0.72, 0.94)), 0.13, 'shade'),
        ('poly', ((0.32, 0.27), (0.68, 0.27), (0.63, 0.68), (0.37, 0.68)), 'main'),
        ('oval', (0.38, 0.01, 0.62, 0.26), 'light'),
    ),
    'hand': (
        ('line', ((0.36, 0.52), (0.24, 0.20)), 0.115, 'main'),
        ('line', ((0.46, 0.48), (0.42, 0.09)), 0.115, 'main'),
        ('line', ((0.57, 0.48), (0.60, 0.09)), 0.115, 'main'),
        ('line', ((0.66, 0.54), (0.77, 0.22)), 0.105, 'main'),
        ('line', ((0.38, 0.72), (0.10, 0.50)), 0.125, 'main'),
        ('oval', (0.28, 0.42, 0.74, 0.86), 'main'),
        ('box', (0.38, 0.76, 0.64, 1.00), 'shade'),
        ('line', ((0.36, 0.60), (0.66, 0.56)), 0.025, 'shade'),
        ('line', ((0.36, 0.70), (0.64, 0.67)), 0.025, 'shade'),
    ),
    'house': (
        ('box', (0.70, 0.08, 0.82, 0.36), 'shade'),
        ('box', (0.12, 0.42, 0.88, 0.98), 'main'),
        ('poly', ((0.00, 0.46), (0.50, 0.03), (1.00, 0.46)), 'shade'),
        ('box', (0.42, 0.64, 0.60, 0.98), 'dark'),
        ('box', (0.19, 0.54, 0.35, 0.72), 'pale'),
        ('box', (0.67, 0.54, 0.83, 0.72), 'pale'),
    ),
    'tower': (
        ('box', (0.28, 0.24, 0.72, 1.00), 'main'),
        ('box', (0.20, 0.12, 0.80, 0.28), 'shade'),
        ('box', (0.20, 0.00, 0.34, 0.14), 'shade'),
        ('box', (0.43, 0.00, 0.57, 0.14), 'shade'),
        ('box', (0.66, 0.00, 0.80, 0.14), 'shade'),
        ('box', (0.44, 0.36, 0.56, 0.52), 'pale'),
        ('oval', (0.40, 0.68, 0.60, 0.88), 'dark'),
        ('box', (0.40, 0.78, 0.60, 1.00), 'dark'),
    ),
    'tree': (
        ('box', (0.43, 0.62, 0.57, 1.00), 'wood'),
        ('oval', (0.04, 0.26, 0.56, 0.72), 'shade'),
        ('oval', (0.44, 0.26, 0.96, 0.72), 'shade'),
        ('oval', (0.18, 0.00, 0.82, 0.62), 'main'),
        ('oval', (0.30, 0.08, 0.54, 0.30), 'light'),
    ),
    'flower': (
        ('line', ((0.50, 0.40), (0.50, 0.97)), 0.06, 'wood'),
        ('oval', (0.20, 0.70, 0.50, 0.84), 'wood'),
        ('oval', (0.50, 0.62, 0.80, 0.76), 'wood'),
        *_PETALS,
        ('oval', (0.37, 0.19, 0.63, 0.45), 'light'),
        ('oval', (0.43, 0.25, 0.57, 0.39), 'dark'),
    ),
    'car': (
        ('poly', ((0.20, 0.52), (0.32, 0.26), (0.70, 0.26), (0.84, 0.52)), 'shade'),
        ('poly', ((0.29, 0.50), (0.37, 0.32), (0.49, 0.32), (0.49, 0.50)), 'pale'),
        ('poly', ((0.54, 0.50), (0.54, 0.32), (0.66, 0.32), (0.75, 0.50)), 'pale'),
        ('box', (0.02, 0.48, 0.98, 0.72), 'main'),
        ('oval', (0.12, 0.60, 0.36, 0.84), 'dark'),
        ('oval', (0.64, 0.60, 0.88, 0.84), 'dark'),
        ('oval', (0.19, 0.67, 0.29, 0.77), 'pale'),
        ('oval', (0.71, 0.67, 0.81, 0.77), 'pale'),
    ),
    'cup': (
        ('oval', (0.58, 0.30, 0.98, 0.74), 'shade'),
        ('oval', (0.68, 0.40, 0.88, 0.64), 'dark'),
        ('poly', ((0.08, 0.18), (0.76, 0.18), (0.66, 0.96), (0.18, 0.96)), 'main'),
        ('oval', (0.08, 0.08, 0.76, 0.28), 'light'),
        ('oval', (0.15, 0.12, 0.69, 0.25), 'dark'),
        ('poly', ((0.20, 0.34), (0.28, 0.35), (0.31, 0.84), (0.26, 0.84)), 'light'),
    ),
    'bird': (
        ('poly', ((0.30, 0.56), (0.00, 0.40), (0.02, 0.68)), 'shade'),
        ('line', ((0.44, 0.74), (0.42, 0.98)), 0.035, 'dark'),
        ('line', ((0.56, 0.74), (0.58, 0.98)), 0.035, 'dark'),
        ('oval', (0.18, 0.36, 0.78, 0.82), 'main'),
        ('oval', (0.56, 0.14, 0.86, 0.48), 'main'),
        ('poly', ((0.83, 0.24), (1.00, 0.33), (0.83, 0.38)), 'wood'),
        ('oval', (0.67, 0.22, 0.77, 0.33), 'pale'),
        ('oval', (0.71, 0.24, 0.76, 0.31), 'dark'),
        ('poly', ((0.26, 0.50), (0.62, 0.46), (0.50, 0.70), (0.34, 0.70)), 'shade'),
    ),
    'fish': (
        ('poly', ((0.34, 0.50), (0.00, 0.22), (0.08, 0.50), (0.00, 0.78)), 'shade'),
        ('poly', ((0.42, 0.32), (0.66, 0.12), (0.76, 0.34)), 'shade'),
        ('oval', (0.20, 0.24, 1.00, 0.78), 'main'),
        ('oval', (0.78, 0.38, 0.89, 0.50), 'pale'),
        ('oval', (0.82, 0.41, 0.88, 0.48), 'dark'),
        ('line', ((0.70, 0.34), (0.66, 0.52), (0.70, 0.68)), 0.035, 'shade'),
        ('line', ((0.52, 0.30), (0.48, 0.51), (0.52, 0.72)), 0.035, 'light'),
    ),
    'ball': (
        ('oval', (0.03, 0.03, 0.97, 0.97), 'main'),
        ('poly', ((0.05, 0.38), (0.95, 0.38), (0.95, 0.62), (0.05, 0.62)), 'pale'),
        ('oval', (0.40, 0.40, 0.60, 0.60), 'shade'),
        ('oval', (0.22, 0.12, 0.42, 0.28), 'light'),
    ),
    'star': (
        ('poly', _STAR, 'main'),
        ('poly', tuple((0.5 + 0.5 * (x - 0.5), 0.54 + 0.5 * (y - 0.54)) for x, y in _STAR),
         'light'),
    ),
}  # fmt: skip

# Strokes of letters in a cell that is 1 wide and 1.4 high.
_GLYPHS = {
    'A': (((0, 1.4), (0.5, 0), (1, 1.4)), ((0.2, 0.9), (0.8, 0.9))),
    'E': (((1, 0), (0, 0), (0, 1.4), (1, 1.4)), ((0, 0.7), (0.8, 0.7))),
    'H': (((0, 0), (0, 1.4)), ((1, 0), (1, 1.4)), ((0, 0.7), (1, 0.7))),
    'K': (((0, 0), (0, 1.4)), ((1, 0), (0, 0.75), (1, 1.4))),
    'L': (((0, 0), (0, 1.4), (1, 1.4)),),
    'N': (((0, 1.4), (0, 0), (1, 1.4), (1, 0)),),
    'O': (((0, 0), (1, 0), (1, 1.4), (0, 1.4), (0, 0)),),
    'T': (((0, 0), (1, 0)), ((0.5, 0), (0.5, 1.4))),
    'Z': (((0, 0), (1, 0), (0, 1.4), (1, 1.4)),),
}
_WORDS, _LETTERS = ('HAT', 'LOZ', 'NET', 'TEK'), ('A', 'E', 'K', 'Z')


def _written(text: str) -> tuple:
    """A card with `text` on it: parts."""
    wide = 0.90 / (len(text) + 0.35 * (len(text) - 1)) if len(text) > 1 else 0.5
    high = min(1.7 * wide, 0.72) if len(text) > 1 else 0.72
    pad = 0.07
    left, top = 0.5 - 0.45 if len(text) > 1 else 0.25, 0.5 - high / 2
    card = (0.0, top - 2 * pad, 1.0, top + high + 2 * pad) if len(text) > 1 else (0.06, 0, 0.94, 1)
    parts = [('box', card, 'main')]
    for i, letter in enumerate(text):
        x0 = left + 1.35 * wide * i
        for stroke in _GLYPHS[letter]:
            points = tuple((x0 + x * wide, top + y / 1.4 * high) for x, y in stroke)
            parts.append(('line', points, 0.075 if len(text) > 1 else 0.12, 'ink'))
    return tuple(parts)


def parts(category: str, variant: int = 0) -> tuple:
    """Parts of `category`; `variant` chooses among the words and letters."""
    if category == 'word':
        return _written(_WORDS[variant])
    if category == 'letter':
        return _written(_LETTERS[variant])
    return SHAPES[category]
