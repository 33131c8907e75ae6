import json
import pathlib

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import results
from recon.data.simulator import scenes
from recon.generators import diffusion
from recon.train.tasks import _judge, _phrases, _unet_scores, clip, sd_unet
from recon.zoo import clip as clips
from recon.zoo import sd_unet as unets
from recon.zoo import sd_vae, tokenizers, weights
from tests.zoo import reference  # noqa: F401  before diffusers is used

GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'unet.npz'
SMALL = {'block_out_channels': (8, 8), 'norm_num_groups': 4, 'attention_head_dim': 2}
VAE = sd_vae.Config(block_out_channels=(4, 4, 4, 8), layers_per_block=1, norm_num_groups=2,
                    latent_channels=6)  # fmt: skip


def first(module, example, seed=0):
    """Random parameters."""
    zeros = [jnp.zeros(x.shape, x.dtype) for x in example]
    return jax.jit(module.init)(jax.random.key(seed), *zeros)['params']


@pytest.fixture(scope='module')
def tiny(tmp_path_factory):
    """A folder with an autoencoder, a text encoder and a tokenizer that nobody has trained."""
    out = tmp_path_factory.mktemp('tiny')
    vae = sd_vae.AutoencoderKL(VAE)
    weights.save(out / 'vae', vae, first(vae, sd_vae.example(VAE)))
    size, _ = clip._tokenizer(out / 'tokenizer')
    sizes = {'hidden_size': 8, 'intermediate_size': 16, 'num_hidden_layers': 1}
    ends = {'bos_token_id': size - 2, 'eos_token_id': size - 1, 'pad_token_id': size - 1}
    config = clips.TextConfig(
        vocab_size=size, num_attention_heads=2, max_position_embeddings=48, **sizes, **ends
    )
    text = clips.ClipText(config)
    weights.save(out / 'text_encoder', text, first(text, clips.example(config)))
    return out


def test_pictures_are_encoded_once_in_chunks(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sd_unet, '_CHUNK', 128)
    vae, images = weights.load(tiny / 'vae'), scenes.draw(np.arange(140)).images
    latents = sd_unet.encoded(vae, images, tmp_path)
    assert latents.shape == (140, 8, 8, 6)
    wanted = sd_vae.latents(vae.module, vae.params, images[[0, 139]] / np.float32(255))
    np.testing.assert_allclose(latents[[0, 139]], wanted, atol=2e-3)
    files = sorted(tmp_path.rglob('*.npy'))
    assert [path.stem for path in files] == ['000000', '000128']
    np.save(files[0], np.zeros((128, 8, 8, 6), np.float16))
    again = sd_unet.encoded(vae, images, tmp_path)  # read, not made
    assert not again[:128].any()
    np.testing.assert_array_equal(again[128:], latents[128:])


def net_and_batch(tiny, n=4):
    vae, text = (weights.load(tiny / name) for name in ('vae', 'text_encoder'))
    net = unets.UNet(sd_unet.sized(vae, text))
    random = np.random.default_rng(n)
    made = {'latents': random.standard_normal((n, 8, 8, 6)).astype(np.float16)}
    for name in ('states', 'nothing'):
        made[name] = random.standard_normal((n, 48, 8)).astype(np.float32)
    made['cells'] = [np.full((n, 64, k), 1 / k, np.float16) for k in (17, 9)]
    return net, made


def test_the_objective_is_the_error_of_v_and_of_the_cells(tiny, monkeypatch):
    monkeypatch.setattr(sd_unet, 'CONFIG', sd_unet.CONFIG | SMALL)
    net, batch = net_and_batch(tiny)
    noises = diffusion.read(sd_unet.SCHEDULER)
    params = jax.jit(lambda rng: sd_unet.begin(net, rng))(jax.random.key(1))
    settings = {'cells': 0.5, 'objects': 3.0}
    loss = jax.jit(
        lambda params, batch, empty: sd_unet.objective(
            net, noises, params, batch, settings | {'empty': empty}, jax.random.key(2)
        )
    )
    total, parts = loss(params, batch, 0.0)
    assert parts['v'] == pytest.approx(1, abs=0.15)  # it answers 0 yet, and v has unit variance
    assert parts['cells'] == pytest.approx(np.log(17) + np.log(9), rel=1e-4)
    assert total == pytest.approx(float(parts['weighted'] + 0.5 * parts['cells']), rel=1e-5)
    assert parts['weighted'] == pytest.approx(float(parts['v']), rel=1e-5)  # alike in all cells
    # Once it answers something, it is the caption that it listens to, unless that is left out.
    params = jax.tree.map(lambda x: x + 0.05, params)
    other = batch | {'states': batch['states'][::-1]}
    assert loss(params, batch, 0.0)[0] != loss(params, other, 0.0)[0]
    assert loss(params, batch, 1.0)[0] == loss(params, other, 1.0)[0]


