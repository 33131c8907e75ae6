import numpy as np

from recon.core import results
from recon.report import sections
from tests.report import fake_run


def made(tmp_path, **changes):
    fake_run.write(tmp_path, **changes)
    return sections.context(results.read(tmp_path), 'a_run')


def test_areas_come_in_the_order_of_the_config(tmp_path):
    page = made(tmp_path, areas=fake_run.area_scores())
    rows = [row['label'] for row in page['areas']['chart']['rows']]
    assert rows == ['all voxels', 'V1', 'V2', 'V3', 'V4', 'LO', 'PPA']


def test_seconds_of_the_log_are_a_table_and_scalars_with_a_course_are_curves(tmp_path):
    fake_run.write(tmp_path)
    with open(tmp_path / 'logs' / 'metrics.jsonl', 'a') as file:
        for step in (2, 1):
            file.write(f'{{"step": {step}, "name": "loss", "value": {1 / step}}}\n')
        file.write('{"step": 3, "name": "loss", "val')  # a kill cut this line short
    log = sections.context(results.read(tmp_path), 'a_run')['log']
    assert [row['label'] for row in log['took']] == ['stage 1', 'stage 2', 'stage 3', 'stage 4']
    assert [chart['title'] for chart in log['charts']] == ['loss']


def test_the_audit_is_told_in_words_and_its_alignment_as_a_chart(tmp_path):
    page = made(tmp_path)
    audit = dict(page['audit'])
    assert audit['test images seen in training'] == '0'
    assert audit['statistics from training rows alone (measured)'] == 'yes'
    assert not [key for key in audit if 'alignment' in key]
    rows = [row['label'] for row in page['alignment']['chart']['rows']]
    assert rows == ['rows shifted by -1', 'as they are', 'rows shifted by +1']


def test_an_alignment_check_that_does_not_apply_says_why(tmp_path):
    page = made(tmp_path, audit={'alignment': {}, 'alignment_note': 'not applicable: one run'})
    assert page['alignment'] == {'chart': None, 'note': 'not applicable: one run'}


def test_the_words_are_those_that_the_page_uses(tmp_path):
    keys = [key for key, _, _ in made(tmp_path)['words']]
    assert {'pixcorr', 'ssim', 'two_way', 'baseline', 'chance'} <= set(keys)
    assert not {'retrieval', 'classify', 'simulated'} & set(keys)


def test_importance_by_area_needs_no_vertices(tmp_path):
    maps = fake_run.brain_maps(np.random.default_rng(0), v=60, vertices=False)
    brain = made(tmp_path, maps=maps)['brain']
    assert brain['maps'] == [] and brain['bars'][0]['definition'].startswith('the norm')
    assert brain['bars'][0]['chart']['rows'][0]['label'] == 'V1'


def test_a_page_written_while_the_run_ends_says_done(tmp_path):
    page = made(tmp_path, run={'status': 'running'})
    assert dict(page['machine'])['status'] == 'done' and page['banners'] == []
