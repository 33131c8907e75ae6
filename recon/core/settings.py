"""From a config as written to a config resolved: every option of every stage, nothing unknown.

A stage's module states its options once, in `DEFAULTS`; a config names those that it changes.
"""

import difflib

import ml_collections

from recon.core import errors, lookup

STAGES = {
    'dataset': 'recon.data.datasets',
    'decoder': 'recon.decoders',
}
TARGET = {
    'net': 'image',
    'layer': 'pixels',
    'size': (),  # (h, w) that pictures are resized to first; () is their own
    'standardise': False,  # in units of the standard deviation over the training images, mean 0
    'of': 'images',  # 'captions': states of a text encoder, averaged over an image's captions
    'tokens': 0,  # of captions, those that begin and end them counted; 0: the encoder's own number
    'areas': (),  # whose voxels its decoder sees, each a name or 'V1+V2'; () is all
    'decoder': {},  # options in which its decoder differs from `decoder`
}
LABELS = {  # of a target with net 'labels': which categories a picture shows
    'layer': 'categories',
    'coverage': 0.0,  # smallest share of the picture, where the recording knows it; 0: any
    'least': 1,  # training images that must have a category, and as many that must lack it
    'threshold': 0.0,  # a score above it is a yes; 0: chosen for each on left-out training rows
}
PREPROCESS = 'recon.data.preprocess'
GENERATORS = 'recon.generators'
GENERATOR = {
    'chain': (),  # generators, in the order in which they work on what is decoded
    'size': (),  # (h, w) of the pictures that theirs are compared with; () is the pictures' own
}
INSPECT = 'inspect'  # the key of a config that looks at a data set and has no decoder


def resolve(cfg, defaults: dict) -> ml_collections.ConfigDict:
    """Fills in the defaults of every stage that `cfg` names, and refuses what no stage knows.

    Args:
      cfg: ConfigDict as a file in configs/ returns it.
      defaults: options of the experiment itself, top level (`pipeline.DEFAULTS`), or those of an
        inspection (`inspection.DEFAULTS`), whose only stage is `dataset`.

    Returns:
      A new ConfigDict, locked, in which every option stands.

    Raises:
      ConfigError: an unknown key or name; the message has the nearest that exists.
    """
    plain = cfg.to_dict() if hasattr(cfg, 'to_dict') else dict(cfg)
    if INSPECT in defaults:  # a data set is looked at: nothing is prepared, nothing decoded
        full = _fill(plain, defaults | {'dataset': {}}, '')
        full['dataset'] = _fill_stage(plain.get('dataset', {}), STAGES['dataset'], 'dataset')
        return ml_collections.ConfigDict(full, convert_dict=True).lock()
    full = _fill(plain, defaults | {key: {} for key in (*STAGES, 'preprocess', 'generator')}, '')
    for stage, package in STAGES.items():
        full[stage] = _fill_stage(plain.get(stage, {}), package, stage)
    full['preprocess'] = _fill_preprocess(plain.get('preprocess', {}))
    full['generator'] = _fill_generator(plain.get('generator', {}))
    full['targets'] = {
        name: _fill(spec, _of_target(spec), f'targets.{name}.')
        for name, spec in plain.get('targets', {}).items()
    }
    for name, spec in full['targets'].items():
        _own_decoder(full['decoder'], spec['decoder'], f'targets.{name}.decoder')
    return ml_collections.ConfigDict(full, convert_dict=True).lock()


def decoder_of(cfg, name: str) -> ml_collections.ConfigDict:
    """All options of the decoder of target `name`: `cfg.decoder`, and what its target changes.

    A target that names another decoder takes nothing of `cfg.decoder`.
    """
    own = cfg.targets.get(name, {}).get('decoder')
    if not own:
        return cfg.decoder
    full = _own_decoder(cfg.decoder.to_dict(), own.to_dict(), f'targets.{name}.decoder')
    return ml_collections.ConfigDict(full, convert_dict=True).lock()


def merge(given: dict, own: dict) -> dict:
    """`given` with the values of `own`, a dictionary inside a dictionary likewise.

    One that has another `name` replaces it as a whole: its options are another module's.
    """
    if own.get('name', given.get('name')) != given.get('name'):
        return dict(own)
    both = {key for key in own if isinstance(own[key], dict) and isinstance(given.get(key), dict)}
    return given | {k: merge(given[k], v) if k in both else v for k, v in own.items()}


def _own_decoder(shared: dict, own: dict, key: str) -> dict:
    return _fill_stage(merge(shared, own), STAGES['decoder'], key) if own else shared


def numbers(value, count: int, key: str, example: str) -> tuple[float, ...]:
    """`value` as `count` numbers, for options such as a size or a range.

    Raises:
      ConfigError: another count, or something that is no number.
    """
    try:
        found = tuple(float(x) for x in value)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count:
        raise errors.ConfigError(
            f'{key} is {value}', 'config', f'wanted {count} numbers, for example {key}={example}'
        )
    return found


def _fill_stage(given: dict, package: str, key: str) -> dict:
    name = given.get('name', '')
    module = lookup.find(package, name, f'{key}.name')
    if key == 'dataset' and not hasattr(module, 'load'):
        raise errors.ConfigError(
            f'{name} is no recording',
            f'{key}.name',
            'it is read with others: name nsd',
        )
    if not hasattr(module, 'DEFAULTS'):
        raise errors.ConfigError(
            f'{package}.{name} has no DEFAULTS', f'{key}.name', 'state its options there, once'
        )
    full = _fill(given, {'name': name} | module.DEFAULTS, f'{key}.')
    for inner, value in full.items():  # a decoder inside a decoder, as Miyawaki's
        if isinstance(value, dict) and 'name' in value:
            full[inner] = _fill_stage(value, package, f'{key}.{inner}')
    return full


def _of_target(spec: dict) -> dict:
    return TARGET | (LABELS if spec.get('net') == 'labels' else {})


def _fill_preprocess(given: dict) -> dict:
    order = tuple(given.get('order', ()))
    full = {'order': order}
    for op in order:
        module = lookup.find(PREPROCESS, op, 'preprocess.order')
        full[op] = _fill(given.get(op, {}), module.DEFAULTS, f'preprocess.{op}.')
    for op in sorted(set(given) - set(full)):
        lookup.find(PREPROCESS, op, f'preprocess.{op}')
        raise errors.ConfigError(
            f'preprocess.{op} has options, but preprocess.order is {order}',
            'preprocess.order',
            f'add {op!r} to it, or drop the options',
        )
    return full


def _fill_generator(given: dict) -> dict:
    chain = tuple(given.get('chain', ()))
    modules = {name: lookup.find(GENERATORS, name, 'generator.chain') for name in chain}
    named = {name: module.DEFAULTS for name, module in modules.items()}
    return _fill(given, GENERATOR | named, 'generator.') | {'chain': chain}


def _fill(given: dict, defaults: dict, prefix: str) -> dict:
    for key in given:
        if key not in defaults:
            near = difflib.get_close_matches(key, list(defaults), n=1)
            hint = f'did you mean {prefix}{near[0]}? ' if near else ''
            raise errors.ConfigError(
                f'unknown key {prefix}{key}',
                'config',
                f'{hint}keys that exist: {", ".join(sorted(defaults))}',
            )
    full = dict(defaults) | dict(given)
    for key, value in defaults.items():
        # A dictionary of options is filled in too; an empty default means "any keys".
        both = isinstance(value, dict) and isinstance(given.get(key), dict)
        if both and value and 'name' not in value:
            full[key] = _fill(given[key], value, f'{prefix}{key}.')
    return full
