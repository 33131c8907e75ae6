"""Which sessions of an NSD subject's betas are on disk, and what is in them."""

import dataclasses
import pathlib
import re

import numpy as np

from recon.core import errors
from recon.data.formats import nsd_volumes

VERSIONS = {
    'b1': 'betas_assumehrf',
    'b2': 'betas_fithrf',
    'b3': 'betas_fithrf_GLMdenoise_RR',
}
SPACES = ('func1pt8mm', 'func1mm', 'fsaverage', 'nativesurface')
SURFACES = ('fsaverage', 'nativesurface')
SUFFIXES = {  # in the order of preference
    'hdf5': ('.hdf5', '.h5'),
    'nii.gz': ('.nii.gz', '.nii'),
    'mat': ('.mat',),
    'mgh': ('.mgh', '.mgz'),
}
REMEDY = (
    '`python launch/fetch.py nsd` says what to download and where; `python launch/simulate.py '
    '--layout=nsd` or a :smoke config writes simulated files'
)
_LARGE, _SMALL = 60.0, 0.02  # percent: the median size of a beta is about 1


@dataclasses.dataclass(frozen=True)
class Session:
    """One session's betas.

    Attributes:
      number: 1-based.
      recordings: one for volumes; left, right for surfaces.
      positions: for each recording, [v] flat positions, x fastest, of the wanted voxels.
    """

    number: int
    recordings: tuple[nsd_volumes.Recording, ...]
    positions: tuple[np.ndarray, ...]

    @property
    def trials(self) -> int:
        """How many."""
        return self.recordings[0].trials

    def read(self):
        """Pieces [k v], hemispheres beside each other."""
        parts = [
            nsd_volumes.trials(recording, positions)
            for recording, positions in zip(self.recordings, self.positions, strict=True)
        ]
        for pieces in zip(*parts, strict=True):
            yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 1)


def folder(root, subject: int, space: str, betas: str) -> pathlib.Path:
    """The folder of one version of a subject's betas; ConfigError for a space that is none.

    Raises DataMissing where it is not there; the message lists the versions that are.
    """
    if space not in SPACES:
        raise errors.ConfigError(f'dataset.space is {space!r}', 'config', f'one of {SPACES}')
    above = pathlib.Path(root) / 'nsddata_betas' / 'ppdata' / f'subj{subject:02d}' / space
    found = above / VERSIONS.get(betas, betas)
    if not found.is_dir():
        there = sorted(p.name for p in above.iterdir() if p.is_dir()) if above.is_dir() else []
        there = f'versions there: {", ".join(there)}' if there else 'no betas of this space there'
        raise errors.DataMissing(f'no folder of betas, {there}', found, REMEDY)
    return found


def choose(path: pathlib.Path, sessions: int, missing: str) -> tuple[list[int], list[int]]:
    """Numbers of the sessions to read, and of those that are not on disk but should be.

    Args:
      path: from `folder`.
      sessions: 0 for all on disk, n for the first n.
      missing: 'refuse' or 'skip' a gap.

    Raises:
      DataMissing: none, or a gap that is refused.  ConfigError: an option that does not fit.
    """
    if missing not in ('refuse', 'skip') or sessions < 0:
        raise errors.ConfigError(
            f'dataset has missing={missing!r}, sessions={sessions}',
            'config',
            "missing is 'refuse' or 'skip', sessions 0 (all) or the number of the last one",
        )
    there = sorted({int(n) for n in re.findall(r'betas_session(\d+)\.', ' '.join(_names(path)))})
    wanted = range(1, (sessions or max(there, default=0)) + 1)
    chosen = [n for n in wanted if n in there]
    absent = [n for n in wanted if n not in there]
    if not chosen:
        raise errors.DataMissing('no session of betas', path, REMEDY)
    if absent and missing == 'refuse':
        raise errors.DataMissing(
            f'sessions {", ".join(map(str, absent))} of {len(wanted)} are not on disk',
            path,
            'download them, set dataset.sessions to how many you have from the first on, or '
            "dataset.missing='skip' to go on without them",
        )
    return chosen, absent


