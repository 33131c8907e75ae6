"""What the commands in launch/ share: the config from the command line, and how a run ends."""

import ast
import contextlib
import dataclasses
import difflib
import errno
import importlib.util
import logging as python_logging
import os
import pathlib
import shutil
import signal
import sys

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

from recon.core import errors, lookup, results, settings

ROOT = pathlib.Path(__file__).resolve().parents[1]
_DISK = (errno.ENOSPC, errno.EDQUOT)
_USERS_CAUSE = (*_DISK, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG)


@dataclasses.dataclass
class Arguments:
    """What stood on the command line.

    Attributes:
      config: path of the config file;  options: what followed its ':'.
      workdir: DIR, or None;  overrides: {dotted key: text}.
    """

    config: pathlib.Path
    options: str | None
    workdir: str | None
    overrides: dict[str, str]

    @property
    def name(self) -> str:
        """The config's name, with its options: the default name of a run."""
        plain = (self.options or '').replace('=', '-').replace(',', '_').replace('/', '-')
        return self.config.stem + (f'_{plain}' if plain else '')

    def replace(self, **changes) -> 'Arguments':
        """The same arguments but for `changes`."""
        return dataclasses.replace(self, **changes)


def parse(argv: list[str], usage: str) -> Arguments:
    """Reads `--config=FILE[:options] --workdir=DIR --config.key=value`; '=' or a space.

    Raises:
      ConfigError: no config, a file that is not there, a flag that does not exist.
    """
    words, config, workdir, overrides = list(argv), None, None, {}
    while words:
        flag, has_value, value = words.pop(0).partition('=')
        if not has_value and words and not words[0].startswith('--'):
            value = words.pop(0)
        if flag in ('--config', '-config'):
            config = value
        elif flag == '--workdir':
            workdir = value
        elif flag.startswith('--config.'):
            overrides[flag.removeprefix('--config.')] = value
        else:
            raise errors.ConfigError(f'unknown flag {flag}', 'command line', usage)
    if not config:
        raise errors.ConfigError('no --config', 'command line', usage)
    file, _, options = config.partition(':')
    return Arguments(find_config(file), options or None, workdir, overrides)


def find_config(file: str) -> pathlib.Path:
    """The config file `file`, from here or from the project's root, '.py' or not."""
    names = (file, f'{file}.py', ROOT / file, ROOT / 'configs' / f'{file}.py')
    for path in map(pathlib.Path, names):
        if path.is_file():
            return path
    known = sorted(p.stem for p in (ROOT / 'configs').glob('[a-z]*.py') if p.stem != 'common')
    near = difflib.get_close_matches(pathlib.Path(file).stem, known, n=1)
    hint = f'did you mean configs/{near[0]}.py? ' if near else ''
    raise errors.ConfigError(f'no config {file}', ROOT / 'configs', f'{hint}{", ".join(known)}')


