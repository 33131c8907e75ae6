"""What the baselines that learn pictures straight from voxels share: `fit` of cnn1d and cnn2d."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from recon.core import batch_norm, errors, sharding
from recon.data import loader
from recon.train import job as jobs
from recon.train import loop, optim, step
from recon.train import state as states

LOSSES = ('mse', 'l1', 'bce')
_ELSEWHERE = ('name', 'log_every', 'save_epochs', 'predict_batch', 'patience')


def fit(decoder, cfg, job: jobs.Job, rng) -> dict:
    """Trains, from where `job.folder` stands, and measures the norms.

    Args:
      decoder: the module: DEFAULTS, build, rows, predict.
      cfg: see its DEFAULTS.
      job: voxels as `decoder.rows` takes them; target [n h w c] in [0, 1].
      rng: jax key of parameters and dropout.

    Returns:
      net, statistics ({norm: {'mean', 'var'}} of training batches, each layer behind norms by the
      batch), shape, input; with rows to validate on, validation_loss and mean_loss: that of the
      mean training picture there.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: pictures or voxels that do not.
      Stopped: `job.stop()` was true; the same call goes on from there.
    """
    settings = {key: cfg.get(key, value) for key, value in decoder.DEFAULTS.items()}
    _check_job(settings, job)
    job = job.with_validation(settings['validation'])
    net, x = decoder.build(settings, job.target.shape[1:]), decoder.rows(settings, job.voxels)
    lengths = {'batch': settings['batch'], 'examples': len(job)}
    steps = job.steps(settings)
    optimizer = optim.make(settings, steps)

    def batch_at(i):
        chosen = loader.rows(job.seed, i, len(job), settings['batch'])
        return {'voxels': x[chosen], 'target': np.asarray(job.target[chosen], np.float32)}

    def finish(state):
        count = min(settings['norm_batches'], -(-len(job) // settings['batch']))
        moments = [_moments(net, state.params, batch_at(i)['voxels']) for i in range(count)]
        shapes = {'shape': job.target.shape[1:], 'input': x.shape[1:]}
        shapes = {key: np.array(value, np.int64) for key, value in shapes.items()}
        statistics = batch_norm.pooled(jax.device_get(moments))
        return {'net': jax.device_get(state.params), 'statistics': statistics} | shapes

    def validate(state):
        made = decoder.predict(settings, finish(state), job.validation[0])
        return {'loss': distance(settings['loss'], made, job.validation[1])}

    begin = lambda rng: net.init(rng, jnp.zeros((1, *x.shape[1:])))['params']  # noqa: E731
    state = states.create(begin, optimizer, jax.random.fold_in(rng, 0), place=job.place(()))
    state = loop.fit(
        step.single(
            functools.partial(loss, net, settings['loss']), optimizer, like=job.mesh and state
        ),
        state,
        batch_at,
        steps=steps,
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=optim.length(settings, 'save', **lengths) or steps,
        log_every=settings['log_every'],
        stop=job.stop,
        validate=validate if job.validation else None,
        patience=settings['patience'] if settings['patience'] >= 0 else None,
        settings=_claimed(settings, job, x),
        place=sharding.place_same(job.mesh),
    )
    params = finish(state)
    if job.validation:
        mean = np.mean(job.target, axis=0, dtype=np.float64).astype(np.float32)
        found = {
            'validation_loss': validate(state)['loss'],
            'mean_loss': distance(settings['loss'], mean, job.validation[1]),
        }
        params |= {key: np.array(value, np.float32) for key, value in found.items()}
    return params


def check(decoder, cfg) -> None:
    """Raises ConfigError for what can be known before any data are read; arguments as of `fit`."""
    settings = {key: cfg.get(key, value) for key, value in decoder.DEFAULTS.items()}
    _check(settings)
    decoder.build(settings, (16, 16, 3))
    optim.check(settings)


def loss(net, kind: str, params: dict, batch: dict, rng):
    """What is minimised, of the logits of pixels: mean over everything."""
    logits = net.apply({'params': params}, batch['voxels'], True, rngs={'dropout': rng})
    if kind == 'bce':
        return optax.sigmoid_binary_cross_entropy(logits, batch['target']).mean(), {}
    apart = jax.nn.sigmoid(logits) - batch['target']
    return (jnp.abs(apart) if kind == 'l1' else jnp.square(apart)).mean(), {}


def distance(kind: str, made: np.ndarray, wanted: np.ndarray) -> float:
    """The same loss of pictures in [0, 1]."""
    if kind == 'bce':
        made = np.clip(np.float64(made), 1e-7, 1 - 1e-7)
        each = -(wanted * np.log(made) + (1 - wanted) * np.log1p(-made))
    else:
        each = np.abs(made - wanted) if kind == 'l1' else np.square(made - wanted)
    return float(each.mean(dtype=np.float64))


@functools.partial(jax.jit, static_argnums=0)
def _moments(net, params, voxels):
    held = {'params': params}
    return net.apply(held, voxels, mutable=[batch_norm.COLLECTION])[1][batch_norm.COLLECTION]


def _claimed(settings: dict, job: jobs.Job, x: np.ndarray) -> dict:
    """What a folder that holds this training must have been trained with."""
    kept = {key: value for key, value in settings.items() if key not in _ELSEWHERE}
    shapes = {'voxels': list(x.shape), 'target': list(job.target.shape)}
    return kept | shapes | {'seed': job.seed}


def _refuse(settings: dict, key: str, remedy: str):
    raise errors.ConfigError(f'decoder.{key} is {settings[key]!r}', 'config', remedy)


def _check(settings: dict) -> None:
    if settings['loss'] not in LOSSES:
        _refuse(settings, 'loss', f'one of {", ".join(map(repr, LOSSES))}')
    for key, least in (('batch', 2), ('norm_batches', 1), ('log_every', 1), ('predict_batch', 1)):
        if settings[key] < least:
            _refuse(settings, key, f'at least {least}')
    if not 0 <= settings['validation'] < 1:
        _refuse(settings, 'validation', '0 to 1, without 1')


def _check_job(settings: dict, job: jobs.Job) -> None:
    _check(settings)
    if settings['patience'] >= 0 and job.validation is None and not settings['validation']:
        _refuse(settings, 'patience', 'it needs rows to validate on: validation above 0')
    target = job.target
    if target.ndim != 4 or not (target.min() >= 0 and target.max() <= 1):
        raise errors.DataInvalid(
            f'pictures have shape {target.shape} and lie in {target.min():.3g} to '
            f'{target.max():.3g}',
            'decoder',
            'wanted [rows, height, width, channels] in [0, 1]: the target named pixels',
        )
