"""A page on a data set, without decoding anything: what a user with new data should run first."""

import pathlib
import time

import numpy as np
from absl import logging

from recon.core import errors, image, lookup, provenance, results, settings, stats, types
from recon.data.checks import alignment, findings, hypotheses, orientation, readout, scales, summary
from recon.data.preprocess import audit
from recon.metrics import ceiling
from recon.report import inspection, surface
from recon.train import log

DEFAULTS = dict(
    seed=0,
    inspect=dict(
        audit=True,  # every picture is read once: seen images, near duplicates
        alignment=True,  # rows decode with the images of neighbouring blocks
        hypotheses=True,  # rows decode with other ids; pictures upright, hemispheres named right
        pictures=10,  # how many the page shows
        surface='',  # folder of the full fsaverage (surf/lh.inflated ...): all vertices are drawn
    ),
    layout='',  # simulated files in this data set's layout, written by launch (`:smoke`)
)
_SIDE = 256  # pixels, the longer side of the pictures that are kept
_FEWEST = 5  # images shown r times, below which their repeats say nothing of noise
_BLOCK = 2**24  # values z-scored at a time


def run(cfg, workdir, stop=lambda: False) -> pathlib.Path:
    """Reads the data set of `cfg`, checks it and leaves DIR: inspection.json, maps.npz, report.

    What is wrong with data that can be read stands on the page, and the run is done all the same.

    Args:
      cfg: ConfigDict of configs/inspect.py.
      workdir: DIR; created when the data could be read.
      stop: asked after each stage; where it is true the run ends as `results.Stopped`.

    Returns:
      The report's path.

    Raises:
      UserError: of the data set's reader, or of a picture that cannot be read.
    """
    started = time.time()
    cfg = settings.resolve(cfg, DEFAULTS)
    check(cfg)
    workdir, config = pathlib.Path(workdir), cfg.to_dict()
    if results.state(workdir, config) == 'done':
        logging.info('%s is done; nothing to do (remove it to look again)', workdir)
        return workdir / 'report.html'

    reader = lookup.find('recon.data.datasets', cfg.dataset.name, 'dataset.name')
    brain = reader.load(_forgiving(cfg.dataset))
    mesh = surface.read(cfg.inspect.surface) if cfg.inspect.surface else {}
    shown = pictures(brain, cfg.inspect.pictures)
    facts = provenance.facts(cfg.seed) | {'protocol': {'data': brain.facts}, 'audit': {}}

    with (
        results.Run(workdir, config, facts, started) as folder,
        log.Log(workdir / 'logs') as written,
    ):
        progress = log.Progress(5, written, stop)
        folder.npz('pictures.npz', shown)
        found = count(brain, cfg.seed)
        known = noise_ceiling(brain)
        found['ceiling'] = known['told']
        found['areas'] = summary.areas(brain, known['single'])
        progress.step('count')
        bad = summary.broken(brain)['not_finite']
        found |= checks(cfg, brain.keep(~bad) if bad.any() else brain, progress.step)
        folder.facts['audit'] = found['audit']
        folder.npz('maps.npz', maps(brain, known, mesh))
        found['pictures'] = describe(brain, shown)
        found['findings'] = findings.of(found, bool(cfg.layout))
        for finding in found['findings']:
            if finding['kind'] == 'bad':
                logging.warning('%s: %s', finding['title'], finding['text'])
        folder.json('inspection.json', {'schema': results.SCHEMA} | found)
        folder.status('running')
        report = inspection.write(workdir)
        progress.step('report')
    return report


def _forgiving(dataset) -> dict:
    """Options of the reader; a session that is not on disk shall stand on the page, not end it."""
    options = dataset.to_dict()
    return options | ({'missing': 'skip'} if options.get('missing') == 'refuse' else {})


def check(cfg) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    if cfg.seed < 0 or cfg.inspect.pictures < 2:
        raise errors.ConfigError(
            f'seed is {cfg.seed}, inspect.pictures {cfg.inspect.pictures}',
            'config',
            'a seed from 0, at least 2 pictures',
        )


