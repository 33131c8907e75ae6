import numpy as np
import pytest

from launch import simulate


def test_it_writes_a_recording_and_its_truth(tmp_path, capsys):
    out = tmp_path / 'made'
    assert simulate.main([f'--out={out}', '--subject=2', '--seed=3']) == 0
    assert 'subject 2, toy' in capsys.readouterr().out
    with np.load(out / 'simulated.npz', allow_pickle=False) as file:
        assert file['train_voxels'].shape[0] == 150
    assert (tmp_path / 'made_truth' / 'truth.npz').exists()


def test_layouts_are_found_by_name(tmp_path, monkeypatch):
    called = {}
    writer = simulate.find('digits69')
    monkeypatch.setattr(writer, 'write', lambda out, **given: called.update(given, out=out))
    words = ['--layout=digits69', f'--out={tmp_path / "x"}', '--scale=full', '--seed=4']
    assert simulate.main(words) == 0
    assert called == {'out': tmp_path / 'x', 'subject': 1, 'scale': 'full', 'seed': 4}


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--layout=nds', '--out=x'], "is 'nds'.*did you mean 'nsd'.*digits69"),
        (['--layout=digits69'], 'arguments are required: --out'),
        (['--out=x', '--subject=one'], 'invalid int value'),
        (['--out=x', '--scale=huge'], "scale is 'huge'"),
        (['--out=x', '--subject=0'], 'subject 0'),
        (['--outt=x'], 'required: --out'),
    ],
)
def test_a_users_error_is_one_line_and_exit_code_two(words, message, capsys, tmp_path, monkeypatch):
    import re

    monkeypatch.chdir(tmp_path)
    assert simulate.main(words) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1 and re.search(message, said)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    assert simulate.main([f'--out={tmp_path}']) == 2
    assert 'not an empty folder' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']
