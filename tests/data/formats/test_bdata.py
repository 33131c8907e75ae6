import pickle
import tracemalloc

import h5py
import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data.formats import bdata
from recon.data.layouts import _bdata as writer

bdpy = pytest.importorskip('bdpy', reason='bdpy needs Python 3.11: make PYTHON=python3.11')


def made(rows, voxels, seed):
    """A bdpy.BData with overlapping areas, NaN metadata and a value map."""
    rng = np.random.default_rng(seed)
    data = bdpy.BData()
    data.add(rng.standard_normal((rows, voxels)), 'VoxelData')
    data.add(
        1e6 + rng.integers(1, 9e6, (rows, 2)) + rng.integers(1, 10**6, (rows, 2)) / 1e6, 'Label'
    )
    codes = rng.integers(1, 4, rows).astype(float)
    codes[0] = np.nan
    data.add(codes, 'stimulus_name')
    data.add(rng.standard_normal((rows, 3)), 'Motion')
    for name in ('ROI_V1', 'ROI_VC', 'ROI_LVC'):
        data.add_metadata(name, rng.integers(0, 2, voxels), name, where='VoxelData')
    data.add_metadata('voxel_x', rng.integers(-2, 3, voxels), 'x', where='VoxelData')
    data.add_vmap('stimulus_name', {1.0: 'n01443537_22563', 2.0: 'Straße', 3.0: 'c'})
    return data


@pytest.fixture(params=[(5, 7, 0), (40, 1, 1), (1, 30, 2), (130, 61, 3)])
def pair(request, tmp_path):
    """A file by bdpy, and what bdpy itself reads from it."""
    path = tmp_path / 'a.h5'
    made(*request.param).save(str(path))
    return path, bdpy.BData(str(path))


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def test_keys_columns_and_numbers_are_those_that_bdpy_reads(pair):
    path, theirs = pair
    with bdata.opened(path) as ours:
        assert list(ours.keys) == theirs.metadata.key and ours.shape == theirs.dataset.shape
        for key in ours.keys:
            assert same(ours.values(key), theirs.get_metadata(key)), key
            assert same(ours.get(key), theirs.get(key)), key
        assert ours.get('Label').dtype == np.float64 and ours.itemsize == 8


def test_unions_intersections_and_differences_are_those_of_bdpys_select(pair):
    path, theirs = pair
    with bdata.opened(path) as ours:
        v1, vc, x = (ours.columns(k) for k in ('ROI_V1', 'ROI_VC', 'voxel_x'))
        for mask, query in (
            (ours.columns('ROI_V1', 'ROI_VC'), 'ROI_V1 | ROI_VC'),
            (v1 & vc, 'ROI_V1 & ROI_VC'),
            (vc & ~v1, 'ROI_VC - ROI_V1'),
            (ours.columns('ROI_V1', 'ROI_VC', 'ROI_LVC'), 'ROI_*'),
            (x, 'voxel_x = 1'),
        ):
            wanted, chosen = theirs.select(query, return_index=True)
            assert np.array_equal(mask, chosen), query
            assert same(ours.select(mask), wanted), query


def test_labels_are_those_of_bdpy_and_nan_is_not_available(pair):
    path, theirs = pair
    with bdata.opened(path) as ours:
        assert ours.labels('stimulus_name').tolist() == theirs.get_labels('stimulus_name')
        assert ours.labels('stimulus_name')[0] == 'n/a' and ours.vmap_keys == ('stimulus_name',)


