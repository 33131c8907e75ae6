"""NSD responses on fsaverage as the Algonauts 2023 challenge gives them (Gifford et al. 2023)."""

import pathlib
import re

import numpy as np

from recon.core import errors, types
from recon.data import mark, splitting
from recon.data.checks import leaks
from recon.data.formats import (
    algonauts_fmri,
    algonauts_images,
    algonauts_rois,
    algonauts_surface,
    algonauts_tree,
    coco_table,
    files,
)

DEFAULTS = dict(
    path='',  # the folder that holds subj01 ... subj08, or one of them
    subject=1,
    layout='',  # 'official', 'course' (5,000 numbered pictures), or '' by the pictures' names
    rois='',  # read only these areas ('V1+V2', 'set1'); '' all vertices
    pickles=False,  # read label tables from mapping_*.npy instead of the built-in ones
    nsd='',  # nsd_stim_info_merged.csv or NSD's root: checks ids, gives course pictures NSD ids
    test='own',
    split=dict(splitting.DEFAULTS),
)
# Published: training and test pictures, left and right vertices.
PUBLISHED = {
    1: (9841, 159, 19004, 20544), 2: (9841, 159, 19004, 20544), 3: (9082, 293, 19004, 20544),
    4: (8779, 395, 19004, 20544), 5: (9841, 159, 19004, 20544), 6: (9082, 293, 18978, 20220),
    7: (9841, 159, 19004, 20544), 8: (8779, 395, 18981, 20530),
}  # fmt: skip
COURSE = 5000  # training pictures of a subject in the course's copy
_REMEDY = (
    '`python launch/fetch.py algonauts2023` says what to get and where; `python launch/simulate.py '
    '--layout=algonauts2023 --out=DIR` writes simulated files, as does the config with :smoke'
)


def load(cfg) -> types.BrainData:
    """Reads one subject of the official tree, or of the copy that a course gave out.

    Rows are averages of z-scores over the repeats of a picture in the training sessions; how many
    is not told, so `trials` is 1 and `session`, `run` and `repeat` are -1. Own split: the training
    and the test split, where test responses are there, else a fraction. Other splits are of the
    training rows; official test rows, if there, are then `extra_tests['official_test']`.

    Ids are NSD's from 0, of the pictures' names. In the course's copy they are the pictures'
    numbers, or NSD's ids if `nsd` tells them.

    Args:
      cfg: see DEFAULTS.

    Returns:
      Columns left then right hemisphere, ascending vertices. ROIs: every area of the masks, unions
      and sets (`facts['roi_definitions']`). voxel_info: hemisphere; vertex; where the later release
      is there, noise_ceiling (r squared of a test row, an average). Labels of the course's copy:
      133 COCO categories.

    Raises:
      DataMissing: files that are not there.  DataInvalid: a file that cannot be read or contradicts
        another.  ConfigError: an option that does not fit.  LeakError: test='shared1000'.
    """
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    if cfg['test'] != 'own':
        _refuse_test(cfg['test'])
    root, subject = _folder(cfg)
    layout = _layout(cfg, root)
    pictures = algonauts_tree.course if layout == 'course' else algonauts_tree.official
    seen = pictures(root, subject, cfg['nsd'])
    folder = root / 'training_split' / 'training_fmri'
    train = algonauts_fmri.pair(folder, 'training')
    algonauts_fmri.check_rows(train, seen.count, folder)
    columns = tuple(array.shape[1] for array in train)
    surface = algonauts_surface.read(root / 'roi_masks', layout, columns)
    tests = algonauts_tree.tests(root, layout, columns)
    tables = {name: _table(cfg, root, name) for name in surface.labels}
    rois = algonauts_rois.rois(surface.labels, tables, root / 'roi_masks')
    keep = _keep(cfg['rois'], rois, len(surface.hemisphere))
    notes = _without_own(cfg) if tests.ids is None else []
    splits = _splits(cfg, seen, (train, folder), tests, keep)
    paths, ids = seen.paths, seen.ids
    if tests.ids is not None:
        paths, ids = paths + tests.paths, np.concatenate([ids, tests.ids])
    facts = _facts(cfg, root, subject, layout, seen, surface, rois)
    info = _voxel_info(root, surface, columns)
    facts['notes'] += [*notes, *tests.notes, *_counts(facts, seen, tests, subject, columns)]
    return types.BrainData(
        splits['train'],
        splits['test'],
        algonauts_images.images(paths, ids),
        validation=splits.get('validation'),
        extra_tests={k: s for k, s in splits.items() if k == 'official_test'},
        rois={name: roi[keep] for name, roi in rois.items()},
        voxel_info={k: v[keep] for k, v in info.items()},
        labels=seen.labels,
        label_names=coco_table.table().names if seen.labels else (),
        facts=facts,
    )


