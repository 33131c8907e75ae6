import errno
import logging
import shutil

import jax
import numpy as np
import pytest

from recon.core import errors
from recon.train import checkpoint
from recon.train import state as states
from tests.train import toy


def test_parameters_come_back_bit_for_bit(tmp_path):
    params = {
        'w': np.random.default_rng(0).random((3, 4)).astype(np.float32),
        'inner': {'mask': np.array([True, False]), 'size': np.array([2, 3]), 'x': np.array(2.5)},
        'jax': jax.numpy.arange(3.0),
    }
    checkpoint.save(tmp_path / 'c', params)
    back = checkpoint.load(tmp_path / 'c')
    jax.tree.map(np.testing.assert_array_equal, back, jax.tree.map(np.asarray, params))
    assert back['inner']['mask'].dtype == bool and back['w'].dtype == np.float32


def test_nothing_there_is_none_and_a_broken_one_is_named(tmp_path):
    assert checkpoint.load(tmp_path / 'c') is None
    checkpoint.save(tmp_path / 'c', {'w': np.ones(3)})
    for path in (tmp_path / 'c').rglob('*'):
        if path.is_file():
            path.write_bytes(b'broken')
    with pytest.raises(errors.DataInvalid, match='remove this folder'):
        checkpoint.load(tmp_path / 'c')


def test_parameters_of_other_rows_or_options_do_not_count(tmp_path):
    checkpoint.save(tmp_path / 'c', {'w': np.ones(3)}, 'one')
    assert checkpoint.load(tmp_path / 'c', 'one') is not None
    assert checkpoint.load(tmp_path / 'c', 'two') is None
    checkpoint.save(tmp_path / 'c', {'w': np.zeros(3)}, 'two')
    assert checkpoint.load(tmp_path / 'c', 'two')['w'].sum() == 0


def a_state(seed=0):
    random = np.random.default_rng(seed)
    kernel = random.standard_normal((6, 4)).astype(np.float32)
    half = jax.numpy.asarray(kernel, jax.numpy.bfloat16)
    return states.State(jax.numpy.int32(seed), {'a': {'weight': kernel}}, (half, None))


def test_a_keeper_keeps_the_newest_and_gives_them_back_bit_for_bit(tmp_path):
    with checkpoint.Keeper(tmp_path, keep=2) as keeper:
        assert keeper.restore(a_state()) is None
        for step in (3, 5, 9):
            keeper.save(step, a_state(step), {'step': step})
        keeper.wait()
        assert keeper.steps == [5, 9]
    with checkpoint.Keeper(tmp_path) as keeper:
        state, facts = keeper.restore(a_state(1))
    toy.same(state, a_state(9))
    assert facts == {'step': 9}


def test_a_state_that_is_changed_during_its_save_is_saved_as_it_was(tmp_path):
    grow = jax.jit(lambda x: x + 1, donate_argnums=0)
    x = jax.jit(lambda: jax.numpy.zeros((700, 700)))()
    with checkpoint.Keeper(tmp_path) as keeper:
        keeper.save(1, {'x': x})
        for _ in range(5):
            x = grow(x)
    with checkpoint.Keeper(tmp_path) as keeper:
        assert np.abs(keeper.restore({'x': x})[0]['x']).max() == 0


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (
            {'params': {'a': {'weight': np.ones((6, 3), 'f')}}},
            r'weight is float32\[6, 4\] there, fl',
        ),
        ({'params': {'a': {'weight': np.ones((6, 4), 'f'), 'bias': np.ones(4)}}}, 'bias is absent'),
        ({'opt_state': (np.ones((6, 4), 'f'), None)}, r'opt_state.0 is bfloat16\[6, 4\] there'),
        ({'ema': {'a': np.ones(2, 'f')}}, r'ema.a is absent there, float32\[2\] now'),
    ],
)
def test_a_checkpoint_of_another_net_is_refused_in_one_line(tmp_path, change, text):
    with checkpoint.Keeper(tmp_path) as keeper:
        keeper.save(4, a_state())
        with pytest.raises(errors.ConfigError, match=text) as caught:
            keeper.restore(a_state().replace(**change))
    assert '\n' not in str(caught.value)


