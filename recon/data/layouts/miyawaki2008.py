"""Writes the simulated brain as the folder that nilearn's fetch_miyawaki2008 leaves."""

import dataclasses
import io
import pathlib

import numpy as np
import scipy.stats

from recon.core import errors, results
from recon.data import mark
from recon.data.datasets import miyawaki2008
from recon.data.layouts import _grid
from recon.data.simulator import areas, patterns
from recon.data.simulator import brain as brains

DELAY = 2  # volumes by which the mean of the response is late
# Published mask -> area of the simulated brain.
AREAS = {area: area for area in ('V1d', 'V1v', 'V2d', 'V2v', 'V3A')}
AREAS |= {'V3': 'V3d', 'VP': 'V3v', 'V4v': 'hV4'}
_BASELINE = (6000, 10000)  # scanner units; responses are in percent of it
_REST = 4  # standard deviations: how far an empty screen may lie from the mean of the patterns
_PATCH = 16  # pixels of a patch as it is shown
_RUNS_OF_A_SET = (4, 2, 2, 4)  # shapes; letters thin, long, normal: as in the original


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is written. Of each kind of run: (presentations, volumes on, volumes off).

    Attributes:
      random, figure: the runs; lead and tail: rest volumes around them.
      voxels: in the mask.  grid: of a volume.
    """

    random: tuple[int, int, int]
    figure: tuple[int, int, int]
    lead: int
    tail: int
    voxels: int
    grid: _grid.Grid


# 'full': 22 patterns of 6 s and 6 s of rest, 10 figures of 12 s and 12 s, as in the paper; rest
# before and after, and so 145 and 133 volumes a run, are our choice.
SCALES = {
    'toy': Scale((6, 3, 3), (5, 3, 3), 2, 3, 500, _grid.Grid((24, 28, 14), 7.0)),
    'full': Scale((22, 3, 3), (10, 6, 6), 10, 3, 5438, _grid.Grid((64, 64, 30), 3.0)),
}


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes func/, label/, mask/ and bg.nii.gz: 12 figure and 20 random runs, 38 area masks.

    Patches of a pattern flicker on a grey screen. The voxels' responses (`simulator.brain`,
    calibrated on the random patterns) follow it through a gamma-shaped haemodynamic response with a
    mean of 4 s, scaled so that the mean over a pattern's volumes, two later, is the response
    itself. Noise and drift are the brain's, by volume: the mean of three volumes has the noise of
    one trial. Volumes are int16, with a baseline of 6,000 to 10,000 in the mask and 0 outside. The
    lag masks are half-degree bands of eccentricity, of the voxels that carry signal in the mapped
    areas; what the published ones stand for is not documented.

    The truth, `<root>_truth/truth.npz`: patterns [m 10 10] in the order of the ids, and image_id,
    run and repeat of each stimulus volume of train and test, all as a reader with a shift of 2
    should give them; noise-free signals [m v]; the brain's own fields (`simulator.brain.truth`).
    All voxels are in the order of the mask.

    Args:
      root: the folder that will hold func/, label/ and mask/.
      subject: of the simulated brain.
      scale: 'toy' (seconds) or 'full' (like the real thing).
      seed: of patterns, brain and noise; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    if scale not in SCALES:
        raise errors.ConfigError(
            f'scale is {scale!r}', 'layouts.miyawaki2008', f'one of {[*SCALES]}'
        )
    root, spec = pathlib.Path(root), SCALES[scale]
    shown, ids = _stimuli(spec, seed)  # [m 10 10], {kind: [runs presentations]}
    brain, signals = _brain(spec, shown, ids, subject, seed)  # the last row: an empty screen
    cells, order = _grid.place(spec.grid, brain.xyz, brain.hemisphere)

    def save(name: str, values: np.ndarray, tr: float | None = None) -> None:
        content = _grid.to_bytes(spec.grid, _grid.fill(spec.grid, cells, values), tr)
        results.write_bytes(root / f'{name}.nii.gz', content)

    baseline = np.random.default_rng(seed).uniform(*_BASELINE, len(order)).astype(np.float32)
    truth = {'patterns': shown, 'signals': signals[:-1, order], 'cells': cells}
    for session, (kind, part) in enumerate((('random', 'train'), ('figure', 'test')), start=1):
        timing = [_timing(spec, kind, run) for run in ids[kind]]  # [t], -1 rest
        number = np.repeat(np.arange(len(timing)), [len(t) for t in timing])
        series = np.concatenate([_responses(signals, t) for t in timing])
        percent = brains.measure(brain, series, np.full(len(series), session), number)[:, order]
        volumes = np.rint(baseline * (1 + percent / 100)).astype(np.int16)
        for i, shown_at in enumerate(timing):
            name = f'data_{kind}_run{i + 1:02d}'
            save(f'func/{name}', volumes[number == i].T, miyawaki2008.TR)
            labels = _labels(shown, shown_at)
            results.write_bytes(root / 'label' / f'{name}_label.csv', labels)
        first = 1 if kind == 'random' else miyawaki2008.RUNS['random'] + 1
        truth |= {f'{part}_{k}': v for k, v in _rows(timing, first).items()}
    for name, roi in _masks(brain).items():
        save(f'mask/{name}', roi[order].astype(np.uint8))
    save('bg', baseline.astype(np.int16))
    known = brains.truth(brain)
    per_voxel = {k: v[order] for k, v in known.items() if np.shape(v)[:1] == (len(order),)}
    results.write_npz(root.with_name(f'{root.name}_truth') / 'truth.npz', known | per_voxel | truth)
    mark.leave(root)
    return root


def _brain(spec: Scale, shown, ids: dict, subject: int, seed: int) -> tuple:
    """The brain, and its noise-free signals [m + 1, v]: of each pattern, and of an empty screen."""
    brain = brains.build(seed, subject, spec.voxels)
    screens = np.concatenate([shown, np.zeros_like(shown[:1])])
    drives = np.mean([brains.drive(brain, frame) for frame in _frames(screens)], 0)
    brain = brains.calibrate(brain, drives[np.unique(ids['random'])])
    signals = brains.standardise(brain, drives)
    signals[-1] = signals[-1].clip(-_REST, _REST)
    return brain, signals


def _stimuli(spec: Scale, seed: int) -> tuple[np.ndarray, dict]:
    """Patterns in the order of their first showing, and which of them each run shows."""
    runs = miyawaki2008.RUNS
    rng = np.random.default_rng(seed)
    count = runs['random'] * spec.random[0]
    random = patterns.random(count, rng)  # distinct
    figures = list(patterns.figures().values())
    shown = np.concatenate([random, figures]).astype(np.int8)
    sets = np.repeat(np.arange(len(figures)).reshape(-1, 5), _RUNS_OF_A_SET, axis=0)
    rounds = spec.figure[0] // 5
    figure = np.stack([np.concatenate([rng.permutation(s) for _ in range(rounds)]) for s in sets])
    # Numbered as they first appear.
    appeared = np.array(list(dict.fromkeys(figure.ravel().tolist())))
    return shown[np.concatenate([np.arange(count), count + appeared])], {
        'random': np.arange(count).reshape(runs['random'], -1),
        'figure': count + np.argsort(appeared)[figure],
    }


def _frames(shown: np.ndarray):
    """Patterns [m 10 10] as seen, [m 160 160 3] float32: on grey, patches flicker.

    The real patches are flickering checks of high contrast. Ours alternate between upright and
    sideways stripes, half a patch wide, which the brain's filters see equally well: responses then
    follow the contrast of a patch, almost linearly, and not its edges.
    """
    stripes = np.ones((_PATCH, _PATCH), np.float32)
    stripes[:, _PATCH // 2 :] = -1
    for patch in (stripes, stripes.T):
        grey = 0.5 + 0.5 * np.kron(shown, patch)
        yield np.repeat(grey[..., None], 3, -1)


def _timing(spec: Scale, kind: str, ids) -> np.ndarray:
    """Which pattern each volume of a run shows, -1 for none."""
    _, on, off = getattr(spec, kind)
    parts = [np.repeat([i, -1], [on, off]) for i in ids]
    return np.concatenate([np.full(spec.lead, -1), *parts, np.full(spec.tail, -1)])


def _responses(signals: np.ndarray, shown_at: np.ndarray) -> np.ndarray:
    """Signals [m + 1, v] (the last of an empty screen) over the volumes of a run, [t v]."""
    kernel = scipy.stats.gamma.pdf(miyawaki2008.TR * np.arange(10), 4)
    kernel /= kernel.sum()
    box = np.convolve(np.ones(3), kernel)
    kernel /= box[DELAY : DELAY + 3].mean()
    above = signals[shown_at] - signals[-1]  # rest, -1, is the empty screen
    late = np.stack([np.convolve(kernel, unit)[: len(above)] for unit in np.eye(len(above))], 1)
    # Three volumes together have the noise of one trial: each has the square root of 3 times it.
    return ((late.astype(np.float32) @ above + signals[-1]) / np.sqrt(3)).astype(np.float32)


def _labels(shown: np.ndarray, shown_at: np.ndarray) -> bytes:
    rows = shown.transpose(0, 2, 1).reshape(len(shown), -1)[shown_at]  # column by column
    rows[shown_at < 0] = -1
    text = io.StringIO()
    np.savetxt(text, rows, fmt='%d', delimiter=',')
    return text.getvalue().encode()


def _rows(timing: list[np.ndarray], first: int) -> dict[str, np.ndarray]:
    """image_id, run and repeat of each stimulus volume whose response is still in its run."""
    seen, columns = {}, {'image_id': [], 'run': [], 'repeat': []}
    for i, shown_at in enumerate(timing):
        before = -1
        for image_id in shown_at[: len(shown_at) - DELAY].tolist():
            if image_id >= 0:
                if image_id != before:
                    seen[image_id] = seen.get(image_id, -1) + 1
                for name, value in zip(columns, (image_id, first + i, seen[image_id]), strict=True):
                    columns[name].append(value)
            before = image_id
    return {name: np.array(values) for name, values in columns.items()}


def _masks(brain: brains.Brain) -> dict[str, np.ndarray]:
    """{name of the file: bool [v]}, voxels in the order of the brain."""
    rois = {'mask': np.ones(len(brain.area), bool)}
    mapped = areas.region(tuple(AREAS.values()), brain.area)
    reach = np.nan_to_num(np.hypot(brain.x, brain.y), nan=-1)  # NaN where silent
    band = np.clip(reach // 0.5, -1, len(miyawaki2008.BANDS) - 1)
    for side, prefix in enumerate(('LH', 'RH')):
        here = brain.hemisphere == side
        for name in miyawaki2008.AREAS:
            rois[prefix + name] = here & areas.region(AREAS[name], brain.area)
        for i, name in enumerate(miyawaki2008.BANDS):
            rois[prefix + name] = here & mapped & (band == i)
    return rois
