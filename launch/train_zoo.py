r"""Trains the small nets: `python launch/train_zoo.py --net=sd_vae|clip|alexnet|blip|sd_unet|all`.

  --out=DIR     folder that the nets are written to, laid out like a Stable Diffusion folder
  --work=DIR    checkpoints and drawn scenes; the same command goes on where it was stopped
  --set K=V     changes a setting of the net (again for more; with --net=all: net.K=V)
  --seed=N      of parameters, batches and noise (0)
  --measure     trains nothing: measures the nets in DIR on held-out scenes, into DIR/reach.json

Exit codes: 0 done or stopped by SIGTERM, 2 the user's cause (one line says what), 1 our fault.
"""

import ast
import contextlib
import difflib
import fcntl
import json
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending, pages
from recon.core import errors, lock, lookup, results

TASKS = 'recon.train.tasks'
ORDER = ('sd_vae', 'clip', 'alexnet', 'blip', 'sd_unet')  # later ones read what earlier ones wrote


def main(argv: list[str]) -> int:
    """Trains or measures, returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    ending.speak()
    with ending.exit_codes() as ended:
        words = parse(argv)
        names = list(ORDER) if words['net'] == 'all' else [words['net']]
        tasks = {name: lookup.find(TASKS, name, '--net') for name in names}
        chosen = settings(tasks, words['set'])
        out = ended.writes(words['out'], '--out')
        if words['measure']:
            for name, task in tasks.items():
                _measure(name, task, out)
        else:
            with _asked(ended):
                for name, task in tasks.items():
                    _train(name, task, chosen[name], out, words, lambda: ended.stop)
        print(f'written: {out}')
    return ended.code


def parse(argv: list[str]) -> dict:
    """{'net', 'out', 'work', 'set': [(key, text)], 'seed': int, 'measure': bool} of `argv`.

    Raises:
      ConfigError: an unknown flag, or one that is not given.
    """
    parser = ending.Parser(__doc__)
    parser.prog = 'train_zoo.py'
    parser.add_argument('--net', required=True)
    parser.add_argument('--out', required=True)
    parser.add_argument('--work')
    parser.add_argument('--set', action='append', default=[])
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--measure', action='store_true')
    words = vars(parser.parse_args(argv))
    if not words['measure'] and not words['work']:
        raise errors.ConfigError('no --work', 'command line', 'name a folder for checkpoints')
    return words


def settings(tasks: dict, changes: list[str]) -> dict[str, dict]:
    """{net: its SETTINGS with `changes`, 'key=value' or 'net.key=value'}.

    Raises:
      ConfigError: an unknown key, or a value of another type.
    """
    chosen = {name: dict(task.SETTINGS) for name, task in tasks.items()}
    for change in changes:
        key, is_given, text = change.partition('=')
        net, dot, short = key.partition('.')
        if not dot and len(chosen) == 1:
            net, short = next(iter(chosen)), key
        if not is_given or net not in chosen or short not in chosen[net]:
            known = sorted(chosen[net]) if net in chosen else [f'{n}.<key>' for n in chosen]
            near = difflib.get_close_matches(short, known, n=1)
            hint = f'did you mean {near[0]}? ' if near else ''
            raise errors.ConfigError(
                f'--set {change}', 'command line', f'{hint}keys: {", ".join(known)}'
            )
        chosen[net][short] = _value(key, text, chosen[net][short])
    return chosen


def _value(key: str, text: str, default):
    """`text` as a value of the type of `default`."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(default, str):
        return text
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if default is None or type(value) is type(default):
        return value
    wanted = type(default).__name__
    raise errors.ConfigError(f'{key} is {text!r}', 'command line', f'wanted: {wanted}')


@contextlib.contextmanager
def _asked(ended):
    """SIGTERM only asks while a net is trained: the loop saves after the step, then it stops."""

    def ask(_signal, _frame):
        if ended.stop:  # a second one does not wait
            raise results.Stopped('SIGTERM')
        ended.stop = True

    before = signal.signal(signal.SIGTERM, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train(name: str, task, chosen: dict, out: pathlib.Path, words: dict, stop) -> None:
    from recon.core import provenance
    from recon.train import checkpoint

    work, seed = pathlib.Path(words['work']), words['seed']
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    held = lock.Lock(folder / 'lock')
    held.take()
    try:
        checkpoint.claim(folder / 'settings.json', chosen | {'seed': seed})
        start, facts = time.monotonic(), provenance.facts(seed)
        try:
            task.run(chosen, out, work, seed=seed, stop=stop)
        finally:
            facts |= {'seconds': round(time.monotonic() - start, 1)}
            starts = [*_read(folder / 'starts.json', []), facts]
            results.write_bytes(folder / 'starts.json', results.to_json(starts).encode())
        seconds = round(sum(start['seconds'] for start in starts), 1)
        _merge(out, name, {'training': {'settings': chosen, 'seconds': seconds, 'starts': starts}})
    finally:
        held.release()


def _measure(name: str, task, out: pathlib.Path) -> None:
    from recon.core import provenance

    start, numbers = time.monotonic(), task.measure(out)
    by = {key: value for key, value in provenance.facts(0).items() if key != 'seed'}
    by |= {'seconds': round(time.monotonic() - start, 1)}
    _merge(out, name, {'reached': numbers, 'measured': by})


def _merge(out: pathlib.Path, name: str, part: dict) -> None:
    """Puts `part` into what OUT/reach.json says of the net."""
    out.mkdir(parents=True, exist_ok=True)
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # another net may end at the same moment
        held = _read(out / 'reach.json', {})
        held[name] = held.get(name, {}) | part
        results.write_bytes(out / 'reach.json', results.to_json(held).encode())
    finally:
        os.close(folder)


def _read(path: pathlib.Path, default):
    return json.loads(path.read_text()) if path.exists() else default


if __name__ == '__main__':
    pages.use()
    sys.exit(main(sys.argv[1:]))
