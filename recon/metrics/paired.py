"""A system against its controls, picture by picture, in one run and over several.

Entries are those of scores.json. What makes a picture hard for both cancels in the difference, so
that two systems are told apart by it and not by whether their own intervals overlap.
"""

import numpy as np

from recon.core import rng, stats

# What the generator paints alone, and a picture that was remembered.
AGAINST = ('shuffled_voxels', 'zero_voxels', 'nearest_training')
_BLOCK = 2**22  # drawn counts that are held at a time


def differences(scores: dict, baselines: dict, image_id, *, seed: int, draws: int) -> dict:
    """System minus control over the pictures where both are defined.

    Args:
      scores: {metric: entry} of the system.
      baselines: {control: {metric: entry}} on the same rows; those of AGAINST are taken.
      image_id: [n], the image of each row; rows of one image are drawn together.
      seed: of the bootstrap.
      draws: resamples.

    Returns:
      {control: {metric: {'mean', 'ci95', 'n', 'better'}}}, in the order of AGAINST; only what has
      a value for each picture or row, and is defined in both for one at least.
    """
    found = {}
    for (control, name), values in _pairs(scores, baselines).items():
        clusters = image_id if scores[name]['unit'] == 'row' else None
        interval = stats.bootstrap_mean(values, seed=seed, draws=draws, clusters=clusters)
        found.setdefault(control, {})[name] = {
            'mean': float(np.nanmean(values)),
            'ci95': interval,
            'n': int(np.isfinite(values).sum()),
            'better': scores[name]['better'],
        }
    return found


def differences_over_runs(runs: list[dict], ids: list, *, seed: int, draws: int) -> dict:
    """The same over several runs, as `over_runs` draws them; what all of them have.

    Args:
      runs: scores.json of each.
      ids: [n] a run, the picture of each value.
      seed: of the bootstrap.
      draws: resamples.

    Returns:
      {control: {metric: {'mean', 'ci95', 'n' (runs), 'better', 'per_run': means}}}.
    """
    pairs = [_pairs(run['scores'], run.get('baselines') or {}) for run in runs]
    found = {}
    for key in pairs[0]:
        values = [held.get(key) for held in pairs]
        if any(v is None or len(v) != len(i) for v, i in zip(values, ids, strict=True)):
            continue
        mean, interval = over_runs(values, ids, seed=seed, draws=draws)
        found.setdefault(key[0], {})[key[1]] = {
            'mean': mean,
            'ci95': interval,
            'n': len(values),
            'better': runs[0]['scores'][key[1]]['better'],
            'per_run': [float(np.nanmean(v)) for v in values],
        }
    return found


def _pairs(scores: dict, baselines: dict) -> dict:
    """{(control, metric): [n] system minus control}, NaN where one is undefined."""
    found = {}
    for control in AGAINST:
        for name, entry in scores.items():
            other = (baselines.get(control) or {}).get(name)
            ours, theirs = (units(e) if e else None for e in (entry, other))
            if ours is None or theirs is None or len(ours) != len(theirs):
                continue
            if np.isfinite(ours - theirs).any():
                found[control, name] = ours - theirs
    return found


def units(entry: dict) -> np.ndarray | None:
    """[n] float64, NaN where undefined: the values by picture or row; None where it has none."""
    values = entry.get('per_image')
    if values is None and entry.get('unit') == 'row':
        values = entry.get('per_unit')
    if values is None:
        return None
    return np.array([np.nan if v is None else v for v in values], np.float64)


