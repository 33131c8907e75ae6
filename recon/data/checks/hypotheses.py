"""Which picture belongs to a row? Other ids are tried, and what decodes better is said."""

import numpy as np

from recon.core import errors, types
from recon.data.checks import neighbours, readout


def check(train: types.Split, images: types.Images, rois=None, seed: int = 0) -> dict:
    """Does another assignment of pictures to rows decode better than the one given?

    Tried: the picture of the next and of the previous id (by number, and by place among the ids
    where that differs); pictures sorted as text ('10' before '2') while rows are sorted by number,
    and the other way round, with numbers from 0 and from 1, over all pictures and over those of
    the training rows alone; the picture of the next and previous row of the run
    (`neighbours.tried`). Rows of an image are averaged, voxels z-scored within runs; ridge to
    luminance and contrast in 4 x 4 cells of the picture (each z-scored over images),
    cross-validated over five sets of images. The score of an image is the correlation over these
    32 of what was decoded and what the assigned picture has. A hypothesis wins if its own interval
    is above 0 and that of its paired difference to the rows as they are, too (`readout.judge`), on
    the images that it would give another picture. At most 1,200 images and 600 voxels (of V1 to V3
    first) are drawn with `seed`. On pure noise about 1 data set in 50 warns (10 of 480).

    Args:
      train: [n v].
      images: the pictures that `train.image_id` names.
      rois: {name: bool [v]}.
      seed: of draws, folds and bootstrap.

    Returns:
      See `readout.answer`.
    """
    rng = np.random.default_rng(seed)
    trained = np.unique(train.image_id)
    if len(trained) < readout.FEWEST:
        return readout.answer(
            note=f'not applicable: {len(trained)} images, at least {readout.FEWEST} are needed'
        )
    shown = readout.images_of(train, rng)
    chosen = _voxels(train.voxels.shape[1], rois or {}, rng)
    x = readout.responses(train, shown, chosen)
    fold = rng.permutation(len(shown)) % readout.FOLDS
    images = readout.small(images)
    own = readout.table(images, shown)

    def scores(usable, there):
        return _scores(x[usable], (own[usable], there), fold[usable])

    tried, notes = _try(assignments(shown, images.ids, trained), images, scores)
    as_is = _scores(x, (own,), fold)[0]
    late, why = neighbours.tried(train, images, chosen, rng)
    note = f'{len(shown)} images, {len(chosen)} of {train.voxels.shape[1]} voxels, seed {seed}'
    note = '; '.join([note, *notes, *([why] if why else [])])
    return readout.judge(tried + late, as_is, rng, note, _say)


def check_test(brain: types.BrainData, seed: int = 0) -> dict:
    """The same question for the test rows, decoded by what the training rows teach.

    A file of test images in another order, or test rows late by one, leave the training rows as
    they should be. On pure noise 1 data set in 180 warns (2 of 360).

    Args:
      brain: its train and test splits.
      seed: of draws and bootstrap.

    Returns:
      See `readout.answer`.
    """
    rng = np.random.default_rng(seed)
    train, test, images = brain.train, brain.test, readout.small(brain.images)
    counts = [len(np.unique(split.image_id)) for split in (train, test)]
    if min(counts) < readout.FEWEST:
        text = f'{counts[0]} training and {counts[1]} test images, at least {readout.FEWEST}'
        return readout.answer(note=f'not applicable: {text} of each are needed')
    chosen = _voxels(train.voxels.shape[1], brain.rois, rng)
    known, shown = readout.images_of(train, rng), readout.images_of(test, rng)
    fitted = readout.responses(train, known, chosen), readout.table(images, known)
    decoded = readout.predict(*fitted, readout.responses(test, shown, chosen))
    own = readout.table(images, shown)

    def scores(usable, there):
        pairs = (own[usable], there)
        return [readout.correlation(decoded[usable], p - p.mean(0)) for p in pairs]

    options = assignments(shown, images.ids, np.unique(test.image_id), 'test')
    tried, notes = _try(options, images, scores)
    late, why = neighbours.tried(test, images, chosen, rng, fitted)
    note = f'{len(shown)} test images from {len(known)} training images, seed {seed}'
    note = '; '.join([note, *notes, *([why] if why else [])])
    as_is = readout.correlation(decoded, own - own.mean(0))
    return readout.judge(tried + late, as_is, rng, note, _say)


