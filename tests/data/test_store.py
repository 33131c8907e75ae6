import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from absl import logging

from recon.core import errors
from recon.data import store


class Source:
    """A made-up recording: sessions of rows in files, and how often each was read."""

    def __init__(self, folder, rows=(5, 7, 4), voxels=11, dtype='<i2', seed=0):
        rng = np.random.default_rng(seed)
        self.voxels, self.dtype, self.reads = voxels, np.dtype(dtype), []
        self.paths, self.arrays = [], []
        for i, n in enumerate(rows):
            array = (1000 * rng.standard_normal((n, voxels))).astype(dtype)
            path = folder / f'session{i}.bin'
            path.write_bytes(array.tobytes())
            self.paths.append(path)
            self.arrays.append(array)

    def blocks(self, names=None, piece=3):
        def reader(i):
            def read():
                self.reads.append(i)
                array = np.frombuffer(self.paths[i].read_bytes(), self.dtype)
                array = array.reshape(-1, self.voxels)
                for start in range(0, len(array), piece):
                    yield array[start : start + piece]

            return read

        names = range(len(self.paths)) if names is None else names
        return [
            store.Block(f's{i}', len(self.arrays[i]), (self.paths[i],), reader(i)) for i in names
        ]

    def prepare(self, folder, names=None, **options):
        options = {'voxels': np.arange(self.voxels) * 3, 'dtype': self.dtype} | options
        return store.prepare(folder, self.blocks(names), **options)

    def whole(self, names=None):
        names = range(len(self.arrays)) if names is None else names
        return np.concatenate([self.arrays[i] for i in names])


@pytest.fixture
def source(tmp_path):
    (tmp_path / 'raw').mkdir()
    return Source(tmp_path / 'raw')


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(logging, 'info', lambda text, *values: lines.append(text % values))
    return lines


@pytest.mark.parametrize('dtype', ['<i2', '>i2', '<f4', '>f4'])
@pytest.mark.parametrize(('voxels', 'seed'), [(1, 1), (13, 2)])
def test_rows_come_back_scaled_and_in_the_order_asked_for(tmp_path, dtype, voxels, seed):
    source = Source(tmp_path, rows=(3, 8, 1), voxels=voxels, dtype=dtype, seed=seed)
    made = source.prepare(tmp_path / 'store', divisor=300)
    whole = source.whole().astype(np.float32) / np.float32(300)
    assert made.shape == whole.shape and made.rows().dtype == np.float32
    for index in (slice(None), [11, 0, 5, 5], whole[:, 0] > 0, slice(2, 9)):
        assert np.array_equal(made.rows(index), whole[index])
    keep = np.random.default_rng(seed).random(voxels) < 0.5
    assert np.array_equal(made.rows([4, 2], keep), whole[[4, 2]][:, keep])
    assert np.array_equal(made.voxels, 3 * np.arange(voxels))


def test_what_lies_on_disk_is_one_npy_in_the_type_of_the_source_and_its_index(tmp_path, source):
    source.prepare(tmp_path / 'store', about={'sizes': (1, 2)})
    rows = np.load(tmp_path / 'store' / 'rows.npy')
    assert rows.dtype == np.int16 and rows.flags.c_contiguous
    assert np.array_equal(rows, source.whole())
    index = json.loads((tmp_path / 'store' / 'index.json').read_text())
    assert [b['rows'] for b in index['blocks'].values()] == [5, 7, 4]
    name, size, changed, _ = index['blocks']['s1']['sources'][0]
    stat = source.paths[1].stat()
    assert (name, size, changed) == (str(source.paths[1]), stat.st_size, stat.st_mtime_ns)
    assert sorted(p.name for p in (tmp_path / 'store').iterdir()) == [
        'index.json', 'rows.npy', 'voxels.npy',
    ]  # fmt: skip


def test_nothing_is_read_or_written_twice(tmp_path, source):
    source.prepare(tmp_path / 'store', about={'sizes': (1, 2)})
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / 'store').iterdir()}
    again = source.prepare(tmp_path / 'store', about={'sizes': (1, 2)})
    assert source.reads == [0, 1, 2] and np.array_equal(again.rows(), source.whole())
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / 'store').iterdir()} == before


