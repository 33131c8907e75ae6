import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import backgrounds, scenes


@pytest.fixture(scope='module')
def many():
    return scenes.draw(np.arange(3_000))


def test_a_scene_depends_on_its_id_and_seed_alone(many):
    again = scenes.draw([2_000, 7, 7, 451])
    np.testing.assert_array_equal(again.images, many.images[[2_000, 7, 7, 451]])
    np.testing.assert_array_equal(again.contents, many.contents[[2_000, 7, 7, 451]])
    other = scenes.draw([7], seed=1)
    assert (other.images[0] != many.images[7]).mean() > 0.5
    assert len({picture.tobytes() for picture in many.images}) == len(many.ids)


def test_the_frozen_version_still_draws_the_same_scenes(many):
    assert many.category[:6].tolist() == GOLDEN['category']
    assert many.colour[:6].tolist() == GOLDEN['colour']
    assert scenes.captions(many)[10] == GOLDEN['caption']
    # Pillow may round an edge otherwise in another version: a hundredth of a grey level on average.
    means = many.images[:6].mean((1, 2, 3))
    np.testing.assert_allclose(means, GOLDEN['means'], atol=0.2)


def test_the_share_of_each_category_is_that_of_its_objects_and_of_its_cells(many):
    shares = scenes.coverages(many)
    assert shares.shape == (3_000, 16) and shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(1), many.coverage.sum(1), rtol=1e-5)
    np.testing.assert_allclose(shares, many.contents.mean((2, 3)), atol=2e-3)
    assert (shares[scenes.labels(many) > 0] > 0).all()


def test_everything_there_is_occurs(many):
    for field, names in (
        (many.category, scenes.CATEGORIES),
        (many.colour, scenes.COLOURS),
        (many.size, scenes.SIZES),
        (many.position, scenes.POSITIONS),
    ):
        assert set(np.unique(field)) == {-1, *range(len(names))}
    counts = np.bincount((many.category >= 0).sum(1), minlength=5)
    assert counts[0] == 0 and (counts[1:] > 300).all()
    assert len(scenes.CATEGORIES) >= 12 and len(scenes.COLOURS) == 8
    assert set(np.unique(many.place)) == set(range(8))


def test_objects_overlap_with_the_main_one_in_front_and_none_larger(many):
    others = many.category[:, 1:] >= 0
    np.testing.assert_allclose(many.visible[:, 0], 1, atol=1e-5)
    assert 0.1 < (many.visible[:, 1:][others] < 0.95).mean() < 0.6
    assert (many.size[:, 1:][others] <= np.repeat(many.size[:, :1], 3, 1)[others]).all()


def test_unseen_pairs_occur_in_test_pictures_alone(many):
    test = scenes.held_out(many.ids)
    assert test.mean() == 0.1
    shown = scenes.has_unseen(many)
    assert not shown[~test].any()
    assert 0.15 < shown[test].mean() < 0.4
    # Every one of them, in enough test pictures.
    test = scenes.draw(np.arange(9, 10_000, 10), size=16)
    colours = tuple(scenes.COLOURS)
    pairs = {
        (scenes.CATEGORIES[a], colours[b])
        for a, b in zip(test.category.ravel(), test.colour.ravel(), strict=True)
        if a >= 0
    }
    assert set(scenes.UNSEEN) <= pairs
    assert len(pairs) == 16 * 8


def test_boxes_contain_the_objects(many):
    rows = np.arange(200)
    draws = np.array([np.random.default_rng((1, 0, i)).random(128)[64:] for i in rows])
    empty, _ = backgrounds.draw(draws, 64)
    changed = np.abs(many.images[rows] / 255 - empty).max(-1) > 0.02
    for i in rows:
        outside = np.ones((64, 64), bool)
        for k in np.flatnonzero(many.category[i] >= 0):
            top, left, bottom, right = np.rint(many.box[i, k] * 64).astype(int)
            outside[top:bottom, left:right] = False
            if k == 0:
                inside = changed[i, top:bottom, left:right]
                assert inside.mean() > 0.3
                touches = inside[:2], inside[-2:], inside[:, :2], inside[:, -2:]
                assert sum(edge.any() for edge in touches) >= 3  # one side may match the ground
        assert not (changed[i] & outside).any()


