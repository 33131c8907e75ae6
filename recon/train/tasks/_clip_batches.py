"""What a step of the CLIP pair's training is given: pictures, captions, labels."""

import dataclasses

import numpy as np

from recon.data import loader
from recon.data.simulator import scenes
from recon.train.tasks import _phrases


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batch i, a pure function of i.

    Attributes:
      drawn: scenes; the first `count` are trained on.
      count: of them.
      speak: makes token ids.
      batch: pictures a step; 8 divides it.
      seed: of the order and of what is said.
      pictures: whether pictures and the labels of their cells are wanted.
    """

    drawn: scenes.Scenes
    count: int
    speak: _phrases.Speaker
    batch: int
    seed: int
    pictures: bool

    def __call__(self, i: int) -> dict:
        """{name: array}, n = batch, m = 5n/4 captions, of which n/2 + n/8 are short.

        present [n 4 4], place [n 2]: what is in the pictures, as _phrases has it; short [m/2 28],
        long [m/2 48] token ids, in each first the right captions, then the wrong ones; holds [n m]:
        which captions are right for which pictures; scene_slots, said_slots: `slots` of both; and
        images [n 64 64 3] uint8 and cells, if they are wanted.
        """
        rows = loader.rows(self.seed, i, self.count, self.batch)
        rng = np.random.default_rng((self.seed, i))
        present = _phrases.objects(self.drawn, rows)
        place = np.array(self.drawn.place[rows], int)
        turned = rng.random(len(rows)) < 0.5
        present[turned] = _phrases.mirror(present[turned])
        half, wrong = self.batch // 2, self.batch // 8
        short, short_place = _phrases.shorten(present[:half], place[:half], rng)
        long, long_place = _phrases.shuffle(present[half:], rng, 0.3), place[half:]
        parts = []
        for said, where, there in (
            (short, short_place, present[:wrong]),
            (long, long_place, present[half : half + wrong]),
        ):
            spoilt = _phrases.spoil(said[:wrong], there, rng)
            parts.append((np.concatenate([said, spoilt]), np.concatenate([where, where[:wrong]])))
        said, said_place = (np.concatenate(part) for part in zip(*parts, strict=True))
        right = own(len(rows))
        out = {
            'present': present.astype(np.int32),
            'place': place.astype(np.int32),
            'short': self.speak(*parts[0], _phrases.SHORT),
            'long': self.speak(*parts[1]),
            'holds': _phrases.holds(said, said_place, present, place),
            'scene_slots': slots(present, place),
            'said_slots': slots(said[right], said_place[right]),
        }
        return out | self._pictures(rows, turned, present) if self.pictures else out

    def _pictures(self, rows, turned, present) -> dict:
        images, contents = (np.array(x[rows]) for x in (self.drawn.images, self.drawn.contents))
        images[turned] = images[turned, :, ::-1]
        contents[turned] = contents[turned, :, :, ::-1]
        return {'images': images, 'cells': cells(contents, present)}


def own(n: int) -> np.ndarray:
    """[n] where each picture's own caption stands among the 5n/4 of a batch."""
    half = np.arange(n // 2)
    return np.concatenate([half, half + n // 2 + n // 8])


def cells(contents, present) -> list[np.ndarray]:
    """Shares of each cell by category [n 64 17] and by colour [n 64 9]; 0 stands for none.

    Args:
      contents: [n 16 8 8], of the scenes.
      present: [n 4 4].
    """
    n = len(contents)
    maps = np.moveaxis(contents.reshape(n, 16, 64), 1, 2)
    colour = np.zeros((n, 64, 8), np.float32)
    for k in range(4):
        there = np.flatnonzero(present[:, k, _phrases.CATEGORY] >= 0)
        category, shade = present[there, k, :2].T
        colour[there, :, shade] += maps[there, :, category]
    out = []
    for share in (maps, colour):
        whole = np.concatenate([np.clip(1 - share.sum(-1, keepdims=True), 0, 1), share], -1)
        out.append((whole / whole.sum(-1, keepdims=True)).astype(np.float16))
    return out


def slots(said, place) -> list[np.ndarray]:
    """Category, colour, size at each position [n 9], 0 for none; sky and ground [n].

    -1 where nothing is said: of an attribute, and of all slots where an object has no position.
    """
    out = np.zeros((3, len(said), 9), np.int32)
    rows, k = np.nonzero(said[..., _phrases.POSITION] >= 0)
    at = said[rows, k, _phrases.POSITION]
    for column in range(3):
        value = said[rows, k, column]
        out[column, rows, at] = np.where(value >= 0, value + 1, -1)
    nowhere = (said[..., _phrases.CATEGORY] >= 0) & (said[..., _phrases.POSITION] < 0)
    out[:, nowhere.any(-1)] = -1
    return [*out, *np.asarray(place, np.int32).T]
