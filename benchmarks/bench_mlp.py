"""One training step of the residual MLP to latents, ours and torch on the same machine.

    python -m benchmarks.bench_mlp            39,548 voxels, batch 16 and 64 (5 minutes, 10 GB)
    python -m benchmarks.bench_mlp --quick    a small net, a minute; writes nothing
    python -m benchmarks.bench_mlp --heads=upsampler,direct --batches=16
    python -m benchmarks.bench_mlp --compile  beside torch.compile too, which takes minutes to start

Both start from the same float32 weights and take batches of numpy arrays; dropout is on, the loss
is L1, the optimizer Adam. torch runs with its fused optimizer, eagerly, or compiled where that
works. Times are of pairs in turn; the ratio is the median over pairs of ours to theirs.

The floor of the optimizer: it reads parameters, gradients and both moments and writes all but the
gradients, seven numbers a parameter, at the rate at which this machine adds two arrays to a third.
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from benchmarks import _harness
from recon.decoders import mlp
from recon.train import optim, step
from recon.train import state as states
from recon.train.tasks import mlp as task
from recon.zoo import tensors
from tests.decoders import torch_mlp

FULL = {'voxels': 39_548, 'shape': (64, 64, 4), 'options': {}}
QUICK = {
    'voxels': 500,
    'shape': (16, 16, 4),
    'options': {'width': 64, 'levels': (32, 64), 'norm_groups': 16, 'blocks': 2},
}
BATCHES = (16, 64)
ROUNDS = 9


class Pair:
    """Our net and theirs with the same weights, each with its optimizer's state."""

    def __init__(self, sizes: dict, head: str):
        self.settings = mlp.DEFAULTS | sizes['options'] | {'head': head}
        self.net, self.sizes = mlp.build(self.settings, sizes['shape']), sizes
        torch.manual_seed(0)
        options = {key: self.settings[key] for key in ('width', 'blocks', 'levels', 'layers')}
        options['norm_groups'] = self.settings['norm_groups']
        shape = sizes['shape'], self.net.seed
        self.module = torch_mlp.Net(sizes['voxels'], *shape, **options).train()
        self.torch_optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-4, fused=True)
        self.optimizer = optim.make(self.settings | {'learning_rate': 1e-4}, 1000)
        params = jax.tree.map(jnp.array, self._params())  # copies: torch updates its own in place
        begin = lambda p: states.State(jnp.zeros((), jnp.int32), p, self.optimizer.init(p))  # noqa: E731
        self.state = jax.jit(begin)(params)
        self.loss = functools.partial(task.loss, self.net, self.settings)
        self.count = sum(leaf.size for leaf in jax.tree.leaves(params))

    def _params(self) -> dict:
        pairs = torch_mlp.named(self.module, self.settings['blocks'])
        leaves = {k: torch_mlp.ours(v, k, self.module.shape) for k, v in pairs.items()}
        if self.net.seed is not None:
            init, voxels = self.net.init, jnp.zeros((1, self.sizes['voxels']))
            shapes = jax.eval_shape(init, jax.random.key(0), voxels)['params']['upsampler']
            state = {k: v.numpy() for k, v in self.module.upsampler.state_dict().items()}
            found = tensors.flatten(tensors.params(state, shapes))
            leaves |= {('upsampler', *path): leaf for path, leaf in found.items()}
        return tensors.unflatten(leaves)

    def batches(self, batch: int) -> list[dict]:
        """Four batches of normal numbers."""
        random = np.random.default_rng(0)
        shapes = {'voxels': (batch, self.sizes['voxels']), 'target': (batch, *self.sizes['shape'])}
        return [
            {k: random.standard_normal(s, np.float32) for k, s in shapes.items()} for _ in range(4)
        ]

    def ours(self, batches: list[dict]):
        """A call that takes a step and returns its loss."""
        update, rng, turn = step.single(self.loss, self.optimizer), jax.random.key(1), [0]

        def call():
            turn[0] += 1
            self.state, named = update(self.state, batches[turn[0] % len(batches)], rng)
            return float(named['loss'])

        return call

    def theirs(self, batches: list[dict], compiled: bool):
        """The same of torch."""
        module, turn = torch.compile(self.module) if compiled else self.module, [0]

        def call():
            turn[0] += 1
            batch = {k: torch.from_numpy(v) for k, v in batches[turn[0] % len(batches)].items()}
            self.torch_optimizer.zero_grad(set_to_none=True)
            out = module(batch['voxels'])
            loss = torch.nn.functional.l1_loss(out, batch['target'].permute(0, 3, 1, 2))
            loss.backward()
            self.torch_optimizer.step()
            return loss.item()

        return call

    def difference(self, batch: dict) -> float:
        """Of the two losses before the first step, nothing dropped, relative."""
        ours = jax.jit(lambda p: self.loss(p, batch, None)[0])(self.state.params)
        with torch.no_grad():
            out = self.module.eval()(torch.from_numpy(batch['voxels']))
        target = torch.from_numpy(batch['target']).permute(0, 3, 1, 2)
        self.module.train()
        return abs(float(ours) / torch.nn.functional.l1_loss(out, target).item() - 1)

    def optimizers(self) -> dict:
        """Calls of the optimizers alone, on gradients that stay."""
        grads = jax.tree.map(jnp.ones_like, self.state.params)
        held = [self.state.params, self.state.opt_state]
        for parameter in self.module.parameters():
            parameter.grad = torch.ones_like(parameter)

        @functools.partial(jax.jit, donate_argnums=(0, 1))
        def update(params, opt_state, grads):
            updates, opt_state = self.optimizer.update(grads, opt_state, params)
            return optax.apply_updates(params, updates), opt_state

        def ours():
            held[:] = update(*held, grads)
            return held

        return {'ours': ours, 'torch fused': self.torch_optimizer.step}


