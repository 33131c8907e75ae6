"""Every layout: what its reader returns is what the simulator knows to be true, to the bit."""

import json
import pathlib

import numpy as np
import pytest

from launch import main, simulate
from recon.core import lookup

LAYOUTS = lookup.names('recon.data.layouts')
READERS = {'algonauts2023_course': 'algonauts2023'}
OLDER = ('digits69', 'miyawaki2008')  # their own tests compare them with their truth
NEWER = [name for name in LAYOUTS if name not in OLDER]
# Columns of a row, by the names that truth.npz has them under.
FIELDS = ('voxels', 'image_id', 'session', 'run', 'repeat', 'trials')
OPTIONS = {'nsd': {'missing': 'skip'}}  # subject 2 lacks a session, as some subjects do


def read(layout, folder, subject):
    name = READERS.get(layout, layout)
    reader = lookup.find('recon.data.datasets', name, 'name')
    cfg = dict(reader.DEFAULTS, path=str(folder), **OPTIONS.get(layout, {}))
    if 'subject' in reader.DEFAULTS:
        cfg['subject'] = subject
    return reader.load(cfg)


def written(layout, folder, subject, scale='toy', seed=0):
    words = [f'--layout={layout}', f'--out={folder}', f'--subject={subject}', f'--scale={scale}']
    assert simulate.main([*words, f'--seed={seed}']) == 0
    with np.load(f'{folder}_truth/truth.npz') as file:
        return {name: file[name] for name in file.files}


def compare(brain, truth):
    parts = {name for name in ('train', 'test', 'validation') if f'{name}_voxels' in truth}
    assert {'train', 'test'} <= parts
    for name, split in brain.splits().items():
        for field in FIELDS:
            wanted, found = truth[f'{name}_{field}'], getattr(split, field)
            assert wanted.dtype.kind == found.dtype.kind, (name, field)
            np.testing.assert_array_equal(found, wanted, err_msg=f'{name} {field}')
        assert split.voxels.dtype == np.float32
    assert parts <= set(brain.splits())
    rois = {k.removeprefix('roi_'): v for k, v in truth.items() if k.startswith('roi_')}
    assert rois and set(rois) <= set(brain.rois)
    for name, mask in rois.items():
        np.testing.assert_array_equal(brain.rois[name], mask, err_msg=name)
    for name in (k for k in truth if k.startswith('info_')):
        field = brain.voxel_info[name.removeprefix('info_')]
        np.testing.assert_allclose(field, truth[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize('layout', NEWER)
def test_the_reader_returns_the_simulators_truth_for_two_subjects_of_unlike_size(layout, tmp_path):
    sizes = set()
    for subject, seed in ((1, 0), (2, 3)):
        truth = written(layout, tmp_path / str(subject), subject, seed=seed)
        brain = read(layout, tmp_path / str(subject), subject)
        compare(brain, truth)
        assert brain.facts['simulated'] is True and brain.facts['source']
        sizes.add(brain.train.voxels.shape[1])
    assert len(sizes) == 2


@pytest.mark.long
@pytest.mark.parametrize('layout', NEWER)
def test_the_reader_returns_the_simulators_truth_at_full_size(layout, full):
    folder, peak = full(layout)
    with np.load(f'{folder}_truth/truth.npz') as file:
        truth = {name: file[name] for name in file.files}
    compare(read(layout, folder, 2), truth)
    assert peak < 3 * 2**20  # KiB, while it was written


@pytest.mark.parametrize('layout', LAYOUTS)
def test_inspect_then_ridge_from_the_files_on_disk_reaches_a_report(layout, tmp_path, run):
    written(layout, tmp_path / 'data', 1)
    name = READERS.get(layout, layout)
    path = tmp_path / 'data'
    if layout == 'digits69':
        path = next(path.glob('*.mat'))
    words = (f'--config.dataset.name={name}', f'--config.dataset.path={path}')
    code, out, err = run('--config=configs/inspect.py', *words, f'--workdir={tmp_path / "seen"}')
    assert code == 0 and (tmp_path / 'seen' / 'report.html').exists(), err
    config = pathlib.Path(__file__).parents[2] / 'configs' / f'{name}_ridge.py'
    words = (f'--config={config}:path={path}', f'--workdir={tmp_path / "run"}')
    code, out, err = run(*words, '--config.draws=100', '--config.permutations=10')
    assert code == 0 and (tmp_path / 'run' / 'report.html').exists(), err


def test_a_session_that_is_not_on_disk_stands_on_the_page_and_stops_a_run(tmp_path, run):
    written('nsd', tmp_path / 'data', 2)
    words = (f'--config.dataset.path={tmp_path / "data"}', '--config.dataset.subject=2')
    name = '--config.dataset.name=nsd'
    code, _, err = run('--config=configs/inspect.py', name, *words, f'--workdir={tmp_path / "a"}')
    assert code == 0, err
    told = json.loads((tmp_path / 'a' / 'inspection.json').read_text())
    assert any('2' in f['text'] and 'session' in f['text'].lower() for f in told['findings'])
    assert told['facts']['missing_sessions'] == [2]
    code, _, err = run('--config=configs/nsd_ridge.py', *words, f'--workdir={tmp_path / "b"}')
    assert code == 2 and "dataset.missing='skip'" in err


def test_a_layout_that_does_not_exist_is_refused_and_those_that_do_are_listed(tmp_path, capsys):
    assert simulate.main(['--layout=nsf', f'--out={tmp_path / "a"}']) == 2
    assert "did you mean 'nsd'" in capsys.readouterr().err
    assert main.main(['--config=configs/nsd_ridge.py', f'--workdir={tmp_path / "b"}']) == 2
    said = capsys.readouterr().err
    assert 'launch/fetch.py' in said and '--layout=nsd' in said and ':smoke' in said
