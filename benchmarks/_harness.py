"""What every benchmark shares: peers in turn on the same arrays, medians, hardware, JSON out.

Run benchmarks from the project's root: `python -m benchmarks.bench_<what>`. No thread pool is set
here: every library gets what it takes by itself, and what it took is written down. `make bench`
gives all peers memory in large pages, as launch/pages.py does for runs.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import time

import jax
import numpy as np

RESULTS = pathlib.Path(__file__).parent / 'results'
_PAUSE_S = 0.2  # idle threads of the last library spin for a while and would slow the next one
_PACKAGES = ('jax', 'jaxlib', 'numpy', 'scipy', 'scikit-learn', 'himalaya', 'torch', 'nilearn')


def interleaved(calls: dict, repeats: int = 5, warm_up: int = 1) -> dict:
    """Times peers in turn, a b c a b c ..., so that a slow moment of the machine hits all alike.

    Args:
      calls: {name: function of no arguments}; what it returns is waited for (jax) and dropped.
      repeats: timed rounds.
      warm_up: untimed rounds before them (compilation, thread pools, page faults).

    Returns:
      {name: {'median_s', 'min_s', 'seconds': one for each round}}.
    """
    seconds = {name: [] for name in calls}
    for turn in range(warm_up + repeats):
        for name, call in calls.items():
            time.sleep(_PAUSE_S)
            start = time.perf_counter()
            jax.block_until_ready(call())
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return {
        name: {'median_s': statistics.median(s), 'min_s': min(s), 'seconds': s}
        for name, s in seconds.items()
    }


def gemm(shape: tuple[int, int, int], dtype=np.float32, seed: int = 0):
    """The products [n k] @ [k m] of `shape` = (n, k, m) in XLA and in numpy, to be timed.

    Returns:
      ({'jax': call, 'numpy': call}, number of floating point operations of one call).
    """
    n, k, m = shape
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((n, k)).astype(dtype)
    b = rng.standard_normal((k, m)).astype(dtype)
    product, a_jax, b_jax = jax.jit(lambda a, b: a @ b), jax.numpy.asarray(a), jax.numpy.asarray(b)
    return {'jax': lambda: product(a_jax, b_jax), 'numpy': lambda: a @ b}, 2 * n * k * m


def gemm_rate(size: int = 2_000, repeats: int = 5) -> dict:
    """Gflop/s of a square float32 product, {'jax', 'numpy', 'best'}, best of `repeats`."""
    calls, flops = gemm((size, size, size))
    rates = {n: flops / t['min_s'] / 1e9 for n, t in interleaved(calls, repeats).items()}
    return rates | {'best': max(rates.values())}


def hardware() -> dict:
    """This machine and its software, JSON-able: processor, memory, load, versions, threads."""
    info = pathlib.Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.exists() else []
    model = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        'processor': model[0] if model else platform.processor(),
        'cores': os.cpu_count(),
        'memory_gb': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        'load_average': os.getloadavg(),
        'jax_devices': [str(d) for d in jax.devices()],
        'python': platform.python_version(),
        'system': platform.platform(),
        'versions': versions,
        'threads': _threads(),
        'malloc': os.environ.get('GLIBC_TUNABLES', ''),
    }


def _threads() -> list[dict]:
    """Thread pools of the libraries that are loaded by now, as threadpoolctl sees them."""
    try:
        import threadpoolctl
    except ImportError:
        return []
    keep = ('user_api', 'internal_api', 'num_threads', 'version', 'architecture')
    return [{k: pool.get(k) for k in keep} for pool in threadpoolctl.threadpool_info()]


def table(rows: list[dict], columns: tuple[str, ...]) -> str:
    """Plain text table; numbers with four digits."""
    text = [[_cell(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(r[i]) for r in [list(columns), *text]) for i in range(len(columns))]
    lines = [list(columns), ['-' * w for w in widths], *text]
    return '\n'.join(
        '  '.join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in lines
    )


def _cell(value) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    return '' if value is None else str(value)


def write(name: str, result: dict) -> pathlib.Path:
    """Writes benchmarks/results/<name>.json with the hardware beside the numbers."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f'{name}.json'
    content = {'taken': time.strftime('%Y-%m-%d'), 'hardware': hardware()} | result
    path.write_text(json.dumps(content, indent=1, default=float) + '\n')
    return path
