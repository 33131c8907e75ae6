"""One experiment, from the data set to the report, top to bottom. Read this file first."""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from recon import controls, experiment, labelling, targets
from recon.core import errors, lookup, provenance, results, settings
from recon.data import prepare
from recon.data.preprocess import audit
from recon.metrics import ceiling, feature, protocols, suite
from recon.metrics import labels as label_metrics
from recon.report import html
from recon.report import surface as surfaces
from recon.train import checkpoint, log

DEFAULTS = dict(
    seed=0,
    targets=dict(),  # {name: {net, layer, size, standardise}}, one decoder each
    zoo=dict(targets.ZOO),
    metrics=(),
    retrieval='pixel',  # the feature that brain_to_image_* and image_to_brain_* compare
    candidates=0,  # images on offer in retrieval; 0 is all test images
    baselines=('mean_image', 'nearest_training', 'shuffled_rows', 'shuffled_voxels', 'zero_voxels'),
    areas=(),  # refit and score on the voxels of each area alone; 'V1+V2' is a union
    areas_missing='refuse',  # an area that this recording lacks: 'refuse' it or 'skip' it
    learning_curve=(),  # refit on these fractions of the training rows
    score_rows=False,  # score every test row instead of one entry per distinct image
    score_train=False,  # training-set scores too, kept apart
    threshold=0.5,  # binary metrics
    draws=10_000,  # bootstrap
    permutations=1_000,
    audit=dict(audit.DEFAULTS),
    surface='',  # folder of the full fsaverage (surf/lh.inflated ...) to draw maps on
    devices=1,  # that share one copy of a trained net's long parameters; all share the batch
    members=dict(),  # {name: options} of a bag, see recon/bag.py
    layout='',  # simulated files in this data set's layout, written by launch (`:smoke`)
)

AMONG = ('two_way', 'nway', 'brain_to_image', 'image_to_brain')  # each row against all others


