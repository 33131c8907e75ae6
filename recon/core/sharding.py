"""Where arrays lie when there are many devices: one mesh, and lists of (regular expression, axes).

With one device, or without a mesh, everything lies where jax puts it.
"""

import re

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from recon.core import errors

AXES = ('data', 'model')


def mesh(model: int = 1, devices=None) -> Mesh:
    """All devices as [data, model]: rows of a batch over 'data', long axes of parameters over both.

    Args:
      model: devices that share the parameters of one copy; it divides their number.
      devices: default all, of all processes.

    Raises:
      ConfigError: `model` does not divide the number of devices.
    """
    devices = jax.devices() if devices is None else devices
    if model < 1 or len(devices) % model:
        raise errors.ConfigError(
            f'model is {model} with {len(devices)} devices', 'mesh', 'a divisor of that number'
        )
    shape = (len(devices) // model, model)
    # Explicit axes, which jax.make_mesh would choose, are refused by linen's Dropout.
    return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def by_rules(mesh: Mesh | None, rules):
    """A function from a pytree of shapes to the same tree of shardings.

    Args:
      mesh: of `mesh`; None gives None, all on one device.
      rules: ((regular expression, axes), ...): the first that is found in a leaf's dotted path
        says over which axis of the mesh each axis of the leaf is divided ('data', 'model', both as
        a tuple, or None); a leaf that none matches lies whole on every device. The optimizer's
        copies of a parameter have its path in theirs, so that they are divided as it is.

    Raises:
      ConfigError: from the function, for a leaf that cannot be divided so; it is named.
    """

    def place(path, leaf):
        name = '.'.join(_word(key) for key in path)
        axes = next((axes for pattern, axes in rules if re.search(pattern, name)), ())
        if not leaf.ndim:  # a step count beside the parameters
            axes = ()
        _check(mesh, name, leaf.shape, axes)
        return NamedSharding(mesh, PartitionSpec(*axes))

    if mesh is None:
        return None
    return lambda shapes: jax.tree_util.tree_map_with_path(place, shapes)


def share(mesh: Mesh | None) -> tuple[int, int]:
    """(part, parts): which part of a batch this process gives to `place_batch`.

    Processes whose devices hold the same rows (they share the parameters of one copy) give the same
    part.
    """
    if mesh is None:
        return 0, 1
    held = {}
    for (row, _), device in np.ndenumerate(mesh.devices):
        held.setdefault(device.process_index, set()).add(row)
    parts = sorted(set(map(frozenset, held.values())), key=min)
    return parts.index(frozenset(held[jax.process_index()])), len(parts)


def place_batch(mesh: Mesh | None):
    """A function that puts a batch (a pytree of arrays) on the devices, rows over 'data'.

    Each process gives its own part (`share`); a scalar lies whole on all.
    """
    if mesh is None:
        return jax.device_put

    def place(leaf):
        leaf = np.asarray(leaf)
        spec = PartitionSpec('data') if leaf.ndim else PartitionSpec()
        return jax.make_array_from_process_local_data(NamedSharding(mesh, spec), leaf)

    return lambda batch: jax.tree.map(place, batch)


def place_same(mesh: Mesh | None):
    """Like `place_batch`, where every process gives the whole batch and keeps its part of it.

    Raises:
      ConfigError: from the function, for rows that the devices do not divide.
    """
    if mesh is None:
        return jax.device_put

    def place(leaf):
        if leaf.shape[0] % mesh.shape['data']:
            raise errors.ConfigError(
                f'a batch of {leaf.shape[0]} on {mesh.shape["data"]} devices',
                'batch',
                'a multiple of that number',
            )
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec('data')))

    return lambda batch: jax.tree.map(place, batch)


def whole(tree):
    """A pytree of arrays as numpy, also of those whose parts lie with other processes."""

    def gather(leaf):
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(gather, tree)


def agreed(step: int, every: int) -> bool:
    """Whether processes ask each other before this step: not in each, since all wait for it."""
    return jax.process_count() == 1 or step % every == 0


def any_process(flag: bool) -> bool:
    """Whether `flag` is set in one of the processes: all must ask in the same step."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.array(flag)).any())


def _word(key) -> str:
    return str(getattr(key, 'name', getattr(key, 'key', getattr(key, 'idx', key))))


def _check(mesh: Mesh, name: str, shape: tuple, axes: tuple) -> None:
    counts = [
        int(np.prod([mesh.shape[axis] for axis in ((part,) if isinstance(part, str) else part)]))
        if part
        else 1
        for part in axes
    ]
    fits = len(axes) <= len(shape) and not any(
        size % count for size, count in zip(shape, counts, strict=False)
    )
    if not fits:
        raise errors.ConfigError(
            f'{name} {shape} cannot be divided as {axes} over {dict(mesh.shape)}',
            'sharding rules',
            'sizes that the devices divide, or another rule',
        )
