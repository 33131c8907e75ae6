"""COCO's 133 panoptic categories: 80 things, then 53 kinds of stuff, in the order of their ids."""

import dataclasses
import functools
import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import files


@dataclasses.dataclass(frozen=True)
class Table:
    """The categories in their order.

    Attributes:
      names: 133 names, 'person' ... 'rug-merged'.
      ids: [133] int64, COCO's category ids, ascending with gaps: never index + 1.
      things: [133] bool, objects that are counted; the others are stuff (sky, grass).
    """

    names: tuple[str, ...]
    ids: np.ndarray
    things: np.ndarray

    def index(self, ids, where) -> np.ndarray:
        """Category ids [k] -> their place in the table; DataInvalid names one that is not there."""
        ids = np.asarray(ids, np.int64)
        place = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        unknown = ids[self.ids[place] != ids]
        if len(unknown):
            raise errors.DataInvalid(
                f'category id {unknown[0]} is not in the table of panoptic categories',
                where,
                f'COCO has {len(self.ids)} of them, {self.ids[0]} to {self.ids[-1]} with gaps',
            )
        return place


@functools.cache
def table() -> Table:
    """The table as cocodataset/panopticapi's panoptic_coco_categories.json has it."""
    rows = files.json(pathlib.Path(__file__).with_name('coco_panoptic_categories.json'))
    ids, things = (np.array([row[key] for row in rows]) for key in ('id', 'isthing'))
    ids.flags.writeable = False
    return Table(tuple(row['name'] for row in rows), ids, things == 1)


def words(name: str) -> str:
    """A category's name as it is said: 'sky-other-merged' is 'sky', 'door-stuff' is 'door'."""
    for ending in ('-merged', '-other', '-stuff'):
        name = name.removesuffix(ending)
    material = name.split('-')  # 'floor-wood', 'wall-brick'
    return ' '.join(reversed(material)) if material[0] in ('floor', 'wall') else ' '.join(material)
