import h5py
import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import nsd_betas

GRID = (4, 5, 3)


def values(session, trials=20, positions=60, seed=0):
    rng = np.random.default_rng((seed, session))
    return (450 * rng.standard_normal((trials, positions))).astype(np.int16)


def write(path, data, grid=GRID):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, 'w') as file:
        file['betas'] = data.reshape(len(data), *grid[::-1])


def volumes(root, numbers=(1, 2, 3), ending='hdf5'):
    folder = root / 'nsddata_betas' / 'ppdata' / 'subj02' / 'func1mm' / 'betas_fithrf'
    for number in numbers:
        write(folder / f'betas_session{number:02d}.{ending}', values(number))
    return folder


def inspect(folder, numbers, form='', grids=(GRID,), positions=None):
    positions = [np.arange(60)] if positions is None else positions
    return nsd_betas.inspect(folder, numbers, form, grids, positions)


def whole(session):
    return np.concatenate(list(session.read()))


def test_versions_go_by_number_or_by_the_name_of_their_folder(tmp_path):
    made = volumes(tmp_path)
    for betas in ('b2', 'betas_fithrf'):
        assert nsd_betas.folder(tmp_path, 2, 'func1mm', betas) == made
    with pytest.raises(errors.DataMissing, match='versions there: betas_fithrf.*GLMdenoise_RR'):
        nsd_betas.folder(tmp_path, 2, 'func1mm', 'b3')
    with pytest.raises(
        errors.DataMissing, match='no betas of this space there.*launch/fetch.py nsd'
    ):
        nsd_betas.folder(tmp_path, 1, 'func1mm', 'b2')
    with pytest.raises(errors.ConfigError, match="dataset.space is 'func2mm'.*func1pt8mm"):
        nsd_betas.folder(tmp_path, 2, 'func2mm', 'b2')


def test_sessions_are_all_on_disk_or_the_first_ones(tmp_path):
    folder = volumes(tmp_path, (1, 2, 3, 4))
    assert nsd_betas.choose(folder, 0, 'refuse') == ([1, 2, 3, 4], [])
    assert nsd_betas.choose(folder, 3, 'refuse') == ([1, 2, 3], [])
    assert nsd_betas.choose(folder, 6, 'skip') == ([1, 2, 3, 4], [5, 6])
    with pytest.raises(errors.DataMissing, match='sessions 5, 6 of 6 are not on disk.*sessions'):
        nsd_betas.choose(folder, 6, 'refuse')
    for options in ((-1, 'refuse'), (0, 'ask')):
        with pytest.raises(errors.ConfigError, match="missing is 'refuse' or 'skip'"):
            nsd_betas.choose(folder, *options)


def test_a_gap_is_refused_or_skipped(tmp_path):
    folder = volumes(tmp_path, (2, 5))
    with pytest.raises(errors.DataMissing, match=r"sessions 1, 3, 4 of 5.*missing='skip'"):
        nsd_betas.choose(folder, 0, 'refuse')
    assert nsd_betas.choose(folder, 0, 'skip') == ([2, 5], [1, 3, 4])
    with pytest.raises(errors.DataMissing, match='no session of betas'):
        nsd_betas.choose(folder, 1, 'skip')
    (folder / '._betas_session01.hdf5').write_bytes(b'x')  # what some systems leave beside a file
    (folder / 'betas_session01.hdf5.part').write_bytes(b'x')
    assert nsd_betas.choose(folder, 0, 'skip')[0] == [2, 5]


def test_wanted_positions_of_each_session_are_read(tmp_path):
    folder = volumes(tmp_path)
    positions = np.array([59, 3, 17])
    sessions = inspect(folder, [1, 3], positions=[positions])
    assert [s.trials for s in sessions] == [20, 20]
    for session, number in zip(sessions, (1, 3), strict=True):
        assert np.array_equal(whole(session), values(number)[:, positions])


