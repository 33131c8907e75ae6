"""The loop: batches in, scalars and checkpoints out, resumed bit for bit where it was stopped."""

import contextlib
import math
import pathlib
import queue
import threading
import time

import jax
import numpy as np
from absl import logging

from recon.core import errors, results, sharding
from recon.train import checkpoint, log
from recon.train import state as states

_AHEAD = 2  # batches that are made before they are asked for
_WATCHED = ('loss', 'grad_norm')


def fit(
    step,
    state: states.State,
    batch_at,
    *,
    steps: int,
    folder,
    rng,
    save_every: int,
    log_every: int,
    stop=lambda: False,
    validate=None,
    patience: int | None = None,
    settings: dict | None = None,
    place=jax.device_put,
) -> states.State:
    """Trains until `steps` updates are made, from the newest checkpoint in `folder` on.

    Args:
      step: `step(state, batch, rng) -> (state, {name: scalar})`, as step.py makes it.
      state: as `states.create` gives it; not to be used any more afterwards.
      batch_at: `batch_at(i) -> dict of numpy arrays`, pure, called ahead in a thread.
      steps: updates of the whole training.
      folder: holds `checkpoints/`, `metrics.jsonl`, `parameters.txt` and TensorBoard events.
      rng: jax key, the same in each step; the step folds its number into it.
      save_every: steps from checkpoint to checkpoint; the last step is always saved.
      log_every: steps from line to line; a line's scalars are means over its steps.
      stop: asked before every step; if true, the state is saved and `results.Stopped` raised.
      validate: `validate(state) -> {name: number}`, called at each checkpoint and logged.
      patience: the training ends early when the 'loss' of `validate` has not been lower than its
        lowest for more checkpoints than this, and the state of the lowest is returned.
      settings: JSON-able; a folder that was trained with others is refused.
      place: puts a batch on the devices (`sharding.place_batch`).

    Returns:
      The state after the last step, or the best one where `patience` is given.

    Raises:
      ConfigError: the loss or the gradient is not finite (the message names the step; the newest
        checkpoint is from before), or the folder holds another training.
      Stopped: `stop()` was true; the same call goes on from there.
    """
    folder = pathlib.Path(folder)
    if settings is not None:
        checkpoint.claim(folder / 'training.json', settings)
    with contextlib.ExitStack() as stack:
        keeper = stack.enter_context(checkpoint.Keeper(folder / 'checkpoints'))
        best = stack.enter_context(_Best(folder / 'best', patience, validate))
        state, facts = keeper.restore(state) or (state, {})
        best.resume(facts)
        first = int(state.step)
        end = first if best.over else steps
        written = stack.enter_context(log.of_process(folder, first, state.params))
        batches = stack.enter_context(_Batches(lambda i: place(batch_at(i)), first, end))
        pending = _Pending(written, first, steps, log_every)
        for i in range(first, end):
            if sharding.agreed(i, log_every) and sharding.any_process(stop()):
                pending.read()  # a state that is not finite must not be saved
                keeper.save(i, state, best.facts)
                raise results.Stopped(f'after step {i}')
            state, scalars = step(state, batches.next(), rng)
            pending.read()  # of the step before, while this one runs
            pending.put(i, scalars)
            if i + 1 == steps or (i + 1) % save_every == 0:
                pending.read()
                best.see(i + 1, _validated(validate, state, written, i + 1), state)
                keeper.save(i + 1, state, best.facts)
                if best.over:
                    break
        return best.restore(state)


def _validated(validate, state, written, step: int) -> dict:
    if validate is None:
        return {}
    numbers = {name: float(value) for name, value in validate(state).items()}
    written.write(step, **{f'validate/{name}': value for name, value in numbers.items()})
    logging.info(
        '[step %d] validate: %s', step, ', '.join(f'{k} {v:.4g}' for k, v in numbers.items())
    )
    return numbers


