import dataclasses
import zipfile

import ml_collections
import numpy as np
import pytest

from launch import new_rows
from recon.core import errors, types
from recon.data.preprocess import normalise

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


@pytest.mark.parametrize(
    ('content', 'message'),
    [(b'1.5, 2.5\n', "begins with '1.5, 2'"), (b'', 'it is empty'), (b'\x80\x04]', 'neither')],
)
@pytest.mark.parametrize('name', ['a.npy', 'a.npz'])
def test_text_under_another_name_is_told_without_talk_of_pickles(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.DataInvalid, match=message) as caught:
        new_rows.read(tmp_path / name)
    assert 'numpy.save' in str(caught.value) and 'pickle' not in str(caught.value)


def test_python_objects_are_told_without_talk_of_pickles(tmp_path):
    np.save(tmp_path / 'a.npy', np.array([{}]))
    with pytest.raises(errors.DataInvalid, match='it holds Python objects') as caught:
        new_rows.read(tmp_path / 'a.npy')
    assert 'pickle' not in str(caught.value)


def prepared(n=8, order=('normalise',), **options):
    """(preprocess, kept, rows of the same kind) of a run on rows of mean 5 and deviation 3."""
    options = normalise.DEFAULTS | options
    session = np.arange(n, dtype=np.int32) % 2
    train = types.Split(
        (5 + 3 * RANDOM.standard_normal((n, 6))).astype(np.float32), np.arange(n), session=session
    )
    stats = normalise.fit(options, type('Brain', (), {'train': train}))
    kept = KEPT | {f'stats/normalise/{k}': v for k, v in stats.items()}
    cfg = ml_collections.ConfigDict({'order': order, 'normalise': options})
    return cfg, kept, train


@pytest.mark.parametrize('options', [{}, {'by': 'session'}, {'method': 'minmax'}])
def test_sizes_are_those_of_a_training_row(options):
    cfg, kept, rows = prepared(40, **options)
    found = new_rows.sizes(cfg, kept, rows)
    assert found.shape == (40,) and 0.3 < np.median(found) < 1.2
    assert new_rows.strange(found) == ([], '')
    more = dataclasses.replace(rows, voxels=rows.voxels * np.float32(100))
    assert (new_rows.sizes(cfg, kept, more) > new_rows.FAR).all()
    assert new_rows.sizes(ml_collections.ConfigDict({'order': ()}), kept, rows) is None


def test_values_that_overflow_once_normalised_are_refused():
    cfg, kept, rows = prepared()
    kept['stats/normalise/factor'] = 1e3 * kept['stats/normalise/factor']
    voxels = rows.voxels.copy()
    voxels[3] *= 1e37
    with pytest.raises(errors.DataInvalid, match=r'row 3 .*e\+3[78], too large .*1 of 8 rows'):
        new_rows.sizes(cfg, kept, dataclasses.replace(rows, voxels=voxels))


def test_strange_rows_are_counted_and_the_first_are_named():
    odd, said = new_rows.strange(np.array([1.0, 1e30, 0.001] + [9.0] * 5))
    assert odd == [1, 2, 3, 4, 5, 6, 7] and said.startswith('7 of 8 rows')
    assert 'row 1 (1e+30), 2 (0.001), 3 (9), 4 (9), 5 (9) ...' in said


def test_statistics_of_their_own_need_a_session_and_more_than_one_row():
    cfg, kept, rows = prepared(by='session', unseen='own')
    new_rows.check_own(cfg, kept, rows)
    for session, message in ((-1, '8 of 8 rows have no session'), (7, None)):
        other = dataclasses.replace(rows, session=np.full(8, session, np.int32))
        if message is None:
            new_rows.check_own(cfg, kept, other)
            continue
        with pytest.raises(errors.DataInvalid, match=f'{message}.*--unseen=pooled'):
            new_rows.check_own(cfg, kept, other)
    single = dataclasses.replace(rows, session=np.array([0, 1, 0, 1, 7, 0, 1, 0], np.int32))
    with pytest.raises(errors.DataInvalid, match='session 7 has a single row.*--unseen=pooled'):
        new_rows.check_own(cfg, kept, single)
    cfg.normalise.unseen = 'pooled'
    new_rows.check_own(cfg, kept, single)


def test_a_session_that_was_not_fitted_is_said():
    cfg = ml_collections.ConfigDict({'normalise': dict(by='session', unseen='own')})
    kept = {'stats/normalise/group': np.array([1, 2])}
    rows = type('Rows', (), {'session': np.array([1, 2, 7]), '__len__': lambda self: 3})()
    (said,) = new_rows.unknown_groups(cfg, kept, rows)
    assert said.startswith('1 of 3 rows are of a session') and said.endswith('their own.')
    rows.session = np.array([1, 2, 2])
    assert new_rows.unknown_groups(cfg, kept, rows) == []


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
