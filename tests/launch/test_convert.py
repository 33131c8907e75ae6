import json
import subprocess
import sys

import diffusers
import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from launch import convert
from recon.core import errors
from recon.zoo import alexnet, lpips, tensors, weights
from tests.zoo import checkpoints, reference

VAE = dict(
    down_block_types=('DownEncoderBlock2D',),
    up_block_types=('UpDecoderBlock2D',),
    block_out_channels=(4,),
    layers_per_block=1,
    norm_num_groups=2,
    sample_size=8,
)


@pytest.fixture
def small(monkeypatch):
    """AlexNet's released size made little; its state as torchvision's file holds it."""
    monkeypatch.setitem(alexnet.RELEASED, 'alexnet', checkpoints.CONFIG)
    _, params = checkpoints.small()
    return params, {k: torch.from_numpy(v) for k, v in tensors.state(params).items()}


def run(*words):
    return convert.main([str(word) for word in words])


@pytest.mark.parametrize('old', [False, True])
@pytest.mark.parametrize('wrap', ['', 'state_dict', 'module.'])
def test_a_torchvision_file_becomes_a_folder_that_we_read(small, tmp_path, wrap, old, capsys):
    params, state = small
    if wrap == 'module.':
        state = {f'module.{name}': value for name, value in state.items()}
    file = tmp_path / 'alexnet-owt-7be5be79.pth'
    content = {wrap: state, 'epoch': 3} if wrap == 'state_dict' else state
    torch.save(content, file, _use_new_zipfile_serialization=not old)
    assert run(f'--source={file}', f'--out={tmp_path / "net"}') == 0
    assert f'wrote {tmp_path / "net"}' in capsys.readouterr().out
    loaded = weights.load(tmp_path / 'net')
    checkpoints.assert_same(loaded.params, params)
    assert loaded.config == checkpoints.CONFIG


def test_the_net_of_a_renamed_file_must_be_named(small, tmp_path, capsys):
    torch.save(small[1], tmp_path / 'mine.pth')
    words = (f'--source={tmp_path / "mine.pth"}', f'--out={tmp_path / "net"}')
    assert run(*words) == 2
    assert '--net is one of alexnet, vgg19' in capsys.readouterr().err
    assert run(*words, '--net=clip_vit_l14') == 2
    assert 'has a folder on the hub' in capsys.readouterr().err
    assert run(*words, '--net=alexnet') == 0


def test_weights_of_another_net_leave_nothing_behind(small, tmp_path, capsys):
    state = dict(small[1])
    state['features.0.weight'] = state['features.0.weight'][:2]
    torch.save(state, tmp_path / 'a.pth')
    out = tmp_path / 'deep' / 'net'
    assert run(f'--source={tmp_path / "a.pth"}', f'--out={out}', '--net=alexnet') == 2
    assert 'features.0.weight (2, 3, 5, 5), wanted (4, 3, 5, 5)' in capsys.readouterr().err
    assert not list((tmp_path / 'deep').iterdir())


class Evil:
    def __reduce__(self):
        return print, ('this must never be printed',)


@pytest.mark.parametrize('old', [False, True])
def test_a_pickle_that_holds_code_is_not_run(small, tmp_path, capfd, old):
    path = tmp_path / 'x.pth'
    torch.save({'w': torch.ones(2), 'x': Evil()}, path, _use_new_zipfile_serialization=not old)
    assert run(f'--source={path}', f'--out={tmp_path / "net"}', '--net=alexnet') == 2
    said = capfd.readouterr()
    assert 'never be printed' not in said.out + said.err
    assert 'not a pickle of tensors alone' in said.err
    assert said.err.count('\n') == 1


