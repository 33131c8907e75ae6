"""System 2, trained: a generator against a discriminator, a comparator and the picture itself.

The discriminator learns on what the old generator makes, then the generator against the new one;
a net that is ahead is held (`_shen_losses.switch`). The discriminator sees pictures alone, never
voxels. With an adversarial weight of 0 there is no discriminator, with a feature weight of 0 no
comparator.

Options and net: `decoders/shen_gan.py`. Source: Shen et al. 2019.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

from recon.core import errors, image, sharding, solvers
from recon.core import rng as rngs
from recon.data import loader
from recon.decoders import shen_gan as net_of
from recon.train import adversarial, loop, optim, step
from recon.train import job as jobs
from recon.train import state as states
from recon.train.tasks import _shen_losses as terms

PUBLISHED_STEPS = 500_000
_UNITS = ('steps', 'epochs', 'examples')
_VALIDATION = 64  # rows at a time
_GAIN = 0.9  # of the first weights


def fit(cfg, job: jobs.Job, rng) -> dict:
    """Trains the generator on the rows of `job`.

    Args:
      cfg: see `shen_gan.DEFAULTS`.
      job: target [n h w c] in [0, 1], of one or three channels; voxels [n ...].
      rng: jax key of the first weights and of what is dropped.

    Returns:
      'net' (the generator's parameters), 'shape' [3] and 'mean' [c], the mean colour of the
      training pictures; with rows to validate on also 'validation_loss', 'validation_image',
      'validation_feature', 'validation_correlation' and 'validation_correlation_of_mean', that of
      the mean training picture: numpy arrays.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: pictures outside [0, 1].
      Stopped: `job.stop()` was true.
    """
    options = {key: cfg.get(key, value) for key, value in net_of.DEFAULTS.items()}
    job = job.with_validation(options['validation'])
    solvers.check_rows(job.voxels.reshape(len(job), -1), job.target, 'shen_gan.fit')
    _check(options, job)
    net = net_of.build(options, job.target.shape[1:])
    mean = job.target.mean((0, 1, 2), dtype=np.float64).astype(np.float32)
    units = {unit: options[unit] for unit in _UNITS}
    steps = optim.length(units, batch=options['batch'], examples=len(job)) or PUBLISHED_STEPS
    compare = None
    if options['weights'][1]:
        dtype = {'dtype': options['dtype']}
        named = options['comparator'], options['layer'], options['whole']
        compare = terms.comparator(*named, dict(job.zoo) | dtype)
    shape, key = job.voxels.shape[1:], jax.random.fold_in(rng, 0)
    state, update = training(options, net, shape, mean, compare, steps, key, job.mesh)
    validate = _validation(options, net, job, mean, compare)
    state = loop.fit(
        update,
        state,
        functools.partial(batch_at, options, job),
        steps=steps,
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=options['save_every'],
        log_every=options['log_every'],
        stop=job.stop,
        validate=validate,
        patience=options['patience'] if options['patience'] >= 0 else None,
        settings=_plain(options) | {'seed': job.seed, 'rows': len(job)},
        place=sharding.place_same(job.mesh),
    )
    params = jax.device_get(state.averaged['generator'])
    params = {'net': params, 'shape': np.array(net.shape), 'mean': mean}
    if validate:
        told = validate(state)
        params |= {f'validation_{name}': np.array(v, np.float32) for name, v in told.items()}
    return params


def _plain(options: dict) -> dict:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def check(cfg, zoo) -> None:
    """Raises ConfigError or DataMissing for what can be known before any data are read."""
    terms.check({key: cfg.get(key, value) for key, value in net_of.DEFAULTS.items()}, zoo)


def _check(options: dict, job: jobs.Job) -> None:
    terms.check(options, job.zoo)
    target = job.target
    if options['patience'] >= 0 and job.validation is None:
        raise errors.ConfigError(
            f'patience is {options["patience"]}', 'decoder', 'it needs validation above 0'
        )
    if not (target.min() >= 0 and target.max() <= 1):
        raise errors.DataInvalid(
            f'pictures of {target.min():.3g} to {target.max():.3g}', 'decoder', 'pixels in [0, 1]'
        )
    if options['weights'][2]:
        net_of.first_stride(target.shape[1:])


def batch_at(options: dict, job: jobs.Job, i: int) -> dict:
    """The batch of step i: 'voxels' [b ...] and 'pictures' [b h w c] in [0, 1].

    A pure function of the job's seed and i, also where voxels are noise or pictures are moved.
    """
    rows = loader.rows(job.seed, i, len(job), options['batch'])
    voxels, pictures = job.voxels[rows], job.target[rows]
    if options['noise_input']:
        voxels = net_of.noise(job.seed, f'step {i}', voxels.shape)
    if options['shift']:
        pictures = _moved(pictures, options['shift'], rngs.generator(job.seed, 'shift', str(i)))
    return {'voxels': voxels, 'pictures': pictures}


def _moved(pictures: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Each picture moved by up to `share` of its sides; the border is repeated."""
    n, h, w, _ = pictures.shape
    up, left = (random.integers(-round(share * s), round(share * s) + 1, n) for s in (h, w))
    rows = np.clip(np.arange(h) + up[:, None], 0, h - 1)  # [n h]
    columns = np.clip(np.arange(w) + left[:, None], 0, w - 1)  # [n w]
    return pictures[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None]]


