"""Against a server in this process that answers as figshare's API does."""

import hashlib
import http.server
import json
import threading

import numpy as np
import pytest

from launch import fetch, figshare
from recon.core import errors

ARTICLE = 7387130


class Shelf:
    """Files of one article, and what the server does with them."""

    def __init__(self, files):
        self.files, self.stated, self.extra = files, {}, []
        self.cut, self.ranges, self.asked = {}, True, []
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), self.handler())
        self.api = f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def listed(self):
        rows = [
            {
                'id': k,
                'name': name,
                'size': len(content),
                'is_link_only': False,
                'computed_md5': self.stated.get(name, hashlib.md5(content).hexdigest()),
                'supplied_md5': '',
                'download_url': f'{self.api}/download/{k}',
            }
            for k, (name, content) in enumerate(self.files.items())
        ]
        return rows + self.extra

    def handler(shelf):  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                path, _, query = self.path.partition('?')
                shelf.asked.append((path, self.headers.get('Range')))
                if path == f'/articles/{ARTICLE}':
                    licence = {'value': 1, 'name': 'CC BY 4.0', 'url': 'https://example.org/by'}
                    self.answer(json.dumps({'title': 'Objects', 'license': licence}).encode())
                elif path == f'/articles/{ARTICLE}/files':
                    page = int(query.split('page=')[1].split('&')[0])
                    rows = shelf.listed()[100 * (page - 1) : 100 * page]
                    self.answer(json.dumps(rows).encode())
                elif path.startswith('/download/'):
                    name = list(shelf.files)[int(path.split('/')[-1])]
                    self.download(name, shelf.files[name])
                else:
                    self.send_error(404)

            def download(self, name, content):
                start = 0
                if self.headers.get('Range') and shelf.ranges:
                    start = int(self.headers['Range'].removeprefix('bytes=').rstrip('-'))
                if start >= len(content):
                    self.send_error(416)
                    return
                stop = shelf.cut.pop(name, len(content))
                self.send_response(206 if start else 200)
                self.send_header('Content-Length', str(len(content) - start))
                self.end_headers()
                self.wfile.write(content[start:stop])

            def answer(self, content):
                self.send_response(200)
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        return Handler


@pytest.fixture
def shelf():
    rng = np.random.default_rng(0)
    made = Shelf({f'Subject{k}.h5': rng.bytes(300_000 + k) for k in (1, 2)} | {'notes.txt': b'x'})
    yield made
    made.server.shutdown()


def entry(shelf, name):
    return next(f for f in figshare.article(ARTICLE, shelf.api)['files'] if f['name'] == name)


def test_an_article_gives_its_licence_and_its_files_over_several_pages(shelf):
    shelf.extra = [
        {'id': 9, 'name': 'elsewhere', 'size': 0, 'is_link_only': True, 'download_url': 'x'}
    ]
    shelf.files |= {f'f{k}': b'ab' for k in range(150)}
    told = figshare.article(ARTICLE, shelf.api)
    assert told['licence'] == 'CC BY 4.0 https://example.org/by' and told['title'] == 'Objects'
    assert len(told['files']) == 153 and 'elsewhere' not in {f['name'] for f in told['files']}
    assert told['files'][0]['md5'] == hashlib.md5(shelf.files['Subject1.h5']).hexdigest()


def test_a_file_is_fetched_once_and_then_known(shelf, tmp_path):
    file = entry(shelf, 'Subject1.h5')
    assert figshare.fetch(file, tmp_path) == 'fetched'
    assert (tmp_path / 'Subject1.h5').read_bytes() == shelf.files['Subject1.h5']
    before = len(shelf.asked)
    assert figshare.fetch(file, tmp_path) == 'already there'
    assert len(shelf.asked) == before
    assert [p.name for p in tmp_path.iterdir()] == ['Subject1.h5']


