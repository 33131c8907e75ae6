import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import linear_model

from recon.core import evidence, solvers


@pytest.mark.parametrize(('n', 'v', 'seed'), [(60, 20, 0), (25, 70, 1), (40, 40, 2)])
def test_precisions_are_scikit_learns(n, v, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, v))
    y = x[:, :3] @ rng.standard_normal((3, 4)) + rng.standard_normal((n, 4))
    x, y = x - x.mean(0), y - y.mean(0)
    with jax.enable_x64(True):
        factor = solvers.factor(jnp.asarray(x), True)
        z = solvers.project(factor, jnp.asarray(y))
        found = evidence.maximise(factor, z, jnp.asarray(y), iterations=2_000, tolerance=1e-12)
        found = {name: np.asarray(value) for name, value in found.items()}
    for t in range(4):
        peer = linear_model.BayesianRidge(
            max_iter=2_000, tol=1e-12, alpha_1=1e-6, alpha_2=1e-6, lambda_1=1e-6, lambda_2=1e-6
        ).fit(x, y[:, t])
        np.testing.assert_allclose(found['alpha'][t], peer.alpha_, rtol=1e-4)
        np.testing.assert_allclose(found['lambda'][t], peer.lambda_, rtol=1e-4)


def test_right_vectors_are_those_of_the_singular_value_decomposition():
    x = np.random.default_rng(3).standard_normal((12, 30)).astype('f')
    x -= x.mean(0)
    factor = solvers.factor(jnp.asarray(x), True)
    right = np.asarray(evidence.right_vectors(factor, jnp.asarray(x)))
    kept = np.linalg.norm(right, axis=0) > 0.5
    assert kept.sum() == 11  # centred rows span one direction less
    _, _, peer = np.linalg.svd(x, full_matrices=False)
    ours = right[:, kept][:, ::-1]
    np.testing.assert_allclose(abs((ours * peer[:11].T).sum(0)), 1, atol=1e-3)
