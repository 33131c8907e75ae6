"""A training that takes no time: a linear map, learned from noisy rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import results
from recon.train import loop, optim, step
from recon.train import state as states

SETTINGS = {'learning_rate': 0.03, 'warmup': 0.1, 'clip': 1.0, 'weight_decay': 0.01}


def loss(params, batch, rng):
    """Mean squared error of noisy rows, times `batch['scale']`."""
    noise = 0.1 * jax.random.normal(rng, batch['x'].shape)
    out = (batch['x'] + noise) @ params['a']['weight'] + params['a']['bias']
    return jnp.square(out - batch['y']).mean() * batch['scale'].mean(), {'mean': out.mean()}


def build(size, loss=loss, seed=0):
    """(step, state) of a map of `size` columns, compiled anew."""
    optimizer = optim.make(SETTINGS, 30)

    def init(rng):
        weight = jax.random.normal(rng, (size, size))
        return {'a': {'weight': weight, 'bias': jnp.zeros(size)}}

    begin = states.create(init, optimizer, jax.random.key(seed), ema=True)
    return step.single(loss, optimizer, ema=0.9), begin


@functools.cache
def built(size):
    """As `build`, compiled once a session, the state as numpy arrays."""
    update, begin = build(size)
    return update, jax.device_get(begin)


class Training:
    """`fit` in a folder; any of loop.fit's options by name.

    Attributes:
      asked: the steps whose batch was made.
    """

    def __init__(self, folder, size=5, seed=0, steps=30, parts=None, **options):
        self.folder, self.size, self.seed, self.steps, self.parts = folder, size, seed, steps, parts
        self.options = {'save_every': 10, 'log_every': 5, 'batch_at': self.batch_at} | options
        self.asked = []

    def batch_at(self, i):
        self.asked.append(i)
        x = np.random.default_rng((self.seed, i)).standard_normal((12, self.size), np.float32)
        return {'x': x, 'y': 2 * x[:, ::-1], 'scale': np.ones(12, np.float32)}

    def fit(self, stop_after=None, **options):
        """The final state, or the `Stopped` that came after `stop_after` steps of this call."""
        update, begin = self.parts or built(self.size)
        taken = []

        def counted(*arguments):
            taken.append(1)
            return update(*arguments)

        options = self.options | options
        options.setdefault('stop', lambda: stop_after is not None and len(taken) >= stop_after)
        begin = begin if self.parts else jax.tree.map(jnp.array, begin)  # the step takes it over
        keys = {'rng': jax.random.key(self.seed + 1), 'steps': self.steps, 'folder': self.folder}
        batch_at = options.pop('batch_at')
        try:
            return loop.fit(counted, begin, batch_at, **keys, **options)
        except results.Stopped as stopped:
            return stopped


def same(a, b):
    """Fails where two pytrees are not equal in every bit."""
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.dtype == y.dtype
        assert x.tobytes() == y.tobytes()
