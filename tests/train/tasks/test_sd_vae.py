"""The tiny autoencoder's training: its start, what it is shown, how latents are scaled."""

import dataclasses

import jax
import numpy as np
import pytest

from recon.data.simulator import scenes
from recon.train.tasks import _sd_vae_start
from recon.train.tasks import sd_vae as task
from recon.zoo import sd_vae, tensors, weights

SMALL = sd_vae.Config(
    block_out_channels=(16, 24),
    layers_per_block=1,
    latent_channels=7,
    norm_num_groups=2,
    sample_size=32,
)


@pytest.fixture(scope='module')
def drawn():
    return scenes.draw([k for k in range(70) if k % 10 != 9], 32)


@pytest.fixture(scope='module')
def started(drawn):
    """A small net, and the parameters that it starts from."""
    net = sd_vae.AutoencoderKL(SMALL)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *sd_vae.example(SMALL))['params']
    return net, _sd_vae_start.params(net, shapes, drawn.images[:40], 3)


def _linear(images, others, count):
    """Squared error of `others` by principal components of 2 x 2 patches of `images`."""
    patches = [_sd_vae_start._patches(x / np.float32(127.5) - 1) for x in (images, others)]
    mean, directions = _sd_vae_start._components(patches[0], count)
    left = patches[1] - mean
    return ((left - left @ directions @ directions.T) ** 2).mean() / 4


def test_the_start_is_about_a_linear_code(started, drawn):
    net, params = started
    others = drawn.images[40:]
    error = task.squared_errors(task._rebuilt(net, params, others), others).mean()
    blurred = _linear(drawn.images[:40], others, 3)
    assert error < 0.6 * blurred  # of 7 components, where the mean colour of a patch is 3


def test_the_starts_latents_are_white_and_its_random_channels_are_there(started, drawn):
    net, params = started
    mean, logvar = task._applied(net, 'encode')(params, drawn.images[:40])
    rows = np.asarray(mean).reshape(-1, 7)
    np.testing.assert_allclose(np.corrcoef(rows.T), np.eye(7), atol=0.06)
    np.testing.assert_allclose(rows.std(0), 1, atol=0.1)
    np.testing.assert_allclose(logvar, -6, atol=1e-4)
    leaves = tensors.flatten(params)
    shapes = jax.eval_shape(net.init, jax.random.key(0), *sd_vae.example(SMALL))['params']
    assert {k: v.shape for k, v in leaves.items()} == {
        k: v.shape for k, v in tensors.flatten(shapes).items()
    }
    assert np.abs(leaves[('decoder', 'up_blocks.0.upsamplers.0', 'conv', 'kernel')]).min() > 0


