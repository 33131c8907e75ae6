import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data.formats import coco_crop

ROW_0 = '(0, 0, 0.1671875, 0.1671875)'  # of nsd_stim_info_merged.csv: 640 x 426, sides cut


def test_the_worked_example_of_the_first_picture():
    crop = coco_crop.window((640, 426), coco_crop.crops([ROW_0])[0])
    assert crop.tolist() == [107, 0, 533, 426]
    box, visible = coco_crop.boxes([[100, 50, 60, 80]], (640, 426), crop, 425)
    corners = [box[0, 0], box[0, 1], box[0, 0] + box[0, 2], box[0, 1] + box[0, 3]]
    assert np.allclose(corners, [0, 49.88, 52.88, 129.69], atol=0.005)
    assert visible[0] == pytest.approx(53 / 60)


def test_all_four_numbers_are_used_each_on_its_side():
    crop = coco_crop.window((200, 100), (0.1, 0.3, 0.45, 0.25))
    assert np.allclose(crop, [90, 10, 150, 70])


def test_text_and_numbers_say_the_same():
    given = coco_crop.crops([ROW_0, ' (0.1,0.2, 0, 0)'])
    assert np.array_equal(given, [[0, 0, 0.1671875, 0.1671875], [0.1, 0.2, 0, 0]])
    assert np.array_equal(coco_crop.crops(given), given)
    assert coco_crop.crops([]).shape == (0, 4)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('0, 0, 0.6, 0.5', r'cropBox is \(0.0, 0.0, 0.6, 0.5\) in row 1'),
        ('(0, -0.1, 0, 0)', 'wanted .top, bottom, left, right., shares'),
        ('(0, 107, 0, 0)', 'row 1'),
        ('(0, nan, 0, 0)', 'cannot be read'),
        ('(0, 0, 0)', 'cannot be read'),
        ('__import__("os").getcwd()', 'cannot be read'),
        ('', 'cannot be read'),
    ],
)
def test_a_crop_that_makes_no_sense_is_refused(text, said):
    with pytest.raises(errors.DataInvalid, match=said):
        coco_crop.crops([ROW_0, text])
    with pytest.raises(errors.DataInvalid, match='wanted four a row'):
        coco_crop.crops([[0.1, 0.2]])


def test_a_crop_that_is_not_square_is_refused():
    crop = coco_crop.crops([ROW_0])[0]
    with pytest.raises(errors.DataInvalid, match=r'426 x 640, not square.*cocoId 5'):
        coco_crop.window((640, 640), crop, 'cocoId 5')
    with pytest.raises(errors.DataInvalid, match='not square'):  # left, right first
        coco_crop.window((640, 426), crop[[2, 3, 0, 1]])


@pytest.mark.parametrize('seed', range(5))
def test_visible_share_and_extent_agree_with_counting_pixels(seed):
    rng = np.random.default_rng(seed)
    frame, side = (90, 70), 50
    x, y = rng.integers(0, 40), rng.integers(0, 20)
    crop = np.array([x, y, x + side, y + side], float)
    low = np.stack([rng.integers(0, 80, 20), rng.integers(0, 60, 20)], 1)
    given = np.concatenate([low, rng.integers(1, [frame] - low + 1)], 1)
    box, visible = coco_crop.boxes(given, frame, crop, 100)
    for k, (bx, by, w, h) in enumerate(given.tolist()):
        mask = np.zeros(frame[::-1], bool)
        mask[by : by + h, bx : bx + w] = True
        inside = mask[y : y + side, x : x + side]
        assert visible[k] == pytest.approx(inside.sum() / mask.sum())
        assert box[k, 2] * box[k, 3] == pytest.approx(inside.sum() * 4, abs=1e-3)
        if inside.any():
            rows, cols = np.argwhere(inside).T
            assert np.allclose(box[k, :2], [2 * cols.min(), 2 * rows.min()])
    assert (box >= 0).all() and (box[:, :2] + box[:, 2:] <= 100 + 1e-4).all()


def test_a_box_outside_its_photograph_is_refused_and_one_without_area_is_not_seen():
    crop = coco_crop.window((640, 426), coco_crop.crops([ROW_0])[0])
    for wrong in ([600, 0, 60, 10], [-5, 0, 10, 10], [0, 0, -3, 10], [0, 420, 5, 20]):
        with pytest.raises(errors.DataInvalid, match=r'a box .*640 x 426 pixels.*here'):
            coco_crop.boxes([[1, 1, 2, 2], wrong], (640, 426), crop, 425, 'here')
    assert coco_crop.boxes([[200, 388.3, 1.03, 0.0]], (640, 426), crop, 425)[1] == [0]
    assert coco_crop.boxes([[200, 0, 40, 426.4]], (640, 426), crop, 425)[1] > 0.99
    assert coco_crop.boxes([], (640, 426), crop, 425)[0].shape == (0, 4)


def test_shares_count_half_pixels_by_half(tmp_path):
    ids = np.array([[1, 1, 2, 2], [1, 1, 2, 2], [0, 3, 3, 300]])
    _save(tmp_path / 'a.png', ids)
    crop = np.array([0.5, 0.5, 3.5 - 1, 2.5])  # 2 x 2: columns half, whole, half
    got = coco_crop.shares(tmp_path / 'a.png', [300, 2, 1, 3], (4, 3), crop)
    assert np.allclose(got * 4, [0, 0.5 * 1.5, 1.5 * 1.5, 0.5 * 1 + 0.5 * 0.5])
    assert coco_crop.share(ids == 1, (4, 3), crop) * 4 == pytest.approx(1.5 * 1.5)


@pytest.mark.parametrize('seed', range(4))
def test_shares_are_those_of_slicing_where_pixels_are_whole(tmp_path, seed):
    rng = np.random.default_rng(seed)
    listed = rng.choice(2**24 - 1, 6, replace=False) + 1
    ids = np.concatenate([[0], listed])[rng.integers(0, 7, (40, 60))]
    _save(tmp_path / 'a.png', ids)
    got = coco_crop.shares(tmp_path / 'a.png', listed, (60, 40), np.array([20.0, 10, 45, 35]))
    assert np.allclose(got, [(ids[10:35, 20:45] == i).mean() for i in listed])


def test_a_segment_that_is_not_listed_is_refused(tmp_path):
    _save(tmp_path / 'a.png', np.full((4, 4), 9))
    with pytest.raises(errors.DataInvalid, match='segment 9 of 16 pixels is not among the 2'):
        coco_crop.shares(tmp_path / 'a.png', [8, 10], (4, 4), np.array([0.0, 0, 4, 4]))


def _save(path, ids):
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8)
    Image.fromarray(colours).save(path)
