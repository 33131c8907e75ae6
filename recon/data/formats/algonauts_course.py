"""What a course's copy of the Algonauts 2023 data says of its pictures, and their NSD ids."""

import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import coco_table, files

CSV = 'nsddata/experiments/nsd/nsd_stim_info_merged.csv'


def infos(path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """subj0X_infos_train.csv: COCO id int64 [m], COCO part <U [m], labels uint8 [m 133].

    Raises:
      DataMissing: not there.  DataInvalid: other columns than cocoId, cocoSplit and the 133
        panoptic categories in their order, or values that are not 0 and 1.
    """
    table = files.table(path)
    names = [name for name in table if name not in ('', 'cocoId', 'cocoSplit')]
    missing = [name for name in ('cocoId', 'cocoSplit') if name not in table]
    wanted = coco_table.table().names
    if missing or tuple(names) != wanted:
        first = next((a for a, b in zip(names, wanted, strict=False) if a != b), 'their number')
        what = f'no column {missing[0]!r}' if missing else f'other label columns, first {first!r}'
        raise errors.DataInvalid(
            what, path, f"wanted cocoId, cocoSplit and COCO's {len(wanted)} panoptic categories"
        )
    labels = np.stack([table[name] for name in names], 1)
    ones = np.isin(labels, ('1', '1.0', 'True'))
    if not (ones | np.isin(labels, ('0', '0.0', 'False'))).all():
        raise errors.DataInvalid('labels are not 0 and 1', path, 'copy the file again')
    with files.said(path, 'a cocoId is not a whole number', (ValueError,)):
        coco = table['cocoId'].astype(np.int64)
    return coco, table['cocoSplit'], ones.astype(np.uint8)


def stimuli(path, subject: int) -> dict[str, np.ndarray]:
    """What nsd_stim_info_merged.csv says of the pictures that `subject` saw.

    Args:
      path: the file, or NSD's root.
      subject: 1 to 8.

    Returns:
      {'nsd': id from 0, 'coco': id, 'split': <U part of COCO, 'shared': bool}, of the subject's.

    Raises:
      DataMissing: not there.  DataInvalid: columns missing, or ids that do not count from 0.
    """
    path = pathlib.Path(path).expanduser()
    path = path / CSV if path.is_dir() else path
    table = files.table(path)
    wanted = ('cocoId', 'cocoSplit', 'nsdId', 'shared1000', f'subject{subject}')
    missing = [name for name in wanted if name not in table]
    if missing:
        raise errors.DataInvalid(
            f'no column {missing[0]!r}', path, 'this is not nsd_stim_info_merged.csv'
        )
    with files.said(path, 'ids are not whole numbers', (ValueError,)):
        nsd, coco = (table[name].astype(np.int64) for name in ('nsdId', 'cocoId'))
    if not np.array_equal(nsd, np.arange(len(nsd))):
        raise errors.DataInvalid(
            f'nsdId starts at {nsd[0]} and is not the number of the row',
            path,
            'the published file counts rows from 0: fetch it again',
        )
    seen = np.isin(table[f'subject{subject}'], ('1', '1.0', 'True'))
    shared = np.isin(table['shared1000'], ('True', '1'))
    return {
        'nsd': nsd[seen],
        'coco': coco[seen],
        'split': table['cocoSplit'][seen],
        'shared': shared[seen],
    }


def recover(coco, split, known: dict, where) -> np.ndarray:
    """NSD ids from 0 of pictures that are known by their COCO id, [m] int64; -1 is ambiguous.

    Args:
      coco: [m] int, from `infos`.
      split: [m] <U, from `infos`.
      known: from `stimuli`.
      where: for messages.

    Raises:
      DataInvalid: pictures that the subject never saw, or two with one NSD id.
    """
    places = {}
    for i, key in enumerate(zip(known['coco'].tolist(), known['split'].tolist(), strict=True)):
        places.setdefault(key, []).append(i)
    keys = list(zip(coco.tolist(), split.tolist(), strict=True))
    unknown = [i for i, key in enumerate(keys) if key not in places]
    if unknown:
        raise errors.DataInvalid(
            f'{len(unknown)} of {len(keys)} pictures are not among those that the subject saw, '
            f'first number {unknown[0]} (cocoId {keys[unknown[0]][0]})',
            where,
            'is dataset.nsd the list of the same subject and release?',
        )
    found = [places[key] for key in keys]
    ids = np.array([known['nsd'][f[0]] if len(f) == 1 else -1 for f in found], np.int64)
    once, times = np.unique(ids[ids >= 0], return_counts=True)
    if (times > 1).any():
        raise errors.DataInvalid(
            f'two pictures have the NSD id {once[times > 1][0]}',
            where,
            f'numbers {np.flatnonzero(ids == once[times > 1][0]).tolist()}: one is a copy',
        )
    return ids
