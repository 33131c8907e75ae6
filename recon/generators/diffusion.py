"""From noise to latents, along a checkpoint's own noise schedule, in pure functions.

Every solver here (DDIM, PNDM, Euler, DPM-Solver++) is linear in the latents, in what the net
answers and in a short memory of answers. So a `Plan` is a table of coefficients, one row for each
step, made in numpy, and one loop, `sample`, runs them all: jitted, differentiable.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recon.core import errors
from recon.generators import _noise_schedule, _solver_tables

Config = _noise_schedule.Config
KINDS = _noise_schedule.KINDS
read = _noise_schedule.read
write = _noise_schedule.write


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=['timesteps', 'scale', 'memory', 'update', 'past', 'noise', 'push', 'anchor']
    + ['start_noise', 'start_signal'],
    meta_fields=['clip', 'stochastic'],
)
@dataclasses.dataclass(frozen=True)
class Plan:
    """Coefficients of s steps.

    A step gives the net x * scale, which answers m; it remembers p = memory . (x, m), cut to
    +-clip; and x becomes update . (x, m, anchor) + past . (p, p before, ...) + noise * z.

    Attributes:
      timesteps: [s] the training step that the net is told.
      scale: [s] of the latents as the net sees them.
      memory: [s 2].
      update: [s 3].
      past: [s 4].
      noise: [s] of fresh noise z.
      push: [s] bool; False: p replaces none of the older answers (it is not kept).
      anchor: [s] bool: the latents before this step are kept as the anchor.
      start_noise: [2] of the noise at the start: without latents, and beside them.
      start_signal: of the latents at the start.
      clip: largest value of p, or None.
      stochastic: there is fresh noise.
    """

    timesteps: np.ndarray
    scale: np.ndarray
    memory: np.ndarray
    update: np.ndarray
    past: np.ndarray
    noise: np.ndarray
    push: np.ndarray
    anchor: np.ndarray
    start_noise: np.ndarray
    start_signal: np.ndarray
    clip: float | None = None
    stochastic: bool = False

    def __len__(self):
        return len(self.timesteps)


def plan(config: Config, steps: int, strength: float = 1.0, eta: float = 0.0) -> Plan:
    """The table of a whole run, or of its end where it starts from given latents.

    Args:
      config: of `read`.
      steps: of the whole run.
      strength: share of the steps that are taken, the last ones: int(steps * strength).
      eta: 1 adds as much noise as DDPM does, 0 none (DDIM alone).

    Raises:
      errors.ConfigError: no step left, more steps than the noise has, or eta with another solver.
    """
    taken = min(int(steps * strength), steps)
    if taken < 1 or not 0 <= strength <= 1:
        what = f'strength {strength} of {steps} steps leaves none'
        raise errors.ConfigError(what, 'strength', 'take more steps, or a strength in (0, 1]')
    if eta and config.kind != 'DDIMScheduler':
        raise errors.ConfigError(f'eta {eta} with {config.kind}', 'eta', 'DDIMScheduler knows it')
    with np.errstate(divide='ignore', invalid='ignore'):
        table = _solver_tables.TABLES[config.kind](config, steps, steps - taken, eta)
    if not all(np.isfinite(values).all() for values in table.values()):
        what = f'{steps} steps of {config.kind} take a training step twice'
        raise errors.ConfigError(what, 'steps', 'take fewer')
    clip = float(config.clip_sample_range) if config.clip_sample else None
    flags = ('push', 'anchor')
    arrays = {k: np.asarray(v, bool if k in flags else np.float32) for k, v in table.items()}
    return Plan(**arrays, clip=clip, stochastic=eta > 0)


def begin(table: Plan, noise: Float[Array, 'n h w c'], latents=None) -> Float[Array, 'n h w c']:
    """Where `sample` starts: from noise [n h w c] alone, or from noisy latents (img2img)."""
    if latents is None:
        return noise * table.start_noise[0]
    return latents * table.start_signal + noise * table.start_noise[1]


def sample(
    denoise,
    table: Plan,
    latents: Float[Array, 'n h w c'],
    rng=None,
    *,
    last=None,
    remat=False,
    through=None,
) -> Float[Array, 'n h w c']:
    """Runs the steps of a plan.

    Args:
      denoise: (latents [n h w c], training step, a scalar) -> the net's answer [n h w c].
      table: of `plan`.
      latents: of `begin`.
      rng: jax key; needed where the plan adds noise (eta > 0).
      last: gradients reach through this many last steps alone; None: all.
      remat: steps are computed again on the way back (jax.checkpoint), which saves memory.
      through: [n h w c]; where `last` cuts gradients, they go on to this, as if the latents there
        were it and something that does not depend on it.

    Returns:
      Clean latents [n h w c], still scaled as the net is used to them.

    Raises:
      errors.ConfigError: the plan adds noise, and there is no key to draw it with.
    """
    if table.stochastic and rng is None:
        raise errors.ConfigError('a plan with fresh noise (eta > 0)', 'rng', 'give a jax key')

    def step(carry, row):
        x, anchor, past, i = carry
        m = denoise(x * row.scale, row.timesteps).astype(x.dtype)
        p = row.memory[0] * x + row.memory[1] * m
        if table.clip is not None:
            p = jnp.clip(p, -table.clip, table.clip)
        anchor = jnp.where(row.anchor, x, anchor)
        seen = jnp.concatenate([p[None], past])  # [4 n h w c]
        new = row.update[0] * x + row.update[1] * m + row.update[2] * anchor
        new = new + jnp.tensordot(row.past, seen, 1)
        if table.stochastic:
            fresh = jax.random.normal(jax.random.fold_in(rng, i), x.shape, x.dtype)
            new = new + row.noise * fresh
        return (new, anchor, jnp.where(row.push, seen[:-1], past), i + 1), None

    step = jax.checkpoint(step) if remat else step
    rows = jax.tree.map(jnp.asarray, table)
    kept = {'start_noise': None, 'start_signal': None}
    rows = dataclasses.replace(rows, **kept)
    carry = (
        latents,
        latents,
        jnp.zeros((_solver_tables.MEMORY - 1, *latents.shape), latents.dtype),
        0,
    )
    free = 0 if last is None else max(0, len(table) - last)
    if free:
        carry = jax.lax.scan(step, carry, jax.tree.map(lambda x: x[:free], rows))[0]
        carry = jax.lax.stop_gradient(carry)
        if through is not None:
            carry = (carry[0] + (through - jax.lax.stop_gradient(through)), *carry[1:])
    return jax.lax.scan(step, carry, jax.tree.map(lambda x: x[free:], rows))[0][0]


def add_noise(config: Config, latents, noise, timesteps) -> Float[Array, 'n h w c']:
    """Latents [n h w c] as they are at training steps [n] (Ho et al. 2020, equation 4)."""
    signal, sigma = _levels(config, timesteps)
    return signal * latents + sigma * noise


def target(config: Config, latents, noise, timesteps) -> Float[Array, 'n h w c']:
    """What the net should answer there: noise, v or clean latents, by `prediction_type`."""
    signal, sigma = _levels(config, timesteps)
    if config.prediction_type == 'v_prediction':
        return signal * noise - sigma * latents
    return noise if config.prediction_type == 'epsilon' else latents


def _levels(config: Config, timesteps):
    keep = _noise_schedule.signal(config)
    pick = lambda x: jnp.asarray(x, jnp.float32)[timesteps][:, None, None, None]  # noqa: E731
    return pick(np.sqrt(keep)), pick(np.sqrt(1 - keep))


def guided(apply, states: Float[Array, 'n k d'], empty: Float[Array, 'n k d'], scale):
    """A `denoise` for `sample` that is led by text (Ho and Salimans 2022, equation 6).

    Args:
      apply: (latents [2n h w c], training steps [2n], states [2n k d]) -> answer [2n h w c].
      states: of the text.
      empty: of the empty text, [n k d] or [1 k d].
      scale: 1 follows the text, more leads away from the empty one; 1, a number of Python's,
        calls the net once.
    """

    def denoise(x, time):
        times = jnp.full(len(x), time)
        if isinstance(scale, int | float) and scale == 1:
            return apply(x, times, states)
        both = jnp.concatenate([jnp.broadcast_to(empty, states.shape), states])
        free, led = jnp.split(apply(jnp.concatenate([x, x]), jnp.tile(times, 2), both), 2)
        return free + scale * (led - free)

    return denoise