def _try(options: dict, images: types.Images, scores) -> tuple[list, list]:
    """([(name, as_is, other)], notes on what could not be tried)."""
    tried, notes = [], []
    for name, (usable, other) in options.items():
        if usable.sum() < readout.FEWEST:
            notes.append(f'{name}: only {usable.sum()} of {len(usable)} images have one')
            continue
        try:
            there = readout.table(images, other[usable])
        except errors.UserError:
            notes.append(f'{name}: those pictures cannot be read')
            continue
        tried.append((name, *scores(usable, there)))
    return tried, notes


def assignments(shown, known, own=None, part: str = 'training') -> dict[str, tuple]:
    """{hypothesis: (usable [m] bool, id [m] of the picture that would then be the right one)}.

    Args:
      shown: [m] ids, ascending.
      known: [k] ids of all pictures, ascending.
      own: [l] ids of all pictures of the split that `shown` were drawn from, ascending, or None.
      part: what to call that split.
    """
    options, numbers = {}, known.dtype.kind in 'iu'
    dense = numbers and known[-1] - known[0] == len(known) - 1

    def option(name, ids, at):
        inside = (at >= 0) & (at < len(ids))
        there = ids[np.clip(at, 0, len(ids) - 1)]
        inside &= there != shown
        # Where the training images come first, their order is nearly that of all: asked once.
        known_one = any(
            (inside & a & (there == b)).sum() >= 0.9 * inside.sum() for a, b in options.values()
        )
        if inside.any() and not known_one:
            options[name] = (inside, there)

    def as_text(ids, number, name, end):
        text, place = np.argsort(number.astype(str), kind='stable'), np.searchsorted(ids, shown)
        option(f'{name}pictures sorted as text{end}', ids, np.argsort(text)[place])
        option(f'{name}rows sorted as text{end}', ids, text[place])

    if numbers:
        for step, word in ((1, 'next'), (-1, 'previous')):
            at = np.searchsorted(known, shown + step)
            found = known[np.minimum(at, len(known) - 1)] == shown + step
            options[f'the picture of the {word} id'] = (found, shown + step)
        for start in (0, 1) if known[0] == 0 else (0,):
            end = f', numbers from {int(known[0]) + start}' if dense else ''
            as_text(known, known + start, '', end)
    if not dense:
        for step, word in ((1, 'next'), (-1, 'previous')):
            at = np.searchsorted(known, shown) + step
            option(f'the {word} picture in the order of the ids', known, at)
    if own is not None:
        for start in (0, 1):
            as_text(own, np.arange(len(own)) + start, f'{part} ', f', numbered from {start}')
        for step, word in ((1, 'next'), (-1, 'previous')):
            at = np.searchsorted(own, shown) + step
            option(f'the {word} picture in the order of the {part} ids', own, at)
    return options


def _voxels(count: int, rois: dict, rng) -> np.ndarray:
    """At most VOXELS of them, those of V1 to V3 first."""
    early = [mask for name, mask in rois.items() if readout.EARLY.fullmatch(name)]
    first = np.any(early, 0) if early else np.zeros(count, bool)
    order = rng.permutation(count)
    order = np.concatenate([order[first[order]], order[~first[order]]])
    return np.sort(order[: readout.VOXELS])


def _scores(x, pictures: tuple, fold) -> list[np.ndarray]:
    """For each assignment of pictures [m t], the score of each image [m], NaN where undefined."""
    joined = np.concatenate(pictures, 1).astype(np.float32)
    decoded = np.split(readout.held_out(x, joined, fold), len(pictures), 1)
    return [readout.correlation(d, p - p.mean(0)) for d, p in zip(decoded, pictures, strict=True)]


def _say(name: str, entry: dict) -> str:
    return (
        f'rows decode another picture better than their own: {name} ({readout.numbers(entry)}). '
        'Check how ids were made and in which order the files were read.'
    )
