"""The config from the command line."""

import ast
import contextlib
import dataclasses
import difflib
import importlib.util
import os
import pathlib
import shutil

import ml_collections
from absl import flags
from ml_collections import config_flags

from launch import small
from recon.core import errors, lookup, results, settings

ROOT = pathlib.Path(__file__).resolve().parents[1]


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
        """The config's name: the default name of a run."""
        return self.config.stem

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
    names = (file, f'{file}.py', ROOT / file, ROOT / f'{file}.py', ROOT / 'configs' / f'{file}.py')
    for path in map(pathlib.Path, names):
        if path.is_file():
            return path
    known = sorted(p.stem for p in (ROOT / 'configs').glob('[a-z]*.py') if p.stem != 'common')
    near = difflib.get_close_matches(pathlib.Path(file).stem, known, n=1)
    hint = f'did you mean configs/{near[0]}.py? ' if near else ''
    raise errors.ConfigError(f'no config {file}', ROOT / 'configs', f'{hint}{", ".join(known)}')


def module(path: pathlib.Path):
    """The config file as a module.

    Raises:
      ConfigError: a file that is not Python, fails, or has no get_config.
    """
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:
        what = f'does not load: {type(error).__name__}: {error}'
        raise errors.ConfigError(what, path, 'mend the file') from error
    if not hasattr(loaded, 'get_config'):
        raise errors.ConfigError('has no get_config', path, 'name a config of an experiment')
    return loaded


def load(arguments: Arguments) -> ml_collections.ConfigDict:
    """Runs get_config of the file, with its options; see launch/small.py for `smoke` beside others.

    Raises:
      ConfigError: an option that the file does not have.
    """
    get_config = module(arguments.config).get_config
    return small.load(lambda words: call(get_config, arguments.replace(options=words)), arguments)


def call(function, arguments: Arguments):
    """`function(options)` of a config; its ValueError (configs know no other) becomes ours."""
    try:
        return function(arguments.options)
    except ValueError as error:
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
        values = _sequence(text)
        kinds = {isinstance(v, str) for v in holder[last]}
        if len(kinds) == 1 and any({isinstance(v, str)} != kinds for v in values):
            wanted = 'names' if kinds == {True} else 'numbers'
            raise errors.ConfigError(f'{key} is {text!r}', 'command line', f'wanted: {wanted}')
        text = repr(values)
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


@contextlib.contextmanager
def simulated_files(cfg, workdir: pathlib.Path):
    """Where the config names a layout, writes its simulated files to DIR/layout, once.

    Of several subjects each has a folder of its own there.

    Yields:
      The config, with `dataset.path` set to them. If the run is refused before it begins, a DIR
      that was made for them goes again.
    """
    if not cfg.layout:
        yield cfg
        return
    cfg, made = cfg.copy_and_resolve_references(), not workdir.exists()
    with cfg.unlocked():
        cfg.dataset.path = str(workdir / 'layout' / ('{subject}' if several(cfg) else ''))
    results.state(workdir, cfg.to_dict())  # refuses before anything is written
    try:
        _write_layout(cfg, workdir)
        yield cfg
    except errors.UserError:
        if made and not (workdir / 'config.json').exists():
            shutil.rmtree(workdir, ignore_errors=True)
        raise


def several(cfg) -> tuple:
    """The subjects of a run of several, each in a run of its own; () where it is of one."""
    return tuple(cfg.get('subjects', ()))


def _write_layout(cfg, workdir: pathlib.Path) -> None:
    if (workdir / 'layout').exists():
        return
    unfinished = workdir / f'layout.{os.getpid()}'  # two starts may write at once
    truth = unfinished.with_name(f'{unfinished.name}_truth')
    writer = lookup.find('recon.data.layouts', cfg.layout, 'layout')
    places = {subject: unfinished / str(subject) for subject in several(cfg)}
    for subject, place in (places or {cfg.dataset.get('subject', 1): unfinished}).items():
        if not str(subject).isdigit():
            raise errors.ConfigError(f'subject is {subject!r}', 'layout', 'wanted: a number')
        writer.write(place, subject=int(subject), scale='toy', seed=cfg.seed)
    for folder, final in ((truth, 'layout_truth'), (unfinished, 'layout')):
        try:
            folder.rename(workdir / final)
        except OSError:  # the other start was first, with the same files; or each has its own truth
            shutil.rmtree(folder, ignore_errors=True)
