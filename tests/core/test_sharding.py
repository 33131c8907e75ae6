import subprocess
import sys
import types

import jax
import numpy as np
import pytest

from recon.core import errors, sharding

# Many devices are many threads of one CPU here; jax is told so before it starts.
ON_FOUR = """
import sys
import jax, jax.numpy as jnp, numpy as np, optax
from flax import linen as nn
from recon.core import sharding
from recon.train import state as states, step

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        x = nn.LayerNorm()(nn.Dense(16)(x))
        return nn.Dense(8)(nn.Dropout(0.3, deterministic=not train)(nn.silu(x)))

net, x = Net(), np.random.default_rng(5).standard_normal((8, 12)).astype(np.float32)
RULES = ((r'Dense_0\\.kernel', (None, 'model')), (r'Dense_1\\.kernel', ('model', None)))

def loss(params, batch, rng):
    y = net.apply({'params': params}, batch['x'], True, rngs={'dropout': rng})
    return ((y - batch['x'][:, :8]) ** 2).mean(), {}

def losses(mesh):
    optimizer = optax.adamw(1e-2)
    place = None if mesh is None else sharding.by_rules(mesh, RULES)
    state = states.create(
        lambda rng: net.init(rng, x, False)['params'], optimizer, jax.random.key(1), place=place
    )
    one = step.single(loss, optimizer, like=None if mesh is None else state)
    found = []
    for _ in range(5):
        state, named = one(state, sharding.place_batch(mesh)({'x': x}), jax.random.key(2))
        found.append(float(named['loss']))
    return found, state, one._cache_size()

alone, _, _ = losses(None)
for model in (1, 2, 4):
    mesh = sharding.mesh(model)
    assert mesh.shape == {'data': 4 // model, 'model': model}
    found, state, traced = losses(mesh)
    np.testing.assert_allclose(found, alone, rtol=2e-6)
    assert traced == 1, traced
    for tree in (state.params, state.opt_state[0].mu):
        kernel = tree['Dense_0']['kernel']
        assert kernel.addressable_shards[0].data.shape == (12, 16 // model)
        assert tree['LayerNorm_0']['scale'].addressable_shards[0].data.shape == (16,)
print('same')
"""


def test_four_devices_give_the_losses_of_one_and_hold_parts():
    code = (
        "import os; os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'" + ON_FOUR
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == 'same'


def test_the_first_rule_that_is_found_counts_and_others_lie_whole():
    mesh = sharding.mesh()
    shapes = {
        'a': {'kernel': np.zeros((4, 2))},
        'b': {'kernel': np.zeros((2, 2)), 'n': np.zeros(())},
    }
    rules = ((r'^a', ('data', None)), ('kernel', (None, ('data', 'model'))), ('n', ('data',)))
    found = sharding.by_rules(mesh, rules)(shapes)
    specs = jax.tree.map(lambda s: tuple(s.spec), found)
    assert specs['a']['kernel'] == ('data', None)
    assert specs['b']['kernel'] == (None, ('data', 'model'))
    assert specs['b']['n'] == ()  # a scalar lies whole whatever the rule


def test_what_cannot_be_divided_is_named():
    with pytest.raises(errors.ConfigError, match=r'b\.bias \(3,\) cannot be divided'):
        sharding.by_rules(sharding.mesh(), (('bias', (None, 'model')),))(
            {'b': {'bias': np.zeros(3)}}
        )
    with pytest.raises(errors.ConfigError, match='model is 3 with 1 devices'):
        sharding.mesh(3)


@pytest.mark.parametrize(
    ('processes', 'parts'),
    [
        ([[0], [1]], [(0, 2), (1, 2)]),
        ([[0, 1]], [(0, 1), (0, 1)]),  # both hold half of every parameter, and all rows
        ([[0, 0], [1, 1]], [(0, 2), (1, 2)]),
        ([[0, 2], [0, 2], [1, 3], [1, 3]], [(0, 2), (1, 2), (0, 2), (1, 2)]),
        ([[1], [0], [0], [1]], [(1, 2), (0, 2)]),  # a process's rows need not be neighbours
    ],
)
def test_processes_that_hold_the_same_rows_read_the_same_part(monkeypatch, processes, parts):
    devices = np.empty((len(processes), len(processes[0])), object)
    for at, process in np.ndenumerate(np.array(processes)):
        devices[at] = types.SimpleNamespace(process_index=process)
    for process, part in enumerate(parts):
        monkeypatch.setattr(jax, 'process_index', lambda process=process: process)
        assert sharding.share(types.SimpleNamespace(devices=devices)) == part


def test_without_a_mesh_a_process_reads_whole_batches():
    assert sharding.share(None) == (0, 1)


def test_a_batch_that_every_process_has_is_divided_by_rows():
    found = sharding.place_same(sharding.mesh())({'x': np.ones((4, 2))})
    assert tuple(found['x'].sharding.spec) == ('data',)
    three = types.SimpleNamespace(shape={'data': 3})
    with pytest.raises(errors.ConfigError, match='a batch of 4 on 3 devices'):
        sharding.place_same(three)({'x': np.ones((4, 2))})


def test_without_a_mesh_a_batch_goes_to_the_default_device():
    for place in (sharding.place_batch(None), sharding.place_same(None)):
        assert isinstance(place({'x': np.ones(3)})['x'], jax.Array)
    assert sharding.by_rules(None, ()) is None


def test_with_one_process_all_is_here():
    found = sharding.whole({'a': jax.numpy.ones(2), 'b': np.zeros(1)})
    assert all(isinstance(leaf, np.ndarray) for leaf in found.values())
    assert sharding.any_process(True) and not sharding.any_process(False)


def test_a_process_that_is_alone_may_stop_before_any_step():
    assert all(sharding.agreed(step, 10) for step in (0, 1, 19))
