"""The name in a config is the file's name: name -> module, with an error that lists what exists."""

import difflib
import importlib
import pkgutil

from recon.core import errors


def names(package: str) -> list[str]:
    """Modules of `package` (dotted), sorted: the names that a config may use."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if not m.name.startswith('_'))


def find(package: str, name: str, key: str):
    """Imports `<package>.<name>`.

    Args:
      package: dotted package, for example 'recon.decoders'.
      name: the name as it stands in the config.
      key: the config key that held it, for the message.

    Returns:
      The module.

    Raises:
      ConfigError: no such module; the message lists those that exist.
    """
    known = names(package)
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f'did you mean {near[0]!r}? ' if near else ''
        raise errors.ConfigError(
            f'{key} is {name!r}',
            package.replace('.', '/'),
            f'{hint}names that exist: {", ".join(known)}',
        )
    return importlib.import_module(f'{package}.{name}')
