"""Which image each NSD trial shows: nsd_expdesign.mat, checked against two other sources.

All numbers in nsd_expdesign.mat, in responses.tsv and in the trial columns of the csv count from 1;
`nsdId`, the rows of the csv and those of imgBrick count from 0. A mistake of one still runs, and
destroys decoding silently, so nothing here is believed until two files agree.
"""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import files

EXPDESIGN = pathlib.Path('nsddata', 'experiments', 'nsd', 'nsd_expdesign.mat')
SHEET = EXPDESIGN.with_name('nsd_stim_info_merged.csv')
_AGAIN = 'fetch it again; `python launch/fetch.py nsd` says where'


@dataclasses.dataclass(frozen=True)
class Design:
    """What is planned for one subject, trial by trial over all sessions.

    Attributes:
      subject: 1-based.
      image_id: [t] int64, counted from 0 (nsdId).
      session: [t] int32, from 1.
      run: [t] int32, from 1, over all sessions.
      repeat: [t] int32, 0 for the first of the planned presentations of an image.
      shared: [c] int64, the images that all subjects see (shared1000), from 0.
    """

    subject: int
    image_id: np.ndarray
    session: np.ndarray
    run: np.ndarray
    repeat: np.ndarray
    shared: np.ndarray

    def trials(self, session: int) -> np.ndarray:
        """Trials of a session, in the order of time."""
        return np.flatnonzero(self.session == session)


def read(root, subject: int) -> Design:
    """The plan of one subject.

    Args:
      root: the folder that holds nsddata.
      subject: 1-based.

    Raises:
      ConfigError: no such subject.  DataMissing: not there.  DataInvalid: counts that contradict
        each other, ids that do not count from 1, or shared images that subjects do not share.
    """
    path = pathlib.Path(root) / EXPDESIGN
    held = files.mat(path, ('masterordering', 'subjectim', 'sharedix', 'stimpattern'))
    subjects = held['subjectim']
    order, shared = (held[k].ravel().astype(np.int64) for k in ('masterordering', 'sharedix'))
    pattern = held['stimpattern']
    if subjects.ndim != 2 or pattern.ndim != 3 or not len(order):
        raise errors.DataInvalid(
            f'subjectim has shape {subjects.shape}, stimpattern {pattern.shape}, masterordering '
            f'{held["masterordering"].shape}',
            path,
            'wanted [subjects images], [sessions runs slots], [1 trials]',
        )
    if not 1 <= subject <= len(subjects):
        raise errors.ConfigError(
            f'dataset.subject is {subject!r}', 'config', f'1 to {len(subjects)}'
        )
    for name, ids, most in (
        ('masterordering', order, subjects.shape[1]),
        ('subjectim', subjects, None),
        ('sharedix', shared, None),
    ):
        if ids.min() < 1 or (most and ids.max() > most):
            raise errors.DataInvalid(
                f'{name} holds {int(ids.min())} to {int(ids.max())}',
                path,
                f'it counts from 1{f" to {most}" if most else ""}: was it rewritten from 0?',
            )
    common = subjects[:, : len(shared)]
    if (common != shared).any():
        raise errors.DataInvalid(
            f'the first {len(shared)} images of subjects are not sharedix',
            path,
            f'every subject begins with the shared images, ascending: {_AGAIN}',
        )
    session, run, _ = np.nonzero(pattern)  # in the order of time
    if len(session) != len(order):
        raise errors.DataInvalid(
            f'stimpattern has {len(session)} trials, masterordering {len(order)}', path, _AGAIN
        )
    return Design(
        subject,
        subjects[subject - 1].astype(np.int64)[order - 1] - 1,
        (session + 1).astype(np.int32),
        (pattern.shape[1] * session + run + 1).astype(np.int32),
        repeats(order),
        shared - 1,
    )


def repeats(ids: np.ndarray) -> np.ndarray:
    """[t] int32: how often the same id came before."""
    order = np.argsort(ids, kind='stable')
    starts = np.flatnonzero(np.diff(ids[order], prepend=ids[order[:1]] - 1))
    out = np.empty(len(ids), np.int32)
    out[order] = np.arange(len(ids)) - np.repeat(starts, np.diff([*starts, len(ids)]))
    return out


