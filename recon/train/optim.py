"""Optimizers and schedules from plain settings, and lengths in any unit."""

import math

import jax
import jax.numpy as jnp
import optax

from recon.core import errors

OPTIMIZERS = ('adamw', 'adam', 'sgd')
SCHEDULES = ('cosine', 'constant', 'onecycle', 'step')
DEFAULTS = {
    'optimizer': 'adamw',
    'learning_rate': 1e-3,
    'schedule': 'cosine',
    'warmup': 0.0,
    'initial': 1 / 25,
    'final': 1 / 250_000,
    'weight_decay': 0.0,
    'clip': 0.0,
    'b1': 0.9,
    'b2': 0.999,
    'drops': (0.5, 0.75),
    'drop': 0.1,
}
_UNITS = ('steps', 'epochs', 'examples', 'percent')


def make(settings: dict, steps: int) -> optax.GradientTransformation:
    """The optimizer of `settings`; keys that it does not know are others' and left alone.

    Args:
      settings: any of DEFAULTS. optimizer: 'adamw' (decay applies to parameters of two axes or
        more), 'adam', 'sgd' (b1 is its Nesterov momentum, 0 for none; decay added to the gradient).
        schedule: 'cosine' to 0, 'constant', 'onecycle' (along a cosine from `initial` up to
        `learning_rate` during the first 30 % or `warmup`, and down to `final`, both fractions of
        that peak; torch's div_factor is 1 / initial, its final_div_factor initial / final), 'step'
        (times `drop` at each of the fractions `drops`). warmup: fraction of `steps` with a linear
        rise from 0. clip: largest global norm of the gradient, 0 for none.
      steps: of the whole training.

    Raises:
      ConfigError: a name or a value that does not exist.
    """
    s = DEFAULTS | {key: value for key, value in settings.items() if key in DEFAULTS}
    _check(s, steps)
    rate = schedule(s, steps)
    parts = [optax.clip_by_global_norm(s['clip'])] if s['clip'] else []
    if s['optimizer'] == 'sgd':
        if s['weight_decay']:
            parts.append(optax.add_decayed_weights(s['weight_decay'], _of_two_axes))
        parts.append(optax.sgd(rate, momentum=s['b1'] or None, nesterov=bool(s['b1'])))
    elif s['optimizer'] == 'adam':
        parts.append(optax.adam(rate, b1=s['b1'], b2=s['b2']))
    else:
        decay = s['weight_decay']
        parts.append(
            optax.adamw(rate, b1=s['b1'], b2=s['b2'], weight_decay=decay, mask=_of_two_axes)
        )
    return optax.chain(*parts)


def schedule(settings: dict, steps: int) -> optax.Schedule:
    """`schedule(step) -> learning rate` of the settings that `make` takes."""
    s = DEFAULTS | settings
    peak, rise = s['learning_rate'], round(s['warmup'] * steps)
    left = max(steps - rise, 1)
    if s['schedule'] == 'onecycle':
        return _onecycle(peak, steps, s['warmup'] or 0.3, s['initial'], s['final'])
    if s['schedule'] == 'cosine':
        main = optax.cosine_decay_schedule(peak, left)
    elif s['schedule'] == 'step':
        drops = {max(round(f * steps) - rise, 0): s['drop'] for f in s['drops']}
        main = optax.piecewise_constant_schedule(peak, drops)
    else:
        main = optax.constant_schedule(peak)
    if not rise:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, peak, rise), main], [rise])


def _onecycle(peak: float, steps: int, rise: float, initial: float, final: float):
    """Smith and Topin 2017, with cosines, the peak and the last step where torch has them."""
    top, last = rise * steps - 1, steps - 1

    def rate(count):
        up = jnp.clip(count / max(top, 1e-6), 0, 1) if top > 0 else 1.0
        down = jnp.clip((count - top) / max(last - top, 1e-6), 0, 1)
        lower = jnp.where(count <= top, initial, final)
        way = jnp.where(count <= top, 1 - up, down)  # from the peak, 0 ... 1
        return peak * (lower + (1 - lower) * 0.5 * (1 + jnp.cos(jnp.pi * way)))

    return rate


def length(settings: dict, name: str = '', *, batch=None, examples=None, total=None) -> int | None:
    """A length in steps from whichever unit the settings give it in.

    Looks for `<name>_steps`, `_epochs`, `_examples` and `_percent` (without a name: 'steps',
    'epochs', 'examples', 'percent'); absent, None and 0 count as not given.

    Args:
      settings: plain dict.
      name: what is as long, for example 'warmup' or 'validate'.
      batch: rows of a step.
      examples: rows of the training set.
      total: steps of the training, for a percentage.

    Returns:
      Steps, at least 1, rounded; None where no unit is given.

    Raises:
      ConfigError: two units at once, or a unit whose base is not known.
    """
    keys = {unit: f'{name}_{unit}' if name else unit for unit in _UNITS}
    given = {unit: settings[key] for unit, key in keys.items() if settings.get(key)}
    if not given:
        return None
    if len(given) > 1:
        both = ' and '.join(f'{keys[unit]}={value!r}' for unit, value in given.items())
        raise errors.ConfigError(f'{both} are given', 'settings', 'give one of them')
    ((unit, value),) = given.items()
    bases = {
        'steps': (1,),
        'epochs': (examples, batch),
        'examples': (1, batch),
        'percent': (total and total / 100,),
    }
    if batch is not None and batch < 1:
        raise errors.ConfigError(f'batch is {batch!r}', 'settings', 'give 1 or more')
    if value < 0 or any(base is None for base in bases[unit]):
        raise errors.ConfigError(
            f'{keys[unit]} is {value!r}', 'settings', 'give it in steps, above 0'
        )
    over = bases[unit][1] if len(bases[unit]) > 1 else 1
    return max(1, round(value * bases[unit][0] / over))


def check(settings: dict, where: str = 'decoder') -> None:
    """Refuses, before any row is known, an optimizer and a length that no training can have.

    Args:
      settings: those of `make`; epochs, steps or examples; batch.
      where: the block of the config, for the message.

    Raises:
      ConfigError: a name, a value or a unit that does not fit, or no length at all.
    """
    steps = length(settings, batch=settings['batch'], examples=settings['batch'])
    if steps is None:
        raise errors.ConfigError('epochs and steps are 0', where, 'give one of them')
    make(settings, steps)


def _of_two_axes(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _check(s: dict, steps: int) -> None:
    for key, known in (('optimizer', OPTIMIZERS), ('schedule', SCHEDULES)):
        if s[key] not in known:
            raise errors.ConfigError(
                f'{key} is {s[key]!r}', 'settings', f'names that exist: {", ".join(known)}'
            )
    limits = {'learning_rate': math.inf, 'warmup': 1, 'weight_decay': math.inf, 'clip': math.inf}
    for key, top in (limits | dict.fromkeys(('b1', 'b2', 'initial', 'final'), 1)).items():
        if not 0 <= s[key] <= top:
            raise errors.ConfigError(f'{key} is {s[key]!r}', 'settings', f'0 to {top}')
    if steps < 1:
        raise errors.ConfigError(f'steps is {steps!r}', 'settings', 'at least 1')
