"""Pictures as overlapping windows, and back; how complex a pattern is. numpy."""

import numpy as np
from jaxtyping import Float, Int

from recon.core import errors


def unfold(pictures: Float[np.ndarray, 'n h w'], size: tuple[int, int]) -> np.ndarray:
    """Mean of every window of `size` (height, width), at every position, row by row.

    Args:
      pictures: any unit; windows of 0/1 pictures with equal counts have equal means, bit by bit.
      size: (a, b), at most (h, w).

    Returns:
      [n m] float32, m = (h - a + 1) (w - b + 1).

    Raises:
      ConfigError: the window does not fit.
    """
    check_size(pictures.shape[1:], size)
    windows = np.lib.stride_tricks.sliding_window_view(pictures, size, axis=(1, 2))
    total = windows.sum((-1, -2), dtype=np.float64)  # [n h-a+1 w-b+1]
    return (total / (size[0] * size[1])).reshape(len(pictures), -1).astype(np.float32)


def fold(values: Float[np.ndarray, 'n m'], shape: tuple[int, int], size: tuple[int, int]):
    """Every pixel is the average of the windows that cover it.

    Args:
      values: one for each window, in the order of `unfold`.
      shape: (h, w) of the pictures.
      size: (a, b) of the windows.

    Returns:
      [n h w], dtype of `values`.
    """
    check_size(shape, size)
    rows, columns = shape[0] - size[0] + 1, shape[1] - size[1] + 1
    grid = values.reshape(-1, rows, columns)
    total, covers = np.zeros((len(grid), *shape), values.dtype), np.zeros(shape, values.dtype)
    for i in range(size[0]):
        for j in range(size[1]):
            total[:, i : i + rows, j : j + columns] += grid
            covers[i : i + rows, j : j + columns] += 1
    return total / covers


def count(shape: tuple[int, int], size: tuple[int, int]) -> int:
    """Number of windows of `size` in a picture of `shape`."""
    check_size(shape, size)
    return (shape[0] - size[0] + 1) * (shape[1] - size[1] + 1)


def transitions(patterns: np.ndarray) -> Int[np.ndarray, ' m']:
    """Complexity of a pattern: how many pairs of neighbours (left-right, up-down) differ.

    Args:
      patterns: [m h w], black and white.
    """
    across = (patterns[:, :, 1:] != patterns[:, :, :-1]).sum((1, 2))
    down = (patterns[:, 1:] != patterns[:, :-1]).sum((1, 2))
    return across + down


def check_size(shape: tuple[int, int], size: tuple[int, int]) -> None:
    """Raises ConfigError for a window that does not fit into the picture."""
    if len(size) != 2 or not all(1 <= a <= h for a, h in zip(size, shape, strict=True)):
        raise errors.ConfigError(
            f'a window of {tuple(size)} in pictures of {tuple(shape)}',
            'scales',
            'wanted (height, width), each at least 1 and at most that of the picture',
        )
