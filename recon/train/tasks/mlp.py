"""Trains the residual MLP of `decoders/mlp.py` on the latents of pictures.

Loss: mean absolute (or squared) difference to the latents, and, where `contrastive` is above 0,
that weight times SoftCLIP of the batch's latents among themselves (Scotti et al. 2023, section
3.3, which takes features of a net that looks at the picture in their place).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors, sharding, solvers
from recon.core import rng as rngs
from recon.decoders import mlp
from recon.train import job as jobs
from recon.train import loop, losses, optim, step
from recon.train import state as states

# The two longest kernels over the devices that share a model; what is narrow lies whole on each.
RULES = (('input.kernel', (None, 'model')), ('output.kernel', (None, 'model')))
LOSSES = {'l1': jnp.abs, 'mse': jnp.square}
# Options that change nothing that is learnt.
_ELSEWHERE = ('name', 'log_every', 'save_epochs', 'predict_batch', 'resident')


def fit(cfg, job: jobs.Job, rng: Array) -> dict:
    """Trains from where `job.folder` stands.

    Args:
      cfg: see `mlp.DEFAULTS`.
      job: voxels [n v] and target [n ...]; rows put aside by `cfg.validation` where it has none.
      rng: jax key of the parameters, of dropout and of noise.

    Returns:
      net (nested dict of numpy arrays), shape of one target; train_loss, nothing dropped; with rows
      to validate on, validation_loss and mean_loss: that of the mean training target there.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: see `solvers.check_rows`.
      Stopped: `job.stop()` was true; the same call goes on from there.
    """
    settings = {key: cfg.get(key, value) for key, value in mlp.DEFAULTS.items()}
    _check(settings, job.target.shape[1:])
    solvers.check_rows(job.voxels, job.target, 'mlp.fit')
    job = _member(job.with_validation(settings['validation']), settings['seed'])
    rng = jax.random.fold_in(rng, settings['seed']) if settings['seed'] else rng
    patience = settings['patience'] if settings['patience'] >= 0 else None
    if patience is not None and job.validation is None:
        raise errors.ConfigError(
            f'decoder.patience is {patience}', 'config', 'it needs validation above 0'
        )
    net = mlp.build(settings, job.target.shape[1:])
    lengths = {'batch': settings['batch'], 'examples': len(job)}
    steps = job.steps(settings)
    optimizer = optim.make(settings, steps)
    ema = settings['ema']
    state = states.create(
        functools.partial(begin, net, job.voxels.shape[1]),
        optimizer,
        jax.random.fold_in(rng, 0),
        ema=ema > 0,
        place=job.place(RULES),
    )
    objective = functools.partial(loss, net, settings)
    state = loop.fit(
        step.single(
            objective,
            optimizer,
            ema=ema,
            accumulate=settings['accumulate'],
            like=job.mesh and state,
        ),
        state,
        functools.partial(batch_at, resident(job, settings['resident']), settings['batch']),
        steps=steps,
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=optim.length(settings, 'save', **lengths) or steps,
        log_every=settings['log_every'],
        stop=job.stop,
        validate=job.validation and functools.partial(_validated, settings, job),
        patience=patience,
        settings=_claimed(settings, job),
        place=sharding.place_batch(job.mesh),
    )
    params = _params(state, job)
    fitted = mlp.predict(settings, params, job.voxels)
    params['train_loss'] = np.array(_distance(settings, fitted, job.target), np.float32)
    if job.validation:
        mean = np.mean(job.target, axis=0, dtype=np.float64).astype(np.float32)
        params |= {
            'validation_loss': np.array(_validated(settings, job, state)['loss'], np.float32),
            'mean_loss': np.array(_distance(settings, mean, job.validation[1]), np.float32),
        }
    return jax.tree.map(np.asarray, params)


def _member(job: jobs.Job, seed: int) -> jobs.Job:
    """The same rows in batches of another order; 0 is the run's own."""
    if not seed:
        return job
    drawn = rngs.generator(job.seed, 'member', str(seed)).integers(2**31)
    return dataclasses.replace(job, seed=int(drawn))


def begin(net: mlp.Net, voxels: int, rng: Array) -> dict:
    """Parameters for rows of so many voxels."""
    return net.init(rng, jnp.zeros((1, voxels)))['params']


def batch_at(job: jobs.Job, batch: int, i: int) -> dict:
    """The rows of step i: {'voxels': [batch v], 'target': [batch ...]}."""
    chosen = job.rows(i, batch)
    return {
        name: rows[chosen] if isinstance(rows, jax.Array) else np.asarray(rows[chosen], np.float32)
        for name, rows in (('voxels', job.voxels), ('target', job.target))
    }


