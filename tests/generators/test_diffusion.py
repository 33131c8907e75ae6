import itertools

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from recon.core import errors
from recon.generators import diffusion
from tests.zoo import reference

STABLE = {'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear'}
# As on disk: 1.5 has PNDM's, 2.1 DDIM's file, each with keys that are another scheduler's.
V1 = STABLE | {
    **{'_class_name': 'PNDMScheduler', '_diffusers_version': '0.6.0', 'clip_sample': False},
    **{'set_alpha_to_one': False, 'skip_prk_steps': True, 'steps_offset': 1},
    **{'trained_betas': None, 'num_train_timesteps': 1000},
}
V2 = V1 | {'_class_name': 'DDIMScheduler', 'prediction_type': 'v_prediction'}
MIX = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32) / 2


def net(module, x, t):
    """A denoiser for torch [n c h w] and for jax [n h w c]."""
    if module is torch:
        mixed = torch.einsum('nchw,cd->ndhw', x, torch.from_numpy(MIX))
        return torch.tanh(mixed + float(t) / 700) + 0.2 * x
    return jnp.tanh(x @ MIX + t / 700) + 0.2 * x


def theirs(raw, steps, strength=None, eta=0.0, noises=None, seed=5):
    """diffusers' answer, run as its pipelines run it: latents [n h w c], its starting noise too."""
    scheduler = getattr(diffusers, raw['_class_name']).from_config(raw)
    scheduler.set_timesteps(steps)
    random = np.random.default_rng(seed)
    start, noise = random.standard_normal((2, 2, 5, 4, 3)).astype(np.float32)
    times = scheduler.timesteps
    if strength is None:
        x = reference.nchw(noise) * scheduler.init_noise_sigma
    else:
        skipped = max(steps - min(int(steps * strength), steps), 0)
        times = times[skipped:]
        if hasattr(scheduler, 'set_begin_index'):
            scheduler.set_begin_index(skipped)
        x = scheduler.add_noise(reference.nchw(start), reference.nchw(noise), times[:1].repeat(2))
    for i, t in enumerate(times):
        answer = net(torch, scheduler.scale_model_input(x, t), t)
        options = {'eta': eta, 'variance_noise': noises[i]} if eta else {}
        x = scheduler.step(answer, t, x, **options).prev_sample
    return reference.nhwc(x), start, noise, np.asarray(times, np.float32)


_sample = jax.jit(lambda plan, x, rng: diffusion.sample(lambda x, t: net(jnp, x, t), plan, x, rng))


def ours(raw, steps, start, noise, strength=None, eta=0.0, rng=None):
    plan = diffusion.plan(diffusion.read(raw), steps, 1.0 if strength is None else strength, eta)
    x = diffusion.begin(plan, noise, None if strength is None else start)
    return np.asarray(_sample(plan, x, rng)), plan


def check(raw, steps, strength=None):
    wanted, start, noise, times = theirs(raw, steps, strength)
    got, plan = ours(raw, steps, start, noise, strength)
    np.testing.assert_allclose(plan.timesteps, times, rtol=1e-6)
    assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max(), raw


def files(spacings=('leading',), kinds=diffusion.KINDS, kind_of_answer=('epsilon', 'v_prediction')):
    for kind, spacing, answer in itertools.product(kinds, spacings, kind_of_answer):
        yield V1 | {'_class_name': kind, 'timestep_spacing': spacing, 'prediction_type': answer}


@pytest.mark.parametrize('kind', diffusion.KINDS)
@pytest.mark.parametrize('steps', [10, 25, 50])
def test_whole_runs_equal_the_reference(kind, steps):
    for raw in files(kinds=[kind]):
        check(raw, steps)


@pytest.mark.parametrize('kind', diffusion.KINDS)
@pytest.mark.parametrize('steps', [10, 25, 50])
def test_runs_from_latents_equal_the_reference_at_every_strength(kind, steps):
    for raw in files(kinds=[kind]):
        for strength in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
            check(raw, steps, strength)


