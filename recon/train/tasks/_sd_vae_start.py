"""Where the tiny autoencoder starts from: the best linear code of the scenes, by least squares.

Its residual blocks begin as the identity (Zhang et al. 2019, 'Fixup initialization'), so that what
is left is linear but for two norms: the encoder is given principal components, one level after the
other, and the decoder the regression of each level's components on the level below it. Channels
that this leaves over keep their random weights, and the training goes on from there.
"""

import jax
import jax.numpy as jnp
import numpy as np

from recon.zoo import tensors

_LARGE = 12.0  # a constant beside the features of a norm, so that it divides all scenes by the same
_RIDGE = 1e-6


def params(net, shapes: dict, images, seed: int) -> dict:
    """Parameters to start from.

    Args:
      net: an AutoencoderKL with two groups a norm.
      shapes: of its parameters, as eval_shape gives them.
      images: [m h w 3] uint8, a few hundred.
      seed: of what is left random.

    Returns:
      Parameters whose reconstruction is about that of a linear code of as many numbers.
    """
    rng, leaves = np.random.default_rng(seed), {}
    for path, shape in tensors.flatten(shapes).items():
        leaves[path] = np.full(shape.shape, path[-1] == 'scale', np.float32)
        if path[-1] == 'kernel' and path[-2] not in ('conv2', 'to_out.0'):
            leaves[path] = rng.normal(0, np.prod(shape.shape[:-1]) ** -0.5, shape.shape)
    leaves = {path: leaf.astype(np.float32) for path, leaf in leaves.items()}
    pixels = np.asarray(images, np.float32) / np.float32(127.5) - 1
    sizes = _encoder(net.config, leaves, pixels)
    _decoder(net, leaves, pixels, sizes)
    return tensors.unflatten({path: jnp.asarray(leaf) for path, leaf in leaves.items()})


