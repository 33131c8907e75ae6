"""Writes the simulated brain as the Algonauts 2023 challenge gives out a subject."""

import pathlib

import numpy as np

from recon.data import mark
from recon.data.layouts import _study, _surface
from recon.data.layouts import _surface_files as _files

# Training pictures, test pictures, left and right vertices, sessions: as the real subjects have.
SUBJECTS = (
    (9841, 159, 19004, 20544, 40), (9841, 159, 19004, 20544, 40), (9082, 293, 19004, 20544, 32),
    (8779, 395, 19004, 20544, 30), (9841, 159, 19004, 20544, 40), (9082, 293, 18978, 20220, 32),
    (9841, 159, 19004, 20544, 40), (8779, 395, 18981, 20530, 30),
)  # fmt: skip
SCALES = ('toy', 'full')
_FEWER = 5  # times fewer training pictures at full scale than in truth
_PLANNED = 12  # sessions; the real 40


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes `<root>/subj0X`: training and test split, noise ceilings, masks, label tables.

    'full' has the true numbers of vertices and of test pictures, 425-pixel PNG files, and one fifth
    of the training pictures (1,968 for subject 1) over 12 planned sessions: with all 9,841 arrays,
    truth and pictures would be some 5.5 GB and 20 minutes of drawing. It takes some 1.1 GB on disk,
    the truth included, and five minutes. Masks in fsaverage space have all 163,842 values at both
    scales.

    The truth, `<root>_truth/truth.npz`: see `docs/datasets/algonauts2023.md`.

    Args:
      root: the folder that will hold subj0X.
      subject: 1 to 8; further ones have the sizes of 1 to 8 again.
      scale: 'toy' (seconds) or 'full'.
      seed: of scenes, brain, plan and noise; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    root, plan = pathlib.Path(root), plan_of(scale, subject)
    recording = _surface.record(plan, subject, seed)
    folder = root / f'subj{subject:02d}'
    for part, split in (('train', 'training'), ('test', 'test')):
        ids, inside = recording.ids[part], folder / f'{split}_split'
        names = [f'{part}-{i:04d}_nsd-{k:05d}.png' for i, k in enumerate(ids.tolist(), start=1)]
        _files.write_pictures(inside / f'{split}_images', names, ids, plan.size, seed)
        fmri = inside / f'{split}_fmri'
        _files.write_fmri(fmri, split, recording.voxels[part], plan.columns[0])
    snr = recording.brain.ncsnr.astype(np.float64) / np.sqrt(recording.mix)  # of a test average
    ceiling = (snr**2 / (snr**2 + 1)).astype(np.float32)
    for side, half in zip(('lh', 'rh'), np.split(ceiling, [plan.columns[0]]), strict=True):
        _files.write_npy(folder / 'test_split/noise_ceiling' / f'{side}_noise_ceiling.npy', half)
    held = _files.write_masks(folder / 'roi_masks', recording.brain, 'challenge_space')
    truth = _files.truth(recording.brain, held)
    truth |= {'info_noise_ceiling': ceiling}
    for part, ids in recording.ids.items():
        truth |= {f'{part}_voxels': recording.voxels[part], f'{part}_image_id': ids}
        truth |= _files.unknown(part, len(ids))
    order = np.argsort(np.concatenate([*recording.ids.values()]))
    truth['ids'] = np.concatenate([*recording.ids.values()])[order]
    truth['signals'] = np.concatenate([*recording.signals.values()])[order]
    _files.write_truth(root, truth)
    mark.leave(root)
    return root


def plan_of(scale: str, subject: int) -> _surface.Plan:
    """Sizes of a subject; ConfigError for an unknown scale or a subject under 1."""
    _study.scale(dict.fromkeys(SCALES), scale, 'algonauts2023')
    train, test, left, right, sessions = SUBJECTS[(subject - 1) % len(SUBJECTS)]
    if scale == 'full':
        scanned = _PLANNED * sessions // 40
        return _surface.Plan(train // _FEWER, test, (left, right), _PLANNED, scanned, 425)
    k = (subject - 1) % len(SUBJECTS)
    return _surface.Plan(400, 40, (690 - 11 * k, 715 - 7 * k), 8, sessions // 5, 64)
