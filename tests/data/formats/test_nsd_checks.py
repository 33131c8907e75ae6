import types

import nibabel
import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import nsd_checks

AFFINE = np.diag([1.8, 1.8, 1.8, 1.0])


class Prepared:
    """What is asked of a store."""

    divisor = 1.0

    def __init__(self, values):
        self.values, self.shape = values, values.shape
        self.blank = np.flatnonzero(~(np.nan_to_num(values) != 0).any(1))

    def rows(self, index):
        return self.values[index]


def recording(trials=20, voxels=40, sessions=3, seed=0):
    rng = np.random.default_rng(seed)
    values = 1.5 * rng.standard_normal((trials * sessions, voxels), dtype=np.float32)
    return values, np.repeat(np.arange(1, sessions + 1), trials)


def look_at(values, session, **options):
    notes = []
    return nsd_checks.look_at(Prepared(values), session, 'here', notes, **options), notes


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('left', [None, 0, 13, 40])
def test_sound_betas_are_silent(seed, left):
    values, session = recording(seed=seed)
    keep, notes = look_at(values, session, left=left)
    assert keep.all() and notes == []


@pytest.mark.parametrize(('at', 'side'), [(np.s_[:13], 'left'), (np.s_[13:], 'right')])
@pytest.mark.parametrize('factor', [300.0, 0.0])
def test_a_hemisphere_in_another_unit_is_named(at, side, factor):
    values, session = recording()
    values[session == 2, at] *= factor
    with pytest.raises(errors.DataInvalid, match=f'session 2, {side} hemisphere'):
        look_at(values, session, left=13)


def test_a_hemisphere_of_a_few_vertices_is_not_judged_by_itself():
    values, session = recording()
    values[session == 2, :3] = 0
    keep, notes = look_at(values, session, left=3)
    assert keep.all() and notes == ['3 voxels are 0 throughout session 2: not valid in it']


@pytest.mark.parametrize('value', [0, np.nan])
def test_a_blank_trial_is_named_by_session_and_number(value):
    values, session = recording()
    values[[33, 34, 51]] = value
    message = 'session 2, trial 14 is 0 or NaN in all 40 .* 2 trials of this session, 3 of all'
    with pytest.raises(errors.DataInvalid, match=message):
        look_at(values, session)
    few = values[:, :4]  # int16 of four voxels may all be 0
    look_at(few, session)


def test_voxels_without_data_anywhere_are_few_or_refused():
    values, session = recording()
    for count, brain, refused in ((4, False, False), (5, False, True), (12, True, False)):
        empty = values.copy()
        empty[:, :count] = 0
        if not refused:
            notes = look_at(empty, session, brain=brain)[1]
            assert len(notes) == 3 and all(f'{count} voxels are 0' in note for note in notes)
            continue
        with pytest.raises(errors.DataInvalid, match='5 of 40 chosen voxels are 0 in every'):
            look_at(empty, session, brain=brain)


def test_voxels_that_are_nan_in_a_session_are_left_out():
    values, session = recording()
    values[session == 3, 7] = np.nan
    keep, notes = look_at(values, session)
    assert np.flatnonzero(~keep).tolist() == [7] and '1 vertices are NaN' in notes[0]


def test_affines_are_compared_with_those_of_nifti_files_alone(tmp_path):
    made = []
    for i, affine in enumerate((AFFINE, AFFINE + 1e-6, AFFINE * [[-1], [1], [1], [1]])):
        path = tmp_path / f'betas_session{i:02d}.nii.gz'
        nibabel.save(nibabel.Nifti1Image(np.zeros((2, 3, 4, 5), np.int16), affine), path)
        made.append(types.SimpleNamespace(recordings=[types.SimpleNamespace(path=path)]))
    other = types.SimpleNamespace(path=tmp_path / 'betas_session09.hdf5')  # it is not even there
    made.append(types.SimpleNamespace(recordings=[other]))
    (note,) = nsd_checks.other_affines(made, AFFINE)
    assert note.startswith('betas_session02.nii.gz: another affine')
    (note,) = nsd_checks.other_affines(made, 2 * AFFINE)
    assert note.startswith('betas_session00.nii.gz and 2 more')
    made[0].recordings[0].path.write_bytes(b'x' * 400)
    with pytest.raises(errors.DataInvalid, match='betas_session00'):
        nsd_checks.other_affines(made, AFFINE)


def test_sessions_after_the_last_one_are_those_answered_in():
    assert nsd_checks.not_on_disk([1, 3], [1, 2, 3, 4, 5]) == [4, 5]
    assert nsd_checks.not_on_disk([1, 3], []) == []
