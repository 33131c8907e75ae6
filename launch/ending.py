"""How a command speaks and ends: log lines, exit codes, one line for what the user can mend."""

import argparse
import contextlib
import dataclasses
import errno
import logging as python_logging
import os
import pathlib
import signal
import sys

from absl import flags, logging

from recon.core import errors, results

_OURS = pathlib.Path(__file__).resolve().parents[1] / 'recon'
_DISK = (errno.ENOSPC, errno.EDQUOT)
_USERS_CAUSE = (
    *_DISK,
    *(errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP),
)
_NOT_MADE = (errno.ENOENT, errno.EEXIST)  # ours, unless the folder cannot be made


def speak() -> None:
    """Lets our own lines through to stderr, one a stage, and of libraries only warnings."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # absl warns of any line before that
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    handler = logging.get_absl_handler()
    handler.setFormatter(python_logging.Formatter('%(message)s'))
    handler.addFilter(
        lambda record: (
            record.levelno >= python_logging.WARNING
            or pathlib.Path(record.pathname).is_relative_to(_OURS)
        )
    )


@dataclasses.dataclass
class Ended:
    """How it went: `code` is the exit code, `stop` whether SIGTERM has come.

    `folder` is what the command writes, named by its `flag`: see `writes`.
    """

    code: int = 0
    stop: bool = False
    folder: pathlib.Path | None = None
    flag: str = ''

    def writes(self, folder, flag: str) -> pathlib.Path:
        """The folder that `flag` names, which need not be there; makes nothing.

        What the system says against that folder later on will name the flag too.

        Raises:
          RunFolderError: it cannot be made, since a file is in the way or nobody may write there.
        """
        path = pathlib.Path(os.path.abspath(folder))
        self.folder, self.flag = path, flag
        above = path
        while not os.path.lexists(above):
            above = above.parent
        if not above.is_dir():
            what = f'it cannot be made: {above} is no folder' if above != path else 'is no folder'
            raise errors.RunFolderError(what, folder, f'name another {flag}')
        if above != path and not os.access(above, os.W_OK | os.X_OK):
            what = f'it cannot be made: nothing may be written in {above}'
            raise errors.RunFolderError(what, folder, f'name another {flag}')
        return pathlib.Path(folder)

    def complaint(self, error: OSError) -> str | None:
        """One line on what the user can mend of `error`; None where it is our own fault."""
        name = error.filename if isinstance(error.filename, str) else None
        known = (*_USERS_CAUSE, *(_NOT_MADE if self.folder and not self.folder.is_dir() else ()))
        if error.errno not in known:
            return None
        what = os.strerror(error.errno) + (f': {name}' if name else '')
        if error.errno in _DISK:
            return f'{what} | free some space, and run again'
        ours = bool(name and self.folder)
        if ours:  # in it, above it, or beside it under a name that begins alike
            path = os.path.abspath(name)
            ours = path.startswith(str(self.folder)) or self.folder.is_relative_to(path)
        if not ours and error.errno in _NOT_MADE:
            return None
        return f'{what} | name another {self.flag if ours else "folder"}, and run again'


@contextlib.contextmanager
def exit_codes():
    """Turns errors into RUN_FOLDER.md's exit codes; SIGTERM into a clean stop.

    Yields:
      `Ended`, whose `code` holds after the block. Our own faults go on up, with their traceback.
    """
    ended = Ended()

    def stop(_signal, _frame):
        ended.stop = True  # should a callback of a library swallow the exception
        raise results.Stopped('SIGTERM')

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield ended
    except errors.UserError as error:
        ended.code = _complain(str(error))
    except results.Stopped:
        print('stopped; to be continued by the same command', file=sys.stderr)
    except KeyboardInterrupt:
        print('interrupted; to be continued by the same command', file=sys.stderr)
        ended.code = 130
    except OSError as error:
        said = ended.complaint(error)
        if said is None:
            raise
        ended.code = _complain(said)
    except RuntimeError as error:
        if 'initialize backend' not in str(error):
            raise
        ended.code = _complain(f'{error} | set JAX_PLATFORMS to a device that is here, or unset it')
    finally:
        signal.signal(signal.SIGTERM, before)


def _complain(text: str) -> int:
    print(' '.join(text.split()), file=sys.stderr)
    return 2


class Parser(argparse.ArgumentParser):
    """One line and no usage where the command line is wrong."""

    def __init__(self, doc: str):
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(description=doc, formatter_class=formatter)

    def error(self, message):
        """Raises ConfigError in the place of argparse's own exit."""
        raise errors.ConfigError(message, 'command line', f'python launch/{self.prog} --help')
