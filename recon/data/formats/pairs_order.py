"""In which order do voxels lie within their mask? Neighbours in the brain vary together."""

import dataclasses
import itertools

import numpy as np

from recon.data.formats import pairs_voxels

_ROWS, _PAIRS, _SEED = 400, 3000, 0
_SURE, _MORE = 5.0, 1.4  # standard errors, ratio


def warning(values: np.ndarray, grid: pairs_voxels.Grid) -> str | None:
    """A sentence if another order of voxels makes neighbours much more alike; else None.

    For each order, and each in a mask that is mirrored along one axis or several, voxels that touch
    along the axis that runs slowest in it (so that they are not neighbours in the array too) are
    correlated over rows. Another order is suspected if its mean correlation is higher by more than
    five standard errors, and 1.4 times as high; of several the highest. A mask that is its own
    mirror image cannot tell.

    Args:
      values: [n v], rows of voxels in the order that `grid` says.
      grid: the mask, with that order.
    """
    rng = np.random.default_rng(_SEED)
    rows = np.sort(rng.permutation(len(values))[:_ROWS])
    if len(rows) < 20:
        return None
    values = values[rows]
    stated = _alike(values, grid, rng)
    best, axes, other = stated, (), grid
    for kind, turned in _others(grid):
        found = _alike(values, kind, rng)
        if min(len(found), len(stated)) >= 20 and found.mean() > best.mean():
            best, axes, other = found, turned, kind
    if other is grid:
        return None
    means = [r.mean() for r in (stated, best)]
    error = np.hypot(*(r.std() / np.sqrt(len(r)) for r in (stated, best)))
    if means[1] - means[0] < _SURE * error or means[1] < _MORE * means[0]:
        return None
    mirrored = f' mirrored along {" and ".join(axes)}' if axes else ''
    what = f"order '{other.order}'" if other.order != grid.order else 'the stated order'
    said = (
        f'voxels look as if they lay in {what} within the mask{mirrored}: neighbours correlate by '
        f'{means[1]:.2f} there and by {means[0]:.2f} as it is; '
    )
    if axes:
        said += 'mirror the mask, or save the voxels again with it, '
    if other.order != grid.order:
        said += f"set dataset.voxels.order='{other.order}' (C is numpy's, F is MATLAB's), "
    return said + 'or regions and places are wrong'


def _others(grid: pairs_voxels.Grid):
    """Every other order and mirror image of the mask: (Grid, names of the mirrored axes)."""
    for count in range(4):
        for axes in itertools.combinations(range(3), count):
            mask = np.flip(grid.mask, axes)
            if axes and np.array_equal(mask, grid.mask):
                continue
            for order in 'CF':
                if axes or order != grid.order:
                    kind = dataclasses.replace(grid, mask=mask, order=order)
                    yield kind, tuple('xyz'[axis] for axis in axes)


def _alike(values, grid: pairs_voxels.Grid, rng) -> np.ndarray:
    """Correlations over rows of voxels that touch along the slowest axis, [k]."""
    column = np.full(grid.mask.shape, -1)
    place = np.stack(np.meshgrid(*map(np.arange, grid.mask.shape), indexing='ij'), -1)
    column[tuple(grid.take(place).T)] = np.arange(grid.mask.sum())
    axis = 0 if grid.order == 'C' else 2
    one = np.take(column, range(column.shape[axis] - 1), axis).reshape(-1)
    two = np.take(column, range(1, column.shape[axis]), axis).reshape(-1)
    both = np.flatnonzero((one >= 0) & (two >= 0))
    both = rng.permutation(both)[:_PAIRS]
    a, b = (np.asarray(values[:, at[both]], np.float32) for at in (one, two))
    good = np.isfinite(a).all(0) & np.isfinite(b).all(0)
    a, b = a[:, good], b[:, good]
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.sqrt(np.square(a).sum(0) * np.square(b).sum(0))
    return (a * b).sum(0)[norm > 0] / norm[norm > 0]