def count(brain: types.BrainData, seed: int) -> dict:
    """What the recording holds, of inspection.json."""
    flawed = summary.broken(brain)
    usable = ~(flawed['not_finite'] | flawed['constant'])
    return {
        'facts': brain.facts,
        'voxels': brain.train.voxels.shape[1],
        'image_size': [int(s) for s in brain.images.shape],
        'channels': brain.images.channels,
        'known_images': len(brain.images.ids),
        'tr': brain.tr,
        'voxel_fields': sorted(brain.voxel_info),
        'labels': list(brain.label_names),
        'captions': brain.captions is not None,
        'splits': summary.parts(brain),
        'shared': summary.shared(brain),
        'values': summary.values(brain, seed),
        'sides': summary.sides(brain),
        'scales': scales.spreads(brain, usable, seed),
        'copies': scales.copies(brain, usable, seed),
    }


def checks(cfg, brain: types.BrainData, step) -> dict:
    """Leaks, alignment, ids and orientation: {'audit', 'ids', 'test_ids', 'orientation'}.

    Args:
      cfg: resolved config.
      brain: finite voxels only.
      step: called with a name after each.
    """
    asked, some = cfg.inspect, brain.train.voxels.shape[1] > 0
    leaks = seen(brain, cfg.seed) if asked.audit and some else {}
    step('audit')
    aligned = alignment.skipped('switched off, or no voxel to decode from')
    if asked.alignment and some:
        aligned = alignment.check(brain.train, brain.images, cfg.seed)
    step('alignment')
    ids = tests = turned = readout.answer(note='not run: switched off, or no voxel to decode from')
    if asked.hypotheses and some:
        ids = hypotheses.check(brain.train, brain.images, brain.rois, cfg.seed)
        tests = hypotheses.check_test(brain, cfg.seed)
        turned = orientation.check(brain, cfg.seed)
    step('hypotheses')
    return {'audit': leaks | aligned, 'ids': ids, 'test_ids': tests, 'orientation': turned}


def seen(brain: types.BrainData, seed: int) -> dict:
    """The audit of pictures alone: nothing is fitted here, so statistics are not in question."""
    light = brain.keep(np.arange(brain.train.voxels.shape[1]) < 1)
    options = {'allow_seen': True, 'alignment': False, 'seed': seed}
    entry = audit.check(options, light, light, {'order': ()})
    left_out = ('train_only_statistics', 'label')
    return {k: v for k, v in entry.items() if k not in left_out and not k.startswith('alignment')}


