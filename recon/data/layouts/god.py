"""Writes the simulated brain as the published files of Generic Object Decoding."""

import dataclasses
import pathlib

import numpy as np

from recon.core import results
from recon.data import mark
from recon.data.layouts import _bdata, _study
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes

_SESSION = 8  # runs recorded in one go: gains and offsets are theirs; the files do not tell
_IMAGINED = 0.4  # of the response to the picture, when it is imagined


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is written.

    Attributes:
      train: (runs, images of a run), each image once;  of_each: images of a training category.
      test: images, all shown in each test run;  test_runs: that is, presentations.
      imagery_runs: each half of the test categories, so that two runs hold all.
      voxels: of subject 1.  size: pixels of a picture.
    """

    train: tuple[int, int]
    of_each: int
    test: int
    test_runs: int
    imagery_runs: int
    voxels: int
    size: int


SCALES = {
    'toy': Scale((8, 12), 4, 12, 4, 4, 460, 64),
    'full': Scale((24, 50), 8, 50, 35, 20, 4466, 500),
}


def write(
    root, *, subject: int = 1, scale: str = 'toy', seed: int = 0, old: bool = False
) -> pathlib.Path:
    """Writes Subject<n>.h5 and .mat, lists of stimuli, and images/training, images/test as JPEG.

    Rows: training runs, test runs, imagery runs; runs are numbered from 1 in each kind. The .h5
    has `stimulus_id`; the .mat, and the .h5 where `old`, spell dataSet and metaData and have
    `Label` (stimulus id, category, image). WordNet ids are made up, four or eight training images
    each, one test image each. Some ids end in zeros. LVC is V1 to V3, HVC the higher areas, VC
    all; voxels around them are in none. Imagery is the response to the test picture, weaker.

    `<root>_truth/truth.npz`: what the reader gives; `scene` is the scene behind each id, `signals`
    are noise-free. `<root>_truth/imagery.npz` holds what its option `imagery` adds.

    Args:
      root: folder, made if it is not there.
      subject: 1 to 5 in the real data.
      scale: 'toy' (seconds) or 'full' (true numbers of rows, about 4,500 voxels, 500 pixels).
      seed: of everything; the same seed gives the same bytes.
      old: the older spelling of the .h5.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    spec, root = _study.scale(SCALES, scale, 'god'), pathlib.Path(root)
    rng = np.random.default_rng((seed, 11))
    train = scenes.choose(spec.train[0] * spec.train[1], False, rng)
    test = scenes.choose(spec.test, True, rng)
    wordnet = {
        'train': _bdata.wordnet(len(train), spec.of_each, False),
        'test': _bdata.wordnet(len(test), 1, True),
    }
    ids = np.concatenate([train, test])
    order = np.argsort(ids)
    study = _study.simulate(seed, subject, spec.voxels, ids[order], order < len(train))
    rows = _rows(spec, np.random.default_rng((seed, subject, 12)))
    voxels = _measure(study, rows, train, test)
    table = _table(study, rows, voxels, wordnet, train, test)
    _bdata.write_h5(root / f'Subject{subject}.h5', table['old' if old else 'new'], old)
    _bdata.write_mat(root / f'Subject{subject}.mat', table['old'])
    for kind, below, chosen in (('train', 'training', train), ('test', 'test', test)):
        names = _bdata.name(wordnet[kind], chosen)
        _bdata.pictures(root / 'images' / below, names, chosen, spec.size, seed, 'JPEG')
        _lists(root, below, names, _bdata.number(wordnet[kind], chosen), wordnet[kind])
    _truth(root, study, rows, voxels, wordnet, train, test)
    mark.leave(root)
    return root