def test_sessions_may_be_added_before_between_and_after(tmp_path, source):
    for names in ([1], [0, 1], [2, 1], [0, 1, 2]):
        made = source.prepare(tmp_path / 'store', names)
        assert np.array_equal(made.rows(), source.whole(names)), names
    assert source.reads == [1, 0, 2]
    store.load(tmp_path / 'store', verify=True)


def test_a_source_that_changed_is_prepared_again_and_that_is_said(tmp_path, source, said):
    source.prepare(tmp_path / 'store')
    source.arrays[1] = source.arrays[1] + np.int16(1)
    source.paths[1].write_bytes(source.arrays[1].tobytes())
    os.utime(source.paths[1], ns=(1, 1))
    made = source.prepare(tmp_path / 'store')
    assert source.reads == [0, 1, 2, 1] and np.array_equal(made.rows(), source.whole())
    assert any('s1 prepared again, its files changed since' in line for line in said)
    source.arrays[0] = source.arrays[0][:2]  # another number of rows: another place
    source.paths[0].write_bytes(source.arrays[0].tobytes())
    made = source.prepare(tmp_path / 'store')
    assert source.reads[4:] == [0] and np.array_equal(made.rows(), source.whole())


def test_an_edit_that_keeps_size_and_time_is_seen(tmp_path, source):
    source.prepare(tmp_path / 'store')
    stat = source.paths[2].stat()
    source.arrays[2] = source.arrays[2][::-1].copy()
    source.paths[2].write_bytes(source.arrays[2].tobytes())
    os.utime(source.paths[2], ns=(stat.st_mtime_ns, stat.st_mtime_ns))
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())
    assert source.reads == [0, 1, 2, 2]


@pytest.mark.parametrize('voxels', [11, 200_000])
def test_files_renamed_into_each_other_are_seen_though_size_and_time_agree(tmp_path, voxels):
    """Large files are looked at in places; and never at their borders alone, which are alike."""
    source = Source(tmp_path, rows=(6, 6), voxels=voxels)
    for array, path in zip(source.arrays, source.paths, strict=True):
        array[:, : voxels // 4] = array[:, -voxels // 4 :] = array[3] = 0
        path.write_bytes(array.tobytes())
        os.utime(path, ns=(1, 1))
    source.prepare(tmp_path / 'store')
    one, two = source.paths
    one.rename(tmp_path / 'x')
    two.rename(one)
    (tmp_path / 'x').rename(two)
    source.arrays.reverse()
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())
    assert source.reads == [0, 1, 0, 1]


def test_two_blocks_of_the_same_rows_are_refused_and_named(tmp_path, source):
    source.prepare(tmp_path / 'store')
    source.arrays[0] = source.arrays[2]
    source.paths[0].write_bytes(source.arrays[2].tobytes())
    for _ in range(2):  # as well when it is only opened
        with pytest.raises(errors.DataInvalid, match='s0 and s2 hold the same 4 rows.*session2'):
            source.prepare(tmp_path / 'store')
    source.arrays[0] = source.arrays[2] + np.int16(1)
    source.paths[0].write_bytes(source.arrays[0].tobytes())
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())


@pytest.mark.parametrize('dtype', ['<i2', '>f4'])
def test_rows_without_a_value_are_known_by_their_number(tmp_path, dtype):
    source = Source(tmp_path, dtype=dtype)
    source.arrays[0][3] = 0
    source.arrays[2][1] = 0 if dtype == '<i2' else np.nan
    source.arrays[2][2, 1:] = 0
    for array, path in zip(source.arrays, source.paths, strict=True):
        path.write_bytes(array.tobytes())
    assert source.prepare(tmp_path / 'store').blank.tolist() == [3, 13]
    assert source.prepare(tmp_path / 'store', [2, 0]).blank.tolist() == [1, 7]
    assert source.prepare(tmp_path / 'store', [1]).blank.tolist() == []


