"""One experiment, from the data set to the report, top to bottom. Read this file first."""

import pathlib
import time

import jax
import numpy as np
from absl import logging

from recon import controls
from recon.core import errors, lookup, provenance, results, settings
from recon.data import prepare
from recon.data.preprocess import audit
from recon.metrics import suite
from recon.report import html
from recon.train import checkpoint, log

DEFAULTS = dict(
    seed=0,
    targets=dict(),  # {name: {net, layer, size}}, one decoder each
    metrics=(),
    baselines=('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels'),
    areas=(),  # refit and score on the voxels of each area alone; 'V1+V2' is a union
    learning_curve=(),  # refit on these fractions of the training rows
    score_rows=False,  # score every test row instead of one entry per distinct image
    score_train=False,  # training-set scores too, kept apart
    threshold=0.5,  # binary metrics
    draws=10_000,  # bootstrap
    permutations=1_000,
    audit=dict(audit.DEFAULTS),
    layout='',  # simulated files in this data set's layout, written by launch (`:smoke`)
)

AMONG = ('two_way', 'nway', 'brain_to_image', 'image_to_brain')  # each row against all others


def run(cfg, workdir, stop=lambda: False) -> pathlib.Path:
    """Runs the experiment `cfg` and leaves DIR as RUN_FOLDER.md says.

    Args:
      cfg: ConfigDict of a file in configs/.
      workdir: DIR; created when nothing is wrong with config and data.
      stop: asked after each stage; where it is true the run ends as `results.Stopped`.

    Returns:
      The report's path.
    """
    started = time.time()
    cfg = settings.resolve(cfg, DEFAULTS)
    check(cfg)
    workdir, config = pathlib.Path(workdir), cfg.to_dict()
    if results.state(workdir, config) == 'done':
        logging.info('%s is done; nothing to do', workdir)
        return workdir / 'report.html'

    raw = lookup.find('recon.data.datasets', cfg.dataset.name, 'dataset.name').load(cfg.dataset)
    brain, _ = prepare.run(cfg.preprocess, raw)  # fitted on the training rows alone
    audited = audit.check(cfg.audit, raw, brain, cfg.preprocess)
    size = cfg.targets.pixels.size or brain.images.shape
    suite.check(cfg.metrics, n=len(controls.rows_to_score(cfg, brain.test)), size=tuple(size))
    controls.check_areas(cfg, brain.rois)
    facts = provenance.facts(cfg.seed) | {'protocol': protocol(cfg, brain), 'audit': audited}

    with (
        results.Run(workdir, config, facts, started) as folder,
        log.Log(workdir / 'logs') as written,
    ):
        progress = log.Progress(len(cfg.targets) + len(controls.names(cfg)) + 3, written, stop)
        experiment = controls.Experiment(cfg, brain, jax.random.key(cfg.seed))
        fitted = {}
        for name in cfg.targets:
            fitted[name] = load_or_fit(experiment, name, workdir / 'checkpoints' / name)
            progress.step(f'fit_{name}')

        test = controls.rows_to_score(cfg, brain.test)
        decoded = experiment.decode(fitted, test.voxels)
        truth = experiment.truth(test)
        score = scorer(cfg, brain, audited['label'])
        scores = score(decoded['images'], truth, 'test', test.image_id)
        folder.npz('reconstructions.npz', arrays(cfg, test, decoded, truth))
        progress.step('decode_and_score')

        controlled = controls.run(experiment, fitted, test, decoded['images'], score, progress.step)
        describe(folder, experiment, fitted, controlled.pop('curves'))
        progress.step('describe')

        folder.json(
            'scores.json',
            {
                'schema': results.SCHEMA,
                'n': len(test),
                'protocol': facts['protocol'],
                'audit': audited,
                'scores': scores,
            }
            | controlled,
        )
        folder.status('running')
        report = html.write(workdir)
        progress.step('report')
    return report


