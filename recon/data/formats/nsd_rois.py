"""NSD's ROI files: volumes and surfaces of numbers, -1 outside the cortex, 0 unlabelled, 1 .. N.

A mask is `number == k`; `number != 0` would take everything outside the cortex as well.
"""

import dataclasses
import pathlib

import nibabel
import numpy as np

from recon.core import errors
from recon.data.formats import files, nifti, nsd_betas, nsd_labels, nsd_volumes

_REMEDY = '`python launch/fetch.py nsd` says what to download and where'
_BOTH_SIDES = ('HCP_MMP1', 'streams', 'Kastner2015', 'nsdgeneral')  # asked first, they are largest
_NEAR_MIDDLE = 4.0  # mm: nearer to x = 0 a file and the affine may differ
WHOLE = 'brainmask'


@dataclasses.dataclass(frozen=True)
class Areas:
    """The labels of one subject in one space. Positions p are in C order over (X, Y, Z), or the
    left hemisphere's vertices and then the right's.

    Attributes:
      grids: ((X, Y, Z),), or ((left V,), (right V,)).
      affine: [4 4], index -> mm; None for surfaces.
      whole: [p] bool, the brain mask; all vertices of surfaces.
      numbers: {file: [p] int16}.
      names: {file: {number: name}}.
      folder: of the ROI files.
      notes: sentences for the user.
    """

    grids: tuple
    affine: np.ndarray | None
    whole: np.ndarray
    numbers: dict
    names: dict
    folder: pathlib.Path
    notes: list

    def labels(self) -> dict[str, tuple[str, int]]:
        """{name of an area: (file, number)}."""
        return {
            name if file in nsd_labels.PLAIN else f'{file}/{name}': (file, number)
            for file, names in self.names.items()
            for number, name in names.items()
        }

    def unions(self) -> dict[str, tuple[str, ...]]:
        """{joint area: the labels that it is made of}, of those whose labels are all there."""
        known, out = self.labels(), {}
        for name, definitions in nsd_labels.UNIONS.items():
            for members in definitions:
                members = [_find(member, known) for member in members]
                if None not in members:
                    out.setdefault(name, tuple(members))
        return out

    def choose(self, voxels: str) -> np.ndarray:
        """[p] bool: the union of areas by name ('nsdgeneral', 'V1+V2', 'brainmask').

        Raises ConfigError for an unknown name, DataInvalid where nothing is in it.
        """
        mask = np.zeros(len(self.whole), bool)
        for name in [part.strip() for part in voxels.replace('+', ',').split(',')]:
            mask |= self._mask(name, slice(None))
        if not mask.any():
            raise errors.DataInvalid(f'no voxel is in {voxels}', self.folder, 'choose other areas')
        return mask

    def rois(self, chosen: np.ndarray) -> dict[str, np.ndarray]:
        """{name: bool [v]} of all labels and joint areas, at the chosen positions [p] bool."""
        return {name: self._mask(name, chosen) for name in (*self.labels(), *self.unions())}

    def _mask(self, name: str, chosen) -> np.ndarray:
        if name == WHOLE:
            return self.whole[chosen]
        unions, labels = self.unions(), self.labels()
        if name not in unions and name not in labels:
            known = [n for n in (WHOLE, *labels, *unions) if not n.startswith('HCP_MMP1/')]
            raise errors.ConfigError(
                f'dataset.voxels names {name!r}',
                self.folder,
                f'areas here: {", ".join(known)}, HCP_MMP1/<its labels>',
            )
        members = [labels[member] for member in unions.get(name, (name,))]
        return np.any([self.numbers[file][chosen] == number for file, number in members], axis=0)

    def hemisphere(self, chosen: np.ndarray) -> np.ndarray:
        """[v] int8, 0 left, 1 right: by lh. and rh. files, else by the sign of x.

        Raises DataInvalid where the files contradict x for most voxels: left and right are swapped
        in one of them.
        """
        if self.affine is None:
            side = np.repeat([0, 1], [grid[0] for grid in self.grids])
            return side[chosen].astype(np.int8)
        x = self.xyz(chosen)[:, 0]
        found = np.full(len(x), -1, np.int8)
        for name in sorted(self.numbers, key=lambda n: n not in _BOTH_SIDES):
            paths = [self.folder / f'{side}.{name}.nii.gz' for side in ('lh', 'rh')]
            if (found >= 0).all() or not all(path.exists() for path in paths):
                continue
            left, right = (_claimed(path, self)[chosen] for path in paths)
            found = np.where((found < 0) & (left != right), right, found).astype(np.int8)
        sure = (found >= 0) & (np.abs(x) > _NEAR_MIDDLE)
        wrong = (found == 0) == (x > 0)
        if sure.any() and wrong[sure].mean() > 0.5:
            raise errors.DataInvalid(
                f'{wrong[sure].sum()} of {sure.sum()} voxels are on the other side by their affine '
                'than by their lh. and rh. files: left and right look swapped',
                self.folder,
                'fetch the ROI files and the masks again; never flip one of them alone',
            )
        return np.where(found >= 0, found, x > 0).astype(np.int8)

    def xyz(self, chosen: np.ndarray) -> np.ndarray:
        """[v 3] float32, mm, by the affine of the volume."""
        index = np.argwhere(chosen.reshape(self.grids[0]))
        return nibabel.affines.apply_affine(self.affine, index).astype(np.float32)


