"""The residual MLP written down in torch from its published layer list, with diffusers' decoder."""

import math

import numpy as np
import torch

from tests.zoo import reference  # noqa: F401  makes diffusers importable

from diffusers.models.autoencoders import vae  # isort: skip


def block(inputs, units, rate):
    linear = torch.nn.Linear(inputs, units, bias=False)
    return torch.nn.Sequential(
        linear, torch.nn.LayerNorm(units), torch.nn.SiLU(), torch.nn.Dropout(rate)
    )


class Net(torch.nn.Module):
    """Sizes as in the options of ours; `seed` and `out_shape` are (h, w, channels)."""

    def __init__(self, voxels, out_shape, seed, *, width, blocks, levels, layers, norm_groups):
        super().__init__()
        self.shape = seed or out_shape
        self.first = block(voxels, width, 0.5)
        self.residual = torch.nn.ModuleList([block(width, width, 0.3) for _ in range(blocks)])
        self.last = torch.nn.Linear(width, math.prod(self.shape), bias=False)
        self.norm = torch.nn.GroupNorm(1, self.shape[-1])
        self.upsampler = seed and vae.Decoder(
            in_channels=seed[-1],
            out_channels=out_shape[-1],
            up_block_types=('UpDecoderBlock2D',) * len(levels),
            block_out_channels=levels,
            layers_per_block=layers,
            norm_num_groups=norm_groups,
        )

    def forward(self, voxels):
        """[n v] -> [n channels h w]."""
        x = self.first(voxels)
        for layer in self.residual:
            x = x + layer(x)
        height, width, channels = self.shape
        x = self.norm(self.last(x).reshape(-1, channels, height, width))
        return self.upsampler(x) if self.upsampler else x


def named(net, blocks: int) -> dict:
    """{path of ours: parameter of theirs}, without the upsampler's."""
    pairs = {}
    for name, layer in [
        ('input', net.first),
        *((f'blocks.{i}', net.residual[i]) for i in range(blocks)),
    ]:
        pairs[name, 'kernel'] = layer[0].weight
        pairs[f'{name}.norm', 'scale'], pairs[f'{name}.norm', 'bias'] = layer[1].parameters()
    pairs['output', 'kernel'] = net.last.weight
    pairs['norm', 'scale'], pairs['norm', 'bias'] = net.norm.parameters()
    return pairs


def ours(value, path, shape) -> np.ndarray:
    """A tensor of theirs, or its gradient, as it lies in ours; `shape` is that of the map."""
    value = value.detach().numpy()
    if path[-1] != 'kernel':
        return value
    value = value.T  # [inputs outputs]
    if path[0] == 'output':  # theirs gives [channels h w], ours [h w channels]
        height, width, channels = shape
        value = value.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
        value = value.reshape(len(value), -1)
    return np.ascontiguousarray(value)