def _patches(features: np.ndarray) -> np.ndarray:
    """[n h w c] -> [n h/2 w/2 4c]: the four of each square side by side."""
    n, h, w, c = features.shape
    squares = features.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return squares.reshape(n, h // 2, w // 2, 4 * c)


def _components(patches: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean [d] and principal directions [d count], the largest first."""
    rows = patches.reshape(-1, patches.shape[-1])
    _, directions = np.linalg.eigh(np.cov(rows.T))
    return rows.mean(0), directions[:, ::-1][:, :count]


def _encoder(config, leaves: dict, pixels: np.ndarray) -> list[np.ndarray]:
    """Sets the encoder; returns the components at each level, the pixels first."""
    widths, channels = config.block_out_channels, config.latent_channels
    levels = [pixels]
    _take(leaves, ('encoder', 'conv_in'), np.eye(pixels.shape[-1]), 0)
    for i, width in enumerate(widths[:-1]):
        known = levels[-1].shape[-1]
        wanted = channels if i == len(widths) - 2 else min(4 * known, width - 4)
        mean, directions = _components(_patches(levels[-1]), wanted)
        found = (_patches(levels[-1]) - mean) @ directions
        if i == len(widths) - 2:
            gain = 1 / found.std((0, 1, 2))
            directions, found = directions * gain, found * gain
        path = ('encoder', f'down_blocks.{i}.downsamplers.0', 'conv')
        kernel = leaves[(*path, 'kernel')]
        kernel[..., :wanted] = 0
        kernel[:2, :2, :known, :wanted] = directions.reshape(2, 2, known, wanted)
        leaves[(*path, 'bias')][:wanted] = -mean @ directions
        levels.append(found.astype(np.float32))
        if i < len(widths) - 2:
            _take(leaves, ('encoder', f'down_blocks.{i + 1}.resnets.0', 'conv_shortcut'),
                  np.eye(wanted), 0)  # fmt: skip
    last = ('encoder', f'down_blocks.{len(widths) - 1}.resnets.0', 'conv_shortcut')
    scale = _both_signs(leaves, last, np.eye(channels), widths[-1])
    kernel = leaves[('encoder', 'conv_out', 'kernel')]
    kernel[..., :] = 0
    leaves[('encoder', 'conv_out', 'bias')][:] = 0
    for k, (plus, minus) in enumerate(scale['places']):
        kernel[1, 1, plus, k], kernel[1, 1, minus, k] = scale['by'], -scale['by']
    for name, size in (('quant_conv', 2 * channels), ('post_quant_conv', channels)):
        _take(leaves, (name,), np.eye(size), 0)
        leaves[(name, 'bias')][:] = 0
    leaves[('quant_conv', 'bias')][channels:] = -6.0  # little noise: much of it hides the latents
    return levels


def _take(leaves: dict, path: tuple, matrix: np.ndarray, start: int) -> None:
    """Lets outputs of a convolution, from `start` on, be `matrix` [in out] of inputs."""
    kernel, bias = leaves[(*path, 'kernel')], leaves[(*path, 'bias')]
    into, out = matrix.shape
    kernel[..., start : start + out] = 0
    middle = kernel.shape[0] // 2
    kernel[middle, middle, :into, start : start + out] = matrix
    bias[start : start + out] = 0


def _both_signs(leaves: dict, path: tuple, matrix: np.ndarray, width: int) -> dict:
    """Lets a 1x1 convolution give every feature with both signs, and a large constant likewise.

    With them in each of the two groups, the norm before silu is the same division for all scenes,
    and silu(x) - silu(-x) = x.
    """
    kernel, bias = leaves[(*path, 'kernel')][0, 0], leaves[(*path, 'bias')]
    kernel[...], bias[...] = 0, 0
    count, half = matrix.shape[1], width // 2
    split = -(-count // 2)
    places = []
    for k in range(count):
        plus = half * (k >= split) + 2 * (k % split)
        kernel[: len(matrix), plus] = matrix[:, k]
        kernel[: len(matrix), plus + 1] = -matrix[:, k]
        places.append((plus, plus + 1))
    for group in (half, width):
        bias[group - 2], bias[group - 1] = _LARGE, -_LARGE
    assert 2 * split + 2 <= half, (count, width)
    return {'places': places, 'by': float(np.sqrt(2 * (_LARGE**2 + split) / half))}


def _decoder(net, leaves: dict, pixels: np.ndarray, levels: list[np.ndarray]) -> None:
    """Sets the decoder, one regression after the other."""
    config, channels = net.config, net.config.latent_channels
    count = len(config.block_out_channels)
    _take(leaves, ('decoder', 'conv_in'), np.eye(channels), 0)
    known = channels
    for i in range(count - 1):
        if i:
            _take(leaves, ('decoder', f'up_blocks.{i}.resnets.0', 'conv_shortcut'),
                  np.eye(known), 0)  # fmt: skip
        target = levels[count - 2 - i]
        below = _after(net, leaves, pixels, f'up_blocks.{i}.resnets.{config.layers_per_block}')
        known = target.shape[-1]
        path = ('decoder', f'up_blocks.{i}.upsamplers.0', 'conv')
        kernel, bias = _regress(below.repeat(2, 1).repeat(2, 2), target)
        leaves[(*path, 'kernel')][..., :known] = kernel
        leaves[(*path, 'bias')][:known] = bias
    last = ('decoder', f'up_blocks.{count - 1}.resnets.0', 'conv_shortcut')
    _both_signs(leaves, last, np.eye(known), config.block_out_channels[0])
    features = _after(net, leaves, pixels, 'conv_norm_out')
    kernel, bias = _regress(np.asarray(jax.nn.silu(features)), pixels)
    leaves[('decoder', 'conv_out', 'kernel')][...] = kernel
    leaves[('decoder', 'conv_out', 'bias')][...] = bias


def _after(net, leaves: dict, pixels: np.ndarray, name: str) -> np.ndarray:
    """What a module of the decoder gives, with the parameters as they are now."""
    now = tensors.unflatten({path: jnp.asarray(leaf) for path, leaf in leaves.items()})

    @jax.jit
    def run(now, part):
        keep = lambda module, _: module.name == name  # noqa: E731
        _, kept = net.apply({'params': now}, part, capture_intermediates=keep, mutable=True)
        return kept['intermediates']['decoder'][name]['__call__'][0]

    return np.concatenate(
        [run(now, part) for part in np.array_split(pixels, -(-len(pixels) // 50))]
    )


def _regress(inputs: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 3x3 convolution [3 3 c t] and its bias [t] with the least squared error."""
    n, h, w, c = inputs.shape
    around = np.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    size, outs = 9 * c + 1, target.shape[-1]
    gram, cross = np.zeros((size, size)), np.zeros((size, outs))
    for k in range(n):
        rows = [around[k, y : y + h, x : x + w] for y in range(3) for x in range(3)]
        rows = np.concatenate([*rows, np.ones((h, w, 1), np.float32)], -1).reshape(-1, size)
        gram += rows.T @ rows
        cross += rows.T @ target[k].reshape(-1, outs)
    gram[np.diag_indices(size)] += _RIDGE * np.trace(gram) / size
    solved = np.linalg.solve(gram, cross).astype(np.float32)
    return solved[:-1].reshape(3, 3, c, outs), solved[-1]
