import dataclasses

import numpy as np
import pytest

from recon.core import errors
from recon.data.preprocess import _flat, cortical_picture
from tests.data import small


def brain(vertex=None, voxels=30):
    data = small.brain(voxels=voxels)
    info = {'hemisphere': np.repeat(np.int8([0, 1]), [voxels // 2 + 2, voxels // 2 - 2])}
    if vertex is not None:
        info['vertex'] = vertex.astype(np.int32)
    return dataclasses.replace(data, voxel_info=info)


def pictures(cfg, data, part='train'):
    stats = cortical_picture.fit(cfg, data)
    return cortical_picture.apply(cfg, stats, data.splits()[part], part).voxels


def test_the_square_holds_each_hemisphere_in_its_order_with_zeros_at_the_end():
    data = brain()
    x = data.train.voxels
    low, high = min(x.min(), 0), max(x.max(), 0)
    left = np.pad(x[:, :17], ((0, 0), (0, 8)))  # 5 x 5 is the smallest square that holds 17
    right = np.pad(x[:, 17:], ((0, 0), (0, 12)))
    wanted = (np.stack([left, right], -1).reshape(-1, 5, 5, 2) - low) / (high - low)
    np.testing.assert_allclose(pictures({}, data), wanted, atol=1e-5)
    beside = pictures({'hemispheres': 'beside', 'side': 6}, data)
    assert beside.shape == (len(x), 6, 12, 1)
    np.testing.assert_allclose(beside[:, 0, 6:, 0], wanted.reshape(-1, 25, 2)[:, :6, 1], atol=1e-5)


def test_the_seeds_square_of_a_whole_subject_is_21025():
    data = brain()
    info = {'hemisphere': np.repeat(np.int8([0, 1]), [19_004, 20_544])}
    wide = dataclasses.replace(data.train, voxels=np.zeros((2, 39_548), np.float32),
                               image_id=np.arange(2), run=None, session=None, repeat=None,
                               trials=None)  # fmt: skip
    whole = dataclasses.replace(data, train=wide, voxel_info=info)
    index = cortical_picture.fit({'side': 145}, whole)['index']
    assert index.shape == (145, 145, 2)
    assert (index >= 0).sum((0, 1)).tolist() == [19_004, 20_544]
    with pytest.raises(errors.ConfigError, match='144 or more'):
        cortical_picture.fit({'side': 143}, whole)


def test_other_rows_are_scaled_by_the_training_rows_and_cut():
    data = brain()
    loud = dataclasses.replace(data.test, voxels=data.test.voxels * 5)
    data = dataclasses.replace(data, test=loud)
    for by in ('all', 'voxel'):
        shown = pictures({'by': by}, data, 'test')
        assert shown.min() >= 0
        assert shown.max() == 1
        trained = pictures({'by': by}, data)
        assert trained.min() == 0
        np.testing.assert_allclose(trained.max(), 1, rtol=1e-5)
    own = pictures({'by': 'voxel'}, data)[:, 0, :5, 0]
    np.testing.assert_allclose(own.min(0), 0, atol=1e-6)
    np.testing.assert_allclose(own.max(0), 1, rtol=1e-5)


@pytest.fixture(scope='module')
def mapped():
    """500 vertices of each hemisphere's flat map, among them none of the medial wall."""
    vertex = np.arange(10_242)
    near = []
    for h in (0, 1):
        place = _flat.places(h, vertex)
        distance = np.linalg.norm(place - place[2000], axis=1)
        near.append(np.argsort(np.where(np.isnan(distance), np.inf, distance))[:500])
    return near


def test_on_the_flat_map_neighbours_stay_neighbours(mapped):
    vertex = np.concatenate(mapped)
    data = small.brain(voxels=1000)
    info = {'hemisphere': np.repeat(np.int8([0, 1]), 500), 'vertex': vertex.astype(np.int32)}
    place = np.concatenate([_flat.places(h, mapped[h]) for h in (0, 1)])
    data = dataclasses.replace(data, voxel_info=info)
    across = np.broadcast_to(place[:, 0], data.train.voxels.shape).astype(np.float32)
    up = np.broadcast_to(place[:, 1], data.train.voxels.shape).astype(np.float32)
    cfg = {'how': 'flatmap', 'size': (40, 48)}
    stats = cortical_picture.fit(cfg, data)
    assert stats['index'].shape == (40, 48, 2)
    assert (stats['group'] >= 0).all()
    for values, axis, sign in ((across, 1, 1), (up, 0, -1)):
        drawn = dataclasses.replace(data, train=dataclasses.replace(data.train, voxels=values))
        scaled = {**stats, **cortical_picture._scale(values, 'all', stats['group'] >= 0)}
        picture = cortical_picture.apply(cfg, scaled, drawn.train, 'train').voxels[0]
        for h in (0, 1):
            shown = stats['index'][..., h] >= 0
            assert 0.2 < shown.mean() < 0.95
            means = [
                np.take(picture[..., h], i, axis)[np.take(shown, i, axis)].mean()
                for i in range(shown.shape[axis])
                if np.take(shown, i, axis).any()
            ]
            assert (np.diff(means) * sign > 0).mean() > 0.95


def test_finer_surfaces_go_on_from_the_coarser_as_freesurfers_do():
    from nilearn import datasets, surface

    files = datasets.fetch_surf_fsaverage('fsaverage5')
    sphere = np.asarray(surface.load_surf_mesh(files['sphere_left']).coordinates, np.float64)
    wanted = np.asarray(surface.load_surf_mesh(files['infl_left']).faces)
    faces = np.array([
        (0, 3, 4), (0, 4, 5), (0, 5, 1), (0, 1, 2), (0, 2, 3), (3, 2, 8), (3, 8, 9), (3, 9, 4),
        (4, 9, 10), (4, 10, 5), (5, 10, 6), (5, 6, 1), (1, 6, 7), (1, 7, 2), (2, 7, 8), (8, 11, 9),
        (9, 11, 10), (10, 11, 6), (6, 11, 7), (7, 11, 8),
    ])  # fmt: skip
    count = 12
    for _ in range(5):
        faces, edges = _flat.refine(faces, count)
        middle = sphere[edges].sum(1)
        middle *= 100 / np.linalg.norm(middle, axis=1, keepdims=True)
        np.testing.assert_allclose(sphere[count : count + len(edges)], middle, atol=0.02)
        count += len(edges)
    np.testing.assert_array_equal(faces, wanted)


def test_vertices_of_the_full_fsaverage_lie_between_those_of_the_coarser():
    places = _flat.places(0, np.arange(163_842))
    coarse = _flat.places(0, np.arange(10_242))
    np.testing.assert_array_equal(places[:10_242], coarse)
    fine = places[np.isfinite(places).all(1)]
    assert 0.9 < len(fine) / 163_842 < 0.95
    distance = np.sort(
        np.linalg.norm(fine[::500, None] - coarse[None, np.isfinite(coarse[:, 0])], axis=-1), 1
    )
    assert distance[:, 0].max() < 6


def test_what_is_wrong_is_said():
    with pytest.raises(errors.DataInvalid, match='not hemisphere and vertex'):
        cortical_picture.fit({'how': 'flatmap'}, brain())
    with pytest.raises(errors.DataInvalid, match='none of 30 voxels'):
        cortical_picture.fit({'how': 'flatmap'}, brain(np.full(30, -1)))
    with pytest.raises(errors.DataInvalid, match='fsaverage has'):
        cortical_picture.fit({'how': 'flatmap'}, brain(np.full(30, 200_000)))
    with pytest.raises(errors.ConfigError, match='how'):
        cortical_picture.fit({'how': 'round'}, brain())


@pytest.mark.parametrize('how', ['square', 'flatmap'])
def test_areas_are_a_filter_that_leaves_the_rest_blank(mapped, how):
    vertex = np.concatenate(mapped)
    data = small.brain(voxels=1000)
    info = {'hemisphere': np.repeat(np.int8([0, 1]), 500), 'vertex': vertex.astype(np.int32)}
    data = dataclasses.replace(data, voxel_info=info)
    cfg = {'how': how, 'size': (40, 48), 'keep': ('V1', 'V4'), 'by': 'voxel'}
    few, whole = pictures(cfg, data), pictures(cfg | {'keep': ()}, data)
    assert few.shape == whole.shape
    louder = data.train.voxels * np.where(data.rois['V2'], np.float32(10), np.float32(1))
    louder = dataclasses.replace(data.train, voxels=louder)
    louder = dataclasses.replace(data, train=louder)
    np.testing.assert_array_equal(few, pictures(cfg, louder))  # nothing of V2 is in it
    shown = np.ptp(few, 0) > 0
    if how == 'square':  # each voxel where it was
        np.testing.assert_array_equal(few[:, shown], whole[:, shown])
        assert shown.sum() == (data.rois['V1'] | data.rois['V4']).sum()
    with pytest.raises(errors.ConfigError, match="names 'V9'"):
        cortical_picture.fit(cfg | {'keep': ('V9',)}, data)


def test_an_area_off_the_flat_map_is_refused():
    data = brain(np.where(np.arange(30) % 3 == 0, -1, 2000 + np.arange(30)))
    with pytest.raises(errors.DataInvalid, match='none of 10 voxels'):
        cortical_picture.fit({'how': 'flatmap', 'keep': ('V1',)}, data)