def _without_own(cfg: dict) -> list[str]:
    """Where test responses are not there, 'own' becomes a fraction of the training pictures."""
    if cfg['split'].get('by', 'own') != 'own':
        return []
    cfg['split'] = dict(splitting.DEFAULTS) | dict(cfg['split']) | {'by': 'fraction'}
    return [
        'no test responses with their pictures (the challenge withheld them, the course has none): '
        f'{cfg["split"]["test"]:.0%} of the training pictures test'
    ]


def _refuse_test(test: str) -> None:
    if test == 'shared1000':
        leaks.refuse(leaks.ALGONAUTS, None, leaks.SHARED, None)
    raise errors.ConfigError(
        f'dataset.test is {test!r}', 'config', "'own'; other splits are dataset.split.by"
    )


def _folder(cfg) -> tuple[pathlib.Path, int]:
    """The folder of one subject, and which it is."""
    if not cfg['path']:
        raise errors.DataMissing('dataset.path is not set', 'algonauts2023', _REMEDY)
    path = pathlib.Path(cfg['path']).expanduser()
    inside = path / f'subj{int(cfg["subject"]):02d}'
    if (path / 'training_split').is_dir() and not inside.is_dir():
        named = re.fullmatch(r'subj(\d+)', path.resolve().name)
        return path, int(named[1]) if named else int(cfg['subject'])
    if not (inside / 'training_split').is_dir():
        there = sorted(p.name for p in path.glob('subj*')) if path.is_dir() else []
        raise errors.DataMissing(
            f'no {inside.name}/training_split (there: {", ".join(there) or "no subject"})',
            path,
            _REMEDY,
        )
    return inside, int(cfg['subject'])


def _layout(cfg, root) -> str:
    if cfg['layout'] not in ('', 'official', 'course'):
        raise errors.ConfigError(
            f'dataset.layout is {cfg["layout"]!r}', 'config', "'official', 'course' or ''"
        )
    official = algonauts_images.is_official(root / 'training_split' / 'training_images')
    return cfg['layout'] or ('official' if official else 'course')


def _splits(
    cfg, seen: algonauts_tree.Pictures, train, tests: algonauts_tree.Pictures, keep
) -> dict[str, types.Split]:
    """Splits by name, read from the two pairs of arrays without a copy of the whole."""
    own = cfg['split'].get('by', 'own') == 'own'
    n = len(seen.ids)
    ids, part = seen.ids, None
    if own:
        ids = np.concatenate([seen.ids, tests.ids])
        part = np.repeat(['train', 'test'], [n, len(tests.ids)])

    def rows(source: algonauts_tree.Pictures, responses, index) -> types.Split:
        voxels = algonauts_fmri.read(responses[0], source.rows[index], keep, responses[1])
        return types.Split(voxels, source.ids[index])

    splits = {}
    for name, index in splitting.parts(cfg['split'], ids, own=part).items():
        if own and name == 'test':
            splits[name] = rows(tests, tests.responses, index - n)
        else:
            splits[name] = rows(seen, train, index)
    if not own and tests.ids is not None:
        both = np.intersect1d(seen.ids, tests.ids)
        if len(both):
            raise errors.LeakError(
                f'image {both[0]} is in the training and in the test split',
                tests.responses[1],
                'the challenge has no such image: extract the archive again',
            )
        splits['official_test'] = rows(tests, tests.responses, np.arange(len(tests.ids)))
    return splits


