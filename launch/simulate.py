r"""Writes a simulated recording to a folder, in the layout of a real data set.

    python launch/simulate.py --layout=NAME --out=DIR [--subject=1] [--scale=toy] [--seed=0]

NAME is 'simulated' (plain arrays in one .npz) or a file of recon/data/layouts. What is true of the
recording lies in DIR_truth. Exit codes: 0 written; 2 the user's cause, in one line.
"""

import os
import pathlib
import shutil
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending
from recon.core import errors, lookup


def main(argv: list[str]) -> int:
    """Parses `argv`, writes, returns the exit code."""
    parser = ending.Parser(__doc__)
    parser.add_argument('--layout', default='simulated', help='name (default: simulated)')
    parser.add_argument('--out', required=True, help='folder to write; must not hold anything')
    parser.add_argument('--subject', type=int, default=1, help='1, 2, ...')
    parser.add_argument('--scale', default='toy', help="'toy' or 'full'")
    parser.add_argument('--seed', type=int, default=0)
    with ending.exit_codes() as ended:
        arguments = parser.parse_args(argv)
        writer = find(arguments.layout)
        out = ended.writes(arguments.out, '--out').resolve()
        if arguments.seed < 0 or arguments.subject < 1:
            raise errors.ConfigError(
                f'seed {arguments.seed}, subject {arguments.subject}',
                'command line',
                'wanted: a seed from 0, a subject from 1',
            )
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise errors.ConfigError('not an empty folder', out, 'name another --out')
        write_whole(
            writer, out, subject=arguments.subject, scale=arguments.scale, seed=arguments.seed
        )
        print(f'{out}: {arguments.layout}, subject {arguments.subject}, {arguments.scale}')
        print(f'{out}_truth: what is true of it')
    return ended.code


def write_whole(writer, out: pathlib.Path, **options) -> None:
    """Writes beside `out` and renames, so that a killed start leaves no half of a data set."""
    unfinished = out.with_name(f'{out.name}.unfinished.{os.getpid()}')
    truth = unfinished.with_name(f'{unfinished.name}_truth')
    try:
        writer.write(unfinished, **options)
        shutil.rmtree(out.with_name(f'{out.name}_truth'), ignore_errors=True)
        truth.rename(out.with_name(f'{out.name}_truth'))
        if out.exists():
            out.rmdir()  # empty, or it would have been refused
        unfinished.rename(out)
    finally:
        for folder in (unfinished, truth):
            shutil.rmtree(folder, ignore_errors=True)


def find(layout: str):
    """The module whose `write` writes `layout`.

    Raises:
      ConfigError: no such layout; the message lists those that exist.
    """
    if layout == 'simulated':
        return lookup.find('recon.data.datasets', layout, '--layout')
    return lookup.find('recon.data.layouts', layout, "--layout ('simulated' too)")


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
