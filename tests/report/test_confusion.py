import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest

from recon.core import errors
from recon.report import _confusion

COUNTS = np.array([[2, 0, 0, 0], [1, 6, 1.5, 0], [0, 0, 5, 0], [0, 0, 0, 0]])
NAMES = ('<bus>', 'cat', 'dog', 'emu')


def cells(svg):
    """[(row, column, opacity, title)] of the drawn squares."""
    return [
        (
            int(r.get('y')) // 14,
            int(r.get('x')) // 14,
            float(r.get('fill-opacity')),
            r[0].text,
        )
        for r in xml.fromstring(svg).iter('rect')
        if r.get('fill') == 'currentColor'
    ]


def test_squares_are_shares_of_rows_the_most_frequent_first():
    got = _confusion.picture(COUNTS, NAMES)
    found = cells(got['svg'])
    assert [(r, c) for r, c, *_ in found] == [(0, 0), (0, 1), (0, 2), (1, 1), (2, 2)]
    assert [o for *_, o, _ in found] == pytest.approx([6 / 8.5, 1.5 / 8.5, 1 / 8.5, 1, 1], abs=6e-4)
    assert found[1][-1] == 'cat, decoded as dog: 1.5 of 8.5'
    assert got['right'] == '83.9 %'
    assert got['note'] == 'neither shown nor decoded: 1'


def test_names_are_escaped_and_long_ones_cut():
    svg = str(_confusion.picture(np.eye(2), ('<bus>', 'a' * 30))['svg'])
    assert '&lt;bus&gt;' in svg
    assert '<bus>' not in svg
    assert 'a' * 19 + '…<' in svg


def test_the_worst_pairs_are_listed():
    rows = _confusion.picture(COUNTS, NAMES)['pairs']['rows']
    listed = [[cell['text'] for cell in row] for row in rows]
    assert listed == [['cat', 'dog', '1.5'], ['cat', '<bus>', '1']]
    assert rows[0][2]['sub'] == '17.6 %'
    assert _confusion.picture(np.eye(2), 'ab')['pairs'] is None


def test_of_many_categories_the_most_frequent_are_drawn():
    counts = np.diag(np.arange(133.0))
    got = _confusion.picture(counts, [f'c{i}' for i in range(133)])
    texts = re.findall('>(c[0-9]+)</text>', got['svg'])
    assert texts[::2] == [f'c{i}' for i in range(132, 92, -1)]
    assert got['note'] == 'not drawn: the 92 least frequent; neither shown nor decoded: 1'
    assert len(got['svg']) < 40_000


def test_a_category_that_is_left_out_is_told():
    got = _confusion.picture(np.eye(3), 'abc', limit=2)
    assert got['note'] == 'not drawn: the 1 least frequent'


def test_nothing_decoded_draws_nothing():
    got = _confusion.picture(np.zeros((2, 2)), 'ab')
    assert 'nothing was decoded' in got['svg']
    assert got['right'] == '0.0 %'


@pytest.mark.parametrize(
    'counts, names',
    [(np.zeros((2, 3)), 'ab'), (np.eye(2), 'abc'), (-np.eye(2), 'ab')],
)
def test_what_is_no_square_of_counts_is_refused(counts, names):
    with pytest.raises(errors.DataInvalid, match='confusion has shape'):
        _confusion.picture(counts, names)
