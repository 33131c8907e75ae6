"""Fitted parameters on disk (Orbax), so that a stopped run does not fit twice."""

import pathlib
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp

from recon.core import errors


def save(path: pathlib.Path, params) -> None:
    """Writes a nested dict of arrays to the folder `path`, whole or not at all.

    A dtype that Orbax would change (bool, numpy scalars) is kept by storing plain arrays.
    """
    path = pathlib.Path(path).absolute()
    temporary = path.with_name(f'{path.name}.tmp')
    shutil.rmtree(temporary, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(temporary, jax.tree.map(np.asarray, params))
    shutil.rmtree(path, ignore_errors=True)
    temporary.rename(path)


def load(path: pathlib.Path):
    """Reads what `save` wrote, as numpy arrays; None if nothing is there.

    Raises:
      DataInvalid: the folder is there and cannot be read.
    """
    path = pathlib.Path(path).absolute()
    if not path.exists():
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
