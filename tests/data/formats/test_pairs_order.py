import dataclasses

import numpy as np
import pytest
import scipy.ndimage

from recon.data.datasets import pairs
from recon.data.formats import pairs_order, pairs_voxels
from recon.data.layouts import pairs as layout

SHAPE = (12, 14, 10)


def grid(seed, order):
    centre = np.random.default_rng(seed).uniform(4, 7, 3)
    away = sum((x - c) ** 2 for x, c in zip(np.indices(SHAPE), centre, strict=True))
    return pairs_voxels.Grid(away < 22, np.eye(4), order)


def volumes(seed, rows=120, smooth=0.7):
    noise = np.random.default_rng(seed).normal(size=(*SHAPE, rows))
    return scipy.ndimage.gaussian_filter(noise, (smooth, smooth, smooth, 0))


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize(('stored', 'other'), ['CF', 'FC'])
def test_smooth_noise_shows_the_order_and_the_right_one_is_silent(seed, stored, other):
    values = grid(seed, stored).take(volumes(seed)).T
    assert pairs_order.warning(values, grid(seed, stored)) is None
    said = pairs_order.warning(values, grid(seed, other))
    assert f"dataset.voxels.order='{stored}'" in said


@pytest.mark.parametrize('axes', [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@pytest.mark.parametrize('order', 'CF')
def test_a_mask_that_is_mirrored_against_the_voxels_is_said(axes, order):
    """All of 10, but for the fastest axis, along which a small mask hardly moves: half of them."""
    names, told = ' and '.join('xyz'[axis] for axis in axes), 0
    for seed in range(10):
        where = grid(seed, order)
        mask = where.mask & (np.random.default_rng(seed).random(SHAPE) < 0.9)
        mask[: SHAPE[0] // 2, :5, :4] = False
        where = dataclasses.replace(where, mask=mask)
        values = where.take(volumes(seed)).T
        assert pairs_order.warning(values, where) is None
        wrong = dataclasses.replace(where, mask=np.flip(mask, axes))
        said = pairs_order.warning(values, wrong)
        told += said is not None
        if said:
            assert f'in the stated order within the mask mirrored along {names}:' in said
            assert 'order=' not in said and 'mirror the mask' in said
    fastest = (2,) if order == 'C' else (0,)
    assert told >= (5 if axes == fastest else 10)


def test_voxels_that_are_independent_or_all_alike_are_silent():
    """40 draws each: no false alarm."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        for order in 'CF':
            where = grid(seed, order)
            values = rng.normal(size=(60, where.mask.sum()))
            assert pairs_order.warning(values, where) is None
            assert pairs_order.warning(values + 3 * rng.normal(size=(60, 1)), where) is None


def test_few_rows_few_voxels_and_nan_are_no_fault():
    where = grid(0, 'F')
    values = grid(0, 'C').take(volumes(0)).T
    assert pairs_order.warning(values[:19], where) is None
    values[:, ::7] = np.nan
    assert 'order=' in pairs_order.warning(values, where)
    tiny = np.zeros(SHAPE, bool)
    tiny[3:5, 3:5, 3:5] = True
    assert pairs_order.warning(values[:, :8], pairs_voxels.Grid(tiny, np.eye(4), 'C')) is None


def test_the_reader_says_so_for_lists_of_voxels_and_not_for_volumes(tmp_path):
    for kind in ('npy', 'nifti'):
        folder = layout.write(tmp_path / kind, kind=kind, seed=2)
        assert not pairs.load({'path': str(folder)}).facts['notes']
        wrong = pairs.load({'path': str(folder), 'voxels': {'order': 'F'}}).facts['notes']
        assert bool(wrong) == (kind == 'npy')
        assert not wrong or "order='C'" in wrong[0]
