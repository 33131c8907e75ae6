"""What must hold before a score means anything: measured on the data at hand, never assumed."""

import dataclasses
import hashlib

import numpy as np

from recon.core import errors, image, types
from recon.data import prepare
from recon.data.checks import alignment
from recon.data.preprocess import rois

DEFAULTS = dict(
    allow_seen=False,  # go on although test images were trained on; every score is then labelled
    alignment=True,  # decode with rows shifted by one block
    seed=0,
)
SEEN = 'seen images'
NEAR_CORRELATION, NEAR_RMS, SIDE = 0.99, 0.02, 16
_PIXELS = 2**24  # pixels read at a time
_MOST, _SOME = 2**27, 1000  # voxel values above which preprocessing is repeated on some voxels only


def check(cfg, raw: types.BrainData, prepared: types.BrainData, prepare_cfg) -> dict:
    """The audit entry of run.json and scores.json.

    A test image is seen if its id, or its content (8-bit pixels), is among the images of training
    or validation. It is a near-duplicate if it is not seen, but its thumbnail (at most 16 x 16,
    colour) correlates above .99 with one of theirs or differs by less than .02 (root mean square).
    `train_only_statistics` is measured: preprocessing is run again with all rows but the training
    rows multiplied by 100, and every statistic and training row must have the same bits. Of
    recordings with more than 2^27 values it is run on 1,000 voxels drawn with the seed.

    Args:
      cfg: see DEFAULTS.
      raw: as the data set's `load` returned it.
      prepared: as `prepare.run(prepare_cfg, raw)` returned it.
      prepare_cfg: config.preprocess.

    Returns:
      {'train_images', 'test_images', 'seen_test_images', 'near_duplicates': counts of distinct
      images; 'seen_extra_tests': {name: count}; 'label': 'seen images', to stand at every score, or
      None; 'near_duplicate_rule': text; 'train_only_statistics': bool; and the keys of
      `alignment.check`}. JSON-able.

    Raises:
      LeakError: a test image is among the training images and `allow_seen` is false, or a
        statistic changes with rows that are not of training.
    """
    entry = _seen(prepared)
    seen = {'test': entry['seen_test_images']} | entry['seen_extra_tests']
    if any(seen.values()) and not cfg.get('allow_seen', DEFAULTS['allow_seen']):
        parts = ', '.join(f'{count} images of {part}' for part, count in seen.items() if count)
        raise errors.LeakError(
            f'{parts} are also training images, by id or by content',
            raw.facts.get('source', 'data'),
            'split by image; or set audit.allow_seen=true, and every score says "seen images"',
        )
    entry['label'] = SEEN if any(seen.values()) else None
    entry['train_only_statistics'] = _train_only(raw, prepared, prepare_cfg, cfg.get('seed', 0))
    if not cfg.get('alignment', DEFAULTS['alignment']):
        return entry | alignment.skipped('switched off by audit.alignment')
    return entry | alignment.check(_in_time(raw, prepared), raw.images, cfg.get('seed', 0))


def _seen(brain: types.BrainData) -> dict:
    known = [brain.train.image_id, *([brain.validation.image_id] if brain.validation else [])]
    known = np.unique(np.concatenate(known))
    known_hashes, known_thumbs = _fingerprints(brain.images, known)
    tests = {'test': brain.test} | brain.extra_tests
    counts = {}
    for name, split in tests.items():
        ids = np.unique(split.image_id)
        hashes, thumbs = _fingerprints(brain.images, ids)
        seen = np.isin(ids, known) | np.isin(hashes, known_hashes)
        counts[name] = (int(seen.sum()), _near(thumbs[~seen], known_thumbs))
    return {
        'train_images': len(np.unique(brain.train.image_id)),
        'test_images': len(np.unique(brain.test.image_id)),
        'seen_test_images': counts['test'][0],
        'near_duplicates': counts['test'][1],
        'near_duplicate_rule': (
            f'not seen, but the {SIDE} x {SIDE} thumbnail correlates above {NEAR_CORRELATION} with '
            f'that of a training image, or differs by less than {NEAR_RMS} (root mean square)'
        ),
        'seen_extra_tests': {name: counts[name][0] for name in brain.extra_tests},
    }


