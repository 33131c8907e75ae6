"""A bag: one experiment as several members that differ in options and share data and split.

`cfg.members` is {name: options}, options nested as in a config: {'92': {'decoder': {'seed': 3}}}.
Each member is a whole run in DIR/members/<name>; DIR answers with the mean of their pictures. A
choice of one member for each picture is a generator's to make.
"""

import pathlib
import shutil
import time
import types

import ml_collections
import numpy as np
from absl import logging

from recon import experiment, pipeline
from recon.core import errors, provenance, results, settings
from recon.report import html

DEFAULTS = pipeline.DEFAULTS
MAY_DIFFER = ('decoder', 'preprocess', 'generator')
_SHARED = ('mean_image',)  # baselines that no member's decoder has a part in


def run(cfg, workdir, stop=lambda: False, shared=None) -> pathlib.Path:
    """Runs every member of `cfg`, or `pipeline.run` where it has none; arguments as there.

    Raises:
      ConfigError: members that differ in what they must share, or that decode no pictures.
    """
    cfg = settings.resolve(cfg, DEFAULTS)
    if not cfg.members:
        return pipeline.run(cfg, workdir, stop, shared)
    started, workdir, config = time.time(), pathlib.Path(workdir), cfg.to_dict()
    members = {name: member(cfg, name) for name in cfg.members}
    if results.state(workdir, config) == 'done':
        logging.info('%s is done; nothing to do', workdir)
        return workdir / 'report.html'
    made = not workdir.exists()
    try:
        with results.Run(workdir, config, provenance.facts(cfg.seed), started) as folder:
            for name, one in members.items():
                logging.info('member %s', name)
                apart = pathlib.Path(shared) / 'members' / name if shared else None
                pipeline.run(one, workdir / 'members' / name, stop, apart)
            gather(cfg, folder)
            folder.status('running')
            return html.write(workdir)
    except errors.UserError:
        if made and not (workdir / 'members').exists():  # nothing was begun
            shutil.rmtree(workdir, ignore_errors=True)
        raise


def member(cfg, name: str) -> ml_collections.ConfigDict:
    """The config of one member, resolved and checked.

    Raises:
      ConfigError: unknown options, or some that all members share.
    """
    plain = cfg.to_dict()
    own = plain.pop('members')[name]
    for key in own:
        if key not in MAY_DIFFER:
            raise errors.ConfigError(
                f'members.{name} has {key}',
                'members',
                f'members share data, split and targets; they may differ in {MAY_DIFFER}',
            )
    one = settings.resolve(ml_collections.ConfigDict(_merge(plain, own)), DEFAULTS)
    pipeline.check(one)
    if experiment.answer(one) != 'images':
        raise errors.ConfigError(
            'members of a run that decodes no pictures', 'members', 'have a generator or pixels'
        )
    return one


def _merge(plain: dict, own: dict) -> dict:
    """`plain` with the values of `own`, a dictionary inside a dictionary likewise."""
    both = {key for key in own if isinstance(own[key], dict) and isinstance(plain.get(key), dict)}
    return plain | {k: _merge(plain[k], v) if k in both else v for k, v in own.items()}


def gather(cfg, folder: results.Run) -> None:
    """Scores the mean of the members' pictures, and writes DIR's own files."""
    held = {name: results.read(folder.dir / 'members' / name) for name in cfg.members}
    first = next(iter(held.values()))
    pictures = {name: one['arrays']['images'] for name, one in held.items()}
    ids, truth = first['arrays']['image_id'], first['arrays']['truth']
    for name, one in held.items():
        assert np.array_equal(one['arrays']['image_id'], ids), f'{name} has other test pictures'
    images = np.mean(list(pictures.values()), axis=0, dtype=np.float32)
    kept = {k: first['arrays'][k] for k in ('row_image_id',) if k in first['arrays']}
    stages = {f'stage_member_{name}': array for name, array in pictures.items()}
    kept |= {'images': images, 'image_id': ids, 'truth': truth} | stages
    folder.npz('reconstructions.npz', kept)
    protocol, audit = first['scores']['protocol'], first['scores'].get('audit') or {}
    channels = types.SimpleNamespace(channels=protocol['channels'])
    score = pipeline.scorer(cfg, types.SimpleNamespace(images=channels), audit.get('label'))
    baselines = first['scores'].get('baselines', {})
    folder.facts |= {'protocol': protocol, 'audit': audit}
    folder.json('decoder.json', told(held))
    folder.json(
        'scores.json',
        {
            'schema': results.SCHEMA,
            'n': len(ids),
            'protocol': protocol,
            'audit': audit,
            'scores': score(images, truth, 'test', kept.get('row_image_id', ids), {}),
            'baselines': {name: baselines[name] for name in _SHARED if name in baselines},
            'members': {
                name: {k: entry['mean'] for k, entry in one['scores']['scores'].items()}
                for name, one in held.items()
            },
        },
    )


def told(held: dict) -> dict:
    """decoder.json of the bag: what each part of each member says of itself, and facts as a table.

    Args:
      held: {member: its folder as `results.read` gives it}.
    """
    parts = {}
    for name, one in held.items():
        parts |= {f'{name}, {part}': says for part, says in one['decoder'].items()}
    numbers = {
        name: {k: v for k, v in says.get('facts', {}).items() if isinstance(v, int | float)}
        for name, says in parts.items()
    }
    columns = list(dict.fromkeys(key for facts in numbers.values() for key in facts))
    rows = [[name, *(facts.get(key) for key in columns)] for name, facts in numbers.items()]
    table = {'title': 'Members', 'columns': ['member', *columns], 'rows': rows}
    return {'members': {'curves': [], 'tables': [table], 'facts': {}}} | parts
