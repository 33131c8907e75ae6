import dataclasses

import numpy as np
import pytest

from recon.core import types
from recon.data.checks import orientation
from recon.data.datasets import simulated


@pytest.fixture(scope='module')
def brain():
    """Another seed and size than anything here was tried on."""
    return simulated.load(dict(n_train=220, n_test=10, voxels=900, size=32, seed=5, subject=2))


def stored(brain, change):
    read = brain.images.read
    images = dataclasses.replace(brain.images, read=lambda rows: change(read(rows)))
    return dataclasses.replace(brain, images=images)


def coarse(brain):
    """Without ventral and dorsal parts."""
    return dataclasses.replace(brain, rois={k: brain.rois[k] for k in ('V1', 'V2', 'V3')})


def swapped(brain):
    side = 1 - brain.voxel_info['hemisphere']
    return dataclasses.replace(brain, voxel_info=brain.voxel_info | {'hemisphere': side})


TURNED = {
    'mirrored left to right': lambda x: x[:, :, ::-1],
    'upside down': lambda x: x[:, ::-1],
    'turned by 180 degrees': lambda x: x[:, ::-1, ::-1],
    'transposed': lambda x: x.swapaxes(1, 2),
    'transposed along the other diagonal': lambda x: x[:, ::-1, ::-1].swapaxes(1, 2),
    'turned by 90 degrees to the right': lambda x: np.rot90(x, -1, (1, 2)),
    'turned by 90 degrees to the left': lambda x: np.rot90(x, 1, (1, 2)),
}


def test_every_turn_is_tried():
    assert set(TURNED) == set(orientation.TURNS)


def test_upright_pictures_and_right_hemispheres_are_silent(brain):
    for data in (brain, coarse(brain)):
        found = orientation.check(data)
        assert found['warning'] is None and found['as_is_ci95'][0] > 0.2
        assert found['as_is'] > max(entry['mean'] for entry in found['tried'])


@pytest.mark.parametrize('name', TURNED)
def test_each_way_of_storing_pictures_wrongly_is_named(brain, name):
    found = orientation.check(stored(brain, TURNED[name]))
    assert f'stored {name} (' in found['warning']


@pytest.mark.parametrize('name', TURNED)
def test_hemispheres_alone_tell_where_the_right_half_is_stored(brain, name):
    warning = orientation.check(stored(coarse(brain), TURNED[name]))['warning']
    if name == 'upside down':
        assert warning is None
    elif name in ('mirrored left to right', 'turned by 180 degrees'):
        assert 'stored mirrored left to right (' in warning
    else:
        assert name in warning


@pytest.mark.parametrize('parts', ['fine', 'coarse'])
def test_swapped_hemispheres_are_found(brain, parts):
    data = swapped(brain) if parts == 'fine' else swapped(coarse(brain))
    assert 'left and right hemisphere are swapped' in orientation.check(data)['warning']


def test_noise_alone_rarely_warns(brain):
    warned = 0
    for seed in range(25):
        noise = np.random.default_rng(seed).normal(size=brain.train.voxels.shape)
        train = dataclasses.replace(brain.train, voxels=noise.astype(np.float32))
        few = train.rows(np.arange(80))
        found = orientation.check(dataclasses.replace(brain, train=few), seed)
        warned += found['warning'] is not None
    assert warned <= 3


def test_the_parts_are_those_of_the_visual_field(brain):
    parts, reason = orientation.visual_parts(brain)
    assert reason is None and set(parts) == {(1, 1), (1, -1), (-1, 1), (-1, -1)}
    truth = simulated.truth(dict(n_train=220, n_test=10, voxels=900, size=32, seed=5, subject=2))
    for (right, up), mask in parts.items():
        seen = mask & truth['carries']
        assert np.median(right * truth['x'][seen]) > 0 and np.median(up * truth['y'][seen]) > 0


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (dict(voxel_info={}), 'the hemisphere of the voxels is not known'),
        (dict(rois={}), 'no area is named V1, V2 or V3'),
    ],
)
def test_where_it_cannot_be_told_it_says_why(brain, change, reason):
    found = orientation.check(dataclasses.replace(brain, **change))
    assert found['note'] == f'not applicable: {reason}' and found['warning'] is None
    left = dataclasses.replace(brain.train, voxels=brain.train.voxels)
    one_side = {'hemisphere': np.zeros(left.voxels.shape[1], np.int8)}
    found = orientation.check(dataclasses.replace(brain, voxel_info=one_side))
    assert 'a hemisphere has 0 voxels of V1 to V3' in found['note']


def test_names_of_areas_in_other_spellings_count():
    v = 40
    side = np.arange(v) % 2
    rois = {'V1d': np.arange(v) < 20, 'VP': np.arange(v) >= 20, 'V4v': np.ones(v, bool)}
    brain = types.BrainData(None, None, None, rois=rois, voxel_info={'hemisphere': side})
    parts, _ = orientation.visual_parts(brain)
    assert parts[1, 1].sum() == 10 and (parts[1, 1] == (rois['VP'] & (side == 0))).all()
