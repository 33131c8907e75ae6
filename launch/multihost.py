"""Several processes for one run.

    --multihost                                            on a cluster that jax knows
    --coordinator=HOST:PORT --processes=N --process=I      anywhere

`--multihost` finds the others by itself under SLURM (srun), on a TPU pod and under Open MPI, as
`jax.distributed` knows them. Otherwise each process is told where the first one listens, how many
they are, and which it is. All are started with the same command but for `--process`, on a folder
that all of them see.
"""

import contextlib
import pathlib
import tempfile

from recon.core import errors

FLAGS = ('multihost', 'coordinator', 'processes', 'process')


def take(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """What is left of `argv`, and the flags of this file that stood in it, {name: text}."""
    left, found = [], {}
    for word in argv:
        name, _, value = word.removeprefix('--').partition('=')
        if word.startswith('--') and name in FLAGS:
            found[name] = value
        else:
            left.append(word)
    return left, found


def start(found: dict[str, str]) -> int:
    """Joins the other processes; returns the index of this one, 0 where it is alone.

    Args:
      found: of `take`.

    Raises:
      ConfigError: flags that do not fit each other, or no other process can be found.
    """
    if not found:
        return 0
    import jax

    told = {}
    if 'multihost' not in found:
        told = _told(found)
        if jax.config.jax_platforms == 'cpu':  # several processes on CPUs talk through gloo
            jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    try:
        jax.distributed.initialize(**told)
    except (ValueError, RuntimeError) as error:
        raise errors.ConfigError(
            f'the processes did not find each other ({" ".join(str(error).split())[:200]})',
            'command line',
            'start all of them; or --coordinator=HOST:PORT --processes=N --process=I',
        ) from error
    return jax.process_index()


@contextlib.contextmanager
def folder(workdir: pathlib.Path, index: int):
    """Where a process leaves its results: the first in `workdir`, others in a place that goes."""
    if index == 0:
        yield workdir
        return
    with tempfile.TemporaryDirectory(prefix='recon_process_') as place:
        yield pathlib.Path(place) / workdir.name


def _told(found: dict[str, str]) -> dict:
    missing = [name for name in FLAGS[1:] if not found.get(name)]
    if missing:
        raise errors.ConfigError(
            f'--{missing[0]} is not given', 'command line',
            '--coordinator=HOST:PORT --processes=N --process=I, all three',
        )  # fmt: skip
    try:
        count, index = int(found['processes']), int(found['process'])
    except ValueError:
        count = index = -1
    if not 0 <= index < count:
        raise errors.ConfigError(
            f'--processes={found["processes"]} --process={found["process"]}', 'command line',
            'numbers; the first process is 0',
        )  # fmt: skip
    return dict(coordinator_address=found['coordinator'], num_processes=count, process_id=index)
