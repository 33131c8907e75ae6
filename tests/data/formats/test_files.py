import contextlib
import io
import json
import struct
import zipfile

import h5py
import numpy as np
import pandas
import pytest
import scipy.io
from PIL import Image

from recon.core import errors
from recon.data.formats import files

OPENERS = {
    'a.npy': files.npy,
    'a.npz': files.npz,
    'a.mat': files.mat,
    'b.mat': files.mat,
    'a.csv': files.table,
    'a.json': files.json,
    'a.png': files.picture,
}


@pytest.fixture
def folder(tmp_path):
    """One whole file of each kind."""
    rng = np.random.default_rng(0)
    array = rng.normal(size=(40, 30)).astype(np.float32)
    np.save(tmp_path / 'a.npy', array)
    np.savez(tmp_path / 'a.npz', x=array, names=np.array(['a', 'bc']))
    scipy.io.savemat(tmp_path / 'a.mat', {'x': array, 'y': np.arange(6).reshape(2, 3)})
    with h5py.File(tmp_path / 'b.mat', 'w', userblock_size=512) as file:
        file['x'] = array.T  # as MATLAB writes it: axes reversed
        file['y'] = np.arange(6).reshape(2, 3).T
        file['#refs#/a'] = np.zeros(3)
    with open(tmp_path / 'b.mat', 'r+b') as file:
        file.write(b'MATLAB 7.3 MAT-file'.ljust(124) + b'\x00\x02IM')
    rows = ['id,name,box'] + [f'{i},"n, {i}","(0, {i})"' for i in range(50)]
    (tmp_path / 'a.csv').write_text('\n'.join(rows))
    (tmp_path / 'a.json').write_text(json.dumps({'test': list(range(500))}))
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(tmp_path / 'a.png')
    return tmp_path


def test_arrays_are_as_numpy_scipy_and_h5py_read_them(folder):
    array = np.load(folder / 'a.npy')
    assert np.array_equal(files.npy(folder / 'a.npy', axes=2, kinds='f'), array)
    assert isinstance(files.npy(folder / 'a.npy'), np.memmap)
    held = files.npz(folder / 'a.npz')
    assert np.array_equal(held['x'], array) and held['names'].tolist() == ['a', 'bc']
    for name in ('a.mat', 'b.mat'):  # MATLAB's own order in both
        held = files.mat(folder / name)
        assert np.array_equal(held['x'], array) and held['x'].dtype == np.float32
        assert np.array_equal(held['y'], np.arange(6).reshape(2, 3))
        assert set(held) == {'x', 'y'} and set(files.mat(folder / name, ['y'])) == {'y'}
    with files.hdf5(folder / 'b.mat') as file:
        found = files.array(file, 'x', axes=2, kinds='f')
        assert np.array_equal(files.read(found, (slice(2, 5),)), array.T[2:5])
        assert np.array_equal(files.read(found, ([1, 3],)), array.T[[1, 3]])


def test_a_table_is_as_pandas_reads_it(folder):
    table, wanted = files.table(folder / 'a.csv'), pandas.read_csv(folder / 'a.csv', dtype=str)
    assert list(table) == list(wanted.columns)
    for name, column in table.items():
        assert column.tolist() == wanted[name].tolist()
    (folder / 'b.tsv').write_text('\ufeffA\tB\n1\tx\n\n2\ty\n', encoding='utf-8')
    table = files.table(folder / 'b.tsv', '\t')
    assert table['A'].tolist() == ['1', '2'] and table['B'].tolist() == ['x', 'y']


def test_a_picture_is_rgb_whatever_it_was(folder):
    grey = np.arange(200, dtype=np.uint8).reshape(10, 20)
    Image.fromarray(grey).save(folder / 'grey.png')
    assert np.array_equal(files.picture(folder / 'grey.png'), np.stack([grey] * 3, -1))
    palette = Image.open(folder / 'a.png').quantize(8)
    palette.save(folder / 'p.png')
    wanted = np.asarray(palette.convert('RGB'))
    assert np.array_equal(files.picture(folder / 'p.png'), wanted)
    Image.fromarray(np.arange(200, dtype=np.uint16).reshape(10, 20) * 300).save(folder / 'd.png')
    with pytest.raises(errors.DataInvalid, match='more than 8 bits.*d.png'):
        files.picture(folder / 'd.png')


@pytest.mark.parametrize('name', OPENERS)
def test_a_file_that_is_missing_empty_or_a_folder_is_named(folder, name):
    path = folder / name
    path.unlink()
    with pytest.raises(errors.DataMissing, match=f'no such file.*{name}'):
        OPENERS[name](path)
    path.write_bytes(b'')
    with pytest.raises(errors.DataInvalid, match=f'the file is empty.*{name}'):
        OPENERS[name](path)
    path.unlink()
    path.mkdir()
    with pytest.raises(errors.DataMissing, match=f'a folder, wanted a file.*{name}'):
        OPENERS[name](path)