def test_files_that_hold_no_table_of_tensors_are_told(tmp_path, capsys):
    path = tmp_path / 'x.pth'
    out = f'--out={tmp_path / "net"}'
    for content, told in (
        ({}, 'no table of tensors'),
        ([torch.ones(2)], 'no table of tensors'),
        ({'w': 3}, "'w' is no tensor"),
        ({'state_dict': {'model.diffusion_model.x': torch.ones(1)}}, 'diffusers folder'),
    ):
        torch.save(content, path)
        assert run(f'--source={path}', out, '--net=alexnet') == 2
        assert told in capsys.readouterr().err
    torch.save({'w': torch.ones(50)}, path)
    path.write_bytes(path.read_bytes()[:300])
    assert run(f'--source={path}', out, '--net=alexnet') == 2
    assert 'not a pickle of tensors' in capsys.readouterr().err
    path.write_bytes(b'')
    assert run(f'--source={path}', out, '--net=alexnet') == 2
    for name in ('x.safetensors', 'x.h5', 'flax_model.msgpack'):
        (tmp_path / name).write_bytes(b'1')
        assert run(f'--source={tmp_path / name}', out) == 2
    assert not (tmp_path / 'net').exists()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_a_hugging_face_folder_is_converted_with_all_beside_it(tmp_path, dtype):
    net = reference.perturb(diffusers.AutoencoderKL(**VAE), 4).to(dtype)
    source, out = tmp_path / 'vae.v2', tmp_path / 'vae.v2-safetensors'
    net.save_pretrained(source, safe_serialization=False)
    assert (source / 'diffusion_pytorch_model.bin').is_file()
    (source / 'preprocessor_config.json').write_text('{"kept": 1}')
    with pytest.raises(errors.DataInvalid) as told:
        weights.load(source)
    words = str(told.value).split('launch/convert.py ')[1].split()  # the command that it says
    out.mkdir()  # empty: it may be there
    assert run(*words) == 0
    safe = tmp_path / 'safe'
    net.save_pretrained(safe)
    checkpoints.assert_same(weights.load(out).params, weights.load(safe).params)
    assert json.loads((out / 'preprocessor_config.json').read_text()) == {'kept': 1}
    back = diffusers.AutoencoderKL.from_pretrained(out)
    assert all((back.state_dict()[k] == v).all() for k, v in net.state_dict().items())


def test_sharded_pickles_become_one_file(small, tmp_path):
    params, state = small
    source = tmp_path / 'net'
    checkpoints.small(source)
    (source / 'model.safetensors').unlink()
    where = {name: f'pytorch_model-0000{1 + i % 2}-of-00002.bin' for i, name in enumerate(state)}
    for file in set(where.values()):
        torch.save({k: v for k, v in state.items() if where[k] == file}, source / file)
    index = source / 'pytorch_model.bin.index.json'
    index.write_text(json.dumps({'weight_map': where}))
    assert run(f'--source={source}', f'--out={tmp_path / "out"}') == 0
    checkpoints.assert_same(weights.load(tmp_path / 'out').params, params)
    assert {p.name for p in (tmp_path / 'out').iterdir()} == {'config.json', 'model.safetensors'}
    (source / 'pytorch_model-00002-of-00002.bin').unlink()
    assert run(f'--source={source}', f'--out={tmp_path / "again"}') == 2


def test_a_variant_is_converted_under_its_name(small, tmp_path):
    _, state = small
    source = tmp_path / 'net'
    checkpoints.small(source)
    (source / 'model.safetensors').unlink()
    torch.save({k: v.half() for k, v in state.items()}, source / 'pytorch_model.fp16.bin')
    assert run(f'--source={source}', f'--out={tmp_path / "o"}', '--variant=fp16') == 0
    held = safetensors.numpy.load_file(tmp_path / 'o' / 'model.fp16.safetensors')
    assert {value.dtype for value in held.values()} == {np.dtype(np.float16)}
    assert weights.load(tmp_path / 'o', variant='fp16').name == 'alexnet'
    assert run(f'--source={source}', f'--out={tmp_path / "p"}') == 2