def _rows(spec: Scale, rng) -> dict[str, np.ndarray]:
    """DataType, Run and the index of the image (among those of its kind) of each row."""
    runs, length = spec.train
    parts = [(1, np.split(rng.permutation(runs * length), runs))]
    parts.append((2, [rng.permutation(spec.test) for _ in range(spec.test_runs)]))
    halves = np.array_split(np.arange(spec.test), 2)
    imagery = [rng.permutation(halves[i % 2]) for i in range(spec.imagery_runs)]
    parts.append((3, imagery))
    shown = [(kind, run, i) for kind, p in parts for run, ids in enumerate(p, 1) for i in ids]
    kind, run, index = np.array(shown).T
    return {'kind': kind, 'run': run, 'index': index}


def _measure(study, rows: dict, train, test) -> np.ndarray:
    """[n v] float32, percent signal change of all rows."""
    kind, run = rows['kind'], rows['run']
    scene = np.where(kind == 1, train[rows['index'] % len(train)], test[rows['index'] % len(test)])
    signals = study.signals[study.rows(scene)]
    signals[kind == 3] *= _IMAGINED
    session = 100 * kind + (run - 1) // _SESSION
    return brains.measure(study.brain, signals, session, 1000 * kind + run)


def _table(study, rows: dict, voxels, wordnet: dict, train, test) -> dict[str, _bdata.Table]:
    """The file as it is now, and as it was."""
    kind, index = rows['kind'], rows['index']
    numbers = {
        1: _bdata.number(wordnet['train'], train),
        2: _bdata.number(wordnet['test'], test),
        3: wordnet['test'].astype(np.float64),  # imagery: a category, no picture
    }
    number = np.array([numbers[k][i] for k, i in zip(kind, index, strict=True)])
    category = np.unique(number.astype(np.int64), return_inverse=True)[1] + 1
    fields = {'DataType': kind, 'Run': rows['run']}
    label = np.stack([number, category, index + 1], 1)
    marks = _bdata.marks(study.brain)
    return {
        'new': _bdata.Table(voxels, fields | {'stimulus_id': number}, marks),
        'old': _bdata.Table(voxels, fields | {'Label': label}, marks),
    }


def _lists(root, below: str, names, numbers, wordnet) -> None:
    pairs = list(zip(numbers.tolist(), names.tolist(), strict=True))
    lines = [f'{number!r},"{name}.JPEG"' for number, name in pairs]
    results.write_bytes(root / f'imageID_{below}.csv', ('\n'.join(lines) + '\n').encode())
    category = np.unique(wordnet, return_inverse=True)[1] + 1
    table = [
        f'{name}\t{number!r}\t{c}\t{i}'
        for i, ((number, name), c) in enumerate(zip(pairs, category.tolist(), strict=True), 1)
    ]
    kind = 'Training' if below == 'training' else 'Test'
    path = root / f'stimulus_ImageNet{kind}.tsv'
    results.write_bytes(path, ('\n'.join(table) + '\n').encode())


def _truth(root, study, rows: dict, voxels, wordnet: dict, train, test) -> None:
    names = {
        1: _bdata.name(wordnet['train'], train),
        2: _bdata.name(wordnet['test'], test),
    }
    names[3] = names[2]
    runs = np.cumsum([0, *(rows['run'][rows['kind'] == k].max() for k in (1, 2))])
    parts = {}
    for kind, part in ((1, 'train'), (2, 'test'), (3, 'imagery')):
        here = rows['kind'] == kind
        image_id = names[kind][rows['index'][here]]
        parts[part] = {
            f'{part}_voxels': voxels[here],
            f'{part}_image_id': image_id,
            f'{part}_session': np.full(here.sum(), -1, np.int32),
            f'{part}_run': (rows['run'][here] + runs[kind - 1]).astype(np.int32),
            f'{part}_repeat': _bdata.repeats(image_id),
            f'{part}_trials': np.ones(here.sum(), np.int32),
        }
    whole = parts['train'] | parts['test']
    whole |= _bdata.known(
        study, np.concatenate([names[1], names[2]]), np.concatenate([train, test])
    )
    folder = root.with_name(f'{root.name}_truth')
    results.write_npz(folder / 'truth.npz', whole)
    results.write_npz(folder / 'imagery.npz', parts['imagery'])
