"""Every trained system gives on four devices what it gives on one."""

import pathlib
import subprocess
import sys

import pytest

from tests.e2e import trained

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The devices are threads of one CPU here; jax is told so before it starts.
SCRIPT = """
import os, pathlib, sys
name, folder, count = sys.argv[1:]
os.environ['XLA_FLAGS'] = f'--xla_force_host_platform_device_count={count}'
import jax, numpy as np
from recon.core import results, sharding
from tests.e2e import trained

found, logged = [], []
for label, mesh in (('one', None), ('many', sharding.mesh())):
    rows = trained.rows(name, pathlib.Path(folder) / label, mesh)
    found.append(trained.task(name).fit(trained.options(name), rows, jax.random.key(1))['net'])
    lines = results.read_log(rows.folder / 'metrics.jsonl')
    logged.append({(line['step'], line['name']): line['value'] for line in lines
                   if line['name'].endswith('loss')})
one, many = (jax.tree.leaves(net) for net in found)
assert len(jax.devices()) == int(count) and len(one) == len(many) > 0
for a, b in zip(one, many, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
assert logged[0].keys() == logged[1].keys() and len(logged[0]) >= 3
for key, value in logged[0].items():
    np.testing.assert_allclose(logged[1][key], value, rtol=1e-4, err_msg=str(key))
print('same')
"""


@pytest.mark.long
@pytest.mark.parametrize('name', trained.OPTIONS)
def test_four_devices_give_the_losses_and_parameters_of_one(name, tmp_path):
    words = [sys.executable, '-c', SCRIPT, name, str(tmp_path), '4']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith('same')
