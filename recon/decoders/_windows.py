"""The local decoders of `miyawaki`: one for each window, each with voxels of its own.

n rows, v voxels, m windows, k voxels chosen for a window.
"""

import jax
import numpy as np

from recon.core import lookup, select

_IN_ONE_CALL = ('omp', 'univariate')  # take voxels of their own for every target


def fit(options, voxels, windows, rng, *, groups, rois) -> dict:
    """Chooses voxels for each window, z-scores them and fits `options.base`.

    Args:
      options: of decoders/miyawaki, complete.
      voxels: [n v].
      windows: [n m] mean contrast of each window.
      rng: jax key.
      groups: [n].
      rois: {name: bool [v]} or None.

    Returns:
      mean and scale [v], base (the local decoder's params; one after another on a new first axis
      where it was called for each window), and chosen [m k] unless all voxels are used.
    """
    mean, deviation = select.moments(voxels)
    scale = np.where(deviation == 0, 1, deviation)
    if not options.standardise:
        mean, scale = np.zeros_like(mean), np.ones_like(scale)
    dtype = options.base.get('dtype') or 'float32'
    local = {'mean': mean.astype(dtype), 'scale': scale.astype(dtype)}
    z = _scaled(local, voxels)
    module = _module(options)
    chosen = _choose(options, voxels, windows, dtype)
    if chosen is None:
        local['base'] = module.fit(options.base, z, windows, rng, groups=groups, rois=rois)
        return local
    local['chosen'] = chosen.astype(np.int32)
    if options.base.name in _IN_ONE_CALL:
        local['base'] = module.fit(options.base, z, windows, rng, groups=groups, chosen=chosen)
        return local
    fitted = []
    for i, own in enumerate(chosen):
        some = None if rois is None else {name: mask[own] for name, mask in rois.items()}
        params = module.fit(
            options.base, z[:, own], windows[:, i : i + 1], rng, groups=groups, rois=some
        )
        fitted.append(jax.tree.map(np.asarray, params))
    local['base'] = jax.tree.map(lambda *leaves: np.stack(leaves), *fitted)
    return local


def predict(options, local: dict, voxels) -> np.ndarray:
    """[k m] float32: the decoded contrast of every window."""
    z, module = _scaled(local, voxels), _module(options)
    if 'chosen' not in local or options.base.name in _IN_ONE_CALL:
        return module.predict(options.base, local['base'], z)
    columns = [
        module.predict(options.base, _one(local['base'], i), z[:, own])
        for i, own in enumerate(np.asarray(local['chosen']))
    ]
    return np.concatenate(columns, 1)


def importance(options, local: dict, v: int) -> tuple[str, np.ndarray] | None:
    """(what it is the sum of, [v]), from what the local decoder says; None if it says nothing."""
    module = _module(options)
    if not hasattr(module, 'describe'):
        return None
    if 'chosen' not in local or options.base.name in _IN_ONE_CALL:
        told = module.describe(options.base, local['base'])
        if 'importance' not in told:
            return None
        return _definition(told), np.asarray(told['importance'], np.float64)
    total, meaning = np.zeros(v), ''
    for i, own in enumerate(np.asarray(local['chosen'])):
        told = module.describe(options.base, _one(local['base'], i))
        if 'importance' not in told:
            return None
        total[own] += told['importance']
        meaning = _definition(told)
    return meaning, total


def _choose(options, voxels, windows, dtype) -> np.ndarray | None:
    """[m k] the voxels of each window, ascending; None for all."""
    by, k = options.select.by, options.select.k
    if by == 'none' or k >= voxels.shape[1]:
        return None
    if by == 'f':
        return select.top(select.f_scores(np.asarray(voxels, dtype), windows), k)
    return select.top(np.abs(select.correlation(voxels, windows)).T, k)


def _module(options):
    return lookup.find('recon.decoders', options.base.get('name'), 'decoder.base.name')


def _scaled(local: dict, voxels) -> np.ndarray:
    mean, scale = np.asarray(local['mean']), np.asarray(local['scale'])
    return (np.asarray(voxels, mean.dtype) - mean) / scale


def _one(params, i: int):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[i], params)


def _definition(told: dict) -> str:
    return str(told.get('facts', {}).get('importance', 'what the local decoder says'))
