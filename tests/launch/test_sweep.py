import json

import pytest

from launch import options, report, sweep
from recon.core import errors

SMOKE = ['--config=configs/digits69_ridge.py:smoke', '--config.baselines=mean_image']
SMOKE += ['--config.learning_curve=()', '--config.score_train=false']


def test_a_grid_makes_a_run_of_every_combination(capsys, tmp_path):
    words = [*SMOKE, f'--workdir={tmp_path}', '--grid.decoder.name=ridge,omp', '--grid.seed=1,2']
    assert sweep.main([*words, '--print']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and not list(tmp_path.iterdir())
    assert all(line.startswith('python launch/main.py --config=') for line in lines)
    assert '--config.decoder.name=omp' in lines[2] and '--config.seed=2' in lines[3]
    assert len({line.split('--workdir=')[1].split()[0] for line in lines}) == 4


def test_runs_go_in_turn_into_one_table_and_are_not_run_again(capsys, tmp_path):
    words = [*SMOKE, f'--workdir={tmp_path}', '--grid.decoder.name=ridge,univariate']
    assert sweep.main(words) == 0
    table = json.loads((tmp_path / 'table.json').read_text())
    assert [row['name'] for row in table['rows']] == ['decoder-ridge', 'decoder-univariate']
    for row in table['rows']:
        scores = json.loads((tmp_path / row['workdir'] / 'scores.json').read_text())
        assert row['scores'] == scores['scores'] and row['data'] == 'digits69 (simulated files)'
    page = (tmp_path / 'table.html').read_text()
    assert 'decoder-ridge' in page and 'pixel correlation' in page
    before = {p: p.stat().st_mtime_ns for p in tmp_path.glob('*/scores.json')}
    assert sweep.main(words) == 0
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.glob('*/scores.json')}


def test_a_config_without_runs_of_its_own_wants_a_grid(capsys):
    assert sweep.main(['--config=configs/digits69_ridge.py']) == 2
    assert '--grid.key=a,b' in capsys.readouterr().err
    with pytest.raises(errors.ConfigError, match='grid without values'):
        sweep.plan(options.parse(SMOKE, ''), {'seed': []})


def test_published_numbers_stand_beside_those_of_the_scales_sweep():
    plan = sweep.plan(options.parse(['--config=configs/miyawaki2008_scales.py:smoke'], ''), {})
    by_name = {run['name']: run for run in plan['runs']}
    assert by_name['omp_1x1']['published'] == {'binary_accuracy': '75.1 %'}
    assert by_name['omp_1x1-1x3-3x1-3x3']['published'] == {'binary_accuracy': '83.2 %'}
    assert by_name['linear_1x1-1x2-2x1-2x2']['published'] == {'binary_accuracy': '72.9 %'}
    assert by_name['omp_1x1_V1+V2']['published'] == {} and len(plan['runs']) == 16


@pytest.mark.long
def test_the_sweep_over_scales_ends_in_a_table_with_its_figure(tmp_path):
    words = ['--config=configs/miyawaki2008_scales.py:smoke', f'--workdir={tmp_path}']
    assert sweep.main(words) == 0
    table = json.loads((tmp_path / 'table.json').read_text())
    assert len(table['rows']) == 16 and len(table['figures'][0]['series']) == 16
    page = (tmp_path / 'table.html').read_text()
    assert '75.1 %' in page and 'complexity of the pattern' in page


def test_a_report_can_be_built_anew_from_the_folder_alone(tmp_path, capsys):
    words = [*SMOKE, f'--workdir={tmp_path}', '--grid.decoder.name=ridge']
    assert sweep.main(words) == 0
    folder = tmp_path / 'decoder-ridge'
    before = (folder / 'report.html').read_text()
    (folder / 'report.html').unlink()
    assert report.main([str(folder)]) == 0
    assert (folder / 'report.html').read_text().count('<img') == before.count('<img')
    assert report.main([str(tmp_path / 'none')]) == 2
    assert 'no such folder' in capsys.readouterr().err
    assert report.main([str(tmp_path)]) == 2
    assert 'launch/main.py' in capsys.readouterr().err


def test_commas_in_brackets_do_not_part_the_values_of_a_grid():
    assert sweep.split('(10,),(1,2)') == ['(10,)', '(1,2)']
    assert sweep.split('a,b,a') == ['a', 'b']


def test_the_scales_sweep_refuses_what_it_sets_itself(capsys):
    assert sweep.main(['--config=configs/miyawaki2008_scales.py:base=ridge', '--print']) == 2
    assert 'base=ridge' in capsys.readouterr().err
