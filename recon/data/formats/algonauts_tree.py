"""One subject's folder of the Algonauts 2023 trees: its pictures, their ids, rows and labels."""

import dataclasses

import numpy as np

from recon.core import errors
from recon.data.formats import algonauts_course, algonauts_fmri, algonauts_images


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Pictures of one split, in the order of their rows.

    Attributes:
      paths, ids: [m] of those that are used.
      rows: [m] int, their rows in the responses.
      count: how many there are, used or not; the responses must have as many rows.
      space: kind of the ids.
      labels: {id: [133] uint8} or None.  shared: how many are of the shared1000, None unknown.
      responses: (left, right) and their folder, of the test split.
    """

    paths: list = dataclasses.field(default_factory=list)
    ids: np.ndarray | None = None
    rows: np.ndarray | None = None
    count: int = 0
    space: str = 'nsd'
    labels: dict | None = None
    shared: int | None = None
    responses: tuple | None = None
    notes: tuple[str, ...] = ()


def official(root, subject: int, nsd: str = '') -> Pictures:
    """The training pictures of the official tree.

    Args:
      root: the subject's folder.
      subject: 1 to 8.
      nsd: nsd_stim_info_merged.csv, or NSD's root: the ids must then be of what the subject saw.

    Raises:
      DataMissing, DataInvalid: see `algonauts_images.official`; ids that the subject never saw.
    """
    folder = root / 'training_split' / 'training_images'
    paths, ids = algonauts_images.official(folder, 'train')
    shared = None
    if nsd:
        known = algonauts_course.stimuli(nsd, subject)
        strange = ids[~np.isin(ids, known['nsd'])]
        if len(strange):
            raise errors.DataInvalid(
                f'{len(strange)} of {len(ids)} ids are not of pictures that subject {subject} saw, '
                f'first {strange[0]}',
                folder,
                'another subject, or ids that are off by one: NSD ids in names count from 0',
            )
        shared = int(np.isin(ids, known['nsd'][known['shared']]).sum())
    return Pictures(paths, ids, np.arange(len(ids)), len(ids), shared=shared)


def course(root, subject: int, nsd: str = '') -> Pictures:
    """The training pictures of the course's copy, with the labels of image_infos.

    Args:
      root: the subject's folder.
      subject: 1 to 8.
      nsd: as in `official`; the ids are then NSD's, by COCO id and part, and pictures of which that
        does not tell the id are left out.

    Raises:
      DataMissing, DataInvalid: see `algonauts_images.numbered`, `algonauts_course`.
    """
    paths = algonauts_images.numbered(root / 'training_split' / 'training_images')
    ids = rows = np.arange(len(paths))
    name = f'image_infos/{root.name}_infos_train.csv'
    table = next((p / name for p in (root, root.parent) if (p / name).exists()), root / name)
    if not table.exists() and not nsd:
        note = f'no {name}: no labels'
        return Pictures(paths, ids, rows, len(paths), f'course:{subject}', notes=(note,))
    coco, split, labels = algonauts_course.infos(table)
    if len(coco) != len(paths):
        raise errors.DataInvalid(
            f'{len(coco)} rows, {len(paths)} pictures', table, 'one row for each picture'
        )
    space, shared, notes = f'course:{subject}', None, ()
    if nsd:
        known = algonauts_course.stimuli(nsd, subject)
        found, space = algonauts_course.recover(coco, split, known, table), 'nsd'
        rows = np.flatnonzero(found >= 0)
        ids, paths = found[rows], [paths[i] for i in rows]
        shared = int(np.isin(ids, known['nsd'][known['shared']]).sum())
        if len(rows) < len(coco):
            lost = np.flatnonzero(found < 0).tolist()
            notes = (
                f'{len(lost)} pictures have several NSD ids and are left out, first {lost[:5]}',
            )
    held = dict(zip(ids.tolist(), labels[rows], strict=True))
    return Pictures(paths, ids, rows, len(coco), space, held, shared, notes=notes)


def tests(root, layout: str, columns) -> Pictures:
    """The test split: pictures and responses, where both are there."""
    folder = root / 'test_split' / 'test_fmri'
    if not (folder / 'lh_test_fmri.npy').exists():
        return Pictures()
    if layout == 'course':
        note = 'test responses are there, but nobody says which pictures they belong to: not read'
        return Pictures(notes=(note,))
    arrays = algonauts_fmri.pair(folder, 'test')
    paths, ids = algonauts_images.official(root / 'test_split' / 'test_images', 'test')
    algonauts_fmri.check_rows(arrays, len(paths), folder)
    found = tuple(array.shape[1] for array in arrays)
    if found != columns:
        raise errors.DataInvalid(
            f'test responses have {found} columns, those of training {columns}',
            folder,
            'left and right swapped, or two subjects mixed',
        )
    return Pictures(paths, ids, np.arange(len(ids)), len(ids), responses=(arrays, folder))
