"""Trains `generators/pix2pix.py`: the discriminator first, then the generator against the new one.

Losses: -log D of what is made, plus `l1` times mean |difference|, or what `losses` names (Isola et
al. 2017, equations 1 to 4; the discriminator's is not halved, which changes nothing but Adam's
epsilon). Without 'adversarial' there is no discriminator.
"""

import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import batch_norm, errors, image, results, sharding
from recon.core import rng as rngs
from recon.data import loader
from recon.data.preprocess import jitter
from recon.generators import pix2pix
from recon.train import adversarial, loop, losses, optim, step
from recon.train import job as jobs
from recon.train import state as states

_ELSEWHERE = ('name', 'log_every', 'save_epochs', 'patience')  # change nothing that is learnt


def fit(cfg, job: jobs.Job, rng) -> dict:
    """Trains, from where `job.folder` stands.

    Args:
      cfg: see `pix2pix.DEFAULTS`.
      job: voxels: pictures [n h w c] in [0, 1], or labels [n k] where `cfg.condition` is 'labels',
        or a `pix2pix.Condition` of both; target [n h w 1 or 3] in [0, 1].
      rng: jax key of parameters, dropout and noise.

    Returns:
      net (the generator's nested dict of numpy arrays), shape of a picture, condition (channels,
      labels); with `statistics='training'` also statistics, {norm: {'mean', 'var'}}; where a
      discriminator was trained also accuracy [k 3]: step, share of true pictures that it took for
      true, and of made ones for made, as they were logged.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: pictures that do not.
      Stopped: `job.stop()` was true; the same call goes on from there.
    """
    settings = {key: cfg.get(key, value) for key, value in pix2pix.DEFAULTS.items()}
    terms = _checked(settings, job)
    job = job.with_validation(settings['validation'])
    given = pix2pix.as_condition(settings, job.voxels)
    nets = pix2pix.build(settings, job.target.shape[1:])
    lengths = {'batch': settings['batch'], 'examples': len(job)}
    steps = job.steps(settings, 'generator.pix2pix')
    batches = functools.partial(batch_at, settings, job, given)
    key = jax.random.fold_in(rng, 0)
    update, state = _trained(settings, terms, nets, batches(0), steps, key, job.mesh)
    patience = settings['patience']
    finish = functools.partial(_finished, settings, terms, nets, job, given)
    draws = jax.random.fold_in(rng, 2)
    state = loop.fit(
        update,
        state,
        batches,
        steps=steps,
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=optim.length(settings, 'save', **lengths) or steps,
        log_every=settings['log_every'],
        stop=job.stop,
        validate=job.validation
        and (lambda state: _validated(settings, finish(state, draws), job.validation, draws)),
        patience=None if patience < 0 else patience,
        settings=_claimed(settings, job, given),
        place=sharding.place_same(job.mesh),
    )
    return finish(state, draws) | _accuracy(job.folder)


def check(cfg, zoo) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    settings = {key: cfg.get(key, value) for key, value in pix2pix.DEFAULTS.items()}
    _terms(settings)
    if settings['condition'] not in pix2pix.CONDITIONS:
        _refuse(settings, 'condition', f'one of {", ".join(pix2pix.CONDITIONS)}')
    pix2pix.build(settings, (settings['size'], settings['size'], 3))
    optim.check(settings, 'generator.pix2pix')


def reads(cfg) -> tuple[str, ...]:
    """Names of the decoded arrays that are wanted besides voxels."""
    if cfg.get('condition', pix2pix.DEFAULTS['condition']) not in ('labels', 'both'):
        return ()
    return (cfg.get('labels', pix2pix.DEFAULTS['labels']),)


def given(cfg, decoded: dict) -> pix2pix.Condition:
    """A job's rows of 'voxels' and of what `reads` names."""
    return pix2pix.condition(cfg, decoded)


def batch_at(settings: dict, job: jobs.Job, given: pix2pix.Condition, i: int) -> dict:
    """The rows of step i: 'target' [n s s c], 'pictures' and 'labels' as `arrays_of` gives them.

    All are in [0, 1] and pictures are jittered alike.
    """
    chosen = loader.rows(job.seed, i, len(job), settings['batch'])
    size = settings['size']
    batch = pix2pix.arrays_of(given[chosen], size)
    batch['target'] = image.resize(np.asarray(job.target[chosen], np.float32), (size, size))
    random = rngs.generator(job.seed, 'jitter', str(i))
    places = jitter.draw(random, len(chosen), size, settings['jitter'], settings['mirror'])
    return {k: v if k == 'labels' else jitter.cut(v, *places) for k, v in batch.items()}


