import json
import os
import socket
import subprocess
import sys
import time

import pytest

from recon.core import errors, lock


def test_taking_and_releasing_leaves_nothing(tmp_path):
    held = lock.Lock(tmp_path / 'lock')
    held.take()
    told = json.loads((tmp_path / 'lock').read_text())
    assert told == {'pid': os.getpid(), 'host': socket.gethostname()}
    held.release()
    assert not (tmp_path / 'lock').exists()


def test_a_lock_of_another_host_is_dead_when_its_heartbeat_is_old(tmp_path):
    path = tmp_path / 'lock'
    path.write_text(json.dumps({'pid': 1, 'host': 'elsewhere'}))
    with pytest.raises(errors.RunFolderError, match='on elsewhere'):
        lock.refuse_if_alive(path)
    old = time.time() - 3600
    os.utime(path, (old, old))
    lock.refuse_if_alive(path)


def test_a_dead_process_a_zombie_and_a_broken_lock_hold_nothing(tmp_path):
    path, here = tmp_path / 'lock', socket.gethostname()
    process = subprocess.Popen([sys.executable, '-c', 'pass'])
    path.write_text(json.dumps({'pid': process.pid, 'host': here}))
    time.sleep(0.5)  # it has ended, and nobody has waited for it: a zombie
    lock.refuse_if_alive(path)
    process.wait()
    lock.refuse_if_alive(path)
    path.write_text('{"pid": ')
    lock.refuse_if_alive(path)
    path.write_text(json.dumps({'pid': 1, 'host': here}))
    with pytest.raises(errors.RunFolderError, match='in use by process 1'):
        lock.refuse_if_alive(path)


RACE = """
import pathlib, sys, time
from recon.core import errors, lock
start, path = float(sys.argv[1]), pathlib.Path(sys.argv[2])
while time.time() < start:
    pass
held = lock.Lock(path)
try:
    held.take()
except errors.RunFolderError:
    sys.exit(3)
time.sleep(0.3)
held.release()
"""


def test_of_processes_that_start_at_the_same_instant_one_gets_it(tmp_path):
    for i in range(3):
        path, start = tmp_path / f'lock{i}', str(time.time() + 1.5)
        racers = [
            subprocess.Popen([sys.executable, '-c', RACE, start, str(path)]) for _ in range(4)
        ]
        assert sorted(racer.wait() for racer in racers) == [0, 3, 3, 3]
        assert not path.exists()
