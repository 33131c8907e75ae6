"""Natural Scenes Dataset (Allen et al. 2022): eight people, 10,000 photographs each, 7 T."""

import hashlib
import pathlib
import re

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting, store
from recon.data.datasets import coco
from recon.data.formats import (
    nifti,
    nsd_betas,
    nsd_checks,
    nsd_design,
    nsd_labels,
    nsd_pictures,
    nsd_rois,
    nsd_volumes,
)

DEFAULTS = dict(
    path='',  # the folder that holds nsddata, nsddata_betas and nsddata_stimuli
    subject=1,
    space='func1pt8mm',  # or 'func1mm', 'fsaverage', 'nativesurface'
    betas='b3',  # or 'b2', 'b1', or the name of their folder
    format='',  # 'hdf5', 'nii.gz', 'mat', 'mgh'; '' the first of them on disk, session by session
    sessions=0,  # 0 all on disk, n the first n (papers use 37 or 40)
    missing='refuse',  # a session that is not on disk before others that are; or 'skip' it
    voxels='nsdgeneral',  # 'brainmask', or names of areas with '+' between them
    split=dict(splitting.DEFAULTS),
    images_size=0,  # pixels on a side; 0 as stored (425)
    store='',  # folder of prepared voxels; '' is <path>_prepared
    verify=False,  # compare the checksums of prepared voxels before they are used
    annotations=True,  # read labels and captions where they are: a minute for 10,000 images
    coco=dict(coco.DEFAULTS),  # of them; its path by default the folder itself
)


def load(cfg) -> types.BrainData:
    """Reads one subject from the folder tree as NSD publishes it.

    Single trials are rows, in the order of time. On first use the chosen voxels of each session are
    written to a prepared store (`recon/data/store.py`) and read from there ever after. Trials go
    with images by nsd_expdesign.mat, compared with nsd_stim_info_merged.csv for all trials and with
    responses.tsv where it is there.

    Args:
      cfg: see DEFAULTS.

    Returns:
      voxels in percent signal change, volumes in C order over (X, Y, Z), surfaces left then right;
      image_id from 0 (nsdId); session from 1; run from 1 over all sessions (12 in each); repeat
      from 0, counting planned presentations in sessions that are not on disk too. By default shared
      images are `test`, all others `train`. rois: labels by name, those of atlases as
      'Kastner2015/V1v', 'HCP_MMP1/FFC', and the joint areas of facts['roi_definitions'].

    Raises:
      ConfigError, DataMissing, DataInvalid, LeakError: in one line, with the remedy.
    """
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    root, subject = _root(cfg), int(cfg['subject'])
    design = nsd_design.read(root, subject)
    sheet = nsd_design.read_sheet(root, design)
    notes, answered = nsd_design.check_responses(root, design)
    folder = nsd_betas.folder(root, subject, cfg['space'], cfg['betas'])
    numbers, absent = nsd_betas.choose(folder, cfg['sessions'], cfg['missing'])
    absent += _last(cfg, numbers, answered, notes)
    areas = nsd_rois.read(root, subject, cfg['space'])
    chosen = areas.choose(cfg['voxels'])
    sessions = nsd_betas.inspect(
        folder, numbers, cfg['format'], areas.grids, _positions(areas, chosen)
    )
    trials = _trials(design, sessions)
    notes += areas.notes + nsd_labels.unlike(areas.names) + nsd_rois.empty(areas)
    notes += nsd_checks.other_affines(sessions, areas.affine)
    left = chosen[: areas.grids[0][0]].sum() if areas.affine is None else None
    prepared = _prepare(cfg, root, folder, sessions, chosen, left)
    brain = nsd_rois.WHOLE in cfg['voxels']
    keep = nsd_checks.look_at(prepared, design.session[trials], folder, notes, left, brain)
    notes += _counts(cfg, root, subject, design, trials, int(keep.sum()))
    chosen = _narrow(chosen, keep)
    parts = splitting.parts(
        cfg['split'],
        design.image_id[trials],
        design.session[trials],
        np.where(np.isin(design.image_id[trials], design.shared), 'test', 'train'),
    )
    splits = {
        name: types.Split(
            voxels=prepared.rows(rows, keep),
            image_id=design.image_id[trials[rows]],
            run=design.run[trials[rows]],
            session=design.session[trials[rows]],
            repeat=design.repeat[trials[rows]],
        )
        for name, rows in parts.items()
    }
    shown = np.unique(np.concatenate([split.image_id for split in splits.values()]))
    images = nsd_pictures.read(root, shown, cfg['images_size'], notes)
    named = _annotate(cfg, root, shown, sheet, splits['train'].image_id, images.shape[0], notes)
    return types.BrainData(
        **splits,
        images=images,
        rois=areas.rois(chosen),
        voxel_info=_voxel_info(areas, chosen, folder, notes),
        **named,
        facts=_facts(cfg, root, folder, numbers, absent, areas, splits['test'], notes),
    )


