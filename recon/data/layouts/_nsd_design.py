"""NSD's experiment: who is shown which image in which trial, and the files that say it."""

import csv
import dataclasses
import heapq
import io

import numpy as np
import scipy.io

from recon.data.simulator import scenes

RUNS = 12  # of a session
SUBJECTS = 8
RECORDED = (40, 40, 32, 30, 40, 32, 40, 30)  # sessions, where 40 are planned
RESPONSES = (
    'SUBJECT', 'SESSION', 'RUN', 'TRIAL', '73KID', '10KID', 'TIME', 'ISOLD', 'ISCORRECT', 'RT',
    'CHANGEMIND', 'MEMORYRECENT', 'MEMORYFIRST', 'ISOLDCURRENT', 'ISCORRECTCURRENT', 'TOTAL1',
    'TOTAL2', 'BUTTON', 'MISSINGDATA',
)  # fmt: skip
_IMAGES, _ORDER, _SLOTS, _SHEET, _BEHAVIOUR = range(111, 116)  # one stream of numbers each
_REPEATS = 3


@dataclasses.dataclass(frozen=True)
class Design:
    """What is planned for all subjects. All numbers as in the files: images and trials from 1.

    Attributes:
      n: images in the brick.
      order: [t] which of a subject's own images each trial shows, 1 .. k.
      images: [8 k] the subjects' images, 1 .. n; the shared ones first.
      shared: [c] the shared images, ascending.
      slots: [sessions 12 p] uint8, 1 where a slot of a run has a stimulus.
      seed: of it all.
    """

    n: int
    order: np.ndarray
    images: np.ndarray
    shared: np.ndarray
    slots: np.ndarray
    seed: int

    @property
    def per_session(self) -> int:
        """Trials of a session."""
        return int(self.slots[0].sum())

    def rows(self, subject: int, sessions) -> dict[str, np.ndarray]:
        """The trials of `sessions` (from 1), in the order of time.

        Returns:
          image_id [n] int64, scene ids from 0; session and run (over all sessions) [n] from 1;
          repeat [n] from 0, counting all planned presentations; trial [n], from 0, over all.
        """
        own = self.images[subject - 1, self.order - 1] - 1
        repeat = np.empty(len(own), np.int32)
        count = {}
        for t, j in enumerate(self.order.tolist()):
            repeat[t] = count[j] = count.get(j, -1) + 1
        session, run, _ = np.nonzero(self.slots)  # slots are in the order of time
        at = np.flatnonzero(np.isin(session + 1, sessions))
        return {
            'image_id': own[at].astype(np.int64),
            'session': (session[at] + 1).astype(np.int32),
            'run': (RUNS * session[at] + run[at] + 1).astype(np.int32),
            'repeat': repeat[at],
            'trial': at,
        }

    def is_shared(self, image_id) -> np.ndarray:
        """[n] bool, of scene ids."""
        return np.isin(np.asarray(image_id) + 1, self.shared)


def make(n: int, shared: int, own: int, sessions: int, per_run, seed: int) -> Design:
    """Plans the experiment.

    Shared images are held-out scenes, the others are not. Where there are not enough of those
    for all eight subjects (72,000 of 73,000 at full size), the last subject sees some of the
    first one's.

    Args:
      n: images in the brick.
      shared: images that everybody sees; each is shown three times.
      own: images that one subject sees.
      sessions: planned.
      per_run: (stimulus trials of odd runs, of even runs, slots of a run).
      seed: of the plan.
    """
    rng = np.random.default_rng((seed, _IMAGES))
    common = 1 + scenes.choose(shared, True, rng, below=n)
    pool = np.arange(1, n + 1)
    pool = rng.permutation(pool[~scenes.held_out(pool - 1)])
    each = np.resize(pool, (SUBJECTS, own))
    images = np.concatenate([np.tile(common, (SUBJECTS, 1)), each], 1)
    order = _order(shared + own, sessions, np.random.default_rng((seed, _ORDER)))
    odd, even, wide = per_run
    rng = np.random.default_rng((seed, _SLOTS))
    slots = np.zeros((sessions, RUNS, wide), np.uint8)
    for session in slots:
        for i, run in enumerate(session):
            # The first and the last slot are blank, some between them too.
            run[1 + rng.permutation(wide - 2)[: even if i % 2 else odd]] = 1
    assert slots.sum() == len(order), 'trials fill the sessions'
    return Design(n, order, images, common, slots, seed)


def _order(k: int, sessions: int, rng: np.random.Generator) -> np.ndarray:
    """[3 k] numbers 1 .. k, three times each: repeats come soon, or some sessions later."""
    trials = _REPEATS * k
    soon = 1 + rng.exponential(0.2 * trials / sessions, (k, _REPEATS - 1))
    late = rng.uniform(1, trials, (k, _REPEATS - 1))
    lags = np.where(rng.random((k, _REPEATS - 1)) < 0.5, soon, late)
    new, due, order = iter(rng.permutation(k).tolist()), [], []
    for t in range(trials):
        j = None if due and due[0][0] <= t else next(new, None)
        if j is None:
            _, j = heapq.heappop(due)
        else:
            for lag in lags[j]:
                heapq.heappush(due, (t + lag, j))
        order.append(j + 1)
    return np.array(order)


