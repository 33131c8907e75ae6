"""What an NSD subject's betas say of themselves: unit, blank trials, voxels that hold nothing."""

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files, nsd_betas, nsd_volumes

_SPACING = 5  # trials of each session that are looked at
_ENOUGH = 10  # voxels: of fewer, all may be 0 or NaN in a trial by chance, or in a hemisphere
_EMPTY = {False: 0.1, True: 0.3}  # share of voxels that may be 0 everywhere, in areas, in the brain
_APART = 1e-2  # mm, and so rotations by less than a ten thousandth


def unit(voxels: np.ndarray, divisor: float, where, left: int | None = None) -> None:
    """Refuses values that cannot be percent signal change, in each hemisphere's files by itself.

    Args:
      voxels: [n v] some trials, as `divisor` made them.
      divisor: that of the recording.
      where: for the message.
      left: how many of the voxels are the left hemisphere's, those before the right's; None where
        both are in one file.

    Raises:
      DataInvalid: see `nsd_betas.check_unit`.
    """
    if left is not None:
        for side, part in (('left', voxels[:, :left]), ('right', voxels[:, left:])):
            if part.shape[1] >= _ENOUGH:
                nsd_betas.check_unit(part, divisor, f'{where}, {side} hemisphere')
    nsd_betas.check_unit(voxels, divisor, where)


def look_at(
    prepared,
    session: np.ndarray,
    where,
    notes: list,
    left: int | None = None,
    brain: bool = False,
) -> np.ndarray:
    """Which voxels are finite in all sessions, and whether betas are where the masks say.

    Args:
      prepared: store.Store [n v] of all sessions.
      session: [n] of each row, ascending.
      where: folder of betas, for messages.
      notes: sentences for the user are added.
      left: see `unit`.
      brain: the voxels are a whole brain's, whose edge holds no data in places.

    Returns:
      [v] bool.

    Raises:
      DataInvalid: another unit, trials in which all voxels are 0 or NaN, many voxels that are 0 in
        all sessions, or none that is a number in all.
    """
    _refuse_blank(prepared, session, where)
    keep, empty = np.ones(prepared.shape[1], bool), np.ones(prepared.shape[1], bool)
    for number in np.unique(session):
        rows = np.flatnonzero(session == number)
        some = prepared.rows(rows[np.linspace(0, len(rows) - 1, _SPACING).astype(int)])
        unit(some, prepared.divisor, f'{where}, session {number}', left)
        keep &= np.isfinite(some).any(0)
        flat = (some == 0).all(0)
        empty &= flat
        if flat.any():
            notes.append(f'{flat.sum()} voxels are 0 throughout session {number}: not valid in it')
    if not keep.all():
        notes.append(f'{(~keep).sum()} vertices are NaN in some session and were dropped')
    if not keep.any():
        raise errors.DataInvalid('every vertex is NaN in some session', where, 'fetch it again')
    if empty.mean() > _EMPTY[brain]:
        raise errors.DataInvalid(
            f'{empty.sum()} of {len(empty)} chosen voxels are 0 in every session',
            where,
            'betas and masks seem to lie on two grids, the axes of one in another order or '
            'flipped: fetch both again',
        )
    return keep


def _refuse_blank(prepared, session, where) -> None:
    if not len(prepared.blank) or prepared.shape[1] < _ENOUGH:
        return
    number = session[prepared.blank[0]]
    trial = prepared.blank[0] - np.flatnonzero(session == number)[0] + 1
    count = (session[prepared.blank] == number).sum()
    raise errors.DataInvalid(
        f'session {number}, trial {trial} is 0 or NaN in all {prepared.shape[1]} chosen voxels, '
        f'and so are {count} trials of this session, {len(prepared.blank)} of all',
        where,
        f'the file of session {number} was not written to its end: fetch it again, leave it away '
        "with dataset.missing='skip', or take the sessions before it (dataset.sessions)",
    )


def other_affines(sessions, affine: np.ndarray | None) -> list[str]:
    """A sentence where NIfTI betas say they lie elsewhere than the masks' `affine` [4 4]."""
    apart = []
    for recording in (recording for session in sessions for recording in session.recordings):
        if recording.path.name.endswith(('.nii', '.nii.gz')):
            with files.said(recording.path, 'not a readable NIfTI file', nsd_volumes.BROKEN):
                own = nibabel.load(recording.path, mmap=False).affine
            if not np.allclose(own, affine, atol=_APART):
                apart.append(recording.path.name)
    if not apart:
        return []
    more = f' and {len(apart) - 1} more' if apart[1:] else ''
    return [
        f'{apart[0]}{more}: another affine than that of the masks; voxels were matched by their '
        'index, so areas are wrong if the axes of one are flipped or in another order'
    ]


def not_on_disk(numbers: list[int], answered: list[int]) -> list[int]:
    """Sessions after the last one on disk that the person has answered in."""
    return [number for number in answered if number > max(numbers)]
