"""What a run fits: a decoder for each target, and the generators that are trained.

A part is named by its target or by its generator; a target may have a generator's name, and then
the name is the target's.
"""

import hashlib
import importlib

import numpy as np

from recon.core import lookup, settings

SEEN = 'seen_voxels'  # among the parameters of a target with areas: bool [v], which these are


def answer(cfg) -> str:
    """'images' where `cfg` decodes pixels or has generators, else the name of its first target."""
    return 'images' if 'pixels' in cfg.targets or cfg.generator.chain else next(iter(cfg.targets))


def picture_size(cfg) -> tuple[int, ...]:
    """(h, w) of the pictures that are scored, or () for their own."""
    spec = cfg.targets.pixels if 'pixels' in cfg.targets else cfg.generator
    return tuple(spec.size)


def task(name: str):
    """The module with the fit of a decoder or generator that is trained; None where none is."""
    known = lookup.names('recon.train.tasks')
    found = importlib.import_module(f'recon.train.tasks.{name}') if name in known else None
    return found if hasattr(found, 'fit') else None


def is_trained(cfg, name: str) -> bool:
    """Whether a generator of the chain is fitted in this run.

    One that can be used as it was pretrained says so itself: its task has `wanted(options)`.
    """
    found = task(name)
    if found is None:
        return False
    return not hasattr(found, 'wanted') or bool(found.wanted(cfg.generator[name]))


def names(cfg) -> tuple[str, ...]:
    """All parts of a run, in the order in which they are fitted."""
    return (*cfg.targets, *(name for name in cfg.generator.chain if is_trained(cfg, name)))


def file(cfg, name: str) -> str:
    """The name of the file of a part: of its decoder, or of the generator."""
    return settings.decoder_of(cfg, name).name if name in cfg.targets else name


def variant(**options) -> str:
    """'' for the fit itself, else a name of its own for a control's."""
    digest = hashlib.blake2b(digest_size=4)
    for name, value in options.items():
        if value is not None and value is not False:
            digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
    blank = all(value is None or value is False for value in options.values())
    return '' if blank else f'.{digest.hexdigest()}'


def nets(generators: dict, zoo) -> dict:
    """{generator: what it loads}, of {generator: (module, options)}; some load nothing."""
    found = {k: module for k, (module, _) in generators.items() if hasattr(module, 'load')}
    return {name: module.load(generators[name][1], zoo) for name, module in found.items()}


def without_made(cfg, decoded: dict) -> dict:
    """`decoded` without what the generators of the chain have put there."""
    made = ('images', 'captions', *(f'stage_{name}' for name in cfg.generator.chain))
    return {k: v for k, v in decoded.items() if k not in made and not k.startswith('curve_')}


def apart(params) -> tuple:
    """A decoder's own parameters, and which voxels it sees (bool [v]; None: all)."""
    if not isinstance(params, dict) or SEEN not in params:
        return params, None
    own = {key: value for key, value in params.items() if key != SEEN}
    return own, np.asarray(params[SEEN], bool)


def of_areas(told: dict, seen: np.ndarray, areas) -> dict:
    """What a decoder that sees `seen` (bool [v]) says of itself, for all voxels, with its areas."""
    facts = {'areas': ', '.join(areas), 'voxels': int(seen.sum())}
    told = told | {'facts': facts | told.get('facts', {})}
    if told.get('importance') is not None:
        whole = np.full(len(seen), np.nan, np.float32)  # of a voxel that it does not see: unknown
        whole[seen] = told['importance']
        told['importance'] = whole
    return told