@pytest.mark.parametrize(
    'change',
    [
        {'first': '5'},
        {'first': 5.0},
        {'first': -1},
        {'first': 4},
        {'rows': None},
        {'rows': True},
        {'sha256': 'none'},
        {'sources': [['a', 1]]},
        {'sources': [[1, 2, 3, '']]},
        {'sources': 7},
        {'blank': [7]},
        {'blank': 'ab'},
    ],
    ids=str,
)
def test_an_index_that_makes_no_sense_is_not_believed(tmp_path, source, change):
    source.prepare(tmp_path / 'store')
    path = tmp_path / 'store' / 'index.json'
    index = json.loads(path.read_text())
    index['blocks']['s1'] |= change
    path.write_text(json.dumps(index))
    with pytest.raises(errors.DataMissing, match='no prepared store'):
        store.load(tmp_path / 'store')
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())
    assert source.reads == [0, 1, 2] * 2


@pytest.mark.parametrize('change', [{'blocks': []}, {'divisor': '300'}, {'divisor': 0}], ids=str)
def test_nor_is_one_whose_head_makes_no_sense(tmp_path, source, change):
    source.prepare(tmp_path / 'store')
    path = tmp_path / 'store' / 'index.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(errors.DataMissing, match='no prepared store'):
        store.load(tmp_path / 'store')
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())


def test_other_voxels_or_another_type_begin_anew(tmp_path, source, said):
    source.prepare(tmp_path / 'store')
    source.prepare(tmp_path / 'store', voxels=np.arange(11) * 4)
    assert source.reads == [0, 1, 2] * 2 and 'voxels_sha256 changed' in ' '.join(said)
    source.prepare(tmp_path / 'store', voxels=np.arange(11) * 4, divisor=2.0)
    source.prepare(tmp_path / 'store', voxels=np.arange(11) * 4, divisor=2.0, about={'a': 1})
    assert source.reads == [0, 1, 2] * 4


def test_a_store_or_its_source_may_be_moved(tmp_path, source):
    source.prepare(tmp_path / 'store')
    (tmp_path / 'raw').rename(tmp_path / 'elsewhere')
    source.paths = [tmp_path / 'elsewhere' / path.name for path in source.paths]
    (tmp_path / 'store').rename(tmp_path / 'moved')
    source.prepare(tmp_path / 'moved')
    assert source.reads == [0, 1, 2]


@pytest.mark.parametrize('name', ['rows.npy', 'voxels.npy', 'index.json'])
@pytest.mark.parametrize('kind', ['gone', 'empty', 'cut', 'text'])
def test_a_broken_store_is_prepared_again(tmp_path, source, name, kind):
    source.prepare(tmp_path / 'store')
    path = tmp_path / 'store' / name
    whole = path.read_bytes()
    path.unlink()
    if kind != 'gone':
        path.write_bytes({'empty': b'', 'cut': whole[:-20], 'text': b'hello ' * 60}[kind])
    with pytest.raises((errors.DataInvalid, errors.DataMissing)):
        store.load(tmp_path / 'store')
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())
    store.load(tmp_path / 'store', verify=True)


def test_a_changed_byte_is_found_by_checksum_and_named(tmp_path, source):
    made = source.prepare(tmp_path / 'store')
    path = tmp_path / 'store' / 'rows.npy'
    content = bytearray(path.read_bytes())
    content[-3 * 2 * 11] ^= 1  # in the last session
    path.write_bytes(content)
    store.load(tmp_path / 'store')
    with pytest.raises(errors.DataInvalid, match='checksum of s2.*rows.npy.*prepared again'):
        store.load(tmp_path / 'store', verify=True)
    store.load(tmp_path / 'store', ['s0', 's1'], verify=True)
    del made


def test_a_block_that_is_not_there_is_named(tmp_path, source):
    source.prepare(tmp_path / 'store', [0, 2])
    with pytest.raises(errors.DataMissing, match='s1 not prepared'):
        store.load(tmp_path / 'store', ['s0', 's1'])
    with pytest.raises(errors.DataMissing, match='no prepared store'):
        store.load(tmp_path / 'nowhere')


