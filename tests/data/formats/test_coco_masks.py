import zlib

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycocotools_masks
from scipy import ndimage

from recon.core import errors
from recon.data.formats import coco_masks


def blob(seed):
    rng = np.random.default_rng(seed)
    return ndimage.gaussian_filter(rng.random(rng.integers(3, 60, 2)), 2) > 0.5


def test_a_rectangle_at_whole_pixels_is_filled_exactly():
    mask = coco_masks.fill([[2, 1, 5, 1, 5, 4, 2, 4]], 6, 7)
    wanted = np.zeros((6, 7), bool)
    wanted[1:4, 2:5] = True
    assert np.array_equal(mask, wanted)


def test_a_pixel_is_in_where_its_centre_is():
    assert coco_masks.fill([[0.6, 0, 2.4, 0, 2.4, 1, 0.6, 1]], 1, 4).tolist() == [[0, 1, 0, 0]]
    assert coco_masks.fill([[0.4, 0, 2.6, 0, 2.6, 1, 0.4, 1]], 1, 4).tolist() == [[1, 1, 1, 0]]


def test_a_polygon_that_leaves_the_photograph_is_cut():
    assert coco_masks.fill([[-9, -9, 99, -9, 99, 99, -9, 99]], 5, 4).all()
    assert not coco_masks.fill([[5, 0, 9, 0, 9, 5, 5, 5]], 5, 4).any()
    assert not coco_masks.fill([], 5, 4).any()


@pytest.mark.parametrize('seed', range(8))
def test_polygons_are_those_of_pycocotools_but_for_their_outline(seed):
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(60, 160, 2))
    corners = rng.integers(3, 9)
    angle = np.sort(rng.random(corners)) * 2 * np.pi
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * [width / 2.1, height / 2.1]
    polygon = (points + [width / 2, height / 2]).ravel().tolist()
    ours = coco_masks.fill([polygon], height, width)
    coded = pycocotools_masks.merge(pycocotools_masks.frPyObjects([polygon], height, width))
    theirs = pycocotools_masks.decode(coded).astype(bool)
    inner, outer = ndimage.binary_erosion(theirs), ndimage.binary_dilation(theirs)
    assert not (inner & ~ours).any() and not (ours & ~outer).any()
    assert (ours != theirs).sum() < 0.08 * theirs.sum() + 8


@pytest.mark.parametrize('seed', range(12))
def test_run_lengths_are_pycocotools_ones_compressed_or_not(seed):
    mask = blob(seed)
    coded = pycocotools_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    for counts in (coded['counts'], coded['counts'].decode()):
        assert np.array_equal(coco_masks.run_lengths(counts, *mask.shape), mask)
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [0]]))).tolist()
    counts = np.diff([0, *edges, *([] if flat[-1] else [flat.size])]).tolist()
    assert np.array_equal(coco_masks.run_lengths(counts, *mask.shape), mask)


def test_run_lengths_of_another_photograph_are_refused():
    with pytest.raises(errors.DataInvalid, match=r'add up to 12, wanted 3 x 5.*here'):
        coco_masks.run_lengths([4, 4, 4], 3, 5, 'here')
    with pytest.raises(errors.DataInvalid, match='add up to 15'):
        coco_masks.run_lengths([-4, 19], 3, 5)
    with pytest.raises(errors.DataInvalid, match='1000000000000'):
        coco_masks.run_lengths([0, 10**12], 3, 5)


@pytest.mark.parametrize('seed', range(12))
def test_an_outline_gives_its_mask_back(seed):
    mask = blob(seed + 50)
    outline = coco_masks.outline(mask)
    got = coco_masks.fill([part.ravel() for part in outline], *mask.shape)
    filled = ndimage.binary_fill_holes(mask)
    assert not (mask & ~got).any() and not (got & ~filled).any()
    solid = coco_masks.outline(filled)
    assert np.array_equal(coco_masks.fill([p.ravel() for p in solid], *mask.shape), filled)


def test_an_outline_has_corners_alone():
    mask = np.zeros((9, 9), bool)
    mask[2:6, 3:8] = True
    (points,) = coco_masks.outline(mask)
    assert sorted(map(tuple, points.tolist())) == [(3, 2), (3, 6), (8, 2), (8, 6)]


def test_a_hole_is_no_part_of_an_outline():
    ring = np.ones((5, 6), bool)
    ring[2, 2:4] = False
    assert [points.tolist() for points in coco_masks.outline(np.pad(ring, 1))] == [
        points.tolist() for points in coco_masks.outline(np.pad(np.ones((5, 6), bool), 1))
    ]


def test_segment_ids_are_red_first(tmp_path):
    ids = np.array([[0, 1, 256, 65536], [3 + 256 * 2 + 65536, 2**24 - 1, 7, 0]])
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / 'a.png')
    assert np.array_equal(coco_masks.segments(tmp_path / 'a.png', (2, 4)), ids)
    with pytest.raises(errors.DataInvalid, match='2 x 4 pixels, the JSON says 4 x 2'):
        coco_masks.segments(tmp_path / 'a.png', (4, 2))


def test_broken_pngs_are_refused(tmp_path):
    path = tmp_path / 'a.png'
    with pytest.raises(errors.DataMissing, match='no such file'):
        coco_masks.segments(path, (30, 40))
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (30, 40, 3), np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.DataInvalid, match='cut short'):
        coco_masks.segments(path, (30, 40))
    vast = bytearray(whole)
    vast[16:24] = (10**6).to_bytes(4, 'big') * 2  # the header's width and height: 10^12 pixels
    vast[29:33] = zlib.crc32(bytes(vast[12:29])).to_bytes(4, 'big')
    path.write_bytes(bytes(vast))
    with pytest.raises(errors.DataInvalid, match='1000000000000 pixels'):
        coco_masks.segments(path, (30, 40))
    path.write_bytes(b'')
    with pytest.raises(errors.DataInvalid, match='empty'):
        coco_masks.segments(path, (30, 40))
