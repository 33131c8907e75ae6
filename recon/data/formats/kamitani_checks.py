"""What can be wrong with GOD or DIR though no file is broken: checks and notes for the user."""

import dataclasses

import numpy as np

from recon.core import errors, types
from recon.data.formats import kamitani_ids, kamitani_rows

_OFF = 20  # times: how much more, or less, a part may spread than training
_USUAL = (0.01, 50)  # spread of z-scores, percent signal change and everything near


def sessions(parts: dict[str, kamitani_rows.Part]) -> tuple[dict, list[int], list[int]]:
    """Parts whose sessions are told apart, the sessions there are, and those that are missing.

    Each file may count its sessions from 1: those of a part then follow on those of the parts
    before it. Missing are numbers between the first (1, of training) and the last of a part.
    """
    told, there, missing, last = {}, [], [], 0
    for name, part in parts.items():
        known = np.unique(part.session[part.session >= 0])
        if len(known):
            shift = last if known[0] <= last else 0
            part = dataclasses.replace(
                part, session=np.where(part.session < 0, -1, part.session + shift)
            )
            first = 1 if name == 'train' else known[0]
            missing += [n + shift for n in range(first, known[-1]) if n not in known]
            there += (known + shift).tolist()
            last = there[-1]
        told[name] = part
    return told, there, [int(n) for n in missing]


def missing_runs(parts: dict[str, kamitani_rows.Part]) -> dict[str, list[int]]:
    """Numbers that lack between the first and the last run: {part, perhaps with session: runs}.

    Each session, and each part, may count its runs from 1, or they are numbered throughout: where
    no two of them share a number, a run is missing only if none of them has it, and it may be of
    each part that has runs before and after it.
    """
    lost: dict[str, list[int]] = {}
    sets = {}
    for name, part in parts.items():
        sessions_ = np.unique(part.session)
        held = {s: set(part.run[part.session == s].tolist()) - {-1} for s in sessions_.tolist()}
        if len(held) > 1 and sum(map(len, held.values())) > len(set().union(*held.values())):
            lost |= {f'{name}, session {s}': _gaps(runs) for s, runs in held.items()}
        else:
            sets[name] = set().union(*held.values())
    whole = set().union(*sets.values())
    if sum(map(len, sets.values())) > len(whole):
        lost |= {name: _gaps(runs) for name, runs in sets.items()}
    else:
        for n in _gaps(whole):
            lying = ' or '.join(name for name, runs in sets.items() if n in _gaps(runs))
            lost.setdefault(lying, []).append(n)
        lost.pop('', None)  # between the last of a part and the first of the next
    return {name: gaps for name, gaps in lost.items() if gaps}


def run_facts(parts: dict[str, kamitani_rows.Part], notes: list[str]) -> dict:
    """facts['missing_runs'] as `missing_runs`, if there are any; a note for each part of them."""
    lost = missing_runs(parts)
    for name, runs in lost.items():
        notes.append(f'{name}: runs {", ".join(map(str, runs))} are missing, by their numbers')
    return {'missing_runs': lost} if lost else {}


def _gaps(runs: set[int]) -> list[int]:
    return sorted(set(range(min(runs), max(runs))) - runs) if runs else []


def check_unit(parts: dict[str, kamitani_rows.Part], where) -> list[str]:
    """Notes on the spread of the voxels.

    Raises:
      DataInvalid: a part that spreads 20 times more, or less, than training: another unit.
    """
    with np.errstate(all='ignore'):  # values that are not finite are refused later, by name
        stds = {name: part.voxels.std(0) for name, part in parts.items()}
    stds = {name: std[np.isfinite(std)] for name, std in stds.items()}
    spread = {name: float(np.median(std)) if len(std) else 0.0 for name, std in stds.items()}
    base = spread['train']
    for name, value in spread.items():
        if base > 0 and value > 0 and not base / _OFF <= value <= base * _OFF:
            raise errors.DataInvalid(
                f'voxels of {name} spread by {value:.4g}, those of train by {base:.4g}',
                where,
                'they are not in one unit: a factor was lost or applied twice',
            )
    if base > 0 and not _USUAL[0] <= base <= _USUAL[1]:
        return [
            f'voxels spread by {base:.4g} (median over training rows), far from percent signal '
            'change and z-scores: is a scale factor missing?'
        ]
    return []


def counts(
    parts: dict[str, kamitani_rows.Part], published: dict[str, tuple[int, int]]
) -> list[str]:
    """Notes on images and presentations that are uneven or unlike the published (images, times)."""
    notes = []
    for name, part in parts.items():
        shown = np.unique(part.image_id, return_counts=True)[1]
        if shown.min() != shown.max():
            fewest = int((shown < shown.max()).sum())
            notes.append(
                f'{name}: images are shown {shown.min()} to {shown.max()} times, {fewest} of '
                f'{len(shown)} fewer than the others: a run or a session is missing'
            )
        if name in published and (len(shown), shown.max()) != published[name]:
            images, times = published[name]
            notes.append(
                f'{name}: {len(shown)} images shown {shown.max()} times; published are {images} '
                f'shown {times} times'
            )
        of_a_run = np.unique(np.stack([part.session, part.run]), axis=1, return_counts=True)[1]
        if of_a_run.min() != of_a_run.max():
            notes.append(f'{name}: runs have {of_a_run.min()} to {of_a_run.max()} rows')
    return notes


def categories(splits_: dict[str, types.Split]) -> dict[str, int]:
    """Distinct WordNet categories of train and test, and how many of test's are also trained on."""
    train, test = (
        {kamitani_ids.category(i) for i in np.unique(splits_[name].image_id).tolist()}
        for name in ('train', 'test')
    )
    return {'train': len(train), 'test': len(test), 'shared': len(train & test)}


def cortex_notes(brain: kamitani_rows.Cortex) -> list[str]:
    """Notes on areas without voxels and on coordinates that say nothing."""
    notes = [f'area {name} has no voxel' for name, roi in brain.rois.items() if not roi.any()]
    if 'hemisphere' not in brain.info:
        notes.append('hemispheres are unknown: the file has no x coordinates on both sides of 0')
    return notes