def _root(cfg) -> pathlib.Path:
    root = pathlib.Path(cfg['path']).expanduser()
    if not cfg['path'] or not (root / 'nsddata').is_dir():
        what = 'no folder nsddata in it' if cfg['path'] else 'dataset.path is not set'
        raise errors.DataMissing(what, cfg['path'] or 'dataset.path', nsd_betas.REMEDY)
    return root


def _positions(areas, chosen: np.ndarray) -> list[np.ndarray]:
    """For each file of a session, where its wanted voxels lie in it."""
    if len(areas.grids) == 1:
        return [nsd_volumes.grid_index(chosen.reshape(areas.grids[0]))]
    left = areas.grids[0][0]
    return [np.flatnonzero(chosen[:left]), np.flatnonzero(chosen[left:])]


def _trials(design, sessions) -> np.ndarray:
    """[n] planned trials that are on disk, in the order of the files' rows."""
    for session in sessions:
        planned = len(design.trials(session.number))
        if session.trials != planned:
            raise errors.DataInvalid(
                f'session {session.number} has {session.trials} trials, {planned} are planned',
                session.recordings[0].path,
                f'betas and {nsd_design.EXPDESIGN.name} must be of one data set: fetch both again',
            )
    return np.concatenate([design.trials(session.number) for session in sessions])


def _last(cfg, numbers, answered, notes: list) -> list[int]:
    """Sessions after the last one on disk, where all were asked for; they are noted."""
    later = [] if cfg['sessions'] else nsd_checks.not_on_disk(numbers, answered)
    if later:
        shown = ', '.join(map(str, later))
        notes.append(f'sessions {shown} are in responses.tsv, their betas are not on disk')
    return later


def _prepare(cfg, root, folder, sessions, chosen, left) -> store.Store:
    first = sessions[0].recordings[0]
    some = next(sessions[0].read()).astype(np.float32) / first.divisor
    nsd_checks.unit(some, first.divisor, first.path, left)
    blocks = [
        store.Block(
            f'session{session.number:02d}',
            session.trials,
            tuple(recording.path for recording in session.recordings),
            session.read,
        )
        for session in sessions
    ]
    name = re.sub(r'[^\w.+-]', '-', cfg['voxels'].replace(',', '+'))
    if len(name) > 60:
        name = f'{name[:48]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}'
    above = pathlib.Path(cfg['store'] or f'{root.resolve()}_prepared').expanduser()
    place = above / folder.parts[-3] / f'{cfg["space"]}_{folder.name}_{name}'
    prepared = store.prepare(
        place,
        blocks,
        voxels=np.flatnonzero(chosen),
        dtype=first.dtype,
        divisor=first.divisor,
        about={'source': 'nsd', 'space': cfg['space'], 'betas': folder.name, 'voxels': name},
    )
    if cfg['verify']:
        store.load(place, [block.name for block in blocks], verify=True)
    return prepared


