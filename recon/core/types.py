"""What stages hand to each other: arrays in small frozen dataclasses. numpy only.

Axis letters, here and everywhere: n rows, m distinct images, v voxels, t targets, h w c image.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from recon.core import errors


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows that belong together: what was measured, and what was shown.

    Attributes:
      voxels: [n v] float32; unit of the data set until `preprocess` changes it.
      image_id: [n] int64 or <U, the stimulus of each row.
      run: [n] int32, unique over sessions; -1 unknown, then each row counts as its own run.
      session: [n] int32, -1 unknown.
      repeat: [n] int32, 0 for the first presentation of the image, -1 unknown or averaged.
      trials: [n] int32, how many trials each row is the mean of (1 for a single trial).
      Rows of one run are in the order of time.
    """

    voxels: np.ndarray
    image_id: np.ndarray
    run: np.ndarray = None
    session: np.ndarray = None
    repeat: np.ndarray = None
    trials: np.ndarray = None

    def __post_init__(self):
        n = len(self.image_id)
        if self.voxels.ndim < 2 or len(self.voxels) != n:
            raise errors.DataInvalid(
                f'voxels have shape {self.voxels.shape}, image_id has {n} rows',
                'Split',
                'voxels must be [rows, voxels] with one image id for each row',
            )
        for name, default in (('run', -1), ('session', -1), ('repeat', -1), ('trials', 1)):
            value = getattr(self, name)
            value = np.full(n, default, np.int32) if value is None else np.asarray(value, np.int32)
            if value.shape != (n,):
                raise errors.DataInvalid(
                    f'{name} has shape {value.shape}, wanted ({n},)', 'Split', 'one entry a row'
                )
            object.__setattr__(self, name, value)

    def __len__(self):
        return len(self.image_id)

    def rows(self, index) -> 'Split':
        """The rows `index` (a boolean mask, or integers)."""
        return dataclasses.replace(
            self, **{f.name: getattr(self, f.name)[index] for f in dataclasses.fields(self)}
        )

    def groups(self) -> np.ndarray:
        """[n] int32: the run of each row, rows of unknown run each in a group of their own."""
        own = np.arange(len(self), dtype=np.int32) + self.run.max(initial=-1) + 1
        return np.where(self.run < 0, own, self.run).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Images:
    """Pictures by id, read when asked for: `images[ids] -> [m h w 3]` float32 in [0, 1].

    Attributes:
      ids: [m] int64 or <U, ascending, distinct.
      read: rows [k] int -> [k h w c], uint8 or float in [0, 1], c 1 or 3.
      shape: (h, w) in pixels.
      channels: 1 if the stored pictures are grey (they are copied to three on reading), else 3.
    """

    ids: np.ndarray
    read: Callable
    shape: tuple[int, int]
    channels: int = 3

    def __getitem__(self, ids):
        """Pictures of `ids` [k], in that order, [k h w 3] float32."""
        ids = np.asarray(ids)
        rows = np.searchsorted(self.ids, ids)
        found = self.ids[np.minimum(rows, len(self.ids) - 1)] == ids
        if not found.all():
            raise errors.DataInvalid(
                f'{(~found).sum()} of {len(ids)} image ids are unknown, first {ids[~found][0]}',
                'images',
                'the ids of the rows and of the pictures must be of one kind and base',
            )
        pictures = np.asarray(self.read(rows))
        if pictures.dtype == np.uint8:
            pictures = pictures.astype(np.float32) / 255
        pictures = pictures.astype(np.float32)
        return np.repeat(pictures, 3, -1) if pictures.shape[-1] == 1 else pictures


@dataclasses.dataclass(frozen=True)
class Laid:
    """Rows that are no list of voxels any more: where each voxel went.

    Attributes:
      index: int, of the shape of a row: the group of voxels that a number is the mean of, -1 none.
      group: [v] int, the group of each voxel, -1 none.
      blank: float32, of the shape of a row: what responses of 0 give.
    """

    index: np.ndarray
    group: np.ndarray
    blank: np.ndarray

    def of(self, mask: np.ndarray) -> np.ndarray:
        """Bool, of the shape of a row: numbers that are made of voxels of `mask` [v] alone."""
        groups = np.zeros(max(self.index.max(), self.group.max()) + 2, bool)  # -1 is the last
        groups[self.group[mask]] = True
        groups[self.group[~np.asarray(mask)]] = False
        groups[-1] = False
        return groups[self.index]


