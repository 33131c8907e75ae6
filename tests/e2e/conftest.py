"""Runs launch/main.py as a user does."""

import os
import pathlib
import subprocess
import sys

import pytest
import scipy.io

from launch import main
from recon.data.layouts import digits69

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='session')
def digits(tmp_path_factory):
    """A file in digits69's layout."""
    folder = digits69.write(tmp_path_factory.mktemp('digits') / 'digits', scale='toy', seed=0)
    return next(pathlib.Path(folder).glob('*.mat'))


@pytest.fixture
def changed(digits, tmp_path):
    """`changed(function)`: a copy of the file whose variables `function` changed in place."""

    def make(change):
        content = {k: v for k, v in scipy.io.loadmat(digits).items() if not k.startswith('__')}
        change(content)
        scipy.io.savemat(tmp_path / 'changed.mat', content)
        return tmp_path / 'changed.mat'

    return make


@pytest.fixture
def run(capsys):
    """`run(*words)` in this process -> (exit code, stdout, stderr)."""

    def call(*words):
        code = main.main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def start():
    """`start(*words)`: the command in a process of its own, as a Popen."""
    started = []

    def call(*words):
        command = [sys.executable, str(ROOT / 'launch' / 'main.py'), *map(str, words)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, env=os.environ
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.wait()