def _narrow(chosen: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """`chosen` [p] without the chosen that are not kept."""
    out = chosen.copy()
    out[np.flatnonzero(chosen)[~keep]] = False
    return out


def _counts(cfg, root, subject, design, trials, voxels: int) -> list[str]:
    """Sentences where counts are not those that a paper would give."""
    notes = []
    seen = np.isin(design.shared, design.image_id[trials]).sum()
    if seen < len(design.shared):
        notes.append(f'{seen} of {len(design.shared)} shared images are shown in these sessions')
    published = nsd_labels.PUBLISHED[subject - 1 : subject]
    usual = cfg['voxels'] == 'nsdgeneral' and cfg['space'] == 'func1pt8mm'
    if usual and not mark.facts(root) and published and voxels != published[0]:
        notes.append(f'nsdgeneral has {voxels} voxels, {published[0]} were published')
    return notes


def _voxel_info(areas, chosen, folder, notes: list) -> dict:
    info = {'hemisphere': areas.hemisphere(chosen)}
    if areas.affine is not None:
        info['xyz'] = areas.xyz(chosen)
        paths = [folder / 'ncsnr.nii.gz']
    else:
        paths = [folder / f'{side}.ncsnr.mgh' for side in ('lh', 'rh')]
        if folder.parent.name == 'fsaverage':
            vertex = np.concatenate([np.arange(grid[0]) for grid in areas.grids])
            info['vertex'] = vertex[chosen].astype(np.int32)
    if not all(path.exists() for path in paths):
        notes.append(f'{paths[0].name} is not there: no noise ceiling')
        return info
    parts = []
    for path, grid in zip(paths, areas.grids, strict=True):
        if areas.affine is not None:
            volume, affine = nifti.read(path, 3)
            nifti.check_grid(path, volume.shape, affine, grid, areas.affine)
            parts.append(volume.ravel())
        else:
            parts.append(nsd_rois.surface(path, grid[0]))
    ncsnr = np.concatenate(parts)[chosen].astype(np.float32)
    return info | {'ncsnr': np.nan_to_num(ncsnr)}


def _annotate(cfg, root, shown, sheet, train, size: int, notes: list) -> dict:
    """COCO's labels and captions of the shown images, where annotations are there."""
    options = dict(cfg['coco'])
    if not cfg['annotations']:
        return {}
    if not options.get('path'):
        if not (root / 'annotations').is_dir():
            return {}
        options['path'] = str(root)
    found = coco.read(
        options,
        shown,
        sheet['cocoId'][shown],
        sheet['cocoSplit'][shown],
        sheet['cropBox'][shown],
        size=size,
        counted=np.isin(shown, train),
    )
    notes += found.notes
    return {
        'labels': found.by_id(),
        'label_names': found.label_names,
        'coverage': dict(zip(found.ids.tolist(), found.coverage, strict=True)),
        'captions': found.captions or None,
    }


def _facts(cfg, root, folder, numbers, absent, areas, test, notes) -> dict:
    trials = np.unique(test.image_id, return_counts=True)[1]
    unions = {name: ' + '.join(parts) for name, parts in areas.unions().items()}
    return {
        'source': 'nsd',
        'subject': int(cfg['subject']),
        'split': splitting.describe(cfg['split'], 'shared images (shared1000) test, others train'),
        'rows': 'single trials',
        'voxel_unit': 'percent signal change',
        'space': cfg['space'],
        'betas': folder.name,
        'voxels': cfg['voxels'],
        'sessions': [int(n) for n in numbers],
        'missing_sessions': [int(n) for n in absent],
        'test_images': len(trials),
        'test_images_by_trials': {
            str(k): int((trials == k).sum()) for k in np.unique(trials).tolist()
        },
        'roi_definitions': unions,
        'notes': notes,
    } | mark.facts(root)
