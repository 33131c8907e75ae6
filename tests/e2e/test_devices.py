"""Every trained system gives on two devices what it gives on one."""

import subprocess
import sys

import pytest

# Two devices are two threads of one CPU here; jax is told so before it starts.
SCRIPT = """
import os, pathlib, sys
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=2'
import importlib
import jax, numpy as np
from recon.core import sharding
from recon.train import job

name, folder = sys.argv[1:]
OPTIONS = {
    'mlp': dict(head='direct', width=16, blocks=1, batch=4, validation=0),
    'cnn2d': dict(widths=(4, 4), up=(4, 4), batch=4, validation=0),
    'label_cnn': dict(widths=(4, 4), dense=(8,), batch=4, validation=0),
    'shen_gan': dict(width=4, hidden=(8,), batch=4, validation=0, weights=(1.0, 0.0, 0.0)),
    'pix2pix': dict(size=32, width=2, batch=4, validation=0, patience=-1, losses='l1'),
}[name] | dict(steps=3, epochs=0, log_every=1)
random = np.random.default_rng(0)
pictures = random.random((12, 32, 32, 3)).astype(np.float32)
labels = (random.random((12, 5)) < 0.5).astype(np.float32)
voxels = random.standard_normal((12, 64)).astype(np.float32)
if name == 'pix2pix':
    voxels = pictures[..., :1]
target = labels if name == 'label_cnn' else pictures
task = importlib.import_module(f'recon.train.tasks.{name}')
found = []
for label, mesh in (('one', None), ('two', sharding.mesh())):
    rows = job.Job(voxels, target, np.arange(12), folder=pathlib.Path(folder) / label, mesh=mesh)
    found.append(task.fit(OPTIONS, rows, jax.random.key(1))['net'])
one, two = (jax.tree.leaves(net) for net in found)
assert len(one) == len(two) > 0
for a, b in zip(one, two, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
print('same')
"""


@pytest.mark.long
@pytest.mark.parametrize('name', ['mlp', 'cnn2d', 'label_cnn', 'shen_gan', 'pix2pix'])
def test_two_devices_give_the_parameters_of_one(name, tmp_path):
    words = [sys.executable, '-c', SCRIPT, name, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith('same')
