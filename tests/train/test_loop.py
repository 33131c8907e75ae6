import json
import math
import os
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from recon.core import errors, results
from recon.train import checkpoint, loop
from recon.train import state as states
from tests.train import toy


def lines(folder, name):
    rows = results.read_log(folder / 'metrics.jsonl')
    return {row['step']: row['value'] for row in rows if row['name'] == name}


@pytest.mark.parametrize('after', [1, 13, 20])
def test_a_training_that_was_stopped_ends_in_the_same_bits(tmp_path, after):
    whole = toy.Training(tmp_path / 'whole').fit()
    broken = toy.Training(tmp_path / 'broken')
    stopped = broken.fit(stop_after=after)
    assert isinstance(stopped, results.Stopped) and str(after) in str(stopped)
    resumed = broken.fit()
    toy.same(whole, resumed)
    assert int(resumed.step) == 30 and not np.array_equal(resumed.ema['a']['bias'], 0)
    logged = [lines(tmp_path / name, 'loss') for name in ('whole', 'broken')]
    assert list(logged[0]) == list(logged[1]) == [5, 10, 15, 20, 25, 30]
    assert logged[0][30] == logged[1][30]


def test_a_resumed_training_asks_for_no_batch_that_it_had(tmp_path):
    training = toy.Training(tmp_path, seed=3)
    training.fit(stop_after=17)
    training.asked.clear()
    training.fit()
    assert training.asked == list(range(17, 30))
    training.asked.clear()
    toy.same(training.fit(), training.fit())
    assert not training.asked


def test_the_step_is_traced_once_in_a_run_and_once_when_it_goes_on(tmp_path):
    traces = []

    def counted(*arguments):
        traces.append(1)
        return toy.loss(*arguments)

    for stop_after, wanted in ((12, 1), (None, 2), (None, 2)):
        parts = toy.build(4, counted)
        checks = {'validate': lambda state: {'loss': float(state.averaged['a']['bias'][0])}}
        toy.Training(tmp_path, size=4, parts=parts, **checks).fit(stop_after)
        assert len(traces) == wanted


@pytest.mark.parametrize(('bad', 'kept'), [(15, [10]), (19, [10]), (20, [10, 20]), (0, [])])
def test_a_loss_that_is_not_finite_names_its_step_and_is_not_saved(tmp_path, bad, kept):
    training = toy.Training(tmp_path, seed=2)

    def batch_at(i):
        scale = np.full(12, math.nan if i == bad else 1, np.float32)
        return training.batch_at(i) | {'scale': scale}

    with pytest.raises(errors.ConfigError, match=rf'loss is nan at step {bad + 1} .*learning_rate'):
        training.fit(batch_at=batch_at)
    with checkpoint.Keeper(tmp_path / 'checkpoints') as keeper:
        assert keeper.steps == kept
    assert int(training.fit().step) == 30, 'batches that are mended go on from there'


def test_a_gradient_that_is_not_finite_is_not_saved_where_the_loss_is(tmp_path):
    def loss(params, batch, rng):
        value, named = toy.loss(params, batch, rng)
        return value + 0 * abs(
            params['a']['bias'] * (batch['scale'].mean() - 1)
        ).sum() ** 0.5, named

    training = toy.Training(tmp_path, size=2, parts=toy.build(2, loss))
    with pytest.raises(errors.ConfigError, match='grad_norm is nan at step 1 '):
        training.fit(save_every=1)
    assert not list((tmp_path / 'checkpoints').glob('[0-9]*'))


def test_lines_are_means_over_their_steps_and_come_with_rate_and_time_left(tmp_path, caplog):
    training = toy.Training(tmp_path, seed=5)
    with caplog.at_level('INFO'):
        training.fit(log_every=1)
    each = lines(tmp_path, 'loss')
    assert list(each) == list(range(1, 31))
    assert '[step 20/30]' in caplog.text and 'steps/s, about' in caplog.text
    other = toy.Training(tmp_path / 'other', seed=5)
    other.fit(log_every=6)
    means = lines(tmp_path / 'other', 'loss')
    assert list(means) == [6, 12, 18, 24, 30]
    np.testing.assert_allclose(means[12], np.mean([each[i] for i in range(7, 13)]), rtol=1e-6)
    assert {'grad_norm', 'mean', 'steps_per_second'} <= {
        json.loads(row)['name'] for row in (tmp_path / 'metrics.jsonl').read_text().splitlines()
    }


def test_lines_after_the_checkpoint_that_a_kill_left_come_once(tmp_path):
    training = toy.Training(tmp_path, seed=7)
    training.fit(stop_after=20)
    log = tmp_path / 'metrics.jsonl'
    later = json.dumps({'step': 25, 'name': 'loss', 'value': 7.0})
    log.write_text(log.read_text() + later + '\n' + later[:9])
    training.fit()
    steps = [row['step'] for row in results.read_log(log) if row['name'] == 'loss']
    assert steps == [5, 10, 15, 20, 25, 30]
    assert lines(tmp_path, 'loss')[25] != 7


def test_scalars_are_read_one_step_late(tmp_path):
    training, seen = toy.Training(tmp_path, steps=6), []

    class Scalar:
        def __init__(self, i):
            self.i = i

        def __array__(self, *_, **__):
            seen.append(('read', self.i))
            return np.float32(1)

    def step(state, batch, rng):
        seen.append(('step', int(state.step)))
        return state.replace(step=state.step + 1), {'loss': Scalar(int(state.step))}

    loop.fit(
        step,
        states.State(np.int32(0), {'w': np.zeros(2)}, ()),
        training.batch_at,
        steps=4,
        folder=tmp_path,
        rng=None,
        save_every=100,
        log_every=100,
    )
    first = [seen.index(('read', i)) for i in range(3)]
    assert [seen.index(('step', i + 1)) < first[i] for i in range(3)] == [True] * 3
    assert ('step', 3) not in seen[: first[1]], 'no more than one step late'


