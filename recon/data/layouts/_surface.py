"""What the Algonauts layouts share: a brain on fsaverage, and its trials over sessions."""

import dataclasses

import numpy as np

from recon.data.formats import algonauts_surface
from recon.data.layouts import _study
from recon.data.simulator import brain as brains
from recon.data.simulator import scenes

FSAVERAGE5 = 10_242  # vertices of a hemisphere, the first of fsaverage's
REPEATS, HELD = 3, 3  # planned presentations; sessions at the end that only the test split is of
_PLAN, _KEEP, _PLACE, _IDS, _SHARED = range(121, 126)  # one stream of numbers each
_BLOCK = 4_000  # voxels simulated at once
_STEP = 1_000_003  # between the seeds of noise of two blocks
_RUN = 62  # trials


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much a subject has.

    Attributes:
      train, test: pictures.  columns: vertices, left and right.
      planned, scanned: sessions; what was planned for the others is never seen.
      size: pixels on a side.
    """

    train: int
    test: int
    columns: tuple[int, int]
    planned: int
    scanned: int
    size: int


@dataclasses.dataclass(frozen=True)
class Recording:
    """A simulated subject as it was prepared for the challenge; columns left then right.

    Attributes:
      brain: calibrated; vertices are fsaverage's, ascending in each hemisphere.
      ids: {part: [m] int64 NSD ids, ascending}.
      voxels: {part: [m v] float32}, z-scored by session, averaged over repeats.
      signals: {part: [m v] float32}, noise-free.
      mix: mean over test pictures of 1 / trials.
    """

    brain: brains.Brain
    ids: dict
    voxels: dict
    signals: dict
    mix: float


def record(plan: Plan, subject: int, seed: int) -> Recording:
    """Simulates a subject.

    All trials of a session are z-scored together, vertex by vertex; a training picture is the mean
    of its trials before the last three sessions, a test picture is seen in those alone. About a
    tenth of the training pictures are held-out scenes, as NSD's shared ones are among the real
    ones; test pictures are other held-out scenes, so that they show what no training picture does.

    Voxels are simulated in blocks of 4,000 with noise of their own, so that memory stays bounded.
    """
    ids = _ids(plan, subject, seed)
    both = np.concatenate([ids['train'], ids['test']])
    brain = _brain(plan, subject, seed)
    drawn = _study.scenes(both, 64, seed)
    shown, session, run = _trials(plan, np.random.default_rng((seed, subject, _PLAN)))
    early = session < plan.scanned - HELD
    kept = (shown < plan.train) == early  # trials of training pictures that came late are lost
    times = np.bincount(shown[kept], minlength=len(both))
    v = len(brain.area)
    voxels, signals = (np.empty((len(both), v), np.float32) for _ in range(2))
    fitted = np.empty((2, v), np.float32)
    for k, start in enumerate(range(0, v, _BLOCK)):
        part = slice(start, min(start + _BLOCK, v))
        block = dataclasses.replace(_columns(brain, part), seed=brain.seed + k * _STEP)
        drives = brains.drive(block, drawn.images, drawn.contents)
        block = brains.calibrate(block, drives[: plan.train])
        fitted[:, part] = block.mean, block.spread
        signals[:, part] = brains.standardise(block, drives)
        sums = np.zeros((len(both), part.stop - start))
        for number in np.unique(session):
            rows = session == number
            trials = brains.measure(block, signals[shown[rows], part], session[rows], run[rows])
            z = trials - trials.mean(0, dtype=np.float64)
            z /= np.sqrt(np.square(z).mean(0))
            rows = np.flatnonzero(rows)[kept[rows]]
            _add(sums, shown[rows], z[rows - np.flatnonzero(session == number)[0]])
        voxels[:, part] = sums / times[:, None]
    cut = [plan.train]
    return Recording(
        dataclasses.replace(brain, mean=fitted[0], spread=fitted[1]),
        ids,
        dict(zip(('train', 'test'), np.split(voxels, cut), strict=True)),
        dict(zip(('train', 'test'), np.split(signals, cut), strict=True)),
        float((1 / times[plan.train :]).mean()),
    )


def _ids(plan: Plan, subject: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng((seed, _SHARED))
    common = scenes.choose(max(1, plan.train // 10), True, rng)  # everybody's
    rng = np.random.default_rng((seed, subject, _IDS))
    own = scenes.choose(plan.train - len(common), False, rng)
    pool = scenes.choose(len(common) + plan.test, True, rng)
    test = np.sort(rng.permutation(np.setdiff1d(pool, common))[: plan.test])
    return {'train': np.sort(np.concatenate([common, own])), 'test': test}


def _brain(plan: Plan, subject: int, seed: int) -> brains.Brain:
    """A brain with so many voxels in each hemisphere, each on a vertex of its own.

    The first voxel of a vertex of fsaverage5 stays there; further ones get free vertices of the
    full surface anywhere in their hemisphere: those places are made up.
    """
    whole = brains.build(seed, subject, max(400, round(2.4 * max(plan.columns))))
    rng = np.random.default_rng((seed, subject, _KEEP))
    chosen = []
    for side, count in enumerate(plan.columns):
        here = np.flatnonzero(whole.hemisphere == side)
        chosen.append(np.sort(rng.choice(here, count, replace=False)))
    brain = _columns(whole, np.concatenate(chosen))
    rng = np.random.default_rng((seed, subject, _PLACE))
    vertex = brain.vertex.copy()
    for side in (0, 1):
        here = np.flatnonzero(brain.hemisphere == side)
        _, first = np.unique(vertex[here], return_index=True)
        more = np.setdiff1d(np.arange(len(here)), first)
        free = rng.permutation(np.arange(FSAVERAGE5, algonauts_surface.VERTICES))
        vertex[here[more]] = free[: len(more)]
    order = np.lexsort((vertex, brain.hemisphere))
    return _columns(dataclasses.replace(brain, vertex=vertex), order)


def _columns(brain: brains.Brain, index) -> brains.Brain:
    fields = {f.name: getattr(brain, f.name) for f in dataclasses.fields(brain)}
    kept = {k: v[index] for k, v in fields.items() if isinstance(v, np.ndarray)}
    return dataclasses.replace(brain, **kept)


def _trials(plan: Plan, rng) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Picture (training ones first), session from 0 and run of each scanned trial, in time."""
    pictures = plan.train + plan.test
    total = REPEATS * pictures
    session = np.arange(total) * plan.planned // total
    late = (session >= plan.scanned - HELD) & (session < plan.scanned)
    early = session < plan.scanned - HELD
    shown = np.full(total, -1)
    # Each test picture once where it is scanned, and its other trials nowhere in training.
    shown[rng.permutation(np.flatnonzero(late))[: plan.test]] = np.arange(plan.train, pictures)
    rest = rng.permutation(np.flatnonzero(~early & (shown < 0)))[: (REPEATS - 1) * plan.test]
    shown[rest] = np.repeat(np.arange(plan.train, pictures), REPEATS - 1)
    shown[rng.permutation(np.flatnonzero(early))[: plan.train]] = np.arange(plan.train)
    free = np.flatnonzero(shown < 0)
    shown[rng.permutation(free)] = np.repeat(np.arange(plan.train), REPEATS - 1)
    scanned = session < plan.scanned
    runs = max(2, total // plan.planned // _RUN)
    run = np.arange(total) * (plan.planned * runs) // total
    return shown[scanned], session[scanned], run[scanned]


def _add(sums: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """sums[rows] += values, where a row may come twice."""
    if not len(rows):
        return
    order = np.argsort(rows, kind='stable')
    distinct, first = np.unique(rows[order], return_index=True)
    sums[distinct] += np.add.reduceat(values[order], first, axis=0)
