"""A bag: one experiment as several members that differ in options and share data and split.

`cfg.members` is {name: options}, options nested as in a config: {'92': {'decoder': {'seed': 3}}}.
Each member is a whole run in DIR/members/<name>. DIR answers, by `cfg.vote`, with the mean of their
pictures, or with one member's picture for each image, chosen without the truth
(generators/vote.py). The controls of the members go through the same vote.
"""

import pathlib
import types

import ml_collections
import numpy as np

from recon import cohort, experiment, pipeline, several
from recon.core import errors, image, results, settings
from recon.generators import vote
from recon.metrics import paired

DEFAULTS = pipeline.DEFAULTS
MAY_DIFFER = ('decoder', 'preprocess', 'generator')
_SHARED = ('mean_image',)  # baselines that no member's decoder has a part in
_OWN = ('members', 'vote', 'subjects', 'seeds')  # keys that are not a member's


def run(cfg, workdir, stop=lambda: False, shared=None) -> pathlib.Path:
    """Runs what `cfg` asks for: subjects or seeds, members, or one experiment.

    Args:
      cfg: ConfigDict of a file in configs/.
      workdir: DIR.
      stop: as in pipeline.run.
      shared: as in pipeline.run.

    Raises:
      ConfigError: members that differ in what they must share, or that decode no pictures; what
        `cohort.check` refuses.
    """
    cfg = settings.resolve(cfg, DEFAULTS)
    if cfg.subjects or cfg.seeds:
        kind = cohort.check(cfg)
        ones = cohort.runs(cfg, kind)
        for one in ones.values():
            _check(one)
        return several.run(cfg, workdir, kind, ones, run, cohort.gather, stop, shared)
    if not cfg.members:
        return pipeline.run(cfg, workdir, stop, shared)
    ones = {name: member(cfg, name) for name in names(cfg)}
    return several.run(cfg, workdir, 'members', ones, pipeline.run, gather, stop, shared)


def _check(cfg) -> None:
    if not cfg.members:
        pipeline.check(cfg)
    for name in names(cfg):
        member(cfg, name)


def names(cfg) -> list[str]:
    """The members, by number where all their names are numbers."""
    known = list(cfg.members)
    return sorted(known, key=int) if all(name.isdecimal() for name in known) else known


def member(cfg, name: str) -> ml_collections.ConfigDict:
    """The config of one member, resolved and checked.

    Raises:
      ConfigError: unknown options, or some that all members share; a vote that it cannot be in.
    """
    plain = cfg.to_dict()
    own = plain['members'][name]
    for key in own:
        if key not in MAY_DIFFER:
            raise errors.ConfigError(
                f'members.{name} has {key}',
                'members',
                f'members share data, split and targets; they may differ in {MAY_DIFFER}',
            )
    shared = {key: value for key, value in plain.items() if key not in _OWN}
    one = settings.resolve(ml_collections.ConfigDict(settings.merge(shared, own)), DEFAULTS)
    pipeline.check(one)
    if experiment.answer(one) != 'images':
        raise errors.ConfigError(
            'members of a run that decodes no pictures', 'members', 'have a generator or pixels'
        )
    vote.check(cfg.vote, one)
    return one


def gather(cfg, folder: results.Run) -> None:
    """Votes, scores what was chosen and what the controls' votes chose, writes DIR's own files."""
    held = several.read(folder, 'members', names(cfg))
    arrays = join(cfg, {name: one['arrays'] for name, one in held.items()})
    folder.npz('reconstructions.npz', arrays)
    first = next(iter(held.values()))['scores']
    protocol, audit = first['protocol'], first.get('audit') or {}
    channels = types.SimpleNamespace(channels=protocol['channels'])
    score = pipeline.scorer(cfg, types.SimpleNamespace(images=channels), audit.get('label'))
    ids, truth = arrays.get('row_image_id', arrays['image_id']), arrays['truth']
    scores = score(arrays['images'], truth, 'test', ids, {})
    baselines = {k: v for k, v in (first.get('baselines') or {}).items() if k in _SHARED}
    for name, images in controls(cfg, folder.dir, arrays).items():
        baselines[name] = score(images, truth, 'test', ids, {})
        left = {'images': image.to_uint8(images), 'image_id': arrays['image_id']}
        folder.npz(f'controls/{name}.npz', left)
    members = {name: several.means(one['scores']['scores']) for name, one in held.items()}
    folder.facts |= {'protocol': protocol, 'audit': audit}
    folder.json('decoder.json', several.told(held, 'Members', 'member'))
    told = {'schema': results.SCHEMA, 'n': len(ids), 'protocol': protocol, 'audit': audit}
    told |= {'scores': scores, 'baselines': baselines, 'members': members}
    told['differences'] = paired.differences(scores, baselines, ids, seed=cfg.seed, draws=cfg.draws)
    folder.json(
        'scores.json', told | _voted(cfg, arrays, members) | _on_training(cfg, folder, score)
    )


