import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

from launch import train_zoo
from recon.core import errors, lookup, results


@pytest.fixture
def tasks(monkeypatch):
    """Tasks that write a file each; {'name': module}, and what was called."""
    called = []

    def task(name):
        def run(settings, out, work, *, seed, stop):
            called.append((name, settings, seed))
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(json.dumps(settings))

        def measure(out):
            called.append((name, 'measured'))
            return {'right': len((out / name).read_text()), 'chance': 0.25}

        defaults = {'steps': 10, 'learning_rate': 1e-3, 'schedule': 'cosine', 'save_every': 5}
        return types.SimpleNamespace(SETTINGS=defaults, run=run, measure=measure)

    known = {name: task(name) for name in train_zoo.ORDER}

    def find(package, name, key):
        if name not in known:
            raise errors.ConfigError(f'{key} is {name!r}', package, ', '.join(known))
        return known[name]

    monkeypatch.setattr(lookup, 'find', find)
    return types.SimpleNamespace(known=known, called=called)


def words(folder, net, *more):
    return [f'--net={net}', f'--out={folder}/out', f'--work={folder}/work', *more]


def test_all_nets_are_trained_in_order_and_measured_into_one_file(tmp_path, tasks):
    changes = ['--set', 'blip.steps=3', '--set=clip.learning_rate=1', '--seed=4']
    assert train_zoo.main(words(tmp_path, 'all', *changes)) == 0
    assert [name for name, *_ in tasks.called] == list(train_zoo.ORDER)
    given = {name: settings for name, settings, _ in tasks.called}
    assert given['blip']['steps'] == 3 and given['clip']['steps'] == 10
    assert given['clip']['learning_rate'] == 1.0 and isinstance(
        given['clip']['learning_rate'], float
    )
    assert {seed for *_, seed in tasks.called} == {4}
    assert train_zoo.main(['--net=all', f'--out={tmp_path}/out', '--measure']) == 0
    reach = json.loads((tmp_path / 'out' / 'reach.json').read_text())
    assert sorted(reach) == sorted(train_zoo.ORDER)
    blip = reach['blip']
    assert blip['reached']['chance'] == 0.25 and blip['training']['settings']['steps'] == 3
    assert blip['training']['seconds'] >= 0 and blip['training']['starts'][0]['seed'] == 4
    for by in (blip['measured'], blip['training']['starts'][0]):
        assert {'commit', 'versions', 'device', 'seconds'} <= by.keys()


def test_a_second_start_is_added_to_the_first(tmp_path, tasks):
    for _ in range(2):
        assert train_zoo.main(words(tmp_path, 'clip', '--set=steps=2')) == 0
    reach = json.loads((tmp_path / 'out' / 'reach.json').read_text())
    assert len(reach['clip']['training']['starts']) == 2 and list(reach) == ['clip']
    assert not (tmp_path / 'work' / 'clip' / 'lock').exists()


@pytest.mark.parametrize(
    ('more', 'text'),
    [
        (['--net=vae'], "--net is 'vae'"),
        (['--net=clip', '--set=step=3'], '--set step=3 .*did you mean steps'),
        (['--net=clip', '--set=steps'], '--set steps '),
        (['--net=clip', '--set=steps=few'], "steps is 'few' .*wanted: int"),
        (['--net=clip', '--set=steps=2.5'], "steps is '2.5' .*wanted: int"),
        (['--net=clip', '--set=blip.steps=3'], '--set blip.steps=3'),
        (['--net=all', '--set=steps=3'], '--set steps=3 .*clip.<key>'),
        (['--nett=clip'], '--nett|required'),
        (['--net=clip', '--seed=x'], 'seed'),
    ],
)
def test_what_is_wrong_on_the_command_line_ends_with_one_line(tmp_path, tasks, capfd, more, text):
    given = [word for word in words(tmp_path, 'clip')[1:] if word]
    assert train_zoo.main([*given, *more]) == 2
    err = capfd.readouterr().err.strip().splitlines()
    assert len(err) == 1 and re.search(text, err[0]), err
    assert not tasks.called and not (tmp_path / 'work').exists()


def test_a_training_without_work_and_help(tmp_path, tasks, capfd):
    assert train_zoo.main(['--net=clip', f'--out={tmp_path}']) == 2
    assert 'no --work' in capfd.readouterr().err
    assert train_zoo.main(['--help']) == 0
    assert '--measure' in capfd.readouterr().out


