"""A training that is killed again and again, also while it saves, ends in the bits of one that was
left alone."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Forked before jax has started, so that only the first process waits for the imports.
SCRIPT = """
import hashlib, json, os, pathlib, random, signal, sys, time
import jax
import numpy as np
import orbax.checkpoint
from recon.core import results
from recon.train import job
from recon.train.tasks import mlp

folder, kills = pathlib.Path(sys.argv[1]), int(sys.argv[2])
CFG = dict(head='direct', width=64, blocks=1, batch=8, epochs=0, steps=240, save_epochs=2,
           validation=0, log_every=10, learning_rate=0.01, ema=0.9)


class Slow(job.Job):
    def rows(self, step, batch):
        time.sleep(0.005)
        return super().rows(step, batch)


def train(name, told=None, kind=job.Job):
    draw = np.random.default_rng(0)
    voxels = draw.standard_normal((24, 40)).astype(np.float32)
    target = voxels[:, :32].reshape(24, 4, 4, 2)
    def stop():
        if told is not None:
            os.write(told, b'.')
        return False
    rows = kind(voxels, target, np.arange(24), folder=folder / name, stop=stop)
    return mlp.fit(CFG, rows, jax.random.key(3))


def child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return pid


def saving():
    return list((folder / 'killed' / 'checkpoints').glob('*tmp*'))


def newest():
    names = [p.name for p in (folder / 'killed' / 'checkpoints').glob('*')]
    return max([int(name) for name in names if name.isdigit()], default=0)


def kill_once(saves, moment, during_save):
    read, write = os.pipe()
    wanted = newest() + 6 * saves
    pid = child(lambda: train('killed', write, Slow))
    os.close(write)
    os.read(read, 1)  # it trains
    while newest() < wanted:
        time.sleep(0.002)
    while during_save and not saving():
        time.sleep(0.0005)
    time.sleep(0 if during_save else moment)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(read)
    return os.WIFSIGNALED(status), bool(saving())


def digest(name):
    def work():
        params = train(name)['net']
        text = hashlib.sha256()
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            text.update(str(path).encode() + leaf.tobytes())
        (folder / f'{name}.txt').write_text(text.hexdigest())
    _, status = os.waitpid(child(work), 0)
    assert status == 0
    return (folder / f'{name}.txt').read_text()


random.seed(7)
whole = digest('whole')
kept = [kill_once((i + 1) % 3, random.uniform(0, 0.3), i % 2 == 0) for i in range(kills)]
reached = newest()
print(json.dumps({'killed': sum(k for k, _ in kept), 'in_save': sum(s for _, s in kept),
                  'reached': reached, 'same': whole == digest('killed')}))
"""


def run(folder, kills):
    words = [sys.executable, '-c', SCRIPT, str(folder), str(kills)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.long
def test_killed_at_random_moments_and_in_saves_it_ends_in_the_same_bits(tmp_path):
    told = run(tmp_path, 20)
    assert told['same']
    assert told['killed'] == 20 and told['in_save'] >= 5, told
    assert 0 < told['reached'] < 240, told
