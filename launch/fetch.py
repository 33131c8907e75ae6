r"""Says how to get a data set, and fetches it where that is allowed.

    python launch/fetch.py                    lists the data sets
    python launch/fetch.py NAME               what to accept, where to ask, what to download
    python launch/fetch.py NAME --accept [--out DIR] [--only PATTERN]
                                              the same, then fetches what is open, into DIR/NAME
    python launch/fetch.py digits69 --check FILE
                                              compares a file with the published sha256

A download that was cut short goes on where it stopped; what has another checksum never gets its
final name. Exit codes: 0 done or said; 2 the user's cause (no network, a file that differs), in
one line.
"""

import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending, figshare
from launch.sources import SOURCES, Source
from recon.core import errors


def main(argv: list[str]) -> int:
    """Parses `argv`, speaks or fetches, returns the exit code."""
    parser = ending.Parser(__doc__)
    parser.add_argument('name', nargs='?', help='data set; without it, all are listed')
    parser.add_argument('--out', default='data', help='folder to fetch into (default: data)')
    parser.add_argument('--accept', action='store_true', help='you accept the terms: fetch')
    parser.add_argument('--only', default='', help="files like this alone, for example 'sub-01*'")
    parser.add_argument('--check', metavar='FILE', help='compare FILE with the published sha256')
    parser.add_argument('--api', default=figshare.API, help='address of the figshare API')
    with ending.exit_codes() as ended:
        arguments = parser.parse_args(argv)
        if arguments.accept:
            ended.writes(arguments.out, '--out')
        if arguments.name is None:
            for name, source in SOURCES.items():
                print(f'{name:22}{source.what}')
            print('\nMore of one: python launch/fetch.py NAME')
        elif arguments.name not in SOURCES:
            raise errors.ConfigError(
                f'no data set {arguments.name!r}', 'launch/fetch.py', f'known: {", ".join(SOURCES)}'
            )
        elif arguments.check:
            check(arguments.name, pathlib.Path(arguments.check))
        else:
            get(arguments)
    return ended.code


def get(arguments) -> None:
    """Prints what to know of a data set; with --accept fetches what is open.

    Raises:
      ConfigError: --accept for what is not fetched from here.
      DataMissing, DataInvalid: of the download.
    """
    name, source = arguments.name, SOURCES[arguments.name]
    tell(source)
    if not arguments.accept:
        if source.figshare:
            _show_licence(source, arguments.api)
        if source.open:
            where = '' if arguments.out == 'data' else f' --out {arguments.out}'
            print(
                f'Nothing was fetched. If you accept: python launch/fetch.py {name} --accept{where}'
            )
        return
    if not source.open:
        raise errors.ConfigError(f'{name} is not fetched from here', '--accept', source.ask)
    if source.nilearn:
        fetch_miyawaki(pathlib.Path(arguments.out))
    else:
        fetch_figshare(
            source, arguments.only or source.only, pathlib.Path(arguments.out) / name, arguments.api
        )


def _show_licence(source: Source, api: str) -> None:
    """The licence as figshare has it now, or that it cannot be reached."""
    try:
        told = figshare.article(source.figshare, api)
    except errors.DataMissing as error:
        print(f'  licence: figshare was not reached from here: {error.what}')
        return
    print(f'  licence: {told["licence"]}')
    for file in told['files']:
        print(f'           {file["name"]} ({file["size"] / 1e6:,.1f} MB)')


def tell(source: Source) -> None:
    """Prints what to accept, where to ask, what to download, what to set."""
    print(source.what)
    for title, text in (
        ('accept', source.accept),
        ('ask', source.ask),
        ('get', source.get),
        ('then', source.use),
    ):
        print(f'  {title + ":":8}{text}')


def check(name: str, path: pathlib.Path) -> None:
    """Compares `path` with the sha256 of the published file.

    Raises:
      ConfigError: nothing to compare with.  DataMissing: no such file.  DataInvalid: it differs.
    """
    if name != 'digits69':
        raise errors.ConfigError(f'no sha256 is known for {name}', '--check', 'only for digits69')
    from recon.data.datasets import digits69

    if not path.is_file():
        raise errors.DataMissing('no such file', path, f'python launch/fetch.py {name}')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digits69.SHA256:
        raise errors.DataInvalid(
            f'sha256 is {found}, the published file has {digits69.SHA256}',
            path,
            'download it again',
        )
    print(f'{path}: sha256 as published')


def fetch_miyawaki(folder: pathlib.Path) -> None:
    """Downloads through nilearn unless it is there, and reads it once.

    Raises:
      DataMissing: no network.  DataInvalid: what came is not the data set.
    """
    from recon.data.datasets import miyawaki2008

    brain = miyawaki2008.load({'path': str(folder), 'download': True})
    print(
        f'{folder}: {len(brain.train)} training and {len(brain.test)} test volumes of '
        f'{brain.train.voxels.shape[1]} voxels'
    )


def fetch_figshare(source: Source, only: str, folder: pathlib.Path, api: str) -> None:
    """Prints the article's licence, then downloads its files that are like `only`.

    Raises:
      DataMissing: no network.  DataInvalid: a file that is not what was stated.
    """
    told = figshare.article(source.figshare, api)
    files = figshare.choose(told['files'], only)
    size = sum(file['size'] for file in files)
    print(f'{told["title"]} (figshare article {source.figshare}), licence: {told["licence"]}')
    print(f'{len(files)} of {len(told["files"])} files, {size / 1e6:,.1f} MB, into {folder}')
    for file in files:
        print(f'  {file["name"]}: {figshare.fetch(file, folder)}, md5 {file["md5"]}', flush=True)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
