import re

import pytest

from recon.core import errors
from recon.report import figures
from tests.report import fake_run


def test_ticks_are_round_and_inside():
    assert figures.ticks(0.13, 0.97) == [0.2, 0.4, 0.6, 0.8]
    assert figures.ticks(-3, 3, 3) == [-2, 0, 2]
    assert figures.ticks(5, 5) == [5]


def test_a_domain_holds_all_values_and_stops_at_its_floor():
    low, high = figures.domain([0.01, 0.9, None, float('nan')], floor=0, ceiling=1)
    assert low == 0 and 0.9 < high <= 1
    assert figures.domain([]) == (0.0, 1.0)
    assert figures.domain([-0.2, 0.5], floor=0)[0] == -0.2


def points(svg):
    return [(float(x), float(y)) for x, y in re.findall(r'[ML]([\d.]+) ([\d.]+)', svg)]


def test_a_logarithmic_axis_spaces_powers_evenly_and_marks_the_choice():
    svg = figures.curves(fake_run.PENALTY_CURVE)
    xs = [x for x, _ in points(svg)]
    steps = {round(b - a, 0) for a, b in zip(xs, xs[1:], strict=False)}
    assert len(xs) == 8 and max(steps) - min(steps) <= 1
    assert 'chosen: 10⁴' in svg


def test_the_highest_value_is_drawn_highest():
    curve = {'series': [{'name': 'a', 'x': [1, 2, 3], 'y': [0.1, 0.9, 0.5]}]}
    ys = [y for _, y in points(figures.curves(curve))]
    assert ys.index(min(ys)) == 1


def test_an_undefined_value_breaks_the_line():
    curve = {'series': [{'name': 'a', 'x': [1, 2, 3, 4, 5], 'y': [1, 2, None, 4, float('nan')]}]}
    assert re.search(r'd="M[^M]*M[^M]*"', figures.curves(curve))
    assert 'nan' not in figures.curves(curve)


def test_intervals_get_whiskers_and_a_scatter_no_line():
    curve = {'series': [{'name': 'a', 'x': [1, 2], 'y': [1, 2], 'low': [0, 1], 'high': [2, 3]}]}
    assert figures.curves(curve).count('whisker') == 2
    assert 'class="line"' not in figures.scatter(curve)


def test_series_beyond_the_colours_change_their_dash():
    curve = {'series': [{'name': str(k), 'x': [0, 1], 'y': [0, k]} for k in range(8)]}
    styles = [entry['class'] for entry in figures.legend(curve)]
    assert len(set(styles)) == 8 and styles[6] == 's0 d1'


def test_lengths_that_differ_are_refused_with_the_name_of_the_series():
    with pytest.raises(errors.DataInvalid, match="series 'a' has 2 x and 1 y"):
        figures.curves({'series': [{'name': 'a', 'x': [1, 2], 'y': [1]}]})


def test_a_chart_without_points_says_so():
    assert 'no points' in figures.curves({'series': [{'name': 'a', 'x': [], 'y': []}]})
