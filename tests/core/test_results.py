import json
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from recon.core import errors, results, types


def run_json(folder):
    return json.loads((folder / 'run.json').read_text())


def test_a_finished_run_is_done_and_lists_what_it_left(tmp_path):
    with results.Run(tmp_path / 'a', {'seed': 1}, {'seed': 1}) as run:
        run.npz('reconstructions.npz', {'images': np.zeros((2, 3, 3, 3), np.float32)})
    told = run_json(tmp_path / 'a')
    assert told['status'] == 'done' and told['error'] is None and told['schema'] == 1
    assert told['outputs'] == ['config.json', 'reconstructions.npz']
    assert not (tmp_path / 'a' / 'lock').exists()
    assert results.state(tmp_path / 'a', {'seed': 1}) == 'done'


def test_an_empty_or_absent_folder_is_new_and_stays_as_it_is(tmp_path):
    assert results.state(tmp_path / 'none', {}) == 'new'
    assert not (tmp_path / 'none').exists()


def test_another_config_is_refused_by_its_first_differing_key(tmp_path):
    with results.Run(tmp_path / 'a', {'b': {'x': 1, 'y': (1, 2)}, 'c': 0}, {}):
        pass
    with pytest.raises(errors.RunFolderError, match=r'b\.x: 1 there, 2 now'):
        results.state(tmp_path / 'a', {'b': {'x': 2, 'y': (1, 2)}, 'c': 1})


def test_a_folder_with_other_things_in_it_is_not_taken_for_a_run(tmp_path):
    (tmp_path / 'thesis.tex').write_text('x')
    with pytest.raises(errors.RunFolderError, match='not a run folder'):
        results.state(tmp_path, {})


def test_a_user_error_leaves_failed_with_its_text_and_goes_on_up(tmp_path):
    with (
        pytest.raises(errors.DataInvalid),
        results.Run(tmp_path / 'a', {}, {}) as run,
    ):
        run.json('decoder.json', {'kept': 1})
        raise errors.DataInvalid('three NaN', 'here', 'mend it')
    told = run_json(tmp_path / 'a')
    assert told['status'] == 'failed' and 'three NaN' in told['error']
    assert 'decoder.json' in told['outputs']


def test_stopped_is_a_status_of_its_own_and_resumes(tmp_path):
    with pytest.raises(results.Stopped), results.Run(tmp_path / 'a', {}, {}):
        raise results.Stopped('SIGTERM')
    assert run_json(tmp_path / 'a')['status'] == 'stopped'
    assert results.state(tmp_path / 'a', {}) == 'resume'


def test_a_live_process_holds_the_folder_and_a_dead_one_does_not(tmp_path):
    with results.Run(tmp_path / 'a', {}, {}):
        pass
    holder = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
    held = json.dumps({'pid': holder.pid, 'host': socket.gethostname()})
    (tmp_path / 'a' / 'lock').write_text(held)
    try:
        with pytest.raises(errors.RunFolderError, match=f'in use by process {holder.pid}'):
            results.state(tmp_path / 'a', {})
        with pytest.raises(errors.RunFolderError), results.Run(tmp_path / 'a', {}, {}):
            pass
        assert (tmp_path / 'a' / 'lock').read_text() == held, "another's lock was removed"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with results.Run(tmp_path / 'a', {}, {}):
        assert json.loads((tmp_path / 'a' / 'lock').read_text())['pid'] == os.getpid()


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch):
    results.write_bytes(tmp_path / 'f', b'old')

    def full(_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='No space'):
        results.write_bytes(tmp_path / 'f', b'new')
    assert (tmp_path / 'f').read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['f']


def test_an_entry_has_null_where_a_score_is_undefined():
    score = types.Score(
        0.5, (0.4, 0.6), 0.0, 0.01, 'image', 'higher', 3, 1, np.array([0.5, np.nan, 0.5]), {'k': 2}
    )
    entry = json.loads(results.to_json(results.entry(score, 'test')))
    assert entry['per_image'] == [0.5, None, 0.5] and entry['per_unit'] is None
    assert entry['k'] == 2 and entry['n_undefined'] == 1 and entry['ci95'] == [0.4, 0.6]
    by_row = results.entry(score, 'test', 'row')
    assert by_row['unit'] == 'row' and by_row['per_image'] is None and by_row['per_unit']


def test_json_never_holds_nan():
    assert json.loads(results.to_json({'a': np.float32('nan'), 'b': [np.inf, 1.0]})) == {
        'a': None,
        'b': [None, 1.0],
    }


def test_a_log_line_cut_short_by_a_kill_is_left_out(tmp_path):
    (tmp_path / 'm.jsonl').write_text('{"step": 1, "name": "a", "value": 2}\n{"step": 2, "na')
    assert results.read_log(tmp_path / 'm.jsonl') == [{'step': 1, 'name': 'a', 'value': 2}]


def test_reading_a_folder_without_scores_says_what_to_run(tmp_path):
    with pytest.raises(errors.DataMissing, match=r'launch/main\.py'):
        results.read(tmp_path)


def test_object_arrays_are_never_written_nor_read(tmp_path):
    with pytest.raises(AssertionError):
        results.write_npz(tmp_path / 'x.npz', {'a': np.array([{}, 1], object)})
    np.savez(tmp_path / 'y.npz', a=np.array([{}], object))
    with pytest.raises(errors.DataInvalid, match='pickle'):
        results.read_arrays(tmp_path / 'y.npz')


def test_a_finished_run_with_a_piece_missing_is_run_again(tmp_path):
    with results.Run(tmp_path / 'a', {}, {}) as run:
        run.json('scores.json', {})
        run.json('decoder.json', {})
    assert results.state(tmp_path / 'a', {}) == 'done'
    (tmp_path / 'a' / 'decoder.json').unlink()
    assert results.state(tmp_path / 'a', {}) == 'resume'


def test_a_run_that_failed_before_anything_was_fitted_gives_the_folder_to_a_mended_config(tmp_path):
    with pytest.raises(errors.ConfigError), results.Run(tmp_path / 'a', {'k': -1}, {}):
        raise errors.ConfigError('k is -1')
    assert results.state(tmp_path / 'a', {'k': 1}) == 'new'
    (tmp_path / 'a' / 'checkpoints').mkdir()
    with pytest.raises(errors.RunFolderError, match='differs is k'):
        results.state(tmp_path / 'a', {'k': 1})


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / 'f').write_text('x')
    with pytest.raises(errors.RunFolderError, match='is a file'):
        results.state(tmp_path / 'f', {})


def test_a_corrupt_npz_is_named(tmp_path):
    results.write_npz(tmp_path / 'x.npz', {'a': np.arange(1000)})
    content = (tmp_path / 'x.npz').read_bytes()
    (tmp_path / 'x.npz').write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        results.read_arrays(tmp_path / 'x.npz')
