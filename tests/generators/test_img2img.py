"""Pictures from pictures, latents and text, against diffusers' pipelines with the same nets."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import errors
from recon.core import rng as rngs
from recon.generators import _img2img_inputs as inputs
from recon.generators import _text, img2img
from recon.zoo import sd_vae
from tests.generators import pipelines

SAID = pipelines.SAID


def noise(rng, n, h, w, c):
    """What `generate` draws for rows 0 to n - 1."""
    keys = [jax.random.fold_in(rng, i) for i in range(n)]
    return np.stack([jax.random.normal(key, (h, w, c)) for key in keys])


def pictures(seed, n, h, w):
    return np.random.default_rng(seed).uniform(size=(n, h, w, 3)).astype(np.float32)


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    """A random pipeline's folder, diffusers' pipeline, and what `load` reads."""
    folder = tmp_path_factory.mktemp('small')
    theirs = pipelines.write(folder, 3)
    return folder, theirs, img2img.load({'net': str(folder)}, {})


CASES = {
    'ddim': ({}, dict(strength=0.75, guidance=6.0, steps=9), (3, 16, 12)),
    'pndm': (
        dict(scheduler='PNDMScheduler', channels=5, width=16, widths=(24, 16), length=23),
        dict(strength=0.5, guidance=2.5, steps=11),
        (2, 12, 16),
    ),
    'euler': (
        dict(scheduler='EulerDiscreteScheduler', answer='v_prediction', linear=True, deep=(4, 8)),
        dict(strength=1.0, guidance=1.0, steps=6),
        (2, 20, 12),
    ),
    'solver': (
        dict(scheduler='DPMSolverMultistepScheduler', channels=6, widths=(8, 32), width=20),
        dict(strength=0.6, guidance=7.5, steps=20),
        (4, 16, 16),
    ),
}


FEW = dict(steps=6, strength=0.7, guidance=3.0, batch=2)


@pytest.fixture(scope='module')
def decoded(small):
    """Three rows of everything that the small pipeline can start from and follow."""
    params = small[2]
    vae, images = params['vae'], pictures(5, 3, 16, 24)
    latents = jax.jit(lambda p, x: sd_vae.latents(vae.module, p, x))(vae.params, images)
    said = np.array(SAID[:3])
    states = _text.encode(params['text'], said)
    return {'images': images, 'z': np.asarray(latents), 'captions': said, 'c': states}


def check_pictures(theirs, monkeypatch, params, cfg, decoded, rng):
    """Pictures of `generate`, and of diffusers from the same noise: the same to 1e-3."""
    images, said = decoded['images'], list(decoded['captions'])
    n, h, w, _ = images.shape
    found = img2img.generate(cfg, params, decoded, rng)['images']
    assert found.dtype == np.float32
    given = noise(rng, n, h // 2, w // 2, params['unet'].config.in_channels)
    options = {'num_inference_steps': cfg['steps'], 'guidance_scale': cfg['guidance']}
    options |= {'strength': cfg['strength']}
    wanted = pipelines.from_pictures(theirs, monkeypatch, said, images, given, **options)
    assert found.shape == wanted.shape == (n, h, w, 3)
    assert wanted.std() > 0.05
    assert np.abs(wanted - images).max() > 0.1
    assert np.abs(found - wanted).max() < 1e-3
    other = decoded | {'captions': np.array(said[::-1])}
    other = img2img.generate(cfg, params, other, rng)['images']
    assert np.abs(other - wanted).max() > 1e-2  # the text counts


def test_pictures_from_pictures_are_those_of_diffusers(small, decoded, monkeypatch):
    _, theirs, params = small
    check_pictures(theirs, monkeypatch, params, FEW, decoded, jax.random.key(1))


@pytest.mark.long
@pytest.mark.parametrize('case', CASES)
def test_pictures_of_every_solver_are_those_of_diffusers(tmp_path, monkeypatch, case):
    sizes, options, (n, h, w) = CASES[case]
    theirs = pipelines.write(tmp_path, len(case), **sizes)
    cfg = options | {'net': str(tmp_path), 'batch': n}
    decoded = {'images': pictures(n, n, h, w), 'captions': np.array(SAID[:n])}
    params = img2img.load(cfg, {})
    check_pictures(theirs, monkeypatch, params, cfg, decoded, jax.random.key(n))


@pytest.mark.long
def test_pictures_from_noise_are_those_of_diffusers(small):
    folder, theirs, params = small
    rng, cfg = jax.random.key(11), dict(start='', steps=7, guidance=4.0, batch=2, size=(16, 24))
    found = img2img.generate(cfg, params, {'captions': np.array(SAID[:2])}, rng)['images']
    wanted = pipelines.from_noise(
        theirs, SAID[:2], noise(rng, 2, 8, 12, 4), num_inference_steps=7, guidance_scale=4.0,
        height=16, width=24,
    )  # fmt: skip
    assert np.abs(found - wanted).max() < 1e-3
    assert wanted.std() > 0.05


@pytest.mark.long
def test_latents_and_states_are_taken_where_they_are_decoded(small, decoded):
    params, rng = small[2], jax.random.key(2)
    wanted = img2img.generate(FEW, params, decoded, rng)['images']
    states = img2img.generate(FEW | dict(text='c'), params, decoded, rng)['images']
    np.testing.assert_array_equal(states, wanted)
    latents = img2img.generate(FEW | dict(start='z', size=(16, 24)), params, decoded, rng)['images']
    np.testing.assert_allclose(latents, wanted, atol=1e-4)
    assert decoded['images'] is not wanted
    grey = decoded | {'images': decoded['images'][..., :1]}
    assert img2img.generate(FEW, params, grey, rng)['images'].shape == (3, 16, 24, 3)
    larger = decoded | {'images': decoded['images'].repeat(2, 1).repeat(2, 2)}
    resized = img2img.generate(FEW | dict(size=(16, 24)), params, larger, rng)['images']
    assert np.abs(resized - wanted).max() < 0.5 and not np.array_equal(resized, wanted)


def test_a_row_is_the_same_in_every_batch_and_draws_noise_of_its_own(small, decoded):
    params, rng = small[2], jax.random.key(2)
    wanted = img2img.generate(FEW, params, decoded, rng)['images']
    alone = img2img.generate(FEW | dict(batch=1), params, decoded, rng)['images']
    np.testing.assert_allclose(alone, wanted, atol=1e-4)
    same = {k: np.repeat(v[:1], 3, 0) for k, v in decoded.items()}
    found = img2img.generate(FEW, params, same, rng)['images']
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-5)
    assert min(np.abs(found[i] - found[0]).max() for i in (1, 2)) > 1e-2
    again = img2img.generate(FEW, params, same, jax.random.key(3))['images']
    assert np.abs(found - again).max() > 1e-2


@pytest.mark.long
def test_without_text_the_empty_text_is_followed(small, decoded):
    params, rng = small[2], jax.random.key(4)
    found = img2img.generate(FEW | dict(text=''), params, decoded, rng)['images']
    empty = decoded | {'captions': np.array(['', '', ''])}
    wanted = img2img.generate(FEW | dict(guidance=1.0), params, empty, rng)['images']
    np.testing.assert_array_equal(found, wanted)
    led = img2img.generate(FEW | dict(guidance=1.0), params, decoded, rng)['images']
    assert np.abs(led - wanted).max() > 1e-3


@pytest.mark.long
def test_a_vector_stands_in_place_of_a_text_of_one_token(small):
    unet, random = small[2]['unet'], np.random.default_rng(6)
    x, vector = random.normal(size=(2, 8, 4, 4)), random.normal(size=(2, 1, 12))
    known, nothing = inputs.text({'text': 'v'}, small[2], {'v': vector[:, 0]})
    assert known(np.array([1, 0])).shape == (2, 17, 12)
    assert nothing.shape == (1, 17, 12)
    run = jax.jit(lambda states: unet.module.apply({'params': unet.params}, x, jnp.ones(2), states))
    np.testing.assert_allclose(run(known(np.arange(2))), run(vector), atol=1e-5)
    same, _ = inputs.text({'text': 'v'}, small[2], {'v': vector})
    np.testing.assert_array_equal(same(np.arange(2)), known(np.arange(2)))
    few, nothing = inputs.text({'text': 'v'}, small[2], {'v': vector.repeat(5, 1)})
    assert few(np.arange(2)).shape == (2, 5, 12)
    np.testing.assert_array_equal(nothing, _text.encode(small[2]['text'], [''], 5))


@pytest.mark.long
def test_fresh_noise_is_each_rows_own_and_as_in_diffusers(small, decoded, monkeypatch):
    from diffusers.schedulers import scheduling_ddim

    _, theirs, params = small
    cfg, rng = FEW | dict(eta=0.7), jax.random.key(8)
    found = img2img.generate(cfg, params, decoded, rng)['images']
    alone = img2img.generate(cfg | dict(batch=3), params, decoded, rng)['images']
    np.testing.assert_allclose(alone, found, atol=1e-4)
    keys = [jax.random.fold_in(rngs.named(rng, 'fresh'), i) for i in range(3)]
    drawn = iter(
        np.stack([jax.random.normal(jax.random.fold_in(key, i), (8, 12, 4)) for key in keys])
        for i in range(4)
    )
    monkeypatch.setattr(
        scheduling_ddim, 'randn_tensor', lambda *_, **__: pipelines.reference.nchw(next(drawn))
    )
    wanted = pipelines.from_pictures(
        theirs, monkeypatch, SAID[:3], decoded['images'], noise(rng, 3, 8, 12, 4), strength=0.7,
        num_inference_steps=6, guidance_scale=3.0, eta=0.7,
    )  # fmt: skip
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.long
def test_the_computation_is_in_the_type_that_the_zoo_says(small, decoded):
    folder, _, params = small
    half = img2img.load({'net': str(folder)}, {'dtype': 'bfloat16'})
    assert {leaf.dtype for leaf in jax.tree.leaves(half['unet'].params)} == {jnp.dtype('bfloat16')}
    rng = jax.random.key(9)
    wanted = img2img.generate(FEW, params, decoded, rng)['images']
    found = img2img.generate(FEW, half, decoded, rng)['images']
    assert found.dtype == np.float32
    assert 1e-4 < np.abs(found - wanted).mean() < 2e-2


ON_FOUR = """
import os
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'
import sys, jax, numpy as np
from recon.generators import img2img
folder, given, out = sys.argv[1:]
assert len(jax.devices()) == 4
shown = []
place = img2img.sharding.place_same
def watched(mesh):
    def put(row):
        placed = place(mesh)(row)
        shown.append({len(s.data) for s in placed['known'].addressable_shards})
        return placed
    return put
