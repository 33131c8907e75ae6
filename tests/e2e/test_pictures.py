"""System 4 from the command to its tables: pix2pix, its conditions, the nets beside it."""

import json

import numpy as np
import pytest

from launch import options, sweep
from recon import pipeline
from recon.core import errors

FEW = ('--config.draws=100', '--config.permutations=20', '--config.baselines=mean_image')


def planned(config):
    return {r['name']: r for r in sweep.plan(options.parse([f'--config={config}'], ''), {})['runs']}


def test_the_published_table_stands_beside_the_runs():
    runs = planned('configs/seed000_table1.py:smoke')
    assert {name: run['published'] for name, run in runs.items()} == {
        'pix2pix': {'pixcorr': '0.010', 'ssim': '0.012'},
        'cnn1d': {'pixcorr': '-0.689', 'ssim': '-0.551'},
        'cnn2d': {'pixcorr': '-0.675', 'ssim': '-0.609'},
    }


@pytest.mark.parametrize('name', ['simulated', 'nsd'])
def test_the_table_of_losses_has_each_alone_their_sums_and_the_conditions(name):
    runs = planned(f'configs/{name}_pix2pix.py')
    assert len(runs) == 10 and {'l1', 'l2', 'adversarial', 'adversarial_l1_l2'} < set(runs)
    with pytest.raises(errors.ConfigError, match='which the sweep itself sets'):
        planned(f'configs/{name}_pix2pix.py:losses=l1')


def resolved(name, extra=None):
    file = options.ROOT / 'configs' / f'{name}.py'
    return options.resolve(options.Arguments(file, extra, None, {}), pipeline.DEFAULTS)


def test_the_settings_are_those_of_the_report():
    for name in ('nsd_pix2pix', 'seed000_table1'):
        net = resolved(name).generator.pix2pix
        assert (net.size, net.width, net.losses, net.l1) == (256, 64, 'adversarial+l1', 100)
        assert (net.learning_rate, net.b1, net.batch, net.optimizer) == (2e-4, 0.5, 1, 'adam')
        assert net.jitter * 256 == 288 and net.mirror and net.noise == 0
    assert resolved('seed000_table1').preprocess.cortical_picture.side == 145
    assert resolved('seed000_table1', 'system=cnn1d').preprocess.hemispheres.size == 21_025


def test_a_condition_of_labels_reads_them_and_decodes_them():
    for condition, decoder in (('labels', 'ridge'), ('both', 'label_cnn'), ('none', 'none')):
        cfg = resolved('nsd_pix2pix', f'condition={condition}')
        assert cfg.decoder.name == decoder and cfg.generator.pix2pix.condition == condition
        assert cfg.dataset.annotations == ('labels' in cfg.targets) == (decoder != 'none')
    assert cfg.generator.pix2pix.noise == 1


def scores(folder):
    return json.loads((folder / 'scores.json').read_text())


def test_labels_that_nothing_decodes_are_refused_before_anything_is_read(tmp_path, run):
    code, _, err = run(
        *('--config=configs/simulated_pix2pix.py:smoke', f'--workdir={tmp_path / "a"}', *FEW),
        '--config.generator.pix2pix.condition=both',
    )
    assert code == 2 and "reads 'labels', and no target has that name" in err
    assert err.count('\n') == 1 and not (tmp_path / 'a').exists()


@pytest.mark.long
@pytest.mark.parametrize('condition', ['labels', 'both'])
def test_pix2pix_is_shown_labels_that_were_decoded(tmp_path, run, condition):
    code, _, err = run(
        f'--config=configs/simulated_pix2pix.py:smoke,condition={condition}',
        *(f'--workdir={tmp_path}', *FEW),
    )
    assert code == 0, err
    told = json.loads((tmp_path / 'decoder.json').read_text())
    assert told['pix2pix']['facts']['condition'] == condition and 'labels' in told
    assert len(told['pix2pix']['curves'][0]['series'][0]['x']) == 6
    with np.load(tmp_path / 'reconstructions.npz') as arrays:
        assert arrays['images'].shape == (20, 32, 32, 3)


@pytest.mark.long
def test_areas_are_learnt_from_their_own_pixels_and_fewer_rows_teach_too(tmp_path, run):
    code, _, err = run(
        *('--config=configs/simulated_cnn.py:smoke,picture=square', f'--workdir={tmp_path}', *FEW),
        *('--config.areas=V1,V1+V2', '--config.learning_curve=0.5'),
        *('--config.baselines=zero_voxels,shuffled_voxels', '--config.score_train=true'),
    )
    assert code == 0, err
    kept = scores(tmp_path)
    assert 0 < kept['areas']['V1']['n_voxels'] < kept['areas']['V1+V2']['n_voxels']
    assert set(kept['baselines']) == {'zero_voxels', 'shuffled_voxels'} and kept['scores_train']


@pytest.mark.long
def test_the_published_table_comes_out_by_one_command(tmp_path):
    words = ['--config=configs/seed000_table1.py:smoke', f'--workdir={tmp_path}', *FEW]
    assert sweep.main(words) == 0
    table = json.loads((tmp_path / 'table.json').read_text())
    assert [row['name'] for row in table['rows']] == ['pix2pix', 'cnn1d', 'cnn2d']
    assert table['metric_names'] == ['pixcorr', 'ssim']
    page = (tmp_path / 'table.html').read_text()
    assert '-0.689' in page and 'first seed report' in page
