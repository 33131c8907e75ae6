"""Random numbers by purpose: the same seed and name give the same draws, wherever they are made."""

import zlib

import jax
import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """A generator for one purpose: the same seed and names give the same numbers everywhere.

    Args:
      seed: the config's seed, >= 0.
      names: what the draw is for, for example 'bootstrap'; other names give independent streams.

    Returns:
      `np.random.Generator` seeded by all of them (names by their CRC-32, stable over processes).
    """
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def named(key: jax.Array, name: str) -> jax.Array:
    """A jax key for one purpose, folded from `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def derangement(random: np.random.Generator, n: int) -> np.ndarray:
    """[n] int: a random cyclic permutation, so that no row keeps its place (n > 1)."""
    order = random.permutation(n)
    moved = np.empty(n, int)
    moved[order] = np.roll(order, 1)
    return moved
