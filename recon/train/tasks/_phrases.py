"""Captions of scenes as arrays: said in other orders and shorter, made wrong, and judged.

What a caption says of its objects is an array `said` [n 4 4] int: one row an object in the order of
saying, columns category, colour, size, position (indices of simulator.scenes); -1 is left unsaid,
a row of -1 is no object. `place` [n 2] are indices of sky and ground, -1 where left unsaid.
"""

import numpy as np

from recon.data.simulator import backgrounds, scenes

CATEGORY, COLOUR, SIZE, POSITION = range(4)
LENGTH = 48  # tokens; the longest caption has 45 with those that begin and end it
SHORT = 28  # tokens of the longest caption of two objects, likewise
COUNTS = (len(scenes.CATEGORIES), len(scenes.COLOURS), len(scenes.SIZES), len(scenes.POSITIONS))
_UNSEEN = np.zeros(COUNTS[:2], bool)
_UNSEEN[
    np.arange(COUNTS[0]), [tuple(scenes.COLOURS).index(colour) for _, colour in scenes.UNSEEN]
] = True
# Columns and rows of the 3 x 3 positions, mirrored.
MIRRORED = np.arange(9).reshape(3, 3)[:, ::-1].reshape(-1)


def objects(drawn: scenes.Scenes, rows=slice(None)) -> np.ndarray:
    """[n 4 4] what full captions say: the objects that are seen, the main one first."""
    columns = (drawn.category, drawn.colour, drawn.size, drawn.position)
    out = np.stack([np.asarray(column[rows]) for column in columns], -1).astype(int)
    hidden = (out[..., CATEGORY] < 0) | (np.asarray(drawn.visible[rows]) < scenes.VISIBLE)
    out[hidden] = -1
    return out


def mirror(said: np.ndarray) -> np.ndarray:
    """What is said of the picture seen in a mirror: left and right exchanged."""
    out = said.copy()
    there = out[..., POSITION] >= 0
    out[..., POSITION][there] = MIRRORED[out[..., POSITION][there]]
    return out


