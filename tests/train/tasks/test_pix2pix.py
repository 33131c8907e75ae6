import json

import jax
import numpy as np
import optax
import pytest
import torch

from recon.core import errors, results
from recon.generators import pix2pix
from recon.train import adversarial, checkpoint
from recon.train import job as jobs
from recon.train.tasks import pix2pix as task
from tests.train import toy
from tests.zoo import reference

RNG = np.random.default_rng(0)
FUNCTIONAL = torch.nn.functional
# One size throughout: a step compiles once for all tests that do not ask for another.
SMALL = dict(size=32, width=4, batch=2, steps=4, epochs=0, log_every=1, save_epochs=0, l1=10.0)


def settings(**changed):
    return pix2pix.DEFAULTS | SMALL | changed


def job(folder, n=6, side=32, channels=2, seed=0, **changed):
    """Conditions as bright as the picture is red and green."""
    colour = np.random.default_rng(seed).random((n, 1, 1, 3), np.float32)
    target = np.broadcast_to(colour, (n, side, side, 3)).copy()
    voxels = np.broadcast_to(colour[..., :channels], (n, side, side, channels)).copy()
    given = dict(voxels=voxels, target=target, groups=np.arange(n), folder=folder)
    return jobs.Job(**given | changed)


def normed(x, norm):
    return FUNCTIONAL.batch_norm(x, None, None, norm['scale'], norm['bias'], True, eps=1e-3)


def generator(params, x, levels):
    """The U-Net in torch from the list of its layers: [n c s s] -> [n 3 s s]."""
    skips = []
    for i in range(levels):
        kernel = params[f'down{i}']['kernel'].permute(3, 2, 0, 1)
        x = FUNCTIONAL.conv2d(x, kernel, stride=2, padding=1)
        x = normed(x, params[f'down{i}']['norm']) if i else x
        x = FUNCTIONAL.leaky_relu(x, 0.2)
        skips.append(x)
    for i in range(levels - 1, 0, -1):
        kernel = params[f'up{i}']['kernel'].permute(2, 3, 0, 1)
        x = FUNCTIONAL.conv_transpose2d(x, kernel, stride=2, padding=1)
        x = torch.cat([FUNCTIONAL.relu(normed(x, params[f'up{i}']['norm'])), skips[i - 1]], 1)
    kernel = params['up0']['kernel'].permute(2, 3, 0, 1)
    x = FUNCTIONAL.conv_transpose2d(x, kernel, params['up0']['bias'], stride=2, padding=1)
    return torch.tanh(x)


def discriminator(params, x, halvings):
    """The patch net in torch: [n c s s] -> [n 1 p p]."""
    for i in range(halvings + 1):
        kernel = params[f'conv{i}']['kernel'].permute(3, 2, 0, 1)
        x = FUNCTIONAL.conv2d(x, kernel, stride=2 if i < halvings else 1, padding=1)
        x = normed(x, params[f'conv{i}']['norm']) if i else x
        x = FUNCTIONAL.leaky_relu(x, 0.2)
    kernel = params['out']['kernel'].permute(3, 2, 0, 1)
    return FUNCTIONAL.conv2d(x, kernel, params['out']['bias'], padding=1)


def drawn(net, channels, size):
    shapes = jax.eval_shape(
        net.init, jax.random.key(0), jax.ShapeDtypeStruct((1, size, size, channels), np.float32)
    )['params']
    fill = lambda s: (0.3 * RNG.standard_normal(s.shape)).astype(np.float32)  # noqa: E731
    return jax.tree.map(fill, shapes)


def tensors(params):
    return jax.tree.map(lambda leaf: torch.from_numpy(leaf.copy()).requires_grad_(), params)


def descend(params, loss, rate):
    """Plain gradient descent in torch."""
    leaves, tree = jax.tree.flatten(params)
    grads = torch.autograd.grad(loss, leaves)
    new = [leaf.detach() - rate * grad for leaf, grad in zip(leaves, grads, strict=True)]
    return jax.tree.unflatten(tree, new)


def compare(ours, theirs, before, rate):
    """Changes of parameters equal: they are the gradients, to float32's rounding of the sums."""
    changes = [
        ((np.asarray(a) - c) / rate, (b.numpy() - c) / rate)
        for a, b, c in zip(*map(jax.tree.leaves, (ours, theirs, before)), strict=True)
    ]
    scale = max(np.abs(wanted).max() for _, wanted in changes)
    assert max(np.abs(a - b).max() for a, b in changes) < 1e-5 * scale


