"""One step of pix2pix of ours and of torch on the same machine: both nets at 256 pixels, Adam.

Run: python -m benchmarks.bench_pix2pix [1 4] [--size=256 --width=64 --rounds=9 --compile --parts].
The numbers are batches. torch is run eagerly, convolutions and all else its own, with its fused
Adam and the default one, and, with --compile, through torch.compile. Both sides do the same work in
the same order: the generator forward once, the discriminator's step, the generator's against the
new one. `--parts` times each kind of convolution of the generator alone, forward and with its
gradients, as here and as XLA's own convolution.
"""

import argparse
import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _harness
from recon.generators import _pix2pix_nets as nets
from recon.generators import pix2pix
from recon.train.tasks import pix2pix as task


def batches_of(batch: int, size: int) -> list[dict]:
    random = np.random.default_rng(0)
    return [
        {
            'pictures': random.random((batch, size, size, 3), np.float32),
            'target': random.random((batch, size, size, 3), np.float32),
        }
        for _ in range(3)
    ]


def ours(settings: dict, batches: list):
    """(step call that returns the loss, seconds to the first loss, compilation included)."""
    built = pix2pix.build(settings, batches[0]['target'].shape[1:])
    rng, turn = jax.random.key(1), [0]
    start = time.perf_counter()
    update, state = task._trained(settings, ('adversarial', 'l1'), built, batches[0], 1, rng)
    held = [state]

    def call():
        turn[0] += 1
        held[0], named = update(held[0], batches[turn[0] % len(batches)], rng)
        return float(named['loss'])

    call()
    return call, time.perf_counter() - start


def norm(features: int):
    """Batch norm by the batch; torch's own class refuses the single value of a bottleneck."""
    import torch

    class Norm(torch.nn.BatchNorm2d):
        def forward(self, x):
            return torch.batch_norm(x, self.weight, self.bias, None, None, True, 0.1, 1e-3, False)

    return Norm(features, track_running_stats=False)


def generator(levels: int, width: int):
    """The U-Net as torch's users write it."""
    import torch
    from torch import nn

    widths = nets.channels(width, levels)

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down, self.up = nn.ModuleList(), nn.ModuleList()
            for i, features in enumerate(widths):
                layers = [nn.Conv2d(widths[i - 1] if i else 3, features, 4, 2, 1, bias=False)]
                layers += [norm(features)] if i else []
                self.down.append(nn.Sequential(*layers, nn.LeakyReLU(0.2)))
            seen = widths[-1]
            for i in range(levels - 1, 0, -1):
                layers = [nn.ConvTranspose2d(seen, widths[i - 1], 4, 2, 1, bias=False)]
                layers += [norm(widths[i - 1])]
                layers += [nn.Dropout(0.5)] if i > levels - 4 else []
                self.up.append(nn.Sequential(*layers, nn.ReLU()))
                seen = 2 * widths[i - 1]
            self.last = nn.ConvTranspose2d(seen, 3, 4, 2, 1)

        def forward(self, x):
            skips = []
            for layer in self.down:
                x = layer(x)
                skips.append(x)
            for layer, skip in zip(self.up, reversed(skips[:-1]), strict=True):
                x = torch.cat([layer(x), skip], 1)
            return torch.tanh(self.last(x))

    return UNet()


def discriminator(halvings: int, width: int):
    from torch import nn

    widths, layers, seen = nets.channels(width, halvings + 1), [], 6
    for i, features in enumerate(widths):
        layers += [nn.Conv2d(seen, features, 4, 2 if i < halvings else 1, 1, bias=False)]
        layers += [norm(features)] if i else []
        layers += [nn.LeakyReLU(0.2)]
        seen = features
    return nn.Sequential(*layers, nn.Conv2d(seen, 1, 4, 1, 1))


def theirs(settings: dict, batches: list, fused: bool, compiled: bool = False):
    """The same step, eager: a call that returns the loss."""
    import torch
    from torch.nn import functional

    levels = settings['size'].bit_length() - 1
    made, judge = generator(levels, settings['width']), discriminator(levels - 5, settings['width'])
    options = {'lr': settings['learning_rate'], 'betas': (settings['b1'], settings['b2'])}
    options |= {'fused': True} if fused else {}
    optimizers = [torch.optim.Adam(net.parameters(), **options) for net in (made, judge)]
    made, judge = (torch.compile(net) if compiled else net for net in (made, judge))
    bce, turn = functional.binary_cross_entropy_with_logits, [0]

    def call():
        turn[0] += 1
        batch = {k: torch.from_numpy(v) for k, v in batches[turn[0] % len(batches)].items()}
        x, y = (2 * v.permute(0, 3, 1, 2).contiguous() - 1 for v in batch.values())
        fake = made(x)
        optimizers[1].zero_grad(set_to_none=True)
        real, false = (judge(torch.cat([x, z], 1)) for z in (y, fake.detach()))
        loss = bce(real, torch.ones_like(real)) + bce(false, torch.zeros_like(false))
        loss.backward()
        optimizers[1].step()
        optimizers[0].zero_grad(set_to_none=True)
        for parameter in judge.parameters():  # its gradient is not asked for here
            parameter.requires_grad_(False)
        judged = judge(torch.cat([x, fake], 1))
        loss = bce(judged, torch.ones_like(judged)) + settings['l1'] * (fake - y).abs().mean()
        loss.backward()
        optimizers[0].step()
        for parameter in judge.parameters():
            parameter.requires_grad_(True)
        return loss.item()

    return call


