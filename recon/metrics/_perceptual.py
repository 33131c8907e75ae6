"""Nets that compare two pictures, as metrics: LPIPS of pairs, and of all pairs at once.

The distance of a pair is a weighted square of a difference of vectors. So the vectors of n pictures
give all n x n distances by one product, where the net alone would have to see each pair.
"""

import functools

import numpy as np
from jaxtyping import Float

from recon.core import image, stats


class Perceptual:
    """LPIPS as a function of two sets of pictures in [0, 1].

    Attributes:
      weights: stamp of the net's weights;  protocol: 'own', pictures at their size;  node: which.
    """

    protocol = 'own'

    def __init__(self, net, *, batch: int = 16):
        """`net` is a weights.Loaded of zoo/lpips.py; `batch` pictures at a time."""
        self.weights, self.node = net.stamp, f'{net.name} {net.config.net}'
        self._net, self._batch = net, batch + batch % 2
        self._pairs, self._embed = _programs(net.module)

    def __call__(self, recon: Float[np.ndarray, 'n h w c'], truth: Float[np.ndarray, 'n h w c']):
        """Distance of each pair: [n], 0 for equal pictures."""
        pair = (image.to_rgb(recon), image.to_rgb(truth))
        found = []
        for part in _parts(pair, self._batch):
            distances = self._pairs(self._net.params, *_filled(part, self._batch))
            found.append(np.asarray(distances, np.float64)[: len(part[0])])
        return np.concatenate(found)

    def matrix(self, recon: Float[np.ndarray, 'k h w c'], truth: Float[np.ndarray, 'm h w c']):
        """[m k]: distance of every reconstruction (column) from every truth (row)."""
        (a, weight), (b, _) = (self._vectors(side) for side in (truth, recon))
        own = [(z.astype(np.float64) ** 2) @ weight for z in (a, b)]
        cross = stats.dot_matrix(a * weight.astype(np.float32), b)
        return np.maximum(own[0][:, None] + own[1] - 2 * cross, 0)

    def _vectors(self, images):
        """[n d] float32 and the weight [d] of each number's squared difference."""
        found, params = [], self._net.params
        for part in _parts((image.to_rgb(images),), self._batch):
            layers = self._embed(params, *_filled(part, self._batch))
            found.append([np.asarray(layer)[: len(part[0])] for layer in layers])
        layers = [np.concatenate(rows) for rows in zip(*found, strict=True)]  # [n h w c] each
        weights = []
        for i, layer in enumerate(layers):
            kernel = np.asarray(params[f'lin{i}.model.1']['kernel'], np.float64).ravel()  # [c]
            places = layer.shape[1] * layer.shape[2]
            weights.append(np.tile(kernel / places, places))
        flat = [layer.reshape(len(layer), -1) for layer in layers]
        return np.concatenate(flat, 1), np.concatenate(weights)


@functools.lru_cache(maxsize=4)
def _programs(module):
    """Jitted: distances of pairs, and the unit-length activations of pictures (an even number)."""
    import jax

    from recon.zoo import lpips

    @jax.jit
    def pairs(params, a, b):
        with jax.default_matmul_precision('highest'):
            return module.apply({'params': params}, a, b)

    def wanted(part, _):
        return (part.name or '').startswith('net.slice')

    @jax.jit
    def embed(params, images):
        half = len(images) // 2
        with jax.default_matmul_precision('highest'):
            _, state = module.apply(
                {'params': params},
                images[:half],
                images[half:],
                capture_intermediates=wanted,
                mutable=['intermediates'],
            )
        last = {}  # slice -> its last convolution; names are net.slice<i>.<index>
        for name in state['intermediates']:
            number, index = (int(word) for word in name.removeprefix('net.slice').split('.'))
            last[number] = max(last.get(number, 0), index)
        out = []
        for number, index in sorted(last.items()):
            [x] = state['intermediates'][f'net.slice{number}.{index}']['__call__']
            out.append(lpips.unit(jax.nn.relu(x.astype('float32'))))
        return out

    return pairs, embed


def _parts(sides, batch):
    for start in range(0, len(sides[0]), batch):
        yield [side[start : start + batch] for side in sides]


def _filled(sides, batch):
    """Each side filled up to `batch` pictures with its last one."""
    return [
        np.concatenate([side, np.repeat(side[-1:], batch - len(side), 0)]).astype(np.float32)
        for side in sides
    ]
