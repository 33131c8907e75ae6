import jax
import numpy as np

from recon.core import rng


def test_a_purpose_has_its_own_stream_and_always_the_same():
    a, b = rng.generator(3, 'a').random(4), rng.generator(3, 'b').random(4)
    np.testing.assert_array_equal(a, rng.generator(3, 'a').random(4))
    assert not np.allclose(a, b) and not np.allclose(a, rng.generator(4, 'a').random(4))
    key = jax.random.key(0)
    assert rng.named(key, 'x') == rng.named(key, 'x') != rng.named(key, 'y')


def test_no_row_keeps_its_place_in_a_derangement():
    for n in (2, 3, 10, 101):
        order = rng.derangement(rng.generator(n, 'd'), n)
        assert sorted(order) == list(range(n)) and (order != np.arange(n)).all()
