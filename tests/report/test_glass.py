import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from recon.report import brainmaps, glass


def grid(side=4, size=3.0):
    """A block of voxels: xyz [64 3] around the origin."""
    axis = (np.arange(side) - (side - 1) / 2) * size
    return np.stack(np.meshgrid(axis, axis, axis, indexing='ij'), -1).reshape(-1, 3)


def svg(view):
    return base64.b64decode(view['uri'].partition(',')[2]).decode()


def pixels(view):
    uri = re.search(r'href="data:image/png;base64,([^"]+)"', svg(view))[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert('RGBA')).astype(int)


def red(view):
    """Mean (row, column) of the red pixels, as shares of the picture."""
    page = pixels(view)
    rows, cols = np.nonzero((page[..., 0] > 200) & (page[..., 1] < 60) & (page[..., 3] > 200))
    return (rows.mean() / page.shape[0], cols.mean() / page.shape[1]) if len(rows) else None


def painted(where, hemisphere=True, height=None):
    xyz = grid()
    head = glass.Glass(xyz, (xyz[:, 0] > 0).astype(int) if hemisphere else None)
    colour = np.zeros((len(xyz), 4))
    colour[where(*xyz.T)] = (1, 0, 0, 1)
    return {view['view']: view for view in head.draw(colour, height)}


def test_left_and_right_front_and_back_up_and_down_are_where_anatomy_has_them():
    right = painted(lambda x, y, z: x > 4)
    assert red(right['from above'])[1] > 0.6 and red(right['from behind'])[1] > 0.6
    front = painted(lambda x, y, z: y > 4)
    assert red(front['from above'])[0] < 0.4
    assert red(front['from the left'])[1] < 0.4 and red(front['from the right'])[1] > 0.6
    up = painted(lambda x, y, z: z > 4)
    for name in ('from behind', 'from the left', 'from the right'):
        assert red(up[name])[0] < 0.4


def test_each_side_shows_its_own_hemisphere():
    left = painted(lambda x, y, z: x < 0)
    assert red(left['from the left']) and red(left['from the right']) is None
    one = painted(lambda x, y, z: x < 0, hemisphere=False)
    assert set(one) == {'from above', 'from behind', 'from the right'}


def test_the_words_at_the_edges_say_which_side_is_which():
    views = painted(lambda x, y, z: x > 0)
    words = re.findall(r'>(\w+)</text>', svg(views['from above']))
    assert words == ['left', 'right', 'front', 'back']
    assert re.findall(r'>(\w+)</text>', svg(views['from the left'])) == [
        'front', 'back', 'up', 'down',
    ]  # fmt: skip


def test_in_a_line_of_sight_the_highest_value_is_seen_or_the_nearest():
    xyz = grid()
    low = lambda x, y, z: z < -4  # noqa: E731
    assert red(painted(low)['from above']) is not None, 'voxels without a colour hide none'
    height = np.where(xyz[:, 2] < -4, 2.0, 1.0)
    head = glass.Glass(xyz)
    colour = np.tile([0.0, 0, 1, 1], (len(xyz), 1))
    colour[xyz[:, 2] < -4] = (1, 0, 0, 1)
    above = {v['view']: v for v in head.draw(colour)}['from above']
    assert red(above) is None, 'the blue ones are nearer to the viewer'
    above = {v['view']: v for v in head.draw(colour, height)}['from above']
    assert red(above) is not None


@pytest.mark.parametrize('size', [1.8, 3.0])
def test_voxels_fill_their_place_without_gaps(size):
    xyz = grid(5, size)
    view = glass.Glass(xyz).draw(np.tile([1.0, 0, 0, 1], (len(xyz), 1)))[0]
    page = pixels(view)
    assert (page[1:-2, 1:-2, 3] > 200).mean() > 0.99


def test_all_views_have_one_scale():
    xyz = grid() * (3, 2, 1)
    sizes = {re.search(r'viewBox="0 0 (\S+ \S+)"', svg(v))[1] for v in glass.Glass(xyz).draw(
        np.zeros((64, 4)))}  # fmt: skip
    assert len(sizes) == 1


def test_one_voxel_and_voxels_without_a_place_do_no_harm():
    assert glass.Glass([[1, 2, 3]]).draw(np.ones((1, 4)))
    xyz = grid()
    xyz[3] = np.nan
    assert len(glass.Glass(xyz).draw(np.ones((64, 4)))) == 3


def test_a_recording_with_places_but_no_vertices_is_drawn_in_the_head():
    xyz = grid()
    held = {'xyz': xyz, 'ncsnr': np.ones(64), 'hemisphere': (xyz[:, 0] > 0).astype(int)}
    named = {'V1': xyz[:, 1] < 0}
    for extra in ({}, {'vertex': np.full(64, -1)}):
        maps = brainmaps.maps(held | extra, {'pixels': np.arange(64)}, named)
        assert [m['title'] for m in maps] == [
            'Importance for pixels', 'Noise ceiling of a single trial', 'Areas',
        ]  # fmt: skip
        assert all(len(m['views']) == 4 and 'through the head' in m['ground'] for m in maps)
    share = {'xyz': xyz, 'noise_ceiling': np.linspace(0, 1, 64)}
    assert brainmaps.maps(share, {}, {})[0]['title'] == 'Noise ceiling'