def over_runs(values: list, ids: list, *, seed: int, draws: int) -> tuple:
    """Mean over runs of each run's mean, and its interval over runs and pictures.

    Runs are drawn with replacement, and then pictures; a picture that several runs share is drawn
    for all of them at once, since what makes it hard does so for all.

    Args:
      values: one [n] float a run, NaN where undefined.
      ids: one [n] a run, the picture of each value.
      seed: of the bootstrap.
      draws: resamples.

    Returns:
      (mean, (low, high)): the middle 95 % of the draws; (mean, None) for fewer than two runs or
      pictures, (None, None) if nothing is defined.

    Source: Owen 2007, The pigeonhole bootstrap (rows and columns resampled independently).
    """
    values = [np.asarray(v, np.float64) for v in values]
    means = [v[np.isfinite(v)].mean() for v in values if np.isfinite(v).any()]
    if not means:
        return None, None
    distinct = np.unique(np.concatenate([np.asarray(i) for i in ids]))
    if len(means) < 2 or len(distinct) < 2 or draws == 0:
        return float(np.mean(means)), None
    top = np.zeros((len(values), len(distinct)))
    bottom = np.zeros_like(top)
    for k, (value, who) in enumerate(zip(values, ids, strict=True)):
        place, defined = np.searchsorted(distinct, who), np.isfinite(value)
        np.add.at(top[k], place[defined], value[defined])
        np.add.at(bottom[k], place[defined], 1)
    drawn = _draw(top, bottom, rng.generator(seed, 'over runs'), draws)
    low, high = np.quantile(drawn[np.isfinite(drawn)], (0.025, 0.975))
    return float(np.mean(means)), (float(low), float(high))


def _draw(top, bottom, random, draws: int) -> np.ndarray:
    """[draws]: means over drawn runs of means over drawn pictures; top, bottom [runs pictures]."""
    runs, pictures = top.shape
    step, out = max(1, _BLOCK // pictures), []
    for start in range(0, draws, step):
        some = min(step, draws - start)
        often = random.multinomial(runs, np.full(runs, 1 / runs), some).astype(np.float64)
        seen = random.multinomial(pictures, np.full(pictures, 1 / pictures), some)
        seen = seen.astype(np.float64)
        with np.errstate(invalid='ignore', divide='ignore'):
            means = (seen @ top.T) / (seen @ bottom.T)  # [some runs]
            known = np.isfinite(means)
            total = np.where(known, means, 0) * often
            out.append(total.sum(1) / (often * known).sum(1))
    return np.concatenate(out)


def pool(entries: list[dict], ids: list, unit: str, *, seed: int, draws: int) -> dict:
    """One entry of several runs' entries of one metric.

    Args:
      entries: one a run.
      ids: [n] a run, the picture of each value.
      unit: what a run is of: 'subject' or 'seed'.
      seed: of the bootstrap.
      draws: resamples.

    Returns:
      As scores.json has them: per_unit the runs' means; per_image the mean over runs, and
      sd_per_image the spread between them, where all runs are of the same pictures. The interval
      is that of `over_runs`; where no value by picture is known, runs alone are drawn.
    """
    means = [np.nan if e.get('mean') is None else e['mean'] for e in entries]
    values, of = [units(entry) for entry in entries], list(ids)
    whole = all(v is not None and len(v) == len(i) for v, i in zip(values, ids, strict=True))
    if not whole:
        values, of = [[mean] for mean in means], [[k] for k in range(len(means))]
    mean, interval = over_runs(values, of, seed=seed, draws=draws)
    same = whole and all(np.array_equal(ids[0], i) for i in ids) and entries[0]['unit'] != 'row'
    stack = np.stack(values) if same else None
    chances = [e['chance'] for e in entries if e.get('chance') is not None]
    first = entries[0]
    return {key: first.get(key) for key in ('better', 'net', 'weights', 'split')} | {
        'mean': mean,
        'ci95': interval,
        'chance': float(np.mean(chances)) if chances else None,
        'p': None,
        'unit': unit,
        'n': len(entries),
        'n_undefined': int(np.isnan(means).sum()),
        'per_unit': means,
        'per_image': None if stack is None else _mean(stack),
        'sd_per_image': None if stack is None else _spread(stack),
    }


def _mean(stack: np.ndarray) -> list:
    """Mean over runs [n]; NaN where it is undefined in one."""
    return stack.mean(0).tolist()


def _spread(stack: np.ndarray) -> list:
    """Standard deviation between runs [n], of two at least."""
    return stack.std(0, ddof=1).tolist() if len(stack) > 1 else [0.0] * stack.shape[1]