img2img.sharding.place_same = watched
params = img2img.load({'net': folder}, {})
decoded = dict(np.load(given))
cfg = dict(steps=6, strength=0.7, guidance=3.0, batch=6)
np.save(out, img2img.generate(cfg, params, decoded, jax.random.key(2))['images'])
print(shown)
"""


@pytest.mark.long
def test_rows_are_divided_over_devices(small, decoded, tmp_path):
    folder, _, params = small
    many = {k: np.concatenate([v, v[::-1], v])[:9] for k, v in decoded.items()}
    np.savez(tmp_path / 'given.npz', **many)
    command = [sys.executable, '-c', ON_FOUR, str(folder), str(tmp_path / 'given.npz')]
    done = subprocess.run([*command, str(tmp_path / 'out.npy')], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == '[{2}, {2}]'  # 8 rows at a time, then the last and what fills up
    wanted = img2img.generate(FEW, params, many, jax.random.key(2))['images']
    np.testing.assert_allclose(np.load(tmp_path / 'out.npy'), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ('options', 'kind', 'match'),
    [
        (dict(text='captions2'), errors.ConfigError, r"text is 'captions2' .*decoded: images, z"),
        (dict(text='z'), errors.DataInvalid, r'z has shape \[3, 8, 12, 4\]'),
        (dict(text='narrow'), errors.DataInvalid, '9 numbers for a U-Net of 12 .*text_encoder'),
        (dict(text='flat'), errors.DataInvalid, r'states of 9 numbers for a U-Net of 12'),
        (dict(text='long'), errors.DataInvalid, 'long has 18 states .*at most 17'),
        (dict(start='c'), errors.DataInvalid, r'c has shape \[3, 17, 12\] .*\[n h w 4\]'),
        (dict(start='deep'), errors.DataInvalid, r'\[3, 8, 12, 5\] .*\[n h w 4\]'),
        (dict(start='nothing'), errors.ConfigError, "start is 'nothing'"),
        (dict(start='z', size=(32, 32)), errors.ConfigError, "latents keep theirs: chain=.'vae'"),
        (dict(size=(17, 16)), errors.ConfigError, 'multiples of 2 pixels'),
        (dict(size=(16,)), errors.ConfigError, 'height, width'),
        (dict(guidance=0.5), errors.ConfigError, 'guidance is 0.5'),
        (dict(strength=0.1), errors.ConfigError, 'strength 0.1 of 6 steps'),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_in_one_line(small, decoded, options, kind, match):
    more = {'narrow': np.zeros((3, 17, 9)), 'flat': np.zeros((3, 9)), 'long': np.zeros((3, 18, 12))}
    more['deep'] = np.zeros((3, 8, 12, 5))
    with pytest.raises(kind, match=match) as caught:
        img2img.generate(FEW | options, small[2], decoded | more, jax.random.key(0))
    assert '\n' not in str(caught.value)


def test_what_was_not_made_before_is_named_with_what_makes_it(small, decoded):
    with pytest.raises(errors.ConfigError, match="put 'caption' into generator.chain before"):
        img2img.generate(FEW, small[2], {'images': decoded['images']}, jax.random.key(0))
    with pytest.raises(errors.ConfigError, match="put 'vae' into generator.chain"):
        img2img.generate(FEW, small[2], {'captions': decoded['captions']}, jax.random.key(0))
    odd = decoded | {'images': np.zeros((3, 17, 16, 3))}
    with pytest.raises(errors.DataInvalid, match='17 x 16 pixels .*multiples of 2: give a size'):
        img2img.generate(FEW, small[2], odd, jax.random.key(0))


def test_a_folder_that_is_no_pipeline_is_refused(small, tmp_path):
    folder = small[0]
    for part in ('unet', 'vae', 'tokenizer'):
        (tmp_path / part).symlink_to(folder / part)
    with pytest.raises(errors.DataMissing, match='no scheduler'):
        img2img.load({'net': str(tmp_path)}, {})
    (tmp_path / 'scheduler').mkdir()
    file = tmp_path / 'scheduler' / 'scheduler_config.json'
    file.write_text('{"_class_name"')
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        img2img.load({'net': str(tmp_path)}, {})
    file.write_text((folder / 'scheduler' / 'scheduler_config.json').read_text())
    with pytest.raises(errors.DataMissing):
        img2img.load({'net': str(tmp_path)}, {})
    pipelines.write(tmp_path / 'other', 7, width=16, channels=6)
    (tmp_path / 'text_encoder').symlink_to(tmp_path / 'other' / 'text_encoder')
    with pytest.raises(errors.ConfigError, match='text states of 16 numbers for a U-Net of 12'):
        img2img.load({'net': str(tmp_path)}, {})
    (tmp_path / 'vae').unlink()
    (tmp_path / 'vae').symlink_to(tmp_path / 'other' / 'vae')
    with pytest.raises(errors.ConfigError, match='latents of 6 channels for a U-Net of 4'):
        img2img.load({'net': str(tmp_path)}, {})
    (tmp_path / 'vae').unlink()
    (tmp_path / 'vae').symlink_to(folder / 'text_encoder')
    with pytest.raises(errors.ConfigError, match='its vae is a clip, wanted a AutoencoderKL'):
        img2img.load({'net': str(tmp_path)}, {})


def test_another_solver_can_be_named_and_nets_are_looked_for_in_the_zoo(small):
    folder = small[0]
    cfg = {'net': folder.name, 'scheduler': 'PNDMScheduler'}
    found = img2img.load(cfg, {'path': str(folder.parent)})
    assert found['scheduler'].kind == 'PNDMScheduler'
    assert small[2]['scheduler'].kind == 'DDIMScheduler'
    with pytest.raises(errors.ConfigError, match='eta 0.5 with PNDMScheduler'):
        img2img.load(cfg | {'eta': 0.5}, {'path': str(folder.parent)})