def test_scaled_latents_spread_by_what_shows_and_the_reconstruction_stays(started, drawn):
    net, params = started
    leaves = tensors.flatten(params)
    leaves[('quant_conv', 'bias')] = leaves[('quant_conv', 'bias')] + np.linspace(-2, 3, 14)
    kernel = leaves[('quant_conv', 'kernel')]
    leaves[('quant_conv', 'kernel')] = kernel * np.linspace(0.3, 4, 14, dtype=np.float32)
    params = tensors.unflatten(leaves)
    images = drawn.images[:30]
    changed, moved = task.scaled(net, params, images)
    latents = np.asarray(sd_vae.latents(changed, moved, images / np.float32(255)))
    np.testing.assert_allclose(latents.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(latents.var((0, 1, 2)).mean(), 1, atol=1e-3)
    # Where one standard deviation changes pictures four times as much, the spread is twice as wide.
    spread = latents.std((0, 1, 2))
    deviation = spread / changed.config.scaling_factor
    shown = task.changes(changed, moved, latents[:16] / changed.config.scaling_factor, deviation)
    np.testing.assert_allclose(spread**2 / (spread**2).sum(), shown / shown.sum(), rtol=2e-2)
    assert spread.max() > 1.5 * spread.min()
    assert changed.config == dataclasses.replace(
        SMALL, scaling_factor=changed.config.scaling_factor
    )
    before, after = (task._applied(n, '__call__')(p, images) for n, p in
                     ((net, params), (changed, moved)))  # fmt: skip
    np.testing.assert_allclose(after, before, atol=2e-3)
    # The noise of a sample grows and shrinks with its channel.
    encode = task._applied(net, 'encode'), task._applied(changed, 'encode')
    (mean, logvar), (new_mean, new_logvar) = encode[0](params, images), encode[1](moved, images)
    ratio = np.asarray(new_mean).std((0, 1, 2)) / np.asarray(mean).std((0, 1, 2))
    np.testing.assert_allclose(
        np.asarray(new_logvar - logvar).mean((0, 1, 2)), 2 * np.log(ratio), atol=2e-3
    )


def test_a_channel_that_nothing_reads_changes_nothing(started, drawn):
    net, params = started
    kernel = np.array(params['post_quant_conv']['kernel'])
    kernel[:, :, 2] = 0
    params = params | {'post_quant_conv': params['post_quant_conv'] | {'kernel': kernel}}
    latents = np.random.default_rng(0).standard_normal((3, 8, 8, 7)).astype(np.float32)
    found = task.changes(net, params, latents, np.full(7, 0.5))
    assert found[2] == 0
    assert (np.delete(found, 2) > 0).all()


def test_crops_first_and_whole_pictures_last():
    images = np.arange(12 * 40 * 40 * 3).reshape(12, 40, 40, 3)
    settings = {'steps': 20, 'whole': 0.2, 'batch': 5, 'crop': 24, 'whole_batch': 3}
    crops = task.batch(images, 10, settings, 6, 15)['images']
    assert crops.shape == (5, 24, 24, 3)
    for crop in crops:
        k, y, x, _ = np.unravel_index(crop[0, 0, 0], images.shape)
        assert k < 10
        np.testing.assert_array_equal(crop, images[k, y : y + 24, x : x + 24])
    np.testing.assert_array_equal(task.batch(images, 10, settings, 6, 15)['images'], crops)
    assert not np.array_equal(task.batch(images, 10, settings, 7, 15)['images'], crops)
    whole = task.batch(images, 10, settings, 6, 16)['images']
    assert whole.shape == (3, 40, 40, 3)
    assert all(any(np.array_equal(picture, other) for other in images[:10]) for picture in whole)


def test_the_objective_is_its_parts(started, drawn):
    net, params = started
    images, rng = drawn.images[5:9], jax.random.key(8)
    settings = {'squared': 3.0, 'kl': 0.5}
    total, parts = task.objective(net, params, images, settings, rng)
    parts = {name: float(value) for name, value in parts.items()}
    want = parts['absolute'] + 3 * parts['squared'] + 0.5 * parts['kl']
    np.testing.assert_allclose(total, want, rtol=1e-5)
    pixels = images / np.float32(127.5) - 1
    mean, logvar = (np.asarray(x) for x in net.apply({'params': params}, pixels, method='encode'))
    sample = mean + np.exp(logvar / 2) * np.asarray(jax.random.normal(rng, mean.shape))
    error = np.asarray(net.apply({'params': params}, sample, method='decode')) - pixels
    np.testing.assert_allclose(parts['absolute'], np.abs(error).mean(), rtol=1e-4)
    np.testing.assert_allclose(parts['squared'], (error**2).mean(), rtol=1e-4)
    kl = (mean**2 + np.exp(logvar) - logvar - 1).mean() / 2
    np.testing.assert_allclose(parts['kl'], kl, rtol=1e-4)


def test_psnr_of_a_known_error():
    images = np.full((2, 4, 4, 3), 51, np.uint8)
    ours = np.full((2, 4, 4, 3), 0.2, np.float32) + np.array([0.1, 0.01]).reshape(2, 1, 1, 1)
    np.testing.assert_allclose(task.psnr(task.squared_errors(ours, images)), [20, 40], atol=1e-3)


@pytest.mark.long
def test_a_training_of_two_steps_writes_a_net_that_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(task, 'CONFIG', dataclasses.asdict(SMALL))
    monkeypatch.setattr(task, 'ASIDE', 30)
    monkeypatch.setattr(task, '_FITTED', 20)
    settings = task.SETTINGS | {'steps': 2, 'whole': 0.5, 'scenes': 90, 'batch': 2}
    task.run(settings, tmp_path / 'out', tmp_path / 'work', seed=4)
    reached = task.measure(tmp_path / 'out', n=40)
    assert reached['all']['scenes'] == 40
    assert {'unseen_pairs', 'seen_pairs', 'latents'} < set(reached)
    assert reached['all']['ours']['psnr'] > 15
    raw = weights.load(tmp_path / 'out' / 'vae').config
    assert raw.block_out_channels == SMALL.block_out_channels
    assert raw.scaling_factor != 0.18215


@pytest.mark.long
def test_the_embedded_net_is_above_26_db_and_above_bicubic_at_as_many_numbers():
    reached = task.measure('tiny', n=60)
    for group in ('all', 'unseen_pairs', 'seen_pairs'):
        scores = reached[group]
        assert scores['ours']['psnr'] > 26
        for numbers in (2028, 2187):
            bicubic = scores[f'bicubic_{numbers}_numbers']
            assert scores['ours']['psnr'] > bicubic['psnr'] + 2
            assert scores['ours']['ssim'] > bicubic['ssim']
    deviation = np.array(reached['latents']['std_by_channel'])
    assert (deviation**2).mean() == pytest.approx(1, abs=0.1)
    assert deviation.min() > 0.2
    assert reached['latents']['numbers'] == 2048
