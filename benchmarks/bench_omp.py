"""Orthogonal matching pursuit and Miyawaki's whole recipe: ours beside scikit-learn's, same arrays.

Run: python -m benchmarks.bench_omp [--quick]    -> benchmarks/results/omp.json

1. Shared voxels: every target chooses from the same voxels. Peer: scikit-learn's Gram path.
2. The whole recipe of nilearn's example on 10 x 10 patterns: 500 of 5,000 voxels for each of 361
   local decoders by F score, StandardScaler, 10 coefficients, equal weights; 440 rows. Peer: a loop
   over the 361 targets, each a scikit-learn pipeline, as the example's readers run it (OMP with its
   defaults). Both times hold fit and prediction of 120 further rows.

Every answer is checked against scikit-learn with precompute=True in float64, with the share of
targets whose supports agree. `first_s` is our first call in the process: it compiles.
"""

import argparse
import functools
import time

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from sklearn import feature_selection, linear_model, pipeline, preprocessing

from benchmarks import _harness
from recon.core import patterns, pursuit
from recon.decoders import miyawaki

SHARED = ((300, 1000, 20, 400), (600, 1500, 20, 800))  # n, v, k, t
SCALES = miyawaki.DEFAULTS['scales']


def shared(n: int, v: int, k: int, t: int, repeats: int, gemm_rate: float) -> dict:
    """All targets on the same voxels, by count of coefficients."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, v))
    y = x @ (rng.standard_normal((v, t)) * (rng.random((v, t)) < k / v))
    y += rng.standard_normal((n, t))
    x, y = x - x.mean(0), y - y.mean(0)
    x32, y32 = x.astype(np.float32), y.astype(np.float32)
    first = {}

    def ours(dtype):
        with pursuit.double(dtype):
            a, b = (x32, y32) if dtype == 'float32' else (x, y)
            return jax.block_until_ready(pursuit.solve(jnp.asarray(a), jnp.asarray(b), k))

    for dtype in ('float32', 'float64'):
        start = time.perf_counter()
        ours(dtype)
        first[dtype] = time.perf_counter() - start
    peer = functools.partial(linear_model.orthogonal_mp, n_nonzero_coefs=k, precompute=True)
    times = _harness.interleaved(
        {
            'recon float32': lambda: ours('float32'),
            'recon float64': lambda: ours('float64'),
            'scikit-learn Gram float32': lambda: peer(x32, y32),
            'scikit-learn Gram float64': lambda: peer(x, y),
        },
        repeats,
    )
    oracle = peer(x, y)
    agreement = {}
    for dtype in ('float32', 'float64'):
        found = ours(dtype)
        dense = np.zeros((v, t))
        np.put_along_axis(dense, np.asarray(found.support).T, np.asarray(found.weights).T, 0)
        same = ((dense != 0) == (oracle != 0)).all(0)
        difference = np.abs(x @ (dense - oracle)[:, same]).max()
        agreement[dtype] = {'supports': same.mean(), 'largest_difference': difference}
    flops = 2 * n * v * t * k
    return {
        'n v k t': (n, v, k, t),
        'times': times,
        'first_s': first,
        'agreement': agreement,
        'ratio': {
            dtype: times[f'scikit-learn Gram {dtype}']['median_s']
            / times[f'recon {dtype}']['median_s']
            for dtype in ('float32', 'float64')
        },
        'share_of_gemm_rate': flops / times['recon float32']['median_s'] / 1e9 / gemm_rate,
    }


def brain(n: int = 440, extra: int = 120, v: int = 5000):
    """Patterns and voxels that see a few patches each, noisy enough that decoding is imperfect."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 2, (n + extra, 10, 10)).astype(np.float32)
    fields = rng.standard_normal((100, v)) * (rng.random((100, v)) < 0.03)
    voxels = pictures.reshape(-1, 100) @ fields + 3 * rng.standard_normal((n + extra, v)) + 100
    return voxels.astype(np.float32), pictures


