import jax
import numpy as np
import optax
import pytest

from recon.core import errors
from recon.train import optim


def run(settings, steps, n=6, seed=0):
    """Parameters after `steps` updates, ours and torch's gradients alike."""
    params = {'w': np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4), 'b': np.ones(4, 'f')}
    optimizer = optim.make(settings, n)
    state, random = optimizer.init(params), np.random.default_rng(seed)
    update = jax.jit(optimizer.update)
    for _ in range(steps):
        grads = {k: random.standard_normal(v.shape, np.float32) for k, v in sorted(params.items())}
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return jax.tree.map(np.asarray, params)


def torch_run(make, steps, clip=0.0, decay=0.0, seed=0):
    torch = pytest.importorskip('torch')
    w = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
    b = torch.nn.Parameter(torch.ones(4))
    random = np.random.default_rng(seed)
    groups = [{'params': [w], 'weight_decay': decay}, {'params': [b], 'weight_decay': 0}]
    optimizer = make(torch.optim, groups)
    for _ in range(steps):
        for parameter in (b, w):  # the order of a sorted dict
            shape = tuple(parameter.shape)
            parameter.grad = torch.from_numpy(random.standard_normal(shape, np.float32))
        if clip:
            torch.nn.utils.clip_grad_norm_([w, b], clip)
        optimizer.step()
    return {'w': w.detach().numpy(), 'b': b.detach().numpy()}


@pytest.mark.parametrize(
    ('settings', 'make'),
    [
        ({'b2': 0.98}, lambda o, g: o.AdamW(g, lr=0.01, betas=(0.9, 0.98))),
        ({'weight_decay': 0.3, 'clip': 0.5}, lambda o, g: o.AdamW(g, lr=0.01)),
        ({'optimizer': 'adam', 'b1': 0.5}, lambda o, g: o.Adam(g, lr=0.01, betas=(0.5, 0.999))),
        (
            {'optimizer': 'sgd', 'weight_decay': 0.2, 'b1': 0.8},
            lambda o, g: o.SGD(g, lr=0.01, momentum=0.8, nesterov=True),
        ),
        ({'optimizer': 'sgd', 'b1': 0, 'clip': 1}, lambda o, g: o.SGD(g, lr=0.01)),
    ],
)
def test_optimizers_are_those_of_torch(settings, make):
    constant = {'learning_rate': 0.01, 'schedule': 'constant'}
    ours = run(constant | settings, 5)
    theirs = torch_run(make, 5, settings.get('clip', 0), settings.get('weight_decay', 0))
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('settings', 'points'),
    [
        ({'schedule': 'constant'}, {0: 2, 100: 2}),
        ({'schedule': 'cosine'}, {0: 2, 50: 1, 100: 0}),
        ({'schedule': 'cosine', 'warmup': 0.2}, {0: 0, 10: 1, 20: 2, 60: 1, 100: 0}),
        ({'schedule': 'constant', 'warmup': 0.5}, {0: 0, 25: 1, 50: 2, 90: 2}),
        ({'schedule': 'step', 'warmup': 0.1}, {5: 1, 49: 2, 51: 0.2, 76: 0.02}),
        ({'schedule': 'step', 'drops': (0.9,), 'drop': 0.5}, {89: 2, 91: 1}),
        ({'schedule': 'onecycle'}, {0: 0.08, 29: 2, 64: 1, 99: 2 / 250_000, 200: 2 / 250_000}),
        ({'schedule': 'onecycle', 'warmup': 0.1}, {0: 0.08, 9: 2, 54: 1}),
        ({'schedule': 'onecycle', 'initial': 0.2, 'final': 0.1}, {0: 0.4, 29: 2, 99: 0.2}),
    ],
)
def test_schedules_pass_through_their_points(settings, points):
    rate = optim.schedule(settings | {'learning_rate': 2.0}, 100)
    for step, value in points.items():
        np.testing.assert_allclose(rate(step), value, rtol=1e-4, atol=1e-6, err_msg=str(step))