def compare(settings: dict, rounds: int, compiled: bool) -> dict:
    batches = batches_of(settings['batch'], settings['size'])
    call, seconds = ours(settings, batches)
    calls = {'ours': call}
    calls |= {'torch': theirs(settings, batches, False), 'fused': theirs(settings, batches, True)}
    if compiled:
        calls['compiled'] = theirs(settings, batches, True, True)
    times = _harness.interleaved(calls, rounds, warm_up=2)
    row = {'batch': settings['batch'], 'compile_s': seconds}
    row |= {f'{peer}_ms': 1000 * t['median_s'] for peer, t in times.items()}
    for peer in calls:
        if peer != 'ours':
            pairs = zip(times['ours']['seconds'], times[peer]['seconds'], strict=True)
            ratios = sorted(a / b for a, b in pairs)
            row |= {f'to_{peer}': statistics.median(ratios)}
            row |= {f'to_{peer}_range': [ratios[0], ratios[-1]]}
    return row | {'seconds': {peer: t['seconds'] for peer, t in times.items()}}


def _own_down(x, kernel):
    axes = ('NHWC', 'HWIO', 'NHWC')
    return jax.lax.conv_general_dilated(x, kernel, (2, 2), ((1, 1), (1, 1)), dimension_numbers=axes)


def _own_up(x, kernel):
    kernel, axes = kernel[::-1, ::-1], ('NHWC', 'HWIO', 'NHWC')
    return jax.lax.conv_general_dilated(
        x, kernel, (1, 1), ((2, 2), (2, 2)), lhs_dilation=(2, 2), dimension_numbers=axes
    )


def parts(settings: dict, rounds: int) -> list[dict]:
    """Each layer of the generator alone: seconds forward, and with both gradients."""
    levels, width, n = settings['size'].bit_length() - 1, settings['width'], settings['batch']
    widths, random, rows = nets.channels(width, levels), np.random.default_rng(0), []
    layers = [('down', i, widths[i - 1] if i else 3, widths[i]) for i in range(levels)]
    for i in range(levels):
        seen = widths[i] * (1 if i == levels - 1 else 2)
        layers.append(('up', i, seen, widths[i - 1] if i else 3))
    for kind, i, c, f in layers:
        side = settings['size'] >> (i if kind == 'down' else i + 1)
        x = jnp.asarray(random.standard_normal((n, side, side, c), np.float32))
        kernel = jnp.asarray(random.standard_normal((4, 4, c, f), np.float32))
        ways = {'ours': getattr(nets, kind), 'xla': {'down': _own_down, 'up': _own_up}[kind]}
        calls = {}
        for name, way in ways.items():
            out = jnp.ones_like(way(x, kernel))
            whole = jax.jit(lambda x, k, o, way=way: jax.vjp(way, x, k)[1](o))
            calls[name] = lambda g=whole, x=x, k=kernel, o=out: g(x, k, o)
            forward = jax.jit(way)
            calls[f'{name} forward'] = lambda g=forward, x=x, k=kernel: g(x, k)
        times = _harness.interleaved(calls, rounds)
        row = {'layer': f'{kind}{i}', 'batch': n, 'shape': f'{side}x{side}x{c}->{f}'}
        rows.append(row | {name: 1000 * t['median_s'] for name, t in times.items()})
        print(_harness.table(rows[-1:], tuple(rows[-1])), flush=True)
    return rows


def main(words):
    options = argparse.ArgumentParser()
    options.add_argument('batches', nargs='*', type=int, default=[1, 4])
    for name, value in (('size', 256), ('width', 64), ('rounds', 9)):
        options.add_argument(f'--{name}', type=int, default=value)
    for name in ('compile', 'parts'):
        options.add_argument(f'--{name}', action='store_true')
    given = options.parse_args(words)
    rows, told = [], []
    for batch in given.batches:
        settings = pix2pix.DEFAULTS | {'size': given.size, 'width': given.width, 'batch': batch}
        if given.parts:
            told += parts(settings, given.rounds)
            continue
        rows.append(compare(settings, given.rounds, given.compile))
        print(
            _harness.table(rows[-1:], [k for k in rows[-1] if not k.endswith(('range', 'seconds'))])
        )
    name = 'bench_pix2pix_parts' if given.parts else 'bench_pix2pix'
    if given.size == 256 and given.width == 64:
        print(_harness.write(name, {'size': given.size, 'rows': rows or told}))


if __name__ == '__main__':
    main(sys.argv[1:])