@pytest.mark.parametrize('name', OPENERS)
@pytest.mark.parametrize('part', [0.02, 0.3, 0.9])
def test_a_file_that_is_cut_short_is_named_in_one_line(folder, name, part):
    path = folder / name
    whole = path.read_bytes()
    kept = whole[: max(1, int(len(whole) * part))]
    if name == 'a.csv':  # a table that ends between two rows cannot be told from a whole one
        kept = whole[: whole.find(b'\n', len(kept)) + 3]
    path.write_bytes(kept)
    with pytest.raises(errors.DataInvalid, match=name) as caught:
        OPENERS[name](path)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', [n for n in OPENERS if n != 'a.csv'])
def test_a_page_of_a_server_in_place_of_a_file_is_named(folder, name):
    (folder / name).write_bytes(b'<!DOCTYPE html><html>404</html>\n' * 40)
    with pytest.raises(errors.DataInvalid, match=name):
        OPENERS[name](folder / name)


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('name', OPENERS)
def test_random_damage_gives_an_array_or_our_own_error(folder, name, seed):
    rng = np.random.default_rng((seed, len(name)))
    content = bytearray((folder / name).read_bytes())
    for place in rng.integers(0, len(content), 12):
        content[place] = rng.integers(256)
    (folder / name).write_bytes(content)
    with contextlib.suppress(errors.UserError):
        OPENERS[name](folder / name)


def test_pickles_are_never_loaded(folder):
    class Bomb:
        def __reduce__(self):
            return (open, (str(folder / 'went off'), 'w'))

    objects = np.array([Bomb(), None], object)
    np.save(folder / 'o.npy', objects, allow_pickle=True)
    np.savez(folder / 'o.npz', x=objects)
    for name, opener in (('o.npy', files.npy), ('o.npz', files.npz)):
        with pytest.raises(errors.DataInvalid, match=f'never unpickled.*{name}'):
            opener(folder / name)
    assert not (folder / 'went off').exists()
    np.savez(folder / 'a.npy.npz', x=np.zeros(3))
    (folder / 'a.npy.npz').rename(folder / 'z.npy')
    with pytest.raises(errors.DataInvalid, match='an .npz archive, wanted .npy'):
        files.npy(folder / 'z.npy')


@pytest.mark.parametrize('old', [b"'shape': (40, 30)", b"'<f4'", b'False', b'{'])
def test_a_header_of_an_array_with_any_wrong_byte_is_our_error(folder, old):
    whole = (folder / 'a.npy').read_bytes()
    place = whole.index(old)
    for at in range(place, place + len(old)):
        for byte in b'([{"\'\\\x00\n\xff0 #':
            (folder / 'a.npy').write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            with contextlib.suppress(errors.UserError):
                files.npy(folder / 'a.npy')


def test_nobody_is_told_to_switch_safety_off(folder):
    np.save(folder / 'o.npy', np.array([{}], object), allow_pickle=True)
    (folder / 'a.npy').write_bytes(b'no array at all')
    content = npy_header((2,))
    long = content[:8] + struct.pack('<H', 60_000) + content[10:].ljust(70_000)
    (folder / 'long.npy').write_bytes(long)
    for name in ('o.npy', 'a.npy', 'long.npy'):
        with pytest.raises(errors.DataInvalid, match=name) as caught:
            files.npy(folder / name)
        assert 'allow_pickle' not in str(caught.value), caught.value
        assert 'trust' not in str(caught.value) and 'max_header' not in str(caught.value)


def npy_header(shape):
    buffer = io.BytesIO()
    header = {'descr': '<f4', 'fortran_order': False, 'shape': shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + b'\0' * 4000


def test_a_promise_of_a_million_million_values_is_refused_in_every_kind(folder):
    (folder / 'p.npy').write_bytes(npy_header((10**6, 10**6)))
    with zipfile.ZipFile(folder / 'p.npz', 'w') as archive:
        archive.writestr('x.npy', npy_header((10**6, 10**6)))
    with h5py.File(folder / 'p.mat', 'w') as file:
        file.create_dataset('x', (10**6, 10**6), 'f4', chunks=(1000, 1000))
    content = bytearray((folder / 'a.mat').read_bytes())
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {'x': np.zeros((7, 11), np.float32)})
    content = bytearray(buffer.getvalue())
    place = content.find(struct.pack('<ii', 7, 11))
    content[place : place + 8] = struct.pack('<ii', 10**6, 10**6)
    (folder / 'p5.mat').write_bytes(content)
    header = b'\x89PNG\r\n\x1a\n' + struct.pack(
        '>I4sIIBBBBB', 13, b'IHDR', 10**6, 10**6, 8, 2, 0, 0, 0
    )
    (folder / 'p.png').write_bytes(header + b'\0' * 500)
    openers = {'p.npy': files.npy, 'p.npz': files.npz, 'p5.mat': files.mat, 'p.png': files.picture}
    for name, opener in openers.items():
        with pytest.raises(errors.DataInvalid, match=name):
            opener(folder / name)
    with pytest.raises(errors.DataInvalid, match=r'promises \(1000000, 1000000\), 3,725'):
        files.mat(folder / 'p.mat')
    with (
        files.hdf5(folder / 'p.mat') as file,
        pytest.raises(errors.DataInvalid, match=r'promises \(20, 1000000\), 0.1 GiB, but 0 bytes'),
    ):
        files.read(files.array(file, 'x'), (slice(20),))