def published(voxels, pictures, rows, precompute='auto'):
    """The loop: one pipeline for each of the 361 windows, then the mean of the folded scales."""
    targets = np.concatenate([patterns.unfold(pictures, size) for size in SCALES], 1)
    models, columns = [], []
    for target in targets.T:
        steps = [
            ('selection', feature_selection.SelectKBest(feature_selection.f_classif, k=500)),
            ('scaler', preprocessing.StandardScaler()),
            (
                'omp',
                linear_model.OrthogonalMatchingPursuit(n_nonzero_coefs=10, precompute=precompute),
            ),
        ]
        models.append(pipeline.Pipeline(steps).fit(voxels, target))
        columns.append(models[-1].predict(rows))
    values = np.stack(columns, 1)
    edges = np.cumsum([patterns.count((10, 10), size) for size in SCALES])[:-1]
    parts = zip(np.split(values, edges, 1), SCALES, strict=True)
    return sum(patterns.fold(part, (10, 10), size) for part, size in parts) / 4, models


def recipe(repeats: int) -> dict:
    """Selection, scaling, pursuit, folding: everything from voxels to pictures."""
    voxels, pictures = brain()
    train, shown, test = voxels[:440], pictures[:440], voxels[440:]
    configs = {
        dtype: ml_collections.ConfigDict(
            {
                'base': {'name': 'omp', 'coefficients': 10, 'dtype': dtype},
                'select': {'by': 'f', 'k': 500},
                'combine': {'how': 'equal'},
            }
        )
        for dtype in ('float32', 'float64')
    }

    def ours(dtype):
        params = miyawaki.fit(configs[dtype], train, shown)
        return miyawaki.predict(configs[dtype], params, test), params

    first = {}
    for dtype in configs:
        start = time.perf_counter()
        ours(dtype)
        first[dtype] = time.perf_counter() - start
    times = _harness.interleaved(
        {f'recon {dtype}': functools.partial(ours, dtype) for dtype in configs}, max(5, repeats)
    )
    # No warm-up round: the loop compiles nothing.
    peers = {
        'loop float32': lambda: published(train, shown, test)[0],
        'loop float64': lambda: published(train.astype(np.float64), shown, test)[0],
    }
    times |= _harness.interleaved(peers, repeats, warm_up=0)
    median = {name: t['median_s'] for name, t in times.items()}
    fastest = min(median[name] for name in peers)
    return {
        'times': times,
        'first_s': first,
        'agreement': {dtype: _agreement(ours(dtype), train, shown, test) for dtype in configs},
        'ratio': {d: median[f'loop {d}'] / median[f'recon {d}'] for d in configs},
        'ratio_to_fastest_loop': {d: fastest / median[f'recon {d}'] for d in configs},
        'ratio_first_call': {dtype: fastest / first[dtype] for dtype in configs},
    }


def _agreement(answer, train, shown, test) -> dict:
    """Supports and pictures against the loop with precompute=True in float64."""
    pictures, params = answer
    wanted, models = published(train.astype(np.float64), shown, test.astype(np.float64), True)
    same = []
    for model, own in zip(models, params['local']['base']['support'], strict=True):
        chosen = np.flatnonzero(model['selection'].get_support())
        same.append(set(chosen[np.flatnonzero(model['omp'].coef_)]) == set(own))
    return {'supports': np.mean(same), 'largest_difference': np.abs(pictures - wanted).max()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--quick', action='store_true', help='one repeat, the first size')
    quick = parser.parse_args().quick
    repeats = 1 if quick else 3
    rate = _harness.gemm_rate()
    runs = [shared(*size, max(3, repeats), rate['best']) for size in SHARED[: 1 if quick else None]]
    whole = recipe(repeats)
    rows = [
        {'work': f'shared {run["n v k t"]}', 'who': who, 'median s': t['median_s']}
        for run in runs
        for who, t in run['times'].items()
    ]
    rows += [
        {'work': 'whole recipe', 'who': who, 'median s': t['median_s']}
        for who, t in whole['times'].items()
    ]
    print(_harness.table(rows, ('work', 'who', 'median s')))
    for name, run in [*((str(r['n v k t']), r) for r in runs), ('recipe', whole)]:
        print(name, {key: value for key, value in run.items() if key not in ('times', 'n v k t')})
    path = _harness.write('omp', {'gemm_gflops': rate, 'shared': runs, 'recipe': whole})
    print(path)


if __name__ == '__main__':
    main()