def objectives(settings: dict, terms: tuple[str, ...], nets) -> dict:
    """The losses as `adversarial.step` takes them, and 'make'.

    Returns:
      {'make': (generator's params, batch, rng) -> {'x': input, 'y': pictures in [-1, 1]},
      'discriminator': (params, made, batch, rng), 'generator': (made, params, batch, rng)}, both ->
      (loss, {name: scalar}). 'accuracy' is the share of pictures, true and made, whose mean patch
      lies on the right side of 0.5.
    """
    generator, discriminator = nets
    kind, size = settings['adversarial'], settings['size']

    def make(params, batch, rng):
        n = len(batch['target'])
        shape = (n, size, size, settings['noise'])
        noise = jax.random.normal(jax.random.fold_in(rng, 0), shape)
        x = pix2pix.planes(size, batch, noise)
        drawn = {'dropout': jax.random.fold_in(rng, 1)}
        return {'x': x, 'y': generator.apply({'params': params}, x, True, rngs=drawn)}

    def judge(params, x, y):
        seen = x[..., : x.shape[-1] - settings['noise']]  # of the noise it is not told
        return discriminator.apply({'params': params}, jnp.concatenate([seen, y], -1))

    def of_discriminator(params, made, batch, rng):
        real = judge(params, made['x'], 2 * batch['target'] - 1)
        fake = judge(params, made['x'], made['y'])
        true, false = (jax.nn.sigmoid(x).mean((1, 2)) for x in (real, fake))
        right = {'accuracy_true': (true > 0.5).mean(), 'accuracy_made': (false <= 0.5).mean()}
        scalars = right | {'accuracy': (right['accuracy_true'] + right['accuracy_made']) / 2}
        return losses.discriminator(real, fake, kind), scalars

    def of_generator(made, params, batch, rng):
        apart = made['y'] - (2 * batch['target'] - 1)
        named = {'l1': jnp.abs(apart).mean(), 'l2': jnp.square(apart).mean()}
        total = sum((settings[name] * named[name] for name in terms if name in named), 0.0)
        if 'adversarial' in terms:
            named['adversarial'] = losses.generator(judge(params, made['x'], made['y']), kind)
            total = total + named['adversarial']
        return total, named

    return {'make': make, 'discriminator': of_discriminator, 'generator': of_generator}


def _trained(settings: dict, terms, nets, batch: dict, steps: int, rng, mesh=None):
    """(step, state) of both nets, or of the generator alone where nothing is adversarial."""
    parts, ema = objectives(settings, terms, nets), settings['ema']
    shape = jax.eval_shape(lambda b: _input(settings, b), batch)
    size, channels = shape.shape[1], shape.shape[-1]
    seen = channels - settings['noise'] + batch['target'].shape[-1]

    def init(net, channels):
        example = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
        return functools.partial(pix2pix.nets.begin, net, example)

    inits = dict(
        zip(adversarial.PARTS, (init(nets[0], channels), init(nets[1], seen)), strict=True)
    )
    if 'adversarial' in terms:
        optimizers = {part: optim.make(settings, steps) for part in adversarial.PARTS}
        functions = parts['make'], parts['discriminator'], parts['generator']
        state = adversarial.create(
            inits, optimizers, rng, ema=ema > 0, place=sharding.by_rules(mesh, ())
        )
        return adversarial.step(*functions, optimizers, ema=ema, like=mesh and state), state

    def loss(params, batch, rng):
        return parts['generator'](parts['make'](params, batch, rng), None, batch, rng)

    optimizer = optim.make(settings, steps)
    state = states.create(
        inits['generator'], optimizer, rng, ema=ema > 0, place=sharding.by_rules(mesh, ())
    )
    return step.single(loss, optimizer, ema=ema, like=mesh and state), state


def _input(settings: dict, batch: dict):
    size = settings['size']
    noise = jnp.zeros((len(batch['target']), size, size, settings['noise']))
    return pix2pix.planes(size, batch, noise)


