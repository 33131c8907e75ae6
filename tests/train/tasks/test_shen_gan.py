"""System 2's training: losses and one step as torch has them, who trains when, whole fits."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from jax import export
from torch.nn import functional

from recon.core import errors, image, results
from recon.data.simulator import scenes
from recon.decoders import shen_gan as net_of
from recon.train import adversarial, checkpoint
from recon.train import job as jobs
from recon.train.tasks import _shen_losses as terms
from recon.train.tasks import shen_gan
from tests.decoders import torch_shen
from tests.decoders.test_shen_gan import drawn, normal
from tests.zoo import reference

SIDE = 64
KEY = jax.eval_shape(lambda: jax.random.key(0))
SMALL = {'hidden': 20, 'width': 2, 'discriminator_width': 4, 'dropout': 0.0, 'layer': 'features.2'}
QUICK = SMALL | {'steps': 3, 'batch': 4, 'save_every': 2, 'log_every': 1}


def options(**changed):
    return net_of.DEFAULTS | SMALL | changed


def pictures(seed, n, side=SIDE, channels=3):
    """Smooth pictures in [0, 1]."""
    coarse = np.random.default_rng(seed).random((n, 4, 4, channels), np.float32)
    grow = np.repeat(np.eye(4, dtype=np.float32), side // 4, 0)
    return np.einsum('ya,nabc,xb->nyxc', grow, coarse, grow)


@pytest.fixture(scope='module')
def compare():
    return terms.comparator('tiny/alexnet', 'features.2', True, {})


def torchs_comparator(compare):
    """The first convolution, ReLU and pooling of the tiny AlexNet."""
    layer = compare.net.params['features.0']
    kernel = torch.tensor(np.asarray(layer['kernel'])).permute(3, 2, 0, 1)
    bias = torch.tensor(np.asarray(layer['bias']))
    mean = torch.tensor((0.485, 0.456, 0.406)).reshape(3, 1, 1)
    std = torch.tensor((0.229, 0.224, 0.225)).reshape(3, 1, 1)

    def see(x):
        x = functional.conv2d((x - mean) / std, kernel, bias, stride=2, padding=2)
        return functional.max_pool2d(functional.relu(x), 3, 2)

    return see


def test_the_three_losses_are_torchs(compare):
    fake, real = pictures(0, 3), pictures(1, 3)
    logits = normal(2, 3, 2)
    see = torchs_comparator(compare)
    a, b = reference.nchw(fake), reference.nchw(real)
    squared = lambda x, y: ((x - y) ** 2).sum() / (2 * len(x))  # noqa: E731
    wanted = {
        'image': squared(255 * a, 255 * b),
        'feature': squared(see(a), see(b)),
        'adversarial': functional.cross_entropy(
            torch.from_numpy(logits), torch.zeros(3, dtype=torch.long)
        ),
    }
    given = options(weights=(2e-6, 0.01, 100.0), pixel_range=255.0, sums='own')
    run = jax.jit(lambda *args: terms.of_generator(*args[:2], given, compare, args[2]))
    total, named = run(fake, real, logits)
    for name, value in wanted.items():
        assert float(named[name]) == pytest.approx(float(value), rel=1e-4), name
    assert float(total) == pytest.approx(
        2e-6 * float(named['image'])
        + 0.01 * float(named['feature'])
        + 100 * float(named['adversarial']),
        rel=1e-5,
    )


def test_the_discriminators_loss_is_torchs():
    real, fake = normal(0, 5, 2), normal(1, 5, 2)
    entropy = functional.cross_entropy
    of_real = entropy(torch.from_numpy(real), torch.zeros(5, dtype=torch.long))
    of_fake = entropy(torch.from_numpy(fake), torch.ones(5, dtype=torch.long))
    total, named = terms.of_discriminator(real, fake)
    assert float(named['discriminator_real']) == pytest.approx(float(of_real), rel=1e-5)
    assert float(named['discriminator_fake']) == pytest.approx(float(of_fake), rel=1e-5)
    assert float(total) == pytest.approx(float(of_real + of_fake), rel=1e-5)
    right = [*(real[:, 0] > real[:, 1]), *(fake[:, 0] < fake[:, 1])]
    assert float(named['discriminator_right']) == pytest.approx(np.mean(right))


def test_losses_as_published_do_not_grow_with_the_picture():
    given = options(weights=(1.0, 0.0, 0.0))
    for side in (8, 16):
        a, b = (pictures(seed, 2, side) for seed in (0, 1))
        total, _ = terms.of_generator(a, b, given)
        assert float(total) == pytest.approx(227 * 227 * 3 / 2 * np.square(a - b).mean(), rel=1e-5)


def test_one_adversarial_step_is_torchs(compare):
    """The discriminator on the old generator, then the generator against the new discriminator."""
    given = options(weights=(0.02, 0.01, 300.0), frozen_biases=False)
    net, judge = net_of.build(given, (SIDE, SIDE, 3)), net_of.Discriminator(4, 0.0)
    begin = {
        'generator': drawn(net, (1, 9)),
        'discriminator': drawn(judge, (1, SIDE, SIDE, 3), seed=1),
    }
    mean = np.array([0.4, 0.5, 0.6], np.float32)
    batch = {'voxels': normal(3, 3, 9), 'pictures': pictures(4, 3)}
    rates = {'generator': 1e-4, 'discriminator': 0.1}
    optimizers = {part: optax.sgd(rate) for part, rate in rates.items()}
    inits = {part: lambda _, part=part: begin[part] for part in begin}
    state = adversarial.create(inits, optimizers, jax.random.key(0))
    update = adversarial.step(*shen_gan.objectives(given, net, mean, compare), optimizers)
    state, scalars = update(state, batch, jax.random.key(1))

    theirs = torch_shen.Generator(9, (SIDE, SIDE, 3), 20, ((16, 32), (16, 16), (8, 8)), start=16)
    theirs = torch_shen.load(theirs, begin['generator'])
    critic = torch_shen.load(torch_shen.Discriminator(3, 4, 4), begin['discriminator'])
    see, real = torchs_comparator(compare), reference.nchw(batch['pictures'])
    ones, zeros = torch.ones(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)
    fake = theirs(torch.from_numpy(batch['voxels'])) + torch.from_numpy(mean).reshape(3, 1, 1)
    entropy = functional.cross_entropy
    of_critic = entropy(critic(real), zeros) + entropy(critic(fake.detach()), ones)
    of_critic.backward()
    torch.optim.SGD(critic.parameters(), rates['discriminator']).step()
    image = 227 * 227 * 3 / 2 * ((fake - real) ** 2).mean()
    feature = 6 * 6 * 256 / 2 * ((see(fake) - see(real)) ** 2).mean()
    total = 0.02 * image + 0.01 * feature + 300 * entropy(critic(fake), zeros)
    total.backward()
    torch.optim.SGD(theirs.parameters(), rates['generator']).step()

    assert float(scalars['loss']) == pytest.approx(total.item(), rel=1e-5)
    assert float(scalars['discriminator_loss']) == pytest.approx(of_critic.item(), rel=1e-5)
    for part, module in (('generator', theirs), ('discriminator', critic)):
        for name, layer in torch_shen.params_of(module, begin[part]).items():
            for leaf, value in layer.items():
                old = begin[part][name][leaf]
                ours = np.asarray(state.params[part][name][leaf])
                np.testing.assert_allclose(ours, value, rtol=1e-5, atol=1e-6)
                step = reference.relative(ours - old, value - old)
                assert step < 1e-3, (part, name, leaf)  # of differences of float32 numbers


@pytest.mark.parametrize(
    ('ratio', 'before', 'after'),
    [
        (1.0, (True, True), (True, True)),
        (0.05, (True, True), (True, False)),  # the discriminator is ahead: it pauses
        (0.3, (True, False), (True, False)),  # until the ratio is above a half
        (0.6, (True, False), (True, True)),
        (0.3, (True, True), (True, True)),
        (11.0, (True, True), (False, True)),  # the generator is ahead: it pauses
        (5.0, (False, True), (False, True)),  # until the discriminator is
        (0.05, (False, True), (True, False)),
        (11.0, (True, False), (False, True)),
    ],
)
def test_the_rule_of_who_trains(ratio, before, after):
    scalars = {'discriminator_real': ratio, 'discriminator_fake': ratio, 'adversarial': 2.0}
    moves = dict(zip(adversarial.PARTS, map(jnp.asarray, before), strict=True))
    found = terms.switch({k: jnp.float32(v) for k, v in scalars.items()}, moves)
    assert tuple(bool(found[part]) for part in adversarial.PARTS) == after


def job(folder, n=10, side=SIDE, channels=3, validation=None, **given):
    target = pictures(5, n, side, channels)
    random = np.random.default_rng(6)
    mixing = random.standard_normal((16 * channels, 24)).astype(np.float32) / 4
    voxels = target[:, :: side // 4, :: side // 4].reshape(n, -1) @ mixing
    aside = validation and (voxels[-validation:], target[-validation:])
    rest = slice(None, n - (validation or 0))
    groups = np.arange(n)[rest]
    return jobs.Job(voxels[rest], target[rest], groups, folder, validation=aside, seed=3, **given)


def logged(folder):
    """{name: values in order} of the steps."""
    told = {}
    for line in (folder / 'metrics.jsonl').read_text().splitlines():
        row = json.loads(line)
        told.setdefault(row['name'], []).append(row['value'])
    return told


def test_a_training_begins_with_hes_weights_and_the_mean_colour():
    net = net_of.build({'hidden': 200, 'width': 8}, (SIDE, SIDE, 3))
    voxels = normal(0, 20, 50)

    @jax.jit
    def first(rng):
        params = shen_gan.begin(net, jnp.zeros((1, 50)), rng)
        return params, net.apply({'params': params}, voxels)

    params, made = first(jax.random.key(0))
    shapes = jax.eval_shape(net.init, jax.random.key(0), voxels)['params']
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), params, shapes)
    for name, seen in (('fc6', 200), ('deconv4', 4 * 128), ('conv5_1', 9 * 64)):
        wanted = 0.9 * np.sqrt(2 / seen)
        assert np.std(params[name]['kernel']) == pytest.approx(wanted, rel=0.03), name
        assert np.abs(params[name]['bias']).max() == 0
    assert np.std(made) < 0.2


def test_a_fit_gives_what_predict_takes_and_survives_the_disk(tmp_path):
    asked = QUICK | {'weights': (1.0, 0.0, 100.0)}
    given = job(tmp_path / 'fit', side=24, channels=1, validation=2)
    params = shen_gan.fit(asked, given, jax.random.key(0))
    checkpoint.save(tmp_path / 'kept' / 'params', params, 'x')
    again = checkpoint.load(tmp_path / 'kept' / 'params', 'x')
    made = net_of.predict(asked, again, given.voxels)
    assert made.shape == given.target.shape
    np.testing.assert_array_equal(made, net_of.predict(asked, params, given.voxels))
    assert {type(leaf) for leaf in jax.tree.leaves(params)} == {np.ndarray}
    np.testing.assert_allclose(params['mean'], given.target.mean((0, 1, 2)), rtol=1e-4)
    told = logged(tmp_path / 'fit')
    wanted = {'image', 'adversarial', 'discriminator_loss', 'discriminator_right'}
    wanted |= {'train_generator', 'train_discriminator', 'validate/loss', 'validate/correlation'}
    assert wanted <= told.keys()
    found = float(params['validation_correlation'])
    assert told['validate/correlation'][-1] == pytest.approx(found)


@pytest.mark.long
def test_a_fit_that_was_stopped_goes_on_to_the_same_parameters(tmp_path):
    given = QUICK | {'weights': (1.0, 0.0, 100.0), 'steps': 4, 'learning_rate': 1e-2}
    small = {'side': 24, 'channels': 1}
    whole = shen_gan.fit(given, job(tmp_path / 'whole', **small), jax.random.key(0))
    asked = iter([False, False, False, True])
    with pytest.raises(results.Stopped):
        stopped = job(tmp_path / 'parts', stop=lambda: next(asked), **small)
        shen_gan.fit(given, stopped, jax.random.key(0))
    parts = shen_gan.fit(given, job(tmp_path / 'parts', **small), jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, whole, parts)


def test_without_adversary_and_comparator_pictures_may_be_tiny_and_gray(tmp_path):
    given = QUICK | {'weights': (1.0, 0.0, 0.0), 'steps': 40, 'learning_rate': 3e-3}
    params = shen_gan.fit(given, job(tmp_path, side=8, channels=1, validation=2), jax.random.key(0))
    values = logged(tmp_path)['image']
    assert values[-1] < 0.7 * values[0]
    assert 'validation_feature' not in params
    assert net_of.predict(given, params, np.zeros((2, 24), np.float32)).shape == (2, 8, 8, 1)


def test_batches_are_a_function_of_the_step_also_where_numbers_are_drawn(tmp_path):
    given = job(tmp_path)
    chosen = options(batch=5, noise_input=True, shift=0.1)
    one, again, next_one = (shen_gan.batch_at(chosen, given, i) for i in (4, 4, 5))
    plain = shen_gan.batch_at(options(batch=5), given, 4)
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert not np.array_equal(one['voxels'], next_one['voxels'])
    assert one['voxels'].shape == plain['voxels'].shape
    assert not np.array_equal(one['voxels'], plain['voxels'])
    assert one['voxels'].dtype == np.float32


def test_pictures_are_moved_and_their_border_is_repeated(tmp_path):
    n, side = 200, 10
    given = np.zeros((n, side, side, 1), np.float32)
    given[:, 4, 5], given[:, :, 0] = 1, 0.5
    moved = shen_gan._moved(given, 0.2, np.random.default_rng(0))
    place = np.argwhere(moved[..., 0] == 1)
    assert len(place) == n
    assert set(place[:, 1]) == set(range(2, 7))
    assert set(place[:, 2]) == set(range(3, 8))
    left = moved[place[:, 2] == 7]  # moved to the right by two
    np.testing.assert_array_equal(left[:, :, :3], np.full((len(left), side, 3, 1), 0.5))


def test_the_comparator_takes_gray_pictures_and_its_last_pooling(compare):
    last = terms.comparator('tiny/alexnet', '', True, {})
    assert last.layer == 'features.12'
    gray, see = pictures(0, 2, channels=1), jax.jit(compare.__call__)
    np.testing.assert_array_equal(see(gray), see(np.repeat(gray, 3, -1)))


def test_the_comparator_sees_the_border_where_it_is_to_see_all(compare):
    """64 pixels resized to 80, of which 64 are cut, leave the border out."""
    net = compare.net
    net = dataclasses.replace(net, config=dataclasses.replace(net.config, resize=80))
    changed = np.zeros((1, SIDE, SIDE, 3), np.float32)
    changed[:, :3] = 1
    for whole in (True, False):
        see = jax.jit(terms.Comparator(net, 'features.2', whole).__call__)
        differ = np.abs(np.asarray(see(changed) - see(np.zeros_like(changed)))).max()
        assert (differ > 0.01) == whole


def test_a_published_step_lowers_for_accelerators_too():
    """At the true sizes, without any numbers: nothing of it is made for a CPU alone."""
    given = net_of.DEFAULTS | {'weights': (100.0, 0.0, 10000.0)}
    net = net_of.build(given, (227, 227, 3))
    mean = np.full(3, 0.5, np.float32)
    shape = jax.ShapeDtypeStruct
    batch = {
        'voxels': shape((16, 9000), jnp.float32),
        'pictures': shape((16, 227, 227, 3), jnp.float32),
    }
    generate, judge, _ = shen_gan.objectives(given, net, mean, None)
    critic = net_of.Discriminator()
    params = [
        jax.eval_shape(
            functools.partial(shen_gan.begin, module, shape((1, *of.shape[1:]), jnp.float32)), KEY
        )
        for module, of in ((net, batch['voxels']), (critic, batch['pictures']))
    ]

    def loss(of_net, of_critic, batch):
        return judge(of_critic, generate(of_net, batch, None), batch, jax.random.key(0))[0]

    run = jax.jit(jax.grad(loss, (0, 1)))
    export.export(run, platforms=['tpu', 'cuda'])(*params, batch)


@pytest.mark.parametrize(
    ('changed', 'message'),
    [
        ({'weights': (1.0, 2.0)}, 'image, feature, adversarial'),
        ({'weights': (0.0, 0.0, 0.0)}, 'not all 0'),
        ({'sums': 'mine'}, "'published' or 'own'"),
        ({'shift': 0.7}, '0 to 0.5'),
        ({'layer': 'conv9'}, 'features.12'),
        ({'comparator': 'tiny/scheduler'}, 'no config.json'),
        ({'comparator': 'tiny/unet'}, 'has no layers'),
        ({'patience': 1}, 'validation above 0'),
        ({'steps': 3, 'epochs': 2}, 'give one of them'),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, changed, message):
    with pytest.raises(errors.UserError, match=message):
        shen_gan.fit(QUICK | changed, job(tmp_path), jax.random.key(0))


def test_pictures_outside_the_range_are_refused(tmp_path):
    given = job(tmp_path)
    given.target[0] *= 255
    with pytest.raises(errors.DataInvalid, match=r'\[0, 1\]'):
        shen_gan.fit(QUICK, given, jax.random.key(0))


@pytest.mark.long
def test_training_on_simulated_rows_beats_the_mean_picture(tmp_path):
    """200 scenes of 32 pixels, 300 voxels that see them through noise; 40 more are held out."""
    target = image.to_float(scenes.draw(np.arange(240), 32).images)
    random = np.random.default_rng(8)
    seen = (target - target.mean(0)).reshape(len(target), -1)
    voxels = seen @ random.standard_normal((seen.shape[1], 300)).astype(np.float32)
    voxels = voxels / voxels.std() + 0.5 * random.standard_normal(voxels.shape).astype(np.float32)
    given = jobs.Job(
        voxels[:200],
        target[:200],
        np.arange(200),
        tmp_path,
        validation=(voxels[200:], target[200:]),
    )
    chosen = {'hidden': 256, 'width': 8, 'discriminator_width': 8, 'steps': 400, 'batch': 32,
              'learning_rate': 1e-3, 'save_every': 200, 'log_every': 20}  # fmt: skip
    params = shen_gan.fit(chosen, given, jax.random.key(0))
    told = logged(tmp_path)
    for name in ('image', 'feature', 'adversarial'):
        assert np.isfinite(told[name]).all()
    for name in ('image', 'feature'):
        assert told[name][-1] < 0.7 * told[name][0]
    assert params['validation_correlation'] > params['validation_correlation_of_mean'] + 0.05
    made = net_of.predict(chosen, params, voxels[200:])
    pairs = zip(made, target[200:], strict=True)
    correlation = np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])
    assert correlation == pytest.approx(float(params['validation_correlation']), abs=1e-3)