@pytest.mark.parametrize('size', [32, pytest.param(64, marks=pytest.mark.long)])
def test_a_step_is_torchs_with_its_losses_and_gradients(size):
    options = settings(size=size, dropout=0.0)
    nets = pix2pix.build(options, (size, size, 3))
    halvings, levels, rate = nets[1].halvings, nets[0].levels, 0.5
    params = dict(generator=drawn(nets[0], 2, size), discriminator=drawn(nets[1], 5, size))
    batch = {
        'pictures': RNG.random((2, size, size, 2), np.float32),
        'target': RNG.random((2, size, size, 3), np.float32),
    }
    parts = task.objectives(options, ('adversarial', 'l1', 'l2'), nets)
    optimizers = dict.fromkeys(adversarial.PARTS, optax.sgd(rate))
    step = adversarial.step(parts['make'], parts['discriminator'], parts['generator'], optimizers)
    inits = {part: lambda rng, part=part: params[part] for part in adversarial.PARTS}
    state = adversarial.create(inits, optimizers, jax.random.key(0))
    state, scalars = step(state, batch, jax.random.key(1))

    x, y = (2 * reference.nchw(batch[key]) - 1 for key in ('pictures', 'target'))
    of_g, of_d = tensors(params['generator']), tensors(params['discriminator'])
    made = generator(of_g, x, levels)
    bce = FUNCTIONAL.binary_cross_entropy_with_logits
    real, fake = (discriminator(of_d, torch.cat([x, z], 1), halvings) for z in (y, made.detach()))
    assert real.shape[2:] == (30, 30)
    loss_d = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    new_d = descend(of_d, loss_d, rate)
    judged = discriminator(new_d, torch.cat([x, made], 1), halvings)
    l1, l2 = (made - y).abs().mean(), ((made - y) ** 2).mean()
    of_d_now = bce(judged, torch.ones_like(judged))
    loss_g = of_d_now + options['l1'] * l1 + options['l2'] * l2
    new_g = descend(of_g, loss_g, rate)
    right = (real.sigmoid().mean((1, 2, 3)) > 0.5).float().mean()
    right = (right + (fake.sigmoid().mean((1, 2, 3)) <= 0.5).float().mean()) / 2
    wanted = dict(
        loss=loss_g, discriminator_loss=loss_d, l1=l1, l2=l2, adversarial=of_d_now, accuracy=right
    )
    for name, value in wanted.items():
        np.testing.assert_allclose(scalars[name], value.item(), rtol=1e-5, err_msg=name)
    compare(state.params['discriminator'], new_d, params['discriminator'], rate)
    compare(state.params['generator'], new_g, params['generator'], rate)


def test_it_trains_logs_its_accuracy_and_generates(tmp_path):
    given = job(tmp_path / 'whole')
    params = task.fit(SMALL, given, jax.random.key(0))
    lines = [json.loads(x) for x in (tmp_path / 'whole' / 'metrics.jsonl').read_text().splitlines()]
    accuracy = [line['value'] for line in lines if line['name'] == 'accuracy']
    assert len(accuracy) == SMALL['steps']
    assert all(0 <= x <= 1 for x in accuracy)
    assert params['accuracy'][:, 0].tolist() == list(range(1, SMALL['steps'] + 1))
    np.testing.assert_allclose(params['accuracy'][:, 1:].mean(1), accuracy, rtol=1e-6)

    checkpoint.save(tmp_path / 'kept', params)
    params = checkpoint.load(tmp_path / 'kept')
    out = pix2pix.generate(SMALL, params, {'voxels': given.voxels[:3]}, jax.random.key(1))
    assert out['images'].shape == (3, 32, 32, 3)
    assert out['images'].min() >= 0
    assert out['images'].max() <= 1
    with pytest.raises(errors.DataInvalid, match='trained on 2 and 0'):
        pix2pix.generate(SMALL, params, {'voxels': given.voxels[..., :1]}, jax.random.key(1))


@pytest.mark.long
def test_it_goes_on_where_it_stopped(tmp_path):
    params = task.fit(SMALL, job(tmp_path / 'whole'), jax.random.key(0))
    asked = []
    halfway = job(tmp_path / 'parts', stop=lambda: asked.append(1) or len(asked) > 2)
    with pytest.raises(results.Stopped):
        task.fit(SMALL, halfway, jax.random.key(0))
    toy.same(task.fit(SMALL, job(tmp_path / 'parts'), jax.random.key(0)), params)


