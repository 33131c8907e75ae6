import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors, results
from recon.decoders import mlp as decoder
from recon.train import checkpoint, job
from recon.train.tasks import mlp

SHAPE, VOXELS = (2, 2, 3), 12
CFG = {
    'head': 'direct', 'groups': 0, 'width': 24, 'blocks': 1, 'dropout': 0.1, 'block_dropout': 0.1,
    'learning_rate': 3e-3, 'epochs': 0, 'steps': 300, 'batch': 8, 'validation': 0.25,
    'save_epochs': 4, 'log_every': 20, 'predict_batch': 16,
}  # fmt: skip
RNG = jax.random.key(5)


def rows(count=240, seed=0):
    """Voxels, a target that is linear in them, and images shown twice each."""
    random = np.random.default_rng(seed)
    voxels = random.standard_normal((count, VOXELS)).astype(np.float32)
    mixing = np.random.default_rng(9).standard_normal((VOXELS, *SHAPE)).astype(np.float32)
    target = np.tensordot(voxels, mixing, 1) / VOXELS**0.5 + 2
    return {'voxels': voxels, 'target': target, 'groups': np.arange(count) // 2}


def made(folder, **more):
    return job.Job(**rows() | {'folder': folder} | more)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('mlp')
    return folder, mlp.fit(CFG, made(folder), RNG)


def logged(folder, name):
    """The values of one scalar, in the order in which they were written."""
    lines = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [line['value'] for line in lines if line['name'] == name]


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_it_learns_what_held_out_rows_need_and_logs_how(trained, tmp_path):
    folder, params = trained
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(params))
    assert params['validation_loss'] < 0.6 * params['mean_loss']
    new = rows(seed=1)
    error = np.abs(decoder.predict(CFG, params, new['voxels']) - new['target']).mean()
    assert abs(error - params['validation_loss']) < 0.15
    losses = logged(folder, 'loss')
    assert len(losses) == 15
    assert losses[-1] < 0.5 * losses[0]
    assert logged(folder, 'validate/loss')[-1] == pytest.approx(
        float(params['validation_loss']), rel=1e-6
    )
    checkpoint.save(tmp_path / 'p', params, 'mark')
    same(checkpoint.load(tmp_path / 'p', 'mark'), params)


def test_the_losses_it_gives_are_those_of_the_rows_put_aside(trained):
    folder, params = trained
    split = made(folder).with_validation(CFG['validation'])
    voxels, target = split.validation
    assert len(voxels) == 60
    error = np.abs(decoder.predict(CFG, params, voxels) - target).mean()
    np.testing.assert_allclose(params['validation_loss'], error, rtol=1e-5)
    mean = np.abs(split.target.mean(0) - target).mean()
    np.testing.assert_allclose(params['mean_loss'], mean, rtol=1e-5)


def test_the_training_loss_is_of_the_rows_that_were_fitted(trained):
    folder, params = trained
    job_ = made(folder).with_validation(CFG['validation'])
    error = np.abs(decoder.predict(CFG, params, job_.voxels) - job_.target).mean()
    np.testing.assert_allclose(params['train_loss'], error, rtol=1e-5)
    facts = decoder.describe(CFG, params)['facts']
    assert facts['l1 on training'] == params['train_loss'] < facts['l1 of the mean target there']


def test_members_differ_in_weights_and_batches_and_watch_the_same_rows(tmp_path):
    few, watched = CFG | {'steps': 3}, []

    def fit(seed):
        params = mlp.fit(few | {'seed': seed}, made(tmp_path / str(seed)), RNG)
        watched.append(float(params['mean_loss']))
        return params['net']

    one, two, three = fit(0), fit(3), fit(2423)
    assert watched[0] == watched[1] == watched[2]
    kernels = [net['input']['kernel'] for net in (one, two, three)]
    assert all(np.abs(a - b).max() > 0.05 for a, b in zip(kernels, kernels[1:], strict=False))
    assert mlp._member(made(tmp_path), 3).rows(0, 8).tolist() != made(tmp_path).rows(0, 8).tolist()


