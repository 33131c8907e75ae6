"""A brain whose answer is known: voxels with receptive fields, preferences and noise ceilings.

Early areas see pictures through population receptive fields over oriented and colour-opponent
channels; higher areas see what the scenes contain, by category, with wide fields. Both end in a
compressive power (Kay et al. 2013). `brain_version` freezes everything here and in areas.py,
channels.py and noise.py: how hard it is was set before any decoder had seen it.
"""

import dataclasses

import numpy as np

from recon.core import errors
from recon.data.simulator import areas, channels, noise, scenes
from recon.data.simulator import voxels as voxels_of

BRAIN_VERSION = 1

_CHUNK = 512  # pictures at once
_COVERAGE = 24.0  # brings the coverage by one category, .04 of a wide field, near to 1
_PLACES, _FIELDS, _TUNING, _CEILING, _SCALE, _SIZE = range(1, 7)  # one stream of numbers each


@dataclasses.dataclass(frozen=True)
class Brain:
    """One subject. All arrays are over voxels; what a silent voxel has none of is NaN or 0.

    Attributes:
      seed, subject, version: who it is.
      area: [v] int8, index into areas.NAMES; -1 outside them.
      hemisphere: [v] int8, 0 left, 1 right.  vertex: [v] int32 of fsaverage5.  xyz: [v 3] mm.
      carries: [v] bool, whether the voxel carries any signal.
      x, y, size: [v] float32, receptive field in degrees: centre (right, up), sigma.
      exponent: [v] float32, of the compressive power.
      channels: [v 18] float32, weights of the channels, sum 1 - category share.
      categories: [v 16] float32, weights of the categories; 0 in early areas.
      ncsnr: [v] float32, true standard deviation of signal over noise in a single trial; 0 silent.
      scale: [v] float32, percent signal change of one unit of noise.
      mean, spread: [v] float32, of the drive over the calibration pictures; None before.
    """

    seed: int
    subject: int
    version: int
    area: np.ndarray
    hemisphere: np.ndarray
    vertex: np.ndarray
    xyz: np.ndarray
    carries: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    exponent: np.ndarray
    channels: np.ndarray
    categories: np.ndarray
    ncsnr: np.ndarray
    scale: np.ndarray
    mean: np.ndarray | None = None
    spread: np.ndarray | None = None


def build(seed: int = 0, subject: int = 1, voxels: int = 4_000, version: int = BRAIN_VERSION):
    """Draws a subject.

    Args:
      seed: of everything.
      subject: 1, 2, ...; others have other fields, preferences and noise, and up to 8 % more or
        fewer voxels (subject 1 has `voxels`).
      voxels: at least 200, so that no area is empty. Vertices are used once each up to 4,060.
      version: of the brain; 1 is the only one.

    Returns:
      A Brain without calibration.

    Raises:
      ConfigError: a version that does not exist, too few voxels, or a subject under 1.
    """
    if version != BRAIN_VERSION:
        raise errors.ConfigError(
            f'brain_version is {version!r}', 'brain.build', f'versions that exist: {BRAIN_VERSION}'
        )
    if voxels < 200 or subject < 1:
        raise errors.ConfigError(
            f'voxels is {voxels!r}, subject {subject!r}',
            'brain.build',
            'at least 200 voxels; subjects count from 1',
        )
    if subject > 1:
        rng = np.random.default_rng((seed, subject, _SIZE))
        voxels = round(voxels * (1 + 0.08 * (2 * rng.random() - 1)))
    fields = voxels_of.place(np.random.default_rng((seed, subject, _PLACES)), voxels)
    fields |= voxels_of.receptive(np.random.default_rng((seed, subject, _FIELDS)), fields)
    fields |= voxels_of.tuned(np.random.default_rng((seed, subject, _TUNING)), fields)
    rng = np.random.default_rng((seed, subject, _CEILING))
    ceiling = np.array([kind.ceiling for kind in voxels_of.kinds_of(fields['area'])])
    ncsnr = np.sqrt(ceiling / (1 - ceiling)) * np.exp(0.35 * rng.standard_normal(voxels))
    rng = np.random.default_rng((seed, subject, _SCALE))
    scale = 1.6 * np.exp(0.3 * rng.standard_normal(voxels))
    return Brain(
        seed,
        subject,
        version,
        **fields,
        ncsnr=np.where(fields['carries'], ncsnr, 0).astype(np.float32),
        scale=scale.astype(np.float32),
    )


def drive(brain: Brain, pictures: np.ndarray, contents: np.ndarray | None = None) -> np.ndarray:
    """What each voxel makes of each picture, before calibration and noise.

    Args:
      brain: a Brain.
      pictures: [m h w 3], uint8 or float in [0, 1], of any size.
      contents: [m 16 8 8], coverage by category as scenes.draw gives it; None for pictures of which
        nobody says what they show: higher areas then prefer textures.

    Returns:
      [m v] float32 >= 0; 0 for silent voxels.
    """
    fine = brain.carries & voxels_of.fine(brain.area)
    wide = brain.carries & ~fine
    fine_weights, wide_weights = _fine_weights(brain, fine), _wide_weights(brain, wide)
    out = np.zeros((len(pictures), len(brain.area)), np.float32)
    for start in range(0, len(pictures), _CHUNK):
        rows = slice(start, start + _CHUNK)
        full = channels.features(pictures[rows])
        rough = channels.coarse(full)
        shown = channels.textures(rough) if contents is None else contents[rows]
        m = len(full)
        out[rows, fine] = (full.reshape(m, -1) @ fine_weights) ** brain.exponent[fine]
        both = np.concatenate([rough.reshape(m, -1), shown.reshape(m, -1)], 1)
        out[rows, wide] = (both @ wide_weights) ** brain.exponent[wide]
    return out


