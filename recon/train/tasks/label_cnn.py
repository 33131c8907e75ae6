"""Fits `decoders/label_cnn`: focal loss, the seed's fall of the rate, norms measured at the end."""

import functools
import math

import jax
import numpy as np

from recon.core import errors, sharding, thresholds
from recon.decoders import label_cnn
from recon.train import job as jobs
from recon.train import loop, losses, optim, step
from recon.train import state as states

# The one kernel that is long; what is narrow lies whole on each device.
RULES = (('dense0.kernel', (None, 'model')),)


def fit(cfg, job: jobs.Job, rng) -> dict:
    """Trains, from where `job.folder` stands, and measures norms and thresholds.

    Args:
      cfg: see label_cnn.DEFAULTS.
      job: voxels [n v] or [n v c]; target [n labels] of 0 and 1.
      rng: jax key, of the parameters.

    Returns:
      {'net', 'statistics', 'shape', 'input', 'threshold', 'positives', 'rows'}, see
      `label_cnn.predict`. The thresholds are chosen on the validation rows, without any on the
      training rows (where they come out too high).

    Raises:
      ConfigError: an option that does not fit, or a loss that is not finite.
      DataInvalid: labels that are not 0 and 1, or voxels that do not fit.
      Stopped: see loop.fit.
    """
    options = {key: cfg.get(key, value) for key, value in label_cnn.DEFAULTS.items()}
    _check_labels(job.target)
    _check(options)
    job = job.with_validation(options['validation'])
    net = label_cnn.build(options, job.target.shape[1:])
    rows = label_cnn.channels(job.voxels, net)
    batch, parts = options['batch'], options['parts']
    steps = optim.length(options, batch=batch, examples=len(job))
    optimizer = optim.make(_settings(options, len(job), steps), steps)
    measure = functools.partial(label_cnn.measure, net, parts=parts)

    def batch_at(i):
        chosen = job.rows(i, batch)
        return {'voxels': rows[chosen], 'target': np.float32(job.target[chosen])}

    def validate(state):
        few = rows[: options['norm_rows']]
        params = sharding.whole(state.params)
        return _scores(net, params, measure(params, few), job.validation, options)

    begin = lambda key: net.init(key, rows[:1])['params']  # noqa: E731
    state = states.create(begin, optimizer, jax.random.fold_in(rng, 0), place=job.place(RULES))
    state = loop.fit(
        step.single(functools.partial(loss, net, options), optimizer, like=job.mesh and state),
        state,
        batch_at,
        steps=steps,
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=options['save_every'] or max(1, math.ceil(len(job) / batch)),
        log_every=options['log_every'],
        stop=job.stop,
        validate=validate if job.validation else None,
        patience=options['patience'],
        settings=_plain(options) | {'seed': job.seed},
        place=sharding.place_batch(job.mesh),
    )
    params = sharding.whole(state.params)
    statistics = measure(params, rows)
    aside = job.validation or (job.voxels, job.target)
    given = label_cnn.logits(net, params, statistics, label_cnn.channels(aside[0], net), parts)
    given = np.asarray(jax.nn.sigmoid(given))
    return {
        'net': params,
        'statistics': statistics,
        'shape': np.array(job.target.shape[1:], np.int64),
        'input': np.array(rows.shape[1:], np.int64),
        'threshold': thresholds.choose(given, aside[1]),
        'positives': (job.target > 0).sum(0).astype(np.int64),
        'rows': np.array(len(job), np.int64),
    }


def check(cfg, zoo) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    options = {key: cfg.get(key, value) for key, value in label_cnn.DEFAULTS.items()}
    _check(options)
    label_cnn.build(options, (1,))
    optim.check(options)


def loss(net, options: dict, params: dict, batch: dict, rng):
    """Focal loss of one batch, norms by the batch."""
    logits = net.apply({'params': params}, batch['voxels'], rngs={'dropout': rng})
    return _focal(options, logits, batch['target']), {}


def _focal(options, logits, target):
    return losses.focal(logits, target, options['gamma'], options['alpha'] or None)


def _scores(net, params, statistics, validation, options) -> dict:
    """The loss of the validation rows, and its plain cross-entropy."""
    rows = label_cnn.channels(validation[0], net)
    logits = label_cnn.logits(net, params, statistics, rows, options['parts'])
    return {
        'loss': float(_focal(options, logits, validation[1])),
        'cross_entropy': float(losses.focal(logits, validation[1], 0.0)),
    }


def _settings(options: dict, rows: int, steps: int) -> dict:
    """Settings of optim: the rate falls at the end of epoch `drop_after` and of each after it."""
    epochs = steps * options['batch'] / rows
    after = range(int(options['drop_after']), math.ceil(epochs))
    return _plain(options) | {'drops': tuple(epoch / epochs for epoch in after)}


def _plain(options: dict) -> dict:
    """JSON-able: tuples as lists."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def _check_labels(target) -> None:
    if target.ndim != 2 or not np.isin(target, (0, 1)).all():
        raise errors.DataInvalid(
            f'labels have shape {target.shape} and lie in {target.min()} to {target.max()}',
            'label_cnn',
            'wanted [rows, categories] of 0 and 1: threshold the coverage first',
        )


def _check(options: dict) -> None:
    for key, low, high in (('gamma', 0, math.inf), ('alpha', 0, 1), ('drop_after', 0, math.inf)):
        if not low <= options[key] <= high or (key == 'alpha' and options[key] == 1):
            raise errors.ConfigError(
                f'{key} is {options[key]!r}', 'decoder', f'{low} to {high} (alpha: below 1)'
            )
    for key in ('batch', 'parts', 'norm_rows', 'log_every'):
        if int(options[key]) < 1:
            raise errors.ConfigError(f'{key} is {options[key]!r}', 'decoder', '1 or more')
    if options['patience'] is not None and not options['validation']:
        raise errors.ConfigError(
            'patience without validation', 'decoder', 'give validation a share, or patience None'
        )
