import numpy as np
import pytest

from recon.core import errors, types
from recon.data.formats import kamitani_checks as checks
from recon.data.formats import kamitani_rows


def part(ids, run=None, session=None, scale=1.0, seed=0):
    n = len(ids)
    voxels = np.random.default_rng(seed).standard_normal((n, 50)) * scale
    return kamitani_rows.Part(
        voxels.astype(np.float32),
        np.array(ids),
        np.zeros(n, int) if run is None else np.array(run),
        np.full(n, -1) if session is None else np.array(session),
    )


def test_sessions_of_a_file_follow_on_those_of_the_file_before():
    parts = {
        'train': part('aaa', session=[1, 2, 3]),
        'test': part('bb', session=[1, 2]),
        'letters': part('c'),
        'imagery': part('dd', session=[9, 10]),  # told apart already
    }
    told, there, missing = checks.sessions(parts)
    assert told['train'].session.tolist() == [1, 2, 3] and told['test'].session.tolist() == [4, 5]
    assert told['letters'].session.tolist() == [-1] and told['imagery'].session.tolist() == [9, 10]
    assert there == [1, 2, 3, 4, 5, 9, 10] and missing == []


@pytest.mark.parametrize(
    ('train', 'test', 'missing'),
    [([1, 2, 4], [1, 2], [3]), ([2, 3], [1, 3], [1, 5]), ([1, 2], [1, 2], [])],
)
def test_a_missing_session_is_named(train, test, missing):
    parts = {'train': part('a' * len(train), session=train), 'test': part('bb', session=test)}
    assert checks.sessions(parts)[2] == missing


@pytest.mark.parametrize(('name', 'factor'), [('test', 300), ('test', 1 / 300), ('imagery', 25)])
def test_a_part_in_another_unit_than_training_is_refused(name, factor):
    parts = {'train': part('abcd'), 'test': part('efgh'), 'imagery': part('ijkl')}
    assert checks.check_unit(parts, 'here') == []
    parts[name] = part('mnop', scale=factor)
    with pytest.raises(errors.DataInvalid, match=f'voxels of {name} spread by.*one unit'):
        checks.check_unit(parts, 'here')


@pytest.mark.parametrize(('scale', 'noted'), [(300, True), (3, False), (0.1, False), (1e-4, True)])
def test_a_factor_in_the_whole_file_is_noted(scale, noted):
    notes = checks.check_unit(
        {'train': part('abcd', scale=scale), 'test': part('ef', scale=scale)}, ''
    )
    assert len(notes) == noted and all('scale factor' in note for note in notes)


def test_values_that_are_not_finite_do_not_hide_the_unit():
    spoilt = part('abcd')
    spoilt.voxels[1, 3], spoilt.voxels[2, 4] = np.nan, np.inf
    assert checks.check_unit({'train': spoilt, 'test': part('efgh')}, '') == []
    spoilt.voxels[0] = np.nan
    assert checks.check_unit({'train': spoilt, 'test': part('efgh')}, '') == []


def test_a_missing_run_shows_in_the_counts_of_presentations():
    shown, run = list('abcd') * 3, np.repeat([1, 2, 3], 4)
    assert checks.counts({'train': part(shown, run)}, {'train': (4, 3)}) == []
    notes = checks.counts({'train': part(shown[:-2], run[:-2])}, {'train': (4, 3)})
    assert 'shown 2 to 3 times, 2 of 4 fewer' in notes[0] and 'runs have 2 to 4 rows' in notes[1]
    notes = checks.counts({'train': part(shown[:-4], run[:-4])}, {'train': (4, 3)})
    assert notes == ['train: 4 images shown 2 times; published are 4 shown 3 times']


def test_categories_of_training_and_test_and_those_in_both_are_counted():
    def split(*ids):
        return types.Split(np.zeros((len(ids), 2), np.float32), np.array(ids))

    made = {
        'train': split('n01443537_1', 'n01443537_2', 'n02071294_1'),
        'test': split('n02071294_7', 'n02071294_7', 'n03000000_1'),
    }
    assert checks.categories(made) == {'train': 2, 'test': 2, 'shared': 1}


def test_empty_areas_and_unknown_hemispheres_are_noted():
    columns = np.ones(3, bool)
    rois = {'V1': columns, 'FFA': ~columns}
    brain = kamitani_rows.Cortex(columns, rois, {'hemisphere': np.zeros(3, np.int8)})
    assert checks.cortex_notes(brain) == ['area FFA has no voxel']
    assert (
        'hemispheres are unknown' in checks.cortex_notes(kamitani_rows.Cortex(columns, {}, {}))[0]
    )


@pytest.mark.parametrize(
    ('train', 'test', 'missing'),
    [
        ([1, 1, 2, 4, 5], [1, 2], {'train': [3]}),  # each part counts from 1
        ([1, 2, 3], [2, 3, 6], {'test': [4, 5]}),
        ([1, 2, 5, 6], [3, 4, 7], {}),  # numbered throughout, the parts in turns
        ([1, 2, 5, 7], [3, 4, 8], {'train or test': [6]}),
        ([1, 2, 4], [6, 8, 9], {'train': [3], 'test': [7]}),
        ([2, 3], [2, 3], {}),
        ([-1, -1], [0, 0], {}),
    ],
)
def test_a_run_that_lacks_between_others_is_named(train, test, missing):
    parts = {
        name: part('a' * len(runs), run=runs) for name, runs in (('train', train), ('test', test))
    }
    notes = []
    found = checks.run_facts(parts, notes)
    assert found == ({'missing_runs': missing} if missing else {})
    assert len(notes) == len(missing) and all('are missing, by their numbers' in n for n in notes)


def test_runs_that_begin_anew_in_each_session_are_looked_at_session_by_session():
    parts = {'train': part('a' * 6, run=[1, 2, 3, 1, 3, 4], session=[1, 1, 1, 2, 2, 2])}
    assert checks.missing_runs(parts) == {'train, session 2': [2]}
    parts = {'train': part('a' * 5, run=[1, 2, 4, 5, 6], session=[1, 1, 1, 2, 2])}
    assert checks.missing_runs(parts) == {'train': [3]}
