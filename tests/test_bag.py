import json

import numpy as np
import pytest

from launch import decode, main, options
from recon import bag, pipeline
from recon.core import errors, results
from recon.data.datasets import digits69
from recon.data.layouts import digits69 as layout

MEMBERS = {
    'all': {'decoder': {'penalties': (10.0, 100.0)}},
    'few': {
        'preprocess': {'order': ('normalise', 'select'), 'select': {'by': 'f', 'k': 50}},
    },
}


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    folder = layout.write(tmp_path_factory.mktemp('bag') / 'digits', scale='toy', seed=0)
    return next(folder.glob('*.mat'))


def config(file, members):
    words = options.Arguments(options.find_config('digits69_ridge'), f'path={file}', None, {})
    cfg = options.load(words)
    cfg.update(draws=50, permutations=5, baselines=('mean_image',), learning_curve=())
    cfg.score_train = False
    cfg.members = members
    return cfg


@pytest.fixture(scope='module')
def made(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run') / 'bag'
    bag.run(config(file, MEMBERS), folder)
    return folder


def test_members_are_whole_runs_and_the_bag_is_their_mean(made):
    held = [results.read(made / 'members' / name) for name in MEMBERS]
    own = results.read(made)
    pictures = [one['arrays']['images'] for one in held]
    assert np.abs(pictures[0] - pictures[1]).max() > 0.05
    np.testing.assert_allclose(own['arrays']['images'], np.mean(pictures, 0), atol=1e-6)
    np.testing.assert_array_equal(own['arrays']['stage_member_few'], pictures[1])
    scores = own['scores']
    for name, one in zip(MEMBERS, held, strict=True):
        means = {key: entry['mean'] for key, entry in one['scores']['scores'].items()}
        assert scores['members'][name] == means
        assert one['run']['status'] == 'done' and not one['config']['members']
    assert scores['scores']['mse']['mean'] < max(m['mse'] for m in scores['members'].values())
    assert set(scores['baselines']) == {'mean_image'} and own['run']['protocol']
    assert held[1]['config']['preprocess']['select']['k'] == 50
    assert 'Member' in (made / 'report.html').read_text()


def test_the_same_again_changes_nothing(made, file):
    before = {p: p.stat().st_mtime_ns for p in made.rglob('*')}
    bag.run(config(file, MEMBERS), made)
    assert {p: p.stat().st_mtime_ns for p in made.rglob('*')} == before


def test_a_bag_decodes_new_scans_with_all_its_members(made, file, tmp_path):
    test = digits69.load({'path': str(file)}).test
    np.savez(tmp_path / 'a.npz', voxels=test.voxels, image_id=test.image_id)
    words = [f'--run={made}', f'--voxels={tmp_path / "a.npz"}', f'--out={tmp_path / "out"}']
    assert decode.main(words) == 0
    now, before = (results.read_arrays(f / 'reconstructions.npz') for f in (tmp_path / 'out', made))
    for name in ('images', 'stage_member_all', 'stage_member_few', 'image_id'):
        np.testing.assert_allclose(now[name], before[name], atol=1e-6)


@pytest.mark.parametrize(
    ('members', 'message'),
    [
        ({'a': {'seed': 3}}, 'members.a has seed .*share data, split'),
        ({'a': {'decoder': {'penaltys': 3}}}, 'unknown key decoder.penaltys'),
        ({'a': {'decoder': {'name': 'ridgee'}}}, 'ridge'),
    ],
)
def test_members_that_cannot_be_are_refused_before_anything_is_written(
    file, tmp_path, members, message
):
    with pytest.raises(errors.ConfigError, match=message):
        bag.run(config(file, members), tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


def test_data_that_are_missing_leave_no_folder(tmp_path):
    cfg = config('/nowhere/x.mat', MEMBERS)
    with pytest.raises(errors.DataMissing):
        bag.run(cfg, tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


def test_without_members_it_is_the_experiment_itself(file, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pipeline, 'run', lambda *given: asked.append(given) or 'page')
    assert bag.run(config(file, {}), tmp_path, shared='x') == 'page'
    assert asked[0][1:] == (tmp_path, asked[0][2], 'x') and not asked[0][0].members
    assert main.main(['--config=configs/digits69_ridge.py', f'--workdir={tmp_path}']) == 0
    assert len(asked) == 2 and json.dumps(asked[1][0].to_dict())
