"""What `:smoke` and `:small` make of options that stand beside them.

Both shrink an experiment after its options have had their effect. What a user states is not shrunk:
`:smoke,width=512` is a smoke run of width 512, and with a path it reads the files that are there,
not simulated ones. Where an option's effect lies is found by giving it another value, so that no
config has to say so.
"""

import ml_collections

from recon.core import errors

SWITCHES = ('smoke', 'small')


def load(get_config, arguments) -> ml_collections.ConfigDict:
    """The config of `arguments`, in which an option that is stated wins over a switch.

    Args:
      get_config: options (text or None) -> ConfigDict.
      arguments: of options.parse: `options`, `config`, `overrides`.

    Raises:
      ConfigError: an option that does not exist.
    """
    cfg = get_config(arguments.options)
    switches, groups = _parted(arguments.options)
    if not switches:
        return cfg
    for name, words in groups.items():
        other = _other(words)
        if other is not None:
            _give_back(cfg, get_config, groups, switches, name, other)
    path = groups.get('path', '').partition('=')[2] or arguments.overrides.get('dataset.path')
    if path and 'layout' in cfg:
        cfg.layout = ''
    return cfg


def _parted(options: str | None) -> tuple[list[str], dict[str, str]]:
    """('smoke', ...), {option: its words}; a word without '=' belongs to the option before it."""
    switches, groups, last = [], {}, None
    for word in filter(None, (options or '').split(',')):
        name, given, value = word.partition('=')
        if name in SWITCHES:
            switches += [name] if not given or value.lower() in ('true', '1') else []
        elif given or last is None:
            last, groups[name] = name, word
        else:
            groups[last] += f',{word}'
    return switches, groups


def _other(words: str) -> str | None:
    """The option with another value of the same type, as far as that can be seen."""
    name, given, value = words.partition('=')
    if not given or ',' in value:
        return None
    if value.lower() in ('true', 'false'):
        return f'{name}={"false" if value.lower() == "true" else "true"}'
    number = _number(value)
    if number is None:
        return f'{name}={value}_'
    return f'{name}={2 * number or 1}' if isinstance(number, int) else f'{name}={number / 2 or 0.5}'


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _give_back(cfg, get_config, groups: dict, switches: list, name: str, other: str) -> None:
    """Undoes in `cfg` what the switches made of the option `name`, wherever it has an effect."""
    changed = groups | {name: other}
    try:
        whole, moved, small = (
            _leaves(get_config(','.join(words)).to_dict())
            for words in (groups.values(), changed.values(), [*changed.values(), *switches])
        )
    except (errors.ConfigError, KeyError, TypeError):
        return  # one of a few names: a switch takes none of those for another
    now, said = _leaves(cfg.to_dict()), groups[name].partition('=')[2]
    for key in [k for k in whole | moved if whole.get(k, _NONE) != moved.get(k, _NONE)]:
        value = whole.get(key, _NONE)
        if now.get(key, _NONE) == value or now.get(key, _NONE) != small.get(key, _NONE):
            continue  # as it was asked for, or made from it
        if _number(said) is None and said.lower() not in ('true', 'false') and said != value:
            continue  # what follows from a name, and has a size of its own
        _put(cfg, key, value)


_NONE = object()


def _leaves(plain: dict, above: tuple = ()) -> dict:
    """{(key, key ...): value} of nested dictionaries."""
    found = {}
    for key, value in plain.items():
        inner = isinstance(value, dict) and value
        found |= _leaves(value, (*above, key)) if inner else {(*above, key): value}
    return found


def _put(cfg, path: tuple, value) -> None:
    for key in path[:-1]:
        if key not in cfg:
            return  # of a part that such a run does not have
        cfg = cfg[key]
    with cfg.unlocked(), cfg.ignore_type():
        if value is not _NONE:
            cfg[path[-1]] = value
        elif path[-1] in cfg:
            del cfg[path[-1]]
