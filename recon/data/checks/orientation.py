"""Are pictures upright and hemispheres named right? Only the visual field on the cortex can tell.

A linear decoder of pixels does not mind that all pictures are transposed or mirrored. But the left
half of V1 to V3 sees the right half of the picture, and its ventral parts see the upper half.
"""

import numpy as np

from recon.core import types
from recon.data.checks import readout

_LEAST = 5  # voxels of a part of the visual field, below which nothing is asked
_MIRRORED = 'mirrored left to right'
# Where a point (right, up) of the true picture lies in the one that is stored.
TURNS = {
    _MIRRORED: lambda x, y: (-x, y),
    'upside down': lambda x, y: (x, -y),
    'turned by 180 degrees': lambda x, y: (-x, -y),
    'transposed': lambda x, y: (-y, -x),
    'transposed along the other diagonal': lambda x, y: (y, x),
    'turned by 90 degrees to the right': lambda x, y: (y, -x),
    'turned by 90 degrees to the left': lambda x, y: (-y, x),
}
# What hemispheres alone can tell: where the right half lies. Upside down looks the same to them.
HALVES = {
    _MIRRORED: TURNS[_MIRRORED],
    'transposed or turned by 90 degrees to the right': TURNS['transposed'],
    'transposed along the other diagonal or turned by 90 degrees to the left': TURNS[
        'transposed along the other diagonal'
    ],
}


def check(brain: types.BrainData, seed: int = 0) -> dict:
    """Are the pictures the right way round for this visual cortex, and the hemispheres named right?

    The left half of V1 to V3 sees the right half of the picture, ventral parts the upper half.
    From the voxels of each part, luminance and contrast in 4 x 4 cells of the picture are decoded
    (ridge, five sets of images); the part's own quadrant should be decoded best. Each way of
    turning or mirroring the picture puts another quadrant in its place. Without ventral and dorsal
    parts only the place of the right half is asked. Scores are correlations; intervals as in
    `readout.judge`: on pure noise about 1 data set in 30 warns.

    Args:
      brain: needs voxel_info['hemisphere'] and ROIs V1, V2, V3 (or V1v, V1d ...).
      seed: of draws, folds and bootstrap.

    Returns:
      See `readout.answer`.
    """
    parts, reason = visual_parts(brain)
    shown = np.unique(brain.train.image_id)
    if len(shown) < readout.FEWEST:
        reason = f'{len(shown)} images, at least {readout.FEWEST} are needed'
    if reason:
        return readout.answer(note=f'not applicable: {reason}')
    rng = np.random.default_rng(seed)
    shown = readout.images_of(brain.train, rng)
    fold = rng.permutation(len(shown)) % readout.FOLDS
    cells = readout.cells(brain.images, shown)  # [m cells 2]
    share = {}
    for spot, mask in parts.items():
        voxels = np.flatnonzero(mask)
        voxels = np.sort(rng.permutation(voxels)[: readout.VOXELS // len(parts)])
        x = readout.responses(brain.train, shown, voxels)
        share[spot] = _agreement(x, cells, fold)  # [m cells]
    quadrants = all(y for _, y in parts)
    turns = TURNS if quadrants else HALVES

    def score(turn):
        inside = {spot: _inside(turn(*spot)) for spot in parts}
        return np.mean([share[s][:, inside[s]].mean(1) for s in parts], axis=0)

    as_is = score(lambda x, y: (x, y))
    tried = [(name, as_is, score(turn)) for name, turn in turns.items()]
    sizes = ', '.join(f'{_spot(s)} {int(m.sum())}' for s, m in parts.items())
    note = f'{len(shown)} images; voxels by what they should see: {sizes}; seed {seed}'
    if not quadrants:
        note += '; without ventral and dorsal parts it is not told whether they are upside down'
    return readout.judge(tried, as_is, rng, note, _say)


def visual_parts(brain: types.BrainData) -> tuple[dict, str | None]:
    """{(right, up): bool [v]} of V1 to V3, by the part of the visual field that they see.

    right and up are +1 or -1, up is 0 where ventral and dorsal are not told apart. The second value
    says why there are none.
    """
    side = brain.voxel_info.get('hemisphere')
    if side is None:
        return {}, 'the hemisphere of the voxels is not known'
    named = {k: readout.EARLY.fullmatch(k) for k in brain.rois}
    early = {k: found for k, found in named.items() if found and brain.rois[k].any()}
    if not early:
        return {}, 'no area is named V1, V2 or V3'
    fine = {}
    for half, word in ((1, 'v'), (-1, 'd')):
        chosen = [k for k, f in early.items() if (f[2] or {'VP': 'v'}.get(f[1].upper())) == word]
        fine[half] = np.any([brain.rois[k] for k in chosen], 0) if chosen else None
    if all(mask is not None for mask in fine.values()):
        parts = {
            (1 - 2 * s, half): mask & (side == s) for s in (1, 0) for half, mask in fine.items()
        }
        if all(mask.sum() >= _LEAST for mask in parts.values()):
            return parts, None
    whole = np.any([brain.rois[k] for k in early], 0)
    parts = {(1 - 2 * s, 0): whole & (side == s) for s in (1, 0)}
    fewest = min(int(mask.sum()) for mask in parts.values())
    if fewest < _LEAST:
        return {}, f'a hemisphere has {fewest} voxels of V1 to V3'
    return parts, None


def _inside(spot) -> np.ndarray:
    """Bool [cells]: the cells on the side (right, up) of the picture; 0 asks for both."""
    up, right = np.indices((readout.CELLS, readout.CELLS)).reshape(2, -1) < readout.CELLS // 2
    x, y = spot
    right = ~right
    return ((x == 0) | (right == (x > 0))) & ((y == 0) | (up == (y > 0)))


def _agreement(x, cells, fold) -> np.ndarray:
    """[m cells]: product of decoded and true value, each z-scored over images; its mean is r."""
    m = len(cells)
    true = readout.z_score(cells.reshape(m, -1).astype(np.float32))
    decoded = readout.z_score(readout.held_out(x, true, fold))
    return (decoded * true).reshape(m, -1, 2).mean(-1)


def _say(name: str, entry: dict) -> str:
    text = f'V1 to V3 answer as if the pictures were stored {name} ({readout.numbers(entry)}). '
    if name == _MIRRORED:
        return text + 'Either the pictures are mirrored, or left and right hemisphere are swapped.'
    return text + 'Look at the pictures: are they upright? Check the order of the image axes.'


def _spot(spot: tuple) -> str:
    """(1, -1) -> 'lower right'."""
    up = {1: 'upper ', -1: 'lower ', 0: ''}[spot[1]]
    return up + ('right' if spot[0] > 0 else 'left')