def calibrate(brain: Brain, drives: np.ndarray) -> Brain:
    """The brain with signals of mean 0 and standard deviation 1 over `drives` [m v].

    Hand in the drive of the distinct training pictures; then brain.ncsnr is the true one there.
    """
    mean = drives.mean(0, dtype=np.float64)
    blocks = (drives[i : i + _CHUNK] - mean for i in range(0, len(drives), _CHUNK))
    spread = np.sqrt(sum(np.square(block).sum(0) for block in blocks) / len(drives))
    return dataclasses.replace(
        brain, mean=mean.astype(np.float32), spread=spread.astype(np.float32)
    )


def standardise(brain: Brain, drives: np.ndarray) -> np.ndarray:
    """Drives [m v] -> noise-free signals [m v] float32, in units of their calibration spread."""
    assert brain.mean is not None, 'calibrate the brain first'
    usable = brain.carries & (brain.spread > 1e-6)
    factor = np.where(usable, 1 / np.maximum(brain.spread, 1e-6), 0).astype(np.float32)
    return (drives - brain.mean) * factor


def respond(brain: Brain, pictures: np.ndarray, contents: np.ndarray | None = None) -> np.ndarray:
    """Noise-free signals of a calibrated brain: `drive`, then `standardise`. [m v] float32."""
    return standardise(brain, drive(brain, pictures, contents))


def measure(brain: Brain, signals: np.ndarray, session, run) -> np.ndarray:
    """Single trials as a scanner would give them: gain, trial noise, drift, offsets.

    In units of noise a trial is ncsnr * signal + noise, the noise (noise.draw) with a standard
    deviation of 1, drift included; then session gain and offset, and the voxel's scale.

    Args:
      brain: a calibrated Brain.
      signals: [n v], from `respond`, one row a trial.
      session: [n] int >= 0. Noise is a function of (brain, session, row within it): hand in a
        session whole, and give another number to what was recorded apart.
      run: [n] int, unique over sessions; rows of one run in the order of time.

    Returns:
      [n v] float32, percent signal change.
    """
    session, run = np.asarray(session), np.asarray(run)
    out = np.empty(signals.shape, np.float32)
    loadings = noise.loadings((brain.seed, brain.subject), brain.xyz, brain.hemisphere)
    for number in np.unique(session):
        rows = np.flatnonzero(session == number)
        rng = np.random.default_rng((brain.seed, brain.subject, noise.STREAM, int(number)))
        trials = noise.draw(rng, loadings, run[rows])
        trials += signals[rows] * brain.ncsnr
        gain, offset = noise.session(rng, signals.shape[1])
        trials *= gain * brain.scale
        trials += (0.8 + offset) * brain.scale
        out[rows] = trials
    return out


def rois(brain: Brain) -> dict[str, np.ndarray]:
    """{name: bool [v]} of every area and of areas.UNIONS; silent voxels within them included."""
    return {name: areas.region(name, brain.area) for name in (*areas.NAMES, *areas.UNIONS)}


def noise_ceiling(ncsnr: np.ndarray, trials: int = 1) -> np.ndarray:
    """Largest r squared of a noise-free prediction with a mean of `trials` (Allen et al. 2022)."""
    return ncsnr**2 / (ncsnr**2 + 1 / trials)


def truth(brain: Brain) -> dict[str, np.ndarray]:
    """What is known of each voxel, to be saved beside the data: plain arrays by name."""
    names = np.array((*areas.NAMES, ''))
    liked = brain.categories.max(1) > 0
    preferred = np.array(scenes.CATEGORIES)[brain.categories.argmax(1)]
    fields = (
        'hemisphere', 'vertex', 'xyz', 'carries', 'x', 'y', 'size', 'exponent', 'channels',
        'categories', 'ncsnr', 'scale',
    )  # fmt: skip
    return {name: getattr(brain, name) for name in fields} | {
        'area': names[brain.area],
        'preferred_category': np.where(liked, preferred, ''),
        'noise_ceiling': noise_ceiling(brain.ncsnr),
        'category_names': np.array(scenes.CATEGORIES),
        'brain_version': np.array(brain.version),
    }


def _receptive_fields(brain: Brain, mask: np.ndarray, side: int) -> np.ndarray:
    """[places v], the part of each voxel's Gaussian that lies in each place of the grid."""
    x, y = channels.field(side)
    size = brain.size[mask]
    square = (x[:, None] - brain.x[mask]) ** 2 + (y[:, None] - brain.y[mask]) ** 2
    cell = (2 * areas.FIELD / side) ** 2
    return np.exp(-square / (2 * size**2)) * cell / (2 * np.pi * size**2)


def _fine_weights(brain: Brain, mask: np.ndarray) -> np.ndarray:
    """[18*16*16 v]."""
    fields = _receptive_fields(brain, mask, channels.GRID)
    weights = brain.channels[mask].T[:, None] * fields
    return weights.reshape(-1, mask.sum()).astype(np.float32)


def _wide_weights(brain: Brain, mask: np.ndarray) -> np.ndarray:
    """[(18 + 16)*8*8 v]: channels, then contents; a medium object in the field drives about 1."""
    fields = _receptive_fields(brain, mask, channels.COARSE)
    both = np.concatenate([brain.channels[mask], _COVERAGE * brain.categories[mask]], 1)
    return (both.T[:, None] * fields).reshape(-1, mask.sum()).astype(np.float32)