def test_formats_are_taken_in_turn_or_by_name(tmp_path):
    folder = volumes(tmp_path, (1,), 'mat')
    write(folder / 'betas_session01.hdf5', values(9))
    assert inspect(folder, [1])[0].recordings[0].path.suffix == '.hdf5'
    assert np.array_equal(whole(inspect(folder, [1], 'mat')[0]), values(1))
    with pytest.raises(errors.DataMissing, match='as nii.gz, only .*hdf5, .*mat'):
        inspect(folder, [1], 'nii.gz')
    with pytest.raises(errors.ConfigError, match="dataset.format is 'npy'"):
        inspect(folder, [1], 'npy')


def test_hemispheres_stand_beside_each_other_left_first(tmp_path):
    left, right = values(1, positions=13), values(2, positions=9)
    write(tmp_path / 'lh.betas_session04.hdf5', left, (13,))
    with h5py.File(tmp_path / 'rh.betas_session04.hdf5', 'w') as file:
        file.create_dataset('betas', data=right, chunks=(5, 9), compression='gzip')
    at = [np.array([1, 12]), np.array([0, 4, 8])]
    (session,) = inspect(tmp_path, [4], grids=((13,), (9,)), positions=at)
    assert np.array_equal(whole(session), np.concatenate([left[:, at[0]], right[:, at[1]]], 1))
    (tmp_path / 'lh.betas_session04.hdf5').rename(tmp_path / 'x')
    (tmp_path / 'rh.betas_session04.hdf5').rename(tmp_path / 'lh.betas_session04.hdf5')
    with pytest.raises(errors.DataMissing, match='lh.* and rh.*are not there as any one format'):
        inspect(tmp_path, [4], grids=((13,), (9,)), positions=at)
    (tmp_path / 'x').rename(tmp_path / 'rh.betas_session04.hdf5')
    with pytest.raises(errors.DataInvalid, match='left and right may be swapped'):
        inspect(tmp_path, [4], grids=((13,), (9,)), positions=at)
    write(tmp_path / 'lh.betas_session04.hdf5', left[:-1], (13,))
    write(tmp_path / 'rh.betas_session04.hdf5', right, (9,))
    with pytest.raises(errors.DataInvalid, match='unlike numbers of trials: lh.*19 and rh.*20'):
        inspect(tmp_path, [4], grids=((13,), (9,)), positions=at)


def test_sessions_of_unlike_types_are_not_mixed(tmp_path):
    folder = volumes(tmp_path)
    write(folder / 'betas_session02.hdf5', values(2).astype(np.float32))
    with pytest.raises(
        errors.DataInvalid, match=r'float32 / 1, betas_session01.hdf5 .*int16 / 300'
    ):
        inspect(folder, [1, 2, 3])


@pytest.mark.parametrize('seed', range(3))
def test_values_that_cannot_be_percent_signal_change_are_refused(seed):
    good = values(1, seed=seed).astype(np.float32) / 300
    good[:, :20] = 0
    good[3, 25] = np.nan
    for divisor in (1, 300):
        nsd_betas.check_unit(good, divisor, 'here')
    with pytest.raises(errors.DataInvalid, match='still times 300.*here|here.*still times 300'):
        nsd_betas.check_unit(good * 300, 1.0, 'here')
    with pytest.raises(errors.DataInvalid, match='before it is divided by 300.*300 once more'):
        nsd_betas.check_unit(good * 300, 300.0, 'here')  # they are no floats
    divided = np.trunc(good) / 300  # integers that were divided before they were stored
    with pytest.raises(errors.DataInvalid, match='about 300 was expected.*lost their fraction'):
        nsd_betas.check_unit(divided, 300.0, 'here')
    with pytest.raises(errors.DataInvalid, match='all of 100 values looked at are 0 or NaN'):
        nsd_betas.check_unit(np.zeros((10, 10)), 300.0, 'here')
