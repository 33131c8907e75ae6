"""Fitted parameters and trainings on disk (Orbax), so that a stopped run does not fit twice.

`save` and `load` are for parameters that were fitted at once; `Keeper` for a training that goes on.
"""

import contextlib
import errno
import json
import logging as python_logging
import os
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from recon.core import errors, results

FREE = ('save_every', 'log_every')  # settings that change nothing in what is learnt

_OVERHEAD = 256 * 1024  # bytes of Orbax's own files


def save(path: pathlib.Path, params, fingerprint: str = '') -> None:
    """Writes a nested dict of arrays to the folder `path`, whole or not at all.

    `fingerprint` says of what they were fitted; `load` asks for the same.

    Raises:
      OSError: ENOSPC where the disk is full; nothing half-written remains.
    """
    path = pathlib.Path(path).absolute()
    params = jax.tree.map(np.asarray, params)
    _require_space(path, params)
    unfinished = path.with_name('unfinished')  # holds Orbax's own temporary folders too
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(unfinished / path.name, params)
        shutil.rmtree(path, ignore_errors=True)
        results.write_bytes(path.with_name(f'{path.name}.fingerprint'), fingerprint.encode())
        (unfinished / path.name).rename(path)
    except ValueError as error:
        raise _plain(error, path) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _require_space(path: pathlib.Path, params) -> None:
    """Orbax writes in threads of its own, which would each print a traceback: ask first."""
    needed = 1.2 * sum(leaf.nbytes for leaf in jax.tree.leaves(params)) + _OVERHEAD
    if shutil.disk_usage(_existing(path)).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _plain(error: Exception, path: pathlib.Path) -> Exception:
    """A full disk as the system says it; the file library wraps that in an error of its own."""
    if os.strerror(errno.ENOSPC) in str(error):
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return error


def _existing(path: pathlib.Path) -> pathlib.Path:
    return path if path.exists() else _existing(path.parent)


def load(path: pathlib.Path, fingerprint: str = ''):
    """Reads what `save` wrote, as numpy arrays; None if nothing with this fingerprint is there.

    Raises:
      DataInvalid: the folder is there and cannot be read.
    """
    path = pathlib.Path(path).absolute()
    kept = path.with_name(f'{path.name}.fingerprint')
    if not path.exists() or not kept.exists() or kept.read_text() != fingerprint:
        return None
    try:
        with _quiet(), ocp.PyTreeCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(path).item_metadata
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
            return checkpointer.restore(path, restore_args=arguments)
    except Exception as error:
        raise errors.DataInvalid(
            f'cannot be read ({type(error).__name__})', path, 'remove this folder and run again'
        ) from error


@contextlib.contextmanager
def _quiet():
    """Silences the libraries below; of what they meet in a broken file one line of ours tells.

    They log through absl as we do, so that lines are told apart by the file that they come from.
    """
    here = pathlib.Path(__file__).resolve().parents[1]
    ours = lambda record: pathlib.Path(record.pathname).is_relative_to(here)  # noqa: E731
    handlers = {*logging.get_absl_logger().handlers, *python_logging.getLogger().handlers}
    for handler in handlers:
        handler.addFilter(ours)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(ours)


def forget(folder: pathlib.Path) -> None:
    """Removes the checkpoints of all trainings below `folder`; their logs stay."""
    for name in ('checkpoints', 'best'):
        for found in sorted(pathlib.Path(folder).glob(f'*/{name}')):
            shutil.rmtree(found, ignore_errors=True)


