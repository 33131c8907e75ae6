"""Builds the report of a finished run anew: `python launch/report.py DIR [DIR ...]`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending
from recon.core import errors
from recon.report import html


def main(argv: list[str]) -> int:
    """Writes DIR/report.html for each DIR; returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    with ending.exit_codes() as ended:
        if not argv or argv[0].startswith('-'):
            raise errors.ConfigError('no DIR', 'command line', __doc__)
        for folder in argv:
            if not pathlib.Path(folder).is_dir():
                raise errors.DataMissing('no such folder', folder, 'name the --workdir of a run')
            print(f'report: {html.write(folder)}')
    return ended.code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
