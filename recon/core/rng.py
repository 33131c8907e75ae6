"""Random numbers by purpose: the same seed and name give the same draws, wherever they are made."""

import zlib

import jax
import numpy as np


def numpy(seed: int, name: str) -> np.random.Generator:
    """A numpy generator for one purpose."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def named(key: jax.Array, name: str) -> jax.Array:
    """A jax key for one purpose, folded from `key`."""
    return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def derangement(generator: np.random.Generator, n: int) -> np.ndarray:
    """[n] int: a random cyclic permutation, so that no row keeps its place (n > 1)."""
    order = generator.permutation(n)
    moved = np.empty(n, int)
    moved[order] = np.roll(order, 1)
    return moved
