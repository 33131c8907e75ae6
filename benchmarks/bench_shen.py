"""One training step of system 2, ours and torch's: same nets, batch, losses, optimizers.

    python -m benchmarks.bench_shen                 227 pixels, 10,000 voxels, batch 16 (10 minutes)
    python -m benchmarks.bench_shen --quick         64 pixels, narrow nets, seconds
    python -m benchmarks.bench_shen --parts         value and gradient of each net apart
    python -m benchmarks.bench_shen --compile       torch.compile as a peer too
    python -m benchmarks.bench_shen --write         put it into results/bench_shen.json

A step: the generator forward, the discriminator on true and generated pictures and its Adam step,
AlexNet's convolutions on both, the three losses, the generator's gradient and its Adam step, numpy
arrays in and the loss as a float out. Weights are random. torch is run eagerly with its fused Adam,
with each library's own threads; its generator and discriminator are those of the tests, its
AlexNet torchvision's. Dropout is on in both. The ratio is the median over pairs of ours to theirs.
"""

import argparse
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch.nn import functional

from benchmarks import _harness
from recon.decoders import shen_gan as net_of
from recon.train.tasks import _shen_losses as terms
from recon.train.tasks import shen_gan as task
from recon.zoo import alexnet, weights
from tests.decoders import torch_shen
from tests.zoo import reference  # noqa: F401  makes torchvision importable

import torchvision  # isort: skip

ROUNDS = 9
SIZES = {
    'full': {'side': 227, 'voxels': 10_000, 'batch': 16},
    'quick': {'side': 64, 'voxels': 300, 'batch': 16, 'hidden': 256, 'width': 8,
              'discriminator_width': 8},
}  # fmt: skip


def options_of(size: dict) -> dict:
    """DEFAULTS with the widths of `size`; both nets always train."""
    given = {key: size[key] for key in net_of.DEFAULTS if key in size}
    return net_of.DEFAULTS | given | {'switch': False, 'schedule': 'constant'}


def batches_of(size: dict) -> list[dict]:
    random, rows, side = np.random.default_rng(0), size['batch'], size['side']
    return [
        {
            'voxels': random.standard_normal((rows, size['voxels']), np.float32),
            'pictures': random.random((rows, side, side, 3), np.float32),
        }
        for _ in range(4)
    ]


def comparator() -> terms.Comparator:
    """AlexNet with random weights."""
    module = alexnet.AlexNet(alexnet.Config())
    params = jax.jit(module.lazy_init)(jax.random.key(0), *alexnet.example(module.config))
    folder = pathlib.Path()
    net = weights.Loaded('alexnet', module, params['params'], module.config, folder, 'random')
    return terms.Comparator(net, 'features.12', True)


def ours(size: dict):
    """(call, seconds to the first loss, compilation included)."""
    options, batches, held = options_of(size), batches_of(size), {}
    net = net_of.build(options, (size['side'], size['side'], 3))
    mean = np.full(3, 0.5, np.float32)
    start, turn = time.perf_counter(), [0]
    held['state'], step = task.training(
        options, net, (size['voxels'],), mean, comparator(), 10, jax.random.key(0)
    )

    def call():
        turn[0] += 1
        held['state'], told = step(held['state'], batches[turn[0] % 4], jax.random.key(1))
        return float(told['loss'])

    call()
    return call, time.perf_counter() - start


class Judge(torch_shen.Discriminator):
    """With what ours drops."""

    def forward(self, x):
        """[n c h w] -> [n 2]."""
        x = 2 * x - 1
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = functional.relu(layer(x))
        x = functional.dropout(x.mean((2, 3)), 0.5)
        return self.fc2(functional.dropout(functional.relu(self.fc1(x)), 0.5))


def peers(size: dict):
    """(generator, discriminator, pictures -> features) of torch."""
    options, shape = options_of(size), (size['side'], size['side'], 3)
    w = options['width']
    steps = net_of.upsamplings(shape)
    channels = [(a * w, b and b * w) for a, b in net_of._CHANNELS[: steps - 1]]
    net = torch_shen.Generator(size['voxels'], shape, options['hidden'], channels, 8 * w)
    judge = Judge(3, options['discriminator_width'], net_of.first_stride(shape))
    trunk = torchvision.models.alexnet(weights=None).features.eval().requires_grad_(False)
    mean = torch.tensor((0.485, 0.456, 0.406)).reshape(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).reshape(3, 1, 1)

    def see(x):
        x = functional.interpolate(x, (224, 224), mode='bilinear', antialias=True)
        return trunk((x - mean) / std)

    return net, judge, see


