import numpy as np
import pytest
import torch
from PIL import Image
from skimage import color
from skimage.metrics import structural_similarity

from recon.core import errors, image
from recon.metrics import protocols, suite


def pictures(n, side, seed):
    rough = np.random.default_rng(seed).random((n, side // 4, side // 4, 3), np.float32)
    return image.resize(rough, (side, side))


def in_torch(images, sizes, antialias):
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    for size in sizes:
        x = torch.nn.functional.interpolate(
            x, (size, size), mode='bilinear', antialias=antialias, align_corners=False
        )
    return x.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize(
    ('name', 'antialias', 'side'), [('mindeye', False, 300), ('mindeye_antialias', True, 96)]
)
def test_pictures_of_mindeye_go_by_256_to_425_as_torch_does(name, antialias, side):
    x = pictures(2, side, 0)
    ours = protocols.resized(x, protocols.find(name).pictures)
    theirs = in_torch(x, (256, 425), antialias)
    assert np.abs(ours - theirs).max() < 1e-5


def test_pictures_of_brain_diffuser_are_pillows_of_uint8():
    x = pictures(2, 64, 1)
    ours = protocols.resized(x, protocols.find('brain_diffuser').pictures)
    for picture, found in zip(x, ours, strict=True):
        bare = Image.fromarray(np.round(picture * 255).astype(np.uint8))
        np.testing.assert_array_equal(found, np.asarray(bare.resize((425, 425))) / np.float32(255))


def test_takagis_pictures_are_cut_to_the_middle():
    x = pictures(1, 64, 2)[:, :48]
    [step] = protocols.find('takagi').features['inception'].steps
    bare = Image.fromarray(image.to_uint8(x[0])).resize((398, 299), Image.Resampling.BILINEAR)
    wanted = np.asarray(bare)[:, 49 : 49 + 299] / np.float32(255)
    np.testing.assert_array_equal(protocols.resized(x, (step,))[0], wanted)


def test_one_channel_stays_one():
    x = pictures(2, 32, 3)[..., :1]
    for name in ('mindeye', 'brain_diffuser'):
        assert protocols.resized(x, protocols.find(name).pictures).shape == (2, 425, 425, 1)


def test_pixcorr_and_ssim_of_mindeye_are_those_of_its_code():
    truth, recon = pictures(4, 64, 4), pictures(4, 64, 5)
    recon = (recon + truth) / 2
    found = suite.score(
        ('pixcorr', 'ssim', 'mse'), recon, truth, seed=0, permutations=9, protocol='mindeye'
    )
    a, b = in_torch(truth, (256, 425), False), in_torch(recon, (256, 425), False)
    r = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
    options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0)
    same = [
        structural_similarity(color.rgb2gray(y), color.rgb2gray(x), **options)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(found['pixcorr'].per_unit, r, atol=1e-5)
    np.testing.assert_allclose(found['ssim'].per_unit, same, atol=1e-5)
    assert [found[k].extra['protocol'] for k in found] == ['mindeye', 'mindeye', 'own']
    plain = suite.score(('pixcorr', 'ssim'), recon, truth, seed=0, permutations=9)
    assert plain['ssim'].extra['protocol'] == 'own'
    assert abs(plain['ssim'].mean - found['ssim'].mean) > 0.05, 'the resize is no detail'


def test_pixcorr_of_brain_diffuser_is_that_of_its_code():
    truth, recon = pictures(3, 128, 6), pictures(3, 128, 7)
    names = ('pixcorr', 'ssim_skimage019')
    found = suite.score(names, recon, truth, seed=0, permutations=9, protocol='brain_diffuser')

    def at_425(picture):
        bare = Image.fromarray(np.round(picture * 255).astype(np.uint8))
        return np.array(bare.resize((425, 425))) / 255.0

    for i in range(3):
        a, b = at_425(truth[i]), at_425(recon[i])
        wanted = np.corrcoef(a.reshape(1, -1), b.reshape(1, -1))[0, 1]
        assert found['pixcorr'].per_unit[i] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize('name', ['mindeye', 'brain_diffuser'])
def test_the_eight_are_names_that_their_protocol_scores(name):
    found = protocols.find(name)
    suite.check(found.eight, found.features, protocol=name)
    assert len(found.eight) == 8


def test_protocols_differ_where_the_published_codes_differ():
    mindeye, brain = protocols.find('mindeye').features, protocols.find('brain_diffuser').features
    assert [mindeye[name].steps[-1].size for name in ('alexnet2', 'inception', 'effnet')] == [
        *(256, 342, 255)
    ]
    assert {node.steps[-1].size for node in brain.values() if node.steps} == {224}
    assert brain['effnet'].net != mindeye['effnet'].net, 'other weights of the same net'
    assert brain['clip'].statistics == mindeye['clip'].statistics == protocols.CLIP


def test_an_unknown_protocol_lists_the_known():
    with pytest.raises(errors.ConfigError, match="protocol 'mind_eye'.*own, mindeye"):
        protocols.find('mind_eye')


@pytest.mark.parametrize(
    ('name', 'protocol', 'right'),
    [
        ('two_way_takagi_clip', 'mindeye', 'two_way_clip'),
        ('two_way_clip', 'takagi', 'two_way_takagi_clip'),
        ('two_way_takagi_pixel', 'brain_diffuser', 'two_way_pixel'),
    ],
)
def test_the_other_direction_is_refused(name, protocol, right):
    with pytest.raises(errors.ConfigError, match=f'direction of protocol {protocol}.*give {right}'):
        suite.check((name,), ('clip',), protocol=protocol)
    suite.check((right,), ('clip',), protocol=protocol)
    suite.check((name, right), ('clip',))
