"""A checkpoint's scheduler_config.json: which solver, which noise at which step.

Read through `recon/generators/diffusion.py`. Names and defaults are those of diffusers' files.
"""

import dataclasses

import numpy as np

from recon.core import errors

_WHERE = 'scheduler_config.json'
# They matter only beside an option that is refused.
_HARMLESS = {'dynamic_thresholding_ratio', 'sample_max_value', 'flow_shift', 'time_shift_type'}
# Fields of Config that one solver's file may have and the others pass over.
_OWN = {
    'DDIMScheduler': ('set_alpha_to_one', 'clip_sample', 'clip_sample_range'),
    'PNDMScheduler': ('set_alpha_to_one',),
    'EulerDiscreteScheduler': ('final_sigmas_type',),
    'DPMSolverMultistepScheduler': (
        *('final_sigmas_type', 'solver_order', 'lower_order_final', 'euler_at_final'),
    ),
}
_COMMON = {
    'trained_betas': (None,),
    'prediction_type': ('epsilon', 'v_prediction', 'sample'),
    'beta_schedule': ('linear', 'scaled_linear', 'squaredcos_cap_v2'),
    'timestep_spacing': ('leading', 'linspace', 'trailing'),
    'rescale_betas_zero_snr': (False,),
}
_SIGMAS = {
    'use_karras_sigmas': (None, False),
    'use_exponential_sigmas': (None, False),
    'use_beta_sigmas': (None, False),
    'final_sigmas_type': ('zero', 'sigma_min'),
}
# What each solver's options may be; an option of one solver means nothing to another.
_ALLOWED = {
    'DDIMScheduler': _COMMON | {'thresholding': (False,)},
    'PNDMScheduler': _COMMON
    | {'skip_prk_steps': (True,), 'prediction_type': ('epsilon', 'v_prediction')},
    'EulerDiscreteScheduler': _COMMON
    | _SIGMAS
    | {
        'interpolation_type': ('linear',),
        'timestep_type': ('discrete',),
        'sigma_min': (None,),
        'sigma_max': (None,),
    },
    'DPMSolverMultistepScheduler': _COMMON
    | _SIGMAS
    | {
        'thresholding': (False,),
        'algorithm_type': ('dpmsolver++',),
        'solver_order': (1, 2),
        'solver_type': ('midpoint',),
        'use_lu_lambdas': (None, False),
        'use_flow_sigmas': (None, False),
        'use_dynamic_shifting': (False,),
        'lambda_min_clipped': (-float('inf'), '-Infinity', '-inf'),
        'variance_type': (None,),
    },
}
# Where a file says nothing; what is absent here is the dataclass's default.
_DEFAULTS = {
    'DDIMScheduler': {'clip_sample': True, 'set_alpha_to_one': True},
    'PNDMScheduler': {'skip_prk_steps': False},
    'EulerDiscreteScheduler': {'timestep_spacing': 'linspace'},
    'DPMSolverMultistepScheduler': {'timestep_spacing': 'linspace'},
}
KINDS = tuple(_ALLOWED)


@dataclasses.dataclass(frozen=True)
class Config:
    """A solver and its noise.

    Attributes:
      kind: the class named in the file, one of KINDS.
      num_train_timesteps: steps of noise that the net was trained on.
      beta_start: variance added at the first of them.
      beta_end: at the last.
      beta_schedule: between them: linear, scaled_linear (in the root) or squaredcos_cap_v2.
      prediction_type: what the net answers: epsilon (the noise), v_prediction or sample.
      timestep_spacing: which of the steps are taken: leading, linspace or trailing.
      steps_offset: added to the steps with leading spacing.
      set_alpha_to_one: after the last step there is no noise; else that of step 0 (DDIM, PNDM).
      clip_sample: predicted clean latents are cut (DDIM).
      clip_sample_range: to plus or minus this.
      final_sigmas_type: zero or sigma_min, where the last step leads (Euler, DPM-Solver).
      solver_order: 1 or 2 (DPM-Solver).
      lower_order_final: first order at the end where there are fewer than 15 steps (DPM-Solver).
      euler_at_final: first order at the end always (DPM-Solver).
    """

    kind: str
    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = 'linear'
    prediction_type: str = 'epsilon'
    timestep_spacing: str = 'leading'
    steps_offset: int = 0
    set_alpha_to_one: bool = False
    clip_sample: bool = False
    clip_sample_range: float = 1.0
    final_sigmas_type: str = 'zero'
    solver_order: int = 2
    lower_order_final: bool = True
    euler_at_final: bool = False


