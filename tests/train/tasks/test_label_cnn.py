import jax
import numpy as np
import pytest

from recon.core import errors, results
from recon.decoders import label_cnn as net
from recon.train import checkpoint, optim
from recon.train import job as jobs
from recon.train.tasks import label_cnn

SMALL = {
    'widths': (4, 6),
    'dense': (8,),
    'batch': 16,
    'epochs': 12,
    'drop_after': 10,
    'learning_rate': 0.02,
    'save_every': 30,
    'log_every': 10,
}


def job(folder, seed=0, n=96, v=24, **options):
    """Three labels, each of which raises the voxels of a place of its own."""
    draw = np.random.default_rng(seed)
    target = (draw.random((n, 3)) < (0.5, 0.3, 0.2)).astype(np.float32)
    places = np.repeat(np.eye(3, dtype=np.float32), v // 3, 1)
    voxels = 2 * target @ places + 0.5 * draw.standard_normal((n, v), np.float32)
    return jobs.Job(voxels, target, np.arange(n), folder, seed=seed, **options)


def fitted(folder, **options):
    cfg = SMALL | options
    return cfg, label_cnn.fit(cfg, job(folder), jax.random.key(0))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('label_cnn')
    return (*fitted(folder), folder)


def test_it_names_the_labels_of_rows_that_it_has_not_seen(trained):
    cfg, params, _ = trained
    new = job('', seed=1, n=60)
    said = net.predict(cfg, params, new.voxels) > params['threshold']
    assert (said == (new.target > 0)).mean() > 0.9


def test_what_it_returns_is_arrays_that_survive_the_disk(trained, tmp_path):
    cfg, params, _ = trained
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))
    checkpoint.save(tmp_path / 'fit', params)
    back = checkpoint.load(tmp_path / 'fit')
    rows = job('').voxels[:5]
    np.testing.assert_array_equal(net.predict(cfg, back, rows), net.predict(cfg, params, rows))


def test_norms_are_those_of_all_training_rows_and_not_of_the_rows_aside(trained):
    cfg, params, folder = trained
    used = job(folder).with_validation(net.DEFAULTS['validation'])
    assert params['rows'] == len(used) == 86
    np.testing.assert_array_equal(params['positives'], used.target.sum(0))
    made = net.build(cfg, (3,))
    as_one_batch = net._logits(made, params['net'], None, used.voxels[..., None])
    got = net.predict(cfg, params, used.voxels)
    np.testing.assert_allclose(got, jax.nn.sigmoid(as_one_batch), atol=1e-5)


def test_validation_is_logged(trained):
    log = (trained[2] / 'metrics.jsonl').read_text()
    assert 'validate/loss' in log
    assert 'validate/cross_entropy' in log


def test_a_fit_that_was_stopped_goes_on_to_the_same_parameters(trained, tmp_path):
    asked = []
    with pytest.raises(results.Stopped):
        stopping = job(tmp_path, stop=lambda: asked.append(1) or len(asked) > 20)
        label_cnn.fit(SMALL, stopping, jax.random.key(0))
    _, again = fitted(tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again, trained[1])


def test_the_rate_falls_tenfold_at_the_end_of_epoch_ten_and_of_each_after_it():
    options = net.DEFAULTS | {'batch': 50}
    made = label_cnn._settings(options, rows=500, steps=200)  # 10 steps an epoch
    rate = optim.schedule(made, 200)
    got = [float(rate(step)) for step in (0, 99, 101, 109, 111, 119, 199)]
    np.testing.assert_allclose(got, [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4, 1e-12], rtol=1e-4)


def test_the_loss_is_the_focal_one_of_the_options():
    made = net.build(SMALL, (3,))
    draw = np.random.default_rng(0)
    rows = draw.standard_normal((4, 12, 1), np.float32)
    shapes = jax.eval_shape(made.init, jax.random.key(0), rows)['params']
    params = jax.tree.map(lambda s: draw.standard_normal(s.shape, np.float32), shapes)
    target = np.eye(4, 3, dtype=np.float32)
    chance = 1 / (1 + np.exp(-np.float64(net._logits(made, params, None, rows))))
    right = np.where(target > 0, chance, 1 - chance)
    weight = np.where(target > 0, 0.7, 0.3)
    for gamma, alpha, wanted in (
        (0.0, 0.0, -np.log(right)),
        (2.0, 0.7, -weight * (1 - right) ** 2 * np.log(right)),
    ):
        options = net.DEFAULTS | {'gamma': gamma, 'alpha': alpha}
        batch = {'voxels': rows, 'target': target}
        got, _ = label_cnn.loss(made, options, params, batch, jax.random.key(0))
        np.testing.assert_allclose(got, wanted.mean(), rtol=1e-4)


def test_a_step_drops_and_a_prediction_does_not():
    made = net.build(SMALL | {'dropout': 0.5}, (3,))
    draw = np.random.default_rng(0)
    batch = {'voxels': draw.standard_normal((4, 12, 1), np.float32), 'target': np.eye(4, 3)}
    shapes = jax.eval_shape(made.init, jax.random.key(0), batch['voxels'])['params']
    params = jax.tree.map(lambda s: draw.standard_normal(s.shape, np.float32), shapes)
    ask = lambda seed: label_cnn.loss(made, net.DEFAULTS, params, batch, jax.random.key(seed))[0]  # noqa: E731
    assert ask(0) == ask(0)
    assert ask(0) != ask(1)
    whole = net._logits(net.build(SMALL, (3,)), params, None, batch['voxels'])
    np.testing.assert_array_equal(net._logits(made, params, None, batch['voxels']), whole)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'gamma': -1}, 'gamma is -1'),
        ({'alpha': 1}, 'alpha is 1'),
        ({'dropout': 1.0}, 'dropout is 1.0'),
        ({'batch': 0}, 'batch is 0'),
        ({'patience': 2, 'validation': 0}, 'patience without validation'),
        ({'schedule': 'steps'}, "schedule is 'steps'"),
        ({'steps': 5}, 'steps=5 and epochs=12 are given'),
        ({'validation': 1.0}, 'validation=1.0'),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message, tmp_path):
    with pytest.raises(errors.ConfigError, match=message):
        fitted(tmp_path, **options)
    if 'validation' not in options:
        with pytest.raises(errors.ConfigError, match=message):
            label_cnn.check(SMALL | options, {})
    label_cnn.check(SMALL, {})


def test_shares_in_place_of_labels_are_refused(tmp_path):
    given = job(tmp_path)
    given.target[0, 0] = 0.3
    with pytest.raises(errors.DataInvalid, match='0 and 1: threshold the coverage'):
        label_cnn.fit(SMALL, given, jax.random.key(0))