def _table(cfg, root, name: str) -> dict[int, str]:
    if not cfg['pickles']:
        return algonauts_rois.table(name)
    return algonauts_rois.mapping(root / 'roi_masks' / f'mapping_{name}.npy')


def _keep(wanted, rois: dict, count: int) -> np.ndarray:
    """[v] bool: the union of the areas that are to be read, one text or several."""
    wanted = wanted if isinstance(wanted, str) else '+'.join(wanted)
    names = [name.strip() for name in wanted.replace('+', ',').split(',') if name.strip()]
    if not names:
        return np.ones(count, bool)
    unknown = [name for name in names if name not in rois]
    if unknown:
        sizes = ', '.join(f'{name} ({int(roi.sum())})' for name, roi in sorted(rois.items()))
        raise errors.ConfigError(
            f'dataset.rois names {", ".join(map(repr, unknown))}', 'config', f'areas: {sizes}'
        )
    keep = np.any([rois[name] for name in names], axis=0)
    if not keep.any():
        raise errors.DataInvalid(
            f'no vertex is in {"+".join(names)}', 'dataset.rois', 'this subject lacks the area'
        )
    return keep


def _voxel_info(root, surface: algonauts_surface.Surface, columns) -> dict[str, np.ndarray]:
    info = {'hemisphere': surface.hemisphere}
    if surface.vertex is not None:
        info['vertex'] = surface.vertex
    folder = root / 'test_split' / 'noise_ceiling'
    paths = [folder / f'{side}_noise_ceiling.npy' for side in algonauts_fmri.SIDES]
    if not any(path.exists() for path in paths):
        return info
    halves = [files.npy(path, 1, 'f') for path in paths]
    for path, half, count in zip(paths, halves, columns, strict=True):
        if len(half) != count or not ((half >= 0) & (half <= 1)).all():
            raise errors.DataInvalid(
                f'{len(half)} values, largest {half.max(initial=0):.4g}',
                path,
                f'wanted {count} fractions from 0 to 1, one a vertex',
            )
    ceiling = np.concatenate(halves).astype(np.float32)
    return info | {'noise_ceiling': ceiling}


def _facts(cfg, root, subject, layout, seen, surface, rois) -> dict:
    empty = sorted(name for name, roi in rois.items() if not roi.any())
    notes = [*seen.notes, *surface.notes]
    if empty:
        notes.append(f'areas without a vertex in this subject: {", ".join(empty)}')
    facts = {
        'source': 'algonauts2023',
        'layout': layout,
        'subject': subject,
        'split': splitting.describe(cfg['split'], "the challenge's training and test split"),
        'rows': 'means over the repeats of a picture, one to three; how many is not told',
        'voxel_unit': 'z-score (session by session), then averaged',
        'id_space': seen.space,
        'test': 'own',
        'contains_shared1000': True,
        'training_pictures': seen.count,
        'vertices': [int((surface.hemisphere == side).sum()) for side in (0, 1)],
        'roi_definitions': algonauts_rois.definitions(rois),
        'notes': notes,
    }
    if seen.shared is not None:
        facts['shared1000_in_training'] = seen.shared
    return facts | mark.facts(root) | mark.facts(root.parent)


def _counts(facts: dict, seen, tests, subject: int, columns) -> list[str]:
    """Counts that are unlike the published ones; simulated folders have their own."""
    if facts.get('simulated') or subject not in PUBLISHED:
        return []
    train, test, left, right = PUBLISHED[subject]
    found = {'training pictures': (seen.count, COURSE if facts['layout'] == 'course' else train)}
    found |= {'left vertices': (columns[0], left), 'right vertices': (columns[1], right)}
    if tests.ids is not None:
        found['test pictures'] = (tests.count, test)
    return [f'{a} {name}, published are {b}' for name, (a, b) in found.items() if a != b]
