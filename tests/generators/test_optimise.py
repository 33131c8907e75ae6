import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import scenes
from recon.generators import (
    _optimise_descent,
    _optimise_loss,
    _text,
    diffusion,
    optimise,
)
from recon.zoo import clip, features, sd_unet, sd_vae, weights

VISION = clip.VisionConfig(16, 32, 8, 2, 2, image_size=16, patch_size=8)
UNET = sd_unet.Config(
    sample_size=8,
    block_out_channels=(8, 16),
    down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'),
    up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'),
    layers_per_block=1,
    cross_attention_dim=128,
    attention_head_dim=2,
    norm_num_groups=4,
)
VAE = sd_vae.Config(
    block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=2, sample_size=16
)
SCHEDULE = diffusion.read(
    {
        **{'_class_name': 'DDIMScheduler', 'beta_start': 0.00085, 'beta_end': 0.02},
        **{'beta_schedule': 'scaled_linear', 'num_train_timesteps': 1000, 'clip_sample': False},
        **{'prediction_type': 'v_prediction', 'set_alpha_to_one': False, 'steps_offset': 1},
    }
)
MATCH = (('middle', 'hidden.1', 1.5), ('last', 'hidden.2', 1.0), ('seen', 'image_embeds', 0.1))
CFG = {'match': MATCH, 'steps': 6, 'strength': 0.5, 'iterations': 6, 'rate': 0.05, 'batch': 2}


def made(file, cls, config, seed):
    """A net of random weights, biases and scales of norms among them; nothing is compiled."""
    module, random = cls(config), np.random.default_rng(seed)

    def fill(path, like):
        x = random.standard_normal(like.shape).astype(np.float32)
        if path[-1].key == 'kernel':
            return jnp.asarray(x / np.sqrt(np.prod(like.shape[:-1])))
        return jnp.asarray(0.1 * x + (path[-1].key == 'scale'))

    shapes = jax.eval_shape(module.init, jax.random.key(0), *file.example(config))['params']
    name = file.__name__.rpartition('.')[2]
    params = jax.tree_util.tree_map_with_path(fill, shapes)
    return weights.Loaded(name, module, params, config, pathlib.Path(name), '')


@pytest.fixture(scope='module')
def nets():
    return {
        'vision': made(clip, clip.ClipVision, VISION, 0),
        'vae': made(sd_vae, sd_vae.AutoencoderKL, VAE, 1),
        'unet': made(sd_unet, sd_unet.UNet, UNET, 2),
        'text': _text.load('tiny/text_encoder', {}),
        'scheduler': SCHEDULE,
    }


@pytest.fixture(scope='module')
def decoded(nets):
    """Rows whose layers are those of random pictures."""
    random, n = np.random.default_rng(0), 3
    z = random.standard_normal((n, 8, 8, 4)).astype(np.float32)
    c = random.standard_normal((n, 5, 128)).astype(np.float32)
    images = random.random((n, 16, 16, 3)).astype(np.float32)
    seen = layers(nets['vision'], images)
    named = {target: seen[layer] for target, layer, _ in MATCH}
    return {'voxels': np.zeros((n, 2)), 'z': z, 'c': c} | named


def layers(net, images):
    @jax.jit
    def see(params, images):
        return net.module.apply(
            {'params': params}, clip.prepare(net.config, images), method='layers'
        )

    return {k: np.asarray(v) for k, v in see(net.params, images).items()}


def problem(nets, decoded, **changes):
    """(picture, comparison, parameters, rows, shared) of three rows, as generate makes them."""
    options = optimise._options(CFG | changes)
    picture = optimise._picture(options, nets)
    begun, shared = picture.start(options, nets, decoded, jax.random.key(0))
    names = [layer for _, layer, _ in MATCH]
    compare = _optimise_loss.comparison(nets['vision'], names, options['cosine'], options['tv'])
    params = {name: nets[name].params for name in ('vision', 'vae', 'unet')}
    shape = picture.shape(begun)
    values = _optimise_loss.wanted(compare, params['vision'], MATCH, decoded, shape)
    chosen = _optimise_loss.units(values, options['units'])
    values = [v if u is None else v[:, u] for v, u in zip(values, chosen, strict=True)]
    counts = _optimise_loss.weights(values, MATCH, compare.cosine, options['weigh'])
    rows = {'fixed': begun, 'free': {}, 'values': values, 'weights': counts}
    return picture, compare, params, rows, shared | {'units': chosen}