def test_what_is_promised_counts_from_the_part_that_is_asked_for(folder):
    with h5py.File(folder / 'c.h5', 'w') as file:
        file.create_dataset('x', (30_000, 1000), 'f4', chunks=(10, 1000), compression='gzip')
        file['x'][:10] = 1
    with files.hdf5(folder / 'c.h5') as file:
        part = files.read(file['x'], (slice(0, 20),))
        assert part.sum() == 10_000
        mask = np.zeros(30_000, bool)
        mask[[3, 700]] = True
        assert files.read(file['x'], (mask,)).shape == (2, 1000)
        assert files.read(file['x'], (Ellipsis, 4)).shape == (30_000,)
    files.check_promise('x', (10**4, 10**3), 4, stored=40_000)
    files.check_promise('x', (4 * 2**20,), 4, stored=1)  # small: nobody is hurt
    with pytest.raises(errors.DataInvalid, match='promises'):
        files.check_promise('x', (10**5, 10**3), 4, stored=10_000)


def test_what_breaks_while_a_block_reads_is_our_error(folder):
    with (
        pytest.raises(errors.DataInvalid, match='not an HDF5 file that can be read.*b.mat'),
        files.hdf5(folder / 'b.mat'),
    ):
        raise OSError('checksum error in chunk')
    with pytest.raises(errors.LeakError), files.hdf5(folder / 'b.mat'):
        raise errors.LeakError('ours passes through')


def test_what_is_not_in_a_file_is_named_with_what_is(folder):
    for name in ('a.mat', 'b.mat'):
        with pytest.raises(errors.DataInvalid, match='no variable z.*it holds x, y'):
            files.mat(folder / name, ('x', 'z'))
    with files.hdf5(folder / 'b.mat') as file:
        for key in ('z', '#refs#'):  # a group is no dataset
            with pytest.raises(errors.DataInvalid, match=f"no dataset '{key}'.*#refs#, x, y"):
                files.array(file, key)
        with pytest.raises(errors.DataInvalid, match=r'its shape is \(30, 40\).*wanted 3 axes'):
            files.array(file, 'x', axes=3)
        with pytest.raises(errors.DataInvalid, match='its type is float32.*wanted integers'):
            files.array(file, 'x', kinds='iu')
    with pytest.raises(errors.DataInvalid, match=r'shape is \(40, 30\).*wanted 1 axes'):
        files.npy(folder / 'a.npy', axes=1)
    np.save(folder / 'text.npy', np.array(['a']))
    with pytest.raises(errors.DataInvalid, match='type is <U1.*floats or integers or booleans'):
        files.npy(folder / 'text.npy')


def test_an_empty_variable_of_version_7_3_is_empty(folder):
    with h5py.File(folder / 'e.mat', 'w') as file:
        file['x'] = np.array([0, 7], np.uint64)
        file['x'].attrs['MATLAB_empty'] = 1
    assert files.mat(folder / 'e.mat')['x'].shape == (0, 7)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('a,b\n', 'no rows under a header'),
        ('a,b\n1,2\n3\n', 'row 2 has 1 columns, the header 2'),
        ('a,b,a\n1,2,3\n', "two columns are called 'a'"),
        ('a,b\n1,2\n3,"4', 'not a table .Error: unexpected end of data'),
    ],
)
def test_tables_that_are_edited_are_named(folder, text, message):
    (folder / 'x.csv').write_text(text)
    with pytest.raises(errors.DataInvalid, match=f'{message}.*x.csv'):
        files.table(folder / 'x.csv')
    (folder / 'y.csv').write_bytes(b'\xff\xfe\x00a,b\n')
    with pytest.raises(errors.DataInvalid, match='y.csv'):
        files.table(folder / 'y.csv')


def test_names_come_in_the_order_of_their_numbers():
    names = [f'train-{i}_nsd-{10 * i}.png' for i in (1, 2, 3, 9, 10, 11, 100)]
    shuffled = np.random.default_rng(0).permutation(names).tolist()
    assert files.natural(shuffled) == names and sorted(shuffled) != names
    assert files.natural(['b', '10.png', 'a2', '2.png', 'a', '²', '']) == ['', '2.png', '10.png', 'a', 'a2', 'b', '²']  # fmt: skip  # noqa: E501
    assert files.natural(['9/b1', '10/b1', '2/b0']) == ['2/b0', '9/b1', '10/b1']  # by the name