def run(cfg, workdir, stop=lambda: False, shared=None) -> pathlib.Path:
    """Runs the experiment `cfg` and leaves DIR as RUN_FOLDER.md says.

    Args:
      cfg: ConfigDict of a file in configs/.
      workdir: DIR; created when nothing is wrong with config and data.
      stop: asked after each stage; where it is true the run ends as `results.Stopped`.
      shared: of several processes of one run, the folder in which they train together; each still
        has a `workdir` of its own.

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

    surface = surfaces.read(cfg.surface) if cfg.surface else {}
    raw = lookup.find('recon.data.datasets', cfg.dataset.name, 'dataset.name').load(cfg.dataset)
    brain, stats = prepare.run(cfg.preprocess, raw)  # fitted on the training rows alone
    prepared = prepare.remember(raw, stats)
    audited = audit.check(cfg.audit, raw, brain, cfg.preprocess)
    del raw  # a whole subject of NSD is 2 GB
    check_metrics(cfg, brain)
    areas = controls.areas(cfg, brain.rois, brain.laid)
    facts = provenance.facts(cfg.seed) | {'protocol': protocol(cfg, brain), 'audit': audited}

    with (
        results.Run(workdir, config, facts, started) as folder,
        log.Log(workdir / 'logs') as written,
    ):
        this = experiment.Experiment(
            cfg, brain, jax.random.key(cfg.seed), pathlib.Path(shared or workdir), stop
        )
        steps = len(this.parts) + len(controls.names(cfg, areas)) + 3
        progress = log.Progress(steps, written, stop)
        fitted = {}
        for name in this.parts:
            fitted[name] = load_or_fit(this, name)
            progress.step(f'fit_{name}')
        prepare.keep(folder.dir / 'checkpoints', prepared | this.scales())  # for launch/decode.py

        test = controls.rows_to_score(cfg, brain.test)
        decoded, truth = this.decode(fitted, test.voxels), this.truth(test)
        score = scorer(cfg, brain, audited['label'])
        scores = score(decoded[this.answer], truth, 'test', test.image_id, fitted)
        folder.npz(f'{kind(cfg)}.npz', arrays(this, fitted, test, decoded, truth))
        progress.step('decode_and_score')

        controlled, further = controls.run(
            this, fitted, test, decoded[this.answer], score, progress.step
        )
        for name, answers in further.items():
            folder.npz(f'{name}.npz', arrays(this, fitted, *answers))
        maps = describe(folder, this, fitted, controlled.pop('curves'), decoded, truth)
        folder.npz('maps.npz', maps | surface)
        progress.step('describe')

        told = {'schema': results.SCHEMA, 'n': len(test), 'protocol': facts['protocol']}
        folder.json('scores.json', told | {'audit': audited, 'scores': scores} | controlled)
        folder.status('running')
        report = html.write(workdir)
        progress.step('report')
        checkpoint.forget(this.folder / 'logs')  # of trainings that have ended
    return report


def check(cfg) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    targets.check(cfg)
    suite.check_settings(cfg.seed, cfg.draws, cfg.permutations, cfg.threshold)
    check_metrics(cfg)
    controls.check(cfg)
    trained = experiment.task(cfg.decoder.name)
    if hasattr(trained, 'check'):
        trained.check(cfg.decoder, cfg.zoo)
    among = [name for name in cfg.metrics if name.startswith(AMONG)]
    if cfg.score_rows and among:
        raise errors.ConfigError(
            f'metrics has {among[0]} with score_rows=true',
            'metrics',
            'repeats of an image tie in identification: leave it out, or score_rows=false',
        )


def check_metrics(cfg, brain=None) -> None:
    """Raises for a metric or a target that cannot be; `brain` tells number, size and labels."""
    if brain is not None:
        targets.check_data(cfg, brain)
    if labels(cfg):
        names = brain and labelling.categories(labels(cfg), brain)[1]
        label_metrics.check(cfg.metrics, names and len(names))
        return
    if kind(cfg) == 'predictions':
        suite.check_values(cfg.metrics, experiment.answer(cfg))
        return
    named = cfg.zoo.protocol
    feature.check(cfg.metrics, named, cfg.zoo.path, retrieval=cfg.retrieval)
    size, n = experiment.picture_size(cfg) or None, None
    if brain is not None:
        size = size or tuple(brain.images.shape)
        n = len(controls.rows_to_score(cfg, brain.test))
    features = {*protocols.find(named).features, *protocols.COMPARING}
    suite.check(cfg.metrics, features, n=n, size=size, protocol=named)


def kind(cfg) -> str:
    """What a run leaves: 'reconstructions', or 'predictions' where no picture is decoded."""
    return 'reconstructions' if experiment.answer(cfg) == 'images' else 'predictions'


def labels(cfg):
    """The target that is scored, where that is labels; else None."""
    spec = cfg.targets[experiment.answer(cfg)] if kind(cfg) == 'predictions' else {}
    return spec if spec.get('net') == labelling.NET else None


def load_or_fit(this, name: str):
    """The parameters of a part: from the checkpoint of a stopped run, or fitted and saved.

    A checkpoint counts only for the same rows, targets, options and code.
    """
    wanted, path = this.fingerprint(name), this.folder / 'checkpoints' / name
    params = checkpoint.load(path, wanted)
    if params is None:
        params = this.fit(name)
        if jax.process_index() == 0:
            checkpoint.save(path, params, wanted)
    return params


def scorer(cfg, brain, label=None):
    """(answers, truth, split, image_id, parameters) -> {metric: entry}, with this run's settings.

    `label` ('seen images') is written into every entry where the audit gave one.
    """
    nets = {}
    if kind(cfg) == 'reconstructions':
        nets = feature.nets(
            cfg.metrics,
            cfg.zoo.protocol,
            cfg.zoo.path,
            retrieval=cfg.retrieval,
            dtype=jnp.dtype(cfg.zoo.dtype),
        )

    def score(answers, truth, split, image_id, fitted):
        settings_ = dict(
            seed=cfg.seed,
            draws=cfg.draws,
            permutations=cfg.permutations,
            clusters=image_id if cfg.score_rows else None,
        )
        if labels(cfg):
            params = fitted[experiment.answer(cfg)]
            given = (labels(cfg), brain, cfg.metrics, answers, truth, params)
            scored = labelling.score(*given, **settings_)
        elif kind(cfg) == 'predictions':
            name = experiment.answer(cfg)
            scored = suite.score_values(cfg.metrics, answers, truth, name, **settings_)
        else:
            settings_ |= dict(channels=brain.images.channels, threshold=cfg.threshold)
            settings_ |= dict(nets=nets, protocol=cfg.zoo.protocol)
            settings_ |= dict(retrieval=cfg.retrieval, candidates=cfg.candidates or None)
            scored = suite.score(cfg.metrics, answers, truth, **settings_)
        unit = 'row' if cfg.score_rows else 'image'
        marked = {'label': label} if label else {}
        return {k: results.entry(v, split, unit) | marked for k, v in scored.items()}

    return score


def arrays(this, fitted: dict, test, decoded: dict, truth) -> dict:
    """What reconstructions.npz or predictions.npz holds."""
    cfg = this.cfg
    rows = {'row_image_id': test.image_id} if cfg.score_rows else {}
    rows |= {'image_id': test.image_id, 'truth': truth.astype(np.float32)}
    if kind(cfg) == 'reconstructions':
        stages = {k: v for k, v in decoded.items() if k.startswith('stage_')}
        return {'images': decoded['images'].astype(np.float32)} | rows | stages
    predicted = {f'{name}_pred': decoded[name].astype(np.float32) for name in cfg.targets}
    held = {'pred': predicted[f'{this.answer}_pred']} | rows | predicted
    if not labels(cfg):
        return held
    return held | labelling.arrays(labels(cfg), this.brain, fitted[this.answer], held)


def describe(folder, this, fitted: dict, curves: list, decoded: dict, truth) -> dict:
    """Writes decoder.json, what the decoders say of themselves; gives maps.npz's arrays."""
    told, maps = {}, this.voxel_maps()
    for name, params in fitted.items():
        told[name] = this.describe(name, params)
        learnt = log.curve(this.folder / 'logs' / name, f'Training of {name}')
        if learnt:
            told[name].setdefault('curves', []).append(learnt)
        importance = told[name].pop('importance', None)
        if importance is not None:
            maps[f'importance_{name}'] = np.asarray(importance, np.float32)
    if labels(this.cfg):
        given = (decoded[this.answer], truth)
        table = labelling.each(labels(this.cfg), this.brain, fitted[this.answer], *given)
        told[this.answer].setdefault('tables', []).append(table)
    elif this.answer != 'images':
        table = ceiling.each_value(this.cfg.targets[this.answer].layer, decoded[this.answer], truth)
        told[this.answer].setdefault('tables', []).append(table)
    if curves:
        told['learning'] = {'curves': curves, 'tables': [], 'facts': {}}
    folder.json('decoder.json', told)
    return maps