def resident(job: jobs.Job, most: float) -> jobs.Job:
    """The same job with its rows on the one accelerator, where they are `most` GB or less.

    A batch is then picked out there, and nothing goes over the bus. Several devices, or one that
    shares the host's memory, are given batches as they come.
    """
    size = 4 * (np.size(job.voxels) + np.size(job.target)) / 1e9
    if job.mesh is not None or jax.default_backend() == 'cpu' or size > most:
        return job
    held = {name: jnp.asarray(getattr(job, name), jnp.float32) for name in ('voxels', 'target')}
    return dataclasses.replace(job, **held)


def loss(net: mlp.Net, settings: dict, params: dict, batch: dict, rng: Array | None):
    """What is minimised, and its parts.

    Args:
      net: the net.
      settings: loss, contrastive, temperature, noise, shift of `mlp.DEFAULTS`.
      params: of the net.
      batch: voxels [n v] and target [n ...].
      rng: of dropout, noise and shifts; without it there is none of them.
    """
    voxels, target, drawn = batch['voxels'], batch['target'], {}
    if rng is not None:
        drawn = {'rngs': {'dropout': jax.random.fold_in(rng, 0)}}
        if settings['noise']:
            noise = jax.random.normal(jax.random.fold_in(rng, 1), voxels.shape)
            voxels = voxels + settings['noise'] * noise
        if settings['shift']:
            target = shifted(target, settings['shift'], jax.random.fold_in(rng, 2))
    predicted = net.apply({'params': params}, voxels, rng is not None, **drawn)
    distance = LOSSES[settings['loss']](predicted - target).mean()
    if not settings['contrastive']:
        return distance, {}
    rows = [x.reshape(len(x), -1) for x in (predicted, target)]
    contrast = losses.soft_clip(*rows, settings['temperature'])
    total = distance + settings['contrastive'] * contrast
    return total, {settings['loss']: distance, 'contrastive': contrast}


def shifted(maps: Float[Array, 'n h w d'], most: int, rng: Array) -> Float[Array, 'n h w d']:
    """Each map moved by up to `most` rows and columns, its edge repeated.

    Latents of a convolutional autoencoder move with the picture: 8 pixels a row for Stable
    Diffusion's.
    """
    n, h, w, d = maps.shape
    wide = jnp.pad(maps, ((0, 0), (most, most), (most, most), (0, 0)), mode='edge')
    starts = jax.random.randint(rng, (n, 2), 0, 2 * most + 1)
    return jax.vmap(lambda x, s: jax.lax.dynamic_slice(x, (*s, 0), (h, w, d)))(wide, starts)


def _params(state: states.State, job: jobs.Job) -> dict:
    shape = np.array(job.target.shape[1:], np.int64)
    return {'net': sharding.whole(state.averaged), 'shape': shape}


def _validated(settings: dict, job: jobs.Job, state: states.State) -> dict:
    """{'loss': distance of the rows put aside}, nothing dropped."""
    voxels, target = job.validation
    return {'loss': _distance(settings, mlp.predict(settings, _params(state, job), voxels), target)}


def _distance(settings: dict, predicted: np.ndarray, target: np.ndarray) -> float:
    each = np.abs(predicted - target)
    return float(np.mean(each if settings['loss'] == 'l1' else each**2, dtype=np.float64))


def _claimed(settings: dict, job: jobs.Job) -> dict:
    """What a folder that holds this training must have been trained with."""
    kept = {key: value for key, value in settings.items() if key not in _ELSEWHERE}
    shapes = {'voxels': job.voxels.shape, 'target': job.target.shape}
    return kept | shapes | {'seed': job.seed}


def check(cfg, zoo) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    settings = {key: cfg.get(key, value) for key, value in mlp.DEFAULTS.items()}
    _check(settings, (1, 1, 1))
    optim.check(settings)


def _check(settings: dict, shape: tuple) -> None:
    def refuse(key, remedy):
        raise errors.ConfigError(f'decoder.{key} is {settings[key]!r}', 'config', remedy)

    if settings['loss'] not in LOSSES:
        refuse('loss', ' or '.join(map(repr, LOSSES)))
    if settings['batch'] < 1:
        refuse('batch', 'at least 1')
    if settings['accumulate'] < 1 or settings['batch'] % settings['accumulate']:
        refuse('accumulate', f'a divisor of batch={settings["batch"]}')
    if not 0 <= settings['ema'] < 1:
        refuse('ema', '0 to 1, without 1')
    if settings['shift'] and len(shape) != 3:
        refuse('shift', f'0 with targets of shape {shape}: they have no rows and columns')
    for key, least in (
        ('contrastive', 0),
        ('noise', 0),
        ('temperature', 1e-6),
        ('shift', 0),
        ('seed', 0),
    ):
        if not settings[key] >= least:
            refuse(key, f'at least {least}')
