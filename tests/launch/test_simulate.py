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

    def write(out, **given):
        called.update(given)
        for folder in (out, out.with_name(f'{out.name}_truth')):
            folder.mkdir()

    monkeypatch.setattr(writer, 'write', write)
    words = ['--layout=digits69', f'--out={tmp_path / "x"}', '--scale=full', '--seed=4']
    assert simulate.main(words) == 0
    assert called == {'subject': 1, 'scale': 'full', 'seed': 4} and (tmp_path / 'x').is_dir()


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


def test_a_place_that_cannot_be_made_is_refused_with_its_flag(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    for out in (tmp_path / 'file', tmp_path / 'file' / 'x', '/proc/none/x'):
        assert simulate.main([f'--out={out}']) == 2
        said = capsys.readouterr().err
        assert said.count('\n') == 1 and 'name another --out' in said


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    assert simulate.main([f'--out={tmp_path}']) == 2
    assert 'not an empty folder' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['mine.txt']


def test_a_start_that_fails_leaves_nothing_and_an_empty_folder_is_filled(tmp_path, monkeypatch):
    from recon.core import errors
    from recon.data.layouts import digits69

    whole = digits69.write

    def broken(root, **options):
        whole(root, **options)
        raise errors.DataInvalid('the disk is full', root, 'free some space')

    out = tmp_path / 'a'
    out.mkdir()
    monkeypatch.setattr(digits69, 'write', broken)
    assert simulate.main(['--layout=digits69', f'--out={out}']) == 2
    assert [p.name for p in tmp_path.iterdir()] == ['a'] and not any(out.iterdir())
    monkeypatch.setattr(digits69, 'write', whole)
    assert simulate.main(['--layout=digits69', f'--out={out}']) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'a_truth'] and any(out.iterdir())
