"""Options and fixtures that all tests share."""

import os
import pathlib

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
