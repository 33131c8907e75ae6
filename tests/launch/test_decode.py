"""What a lab does daily: a finished run on new scans."""

import json

import numpy as np
import PIL.Image
import pytest

from launch import decode, main
from recon.core import errors, results
from recon.data.datasets import digits69, simulated
from recon.data.layouts import digits69 as layout

FEW = ('--config.draws=50', '--config.permutations=5', '--config.learning_curve=()')


def train(workdir, *words):
    code = main.main([*words, *FEW, '--config.baselines=mean_image', f'--workdir={workdir}'])
    assert code == 0
    return workdir


@pytest.fixture(scope='module')
def ridge(tmp_path_factory):
    """A finished run of ridge regression on digits, and the file of its recording."""
    folder = tmp_path_factory.mktemp('ridge')
    file = next(layout.write(folder / 'digits', scale='toy', seed=0).glob('*.mat'))
    words = ('--config=configs/digits69_ridge.py', f'--config.dataset.path={file}')
    return train(folder / 'run', *words), digits69.load({'path': str(file)})


@pytest.fixture
def call(capsys):
    """`call(run, voxels, out, *words)` -> (exit code, stderr)."""

    def ask(run, voxels, out, *words):
        code = decode.main([f'--run={run}', f'--voxels={voxels}', f'--out={out}', *words])
        return code, capsys.readouterr().err

    return ask


def saved(path, split, **more):
    np.savez(path, voxels=split.voxels, image_id=split.image_id, **more)
    return path


def test_the_runs_own_test_rows_give_its_reconstructions(ridge, call, tmp_path):
    run, brain = ridge
    code, err = call(run, saved(tmp_path / 'a.npz', brain.test), tmp_path / 'out')
    assert code == 0, err
    before, now = (
        results.read_arrays(folder / 'reconstructions.npz') for folder in (run, tmp_path / 'out')
    )
    np.testing.assert_array_equal(now['images'], before['images'])
    np.testing.assert_array_equal(now['image_id'], before['image_id'])
    assert 'truth' not in now
    pictures = sorted((tmp_path / 'out' / 'images').glob('*.png'))
    assert {p.stem for p in pictures} == set(map(str, before['image_id']))
    drawn = np.asarray(PIL.Image.open(pictures[0]), np.float32) / 255
    row = before['image_id'].tolist().index(int(pictures[0].stem))
    assert np.abs(drawn - before['images'][row]).max() <= 0.5 / 255 + 1e-6
    told = json.loads((tmp_path / 'out' / 'decoded.json').read_text())
    assert told['status'] == 'done' and told['seen_images'] == 0
    assert told['rows'] == told['entries'] == len(brain.test)
    page = (tmp_path / 'out' / 'report.html').read_text()
    assert page.count('<img') == len(brain.test) and 'Nothing is scored here' in page


def test_rows_without_ids_are_decoded_one_by_one(ridge, call, tmp_path):
    run, brain = ridge
    np.save(tmp_path / 'a.npy', np.repeat(brain.test.voxels[:2], 2, 0))
    assert call(run, tmp_path / 'a.npy', tmp_path / 'out')[0] == 0
    images = results.read_arrays(tmp_path / 'out' / 'reconstructions.npz')['images']
    assert len(images) == 4
    np.testing.assert_array_equal(images[0], images[1])
    assert np.abs(images[0] - images[2]).max() > 0.01


def test_rows_of_one_picture_are_averaged_as_the_run_does(ridge, call, tmp_path):
    run, brain = ridge
    noise = np.random.default_rng(0).standard_normal(brain.test.voxels.shape).astype(np.float32)
    voxels = np.concatenate([brain.test.voxels + noise, brain.test.voxels - noise])
    ids = np.tile(brain.test.image_id, 2)
    np.savez(tmp_path / 'a.npz', voxels=voxels, image_id=ids)
    assert call(run, tmp_path / 'a.npz', tmp_path / 'out')[0] == 0
    now, before = (
        results.read_arrays(folder / 'reconstructions.npz') for folder in (tmp_path / 'out', run)
    )
    np.testing.assert_allclose(now['images'], before['images'], atol=1e-4)


