"""Sky, ground and their textures: what stands behind the objects of a scene."""

import numpy as np

# Named for captions; colours are red, green, blue in [0, 1]. Light and dark ones in equal shares,
# above as below, so that the mean picture says little about any one.
SKIES = {
    'a day sky': (0.45, 0.70, 0.95),
    'a misty sky': (0.84, 0.86, 0.88),
    'a dusk sky': (0.93, 0.56, 0.42),
    'a night sky': (0.10, 0.12, 0.28),
    'a stormy sky': (0.36, 0.40, 0.46),
    'a cream wall': (0.88, 0.80, 0.64),
    'a rose wall': (0.62, 0.30, 0.36),
    'a teal wall': (0.14, 0.36, 0.36),
}
GROUNDS = {
    'grass': (0.30, 0.55, 0.20),
    'sand': (0.87, 0.76, 0.52),
    'snow': (0.92, 0.94, 0.97),
    'water': (0.16, 0.36, 0.60),
    'earth': (0.36, 0.24, 0.17),
    'asphalt': (0.22, 0.22, 0.25),
    'a wooden floor': (0.66, 0.44, 0.25),
    'a lilac carpet': (0.66, 0.56, 0.74),
}
# Weights of four plane waves; 'checks' and 'dots' are products of the first two instead.
_KINDS = {
    'plain': (0, 0, 0, 0),
    'stripes': (1, 0, 0, 0),
    'checks': (0, 0, 0, 0),
    'clouds': (0.6, 0.6, 0.6, 0.6),
    'grain': (0.6, 0.6, 0.6, 0.6),
}


def draw(u: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Backgrounds from uniform numbers.

    Args:
      u: [m 64] in [0, 1).
      size: pixels on a side.

    Returns:
      pictures [m size size 3] float32 in [0, 1]; place [m 2] int8 (index of SKIES, of GROUNDS).
    """
    place = (u[:, :2] * (len(SKIES), len(GROUNDS))).astype(np.int8)
    colours = np.stack(
        [
            np.array(list(SKIES.values()), np.float32)[place[:, 0]],
            np.array(list(GROUNDS.values()), np.float32)[place[:, 1]],
        ],
        1,
    )  # [m 2 3]
    return _blend(u, colours, size), place


def describe(place) -> str:
    """Words for one picture's place [2], for example 'a night sky over sand'."""
    return f'{tuple(SKIES)[place[0]]} over {tuple(GROUNDS)[place[1]]}'


def _blend(u: np.ndarray, colours: np.ndarray, size: int) -> np.ndarray:
    axis = ((np.arange(size) + 0.5) / size).astype(np.float32)
    v = u.astype(np.float32)[:, :, None]
    horizon = 0.25 + 0.55 * v[:, 2] + 0.07 * v[:, 3] * np.sin(2 * np.pi * (axis * 1.5 + v[:, 4]))
    below = np.clip((axis[:, None] - horizon[:, None]) * size + 0.5, 0, 1)  # [m h w]
    v = v[..., None]
    light = 1 + 0.5 * (v[:, 5] - 0.5) * (axis - 0.5) + 0.3 * (v[:, 6] - 0.5) * (axis[:, None] - 0.5)
    depth = axis[:, None] - horizon[:, None]
    sky = 1 + 0.5 * (v[:, 7] - 0.4) * depth + _texture(u[:, 10:34], size, calm=0.4)
    ground = 1 + 0.5 * (v[:, 8] - 0.4) * depth + _texture(u[:, 34:58], size, calm=1.0)
    shares = np.stack([(1 - below) * sky * light, below * ground * light], -1)  # [m h w 2]
    m = len(u)
    pictures = shares.reshape(m, size * size, 2) @ colours
    return np.clip(pictures.reshape(m, size, size, 3), 0, 1)


def _texture(u: np.ndarray, size: int, calm: float) -> np.ndarray:
    """[m 24] uniform numbers -> [m h w] relative brightness around 0; `calm` scales it."""
    names = tuple(_KINDS)
    kind = (u[:, 0] * len(names)).astype(int)
    weights = np.array(list(_KINDS.values()))[kind]  # [m 4]
    is_checks, is_clouds, is_grain = (
        (kind == names.index(name))[:, None] for name in ('checks', 'clouds', 'grain')
    )
    waves = 2.5 + 7 * u[:, 1:2]  # cycles in the picture
    waves = np.where(is_clouds, 1 + 2 * u[:, 4:8], np.where(is_grain, 7 + 5 * u[:, 4:8], waves))
    angle = np.pi * np.where(is_clouds | is_grain, u[:, 8:12], u[:, 2:3])
    angle[:, 1] += np.where(is_checks[:, 0], np.pi / 2, 0)
    phase = 2 * np.pi * u[:, 12:16]
    axis = (np.arange(size) + 0.5) / size
    across = 2 * np.pi * waves[..., None] * np.cos(angle)[..., None] * axis  # [m 4 w]
    down = 2 * np.pi * waves[..., None] * np.sin(angle)[..., None] * axis + phase[..., None]
    # sin(across + down) is of rank two, so that a sum of waves is one small product.
    rows = np.concatenate([np.sin(down), np.cos(down)], 1).astype(np.float32)  # [m 8 h]
    cols = np.concatenate([np.cos(across), np.sin(across)], 1).astype(np.float32)
    out = (rows * np.tile(weights, 2)[..., None].astype(np.float32)).swapaxes(1, 2) @ cols
    for i in np.flatnonzero(is_checks[:, 0]):
        first, second = (rows[i, k::4].T @ cols[i, k::4] for k in (0, 1))
        out[i] = np.tanh(3 * first * second)
    return out * (calm * 0.22 * (0.3 + 0.7 * u[:, 3:4, None])).astype(np.float32)
