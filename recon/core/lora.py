"""Low-rank additions to the matrices of a net, which are all that a short fine-tuning learns.

Source: Hu et al. 2022, 'LoRA: low-rank adaptation of large language models', section 4.1.
"""

import re

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from recon.core import errors
from recon.core import rng as rngs

ATTENTION = r'\.attn[12]\.to_(q|k|v|out\.0)\.kernel$'  # of a diffusion net's transformers


def begin(params: dict, rank: int, rng, which: str = ATTENTION) -> dict:
    """Additions that add nothing yet.

    Args:
      params: nested dict of a net.
      rank: r, of each addition.
      rng: jax key.
      which: regular expression, found in the dotted paths of the matrices [i o] that get one.

    Returns:
      {dotted path: {'down': [i r], normal of variance 1 / i, 'up': [r o], zeros}}, float32.

    Raises:
      ConfigError: a rank below 1, or no matrix that `which` finds.
    """
    if rank < 1:
        raise errors.ConfigError(f'rank is {rank}', 'lora', 'at least 1')
    made = {}
    for path, leaf in _dotted(params).items():
        if leaf.ndim == 2 and re.search(which, path):
            rows, columns = leaf.shape
            down = jax.random.normal(rngs.named(rng, path), (rows, rank)) / np.sqrt(rows)
            made[path] = {'down': down, 'up': jnp.zeros((rank, columns))}
    if not made:
        raise errors.ConfigError(f'no matrix matches {which!r}', 'lora', 'name some of the net')
    return made


def merge(params: dict, lora: dict, scale: float = 1.0) -> dict:
    """`params` with scale * down @ up added to the matrices that `lora` names, in their dtype.

    Args:
      params: nested dict of a net; not changed.
      lora: of `begin`, or trained.
      scale: of all additions.

    Raises:
      DataInvalid: additions to another net.
    """
    leaves = traverse_util.flatten_dict(params)
    paths = {'.'.join(path): path for path in leaves}
    for name, parts in lora.items():
        shape = parts['down'].shape[0], parts['up'].shape[1]
        if name not in paths or leaves[paths[name]].shape != shape:
            raise errors.DataInvalid(
                f'an addition to {name} {shape}', 'lora', 'it was learnt for another net'
            )
        kernel = leaves[paths[name]]
        added = scale * jnp.asarray(parts['down']) @ jnp.asarray(parts['up'])
        leaves[paths[name]] = (kernel + added).astype(kernel.dtype)
    return traverse_util.unflatten_dict(leaves)


def count(lora: dict) -> int:
    """How many numbers the additions are."""
    return sum(int(np.size(leaf)) for leaf in jax.tree.leaves(lora))


def _dotted(params: dict) -> dict:
    return {'.'.join(path): leaf for path, leaf in traverse_util.flatten_dict(params).items()}