def objectives(options: dict, net, mean: np.ndarray, compare):
    """(generate, discriminator_loss, generator_loss), as `adversarial.step` takes them.

    Args:
      options: all of DEFAULTS.
      net: the generator.
      mean: [c], the mean colour.
      compare: pictures -> features, or None.
    """
    judge = _discriminator(options)

    def look(params, images, rng):
        return judge.apply({'params': params}, images, False, rngs={'dropout': rng})

    def generate(params, batch, rng):
        return net.apply({'params': params}, batch['voxels']) + mean

    def discriminator_loss(params, fake, batch, rng):
        keys = jax.random.fold_in(rng, 0), jax.random.fold_in(rng, 1)
        real = look(params, batch['pictures'], keys[0])
        return terms.of_discriminator(real, look(params, fake, keys[1]))

    def generator_loss(fake, params, batch, rng):
        logits = None if params is None else look(params, fake, rng)
        return terms.of_generator(fake, batch['pictures'], options, compare, logits)

    return generate, discriminator_loss, generator_loss


def _discriminator(options: dict):
    sizes = options['discriminator_width'], options['dropout']
    return net_of.Discriminator(*sizes, jnp.dtype(options['dtype']))


def training(options, net, shape, mean, compare, steps, rng, mesh=None):
    """(the state before the first step, the step).

    Args:
      options: all of DEFAULTS.
      net: the generator.
      shape: of a row of voxels.
      mean: [c], the mean colour.
      compare: pictures -> features, or None.
      steps: of the whole training.
      rng: jax key of the first weights.
      mesh: the devices that share the work, or None for one.
    """
    parts = objectives(options, net, mean, compare)
    ema, judge = options['ema'], _discriminator(options)
    examples = {
        'generator': (net, jax.ShapeDtypeStruct((1, *shape), jnp.float32)),
        'discriminator': (judge, jax.ShapeDtypeStruct((1, *net.shape), jnp.float32)),
    }
    inits = {
        part: functools.partial(begin, module, example)
        for part, (module, example) in examples.items()
    }
    optimizers = {'generator': optim.make(options, steps)}
    decay = optax.add_decayed_weights(options['discriminator_decay'], _kernels)
    optimizers['discriminator'] = optax.chain(decay, optim.make(options, steps))
    if options['weights'][2]:
        rule = terms.switch if options['switch'] else None
        kept = {'switch': bool(rule), 'place': sharding.by_rules(mesh, ())}
        state = adversarial.create(inits, optimizers, rng, ema=ema > 0, **kept)
        like = mesh and state
        return state, adversarial.step(*parts, optimizers, switch=rule, ema=ema, like=like)

    def alone(params, batch, rng):
        return parts[2](parts[0](params['generator'], batch, rng), None, batch, rng)

    def init(rng):
        return {'generator': inits['generator'](rng)}

    state = states.create(
        init, optimizers['generator'], rng, ema=ema > 0, place=sharding.by_rules(mesh, ())
    )
    return state, step.single(alone, optimizers['generator'], ema=ema, like=mesh and state)


def begin(module, example, rng) -> dict:
    """First parameters: biases 0, weights normal with He's deviation times 0.9.

    A transposed convolution counts the 4 of its 16 pixels that reach an output. The generator's
    last layer begins at a tenth, so that pictures begin near the mean colour. All numbers are one
    draw: XLA compiles each draw for most of a second.

    Args:
      module: generator or discriminator.
      example: shape of its input.
      rng: jax key.
    """
    shapes = jax.eval_shape(module.init, rng, example)['params']
    sizes = [math.prod(layer['kernel'].shape) for layer in shapes.values()]
    numbers = jnp.split(jax.random.normal(rng, (sum(sizes),)), np.cumsum(sizes)[:-1])
    out = {}
    for (name, layer), drawn in zip(shapes.items(), numbers, strict=True):
        shape = layer['kernel'].shape
        seen = 4 * shape[2] if name.startswith('deconv') else math.prod(shape[:-1])
        scale = _GAIN * math.sqrt(2 / seen) * (0.1 if name == 'deconv0' else 1.0)
        bias = jnp.zeros(layer['bias'].shape)
        out[name] = {'kernel': scale * drawn.reshape(shape), 'bias': bias}
    return out


def _kernels(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _validation(options, net, job, mean, compare):
    """`validate(state) -> {'loss', 'image', 'feature', 'correlation' ...}`, or None without rows.

    The loss is of image and features; the correlation is that of pixels, a mean over pictures.
    """
    if job.validation is None:
        return None
    voxels, pictures = job.validation
    pictures = image.resize(np.asarray(pictures), net.shape[:2])
    if options['noise_input']:
        voxels = net_of.noise(job.seed, 'validation', voxels.shape)
    average = job.target.mean(0, dtype=np.float64).astype(np.float32)
    plain = options | {'weights': (*options['weights'][:2], 0.0)}

    @jax.jit
    def scores(params, voxels, pictures):
        made = net.apply({'params': params}, voxels) + mean
        total, named = terms.of_generator(made, pictures, plain, compare)
        found = _correlation(jnp.clip(made, 0, 1), pictures)
        named['correlation_of_mean'] = _correlation(average[None], pictures)
        return named | {'loss': total, 'correlation': found}

    def validate(state):
        told = []
        for start in range(0, len(voxels), _VALIDATION):
            part = slice(start, start + _VALIDATION)
            found = scores(state.averaged['generator'], voxels[part], pictures[part])
            told.append((len(voxels[part]), found))
        return {
            name: sum(n * float(found[name]) for n, found in told) / len(voxels)
            for name in told[0][1]
        }

    return validate


def _correlation(a, b):
    """Pearson's, over the numbers of a picture; a mean over pictures, 0 for one of one colour."""
    a, b = (x.reshape(len(x), -1) for x in (a, b))
    a, b = (x - x.mean(1, keepdims=True) for x in (a, b))
    norm = jnp.sqrt(jnp.square(a).sum(1) * jnp.square(b).sum(1))
    return ((a * b).sum(1) / jnp.maximum(norm, 1e-8)).mean()