def theirs(size: dict, compiled: bool = False):
    options, batches, turn = options_of(size), batches_of(size), [0]
    net, judge, see = peers(size)
    rate, decay = options['learning_rate'], options['discriminator_decay']
    of_net = torch.optim.Adam(net.parameters(), rate, fused=True)
    of_judge = torch.optim.Adam(judge.parameters(), rate, weight_decay=decay, fused=True)
    entropy, weight = functional.cross_entropy, options['weights']
    ones = torch.ones(size['batch'], dtype=torch.long)
    zeros = torch.zeros(size['batch'], dtype=torch.long)
    if compiled:
        net, judge, see = (torch.compile(part) for part in (net, judge, see))

    def call():
        turn[0] += 1
        batch = {key: torch.from_numpy(x) for key, x in batches[turn[0] % 4].items()}
        real = batch['pictures'].permute(0, 3, 1, 2).contiguous()
        fake = net(batch['voxels']) + 0.5
        of_judge.zero_grad()
        (entropy(judge(real), zeros) + entropy(judge(fake.detach()), ones)).backward()
        of_judge.step()
        of_net.zero_grad()
        judge.requires_grad_(False)
        image = terms.PIXELS / 2 * ((fake - real) ** 2).mean()
        with torch.no_grad():
            wanted = see(real)
        feature = terms.FEATURES / 2 * ((see(fake) - wanted) ** 2).mean()
        total = weight[0] * image + weight[1] * feature + weight[2] * entropy(judge(fake), zeros)
        total.backward()
        judge.requires_grad_(True)
        of_net.step()
        return total.item()

    return call


def parts(size: dict) -> dict:
    """{name: (ours, theirs)}: calls of value and gradient of each net, which wait for the end."""
    options, batch = options_of(size), batches_of(size)[0]
    net = net_of.build(options, (size['side'], size['side'], 3))
    judge, see = net_of.Discriminator(options['discriminator_width']), comparator()
    key = jax.random.key(0)
    init = lambda module, x: jax.jit(module.init)(key, x)['params']  # noqa: E731
    of_net, of_judge = init(net, batch['voxels'][:1]), init(judge, batch['pictures'][:1])
    square = lambda x: (x.astype(jnp.float32) ** 2).mean()  # noqa: E731
    grads = {
        'generator': (lambda p, x: square(net.apply({'params': p}, x)), of_net, 'voxels'),
        'discriminator': (lambda p, x: square(judge.apply({'params': p}, x)), of_judge, 'pictures'),
        'comparator': (lambda x, _: square(see(x)), batch['pictures'], 'pictures'),
    }
    run = {name: (jax.jit(jax.value_and_grad(f)), first, batch[of])
           for name, (f, first, of) in grads.items()}  # fmt: skip
    module, critic, trunk = peers(size)
    x = torch.from_numpy(batch['voxels'])
    y = torch.from_numpy(batch['pictures']).permute(0, 3, 1, 2).contiguous()
    torchs = {
        'generator': lambda: (module(x) ** 2).mean().backward(),
        'discriminator': lambda: (critic(y) ** 2).mean().backward(),
        'comparator': lambda: (trunk(y.clone().requires_grad_()) ** 2).mean().backward(),
    }
    return {
        name: ((lambda f=f, a=a, b=b: f(a, b)), torchs[name]) for name, (f, a, b) in run.items()
    }


def compare(name: str, calls: dict) -> dict:
    times = _harness.interleaved(calls, ROUNDS, warm_up=2)
    row = {'what': name} | {f'{peer}_ms': 1000 * t['median_s'] for peer, t in times.items()}
    pairs = zip(times['ours']['seconds'], times['torch']['seconds'], strict=True)
    ratios = sorted(a / b for a, b in pairs)
    row |= {'ratio': statistics.median(ratios), 'low': ratios[0], 'high': ratios[-1]}
    return row | {'seconds': {peer: t['seconds'] for peer, t in times.items()}}


def main():
    parser = argparse.ArgumentParser()
    for flag in ('--quick', '--parts', '--compile', '--write'):
        parser.add_argument(flag, action='store_true')
    asked = parser.parse_args()
    size = SIZES['quick' if asked.quick else 'full']
    call, seconds = ours(size)
    calls = {'ours': call, 'torch': theirs(size)}
    if asked.compile:
        calls['torch.compile'] = theirs(size, compiled=True)
    rows = [compare('step', calls) | {'compile_s': seconds}]
    del call, calls
    if asked.parts:
        for name, (one, other) in parts(size).items():
            rows.append(compare(name, {'ours': one, 'torch': other}))
    columns = 'what', 'ours_ms', 'torch_ms', 'torch.compile_ms', 'ratio', 'low', 'high', 'compile_s'
    print(_harness.table(rows, columns))
    if asked.write:
        print(_harness.write('bench_shen', {'size': size, 'rows': rows}))


if __name__ == '__main__':
    main()
