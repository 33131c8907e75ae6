"""One experiment, from the data set to the report, top to bottom. Read this file first."""

import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging

from recon import controls, draws, experiment, labelling, outputs, targets
from recon.core import errors, lookup, provenance, results, settings
from recon.data import prepare
from recon.data.preprocess import audit
from recon.generators import vote
from recon.metrics import feature, protocols, suite
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
    train_scored=0,  # on so many training images, at even steps; 0: on all
    threshold=0.5,  # binary metrics
    draws=10_000,  # bootstrap
    permutations=1_000,
    audit=dict(audit.DEFAULTS),
    surface='',  # folder of the full fsaverage (surf/lh.inflated ...) to draw maps on
    devices=1,  # that share one copy of a trained net's long parameters; all share the batch
    samples=1,  # draws of the generators from what is decoded of a picture; the first is scored
    members=dict(),  # {name: options} of a bag, see recon/bag.py
    vote=dict(vote.DEFAULTS),  # which member of a bag each picture is taken from
    subjects=(),  # run all of it on each of these, see recon/cohort.py
    seeds=(),  # run all of it with each of these
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
        progress.step('decode_and_score')
        drawn = draws.samples(this, fitted, decoded, progress.step)
        left = outputs.arrays(this, fitted, test, decoded, truth) | drawn
        folder.npz(f'{outputs.kind(cfg)}.npz', left)

        controlled, further = controls.run(
            this, fitted, test, decoded[this.answer], score, progress.step, drawn
        )
        for name, answers in further.items():
            folder.npz(f'{name}.npz', outputs.arrays(this, fitted, *answers))
        maps = outputs.describe(folder, this, fitted, controlled.pop('curves'), decoded, truth)
        folder.npz('maps.npz', maps | surface)
        progress.step('describe')

        folder.json('scores.json', outputs.scores(cfg, test, facts, scores, controlled))
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
    for name in cfg.generator.chain:
        module = lookup.find('recon.generators', name, 'generator.chain')
        if not hasattr(module, 'generate'):
            raise errors.ConfigError(
                f'generator.chain has {name}', 'config', 'it makes no picture: see cfg.vote'
            )
        if hasattr(module, 'check'):
            module.check(cfg.generator[name])
        check_task(name, cfg.generator[name], cfg.zoo)
    draws.check(cfg)
    controls.check(cfg)
    check_task(cfg.decoder.name, cfg.decoder, cfg.zoo)
    among = [name for name in cfg.metrics if name.startswith(AMONG)]
    if cfg.score_rows and among:
        raise errors.ConfigError(
            f'metrics has {among[0]} with score_rows=true',
            'metrics',
            'repeats of an image tie in identification: leave it out, or score_rows=false',
        )


def check_task(name: str, options, zoo) -> None:
    """Asks the task of a trained system, where it has a `check`, whether the options can be."""
    trained = experiment.task(name)
    if hasattr(trained, 'check'):
        trained.check(options, zoo)


def check_metrics(cfg, brain=None) -> None:
    """Raises for a metric or a target that cannot be; `brain` tells number, size and labels."""
    if brain is not None:
        targets.check_data(cfg, brain)
    if outputs.labels(cfg):
        names = brain and labelling.categories(outputs.labels(cfg), brain)[1]
        label_metrics.check(cfg.metrics, names and len(names))
        return
    if outputs.kind(cfg) == 'predictions':
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
    if outputs.kind(cfg) == 'reconstructions':
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
        if outputs.labels(cfg):
            params = fitted[experiment.answer(cfg)]
            given = (outputs.labels(cfg), brain, cfg.metrics, answers, truth, params)
            scored = labelling.score(*given, **settings_)
        elif outputs.kind(cfg) == 'predictions':
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


def protocol(cfg, brain) -> dict:
    """What the scores are of, in plain values."""
    trials = np.unique(controls.rows_to_score(cfg, brain.test).trials)
    areas = controls.areas(cfg, brain.rois, brain.laid)
    spec = cfg.targets[experiment.answer(cfg)].size if outputs.kind(cfg) == 'predictions' else ()
    size = spec or experiment.picture_size(cfg) or brain.images.shape
    named = {'labels': labelling.facts(outputs.labels(cfg), brain)} if outputs.labels(cfg) else {}
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
        'prior': draws.priors(cfg),
        'samples': cfg.samples,
        'clip': [0, 1],
        'pixel_blend': None,
    }