def test_training_pictures_are_refused_or_decoded_and_said(ridge, call, tmp_path):
    run, brain = ridge
    file = saved(tmp_path / 'a.npz', brain.train)
    code, err = call(run, file, tmp_path / 'out')
    assert code == 2 and 'LeakError' in err and '--allow-seen' in err and err.count('\n') == 1
    assert not (tmp_path / 'out').exists()
    assert call(run, file, tmp_path / 'out', '--allow-seen')[0] == 0
    assert 'seen images' in (tmp_path / 'out' / 'report.html').read_text()


def test_the_same_command_again_changes_nothing_and_another_is_refused(ridge, call, tmp_path):
    run, brain = ridge
    file, out = saved(tmp_path / 'a.npz', brain.test), tmp_path / 'out'
    assert call(run, file, out)[0] == 0
    before = {p: p.stat().st_mtime_ns for p in out.rglob('*')}
    assert call(run, file, out)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob('*')} == before
    other = saved(tmp_path / 'b.npz', brain.test.rows(slice(3)))
    code, err = call(run, other, out)
    assert code == 2 and 'holds something else' in err
    assert {p: p.stat().st_mtime_ns for p in out.rglob('*')} == before


def test_one_that_was_killed_half_way_is_finished(ridge, call, tmp_path):
    run, brain = ridge
    file, out = saved(tmp_path / 'a.npz', brain.test), tmp_path / 'out'
    assert call(run, file, out)[0] == 0
    told = json.loads((out / 'decoded.json').read_text())
    (out / 'decoded.json').write_text(json.dumps(told | {'status': 'running'}))
    (out / 'report.html').unlink()
    assert call(run, file, out)[0] == 0
    assert (out / 'report.html').exists()


@pytest.mark.parametrize('status', ['stopped', 'failed', 'running'])
def test_a_run_that_is_not_done_is_refused(ridge, call, tmp_path, status):
    run, brain = ridge
    half = tmp_path / 'half'
    half.mkdir()
    (half / 'config.json').write_text((run / 'config.json').read_text())
    (half / 'run.json').write_text(json.dumps({'status': status}))
    code, err = call(half, saved(tmp_path / 'a.npz', brain.test), tmp_path / 'out')
    assert code == 2 and f'status: {status}' in err and err.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_names_and_thresholds_of_categories_are_taken_along(tmp_path):
    content = dict(title='', asked=dict(run='', voxels=''), rows=1, entries=1, seen_images=0)
    content |= dict(strange_images=[])
    arrays = {'image_id': np.arange(1), 'pred': np.array([[0.2, 0.6, 0.4]], np.float32)}
    before = {'categories': np.array(['a', 'b', 'c']), 'threshold': np.array([0.1, 0.7, 0.3])}
    page = decode.write(tmp_path, content | dict(warnings=[], notes=[]), arrays, before)
    held = results.read_arrays(tmp_path / 'predictions.npz')
    assert held['threshold'].tolist() == [0.1, 0.7, 0.3] and held['categories'][1] == 'b'
    assert 'c, a' in page.read_text()


def test_slips_end_with_one_line_and_write_nothing(ridge, call, tmp_path):
    run, brain = ridge
    fewer = saved(tmp_path / 'fewer.npz', brain.test.rows(slice(2)))
    np.savez(tmp_path / 'less.npz', voxels=brain.test.voxels[:, 1:])
    np.savez(tmp_path / 'nan.npz', voxels=np.full_like(brain.test.voxels, np.nan))
    for words, message in (
        ((tmp_path / 'none', fewer), 'no run is there'),
        ((run, tmp_path / 'none.npz'), 'no such file'),
        ((run, tmp_path / 'less.npz'), 'the run was fitted on'),
        ((run, tmp_path / 'nan.npz'), 'NaN'),
        ((run, fewer, '--unseen=own'), 'does not normalise by session'),
        ((run, fewer, '--unseen=all'), 'unseen'),
        ((run, fewer, '--fast'), '--fast'),
    ):
        code, err = call(*words[:2], tmp_path / 'out', *words[2:])
        assert code == 2 and message in err and err.count('\n') == 1, err
        assert not (tmp_path / 'out').exists()


