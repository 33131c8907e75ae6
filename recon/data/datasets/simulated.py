"""A simulated brain looks at procedural scenes: a recording whose answer is known."""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors, image, results, types
from recon.data import splitting
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes
from recon.data.simulator import stimuli as shows

DEFAULTS = dict(
    kind='scenes',  # 'scenes', or 'patterns' (10 x 10 patches: random ones train, figures test)
    images='',  # a folder of pictures to show instead of scenes; nothing is then known of them
    n_train=750,  # distinct pictures
    n_validation=0,
    n_test=100,  # of patterns: at most 20
    repeats_train=1,  # presentations of each, validation pictures included
    repeats_test=3,
    sessions=0,  # 0: as many as there must be at 750 trials each
    voxels=4_000,  # of subject 1; others have up to 8 % more or fewer
    size=64,  # pixels on a side; of patterns it is 10
    subject=1,
    seed=0,
    split=dict(splitting.DEFAULTS),
    brain_version=brains.BRAIN_VERSION,
    scenes_version=scenes.SCENES_VERSION,
)
TRIALS, RUNS, SHORTEST = 750, 12, 20  # a session: trials, runs at most, trials of a run at least

_ORDER = 102  # stream of random numbers


def load(cfg) -> types.BrainData:
    """Draws pictures, brain and trials.

    Training pictures are the subject's own, test pictures the same for every subject. Trials of all
    parts are mixed in time, as in NSD. Rows are single trials in percent signal change; repeats are
    numbered in the order of time. Signals have unit variance over the distinct training pictures.

    Args:
      cfg: see DEFAULTS.

    Returns:
      voxel_info: hemisphere, xyz, vertex and the true ncsnr (0 where a voxel carries nothing).
      ROIs: every area (V1v ... IPS) and V1, V2, V3, FFA, FBA, VWFA. Labels and captions of scenes.

    Raises:
      ConfigError: an option that does not fit, or more pictures asked for than there are.
      DataMissing, DataInvalid: the folder of pictures, or one in it.
    """
    cfg = _checked(cfg)
    stimuli, brain, signals = _simulate(cfg)
    shown, session, run, repeat = trials(stimuli.part, cfg)
    voxels = brains.measure(brain, signals[shown], session, run)
    own = np.array(shows.PARTS)[stimuli.part[shown]]
    parts = splitting.parts(cfg['split'], stimuli.ids[shown], session, own)
    splits = {
        name: types.Split(
            voxels[rows], stimuli.ids[shown[rows]], run[rows], session[rows], repeat[rows]
        )
        for name, rows in parts.items()
    }
    known = {} if stimuli.labels is None else {'label_names': scenes.CATEGORIES}
    ids, sentences = stimuli.ids.tolist(), stimuli.captions
    if stimuli.labels is not None:
        known['labels'] = dict(zip(ids, stimuli.labels, strict=True))
        known['coverage'] = dict(zip(ids, stimuli.coverage, strict=True))
        known['captions'] = {i: (s,) for i, s in zip(ids, sentences, strict=True)}
    size, channels = stimuli.images.shape[1:3], stimuli.images.shape[3]
    return types.BrainData(
        splits['train'],
        splits['test'],
        types.Images(stimuli.ids, lambda rows: stimuli.images[rows], size, channels),
        validation=splits.get('validation'),
        rois=brains.rois(brain),
        voxel_info={
            'hemisphere': brain.hemisphere,
            'xyz': brain.xyz,
            'vertex': brain.vertex,
            'ncsnr': brain.ncsnr,
        },
        facts=_facts(cfg, stimuli, brain, run, session)
        | {'split': splitting.describe(cfg['split'], stimuli.facts['split'])},
        **known,
    )


