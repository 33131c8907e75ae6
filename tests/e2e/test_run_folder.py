"""RUN_FOLDER.md, clause by clause: what each ending leaves."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
import scipy.io

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = '--config=configs/digits69_ridge.py'
FEW = ('--config.draws=200', '--config.permutations=20', '--config.learning_curve=()')


def snapshot(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob('*'))}


def told(folder):
    return json.loads((folder / 'run.json').read_text())


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, 'it never came'
        time.sleep(0.01)


def test_a_run_leaves_what_it_should_and_the_same_command_changes_nothing(digits, tmp_path, run):
    words = (CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW)
    code, out, _ = run(*words)
    assert code == 0 and f'{tmp_path / "a" / "report.html"}' in out
    folder = tmp_path / 'a'
    for name in ('config.json', 'run.json', 'scores.json', 'reconstructions.npz', 'report.html'):
        assert (folder / name).exists(), name
    assert not (folder / 'lock').exists() and (folder / 'checkpoints').is_dir()
    run_json = told(folder)
    assert run_json['status'] == 'done' and set(run_json) >= {
        *('schema', 'status', 'error', 'outputs', 'commit', 'versions', 'device', 'seed'),
        *('wall_s', 'peak_rss_mb', 'protocol', 'audit'),
    }
    assert all((folder / name).exists() for name in run_json['outputs'])
    before = snapshot(folder)
    assert run(*words)[0] == 0
    assert snapshot(folder) == before
    scores = json.loads((folder / 'scores.json').read_text())
    with np.load(folder / 'reconstructions.npz') as arrays:
        images, truth, ids = arrays['images'], arrays['truth'], arrays['image_id']
    assert images.dtype == truth.dtype == np.float32 and images.shape == truth.shape
    assert images.min() >= 0 and images.max() <= 1 and (np.diff(ids) > 0).all()
    for name, entry in scores['scores'].items():
        assert set(entry) >= {
            *('mean', 'ci95', 'chance', 'p', 'unit', 'better', 'n', 'n_undefined', 'per_image'),
            *('per_unit', 'net', 'weights', 'split'),
        }, name
        assert len(entry['per_image']) == scores['n'] == len(ids)
    assert set(scores['baselines']) == {
        *('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels'),
    }
    assert scores['audit']['train_only_statistics'] is True


def test_another_config_on_the_folder_is_refused_by_its_first_differing_key(digits, tmp_path, run):
    words = (CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW)
    assert run(*words)[0] == 0
    before = snapshot(tmp_path / 'a')
    code, _, err = run(*words, '--config.seed=7')
    assert code == 2 and 'first key that differs is seed' in err and err.count('\n') == 1
    assert snapshot(tmp_path / 'a') == before


def drop_key(content):
    del content['fmriTest']


def cut_rows(content):
    content['stimTrn'] = content['stimTrn'][:-1]


def plant_nan(content):
    content['fmriTrn'][3, 5] = np.nan


def show_a_training_image(content):
    content['stimTest'][0] = content['stimTrn'][0]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (drop_key, 'fmriTest'),
        (cut_rows, 'stimTrn'),
        (plant_nan, 'NaN'),
        (show_a_training_image, 'LeakError'),
    ],
)
def test_bad_data_end_with_one_line_and_leave_no_folder(changed, tmp_path, run, change, message):
    code, _, err = run(
        CONFIG, f'--config.dataset.path={changed(change)}', f'--workdir={tmp_path / "a"}', *FEW
    )
    assert code == 2 and message in err and err.count('\n') == 1 and 'Traceback' not in err
    assert not (tmp_path / 'a').exists()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--config.dataset.path=/nowhere/x.mat',), 'launch/fetch.py'),
        (('--config.decoder.name=rigde',), "did you mean 'ridge'"),
        (('--config.decoder.penalty=3',), 'unknown key decoder.penalty'),
        (('--config.sed=3',), 'did you mean seed'),
        (('--confg.seed=3',), 'unknown flag --confg.seed'),
        (('--config.seed=three',), 'wanted: int'),
        (('--config.metrics=pixcor',), 'pixcor'),
        (('--config.metrics=()',), 'metrics'),
        (('--config.metrics=pixcorr,pixcorr',), 'twice'),
        (('--config.draws=-1',), 'draws'),
        (('--config.seed=-1',), 'seed'),
        (('--config.threshold=nan',), 'threshold'),
        (('--config.learning_curve=a',), 'learning_curve'),
        (('--config.areas=3',), 'areas'),
        (('--config.decoder.penalties=a,b',), 'wanted: numbers'),
        (('--config.targets.pixels.size=0,4',), 'targets.pixels.size'),
        (('--config.baselines=mean',), 'mean_image'),
        (('--config.areas=V1',), 'areas that exist'),
        (('--config.preprocess.order=rois,normalise', '--config.areas=()'), 'done'),
    ],
)
def test_a_slip_on_the_command_line_ends_with_one_line(digits, tmp_path, run, words, message):
    code, out, err = run(
        CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW, *words
    )
    if message == 'done':  # a changed order is no slip
        assert code == 0 and 'report' in out
        return
    assert code == 2 and message in err and err.count('\n') == 1
    assert not (tmp_path / 'a').exists()


def test_a_piece_that_was_removed_from_a_finished_run_is_made_again(digits, tmp_path, run):
    words = (CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW)
    assert run(*words)[0] == 0
    scores = (tmp_path / 'a' / 'scores.json').read_bytes()
    for name in ('report.html', 'scores.json'):
        (tmp_path / 'a' / name).unlink()
        assert run(*words)[0] == 0
        assert (tmp_path / 'a' / name).exists()
        assert (tmp_path / 'a' / 'scores.json').read_bytes() == scores


def test_a_mistyped_option_of_a_decoder_does_not_cost_the_folder(digits, tmp_path, run):
    words = (CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW)
    code, _, err = run(*words, '--config.decoder.penalties=-1,')
    assert code == 2 and 'penalt' in err and err.count('\n') == 1
    assert run(*words)[0] == 0


def test_a_smoke_run_that_is_refused_leaves_no_folder(tmp_path, run):
    words = ('--config=configs/digits69_ridge.py:smoke', f'--workdir={tmp_path / "a"}')
    code, _, err = run(*words, '--config.areas=V9')
    assert code == 2 and 'V9' in err and not (tmp_path / 'a').exists()


def test_other_data_at_the_same_path_are_fitted_anew(digits, tmp_path, run):
    path = tmp_path / 'now.mat'
    shutil.copy(digits, path)
    words = (CONFIG, f'--config.dataset.path={path}', f'--workdir={tmp_path / "a"}', *FEW)
    assert run(*words)[0] == 0
    content = scipy.io.loadmat(path)
    content['fmriTrn'] = content['fmriTrn'][::-1].copy()
    scipy.io.savemat(path, {k: v for k, v in content.items() if k[0] != '_'})
    before = (tmp_path / 'a' / 'scores.json').read_bytes()
    (tmp_path / 'a' / 'scores.json').unlink()
    assert run(*words)[0] == 0
    assert (tmp_path / 'a' / 'scores.json').read_bytes() != before


def test_a_seen_test_image_can_be_allowed_and_is_then_said(changed, tmp_path, run):
    path = changed(show_a_training_image)
    code, _, _ = run(
        *(CONFIG, f'--config.dataset.path={path}', f'--workdir={tmp_path / "a"}', *FEW),
        '--config.audit.allow_seen=true',
    )
    assert code == 0
    assert told(tmp_path / 'a')['audit']['seen_test_images'] == 1
    assert 'seen images' in (tmp_path / 'a' / 'report.html').read_text()
    scores = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    assert all(entry['label'] == 'seen images' for entry in scores['scores'].values())


def test_constant_voxels_do_no_harm_and_are_counted(changed, tmp_path, run):
    def flatten(content):
        content['fmriTrn'][:, :4] = 1.5

    path = changed(flatten)
    code, _, _ = run(CONFIG, f'--config.dataset.path={path}', f'--workdir={tmp_path / "a"}', *FEW)
    assert code == 0
    assert told(tmp_path / 'a')['protocol']['data']['constant_voxels'] == 4
    scores = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    assert scores['scores']['pixcorr']['n_undefined'] == 0


def test_an_empty_roi_is_refused_before_anything_is_written(tmp_path, run):
    code, _, err = run(
        *('--config=configs/quickstart.py:smoke', f'--workdir={tmp_path / "a"}'),
        *('--config.preprocess.order=rois,normalise,repeats', '--config.preprocess.rois.keep=V1'),
        '--config.preprocess.rois.drop=V1v,V1d',
    )
    assert code == 2 and 'V1' in err and 'DataInvalid' in err and err.count('\n') == 1
    assert not (tmp_path / 'a').exists()


def slow(tmp_path, digits):
    """A run with many stages, so that there is time to disturb it."""
    curve = '--config.learning_curve=' + ','.join(f'{0.5 + i / 1000}' for i in range(400))
    return (CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "a"}', *FEW, curve)


def test_a_running_folder_is_refused_and_a_killed_one_is_taken_over(digits, tmp_path, start, run):
    folder, words = tmp_path / 'a', slow(tmp_path, digits)
    first = start(*words)
    wait_for((folder / 'checkpoints' / 'pixels').exists, first)
    code, _, err = run(*words)
    assert code == 2 and f'in use by process {first.pid}' in err and err.count('\n') == 1
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (folder / 'lock').exists() and told(folder)['status'] == 'running'
    fitted = snapshot(folder / 'checkpoints')
    second = start(*words)  # half-finished: goes on from the fitted decoder
    wait_for(
        lambda: (folder / 'logs' / 'metrics.jsonl').read_text().count('fit_pixels') == 2, second
    )
    assert snapshot(folder / 'checkpoints') == fitted


def test_sigterm_ends_with_zero_and_the_same_command_goes_on(digits, tmp_path, start):
    folder, words = tmp_path / 'a', slow(tmp_path, digits)
    first = start(*words)
    wait_for((folder / 'checkpoints' / 'pixels').exists, first)
    first.send_signal(signal.SIGTERM)
    _, err = first.communicate(timeout=30)
    assert first.returncode == 0 and 'to be continued' in err
    assert told(folder)['status'] == 'stopped' and not (folder / 'lock').exists()
    assert (folder / 'config.json').exists() and (folder / 'logs' / 'metrics.jsonl').exists()


@pytest.mark.long
def test_killed_at_random_moments_it_ends_like_a_run_that_never_was(digits, tmp_path, start, run):
    words = (CONFIG, f'--config.dataset.path={digits}', *FEW)
    assert run(*words, f'--workdir={tmp_path / "whole"}')[0] == 0
    moments = np.random.default_rng(0).uniform(0.5, 6, 8)
    for seconds in moments:
        process = start(*words, f'--workdir={tmp_path / "killed"}')
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = [p for p in (tmp_path / 'killed').rglob('*.npz')] if process.returncode else []
        for path in left:
            np.load(path).close()  # whole, or not there
    assert run(*words, f'--workdir={tmp_path / "killed"}')[0] == 0
    for name in ('scores.json', 'decoder.json'):
        assert (tmp_path / 'whole' / name).read_bytes() == (tmp_path / 'killed' / name).read_bytes()
    with (
        np.load(tmp_path / 'whole' / 'reconstructions.npz') as whole,
        np.load(tmp_path / 'killed' / 'reconstructions.npz') as killed,
    ):
        for name in whole.files:
            np.testing.assert_array_equal(whole[name], killed[name])


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 2 MiB; needs root, as in CI."""
    mount = tmp_path / 'disk'
    mount.mkdir()
    made = subprocess.run(
        ['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', str(mount)], capture_output=True
    )
    if os.geteuid() != 0 or made.returncode:
        pytest.skip('cannot mount a small disk here: run the tests as root')
    yield mount
    subprocess.run(['umount', str(mount)], check=True)


