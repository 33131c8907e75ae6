import ml_collections
import numpy as np
import pytest

from recon import targets
from recon.core import errors, image, types
from recon.zoo import features, weights

SPEC = dict(net='image', layer='pixels', size=(), standardise=False)


def config(wanted, **zoo):
    named = {k: SPEC | v for k, v in wanted.items()}
    plain = {'targets': named, 'zoo': targets.ZOO | zoo, 'generator': {'chain': ()}}
    return ml_collections.ConfigDict(plain)


def test_reading_in_parts_gives_what_reading_at_once_gives(monkeypatch):
    pictures = np.random.default_rng(0).random((23, 12, 10, 3)).astype(np.float32)
    shown = types.Images(np.arange(23), pictures.__getitem__, (12, 10))
    whole = targets.pictures(shown, np.arange(23), (4, 4))
    monkeypatch.setattr(targets, '_PIXELS', 5 * 12 * 10)
    asked = []
    spied = types.Images(
        shown.ids, lambda rows: asked.append(len(rows)) or pictures[rows], shown.shape
    )
    np.testing.assert_array_equal(targets.pictures(spied, np.arange(23), (4, 4)), whole)
    assert max(asked) == 5 and sum(asked) == 23


@pytest.mark.parametrize(
    ('wanted', 'message'),
    [
        ({}, 'targets is empty'),
        ({'other': {'layer': 'fc6'}}, 'layers of net'),
        ({'pixels': {'standardise': True}}, 'the picture itself'),
        ({'pixels': {'layer': 'image_statistics'}}, 'the picture itself'),
        ({'stats': {'layer': 'image_statistics', 'size': (0, 3)}}, 'height, width'),
        ({'stats': {'layer': 'image_statistics', 'areas': 'V1'}}, 'areas is .V1.*in a tuple'),
        ({'stats': {'layer': 'image_statistics', 'of': 'texts'}}, "of is 'texts'.*captions"),
        ({'stats': {'layer': 'image_statistics', 'tokens': 9}}, 'tokens is 9.*captions'),
    ],
)
def test_targets_that_cannot_be_decoded_are_refused(wanted, message):
    cfg = config(wanted)
    with pytest.raises(errors.ConfigError, match=message):
        targets.check(cfg)


def test_a_layer_of_a_net_is_what_features_extract_gives_of_the_resized_pictures(tmp_path):
    pictures = np.random.default_rng(3).random((7, 20, 24, 3)).astype(np.float32)
    shown = types.Images(np.arange(7) * 10, pictures.__getitem__, (20, 24))
    rows = types.Split(np.zeros((1, 1)), np.array([0]))
    brain = types.BrainData(rows, rows, shown)
    cfg = config({'seen': dict(net='tiny/alexnet', layer='features.4', size=(40, 48))},
                 cache=str(tmp_path))  # fmt: skip
    targets.check(cfg)
    values = targets.measure(cfg, 'seen', brain, np.array([50, 0, 50]))
    net = weights.load('tiny/alexnet')
    resized = image.resize(pictures[[5, 0, 5]], (40, 48))
    wanted = features.extract(net, ('features.4',), resized)['features.4']
    np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-6)
    assert any(tmp_path.iterdir()), 'the cache is used'


@pytest.mark.parametrize(
    ('net', 'layer', 'message'),
    [
        ('tiny/alexnet', 'fc9', "targets.seen.layer is 'fc9'.*features.4"),
        ('tiny/none', 'x', 'tiny/none'),
        ('nowhere', 'x', 'nowhere'),
    ],
)
def test_nets_and_layers_that_are_not_there_are_refused_before_any_work(net, layer, message):
    with pytest.raises((errors.ConfigError, errors.DataMissing), match=message):
        targets.check(config({'seen': dict(net=net, layer=layer)}))


def test_a_folder_of_nets_of_ones_own_goes_before_the_catalog(tmp_path):
    net = weights.load('tiny/alexnet')
    weights.save(tmp_path / 'mine', net.module, net.params)
    cfg = config({'seen': dict(net='mine', layer='features.4')}, path=str(tmp_path))
    targets.check(cfg)


ROIS = {name: np.arange(6) % 3 == i for i, name in enumerate(('V1', 'V2', 'V4'))}
ROIS['mTL'] = np.zeros(6, bool)


@pytest.mark.parametrize(
    ('areas', 'wanted'),
    [
        ((), None),
        (('V1',), [0, 3]),
        (('V1+V4',), [0, 2, 3, 5]),
        (('V1', 'V4', 'mTL'), [0, 2, 3, 5]),
    ],
)
def test_a_target_sees_the_voxels_of_all_its_areas(areas, wanted):
    found = targets.voxels('z', {'areas': areas}, ROIS)
    assert (found if wanted is None else np.flatnonzero(found).tolist()) == wanted


@pytest.mark.parametrize(
    ('areas', 'error', 'message'),
    [
        (('V1', 'V9+V2'), errors.ConfigError, "targets.z.areas has 'V9'.*V1, V2, V4"),
        (('mTL',), errors.DataInvalid, 'targets.z.areas: mTL has no voxel'),
    ],
)
def test_areas_that_are_not_there_are_refused(areas, error, message):
    with pytest.raises(error, match=message):
        targets.voxels('z', {'areas': areas}, ROIS)


def test_data_that_lack_what_a_target_is_made_of_are_refused_before_anything_is_fitted():
    rows = types.Split(np.zeros((2, 6), np.float32), np.arange(2))
    shown = types.Images(np.arange(2), None, (4, 4))
    brain = types.BrainData(rows, rows, shown, rois=ROIS)
    text = dict(net='tiny/text_encoder', layer='states', of='captions', tokens=0)
    with pytest.raises(errors.DataMissing, match=r'targets\.c is made of captions'):
        targets.check_data(config({'c': text}), brain)
    with pytest.raises(errors.ConfigError, match="areas has 'V9'"):
        targets.check_data(config({'z': {'areas': ('V9',)}}), brain)
    laid = types.Laid(np.zeros((2, 2), int), np.zeros(6, int), np.zeros((2, 2), np.float32))
    brain = types.BrainData(rows, rows, shown, rois=ROIS, laid=laid)
    with pytest.raises(errors.ConfigError, match='rows are pictures of the cortex'):
        targets.check_data(config({'z': {'areas': ('V1',)}}), brain)
