import base64
import io

import numpy as np
import pytest
from nibabel import freesurfer
from PIL import Image

from recon.core import errors
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


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A FreeSurfer folder with fsaverage5 and a finer mesh of the same shape, as fsaverage is."""
    root = tmp_path_factory.mktemp('fsaverage')
    (root / 'surf').mkdir()
    held = surface._carried()
    for side, prefix in (('left', 'lh'), ('right', 'rh')):
        points = held[f'surface_{side}_points'].astype(np.float64)
        faces = held[f'surface_{side}_faces']
        depth = held[f'surface_{side}_depth']
        pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        edges = np.unique(np.sort(pairs, 1), axis=0)
        ab, bc, ca = (len(points) + _between(faces, edges, k) for k in range(3))
        points = np.concatenate([points, points[edges].mean(1)])  # new ones after the old
        depth = np.concatenate([depth, depth[edges].mean(1)])
        a, b, c = faces.T
        fine = np.concatenate(
            [np.stack(t, 1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
        freesurfer.write_geometry(root / 'surf' / f'{prefix}.inflated', points, fine)
        freesurfer.write_morph_data(root / 'surf' / f'{prefix}.sulc', depth)
    return root


def _between(faces, edges, k):
    """Index among `edges` of the k-th side of each face."""
    pair = np.sort(faces[:, [k, (k + 1) % 3]], 1).astype(np.int64)
    n = int(faces.max()) + 1
    return np.searchsorted(edges[:, 0].astype(np.int64) * n + edges[:, 1], pair @ (n, 1))


def test_a_finer_surface_on_disk_is_drawn_as_the_carried_one(brain, folder):
    held = surface.read(folder)
    assert held['surface_left_points'].dtype == np.float16
    fine = surface.Surface(held)
    assert fine.n_vertices == 40962 and len(fine.faces['right']) == 81920
    for side, view in (('left', 'lateral'), ('right', 'ventral')):
        a = drawn(brain, side, view, np.zeros((10242, 4)))[..., 3] > 128
        b = drawn(fine, side, view, np.zeros((40962, 4)))[..., 3] > 128
        h, w = (min(p, q) for p, q in zip(a.shape, b.shape, strict=True))
        assert (a[:h, :w] == b[:h, :w]).mean() > 0.98
    colour = red(brain, 'left', lambda x, y, z: y < -85)
    more = np.zeros((40962, 4))
    more[:10242] = colour  # the first vertices are those of fsaverage5
    spots = (centre(drawn(s, 'left', 'lateral', c)) for s, c in ((brain, colour), (fine, more)))
    assert np.allclose(next(spots)[:2], next(spots)[:2], atol=0.05)


def test_the_edges_of_the_mesh_are_those_of_its_faces(brain):
    edges = {tuple(e) for e in brain.neighbours['left'].tolist()}
    assert len(edges) == 2 * (10242 + 20480 - 2), 'Euler: V + F - E = 2, both directions'
    assert all((b, a) in edges for a, b in list(edges)[:200])


def test_a_folder_without_a_surface_says_what_is_missing(folder, tmp_path):
    with pytest.raises(errors.DataMissing, match=r'lh.inflated.*subjects/fsaverage'):
        surface.read(tmp_path)
    for name in ('lh.inflated', 'rh.inflated', 'lh.sulc', 'rh.sulc'):
        content = (folder / 'surf' / name).read_bytes()
        (tmp_path / name).write_bytes(content)
    assert surface.read(tmp_path).keys() == surface.read(folder).keys()
    whole = (tmp_path / 'rh.inflated').read_bytes()
    for broken in (b'', whole[: len(whole) // 2], b'nothing of the kind' * 9):
        (tmp_path / 'rh.inflated').write_bytes(broken)
        with pytest.raises(errors.DataInvalid, match='not a FreeSurfer surface'):
            surface.read(tmp_path)
