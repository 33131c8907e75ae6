import jax
import numpy as np
import pytest

from recon.core import errors
from recon.train import checkpoint


def test_parameters_come_back_bit_for_bit(tmp_path):
    params = {
        'w': np.random.default_rng(0).random((3, 4)).astype(np.float32),
        'inner': {'mask': np.array([True, False]), 'size': np.array([2, 3]), 'x': np.array(2.5)},
        'jax': jax.numpy.arange(3.0),
    }
    checkpoint.save(tmp_path / 'c', params)
    back = checkpoint.load(tmp_path / 'c')
    jax.tree.map(np.testing.assert_array_equal, back, jax.tree.map(np.asarray, params))
    assert back['inner']['mask'].dtype == bool and back['w'].dtype == np.float32


def test_nothing_there_is_none_and_a_broken_one_is_named(tmp_path):
    assert checkpoint.load(tmp_path / 'c') is None
    checkpoint.save(tmp_path / 'c', {'w': np.ones(3)})
    for path in (tmp_path / 'c').rglob('*'):
        if path.is_file():
            path.write_bytes(b'broken')
    with pytest.raises(errors.DataInvalid, match='remove this folder'):
        checkpoint.load(tmp_path / 'c')


def test_parameters_of_other_rows_or_options_do_not_count(tmp_path):
    checkpoint.save(tmp_path / 'c', {'w': np.ones(3)}, 'one')
    assert checkpoint.load(tmp_path / 'c', 'one') is not None
    assert checkpoint.load(tmp_path / 'c', 'two') is None
    checkpoint.save(tmp_path / 'c', {'w': np.zeros(3)}, 'two')
    assert checkpoint.load(tmp_path / 'c', 'two')['w'].sum() == 0
