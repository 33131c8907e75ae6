"""10 x 10 patterns of black and white patches, in the manner of Miyawaki et al. 2008."""

import numpy as np

from recon.core import errors

SIDE = 10

_SHAPES = {
    'square': '.......... .......... .......... ...####... ...####... '
    '...####... ...####... .......... .......... ..........',
    'small_frame': '.......... .......... ..######.. ..#....#.. ..#....#.. '
    '..#....#.. ..#....#.. ..######.. .......... ..........',
    'plus': '.......... ....##.... ....##.... ....##.... .########. '
    '.########. ....##.... ....##.... ....##.... ..........',
    'X': '.......... .##....##. .###..###. ..######.. ...####... '
    '...####... ..######.. .###..###. .##....##. ..........',
    'large_frame': '.......... .########. .#......#. .#......#. .#......#. '
    '.#......#. .#......#. .#......#. .########. ..........',
}
# Strokes of a letter: which sides of its box, and its bar.
_LETTERS = {
    'n': ('left', 'top', 'right'),
    'e': ('left', 'top', 'right above', 'bar', 'bottom'),
    'u': ('left', 'bottom', 'right'),
    'r': ('left', 'top', 'tip'),
    'o': ('left', 'top', 'right', 'bottom'),
}
# (height, width, thickness of strokes) in patches.
_STYLES = {'thin': (7, 5, 1), 'long': (9, 5, 1), 'normal': (8, 8, 2)}


def random(m: int, rng: np.random.Generator) -> np.ndarray:
    """`m` distinct patterns, every patch on or off by chance: [m 10 10] uint8, 0 or 1."""
    if m < 0:
        raise errors.ConfigError(f'{m} patterns asked for', 'patterns.random', '0 or more')
    out, known = [], set()
    while len(out) < m:
        pattern = rng.integers(0, 2, (SIDE, SIDE), np.uint8)
        if pattern.tobytes() not in known:
            known.add(pattern.tobytes())
            out.append(pattern)
    return np.stack(out) if out else np.zeros((0, SIDE, SIDE), np.uint8)


def figures() -> dict[str, np.ndarray]:
    """The twenty test figures by name, [10 10] uint8 each, in four sets of five.

    Five shapes, then the letters n e u r o thin, long and normal, as in the original experiment,
    drawn by our own hand.
    """
    shapes = {name: _parse(rows) for name, rows in _SHAPES.items()}
    letters = {
        f'{letter}_{style}': _letter(letter, *box)
        for style, box in _STYLES.items()
        for letter in _LETTERS
    }
    return shapes | letters


def pictures(patterns: np.ndarray, patch: int = 16) -> np.ndarray:
    """Patterns as seen: white patches on a grey screen.

    Args:
      patterns: [m 10 10], 0 or 1.
      patch: pixels on a side of a patch.

    Returns:
      [m 10*patch 10*patch 3] float32, .5 or 1.
    """
    large = np.kron(patterns, np.ones((1, patch, patch), patterns.dtype))
    return np.repeat((0.5 + 0.5 * large[..., None]).astype(np.float32), 3, -1)


def _parse(rows: str) -> np.ndarray:
    return np.array([[cell == '#' for cell in row] for row in rows.split()], np.uint8)


def _letter(letter: str, height: int, width: int, thick: int) -> np.ndarray:
    box = np.zeros((height, width), np.uint8)
    middle = (height - thick) // 2
    strokes = {
        'left': np.s_[:, :thick],
        'right': np.s_[:, -thick:],
        'right above': np.s_[: middle + thick, -thick:],
        'top': np.s_[:thick],
        'bottom': np.s_[-thick:],
        'bar': np.s_[middle : middle + thick],
        'tip': np.s_[: 2 * thick, -thick:],
    }
    for stroke in _LETTERS[letter]:
        box[strokes[stroke]] = 1
    out = np.zeros((SIDE, SIDE), np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    out[top : top + height, left : left + width] = box
    return out