def test_batches_are_made_ahead_in_another_thread_and_their_errors_come_out(tmp_path):
    training, threads = toy.Training(tmp_path), set()

    def batch_at(i):
        threads.add(threading.current_thread())
        if i == 8:
            raise KeyError('row 9')
        return training.batch_at(i)

    with pytest.raises(KeyError, match='row 9') as caught:
        training.fit(batch_at=batch_at)
    assert 'in the batch of step 8' in caught.value.__notes__
    assert threads and threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def test_batches_are_not_made_far_ahead(tmp_path):
    training = toy.Training(tmp_path)
    training.fit(stop_after=3)
    assert max(training.asked) <= 3 + 3


def test_no_thread_makes_batches_after_the_end():
    over = threading.Event()

    def batch_at(i):
        if i == 1:
            over.wait(60)
            time.sleep(0.3)
        return {}

    with loop._Batches(batch_at, 0, 9) as batches:
        batches.next()
        over.set()
    assert not batches._thread.is_alive()


def test_patience_ends_a_training_and_gives_the_best_state_back(tmp_path, monkeypatch):
    losses = {4: 3.0, 8: 1.0, 12: 2.0, 16: 1.5, 20: 0.1, 24: 0.1}
    asked = []

    def validate(state):
        asked.append(int(state.step))
        return {'loss': losses[int(state.step)], 'other': 1}

    plain = checkpoint.Keeper.save

    def save(self, step, state, facts=None):
        if self.folder.name == 'checkpoints':
            (best,) = (int(p.name) for p in self.folder.with_name('best').glob('[0-9]*'))
            assert facts['lowest'] == losses[best], 'else a kill here would lose the best state'
        plain(self, step, state, facts)

    monkeypatch.setattr(checkpoint.Keeper, 'save', save)
    changes = {'steps': 24, 'save_every': 4, 'validate': validate}
    best = toy.Training(tmp_path / 'a', **changes, patience=1).fit()
    assert int(best.step) == 8 and asked == [4, 8, 12, 16]
    assert lines(tmp_path / 'a', 'validate/loss') == {s: losses[s] for s in asked}
    again = toy.Training(tmp_path / 'a', **changes, patience=1)
    toy.same(again.fit(), best)
    assert not again.asked and asked == [4, 8, 12, 16], 'an ended training stays ended'

    monkeypatch.undo()
    resumed = toy.Training(tmp_path / 'b', **changes, patience=1)
    resumed.fit(stop_after=13)
    toy.same(resumed.fit(), best)
    assert int(toy.Training(tmp_path / 'c', **changes, patience=2).fit().step) == 20


def test_a_folder_of_other_settings_is_refused_in_one_line(tmp_path):
    training = toy.Training(tmp_path)
    training.fit(stop_after=4, settings={'learning_rate': 1e-3, 'save_every': 10})
    training.fit(stop_after=4, settings={'learning_rate': 1e-3, 'save_every': 99})
    with pytest.raises(
        errors.ConfigError, match=r'learning_rate: 0.001 there, 0.002 now'
    ) as caught:
        training.fit(settings={'learning_rate': 2e-3, 'save_every': 10})
    assert '\n' not in str(caught.value)
    with pytest.raises(errors.ConfigError, match=r'bias is float32\[5\] there, float32\[3\] now'):
        toy.Training(tmp_path, size=3).fit()


def test_a_process_that_is_killed_while_it_saves_leaves_a_whole_checkpoint(tmp_path, root):
    code = f"""
import os, pathlib, signal
from recon.train import checkpoint, loop
from recon.train import state as states
from tests.train import toy
save = checkpoint.Keeper.save
def killed(self, step, *rest):
    save(self, step, *rest)
    if step == 20:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Keeper.save = killed
toy.Training(pathlib.Path({str(tmp_path)!r}), size=1200).fit()
"""
    done = subprocess.run([sys.executable, '-c', code], cwd=root, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    folders = sorted(p.name for p in (tmp_path / 'checkpoints').iterdir())
    assert folders[0] == '10' and len(folders) == 2 and folders[1] != '20', folders
    shapes = jax.eval_shape(lambda: toy.build(1200)[1])
    with checkpoint.Keeper(tmp_path / 'checkpoints') as keeper:
        state, _ = keeper.restore(shapes)
    assert int(state.step) == 10 and os.listdir(tmp_path / 'checkpoints') == ['10']
    assert np.abs(state.params['a']['bias']).max() > 0


def test_a_full_disk_is_said_as_the_system_says_it(tmp_path, monkeypatch):
    training = toy.Training(tmp_path)
    full = type('Usage', (), {'free': 1000})
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, 'disk_usage', lambda _: full)
        with pytest.raises(OSError, match='No space left on device'):
            training.fit()
    assert int(training.fit().step) == 30


def test_a_training_whose_newest_checkpoint_is_broken_ends_in_the_same_bits(tmp_path, caplog):
    whole = toy.Training(tmp_path / 'whole').fit()
    broken = toy.Training(tmp_path / 'broken')
    broken.fit(stop_after=25)
    for path in (tmp_path / 'broken' / 'checkpoints' / '25').rglob('*'):
        if path.is_file():
            path.write_bytes(b'')
    broken.asked.clear()
    with caplog.at_level('WARNING'):
        toy.same(whole, broken.fit())
    assert broken.asked == list(range(20, 30)) and 'going on from step 20' in caplog.text
    assert list(lines(tmp_path / 'broken', 'loss')) == [5, 10, 15, 20, 25, 30]
