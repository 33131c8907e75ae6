"""Every config loads, resolves, and has a smoke option: configs that nobody loads rot."""

import ast
import pathlib

import pytest

from configs import common
from launch import options
from recon import bag, inspection, pipeline
from recon.core import errors, lookup

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGS = sorted(p for p in (ROOT / 'configs').glob('[a-z]*.py') if p.stem != 'common')


def resolved(path, extra=None):
    defaults = inspection.DEFAULTS if path.stem == 'inspect' else pipeline.DEFAULTS
    return options.resolve(options.Arguments(path, extra, None, {}), defaults)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
@pytest.mark.parametrize('extra', [None, 'smoke'])
def test_a_config_resolves_and_names_what_exists(path, extra):
    cfg = resolved(path, extra)
    if path.stem == 'inspect':
        inspection.check(cfg)
    else:
        assert cfg.metrics and (cfg.targets or cfg.generator.chain)
        assert extra is None or cfg.draws < 10_000
        try:
            pipeline.check(cfg)
        except errors.DataMissing as error:  # released weights are on few machines
            assert extra is None
            assert 'hf download' in str(error) or 'launch/convert.py' in str(error)
    if cfg.layout:
        lookup.find('recon.data.layouts', cfg.layout, 'layout')


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_a_config_says_what_it_is_how_to_run_it_and_what_to_expect(path):
    doc = ast.get_docstring(ast.parse(path.read_text()))
    for word in ('Run:', 'Smoke:', 'Expect:', f'configs/{path.name}'):
        assert word in doc, word


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_the_runs_of_a_sweep_resolve_too(path):
    module = options.module(path)
    if not hasattr(module, 'get_sweep'):
        return
    runs = module.get_sweep(None)['runs']
    assert runs and len({run['name'] for run in runs}) == len(runs)
    for run in runs:
        resolved(path, run['options'])


def test_an_unknown_option_of_a_config_is_refused_by_name():
    with pytest.raises(errors.ConfigError, match=r"option 'smok'.*smoke"):
        resolved(ROOT / 'configs' / 'digits69_ridge.py', 'smok')


@pytest.mark.parametrize(
    ('name', 'options', 'text'),
    [
        ('simulated_pix2pix', 'losses=zz', 'losses=.zz.*adversarial.l1.l2'),
        ('simulated_pix2pix', 'losses=l1+l1+', 'losses='),
        ('simulated_pix2pix', 'picture=zz', 'picture=.zz.; wanted flatmap, square'),
        ('simulated_pix2pix', 'condition=zz', 'condition=.zz.; wanted voxels, labels'),
        ('simulated_pix2pix', 'size=0', 'size=0'),
        ('simulated_pix2pix', 'size=48', 'size=48; .* power of 2'),
        ('simulated_pix2pix', 'epochs=-1', 'epochs=-1; wanted 0 or more'),
        ('simulated_cnn', 'system=zz', 'system=.zz.; wanted pix2pix, cnn1d'),
        ('simulated_cnn', 'batch=-2', 'batch=-2'),
        ('nsd_pix2pix', 'smoke,losses=zz', 'losses='),
        ('simulated_labels', 'epochs=0', 'epochs=0; wanted 1 or more'),
        ('simulated_labels', 'coverage=1.5', 'coverage=1.5; wanted 0 or more and at most 1'),
        ('nsd_labels', 'rate=-0.1', 'rate=-0.1'),
    ],
)
def test_an_option_that_no_data_can_make_fit_is_refused(name, options, text):
    with pytest.raises(errors.ConfigError, match=text):
        resolved(ROOT / 'configs' / f'{name}.py', options)


def test_losses_may_stand_in_any_order():
    path = ROOT / 'configs' / 'simulated_pix2pix.py'
    cfg = resolved(path, 'losses=l1+adversarial')
    pipeline.check(cfg)
    assert cfg.generator.pix2pix.losses == 'l1+adversarial'


@pytest.mark.parametrize(
    ('name', 'key', 'value'),
    [
        ('simulated_pix2pix', 'generator.pix2pix.losses', 'zz'),
        ('simulated_pix2pix', 'generator.pix2pix.batch', '0'),
        ('simulated_pix2pix', 'generator.pix2pix.epochs', '-1'),
        ('simulated_cnn', 'decoder.loss', 'zz'),
        ('simulated_labels', 'decoder.schedule', 'zz'),
        ('simulated_mlp', 'decoder.batch', '0'),
    ],
)
def test_options_of_a_trained_system_are_checked_before_any_data_are_read(name, key, value):
    path = ROOT / 'configs' / f'{name}.py'
    arguments = options.Arguments(path, None, None, {key: value})
    cfg = options.resolve(arguments, pipeline.DEFAULTS)
    with pytest.raises(errors.ConfigError, match=f'{key.rpartition(".")[2]} is'):
        pipeline.check(cfg)


def test_options_are_divided_by_name_and_a_list_stays_whole():
    given = 'path=/x,masks=none,set1,smoke,batches=16,32,width=8'
    own, others = common.divide(given, ('masks', 'batches'))
    assert own == 'masks=none,set1,batches=16,32' and others == 'path=/x,smoke,width=8'
    assert common.divide(None, ('masks',)) == ('', '')
    assert common.divide('small,smoke', ('small',)) == ('small', 'smoke')


def test_the_sweep_over_areas_crosses_what_it_is_given():
    path = ROOT / 'configs' / 'algonauts2023_mlp_rois.py'
    sweep = options.module(path).get_sweep
    usual = [run['name'] for run in sweep()['runs']]
    assert len(usual) == 12 and usual[0] == 'all-areas_batch16' and usual[-1] == 'set3_batch64'
    runs = sweep('masks=set2,batches=16,subjects=1,2,losses=l1,mse,width=64')['runs']
    assert [run['name'] for run in runs] == [
        'subj1_set2_batch16_l1', 'subj1_set2_batch16_mse',
        'subj2_set2_batch16_l1', 'subj2_set2_batch16_mse',
    ]  # fmt: skip
    cfg = resolved(path, runs[1]['options'])
    assert cfg.decoder.loss == 'mse' and cfg.decoder.width == 64 and cfg.decoder.epochs == 50
    assert cfg.preprocess.rois.keep == ('set2',)
    for arg in ('mask=set1', 'masks=V1'):
        with pytest.raises((ValueError, errors.ConfigError), match='mask'):
            [resolved(path, run['options']) for run in sweep(arg)['runs']]


def test_members_share_the_split_and_have_seeds_areas_and_batches_of_their_own():
    path = ROOT / 'configs' / 'algonauts2023_mlp_members.py'
    small = 'net=tiny/vae,size=64'  # released weights are on few machines
    cfg = resolved(path, small)
    members = {name: bag.member(cfg, name) for name in cfg.members}
    told = {
        name: (one.preprocess.rois.keep, one.decoder.seed, one.decoder.batch)
        for name, one in members.items()
    }
    assert told == {
        '92': (('set3',), 3, 16),
        '94': (('set1',), 2423, 16),
        '97': (('set3',), 849, 32),
        '100': (('set3',), 1921, 4),
    }
    assert {(one.seed, one.decoder.validation) for one in members.values()} == {(0, 0.3)}
    single = resolved(path, f'member=97,{small}')
    assert single.decoder == members['97'].decoder and not single.members