def loss_of(picture, compare, params, rows, shared):
    """{name: variable} -> the summed loss."""

    def loss(free):
        images = picture(params, rows['fixed'] | free, shared)
        given = (rows['values'], rows['weights'], shared['units'])
        return compare(params['vision'], images, *given).sum()

    return loss


def test_the_gradient_through_the_sampler_equals_finite_differences(nets, decoded, monkeypatch):
    # Norms and softmax ask for float32: with this, all of it is in float64.
    monkeypatch.setattr(jnp, 'float32', jnp.float64)
    with jax.enable_x64(True):
        double = {}
        for name, net in nets.items():
            if hasattr(net, 'module'):
                params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), net.params)
                module = net.module.clone(dtype=jnp.float64)
                net = dataclasses.replace(net, module=module, params=params)
            double[name] = net
        one = {k: v[:1] for k, v in decoded.items()}
        picture, compare, params, rows, shared = problem(double, one)
        rows = jax.tree.map(lambda x: np.asarray(x, np.float64), rows)
        both = jax.jit(jax.value_and_grad(loss_of(picture, compare, params, rows, shared)))
        at = {name: rows['fixed'][name] for name in ('z', 'c')}
        slopes = both(at)[1]
        random = np.random.default_rng(1)
        for name in at:
            way = random.standard_normal(at[name].shape)
            step = {k: 1e-5 * way if k == name else np.zeros_like(v) for k, v in at.items()}
            more = both(jax.tree.map(np.add, at, step))[0]
            less = both(jax.tree.map(np.subtract, at, step))[0]
            wanted = float((slopes[name] * way).sum())
            assert slopes[name].dtype == np.float64 and abs(wanted) > 1e-4, name
            assert abs(float(more - less) / 2e-5 - wanted) < 1e-6 * abs(wanted), name


@pytest.mark.long
def test_gradients_reach_through_the_last_steps_alone_and_then_straight_to_z(nets, decoded):
    picture, compare, params, rows, shared = problem(nets, decoded, last=1)
    plan, at = shared['plan'], {name: rows['fixed'][name] for name in ('z', 'c')}
    assert len(plan) == 3
    cut = jax.jit(jax.grad(loss_of(picture, compare, params, rows, shared)))(at)
    # DDIM keeps nothing from step to step: the same in two runs, nothing behind the second.
    before, after = (
        dataclasses.replace(plan, **{k: getattr(plan, k)[rows_] for k in STEPPED})
        for rows_ in (slice(0, 2), slice(2, 3))
    )
    empty = shared['empty']

    def denoise(c):
        unet = lambda *x: nets['unet'].module.apply({'params': params['unet']}, *x)  # noqa: E731
        return diffusion.guided(unet, c, empty, picture.guidance)

    def end(x, c):
        clean = diffusion.sample(denoise(c), after, x)
        images = sd_vae.pictures(nets['vae'].module, params['vae'], clean)
        given = (rows['values'], rows['weights'], shared['units'])
        return compare(params['vision'], images, *given).sum()

    x = diffusion.begin(plan, rows['fixed']['noise'], at['z'])
    x = jax.jit(lambda x, c: diffusion.sample(denoise(c), before, x))(x, at['c'])
    wanted = jax.jit(jax.grad(end, (0, 1)))(x, at['c'])
    np.testing.assert_allclose(cut['z'], wanted[0], atol=1e-4 * np.abs(wanted[0]).max())
    np.testing.assert_allclose(cut['c'], wanted[1], atol=1e-4 * np.abs(wanted[1]).max())
    whole = problem(nets, decoded)
    whole = jax.jit(jax.grad(loss_of(*whole)))(at)
    for name in at:
        apart = np.abs(whole[name] - cut[name]).max() / np.abs(whole[name]).max()
        assert apart > 0.05, (name, apart)


STEPPED = ('timesteps', 'scale', 'memory', 'update', 'past', 'noise', 'push', 'anchor')


