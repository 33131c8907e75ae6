from recon.report import tables
from tests.report import fake_run


def texts(table):
    return [[cell['text'] for cell in row] for row in table['rows']]


def test_scores_stand_beside_their_baselines_in_the_usual_order():
    entry = fake_run.entry([0.5, 0.7], 'higher', 0.1)
    base = {'aaa': {'pixcorr': entry}, 'zero_voxels': {}, 'mean_image': {'pixcorr': entry}}
    table = tables.scores({'pixcorr': entry}, ['pixcorr'], base)
    heads = [column['text'] for column in table['columns']]
    assert heads[3:6] == ['Mean training image', 'Silent brain', 'Aaa']
    assert texts(table) == [['pixel correlation', '0.600', '0.100', '0.600', '–', '0.600', '2']]


def test_ties_and_undefined_are_counted_beside_n():
    entry = fake_run.entry([0.5, float('nan')], 'higher', 0.5, ties=4, undefined_as_failure=2)
    table = tables.scores({'two_way_pixel': entry}, ['two_way_pixel'], {})
    assert table['rows'][0][-1]['sub'] == '1 undefined, 4 ties, 2 undefined comparisons failed'


def test_a_published_column_appears_only_where_something_was_published():
    entry = fake_run.entry([0.5, 0.7], 'higher', 0.1)
    rows = [
        {'name': 'a', 'scores': {'pixcorr': entry, 'mse': entry}, 'published': {'mse': '1 %'}},
        {'name': 'b', 'scores': {'pixcorr': entry}},
    ]
    table = tables.comparison(rows, ['pixcorr', 'mse'])
    heads = [c['text'] for c in table['columns']]
    assert heads == ['Run', 'pixel correlation', 'mean squared error', 'published']
    assert texts(table) == [['a', '0.600', '0.600', '1 %'], ['b', '0.600', '–', '–']]


def test_the_link_of_a_run_is_quoted():
    rows = [{'name': 'a', 'scores': {}, 'workdir': 'javascript:x y#'}]
    cell = tables.comparison(rows, [])['rows'][0][0]
    assert cell['href'] == 'javascript%3Ax%20y%23/report.html'


def test_the_mean_image_has_a_row_for_each_set_of_scores():
    entry = {'mean': 0.8, 'ci95': [0.7, 0.9]}
    base = [{'mean_image': {'pixcorr': {'mean': m, 'ci95': [0.1, 0.7]}}} for m in (0.5, 0.5, 0.6)]
    rows = [{'name': n, 'scores': {'pixcorr': entry}, 'baselines': b}
            for n, b in zip('abc', base, strict=True)]  # fmt: skip
    table = tables.comparison([*rows, {'name': 'd', 'scores': {}}], ['pixcorr', 'mse'])
    assert texts(table)[4:] == [
        ['mean training image', '0.500', '–'],
        ['mean training image', '0.600', '–'],
    ]
    assert [row[0]['sub'] for row in table['rows'][4:]] == ['for a, b', 'for c']
    assert len(tables.comparison([{'name': 'd', 'scores': {}}], ['pixcorr'])['rows']) == 1


def test_other_pairings_and_a_missing_interval_are_in_the_small_print():
    entry = {'mean': 0.8, 'ci95': None, 'chance': 0.7, 'p': None, 'wrong_pairs': 0.531}
    row = tables.scores({'binary_accuracy': entry}, ['binary_accuracy'], {})['rows'][0]
    assert row[1]['sub'] == 'no interval' and row[2]['note'] == 'other pairings 53.1 %'


def test_areas_have_the_whole_brain_on_top():
    entry = fake_run.entry([0.5, 0.7], 'higher', 0.1)
    held = {'V1': {'n_voxels': 1200, 'scores': {'pixcorr': entry}}}
    rows = texts(tables.areas(held, {'pixcorr': entry}, ['pixcorr']))
    assert rows == [['all voxels', '–', '0.600'], ['V1', '1,200', '0.600']]


def test_a_table_of_a_decoder_keeps_its_words_and_rounds_its_numbers():
    table = tables.plain({'title': 't', 'columns': ['a', 'b', 'c'], 'rows': [['x', 0.12345, None]]})
    assert texts(table) == [['x', '0.123', '–']]
    assert [c['number'] for c in table['columns']] == [False, True, True]


def test_nested_values_become_dotted_rows():
    nested = {'a': {'b': 1, 'c': [1, 2.5]}, 'd': None, 'e': True, 'f': [{'g': 20000}], 'h': {}}
    assert tables.flat(nested) == [
        ('a.b', '1'), ('a.c', '1, 2.5'), ('d', 'not given'), ('e', 'yes'), ('f.0.g', '20,000'),
        ('h', 'none'),
    ]  # fmt: skip


def test_every_score_of_a_comparison_has_its_chance_below():
    entry = {'mean': 0.8, 'ci95': [0.7, 0.9], 'chance': 0.5, 'better': 'higher'}
    row = {'name': 'a', 'scores': {'pixcorr': entry}}
    cell = tables.comparison([row, {'name': 'b', 'scores': {}}], ['pixcorr'])['rows'][0][1]
    assert cell['note'] == 'chance 0.500' and cell['sub'] == '0.700 to 0.900'