def read_sheet(root, design: Design) -> dict[str, np.ndarray]:
    """nsd_stim_info_merged.csv, and whether it says of every planned trial what the plan says.

    Returns:
      cocoId [m] int64, cocoSplit [m] <U, cropBox [m 4] float64 (top, bottom, left, right), one row
      an image of the brick.

    Raises:
      DataMissing: not there.  DataInvalid: columns are missing or it contradicts the plan; the
        message names session, trial and both ids, and says so when all are shifted by one.
    """
    path = pathlib.Path(root) / SHEET
    table = files.table(path)
    planned = sorted(c for c in table if c.startswith(f'subject{design.subject}_rep'))
    wanted = ('cocoId', 'cocoSplit', 'cropBox', 'nsdId', 'shared1000')
    absent = [c for c in wanted if c not in table]
    if absent or not planned:
        absent = absent or [f'subject{design.subject}_rep0']
        raise errors.DataInvalid(f'no column {", ".join(absent)}', path, _AGAIN)
    with files.said(path, 'a column of numbers holds something else', (ValueError,)):
        ids = table['nsdId'].astype(np.int64)
        trial = np.stack([table[c].astype(np.int64) for c in planned], 1) - 1  # [m r]
        coco_id = table['cocoId'].astype(np.int64)
        crops = [text.strip('() ').split(',') for text in table['cropBox']]
        crops = np.array(crops, np.float64).reshape(len(ids), 4)
    wrong = np.flatnonzero(ids != np.arange(len(ids)))
    if len(wrong):
        raise errors.DataInvalid(
            f'nsdId of row {wrong[0]} is {ids[wrong[0]]}', path, 'rows count from 0, none left out'
        )
    _compare(path, design, ids, trial)
    shared = np.flatnonzero(np.char.lower(table['shared1000']) == 'true')
    if not np.array_equal(shared, np.sort(design.shared)):
        raise errors.DataInvalid(
            f'{len(shared)} images are shared1000 here, {len(design.shared)} in '
            f'{EXPDESIGN.name}, and they are not the same'
            + _shifted(np.sort(design.shared), shared),
            path,
            _AGAIN,
        )
    return {'cocoId': coco_id, 'cocoSplit': table['cocoSplit'], 'cropBox': crops}


def check_responses(root, design: Design) -> tuple[list[str], list[int]]:
    """Compares responses.tsv, where it is there, with the plan.

    Returns:
      sentences on what was not compared, and the numbers of the sessions in it.

    Raises:
      DataInvalid: it names another image; see `read_sheet`.
    """
    path = pathlib.Path(root) / 'nsddata' / 'ppdata' / f'subj{design.subject:02d}' / 'behav'
    path = path / 'responses.tsv'
    if not path.exists():
        return [f'{path.name} is not there: ids were checked against {SHEET.name} alone'], []
    table = files.table(path, '\t')
    if not {'SESSION', '73KID'} <= set(table):
        raise errors.DataInvalid(
            f'its columns are {", ".join(table)}', path, f'wanted SESSION and 73KID: {_AGAIN}'
        )
    with files.said(path, 'a column of numbers holds something else', (ValueError,)):
        session, shown = (table[c].astype(float).astype(np.int64) for c in ('SESSION', '73KID'))
    notes, pairs = [], []
    for number in np.unique(session):
        trials, rows = design.trials(number), np.flatnonzero(session == number)
        if len(trials) == len(rows):
            pairs.append((trials, shown[rows] - 1))
        else:
            notes.append(
                f'session {number} has {len(rows)} rows in {path.name} and {len(trials)} trials: '
                'its ids were not compared with it'
            )
    if pairs:
        trials, found = (np.concatenate(column) for column in zip(*pairs, strict=True))
        _refuse(path, design, trials, found)
    return notes, np.unique(session).tolist()


def _compare(path, design: Design, ids, trial) -> None:
    """Every planned trial has one image in the sheet, that of the plan."""
    found = np.full(len(design.image_id), -1, np.int64)
    row, column = np.nonzero(trial >= 0)
    at = trial[row, column]
    if len(at) and at.max() >= len(found):
        raise errors.DataInvalid(
            f'it plans trial {at.max() + 1}, {EXPDESIGN.name} has {len(found)}', path, _AGAIN
        )
    found[at] = ids[row]
    _refuse(path, design, np.arange(len(found)), found)


def _refuse(path, design: Design, trials, found) -> None:
    """Raises DataInvalid unless `found` are the images of `trials`."""
    planned = design.image_id[trials]
    wrong = np.flatnonzero(found != planned)
    if not len(wrong):
        return
    first = trials[wrong[0]]
    session = design.session[first]
    there = f'image {found[wrong[0]]}' if found[wrong[0]] >= 0 else 'no image'
    raise errors.DataInvalid(
        f'session {session}, trial {first - design.trials(session)[0] + 1} shows {there} here and '
        f'image {planned[wrong[0]]} in {EXPDESIGN.name} (ids counted from 0), and so {len(wrong)} '
        f'of {len(trials)} trials{_shifted(planned, found)}',
        path,
        'both are published with the data, so one was edited or is of another subject: fetch both',
    )


def _shifted(planned, found) -> str:
    """Words for the mistake that is made most."""
    if len(planned) == len(found):
        for shift in (-1, 1):
            if np.mean(found == planned + shift) > 0.9:
                return ': ids look shifted by one'
        late = [np.mean(found[1:] == planned[:-1]), np.mean(found[:-1] == planned[1:])]
        if max(late) > 0.9:
            return ': trials look shifted by one'
    return ''
