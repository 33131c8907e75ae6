"""The nets of system 2 written down in torch from their published layer list; pictures are NCHW."""

import numpy as np
import torch
from torch.nn import functional


class Generator(torch.nn.Module):
    """Voxels -> pictures; `channels` is (after the first, after the second) of each upsampling."""

    def __init__(self, voxels, shape, hidden, channels, start):
        super().__init__()
        self.shape, self.start = shape, start
        self.fc7 = torch.nn.Linear(voxels, hidden)
        self.fc6 = torch.nn.Linear(hidden, hidden)
        self.fc5 = torch.nn.Linear(hidden, start * 16)
        self.names, c = [], start
        for i, (first, second) in enumerate(channels):
            self.add(f'deconv{5 - i}', torch.nn.ConvTranspose2d(c, first, 4, 2, 1))
            if second:
                self.add(f'conv{5 - i}_1', torch.nn.Conv2d(first, second, 3, 1, 1))
            c = second or first
        self.add('deconv0', torch.nn.ConvTranspose2d(c, shape[2], 4, 2, 1))

    def add(self, name, layer):
        self.add_module(name, layer)
        self.names.append(name)

    def forward(self, x):
        leaky = lambda x: functional.leaky_relu(x, 0.3)  # noqa: E731
        for layer in (self.fc7, self.fc6, self.fc5):
            x = leaky(layer(x))
        # Ours is channel-last: what the linear layer gives is 4 x 4 places of `start` numbers.
        x = x.reshape(len(x), 4, 4, self.start).permute(0, 3, 1, 2)
        for name in self.names:
            x = getattr(self, name)(x)
            x = x if name == 'deconv0' else leaky(x)
        h, w = self.shape[:2]
        top, left = (x.shape[2] - h) // 2, (x.shape[3] - w) // 2
        return x[:, :, top : top + h, left : left + w]


class Discriminator(torch.nn.Module):
    """Pictures in [0, 1] -> two logits, of true and of generated; nothing is dropped."""

    def __init__(self, channels, width, first_stride):
        super().__init__()
        w = width
        self.conv1 = torch.nn.Conv2d(channels, w, 7, first_stride)
        self.conv2 = torch.nn.Conv2d(w, 2 * w, 5)
        self.conv3 = torch.nn.Conv2d(2 * w, 4 * w, 3, 2)
        self.conv4 = torch.nn.Conv2d(4 * w, 8 * w, 3)
        self.conv5 = torch.nn.Conv2d(8 * w, 8 * w, 3, 2)
        self.fc1 = torch.nn.Linear(8 * w, 8 * w)
        self.fc2 = torch.nn.Linear(8 * w, 2)

    def forward(self, x):
        x = 2 * x - 1
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = functional.relu(layer(x))
        return self.fc2(functional.relu(self.fc1(x.mean((2, 3)))))


def load(module, params):
    """Copies our parameters into a torch module and returns it."""
    with torch.no_grad():
        for name, layer in params.items():
            its = getattr(module, name)
            kernel = torch.tensor(np.asarray(layer['kernel']))
            if isinstance(its, torch.nn.Linear):
                kernel = kernel.T
            else:  # [h w c f]
                up = isinstance(its, torch.nn.ConvTranspose2d)
                kernel = kernel.permute(2, 3, 0, 1) if up else kernel.permute(3, 2, 0, 1)
            its.weight.copy_(kernel)
            its.bias.copy_(torch.tensor(np.asarray(layer['bias'])))
    return module


def params_of(module, like):
    """The parameters of a torch module in our layout, for the names of `like`."""
    out = {}
    for name in like:
        its = getattr(module, name)
        kernel = its.weight.detach()
        if kernel.ndim == 2:
            kernel = kernel.T
        else:
            up = isinstance(its, torch.nn.ConvTranspose2d)
            kernel = kernel.permute(2, 3, 0, 1) if up else kernel.permute(2, 3, 1, 0)
        out[name] = {'kernel': kernel.numpy(), 'bias': its.bias.detach().numpy()}
    return out
