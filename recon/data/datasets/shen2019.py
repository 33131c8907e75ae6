"""Deep Image Reconstruction: three people see photographs, shapes, letters (Shen et al. 2019)."""

import pathlib
import re

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.formats import (
    bdata,
    kamitani_checks,
    kamitani_ids,
    kamitani_images,
    kamitani_rows,
    kamitani_sets,
)

DEFAULTS = dict(
    path='',  # the folder that holds sub-01_..._original_VC.h5 or ..._fmriprep_volume_native.h5
    subject=1,
    release='',  # 'original' or 'fmriprep'; empty: the one that is there
    images='',  # the folder with training/, test/, artificial/, letters/; default: images/ in path
    image_size=0,  # pixels on a side; 0: as stored (256 where stored sizes differ)
    rows='single',  # 'single', or 'averaged': one mean row an image
    rois='',  # read only these areas, 'V1+V2'; empty: every voxel
    split=dict(splitting.DEFAULTS),
)
PUBLISHED = {'train': (1200, 5), 'test': (50, 24)}  # images, presentations of each
# What the name of a file says that it holds, by a part of it in small letters.
SETS = {
    'train': ('perceptionnaturalimagetraining', 'imagenettraining'),
    'test': ('perceptionnaturalimagetest', 'imagenettest'),
    'artificial': ('artificial',),
    'letters': ('letter', 'alphabet'),
    'imagery': ('imagery',),
}
RELEASES = {
    'original': 'sub-{:02d}_perceptionNaturalImage{}_original_VC.h5',
    'fmriprep': 'sub-{:02d}_ImageNet{}_fmriprep_volume_native.h5',
}
_FILE = re.compile(r'sub-(\d+)_(.+)_(original|fmriprep)_(.+)\.h5')
_REMEDY = (
    '`python launch/fetch.py shen2019` says where it is; `python launch/simulate.py '
    '--layout=shen2019 --out=DIR` writes a simulated one, and so does :smoke of a config'
)
_NO_PICTURES = (
    'their names are those of the stimuli; they come by request form only: '
    '`python launch/fetch.py shen2019`; set dataset.images to their folder'
)


def load(cfg) -> types.BrainData:
    """Reads the files of one subject and one release; natural images train and test.

    Artificial shapes, letters and imagery are extra tests, each where its file, the names of its
    stimuli and their pictures are there; otherwise a note says what is lacking. Names come from a
    value map of the file, or from a list beside it (ArtificialImage.tsv: name, tab, number);
    pictures are matched by name in images/<set>, those of imagery in images/test and
    images/artificial too. Rows of which there is no picture (fixation) are left out, with a note.

    Args:
      cfg: see DEFAULTS.

    Returns:
      As `god`, with sessions where the files have them: those of test follow on those of train.

    Raises:
      DataMissing: no file of the subject, or pictures of natural images; the first is named.
      DataInvalid: a file that is broken or no BData, files whose voxels are not the same, ids that
        cannot be parsed, a part of another unit than training.
      LeakError: an image in both training and test.  ConfigError: an option that does not fit, or
        two releases in one folder and none chosen.
    """
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    release, paths = _files(cfg)
    root = paths['train'].parent
    images = pathlib.Path(cfg['images']).expanduser() if cfg['images'] else root / 'images'
    parts, cortex, pictures, notes = _read(cfg, paths, root, images)
    parts, there, missing = kamitani_checks.sessions(parts)
    simulated = mark.facts(root)
    notes += kamitani_checks.cortex_notes(cortex) + kamitani_checks.check_unit(parts, root)
    notes += kamitani_checks.counts(parts, {} if simulated else PUBLISHED)
    if missing:
        notes.append(f'sessions {", ".join(map(str, missing))} are missing')
    runs = kamitani_checks.run_facts(parts, notes)
    made = kamitani_rows.splits(cfg['split'], parts, cfg['rows'])
    for name in ('train', 'test'):
        _check_lists(root, name, parts[name])
    opened, said = kamitani_images.opened(pictures, cfg['image_size'])
    return types.BrainData(
        train=made['train'],
        validation=made.get('validation'),
        test=made['test'],
        extra_tests={name: made[name] for name in parts if name not in ('train', 'test')},
        images=opened,
        rois=cortex.rois,
        voxel_info=cortex.info,
        facts=_facts(cfg, release, made, notes + said)
        | ({'sessions': there, 'missing_sessions': missing} if there else {})
        | runs
        | simulated,
    )


