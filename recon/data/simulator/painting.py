"""Puts a scene's objects on its background."""

import numpy as np

from recon.data.simulator import shapes, stencils


def paint(
    i: int,
    plan: dict,
    canvas: np.ndarray,
    box: np.ndarray,
    seen: np.ndarray,
    contents: np.ndarray,
    pool: np.ndarray,
) -> None:
    """Puts picture i's objects on its background, front to back; all but `plan` is filled in.

    Args:
      i: row of the plan.
      plan: what stands where (scenes.draw), arrays [m 4].
      canvas: [h h 3] float32, the background.
      box: [4 4], each object's top, left, bottom, right, as fractions.
      seen: [4 2], each object's share of the picture, and how much of it is seen.
      contents: [16 cells cells], coverage by category.
      pool: from `pooling`.
    """
    size = len(canvas)
    clear = np.ones((size, size), np.float32)  # how much of what lies behind is still seen
    front = np.zeros_like(canvas)
    for k in range(len(box)):
        category = plan['category'][i, k]
        if category < 0:
            break
        side = max(6, round(plan['height'][i, k] * size))
        recipe = _stencil(category, side, plan, i, k)
        h, w = recipe.shape[:2]
        top = max(0, min(size - h, round(plan['y'][i, k] * size - h / 2)))
        left = max(0, min(size - w, round(plan['x'][i, k] * size - w / 2)))
        recipe = recipe[: size - top, : size - left]
        h, w = recipe.shape[:2]
        window = (slice(top, top + h), slice(left, left + w))
        light = clear[window][..., None]
        colour, rim = _colours(plan['colour'][i, k], plan['tint'][i, k])
        front[window] += light * (recipe[..., 1:3] @ np.stack([colour, rim]) + recipe[..., 3:])
        shown = recipe[..., 0] * light[..., 0]
        clear[window] -= shown
        box[k] = top / size, left / size, (top + h) / size, (left + w) / size
        whole, part = float(recipe[..., 0].sum()), float(shown.sum())
        seen[k] = part / size**2, part / whole
        contents[category] += pool[:, window[0]] @ shown @ pool[:, window[1]].T
    canvas *= clear[..., None]
    canvas += front


def pooling(size: int, cells: int) -> np.ndarray:
    """[cells size]: means over equal parts of a picture, also where `size` does not divide."""
    edges = np.linspace(0, size, cells + 1)
    pixels = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(overlap, 0, None) * cells / size).astype(np.float32)


def _stencil(category, side, plan, i, k) -> np.ndarray:
    name = shapes.CATEGORIES[category]
    written = name in ('word', 'letter')
    variant = int(plan['variant'][i, k]) if written else 0
    stretch = shapes.STRETCHES[plan['stretch'][i, k]]
    recipe = stencils.stencil(name, side, stretch, variant)
    return recipe if written or not plan['mirror'][i, k] else recipe[:, ::-1]


def _colours(colour: int, tint: float) -> tuple[np.ndarray, np.ndarray]:
    """An object's colour and its rim's: dark, but pale around black."""
    name = tuple(shapes.COLOURS)[colour]
    rim = (0.80, 0.80, 0.80) if name == 'black' else (0.08, 0.08, 0.10)
    return np.float32(tint) * np.array(shapes.COLOURS[name], np.float32), np.array(rim, np.float32)
