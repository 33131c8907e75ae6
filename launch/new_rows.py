"""New scans as the file holds them, checked against the run that is to decode them."""

import pathlib
import tokenize
import zipfile
import zlib

import numpy as np

from recon.core import errors, types
from recon.data import prepare
from recon.data.checks import leaks

ROWS = ('image_id', 'session', 'run', 'repeat', 'trials')  # optional, one entry a row
TEXTS = ('source', 'id_space')  # optional: what image_id means, see `refuse_seen`
_NEAR_MM = 1e-2

FAR, FAINT = 5.0, 0.01  # sizes of a row, in those of a training row, that are worth a word
_NPY = b'\x93NUMPY'
_WRITE = 'write numbers with numpy.save or numpy.savez; text is read with numpy.loadtxt first'

# A damaged header is parsed as Python before numpy finds it wrong.
_UNREADABLE = (
    *(ValueError, OSError, EOFError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)


def read(path) -> dict:
    """{name: array} of a .npy ('voxels' alone) or .npz; nothing is unpickled.

    Raises:
      DataMissing: no such file.
      DataInvalid: it cannot be read, or holds no `voxels` [n v] of numbers.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise errors.DataMissing('no such file', path, 'name a .npy [n v] or an .npz with voxels')
    with open(path, 'rb') as file:
        start = file.read(len(_NPY))
    if start != _NPY and start[:2] != b'PK':  # numpy would take anything else for a pickle
        raise errors.DataInvalid(
            f'is neither .npy nor .npz inside: it begins with {_shown(start)}', path, _WRITE
        )
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            held = {'voxels': held}
        else:
            with held:
                held = {name: held[name] for name in held.files}
        if not all(isinstance(array, np.ndarray) for array in held.values()):
            raise ValueError('it holds something that is no array')
    except _UNREADABLE as error:
        told = 'it holds Python objects' if 'Object arrays' in str(error) else error
        raise errors.DataInvalid(f'cannot be read ({told})', path, _WRITE) from error
    voxels = held.get('voxels')
    if voxels is None or voxels.ndim < 2 or voxels.dtype.kind not in 'fiu':
        what = 'has no voxels' if voxels is None else f'voxels are {voxels.dtype} {voxels.shape}'
        raise errors.DataInvalid(what, path, 'wanted: voxels [rows, voxels], numbers')
    for name in set(TEXTS) & held.keys():
        if held[name].size != 1 or held[name].dtype.kind != 'U':
            what = f'{name} is {held[name].dtype} {held[name].shape}'
            raise errors.DataInvalid(what, path, 'wanted: one text')
    return held


def split(held: dict) -> types.Split:
    """The rows of `read`; without image_id each row is a picture of its own, numbered from 0.

    Raises:
      DataInvalid: something that is not one entry a row.
    """
    n = len(held['voxels'])
    for name in set(ROWS) & held.keys():
        kinds = 'iuU' if name == 'image_id' else 'iu'
        if held[name].shape != (n,) or held[name].dtype.kind not in kinds:
            raise errors.DataInvalid(
                f'{name} is {held[name].dtype} {held[name].shape}, and there are {n} rows',
                'voxels file',
                'one entry a row: image_id integers or texts, the others integers',
            )
    named = {name: held[name] for name in ROWS[1:] if name in held}
    with np.errstate(over='ignore'):  # what is too large is said in the next lines
        voxels = np.asarray(held['voxels'], np.float32)
    several = n and voxels[0].size > 1
    still = np.flatnonzero((voxels == voxels[:, :1]).reshape(n, -1).all(1)) if several else []
    if not n or len(still):
        raise errors.DataInvalid(
            f'row {still[0]} has one value in all voxels' if n else 'no rows',
            'voxels file',
            f'leave such rows out ({len(still)} of {n})' if n else 'give one row or more',
        )
    return types.Split(voxels, held.get('image_id', np.arange(n)), **named)


def check_voxels(held: dict, kept: dict) -> list[str]:
    """Refuses voxels that are not those of the run; gives the fields that were compared.

    Args:
      held: of `read`. Whatever it holds besides rows and texts says which voxels they are: a field
        of the run's data set ('xyz', 'vertex', 'hemisphere' ...), or a mask 'roi_<name>'.
      kept: of `prepare.remember`.

    Raises:
      DataInvalid: another number, another place, or a field that the run does not know.
    """
    found, wanted = held['voxels'].shape[1:], tuple(int(size) for size in kept['voxels'])
    if found != wanted:
        raise errors.DataInvalid(
            f'rows of {found} voxels, and the run was fitted on {wanted}',
            'voxels file',
            "give the voxels of the run's own data set, in its order, before its preprocessing",
        )
    known = {k.removeprefix('info/'): v for k, v in kept.items() if k.startswith('info/')}
    known |= {f'roi_{k[4:]}': v for k, v in kept.items() if k.startswith('roi/')}
    named = sorted(held.keys() - {'voxels', *ROWS, *TEXTS})
    for name in named:
        if name not in known:
            raise errors.DataInvalid(
                f'{name!r} is no field of the run',
                'voxels file',
                f'leave it out; known: voxels, {", ".join((*ROWS, *TEXTS, *known))}',
            )
        _check_field(name, held[name], known[name])
    return named


def _check_field(name: str, given: np.ndarray, wanted: np.ndarray) -> None:
    same = given.shape == wanted.shape
    if same and wanted.dtype.kind == 'f' and given.dtype.kind in 'fiu':
        other = ~np.isclose(given, wanted, rtol=1e-4, atol=_NEAR_MM, equal_nan=True)
    else:
        other = given != wanted if same else np.ones(1, bool)
    other = np.asarray(other).reshape(len(other), -1).any(1)
    if other.any():
        first = int(np.argmax(other))
        what = f'of {other.sum()} voxels, first {first}' if same else f'has shape {given.shape}'
        raise errors.DataInvalid(
            f'{name} is not that of the run: {what}',
            'voxels file',
            'bring the voxels into the order of the run',
        )


def refuse_seen(held: dict, kept: dict, facts: dict, allow: bool = False) -> int | None:
    """How many of the pictures the run was trained on; refuses any unless `allow`.

    Ids are of one kind with the run's unless the file names another `id_space`; a `source` of NSD's
    family counts as in `leaks.refuse`.

    Returns:
      A number, or None where the file names no pictures or ids of another kind.

    Raises:
      LeakError: a picture that the run was trained on, or that cannot be told from those.
    """
    ids = held.get('image_id')
    if ids is None:
        return None
    source = facts.get('source', '')
    own = facts.get('id_space') or ('nsd' if source == 'nsd' else f'ids of {source}')
    trained = facts | {'id_space': own}
    told = {name: str(held[name]) for name in TEXTS if name in held}
    tested = {'source': source, 'test': 'new rows'} | told
    if tested['source'] == source:
        tested.setdefault('id_space', own)
    elif tested['source'] == 'nsd':
        tested.setdefault('id_space', 'nsd')
    same = tested.get('id_space') == own
    if not allow:
        try:
            leaks.refuse(trained, kept['seen'], tested, ids)
        except errors.LeakError as error:
            remedy = f'{error.remedy}; or leave image_id out, name another id_space, --allow-seen'
            raise errors.LeakError(error.what, error.where, remedy) from error
    return int(np.isin(np.unique(ids), kept['seen']).sum()) if same else None


def check_own(preprocess, kept: dict, rows: types.Split) -> None:
    """Refuses rows that cannot have the statistics of their own that they are to have.

    Args:
      preprocess: of the run's config.
      kept: of `prepare.remember`.
      rows: as measured.

    Raises:
      DataInvalid: rows of no session (or run), or one alone of a session that was not fitted.
    """
    options = preprocess.get('normalise', {})
    by = options.get('by', 'all')
    if by == 'all' or options.get('unseen') != 'own':
        return
    label = getattr(rows, by)
    label = label[~np.isin(label, kept['stats/normalise/group'])]
    lost = int((label < 0).sum())
    if lost:
        raise errors.DataInvalid(
            f'{lost} of {len(rows)} rows have no {by}, by which they are to be normalised',
            'voxels file',
            f'give a number for each row as `{by}` in an .npz; or --unseen=pooled',
        )
    group, counts = np.unique(label, return_counts=True)
    if len(group) and counts.min() < 2:
        raise errors.DataInvalid(
            f'{by} {group[counts.argmin()]} has a single row, which has no spread of its own',
            'voxels file',
            f'give more rows of that {by}; or --unseen=pooled',
        )


def unknown_groups(preprocess, kept: dict, rows: types.Split) -> list[str]:
    """A sentence where rows are of a session or run without statistics of its own."""
    options = preprocess.get('normalise', {})
    by = options.get('by', 'all')
    if by == 'all':
        return []
    label = getattr(rows, by)
    unknown = int((~np.isin(label, kept['stats/normalise/group'])).sum())
    if not unknown:
        return []
    which = f'those of all fitted {by}s together' if options.unseen == 'pooled' else 'their own'
    return [
        f'{unknown} of {len(rows)} rows are of a {by} that the run was not fitted on: '
        f'the mean and spread they are normalised by are {which}.'
    ]


def sizes(preprocess, kept: dict, rows: types.Split) -> np.ndarray | None:
    """[n] how large each row is: root mean square over voxels, of training rows 1 or somewhat less.

    In the standard deviations by which the run normalises, or half ranges where that is by minimum
    and maximum; None where it does not normalise, or averages rows first.

    Args:
      preprocess: of the run's config.
      kept: of `prepare.remember`.
      rows: as measured.

    Raises:
      DataInvalid: a value that is too large for float32 once it is normalised.
    """
    order = tuple(preprocess.order)
    before = order[: order.index('normalise')] if 'normalise' in order else ('repeats',)
    if 'repeats' in before:
        return None
    named = {op: preprocess[op] for op in (*before, 'normalise')}
    with np.errstate(over='ignore', invalid='ignore'):
        voxels = prepare.again({'order': tuple(named)} | named, kept, rows).voxels
    voxels = voxels[:, np.any(kept['stats/normalise/factor'] != 0, 0)]
    bad = ~np.isfinite(voxels).all(1)
    if bad.any():
        row = int(np.argmax(bad))
        raise errors.DataInvalid(
            f'row {row} holds values up to {np.abs(rows.voxels[row]).max():.3g}, too large to be '
            f'normalised as the run does ({bad.sum()} of {len(rows)} rows)',
            'voxels file',
            'give voxels in the unit of the data that the run was fitted on',
        )
    centred = voxels.astype(np.float64)
    if preprocess.normalise.method == 'minmax':
        centred = 2 * centred - 1
    return np.sqrt(np.square(centred).mean(1))


def strange(found: np.ndarray | None) -> tuple[list[int], str]:
    """The rows of `sizes` that are not of the training rows' kind, and a sentence on them."""
    if found is None:
        return [], ''
    odd = np.flatnonzero((found > FAR) | (found < FAINT))
    if not len(odd):
        return [], ''
    some = ', '.join(f'{row} ({found[row]:.3g})' for row in odd[:5])
    more = ' ...' if len(odd) > 5 else ''
    said = (
        f'{len(odd)} of {len(found)} rows lie far from those that the run was fitted on, which '
        f'have a size of about 1 (root mean square over voxels, normalised as there): row {some}'
        f'{more}. What is decoded of them says nothing; check the unit of the voxels.'
    )
    return odd.tolist(), said


def _shown(start: bytes) -> str:
    return repr(start.decode('ascii', 'replace')) if start else 'nothing, it is empty'
