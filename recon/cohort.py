"""The same experiment on several people, or with several seeds, and what they have in common.

`cfg.subjects` = (1, 2, 5, 7) runs dataset.subject = 1 ... in DIR/subjects/<n>; where each has a
folder of its own, dataset.path holds '{subject}'. `cfg.seeds` = (0, 1, 2) runs seed = 0 ... in
DIR/seeds/<n>; the recording and its split stay as they are. Each may be a bag. DIR answers with
scores that are means over these runs, with intervals over runs and pictures.
"""

import numpy as np

from recon import several
from recon.core import errors, results
from recon.metrics import paired

KINDS = {'subjects': 'subject', 'seeds': 'seed'}


def check(cfg) -> str:
    """The kind that `cfg` asks for.

    Raises:
      ConfigError: both kinds, one run alone, or names that cannot be.
    """
    asked = [kind for kind in KINDS if cfg[kind]]
    if len(asked) > 1:
        raise errors.ConfigError(
            f'subjects is {tuple(cfg.subjects)} and seeds is {tuple(cfg.seeds)}',
            'config',
            'name one of them, and give the other as seed or dataset.subject',
        )
    kind = asked[0]
    values = list(cfg[kind])
    if len(set(map(str, values))) < len(values) or len(values) < 2:
        raise errors.ConfigError(f'{kind} is {tuple(values)}', kind, 'name two or more, each once')
    if kind == 'seeds' and not all(isinstance(v, int) and v >= 0 for v in values):
        raise errors.ConfigError(f'seeds is {tuple(values)}', kind, 'whole numbers from 0')
    if any(str(v).strip('.') == '' or '/' in str(v) for v in values):
        raise errors.ConfigError(f'{kind} is {tuple(values)}', kind, 'names of folders')
    if kind == 'subjects' and 'subject' not in cfg.dataset:
        raise errors.ConfigError(
            f'subjects is {tuple(values)}',
            'subjects',
            f'{cfg.dataset.name} is of one subject: leave it out',
        )
    return kind


def runs(cfg, kind: str) -> dict:
    """{name: config} of the runs."""
    found = {}
    for value in cfg[kind]:
        one = cfg.copy_and_resolve_references()
        with one.unlocked():
            one[kind] = ()
            if kind == 'seeds':
                one.seed = value
            else:
                with one.dataset.ignore_type():
                    one.dataset.subject = value
                if '{subject}' in str(one.dataset.get('path', '')):
                    one.dataset.path = one.dataset.path.replace('{subject}', str(value))
        found[str(value)] = one.lock()
    return found


def gather(cfg, folder: results.Run) -> None:
    """Writes DIR's own files: means over runs, and the pictures of all."""
    kind = check(cfg)
    held = several.read(folder, kind, [str(value) for value in cfg[kind]])
    scored = [one['scores'] for one in held.values()]
    ids = [_rows(one['arrays']) for one in held.values()]
    drawn = dict(seed=cfg.seed, draws=cfg.draws)
    shown = pictures(held, KINDS[kind])
    if shown:
        folder.npz('reconstructions.npz', shown)
    first = scored[0]
    protocol = first['protocol'] | {'runs': {kind: list(held)}}
    protocol |= {'test_images': len(np.unique(np.concatenate(ids)))}
    audit = {'by run': {name: one['scores'].get('audit') or {} for name, one in held.items()}}
    audit['by run'] = {f'{KINDS[kind]} {k}': _counts(v) for k, v in audit['by run'].items()}
    seen = [one.get('audit', {}).get('seen_test_images') for one in scored]
    audit |= {'seen_test_images': None if None in seen else sum(seen)}
    folder.facts |= {'protocol': protocol, 'audit': audit}
    folder.json('decoder.json', several.told(held, kind.capitalize(), KINDS[kind]))
    pooled = _pooled(scored, ids, KINDS[kind], drawn)
    folder.json(
        'scores.json',
        {
            'schema': results.SCHEMA,
            'n': len(np.unique(np.concatenate(ids))),
            'protocol': protocol,
            'audit': audit,
            'scores': pooled([s['scores'] for s in scored]),
            'baselines': {
                name: pooled([s['baselines'][name] for s in scored])
                for name in first.get('baselines') or {}
                if all(name in (s.get('baselines') or {}) for s in scored)
            },
            'differences': paired.differences_over_runs(scored, ids, **drawn),
            kind: {name: several.means(one['scores']['scores']) for name, one in held.items()},
        },
    )


def _pooled(scored, ids, unit: str, drawn: dict):
    """A function from each run's {metric: entry} to one {metric: entry}."""

    def pool(entries: list[dict]) -> dict:
        names = [name for name in entries[0] if all(name in e for e in entries)]
        return {name: paired.pool([e[name] for e in entries], ids, unit, **drawn) for name in names}

    return pool


def pictures(held: dict, unit: str) -> dict:
    """reconstructions.npz of DIR: the pictures that all runs have, and each run's of them.

    `images` is the mean picture of the runs. {} where runs decode no pictures, have none in common,
    or scored rows.
    """
    arrays = {name: one['arrays'] for name, one in held.items()}
    known = [set(a['image_id'].tolist()) for a in arrays.values()]
    common = set.intersection(*known)
    if not common or any('images' not in a or 'row_image_id' in a for a in arrays.values()):
        return {}
    kept = {}
    for name, one in arrays.items():
        rows = [k for k, i in enumerate(one['image_id'].tolist()) if i in common]
        kept.setdefault('image_id', one['image_id'][rows])
        kept.setdefault('truth', one['truth'][rows])
        kept[f'stage_{unit}_{name}'] = one['images'][rows]
    stages = [array for key, array in kept.items() if key.startswith('stage_')]
    return {'images': np.mean(stages, axis=0, dtype=np.float32)} | kept


def _rows(arrays: dict) -> np.ndarray:
    """[n]: the picture of each scored value."""
    return arrays.get('row_image_id', arrays.get('image_id'))


def _counts(audit: dict) -> dict:
    """What the audit counted in one run."""
    names = ('train_images', 'test_images', 'seen_test_images', 'near_duplicates')
    return {k: audit[k] for k in names if k in audit} | {
        k: audit[k] for k in ('train_only_statistics',) if k in audit
    }
