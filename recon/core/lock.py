"""One live run per folder: a lock file that names process and host. Never imports jax.

The file is also locked with flock, which the system gives up when the process dies; the names in it
are for the message, and for file systems on which flock does not reach other hosts.
"""

import contextlib
import fcntl
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
    """Raises RunFolderError if a live process other than this one is named in `lock`.

    On this host the process is looked up; one of another host counts as alive while its heartbeat
    (the lock's modification time) is younger than ten minutes.
    """
    try:
        holder = json.loads(lock.read_text())
        pid, host = int(holder['pid']), holder['host']
        touched = lock.stat().st_mtime
    except (OSError, ValueError, KeyError, TypeError):
        return  # no lock, or one that a full disk cut short
    here = host == socket.gethostname()
    if here and pid == os.getpid():
        return
    if _is_running(pid) if here else time.time() - touched < _STALE_S:
        raise _in_use(lock, f'process {pid} on {host}')


class Lock:
    """Takes `path`, keeps touching it, and removes it in the end.

    Raises RunFolderError where another live process has it; a dead one's lock is taken over.
    """

    def __init__(self, path: pathlib.Path):
        self.path = pathlib.Path(path)
        self._done, self._file = threading.Event(), None

    def take(self) -> None:
        """Locks the file and writes our name into it."""
        while self._file is None:
            file = open(self.path, 'a+')  # noqa: SIM115  held until release
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                refuse_if_alive(self.path)
            except BlockingIOError:
                file.close()
                raise _in_use(self.path, 'another process') from None
            except errors.RunFolderError:
                file.close()
                raise
            if self._is_still(file):
                self._file = file
            else:  # its last holder removed it between our opening and our locking
                file.close()
        self._file.truncate(0)
        self._file.write(json.dumps({'pid': os.getpid(), 'host': socket.gethostname()}))
        self._file.flush()
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def release(self) -> None:
        """Removes the lock file, if it is ours."""
        self._done.set()
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # what a full disk did not take
                self._file.close()
            self._file = None

    def _is_still(self, file) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _keep_alive(self) -> None:
        while not self._done.wait(_HEARTBEAT_S):
            try:
                os.utime(self.path)
            except OSError:  # the folder was removed under us; the run itself will say so
                return


def _in_use(lock: pathlib.Path, holder: str) -> errors.RunFolderError:
    remedy = f'wait for it, name another --workdir, or remove {lock} if you know that it is dead'
    return errors.RunFolderError(f'in use by {holder}', lock.parent, remedy)


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