def table(rows=20, voxels=9, seed=0):
    rng = np.random.default_rng(seed)
    return writer.Table(
        rng.standard_normal((rows, voxels)).astype(np.float32),
        {'Run': np.arange(rows) // 5, 'Label': rng.standard_normal((rows, 3))},
        {'ROI_V1': np.arange(voxels) % 2, 'voxel_x': rng.standard_normal(voxels)},
        {'Run': {i: f'run {i}' for i in range(4)}},
        {'Both': ('Run', 'Label')},
    )


@pytest.mark.parametrize('form', ['h5', 'old', 'mat'])
@pytest.mark.parametrize(('rows', 'voxels'), [(20, 9), (600, 3), (1, 1)])
def test_bdpy_reads_what_the_layouts_write_in_all_three_spellings(tmp_path, form, rows, voxels):
    path = tmp_path / ('a.mat' if form == 'mat' else 'a.h5')
    content = table(rows, voxels)
    if form == 'mat':
        writer.write_mat(path, content)
    else:
        writer.write_h5(path, content, form == 'old')
    theirs = bdpy.BData(str(path))
    assert np.array_equal(theirs.get('VoxelData'), content.voxels)
    assert np.array_equal(theirs.get('Both')[:, 1:], content.fields['Label'])
    with bdata.opened(path) as ours:
        assert list(ours.keys) == theirs.metadata.key
        for key in ours.keys:
            assert same(ours.values(key), theirs.get_metadata(key)), key
            assert same(ours.get(key), theirs.get(key)), key
        if form == 'h5' and rows == 20:
            assert ours.labels('Run').tolist() == theirs.get_labels('Run')


def test_only_ones_are_members_whatever_else_the_metadata_hold(tmp_path):
    content = table(voxels=6)
    content.marks['ROI_V1'] = np.array([1, 0, -1, 2, np.nan, 1])
    writer.write_h5(tmp_path / 'a.h5', content)
    with bdata.opened(tmp_path / 'a.h5') as file:
        assert file.columns('ROI_V1')[:6].tolist() == [True, False, False, False, False, True]
        assert not file.columns('ROI_V1')[6:].any()


def test_a_few_columns_are_read_without_the_rest_in_memory(tmp_path):
    path = tmp_path / 'a.h5'
    content = table(3000, 4000)
    writer.write_h5(path, content)
    wanted = content.voxels[:, ::400]
    del content
    tracemalloc.start()
    with bdata.opened(path) as file:
        mask = np.zeros(file.shape[1], bool)
        mask[:4000:400] = True
        found = file.select(mask, np.float32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found, wanted) and found.dtype == np.float32
    assert peak < 45 * 2**20, f'{peak / 2**20:.0f} MiB of 92'


@pytest.mark.parametrize('chunks', [(7, 3), (1, 100), (50, 8)])
def test_chunked_and_compressed_tables_are_read_too(tmp_path, chunks):
    path = tmp_path / 'a.h5'
    content = table(50, 96)
    writer.write_h5(path, content)
    with h5py.File(path, 'r+') as file:
        whole = file['dataset'][()]
        del file['dataset']
        file.create_dataset('dataset', data=whole, chunks=chunks, compression='gzip')
    with bdata.opened(path) as file:
        assert np.array_equal(file.get('VoxelData', np.float32), content.voxels)


def test_single_precision_tables_are_known_as_such(tmp_path):
    path = tmp_path / 'a.h5'
    writer.write_h5(path, table())
    with h5py.File(path, 'r+') as file:
        whole = file['dataset'][()].astype(np.float32)
        del file['dataset']
        file['dataset'] = whole
    with bdata.opened(path) as file:
        assert file.itemsize == 4


def refused(path, match, error=errors.DataInvalid):
    with pytest.raises(error, match=match), bdata.opened(path) as file:
        file.get(file.keys[0])
        file.labels('Run')


@pytest.mark.parametrize('ending', ['h5', 'mat'])
@pytest.mark.parametrize('part', [0, 0.02, 0.5, 0.97])
def test_empty_and_truncated_files_are_named(tmp_path, ending, part):
    path = tmp_path / f'a.{ending}'
    (writer.write_mat if ending == 'mat' else writer.write_h5)(path, table(200, 90))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    refused(path, 'empty' if part == 0 else f'cut short.*a.{ending}')


@pytest.mark.parametrize('ending', ['h5', 'mat'])
def test_text_and_pickles_are_refused(tmp_path, ending):
    path = tmp_path / f'a.{ending}'
    for content in (b'<html>not found</html>' * 99, pickle.dumps({'dataSet': [1.0] * 200})):
        path.write_bytes(content)
        refused(path, f'cut short.*a.{ending}')


def test_a_missing_file_is_missing(tmp_path):
    refused(tmp_path / 'a.h5', 'no such file', errors.DataMissing)


def test_a_header_that_promises_a_million_times_a_million_is_refused(tmp_path):
    for chunks in (None, (1000, 1000)):
        path = tmp_path / 'a.h5'
        writer.write_h5(path, table())
        with h5py.File(path, 'r+') as file:
            del file['dataset']
            file.create_dataset('dataset', (10**6, 10**6), np.float64, chunks=chunks)
        refused(path, r'promises \(1000000, 1000000\)')


def test_a_matlab_header_that_promises_too_much_is_refused(tmp_path):
    path = tmp_path / 'a.mat'
    writer.write_mat(path, table(20, 9))
    content = bytearray(path.read_bytes())
    at = content.index(np.array([20, 13], np.int32).tobytes())  # 9 voxels, Run, three of Label
    content[at : at + 8] = np.array([10**6, 10**6], np.int32).tobytes()
    path.write_bytes(content)
    refused(path, 'a.mat')


def test_a_table_that_was_never_written_out_is_refused(tmp_path):
    path = tmp_path / 'a.h5'
    writer.write_h5(path, table())
    with h5py.File(path, 'r+') as file:
        shape = file['dataset'].shape
        del file['dataset']
        file.create_dataset('dataset', shape, np.float64)
    refused(path, 'bytes stored')


def change(path, edit):
    writer.write_h5(path, table())
    with h5py.File(path, 'r+') as file:
        edit(file)


def replace(file, key, value):
    del file[key]
    file[key] = value


@pytest.mark.parametrize(
    ('edit', 'message'),
    [
        (lambda f: replace(f, 'dataset', f['dataset'][()].T), 'transposed'),
        (lambda f: replace(f, 'metadata/value', f['metadata/value'][()].T), 'metadata of shape'),
        (lambda f: replace(f, 'metadata/value', f['metadata/value'][:3]), 'metadata of shape'),
        (lambda f: f.__delitem__('dataset'), 'no dataset or dataSet.*metadata'),
        (lambda f: f.__delitem__('metadata'), 'no metadata or metaData'),
        (lambda f: f.__delitem__('metadata/key'), "no dataset 'metadata/key'"),
        (lambda f: replace(f, 'metadata/key', f['metadata/value'][:, 0]), 'wanted text'),
        (lambda f: replace(f, 'metadata/key', [b'Run'] * 6), "hold 'Run' twice"),
        (lambda f: replace(f, 'dataset', f['dataset'][()].astype('S8')), 'its type is'),
        (lambda f: f.__delitem__('vmap/Run/3.0'), r"1 numbers of 'Run' have no text, first 3"),
        (lambda f: f.move('vmap/Run/3.0', 'vmap/Run/three'), 'not a map of numbers'),
        (lambda f: f.__delitem__('vmap/Run'), "no value map 'Run'.*maps nothing"),
    ],
)
def test_what_is_no_bdata_is_named(tmp_path, edit, message):
    change(tmp_path / 'a.h5', edit)
    refused(tmp_path / 'a.h5', message)


def test_a_key_that_is_not_there_is_refused_with_those_that_are(tmp_path):
    writer.write_h5(tmp_path / 'a.h5', table())
    with bdata.opened(tmp_path / 'a.h5') as file:
        with pytest.raises(errors.DataInvalid, match="no metadata 'ROI_V9'.*VoxelData, Run"):
            file.columns('ROI_V9')
        with pytest.raises(errors.DataInvalid, match="no value map 'Label'"):
            file.labels('Label')


def test_labels_need_one_column(tmp_path):
    content = table()
    content.texts['Label'] = {1: 'a'}
    writer.write_h5(tmp_path / 'a.h5', content)
    with (
        bdata.opened(tmp_path / 'a.h5') as file,
        pytest.raises(errors.DataInvalid, match="'Label' has 3 columns"),
    ):
        file.labels('Label')


def test_matlab_7_3_says_how_to_save_it(tmp_path):
    path = tmp_path / 'a.mat'
    with h5py.File(path, 'w') as file:
        file['dataSet'] = np.ones((4, 3))
        file['metaData/value'] = np.ones((3, 1))
        cells = file.create_dataset('metaData/key', (1,), h5py.ref_dtype)
        cells[0] = file['dataSet'].ref
    refused(path, "MATLAB 7.3.*'-v7'")


@pytest.mark.parametrize(
    ('held', 'message'),
    [
        ({'x': np.ones(3)}, 'no dataset or dataSet.*it holds x'),
        ({'dataSet': np.ones((3, 2))}, 'no metadata or metaData'),
        ({'dataSet': np.ones((3, 2)), 'metaData': np.ones(4)}, 'no struct'),
        ({'dataSet': np.array(['a', 'b']), 'metaData': {'key': [], 'value': []}}, 'wanted numbers'),
        (
            {
                'dataSet': np.ones((3, 2)),
                'metaData': {'key': np.array([['a']], object), 'value': np.ones((1, 3))},
            },
            'metadata of shape',
        ),
    ],
)
def test_matlab_files_of_another_kind_are_named(tmp_path, held, message):
    scipy.io.savemat(tmp_path / 'a.mat', held)
    refused(tmp_path / 'a.mat', message)