def bandwidth(size: int) -> float:
    """Bytes a second of c = a + b over `size` float32, the best of XLA's and numpy's."""
    a, b = (np.full(size, value, np.float32) for value in (1, 2))
    out = np.empty_like(a)
    x, y, total = jnp.asarray(a), jnp.asarray(b), jax.jit(lambda x, y: x + y, donate_argnums=0)
    held = [x]

    def xla():
        held[0] = total(held[0], y)
        return held[0]

    calls = {'xla': xla, 'numpy': lambda: np.add(a, b, out=out)}
    return 12 * size / min(t['min_s'] for t in _harness.interleaved(calls, 5).values())


def ratios(times: dict) -> dict:
    """{peer: (median, lowest, highest)} over pairs of ours to theirs."""
    out = {}
    for peer in times.keys() - {'ours'}:
        pairs = zip(times['ours']['seconds'], times[peer]['seconds'], strict=True)
        found = sorted(a / b for a, b in pairs)
        out[peer] = statistics.median(found), found[0], found[-1]
    return out


def measure(pair: Pair, batch: int, rounds: int, compile_too: bool) -> dict:
    batches = pair.batches(batch)
    row = {'head': pair.settings['head'], 'batch': batch, 'parameters': pair.count}
    row['loss_difference'] = pair.difference(batches[0])
    calls = {'ours': pair.ours(batches), 'torch fused': pair.theirs(batches, False)}
    start = time.perf_counter()
    calls['ours']()
    row['compile_s'] = time.perf_counter() - start
    try:
        if compile_too:
            compiled = pair.theirs(batches, True)
            compiled()
            calls['torch compile'] = compiled
    except Exception as error:  # noqa: BLE001  no compiler, or no support: one peer less
        row['torch compile'] = f'does not work here: {type(error).__name__}'
    times = _harness.interleaved(calls, rounds, warm_up=2)
    row |= {f'{peer}_ms': 1000 * t['median_s'] for peer, t in times.items()}
    for peer, (median, low, high) in ratios(times).items():
        row |= {f'ratio to {peer}': median, f'range to {peer}': (low, high)}
    return row | {'seconds': {peer: t['seconds'] for peer, t in times.items()}}


def optimizer(pair: Pair, rounds: int, rate: float) -> dict:
    """The optimizers alone beside the floor."""
    times = _harness.interleaved(pair.optimizers(), rounds, warm_up=2)
    floor = 7 * 4 * pair.count / rate
    row = {'head': pair.settings['head'], 'floor_ms': 1000 * floor, 'gb_per_s': rate / 1e9}
    for peer, found in times.items():
        row |= {f'{peer}_ms': 1000 * found['median_s'], f'{peer}/floor': found['median_s'] / floor}
    return row | {'seconds': {peer: t['seconds'] for peer, t in times.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true')
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--heads', default='upsampler')
    parser.add_argument('--batches', default=','.join(map(str, BATCHES)))
    parser.add_argument('--rounds', type=int, default=ROUNDS)
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    rate = bandwidth(2**20 if options.quick else 2**27)
    rows, alone = [], []
    for head in options.heads.split(','):
        pair = Pair(sizes, head)
        for batch in map(int, options.batches.split(',')):
            rows.append(measure(pair, batch, options.rounds, options.compile))
            columns = [k for k in rows[-1] if k != 'seconds' and not k.startswith('range')]
            print(_harness.table(rows[-1:], tuple(columns)), flush=True)
        alone.append(optimizer(pair, options.rounds, rate))
        print(_harness.table(alone[-1:], tuple(k for k in alone[-1] if k != 'seconds')), flush=True)
    if not options.quick:
        print(_harness.write('bench_mlp', {'sizes': sizes, 'rows': rows, 'optimizer': alone}))


if __name__ == '__main__':
    main()
