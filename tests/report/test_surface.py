import base64
import io

import numpy as np
import pytest
from PIL import Image

from recon.report import surface


@pytest.fixture(scope='module')
def brain():
    return surface.Surface()


def drawn(brain, side, view, colour):
    uri = brain.draw(side, view, colour)
    return np.asarray(
        Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2]))).convert('RGBA')
    )


def red(brain, side, where):
    """Paints the vertices of `where(x, y, z)` red and the rest not at all."""
    from nilearn import datasets
    from nilearn import surface as nilearn_surface

    mesh = datasets.fetch_surf_fsaverage('fsaverage5')[f'infl_{side}']
    points = np.asarray(nilearn_surface.load_surf_mesh(mesh).coordinates)
    colour = np.zeros((brain.n_vertices, 4))
    colour[where(*points.T)] = (1, 0, 0, 1)
    return colour


def centre(picture):
    """Mean (row, column) of the red pixels, as shares of the picture; their number."""
    r, g, _, alpha = np.moveaxis(picture.astype(float), -1, 0)
    rows, columns = np.nonzero((r > g + 80) & (alpha > 0))
    if not len(rows):
        return None, None, 0
    return rows.mean() / picture.shape[0], columns.mean() / picture.shape[1], len(rows)


def test_it_is_fsaverage5(brain):
    assert brain.n_vertices == 10242 and len(brain.faces['left']) == 20480


def test_bare_cortex_is_grey_on_clear_ground(brain):
    picture = drawn(brain, 'left', 'lateral', np.zeros((10242, 4)))
    inside = picture[..., 3] > 200
    assert 0.5 < inside.mean() < 0.9 and picture[0, 0, 3] == 0
    assert np.ptp(picture[inside][:, :3].astype(int), axis=1).max() <= 12


@pytest.mark.parametrize(
    ('side', 'view', 'back_is_right'),
    [
        ('left', 'lateral', True),
        ('left', 'medial', False),
        ('right', 'lateral', False),
        ('right', 'medial', True),
        ('left', 'ventral', True),
        ('right', 'ventral', False),
    ],
)
def test_the_back_of_the_head_is_where_anatomy_has_it(brain, side, view, back_is_right):
    colour = red(brain, side, lambda x, y, z: y < -85)
    _, column, count = centre(drawn(brain, side, view, colour))
    assert count > 20 and (column > 0.8) == back_is_right and (column < 0.2) != back_is_right


@pytest.mark.parametrize('side', surface.SIDES)
def test_up_is_up(brain, side):
    colour = red(brain, side, lambda x, y, z: z > 60)
    for view in ('lateral', 'medial', 'posterior'):
        row, _, count = centre(drawn(brain, side, view, colour))
        assert count == 0 or row < 0.3


@pytest.mark.parametrize('side', surface.SIDES)
def test_what_faces_away_is_hidden(brain, side):
    outside = (lambda x, y, z: x < -35) if side == 'left' else (lambda x, y, z: x > 35)
    colour = red(brain, side, outside)
    assert centre(drawn(brain, side, 'lateral', colour))[2] > 100
    assert centre(drawn(brain, side, 'medial', colour))[2] == 0


def test_borders_are_drawn_between_areas_only(brain):
    colour = np.tile([1.0, 0.9, 0.8, 1.0], (10242, 1))
    one = np.zeros(10242, int)
    two = (np.arange(10242) % 2).astype(int)
    plain, bordered = (brain.draw('left', 'lateral', colour, labels) for labels in (one, two))
    assert plain != bordered