@pytest.mark.parametrize('spacing', ['linspace', 'trailing'])
def test_other_spacings_of_the_steps_equal_the_reference(spacing):
    for raw in files([spacing], kind_of_answer=['epsilon']):
        check(raw, 25)
        check(raw, 10, 0.6)


@pytest.mark.parametrize(
    ('kind', 'options'),
    [
        ('DDIMScheduler', {'prediction_type': 'sample', 'set_alpha_to_one': True}),
        ('DDIMScheduler', {'clip_sample': True, 'clip_sample_range': 0.7}),
        ('DDIMScheduler', {'beta_schedule': 'linear', 'beta_start': 1e-4, 'beta_end': 0.02}),
        ('DDIMScheduler', {'beta_schedule': 'squaredcos_cap_v2'}),
        ('PNDMScheduler', {'set_alpha_to_one': True, 'steps_offset': 0}),
        ('EulerDiscreteScheduler', {'prediction_type': 'sample'}),
        ('EulerDiscreteScheduler', {'final_sigmas_type': 'sigma_min'}),
        ('DPMSolverMultistepScheduler', {'prediction_type': 'sample'}),
        ('DPMSolverMultistepScheduler', {'solver_order': 1}),
        ('DPMSolverMultistepScheduler', {'final_sigmas_type': 'sigma_min'}),
        ('DPMSolverMultistepScheduler', {'final_sigmas_type': 'sigma_min', 'steps': 25}),
        ('DPMSolverMultistepScheduler', {'final_sigmas_type': 'sigma_min', 'euler_at_final': True}),
    ],
)
def test_options_equal_the_reference(kind, options):
    steps = options.get('steps', 10)
    options = {k: v for k, v in options.items() if k != 'steps'}
    check(V1 | {'_class_name': kind} | options, steps)


def test_a_file_with_defaults_alone_means_what_it_means_to_the_reference():
    for kind in diffusion.KINDS:
        raw = {'_class_name': kind} | ({'skip_prk_steps': True} if kind[0] == 'P' else {})
        check(raw, 12)


def test_fresh_noise_is_added_as_in_the_reference():
    raw, rng = V2 | {'timestep_spacing': 'leading'}, jax.random.key(3)
    noises = [jax.random.normal(jax.random.fold_in(rng, i), (2, 5, 4, 3)) for i in range(10)]
    noises = [reference.nchw(z) for z in noises]
    wanted, start, noise, _ = theirs(raw, 10, eta=0.8, noises=noises)
    got, plan = ours(raw, 10, start, noise, eta=0.8, rng=rng)
    assert np.abs(got - wanted).max() < 1e-5 * np.abs(wanted).max()
    with pytest.raises(errors.ConfigError, match='give a jax key'):
        diffusion.sample(None, plan, noise)


@pytest.mark.parametrize('answer', ['epsilon', 'v_prediction', 'sample'])
@pytest.mark.parametrize('kind', diffusion.KINDS)
def test_a_net_that_knows_the_answer_gets_the_latents_back(kind, answer):
    if answer != 'epsilon' and kind == 'PNDMScheduler':
        return  # it mixes answers of several steps before it asks what they mean
    options = {'prediction_type': answer, 'timestep_spacing': 'leading'}
    config = diffusion.read(V1 | options, kind)
    random = np.random.default_rng(7)
    clean, noise = random.standard_normal((2, 3, 4, 2, 5)).astype(np.float32)

    def perfect(x, t):
        return diffusion.target(config, clean, noise, jnp.full(3, t, int))

    # With PNDM in the middle of the list the reference itself leaves the path.
    strength = 1.0 if kind == 'PNDMScheduler' else 0.6
    plan = diffusion.plan(config, 20, strength)
    if strength < 1:
        x = diffusion.begin(plan, noise, clean)
    else:
        x = diffusion.add_noise(config, clean, noise, plan.timesteps[:1].repeat(3).astype(int))
    back = diffusion.sample(perfect, plan, x)
    if kind in ('DDIMScheduler', 'PNDMScheduler'):  # the last step leads to the noise of step 0
        clean = diffusion.add_noise(config, clean, noise, np.zeros(3, int))
    np.testing.assert_allclose(back, clean, atol=2e-4)


