import numpy as np
import pytest

from recon.data.formats import pairs_units


@pytest.mark.parametrize(
    ('dtype', 'scale', 'said'),
    [
        (np.int16, 2, True),  # z-scores saved as integers
        (np.float32, 2, True),
        (np.int16, 30, False),
        (np.int16, 200, False),  # counts, or NSD's times 300: said otherwise
        (None, 2, False),
    ],
)
def test_whole_numbers_that_look_cut_are_noted(dtype, scale, said):
    values = np.random.default_rng(0).normal(size=(40, 60)) * scale
    notes = []
    pairs_units.note(values if dtype is None else np.rint(values).astype(dtype), 1, notes)
    assert any('fraction was cut off' in note for note in notes) == said
    assert any('divide=300' in note for note in notes) == (scale == 200)
    notes.clear()
    pairs_units.note(np.rint(values * 300).astype(np.int32), 300, notes)
    assert bool(notes) == (scale == 200)


def test_one_group_of_rows_in_another_unit_is_noted():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=(60, 30)) * rng.uniform(0.3, 3, 30)
        groups = rng.integers(1, 5, 60)
        assert pairs_units.uneven(values, groups, 'session') is None
        values[groups == 3] *= 300
        assert 'of session 3 by' in pairs_units.uneven(values, groups, 'session')
        assert 'of file 3 by' in pairs_units.uneven(
            values[np.isin(groups, (1, 3))], groups[np.isin(groups, (1, 3))], 'file'
        )
    assert pairs_units.uneven(np.zeros((9, 3)), np.ones(9), 'file') is None
    assert pairs_units.uneven(np.full((9, 3), np.nan), np.ones(9), 'file') is None