def fill(disk, free_kb):
    free = shutil.disk_usage(disk).free - free_kb * 1024
    (disk / 'filler').write_bytes(b'x' * free)


def end(process):
    _, err = process.communicate(timeout=120)
    return process.returncode, err


@pytest.mark.parametrize('free_kb', [4, 128])
def test_a_full_disk_ends_with_two_says_failed_and_loses_nothing(
    digits, small_disk, start, free_kb
):
    folder = small_disk / 'a'
    words = (CONFIG, f'--config.dataset.path={digits}', f'--workdir={folder}', *FEW)
    fill(small_disk, free_kb)
    code, err = end(start(*words))
    assert code == 2 and 'Traceback' not in err and 'No space left' in err.splitlines()[-1], err
    if folder.exists():
        assert told(folder)['status'] == 'failed' and told(folder)['error']
        assert not list(folder.rglob('*.tmp')) and not (folder / 'lock').exists()
    (small_disk / 'filler').unlink()
    code, err = end(start(*words))
    assert code == 0 and told(folder)['status'] == 'done', err


def test_a_disk_that_fills_up_later_keeps_the_fitted_decoder(digits, small_disk, start):
    folder, words = small_disk / 'a', slow(small_disk, digits)
    first = start(*words)
    wait_for((folder / 'reconstructions.npz').exists, first)
    first.send_signal(signal.SIGTERM)
    assert end(first)[0] == 0
    (folder / 'reconstructions.npz').unlink()
    fill(small_disk, 12)
    fitted = snapshot(folder / 'checkpoints')
    code, err = end(start(*words))
    assert code == 2 and 'Traceback' not in err and 'No space left' in err.splitlines()[-1], err
    assert told(folder)['status'] == 'failed' and not list(folder.rglob('*.tmp'))
    assert snapshot(folder / 'checkpoints') == fitted


def test_an_unwritable_place_is_the_users_cause(digits, tmp_path, run):
    (tmp_path / 'file').write_text('x')
    code, _, err = run(
        CONFIG, f'--config.dataset.path={digits}', f'--workdir={tmp_path / "file" / "a"}', *FEW
    )
    assert code == 2 and err.count('\n') == 1
