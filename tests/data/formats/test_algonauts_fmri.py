import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import algonauts_fmri


def written(folder, left, right, part='training'):
    for side, array in (('lh', left), ('rh', right)):
        np.save(folder / f'{side}_{part}_fmri.npy', array)
    return algonauts_fmri.pair(folder, part)


@pytest.mark.parametrize('seed', [0, 1])
def test_rows_and_columns_are_taken_from_both_hemispheres_in_any_order(tmp_path, seed):
    rng = np.random.default_rng(seed)
    left, right = rng.standard_normal((2, 700, 9)).astype(np.float32)
    right = right[:, :5]
    arrays = written(tmp_path, left, right)
    whole = np.concatenate([left, right], 1)
    rows = rng.permutation(700)[:600]
    keep = rng.random(14) < 0.6
    found = algonauts_fmri.read(arrays, rows, keep, tmp_path)
    assert np.array_equal(found, whole[rows][:, keep]) and found.dtype == np.float32
    only = np.arange(14) >= 9  # nothing of the left
    assert np.array_equal(algonauts_fmri.read(arrays, rows, only, tmp_path), right[rows])


def test_double_precision_is_read_as_single(tmp_path):
    x = np.random.default_rng(0).standard_normal((30, 4))
    found = algonauts_fmri.read(written(tmp_path, x, x), np.arange(30), np.ones(8, bool), tmp_path)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.concatenate([x, x], 1).astype(np.float32))


@pytest.mark.parametrize('scale', [0.5, 1.0])
def test_averages_of_z_scores_pass_and_constant_vertices_do_no_harm(tmp_path, scale):
    x = scale * np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    x[:, 2] = 0
    algonauts_fmri.read(written(tmp_path, x, x), np.arange(50), np.ones(12, bool), tmp_path)


@pytest.mark.parametrize(
    ('factor', 'said'), [(300, 'multiplied by 300'), (1 / 300, 'divided by 300'), (30, 'scaled')]
)
def test_other_units_are_named(tmp_path, factor, said):
    x = factor * 0.7 * np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32)
    arrays = written(tmp_path, x, x)
    with pytest.raises(errors.DataInvalid, match=f'as if they had been {said}'):
        algonauts_fmri.read(arrays, np.arange(50), np.ones(12, bool), tmp_path)


@pytest.mark.parametrize(('side', 'sizes'), [('lh', (40, 60)), ('rh', (60, 40)), ('rh', (5, 90))])
def test_another_unit_of_one_hemisphere_is_not_hidden_by_the_other(tmp_path, side, sizes):
    rng = np.random.default_rng(0)
    halves = [0.7 * rng.standard_normal((50, n)).astype(np.float32) for n in sizes]
    halves[algonauts_fmri.SIDES.index(side)] *= 300
    arrays = written(tmp_path, *halves)
    with pytest.raises(errors.DataInvalid, match=f'responses of {side} spread.*multiplied by 300'):
        algonauts_fmri.read(arrays, np.arange(50), np.ones(sum(sizes), bool), tmp_path)


def test_the_row_of_a_value_that_is_not_finite_is_that_of_the_file(tmp_path):
    x = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    x[333, 1] = np.inf
    rows = np.arange(10, 400)
    arrays = written(tmp_path, x, np.zeros((400, 2), np.float32))
    with pytest.raises(errors.DataInvalid, match='first in row 333, vertex 1 of'):
        algonauts_fmri.read(arrays, rows, np.ones(5, bool), tmp_path)


def test_a_missing_file_and_unlike_rows_are_named(tmp_path):
    x = np.ones((5, 3), np.float32)
    with pytest.raises(errors.DataInvalid, match='5 rows of the left hemisphere, 4 of the right'):
        written(tmp_path, x, x[:4, :2])
    with pytest.raises(errors.DataInvalid, match='transpose the arrays'):
        written(tmp_path, np.ones((7, 5), np.float32), np.ones((8, 5), np.float32))
    (tmp_path / 'rh_training_fmri.npy').unlink()
    with pytest.raises(errors.DataMissing, match='rh_training_fmri.npy'):
        algonauts_fmri.pair(tmp_path, 'training')


def test_rows_must_be_as_many_as_pictures(tmp_path):
    arrays = written(tmp_path, np.ones((6, 3), np.float32), np.ones((6, 4), np.float32))
    algonauts_fmri.check_rows(arrays, 6, tmp_path)
    with pytest.raises(errors.DataInvalid, match='6 rows of responses, 5 pictures.*one row for'):
        algonauts_fmri.check_rows(arrays, 5, tmp_path)