def test_a_killed_writer_loses_one_block_and_the_next_goes_on(tmp_path):
    """A process is killed in its second block; what it had recorded is not read again."""
    raw = tmp_path / 'raw'
    raw.mkdir()
    code = f"""
import pathlib, sys, time, numpy as np
sys.path[:0] = {sys.path!r}
from tests.data import test_store
source = test_store.Source(pathlib.Path({str(raw)!r}))
blocks = source.blocks()
def slow():
    yield np.zeros((1, 11), '<i2')
    print('in block 1', flush=True)
    time.sleep(60)
from recon.data import store
import dataclasses
blocks[1] = dataclasses.replace(blocks[1], read=slow)
store.prepare({str(tmp_path / 'store')!r}, blocks, voxels=np.arange(11) * 3, dtype='<i2')
"""
    writer = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == 'in block 1\n'
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    stamps = {path: path.stat().st_mtime_ns for path in raw.iterdir()}
    source = Source(raw)
    for path, changed in stamps.items():
        os.utime(path, ns=(changed, changed))
    index = json.loads((tmp_path / 'store' / 'index.json').read_text())
    assert list(index['blocks']) == ['s0']
    made = source.prepare(tmp_path / 'store')
    assert source.reads == [1, 2] and np.array_equal(made.rows(), source.whole())
    store.load(tmp_path / 'store', verify=True)


def test_two_writers_take_turns_and_the_second_reads_nothing(tmp_path, source, said):
    entered, go = threading.Event(), threading.Event()
    blocks = source.blocks()
    first = blocks[0].read

    def held():
        entered.set()
        go.wait(20)
        yield from first()

    blocks[0] = store.Block('s0', 5, blocks[0].sources, held)
    options = dict(voxels=np.arange(11) * 3, dtype='<i2')
    one = threading.Thread(target=store.prepare, args=(tmp_path / 'store', blocks), kwargs=options)
    one.start()
    assert entered.wait(20)
    with pytest.raises(errors.RunFolderError, match='in use'):
        store.prepare(tmp_path / 'store', source.blocks(), patience=0.0, **options)
    two = threading.Thread(
        target=store.prepare, args=(tmp_path / 'store', source.blocks()), kwargs=options
    )
    two.start()
    while not any('waiting for another writer' in line for line in said):
        time.sleep(0.01)
    go.set()
    one.join(20)
    two.join(20)
    assert source.reads == [0, 1, 2]
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())


def test_sources_that_are_not_what_they_promised_are_refused(tmp_path, source):
    block = source.blocks()[0]
    options = dict(voxels=np.arange(11), dtype='<i2')

    def prepare(rows=5, read=block.read):
        made = store.Block('s0', rows, block.sources, read)
        return store.prepare(tmp_path / 'store', [made], **options)

    with pytest.raises(errors.DataInvalid, match='gives 5 rows, promised 6'):
        prepare(rows=6)
    with pytest.raises(errors.DataInvalid, match='rows, promised 4'):
        prepare(rows=4)
    with pytest.raises(errors.DataInvalid, match=r'gives \(10,\) of int16.*of one kind'):
        prepare(read=lambda: [np.zeros((5, 10), np.int16)])
    with pytest.raises(errors.DataInvalid, match='of float32, the others .* int16'):
        prepare(read=lambda: [np.zeros((5, 11), np.float32)])

    def touched():
        yield from block.read()
        os.utime(source.paths[0], ns=(5, 5))

    with pytest.raises(errors.DataInvalid, match='changed while it was read'):
        prepare(read=touched)
    with pytest.raises(errors.DataMissing, match='s0 not prepared'):
        store.load(tmp_path / 'store', ['s0'])
    assert len(prepare().rows()) == 5


def test_a_folder_that_cannot_be_written_or_is_full_names_the_option(tmp_path, source, monkeypatch):
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.ConfigError, match='cannot write .*file/store.*dataset.store'):
        source.prepare(tmp_path / 'file' / 'store')
    full = type('Usage', (), {'free': 10})
    monkeypatch.setattr(store.shutil, 'disk_usage', lambda folder: full)
    with pytest.raises(errors.ConfigError, match='GiB are needed, 0.0 GiB are free'):
        source.prepare(tmp_path / 'store')
    monkeypatch.undo()

    def no_space(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(store.os, 'pwrite', no_space)
    with pytest.raises(errors.ConfigError, match='No space left on device.*dataset.store'):
        source.prepare(tmp_path / 'other')


def test_all_may_be_read_where_nothing_may_be_written(tmp_path, source, monkeypatch):
    source.prepare(tmp_path / 'store')

    def refused(*_):
        raise AssertionError('took the lock')

    monkeypatch.setattr(store, '_take_lock', refused)
    assert np.array_equal(source.prepare(tmp_path / 'store').rows(), source.whole())
