"""Which picture belongs to a row? Other ids are tried, and what decodes better is said."""

import numpy as np

from recon.core import errors, types
from recon.data.checks import readout


def check(train: types.Split, images: types.Images, rois=None, seed: int = 0) -> dict:
    """Does another assignment of pictures to rows decode better than the one given?

    Tried: the picture of the next and of the previous id (by number, and by place among the ids
    where that differs); pictures sorted as text ('10' before '2') while rows are sorted by number,
    and the other way round, with numbers from 0 and from 1. Rows of an image are averaged, voxels
    z-scored within runs; ridge to luminance and contrast in 4 x 4 cells of the picture (each
    z-scored over images), cross-validated over five sets of images. The score of an image is the
    correlation over these 32 of what was decoded and what the assigned picture has. A hypothesis
    wins if its own interval is above 0 and that of its paired difference to the rows as they are,
    too (`readout.judge`); on pure noise about 1 data set in 60 warns. At most 1,200 images and 600
    voxels (of V1 to V3 first) are drawn with `seed`.

    Args:
      train: [n v].
      images: the pictures that `train.image_id` names.
      rois: {name: bool [v]}.
      seed: of draws, folds and bootstrap.

    Returns:
      See `readout.answer`.
    """
    rng = np.random.default_rng(seed)
    shown = np.unique(train.image_id)
    if len(shown) < readout.FEWEST:
        return readout.answer(
            note=f'not applicable: {len(shown)} images, at least {readout.FEWEST} are needed'
        )
    shown = readout.images_of(train, rng)
    chosen = _voxels(train.voxels.shape[1], rois or {}, rng)
    x = readout.responses(train, shown, chosen)
    fold = rng.permutation(len(shown)) % readout.FOLDS
    own = _small(images, shown)
    tried, notes = [], []
    options = assignments(shown, images.ids)
    for name, (usable, other) in options.items():
        if usable.sum() < readout.FEWEST:
            notes.append(f'{name}: only {usable.sum()} of {len(shown)} images have one')
            continue
        try:
            there = _small(images, other[usable])
        except errors.UserError:
            notes.append(f'{name}: those pictures cannot be read')
            continue
        scores = _scores(x[usable], (own[usable], there), fold[usable])
        tried.append((name, *scores))
    as_is = _scores(x, (own,), fold)[0]
    note = f'{len(shown)} images, {len(chosen)} of {train.voxels.shape[1]} voxels, seed {seed}'
    return readout.judge(tried, as_is, rng, '; '.join([note, *notes]), _say)


def assignments(shown, known) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{hypothesis: (usable [m] bool, id [m] of the picture that would then be the right one)}.

    Args:
      shown: [m] ids, ascending.
      known: [k] ids of all pictures, ascending.
    """
    place, options = np.searchsorted(known, shown), {}
    dense = known.dtype.kind in 'iu' and known[-1] - known[0] == len(known) - 1

    def option(name, at):
        inside = (at >= 0) & (at < len(known))
        options[name] = (inside, known[np.clip(at, 0, len(known) - 1)])

    if known.dtype.kind in 'iu':
        for step, word in ((1, 'next'), (-1, 'previous')):
            at = np.searchsorted(known, shown + step)
            found = known[np.minimum(at, len(known) - 1)] == shown + step
            options[f'the picture of the {word} id'] = (found, shown + step)
        starts = (0, 1) if known[0] == 0 else (0,)
        for start in starts:
            text = np.argsort((known + start).astype(str), kind='stable')
            if (text == np.arange(len(known))).all():
                continue
            where = np.argsort(text)
            base = f', numbers from {int(known[0]) + start}' if dense else ''
            option(f'pictures sorted as text{base}', where[place])
            option(f'rows sorted as text{base}', text[place])
    if not dense:
        for step, word in ((1, 'next'), (-1, 'previous')):
            option(f'the {word} picture in the order of the ids', place + step)
    return options


def _voxels(count: int, rois: dict, rng) -> np.ndarray:
    """At most VOXELS of them, those of V1 to V3 first."""
    early = [mask for name, mask in rois.items() if readout.EARLY.fullmatch(name)]
    first = np.any(early, 0) if early else np.zeros(count, bool)
    order = rng.permutation(count)
    order = np.concatenate([order[first[order]], order[~first[order]]])
    return np.sort(order[: readout.VOXELS])


def _small(images: types.Images, ids) -> np.ndarray:
    """[m 32]: luminance and contrast in 4 x 4 cells, z-scored over the images."""
    return readout.z_score(readout.cells(images, ids).reshape(len(ids), -1))


def _scores(x, pictures: tuple, fold) -> list[np.ndarray]:
    """For each assignment of pictures [m t], the score of each image [m], NaN where undefined."""
    joined = np.concatenate(pictures, 1).astype(np.float32)
    decoded = np.split(readout.held_out(x, joined, fold), len(pictures), 1)
    return [_correlation(d, p - p.mean(0)) for d, p in zip(decoded, pictures, strict=True)]


def _correlation(a, b) -> np.ndarray:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    norm = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return (a * b).sum(-1) / np.where(norm > 1e-12, norm, np.nan)


def _say(name: str, entry: dict) -> str:
    return (
        f'rows decode another picture better than their own: {name} ({readout.numbers(entry)}). '
        'Check how ids were made and in which order the files were read.'
    )
