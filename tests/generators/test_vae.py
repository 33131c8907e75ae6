import jax
import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import scenes
from recon.generators import vae
from recon.zoo import sd_vae


@pytest.fixture(scope='module')
def params():
    return vae.load({}, {'path': '', 'dtype': 'float32'})


@pytest.fixture(scope='module')
def latents(params):
    net, images = params['net'], scenes.draw(range(5)).images / np.float32(255)
    return np.asarray(jax.jit(lambda p, x: sd_vae.latents(net.module, p, x))(net.params, images))


def test_pictures_come_back_from_their_latents_in_batches(params, latents):
    decoded = {'voxels': np.zeros((5, 3)), 'vae': latents}
    found = vae.generate({'batch': 2}, params, decoded, jax.random.key(0))
    assert list(found) == ['voxels', 'vae', 'images']
    assert found['vae'] is latents
    images = found['images']
    assert images.shape == (5, 64, 64, 3)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    truth = scenes.draw(range(5)).images / np.float32(255)
    error = ((images - truth) ** 2).mean((1, 2, 3))
    assert (-10 * np.log10(error) > 24).all()
    assert 'images' not in decoded


def test_latents_are_taken_from_the_target_that_is_named(params, latents):
    cfg = {'target': 'blurry', 'batch': 2}
    found = vae.generate(cfg, params, {'blurry': latents[3:4], 'vae': latents[:1]})
    whole = vae.generate({'batch': 2}, params, {'vae': latents})
    np.testing.assert_allclose(found['images'], whole['images'][3:4], atol=1e-5)


def test_what_is_not_there_or_has_another_shape_is_refused(params, latents):
    with pytest.raises(errors.ConfigError, match="target is 'vae' .*decoded: voxels"):
        vae.generate({}, params, {'voxels': latents})
    with pytest.raises(errors.DataInvalid, match=r'vae has shape \(5, 8, 8, 4\) .*32'):
        vae.generate({}, params, {'vae': latents[..., :4]})
    with pytest.raises(errors.DataInvalid, match='vae has shape'):
        vae.generate({}, params, {'vae': latents.reshape(5, -1)})


def test_a_net_that_is_no_autoencoder_is_refused():
    with pytest.raises(errors.ConfigError, match="net is 'tiny/alexnet', a alexnet"):
        vae.load({'net': 'tiny/alexnet'}, {})


def test_a_net_is_looked_for_in_the_folder_of_nets_first(tmp_path, params):
    (tmp_path / 'mine').symlink_to(params['net'].folder)
    found = vae.load({'net': 'mine'}, {'path': str(tmp_path)})
    assert found['net'].config == params['net'].config
    with pytest.raises(errors.DataMissing):
        vae.load({'net': 'other'}, {'path': str(tmp_path)})