class Keeper:
    """The newest checkpoints of one training: a context manager over Orbax's own.

    A save copies the state and writes it in the background, to a temporary name that is renamed in
    the end: a killed process leaves whole checkpoints only. Leaving the context waits for it.

    Args:
      folder: holds one folder a checkpoint, named by its step; made here.
      keep: how many of the newest stay.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2):
        self.folder, self._keep = pathlib.Path(folder).absolute(), keep

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        handlers = {'state': ocp.StandardCheckpointHandler(), 'facts': ocp.JsonCheckpointHandler()}
        options = ocp.CheckpointManagerOptions(
            max_to_keep=self._keep, cleanup_tmp_directories=True, create=False
        )
        with _quiet():
            self._manager = ocp.CheckpointManager(
                self.folder, options=options, item_handlers=handlers
            )
        return self

    def __exit__(self, kind, *_):
        try:
            self.wait()
        except Exception:
            if kind is None:  # else what was raised before says more
                raise
        finally:
            self._manager.close()

    @property
    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, step: int, state, facts: dict | None = None) -> None:
        """Writes `state`, a pytree of arrays, and JSON-able `facts`; a step that is there stays.

        Raises:
          OSError: ENOSPC where the disk is full, now or in the save before.
        """
        self.wait()
        if step in self.steps:
            return
        _require_space(self.folder, state)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state), facts=ocp.args.JsonSave(facts or {})
        )
        try:
            self._manager.save(step, args=items)
        except ValueError as error:
            raise _plain(error, self.folder) from error

    def wait(self) -> None:
        """Returns when the last save is on disk; raises what it met."""
        try:
            self._manager.wait_until_finished()
        except ValueError as error:
            raise _plain(error, self.folder) from error

    def restore(self, like) -> tuple | None:
        """The newest state and its facts; None where there is none.

        One that cannot be read, as a full disk or a lost machine may leave it, is passed over for
        the one before it, with a warning, and removed, since the training comes to that step again.

        Args:
          like: a state of the same structure, shapes and dtypes; its values are not read.

        Raises:
          DataInvalid: there are checkpoints, and none can be read.
          ConfigError: one holds arrays of other names, shapes or dtypes.
        """
        self.wait()
        shapes, broken = jax.tree.map(ocp.utils.to_shape_dtype_struct, like), {}
        for step in reversed(self.steps):
            try:
                with _quiet():
                    self._refuse_another(step, shapes)
                    found = self._read(step, shapes)
            except errors.ConfigError:
                raise
            except Exception as error:  # noqa: BLE001  whatever Orbax meets in a broken file
                broken[step] = error
                continue
            for bad, error in broken.items():
                logging.warning(
                    '%s cannot be read (%s): going on from step %d instead',
                    self.folder / str(bad),
                    type(error).__name__,
                    step,
                )
            self._remove(broken)
            return found
        if not broken:
            return None
        newest, error = next(iter(broken.items()))
        what = f'cannot be read ({type(error).__name__})'
        raise errors.DataInvalid(
            what, self.folder / str(newest), 'remove this folder and run again'
        ) from error

    def _read(self, step: int, shapes) -> tuple:
        items = ocp.args.Composite(
            state=ocp.args.StandardRestore(shapes), facts=ocp.args.JsonRestore()
        )
        found = self._manager.restore(step, args=items)
        return found['state'], found['facts']

    def _remove(self, steps) -> None:
        if not steps:
            return
        for step in steps if jax.process_index() == 0 else ():
            shutil.rmtree(self.folder / str(step), ignore_errors=True)
        with _quiet():
            self._manager.reload()

    def _refuse_another(self, step: int, like) -> None:
        kept = _leaves(self._manager.item_metadata(step)['state'])
        if not kept:
            raise ValueError('it names no arrays')
        wanted = _leaves(like)
        for name in sorted(kept.keys() | wanted.keys()):
            if kept.get(name) != wanted.get(name):
                there, now = (_describe(d.get(name)) for d in (kept, wanted))
                raise errors.ConfigError(
                    f'the checkpoint is of another net or optimizer: {name} is {there} there, '
                    f'{now} now',
                    self.folder / str(step),
                    'name another folder, or remove that one',
                )


def _leaves(tree) -> dict:
    """{dotted name: (shape, dtype)} of a pytree or of Orbax's metadata of one."""
    pairs = jax.tree_util.tree_leaves_with_path(tree)

    def name(path):
        parts = (getattr(k, 'name', getattr(k, 'key', getattr(k, 'idx', k))) for k in path)
        return '.'.join(map(str, parts))

    return {name(path): (tuple(leaf.shape), np.dtype(leaf.dtype)) for path, leaf in pairs}


def _describe(leaf) -> str:
    return 'absent' if leaf is None else f'{leaf[1]}{list(leaf[0])}'


def claim(path: pathlib.Path, settings: dict) -> None:
    """Writes `settings` to the file `path` of a training's folder, or refuses it as another's.

    Args:
      path: a .json file; its folder is made here.
      settings: JSON-able. The keys of FREE may differ from one start to the next.

    Raises:
      ConfigError: names the first key that differs.
    """
    path = pathlib.Path(path)
    settings = json.loads(results.to_json(settings))
    old = json.loads(path.read_text()) if path.exists() else settings
    old, new = ({k: v for k, v in s.items() if k not in FREE} for s in (old, settings))
    key = results.first_difference(old, new)
    if key is not None:
        raise errors.ConfigError(
            f'a training of other settings is there; the first key that differs is {key}: '
            f'{_dig(old, key)!r} there, {_dig(new, key)!r} now',
            path.parent,
            'name another folder, or remove that one',
        )
    results.write_bytes(path, results.to_json(settings).encode())


def _dig(settings: dict, key: str):
    for part in key.split('.'):
        settings = settings.get(part, 'absent') if isinstance(settings, dict) else 'absent'
    return settings
