import math

import pytest

from recon.report import formats


@pytest.mark.parametrize(
    ('value', 'percent', 'text'),
    [
        (0.79149, False, '0.791'),
        (0.0379123, False, '0.0379'),
        (0.5, False, '0.500'),
        (12.345, False, '12.3'),
        (1234.5, False, '1234'),
        (0, False, '0.000'),
        (-0.0104, False, '-0.0104'),
        (1e-9, False, '1.00e-09'),
        (0.94444, True, '94.4 %'),
        (1, True, '100 %'),
        (1 / 300, True, '0.333 %'),
        (None, False, 'undefined'),
        (math.nan, True, 'undefined'),
    ],
)
def test_numbers_have_three_digits_that_count(value, percent, text):
    assert formats.number(value, percent) == text


def test_both_ends_of_an_interval_have_the_same_decimals():
    assert formats.interval({'mean': 0.0379, 'ci95': [0.0312, 0.04467]}) == '0.0312 to 0.0447'
    assert formats.interval({'mean': 0.9, 'ci95': [0.8512, 0.95]}, True) == '85.1 to 95.0 %'
    assert formats.interval({'mean': 0.9, 'ci95': None}) == 'none'
    assert formats.interval({'mean': None, 'ci95': [None, None]}) == 'none'


def test_a_p_value_at_its_floor_is_a_bound():
    assert formats.p_text(1 / 1001) == 'p < 0.001'
    assert formats.p_text(0.0421) == 'p = 0.042'
    assert formats.p_text(None) == 'p not tested'


def test_times_and_memory_are_in_units_that_people_use():
    assert [formats.duration(s) for s in (1.234, 600, 7200)] == ['1.2 s', '10.0 min', '2.0 h']
    assert [formats.memory(m) for m in (812.3, 2048)] == ['812 MB', '2.0 GB']