def test_noise_is_added_as_in_the_reference():
    config, random = diffusion.read(V1), np.random.default_rng(11)
    latents, noise = random.standard_normal((2, 4, 3, 2, 6)).astype(np.float32)
    times = np.array([0, 1, 500, 999])
    scheduler = diffusers.DDIMScheduler.from_config(V1)
    both = reference.nchw(latents), reference.nchw(noise), torch.from_numpy(times)
    got = diffusion.add_noise(config, latents, noise, times)
    assert reference.relative(got, reference.nhwc(scheduler.add_noise(*both))) < 1e-6
    config = diffusion.read(V2)
    got = diffusion.target(config, latents, noise, times)
    assert reference.relative(got, reference.nhwc(scheduler.get_velocity(*both))) < 1e-6


def test_guidance_leads_away_from_the_empty_text():
    weights = jnp.arange(1.0, 4.0)

    def apply(x, times, states):
        assert times.shape == (len(x),)
        return x * weights + states.mean((1, 2))[:, None, None, None]

    x, states, empty = jnp.ones((2, 2, 2, 3)), jnp.ones((2, 4, 5)), jnp.full((1, 4, 5), -1.0)
    got = diffusion.guided(apply, states, empty, 7.5)(x, 10)
    np.testing.assert_allclose(got, weights - 1 + 7.5 * 2 + 0 * x, rtol=1e-6)
    alone = diffusion.guided(lambda x, t, s: apply(x, t, s) * len(x), states, empty, 1)(x, 10)
    np.testing.assert_allclose(alone, 2 * (weights + 1) + 0 * x, rtol=1e-6)


def test_gradients_reach_through_the_last_steps_alone():
    plan = diffusion.plan(diffusion.read(V1, 'DPMSolverMultistepScheduler'), 6)
    noise = np.random.default_rng(1).standard_normal((1, 3, 3, 3)).astype(np.float32)
    x = diffusion.begin(plan, noise)

    def loss(shift, x, last, remat=False):
        def denoise(x, t):
            return net(jnp, x, t) + shift

        return (diffusion.sample(denoise, plan, x, last=last, remat=remat) ** 2).sum()

    run = jax.jit(jax.value_and_grad(loss, (0, 1)), static_argnums=(2, 3))
    value, (whole, to_noise) = run(jnp.zeros(3), x, None, False)
    _, (again, same) = run(jnp.zeros(3), x, None, True)
    np.testing.assert_allclose(again, whole, rtol=1e-4)
    np.testing.assert_allclose(same, to_noise, rtol=1e-4, atol=1e-6)
    steps = 1e-2 * jnp.eye(3)
    ends = [[run(sign * step, x, None, False)[0] for sign in (1, -1)] for step in steps]
    np.testing.assert_allclose(whole, [(a - b) / 2e-2 for a, b in ends], rtol=2e-2)
    cut, (last, to_noise) = run(jnp.zeros(3), x, 2, False)
    assert not np.any(to_noise)
    assert np.all(np.isfinite(last)) and not np.allclose(last, whole, rtol=1e-3)
    assert float(cut) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'_class_name': 'HeunDiscreteScheduler'}, 'HeunDiscreteScheduler'),
        ({'_class_name': None}, 'known are DDIMScheduler'),
        ({'skip_prk_steps': False}, 'skip_prk_steps = False'),
        ({'beta_schedule': 'cubic'}, 'cubic'),
        ({'trained_betas': [0.1]}, 'trained_betas'),
        ({'prediction_type': 'sample'}, 'sample'),
        ({'colour': 1}, "unknown option 'colour'"),
        ({'_class_name': 'DDIMScheduler', 'thresholding': True}, 'thresholding = True'),
        ({'_class_name': 'DDIMScheduler', 'rescale_betas_zero_snr': True}, 'rescale_betas'),
        ({'_class_name': 'EulerDiscreteScheduler', 'use_karras_sigmas': True}, 'karras'),
        ({'_class_name': 'DPMSolverMultistepScheduler', 'solver_order': 3}, 'solver_order = 3'),
        ({'_class_name': 'DPMSolverMultistepScheduler', 'algorithm_type': 'dpmsolver'}, "'dpms"),
    ],
)
def test_options_that_are_not_built_are_named(options, named):
    with pytest.raises(errors.ConfigError, match=named):
        diffusion.read(V1 | options)


