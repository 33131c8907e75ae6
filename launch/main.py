r"""Runs one experiment: `python launch/main.py --config=configs/X.py[:options] [--workdir=DIR]`.

configs/inspect.py decodes nothing: it writes a page on a data set (recon/inspection.py).

Any option of the resolved config can be changed: `--config.decoder.folds=10`. A changed
`--config.decoder.name` or `--config.dataset.name` starts from that module's own defaults.
`:smoke` and `:small` shrink what is not stated: `:smoke,width=512` is 512 wide, and with `path=` it
reads those files instead of simulated ones.
Several processes for one run: launch/multihost.py.
Exit codes: 0 done or stopped by SIGTERM, 2 the user's cause (one line says what), 1 our fault.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending, multihost, options, pages
from recon.core import settings

USAGE = (
    'usage: python launch/main.py --config=configs/X.py[:options] [--workdir=DIR] '
    '[--config.key=value ...]'
)


def main(argv: list[str]) -> int:
    """Parses `argv`, runs the experiment, returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    ending.speak()
    with ending.exit_codes() as ended:
        argv, processes = multihost.take(argv)
        arguments = options.parse(argv, USAGE)  # a typo should not wait for jax
        workdir = ended.writes(arguments.workdir or f'runs/{arguments.name}', '--workdir')
        from recon import bag, inspection

        asked = inspection if settings.INSPECT in options.load(arguments) else bag
        cfg = options.resolve(arguments, asked.DEFAULTS)
        index = multihost.start(processes)
        with (
            multihost.folder(workdir, index) as own,
            options.simulated_files(cfg, own) as cfg,
        ):
            shared = {'shared': workdir} if processes and asked is bag else {}
            report = asked.run(cfg, own, stop=lambda: ended.stop, **shared)
            if index == 0:
                print(f'report: {report}')
    return ended.code


if __name__ == '__main__':
    pages.use()
    sys.exit(main(sys.argv[1:]))
