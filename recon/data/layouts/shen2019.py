"""Writes the simulated brain as the published files of Deep Image Reconstruction."""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors, results
from recon.data import mark
from recon.data.layouts import _bdata, _study
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes

_IMAGINED = 0.4  # of the response to the picture, when it is imagined
_FIXATION = 'fixation'  # one stimulus of imagery, without a picture
FILES = {
    'original': {
        'train': 'perceptionNaturalImageTraining',
        'test': 'perceptionNaturalImageTest',
        'artificial': 'perceptionArtificialImage',
        'letters': 'perceptionLetterImage',
        'imagery': 'imagery',
    },
    'fmriprep': {
        'train': 'ImageNetTraining',
        'test': 'ImageNetTest',
        'artificial': 'ArtificialShapes',
        'letters': 'LetterImage',
        'imagery': 'Imagery',
    },
}
_TAIL = {'original': 'original_VC', 'fmriprep': 'fmriprep_volume_native'}
_PICTURES = {
    'train': ('training', 'JPEG'),
    'test': ('test', 'JPEG'),
    'artificial': ('artificial', 'png'),
    'letters': ('letters', 'png'),
}
_LISTS = {
    'original': {
        'train': 'NaturalImageTraining',
        'test': 'NaturalImageTest',
        'artificial': 'ArtificialImage',
        'letters': 'LetterImage',
        'imagery': 'Imagery',
    },
    'fmriprep': {},
}


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is written, of each set: (images, presentations, images of a run, sessions).

    Attributes:
      imagined: how many natural test images and how many shapes are imagined; fixation is one more.
      of_each: images of a training category.  voxels: of subject 1.  size: pixels of a picture.
    """

    sets: dict[str, tuple[int, int, int, int]]
    imagined: tuple[int, int]
    of_each: int
    voxels: int
    size: int


SCALES = {
    'toy': Scale(
        {
            'train': (60, 5, 20, 3),
            'test': (12, 4, 12, 2),
            'artificial': (8, 3, 8, 1),
            'letters': (5, 2, 5, 1),
            'imagery': (8, 2, 8, 1),
        },
        (3, 4),
        4,
        420,
        64,
    ),
    'full': Scale(
        {
            'train': (1200, 5, 50, 15),
            'test': (50, 24, 50, 3),
            'artificial': (40, 20, 40, 2),
            'letters': (10, 12, 10, 1),
            'imagery': (26, 20, 26, 2),
        },
        (10, 15),
        8,
        4500,
        500,
    ),
}


def write(
    root, *, subject: int = 1, scale: str = 'toy', seed: int = 0, release: str = 'original'
) -> pathlib.Path:
    """Writes the five files of one subject, lists of stimuli, and pictures by set.

    'original': `Label` has three columns (trial, stimulus id, category), the second is the id;
    shapes, letters and imagery have numbers, and lists (ArtificialImage.tsv: name, tab, number)
    name them; V4; no sessions. 'fmriprep': value maps `stimulus_name` and `imagery_name`, sessions
    counted from 1 in each file, runs in each session, hV4, other voxels. One stimulus of imagery is
    'fixation', of which there is no picture. Natural images are JPEG, the others PNG. Scenes stand
    for all of them.

    `<root>_truth/truth.npz`: what the reader gives; see `layouts.god`.

    Args:
      root: folder, made if it is not there.
      subject: 1 to 3 in the real data.
      scale: 'toy' (seconds) or 'full' (6,000 + 1,200 + 800 + 120 + 520 rows).
      seed: of everything; the same seed gives the same bytes.
      release: 'original' or 'fmriprep'.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale or a release that does not exist.
    """
    spec, root = _study.scale(SCALES, scale, 'shen2019'), pathlib.Path(root)
    if release not in FILES:
        raise errors.ConfigError(f'release is {release!r}', 'layouts.shen2019', f'{[*FILES]}')
    shown = _stimuli(spec, seed)
    ids = np.concatenate([s['scene'] for name, s in shown.items() if name != 'imagery'])
    order = np.argsort(ids)
    voxels = spec.voxels if release == 'original' else spec.voxels + 40
    fitted = order < len(shown['train']['scene'])
    study = _study.simulate(seed, subject, voxels, ids[order], fitted)
    folder, truth, before = root.with_name(f'{root.name}_truth'), {}, (0, 0)
    for number, (name, stimuli) in enumerate(shown.items()):
        rows = _rows(spec.sets[name], np.random.default_rng((seed, subject, number, 13)))
        time = (100 * number + rows['session'], 1000 * number + rows['run'])
        signals = _signals(study, stimuli, rows['index'], name == 'imagery')
        voxels = brains.measure(study.brain, signals, *time)
        path = root / f'sub-{subject:02d}_{FILES[release][name]}_{_TAIL[release]}.h5'
        _bdata.write_h5(path, _table(release, name, study.brain, voxels, stimuli, rows))
        truth |= _truth(name, voxels, stimuli, rows, before, release)
        before = (before[0] + rows['run'].max(), before[1] + rows['session'].max())
        if name != 'imagery':
            below, ending = _PICTURES[name]
            args = (stimuli['name'], stimuli['scene'], spec.size, seed, ending)
            _bdata.pictures(root / 'images' / below, *args)
        if name in _LISTS[release]:
            _list(root / f'{_LISTS[release][name]}.tsv', stimuli)
    pictured = [s for name, s in shown.items() if name != 'imagery']
    names = np.concatenate([s['name'] for s in pictured])
    scene = np.concatenate([s['scene'] for s in pictured])
    results.write_npz(folder / 'truth.npz', truth | _bdata.known(study, names, scene))
    mark.leave(root)
    return root


def _stimuli(spec: Scale, seed: int) -> dict[str, dict]:
    """{set: name [m] <U, scene [m], number [m] float64: as lists have it}."""
    rng = np.random.default_rng((seed, 13))
    counts = {name: numbers[0] for name, numbers in spec.sets.items()}
    train = scenes.choose(counts['train'], False, rng)
    tests = ('test', 'artificial', 'letters')
    others = rng.permutation(scenes.choose(sum(counts[name] for name in tests), True, rng))
    found = {'train': train}
    found |= dict(
        zip(tests, np.split(others, np.cumsum([counts[n] for n in tests])[:-1]), strict=True)
    )
    found['test'] = np.sort(found['test'])
    made = {}
    for name, of_each in (('train', spec.of_each), ('test', 1)):
        wordnet = _bdata.wordnet(counts[name], of_each, name == 'test')
        made[name] = {
            'name': _bdata.name(wordnet, found[name]),
            'scene': found[name],
            'number': _bdata.number(wordnet, found[name]),
        }
    for name, word in (('artificial', 'shape'), ('letters', 'letter')):
        number = np.arange(1, counts[name] + 1)
        tails = [chr(64 + i) for i in number] if name == 'letters' else number.tolist()
        texts = np.array([f'{word}_{tail}' for tail in tails])
        made[name] = {'name': texts, 'scene': found[name], 'number': number.astype(float)}
    natural, shapes = spec.imagined
    names = [*made['test']['name'][:natural], *made['artificial']['name'][:shapes], _FIXATION]
    scene = np.concatenate([found['test'][:natural], found['artificial'][:shapes], [-1]])
    number = np.arange(1.0, len(names) + 1)
    made['imagery'] = {'name': np.array(names), 'scene': scene, 'number': number}
    assert len(names) == counts['imagery']
    return made


def _rows(numbers: tuple[int, int, int, int], rng) -> dict[str, np.ndarray]:
    """Index of the stimulus, run (from 1 in the file) and session (from 1) of each row."""
    images, times, length, sessions = numbers
    index = np.concatenate([rng.permutation(images) for _ in range(times)])
    run = np.arange(len(index)) // length
    session = run * sessions // (run[-1] + 1)
    return {'index': index, 'run': run + 1, 'session': session + 1, 'rng': rng}


def _signals(study, stimuli: dict, index, imagined: bool) -> np.ndarray:
    """[n v] noise-free; nothing is seen at fixation (scene -1)."""
    scene = stimuli['scene'][index]
    signals = study.signals[study.rows(np.where(scene < 0, study.ids[0], scene))]
    signals[scene < 0] = 0
    return signals * np.float32(_IMAGINED) if imagined else signals


def _table(release: str, name: str, brain, voxels, stimuli: dict, rows: dict) -> _bdata.Table:
    index, run, session = rows['index'], rows['run'], rows['session']
    trial = np.arange(1, len(index) + 1)
    number = stimuli['number'][index]
    natural = name in ('train', 'test')
    category = np.unique(number.astype(int), return_inverse=True)[1] + 1 if natural else 0 * run
    if release == 'original':
        fields = {'Run': run, 'Label': np.stack([trial, number, category], 1)}
        return _bdata.Table(voxels, fields, _bdata.marks(brain))
    run = run - np.searchsorted(session, session) // max(1, np.bincount(run)[1])  # from 1 again
    key = 'imagery_name' if name == 'imagery' else 'stimulus_name'
    image_index = 'imagery_image_index' if name == 'imagery' else 'image_index'
    label = {
        'trial_no': trial,
        'trial_type': np.ones(len(index)),
        key: index + 1,
        'category_index': category,
        image_index: index + 1,
        'response': np.full(len(index), np.nan),
    }
    motion = {
        f'{kind}_{axis}': 0.1 * rows['rng'].standard_normal(len(index))
        for kind in ('trans', 'rot')
        for axis in 'xyz'
    }
    marks = _bdata.marks(brain, 'hV4')
    marks |= {f'voxel_{axis}': np.rint(brain.xyz[:, i] / 2) + 50 for i, axis in enumerate('ijk')}
    texts = {key: {i + 1: text for i, text in enumerate(stimuli['name'].tolist())}}
    return _bdata.Table(
        voxels,
        {'Session': session, 'Run': run, 'Block': trial} | label | motion,
        marks,
        texts | {'trial_type': {1: 'imagery' if name == 'imagery' else 'perception'}},
        {'Label': tuple(label), 'MotionParameter': tuple(motion)},
    )


def _truth(name: str, voxels, stimuli: dict, rows: dict, before, release: str) -> dict:
    seen = stimuli['scene'][rows['index']] >= 0
    image_id = stimuli['name'][rows['index']][seen]
    session = rows['session'][seen] + before[1] if release == 'fmriprep' else -np.ones(seen.sum())
    return {
        f'{name}_voxels': voxels[seen],
        f'{name}_image_id': image_id,
        f'{name}_session': session.astype(np.int32),
        f'{name}_run': (rows['run'][seen] + before[0]).astype(np.int32),
        f'{name}_repeat': _bdata.repeats(image_id),
        f'{name}_trials': np.ones(seen.sum(), np.int32),
    }


def _list(path: pathlib.Path, stimuli: dict) -> None:
    pairs = zip(stimuli['name'].tolist(), stimuli['number'].tolist(), strict=True)
    lines = [f'{name}\t{number!r}' for name, number in pairs]
    results.write_bytes(path, ('\n'.join(lines) + '\n').encode())
