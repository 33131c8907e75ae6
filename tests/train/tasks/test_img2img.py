"""The diffusion net, shown the training pictures: what is added to it, and what that does."""

import jax
import numpy as np
import pytest

from recon.core import errors, lora, results
from recon.generators import img2img
from recon.train import job as jobs
from recon.train.tasks import img2img as task
from tests.generators import pipelines


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A random pipeline."""
    folder = tmp_path_factory.mktemp('pipeline')
    pipelines.write(folder, 8, widths=(8, 16), deep=(4, 8))
    return folder


def options(folder, **more):
    """Of a training of a few steps."""
    own = dict(net=str(folder), lora_steps=24, lora_rank=2, lora_learning_rate=2e-2, lora_batch=6)
    return own | more


def work(folder, **more):
    """A job of 10 rows of 5 pictures with one colour each."""
    colours = np.random.default_rng(0).uniform(size=(5, 1, 1, 3)).astype(np.float32)
    groups = np.arange(10) % 5
    images = np.broadcast_to(colours, (5, 8, 12, 3))[groups]
    return jobs.Job(np.zeros((10, 3), np.float32), images, groups, folder=folder, **more)


@pytest.fixture(scope='module')
def fitted(folder, tmp_path_factory):
    """What a fit gives."""
    return task.fit(options(folder), work(tmp_path_factory.mktemp('work')), jax.random.key(0))


def test_it_is_wanted_where_there_are_steps():
    assert not task.wanted({})
    assert not task.wanted({'lora_steps': 0})
    assert task.wanted({'lora_steps': 3})


@pytest.mark.long
def test_the_loss_on_training_pictures_falls(fitted, folder):
    before, after = fitted['lora_loss']
    assert after < 0.95 * before
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(fitted))
    assert len(fitted['lora']) == 4 * 2 * 4  # transformers, attentions, matrices
    told = img2img.describe({}, fitted)['facts']
    assert told['numbers learnt'] == lora.count(fitted['lora'])
    assert told['loss on training pictures, after'] == pytest.approx(after)
    assert img2img.describe({}, {}) == {}


def test_additions_that_are_zero_leave_the_picture_the_same_bits(folder):
    cfg = dict(net=str(folder), start='', text='', steps=3, size=(8, 8))
    nets, rng = img2img.load(cfg, {}), jax.random.key(1)
    decoded = {'voxels': np.zeros((2, 3))}
    plain = img2img.generate(cfg, nets, decoded, rng)['images']
    added = lora.begin(nets['unet'].params, 2, rng)
    same = img2img.generate(cfg, nets | {'lora': added}, decoded, rng)['images']
    np.testing.assert_array_equal(same, plain)
    added = {name: part | {'up': part['up'] + 0.2} for name, part in added.items()}
    changed = img2img.generate(cfg, nets | {'lora': added}, decoded, rng)['images']
    assert np.abs(changed - plain).max() > 1e-2


@pytest.mark.long
def test_a_stopped_training_goes_on_to_the_same_end(fitted, folder, tmp_path):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 9

    with pytest.raises(results.Stopped):
        task.fit(options(folder), work(tmp_path, stop=stop), jax.random.key(0))
    again = task.fit(options(folder), work(tmp_path), jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, again['lora'], fitted['lora'])


@pytest.mark.long
def test_captions_are_read_and_some_are_left_out(folder, tmp_path):
    said = [pipelines.SAID[i % 3] for i in range(5)] * 2
    found = task.fit(options(folder), work(tmp_path), jax.random.key(0), said)
    assert found['lora_loss'][1] < 0.95 * found['lora_loss'][0]
    nets = img2img.load(options(folder), {})
    encoder, draw = nets['text'], jax.random.normal
    latents = draw(jax.random.key(3), (200, 4, 4, 4))
    states = np.broadcast_to(task._text.encode(encoder, said[:1]), (200, 17, 12))
    nothing = np.broadcast_to(task._text.encode(encoder, ['']), (200, 17, 12))
    seen = []

    class Watched:
        def apply(self, params, noisy, times, known):
            seen.append((np.asarray(times), np.asarray(known)))
            return noisy

    batch = {'latents': latents, 'states': states, 'nothing': nothing}
    batch['base'] = nets['unet'].params
    task.objective(Watched(), nets['scheduler'], found['lora'], batch, jax.random.key(4))
    times, known = seen[0]
    left_out = (known == nothing).all((1, 2))
    assert 0.03 < left_out.mean() < 0.2
    assert (known[~left_out] == states[0]).all()
    assert np.histogram(times, 4, (0, 1000))[0].tolist() == [50] * 4


def test_options_that_do_not_fit_are_refused(folder, tmp_path):
    for key in ('lora_rank', 'lora_batch', 'lora_steps'):
        with pytest.raises(errors.ConfigError, match=f'img2img.{key} is 0'):
            task.fit(options(folder, **{key: 0}), work(tmp_path), jax.random.key(0))
    odd = jobs.Job(np.zeros((1, 2)), np.zeros((1, 7, 8, 3), 'f'), np.zeros(1, int), folder=tmp_path)
    with pytest.raises(errors.DataInvalid, match='7 x 8 pixels .*multiples of 2'):
        task.fit(options(folder), odd, jax.random.key(0))
