"""Writes the simulated brain as digit69_28x28.mat: same keys, types and storage, drawn digits."""

import io
import pathlib

import numpy as np
import scipy.io
from PIL import Image, ImageDraw

from recon.core import errors, results
from recon.data import mark
from recon.data.datasets import digits69
from recon.data.simulator import areas
from recon.data.simulator import brain as brains

# Rows of each class in training and test, and voxels. 'full' is as the real file.
SCALES = {'toy': (30, 5, 240), 'full': (45, 5, 3092)}
_FINE = 8  # digits are drawn this much larger and shrunk
_AREAS = ('V1', 'V2', 'V3')


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes the file, and what is true of it to `<root>_truth/truth.npz`.

    The truth: voxels and image_id of both parts as a reader should give them, pictures [m 28 28],
    labels [m], noise-free signals [m v], the brain's own fields (`simulator.brain.truth`) and
    `recorded` [v], the voxels of that brain that are in the file.

    Args:
      root: folder, made if it is not there.
      subject: of the simulated brain.
      scale: 'toy' (70 digits, 240 voxels) or 'full' (100 and 3,092).
      seed: of digits, brain and noise; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    if scale not in SCALES:
        raise errors.ConfigError(f'scale is {scale!r}', 'layouts.digits69', f'one of {[*SCALES]}')
    root = pathlib.Path(root)
    train, test, voxels = SCALES[scale]
    labels = np.repeat([1, 2, 1, 2], [train, train, test, test])  # each part sorted by class
    part = np.repeat([0, 1], [2 * train, 2 * test])
    rng = np.random.default_rng(seed)
    pictures = np.stack([_digit(label, rng) for label in labels])  # [m 28 28] uint8
    shown = np.repeat(pictures[..., None], 3, -1)
    brain = brains.build(seed, subject, max(400, 5 * voxels))
    brain = brains.calibrate(brain, brains.drive(brain, shown[part == 0]))
    signals = brains.respond(brain, shown)
    # Rows are sorted by class in the file, but were not shown in that order.
    order = rng.permutation(len(labels))
    measured = np.empty_like(signals)
    measured[order] = brains.measure(
        brain, signals[order], np.zeros(len(order), int), np.arange(len(order)) // 20
    )
    recorded = np.flatnonzero(areas.region(_AREAS, brain.area))
    recorded = np.sort(rng.permutation(recorded)[:voxels])  # of V1 to V3 alone
    measured, signals = measured[:, recorded], signals[:, recorded]
    content = {}
    for i, name in enumerate(('Trn', 'Test')):
        rows = part == i
        content[f'fmri{name}'] = measured[rows].astype(np.float64)
        content[f'stim{name}'] = pictures[rows].transpose(0, 2, 1).reshape(rows.sum(), -1)
        content[f'label{name}'] = labels[rows, None].astype(np.uint8)
    results.write_bytes(root / digits69.FILE, _mat(content))
    ids = np.arange(len(labels))
    results.write_npz(
        root.with_name(f'{root.name}_truth') / 'truth.npz',
        {'recorded': recorded}
        | brains.truth(brain)
        | {f'{name}_voxels': measured[part == i] for i, name in enumerate(('train', 'test'))}
        | {f'{name}_image_id': ids[part == i] for i, name in enumerate(('train', 'test'))}
        | {'pictures': pictures, 'signals': signals, 'labels': labels - 1},
    )
    mark.leave(root)
    return root


def _digit(label: int, rng: np.random.Generator) -> np.ndarray:
    """A six (1) or a nine (2), each a little different: [28 28] uint8, white on black."""
    side = digits69.SIDE * _FINE
    canvas = Image.new('L', (side, side))
    draw = ImageDraw.Draw(canvas)
    middle, radius = side * rng.uniform(0.46, 0.54), side * rng.uniform(0.15, 0.20)
    low, wide = side * rng.uniform(0.60, 0.66), rng.uniform(0.85, 1.2)
    width = int(side * rng.uniform(0.07, 0.12))
    box = (middle - radius * wide, low - radius, middle + radius * wide, low + radius)
    draw.ellipse(box, outline=255, width=width)
    top, reach = side * rng.uniform(0.12, 0.2), radius * rng.uniform(0.4, 1.4)
    t = np.linspace(0, 1, 40)
    x = middle - radius * wide + width / 2 + reach * t**2
    y = low - (low - top) * np.sin(t * np.pi / 2)
    for cx, cy in zip(x, y, strict=True):
        draw.ellipse((cx - width / 2, cy - width / 2, cx + width / 2, cy + width / 2), fill=255)
    if label == 2:
        canvas = canvas.rotate(180)
    canvas = canvas.rotate(rng.uniform(-14, 14), Image.Resampling.BILINEAR)
    small = canvas.resize((digits69.SIDE, digits69.SIDE), Image.Resampling.BOX)
    return np.asarray(small)


def _mat(content: dict) -> bytes:
    """A MATLAB v5 file without the time of day in its header, so that it is the same each time."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, content, do_compression=True)
    return b'MATLAB 5.0 MAT-file, simulated'.ljust(116) + buffer.getvalue()[116:]
