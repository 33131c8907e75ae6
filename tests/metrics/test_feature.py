import dataclasses
import types as modules

import jax
import numpy as np
import pytest
import torch
from PIL import Image

from recon.core import errors, image
from recon.metrics import feature, protocols, suite
from recon.zoo import _folders, alexnet, clip, efficientnet, inception, lpips, resnet, weights
from tests.zoo import reference, vision

torchvision = pytest.importorskip('torchvision')

MEAN, STD = (torch.tensor(x)[:, None, None] for x in protocols.IMAGENET)


def pictures(n, side, seed):
    rough = np.random.default_rng(seed).random((n, side // 8, side // 8, 3), np.float32)
    return image.resize(rough, (side, side))


def loaded(module, params, name='net', stamp='random'):
    return modules.SimpleNamespace(
        name=name, module=module, params=params, config=module.config, folder='f', stamp=stamp
    )


def two_way(truth, recon):
    """Brain-Diffuser's and MindEye's, by numpy."""
    n = len(truth)
    r = np.corrcoef(truth, recon)[:n, n:]
    return np.array([(np.delete(r[:, j], j) < r[j, j]).mean() for j in range(n)])


def two_way_takagi(truth, recon):
    """Takagi's, by numpy."""
    n = len(truth)
    r = np.corrcoef(truth, recon)[:n, n:]
    return np.array([(r[i, i] > np.delete(r[i], i)).mean() for i in range(n)])


@pytest.fixture(scope='module')
def pair():
    """An AlexNet of torch with random weights (but for small linear layers), and ours."""
    torch.manual_seed(0)
    theirs = torchvision.models.alexnet(num_classes=3)
    layers = [torch.nn.Linear(9216, 8), torch.nn.Linear(8, 8), torch.nn.Linear(8, 3)]
    theirs.classifier[1], theirs.classifier[4], theirs.classifier[6] = layers
    reference.perturb(theirs, 1, 0.01)
    ours = alexnet.AlexNet(dataclasses.replace(alexnet.Config(), hidden=8, num_classes=3))
    example = alexnet.example(ours.config)
    params = reference.params(theirs, ours, *example, table=alexnet.TABLE)
    return theirs, loaded(ours, params, 'alexnet')


def nodes(theirs, x, upto):
    with torch.no_grad():
        return theirs.features[: upto + 1](x).flatten(1).numpy()


@pytest.mark.parametrize(('name', 'layer'), [('alexnet2', 4), ('alexnet5', 11)])
def test_mindeyes_alexnet_gives_the_scores_of_torch(pair, name, layer):
    theirs, ours = pair
    truth, recon = pictures(5, 64, layer), pictures(5, 64, layer + 1)
    recon = (truth + recon) / 2

    def in_torch(x):
        # Resize((256, 256)); the Resize(256) after it changes nothing.
        x = torch.nn.functional.interpolate(reference.nchw(x), (256, 256), mode='bilinear')
        return nodes(theirs, (x - MEAN) / STD, layer)

    ours = feature.Feature(ours, protocols.find('mindeye').features[name], 'mindeye', batch=4)
    a, b = in_torch(truth), in_torch(recon)
    values = ours(truth)  # torch lays out channels first
    side = {4: 31, 11: 15}[layer]
    shaped = np.moveaxis(values.reshape(5, side, side, -1), -1, 1).reshape(5, -1)
    assert reference.relative(shaped, a) < 1e-5
    names = (f'two_way_{name}', f'corrdist_{name}', f'cosine_{name}')
    found = suite.score(
        names, recon, truth, seed=0, permutations=9, nets={name: ours}, protocol='mindeye'
    )
    np.testing.assert_allclose(found[names[0]].per_unit, two_way(a, b))
    distance = [1 - np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found[names[1]].per_unit, distance, atol=1e-5)
    assert found[names[1]].better == 'lower'
    for entry in found.values():
        said = {key: entry.extra[key] for key in ('net', 'weights', 'protocol', 'node')}
        node = f'alexnet features.{layer}'
        assert said == {'net': name, 'weights': 'random', 'protocol': 'mindeye', 'node': node}


def test_brain_diffusers_alexnet_sees_pillows_224(pair):
    theirs, ours = pair
    truth = pictures(3, 80, 9)
    shrunk = [
        torchvision.transforms.functional.resize(Image.fromarray(image.to_uint8(x)), (224, 224))
        for x in truth
    ]
    x = reference.nchw(np.stack([np.asarray(x) for x in shrunk]).astype(np.float32) / 255)
    wanted = nodes(theirs, (x - MEAN) / STD, 11)
    node = protocols.find('brain_diffuser').features['alexnet5']
    values = feature.Feature(ours, node, 'brain_diffuser')(truth)
    shaped = np.moveaxis(values.reshape(3, 13, 13, -1), -1, 1).reshape(3, -1)
    assert reference.relative(shaped, wanted) < 1e-5


def test_takagis_alexnet_sees_pillows_299_and_pools(pair):
    theirs, ours = pair
    truth = pictures(3, 72, 10)
    steps = torchvision.transforms
    shrink = steps.Compose([steps.Resize(299), steps.CenterCrop(299)])
    seen = [np.asarray(shrink(Image.fromarray(image.to_uint8(x)))) for x in truth]
    x = reference.nchw(np.stack(seen).astype(np.float32) / 255)
    for name, layer in (('alexnet_pool2', 5), ('alexnet_pool5', 12)):
        wanted = nodes(theirs, (x - MEAN) / STD, layer)
        node = protocols.find('takagi').features[name]
        values = feature.Feature(ours, node, 'takagi')(truth)
        side = int(np.sqrt(values.shape[1] // {5: 192, 12: 256}[layer]))
        shaped = np.moveaxis(values.reshape(3, side, side, -1), -1, 1).reshape(3, -1)
        assert reference.relative(shaped, wanted) < 1e-5


@pytest.mark.parametrize('antialias', [False, True])
def test_mindeyes_clip_is_torchs_after_a_bilinear_resize(antialias):
    transformers = pytest.importorskip('transformers')
    config = transformers.CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        image_size=224, patch_size=56, projection_dim=24,
    )  # fmt: skip
    torch.manual_seed(2)
    theirs = reference.perturb(transformers.CLIPVisionModelWithProjection(config), 3)
    file = weights.find({'architectures': ['CLIPVisionModelWithProjection']}, 'test')[0]
    ours = clip.ClipVision(file.read(config.to_dict() | {'model_type': 'clip_vision_model'}))
    params = reference.params(theirs, ours, *clip.example(ours.config), table=clip.TABLE)
    protocol = 'mindeye_antialias' if antialias else 'mindeye'
    node = protocols.find(protocol).features['clip']
    truth, recon = pictures(6, 96, 11), pictures(6, 96, 12)

    def in_torch(x):
        x = reference.nchw(x)
        for size in (256, 224):
            options = dict(mode='bilinear', antialias=antialias)
            x = torch.nn.functional.interpolate(x, (size, size), **options)
        mean, std = (torch.tensor(v)[:, None, None] for v in protocols.CLIP)
        with torch.no_grad():
            return theirs(pixel_values=(x - mean) / std).image_embeds.numpy()

    ours = feature.Feature(loaded(ours, params, 'clip'), node, protocol)
    a, b = in_torch(truth), in_torch(recon)
    assert reference.relative(ours(truth), a) < 2e-5
    found = suite.score(
        ('two_way_clip',), recon, truth, seed=0, permutations=9, nets={'clip': ours}
    )
    np.testing.assert_allclose(found['two_way_clip'].per_unit, two_way(a, b))


def calibrated(module, pixels):
    """Norms get the statistics of `pixels`: with random ones all pictures have one vector."""
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None
            norm.reset_running_stats()
    with torch.no_grad():
        module.train()(pixels)
    return module.eval()


@pytest.mark.long
@pytest.mark.parametrize(
    ('name', 'net', 'size', 'builder'),
    [
        ('inception', inception.Inception3, 342, 'inception_v3'),
        ('effnet', efficientnet.EfficientNet, 255, 'efficientnet_b1'),
        ('swav', resnet.ResNet, 224, 'resnet50'),
    ],
)
def test_the_other_nets_of_mindeye_give_the_distances_of_torch(name, net, size, builder):
    torch.manual_seed(4)
    options = {'init_weights': False, 'transform_input': True} if name == 'inception' else {}
    theirs = getattr(torchvision.models, builder)(**options)
    truth, recon = pictures(5, 64, 17), pictures(5, 64, 18)
    recon = (recon + truth) / 2

    def seen(x):
        x = reference.nchw(x)
        for side in (256, size):
            x = torch.nn.functional.interpolate(x, (side, side), mode='bilinear')
        return (x - MEAN) / STD

    theirs = calibrated(theirs, seen(truth))
    module = __import__(net.__module__, fromlist=['x'])
    config = module.RELEASED['swav' if name == 'swav' else builder]
    if name == 'swav':
        theirs.fc = torch.nn.Identity()
    params = reference.params(theirs, net(config), *module.example(config), table=module.TABLE)
    node = protocols.find('mindeye').features[name]
    ours = feature.Feature(loaded(net(config), params, name), node, 'mindeye', batch=4)

    def in_torch(x):
        with torch.no_grad():
            return vision.nodes(theirs, ('avgpool',), seen(x))['avgpool'].flatten(1)

    a, b = in_torch(truth), in_torch(recon)
    # Norms that were calibrated on few pictures amplify rounding: torch's own float32 is 3e-5 from
    # its float64 here. The nets' parity is in tests/zoo.
    assert reference.relative(ours(truth), a) < 2e-4
    assert min(1 - np.corrcoef(a)[0, 1:]) > 0.01, 'pictures must differ for it'
    names = (f'corrdist_{name}', f'two_way_{name}')
    found = suite.score(names, recon, truth, seed=0, permutations=0, nets={name: ours})
    a, b = a.numpy(), b.numpy()
    distance = [1 - np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(found[names[0]].per_unit, distance, atol=1e-4)
    np.testing.assert_allclose(found[names[1]].per_unit, two_way(a, b))


def test_directions_are_told_apart_where_they_differ():
    r = np.random.default_rng(13)
    truth = r.random((7, 4, 4, 3)).astype(np.float32)
    recon = truth + r.normal(size=truth.shape).astype(np.float32)
    recon[3] = recon[0]  # one reconstruction looks like another: not symmetric
    truth, recon = np.clip(truth, 0, 1), np.clip(recon, 0, 1)

    def net(x):
        return np.tanh(3 * x.reshape(len(x), -1)[:, ::2])

    names = {
        'mindeye': ('two_way_clip', two_way),
        'takagi': ('two_way_takagi_clip', two_way_takagi),
    }
    means = []
    for protocol, (name, wanted) in names.items():
        found = suite.score(
            (name,), recon, truth, seed=0, permutations=9, nets={'clip': net}, protocol=protocol
        )[name]
        np.testing.assert_allclose(found.per_unit, wanted(net(truth), net(recon)))
        means.append(found.mean)
    assert abs(means[0] - means[1]) > 0.01


def test_values_of_the_truth_are_computed_once(pair, monkeypatch):
    node = protocols.Node('alexnet', 'features.4', (protocols.Resize(64, 'bilinear', 'plain'),))
    net = feature.Feature(pair[1], node, 'mindeye')
    calls = []

    def watched(self, images):
        calls.append(len(images))
        return images.reshape(len(images), -1)

    monkeypatch.setattr(feature.Feature, '__call__', watched)
    truth = pictures(4, 16, 14)
    for seed in range(3):
        recon = pictures(4, 16, 20 + seed)
        suite.score(('cosine_a',), recon, truth, seed=0, permutations=0, nets={'a': net})
    assert calls == [4] * 4, 'the truth once, three reconstructions'
    assert np.array_equal(net.kept(truth[::-1]), truth[::-1].reshape(4, -1)), 'other pictures'


@pytest.fixture
def embedded(tmp_path, monkeypatch):
    """A small AlexNet in the place of the embedded one."""
    monkeypatch.setattr(_folders, 'ASSETS', tmp_path)
    module = alexnet.AlexNet(alexnet.TINY)
    shapes = jax.eval_shape(module.init, jax.random.key(0), *alexnet.example(alexnet.TINY))
    r = np.random.default_rng(0)
    params = jax.tree.map(lambda x: 0.1 * r.normal(size=x.shape), shapes['params'])
    weights.save(tmp_path / 'tiny' / 'alexnet', module, params)
    return tmp_path


def test_nets_are_made_for_the_names_that_ask(embedded):
    names = ('pixcorr', 'two_way_tiny_alexnet2', 'cosine_tiny_alexnet5', 'two_way_pixel')
    nets = feature.nets(names, 'mindeye')
    assert list(nets) == ['tiny_alexnet2', 'tiny_alexnet5']
    assert nets['tiny_alexnet2'].weights == nets['tiny_alexnet5'].weights != ''
    truth, recon = pictures(4, 64, 15), pictures(4, 64, 16)
    found = suite.score(names, recon, truth, seed=0, permutations=9, nets=nets, protocol='mindeye')
    assert 'sha256' in found['two_way_tiny_alexnet2'].extra['weights']
    assert found['two_way_tiny_alexnet2'].extra['protocol'] == 'own', 'it has a size of its own'
    assert found['pixcorr'].extra['protocol'] == 'mindeye'
    grey = suite.score(names[1:2], recon, truth, seed=0, permutations=9, nets=nets, channels=1)[
        names[1]
    ]
    assert grey.n_undefined == 0


@pytest.mark.parametrize(
    ('name', 'length'),
    [('tiny_clip', 128), ('tiny_category', 16), ('tiny_alexnet2', None), ('tiny_alexnet5', None)],
)
def test_embedded_nets_see_pictures(name, length):
    part = protocols.TINY[name].net
    if not (_folders.ASSETS / part).is_dir():
        pytest.skip(f'recon/zoo/assets/{part} is not there: launch/train_zoo.py makes it')
    metric = f'two_way_{name}'
    truth, recon = pictures(4, 64, 25), pictures(4, 64, 26)
    nets = feature.nets((metric,))
    values = nets[name](truth)
    assert values.shape[1] == length or length is None
    options = dict(seed=0, permutations=9, nets=nets)
    assert suite.score((metric,), truth, truth, **options)[metric].mean == 1
    entry = suite.score((metric,), recon, truth, **options)[metric]
    assert part in entry.extra['weights'] and 'scenes_version' in entry.extra['weights']


@pytest.fixture(scope='module')
def comparing(tmp_path_factory):
    """A folder of LPIPS with a small trunk and random weights."""
    path = tmp_path_factory.mktemp('lpips')
    module = lpips.LPIPS(lpips.Config('alex', (8, 12, 10, 6, 6)))
    shapes = jax.eval_shape(module.init, jax.random.key(0), *lpips.example(module.config))
    r = np.random.default_rng(1)
    params = jax.tree.map(lambda x: 0.3 * r.normal(size=x.shape), shapes['params'])
    for i in range(5):  # the released ones are fitted to be positive
        params[f'lin{i}.model.1']['kernel'] = np.abs(params[f'lin{i}.model.1']['kernel'])
    weights.save(path / 'lpips_alex', module, params, dtype=np.float32)
    return path


def test_lpips_of_all_pairs_is_that_of_each(comparing):
    net = feature.nets(('lpips_alex', 'mse'), 'mindeye', comparing)['lpips_alex']
    truth, recon = pictures(7, 48, 21), pictures(5, 48, 22)
    whole = net.matrix(recon, truth)
    assert whole.shape == (7, 5)
    for j in range(5):
        each = net(np.repeat(recon[j : j + 1], 7, 0), truth)
        np.testing.assert_allclose(whole[:, j], each, atol=2e-6)
    assert np.abs(net(truth, truth)).max() < 1e-12 < net(recon, truth[:5]).min()


@pytest.mark.parametrize('n', [3, 20])
def test_lpips_is_an_entry_like_any_other(comparing, n):
    nets = feature.nets(('lpips_alex',), path=comparing)
    truth, recon = pictures(n, 40, 23), pictures(n, 40, 24)
    options = dict(seed=0, permutations=9, nets=nets)
    entry = suite.score(('lpips_alex',), recon, truth, **options)['lpips_alex']
    whole = nets['lpips_alex'].matrix(recon, truth)
    np.testing.assert_allclose(entry.per_unit, np.diagonal(whole), atol=2e-6)
    assert entry.chance == pytest.approx(whole[~np.eye(n, dtype=bool)].mean(), abs=1e-6)
    assert entry.better == 'lower' and 'sha256' in entry.extra['weights']
    grey = suite.score(('lpips_alex',), recon, truth, channels=1, **options)['lpips_alex']
    assert grey.mean != entry.mean
    with pytest.raises(errors.ConfigError, match='lpips_alex needs 32 pixels a side.* 16 x 16'):
        suite.score(('lpips_alex',), recon[:, :16, :16], truth[:, :16, :16], **options)


def test_lpips_gives_no_features(comparing):
    with pytest.raises(errors.ConfigError, match='has no net'):
        feature.nets(('two_way_lpips_alex',), path=comparing)
    (comparing / 'lpips_alex').rename(comparing / 'lpips_vgg')
    with pytest.raises(errors.ConfigError, match="not the released lpips_vgg: net 'alex'"):
        feature.nets(('lpips_vgg',), path=comparing)
    (comparing / 'lpips_vgg').rename(comparing / 'lpips_alex')


def test_retrieval_asks_for_its_net(embedded):
    names = ('brain_to_image_top1',)
    assert feature.nets(names) == {}
    assert list(feature.nets(names, retrieval='tiny_category')) == ['tiny_category']
    with pytest.raises(errors.ConfigError, match="retrieval by 'clap'.*tiny_clip"):
        feature.check(names, retrieval='clap')


def test_an_embedded_net_never_passes_for_a_published_one(embedded):
    (embedded / 'tiny' / 'alexnet').rename(embedded / 'alexnet')
    with pytest.raises(errors.ConfigError, match='not the released alexnet: widths'):
        feature.nets(('two_way_alexnet2',), 'mindeye', embedded)
    (embedded / 'alexnet').rename(embedded / 'inception_v3')
    with pytest.raises(errors.ConfigError, match='its net is alexnet, not inception'):
        feature.nets(('two_way_inception',), 'mindeye', embedded)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('two_way_clip', 'released weights of clip_vit_l14.*hf download.*score tiny_clip'),
        ('two_way_alexnet5', 'released weights of alexnet.*launch/convert.py.*tiny_alexnet'),
        ('corrdist_swav', 'released weights of swav.*launch/convert.py'),
        ('two_way_resnet', 'has no net.*features that exist.*swav'),
    ],
)
def test_a_published_name_without_weights_says_what_to_do(tmp_path, name, message):
    for call in (feature.check, feature.nets):
        with pytest.raises(errors.ConfigError, match=message):
            call((name,), 'mindeye', tmp_path)