def protocol(cfg, brain) -> dict:
    """What the scores are of, in plain values."""
    trials = np.unique(controls.rows_to_score(cfg, brain.test).trials)
    areas = controls.areas(cfg, brain.rois, brain.laid)
    spec = cfg.targets[experiment.answer(cfg)].size if kind(cfg) == 'predictions' else ()
    size = spec or experiment.picture_size(cfg) or brain.images.shape
    named = {'labels': labelling.facts(labels(cfg), brain)} if labels(cfg) else {}
    return named | {
        'data': brain.facts,
        'train_rows': len(brain.train),
        'train_images': len(np.unique(brain.train.image_id)),
        'test_rows': len(brain.test),
        'test_images': len(np.unique(brain.test.image_id)),
        'voxels': brain.count_voxels(),
        'trials_per_test_entry': [int(trials.min()), int(trials.max())],
        'preprocess': list(cfg.preprocess.order),
        'areas_left_out': sorted(set(cfg.areas) - set(areas)),
        'score_rows': cfg.score_rows,
        'size': [int(s) for s in size],
        'channels': brain.images.channels,
        'threshold': cfg.threshold,
        'metrics': cfg.zoo.protocol,
        'bootstrap_draws': cfg.draws,
        'permutations': cfg.permutations,
        'clip': [0, 1],
        'pixel_blend': None,
    }