def module(path: pathlib.Path):
    """The config file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def load(arguments: Arguments) -> ml_collections.ConfigDict:
    """Runs get_config of the file, with its options.

    Raises:
      ConfigError: an option that the file does not have.
    """
    try:
        return module(arguments.config).get_config(arguments.options)
    except ValueError as error:  # configs import nothing of recon: common.parse_arg raises this
        remedy = 'see the docstring of the config'
        raise errors.ConfigError(str(error), arguments.config, remedy) from None


def resolve(arguments: Arguments, defaults: dict) -> ml_collections.ConfigDict:
    """The config of `arguments` with every stage's defaults, then the overrides.

    Raises:
      ConfigError: an unknown key or name, or a value of the wrong type.
    """
    cfg, overrides = load(arguments), dict(arguments.overrides)
    for stage in settings.STAGES:
        name = overrides.pop(f'{stage}.name', None)
        if name is not None and name != cfg.get(stage, {}).get('name'):
            cfg[stage] = ml_collections.ConfigDict({'name': name})
    order = overrides.pop('preprocess.order', None)
    if order is not None:
        _reorder(cfg, _sequence(order))
    cfg = settings.resolve(cfg, defaults)
    for key, text in overrides.items():
        _override(cfg, key, text)
    return cfg


def _reorder(cfg, order: tuple) -> None:
    with cfg.unlocked():
        kept = {op: cfg.preprocess[op] for op in order if op in cfg.preprocess}
        cfg.preprocess = ml_collections.ConfigDict({'order': order} | kept)


def _override(cfg, key: str, text: str) -> None:
    holder, *_, last = cfg, *key.split('.')
    for part in key.split('.')[:-1]:
        holder = holder.get(part) if isinstance(holder, ml_collections.ConfigDict) else None
    if not isinstance(holder, ml_collections.ConfigDict) or last not in holder:
        known = sorted(holder) if isinstance(holder, ml_collections.ConfigDict) else sorted(cfg)
        near = difflib.get_close_matches(last, known, n=1)
        hint = f'did you mean {near[0]}? ' if near else ''
        raise errors.ConfigError(
            f'unknown key {key}', 'command line', f'{hint}keys there: {", ".join(known)}'
        )
    if isinstance(holder[last], tuple):
        text = repr(_sequence(text))
    values, words = flags.FlagValues(), ['main', f'--config.{key}={text}']
    config_flags.DEFINE_config_dict('config', cfg, flag_values=values, sys_argv=words)
    try:
        values(words)
    except (flags.Error, ValueError, TypeError, KeyError, AttributeError) as error:
        kind = type(holder[last]).__name__
        raise errors.ConfigError(
            f'{key} is {text!r}', 'command line', f'wanted: {kind} ({error})'
        ) from None


def _sequence(text: str) -> tuple:
    """'a,b' or "('a', 'b')" or '1,2' -> a tuple."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = tuple(part.strip() for part in text.strip('()[]').split(',') if part.strip())
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def write_layout(cfg, workdir: pathlib.Path):
    """Where the config names a layout, writes its simulated files to DIR/layout, once.

    Returns:
      The config with `dataset.path` set to them.
    """
    if not cfg.layout:
        return cfg
    path = workdir / 'layout'
    cfg = cfg.copy_and_resolve_references()
    with cfg.unlocked():
        cfg.dataset.path = str(path)
    results.state(workdir, cfg.to_dict())  # refuses before anything is written
    if not path.exists():
        unfinished = workdir / 'layout.tmp'
        shutil.rmtree(unfinished, ignore_errors=True)
        writer = lookup.find('recon.data.layouts', cfg.layout, 'layout')
        writer.write(unfinished, subject=1, scale='toy', seed=cfg.seed)
        truth = unfinished.with_name(f'{unfinished.name}_truth')
        if truth.exists():
            shutil.rmtree(workdir / 'layout_truth', ignore_errors=True)
            truth.rename(workdir / 'layout_truth')
        unfinished.rename(path)
    return cfg


def speak() -> None:
    """Lets our own lines through to stderr, one a stage, and of libraries only warnings."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # absl warns of any line before that
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(python_logging.Formatter('%(message)s'))
    handler.addFilter(
        lambda record: (
            record.levelno >= python_logging.WARNING
            or pathlib.Path(record.pathname).is_relative_to(ROOT / 'recon')
        )
    )


@dataclasses.dataclass
class Ended:
    """How it went: `code` is the exit code."""

    code: int = 0


@contextlib.contextmanager
def exit_codes():
    """Turns errors into RUN_FOLDER.md's exit codes; SIGTERM into a clean stop.

    Yields:
      `Ended`, whose `code` holds after the block. Our own faults go on up, with their traceback.
    """
    ended = Ended()
    before = signal.signal(signal.SIGTERM, _raise_stopped)
    try:
        yield ended
    except errors.UserError as error:
        ended.code = _complain(str(error))
    except results.Stopped:
        print('stopped; to be continued by the same command', file=sys.stderr)
    except KeyboardInterrupt:
        ended.code = 130
    except OSError as error:
        if error.errno not in _USERS_CAUSE:
            raise
        what = f'{os.strerror(error.errno)}: {error.filename or "the work folder"}'
        remedy = 'free some space' if error.errno in _DISK else 'name another --workdir'
        ended.code = _complain(f'{what} | {remedy}, and run again')
    finally:
        signal.signal(signal.SIGTERM, before)


def _complain(text: str) -> int:
    print(' '.join(text.split()), file=sys.stderr)
    return 2


def _raise_stopped(_signal, _frame):
    raise results.Stopped('SIGTERM')
