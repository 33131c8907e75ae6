"""Names and layouts of a checkpoint's tensors <-> the nested dict of parameters of a Flax net.

A parameter's path, joined by dots, is its tensor's name: {'conv1': {'kernel'}} is 'conv1.weight'.
Kernels are transposed (torch keeps the output axis first), NCHW lives nowhere else.
"""

import dataclasses
import re

import numpy as np

_BUFFERS = re.compile(r'(^|\.)(num_batches_tracked|position_ids)$')  # no parameters, in any net
_WEIGHT = ('kernel', 'scale', 'embedding')  # what torch calls 'weight'


@dataclasses.dataclass(frozen=True)
class Table:
    """What is particular in the names of one net's checkpoints.

    Attributes:
      renames: (pattern, replacement) regular expressions, applied in order to the names on disk:
        older or foreign names -> those of today's reference.
      ignored: patterns of names (after `renames`) that hold no parameter of the net; counters and
        positions are ignored always.
    """

    renames: tuple[tuple[str, str], ...] = ()
    ignored: tuple[str, ...] = ()

    def today(self, name: str) -> str | None:
        """The name that a tensor has in today's reference; None if it is to be ignored."""
        for pattern, replacement in self.renames:
            name = re.sub(pattern, replacement, name)
        if _BUFFERS.search(name):
            return None
        return None if any(re.search(pattern, name) for pattern in self.ignored) else name


def name_of(path: tuple[str, ...]) -> str:
    """Path of a parameter -> name of its tensor."""
    *modules, leaf = path
    return '.'.join([*modules, 'weight' if leaf in _WEIGHT else leaf])


def to_ours(tensor: np.ndarray, leaf: str) -> np.ndarray:
    """A tensor as torch lays it out -> as the parameter `leaf` lies here.

    Dense [out in] -> [in out]; convolutions [out in h w] -> [h w in out]; the rest as it is. Views.
    """
    if leaf != 'kernel':
        return tensor
    return tensor.T if tensor.ndim == 2 else np.moveaxis(tensor, (0, 1), (-1, -2))


def to_theirs(parameter: np.ndarray, leaf: str) -> np.ndarray:
    """The inverse of `to_ours`."""
    parameter = np.asarray(parameter)
    if leaf != 'kernel':
        return parameter
    return parameter.T if parameter.ndim == 2 else np.moveaxis(parameter, (-1, -2), (0, 1))


def shape_of_theirs(shape: tuple[int, ...], leaf: str) -> tuple[int, ...]:
    """The shape in torch's layout of a parameter of ours of `shape`."""
    if leaf != 'kernel' or len(shape) < 2:
        return tuple(shape)
    *space, into, out = shape
    return (out, into, *space)


def flatten(params: dict) -> dict[tuple[str, ...], object]:
    """A nested dict -> {path: leaf}."""
    out = {}
    for key, value in params.items():
        inner = flatten(value) if isinstance(value, dict) else {(): value}
        out |= {(key, *path): leaf for path, leaf in inner.items()}
    return out


def unflatten(leaves: dict[tuple[str, ...], object]) -> dict:
    """The inverse of `flatten`."""
    out: dict = {}
    for path, leaf in leaves.items():
        inner = out
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = leaf
    return out


def state(params: dict) -> dict[str, np.ndarray]:
    """Parameters of a net -> {tensor name: array in torch's layout}, as a checkpoint holds them."""
    return {
        name_of(path): np.ascontiguousarray(to_theirs(leaf, path[-1]))
        for path, leaf in flatten(params).items()
    }


def params(tensors: dict[str, np.ndarray], shapes: dict) -> dict:
    """{tensor name: array} of today's names -> parameters shaped as `shapes` (of eval_shape).

    No checks: `weights.load` makes them.
    """
    return unflatten(
        {path: to_ours(np.asarray(tensors[name_of(path)]), path[-1]) for path in flatten(shapes)}
    )
