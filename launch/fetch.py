r"""Says how to get a data set, and fetches it where that is allowed.

    python launch/fetch.py                    lists the data sets
    python launch/fetch.py NAME [--out DIR]   what to accept, where to ask, what to download
    python launch/fetch.py digits69 --check FILE
                                                       compares a file with the published sha256

Exit codes: 0 done or said; 2 the user's cause (no network, a file that differs), in one line.
"""

import dataclasses
import hashlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending
from recon.core import errors


@dataclasses.dataclass(frozen=True)
class Source:
    """How to get one data set.

    Attributes:
      what: one line.  accept: licence or terms, as far as known.  ask: where they are granted.
      get: what to download, and from where.  use: what to set afterwards.
      reader: whether recon reads it yet.
    """

    what: str
    accept: str
    ask: str
    get: str
    use: str
    reader: bool = True


SOURCES = {
    'simulated': Source(
        'A brain whose answer is known: made on the spot, nothing to fetch.',
        'nothing',
        'nobody',
        'nothing; `python launch/simulate.py` writes it, or any other layout, to a folder',
        'dataset.name=simulated',
    ),
    'digits69': Source(
        'fMRI of one person looking at 100 handwritten sixes and nines (van Gerven et al. 2010).',
        "no licence is stated with the file; the data are their owners': do not pass it on",
        "the owners' collection at the Donders Repository: https://doi.org/10.34973/tvp5-r364",
        'digit69_28x28.mat (2.4 MB), published with the Deep Generative Multiview Model: '
        'https://github.com/ChangdeDu/DGMM',
        'dataset.path=FILE, after `python launch/fetch.py digits69 --check FILE`',
    ),
    'miyawaki2008': Source(
        'fMRI of one person looking at 10 x 10 patterns (Miyawaki et al. 2008).',
        'the licence is given as unknown by those who host it: do not pass it on',
        'nobody: the archive is public at NITRC',
        'miyawaki2008.tgz (153 MB), through nilearn: this command does it, into DIR/miyawaki2008',
        'dataset.path=DIR',
    ),
    'nsd': Source(
        'Natural Scenes Dataset: 8 people, up to 10,000 photographs each, 7 T (Allen et al. 2022).',
        'the NSD Terms and Conditions',
        'the NSD Data Access Agreement form: https://naturalscenesdataset.org',
        'the AWS bucket s3://natural-scenes-dataset (us-east-2), after the form; not from here',
        'no reader yet; `python launch/simulate.py --layout=nsd` comes with it',
        reader=False,
    ),
}


def main(argv: list[str]) -> int:
    """Parses `argv`, speaks or fetches, returns the exit code."""
    parser = ending.Parser(__doc__)
    parser.add_argument('name', nargs='?', help='data set; without it, all are listed')
    parser.add_argument('--out', default='data', help='folder to fetch into (default: data)')
    parser.add_argument('--check', metavar='FILE', help='compare FILE with the published sha256')
    with ending.exit_codes() as ended:
        arguments = parser.parse_args(argv)
        if arguments.name is None:
            for name, source in SOURCES.items():
                print(f'{name:14}{source.what}{"" if source.reader else " (no reader yet)"}')
            print('\nMore of one: python launch/fetch.py NAME')
        elif arguments.name not in SOURCES:
            raise errors.ConfigError(
                f'no data set {arguments.name!r}', 'launch/fetch.py', f'known: {", ".join(SOURCES)}'
            )
        elif arguments.check:
            check(arguments.name, pathlib.Path(arguments.check))
        else:
            tell(SOURCES[arguments.name])
            if arguments.name == 'miyawaki2008':
                fetch_miyawaki(pathlib.Path(arguments.out))
    return ended.code


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


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
