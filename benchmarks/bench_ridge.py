"""Ridge regression: us, scikit-learn and himalaya in turn on the same arrays.

    python -m benchmarks.bench_ridge            n 2,000, v 8,000, t 4,000 (minutes)
    python -m benchmarks.bench_ridge --quick    a tenth of that (seconds)
    python -m benchmarks.bench_ridge --memory   200,000 targets, peak memory (minutes, 8 GB)
    python -m benchmarks.bench_ridge --all      himalaya's Ridge too (not done after 20 minutes)

All arrays are float32, without an intercept, and everybody ends with weights [v t] in memory. The
floor of one penalty is its own matrix products alone, timed in XLA as products of the same shapes:
x x' in full, [n n] [n t] (the two triangular solves), x' [n t]. Where the penalty is chosen, folds
are the same for all, and answers are compared: penalties and weights. Of himalaya's two solvers of
this model the one that it advises for v > n is timed, KernelRidge by eigenvalues; the other, by
singular values, takes many times as long.
"""

import argparse
import functools
import resource
import time
import warnings

import himalaya.backend
import himalaya.kernel_ridge
import himalaya.ridge
import jax.numpy as jnp
import ml_collections
import numpy as np
import sklearn.linear_model
import sklearn.model_selection

from benchmarks import _harness
from recon.core import penalty, solvers, validation
from recon.decoders import ridge

PENALTIES = np.geomspace(1e1, 1e6, 10).astype(np.float32)
FOLDS = 5


def draw(n: int, v: int, t: int):
    """Rows and targets with signal and noise; targets differ in how much of them is noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, v), np.float32)
    y = x @ rng.standard_normal((v, t), np.float32) / np.float32(v**0.5)
    y += rng.standard_normal((n, t), np.float32) * np.geomspace(0.3, 10, t, dtype=np.float32)
    return x - x.mean(0), y - y.mean(0)


def one_penalty(x, y, repeats: int, kinds) -> dict:
    """One penalty for all targets against the time of its own products."""
    (n, v), t, alpha = x.shape, y.shape[1], 300.0
    x_jax, y_jax = jnp.asarray(x), jnp.asarray(y)
    products = [_harness.gemm(shape) for shape in ((n, v, n), (n, n, t), (v, n, t))]
    calls = {
        'ours': lambda: solvers.ridge_weights(x_jax, y_jax, alpha),
        'ours, numpy to numpy': lambda: np.asarray(solvers.ridge_weights(x, y, alpha)),
        'scikit-learn Ridge': lambda: sklearn_ridge(x, y, alpha),
        **himalaya_calls(x, y, np.float32([alpha]), None, kinds),
    }
    floors = {f'product {i}': calls_['jax'] for i, (calls_, _) in enumerate(products)}
    times = _harness.interleaved(calls | floors, repeats)
    floor = sum(times.pop(name)['median_s'] for name in floors)
    flops = sum(f for _, f in products)
    wanted = sklearn_ridge(x, y, alpha)
    answers = {'largest difference to scikit-learn': difference(calls['ours'](), wanted)}
    return {'times': times, 'floor_s': floor, 'flops': flops, 'answers': answers}


def chosen_penalty(x, y, repeats: int, kinds) -> dict:
    """Ten penalties, chosen per target: folds against himalaya, leave-one-out against sklearn."""
    fold = validation.fold_of_rows(np.arange(len(x)), FOLDS)
    calls = {
        'ours, 5 folds': lambda: ours(x, y, 'kfold')[0],
        'ours, leave-one-out': lambda: ours(x, y, 'loo')[0],
        'ours, gcv': lambda: ours(x, y, 'gcv')[0],
        'ours, 5 folds, as the decoder keeps it': lambda: decoder(x, y),
        'scikit-learn RidgeCV, leave-one-out': lambda: sklearn_cv(x, y).coef_,
        **himalaya_calls(x, y, PENALTIES, fold, kinds),
    }
    times = _harness.interleaved(calls, repeats)
    answers = {}
    himalaya.backend.set_backend('numpy')
    peer = himalaya_kernel(x, y, PENALTIES, fold)
    model = sklearn_cv(x, y)
    for rule, alphas, coefficients in (
        ('kfold', peer.best_alphas_, peer.get_primal_coef()),
        ('loo', model.alpha_, model.coef_.T),
    ):
        weights, chosen = ours(x, y, rule)
        same = np.isclose(chosen, alphas, rtol=1e-4)
        answers[rule] = {
            'same penalty': float(same.mean()),
            'largest difference of weights there': difference(
                weights[:, same], coefficients[:, same]
            ),
        }
    return {'times': times, 'answers': answers}


def ours(x, y, rule: str):
    """Weights [v t] and penalties [t]."""
    options = {'cv': rule, 'per_target': True, 'target_block': 4096, 'folds': FOLDS}
    x_jax = jnp.asarray(x)
    factor = solvers.factor(x_jax, False)
    rows = penalty.folds(options, len(x), None)
    zero = np.zeros(y.shape[1], np.float32)
    solved = penalty.choose_and_solve(factor, y, zero, PENALTIES, options, rows)
    found = solved['coefficients']
    weights = np.asarray(solvers.dual_weights(x_jax, found)) if factor.dual else found
    return weights, solved['penalty']


def decoder(x, y):
    """The decoder itself: checks, centring, and the smaller form of the weights."""
    options = {'penalties': tuple(PENALTIES.tolist()), 'cv': 'kfold', 'per_target': True}
    return ridge.fit(ml_collections.ConfigDict(options | {'folds': FOLDS}), x, y)['penalty']


def sklearn_ridge(x, y, alpha):
    model = sklearn.linear_model.Ridge(alpha, fit_intercept=False, solver='cholesky')
    return model.fit(x, y).coef_.T


def sklearn_cv(x, y):
    model = sklearn.linear_model.RidgeCV(PENALTIES, fit_intercept=False, alpha_per_target=True)
    return model.fit(x, y)


def himalaya_kernel(x, y, alphas, fold):
    """Dual ridge by eigenvalues, penalties per target by `fold`, or a single one without."""
    if fold is None:
        model = himalaya.kernel_ridge.KernelRidge(
            float(alphas[0]), kernel='linear', solver='eigenvalues'
        )
    else:
        cv = sklearn.model_selection.PredefinedSplit(fold)
        model = himalaya.kernel_ridge.KernelRidgeCV(alphas, kernel='linear', cv=cv)
    return model.fit(x, y)


def himalaya_ridge(x, y, alphas, fold):
    """Primal ridge by singular values."""
    if fold is None:
        return himalaya.ridge.Ridge(float(alphas[0]), fit_intercept=False).fit(x, y)
    cv = sklearn.model_selection.PredefinedSplit(fold)
    return himalaya.ridge.RidgeCV(alphas, fit_intercept=False, cv=cv).fit(x, y)


def himalaya_calls(x, y, alphas, fold, kinds) -> dict:
    """The solvers `kinds` on every backend that himalaya has here."""

    def call(backend, kind):
        himalaya.backend.set_backend(backend)
        if kind == 'Ridge':
            return himalaya_ridge(x, y, alphas, fold).coef_
        return himalaya_kernel(x, y, alphas, fold).get_primal_coef()

    return {
        f'himalaya {backend} {kind}': functools.partial(call, backend, kind)
        for backend in ('numpy', 'torch')
        for kind in kinds
    }


def difference(ours, theirs) -> float:
    """Largest difference over the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max()) if ours.size else 0.0


