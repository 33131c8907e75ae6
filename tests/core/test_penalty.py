import numpy as np
import pytest
from sklearn import linear_model as sk

from recon.core import errors, penalty, solvers

OPTIONS = {'penalties': (100.0, 1.0), 'cv': 'loo', 'folds': 5, 'target_block': 3}


def test_the_grid_is_checked_and_ascending():
    np.testing.assert_array_equal(penalty.check(OPTIONS, 'decoder'), [1, 100])
    for bad in ((), (0.0,), (-1.0, 2.0), (np.nan,)):
        with pytest.raises(errors.ConfigError):
            penalty.check(OPTIONS | {'penalties': bad}, 'decoder')
    with pytest.raises(errors.ConfigError, match='cv'):
        penalty.check(OPTIONS | {'cv': 'twofold'}, 'decoder')


@pytest.mark.parametrize('n', [30, 90])
def test_blocks_of_targets_give_what_scikit_learn_gives_all_at_once(n):
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 50)).astype(np.float32)
    y = (x[:, :8] + rng.standard_normal((n, 8))).astype(np.float32)
    x, mean = x - x.mean(0), y.mean(0)
    grid = np.float32([1, 10, 100, 1000])
    options = {'cv': 'loo', 'per_target': True, 'target_block': 3}
    found = penalty.choose_and_solve(solvers.factor(x, True), y, mean, grid, options)
    peer = sk.RidgeCV(alphas=grid, alpha_per_target=True).fit(x.astype(float), y.astype(float))
    np.testing.assert_array_equal(found['penalty'], peer.alpha_)
    weights = found['coefficients'] if n > 50 else x.T @ found['coefficients']
    np.testing.assert_allclose(weights, peer.coef_.T, atol=2e-4)


def test_a_penalty_at_the_edge_of_the_grid_is_told():
    params = {
        'penalties': np.float32([1, 10, 100]),
        'penalty': np.float32([1, 1, 10, 100]),
        'curve': np.float32([0.3, 0.2, 0.4]),
    }
    told = penalty.describe(params)
    assert told['curves'][0]['series'][0]['y'] == pytest.approx([0.3, 0.2, 0.4])
    assert told['facts']['choices at the edge of the grid'] == '3 of 4'