def test_an_option_of_another_scheduler_is_passed_over():
    raw = V1 | {'use_karras_sigmas': True, 'solver_order': 3, 'thresholding': True}
    assert diffusion.read(raw) == diffusion.read(V1)


@pytest.mark.parametrize('kind', diffusion.KINDS)
def test_written_files_are_read_by_the_reference_and_by_us(kind):
    config = diffusion.read(V1, kind)
    raw = diffusion.write(config)
    assert diffusion.read(raw) == config
    check(raw, 15)


def test_a_run_that_makes_no_sense_is_refused():
    config = diffusion.read(V2)
    for steps, options in ((0, {}), (1001, {}), (5, {'strength': 0.1}), (5, {'strength': 1.2})):
        with pytest.raises(errors.ConfigError):
            diffusion.plan(config, steps, **options)
    with pytest.raises(errors.ConfigError, match='eta'):
        diffusion.plan(diffusion.read(V1), 5, eta=1.0)


def test_more_steps_than_a_schedule_has_places_for_are_refused():
    for raw in (V1, V2):  # their offset of 1 would reach one step too far
        assert len(diffusion.plan(diffusion.read(raw), 999)) >= 999
        with pytest.raises(errors.ConfigError, match='step 1000 of 1000.*fewer'):
            diffusion.plan(diffusion.read(raw), 1000)
    config = diffusion.read(V2, 'DPMSolverMultistepScheduler')
    assert len(diffusion.plan(config, 999)) == 999
    with pytest.raises(errors.ConfigError, match='twice'):
        diffusion.plan(config, 1000)


def test_one_plan_is_traced_once_for_all_strengths_of_its_length():
    count = []

    @jax.jit
    def run(plan, x):
        count.append(1)
        return diffusion.sample(lambda x, t: x, plan, x)

    config = diffusion.read(V2)
    for steps, strength in ((10, 0.5), (50, 0.1), (5, 1.0)):
        run(diffusion.plan(config, steps, strength), jnp.ones((1, 2, 2, 1)))
    assert len(count) == 1


def test_gradients_that_are_cut_go_on_to_the_latents_that_are_named():
    plan = diffusion.plan(diffusion.read(V1), 6)
    random = np.random.default_rng(0)
    start, goal = random.standard_normal((2, 1, 2, 2, 3)).astype(np.float32)

    def loss(x, gain, **how):
        denoise = lambda x, t: gain * net(jnp, x, t)  # noqa: E731
        clean = diffusion.sample(denoise, plan, diffusion.begin(plan, x), **how)
        return ((clean - goal) ** 2).sum()

    def slopes(**how):
        def total(x, gain):
            named = {'through': x} if how.pop('named', False) else {}
            return loss(x, gain, **how, **named)

        return jax.jit(jax.value_and_grad(total, (0, 1)))(start, 1.0)

    whole, cut, named = slopes(), slopes(last=2), slopes(last=2, named=True)
    np.testing.assert_allclose([cut[0], named[0]], whole[0], rtol=1e-6)
    assert not cut[1][0].any() and np.abs(named[1][0]).max() > 0.01
    np.testing.assert_allclose(named[1][1], cut[1][1], rtol=1e-6)
    assert abs(cut[1][1] / whole[1][1] - 1) > 0.01
    # All steps are the last ones: nothing is cut.
    np.testing.assert_allclose(slopes(last=99, named=True)[1][0], whole[1][0], rtol=1e-5)