@pytest.mark.parametrize('ranges', [True, False])
def test_a_download_that_was_cut_goes_on_and_never_has_the_final_name(shelf, tmp_path, ranges):
    file, shelf.ranges = entry(shelf, 'Subject2.h5'), ranges
    shelf.cut['Subject2.h5'] = 100_000
    with pytest.raises(errors.DataMissing, match=r'goes on where it stopped'):
        figshare.fetch(file, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ['.Subject2.h5.part']
    kept = (tmp_path / '.Subject2.h5.part').stat().st_size
    assert figshare.fetch(file, tmp_path) == 'resumed'
    assert shelf.asked[-1][1] == f'bytes={kept}-'
    assert (tmp_path / 'Subject2.h5').read_bytes() == shelf.files['Subject2.h5']


def test_another_checksum_never_gets_the_final_name(shelf, tmp_path):
    shelf.stated['Subject1.h5'] = 'f' * 32
    with pytest.raises(errors.DataInvalid, match=r'md5 of Subject1.h5 is .*figshare states ffff'):
        figshare.fetch(entry(shelf, 'Subject1.h5'), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_part_of_something_else_is_thrown_away(shelf, tmp_path):
    file = entry(shelf, 'Subject1.h5')
    (tmp_path / '.Subject1.h5.part').write_bytes(b'z' * 1000)
    with pytest.raises(errors.DataInvalid, match='md5'):
        figshare.fetch(file, tmp_path)
    assert figshare.fetch(file, tmp_path) == 'fetched'
    (tmp_path / 'Subject1.h5').unlink()
    (tmp_path / '.Subject1.h5.part').write_bytes(b'z' * 400_000)
    assert figshare.fetch(file, tmp_path) == 'fetched'


def test_a_file_of_the_same_name_is_not_overwritten(shelf, tmp_path):
    (tmp_path / 'Subject1.h5').write_bytes(b'mine')
    with pytest.raises(errors.DataInvalid, match='another file of this name'):
        figshare.fetch(entry(shelf, 'Subject1.h5'), tmp_path)
    assert (tmp_path / 'Subject1.h5').read_bytes() == b'mine'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'name': '../evil'}, "a file named '../evil'"),
        ({'name': '.hidden'}, "a file named '.hidden'"),
        ({'md5': ''}, 'no checksum is stated'),
        ({'url': 'file:///etc/hostname'}, 'not an address of the web'),
    ],
)
def test_an_odd_entry_is_refused(shelf, tmp_path, change, message):
    with pytest.raises(errors.DataInvalid, match=message):
        figshare.fetch(entry(shelf, 'Subject1.h5') | change, tmp_path / 'x')
    assert not (tmp_path / 'evil').exists()


def test_more_than_the_disk_holds_is_refused_before_it_begins(shelf, tmp_path):
    with pytest.raises(errors.DataMissing, match='the disk has'):
        figshare.fetch(entry(shelf, 'Subject1.h5') | {'size': 10**15}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_shows_the_licence_and_fetches_only_when_it_is_accepted(
    shelf, tmp_path, capsys
):
    words = ['god', '--out', str(tmp_path), '--api', shelf.api]
    assert fetch.main(words) == 0
    said = capsys.readouterr().out
    assert 'licence: CC BY 4.0' in said and '--accept' in said and not list(tmp_path.iterdir())
    assert fetch.main([*words, '--accept', '--only', 'Subject*']) == 0
    said = capsys.readouterr().out
    assert said.index('CC BY 4.0') < said.index('Subject1.h5: fetched')
    assert sorted(p.name for p in (tmp_path / 'god').iterdir()) == ['Subject1.h5', 'Subject2.h5']


def test_a_pattern_that_fits_nothing_names_the_files(shelf, tmp_path, capsys):
    words = ['god', '--out', str(tmp_path), '--api', shelf.api, '--accept', '--only', 'sub-9*']
    assert fetch.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and "no file is like 'sub-9*'" in error and 'Subject1.h5' in error


@pytest.mark.parametrize('api', ['http://127.0.0.1:9', 'http://nowhere.invalid'])
def test_without_a_network_it_ends_in_two_with_one_line(tmp_path, capsys, api):
    words = ['shen2019', '--out', str(tmp_path), '--api', api]
    assert fetch.main([*words, '--accept']) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and 'the download failed' in error and 'check the network' in error
    assert not list(tmp_path.iterdir())
    assert fetch.main(words) == 0, 'what to accept and where to ask is said without a network'
    assert 'was not reached' in capsys.readouterr().out


def test_an_answer_of_another_kind_is_said_so(shelf, tmp_path):
    shelf.extra = [{'name': 'no size'}]
    with pytest.raises(errors.DataInvalid, match='an answer of another kind'):
        figshare.article(ARTICLE, shelf.api)
    with pytest.raises(errors.DataMissing, match='404 Not Found'):
        figshare.article(1, shelf.api)