def test_shifted_latents_are_the_same_map_moved_by_whole_rows_and_columns():
    random = np.random.default_rng(0)
    maps = random.standard_normal((40, 6, 5, 2)).astype(np.float32)
    moved = np.asarray(mlp.shifted(maps, 1, jax.random.key(0)))
    wide = np.pad(maps, ((0, 0), (1, 1), (1, 1), (0, 0)), mode='edge')
    seen = set()
    for row in range(40):
        places = [
            (i, j)
            for i in range(3)
            for j in range(3)
            if np.array_equal(wide[row, i : i + 6, j : j + 5], moved[row])
        ]
        assert len(places) == 1
        seen |= set(places)
    assert len(seen) == 9
    settings = decoder.DEFAULTS | CFG | {'shift': 1, 'dropout': 0.0, 'block_dropout': 0.0}
    module = decoder.build(settings, SHAPE)
    params = mlp.begin(module, VOXELS, jax.random.key(0))
    still = mlp.loss(module, settings, params, batch(), None)[0]
    assert mlp.loss(module, settings, params, batch(), jax.random.key(0))[0] != still
    plain = settings | {'shift': 0}
    np.testing.assert_allclose(
        mlp.loss(module, plain, params, batch(), jax.random.key(0))[0], still
    )


def test_rows_that_fit_are_kept_on_an_accelerator_and_give_the_same_batches(tmp_path, monkeypatch):
    streamed = made(tmp_path)
    assert mlp.resident(streamed, 2.0) is streamed  # a CPU has nothing to gain
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    held = mlp.resident(streamed, 2.0)
    assert isinstance(held.voxels, jax.Array) and isinstance(held.target, jax.Array)
    assert mlp.resident(streamed, 1e-6) is streamed
    for step in (0, 31):
        ours, theirs = mlp.batch_at(held, 8, step), mlp.batch_at(streamed, 8, step)
        assert isinstance(ours['voxels'], jax.Array)
        same(ours, theirs)


def test_a_training_that_was_stopped_goes_on_to_the_same_bits(trained, tmp_path):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) == 37

    with pytest.raises(results.Stopped):
        mlp.fit(CFG, made(tmp_path, stop=stop), RNG)
    same(mlp.fit(CFG, made(tmp_path), RNG), trained[1])


def test_a_folder_with_a_training_of_other_options_is_refused(trained):
    with pytest.raises(errors.ConfigError, match='first key that differs is width'):
        mlp.fit(CFG | {'width': 25}, made(trained[0]), RNG)
    with pytest.raises(errors.ConfigError, match='first key that differs is seed'):
        mlp.fit(CFG, made(trained[0], seed=1), RNG)


def test_patience_ends_it_and_gives_the_best_of_the_rows_it_watches(tmp_path):
    """Rows whose target has nothing to do with the training's: every step makes it worse."""
    random = np.random.default_rng(4)
    watched = rows(12, seed=2)['voxels'], random.standard_normal((12, *SHAPE)).astype(np.float32)
    cfg = CFG | {'patience': 1, 'save_epochs': 0.5, 'schedule': 'constant'}
    params = mlp.fit(cfg, made(tmp_path, validation=watched), RNG)
    seen = logged(tmp_path, 'validate/loss')
    assert 2 < len(seen) < 20
    assert float(params['validation_loss']) == pytest.approx(min(seen), rel=1e-6)
    assert seen[-1] > min(seen)
    assert seen[-3] == min(seen)


@pytest.fixture(scope='module')
def net():
    module = decoder.build(CFG, SHAPE)
    return module, mlp.begin(module, VOXELS, jax.random.key(1))


def batch(count=6):
    given = rows(count)
    return {'voxels': given['voxels'], 'target': given['target']}


@pytest.mark.parametrize('kind', ['l1', 'mse'])
def test_the_loss_is_that_of_torch_with_softclip_beside_it(net, kind):
    module, params = net
    settings = decoder.DEFAULTS | {'loss': kind, 'contrastive': 0.3, 'temperature': 0.2}
    given = batch()
    out = module.apply({'params': params}, given['voxels'])
    predicted, target = (torch.from_numpy(np.array(x)) for x in (out, given['target']))
    distance = {'l1': torch.nn.L1Loss(), 'mse': torch.nn.MSELoss()}[kind](predicted, target)
    unit = [torch.nn.functional.normalize(x.flatten(1), dim=1) for x in (predicted, target)]
    labels = (unit[1] @ unit[1].T / 0.2).softmax(1)
    logits = unit[0] @ unit[1].T / 0.2
    entropy = torch.nn.functional.cross_entropy
    contrast = (entropy(logits, labels) + entropy(logits.T, labels)) / 2
    total, parts = mlp.loss(module, settings, params, given, None)
    np.testing.assert_allclose(total, distance + 0.3 * contrast, rtol=1e-5)
    np.testing.assert_allclose(parts[kind], distance, rtol=1e-5)
    np.testing.assert_allclose(parts['contrastive'], contrast, rtol=1e-5)
    plain, parts = mlp.loss(module, settings | {'contrastive': 0.0}, params, given, None)
    np.testing.assert_allclose(plain, distance, rtol=1e-5)
    assert parts == {}


