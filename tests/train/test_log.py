import json
import sys

import numpy as np
import pytest

from recon.core import results
from recon.train import log


def test_lines_are_appended_and_events_lie_beside_them(tmp_path):
    for step in (1, 2):
        with log.Log(tmp_path / 'logs') as written:
            written.write(step, loss=step / 2)
    lines = [
        json.loads(line) for line in (tmp_path / 'logs/metrics.jsonl').read_text().splitlines()
    ]
    assert lines == [{'step': s, 'name': 'loss', 'value': s / 2} for s in (1, 2)]
    assert results.read_log(tmp_path / 'logs/metrics.jsonl') == lines
    assert list((tmp_path / 'logs').glob('events*'))


def test_progress_says_rate_and_time_left(tmp_path, caplog):
    with log.Log(tmp_path) as written, caplog.at_level('INFO'):
        log.Progress(4, written).step('fit')
    assert '[1/4] fit' in caplog.text and 's left' in caplog.text


def test_a_stop_that_was_asked_for_comes_after_the_stage(tmp_path):
    asked = []
    with log.Log(tmp_path) as written:
        progress = log.Progress(4, written, lambda: bool(asked))
        progress.step('one')
        asked.append(1)
        with pytest.raises(results.Stopped, match='after two'):
            progress.step('two')


def test_a_training_that_goes_on_forgets_lines_of_later_steps(tmp_path):
    with log.Log(tmp_path) as written:
        for step in (10, 20, 30):
            written.write(step, loss=step)
    with log.Log(tmp_path, after=20) as written:
        written.write(30, loss=-1)
    lines = results.read_log(tmp_path / 'metrics.jsonl')
    assert [(line['step'], line['value']) for line in lines] == [(10, 10), (20, 20), (30, -1)]
    with log.Log(tmp_path, after=0):
        assert (tmp_path / 'metrics.jsonl').read_text() == ''
    with log.Log(tmp_path / 'new', after=5) as written:
        written.write(6, loss=1)
    assert len(results.read_log(tmp_path / 'new' / 'metrics.jsonl')) == 1


def test_the_losses_of_a_training_are_a_curve(tmp_path):
    assert log.curve(tmp_path, 'none') is None
    with log.Log(tmp_path) as written:
        for step in (10, 20):
            written.write(step, loss=1 / step, grad_norm=3.0)
        written.write(20, **{'validate/loss': 0.5})
    found = log.curve(tmp_path, 'Training of z')
    assert [s['name'] for s in found['series']] == ['training', 'validation']
    assert found['series'][0]['x'] == [10, 20] and found['series'][0]['y'] == [0.1, 0.05]
    assert found['series'][1]['y'] == [0.5]


def test_other_processes_write_nothing(tmp_path):
    assert isinstance(log.of_process(tmp_path, 0, {}), log.Log)
    with log.Silent(tmp_path / 'x', after=3) as written:
        written.write(1, loss=2.0)
    assert not (tmp_path / 'x').exists()


def test_the_parameters_of_a_training_are_listed_with_their_total(tmp_path, caplog):
    params = {'generator': {'w': np.zeros((30, 50)), 'b': np.zeros(50)}, 'd': np.zeros(7)}
    with caplog.at_level('INFO'):
        assert log.overview(tmp_path, params) == 1557
    table = (tmp_path / 'parameters.txt').read_text()
    assert 'generator/w' in table and '(30, 50)' in table and 'Total: 1,557' in table
    assert '1,557 parameters' in caplog.text
    assert 'tensorflow' not in sys.modules
