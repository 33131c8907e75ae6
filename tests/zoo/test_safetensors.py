import struct

import numpy as np
import pytest
import safetensors.numpy

from recon.core import errors
from recon.zoo import _safetensors, weights
from tests.zoo import checkpoints

ARRAYS = {
    'a.weight': np.arange(12, dtype=np.float32).reshape(3, 4),
    'b': np.array(2.5, np.float16),
    'c': np.zeros((0, 3), np.int64),
    'd': np.array([True, False, True]),
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / 'x.safetensors'
    _safetensors.write(path, ARRAYS)
    return path


def test_what_we_write_the_library_reads_and_the_other_way_round(file, tmp_path):
    theirs = safetensors.numpy.load_file(file)
    again = tmp_path / 'y.safetensors'
    safetensors.numpy.save_file(ARRAYS, again)
    for name, value in ARRAYS.items():
        np.testing.assert_array_equal(theirs[name], value)
        for path in (file, again):
            found = _safetensors.read(path)[name]
            assert (found.shape, found.dtype) == (value.shape, value.dtype)
            np.testing.assert_array_equal(found.read(), value)
    with safetensors.safe_open(file, 'numpy') as opened:
        assert opened.metadata() == {'format': 'pt'}  # transformers asks for it


def test_memory_given_back_can_be_read_again(file):
    found = _safetensors.read(file)['a.weight']
    view = found.read()
    found.map.forget()
    np.testing.assert_array_equal(view, ARRAYS['a.weight'])


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    path = tmp_path / 'huge.safetensors'
    size = 64 * 2**40  # 64 TiB of nothing on a sparse file
    head = {'w': {'dtype': 'F32', 'shape': [size // 4], 'data_offsets': [0, size]}}
    checkpoints.put(path, head, b'')
    try:
        with open(path, 'r+b') as opened:
            opened.truncate(path.stat().st_size + 2**33)
    except OSError:
        pytest.skip('no sparse files here')
    with pytest.raises(errors.DataInvalid, match='need 70,368,744,177,664 bytes'):
        _safetensors.read(path)
    head = {'w': {'dtype': 'F32', 'shape': [2**31], 'data_offsets': [0, 2**33]}}
    checkpoints.put(path, head, b'')
    with open(path, 'r+b') as opened:
        opened.truncate(path.stat().st_size + 2**33)
    assert _safetensors.read(path)['w'].read()[123_456_789] == 0


def test_a_header_longer_than_the_format_allows_is_not_read(tmp_path):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(struct.pack('<Q', 2**27))
    with open(path, 'r+b') as opened:
        opened.truncate(2**27 + 8)
    with pytest.raises(errors.DataInvalid, match='no safetensors'):
        _safetensors.read(path)


def test_every_cut_of_a_file_is_refused_in_one_line(file):
    content = file.read_bytes()
    for length in (1, 7, 8, 9, 60, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        with pytest.raises(errors.DataInvalid) as told:
            _safetensors.read(file)
        assert '\n' not in str(told.value)
    file.write_bytes(content + b'\0')
    with pytest.raises(errors.DataInvalid, match='need 53 bytes, it holds 54'):
        _safetensors.read(file)


BROKEN = {
    'a header longer than the file': (struct.pack('<Q', 2**62) + b'{}', 'no safetensors'),
    'no JSON': (struct.pack('<Q', 2) + b'{]', 'header cannot be read'),
    'a list': (struct.pack('<Q', 2) + b'[]', 'no table'),
    'brackets without end': (struct.pack('<Q', 99_999) + b'[' * 99_999, 'header cannot be read'),
    'no text': (struct.pack('<Q', 4) + b'\xff\xfe\xfd\xfc', 'header cannot be read'),
    'a pickle': (b'PK\x03\x04' + bytes(90), 'a pickle of torch'),
    'a pointer': (b'version https://git-lfs.github.com/spec/v1\noid sha256:0', 'Git LFS pointer'),
    'nothing': (b'', 'empty'),
}


@pytest.mark.parametrize('what', BROKEN)
def test_no_safetensors_file_is_told_as_what_it_is(what, tmp_path):
    content, told = BROKEN[what]
    path = tmp_path / 'x.safetensors'
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match=told):
        _safetensors.read(path)


@pytest.mark.parametrize(
    'entry',
    [
        {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 7]},
        {'dtype': 'F32', 'shape': [-2, -1], 'data_offsets': [0, 8]},
        {'dtype': 'F32', 'shape': [2**40, 2**40], 'data_offsets': [0, 8]},
        {'dtype': 'F32', 'shape': [2.0], 'data_offsets': [0, 8]},
        {'dtype': 'F32', 'shape': [True, 2], 'data_offsets': [0, 8]},
        {'dtype': 'F32', 'shape': 'ab', 'data_offsets': [0, 8]},
        {'dtype': 'F32', 'shape': [2], 'data_offsets': [8, 16]},
        {'dtype': 'F32', 'shape': [2], 'data_offsets': [-8, 0]},
        {'dtype': 'F32', 'shape': [2], 'data_offsets': [0]},
        {'dtype': 'F3', 'shape': [2], 'data_offsets': [0, 8]},
        {'dtype': ['F32'], 'shape': [2], 'data_offsets': [0, 8]},
        {'shape': [2], 'data_offsets': [0, 8]},
        7,
        None,
    ],
)
def test_an_entry_that_does_not_add_up_is_refused(entry, tmp_path):
    path = tmp_path / 'x.safetensors'
    checkpoints.put(path, {'w': entry}, bytes(8))
    with pytest.raises(errors.DataInvalid, match='header is wrong|overlap'):
        _safetensors.read(path)


def test_overlapping_tensors_and_names_that_stand_twice_are_refused(tmp_path):
    path = tmp_path / 'x.safetensors'
    entry = {'dtype': 'U8', 'shape': [4], 'data_offsets': [0, 4]}
    checkpoints.put(path, {'v': entry, 'w': entry | {'data_offsets': [2, 6]}}, bytes(6))
    with pytest.raises(errors.DataInvalid, match='overlap or leave gaps'):
        _safetensors.read(path)
    one = '"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}'
    checkpoints.put(path, f'{{{one}, {one}}}'.encode(), bytes(4))
    with pytest.raises(errors.DataInvalid, match='stands twice'):
        _safetensors.read(path)


def test_quantised_weights_are_no_parameters(tmp_path):
    checkpoints.small(tmp_path)
    path = tmp_path / 'model.safetensors'
    head, body = checkpoints.header(path)
    head['features.0.bias'] |= {'dtype': 'F8_E4M3', 'shape': [16]}
    checkpoints.put(path, head, body)
    with pytest.raises(errors.WeightsMismatch, match='features.0.bias of type float8'):
        weights.load(tmp_path)


def test_a_write_that_fails_leaves_the_old_file_alone(file):
    before = file.read_bytes()
    with pytest.raises(errors.DataInvalid, match='not finite'):
        _safetensors.write(file, {'w': np.array([1.0, np.nan])}, np.float32)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_misplaced_bytes_are_read_all_the_same(tmp_path):
    path = tmp_path / 'x.safetensors'
    head = {
        'u': {'dtype': 'U8', 'shape': [3], 'data_offsets': [0, 3]},
        'w': {'dtype': 'F32', 'shape': [2], 'data_offsets': [3, 11]},
    }
    checkpoints.put(path, head, bytes(3) + np.array([1.5, -2], np.float32).tobytes())
    np.testing.assert_array_equal(_safetensors.read(path)['w'].read(), [1.5, -2])
