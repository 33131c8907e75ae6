"""Windows and back: known patterns exactly, and the published recipe's own fold."""

import numpy as np
import pytest

from recon.core import errors, patterns

SIZES = [(1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (3, 3), (5, 5), (1, 5)]


@pytest.mark.parametrize('size', SIZES)
def test_windows_are_means_at_every_position_row_by_row(size):
    pictures = np.random.default_rng(0).integers(0, 2, (3, 7, 9)).astype(np.float32)
    got = patterns.unfold(pictures, size)
    a, b = size
    wanted = [
        pictures[:, i : i + a, j : j + b].mean((1, 2)) for i in range(8 - a) for j in range(10 - b)
    ]
    np.testing.assert_allclose(got, np.stack(wanted, -1), rtol=1e-6)
    assert got.shape[1] == patterns.count((7, 9), size)
    assert len(np.unique(got)) <= a * b + 1  # equal counts are equal numbers


def test_ten_by_ten_gives_the_361_windows_of_the_paper():
    sizes = SIZES[:4]
    assert [patterns.count((10, 10), s) for s in sizes] == [100, 90, 90, 81]


@pytest.mark.parametrize('size', SIZES)
def test_a_constant_picture_survives_unfold_and_fold(size):
    picture = np.full((2, 6, 8), 1.0, np.float32)
    back = patterns.fold(patterns.unfold(picture, size), (6, 8), size)
    np.testing.assert_array_equal(back, picture)


def test_stripes_survive_windows_that_lie_along_them():
    stripes = np.zeros((1, 6, 6), np.float32)
    stripes[:, ::2] = 1
    back = patterns.fold(patterns.unfold(stripes, (1, 3)), (6, 6), (1, 3))
    np.testing.assert_allclose(back, stripes, atol=1e-7)
    across = patterns.fold(patterns.unfold(stripes, (2, 1)), (6, 6), (2, 1))
    np.testing.assert_array_equal(across[0, 1:-1], 0.5)


def test_single_pixels_are_the_picture_itself():
    pictures = np.random.default_rng(1).random((4, 3, 5)).astype(np.float32)
    back = patterns.fold(patterns.unfold(pictures, (1, 1)), (3, 5), (1, 1))
    np.testing.assert_array_equal(back, pictures)


def test_fold_equals_averaging_with_edge_weight_one():
    # The published recipe: a matrix with .5 where two windows overlap and 1 at the edges.
    values = np.random.default_rng(2).random((5, 90))
    spread = (np.eye(10) + np.eye(10, k=-1))[:, :-1] * 0.5
    spread[0, 0] = spread[-1, -1] = 1
    wide = np.einsum('wj,nij->niw', spread, values.reshape(5, 10, 9))
    np.testing.assert_allclose(patterns.fold(values, (10, 10), (1, 2)), wide, rtol=1e-12)
    square = np.einsum('hi,wj,nij->nhw', spread, spread, values[:, :81].reshape(5, 9, 9))
    np.testing.assert_allclose(patterns.fold(values[:, :81], (10, 10), (2, 2)), square, rtol=1e-12)


def test_transitions_count_neighbours_that_differ():
    board = np.indices((10, 10)).sum(0) % 2
    half = np.zeros((10, 10), int)
    half[:, 5:] = 1
    dot = np.zeros((10, 10), int)
    dot[4, 4] = 1
    got = patterns.transitions(np.stack([board, half, dot, half * 0]))
    np.testing.assert_array_equal(got, [180, 10, 4, 0])


def test_a_window_that_does_not_fit_is_refused_by_size():
    with pytest.raises(errors.ConfigError, match=r'window of \(1, 5\) in pictures of \(4, 4\)'):
        patterns.unfold(np.zeros((1, 4, 4), np.float32), (1, 5))
    with pytest.raises(errors.ConfigError, match=r'\(0, 1\)'):
        patterns.count((4, 4), (0, 1))
