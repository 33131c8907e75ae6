"""A small brain for tests: linear responses to random pictures, in runs and repeats."""

import numpy as np

from recon.core import types


def brain(
    seed=0, *, n_train=48, n_test=12, voxels=30, repeats=2, runs=8, noise=1.0, side=6
) -> types.BrainData:
    """Train and test images are different ones; run r holds its rows in the order of time."""
    rng = np.random.default_rng(seed)
    total = n_train + n_test
    pictures = rng.integers(0, 256, (total, side, side, 1), np.uint8)
    weights = rng.normal(size=(side * side, voxels)) / side
    clean = (pictures.reshape(total, -1) / 255 - 0.5) @ weights

    def split(ids, first_run):
        order = np.concatenate([rng.permutation(ids) for _ in range(repeats)])
        measured = clean[order] + noise * rng.normal(size=(len(order), voxels)) / side
        return types.Split(
            measured.astype(np.float32) + 3,
            order,
            run=first_run + np.arange(len(order)) * runs // len(order),
            session=1 + np.arange(len(order)) * 2 // len(order),
            repeat=np.repeat(np.arange(repeats), len(ids)),
        )

    names = np.array(['V1', 'V2', 'V4'])[np.arange(voxels) % 3]
    return types.BrainData(
        train=split(np.arange(n_train), 0),
        test=split(np.arange(n_train, total), runs),
        images=types.Images(np.arange(total), pictures.__getitem__, (side, side), channels=1),
        rois={name: names == name for name in ('V1', 'V2', 'V4')},
        voxel_info={'ncsnr': np.linspace(0, 1, voxels, dtype=np.float32)},
        labels={i: i % 3 for i in range(total)},
        label_names=('a', 'b', 'c'),
        facts={'source': 'small'},
    )
