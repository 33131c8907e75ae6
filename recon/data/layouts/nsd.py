"""Writes the simulated brain as the Natural Scenes Dataset's folder (Allen et al. 2022)."""

import dataclasses
import io
import pathlib

import h5py
import numpy as np
from PIL import Image

from recon.core import errors, results
from recon.data import mark
from recon.data.layouts import _coco, _nsd_design, _nsd_labels, _nsd_truth, _study
from recon.data.layouts import _nsd_surfaces as surfaces
from recon.data.layouts import _nsd_volumes as volumes
from recon.data.simulator import brain as brains

VERSIONS = {'b3': 'betas_fithrf_GLMdenoise_RR', 'b2': 'betas_fithrf'}
FSAVERAGE = 2562  # vertices a hemisphere at toy scale: the first of fsaverage's 163,842
_B2 = 141  # stream of random numbers
_BLOCK = 32  # pictures at once
_TOY_BRAIN = 2000  # voxels, of which each space records some
_GENERAL = 0.91  # share of a full brain's voxels that are in nsdgeneral
_VOXELS = (15724, 14278, 15226, 13153, 13039, 17907, 12682, 14386)  # in NSD's nsdgeneral
_GRIDS = (
    (81, 104, 83), (82, 106, 84), (81, 106, 82), (85, 99, 80),
    (79, 97, 78), (85, 113, 83), (78, 95, 81), (80, 103, 78),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is written.

    Attributes:
      images, size: of the brick, and pixels on a side.
      shared, own: images that everybody sees, and that one subject sees.
      planned: sessions.  per_run: stimulus trials of odd runs, of even runs, slots of a run.
    """

    images: int
    size: int
    shared: int
    own: int
    planned: int
    per_run: tuple[int, int, int]


SCALES = {
    'toy': Scale(1000, 64, 16, 88, 4, (7, 6, 9)),
    'full': Scale(73_000, 425, 1000, 9000, 40, (63, 62, 75)),
}


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes nsddata/, nsddata_betas/, nsddata_stimuli/ and annotations/ of one subject.

    Toy: four sessions of 78 trials are planned and three recorded; of subjects other than the
    first the betas of session 2 are missing. Betas b3 and b2 in func1pt8mm (.nii.gz and .hdf5, b3
    of session 1 also as .mat v7.3), b3 in func1mm, fsaverage (2,562 vertices a hemisphere; some
    are NaN in the last session) and nativesurface. Each space records other voxels of one brain,
    in the same trials. Cells are larger than the spaces' names say.

    Full: true array sizes and numbers of images and trials, but betas of sessions 1 and 2 alone,
    b3, func1pt8mm, .hdf5. Left out are other spaces, versions and formats, surface labels (their
    .ctab tables are there) and what the two sessions do not show: imgBrick has those images and the
    shared ones, annotations those alone. 9 of 10 scenes are not held out, too few for eight
    subjects of 9,000 each, so the last subject has some of the first one's.

    The truth, `<root>_truth/truth.npz`, is what a reader gives of func1pt8mm, b3, nsdgeneral, its
    own split and single trials of all sessions on disk: see `_nsd_truth.make`. Also `sessions`
    (those on disk), coco_ids and coco_coverage (see `_coco.write`).

    Args:
      root: the folder. It holds one subject: another one needs another folder.
      subject: 1 to 8.
      scale: 'toy' (seconds, 20 MB) or 'full' (minutes, 2.4 GB, under 3 GB of memory).
      seed: of everything; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale or a subject that does not exist.
    """
    spec = _study.scale(SCALES, scale, 'nsd')
    if subject not in range(1, _nsd_design.SUBJECTS + 1):
        raise errors.ConfigError(f'subject is {subject!r}', 'layouts.nsd', '1 to 8')
    root, toy = pathlib.Path(root), scale == 'toy'
    mark.leave(root)
    design = _nsd_design.make(spec.images, spec.shared, spec.own, spec.planned, spec.per_run, seed)
    recorded = 3 if toy else _nsd_design.RECORDED[subject - 1]
    on_disk = (1, 2) if not toy else (1, 2, 3) if subject == 1 else (1, 3)
    coverage = _write_experiment(root, design, spec, subject, recorded, toy, seed)
    rows = design.rows(subject, on_disk)
    ids = np.unique(rows['image_id'])
    voxels = _TOY_BRAIN if toy else round(_VOXELS[subject - 1] / _GENERAL)
    study = _study.simulate(seed, subject, voxels, ids, ~design.is_shared(ids))
    numbers = _nsd_labels.numbers(study.brain)
    spaces = _spaces(study.brain, subject, toy, seed)
    _write_anatomy(root, subject, spaces, numbers, on_disk, study.brain.ncsnr)
    known = _nsd_truth.known(spaces, numbers['nsdgeneral'] == 1, study.brain)
    columns = _write_betas(root, subject, study, spaces, known, rows)
    is_test = design.is_shared(rows['image_id'])
    truth = _nsd_truth.make(study, numbers, known, columns, rows, is_test)
    truth |= {'sessions': np.array(on_disk), 'coco_ids': coverage['ids']}
    truth |= {'coco_coverage': coverage['coverage']}
    results.write_npz(root.with_name(f'{root.name}_truth') / 'truth.npz', truth)
    return root


def _write_experiment(root, design, spec: Scale, subject: int, recorded: int, toy, seed) -> dict:
    """What was shown: design, table of images, answers, pictures and annotations."""
    folder = root / 'nsddata' / 'experiments' / 'nsd'
    results.write_bytes(folder / 'nsd_expdesign.mat', _nsd_design.mat(design))
    sheet = _nsd_design.sheet(design, _coco.originals(spec.images, seed))
    results.write_bytes(folder / 'nsd_stim_info_merged.csv', sheet)
    answers = root / 'nsddata' / 'ppdata' / f'subj{subject:02d}' / 'behav' / 'responses.tsv'
    results.write_bytes(answers, _nsd_design.responses(design, subject, recorded))
    shown = design.rows(subject, np.arange(1, (recorded if toy else 2) + 1))['image_id']
    shared = design.shared - 1
    ids = np.union1d(shown, shared)
    brick = root / 'nsddata_stimuli' / 'stimuli' / 'nsd' / 'nsd_stimuli.hdf5'
    brick.parent.mkdir(parents=True, exist_ok=True)
    pngs = root / 'nsddata' / 'stimuli' / 'nsd' / 'shared1000'
    one = (spec.size, spec.size, 3)
    with h5py.File(brick, 'w') as file:
        held = file.create_dataset(
            'imgBrick', (spec.images, *one), np.uint8, chunks=(1, *one), compression='gzip',
            compression_opts=1,
        )  # fmt: skip
        for start in range(0, len(ids), _BLOCK):
            block = ids[start : start + _BLOCK]
            pictures = _study.pictures(block, spec.size, seed)
            for i, picture in zip(block.tolist(), pictures, strict=True):
                held[i] = picture
                if i in shared:
                    number = np.searchsorted(shared, i) + 1
                    name = f'shared{number:04d}_nsd{i + 1:05d}.png'
                    results.write_bytes(pngs / name, _png(picture))
    return _coco.write(root, ids if toy else np.unique(shown), seed, spec.images)


def _spaces(brain: brains.Brain, subject: int, toy: bool, seed: int) -> dict:
    """{space: Volume or Surface}."""
    everyone = np.arange(len(brain.area))
    if not toy:
        grid = volumes.Grid(_GRIDS[subject - 1], 1.8)
        return {'func1pt8mm': volumes.place(grid, brain, everyone, 1.0, 4 / 3, (seed, subject, 1))}
    # Another size for each subject.
    s = subject - 1
    shape = np.array((20 + s % 3, 20 - s % 2, 16 + s % 4))
    coarse = volumes.Grid(tuple(shape.tolist()), 6.5)
    fine = volumes.Grid(tuple((shape + (1, 2, 1)).tolist()), 6.0)
    counts = (1500 + 7 * subject, 1480 - 5 * subject)
    return {
        'func1pt8mm': volumes.place(coarse, brain, everyone[::3], 0.7, 4 / 3, (seed, subject, 1)),
        'func1mm': volumes.place(fine, brain, everyone[1::3], 0.7, 1.0, (seed, subject, 2)),
        'fsaverage': surfaces.fsaverage(brain, FSAVERAGE, (seed, subject, 3)),
        'nativesurface': surfaces.native(brain, counts, everyone[2::3], (seed, subject, 4)),
    }


def _write_anatomy(root, subject: int, spaces: dict, numbers: dict, on_disk, ncsnr) -> None:
    """Masks, ROIs, label tables and signal-to-noise of each space."""
    name = f'subj{subject:02d}'
    labels = root / 'nsddata' / 'freesurfer'
    surfaces.write_tables(labels / name / 'label', numbers)
    surfaces.write_tables(labels / 'fsaverage' / 'label', _nsd_labels.ATLASES)
    for space, where in spaces.items():
        if isinstance(where, volumes.Volume):
            folder = root / 'nsddata' / 'ppdata' / name / space
            volumes.write_maps(folder, where, on_disk)
            volumes.write_rois(folder / 'roi', where, numbers)
        elif space == 'fsaverage':
            surfaces.write_labels(
                labels / space / 'label', where, {k: numbers[k] for k in _nsd_labels.ATLASES}
            )
        else:
            surfaces.write_labels(labels / name / 'label', where, numbers)
        for version, folder in _folders(root, subject, spaces, space).items():
            # The signal stays, the noise grows.
            true = ncsnr / _nsd_truth.B2_LESS if version == 'b2' else ncsnr
            if isinstance(where, volumes.Volume):
                volumes.write_ncsnr(folder, where, true[where.voxels])
            else:
                surfaces.write_ncsnr(folder, where, true)


def _folders(root, subject: int, spaces: dict, space: str) -> dict[str, pathlib.Path]:
    """{version: folder} of the betas of a space that are written."""
    folder = root / 'nsddata_betas' / 'ppdata' / f'subj{subject:02d}' / space
    both = space == 'func1pt8mm' and len(spaces) > 1
    return {k: folder / name for k, name in VERSIONS.items() if k == 'b3' or both}


def _write_betas(root, subject: int, study, spaces: dict, known: dict, rows: dict) -> dict:
    """Betas of all sessions of `rows`; what a reader gives of them, {key of `known`: [n k]}."""
    columns = {key: [] for key in known}
    sessions = np.unique(rows['session']).tolist()
    for session in sessions:
        at = rows['session'] == session
        signals = study.signals[study.rows(rows['image_id'][at])]
        percent = brains.measure(study.brain, signals, rows['session'][at], rows['run'][at])
        measured = _versions(study.brain, percent, session, len(spaces) > 1)
        for space, where in spaces.items():
            for version, folder in _folders(root, subject, spaces, space).items():
                values = measured[version]
                if isinstance(where, volumes.Volume):
                    stored = volumes.to_int16(values[:, where.voxels])
                    endings = ['hdf5']
                    if space == 'func1pt8mm' and len(spaces) > 1:
                        endings += ['nii.gz']
                        endings += ['mat'] * (version == 'b3' and session == sessions[0])
                    volumes.write_betas(folder, where, session, stored, endings)
                elif space == 'fsaverage':
                    surfaces.write_mgh(folder, where, session, values, session == sessions[-1])
                else:
                    surfaces.write_hdf5(folder, where, session, values)
        for key, one in known.items():
            values = measured[one.version][:, one.voxels]
            columns[key].append(values if one.floats else volumes.to_int16(values) / volumes.SCALE)
    return {key: np.concatenate(parts) for key, parts in columns.items()}


def _versions(brain: brains.Brain, percent: np.ndarray, session: int, both: bool) -> dict:
    """{version: [n v]} of one session: b2 is b3 with more noise."""
    if not both:
        return {'b3': percent}
    rng = np.random.default_rng((brain.seed, brain.subject, _B2, session))
    noise = rng.standard_normal(percent.shape, dtype=np.float32)
    return {'b3': percent, 'b2': percent + np.float32(_nsd_truth.B2_NOISE) * brain.scale * noise}


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'PNG', compress_level=1)
    return buffer.getvalue()
