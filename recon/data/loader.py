"""Batches: which rows a step is given is a pure function of the seed and the step."""

import functools

import numpy as np


def rows(seed: int, step: int, n: int, batch: int, part: int = 0, parts: int = 1) -> np.ndarray:
    """[batch / parts] int64 in [0, n): the rows of one part of the batch `step`.

    Every row comes once in each run of n; a batch may begin with the end of one and go on with the
    next. All parts together are the same rows, in the same order, whatever their number.

    Args:
      seed: of the order.
      step: of the training, from 0.
      n: rows of the training set.
      batch: rows of a step, all parts together.
      part: which part this process reads (`sharding.share`).
      parts: how many there are; their number divides `batch`.
    """
    assert batch % parts == 0, f'a batch of {batch} in {parts} parts'
    size = batch // parts
    first = step * batch + part * size
    position = np.arange(first, first + size)
    epoch, place = np.divmod(position, n)
    out = np.empty(size, np.int64)
    for e in np.unique(epoch):
        out[epoch == e] = _order(seed, int(e), n)[place[epoch == e]]
    return out


@functools.lru_cache(maxsize=4)
def _order(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(n)