def read(root, subject: int, space: str) -> Areas:
    """All ROI files of a subject in a space, each on one grid.

    Raises:
      DataMissing: no mask or no ROI file.  DataInvalid: a broken file, another grid, or values that
        are not -1, 0, 1, ...
    """
    root = pathlib.Path(root)
    label = root / 'nsddata' / 'freesurfer' / f'subj{subject:02d}' / 'label'
    shared = root / 'nsddata' / 'freesurfer' / 'fsaverage' / 'label'
    notes = []
    if space in nsd_betas.SURFACES:
        folder = shared if space == 'fsaverage' else label
        numbers, grids = _surfaces(folder)
        affine, whole = None, np.ones(sum(grid[0] for grid in grids), bool)
    else:
        above = root / 'nsddata' / 'ppdata' / f'subj{subject:02d}' / space
        folder = above / 'roi'
        grid, affine, whole = _brain(above, notes)
        numbers, grids = _volumes(folder, grid, affine), (grid,)
    tables = (label, shared) if folder != shared else (shared, label)
    names, built_in = {}, []
    for file in numbers:
        names[file] = _names(file, numbers[file], tables, notes, built_in)
    if built_in:
        notes.append(f'no tables <name>.mgz.ctab of {", ".join(built_in)}: names built in')
    return Areas(grids, affine, whole, numbers, names, folder, notes)


def empty(areas: Areas) -> list[str]:
    """A sentence for each file with labels that have no voxel at all, as some subjects' have."""
    out = []
    for file, names in areas.names.items():
        there = set(np.unique(areas.numbers[file]).tolist())
        none = [name for number, name in names.items() if number not in there]
        if none:
            shown = ', '.join(none[:8]) + (f' and {len(none) - 8} more' if len(none) > 8 else '')
            out.append(f'{file}: no voxel is labelled {shown}')
    return out


def _brain(folder, notes: list) -> tuple[tuple, np.ndarray, np.ndarray]:
    """Grid, affine and brain mask [p] of a space of volumes."""
    path = folder / f'{WHOLE}.nii.gz'
    if path.exists():
        whole, affine = nifti.read_mask(path)
        return whole.shape, affine, whole.ravel()
    others = sorted((folder / 'roi').glob('*.nii.gz'))
    if not others:
        raise errors.DataMissing(f'no {path.name}, no ROI file (<name>.nii.gz)', folder, _REMEDY)
    notes.append(f'{path.name} is not there: the grid is that of {others[0].name}')
    volume, affine = nifti.read(others[0], 3)
    return volume.shape, affine, np.zeros(volume.size, bool)


def _volumes(folder, grid, affine) -> dict:
    """{file: [p] int16}, hemispheres together."""
    found = {}
    for path in sorted(folder.glob('*.nii.gz')):
        name = path.name.removesuffix('.nii.gz')
        if not name.startswith(('lh.', 'rh.', '.')):
            found[name] = _integers(_on_grid(path, grid, affine), path)
    if not found:
        raise errors.DataMissing('no ROI file (<name>.nii.gz)', folder, _REMEDY)
    return found


def _on_grid(path, grid, affine) -> np.ndarray:
    volume, own = nifti.read(path, 3)
    nifti.check_grid(path, volume.shape, own, grid, affine)
    return volume.ravel()  # [p]


