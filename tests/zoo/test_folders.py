import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from recon.core import errors
from recon.zoo import _folders, tensors, weights
from tests.zoo import checkpoints


@pytest.fixture
def net(tmp_path):
    """A folder with config.json and model.safetensors, and the parameters."""
    _, params = checkpoints.small(tmp_path / 'net')
    return tmp_path / 'net', params


def shard(folder, names=('model-00001-of-00002', 'model-00002-of-00002'), variant=''):
    """Splits model.safetensors in two, with the index that transformers writes."""
    state = safetensors.numpy.load_file(folder / 'model.safetensors')
    (folder / 'model.safetensors').unlink()
    where = {name: names[i % 2] + '.safetensors' for i, name in enumerate(sorted(state))}
    for file in set(where.values()):
        held = {name: value for name, value in state.items() if where[name] == file}
        safetensors.numpy.save_file(held, folder / file)
    index = folder / f'model.safetensors.index{variant}.json'
    index.write_text(json.dumps({'metadata': {'total_size': 1}, 'weight_map': where}))
    return index


def test_shards_are_read_by_their_index(net):
    folder, params = net
    shard(folder)
    loaded = weights.load(folder)
    checkpoints.assert_same(loaded.params, params)


def test_a_missing_shard_and_an_index_that_lies_are_told(net):
    folder, _ = net
    index = shard(folder)
    listed = json.loads(index.read_text())
    file = folder / 'model-00002-of-00002.safetensors'
    file.rename(folder / 'aside')
    with pytest.raises(errors.DataMissing, match='model-00002'):
        weights.load(folder)
    (folder / 'aside').rename(file)
    where = dict(listed['weight_map'])
    first, second = sorted(where)[:2]
    where[first] = where[second]
    index.write_text(json.dumps({'weight_map': where}))
    with pytest.raises(errors.DataInvalid, match='is not where the index says'):
        weights.load(folder)
    where[first] = '../../outside.safetensors'
    index.write_text(json.dumps({'weight_map': where}))
    with pytest.raises(errors.DataInvalid, match='no file beside it'):
        weights.load(folder)
    del where[first], listed['weight_map'][first]
    index.write_text(json.dumps(listed))
    with pytest.raises(errors.DataInvalid, match='tensors it does not name'):
        weights.load(folder)
    index.write_text('{"weight_map": ["a"]}')
    with pytest.raises(errors.DataInvalid, match='without a weight_map'):
        weights.load(folder)


def halved(folder, variant='fp16', factor=2.0):
    """Puts a variant beside the weights, `factor` times as large so that one sees which is read."""
    state = safetensors.numpy.load_file(folder / 'model.safetensors')
    state = {name: (factor * value).astype(np.float16) for name, value in state.items()}
    safetensors.numpy.save_file(state, folder / f'model.{variant}.safetensors')


def test_a_variant_is_read_when_asked_for_or_alone(net):
    folder, params = net
    halved(folder)
    bias = np.asarray(params['features.0']['bias'])
    got = lambda **more: weights.load(folder, **more).params['features.0']['bias']  # noqa: E731
    np.testing.assert_array_equal(got(), bias)
    np.testing.assert_allclose(got(variant='fp16'), 2 * bias, 1e-3)
    (folder / 'model.safetensors').unlink()
    np.testing.assert_allclose(got(), 2 * bias, 1e-3)
    with pytest.raises(errors.ConfigError, match="variant is 'ema'.*there is: fp16"):
        got(variant='ema')


def test_of_two_variants_one_must_be_named(net):
    folder, _ = net
    halved(folder)
    halved(folder, 'non_ema')
    (folder / 'model.safetensors').unlink()
    with pytest.raises(errors.ConfigError, match='fp16, non_ema'):
        weights.load(folder)


def test_a_sharded_variant_is_read(net):
    folder, params = net
    shard(folder, ('model.fp16-00001-of-00002', 'model.fp16-00002-of-00002'), '.fp16')
    for variant in ('fp16', None):  # alone, it need not be named
        checkpoints.assert_same(weights.load(folder, variant=variant).params, params)


def cached(tmp_path, net, commits=('abc123',), main='abc123'):
    """The folder of a repository in the hub's cache, as huggingface_hub lays it out."""
    repository = tmp_path / 'hub' / 'models--some-org--some-net--v2'
    (repository / 'blobs').mkdir(parents=True)
    for commit in commits:
        snapshot = repository / 'snapshots' / commit
        snapshot.mkdir(parents=True)
        for i, path in enumerate(sorted(net.iterdir())):
            blob = repository / 'blobs' / f'{commit}{i}'
            shutil.copy(path, blob)
            (snapshot / path.name).symlink_to(f'../../blobs/{blob.name}')
    if main:
        (repository / 'refs').mkdir()
        (repository / 'refs' / 'main').write_text(main)
    return repository


def test_a_repository_of_the_hub_cache_is_read_through_its_links(net, tmp_path):
    folder, params = net
    repository = cached(tmp_path, folder, ('old1', 'abc123'))
    for path in (repository, repository / 'snapshots' / 'old1'):
        loaded = weights.load(path)
        checkpoints.assert_same(loaded.params, params)
        assert loaded.stamp.startswith('some-org/some-net--v2 sha256:')
    assert weights.load(repository).folder.name == 'abc123'


