"""Logistic regression against scikit-learn."""

import functools

import numpy as np
import pytest
import sklearn.linear_model as peers

from recon.core import errors, thresholds, validation
from recon.decoders import logistic
from recon.train import checkpoint


@functools.cache
def draw(n=60, v=90, k=3, seed=0):
    r = np.random.default_rng(seed)
    x = (r.standard_normal((n, v)) + r.standard_normal(v)).astype(np.float32)
    logits = (x - x.mean(0)) @ r.standard_normal((v, k)) / v**0.5 * 2 + (0.0, -1.5, 1.0)[:k]
    return x, (r.random((n, k)) < 1 / (1 + np.exp(-logits))).astype(np.float32)


def theirs(x, y, alpha):
    """(weights [v k], intercept [k]) of scikit-learn's, in float64."""
    model = functools.partial(peers.LogisticRegression, C=1 / alpha, tol=1e-10, max_iter=10_000)
    fits = [model().fit(np.float64(x), label) for label in y.T]
    return np.stack([m.coef_[0] for m in fits], 1), np.array([m.intercept_[0] for m in fits])


@pytest.mark.parametrize('n, v', [(60, 90), (90, 20)])
@pytest.mark.parametrize('alpha', [1.0, 30.0])
def test_weights_and_constants_are_scikit_learns(n, v, alpha):
    x, y = draw(n, v)
    cfg = {'penalties': (alpha,), 'tolerance': 1e-6, 'iterations': 2000}
    params = logistic.fit(cfg, x, y)
    weights, intercept = theirs(x, y, alpha)
    np.testing.assert_allclose(params['weights'], weights, atol=2e-4 * np.abs(weights).max())
    centred = intercept + x.mean(0) @ weights  # theirs is for rows that are not centred
    np.testing.assert_allclose(params['intercept'], centred, atol=1e-3)


def test_default_tolerance_gives_probabilities_to_three_digits():
    x, y = draw()
    params = logistic.fit({'penalties': (3.0,)}, x, y)
    weights, intercept = theirs(x, y, 3.0)
    wanted = 1 / (1 + np.exp(-(x @ weights + intercept)))
    got = logistic.predict({}, params, x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_the_penalty_has_the_lowest_log_loss_on_left_out_runs():
    x, y = draw(60, 90)
    groups = np.repeat(np.arange(12), 5)
    grid = (1.0, 100.0, 1e4)
    params = logistic.fit({'penalties': grid, 'folds': 3}, x, y, groups=groups)
    fold = validation.fold_of_rows(groups, 3)
    wanted = []
    for alpha in grid:
        losses = []
        for f in range(3):
            weights, intercept = theirs(x[fold != f], y[fold != f], alpha)
            logits = x[fold == f] @ weights + intercept
            losses.append(np.logaddexp(0, (1 - 2 * y[fold == f]) * logits))
        wanted.append(np.concatenate(losses).mean())
    np.testing.assert_allclose(params['curve'], wanted, rtol=2e-3)
    assert params['penalty'] == np.float32(grid[int(np.argmin(wanted))])


def test_thresholds_are_chosen_on_left_out_rows(monkeypatch):
    x, y = draw()
    given = []
    monkeypatch.setattr(
        thresholds, 'choose', lambda scores, truth: given.append(scores) or np.zeros(3, np.float32)
    )
    params = logistic.fit({'penalties': (1.0, 2.0)}, x, y)
    seen = logistic.predict({}, params, x)
    own = ((given[0] > 0.5) == y).mean()
    assert own < ((seen > 0.5) == y).mean()  # the training rows themselves are all fitted
    assert params['threshold'].tolist() == [0, 0, 0]


def test_a_label_that_never_changes_is_predicted_so():
    x, y = draw()
    y = np.stack([np.zeros(60), np.ones(60), y[:, 0]], 1)
    got = logistic.predict({}, logistic.fit({'penalties': (10.0,)}, x, y), x)
    assert got[:, 0].max() < 0.05
    assert got[:, 1].min() > 0.95


def test_parameters_survive_the_disk_and_describe_themselves(tmp_path):
    x, y = draw()
    params = logistic.fit({'penalties': (1.0, 10.0)}, x, y)
    checkpoint.save(tmp_path / 'fit', params)
    back = checkpoint.load(tmp_path / 'fit')
    np.testing.assert_array_equal(logistic.predict({}, back, x), logistic.predict({}, params, x))
    told = logistic.describe({}, back)
    assert told['importance'].shape == (90,)
    assert told['curves'][0]['chosen'] == told['facts']['penalty']


@pytest.mark.parametrize(
    'cfg, message',
    [
        ({'penalties': ()}, r'penalties are \(\)'),
        ({'penalties': (1.0, 0.0)}, 'penalties are'),
        ({'tolerance': 0}, 'tolerance=0'),
        ({'folds': 99}, '99 folds for 60 runs'),
    ],
)
def test_options_that_do_not_fit_are_refused(cfg, message):
    with pytest.raises(errors.ConfigError, match=message):
        logistic.fit(cfg, *draw())


def test_what_is_no_label_is_refused():
    x, y = draw()
    with pytest.raises(errors.DataInvalid, match='threshold the coverage'):
        logistic.fit({}, x, y * 0.3)
    with pytest.raises(errors.DataInvalid, match='60 rows of voxels, 59'):
        logistic.fit({}, x, y[1:])
