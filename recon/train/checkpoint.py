"""Fitted parameters on disk (Orbax), so that a stopped run does not fit twice."""

import errno
import os
import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp

from recon.core import errors, results

_OVERHEAD = 256 * 1024  # bytes of Orbax's own files


def save(path: pathlib.Path, params, fingerprint: str = '') -> None:
    """Writes a nested dict of arrays to the folder `path`, whole or not at all.

    `fingerprint` says of what they were fitted; `load` asks for the same.

    Raises:
      OSError: ENOSPC where the disk is full; nothing half-written remains.
    """
    path = pathlib.Path(path).absolute()
    params = jax.tree.map(np.asarray, params)
    # Orbax writes in threads of its own, which would each print a traceback: ask first.
    needed = 1.2 * sum(leaf.nbytes for leaf in jax.tree.leaves(params)) + _OVERHEAD
    if shutil.disk_usage(_existing(path)).free < needed:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    unfinished = path.with_name('unfinished')  # holds Orbax's own temporary folders too
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(unfinished / path.name, params)
        shutil.rmtree(path, ignore_errors=True)
        results.write_bytes(path.with_name(f'{path.name}.fingerprint'), fingerprint.encode())
        (unfinished / path.name).rename(path)
    except ValueError as error:  # the file library wraps the system's error in one of its own
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


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
        with ocp.PyTreeCheckpointer() as checkpointer:
            metadata = checkpointer.metadata(path).item_metadata
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
            return checkpointer.restore(path, restore_args=arguments)
    except Exception as error:
        raise errors.DataInvalid(
            f'cannot be read ({type(error).__name__})', path, 'remove this folder and run again'
        ) from error