def truth(cfg) -> dict[str, np.ndarray]:
    """What `load(cfg)` was drawn from: plain arrays by name.

    `simulator.brain.truth` of each voxel (area, receptive field, tuning, noise ceiling ...), and
    `image_id` [m], `part` [m], `signals` [m v]: the noise-free response to each picture, in units
    of its spread over the training pictures; `contents` [m 16 8 8] of scenes.
    """
    stimuli, brain, signals = _simulate(_checked(cfg))
    known = {
        'image_id': stimuli.ids,
        'part': np.array(shows.PARTS)[stimuli.part],
        'signals': signals,
    }
    if stimuli.contents is not None:
        known['contents'] = stimuli.contents
    return brains.truth(brain) | known


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes `<root>/simulated.npz` (rows, pictures, labels) and `<root>_truth/truth.npz`.

    Args:
      root: folder, made if it is not there.
      subject: of the brain.
      seed: of everything.
      scale: 'toy' (150 + 20 pictures, 400 voxels) or 'full' (the defaults).

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    scales = {'toy': dict(n_train=150, n_test=20, voxels=400), 'full': {}}
    if scale not in scales:
        raise errors.ConfigError(f'scale is {scale!r}', 'simulated.write', f'one of {[*scales]}')
    root = pathlib.Path(root)
    cfg = DEFAULTS | scales[scale] | {'subject': subject, 'seed': seed}
    data = load(cfg)
    arrays = {'images': image.to_uint8(data.images[data.images.ids]), 'image_ids': data.images.ids}
    arrays['labels'] = np.stack([data.labels[i] for i in data.images.ids.tolist()])
    arrays['captions'] = np.array([data.captions[i][0] for i in data.images.ids.tolist()])
    for name, split in data.splits().items():
        for field in dataclasses.fields(split):
            arrays[f'{name}_{field.name}'] = getattr(split, field.name)
    results.write_npz(root / 'simulated.npz', arrays)
    results.write_npz(root.with_name(f'{root.name}_truth') / 'truth.npz', truth(cfg))
    return root


def trials(part: np.ndarray, cfg) -> tuple[np.ndarray, ...]:
    """When each picture is shown.

    Args:
      part: [m] index into stimuli.PARTS.
      cfg: repeats_train, repeats_test, sessions, seed and subject are read.

    Returns:
      For each of the n trials, in the order of time: its picture [n], session (from 0), run (unique
      over sessions; 12 a session, fewer where runs would be shorter than 20 trials) and repeat.
    """
    times = np.array([cfg['repeats_train'], cfg['repeats_train'], cfg['repeats_test']])
    shown = np.repeat(np.arange(len(part)), times[part])
    shown = np.random.default_rng((cfg['seed'], cfg['subject'], _ORDER)).permutation(shown)
    n = len(shown)
    sessions = cfg['sessions'] or -(-n // TRIALS)
    runs = min(RUNS, max(2, n // sessions // SHORTEST))
    session = np.arange(n) * sessions // n
    run = np.arange(n) * (sessions * runs) // n
    order = np.argsort(shown, kind='stable')
    first = np.searchsorted(shown[order], shown[order])
    repeat = np.empty(n, int)
    repeat[order] = np.arange(n) - first
    return shown, session, run, repeat


def _checked(cfg) -> dict:
    """DEFAULTS with what `cfg` changes; refuses what cannot be.

    Raises:
      ConfigError: the value and what it should be.
    """
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    least = {'n_train': 2, 'n_test': 1, 'repeats_train': 1, 'repeats_test': 1, 'size': 16}
    least |= {'n_validation': 0, 'sessions': 0, 'seed': 0}
    for key, bound in least.items():
        if cfg[key] < bound:
            raise errors.ConfigError(
                f'dataset.{key} is {cfg[key]!r}', 'simulated', f'at least {bound}'
            )
    if cfg['kind'] not in ('scenes', 'patterns'):
        raise errors.ConfigError(
            f'dataset.kind is {cfg["kind"]!r}', 'simulated', "'scenes' or 'patterns'"
        )
    if cfg['kind'] == 'patterns' and cfg['images']:
        raise errors.ConfigError(
            "dataset.images with dataset.kind='patterns'", 'simulated', 'drop one of the two'
        )
    return cfg


def _simulate(cfg: dict) -> tuple[shows.Stimuli, brains.Brain, np.ndarray]:
    brain = brains.build(cfg['seed'], cfg['subject'], cfg['voxels'], cfg['brain_version'])
    stimuli = shows.make(cfg)
    drives = brains.drive(brain, stimuli.seen, stimuli.contents)
    brain = brains.calibrate(brain, drives[stimuli.part == 0])
    return stimuli, brain, brains.standardise(brain, drives)


def _facts(cfg: dict, stimuli: shows.Stimuli, brain: brains.Brain, run, session) -> dict:
    ceiling = brains.noise_ceiling(brain.ncsnr)
    return stimuli.facts | {
        'source': f'simulated brain {cfg["brain_version"]}',
        'subject': cfg['subject'],
        'seed': cfg['seed'],
        'brain_version': cfg['brain_version'],
        'voxels': len(ceiling),
        'voxels_that_carry_nothing': int((~brain.carries).sum()),
        'median_noise_ceiling': round(float(np.median(ceiling[brain.carries])), 4),
        'trials': len(run),
        'runs': int(run.max()) + 1,
        'sessions': int(session.max()) + 1,
    }