def check(cfg) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    if 'pixels' not in cfg.targets:
        raise errors.ConfigError(
            f'targets are {sorted(cfg.targets)}', 'targets', "one must be named 'pixels'"
        )
    for name, spec in cfg.targets.items():
        known = ('pixels', 'image_statistics')
        if spec.net != 'image' or spec.layer not in known:
            raise errors.ConfigError(
                f'targets.{name} is {dict(spec)}', 'config', f"net='image', layer one of {known}"
            )
        if spec.size and (len(spec.size) != 2 or min(spec.size) < 1):
            raise errors.ConfigError(
                f'targets.{name}.size is {spec.size}', 'config', '(height, width) in pixels, or ()'
            )
    suite.check_settings(cfg.seed, cfg.draws, cfg.permutations, cfg.threshold)
    suite.check(cfg.metrics)
    controls.check(cfg)
    among = [name for name in cfg.metrics if name.startswith(AMONG)]
    if cfg.score_rows and among:
        raise errors.ConfigError(
            f'metrics has {among[0]} with score_rows=true',
            'metrics',
            'repeats of an image tie in identification: leave it out, or score_rows=false',
        )


def load_or_fit(experiment, name: str, path: pathlib.Path):
    """The decoder's parameters: from the checkpoint of a stopped run, or fitted and saved.

    A checkpoint counts only for the same rows, targets, options and decoder's code.
    """
    wanted = experiment.fingerprint(name)
    params = checkpoint.load(path, wanted)
    if params is None:
        params = experiment.fit(name)
        checkpoint.save(path, params, wanted)
    return params


def scorer(cfg, brain, label=None):
    """(images, truth, split, image_id) -> {metric: entry}, with this run's seed and settings.

    `label` ('seen images') is written into every entry where the audit gave one.
    """

    def score(images, truth, split, image_id):
        scored = suite.score(
            cfg.metrics,
            images,
            truth,
            seed=cfg.seed,
            channels=brain.images.channels,
            threshold=cfg.threshold,
            draws=cfg.draws,
            permutations=cfg.permutations,
            clusters=image_id if cfg.score_rows else None,
        )
        unit = 'row' if cfg.score_rows else 'image'
        marked = {'label': label} if label else {}
        return {k: results.entry(v, split, unit) | marked for k, v in scored.items()}

    return score


def arrays(cfg, test, decoded: dict, truth) -> dict:
    """What reconstructions.npz holds."""
    stages = {k: v for k, v in decoded.items() if k.startswith('stage_')}
    rows = {'row_image_id': test.image_id} if cfg.score_rows else {}
    return {
        'images': decoded['images'].astype(np.float32),
        'truth': truth.astype(np.float32),
        'image_id': test.image_id,
        **stages,
        **rows,
    }


def describe(folder, experiment, fitted: dict, curves: list) -> None:
    """Writes decoder.json and maps.npz: what the decoders say of themselves, for the report."""
    told, maps = {}, experiment.voxel_maps()
    for name, params in fitted.items():
        told[name] = experiment.describe(params)
        importance = told[name].pop('importance', None)
        if importance is not None:
            maps[f'importance_{name}'] = np.asarray(importance, np.float32)
    if curves:
        told['learning'] = {'curves': curves, 'tables': [], 'facts': {}}
    folder.json('decoder.json', told)
    folder.npz('maps.npz', maps)


def protocol(cfg, brain) -> dict:
    """What the scores are of, in plain values."""
    trials = np.unique(controls.rows_to_score(cfg, brain.test).trials)
    size = cfg.targets.pixels.size or brain.images.shape
    return {
        'data': brain.facts,
        'train_rows': len(brain.train),
        'train_images': len(np.unique(brain.train.image_id)),
        'test_rows': len(brain.test),
        'test_images': len(np.unique(brain.test.image_id)),
        'voxels': brain.test.voxels.shape[1],
        'trials_per_test_entry': [int(trials.min()), int(trials.max())],
        'preprocess': list(cfg.preprocess.order),
        'score_rows': cfg.score_rows,
        'size': [int(s) for s in size],
        'channels': brain.images.channels,
        'threshold': cfg.threshold,
        'bootstrap_draws': cfg.draws,
        'permutations': cfg.permutations,
        'clip': [0, 1],
        'pixel_blend': None,
    }
