"""Kernels and their held-out errors against scikit-learn in float64."""

import jax
import numpy as np
import pytest
import sklearn.kernel_ridge as peers
import sklearn.metrics.pairwise as pairwise

from recon.core import kernels, solvers
from tests.core.test_solvers import draw


@pytest.mark.parametrize('kind', kernels.KERNELS)
def test_a_mixture_is_the_weighted_sum_of_the_kernels_of_its_sets(kind):
    x, _ = draw(12, 30, 1, dtype=np.float32)
    new, _ = draw(5, 30, 1, 1, np.float32)
    used = np.stack([np.arange(30) < 11, np.arange(30) >= 7])
    scales, weights = np.float32([1.5, 0.7]), np.float32([0.2, 0.8])
    ours = kernels.mix(kernels.bases(new, x, used, kind), scales, weights, kind)
    wanted = 0
    for u, scale, weight in zip(used, scales, weights, strict=True):
        parts = new[:, u], x[:, u]
        linear = pairwise.linear_kernel(*parts) / u.sum()
        rbf = pairwise.rbf_kernel(*parts, gamma=1 / scale / u.sum())
        wanted = wanted + weight * (linear if kind == 'linear' else rbf)
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


@pytest.mark.parametrize('limits', ((-np.inf, np.inf), (-0.5, 0.5)))
def test_held_out_errors_equal_scikit_learn_without_a_constant(limits):
    x, y = draw(40, 10, 3)
    k = pairwise.rbf_kernel(x, gamma=0.05)
    train, test = np.arange(40) < 30, np.arange(40) >= 30
    own, new = k[np.ix_(train, train)], k[np.ix_(test, train)]
    penalties = np.array([1e-3, 0.1, 10.0])
    with jax.enable_x64(True):
        factor = solvers.factor_gram(own, False)
        got = np.asarray(
            kernels.held_out_errors(
                factor, (own, new), y[train], y[test], penalties, limits, np.array([1.0, 1.3])
            )
        )
    for alpha, error in zip(penalties, np.swapaxes(got, 0, 1), strict=True):
        model = peers.KernelRidge(alpha=alpha, kernel='precomputed').fit(own, y[train])
        plain = model.predict(new)
        wide = plain * (1.3 if np.isfinite(limits[0]) else 1)  # the middle of the limits is 0
        for found, predicted in zip(error, (plain, wide), strict=True):
            wanted = ((np.clip(predicted, *limits) - y[test]) ** 2).mean(0)
            np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_the_constant_solves_the_bordered_system():
    x, y = draw(30, 10, 3)
    y = y + 7
    k, new = pairwise.rbf_kernel(x, gamma=0.1), pairwise.rbf_kernel(x[:4] + 0.5, x, gamma=0.1)
    bordered = np.block([[k + 0.2 * np.eye(30), np.ones((30, 1))], [np.ones((1, 30)), 0]])
    solved = np.linalg.solve(bordered, np.vstack([y, np.zeros((1, 3))]))
    wanted = ((new @ solved[:30] + solved[30] - y[:4]) ** 2).mean(0)
    with jax.enable_x64(True):
        factor = solvers.factor_gram(k)
        got = kernels.held_out_errors(
            factor, (k, new), y, y[:4], np.array([0.2]), (-np.inf, np.inf), np.ones(1)
        )
    np.testing.assert_allclose(got[0, 0], wanted, rtol=1e-8)


def test_contrast_stretches_about_the_middle_and_clips():
    got = kernels.finish(np.float32([[0.1, 0.5, 0.75, 0.9]]), (0.0, 1.0), 2.0)
    np.testing.assert_allclose(got, [[0.0, 0.5, 1.0, 1.0]])


def test_the_median_scale_is_over_pairs_and_never_zero():
    x = np.float32([[0.0], [1.0], [3.0]])
    bases = kernels.bases(x, x, np.ones((1, 1), bool), 'rbf')
    assert kernels.median_scale(bases).tolist() == [4.0]  # of 1, 4, 9
    assert kernels.median_scale(bases * 0).tolist() == [1.0]
    assert kernels.median_scale(bases[:, :1, :1]).tolist() == [1.0]
