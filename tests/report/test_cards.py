import re

from recon.report import cards
from tests.report import fake_run


def test_a_track_puts_mean_and_interval_where_they_belong():
    svg = cards.track({'mean': 0.5, 'ci95': [0.25, 0.75]}, (0, 1), chance=0.1)
    assert 'cx="50.0%"' in svg and 'x1="25.0%" x2="75.0%"' in svg and 'x1="10.0%"' in svg


def test_values_beyond_the_axis_stay_at_its_end():
    assert 'cx="100%"' in cards.track({'mean': 7}, (0, 1))


def test_each_picture_is_a_hair():
    svg = cards.track({'mean': 0.5, 'per_image': [0.1, None, 0.9, 0.5]}, (0, 1))
    assert svg.count('v14') == 3


def test_a_bar_starts_at_zero():
    assert 'x="0.0%" width="40.00%"' in cards.track({'mean': 0.4}, (0, 1), kind='bar')


def test_a_card_has_the_decoder_first_and_all_baselines():
    entry = fake_run.entry([0.5, 0.7], 'higher', 0.1)
    card = cards.cards(
        {'pixcorr': entry}, ['pixcorr'], {'zero_voxels': {'pixcorr': entry}, 'x': {}}
    )
    rows = [row['label'] for row in card[0]['rows']]
    assert rows == ['this decoder', 'silent brain'] and card[0]['value'] == '0.600'
    assert (
        card[0]['spread'] == 'pictures from 0.500 to 0.700, median 0.600 (mean of the middle two)'
    )


def test_one_odd_picture_does_not_squeeze_the_chart():
    values = [0.5] * 300 + [-40.0]
    card = cards.cards({'m': fake_run.entry(values, 'higher', 0.4)}, ['m'], {})[0]
    means = re.findall(r'cx="([\d.]+)%"', card['rows'][0]['track'])
    assert float(means[0]) < 99


def test_an_undefined_score_still_makes_a_card():
    entry = fake_run.entry([float('nan')] * 3, 'higher', None, p=None)
    card = cards.cards({'pixcorr': entry}, ['pixcorr'], {})[0]
    assert card['interval'] == 'no interval'
    assert card['value'] == 'undefined' and card['note'] == '3 undefined' and card['chance'] == '–'