def test_coverage_and_contents_agree(many):
    for i in range(50):
        for k in np.flatnonzero(many.category[i] >= 0):
            of_it = many.contents[i, many.category[i, k]].mean()
            np.testing.assert_allclose(of_it, many.coverage[i, k], atol=1e-5)
    absent = np.ones((len(many.ids), 16), bool)
    rows, k = np.nonzero(many.category >= 0)
    absent[rows, many.category[rows, k]] = False
    assert (many.contents[absent] == 0).all()
    assert many.contents.max() <= 1 + 1e-5


def test_captions_name_the_main_object_first_with_size_colour_and_place(many):
    captions = scenes.captions(many)
    for i in range(500):
        main = (
            f'a {tuple(scenes.SIZES)[many.size[i, 0]]} {tuple(scenes.COLOURS)[many.colour[i, 0]]} '
            f'{scenes.CATEGORIES[many.category[i, 0]]} '
            f'at the {scenes.POSITIONS[many.position[i, 0]]}'
        )
        assert captions[i].startswith(main)
        assert captions[i].endswith(backgrounds.describe(many.place[i]))
        for k in np.flatnonzero((many.category[i] >= 0) & (many.visible[i] >= 0.25)):
            colour, category = tuple(scenes.COLOURS)[many.colour[i, k]], many.category[i, k]
            assert f' {colour} {scenes.CATEGORIES[category]} at' in captions[i]
        named = captions[i].count(' at the ')
        assert named == ((many.category[i] >= 0) & (many.visible[i] >= 0.25)).sum()
    assert len(set(captions)) > 0.98 * len(captions)


def test_labels_are_what_the_captions_name(many):
    labels, captions = scenes.labels(many), scenes.captions(many)
    assert labels.dtype == np.uint8
    for i in range(300):
        named = [f' {name} at' in captions[i] for name in scenes.CATEGORIES]
        assert labels[i].astype(bool).tolist() == named


@pytest.mark.parametrize('size', [32, 100, 200])
def test_at_another_size_it_is_the_same_scene(size, many):
    other = scenes.draw(np.arange(30), size)
    assert other.images.shape == (30, size, size, 3)
    np.testing.assert_array_equal(other.category, many.category[:30])
    assert np.abs(other.box - many.box[:30]).max() < 0.12
    assert np.abs(other.contents - many.contents[:30]).mean() < 0.01
    tiny = [
        pictures.reshape(30, 4, len(pictures[0]) // 4, 4, -1, 3).mean((2, 4))
        for pictures in (other.images, many.images[:30])
    ]
    assert np.corrcoef(tiny[0].ravel(), tiny[1].ravel())[0, 1] > 0.97


def test_the_mean_picture_says_little(many):
    flat = many.images.reshape(len(many.ids), -1) / 255
    flat -= flat.mean(1, keepdims=True)
    mean = flat.mean(0)
    r = flat @ mean / np.linalg.norm(flat, axis=1) / np.linalg.norm(mean)
    assert r.mean() < 0.2


def test_choose_gives_distinct_ids_of_one_side(many):
    rng = np.random.default_rng(0)
    for test in (False, True):
        ids = scenes.choose(1_000, test, rng)
        assert len(set(ids.tolist())) == 1_000 and (np.diff(ids) > 0).all()
        assert (scenes.held_out(ids) == test).all()


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(errors.ConfigError, match='scenes_version is 2.*versions that exist: 1'):
        scenes.draw([0], version=2)
    with pytest.raises(errors.ConfigError, match='size is 8'):
        scenes.draw([0], size=8)
    with pytest.raises(errors.ConfigError, match='7301 test pictures .* 0 to 7300 exist'):
        scenes.choose(7_301, True, np.random.default_rng(0))


GOLDEN = {
    'category': [
        [8, 15, -1, -1],
        [9, 2, 0, -1],
        [1, -1, -1, -1],
        [7, 15, -1, -1],
        [5, -1, -1, -1],
        [15, -1, -1, -1],
    ],
    'colour': [
        [4, 1, -1, -1],
        [1, 2, 7, -1],
        [7, -1, -1, -1],
        [0, 7, -1, -1],
        [4, -1, -1, -1],
        [2, -1, -1, -1],
    ],
    'caption': 'a large yellow bird at the left and a small yellow letter at the bottom right, '
    'a misty sky over asphalt',
    'means': [191.54, 116.07, 191.04, 133.58, 108.81, 56.64],
}