def test_other_settings_or_another_seed_do_not_go_on_where_these_stood(tmp_path, tasks, capfd):
    assert train_zoo.main(words(tmp_path, 'blip', '--set=schedule=step')) == 0
    assert train_zoo.main(words(tmp_path, 'blip', '--set=schedule=step', '--set=save_every=9')) == 0
    assert train_zoo.main(words(tmp_path, 'blip')) == 2
    assert "schedule: 'step' there, 'cosine' now" in capfd.readouterr().err
    assert train_zoo.main(words(tmp_path, 'blip', '--set=schedule=step', '--seed=1')) == 2
    assert 'seed: 0 there, 1 now' in capfd.readouterr().err
    assert len(tasks.called) == 2


def test_a_live_training_keeps_its_folder(tmp_path, tasks, capfd):
    inside = []

    def run(settings, out, work, *, seed, stop):
        inside.append(train_zoo.main(words(tmp_path, 'clip')))

    tasks.known['clip'].run = run
    assert train_zoo.main(words(tmp_path, 'clip')) == 0
    assert inside == [2] and 'in use' in capfd.readouterr().err


def test_sigterm_only_asks_and_the_next_net_does_not_begin(tmp_path, tasks, capfd):
    def run(settings, out, work, *, seed, stop):
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.05)
        tasks.called.append(('clip', stop()))
        raise results.Stopped('after step 7')

    tasks.known['clip'].run = run
    before = signal.getsignal(signal.SIGTERM)
    assert train_zoo.main(words(tmp_path, 'all')) == 0
    assert [name for name, *_ in tasks.called] == ['sd_vae', 'clip']
    assert tasks.called[1] == ('clip', True), 'asked, and not broken off'
    assert 'to be continued by the same command' in capfd.readouterr().err
    starts = json.loads((tmp_path / 'work' / 'clip' / 'starts.json').read_text())
    assert len(starts) == 1 and signal.getsignal(signal.SIGTERM) is before


def test_two_nets_may_end_at_the_same_moment(tmp_path):
    ends = [
        threading.Thread(target=train_zoo._merge, args=(tmp_path, f'n{i}', {'a': i}))
        for i in range(12)
    ]
    for end in ends:
        end.start()
    for end in ends:
        end.join()
    assert json.loads((tmp_path / 'reach.json').read_text()) == {
        f'n{i}': {'a': i} for i in range(12)
    }


CHILD = """
import sys, time, types
from launch import train_zoo
from recon.core import lookup
from tests.train import toy
def run(settings, out, work, *, seed, stop):
    training = toy.Training(work / 'clip', size=3, steps=settings['steps'])
    def batch_at(i):
        if i == 12:
            print('ready', flush=True)
        if i > 12:
            time.sleep(settings['log_every'] / 1000)  # free to differ
        return training.batch_at(i)
    state = training.fit(stop=stop, batch_at=batch_at, save_every=10)
    if not hasattr(state, 'step'):
        raise state
    out.mkdir(parents=True, exist_ok=True)
    (out / 'net').write_bytes(state.params['a']['weight'].tobytes())
task = types.SimpleNamespace(SETTINGS={'steps': 40, 'log_every': 0}, run=run)
lookup.find = lambda *_: task
sys.exit(train_zoo.main(sys.argv[1:]))
"""


@pytest.mark.long
def test_a_training_that_sigterm_stopped_goes_on_to_the_same_net(tmp_path, root):
    def start(folder, wait):
        command = [sys.executable, '-c', CHILD, *words(folder, 'clip', f'--set=log_every={wait}')]
        return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    stopped = start(tmp_path / 'a', 200)
    for line in stopped.stdout:
        if b'ready' in line:
            break
    stopped.send_signal(signal.SIGTERM)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 0 and b'to be continued' in err, err
    assert not (tmp_path / 'a' / 'out').exists()
    for folder in ('a', 'b'):
        ended = start(tmp_path / folder, 0)
        _, err = ended.communicate(timeout=120)
        assert ended.returncode == 0, err
    nets = [(tmp_path / folder / 'out' / 'net').read_bytes() for folder in 'ab']
    assert nets[0] == nets[1]
