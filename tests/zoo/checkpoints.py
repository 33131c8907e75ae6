"""Small checkpoints for tests of what reads them: one net of ours, and files broken on purpose."""

import json
import struct

import jax
import numpy as np

from recon.zoo import alexnet, tensors, weights

CONFIG = alexnet.Config((4, 6, 8, 6, 4), 5, 2, 2, 2, hidden=12, num_classes=5, resize=32, crop=32)


def small(folder=None, seed=3, dtype=np.float32, **extra):
    """A little AlexNet: (module, params); written into `folder` if one is named."""
    module = alexnet.AlexNet(CONFIG)
    shapes = weights.expected(alexnet, module)
    rng = np.random.default_rng(seed)
    params = tensors.unflatten(
        {path: rng.normal(size=s.shape).astype(np.float32) for path, s in shapes.items()}
    )
    if folder is not None:
        weights.save(folder, module, params, dtype=dtype, extra=extra)
    return module, params


def assert_same(ours, theirs, tolerance=0.0):
    """Two nested dicts of parameters hold the same."""
    ours, theirs = tensors.flatten(ours), tensors.flatten(theirs)
    assert ours.keys() == theirs.keys()
    for path, value in ours.items():
        np.testing.assert_allclose(
            np.asarray(value, np.float32), np.asarray(theirs[path], np.float32), tolerance,
            err_msg='.'.join(path),
        )  # fmt: skip


def header(path):
    """The header of a safetensors file, and its bytes after that."""
    content = path.read_bytes()
    length = struct.unpack('<Q', content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def put(path, head, body):
    """Writes a safetensors file of a header (dict or bytes) and bytes, whatever they say."""
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(struct.pack('<Q', len(head)) + head + body)


def leaves(params) -> int:
    """How many parameters there are."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
