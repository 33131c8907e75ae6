import json
import types

import pytest

from launch import options, report, sweep
from recon import pipeline
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


@pytest.mark.parametrize('grid', ['--grid.decodr.name=ridge,omp', '--grid.seed=a,b'])
def test_commands_that_cannot_run_are_not_printed(capsys, grid):
    assert sweep.main([*SMOKE, grid, '--print']) == 2
    said = capsys.readouterr()
    assert not said.out and len(said.err.splitlines()) == 1


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


CFG = types.SimpleNamespace(dataset=types.SimpleNamespace(name='shen2019'))


def kept(facts=None, **scores):
    """A run folder as results.read gives it."""
    protocol = {'data': {'source': 'shen2019', 'simulated': True}}
    held = {'scores': {'pixcorr': {'mean': 0.3}}, 'n': 8, 'protocol': protocol} | scores
    return {'scores': held, 'decoder': {'pixels': {'facts': facts or {}}}}


def test_a_row_holds_what_the_page_tells_apart():
    run = {'name': 'a_b', 'label': 'a b', 'published': {'pixcorr': '.27'}}
    told = sweep.row(run, kept(), CFG)
    assert told['name'] == 'a b' and told['workdir'] == 'a_b' and told['n'] == 8
    assert told['data'] == 'shen2019 (simulated files)' and 'scores_train' not in told
    more = {'scores_train': {'pixcorr': {}}, 'extra_tests': {'letters': {}}}
    told = sweep.row(run | {'published_train': {'pixcorr': '.96'}}, kept(**more), CFG)
    assert {k: told[k] for k in more} == more and told['published_train'] == {'pixcorr': '.96'}


def test_the_highest_on_validation_is_chosen_whatever_the_test_says():
    by = 'correlation on validation'
    rows = [
        sweep.row({'name': name}, kept({by: value}, scores={'pixcorr': {'mean': mean}}), CFG, by)
        for name, value, mean in (('a', 0.2, 0.9), ('b', 0.4, 0.1), ('c', 0.4, 0.5))
    ]
    sweep.mark(rows)
    assert [row['chosen'] for row in rows] == [False, True, False]
    with pytest.raises(errors.ConfigError, match='run d states no .*decoder.validation'):
        sweep.row({'name': 'd'}, kept(), CFG, by)


def planned(config):
    plan = sweep.plan(options.parse([f'--config=configs/{config}'], ''), {})
    return plan, {run['label']: run for run in plan['runs']}


def resolved(run):
    return options.resolve(run['arguments'], pipeline.DEFAULTS)


def test_the_tables_of_shen_hold_the_published_rows():
    plan, losses = planned('shen2019_gan_losses.py')
    assert losses['all losses']['published'] == {'pixcorr': '.27', 'ssim': '.30'}
    assert losses['all losses']['published_train'] == {'pixcorr': '.96', 'ssim': '.75'}
    assert losses['without image loss']['published'] == {'pixcorr': '-.04', 'ssim': '.04'}
    assert losses['noise input']['published'] == {'pixcorr': '.09', 'ssim': '.18'}
    assert losses['noise input']['published_train'] == {} and plan['choose'] == ''
    weights = {name: resolved(run).decoder.weights for name, run in losses.items()}
    assert weights['all losses'] == (100, 100, 10000)
    assert weights['without image loss'] == (0, 100, 10000)
    assert weights['without feature loss'] == (100, 0, 10000)
    assert weights['without adversarial loss'] == (100, 100, 0)
    published = resolved(losses['published weights']).decoder
    assert published.weights == (2e-6, 0.01, 100) and published.pixel_range == 255
    noise = resolved(losses['noise input']).decoder
    assert noise.noise_input and noise.gain == 1 and published.gain == 24**0.5
    _, areas = planned('shen2019_gan_areas.py')
    assert list(areas) == ['VC', 'V1+V2', 'HVC', 'FFA', 'PPA']
    assert areas['HVC']['published'] == {'pixcorr': '.10', 'ssim': '.20'}
    assert resolved(areas['V1+V2']).preprocess.rois.keep == ('V1', 'V2')
    assert 'rois' not in resolved(areas['VC']).preprocess


