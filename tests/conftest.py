"""Options and fixtures that all tests share."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

os.environ.setdefault('JAX_PLATFORMS', 'cpu')


def pytest_addoption(parser):
    parser.addoption('--shared', default='../shared', help='folder with data/digits69 (real fMRI)')
    parser.addoption('--require-real', action='store_true', help='fail where real data are absent')


@pytest.fixture(scope='session')
def root():
    """The project's root."""
    return pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def shared(request, root):
    """Folder of real recordings; skips with the remedy where they are not."""
    path = pathlib.Path(request.config.getoption('--shared'))
    path = path if path.is_absolute() else root / path
    if not (path / 'data' / 'digits69' / 'digit69_28x28.mat').exists():
        missing = f'no real recordings in {path}: pytest --shared=DIR, or make test SHARED=DIR'
        if request.config.getoption('--require-real'):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


@pytest.fixture(scope='session')
def bdpy():
    """The Kamitani lab's own reader, which does not install on newer Pythons."""
    return pytest.importorskip('bdpy', reason='bdpy needs Python 3.11: make PYTHON=python3.11')


@pytest.fixture(scope='session')
def full(tmp_path_factory):
    """`full(layout)`: (folder, peak KiB), subject 2 at true array sizes, written once a session."""
    written = {}

    def write(layout):
        if layout not in written:
            out = tmp_path_factory.mktemp('full') / layout
            words = [f'--layout={layout}', f'--out={out}', '--subject=2', '--scale=full']
            code = (
                f'import re, sys; from launch import simulate; code = simulate.main({words}); '
                # Not getrusage, which counts the process that started this one too.
                'held = open("/proc/self/status").read(); '
                'print(re.search(r"VmHWM:\\s+(\\d+)", held)[1]); sys.exit(code)'
            )
            done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            written[layout] = out, int(done.stdout.split()[-1])
        return written[layout]

    yield write
    for out, _ in written.values():
        shutil.rmtree(out.parent, ignore_errors=True)