def test_the_loss_is_the_weighted_distance_of_layers():
    random = np.random.default_rng(0)
    values = [random.standard_normal((4, d)).astype(np.float32) for d in (6, 10, 8)]
    match = (('a', 'low', 2.0), ('b', 'high', 1.0), ('c', 'vector', 0.5))
    cosine = (False, False, True)
    norm = [np.linalg.norm(v, axis=1) for v in values]
    counts = _optimise_loss.weights(values, match, cosine, 'norm')
    inverse = 1 / norm[0] + 1 / norm[1]
    wanted = [2 / norm[0] / inverse, 1 / norm[1] / inverse, np.full(4, 0.5)]
    np.testing.assert_allclose(counts, np.stack(wanted, 1), rtol=1e-5)
    counts = _optimise_loss.weights(values, match, cosine, 'square')
    np.testing.assert_allclose(counts[:, 1], 10 / norm[1] ** 2, rtol=1e-5)
    counts = _optimise_loss.weights(values, match, cosine, 'none')
    np.testing.assert_allclose(counts, np.tile([2, 1, 0.5], (4, 1)))


def test_layers_are_compared_by_square_or_angle_over_the_units_that_are_kept(nets):
    random = np.random.default_rng(0)
    images, others = random.random((2, 2, 16, 16, 3)).astype(np.float32)
    names = ('hidden.1', 'image_embeds')
    compare = _optimise_loss.comparison(nets['vision'], names, ('image_embeds',), 0.5)
    seen, there = (layers(nets['vision'], x) for x in (images, others))
    flat = {k: v.reshape(2, -1) for k, v in seen.items()}
    wanted = {k: v.reshape(2, -1) for k, v in there.items()}
    chosen = np.array([0, 7, 20])
    values = [wanted['hidden.1'][:, chosen], wanted['image_embeds']]
    weights_ = np.array([[1.0, 0.2], [3.0, 0.0]], np.float32)
    found = compare(nets['vision'].params, images, values, weights_, [chosen, None])
    square = ((flat['hidden.1'] - wanted['hidden.1'])[:, chosen] ** 2).mean(1)
    a, b = flat['image_embeds'], wanted['image_embeds']
    angle = 1 - (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    rough = [np.abs(np.diff(images, axis=axis)).mean((1, 2, 3)) for axis in (1, 2)]
    expected = weights_[:, 0] * square + weights_[:, 1] * angle + 0.5 * (rough[0] + rough[1])
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_units_that_vary_most_are_kept_and_all_where_nothing_varies():
    values = np.zeros((5, 8), np.float32)
    values[:, [2, 5]] = np.arange(5)[:, None] * [1.0, 9.0]
    assert _optimise_loss.units([values], 1.0) == [None]
    assert _optimise_loss.units([values], 0.25)[0].tolist() == [2, 5]
    assert _optimise_loss.units([values[:1]], 0.25)[0].tolist() == list(range(8))


def test_the_loss_falls_and_a_row_depends_on_no_other(nets, decoded):
    whole = optimise.generate(CFG, nets, decoded, jax.random.key(0))
    curve = whole['curve_optimise']
    assert curve.shape == (3, 6) and (curve.min(1) < 0.8 * curve[:, 0]).all(), curve
    assert whole['z'] is decoded['z'] and 'images' not in decoded
    first = {k: v[:2] for k, v in decoded.items()}
    part = optimise.generate(CFG, nets, first, jax.random.key(0))
    np.testing.assert_allclose(part['images'], whole['images'][:2], atol=2e-3)
    changed = decoded | {'z': decoded['z'] * np.float32([1, 0.5, 1])[:, None, None, None]}
    other = optimise.generate(CFG, nets, changed, jax.random.key(0))
    np.testing.assert_allclose(other['images'][[0, 2]], whole['images'][[0, 2]], atol=2e-3)
    assert np.abs(other['images'][1] - whole['images'][1]).max() > 0.01
    again = optimise.generate(CFG, nets, decoded, jax.random.key(1))  # another noise
    assert np.abs(again['images'] - whole['images']).max() > 0.01


@dataclasses.dataclass(frozen=True)
class Same:
    """The picture is the variable."""

    name: str = 'x'

    def __call__(self, params, x, shared):
        return x[self.name]


@dataclasses.dataclass(frozen=True)
class Away:
    """The mean square of the difference from `values`, weighted."""

    def __call__(self, params, images, values, weights_, units):
        return weights_[:, 0] * ((images - values[0]) ** 2).mean((1, 2, 3))


def toy(rule, start, goal, name='x'):
    weights_ = np.ones((len(start), 1), np.float32)
    rows = {'free': {name: start}, 'fixed': {}, 'values': [goal], 'weights': weights_}
    given = (rule, {'vision': {}}, rows, {'units': [None]})
    return _optimise_descent.descend(Same(name), Away(), *given)


def test_of_each_row_the_best_picture_is_kept_and_its_loss_is_in_the_curve():
    random = np.random.default_rng(0)
    start, goal = random.random((2, 4, 3, 3, 3)).astype(np.float32)
    rule = _optimise_descent.Rule(5, 0.9, 1.0)  # so fast that it swings past the goal
    images, losses, best = toy(rule, start, goal)
    own = ((images - goal) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(own, losses.min(1), rtol=1e-5)
    np.testing.assert_allclose(losses[:, 0], ((start - goal) ** 2).mean((1, 2, 3)), rtol=1e-5)
    assert (losses[:, -1] > losses.min(1)).any() and losses.shape == (4, 5)
    np.testing.assert_array_equal(best['x'], images)


def test_adam_is_adam_and_its_rate_decays():
    random = np.random.default_rng(0)
    start, goal = random.random((2, 2, 3, 3, 3)).astype(np.float32)
    found = toy(_optimise_descent.Rule(5, 0.02, 0.5), start, goal)[2]['x']
    x, first, second = start.astype(float), 0, 0
    for i in range(4):  # the fifth loss is that of four changes
        slope = 2 * (x - goal) / 27
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        unbiased = first / (1 - 0.9 ** (i + 1)), second / (1 - 0.999 ** (i + 1))
        x = x - 0.02 * 0.5**i * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    np.testing.assert_allclose(found, x, atol=1e-5)


def test_pixels_go_with_momentum_by_the_size_of_their_gradient():
    random = np.random.default_rng(0)
    start, goal = random.random((2, 2, 5, 4, 3)).astype(np.float32)
    kept = {'momentum': 0.5, 'shrink': 0.02, 'blur': 0.7}
    found = toy(_optimise_descent.Rule(4, 0.01, pixels=True, **kept), start, goal, 'pixels')[2]
    x, speed = start.astype(float), 0
    for i in range(3):
        left, slope = 1 - i / 4, 2 * (x - goal) / 60
        slope = slope / np.abs(slope).mean((1, 2, 3), keepdims=True)
        speed = 0.5 * speed - 0.01 * left * slope
        x = x + speed
        x = x - 0.02 * left * (x - 0.5)
        for axis, size in ((1, 5), (2, 4)):
            at = np.arange(size)
            kernel = np.exp(-((at[:, None] - at) ** 2) / (2 * (0.7 * left) ** 2))
            kernel /= kernel.sum(1, keepdims=True)
            x = np.moveaxis(np.tensordot(kernel, x, (1, axis)), 0, axis)
        x = np.clip(x, 0, 1)
    np.testing.assert_allclose(found['pixels'], x, atol=1e-5)


@pytest.mark.long
def test_the_released_code_changes_z_alone(nets, decoded):
    def run(**changes):
        options = optimise._options(CFG | changes)
        picture, compare, params, rows, shared = problem(nets, decoded, **changes)
        free = {name: x for name, x in rows['fixed'].items() if name in options['adjust']}
        rows = rows | {'free': free}
        given = (optimise._rule(options), params, rows, shared)
        return _optimise_descent.descend(picture, compare, *given)[2]

    code, paper = run(variant='code'), run()
    assert list(code) == ['z'] and sorted(paper) == ['c', 'z']
    assert np.abs(code['z'] - decoded['z']).max() > 0.01
    assert np.abs(paper['c'] - decoded['c']).max() > 0.01


def test_what_is_published_is_the_default():
    options = optimise._options({'match': MATCH})
    given = tuple(options[k] for k in ('iterations', 'rate', 'decay', 'adjust', 'guidance'))
    assert given == (300, 0.01, 0.999, ('z', 'c'), 5.0)
    assert len(diffusion.plan(SCHEDULE, options['steps'], options['strength'])) == 35
    assert optimise._options({'match': MATCH, 'variant': 'code'})['adjust'] == ('z',)
    pixels = optimise._options({'match': MATCH, 'over': 'pixels'})
    assert pixels['iterations'] == 200 and pixels['adjust'] == ('pixels',)


def matching(*names):
    return tuple((f'l{i}', name, 1.0) for i, name in enumerate(names))


@pytest.fixture(scope='module')
def seeing():
    """Pictures, and what the embedded AlexNet sees in them: (options, nets, pictures, decoded)."""
    images = scenes.draw(range(3)).images / np.float32(255)
    match = matching('features.0', 'features.5')
    cfg = {'over': 'pixels', 'vision': 'tiny/alexnet', 'match': match, 'weigh': 'square'}
    params = optimise.load(cfg, {})
    seen = features.extract(params['vision'], [layer for _, layer, _ in match], images)
    return cfg, params, images, {target: seen[layer] for target, layer, _ in match}


def error(images, truth):
    return ((images - truth) ** 2).mean((1, 2, 3))


def test_pixels_come_nearer_to_the_picture_whose_layers_they_are_given(seeing):
    cfg, params, images, named = seeing
    found = optimise.generate(cfg | {'iterations': 40}, params, named, jax.random.key(0))
    assert found['images'].shape == images.shape and found['images'].dtype == np.float32
    assert found['curve_optimise'].shape == (3, 40)
    # Measured: .19, .04 and .27 of the mean square by which grey misses them.
    assert (error(found['images'], images) < 0.4 * error(0.5, images)).all()


def test_what_does_not_fit_is_refused_in_one_line(nets, decoded, seeing):
    def refused(told, kind=errors.ConfigError, decoded=decoded, **changes):
        with pytest.raises(kind, match=told) as caught:
            optimise.generate(CFG | changes, nets, decoded, jax.random.key(0))
        assert '\n' not in str(caught.value)

    refused("over is 'canvas'.*'latents'", over='canvas')
    refused(r'match is \(\)', match=())
    refused('units is 0', units=0)
    refused("adjust is .*'noise'", adjust=('noise',))
    refused("weigh is 'size'.*'square'", weigh='size')
    refused("z is 'latents'.*decoded: voxels, z, c", z='latents')
    refused("z is 'images'.*decoded: voxels", z='images')
    refused("c is 'text'.*decoded: voxels", c='text')
    refused("the target 'fifth'.*decoded: voxels", match=(('fifth', 'hidden.1', 1.0),))
    refused('strength 0.1 of 6 steps', strength=0.1)
    invalid = errors.DataInvalid
    refused(r'z has shape \(3, 8, 8, 3\)', invalid, decoded | {'z': decoded['z'][..., :3]})
    refused(r'c has shape \(3, 5, 9\).*128', invalid, decoded | {'c': decoded['c'][..., :9]})
    refused(r'rows', invalid, decoded | {'c': decoded['c'][:2]})
    wrong = decoded | {'last': decoded['last'][:, :2]}
    refused(r'last has shape .*hidden.2 .*\(5, 16\)', invalid, wrong)
    lost = decoded | {'z': decoded['z'] * np.nan}
    refused('loss that is not finite', invalid, lost)
    with pytest.raises(errors.ConfigError, match="layer 'hidden.1'.*features.0"):
        optimise.load(seeing[0] | {'match': MATCH}, {})
    with pytest.raises(errors.DataMissing):
        optimise.load(seeing[0] | {'over': 'latents', 'net': 'nowhere'}, {})
    with pytest.raises(errors.ConfigError, match='match is'):
        optimise.check({})


@pytest.mark.long
def test_rows_are_divided_over_devices_and_come_out_the_same(nets, decoded, root, tmp_path):
    cfg = CFG | {'over': 'pixels', 'rate': 0.01, 'batch': 3}
    one = optimise.generate(cfg, {'vision': nets['vision']}, decoded, jax.random.key(0))
    np.savez(tmp_path / 'decoded.npz', **decoded)
    code = f"""
import jax, numpy as np
from tests.generators import test_optimise as here
assert len(jax.devices()) == 2
nets = {{'vision': here.made(here.clip, here.clip.ClipVision, here.VISION, 0)}}
decoded = dict(np.load({str(tmp_path / 'decoded.npz')!r}))
found = here.optimise.generate({cfg!r}, nets, decoded, jax.random.key(0))
np.save({str(tmp_path / 'images.npy')!r}, found['images'])
"""
    flags = {'XLA_FLAGS': '--xla_force_host_platform_device_count=2', 'JAX_PLATFORMS': 'cpu'}
    given = {'cwd': root, 'env': os.environ | flags, 'capture_output': True, 'text': True}
    done = subprocess.run([sys.executable, '-c', code], **given)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / 'images.npy'), one['images'], atol=1e-4)