def _fingerprints(images: types.Images, ids) -> tuple[np.ndarray, np.ndarray]:
    """Content hash <U [m] and thumbnail float32 [m d] of each picture, read in parts."""
    size = tuple(min(side, SIDE) for side in images.shape)
    step = max(1, _PIXELS // (images.shape[0] * images.shape[1]))
    hashes, thumbs = [], []
    for start in range(0, len(ids), step):
        pictures = images[ids[start : start + step]]  # [k h w 3]
        thumbs.append(image.resize(pictures, size).reshape(len(pictures), -1))
        hashes += [
            hashlib.blake2b(p.tobytes(), digest_size=16).hexdigest()
            for p in image.to_uint8(pictures)
        ]
    return np.array(hashes), np.concatenate(thumbs)


def _near(tests: np.ndarray, known: np.ndarray) -> int:
    """How many of `tests` [m d] are near any of `known` [k d]."""

    def centred(x):
        x = x - x.mean(1, keepdims=True)
        norm = np.linalg.norm(x, axis=1, keepdims=True)
        return x / np.where(norm > 1e-6, norm, np.inf)

    count, unit = 0, centred(known)
    square = np.square(known).sum(1)
    for start in range(0, len(tests), 256):
        part = tests[start : start + 256]
        near = centred(part) @ unit.T > NEAR_CORRELATION
        distance = np.square(part).sum(1)[:, None] + square - 2 * part @ known.T
        near |= distance < part.shape[1] * NEAR_RMS**2
        count += int(near.any(1).sum())
    return count


def _train_only(raw: types.BrainData, prepared: types.BrainData, prepare_cfg, seed: int) -> bool:
    if sum(split.voxels.size for split in raw.splits().values()) > _MOST:
        raw = _some_voxels(raw, prepare_cfg, seed)
        prepared, _ = prepare.run(prepare_cfg, raw)

    def scaled(part, split):
        factor = np.float32(1 if part == 'train' else 100)
        return dataclasses.replace(split, voxels=split.voxels * factor)

    louder = raw.with_splits({k: scaled(k, s) for k, s in raw.splits().items()})
    before = _digests(*prepare.run(prepare_cfg, raw))
    after = _digests(*prepare.run(prepare_cfg, louder))
    if _digests(prepared, {})['training rows'] != before['training rows']:
        raise errors.LeakError(
            'preprocessing gave other training rows the second time',
            'preprocess',
            'an op draws without a seed',
        )
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise errors.LeakError(
            f'{", ".join(changed)} changed when the test rows were multiplied by 100',
            'preprocess',
            'fit of that op must look at brain.train only',
        )
    return before == after


def _some_voxels(raw: types.BrainData, prepare_cfg, seed: int) -> types.BrainData:
    """1,000 voxels, drawn among those that an op named `rois` keeps.

    Of an op that shows areas alone, and leaves the rest blank, half of them are of those areas.
    """
    random = np.random.default_rng(seed)
    among = np.arange(raw.train.voxels.shape[1])
    if 'rois' in prepare_cfg.get('order', ()):
        among = np.flatnonzero(rois.fit(prepare_cfg.get('rois', {}), raw)['keep'])
    drawn = random.permutation(among)[:_SOME]
    for op in set(prepare_cfg.get('order', ())) - {'rois'}:
        keep = tuple(prepare_cfg.get(op, {}).get('keep', ()))
        if keep:
            shown = np.intersect1d(np.flatnonzero(rois.fit({'keep': keep}, raw)['keep']), among)
            drawn = np.union1d(drawn[: _SOME // 2], random.permutation(shown)[: _SOME // 2])
    return raw.keep(np.sort(drawn))


def _digests(brain: types.BrainData, stats: dict) -> dict[str, str]:
    """A hash of the training rows and of each op's statistics: bits, not values."""
    fields = {f.name: getattr(brain.train, f.name) for f in dataclasses.fields(brain.train)}
    digests = {}
    for name, arrays in ({'training rows': fields} | stats).items():
        hashed = hashlib.blake2b(digest_size=16)
        for key in sorted(arrays):
            array = np.ascontiguousarray(arrays[key])
            hashed.update(f'{key} {array.dtype} {array.shape}'.encode())
            hashed.update(array.tobytes())
        digests[name] = hashed.hexdigest()
    return digests


def _in_time(raw: types.BrainData, prepared: types.BrainData) -> types.Split:
    """The training rows that still stand in time, [n v].

    As prepared, or raw where repeats were joined or rows are laid out.
    """
    kept = len(prepared.train) == len(raw.train) and prepared.laid is None
    return prepared.train if kept and (prepared.train.run >= 0).all() else raw.train