class _Best:
    """The lowest validation loss so far, its state, and when patience is at its end."""

    def __init__(self, folder: pathlib.Path, patience: int | None, validate):
        assert patience is None or validate is not None, 'patience is with what validate says'
        self.patience = patience
        self._keeper = checkpoint.Keeper(folder, keep=1) if patience is not None else None
        self.facts = {'lowest': None, 'worse': 0}

    def __enter__(self):
        if self._keeper:
            self._keeper.__enter__()
        return self

    def __exit__(self, *error):
        if self._keeper:
            self._keeper.__exit__(*error)

    def resume(self, facts: dict) -> None:
        self.facts = self.facts | facts

    @property
    def over(self) -> bool:
        return self.patience is not None and self.facts['worse'] > self.patience

    def see(self, step: int, numbers: dict, state) -> None:
        if self.patience is None:
            return
        lowest = self.facts['lowest']
        if numbers['loss'] < (math.inf if lowest is None else lowest):
            self.facts = {'lowest': numbers['loss'], 'worse': 0}
            self._keeper.save(step, state)
            self._keeper.wait()  # before the checkpoint that tells of it
        else:
            self.facts = self.facts | {'worse': self.facts['worse'] + 1}

    def restore(self, state):
        if self._keeper is None:
            return state
        self._keeper.wait()
        found = self._keeper.restore(state)
        return state if found is None else found[0]


class _Pending:
    """Scalars that are still being computed, read a step late; writes their means."""

    def __init__(self, written: log.Log, first: int, steps: int, every: int):
        self._log, self._first, self._steps, self._every = written, first, steps, every
        self._waiting, self._rows = None, []
        self._start = None

    def put(self, i: int, scalars: dict) -> None:
        self._waiting = i, scalars

    def read(self) -> None:
        """Takes what waits from the device, and says so where a line is due."""
        if self._waiting is None:
            return
        (i, scalars), self._waiting = self._waiting, None
        row = {name: float(value) for name, value in jax.device_get(scalars).items()}
        bad = next((name for name in _WATCHED if not math.isfinite(row.get(name, 0))), None)
        if bad:
            raise errors.ConfigError(
                f'{bad} is {row[bad]} at step {i + 1}',
                self._log.folder,
                'lower learning_rate or set clip; the newest checkpoint is from before',
            )
        now = time.monotonic()
        if self._start is None:  # the first step holds the compilation
            self._start, self._first = now, i + 1
        self._rows.append(row)
        if (i + 1) % self._every == 0 or i + 1 == self._steps:
            self._say(i + 1, now)

    def _say(self, done: int, now: float) -> None:
        means = {name: float(np.mean([r[name] for r in self._rows])) for name in self._rows[0]}
        self._rows = []
        rate = (done - self._first) / max(now - self._start, 1e-9)
        self._log.write(done, **means)
        text = ', '.join(f'{name} {value:.4g}' for name, value in means.items())
        if done == self._first:
            logging.info('[step %d/%d] %s', done, self._steps, text)
            return
        self._log.write(done, steps_per_second=rate)
        left = (self._steps - done) / rate
        logging.info(
            '[step %d/%d] %s (%.3g steps/s, about %.0f s left)', done, self._steps, text, rate, left
        )


class _Batches:
    """Makes batches in a thread, in order, `_AHEAD` of them before they are asked for."""

    def __init__(self, batch_at, first: int, steps: int):
        self._batch_at, self._range = batch_at, range(first, steps)
        self._queue, self._closed = queue.Queue(_AHEAD), threading.Event()

    def __enter__(self):
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            while True:  # a thread that waits for room goes on, and sees that it is over
                self._queue.get_nowait()
        self._thread.join()

    def next(self):
        batch, error = self._queue.get()
        if error is not None:
            raise error
        return batch

    def _work(self) -> None:
        for i in self._range:
            if self._closed.is_set():
                return
            try:
                self._put((self._batch_at(i), None))
            except BaseException as error:  # noqa: BLE001  raised again by `next`
                error.add_note(f'in the batch of step {i}')
                self._put((None, error))
                return

    def _put(self, item) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                return self._queue.put(item, timeout=0.1)
        return None