def test_batches_are_a_function_of_the_step_and_pairs_are_jittered_alike():
    given = job(None, n=5)
    ramp = np.linspace(0, 1, 32, dtype=np.float32)
    target = np.broadcast_to(ramp[None, None, :, None], (5, 32, 32, 3)).copy()
    given = jobs.Job(target[..., :2] * 0.5, target, np.arange(5), folder=None, seed=3)
    condition = pix2pix.as_condition(settings(), given.voxels)
    batches = [task.batch_at(settings(batch=5), given, condition, i) for i in (0, 1, 0)]
    for batch in batches:
        np.testing.assert_array_equal(batch['pictures'], batch['target'][..., :2] * 0.5)
    np.testing.assert_array_equal(batches[0]['target'], batches[2]['target'])
    assert (batches[0]['target'] != batches[1]['target']).any()
    rising = (np.diff(batches[0]['target'][:, 0, :, 0]) >= 0).all(1)
    assert 0 < rising.sum() < 5  # some are mirrored
    plain = task.batch_at(settings(batch=5, jitter=1.0, mirror=False), given, condition, 0)
    assert (np.diff(plain['target'][:, 0, :, 0]) > 0).all()


def test_a_condition_may_be_labels_both_or_nothing(tmp_path):
    given = job(tmp_path, n=4)
    labels = np.eye(4, dtype=np.float32)[:, :3]
    for kind, noise, shape in (('labels', 0, (0, 3)), ('both', 1, (2, 3)), ('none', 2, (0, 0))):
        options = settings(condition=kind, noise=noise, batch=4)
        condition = pix2pix.condition(options, {'voxels': given.voxels, 'labels': labels})
        assert condition.shape == (4, *shape)
        batch = task.batch_at(options, given, condition, 0)
        made = jax.eval_shape(lambda b, o=options: task._input(o, b), batch)
        assert made.shape == (4, 32, 32, sum(shape) + noise)
        if kind == 'both':  # tracing takes its time
            state, scalars = shapes_of_a_step(options, batch)
            assert scalars['accuracy'].shape == ()
            seen = state.params['discriminator']['conv0']['kernel'].shape[2]
            assert seen == 5 + 3  # of the noise it is not told


def shapes_of_a_step(options, batch, terms=('adversarial', 'l1')):
    nets, held = pix2pix.build(options, (32, 32, 3)), []

    def made(batch):
        update, state = task._trained(options, terms, nets, batch, 1, jax.random.key(0))
        held.append(update)
        return state

    state = jax.eval_shape(made, batch)
    return jax.eval_shape(held[0], state, batch, jax.random.key(0))


def test_without_an_adversary_there_is_no_discriminator(tmp_path):
    given = job(tmp_path)
    batch = task.batch_at(settings(), given, pix2pix.as_condition(settings(), given.voxels), 0)
    state, scalars = shapes_of_a_step(settings(), batch, ('l1', 'l2'))
    assert 'down0' in state.params
    assert 'accuracy' not in scalars
    assert {'l1', 'l2', 'loss'} <= set(scalars)


def test_options_that_do_not_fit_are_refused(tmp_path):
    changes = [
        {'losses': 'l1+l3'}, {'losses': ''}, {'size': 48}, {'jitter': 0.5}, {'patience': 1},
        {'batch': 0}, {'condition': 'none'}, {'statistics': 'training', 'batch': 1}, {'ema': 1.0},
        {'adversarial': 'wasserstein'}, {'dtype': 'float16'}, {'steps': 0},
    ]  # fmt: skip
    for change in changes:
        with pytest.raises(errors.ConfigError):
            task.fit(SMALL | change, job(tmp_path), jax.random.key(0))
        if 'patience' not in change:  # rows to validate on may be the data set's own
            with pytest.raises(errors.ConfigError):
                task.check(SMALL | change, {})
    task.check(SMALL, {})
    for change in ({'size': 0}, {'steps': -1}, {'condition': 'voxel'}, {'log_every': 0}):
        with pytest.raises(errors.ConfigError, match=f'{next(iter(change))} is'):
            task.check(SMALL | change, {})
    for wrong in ({'target': np.full((6, 32, 32, 3), 2.0)}, {'voxels': np.zeros((6, 9))}):
        with pytest.raises(errors.DataInvalid):
            task.fit(SMALL, job(tmp_path, **wrong), jax.random.key(0))
    with pytest.raises(errors.DataInvalid, match='needs pictures and labels'):
        task.fit(SMALL | {'condition': 'both'}, job(tmp_path), jax.random.key(0))