def _claimed(path, areas: Areas) -> np.ndarray:
    """[p] bool: cortex of the hemisphere of an lh. or rh. file."""
    number = _integers(_on_grid(path, areas.grids[0], areas.affine), path)
    return number >= 0 if (number < 0).any() else number > 0


def _surfaces(folder) -> tuple[dict, tuple]:
    """{file: [p] int16}, left vertices first, and the number of vertices of each hemisphere."""
    found, grids = {}, {}
    for left in sorted(folder.glob('lh.*.mgz')) if folder.is_dir() else ():
        name, parts = left.name.removeprefix('lh.').removesuffix('.mgz'), []
        for side in ('lh', 'rh'):
            path = folder / f'{side}.{name}.mgz'
            values = surface(path, grids.get(side))
            grids[side] = len(values)
            parts.append(_integers(values, path))
        found[name] = np.concatenate(parts)
    if not found:
        raise errors.DataMissing('no labels (lh.<name>.mgz, rh.<name>.mgz)', folder, _REMEDY)
    return found, tuple((grids[side],) for side in ('lh', 'rh'))


def surface(path, vertices: int | None = None) -> np.ndarray:
    """One number a vertex of a .mgh or .mgz file, [V].

    Raises:
      DataMissing: not there.  DataInvalid: cannot be read, or not `vertices` of them.
    """
    files.exists(path, _REMEDY)
    with files.said(path, 'not a readable mgh file', nsd_volumes.BROKEN):
        image = nibabel.load(path)
        files.check_promise(path, image.shape, 4)
        nifti.check_packed(path)
        values = np.asanyarray(image.dataobj)
    if values.size != values.shape[0] or vertices not in (None, values.size):
        raise errors.DataInvalid(
            f'its shape is {values.shape}',
            path,
            f'wanted ({vertices or "vertices"}, 1, 1), those of the labels: left and right may be '
            'swapped, or the surface is another one',
        )
    return values.ravel()


def _integers(values: np.ndarray, path) -> np.ndarray:
    """[p] int16 of -1, 0, 1, ..."""
    whole = np.nan_to_num(values, nan=-2)
    odd = (whole < -1) | (whole > np.iinfo(np.int16).max)
    if values.dtype.kind == 'f':
        odd |= whole != np.round(whole)
    if odd.any():
        raise errors.DataInvalid(
            f'it holds {", ".join(f"{x:g}" for x in np.unique(values[odd])[:3])}',
            path,
            'a file of labels holds -1 (no cortex), 0 (unlabelled), 1, 2, ...; move others away',
        )
    return whole.astype(np.int16)


def _names(file: str, numbers: np.ndarray, folders, notes, built_in) -> dict[int, str]:
    """{number: name} by the copy's own table, else by the one built in, which is noted."""
    named = None
    for folder in folders:
        path = folder / f'{file}.mgz.ctab'
        if named is None and path.exists():
            named = _table(path)
    if named is None:
        known = nsd_labels.NAMES.get(file, ())
        named = {i: name for i, name in enumerate(known, start=1)}
        if not known:
            notes.append(f'{file}.mgz.ctab is not there: its labels are called by number')
        elif file not in nsd_labels.VOLUMES_ALONE:
            built_in.append(file)
    extra = [int(k) for k in np.unique(numbers[numbers > 0]) if k not in named]
    if extra and named:
        notes.append(f'{file} holds {", ".join(map(str, extra))}, which its table does not name')
    return named | {k: f'{file}-{k}' for k in extra}


def _table(path) -> dict[int, str]:
    """A .ctab: number, name, red, green, blue, alpha, between spaces, no header."""
    named = {}
    for line in files.text(path).splitlines():
        words = line.split()
        if not words or words[0].startswith('#'):
            continue
        if len(words) < 2 or not words[0].lstrip('-').isdigit():
            raise errors.DataInvalid(
                f'a line is {line[:60]!r}', path, 'wanted: number name R G B A'
            )
        if int(words[0]) > 0:
            named[int(words[0])] = ' '.join(words[1:-4]) if len(words) > 6 else words[1]
    return named


def _find(member: str, known: dict) -> str | None:
    """The label, or what this copy calls it."""
    file = member.rpartition('/')[0]
    others = [f'{file}/{alias}' for alias in nsd_labels.ALIASES.get(member, ())]
    return next((name for name in (member, *others) if name in known), None)