@pytest.mark.parametrize(
    ('steps', 'settings', 'theirs'),
    [
        (400, {}, {}),
        (97, {'warmup': 0.013, 'final': 4e-5}, {'pct_start': 0.013, 'final_div_factor': 1000}),
        # As the system of the residual MLP has it: from 1e-4 up to 5e-4.
        (250, {'initial': 0.2, 'final': 2e-5}, {'div_factor': 5}),
        (2, {}, {}),
    ],
)
def test_onecycle_is_torchs(steps, settings, theirs):
    torch = pytest.importorskip('torch')
    peak = 5e-4
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, peak, total_steps=steps, cycle_momentum=False, **theirs
    )
    wanted = []
    for _ in range(steps):
        wanted.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        if len(wanted) < steps:
            cycle.step()
    rate = jax.jit(
        optim.schedule({'schedule': 'onecycle', 'learning_rate': peak} | settings, steps)
    )
    ours = np.array([rate(i) for i in range(steps)])
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6 * peak)


def test_the_rate_that_is_applied_is_the_schedules():
    settings = {'optimizer': 'sgd', 'b1': 0, 'learning_rate': 0.4, 'schedule': 'cosine'}
    optimizer = optim.make(settings, 8)
    state, moved = optimizer.init(np.zeros(1)), []
    for _ in range(8):
        update, state = optimizer.update(np.ones(1, np.float32), state, np.zeros(1))
        moved.append(-float(update[0]))
    rate = optim.schedule(settings, 8)
    np.testing.assert_allclose(moved, [rate(i) for i in range(8)], rtol=1e-6)


@pytest.mark.parametrize(
    ('settings', 'name', 'wanted'),
    [
        ({'steps': 70}, '', 70),
        ({'epochs': 3}, '', 75),
        ({'epochs': 0.5}, '', 12),
        ({'examples': 600}, '', 30),
        ({'warmup_percent': 10}, 'warmup', 40),
        ({'warmup_steps': 5, 'steps': 70}, 'warmup', 5),
        ({'save_epochs': 0.001}, 'save', 1),
        ({'steps': 70}, 'warmup', None),
        ({'steps': None, 'epochs': 2}, '', 50),
    ],
)
def test_a_length_in_any_unit_becomes_steps(settings, name, wanted):
    assert optim.length(settings, name, batch=20, examples=500, total=400) == wanted


def test_two_units_at_once_and_units_without_their_base_are_refused():
    with pytest.raises(errors.ConfigError, match='steps=3 and epochs=2 are given'):
        optim.length({'steps': 3, 'epochs': 2}, batch=1, examples=1)
    with pytest.raises(errors.ConfigError, match='epochs is 2'):
        optim.length({'epochs': 2}, batch=4)
    with pytest.raises(errors.ConfigError, match='percent is 5'):
        optim.length({'percent': 5})
    with pytest.raises(errors.ConfigError, match='steps is -3'):
        optim.length({'steps': -3})
    for batch in (0, -2):
        with pytest.raises(errors.ConfigError, match=f'batch is {batch}'):
            optim.length({'epochs': 2}, batch=batch, examples=8)


@pytest.mark.parametrize(
    ('settings', 'text'),
    [
        ({'epochs': 0, 'steps': 0}, 'epochs and steps are 0 .*generator.x'),
        ({'epochs': -1}, 'epochs is -1'),
        ({'epochs': 2, 'steps': 3}, 'are given'),
        ({'epochs': 2, 'batch': 0}, 'batch is 0'),
        ({'epochs': 2, 'schedule': 'cos'}, "schedule is 'cos'"),
        ({'epochs': 2, 'learning_rate': -1.0}, 'learning_rate is -1'),
    ],
)
def test_a_training_that_cannot_be_is_refused_without_its_rows(settings, text):
    optim.check({'batch': 4, 'epochs': 0.01})
    with pytest.raises(errors.ConfigError, match=text):
        optim.check({'batch': 4} | settings, 'generator.x')


@pytest.mark.parametrize(
    ('settings', 'steps', 'text'),
    [
        ({'optimizer': 'adamm'}, 9, "optimizer is 'adamm' .*adamw, adam, sgd"),
        ({'schedule': 'cos'}, 9, "schedule is 'cos' .*cosine"),
        ({'warmup': 20}, 9, 'warmup is 20 .*0 to 1'),
        ({'learning_rate': -1}, 9, 'learning_rate is -1'),
        ({'initial': 25}, 9, 'initial is 25 .*0 to 1'),
        ({}, 0, 'steps is 0'),
    ],
)
def test_what_does_not_exist_is_refused(settings, steps, text):
    with pytest.raises(errors.ConfigError, match=text):
        optim.make(settings, steps)
