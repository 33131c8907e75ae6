"""What a user can cause, said in one line: what came, where, and what to do.

`launch/main.py` turns any of these into exit code 2 without a traceback.
"""


class UserError(Exception):
    """Base of all errors that the user can mend.

    Args:
      what: what came and what was wanted.
      where: file, key or folder.
      remedy: what to do about it.
    """

    def __init__(self, what, where='', remedy=''):
        self.what, self.where, self.remedy = str(what), str(where), str(remedy)
        parts = [self.what, f'where: {self.where}' if where else '', self.remedy]
        super().__init__(' | '.join(part for part in parts if part))

    def __str__(self):
        return f'{type(self).__name__}: {self.args[0]}'


class DataMissing(UserError):  # noqa: N818
    """A file that a data set needs is not there."""


class DataInvalid(UserError):  # noqa: N818
    """A file is there, but holds something else than it should."""


class LeakError(UserError):
    """A test image, or what was learned from one, is among the training rows."""


class WeightsMismatch(UserError):  # noqa: N818
    """A checkpoint does not fit its net."""


class ConfigError(UserError):
    """A key, a name or a value in the config that does not exist or does not fit."""


class RunFolderError(UserError):
    """The run folder is in use, or belongs to another config."""