def pictures(brain: types.BrainData, number: int) -> dict:
    """Half of the pictures from the test split, at even steps through the ids, small ones as is.

    Returns:
      {'images': uint8 [k h w 3], 'image_id': [k], 'part': <U [k]}.
    """
    chosen, part = [], []
    for name, count_ in (('train', number - number // 2), ('test', number // 2)):
        ids = np.unique(brain.splits()[name].image_id)
        at = np.unique(np.linspace(0, len(ids) - 1, count_).round().astype(int))
        chosen.append(ids[at])
        part += [name] * len(at)
    ids = np.concatenate(chosen)
    read = brain.images[ids]
    scale = min(1, _SIDE / max(read.shape[1:3]))
    size = tuple(max(1, round(s * scale)) for s in read.shape[1:3])
    small = image.to_uint8(image.resize(read, size))
    return {'images': small, 'image_id': ids, 'part': np.array(part)}


def describe(brain: types.BrainData, shown: dict) -> list[dict]:
    """[{'id', 'part', 'labels': [names], 'captions': [sentences]}] of the pictures shown."""
    out = []
    for i, part in zip(shown['image_id'].tolist(), shown['part'].tolist(), strict=True):
        label = (brain.labels or {}).get(i, ())
        hot = np.flatnonzero(label) if np.ndim(label) else [int(label)]
        names = [str(brain.label_names[k]) if k < len(brain.label_names) else str(k) for k in hot]
        said = (brain.captions or {}).get(i, ())
        said = [said] if isinstance(said, str) else [str(s) for s in said]
        out.append({'id': i, 'part': part, 'labels': names, 'captions': said})
    return out


def noise_ceiling(brain: types.BrainData) -> dict:
    """How much of each voxel the picture can explain, and where that is known from.

    From voxel_info['ncsnr'], or voxel_info['noise_ceiling'] (a fraction of variance) as the files
    have it; without either, from repeated presentations in the rows (`ceiling.from_rows`), rows of
    one presentation averaged first.

    Returns:
      {'ncsnr': [v] or None, 'single': [v] fraction of a single trial's variance or None, 'told':
      {'source': text, 'single_median', 'test_median': of the test rows averaged by image, 'test':
      {trials: images}}}.
    """
    ncsnr, source = brain.voxel_info.get('ncsnr'), 'as the data set gives it (ncsnr of each voxel)'
    given = brain.voxel_info.get('noise_ceiling')
    if ncsnr is None and given is None:
        ncsnr, source = _from_repeats(brain)
    if ncsnr is None:
        if given is not None:
            source = 'as the data set gives it (noise ceiling of each voxel)'
        single = None if given is None else np.asarray(given, np.float64)
        return {'ncsnr': None, 'single': single, 'told': {'source': source} | _medians(single)}
    first, _ = _presentations(brain.test)
    ids, place = np.unique(brain.test.image_id[first], return_inverse=True)
    trials = np.bincount(place, brain.test.trials[first], len(ids)).astype(int)
    number, images = np.unique(trials, return_counts=True)
    single, test = (stats.noise_ceiling(ncsnr, t) for t in (1, np.maximum(trials, 1)))
    told = {'source': source} | _medians(single)
    told['test_median'] = _medians(test)['single_median']
    told['test'] = {int(n): int(m) for n, m in zip(number, images, strict=True)}
    return {'ncsnr': ncsnr, 'single': single, 'told': told}


def _medians(single) -> dict:
    known = np.array([]) if single is None else single[np.isfinite(single)]
    if not len(known):
        return {'single_median': None}
    return {
        'single_median': float(np.median(known)),
        'histogram': dict(
            zip(('counts', 'edges'), (a.tolist() for a in np.histogram(known, 30)), strict=True)
        ),
    }


def _from_repeats(brain: types.BrainData) -> tuple:
    best = None
    for name, split in brain.splits().items():
        rows = _presentations(split)
        _, shown = np.unique(split.image_id[rows[0]], return_counts=True)
        for times in np.unique(shown[shown > 1]):
            images = int((shown == times).sum())
            free = images * (int(times) - 1)
            if images >= _FEWEST and (best is None or free > best[0]):
                best = (free, name, split, rows, int(times), images)
    if best is None:
        return None, 'not known: no ncsnr, and too few images are shown twice in the rows'
    _, name, split, (first, place), times, images = best
    ncsnr = np.zeros(split.voxels.shape[1])
    step = max(1, _BLOCK // len(split))
    size = np.bincount(place)[:, None]
    for start in range(0, len(ncsnr), step):
        part = split.voxels[:, start : start + step]
        mean = np.zeros((len(first), part.shape[1]))
        np.add.at(mean, place, part)
        ncsnr[start : start + step] = ceiling.from_rows(
            mean / size, split.image_id[first], split.session[first], times
        )
    source = f'estimated here from {images} images of {name} that are shown {times} times each'
    if split.trials.max() > 1:
        source += '; a "trial" is then a row, which is a mean of several'
    return ncsnr.astype(np.float32), source


def _presentations(split: types.Split) -> tuple[np.ndarray, np.ndarray]:
    """(first row of each presentation, presentation of each row): volumes of one are one."""
    if (split.repeat < 0).any():
        return np.arange(len(split)), np.arange(len(split))
    _, image_of = np.unique(split.image_id, return_inverse=True)
    key = image_of.astype(np.int64) * (int(split.repeat.max(initial=0)) + 1) + split.repeat
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return first, place


def maps(brain: types.BrainData, known: dict, mesh: dict) -> dict:
    """maps.npz: where each voxel lies, its areas, its ceiling, and the mesh to draw them on."""
    arrays = dict(brain.voxel_info) | {f'roi_{name}': mask for name, mask in brain.rois.items()}
    if known['ncsnr'] is not None:
        arrays['ncsnr'] = np.asarray(known['ncsnr'], np.float32)
    return arrays | mesh
