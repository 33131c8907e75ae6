"""Many rows through something that is compiled for one number of them."""

import numpy as np


def apply(run, rows: np.ndarray, size: int, shape: tuple[int, ...]) -> np.ndarray:
    """[n *shape] float32: `run` of `rows` [n ...], `size` at a time.

    Args:
      run: `run(part [k ...]) -> [k *shape]`, always with the same k, so that it is compiled once;
        a last part is filled up with zeros.
      rows: [n ...].
      size: rows at a time, at most; fewer where there are fewer.
      shape: of what one row gives.
    """
    size = max(1, min(size, len(rows)))
    out = np.empty((len(rows), *shape), np.float32)
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        count = len(part)
        if count < size:
            part = np.pad(part, ((0, size - count), *[(0, 0)] * (part.ndim - 1)))
        out[start : start + size] = np.asarray(run(part))[:count]
    return out