def shorten(
    said: np.ndarray, place: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Captions that say less of the same scenes: one or two objects, in any order.

    Attributes and the place are left unsaid at random; a category is always said. The longest has
    SHORT tokens.

    Args:
      said: [n 4 4].
      place: [n 2].
      rng: of the choices.
    """
    n = len(said)
    free = rng.random(n) >= 0.3
    out = shuffle(said, rng, 0.5)
    out[rng.random(n) < 0.4, 1] = -1
    out[:, 2:] = -1
    for column, kept in ((COLOUR, 0.85), (SIZE, 0.6), (POSITION, 0.6)):
        out[free & (rng.random(n) >= kept), :, column] = -1
    place = place.astype(int).copy()
    place[free & (rng.random(n) < 0.5)] = -1
    return out, place


def shuffle(said: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """[n 4 4] with the objects of a random share of the captions in another order."""
    n = len(said)
    order = np.where(rng.random((n, 1)) < share, rng.random((n, 4)), np.arange(4) / 4)
    order += said[..., CATEGORY] < 0  # rows without object stay last
    return np.take_along_axis(said, np.argsort(order, 1)[..., None], 1)


def spoil(said: np.ndarray, present: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Captions [n 4 4] with one object's category or colour exchanged for one that is wrong.

    Pairs of category and colour that only held-out scenes show are never made here: as wrong
    captions alone they would teach that such a pair is always wrong.

    Args:
      said: [n 4 4].
      present: [n 4 4], all that is in the pictures; a category among it is not taken.
      rng: of the choices.
    """
    n, each = len(said), np.arange(len(said))
    out = said.copy()
    weight = rng.random((n, 4)) + np.array([0.5, 0, 0, 0])
    row = np.argmax(np.where(out[..., CATEGORY] >= 0, weight, -1), 1)
    category, colour = out[each, row, CATEGORY], out[each, row, COLOUR]
    by_colour = (rng.random(n) < 0.5) & (colour >= 0)
    taken = np.zeros((n, COUNTS[CATEGORY]), bool)
    for k in range(4):
        there = present[:, k, CATEGORY] >= 0
        taken[each[there], present[there, k, CATEGORY]] = True
    taken |= _UNSEEN[:, np.maximum(colour, 0)].T & (colour >= 0)[:, None]
    other = _UNSEEN[category].copy()
    other[each, np.maximum(colour, 0)] = True
    new_category = np.argmax(np.where(taken, -1, rng.random(taken.shape)), 1)
    new_colour = np.argmax(np.where(other, -1, rng.random(other.shape)), 1)
    out[each, row, CATEGORY] = np.where(by_colour, category, new_category)
    out[each, row, COLOUR] = np.where(by_colour, new_colour, colour)
    return out


def holds(
    said: np.ndarray, said_place: np.ndarray, present: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """[n m] bool: whether each of n pictures is as each of m captions says.

    Args:
      said: [m 4 4].
      said_place: [m 2].
      present: [n 4 4], all objects that are seen.
      place: [n 2].
    """
    table = np.full((len(present), COUNTS[CATEGORY] + 1, 3), -2)  # attributes by category
    rows, k = np.nonzero(present[..., CATEGORY] >= 0)
    table[rows, present[rows, k, CATEGORY]] = present[rows, k, 1:]
    true = ((said_place < 0) | (said_place == place[:, None])).all(-1)  # [n m]
    for k in range(4):
        named = said[:, k, CATEGORY] >= 0
        found = table[:, said[:, k, CATEGORY]]  # [n m 3]
        fits = (said[:, k, 1:] < 0) & (found > -2) | (said[:, k, 1:] == found)
        true &= fits.all(-1) | ~named
    return true


def exchanged(said: np.ndarray, column: int) -> np.ndarray:
    """[n 4 4] -> [n c 4 4]: the main object with each of the c categories (or colours) in turn."""
    out = np.repeat(said[:, None], COUNTS[column], 1)
    out[:, :, 0, column] = np.arange(COUNTS[column])
    return out


class Speaker:
    """`said` and `place` -> token ids of a tokenizer in which each word is one token.

    Args:
      tokens: {word: id}, of the words of `words()`.
      begin: id that begins a text.
      end: id that ends it and fills it up.
    """

    def __init__(self, tokens: dict[str, int], begin: int, end: int):
        def ids(text):
            return [tokens[word] for word in text.split()]

        self._begin, self._end = begin, end
        self._a, self._and, self._comma = ids('a'), ids('and'), ids(',')
        self._names = [[ids(name) for name in names] for names in _NAMES[:3]]
        self._names.append([ids(f'at the {name}') for name in _NAMES[POSITION]])
        self._skies = [ids(f', {name} over') for name in _NAMES[4]]
        self._grounds = [ids(name) for name in _NAMES[5]]

    def __call__(self, said: np.ndarray, place: np.ndarray, length: int = LENGTH) -> np.ndarray:
        """[n 4 4], [n 2] -> [n length] int32."""
        out = np.full((len(said), length), self._end, np.int32)
        for i, (things, where) in enumerate(zip(said.tolist(), place.tolist(), strict=True)):
            line = [self._begin]
            things = [thing for thing in things if thing[CATEGORY] >= 0]
            for k, thing in enumerate(things):
                if k:
                    line += self._and if k + 1 == len(things) else self._comma
                line += self._a
                for column in (SIZE, COLOUR, CATEGORY, POSITION):
                    if thing[column] >= 0:
                        line += self._names[column][thing[column]]
            if where[0] >= 0:
                line += self._skies[where[0]] + self._grounds[where[1]]
            assert len(line) < length, line
            out[i, : len(line)] = line
        return out


_NAMES = (
    scenes.CATEGORIES,
    tuple(scenes.COLOURS),
    tuple(scenes.SIZES),
    scenes.POSITIONS,
    tuple(backgrounds.SKIES),
    tuple(backgrounds.GROUNDS),
)


def words() -> list[str]:
    """All words of captions."""
    said = ' '.join(name for names in _NAMES for name in names)
    return sorted({*said.split(), 'a', 'and', 'at', 'over', 'the', ','})
