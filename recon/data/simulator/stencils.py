"""From a shape's parts to an antialiased recipe of pixels that any colour can fill."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from recon.data.simulator import shapes

# Weight of the object's colour, and what is added to it, per paint.
_PAINTS = {
    'main': (1.0, (0.0, 0.0, 0.0)),
    'shade': (0.62, (0.0, 0.0, 0.0)),
    'light': (0.5, (0.5, 0.5, 0.5)),
    'dark': (0.0, (0.07, 0.07, 0.09)),
    'pale': (0.0, (0.97, 0.97, 0.95)),
    'wood': (0.0, (0.42, 0.27, 0.16)),
}


@functools.lru_cache(maxsize=1024)
def stencil(category: str, side: int, stretch: float = 1.0, variant: int = 0) -> np.ndarray:
    """One shape, antialiased, as a recipe that any colour can fill.

    Args:
      category: one of CATEGORIES.
      side: height of its square in pixels.
      stretch: width over height.
      variant: which word or letter.

    Returns:
      [h w 6] float32, not to be written to: coverage; weight of the object's colour; weight of the
      rim's (and of the ink's) colour; and red, green, blue to be added. Cropped to what is drawn.
    """
    fine = max(2, min(6, round(160 / side)))  # supersampling
    wide, high = round(side * stretch) * fine, side * fine
    margin = 2 * fine
    canvas = Image.new('L', (wide + 2 * margin, high + 2 * margin))
    drawn = ImageDraw.Draw(canvas)
    recipes = [(0, 0, 0, 0, 0, 0)]  # of what lies outside
    for part in shapes.parts(category, variant):
        recipes.append(_recipe(part[-1]))
        _draw_part(drawn, part, (wide, high), margin, fill=len(recipes) - 1)
    which = np.asarray(canvas)
    planes = np.array(recipes, np.float32)[which]  # [h w 6]
    solid = which > 0
    planes[_grown(solid, max(1, round(0.018 * high))) & ~solid] = _recipe('ink')
    h, w = (planes.shape[0] // fine, planes.shape[1] // fine)
    small = planes.reshape(h, fine, w, fine, 6).mean((1, 3))
    rows, cols = (np.flatnonzero(small[..., 0].max(axis) > 0.02) for axis in (1, 0))
    out = np.ascontiguousarray(small[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1])
    out.flags.writeable = False
    return out


def _recipe(paint: str) -> tuple:
    if paint == 'ink':  # and the rim: dark, but pale on and around what is black
        return 1, 0, 1, 0, 0, 0
    weight, added = _PAINTS[paint]
    return 1, weight, 0, *added


def _draw_part(draw, part: tuple, size: tuple, margin: int, fill: int) -> None:
    points = np.asarray(part[1], np.float64).reshape(-1, 2) * np.array(size) + margin
    flat = [tuple(p) for p in points]
    if part[0] == 'oval':
        draw.ellipse(flat, fill=fill)
    elif part[0] == 'box':
        draw.rectangle(flat, fill=fill)
    elif part[0] == 'poly':
        draw.polygon(flat, fill=fill)
    else:
        width = max(1, round(part[2] * size[1]))
        draw.line(flat, fill=fill, width=width, joint='curve')
        for x, y in flat:
            r = width / 2
            draw.ellipse([x - r, y - r, x + r, y + r], fill=fill)


def _grown(mask: np.ndarray, by: int) -> np.ndarray:
    """`mask` [h w] bool, grown by `by` pixels up, down, left and right."""
    out = mask
    for axis in (0, 1):
        out = np.any([np.roll(out, k, axis) for k in range(-by, by + 1)], 0)
    return out