def _read(cfg: dict, paths: dict, root, images) -> tuple:
    """{set: Part}, the Cortex that all share, {name: path} of pictures, and notes."""
    parts, cortex, pictures, notes = {}, None, {}, _absent(cfg, paths)
    for name, path in paths.items():
        with bdata.opened(path) as file:
            found = kamitani_rows.cortex(file, cfg['rois'])
            cortex = cortex or found
            kamitani_rows.check_same(cortex, found, path)
            if name in ('train', 'test'):
                part = _part(file, kamitani_rows.natural(file), found)
                below = images / ('training' if name == 'train' else 'test')
                parts[name] = part
                pictures |= kamitani_images.find(part.image_id, below, _NO_PICTURES)
                continue
            shown, said = kamitani_sets.names(file, name, root)
            notes += said
            if shown is None:
                continue
            keep, held, said = kamitani_sets.pictures(shown, name, images, pictures)
            notes, pictures = notes + said, pictures | held
            if keep.any():
                parts[name] = _part(file, shown, found).rows(keep)
    return parts, cortex, pictures, notes


def _absent(cfg: dict, paths: dict) -> list[str]:
    """Notes on the further sets of which there is no file, and what its name would be like."""
    start = f'sub-{cfg["subject"]:02d}_...'
    tail = re.search(r'(original|fmriprep)_.+', paths['train'].name)[0]
    return [
        f'no file of {name} ({" or ".join(f"{start}{word}..._{tail}" for word in SETS[name])}, in '
        'small or capital letters): it is left out'
        for name in SETS
        if name not in paths
    ]


def _check_lists(root: pathlib.Path, name: str, part: kamitani_rows.Part) -> None:
    """NaturalImageTraining.tsv and NaturalImageTest.tsv, where there, must name every stimulus."""
    word = SETS[name][0].removeprefix('perception')
    for path in sorted(p for p in root.iterdir() if p.suffix in ('.tsv', '.csv')):
        if word in path.name.lower():
            kamitani_ids.check_listed(path, part.image_id, name)


def _facts(cfg: dict, release: str, made: dict, notes: list[str]) -> dict:
    return {
        'source': 'shen2019',
        'subject': cfg['subject'],
        'release': release,
        'split': splitting.describe(
            cfg['split'], 'the training and test sessions of natural images'
        ),
        'rows': 'single trials' if cfg['rows'] == 'single' else 'mean of each image',
        'voxel_unit': 'as stored in the files, which do not say',
        'categories': kamitani_checks.categories(made),
        'notes': notes,
    }


def _part(file, image_id: np.ndarray, cortex) -> kamitani_rows.Part:
    return kamitani_rows.Part(
        file.select(cortex.columns, np.float32),
        image_id,
        kamitani_rows.numbers(file, 'Run'),
        kamitani_rows.numbers(file, 'Session'),
    )


def _files(cfg: dict) -> tuple[str, dict[str, pathlib.Path]]:
    """The release, and {set: path} of its files, in the order of SETS.

    Raises:
      DataMissing: no training or no test file.  ConfigError: two releases, two files of a set.
    """
    if not cfg['path']:
        raise errors.DataMissing('dataset.path is not set', 'config', _REMEDY)
    if cfg['release'] not in ('', *RELEASES):
        raise errors.ConfigError(
            f'dataset.release is {cfg["release"]!r}', 'config', f"'' or one of {[*RELEASES]}"
        )
    root = pathlib.Path(cfg['path']).expanduser()
    root = next((f for f in (root, root / 'fmri', root / 'data') if any(f.glob('sub-*.h5'))), root)
    found = {}
    for path in sorted(root.glob('sub-*.h5')):
        match = _FILE.fullmatch(path.name)
        if not match or int(match[1]) != cfg['subject']:
            continue
        kind = _set(match[2])
        if kind and (match[3], kind) in found:
            raise errors.ConfigError(
                f'two files of {kind}: {found[match[3], kind].name} and {path.name}',
                root,
                'keep one of them in the folder',
            )
        if kind:
            found[match[3], kind] = path
    there = sorted({release for release, _ in found})
    if not cfg['release'] and len(there) > 1:
        raise errors.ConfigError(
            f'files of two releases: {" and ".join(there)}',
            root,
            "set dataset.release='original' or 'fmriprep': their voxels are not the same",
        )
    release = cfg['release'] or (there[0] if there else 'original')
    for kind, word in (('train', 'Training'), ('test', 'Test')):
        if (release, kind) not in found:
            subjects = sorted({p.name[:6] for p in root.glob('sub-*.h5')})
            raise errors.DataMissing(
                f'no {RELEASES[release].format(cfg["subject"], word)} '
                f'({", ".join(subjects) or "no subject"} there)',
                root,
                _REMEDY,
            )
    return release, {kind: found[release, kind] for kind in SETS if (release, kind) in found}


def _set(text: str) -> str | None:
    """'perceptionArtificialImage' -> 'artificial'; None for what is none of SETS."""
    return next((k for k, parts in SETS.items() if any(p in text.lower() for p in parts)), None)
