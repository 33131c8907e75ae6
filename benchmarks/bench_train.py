"""One training step of ours and of torch on the same machine: same net, batch, optimizer, clipping.

Run: python -m benchmarks.bench_train [mlp autoencoder]. `mlp`: 30 million parameters, batch 16,
AdamW: the size of a brain decoder, where the optimizer's traffic through memory is most of the
work. `autoencoder`: the tiny one of the zoo on 64 x 64 pictures, batch 8, beside diffusers' own
class of the same sizes. Each step takes a batch of numpy arrays and gives the loss as a float.
torch is run eagerly with its fused optimizer, as its users train on a CPU, and with the default
one; parameters of one axis do not decay in either.
"""

import statistics
import sys
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _harness
from recon.train import optim, step
from recon.train import state as states
from recon.train.tasks import sd_vae as task
from recon.zoo import sd_vae
from tests.zoo import reference  # noqa: F401  makes diffusers importable

WIDTHS = (3_000, 3_000, 3_000, 3_000, 1_000)  # 30.0 M parameters
SETTINGS = {
    'learning_rate': 1e-4,
    'schedule': 'constant',
    'weight_decay': 0.01,
    'clip': 1.0,
}
ROUNDS = 11


class Mlp(nn.Module):
    """Linear layers with exact GELU between them."""

    @nn.compact
    def __call__(self, x):
        """[n 3000] -> [n 1000]."""
        for i, width in enumerate(WIDTHS[1:]):
            x = nn.Dense(width, name=str(2 * i))(x)
            x = nn.gelu(x, approximate=False) if i < len(WIDTHS) - 2 else x
        return x


def ours(init, loss, batches):
    """(step call that returns the loss, seconds to the first loss, compilation included)."""
    optimizer = optim.make(SETTINGS, 1)
    held = [states.create(init, optimizer, jax.random.key(0))]
    update, rng, turn = step.single(loss, optimizer), jax.random.key(1), [0]

    def call():
        turn[0] += 1
        held[0], named = update(held[0], batches[turn[0] % len(batches)], rng)
        return float(named['loss'])

    start = time.perf_counter()
    call()
    return call, time.perf_counter() - start


def theirs(module, loss, batches, fused):
    import torch

    wide = [p for p in module.parameters() if p.ndim > 1]
    narrow = [p for p in module.parameters() if p.ndim < 2]
    groups = [
        {'params': wide, 'weight_decay': SETTINGS['weight_decay']},
        {'params': narrow, 'weight_decay': 0.0},
    ]
    kind = {'fused': True} if fused else {}
    optimizer, turn = torch.optim.AdamW(groups, lr=SETTINGS['learning_rate'], **kind), [0]

    def call():
        turn[0] += 1
        batch = {k: torch.from_numpy(v) for k, v in batches[turn[0] % len(batches)].items()}
        optimizer.zero_grad(set_to_none=True)
        value = loss(module, batch)
        value.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), SETTINGS['clip'])
        optimizer.step()
        return value.item()

    return call


def mlp():
    """(ours, compile seconds, torch, torch fused) on the MLP."""
    import torch

    random = np.random.default_rng(0)
    batches = [
        {
            'x': random.standard_normal((16, WIDTHS[0]), np.float32),
            'y': random.standard_normal((16, WIDTHS[-1]), np.float32),
        }
        for _ in range(4)
    ]
    net = Mlp()

    def loss(params, batch, rng):
        return jnp.square(net.apply({'params': params}, batch['x']) - batch['y']).mean(), {}

    call, seconds = ours(lambda rng: net.init(rng, batches[0]['x'])['params'], loss, batches)

    def build():
        layers = []
        for i in range(len(WIDTHS) - 1):
            layers += [torch.nn.Linear(WIDTHS[i], WIDTHS[i + 1]), torch.nn.GELU()]
        return torch.nn.Sequential(*layers[:-1])

    def torch_loss(module, batch):
        return torch.nn.functional.mse_loss(module(batch['x']), batch['y'])

    return call, seconds, *(theirs(build(), torch_loss, batches, f) for f in (False, True))


def autoencoder():
    """The same on the tiny autoencoder, with the objective of its task."""
    import diffusers

    config = sd_vae.Config(**task.CONFIG)
    net = sd_vae.AutoencoderKL(config)
    random = np.random.default_rng(0)
    batches = [{'images': random.integers(0, 256, (8, 64, 64, 3), np.uint8)} for _ in range(4)]
    call, seconds = ours(
        lambda rng: task.begin(net, rng),
        lambda params, batch, rng: task.objective(net, params, batch['images'], task.SETTINGS, rng),
        batches,
    )

    def loss(module, batch):
        pixels = batch['images'].permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1
        latents = module.encode(pixels).latent_dist
        error = module.decode(latents.sample()).sample - pixels
        mean, logvar = latents.mean, latents.logvar
        kl = (mean**2 + logvar.exp() - 1 - logvar).mean() / 2
        absolute, squared = error.abs().mean(), (error**2).mean()
        return absolute + task.SETTINGS['squared'] * squared + task.SETTINGS['kl'] * kl

    def build():
        raw = {k: v for k, v in sd_vae.write(config).items() if not k.startswith('_')}
        return diffusers.AutoencoderKL(**raw).train()

    return call, seconds, *(theirs(build(), loss, batches, fused) for fused in (False, True))


def compare(name, made):
    call, compile_seconds, plain, fused = made
    calls = {'ours': call, 'torch': plain, 'torch fused': fused}
    times = _harness.interleaved(calls, ROUNDS, warm_up=2)
    row = {'net': name, 'compile_s': compile_seconds}
    row |= {f'{peer}_ms': 1000 * t['median_s'] for peer, t in times.items()}
    pairs = zip(times['ours']['seconds'], times['torch fused']['seconds'], strict=True)
    ratios = sorted(a / b for a, b in pairs)
    row |= {'ratio': statistics.median(ratios), 'low': ratios[0], 'high': ratios[-1]}
    return row | {'seconds': {peer: t['seconds'] for peer, t in times.items()}}


def main(names):
    columns = ('net', 'ours_ms', 'torch_ms', 'torch fused_ms', 'ratio', 'low', 'high', 'compile_s')
    rows = []
    for name in names:
        rows.append(compare(name, {'mlp': mlp, 'autoencoder': autoencoder}[name]()))
        print(_harness.table(rows[-1:], columns))
    print(_harness.write('bench_train', {'settings': SETTINGS, 'widths': WIDTHS, 'rows': rows}))


if __name__ == '__main__':
    main(sys.argv[1:] or ['mlp', 'autoencoder'])
