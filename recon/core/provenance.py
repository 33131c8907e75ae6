"""Where a run's numbers come from: commit, versions, device."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess

import jax

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy', 'scipy', 'nilearn')


def facts(seed: int) -> dict:
    """What run.json holds besides status and time: {'commit', 'versions', 'device', 'seed'}."""
    devices = jax.devices()
    return {
        'commit': commit(pathlib.Path(__file__).parent),
        'versions': {'python': platform.python_version()} | {p: _version(p) for p in _PACKAGES},
        'device': {
            'platform': devices[0].platform,
            'kind': devices[0].device_kind,
            'count': len(devices),
            'processes': jax.process_count(),
            'cpu_cores': os.cpu_count(),
        },
        'seed': seed,
    }


def commit(folder: pathlib.Path) -> str | None:
    """The git commit of the code, with '+changes' where the tree differs; None outside git."""
    try:
        head = _git(folder, 'rev-parse', 'HEAD')
        return head + ('+changes' if _git(folder, 'status', '--porcelain', '-uno') else '')
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return None


def _git(folder, *words) -> str:
    command = ['git', '-C', str(folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