@dataclasses.dataclass(frozen=True)
class BrainData:
    """One subject of one data set.

    Attributes:
      train: rows to fit on.
      validation: rows to choose on, or None.
      test: rows to score on, touched by nothing else.
      images: every picture that a row names.
      extra_tests: further test sets by name.
      rois: {name: bool [v]}; a voxel may be in several.
      voxel_info: {name: [v ...]}, each optional: hemisphere int8 (0 left, 1 right), xyz float32
        [v 3] in mm, vertex int32 (fsaverage5 vertex within its hemisphere, -1 none), ncsnr float32
        (single-trial signal-to-noise; noise ceiling = ncsnr^2 / (ncsnr^2 + 1 / trials)).
      labels: {image id: int or [k] 0/1}, or None;  label_names: names of the classes.
      coverage: {image id: [k] share of the picture that each category covers}, or None.
      captions: {image id: (sentence, ...)}, or None.
      tr: seconds between volumes, or None.
      facts: what a report says of the data (source, subject, split rule), JSON-able.
      laid: of rows that `preprocess` gave another shape, where the voxels went; ROIs and voxel_info
        are of the voxels all the same.
    """

    train: Split
    test: Split
    images: Images
    validation: Split | None = None
    extra_tests: dict[str, Split] = dataclasses.field(default_factory=dict)
    rois: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    voxel_info: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    labels: dict | None = None
    label_names: tuple[str, ...] = ()
    coverage: dict | None = None
    captions: dict | None = None
    tr: float | None = None
    facts: dict = dataclasses.field(default_factory=dict)
    laid: Laid | None = None

    def splits(self) -> dict[str, Split]:
        """All splits that exist, by name; 'train' first."""
        named = {'train': self.train, 'validation': self.validation, 'test': self.test}
        return {k: v for k, v in (named | self.extra_tests).items() if v is not None}

    def with_splits(self, splits: dict[str, Split]) -> 'BrainData':
        """The same data with `splits` (as `splits()` gives them) in place of its own."""
        extra = {k: splits[k] for k in self.extra_tests}
        return dataclasses.replace(
            self,
            train=splits['train'],
            validation=splits.get('validation'),
            test=splits['test'],
            extra_tests=extra,
        )

    def keep(self, mask: np.ndarray) -> 'BrainData':
        """Only the voxels of `mask` (bool [v] or indices), in every split, ROI and voxel field."""
        splits = {
            k: dataclasses.replace(s, voxels=np.ascontiguousarray(s.voxels[:, mask]))
            for k, s in self.splits().items()
        }
        return dataclasses.replace(
            self.with_splits(splits),
            rois={k: roi[mask] for k, roi in self.rois.items()},
            voxel_info={k: field[mask] for k, field in self.voxel_info.items()},
        )

    def only(self, voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Rows [n ...] of this data with the voxels of `mask` (bool [v]) alone.

        The others are left out; of rows that are laid out, numbers that they have a part in are
        those of a response of 0.
        """
        if self.laid is None:
            return voxels[:, mask]
        return np.where(self.laid.of(mask), voxels, self.laid.blank)

    def silence(self, rows: int) -> np.ndarray:
        """[rows ...] float32: rows as prepared, of responses of 0 (the mean, where z-scored)."""
        if self.laid is None:
            return np.zeros((rows, *self.train.voxels.shape[1:]), np.float32)
        return np.repeat(self.laid.blank[None], rows, 0)

    def count_voxels(self) -> int:
        """Voxels that a row shows."""
        shown = self.train.voxels.shape[1:] if self.laid is None else (self.laid.group >= 0).sum()
        return int(np.prod(shown))


@dataclasses.dataclass(frozen=True)
class Score:
    """One metric on one set of pictures: the entry of scores.json.

    Attributes:
      mean: over the units where it is defined; None if nowhere.
      ci95: (low, high), percentile bootstrap over units.
      chance: what a blind decoder gets;  p: one-sided permutation of the pairing, None if not run.
      unit: 'image', 'row', 'draw', 'voxel' or 'category';  better: 'higher' or 'lower'.
      n: number of units;  n_undefined: of those, undefined (a constant picture).
      per_unit: [n] float, NaN where undefined.
      extra: further keys of the entry (candidates, draws, ties, net, weights), JSON-able.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    chance: float | None
    p: float | None
    unit: str
    better: str
    n: int
    n_undefined: int
    per_unit: np.ndarray
    extra: dict = dataclasses.field(default_factory=dict)