def test_a_broken_checkpoint_is_named(tmp_path):
    with checkpoint.Keeper(tmp_path) as keeper:
        keeper.save(4, a_state())
    for path in (tmp_path / '4').rglob('*'):
        if path.is_file():
            path.write_bytes(b'broken')
    with (
        checkpoint.Keeper(tmp_path) as keeper,
        pytest.raises(errors.DataInvalid, match=r'cannot be read .*checkpoints?.*4|/4 .*remove'),
    ):
        keeper.restore(a_state())


def spoil(folder, how):
    for path in folder.rglob('*'):
        if path.is_file():
            content = path.read_bytes()
            path.write_bytes(b'broken' if how == 'other bytes' else content[: len(content) // 2])


@pytest.mark.parametrize('how', ['other bytes', 'cut short'])
def test_of_a_damaged_checkpoint_our_own_line_alone_is_seen(tmp_path, caplog, how):
    checkpoint.save(tmp_path / 'c', {'w': np.ones(3000)})
    spoil(tmp_path / 'c', how)
    with checkpoint.Keeper(tmp_path / 'k') as keeper:
        keeper.save(4, a_state())
        keeper.save(8, a_state().replace(step=np.int32(8)))
    spoil(tmp_path / 'k' / '8', how)
    caplog.clear()
    with caplog.at_level('WARNING'):
        with pytest.raises(errors.DataInvalid):
            checkpoint.load(tmp_path / 'c')
        with checkpoint.Keeper(tmp_path / 'k') as keeper:
            keeper.restore(a_state())
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1 and 'going on from step 4 instead' in said[0], said
        logging.getLogger('another library').warning('still heard')
    assert 'still heard' in caplog.text


@pytest.mark.parametrize('how', ['other bytes', 'cut short', 'gone'])
def test_a_broken_checkpoint_gives_way_to_the_one_before_and_says_so(tmp_path, caplog, how):
    with checkpoint.Keeper(tmp_path) as keeper:
        keeper.save(4, a_state(), {'worse': 1})
        keeper.save(8, a_state().replace(step=np.int32(8)), {'worse': 2})
    if how == 'gone':
        for part in ('state', 'facts'):
            shutil.rmtree(tmp_path / '8' / part)
    else:
        spoil(tmp_path / '8', how)
    with checkpoint.Keeper(tmp_path) as keeper, caplog.at_level('WARNING'):
        state, facts = keeper.restore(a_state())
        assert facts == {'worse': 1} and int(state.step) == 0
        assert f'{tmp_path / "8"} cannot be read' in caplog.text
        assert 'going on from step 4' in caplog.text
        assert keeper.steps == [4]
        keeper.save(8, a_state().replace(step=np.int32(8)))  # the training comes there again
    with checkpoint.Keeper(tmp_path) as keeper:
        assert int(keeper.restore(a_state())[0].step) == 8


def test_a_full_disk_is_said_before_and_after(tmp_path, monkeypatch):
    full = type('Usage', (), {'free': 300_000})
    with checkpoint.Keeper(tmp_path) as keeper:
        keeper.save(1, a_state())
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint.shutil, 'disk_usage', lambda _: full)
            keeper.save(2, a_state())
            with pytest.raises(OSError, match='No space left on device'):
                keeper.save(3, {'x': np.ones(10_000)})
        keeper.wait()
        assert keeper.steps == [1, 2]
        wrapped = ValueError('RESOURCE_EXHAUSTED: write failed: No space left on device [tensor]')
        monkeypatch.setattr(keeper._manager, 'wait_until_finished', _raiser(wrapped))
        with pytest.raises(OSError, match='No space') as caught:
            keeper.wait()
        assert caught.value.errno == errno.ENOSPC
        monkeypatch.undo()


def _raiser(error):
    def call():
        raise error

    return call


def test_settings_mark_a_folder_and_others_are_refused(tmp_path):
    path = tmp_path / 'new' / 'settings.json'
    checkpoint.claim(path, {'b': {'c': 1, 'd': (1, 2)}, 'save_every': 5})
    checkpoint.claim(path, {'b': {'c': 1, 'd': [1, 2]}, 'save_every': 6, 'log_every': 1})
    with pytest.raises(errors.ConfigError, match=r'is b.c: 1 there, 2 now .*new .*another folder'):
        checkpoint.claim(path, {'b': {'c': 2, 'd': [1, 2]}})
    with pytest.raises(errors.ConfigError, match=r"e: 'absent' there, None now"):
        checkpoint.claim(path, {'b': {'c': 1, 'd': [1, 2]}, 'e': None})
