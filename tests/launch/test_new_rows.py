import zipfile

import numpy as np
import pytest

from launch import new_rows
from recon.core import errors

RANDOM = np.random.default_rng(0)
XYZ = RANDOM.uniform(-60, 60, (6, 3)).astype(np.float32)
KEPT = {
    'voxels': np.array([6]),
    'seen': np.arange(10),
    'info/xyz': XYZ,
    'info/hemisphere': np.array([0, 0, 0, 1, 1, 1], np.int8),
    'roi/V1': np.array([1, 0, 0, 1, 0, 0], bool),
}


def rows(n=4, **more):
    return {'voxels': RANDOM.standard_normal((n, 6)).astype(np.float32)} | more


def test_npy_and_npz_hold_the_same_rows(tmp_path):
    held = rows(image_id=np.array([20, 20, 21, 22]), session=np.array([1, 1, 1, 2]))
    np.savez(tmp_path / 'a.npz', **held)
    np.save(tmp_path / 'a.npy', held['voxels'])
    named, plain = (new_rows.split(new_rows.read(tmp_path / f'a.{k}')) for k in ('npz', 'npy'))
    np.testing.assert_array_equal(named.voxels, plain.voxels)
    assert named.image_id.tolist() == [20, 20, 21, 22] and named.session.tolist() == [1, 1, 1, 2]
    assert plain.image_id.tolist() == [0, 1, 2, 3] and set(plain.session) == {-1}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({'betas': np.zeros((2, 3))}, 'has no voxels'),
        ({'voxels': np.zeros(3)}, r'voxels are float64 \(3,\)'),
        ({'voxels': np.array([['a', 'b']])}, 'voxels are <U1'),
        ({'voxels': np.array([[None]])}, 'cannot be read'),
    ],
)
def test_a_file_without_rows_of_numbers_is_refused(tmp_path, content, message):
    np.savez(tmp_path / 'a.npz', **content)
    with pytest.raises(errors.DataInvalid, match=message):
        new_rows.read(tmp_path / 'a.npz')


def test_a_file_that_is_not_there_or_is_cut_short_is_refused(tmp_path):
    with pytest.raises(errors.DataMissing, match='no such file'):
        new_rows.read(tmp_path / 'a.npz')
    np.savez(tmp_path / 'a.npz', **rows())
    (tmp_path / 'a.npz').write_bytes((tmp_path / 'a.npz').read_bytes()[:150])
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        new_rows.read(tmp_path / 'a.npz')


@pytest.mark.parametrize(
    'more',
    [
        {'image_id': np.arange(3)},
        {'image_id': np.array([0.5, 1, 2, 3])},
        {'session': np.zeros((4, 1), int)},
        {'run': np.array(['a', 'b', 'c', 'd'])},
    ],
)
def test_what_is_not_one_entry_a_row_is_refused(more):
    with pytest.raises(errors.DataInvalid, match=f'{next(iter(more))} is'):
        new_rows.split(rows(**more))


def test_voxels_in_another_order_are_refused_and_the_first_is_named():
    held = rows(xyz=XYZ.astype(np.float64), hemisphere=KEPT['info/hemisphere'].astype(int))
    assert new_rows.check_voxels(held, KEPT) == ['hemisphere', 'xyz']
    swapped = XYZ[[0, 1, 3, 2, 4, 5]]
    with pytest.raises(errors.DataInvalid, match='xyz is not .* of 2 voxels, first 2'):
        new_rows.check_voxels(rows(xyz=swapped), KEPT)
    with pytest.raises(errors.DataInvalid, match='hemisphere is not'):
        new_rows.check_voxels(rows(hemisphere=1 - KEPT['info/hemisphere']), KEPT)
    with pytest.raises(errors.DataInvalid, match='roi_V1 is not'):
        new_rows.check_voxels(rows(roi_V1=~KEPT['roi/V1']), KEPT)
    assert new_rows.check_voxels(rows(roi_V1=KEPT['roi/V1']), KEPT) == ['roi_V1']


def test_another_number_of_voxels_and_unknown_fields_are_refused():
    with pytest.raises(errors.DataInvalid, match=r'rows of \(5,\) voxels.*\(6,\)'):
        new_rows.check_voxels({'voxels': np.zeros((2, 5), np.float32)}, KEPT)
    with pytest.raises(errors.DataInvalid, match="'vertex' is no field.*xyz"):
        new_rows.check_voxels(rows(vertex=np.arange(6)), KEPT)
    with pytest.raises(errors.DataInvalid, match='has shape'):
        new_rows.check_voxels(rows(xyz=XYZ[:5]), KEPT)


def test_pictures_of_the_training_are_refused_counted_or_unknown():
    facts = {'source': 'god', 'test': 'file'}
    old, new = (rows(image_id=np.array(ids)) for ids in ([3, 3, 4, 50], [50, 51, 52, 53]))
    with pytest.raises(errors.LeakError, match='2 of 3 test images were trained on, first 3'):
        new_rows.refuse_seen(old, KEPT, facts)
    assert new_rows.refuse_seen(old, KEPT, facts, allow=True) == 2
    assert new_rows.refuse_seen(new, KEPT, facts) == 0
    assert new_rows.refuse_seen(rows(), KEPT, facts) is None
    other = old | {'id_space': np.array('numbers of this lab')}
    assert new_rows.refuse_seen(other, KEPT, facts) is None


def test_relatives_of_nsd_are_refused_by_name_where_ids_cannot_tell():
    course = {'source': 'algonauts2023', 'id_space': 'course', 'contains_shared1000': True}
    held = rows(image_id=np.array([90, 91, 92, 93]), source=np.array('nsd'))
    with pytest.raises(errors.LeakError, match='cannot be told'):
        new_rows.refuse_seen(held, KEPT, course)
    assert new_rows.refuse_seen(held, KEPT, course | {'id_space': 'nsd'}) == 0
    assert new_rows.refuse_seen(rows(image_id=held['image_id']), KEPT, {'source': 'nsd'}) == 0
    with pytest.raises(errors.LeakError):
        new_rows.refuse_seen(rows(image_id=np.arange(4)), KEPT, {'source': 'nsd'})


@pytest.mark.parametrize('member', ['voxels', 'voxels.npy'])
def test_a_member_that_is_no_array_ends_with_one_line(tmp_path, member):
    with zipfile.ZipFile(tmp_path / 'x.npz', 'w') as file:
        file.writestr(member, 'hello')
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        new_rows.read(tmp_path / 'x.npz')


def test_a_damaged_header_ends_with_one_line(tmp_path):
    path = tmp_path / 'x.npy'
    np.save(path, np.zeros((3, 4)))
    path.write_bytes(path.read_bytes().replace(b'(3, 4)', b'((3, 4'))
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        new_rows.read(path)


def test_rows_without_a_measurement_are_refused_and_counted():
    voxels = RANDOM.standard_normal((4, 6))
    voxels[1], voxels[3] = 0, 2.5
    with pytest.raises(errors.DataInvalid, match=r'row 1 has one value.*2 of 4'):
        new_rows.split({'voxels': voxels})
    with pytest.raises(errors.DataInvalid, match='no rows'):
        new_rows.split({'voxels': voxels[:0]})


def test_what_ids_mean_is_one_text(tmp_path):
    np.savez(tmp_path / 'x.npz', voxels=np.ones((2, 3)), source=np.array(['a', 'b']))
    with pytest.raises(errors.DataInvalid, match='source is .* wanted: one text'):
        new_rows.read(tmp_path / 'x.npz')
