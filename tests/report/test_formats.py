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
    assert formats.interval({'mean': 0.9, 'ci95': None}) == 'no interval'
    assert formats.interval({'mean': None, 'ci95': [None, None]}) == 'no interval'


def test_a_p_value_at_its_floor_is_named_the_smallest_possible():
    least = {'p': 1 / 1001, 'permutations': 1000}
    assert formats.p_text(least) == 'p = 0.001, the smallest possible'
    assert formats.p_text(least, brief=True) == 'p ≤ 0.001'
    assert formats.p_text({'p': 1 / 10001, 'permutations': 10000}, True) == 'p ≤ 0.0001'
    assert formats.p_text({'p': 0.0421, 'permutations': 1000}) == 'p = 0.042'
    assert formats.p_text({'p': 2 / 1001, 'permutations': 1000}, True) == 'p = 0.002'
    assert formats.p_text({'p': None}) == 'p not tested'


@pytest.mark.parametrize('permutations', [1, 19, 42, 50, 999, 1000, 5000])
def test_the_brief_bound_is_true(permutations):
    p = 1 / (1 + permutations)
    bound = float(formats.p_text({'p': p, 'permutations': permutations}, True).split('≤')[1])
    assert p <= bound < 1.4 * p


def test_times_and_memory_are_in_units_that_people_use():
    assert [formats.duration(s) for s in (1.234, 600, 7200)] == ['1.2 s', '10.0 min', '2.0 h']
    assert [formats.memory(m) for m in (812.3, 2048)] == ['812 MB', '2.0 GB']
