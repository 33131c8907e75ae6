"""One live run per folder: a lock file that names process and host. Never imports jax."""

import json
import os
import pathlib
import socket
import threading
import time

from recon.core import errors

_HEARTBEAT_S = 30
_STALE_S = 600  # a lock of another host that has not been touched for this long is dead


def refuse_if_alive(lock: pathlib.Path) -> None:
    """Raises RunFolderError if a live process other than this one holds `lock`.

    On this host the process is looked up; one of another host counts as alive while its heartbeat
    (the lock's modification time) is younger than ten minutes.
    """
    try:
        holder = json.loads(lock.read_text())
        pid, host = int(holder['pid']), holder['host']
    except (OSError, ValueError, KeyError, TypeError):
        return  # no lock, or one that a full disk cut short
    here = host == socket.gethostname()
    if here and pid == os.getpid():
        return
    alive = _is_running(pid) if here else time.time() - lock.stat().st_mtime < _STALE_S
    if alive:
        raise errors.RunFolderError(
            f'in use by process {pid} on {host}',
            lock.parent,
            f'wait for it, name another --workdir, or remove {lock} if you know that it is dead',
        )


class Lock:
    """Takes `path`, keeps touching it, and removes it in the end.

    Raises RunFolderError where another live process has it; a dead one's lock is taken over.
    """

    def __init__(self, path: pathlib.Path):
        self.path = pathlib.Path(path)
        self._done = threading.Event()

    def take(self) -> None:
        """Creates the lock file."""
        refuse_if_alive(self.path)
        self.path.unlink(missing_ok=True)
        try:
            descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:  # another process was quicker in the last microseconds
            raise errors.RunFolderError(
                'in use by a process that started just now', self.path.parent, 'try again later'
            ) from None
        with os.fdopen(descriptor, 'w') as file:
            file.write(json.dumps({'pid': os.getpid(), 'host': socket.gethostname()}))
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def release(self) -> None:
        """Removes the lock file."""
        self._done.set()
        self.path.unlink(missing_ok=True)

    def _keep_alive(self) -> None:
        while not self._done.wait(_HEARTBEAT_S):
            try:
                os.utime(self.path)
            except OSError:  # the folder was removed under us; the run itself will say so
                return


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return True
    return stat.rpartition(')')[2].split()[0] != 'Z'  # a zombie writes nothing any more