def join(cfg, members: dict) -> dict:
    """What the members' pictures make together.

    Args:
      cfg: its `vote` and `zoo` count.
      members: {name: arrays of one file that each member left}, of the same pictures.

    Returns:
      'images', 'image_id', 'truth' (where there is one), 'stage_member_<name>'; of a choice also
      'stage_low_<name>' where members have that stage, 'vote_choice' [n] int and 'vote_cosine'
      [n m] (RUN_FOLDER.md).
    """
    first = next(iter(members.values()))
    for name, one in members.items():
        assert np.array_equal(one['image_id'], first['image_id']), f'{name} has other pictures'
    refined = {name: image.to_float(one['images']) for name, one in members.items()}
    kept = {k: first[k] for k in ('row_image_id', 'image_id', 'truth') if k in first}
    kept |= {f'stage_member_{name}': array for name, array in refined.items()}
    if cfg.vote.rule == 'mean':
        return {'images': np.mean(list(refined.values()), axis=0, dtype=np.float32)} | kept
    stage = f'stage_{cfg.vote.low}'
    low = {k: image.to_float(one[stage]) for k, one in members.items() if stage in one}
    kept |= {f'stage_low_{name}': array for name, array in low.items()}
    net, layer = _eyes(cfg)
    if cfg.vote.rule == 'own':
        like = np.stack([vote.vectors(low[name], net, cfg.zoo, layer) for name in refined])
    else:
        said = [one[f'{cfg.vote.target}_pred'] for one in members.values()]
        like = vote.decoded(np.stack(said))
    seen = np.stack([vote.vectors(array, net, cfg.zoo, layer) for array in refined.values()])
    choice, cosine = vote.choose(seen, like)
    kept |= {'vote_choice': choice, 'vote_cosine': cosine.T.astype(np.float32)}
    pictures = np.stack(list(refined.values()))
    return {'images': pictures[choice, np.arange(len(choice))]} | kept


def _eyes(cfg) -> tuple[str, str]:
    """The net that sees the pictures, and its layer."""
    if cfg.vote.rule == 'decoded':
        spec = cfg.targets[cfg.vote.target]
        return spec.net, spec.layer
    return cfg.vote.net, vote.LAYER


def controls(cfg, folder: pathlib.Path, arrays: dict) -> dict:
    """{control: pictures [n h w 3]} of those whose pictures all members left.

    What is decoded without a brain is voted on as the pictures were; the training image nearest to
    a chosen picture is that of the member it is from.
    """
    found = {}
    for name in paired.AGAINST:
        files = {m: folder / 'members' / m / 'controls' / f'{name}.npz' for m in names(cfg)}
        members = {m: results.read_arrays(file) for m, file in files.items()}
        if not all(members.values()):
            continue
        if name != 'nearest_training':
            found[name] = join(cfg, members)['images']
        elif 'vote_choice' in arrays:
            pictures = np.stack([image.to_float(one['images']) for one in members.values()])
            found[name] = pictures[arrays['vote_choice'], np.arange(pictures.shape[1])]
    return found


def _voted(cfg, arrays: dict, members: dict) -> dict:
    """What scores.json says of the choice; puts the low-level cosine into `members`."""
    if 'vote_choice' not in arrays:
        return {}
    known, (net, layer) = names(cfg), _eyes(cfg)
    if all(f'stage_low_{name}' in arrays for name in known):
        truth = vote.vectors(arrays['truth'], net, cfg.zoo, layer)
        key = f'low_cosine_{net.replace("/", "_")}'
        for name in known:
            seen = vote.vectors(arrays[f'stage_low_{name}'], net, cfg.zoo, layer)
            members[name][key] = float(np.nanmean(vote.cosines(seen, truth)))
    ids = arrays.get('row_image_id', arrays['image_id'])
    chosen = zip(ids.tolist(), arrays['vote_choice'], strict=True)
    return {'vote': {str(i): known[k] for i, k in chosen}, 'vote_rule': cfg.vote.rule}


def _on_training(cfg, folder: results.Run, score) -> dict:
    """Scores of the vote on training images, where each member left all that it was scored on."""
    file = 'train_examples.npz'
    members = {m: results.read_arrays(folder.dir / 'members' / m / file) for m in names(cfg)}
    scored = [results.read(folder.dir / 'members' / m)['scores'] for m in names(cfg)]
    counts = {e['n'] for s in scored for e in (s.get('scores_train') or {}).values()}
    if not all(members.values()) or counts != {len(next(iter(members.values()))['truth'])}:
        return {}
    arrays = join(cfg, members)
    folder.npz(file, arrays)
    ids = arrays.get('row_image_id', arrays['image_id'])
    return {
        'scores_train': score(arrays['images'], arrays['truth'], 'train', ids, {}),
        'members_train': {
            m: several.means(s['scores_train']) for m, s in zip(members, scored, strict=True)
        },
    }
