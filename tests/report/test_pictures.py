import base64
import io

import numpy as np
import pytest
from PIL import Image

from recon.core import errors, image
from recon.report import pictures


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2])))


def test_a_small_picture_is_kept_to_the_bit():
    pixels = np.random.default_rng(0).random((28, 20, 3)).astype(np.float32)
    made = pictures.picture(pixels)
    assert (made['width'], made['height'], made['small']) == (20, 28, True)
    assert (np.asarray(opened(made['uri'])) == image.to_uint8(pixels)).all()


def test_a_grey_picture_has_one_channel():
    pixels = np.repeat(np.random.default_rng(0).random((10, 10, 1)), 3, -1)
    for given in (pixels, pixels[..., :1], pixels[..., 0]):
        assert opened(pictures.picture(given)['uri']).mode == 'L'


def test_a_large_picture_is_reduced_and_keeps_its_shape():
    made = pictures.picture(np.zeros((400, 800, 3)), 200)
    assert (made['width'], made['height'], made['small']) == (200, 100, False)
    assert made['uri'].startswith('data:image/jpeg')


def test_not_a_number_is_drawn_black_without_a_word(recwarn):
    pixels = np.full((4, 4, 3), np.nan)
    assert np.asarray(opened(pictures.picture(pixels)['uri'])).max() == 0
    assert not recwarn.list


def entry(values, better='higher'):
    return {'per_image': values, 'better': better, 'unit': 'image'}


def test_ranking_goes_from_best_to_worst_with_undefined_last():
    order, _ = pictures.ranking(entry([0.1, None, 0.9, 0.5]), 4)
    assert order.tolist() == [2, 3, 0, 1]
    order, _ = pictures.ranking(entry([0.1, None, 0.9, 0.5], 'lower'), 4)
    assert order.tolist() == [0, 3, 2, 1]


def test_ties_stay_in_the_order_of_the_file():
    assert pictures.ranking(entry([0.5] * 5), 5)[0].tolist() == [0, 1, 2, 3, 4]


def test_a_score_that_is_not_of_pictures_ranks_none():
    assert pictures.ranking(entry(None), 3) is None
    assert pictures.ranking({'per_unit': [1, 2, 3], 'unit': 'voxel'}, 3) is None
    assert pictures.ranking({'per_unit': [1, 2, 3], 'unit': 'row'}, 3) is not None


def test_picks_are_best_median_and_worst_of_the_defined():
    order, values = pictures.ranking(entry([0.1, None, 0.9, 0.5, 0.2]), 5)
    assert pictures.picks(order, values) == [
        ('best', 2),
        ('median (lower)', 4),
        ('worst', 0),
    ]
    order, values = pictures.ranking(entry([0.1, 0.9, 0.5], 'lower'), 3)
    assert pictures.picks(order, values)[1] == ('median', 2)
    order, values = pictures.ranking(entry([None, None]), 2)
    assert pictures.picks(order, values) == []


def test_a_selection_keeps_both_ends_of_the_ranking():
    rows = pictures.spaced(np.arange(982)[::-1])
    assert len(rows) == pictures.SHOWN and rows[0] == 981 and rows[-1] == 0
    assert len(set(rows.tolist())) == pictures.SHOWN


def test_the_decoded_picture_is_shown_binarised_where_that_was_scored():
    arrays = {'truth': np.zeros((2, 3, 3, 3)), 'images': np.full((2, 3, 3, 3), 0.7)}
    names = [n for n, _ in pictures.columns(arrays, {'threshold': 0.6}, True)]
    assert names == ['seen', 'decoded', 'above 0.600']
    assert pictures.columns(arrays, {'threshold': 0.8}, True)[2][1].max() == 0
    arrays |= {'stage_b': np.zeros((2, 3, 3)), 'stage_binarised': np.zeros((2, 3, 3))}
    names = [n for n, _ in pictures.columns(arrays, {}, True)]
    assert names == ['seen', 'decoded', 'binarised', 'b']


def test_stages_of_another_length_are_refused():
    arrays = {
        'truth': np.zeros((2, 3, 3, 3)),
        'images': np.zeros((2, 3, 3, 3)),
        'stage_a': np.zeros((3, 3, 3)),
    }
    with pytest.raises(errors.DataInvalid, match=r'a has shape \(3, 3, 3\)'):
        pictures.columns(arrays, {}, False)