def test_names_of_files_are_ids_where_these_are_names():
    assert decode.file_names(np.array([3, 12])) == ['3', '12']
    assert decode.file_names(np.array(['a b', 'c/d'])) == ['a_b', 'c_d']
    assert decode.file_names(np.array(['a/b', 'a_b'])) == ['00000_a_b', '00001_a_b']
    assert decode.file_names(np.array([4, 4])) == ['00000_4', '00001_4']
    assert decode.file_names(np.array(['..', 'b'])) == ['00000_..', '00001_b']


@pytest.mark.parametrize('factor', [1e20, 1e-4])
def test_rows_that_are_nothing_like_those_of_the_training_are_said(
    ridge, call, tmp_path, caplog, factor
):
    run, brain = ridge
    voxels = brain.test.voxels.copy()
    centre = brain.train.voxels.mean(0)
    voxels[2] = centre + factor * (voxels[2] - centre)
    np.save(tmp_path / 'a.npy', voxels)
    assert call(run, tmp_path / 'a.npy', tmp_path / 'out')[0] == 0
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
    assert said.startswith('1 of 10 rows lie far from')
    told = json.loads((tmp_path / 'out' / 'decoded.json').read_text())
    assert (
        told['strange_rows'] == [2]
        and told['strange_images'] == ['2']
        and len(told['row_sizes']) == 10
    )
    assert told['warnings'] == [said] and f'row 2 ({told["row_sizes"][2]:.3g})' in said
    assert 0.3 < told['row_sizes'][2] / factor < 3
    assert 'Strange rows' in (tmp_path / 'out' / 'report.html').read_text()


def test_usual_rows_are_not_called_strange(ridge, call, tmp_path):
    run, brain = ridge
    code, err = call(run, saved(tmp_path / 'a.npz', brain.test), tmp_path / 'out')
    assert code == 0 and 'far from' not in err
    told = json.loads((tmp_path / 'out' / 'decoded.json').read_text())
    assert told['warnings'] == [] and 0.3 < min(told['row_sizes']) < max(told['row_sizes']) < 3
    assert 'Strange rows' not in (tmp_path / 'out' / 'report.html').read_text()


def test_a_place_that_cannot_be_made_is_refused_with_its_flag(ridge, call, tmp_path):
    run, brain = ridge
    file = saved(tmp_path / 'a.npz', brain.test)
    (tmp_path / 'plain').write_text('')
    for out in (tmp_path / 'plain', tmp_path / 'plain' / 'b', '/proc/none/b'):
        code, err = call(run, file, out)
        assert code == 2 and err.count('\n') == 1 and 'name another --out' in err, err


def test_options_newer_than_the_run_get_their_defaults(ridge, tmp_path):
    run, _ = ridge
    plain = json.loads((run / 'config.json').read_text())
    del plain['decoder']['cv'], plain['threshold']
    (tmp_path / 'config.json').write_text(json.dumps(plain))
    from recon import pipeline

    cfg = decode.config(tmp_path, pipeline.DEFAULTS)
    assert cfg.threshold == pipeline.DEFAULTS['threshold'] and 'cv' in cfg.decoder
    plain['decoder']['colour'] = 1
    (tmp_path / 'config.json').write_text(json.dumps(plain))
    with pytest.raises(errors.ConfigError, match='colour'):
        decode.config(tmp_path, pipeline.DEFAULTS)


@pytest.mark.long
def test_a_trained_net_with_a_generator_decodes_its_own_test_rows_alike(call, tmp_path):
    words = ('--config=configs/simulated_mlp.py:smoke', '--config.decoder.epochs=2')
    run = train(tmp_path / 'run', *words, '--config.metrics=pixcorr')
    brain = simulated.load(json.loads((run / 'config.json').read_text())['dataset'])
    rows = {k: getattr(brain.test, k) for k in ('session', 'run')}
    file = saved(tmp_path / 'a.npz', brain.test, **rows, xyz=brain.voxel_info['xyz'])
    code, err = call(run, file, tmp_path / 'out')
    assert code == 0, err
    before, now = (
        results.read_arrays(folder / 'reconstructions.npz') for folder in (run, tmp_path / 'out')
    )
    np.testing.assert_allclose(now['images'], before['images'], atol=1e-6)
    moved = brain.voxel_info['xyz'][::-1]
    code, err = call(run, saved(tmp_path / 'b.npz', brain.test, xyz=moved), tmp_path / 'out2')
    assert code == 2 and 'xyz is not that of the run' in err
