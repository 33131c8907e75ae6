import threading

import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import scenes
from recon.train.tasks import _scenes


def test_training_scenes_are_drawn_once_and_none_is_held_out(tmp_path, monkeypatch):
    monkeypatch.setattr(_scenes, '_CHUNK', 32)
    drawn = _scenes.training(tmp_path, n=75, size=16)
    assert drawn.ids.tolist() == [i for i in range(90) if i % 10 != 9][:75]
    assert not scenes.held_out(drawn.ids).any() and not scenes.has_unseen(drawn).any()
    whole = scenes.draw(drawn.ids, 16)
    for name, array in vars(whole).items():
        np.testing.assert_array_equal(getattr(drawn, name), array, err_msg=name)
        assert getattr(drawn, name).dtype == array.dtype
    assert isinstance(drawn.images, np.memmap) and not drawn.images.flags.writeable
    assert scenes.captions(drawn) == scenes.captions(whole)
    monkeypatch.setattr(scenes, 'draw', lambda *_: pytest.fail('drawn again'))
    _scenes.training(tmp_path, n=75, size=16)
    assert [p.name for p in tmp_path.iterdir()] == ['scenes_v1_16_75']


def test_two_trainings_may_draw_at_once_and_a_killed_one_leaves_no_scenes(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scenes, 'draw', killed)
        with pytest.raises(KeyboardInterrupt):
            _scenes.training(tmp_path, n=9, size=16)
    assert not list(tmp_path.iterdir())
    plain = scenes.draw

    def second_is_first(ids, size):
        monkeypatch.setattr(scenes, 'draw', plain)
        monkeypatch.setattr(_scenes.os, 'getpid', lambda: 1)
        other = threading.Thread(target=_scenes.training, args=(tmp_path, 9, 16))
        other.start()
        other.join()
        return plain(ids, size)

    monkeypatch.setattr(scenes, 'draw', second_is_first)
    assert len(_scenes.training(tmp_path, n=9, size=16).ids) == 9
    assert [p.name for p in tmp_path.iterdir()] == ['scenes_v1_16_9']


@pytest.mark.parametrize('n', [0, 65_701])
def test_more_training_scenes_than_exist_are_refused(tmp_path, n):
    with pytest.raises(errors.ConfigError, match=f'{n} training scenes .*1 to 65700'):
        _scenes.training(tmp_path, n)


def test_held_out_scenes_are_every_tenth_and_show_unseen_pairs():
    drawn = _scenes.held_out(40, size=16, start=3)
    assert drawn.ids.tolist() == list(range(39, 439, 10))
    assert scenes.held_out(drawn.ids).all() and scenes.has_unseen(drawn).any()
    np.testing.assert_array_equal(_scenes.held_out(5, 16).images[3:], drawn.images[:2])
