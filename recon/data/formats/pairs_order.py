"""In which order do voxels lie within their mask? Neighbours in the brain vary together."""

import dataclasses

import numpy as np

from recon.data.formats import pairs_voxels

_ROWS, _PAIRS, _SEED = 400, 3000, 0
_SURE, _MORE = 5.0, 1.4  # standard errors, ratio


def warning(values: np.ndarray, grid: pairs_voxels.Grid) -> str | None:
    """A sentence if the other order of voxels makes neighbours much more alike; else None.

    For each order, voxels that touch along the axis that runs slowest in it (so that they are not
    neighbours in the array too) are correlated over rows. The other order is suspected if its mean
    correlation is higher by more than five standard errors, and 1.4 times as high.

    Args:
      values: [n v], rows of voxels in the order that `grid` says.
      grid: the mask, with that order.
    """
    rng = np.random.default_rng(_SEED)
    rows = np.sort(rng.permutation(len(values))[:_ROWS])
    if len(rows) < 20:
        return None
    other = dataclasses.replace(grid, order='F' if grid.order == 'C' else 'C')
    found = [_alike(values, rows, kind, rng) for kind in (grid, other)]
    if any(len(r) < 20 for r in found):
        return None
    means, errors = zip(*((r.mean(), r.std() / np.sqrt(len(r))) for r in found), strict=True)
    if means[1] - means[0] < _SURE * np.hypot(*errors) or means[1] < _MORE * means[0]:
        return None
    return (
        f'voxels look as if they lay in the other order within the mask: neighbours correlate by '
        f'{means[1]:.2f} there and by {means[0]:.2f} as it is; set dataset.voxels.order='
        f"'{other.order}' (C is numpy's, F is MATLAB's), or regions and places are wrong"
    )


def _alike(values, rows, grid: pairs_voxels.Grid, rng) -> np.ndarray:
    """Correlations over `rows` of voxels that touch along the slowest axis, [k]."""
    column = np.full(grid.mask.shape, -1)
    place = np.stack(np.meshgrid(*map(np.arange, grid.mask.shape), indexing='ij'), -1)
    column[tuple(grid.take(place).T)] = np.arange(grid.mask.sum())
    axis = 0 if grid.order == 'C' else 2
    one = np.take(column, range(column.shape[axis] - 1), axis).reshape(-1)
    two = np.take(column, range(1, column.shape[axis]), axis).reshape(-1)
    both = np.flatnonzero((one >= 0) & (two >= 0))
    both = rng.permutation(both)[:_PAIRS]
    a, b = (np.asarray(values[rows][:, at[both]], np.float32) for at in (one, two))
    good = np.isfinite(a).all(0) & np.isfinite(b).all(0)
    a, b = a[:, good], b[:, good]
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.sqrt(np.square(a).sum(0) * np.square(b).sum(0))
    return (a * b).sum(0)[norm > 0] / norm[norm > 0]
