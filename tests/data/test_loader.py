import numpy as np
import pytest

from recon.data import loader


@pytest.mark.parametrize(('n', 'batch'), [(20, 6), (7, 16), (12, 12)])
def test_every_row_comes_once_in_an_epoch_and_orders_differ(n, batch):
    steps = -(-5 * n // batch)
    rows = np.concatenate([loader.rows(3, i, n, batch) for i in range(steps)])
    epochs = rows[: 5 * n].reshape(5, n)
    assert (np.sort(epochs, 1) == np.arange(n)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 5


def test_a_batch_is_a_function_of_seed_and_step():
    late = loader.rows(1, 900, 50, 8)
    loader._order.cache_clear()
    np.testing.assert_array_equal(loader.rows(1, 900, 50, 8), late)
    assert late.shape == (8,) and late.dtype == np.int64
    assert not np.array_equal(loader.rows(2, 900, 50, 8), late)


@pytest.mark.parametrize('parts', [2, 3, 6])
def test_all_parts_together_are_the_rows_of_one(parts):
    found = [loader.rows(5, 4, 17, 6, part, parts) for part in range(parts)]
    np.testing.assert_array_equal(np.concatenate(found), loader.rows(5, 4, 17, 6))
