r"""Writes a data set, prepared, as tensorflow-datasets shards (docs/tfds.md); needs no TensorFlow.

    python launch/shards.py --config=configs/X.py[:options] --out=DIR [--shards=N] [--name=NAME]
                            [--config.key=value ...]

Data set and preprocessing are the config's; NAME tells preparations of one subject apart (default
subject<subject>). The same command again writes nothing. Exit codes: 0 written; 2 the user's cause.
"""

import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending, options
from recon.core import errors

OWN = {'--out': '', '--shards': '0', '--name': ''}


def main(argv: list[str]) -> int:
    """Parses `argv`, reads, prepares, writes; returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    ending.speak()
    with ending.exit_codes() as ended:
        own, words, rest = dict(OWN), list(argv), []
        while words:
            flag, given, value = words.pop(0).partition('=')
            if flag in OWN:
                own[flag] = value if given else words.pop(0) if words else ''
            else:
                rest.append(f'{flag}{given}{value}')
        for flag, fits in (('--out', bool(own['--out'])), ('--shards', own['--shards'].isdigit())):
            if not fits:
                raise errors.ConfigError(
                    f'{flag} is {own[flag]!r}',
                    'command line',
                    'wanted --out=DIR, --shards=N; python launch/shards.py --help',
                )
        arguments = options.parse(rest, 'see python launch/shards.py --help')
        print(f'shards: {write(arguments, own["--out"], int(own["--shards"]), own["--name"])}')
    return ended.code


def write(arguments: options.Arguments, out: str, shards: int, name: str) -> pathlib.Path:
    """Reads and prepares what `arguments` say, and writes it below `out`.

    Raises:
      UserError: of the config, the data, or a build that is there already with other data.
    """
    from recon import pipeline
    from recon.core import lookup
    from recon.data import prepare
    from recon.data.tfds import builders

    cfg = options.resolve(arguments, pipeline.DEFAULTS)
    with (
        tempfile.TemporaryDirectory() as scratch,
        options.simulated_files(cfg, pathlib.Path(scratch) / 'run') as cfg,
    ):
        reader = lookup.find('recon.data.datasets', cfg.dataset.name, 'dataset.name')
        brain, _ = prepare.run(cfg.preprocess, reader.load(cfg.dataset))
        return builders.build(brain, cfg.dataset.name, out, shards, config=name)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
