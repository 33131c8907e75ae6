"""Two processes on one machine train as one does, and one goes on where two were stopped."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

SCRIPT = """
import json, pathlib, sys
import jax, numpy as np
from launch import multihost
from recon.core import results, sharding
from recon.train import job
from recon.train.tasks import mlp

folder, model, stop_at, *words = sys.argv[1:]
left, found = multihost.take(words)
assert not left
index = multihost.start(found)
random = np.random.default_rng(0)
voxels = random.standard_normal((24, 10)).astype(np.float32)
target = (voxels[:, :8] * 0.5).reshape(24, 2, 2, 2)
asked = []

def stop():
    asked.append(1)
    return len(asked) > int(stop_at)

mesh = sharding.mesh(int(model)) if len(jax.devices()) > 1 else None
rows = job.Job(voxels, target, np.arange(24), folder=pathlib.Path(folder), stop=stop, mesh=mesh)
cfg = dict(head='direct', width=16, blocks=1, batch=8, epochs=0, steps=12, save_epochs=0,
           validation=0, log_every=1, learning_rate=0.01)
try:
    params = mlp.fit(cfg, rows, jax.random.key(3))
    if index == 0:
        np.savez(folder + '/params.npz', *jax.tree.leaves(params['net']))
except results.Stopped as stopped:
    print(stopped)
"""


def run(folder, model=1, processes=1, stop_at=1_000):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    words = [sys.executable, '-c', SCRIPT, str(folder), str(model), str(stop_at)]
    together = [f'--coordinator=127.0.0.1:{port}', f'--processes={processes}']
    started = [
        subprocess.Popen(
            words + (together + [f'--process={i}'] if processes > 1 else []),
            **dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True),
        )
        for i in range(processes)
    ]
    said = [process.communicate(timeout=300) for process in started]
    assert not any(process.returncode for process in started), said[0][1][-3000:]
    return said[0][0]


def losses(folder):
    lines = map(json.loads, (folder / 'metrics.jsonl').read_text().splitlines())
    return [line['value'] for line in lines if line['name'] == 'loss']


def params(folder):
    with np.load(folder / 'params.npz') as held:
        return [held[name] for name in held.files]


@pytest.mark.parametrize('model', [1, pytest.param(2, marks=pytest.mark.long)])
def test_two_processes_give_the_losses_of_one(tmp_path, model):
    run(tmp_path / 'one')
    run(tmp_path / 'two', model, processes=2)
    one, two = losses(tmp_path / 'one'), losses(tmp_path / 'two')
    assert len(one) == 12
    np.testing.assert_allclose(two, one, rtol=1e-5)
    for a, b in zip(params(tmp_path / 'two'), params(tmp_path / 'one'), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_one_process_goes_on_where_two_were_stopped(tmp_path):
    said = run(tmp_path / 'x', 2, processes=2, stop_at=5)
    assert 'after step 5' in said
    run(tmp_path / 'x')
    run(tmp_path / 'whole')
    np.testing.assert_allclose(losses(tmp_path / 'x'), losses(tmp_path / 'whole'), rtol=1e-5)