def report(name: str, result: dict, rate: float) -> list[dict]:
    """Rows of the printed table."""
    rows = []
    mine = {'one penalty': 'ours', 'chosen': 'ours, 5 folds'}[name]
    for peer, taken in result['times'].items():
        if 'leave-one-out' in peer and name == 'chosen':
            base = result['times']['ours, leave-one-out']['median_s']
        else:
            base = result['times'][mine]['median_s']
        row = {'what': name, 'peer': peer, 'median s': taken['median_s'], 'best s': taken['min_s']}
        row['times ours'] = taken['median_s'] / base
        if 'floor_s' in result:
            row['times floor'] = taken['median_s'] / result['floor_s']
            row['of GEMM rate'] = result['flops'] / taken['median_s'] / 1e9 / rate
        rows.append(row)
    return rows


def memory(t: int) -> dict:
    """Fits `t` targets as the decoder does and reads the peak of this process's memory."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2_000, 8_000), np.float32), np.empty((2_000, t), np.float32)
    for i in range(0, t, 1_000):
        y[:, i : i + 1_000] = rng.standard_normal((2_000, min(1_000, t - i)), np.float32)
    options = {'penalties': tuple(PENALTIES.tolist()), 'cv': 'gcv', 'per_target': True}
    start = time.perf_counter()
    params = ridge.fit(ml_collections.ConfigDict(options), x, y)
    seconds = time.perf_counter() - start
    predicted = ridge.predict(None, params, x[:10])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {'n': 2_000, 'v': 8_000, 't': t, 'fit_s': seconds, 'peak_gb': peak} | {
        'targets_gb': y.nbytes / 2**30,
        'predicted': list(predicted.shape),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='small sizes, seconds')
    parser.add_argument('--memory', action='store_true', help='peak memory of 200,000 targets')
    parser.add_argument('--all', action='store_true', help="himalaya's slow solver too")
    parser.add_argument('--repeats', type=int, default=5)
    args = parser.parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    if args.memory:
        result = memory(20_000 if args.quick else 200_000)
        print(result)
        print(_harness.write('bench_ridge_memory' + '_quick' * args.quick, result))
        return
    n, v, t = (200, 800, 400) if args.quick else (2_000, 8_000, 4_000)
    x, y = draw(n, v, t)
    rate = _harness.gemm_rate(500 if args.quick else 2_000)
    result = {'sizes': {'n': n, 'v': v, 't': t}, 'gemm_gflops': rate, 'repeats': args.repeats}
    kinds = ('KernelRidge', 'Ridge')[: 1 + args.all]
    result['one penalty'] = one_penalty(x, y, args.repeats, kinds)
    result['chosen'] = chosen_penalty(x, y, args.repeats, kinds)
    rows = [
        r for name in ('one penalty', 'chosen') for r in report(name, result[name], rate['best'])
    ]
    columns = ('what', 'peer', 'median s', 'best s', 'times ours', 'times floor', 'of GEMM rate')
    print(_harness.table(rows, columns))
    print('floor of one penalty:', result['one penalty']['floor_s'], 's; GEMM Gflop/s:', rate)
    for name in ('one penalty', 'chosen'):
        print(name, 'answers:', result[name]['answers'])
    print(_harness.write('bench_ridge' + '_quick' * args.quick, result | {'table': rows}))


if __name__ == '__main__':
    main()
