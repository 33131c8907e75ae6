"""Sizes and equivariance; the numbers are compared with diffusers' in tests/zoo/test_sd_vae.py."""

import jax
import numpy as np
import pytest

from recon.core import autoencoder


def made(kind, x, features, widths, **options):
    net = kind(features, widths, layers=1, groups=2, **options)
    params = jax.jit(net.init)(jax.random.key(len(widths)), x)['params']
    return jax.jit(lambda p, x: net.apply({'params': p}, x)), params


@pytest.mark.parametrize(('widths', 'size'), [((4, 6), (6, 10)), ((2, 4, 4), (8, 12))])
def test_the_halves_halve_and_double_once_for_each_level_but_the_first(widths, size):
    factor = 2 ** (len(widths) - 1)
    x = np.random.default_rng(0).standard_normal((2, *size, 3)).astype(np.float32)
    encode, params = made(autoencoder.Encoder, x, 5, widths)
    small = encode(params, x)
    assert small.shape == (2, size[0] // factor, size[1] // factor, 5)
    decode, params = made(autoencoder.Decoder, small, 3, widths)
    assert decode(params, small).shape == x.shape
    ups = [name for name in params if name.endswith('upsamplers.0')]
    assert len(ups) == len(widths) - 1


def test_attention_is_in_the_middle_or_nowhere():
    x = np.ones((1, 4, 4, 3), np.float32)
    _, whole = made(autoencoder.Decoder, x, 3, (2, 4))
    _, without = made(autoencoder.Decoder, x, 3, (2, 4), attention=False)
    count = lambda tree: len(jax.tree.leaves(tree))  # noqa: E731
    assert count(whole) == count(without) + 10  # a norm and four layers, a kernel and a bias each


def test_rows_do_not_see_each_other():
    x = np.random.default_rng(1).standard_normal((3, 4, 4, 2)).astype(np.float32)
    decode, params = made(autoencoder.Decoder, x, 3, (2, 2))
    alone = [decode(params, row[None])[0] for row in x]
    np.testing.assert_allclose(decode(params, x), np.stack(alone), atol=1e-5)