def mat(design: Design) -> bytes:
    """nsd_expdesign.mat, MATLAB version 5, without the time of day in its header."""
    count = np.zeros(len(design.order), int)
    seen = {}
    for t, j in enumerate(design.order.tolist()):
        count[t] = seen[j] = seen.get(j, 0) + 1
    ends = design.per_session * np.arange(1, len(design.slots) + 1)
    basic = np.array([[(count[:end] == r).sum() for end in ends] for r in range(1, _REPEATS + 1)])
    held = io.BytesIO()
    scipy.io.savemat(
        held,
        {
            'masterordering': design.order[None].astype(np.uint16),
            'subjectim': design.images.astype(np.int32),
            'sharedix': design.shared[None].astype(np.int32),
            'basiccnt': basic.astype(np.uint16),
            'stimpattern': design.slots,
        },
        do_compression=True,
    )
    return b'MATLAB 5.0 MAT-file, simulated'.ljust(116) + held.getvalue()[116:]


def sheet(design: Design, originals: dict) -> bytes:
    """nsd_stim_info_merged.csv: a row for each image of the brick, all planned trials.

    Args:
      design: the plan.
      originals: cocoId, cocoSplit and cropBox of each image, as `_coco.originals` gives them.
    """
    rng = np.random.default_rng((design.seed, _SHEET))
    columns = ['', 'cocoId', 'cocoSplit', 'cropBox', 'loss', 'nsdId', 'flagged', 'BOLD5000']
    columns += ['shared1000', *(f'subject{s + 1}' for s in range(SUBJECTS))]
    columns += [f'subject{s + 1}_rep{r}' for s in range(SUBJECTS) for r in range(_REPEATS)]
    # Where each of a subject's images is shown, from 1: [k 3].
    shown = 1 + np.argsort(design.order, kind='stable').reshape(-1, _REPEATS)
    plan = np.zeros((design.n, SUBJECTS, _REPEATS), int)
    for s, images in enumerate(design.images):
        plan[images - 1, s] = shown
    flagged, bold = rng.random((2, design.n)) < [[0.002], [0.03]]
    loss = rng.beta(2, 8, design.n)
    common = design.is_shared(np.arange(design.n))
    text = io.StringIO()
    out = csv.writer(text, lineterminator='\n')
    out.writerow(columns)
    crops = originals['cropBox'].tolist()
    for i in range(design.n):
        crop = ', '.join(f'{c:g}' if c == 0 else repr(c) for c in crops[i])
        row = [i, int(originals['cocoId'][i]), str(originals['cocoSplit'][i]), f'({crop})']
        row += [f'{loss[i]:.4f}', i, bool(flagged[i]), bool(bold[i]), bool(common[i])]
        out.writerow([*row, *plan[i].any(1).astype(int).tolist(), *plan[i].ravel().tolist()])
    return text.getvalue().encode()


def responses(design: Design, subject: int, sessions: int) -> bytes:
    """responses.tsv of the first `sessions` sessions; one run lost its buttons."""
    rng = np.random.default_rng((design.seed, subject, _BEHAVIOUR))
    rows = design.rows(subject, np.arange(1, sessions + 1))
    n = len(rows['trial'])
    lost = rows['run'] == RUNS + 3  # session 2, run 3
    starts = np.unique(rows['run'], return_index=True)[1]
    in_run = np.arange(n) - np.repeat(starts, np.diff([*starts, n])) + 1
    first, last, before = {}, {}, {}
    lines = ['\t'.join(RESPONSES)]
    correct, late = rng.random(n) < 0.8, rng.normal(1000, 200, n).clip(300)
    for t in range(n):
        j, session = int(design.order[t]), int(rows['session'][t])
        old, current = j in first, last.get(j) == session
        right = bool(correct[t])
        button = 2 if old == right else 1
        since = [t - before[j] - 1, t - first[j] - 1] if old else ['NaN', 'NaN']
        said = [int(right), f'{late[t]:.3f}', 0, *since, int(current), int(right), 1, 0, button, 0]
        if lost[t]:
            said = ['NaN', 'NaN', 'NaN', *since, int(current), 'NaN', 0, 0, 'NaN', 1]
        run = (int(rows['run'][t]) - 1) % RUNS + 1
        where = [subject, session, run, int(in_run[t]), int(rows['image_id'][t]) + 1, j]
        time = f'{session * 7 + (300 * run + 4 * in_run[t]) / 86_400:.8f}'
        lines.append('\t'.join(map(str, [*where, time, int(old), *said])))
        first.setdefault(j, t)
        before[j], last[j] = t, session
    return ('\n'.join(lines) + '\n').encode()
