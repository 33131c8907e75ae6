import numpy as np
import pytest
from scipy.sparse import csgraph

from recon.data.simulator import areas


@pytest.fixture(scope='module')
def atlas():
    return areas.atlas()


@pytest.mark.parametrize('name', areas.NAMES)
@pytest.mark.parametrize('side', [0, 1])
def test_every_area_is_one_patch_of_the_mesh(name, side, atlas):
    at = np.flatnonzero(atlas.area[side] == areas.NAMES.index(name))
    assert len(at) >= 10
    pieces, _ = csgraph.connected_components(atlas.neighbours[side][at][:, at], directed=False)
    assert pieces == 1


@pytest.mark.parametrize('side', [0, 1])
def test_v1_is_one_patch_around_the_calcarine_behind_everything(side, atlas):
    at = np.flatnonzero(areas.region('V1', atlas.area[side]))
    pieces, _ = csgraph.connected_components(atlas.neighbours[side][at][:, at], directed=False)
    assert pieces == 1
    x, y, z = atlas.xyz[side, at].mean(0)
    assert 5 < abs(x) < 20 and y < -78 and abs(z) < 8
    assert np.sign(x) == (-1, 1)[side]


def test_areas_lie_near_their_usual_places(atlas):
    for side, sign in enumerate((-1, 1)):
        for name, spec in areas.GROWN.items():
            at = atlas.area[side] == areas.NAMES.index(name)
            assert at.sum() == (spec.left, spec.right)[side]
            centre = atlas.xyz[side, at].mean(0)
            assert np.linalg.norm(centre - np.array(spec.seed) * (sign, 1, 1)) < 25
            assert (np.sign(atlas.xyz[side, at, 0]) == sign).all()


def test_each_hemisphere_sees_the_other_side(atlas):
    left, right = (atlas.x[side][atlas.area[side] >= 0] for side in (0, 1))
    assert (left >= 0).all() and (right <= 0).all()
    assert left.max() > 3 and right.min() < -3


def test_above_and_below_are_where_they_should_be(atlas):
    for side in (0, 1):
        for name in ('V1', 'V2', 'V3'):
            ventral = areas.region(f'{name}v', atlas.area[side])
            dorsal = areas.region(f'{name}d', atlas.area[side])
            assert (atlas.y[side][ventral] >= 0).all() and (atlas.y[side][dorsal] <= 0).all()
            higher = atlas.xyz[side, dorsal, 2].mean() - atlas.xyz[side, ventral, 2].mean()
            assert higher > 5
        fourth = atlas.y[side][areas.region('hV4', atlas.area[side])]
        assert fourth.min() < -1 and fourth.max() > 1


def test_the_map_of_the_field_is_smooth_within_an_area(atlas):
    rng = np.random.default_rng(0)
    for side in (0, 1):
        for name in ('V1', 'V2d', 'V3v', 'hV4', 'LO', 'PPA'):
            at = np.flatnonzero(areas.region(name, atlas.area[side]))
            place = np.stack([atlas.x[side, at], atlas.y[side, at]], 1)
            edges = atlas.neighbours[side][at][:, at].tocoo()
            near = np.linalg.norm(place[edges.row] - place[edges.col], axis=1).mean()
            far = np.linalg.norm(place - rng.permutation(place), axis=1).mean()
            assert near < 0.4 * far


def test_four_thousand_voxels_have_a_vertex_each(atlas):
    assert (atlas.area > -2).sum() >= 4_000
    assert np.isnan(atlas.x[atlas.area < 0]).all() and np.isfinite(atlas.x[atlas.area >= 0]).all()


def test_a_region_is_the_union_of_its_parts(atlas):
    v1 = areas.region('V1', atlas.area)
    np.testing.assert_array_equal(v1, areas.region(('V1v', 'V1d'), atlas.area))
    assert areas.region(('FFA', 'V1'), atlas.area).sum() == v1.sum() + 32 + 32 + 44 + 44
