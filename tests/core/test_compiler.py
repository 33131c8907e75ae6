"""XLA is told how to convolve on CPU, where it understands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.core import compiler


@pytest.fixture(autouse=True)
def fresh():
    compiler.options.cache_clear()
    yield
    compiler.options.cache_clear()


def _convolve(x, kernel):
    axes = ('NHWC', 'HWIO', 'NHWC')
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), 'VALID', dimension_numbers=axes)


def test_a_convolution_is_the_same_and_not_made_by_the_slow_library():
    random = np.random.default_rng(4)
    x = random.standard_normal((2, 19, 23, 32), np.float32)
    kernel = random.standard_normal((5, 5, 32, 24), np.float32)
    told = jax.jit(_convolve, compiler_options=compiler.options())
    np.testing.assert_allclose(told(x, kernel), jax.jit(_convolve)(x, kernel), rtol=1e-4, atol=1e-3)
    assert 'ynn' not in told.lower(x, kernel).compile().as_text()


def test_an_xla_that_does_not_know_the_option_is_told_nothing(monkeypatch):
    monkeypatch.setattr(compiler, '_PLAIN', {'xla_cpu_no_such_option': ''})
    assert compiler.options() is None


def test_other_devices_are_told_nothing(monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert compiler.options() is None


def test_what_is_told_can_be_compiled():
    assert jax.jit(lambda x: x + 1, compiler_options=compiler.options())(jnp.ones(3))[0] == 2
