import pytest

from launch import fetch
from recon.core import errors
from recon.data.datasets import miyawaki2008


def test_without_a_name_every_data_set_is_listed(capsys):
    assert fetch.main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ('simulated', 'digits69', 'miyawaki2008', 'nsd'))


@pytest.mark.parametrize('name', ['simulated', 'digits69', 'nsd'])
def test_each_says_what_to_accept_where_to_ask_and_what_to_get(name, capsys):
    assert fetch.main([name]) == 0
    text = capsys.readouterr().out
    assert all(f'{word}:' in text for word in ('accept', 'ask', 'get', 'then'))


def test_an_unknown_name_ends_in_two_with_one_line(capsys):
    assert fetch.main(['digits']) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and "no data set 'digits'" in error and 'digits69' in error


@pytest.mark.real
def test_the_published_file_passes_the_check(shared, capsys):
    path = shared / 'data' / 'digits69' / 'digit69_28x28.mat'
    assert fetch.main(['digits69', '--check', str(path)]) == 0
    assert 'sha256 as published' in capsys.readouterr().out


def test_another_file_and_no_file_fail_the_check(tmp_path, capsys):
    other = tmp_path / 'other.mat'
    other.write_bytes(b'something else')
    assert fetch.main(['digits69', '--check', str(other)]) == 2
    assert 'the published file has 44513e09' in capsys.readouterr().err
    assert fetch.main(['digits69', '--check', str(tmp_path / 'none')]) == 2
    assert 'no such file' in capsys.readouterr().err
    assert fetch.main(['nsd', '--check', str(other)]) == 2
    assert 'no sha256 is known for nsd' in capsys.readouterr().err


def test_no_network_ends_in_two_with_one_line(tmp_path, monkeypatch, capsys):
    def download(folder):
        raise errors.DataMissing('the download failed (no route)', folder, 'check the network')

    monkeypatch.setattr(miyawaki2008, 'download', download)
    assert fetch.main(['miyawaki2008', '--out', str(tmp_path / 'x')]) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and 'download failed' in error