def test_noise_is_added_to_voxels_in_training_alone():
    """A net that lets a sum of voxels through: its outputs spread as the noise does."""
    options = CFG | {'dropout': 0.0, 'blocks': 0, 'noise': 0.5}
    settings = decoder.DEFAULTS | options | {'loss': 'mse'}
    module = decoder.build(options, (1,))
    given = {'voxels': np.zeros((4000, VOXELS), np.float32), 'target': np.zeros((4000, 1), 'f')}
    seen = []

    class Spy:
        def apply(self, variables, voxels, train, **options):
            seen.append(voxels)
            return module.apply(variables, voxels, train, **options)

    params = mlp.begin(module, VOXELS, jax.random.key(0))
    mlp.loss(Spy(), settings, params, given, jax.random.key(3))
    mlp.loss(Spy(), settings, params, given, None)
    assert abs(float(jnp.std(seen[0])) - 0.5) < 0.01
    assert not np.any(seen[1])


def test_a_step_is_lowered_for_accelerators(net):
    module, params = net
    settings = decoder.DEFAULTS | CFG

    def step(params, given, rng):
        return jax.value_and_grad(lambda p: mlp.loss(module, settings, p, given, rng)[0])(params)

    exported = jax.export.export(jax.jit(step), platforms=('tpu', 'cuda'))
    assert exported(params, batch(), jax.random.key(0)).platforms == ('tpu', 'cuda')


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        ({'loss': 'l2'}, "loss is 'l2' .*'l1' or 'mse'"),
        ({'batch': 0}, 'batch is 0'),
        ({'accumulate': 3}, 'accumulate is 3 .*divisor of batch=8'),
        ({'ema': 1.0}, 'ema is 1.0'),
        ({'patience': 2, 'validation': 0}, 'patience is 2 .*validation above 0'),
        ({'contrastive': -1.0}, 'contrastive is -1.0'),
        ({'temperature': 0.0}, 'temperature is 0.0'),
        ({'noise': -0.1}, 'noise is -0.1'),
        ({'shift': -1}, 'shift is -1'),
        ({'seed': -1}, 'seed is -1'),
        ({'epochs': 0, 'steps': 0}, 'epochs and steps are 0'),
        ({'epochs': 3}, 'steps=300 and epochs=3'),
    ],
)
def test_options_that_do_not_fit_are_refused(options, text, tmp_path):
    with pytest.raises(errors.ConfigError, match=text):
        mlp.fit(CFG | options, made(tmp_path), RNG)


def test_what_no_data_can_make_fit_is_refused_without_any():
    mlp.check(CFG, {})
    for wrong in ({'loss': 'l3'}, {'batch': 0}, {'ema': 1.0}, {'epochs': -1}, {'schedule': 'x'}):
        with pytest.raises(errors.ConfigError, match=f'{next(iter(wrong))} is'):
            mlp.check(CFG | {'steps': 0, 'epochs': 2} | wrong, {})


@pytest.mark.long
def test_with_average_accumulation_and_upsampler_it_still_beats_the_mean(tmp_path):
    cfg = CFG | {
        'head': 'upsampler', 'groups': 1, 'seed_channels': 4, 'levels': (4, 8), 'layers': 1,
        'norm_groups': 2, 'ema': 0.9, 'accumulate': 2, 'optimizer': 'adamw', 'weight_decay': 0.01,
        'clip': 1.0, 'contrastive': 0.1, 'noise': 0.05, 'dtype': 'bfloat16', 'steps': 400,
    }  # fmt: skip
    params = mlp.fit(cfg, made(tmp_path), RNG)
    assert params['validation_loss'] < 0.9 * params['mean_loss']
