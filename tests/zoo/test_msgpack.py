import flax.serialization
import ml_dtypes
import msgpack
import numpy as np
import pytest

from recon.core import errors
from recon.zoo import _msgpack

TREE = {
    'time_embedding': {'linear_1': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3)}},
    'down_blocks_0': {
        'resnets_1': {
            'conv1': {'kernel': np.arange(36, dtype=np.float16).reshape(3, 3, 1, 4)},
            'norm1': {'scale': np.ones(70_000, np.float32), 'bias': np.zeros(2, np.float32)},
        },
        'attentions_0': {'to_out_0': {'bias': np.array([1, 2], ml_dtypes.bfloat16)}},
    },
    'tokens': {'embedding': np.ones((5, 2), np.float32)},
    'logit_scale': np.float32(2.5),
}
NAMES = {
    'time_embedding.linear_1.weight': (3, 2),
    'down_blocks.0.resnets.1.conv1.weight': (4, 1, 3, 3),
    'down_blocks.0.resnets.1.norm1.weight': (70_000,),
    'down_blocks.0.resnets.1.norm1.bias': (2,),
    'down_blocks.0.attentions.0.to_out.0.bias': (2,),
    'tokens.weight': (5, 2),
    'logit_scale': (),
}


def put(path, tree):
    path.write_bytes(flax.serialization.to_bytes(tree))
    return path


@pytest.mark.parametrize('wrap', [False, True])
def test_names_and_layouts_become_torchs(tmp_path, wrap):
    path = put(tmp_path / 'm.msgpack', {'params': TREE} if wrap else TREE)
    found = _msgpack.read(path)
    assert {name: stored.shape for name, stored in found.items()} == NAMES
    for stored in found.values():
        assert stored.read().shape == stored.shape
    kernel = found['down_blocks.0.resnets.1.conv1.weight'].read()
    theirs = TREE['down_blocks_0']['resnets_1']['conv1']['kernel']
    np.testing.assert_array_equal(kernel[2, 0], theirs[:, :, 0, 2])
    np.testing.assert_array_equal(
        found['time_embedding.linear_1.weight'].read(),
        TREE['time_embedding']['linear_1']['kernel'].T,
    )
    assert found['logit_scale'].read() == 2.5
    assert found['down_blocks.0.attentions.0.to_out.0.bias'].dtype == ml_dtypes.bfloat16


def test_every_cut_of_a_file_is_refused_in_one_line(tmp_path):
    path = put(tmp_path / 'm.msgpack', TREE)
    content = path.read_bytes()
    for length in (1, 2, 20, 41, 90, 200, 300, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(errors.DataInvalid, match='not a Flax net') as told:
            _msgpack.read(path)
        assert '\n' not in str(told.value)
    path.write_bytes(content + b'\xc0')
    with pytest.raises(errors.DataInvalid, match='1 bytes follow its end'):
        _msgpack.read(path)


def test_bytes_changed_at_random_never_raise_anything_else(tmp_path):
    path = put(tmp_path / 'm.msgpack', {'a_0': {'kernel': np.ones((2, 2), np.float32)}, 'b': {}})
    content = path.read_bytes()
    rng = np.random.default_rng(8)
    refused = 0
    for _ in range(400):
        changed = bytearray(content)
        for i in rng.integers(0, len(content), 2):
            changed[i] = rng.integers(256)
        path.write_bytes(changed)
        try:
            for stored in _msgpack.read(path).values():
                stored.read()
        except errors.DataInvalid:
            refused += 1
    assert refused > 100


def ext(code, *packed):
    return msgpack.ExtType(code, msgpack.packb(packed))


BROKEN = {
    'another extension': ({'w': ext(2, 1.0, 2.0)}, 'extension 2'),
    'objects': ({'w': ext(1, (1,), 'object', b'12345678')}, 'without a shape'),
    'too few bytes': ({'w': ext(1, (3,), 'float32', b'12345678')}, 'without a shape'),
    'a negative shape': ({'w': ext(1, (-1, -2), 'float32', b'12345678')}, 'without a shape'),
    'an array of two parts': ({'w': ext(1, (2,), 'float32')}, 'without a shape'),
    'a number': ({'w': {'bias': 3}}, 'w.bias is no array'),
    'a list': ([1, 2], 'no map'),
    'names that are numbers': ({1: ext(1, (2,), 'float32', b'12345678')}, 'is no text'),
    'a large array in pieces': ({'w': {'__msgpack_chunked_array__': True}}, 'is no array'),
}


@pytest.mark.parametrize('what', BROKEN)
def test_what_is_no_tree_of_arrays_is_refused(what, tmp_path):
    tree, told = BROKEN[what]
    path = tmp_path / 'm.msgpack'
    path.write_bytes(msgpack.packb(tree))
    with pytest.raises(errors.DataInvalid, match=told):
        _msgpack.read(path)


@pytest.mark.parametrize(
    'content',
    [
        b'\x81\xa1w' * 5_000,  # maps within maps
        b'\xdf\xff\xff\xff\xff' + bytes(40),  # four thousand million names
        b'\xdd\x7f\xff\xff\xff' + bytes(40),
        b'\x81\xa1w' + b'\xc9\x00\x00\x00\x50\x01' * 40,  # arrays within arrays
        b'\x81\xa2a.\xc1',
        b'\x81\xa2\xff\xfe\xc0',
    ],
)
def test_promises_are_not_believed(content, tmp_path):
    path = tmp_path / 'm.msgpack'
    path.write_bytes(content)
    with pytest.raises(errors.DataInvalid, match='not a Flax net'):
        _msgpack.read(path)


def test_two_names_that_become_one_are_refused(tmp_path):
    bias = {'bias': np.zeros(2, np.float32)}
    path = put(tmp_path / 'm.msgpack', {'a_0': bias, 'a': {'0': bias}})
    with pytest.raises(errors.DataInvalid, match=r'a\.0\.bias stands twice'):
        _msgpack.read(path)