def test_a_cache_without_main_is_read_if_it_has_one_snapshot(net, tmp_path):
    repository = cached(tmp_path, net[0], ('one',), main=None)
    assert weights.load(repository).folder.name == 'one'
    (repository / 'snapshots' / 'two').mkdir()
    with pytest.raises(errors.DataInvalid, match='2 snapshots.*one, two'):
        weights.load(repository)
    shutil.rmtree(repository / 'snapshots')
    (repository / 'snapshots').mkdir()
    with pytest.raises(errors.DataMissing, match='no snapshot'):
        weights.load(repository)


def test_a_link_into_the_cache_that_leads_nowhere_is_told(net, tmp_path):
    repository = cached(tmp_path, net[0])
    link = repository / 'snapshots' / 'abc123' / 'model.safetensors'
    link.resolve().unlink()
    with pytest.raises(errors.DataMissing, match='leads nowhere'):
        weights.load(repository)


@pytest.mark.parametrize('name', ['pytorch_model.bin', 'weights.pth', 'x.pt', 'sd-v1-5.ckpt'])
def test_pickles_are_refused_with_the_command_that_converts_them(net, name):
    folder, _ = net
    (folder / 'model.safetensors').rename(folder / name)
    with pytest.raises(errors.DataInvalid) as told:
        weights.load(folder)
    command = f'python launch/convert.py --source={folder} --out={folder}-safetensors'
    assert command in str(told.value)
    (folder / 'config.json').unlink()
    with pytest.raises(errors.DataInvalid, match=f'launch/convert.py --source=.*{name} --out='):
        weights.load(folder / name)


def test_tensorflows_weights_are_refused(net):
    folder, _ = net
    (folder / 'model.safetensors').rename(folder / 'tf_model.h5')
    with pytest.raises(errors.DataInvalid, match='TensorFlow.*safetensors'):
        weights.load(folder)


def test_a_pickle_beside_safetensors_is_left_alone(net):
    folder, params = net
    (folder / 'pytorch_model.bin').write_bytes(b'\x80\x02 anything')
    checkpoints.assert_same(weights.load(folder).params, params)


def test_what_is_no_nets_folder_is_told_with_a_remedy(net, tmp_path):
    folder, _ = net
    with pytest.raises(errors.DataMissing, match='name a part: net'):
        weights.load(tmp_path)
    with pytest.raises(errors.ConfigError, match='a file, wanted the folder'):
        weights.load(folder / 'model.safetensors')
    with pytest.raises(errors.DataMissing, match='no such folder'):
        weights.load(tmp_path / 'nowhere')
    (folder / 'model.safetensors').unlink()
    with pytest.raises(errors.DataMissing, match='no weights'):
        weights.load(folder)


def test_a_part_of_a_pipeline_is_called_by_both_names(net, tmp_path):
    assert _folders.source(net[0]) == 'net'
    (tmp_path / 'model_index.json').write_text('{}')
    assert _folders.source(net[0]) == f'{tmp_path.name}/net'
    cache = tmp_path / 'models--a--b' / 'snapshots' / 'hash' / 'unet'
    assert _folders.source(cache) == 'a/b/unet'
    assert _folders.source(_folders.ASSETS / 'tiny' / 'clip') == 'tiny/clip'


def test_the_digest_of_large_files_is_of_samples_and_of_their_size(tmp_path, monkeypatch):
    path = tmp_path / 'w'
    content = bytearray(np.random.default_rng(0).bytes(3 * 2**20))
    path.write_bytes(content)
    small = _folders.digest([path])
    monkeypatch.setattr(_folders, '_WHOLE', 2**20)
    monkeypatch.setattr(_folders, '_BLOCKS', 64)
    large = _folders.digest([path])
    assert large == _folders.digest([path]) and large != small
    for i in (0, 2**20 - 1, len(content) - 1):  # header, and the last block
        changed = bytearray(content)
        changed[i] ^= 1
        path.write_bytes(changed)
        assert _folders.digest([path]) != large
    path.write_bytes(content + b'\0')
    assert _folders.digest([path]) != large


def test_the_digest_tells_where_one_file_ends_and_the_next_begins(tmp_path):
    a, b = tmp_path / 'a', tmp_path / 'b'
    found = set()
    for first, second in ((b'ab', b'c'), (b'a', b'bc'), (b'', b'abc')):
        a.write_bytes(first)
        b.write_bytes(second)
        found.add(_folders.digest([a, b]))
    assert len(found) == 3


def test_flax_is_read_where_there_are_no_plain_safetensors(net):
    import flax.serialization

    folder, params = net
    tripled = tensors.unflatten({k: 3 * v for k, v in tensors.flatten(params).items()})
    (folder / 'flax_model.msgpack').write_bytes(flax.serialization.to_bytes(tripled))
    checkpoints.assert_same(weights.load(folder).params, params)
    halved(folder)
    (folder / 'model.safetensors').unlink()
    checkpoints.assert_same(weights.load(folder).params, tripled)