def read(raw: dict, kind: str | None = None) -> Config:
    """The content of scheduler_config.json -> Config.

    Args:
      raw: the file, parsed.
      kind: another solver on the same noise, one of KINDS; what the file leaves out then has that
        solver's default, as when diffusers changes schedulers.

    Raises:
      errors.ConfigError: a solver or an option that is not built, or a key that nobody knows.
    """
    kind = kind or raw.get('_class_name')
    if kind not in KINDS:
        remedy = f'known are {", ".join(KINDS)}'
        raise errors.ConfigError(f'no scheduler {kind!r}', f'{_WHERE}, _class_name', remedy)
    fields = {field.name for field in dataclasses.fields(Config)} - {'kind'}
    everyone = fields | _HARMLESS | {key for options in _ALLOWED.values() for key in options}
    given = _DEFAULTS[kind] | {k: v for k, v in raw.items() if not k.startswith('_')}
    for key, value in given.items():
        if key not in everyone:
            raise errors.ConfigError(f'unknown option {key!r}', _WHERE, 'remove it or check it')
        if key in _ALLOWED[kind] and value not in _ALLOWED[kind][key]:
            known = ' or '.join(map(repr, _ALLOWED[kind][key]))
            raise errors.ConfigError(
                f'{key} = {value!r} of {kind} is not built', _WHERE, f'it can be {known}'
            )
    others = {key for own in _OWN.values() for key in own} - set(_OWN[kind])
    return Config(kind, **{k: v for k, v in given.items() if k in fields - others})


def write(config: Config) -> dict:
    """Config -> the content of the scheduler_config.json that diffusers reads."""
    values = dataclasses.asdict(config)
    extra = {'skip_prk_steps': True} if config.kind == 'PNDMScheduler' else {}
    return {'_class_name': values.pop('kind')} | values | extra


def signal(config: Config) -> np.ndarray:
    """[num_train_timesteps] float64: the share of the signal's variance at each step, alpha-bar.

    Rounded as diffusers rounds, to float32: its complement at the first steps is so small that
    the rounding shows.
    """
    n, kind = config.num_train_timesteps, config.beta_schedule
    if kind == 'linear':
        betas = np.linspace(config.beta_start, config.beta_end, n, dtype=np.float32)
    elif kind == 'scaled_linear':
        roots = np.linspace(config.beta_start**0.5, config.beta_end**0.5, n, dtype=np.float32)
        betas = roots * roots
    else:  # Nichol and Dhariwal 2021, equation 17
        time = np.arange(n + 1) / n
        left = np.cos((time + 0.008) / 1.008 * np.pi / 2) ** 2
        betas = np.minimum(1 - left[1:] / left[:-1], 0.999).astype(np.float32)
    kept = np.cumprod((1 - betas).astype(np.float64))
    return kept.astype(np.float32).astype(np.float64)


def timesteps(config: Config, steps: int) -> np.ndarray:
    """[steps] float64: the training steps taken, noisiest first (Lin et al. 2024, table 2).

    Raises:
      errors.ConfigError: no step, or more than there are.
    """
    n = config.num_train_timesteps
    if not 1 <= steps <= n:
        raise errors.ConfigError(f'{steps} steps of sampling', 'steps', f'take 1 to {n}')
    solver = config.kind == 'DPMSolverMultistepScheduler'  # it does not count the step at 0
    if config.timestep_spacing == 'trailing':
        return np.round(np.arange(n, 0, -n / steps)) - 1
    if config.timestep_spacing == 'leading':
        taken = np.arange(steps + solver) * (n // (steps + solver)) + config.steps_offset
    else:
        taken = np.linspace(0, n - 1, steps + solver)
        if config.kind == 'EulerDiscreteScheduler':
            taken = taken.astype(np.float32).astype(np.float64)  # not rounded to whole steps
        else:
            taken = taken.round()
    return taken[::-1][:steps].astype(np.float64)
