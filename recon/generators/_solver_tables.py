"""The coefficients of each solver's steps, in numpy: the rows of a `diffusion.Plan`."""

import numpy as np

from recon.core import errors
from recon.generators import _noise_schedule

MEMORY = 4  # answers that a step may look at, its own among them


def _answer(config: _noise_schedule.Config, keep: np.ndarray, wanted: str) -> np.ndarray:
    """Coefficients [s 2] of latents and answer that give the clean latents, or the noise.

    Salimans and Ho 2022: x = a x0 + b e, v = a e - b x0, with a = sqrt(keep), b = sqrt(1 - keep).
    """
    a, b = np.sqrt(keep), np.sqrt(1 - keep)
    zero, one = np.zeros_like(a), np.ones_like(a)
    kinds = {
        'epsilon': {'sample': (1 / a, -b / a), 'epsilon': (zero, one)},
        'sample': {'sample': (zero, one), 'epsilon': (1 / b, -a / b)},
        'v_prediction': {'sample': (a, -b), 'epsilon': (b, a)},
    }
    return np.stack(kinds[config.prediction_type][wanted], -1)


def _blank(times: np.ndarray) -> dict:
    """A table that does nothing yet."""
    s = len(times)
    return {
        'timesteps': times,
        'scale': np.ones(s),
        'memory': np.zeros((s, 2)),
        'update': np.zeros((s, 3)),
        'past': np.zeros((s, MEMORY)),
        'noise': np.zeros(s),
        'push': np.ones(s),
        'anchor': np.zeros(s),
    }


def _start(keep: float) -> dict:
    return {'start_noise': np.array([1, np.sqrt(1 - keep)]), 'start_signal': np.sqrt(keep)}


def _at(config: _noise_schedule.Config, times: np.ndarray) -> np.ndarray:
    """Alpha-bar at training steps; before the first one, what `set_alpha_to_one` says."""
    keep = _noise_schedule.signal(config)
    times = np.asarray(times, int)
    if times.max() >= len(keep):
        raise errors.ConfigError(
            f'step {times.max()} of {len(keep)} (counted from 0)',
            'sampling',
            'take fewer steps; steps_offset shifts them',
        )
    return np.where(times >= 0, keep[times.clip(0)], 1.0 if config.set_alpha_to_one else keep[0])


def _ddim(config: _noise_schedule.Config, steps: int, skipped: int, eta: float) -> dict:
    """Song, Meng and Ermon 2021, equations 12 and 16."""
    times = _noise_schedule.timesteps(config, steps)[skipped:]
    now, later = _at(config, times), _at(config, times - config.num_train_timesteps // steps)
    table = _blank(times) | _start(now[0])
    table['noise'] = eta * np.sqrt((1 - later) / (1 - now) * (1 - now / later))
    direction = np.sqrt(1 - later - table['noise'] ** 2)
    table['memory'] = _answer(config, now, 'sample')
    table['past'][:, 0] = np.sqrt(later)
    table['update'][:, :2] = direction[:, None] * _answer(config, now, 'epsilon')
    return table


def _pndm(config: _noise_schedule.Config, steps: int, skipped: int, eta: float) -> dict:
    """Liu et al. 2022, equation 9, started by a step that is taken twice (PLMS).

    As in diffusers the second step of the list is there twice, and it is the first steps TAKEN
    that are taken so: with a strength below 1 they need not be that pair.
    """
    del eta
    times = _noise_schedule.timesteps(config, steps)
    times = np.concatenate([times[:2], times[1:]])[skipped:]
    stride, s = config.num_train_timesteps // steps, len(times)
    second = np.arange(s) == 1
    begin = times + stride * second
    now, later = _at(config, begin), _at(config, begin - stride)
    table = _blank(times) | _start(_at(config, times[:1])[0])
    table['memory'][:, 1] = 1  # the answers themselves are remembered
    table['push'], table['anchor'] = ~second, np.arange(s) == 0
    mixed = np.zeros((s, MEMORY))  # Adams-Bashforth of as high an order as there are answers
    orders = [[1], [0.5, 0.5], [1.5, -0.5], [23 / 12, -16 / 12, 5 / 12]]
    orders += [[55 / 24, -59 / 24, 37 / 24, -9 / 24]] * max(0, s - len(orders))
    for row, order in zip(mixed, orders, strict=False):
        row[: len(order)] = order
    share = now * np.sqrt(1 - later) + np.sqrt(now * (1 - now) * later)
    noise = -(later - now) / share  # of the answers' mixture, once it is noise
    x_part, m_part = _answer(config, now, 'epsilon').T
    table['past'] = (noise * m_part)[:, None] * mixed
    from_latents = np.sqrt(later / now) + noise * x_part
    table['update'][:, 0], table['update'][:, 2] = from_latents * ~second, from_latents * second
    return table


def _sigmas(config: _noise_schedule.Config, times: np.ndarray) -> np.ndarray:
    """[s + 1] noise over signal at the steps, and where the last one leads."""
    keep = _noise_schedule.signal(config)
    known = np.sqrt((1 - keep) / keep)
    last = known[0] if config.final_sigmas_type == 'sigma_min' else 0.0
    return np.append(np.interp(times, np.arange(len(known)), known), last)


def _euler(config: _noise_schedule.Config, steps: int, skipped: int, eta: float) -> dict:
    """Karras et al. 2022, algorithm 1 without churn; latents are signal + sigma noise."""
    del eta
    times = _noise_schedule.timesteps(config, steps)
    sigmas = _sigmas(config, times)
    largest = sigmas.max() if config.timestep_spacing != 'leading' else np.hypot(sigmas.max(), 1)
    times, now, later = times[skipped:], sigmas[skipped:-1], sigmas[skipped + 1 :]
    table = _blank(times)
    table['scale'] = 1 / np.sqrt(now**2 + 1)
    clean = _answer(config, 1 / (now**2 + 1), 'sample')
    clean[:, 0] *= table['scale']  # of latents that are not scaled to unit variance
    table['memory'] = clean
    table['past'][:, 0], table['update'][:, 0] = 1 - later / now, later / now
    return table | {'start_noise': np.array([largest, now[0]]), 'start_signal': np.array(1.0)}


def _solver(config: _noise_schedule.Config, steps: int, skipped: int, eta: float) -> dict:
    """Lu et al. 2022 (DPM-Solver++), algorithm 2, multistep of order 1 or 2, midpoint."""
    del eta
    times = _noise_schedule.timesteps(config, steps)
    sigmas, whole = _sigmas(config, times), len(times)
    table = _blank(times[skipped:])
    keep = 1 / (sigmas**2 + 1)
    table['memory'] = _answer(config, keep[:-1], 'sample')[skipped:]
    a, b = np.sqrt(keep), np.sqrt(1 - keep)
    few = whole < 15 and config.lower_order_final
    single = few or config.euler_at_final or config.final_sigmas_type == 'zero'
    for row, i in enumerate(range(skipped, whole)):
        table['update'][row, 0] = b[i + 1] / b[i]
        new = a[i + 1] * (1 - sigmas[i + 1] / sigmas[i])
        older = 0.0
        if row and config.solver_order == 2 and not (i == whole - 1 and single):
            back = np.log(sigmas[i - 1] / sigmas[i]) / np.log(sigmas[i] / sigmas[i + 1])
            older = 0.5 / back
        table['past'][row, :2] = new * (1 + older), -new * older
    return table | _start(keep[skipped])


TABLES = dict(zip(_noise_schedule.KINDS, (_ddim, _pndm, _euler, _solver), strict=True))
