"""How hard the simulated brain is: the figures in docs/datasets/simulated.md.

    python -m benchmarks.bench_difficulty

Plain ridge from 4,000 voxels, z-scored by session with training statistics, to 64 x 64 x 3 pixels,
one penalty for all; the 100 test pictures averaged over three repeats.
"""

import numpy as np

from benchmarks import _harness
from recon.core import image
from recon.data.datasets import simulated
from recon.data.simulator import brain, scenes

BRAINS = ((0, 1), (0, 2), (0, 3), (1, 1), (2, 1), (3, 1))  # seed, subject
PENALTIES = np.logspace(2, 6, 13)
HIGHER = ('LO', 'OFA', 'FFA', 'EBA', 'FBA', 'OPA', 'PPA', 'RSC', 'VWFA')


def main() -> None:
    rows = [difficulty(seed, subject) for seed, subject in BRAINS]
    columns = ('seed', 'subject', 'voxels', 'pixcorr', 'two_way', 'mean_image', 'shuffled',
               'ceiling', 'ceiling_all', 'silent')  # fmt: skip
    print(_harness.table(rows, columns))
    areas = by_area()
    print(_harness.table(areas, ('areas', 'voxels', 'layout_r', 'layout_ci', 'auc', 'auc_ci')))
    ceilings = by_ceiling()
    print(_harness.table(ceilings, ('area', 'voxels', 'stated', 'reached')))
    print(_harness.write('difficulty', {'brains': rows, 'areas': areas, 'ceilings': ceilings}))


def difficulty(seed: int, subject: int) -> dict:
    """Ridge to pixels on one brain; the shuffled one is refitted on permuted training rows."""
    data = simulated.load({'seed': seed, 'subject': subject})
    train, test, ids = prepare(data)
    pixels = data.images[data.train.image_id].reshape(len(train), -1)
    truth = data.images[ids].reshape(len(ids), -1)
    made, shuffled = (
        fitted(train, pixels, test),
        fitted(np.random.default_rng(0).permutation(train), pixels, test),
    )
    ncsnr = data.voxel_info['ncsnr']
    ceiling = brain.noise_ceiling(ncsnr)
    mean = np.tile(pixels.mean(0), (len(ids), 1))
    return {
        'seed': seed,
        'subject': subject,
        'voxels': len(ncsnr),
        'pixcorr': float(correlation(made, truth).mean()),
        'two_way': two_way(made, truth),
        'mean_image': float(correlation(mean, truth).mean()),
        'shuffled': two_way(shuffled, truth),
        'ceiling': float(np.median(ceiling[ncsnr > 0])),
        'ceiling_all': float(np.median(ceiling)),
        'silent': float((ncsnr == 0).mean()),
    }


def by_area() -> list[dict]:
    """Layout (8 x 8 luminance, its training mean taken off) and category from two sets of areas."""
    data = simulated.load({})
    train, test, ids = prepare(data)
    sets = {
        'V1 V2 V3': data.rois['V1'] | data.rois['V2'] | data.rois['V3'],
        'LO and category areas': np.any([data.rois[name] for name in HIGHER], 0),
    }
    count = min(roi.sum() for roi in sets.values())
    layout = [_layout(data, i) for i in (data.train.image_id, ids)]
    mean = layout[0].mean(0)
    labels = [np.stack([data.labels[i] for i in rows]) for rows in (data.train.image_id, ids)]
    rows = []
    for name, roi in sets.items():
        at = np.random.default_rng(0).choice(np.flatnonzero(roi), count, replace=False)
        r = correlation(fitted(train[:, at], layout[0], test[:, at]) - mean, layout[1] - mean)
        scores = fitted(train[:, at], labels[0].astype(np.float32), test[:, at])
        auc = [(s[k == 1][:, None] > s[k == 0]).mean() for s, k in zip(scores, labels[1],
                                                                       strict=True)]  # fmt: skip
        rows.append(
            {'areas': name, 'voxels': int(count), 'layout_r': float(r.mean()),
             'layout_ci': interval(r), 'auc': float(np.mean(auc)), 'auc_ci': interval(auc)}
        )  # fmt: skip
    return rows


def by_ceiling() -> list[dict]:
    """R squared of single trials with the true noise-free response, beside the stated ceiling."""
    shown = scenes.draw(np.arange(1_000))
    built = brain.build()
    drives = brain.drive(built, shown.images, shown.contents)
    built = brain.calibrate(built, drives)
    signals = brain.standardise(built, drives)
    picture = np.random.default_rng(0).permutation(np.repeat(np.arange(1_000), 6))
    session = np.arange(6_000) // 750
    trials = brain.measure(built, signals[picture], session, np.arange(6_000) // 62)
    for number in np.unique(session):
        rows = session == number
        trials[rows] = (trials[rows] - trials[rows].mean(0)) / trials[rows].std(0)
    r = (trials * signals[picture]).mean(0) / np.maximum(signals[picture].std(0), 1e-9)
    rows = []
    for name, roi in brain.rois(built).items():
        at = roi & built.carries
        stated = float(brain.noise_ceiling(built.ncsnr[at]).mean())
        rows.append({'area': name, 'voxels': int(at.sum()), 'stated': stated,
                     'reached': float((r[at] ** 2).mean())})  # fmt: skip
    return rows


def prepare(data) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training rows, mean test rows and their ids, z-scored by session on training rows."""
    train, test = data.train.voxels.copy(), data.test.voxels.copy()
    for session in np.unique(data.train.session):
        rows, others = data.train.session == session, data.test.session == session
        mean, std = train[rows].mean(0), train[rows].std(0)
        train[rows] = (train[rows] - mean) / std
        test[others] = (test[others] - mean) / std
    ids = np.unique(data.test.image_id)
    return train, np.stack([test[data.test.image_id == i].mean(0) for i in ids]), ids


def fitted(x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Predictions of ridge; one penalty, by leave-one-out in closed form."""
    centre, mean = x.mean(0), y.mean(0)
    values, vectors = np.linalg.eigh((x - centre) @ (x - centre).T)
    rotated = vectors.T @ (y - mean)
    errors = []
    for penalty in PENALTIES:
        shrink = values / (values + penalty)
        left = 1 - vectors**2 @ shrink - 1 / len(x)
        errors.append(np.mean(((y - mean - vectors @ (shrink[:, None] * rotated)).T / left) ** 2))
    best = PENALTIES[int(np.argmin(errors))]
    return mean + (new - centre) @ (x - centre).T @ vectors @ (rotated / (values + best)[:, None])


def correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row of `a` with the same row of `b`."""
    a, b = (rows - rows.mean(1, keepdims=True) for rows in (a, b))
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def two_way(made: np.ndarray, truth: np.ndarray) -> float:
    """Identification of the truth of each reconstruction against each other truth; ties fail."""
    r = np.corrcoef(truth, made)[: len(truth), len(truth) :]
    return float((r < np.diag(r)).sum(0).mean() / (len(truth) - 1))


def interval(values) -> list[float]:
    """95 % bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = np.asarray(values)[rng.integers(len(values), size=(10_000, len(values)))].mean(1)
    return [round(float(q), 3) for q in np.percentile(means, [2.5, 97.5])]


def _layout(data, ids) -> np.ndarray:
    grey = image.to_gray(data.images[ids])
    return grey.reshape(len(ids), 8, 8, 8, 8).mean((2, 4)).reshape(len(ids), -1)


if __name__ == '__main__':
    main()
