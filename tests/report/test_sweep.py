"""The page of a sweep: what was chosen, kinds of picture, pictures side by side."""

import numpy as np
import pytest

from recon.core import results
from recon.report import _kinds, _sweep
from recon.report import html as report
from tests.report import fake_run
from tests.report.test_html import Page

NAMES = ['pixcorr', 'ssim']


def entries(mean, n):
    values = np.linspace(mean - 0.05, mean + 0.05, n)
    return {name: fake_run.entry(values, 'higher', 0.05) for name in NAMES}


def row(name, mean, **more):
    """A run of a sweep over the kinds of Shen's test images."""
    held = {'name': name, 'workdir': name, 'scores': entries(mean, 8), 'data': 'shen2019', 'n': 8}
    held['extra_tests'] = {'artificial': entries(mean + 0.1, 5), 'letters': entries(mean + 0.2, 3)}
    return held | {'scores_train': entries(0.9, 20)} | more


def leave(folder, truth, seed=0):
    """The pictures of a run."""
    random = np.random.default_rng(seed)
    for file, n in (('reconstructions', 8), ('extra_tests/letters', 3), ('train_examples', 4)):
        made = random.random((n, *truth.shape[1:]), np.float32)
        arrays = {'images': made, 'truth': truth[:n], 'image_id': np.arange(n)}
        results.write_npz(folder / f'{file}.npz', arrays)


@pytest.fixture
def sweep(tmp_path):
    truth = fake_run.scenes(np.random.default_rng(1), 8, 32)
    for seed, name in enumerate(('all losses', 'without image', 'noise')):
        leave(tmp_path / name, truth, seed)
    published = {'published': {'pixcorr': '.27'}, 'published_train': {'pixcorr': '.96'}}
    rows = [row('all losses', 0.4, **published), row('without image', 0.1), row('noise', 0.0)]
    return tmp_path, {'title': 'Losses', 'metric_names': NAMES, 'rows': rows, 'pictures': 3}


def page(folder, table):
    shown = Page(report.write_sweep(folder, table).read_text())
    assert shown.wrong == [] and shown.stack == []
    return shown


def test_each_set_is_a_grid_of_the_truth_and_a_column_for_each_run(sweep):
    folder, table = sweep
    grids = _sweep.grids(folder, table['rows'], table['rows'], 3)
    assert [g['title'] for g in grids] == ['Test images', 'Letters', 'Training images']
    for grid, n in zip(grids, (8, 3, 0), strict=True):
        assert grid['headings'] == ['seen', 'all losses', 'without image', 'noise']
        assert [len(line['pictures']) for line in grid['lines']] == [4, 4, 4] and grid['n'] == n
    assert [line['id'] for line in grids[0]['lines']] == ['0', '4', '7']  # even steps, by no score
    shown = page(folder, table)
    assert sum(tag == 'img' for tag, _ in shown.tags) == 3 * 3 * 4
    assert 'Test images 3 of 8' in shown.text and 'Training images 3' in shown.text


def test_a_run_that_saw_other_pictures_is_left_out_and_named(sweep):
    folder, table = sweep
    leave(folder / 'noise', fake_run.scenes(np.random.default_rng(2), 8, 32))
    grids = _sweep.grids(folder, table['rows'], table['rows'], 3)
    assert grids[0]['headings'] == ['seen', 'all losses', 'without image']
    assert 'other pictures were seen: noise' in page(folder, table).text


def test_scores_stand_by_kind_with_the_number_of_pictures_and_what_was_published(sweep):
    shown = page(*sweep).text
    wanted = (
        'Run Natural images n = 8 published on its own data Shapes n = 5 Letters n = 3 '
        'Training images n = 20 published on its own data'
    )
    assert wanted in shown
    found = _kinds.by_metric(sweep[1]['rows'], 'pixcorr')
    assert [cell['text'] for cell in found['rows'][0]] == [
        *('all losses', '0.400', '.27', '0.500', '0.600', '0.900', '.96'),
    ]
    assert found['rows'][1][2]['text'] == '–'


def test_one_kind_alone_makes_no_table_of_kinds(sweep):
    folder, table = sweep
    for held in table['rows']:
        del held['extra_tests'], held['scores_train']
    assert _kinds.by_metric(table['rows'], 'pixcorr') is None
    assert 'By kind of picture' not in page(folder, table).text


def test_where_one_was_chosen_the_others_test_scores_and_pictures_stand_apart(sweep):
    folder, table = sweep
    for held, value in zip(table['rows'], (0.2, 0.5, 0.1), strict=True):
        held |= {'validation': value, 'chosen': value == 0.5}
    table['choose'] = 'correlation on validation'
    told = _sweep.context(folder, table)
    assert [cells[0]['text'] for cells in told['table']['rows']] == ['without image']
    assert [cells[0]['text'] for cells in told['apart']['rows']] == ['all losses', 'noise']
    assert [cells[2]['text'] for cells in told['choice']['rows']] == ['', 'chosen', '']
    grids = {grid['title']: grid['headings'] for grid in told['grids']}
    assert grids['Test images'] == ['seen', 'without image']
    assert len(grids['Training images']) == 4
    shown = page(folder, table).text
    assert shown.index('without image 0.500 chosen') < shown.index('The others, on the test')
    assert 'all losses n = 8' not in shown[: shown.index('The others, on the test')]


def test_one_run_has_a_table_of_its_kinds(tmp_path):
    extra = {'artificial': {'pixcorr': fake_run.entry([0.1, 0.2, 0.3], 'higher', 0.1)}}
    fake_run.write(tmp_path, 'scenes', extra_tests=extra)
    shown = Page(report.write(tmp_path).read_text()).text
    assert 'By kind of picture Pictures n' in shown and 'shapes 3 0.200' in shown
