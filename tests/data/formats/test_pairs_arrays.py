import h5py
import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data.formats import pairs_arrays

ARRAY = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
NAMES = ['a dog.png', 'b', 'ü']


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / 'one.npy', ARRAY)
    np.savez(tmp_path / 'one.npz', x=ARRAY)
    np.savez(tmp_path / 'two.npz', x=ARRAY, two=ARRAY + 1)
    scipy.io.savemat(tmp_path / 'one.mat', {'x': ARRAY})
    cells = np.array(NAMES, object)
    scipy.io.savemat(tmp_path / 'two.mat', {'x': ARRAY, 'two': ARRAY + 1, 'names': cells})
    with h5py.File(tmp_path / 'one.h5', 'w') as file:
        file['group/x'] = ARRAY
    with h5py.File(tmp_path / 'two.h5', 'w') as file:
        file['x'], file['two'], file['names'] = ARRAY, ARRAY + 1, NAMES
    with h5py.File(tmp_path / 'v73.mat', 'w', userblock_size=512) as file:
        file['x'] = ARRAY.T
        file['#refs#/b'] = np.zeros(4)
    (tmp_path / 'ids.txt').write_text('3\n10\n\n2\n')
    (tmp_path / 'table.csv').write_text('onset,image_id\n0.5,3\n4.5,10\n')
    (tmp_path / 'table.tsv').write_text('onset\timage_id\n0.5\t3\n4.5\t10\n')
    return tmp_path


@pytest.mark.parametrize('name', ['one.npy', 'one.npz', 'one.mat', 'one.h5', 'v73.mat'])
def test_the_only_array_needs_no_key(folder, name):
    assert np.array_equal(pairs_arrays.read(folder / name), ARRAY)


@pytest.mark.parametrize('kind', ['npz', 'mat', 'h5'])
def test_among_several_the_key_decides_or_the_name_of_the_file(folder, kind):
    path = folder / f'two.{kind}'
    assert np.array_equal(pairs_arrays.read(path, 'x'), ARRAY)
    assert np.array_equal(pairs_arrays.read(path), ARRAY + 1)
    with pytest.raises(errors.DataInvalid, match='z.*(set the key to one of|it holds).*two, x'):
        pairs_arrays.read(path, 'z')
    other = path.rename(path.with_stem('other'))
    with pytest.raises(errors.DataInvalid, match='several arrays and no key.*one of: .*two, x'):
        pairs_arrays.read(other)
    assert {'x', 'two'} <= set(pairs_arrays.many(other))


def test_a_key_may_be_a_path_and_text_is_text(folder):
    assert np.array_equal(pairs_arrays.read(folder / 'one.h5', 'group/x'), ARRAY)
    for name in ('two.mat', 'two.h5'):
        assert pairs_arrays.read(folder / name, 'names').tolist() == NAMES


def test_columns_of_tables_and_lists(folder):
    assert pairs_arrays.read(folder / 'ids.txt').tolist() == ['3', '10', '2']
    for name in ('table.csv', 'table.tsv'):
        assert pairs_arrays.read(folder / name, 'image_id').tolist() == ['3', '10']
        with pytest.raises(errors.DataInvalid, match='several columns and no key'):
            pairs_arrays.read(folder / name)
        with pytest.raises(errors.DataInvalid, match="no array 'id'.*image_id, onset"):
            pairs_arrays.read(folder / name, 'id')


def test_kinds_that_are_not_known_are_refused(folder):
    (folder / 'a.xlsx').write_bytes(b'PK')
    with pytest.raises(errors.DataInvalid, match=r'kind .xlsx are not read.*\.npy'):
        pairs_arrays.read(folder / 'a.xlsx')


def test_numbers_are_whole_or_names(folder):
    cases = {
        (3.0, 10.0): [3, 10],
        ('3', '10'): [3, 10],
        ('03', '1e1'): [3, 10],
        (b'4', b'5'): [4, 5],
        ('dog ', '3'): ['dog', '3'],
        (True, False): [1, 0],
    }
    for given, wanted in cases.items():
        for array in (np.array(given), np.array(given)[:, None], np.array(given)[None]):
            found = pairs_arrays.numbers(array, 'x')
            assert found.tolist() == wanted and found.dtype.kind in 'iU'
    for wrong in ([1.5, 2], [np.nan, 1], ['1.5', '2'], ['nan', '1']):
        with pytest.raises(errors.DataInvalid, match='row 0 is .*no whole number'):
            pairs_arrays.numbers(np.array(wrong), 'x')
    for wrong in (np.zeros((3, 2)), np.zeros(0), np.zeros(())):
        with pytest.raises(errors.DataInvalid, match='wanted one value a row'):
            pairs_arrays.numbers(wrong, 'x')


def test_files_are_found_by_name_by_pattern_or_by_the_obvious_name(folder):
    def find(given, stem='one', suffixes=('.npy',)):
        return [p.name for p in pairs_arrays.find(folder, given, stem, suffixes)]

    assert find('') == ['one.npy'] and find('', 'voxels') == []
    assert find('two.npz, one.h5') == find(('two.npz', 'one.h5')) == ['two.npz', 'one.h5']
    for i in (1, 2, 10, 9):
        np.save(folder / f'ses-{i}.npy', ARRAY)
    assert find('ses-*.npy') == [f'ses-{i}.npy' for i in (1, 2, 9, 10)]
    assert find(str(folder / 'one.npy')) == ['one.npy']
    with pytest.raises(errors.DataMissing, match=r"no file fits 'run-\*.npy'"):
        find('run-*.npy')
    with pytest.raises(errors.DataMissing, match='no three.npy.*it holds .*one.npy'):
        find('three.npy')
    with pytest.raises(errors.ConfigError, match='one.npy and one.npz are both there'):
        find('', suffixes=('.npy', '.npz'))


def test_names_without_their_endings():
    for name, stem, suffix in (
        ('lh.V1.label.gii', 'lh.V1', '.gii'),
        ('a.nii.gz', 'a', '.nii'),
        ('b.NII', 'b', '.nii'),
        ('c.d.npy', 'c.d', '.npy'),
    ):
        assert (pairs_arrays.stem(name), pairs_arrays.suffix(name)) == (stem, suffix)


def test_axes_are_words_of_a_set_in_any_order():
    wanted = (('rows', 'voxels'), ('rows', 'x', 'y', 'z'))
    assert pairs_arrays.axes('z rows  x y', 'k', wanted) == ['z', 'rows', 'x', 'y']
    for wrong in ('', 'rows', 'rows rows', 'rows columns', 'rows x y'):
        with pytest.raises(errors.ConfigError, match="k is .*'rows voxels' or 'rows x y z'"):
            pairs_arrays.axes(wrong, 'k', wanted)
