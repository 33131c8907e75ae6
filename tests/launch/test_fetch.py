import pytest

from launch import fetch, sources
from recon.core import errors, lookup
from recon.data.datasets import miyawaki2008


def test_without_a_name_every_data_set_is_listed(capsys):
    assert fetch.main([]) == 0
    text = capsys.readouterr().out
    assert all(f'{name} ' in text for name in sources.SOURCES)
    readers = {n for n in lookup.names('recon.data.datasets') if n != 'coco'}
    assert readers <= set(sources.SOURCES), 'every reader says how to get its files'


@pytest.mark.parametrize('name', [n for n, s in sources.SOURCES.items() if not s.figshare])
def test_each_says_what_to_accept_where_to_ask_and_what_to_get(name, capsys):
    assert fetch.main([name]) == 0
    text = capsys.readouterr().out
    assert all(f'{word}:' in text for word in ('accept', 'ask', 'get', 'then'))
    assert ('--accept' in text) == sources.SOURCES[name].open


def test_what_is_not_fetched_from_here_says_where_to_ask(capsys):
    assert fetch.main(['nsd', '--accept']) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and 'nsd is not fetched from here' in error
    assert 'Data Access Agreement' in error


def test_nothing_is_downloaded_before_the_terms_are_accepted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(miyawaki2008, 'download', lambda folder: 1 / 0)
    assert fetch.main(['miyawaki2008', '--out', str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert 'Nothing was fetched' in said and 'do not pass it on' in said


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
    assert fetch.main(['miyawaki2008', '--accept', '--out', str(tmp_path / 'x')]) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and 'download failed' in error
