"""Open files of a figshare article: listed with their checksums, resumed, verified. No jax."""

import contextlib
import fnmatch
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import urllib.error
import urllib.request

from recon.core import errors

API = 'https://api.figshare.com/v2'
_TIMEOUT_S, _CHUNK = 30, 2**20
_LOST = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


def article(number: int, api: str = API) -> dict:
    """What figshare says of an article: {'title', 'licence': text, 'files': [...]}.

    Each file is {'id', 'name', 'size', 'md5', 'url'}; those that are links elsewhere are left out.

    Raises:
      DataMissing: no network, or no such article.  DataInvalid: an answer of another kind.
    """
    told = _json(f'{api}/articles/{number}')
    listed, page = [], 1
    while True:
        part = _json(f'{api}/articles/{number}/files?page={page}&page_size=100')
        listed += part
        if len(part) < 100:
            break
        page += 1
    try:
        licence = told.get('license') or {}
        files = [
            {
                'id': int(f['id']),
                'name': str(f['name']),
                'size': int(f['size']),
                'md5': f.get('computed_md5') or f.get('supplied_md5') or '',
                'url': str(f['download_url']),
            }
            for f in listed
            if not f.get('is_link_only')
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise errors.DataInvalid(
            f'an answer of another kind ({type(error).__name__}: {error})',
            f'{api}/articles/{number}',
            'the address of the API may have changed: fetch the files by hand',
        ) from error
    said = ' '.join(str(licence.get(k) or '') for k in ('name', 'url')).strip()
    title = str(told.get('title') or number)
    return {'title': title, 'licence': said or 'none is given', 'files': files}


def choose(files: list[dict], only: str) -> list[dict]:
    """The files whose name fits the pattern `only` ('sub-01*', '' for all).

    Raises:
      ConfigError: none does; the message lists those that exist.
    """
    chosen = [f for f in files if fnmatch.fnmatch(f['name'], only or '*')]
    if not chosen:
        names = ', '.join(sorted(f['name'] for f in files)[:12])
        raise errors.ConfigError(f'no file is like {only!r}', '--only', f'files: {names}')
    return chosen


def fetch(file: dict, folder: pathlib.Path) -> str:
    """Downloads one file, unless it is there whole.

    What came before an interruption is kept under '.<name>.part' and continued; the final name is
    given only to a file with the size and the md5 that figshare states.

    Args:
      file: an entry of `article`.
      folder: made if it is not there.

    Returns:
      'already there', 'fetched' or 'resumed'.

    Raises:
      DataMissing: the network failed.  DataInvalid: an odd name, no checksum, or one that differs.
    """
    name, folder = file['name'], pathlib.Path(folder)
    if name != pathlib.PurePath(name).name or name.startswith('.') or '\\' in name:
        raise errors.DataInvalid(f'a file named {name!r}', file['url'], 'fetch it by hand')
    if not file['md5']:
        raise errors.DataInvalid(
            f'no checksum is stated for {name}', file['url'], 'fetch it by hand'
        )
    final, part = folder / name, folder / f'.{name}.part'
    if final.exists():
        if final.stat().st_size == file['size'] and md5(final) == file['md5']:
            return 'already there'
        raise errors.DataInvalid('another file of this name', final, 'move it away, and run again')
    folder.mkdir(parents=True, exist_ok=True)
    here = part.stat().st_size if part.exists() else 0
    if here > file['size']:
        part.unlink()
        here = 0
    free = shutil.disk_usage(folder).free
    if free < file['size'] - here:
        raise errors.DataMissing(
            f'{name} has {file["size"]:,} bytes, the disk has {free:,} left', folder, 'free some'
        )
    if here < file['size'] or not part.exists():
        _download(file['url'], part, here)
    size, found = part.stat().st_size, md5(part)
    if size < file['size']:
        raise errors.DataMissing(
            f'{name} ended after {size:,} of {file["size"]:,} bytes', file['url'], _AGAIN
        )
    if found != file['md5']:
        part.unlink()
        raise errors.DataInvalid(
            f'md5 of {name} is {found}, figshare states {file["md5"]}', file['url'], 'fetch again'
        )
    os.replace(part, final)
    return 'resumed' if here else 'fetched'


def md5(path: pathlib.Path) -> str:
    """Of a file, read in parts."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, 'rb') as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


_AGAIN = 'check the network, and run the same command again: it goes on where it stopped'


def _download(url: str, part: pathlib.Path, here: int) -> None:
    """Appends what is left of `url` to `part`; from the start where the server cannot resume."""
    if not url.startswith(('http://', 'https://')):
        raise errors.DataInvalid('not an address of the web', url, 'fetch it by hand')
    request = urllib.request.Request(url, headers={'Range': f'bytes={here}-'} if here else {})
    with _network(url):
        try:
            answer = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # what is here already is longer than what is there
                part.unlink()
            raise
        with answer, open(part, 'ab' if answer.status == 206 else 'wb') as file:
            while block := answer.read(_CHUNK):
                file.write(block)


def _json(url: str):
    with _network(url), urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        content = answer.read()
    try:
        return json.loads(content)
    except ValueError as error:
        raise errors.DataInvalid('the answer is not JSON', url, 'fetch by hand') from error


@contextlib.contextmanager
def _network(url: str):
    """Turns what a network can do into one line."""
    try:
        yield
    except _LOST as error:
        code = getattr(error, 'code', '')
        text = ' '.join(f'{code} {getattr(error, "reason", "") or error}'.split())[:120]
        raise errors.DataMissing(f'the download failed ({text})', url, _AGAIN) from error