def test_a_whole_pipeline_is_converted_part_by_part(tmp_path, capsys):
    source, out = tmp_path / 'sd', tmp_path / 'out'
    diffusers.AutoencoderKL(**VAE).save_pretrained(source / 'vae', safe_serialization=False)
    text = transformers.CLIPTextConfig(
        vocab_size=9, hidden_size=4, intermediate_size=4, num_hidden_layers=1,
        num_attention_heads=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    transformers.CLIPTextModel(text).save_pretrained(source / 'text_encoder')
    for part, name in (('scheduler', 'scheduler_config.json'), ('tokenizer', 'merges.txt')):
        (source / part).mkdir()
        (source / part / name).write_text('{}')
    (source / 'safety_checker').mkdir()
    (source / 'safety_checker' / 'pytorch_model.bin').write_bytes(b'x')
    (source / 'model_index.json').write_text('{}')
    assert run(f'--source={source}', f'--out={out}') == 0
    assert weights.load(out / 'vae').stamp.startswith('out/vae sha256:')
    assert weights.load(out / 'text_encoder').name == 'clip'
    held = {str(path.relative_to(out)) for path in out.rglob('*') if path.is_file()}
    assert {'model_index.json', 'scheduler/scheduler_config.json', 'tokenizer/merges.txt'} <= held
    assert not any('.bin' in name or 'safety' in name for name in held)
    assert 'left out: safety_checker' in capsys.readouterr().out


def test_an_environment_without_torch_is_told(small, tmp_path, capsys, monkeypatch):
    torch.save(small[1], tmp_path / 'a.pth')
    monkeypatch.setitem(sys.modules, 'torch', None)
    assert run(f'--source={tmp_path / "a.pth"}', f'--out={tmp_path / "o"}', '--net=alexnet') == 2
    assert 'torch is not installed here' in capsys.readouterr().err


def test_wrong_words_are_told_in_one_line(small, tmp_path, capsys):
    full = tmp_path / 'full'
    full.mkdir()
    (full / 'x').touch()
    torch.save(small[1], tmp_path / 'a.pth')
    for words, told in (
        ((), '--source and --out are needed'),
        (('--source=nowhere', f'--out={tmp_path / "o"}'), 'no such file or folder'),
        ((f'--source={tmp_path / "a.pth"}', f'--out={full}'), 'holds something already'),
        ((f'--source={full}', f'--out={tmp_path / "o"}'), 'no config.json'),
    ):
        assert run(*words) == 2
        said = capsys.readouterr().err
        assert told in said and said.count('\n') == 1
    assert run('--list') == 0
    assert 'clip_vit_l14' in capsys.readouterr().out


def test_nothing_of_torch_is_imported_before_it_is_needed():
    code = 'import sys; from launch import convert; sys.exit("torch" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_lpips_is_joined_with_its_trunk(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(lpips.RELEASED, 'lpips_alex', lpips.Config(widths=(2, 3, 4, 5, 6)))
    shapes = weights.expected(lpips, lpips.LPIPS(lpips.RELEASED['lpips_alex']))
    rng = np.random.default_rng(5)
    wanted = {
        tensors.name_of(path): rng.normal(size=tensors.shape_of_theirs(s.shape, path[-1]))
        for path, s in shapes.items()
    }
    torchs = {k: torch.from_numpy(v.astype(np.float32)) for k, v in wanted.items()}
    trunk = {f'features.{k.split(".", 2)[2]}': v for k, v in torchs.items() if 'slice' in k}
    torch.save(trunk | {'classifier.6.bias': torch.ones(3)}, tmp_path / 'trunk.pth')
    torch.save({k: v for k, v in torchs.items() if 'lin' in k}, tmp_path / 'alex.pth')
    words = (f'--source={tmp_path / "alex.pth"}', f'--out={tmp_path / "net"}')
    assert run(*words) == 2
    assert 'needs a --trunk' in capsys.readouterr().err
    assert run(*words, f'--trunk={tmp_path / "alex.pth"}') == 2
    assert run(*words, f'--trunk={tmp_path / "trunk.pth"}') == 0
    found = tensors.state(weights.load(tmp_path / 'net').params)
    assert len(found) == len(wanted) == 15
    for name, value in found.items():
        np.testing.assert_array_equal(value, torchs[name], name)


@pytest.mark.long
@pytest.mark.parametrize('name', ['swav', 'inception_v3', 'efficientnet_b1'])
def test_a_file_as_it_was_published_fits_its_net(name, tmp_path):
    import torchvision

    nets = torchvision.models
    if name == 'swav':
        state = {f'module.{k}': v for k, v in nets.resnet50().state_dict().items()}
        state = {k: v for k, v in state.items() if '.fc.' not in k}
        for key in (
            'projection_head.0.weight',
            'projection_head.1.running_mean',
            'prototypes.weight',
        ):
            state[f'module.{key}'] = torch.ones(2)
    else:
        state = getattr(nets, name)().state_dict()
    torch.save(state, tmp_path / 'a.pth')
    assert run(f'--source={tmp_path / "a.pth"}', f'--out={tmp_path / "o"}', f'--net={name}') == 0
    loaded = weights.load(tmp_path / 'o')
    assert checkpoints.leaves(loaded.params) > 7_000_000
