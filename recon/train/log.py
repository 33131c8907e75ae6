"""What a run says while it runs: JSON lines, TensorBoard events, and a progress line."""

import json
import pathlib
import sys
import time

import jax
from absl import logging

from recon.core import results

_ABSENT = object()


class Log:
    """Appends scalars to `metrics.jsonl` in a folder, TensorBoard events beside it.

    One object a line: {"step", "name", "value"}. A context manager.

    Args:
      folder: made here; of a run it is `DIR/logs`.
      after: a training goes on after this step: lines of later ones, written before it was killed,
        are taken out, since they come again.
    """

    def __init__(self, folder: pathlib.Path, after: int | None = None):
        self.folder, self._after = pathlib.Path(folder), after

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._after is not None:
            self._forget_later()
        self._file = open(self.folder / 'metrics.jsonl', 'a', buffering=1)  # noqa: SIM115
        self._events = _event_writer(self.folder, self._after)
        return self

    def __exit__(self, *_):
        self._file.close()
        self._events.close()

    def write(self, step: int, **scalars: float) -> None:
        """One line for each scalar."""
        for name, value in scalars.items():
            self._file.write(json.dumps({'step': step, 'name': name, 'value': float(value)}) + '\n')
            self._events.add_scalar(name, float(value), step)

    def _forget_later(self) -> None:
        path = self.folder / 'metrics.jsonl'
        kept = [line for line in results.read_log(path) if line['step'] <= self._after]
        if path.exists():
            text = ''.join(json.dumps(line) + '\n' for line in kept)
            results.write_bytes(path, text.encode())


class Silent:
    """Takes what `Log` takes and writes nothing: of the other processes of one run."""

    def __init__(self, folder: pathlib.Path, after: int | None = None):
        self.folder = pathlib.Path(folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, step: int, **scalars: float) -> None:
        """Nothing."""


def of_process(folder: pathlib.Path, after: int, params):
    """The log of a training of `params`: the first process writes it, others nothing."""
    overview(folder, params)
    return (Log if jax.process_index() == 0 else Silent)(folder, after=after)


def overview(folder: pathlib.Path, params) -> int:
    """Writes `parameters.txt`, the name, shape and size of each array, and says the total.

    Args:
      folder: of a training.
      params: nested dict of arrays.

    Returns:
      How many numbers they are.
    """
    from clu import parameter_overview  # slow to import, and only a training wants it

    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    if jax.process_index() == 0:
        table = parameter_overview.get_parameter_overview(params, include_stats=False)
        results.write_bytes(pathlib.Path(folder) / 'parameters.txt', (table + '\n').encode())
        logging.info('%s parameters in %s', f'{count:,}', pathlib.Path(folder).name)
    return count


def _event_writer(folder: pathlib.Path, after: int | None):
    """The writer of tensorboardX, which would import torch where it finds it."""
    found = sys.modules.get('torch', _ABSENT)
    sys.modules['torch'] = None
    try:
        from tensorboardX import SummaryWriter
    finally:
        if found is _ABSENT:
            del sys.modules['torch']
        else:
            sys.modules['torch'] = found
    purge = {} if after is None else {'purge_step': after + 1}
    return SummaryWriter(str(folder), **purge)


class Progress:
    """Says after each of `total` stages how long it took, the rate, and the time left.

    Where `stop()` is true after a stage it raises `results.Stopped`.
    """

    def __init__(self, total: int, log: Log, stop=lambda: False):
        self.total, self.done, self._log, self._stop = total, 0, log, stop
        self._start = self._last = time.monotonic()

    def step(self, what: str) -> None:
        """Marks the stage `what` as finished."""
        now = time.monotonic()
        self.done += 1
        elapsed = now - self._start
        left = elapsed / self.done * (self.total - self.done)
        logging.info(
            '[%d/%d] %s: %.1f s (%.1f stages a minute, about %.0f s left)',
            self.done,
            self.total,
            what,
            now - self._last,
            60 * self.done / max(elapsed, 1e-9),
            left,
        )
        self._log.write(self.done, **{f'seconds/{what}': now - self._last})
        self._last = now
        if self._stop():
            raise results.Stopped(f'after {what}')


def curve(folder: pathlib.Path, title: str) -> dict | None:
    """The losses of a training as decoder.json has curves; None where nothing was logged.

    Args:
      folder: with the `metrics.jsonl` of `loop.fit`.
      title: of the curve.
    """
    named = {
        'loss': 'training',
        'validate/loss': 'validation',
        'discriminator_loss': 'discriminator',
    }
    lines = results.read_log(pathlib.Path(folder) / 'metrics.jsonl')
    series = []
    for name, words in named.items():
        found = [line for line in lines if line['name'] == name]
        if found:
            points = {
                axis: [line[key] for line in found] for axis, key in (('x', 'step'), ('y', 'value'))
            }
            series.append({'name': words} | points)
    if not series:
        return None
    labels = {'x_label': 'steps', 'y_label': 'loss', 'log_x': False, 'chosen': None}
    return {'title': title, 'series': series} | labels