def inspect(path, numbers, form: str, grids, positions) -> list[Session]:
    """Headers of the chosen sessions, checked against the masks and against each other.

    Args:
      path: from `folder`.
      numbers: of the sessions.
      form: key of SUFFIXES, or '' for the first that is there.
      grids: (X, Y, Z) for volumes; (left V,), (right V,) for surfaces.
      positions: for each grid, the wanted voxels (see `Session`).

    Raises:
      DataMissing, DataInvalid: see `nsd_volumes.inspect`; also sessions of unlike types.
    """
    if form and form not in SUFFIXES:
        raise errors.ConfigError(f'dataset.format is {form!r}', 'config', f'one of {[*SUFFIXES]}')
    prefixes = ('lh.', 'rh.') if len(grids) == 2 else ('',)
    found = []
    for number in numbers:
        stems = [f'{prefix}betas_session{number:02d}' for prefix in prefixes]
        files = _one_format(path, stems, form)
        recordings = tuple(
            nsd_volumes.inspect(file, grid) for file, grid in zip(files, grids, strict=True)
        )
        found.append(Session(number, recordings, tuple(positions)))
    first = found[0].recordings[0]
    for session in found:
        for recording in session.recordings:
            kind = (recording.dtype.newbyteorder('='), recording.divisor)
            if kind != (first.dtype.newbyteorder('='), first.divisor):
                raise errors.DataInvalid(
                    f'it holds {recording.dtype} / {recording.divisor:g}, {first.path.name} holds '
                    f'{first.dtype} / {first.divisor:g}',
                    recording.path,
                    'all sessions must be of one kind: name dataset.format, or fetch it again',
                )
        if len({recording.trials for recording in session.recordings}) > 1:
            counts = ' and '.join(f'{r.path.name} {r.trials}' for r in session.recordings)
            raise errors.DataInvalid(
                f'unlike numbers of trials: {counts}', path, 'fetch both again'
            )
    return found


def check_unit(voxels: np.ndarray, divisor: float, where) -> None:
    """Refuses values that cannot be percent signal change.

    Args:
      voxels: [n v] some trials, as `divisor` made them.
      divisor: that of the recording.
      where: for the message.
    """
    size = np.abs(voxels[np.isfinite(voxels) & (voxels != 0)])
    if not len(size):
        raise errors.DataInvalid(
            f'all of {voxels.size} values looked at are 0 or NaN', where, 'check mask and session'
        )
    median = float(np.median(size))
    if median > _LARGE and divisor != 1:
        raise errors.DataInvalid(
            f'the median size of a beta is {median * divisor:.4g} before it is divided by '
            f'{divisor:g}, about 300 was expected',
            where,
            'the values look multiplied by 300 once more: fetch the original',
        )
    if median > _LARGE:
        raise errors.DataInvalid(
            f'the median size of a beta is {median:.4g}, percent signal change is about 1',
            where,
            'the values are floats that are still times 300: divide them, or fetch the original',
        )
    if divisor != 1 and median < _SMALL:
        raise errors.DataInvalid(
            f'the median size of a beta is {median * divisor:.3g} before it is divided by '
            f'{divisor:g}, about 300 was expected',
            where,
            'integers in percent signal change have lost their fraction: fetch the original',
        )


def _names(path: pathlib.Path) -> list[str]:
    known = tuple(s for suffixes in SUFFIXES.values() for s in suffixes)
    return [p.name for p in path.iterdir() if p.name.endswith(known) and p.name[0] != '.']


def _one_format(path, stems, form: str) -> list[pathlib.Path]:
    """The files of one session, all in one format."""
    for name in [form] if form else SUFFIXES:
        for suffix in SUFFIXES[name]:
            files = [path / f'{stem}{suffix}' for stem in stems]
            if all(file.is_file() for file in files):
                return files
    there = [p for p in _names(path) if any(p.startswith(f'{stem}.') for stem in stems)]
    raise errors.DataMissing(
        f'{" and ".join(stems)} are not there as {form or "any one format"}, only '
        f'{", ".join(sorted(there)) or "nothing"}',
        path,
        'download what is missing, or change dataset.format',
    )