def test_small_objects_of_a_scene_weigh_as_much_as_large_ones():
    cells = np.zeros((4, 64, 17), np.float16)
    cells[..., 0] = 1
    for row, count in enumerate((4, 16, 32)):  # the fourth scene has no object
        cells[row, :count, 0], cells[row, :count, 3] = 0.25, 0.75
    worth = np.asarray(sd_unet._filled(cells))
    assert (worth[0, 4:] == 0).all() and (worth[3] == 0).all()
    np.testing.assert_allclose(worth[1:3].mean(1), 0.2, rtol=1e-5)
    np.testing.assert_allclose(worth[0].mean(), 0.2 * 3 / 64 / 0.05, rtol=1e-5)  # a bound


@pytest.mark.long
def test_a_training_writes_a_folder_that_the_reference_reads(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sd_unet, 'CONFIG', sd_unet.CONFIG | SMALL)
    for name, value in (('ASIDE', 16), ('_WATCHED', 16), ('_CHUNK', 128)):
        monkeypatch.setattr(sd_unet, name, value)
    settings = sd_unet.SETTINGS | {'scenes': 130, 'encoded': 100, 'steps': 4, 'batch': 8}
    settings |= {'save_every': 2, 'log_every': 2}
    asked = iter([False, False, True, True])
    with pytest.raises(results.Stopped):
        sd_unet.run(settings, tiny, tmp_path, stop=lambda: next(asked))
    assert (tiny / 'unet' / 'config.json').exists()  # of the checkpoint after two steps
    sd_unet.run(settings, tiny, tmp_path)
    net = diffusers.UNet2DConditionModel.from_pretrained(tiny / 'unet')
    assert net.config.cross_attention_dim == 8
    raw = json.loads((tiny / 'scheduler' / 'scheduler_config.json').read_text())
    assert diffusion.read(raw).prediction_type == 'v_prediction'
    assert set(json.loads((tiny / 'model_index.json').read_text())) >= {'vae', 'unet', 'tokenizer'}
    painter = _unet_scores.load(tiny)
    drawn = scenes.draw(np.arange(3))
    said, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    monkeypatch.setattr(_unet_scores, 'STEPS', 4)
    monkeypatch.setattr(_unet_scores, '_CHUNK', 2)
    painted = painter.paint(said, place)
    assert painted.shape == (3, 64, 64, 3)
    assert np.isfinite(painted).all()
    again = painter.paint(said[:2], place[:2])
    np.testing.assert_allclose(again, painted[:2], atol=1e-5)
    begun = painter.paint(said, place, 1, drawn.images, 0.5)
    assert begun.shape == painted.shape


def test_layout_is_kept_where_cells_resemble_the_sources():
    sources = scenes.draw(np.arange(12)).images
    same = (sources / np.float32(255)) * 0.5 + 0.2
    assert _unet_scores._kept(same, sources) == 1
    assert _unet_scores._kept(1 - same, sources) == 0
    assert _unet_scores._kept(np.roll(same, 1, 0), sources) < 0.7


def test_a_batch_says_what_the_scenes_show(tiny):
    drawn = scenes.draw(np.arange(6))
    speak = _judge.speaker(tokenizers.load(tiny / 'tokenizer'))
    latents = np.arange(6)[:, None, None, None] * np.ones((1, 8, 8, 2), np.float16)
    rows = np.array([1, 4])
    made = sd_unet.batch(drawn, latents, speak, rows, None)
    decoded = tokenizers.load(tiny / 'tokenizer').decode(made['ids'])
    said = scenes.captions(drawn)
    assert [text.replace(' ,', ',') for text in decoded] == [said[1], said[4]]
    np.testing.assert_array_equal(made['latents'][:, 0, 0, 0], rows)
    shuffled = sd_unet.batch(drawn, latents, speak, np.arange(6), np.random.default_rng(1))
    assert (np.sort(shuffled['ids'], 1) == np.sort(sd_unet.batch(
        drawn, latents, speak, np.arange(6), None)['ids'], 1)).all()  # fmt: skip


def answered() -> dict:
    """What the embedded U-Net answers to two captions and noise at three steps, in part."""
    painter = _unet_scores.load('recon/zoo/assets/tiny')
    drawn = scenes.draw(np.array([9, 19]))
    said, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    states = np.repeat(painter.states(said, place), 3, 0)
    noise = np.random.default_rng(0).standard_normal((6, 8, 8, 32)).astype(np.float32)
    unet = painter.nets['unet']
    apply = jax.jit(lambda params, *given: unet.module.apply({'params': params}, *given))
    v = apply(unet.params, noise, np.tile([10, 400, 950], 2), states)
    return {'v': np.asarray(v)[:, ::3, ::3], 'states': states[::3, ::5, ::16]}


def write_golden() -> None:
    """What a new training calls, as in test_clip.py."""
    np.savez_compressed(GOLDEN, **answered())


def test_the_embedded_net_answers_what_it_answered():
    """A change of these values is a change of every tiny system: retrain them in one commit."""
    golden, found = np.load(GOLDEN), answered()
    for name in ('v', 'states'):
        np.testing.assert_allclose(found[name], golden[name], atol=5e-3)
    assert np.abs(found['v'][::3] - found['v'][1::3]).max() > 0.1
