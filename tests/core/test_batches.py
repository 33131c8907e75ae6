import numpy as np
import pytest

from recon.core import batches


@pytest.mark.parametrize(('n', 'size'), [(7, 3), (6, 3), (2, 5), (1, 1)])
def test_each_row_gives_its_own_whatever_the_size(n, size):
    rows, seen = np.random.default_rng(n).standard_normal((n, 2, 3)), []

    def run(part):
        seen.append(len(part))
        return part.sum(1) * 2

    found = batches.apply(run, rows, size, (3,))
    np.testing.assert_allclose(found, 2 * rows.sum(1), rtol=1e-6)
    assert found.dtype == np.float32
    assert set(seen) == {min(n, size)}  # one size: one compilation


def test_no_rows_give_none():
    assert batches.apply(lambda part: part, np.zeros((0, 4)), 8, (4,)).shape == (0, 4)