def _finished(settings: dict, terms, nets, job: jobs.Job, given, state: states.State, rng) -> dict:
    """What `pix2pix.generate` takes, as numpy arrays."""
    params = state.averaged['generator'] if 'adversarial' in terms else state.averaged
    out = {
        'net': params,
        'shape': np.array(job.target.shape[1:], np.int64),
        'condition': np.array(given.shape[1:], np.int64),
    }
    if settings['statistics'] == 'training':
        count = min(settings['norm_batches'], -(-len(job) // settings['batch']))
        batches = [batch_at(settings, job, given, i) for i in range(count)]
        moments = [
            jax.device_get(
                _moments(nets[0], settings['noise'], params, b, jax.random.fold_in(rng, i))
            )
            for i, b in enumerate(batches)
        ]
        out['statistics'] = batch_norm.pooled(moments)
    return jax.device_get(out)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _moments(net, channels, params, batch, rng):
    size = 2**net.levels
    noise = jax.random.normal(
        jax.random.fold_in(rng, 0), (len(batch['target']), size, size, channels)
    )
    x = pix2pix.planes(size, batch, noise)
    drawn = {'dropout': jax.random.fold_in(rng, 1)}
    held = {'params': params}
    return net.apply(held, x, True, rngs=drawn, mutable=[batch_norm.COLLECTION])[1]['batch_stats']


def _accuracy(folder) -> dict:
    """{'accuracy': [k 3]} of the log of a training; {} where no discriminator was trained."""
    held = {}
    for line in results.read_log(pathlib.Path(folder) / 'metrics.jsonl'):
        held.setdefault(line['step'], {})[line['name']] = line['value']
    names = 'accuracy_true', 'accuracy_made'
    rows = [[step, *map(row.get, names)] for step, row in sorted(held.items()) if names[0] in row]
    return {'accuracy': np.array(rows, np.float32)} if rows else {}


def _validated(settings: dict, params: dict, aside, rng) -> dict:
    """{'loss': mean |difference| of pictures in [0, 1]} of the rows put aside."""
    made = pix2pix.pictures(settings, params, pix2pix.as_condition(settings, aside[0]), rng)
    return {'loss': float(np.abs(made - aside[1]).mean(dtype=np.float64))}


def _claimed(settings: dict, job: jobs.Job, given) -> dict:
    """What a folder that holds this training must have been trained with."""
    kept = {key: value for key, value in settings.items() if key not in _ELSEWHERE}
    shapes = {'condition': list(given.shape), 'target': list(job.target.shape)}
    return kept | shapes | {'seed': job.seed}


def _checked(settings: dict, job: jobs.Job) -> tuple[str, ...]:
    """The terms of the loss.

    Raises:
      ConfigError, DataInvalid: see `fit`.
    """
    terms = _terms(settings)
    watched = job.validation is not None or settings['validation']
    if settings['patience'] >= 0 and not watched:
        _refuse(settings, 'patience', 'it needs rows to validate on: validation above 0')
    target = job.target
    if target.ndim != 4 or target.min() < 0 or target.max() > 1:
        raise errors.DataInvalid(
            f'pictures have shape {target.shape} and lie in {target.min():.3g} to '
            f'{target.max():.3g}',
            'pix2pix.fit',
            'wanted [rows, height, width, channels] in [0, 1]',
        )
    return terms


def _refuse(settings: dict, key: str, remedy: str):
    raise errors.ConfigError(f'generator.pix2pix.{key} is {settings[key]!r}', 'config', remedy)


def _terms(settings: dict) -> tuple[str, ...]:
    """The terms of the loss; refuses options that no data can make fit."""
    refuse = functools.partial(_refuse, settings)
    terms = tuple(name.strip() for name in settings['losses'].split('+'))
    if not set(terms) <= set(pix2pix.LOSSES) or len(set(terms)) < len(terms):
        refuse('losses', f"a sum of {', '.join(pix2pix.LOSSES)}, for example 'adversarial+l1'")
    if settings['adversarial'] not in losses.ADVERSARIAL:
        refuse('adversarial', f'one of {", ".join(losses.ADVERSARIAL)}')
    least = dict(batch=1, jitter=1, noise=0, l1=0, l2=0, norm_batches=1, log_every=1)
    for key, value in least.items():
        if not settings[key] >= value:
            refuse(key, f'at least {value}')
    for key in ('ema', 'validation'):
        if not 0 <= settings[key] < 1:
            refuse(key, '0 to 1, without 1')
    return terms