def test_the_triples_of_weights_are_chosen_on_rows_put_aside():
    plan, runs = planned('shen2019_gan_weights.py:small')
    assert plan['choose'] == 'correlation on validation' and len(runs) == 8
    assert all(resolved(run).decoder.validation == 0.1 for run in runs.values())
    assert resolved(runs['100:10:10000']).decoder.weights == (100, 10, 10000)
    assert len({resolved(run).decoder.weights for run in runs.values()}) == 8


def test_small_runs_of_shen_compare_by_layers_of_the_embedded_net():
    _, full = planned('shen2019_gan_comparators.py')
    named = [resolved(run).decoder.comparator for run in full.values()]
    assert named == ['alexnet', 'vgg16', 'vgg19', 'tiny/alexnet']
    _, small = planned('shen2019_gan_comparators.py:small')
    assert {resolved(run).decoder.comparator for run in small.values()} == {'tiny/alexnet'}
    assert len({resolved(run).decoder.layer for run in small.values()}) == 3


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        ('shen2019_gan_losses.py:noise', 'sweep itself sets'),
        ('shen2019_gan_areas.py:rois=V1', 'sweep itself sets'),
        ('simulated_shen_gan.py:table=colours', 'tables that exist: losses, areas'),
    ],
)
def test_a_table_refuses_options_that_it_sets(config, message):
    with pytest.raises(errors.ConfigError, match=message):
        planned(config)


@pytest.mark.parametrize(
    ('option', 'message'),
    [('weights=1:2', '100:100:10000'), ('weights=best', 'published, seed'), ('without=D', 'image')],
)
def test_losses_that_do_not_exist_are_refused(option, message):
    with pytest.raises(errors.ConfigError, match=message):
        options.load(options.parse([f'--config=configs/shen2019_gan.py:{option}'], ''))


@pytest.mark.long
def test_a_table_of_shen_ends_in_a_page_with_pictures_of_every_run(tmp_path):
    words = ['--config=configs/shen2019_gan_areas.py:smoke', f'--workdir={tmp_path}']
    assert sweep.main([*words, '--config.decoder.steps=4']) == 0
    table = json.loads((tmp_path / 'table.json').read_text())
    assert [row['name'] for row in table['rows']] == ['VC', 'V1+V2', 'HVC', 'FFA', 'PPA']
    for row in table['rows']:
        assert set(row['extra_tests']) == {'artificial', 'letters', 'imagery'}
        assert row['scores_train']['pixcorr']['split'] == 'train'
        assert (tmp_path / row['workdir'] / 'train_examples.npz').exists()
    page = (tmp_path / 'table.html').read_text()
    # 6 natural, shapes, imagined and training images, 5 letters; the truth and five runs of each
    assert page.count('<img') == (4 * 6 + 5) * 6
    assert 'Training images' in page and '.96' in page and 'By kind of picture' in page


BAG = """
from configs import digits69_ridge

def get_config(arg=None):
    cfg = digits69_ridge.get_config('smoke')
    cfg.baselines, cfg.learning_curve, cfg.score_train = (), (), False
    cfg.members = {k: {'decoder': {'penalties': (p,)}} for k, p in (('a', 1.0), ('b', 1e6))}
    return cfg

def get_sweep(arg=None):
    parts = [{'name': k, 'folder': 'bag', 'part': f'members/{k}', 'options': ''} for k in 'ab']
    return {'title': 'a bag', 'runs': [*parts, {'name': 'bag', 'options': ''}]}
"""


def test_rows_of_a_table_may_be_parts_of_one_run(capsys, tmp_path):
    config, out = tmp_path / 'bagged.py', tmp_path / 'out'
    config.write_text(BAG)
    words = [f'--config={config}', f'--workdir={out}']
    assert sweep.main([*words, '--print']) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1, 'one run'
    assert sweep.main(words) == 0
    rows = json.loads((out / 'table.json').read_text())['rows']
    assert [row['workdir'] for row in rows] == ['bag/members/a', 'bag/members/b', 'bag']
    for row in rows:
        told = json.loads((out / row['workdir'] / 'scores.json').read_text())
        assert row['scores'] == told['scores'] and (out / row['workdir'] / 'report.html').exists()
    means = [row['scores']['pixcorr']['mean'] for row in rows]
    assert len(set(means)) == 3
