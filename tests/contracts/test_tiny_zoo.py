"""The embedded nets: all there, and as good on held-out scenes as they have to be."""

import json

import pytest

from recon.data.simulator import scenes
from recon.zoo import _folders

TINY = _folders.ASSETS / 'tiny'
PARTS = {'vae', 'unet', 'text_encoder', 'clip', 'blip', 'alexnet'}


@pytest.fixture(scope='module')
def reached():
    """{net: numbers}, as launch/train_zoo.py --measure wrote them."""
    return {k: v['reached'] for k, v in json.loads((TINY / 'reach.json').read_text()).items()}


def test_every_part_is_embedded_and_knows_its_scenes():
    found = {path.parent.name: json.loads(path.read_text()) for path in TINY.glob('*/config.json')}
    assert set(found) == PARTS
    assert {raw['scenes_version'] for raw in found.values()} == {scenes.SCENES_VERSION}
    for name in ('model_index.json', 'scheduler/scheduler_config.json', 'tokenizer/vocab.json'):
        assert (TINY / name).is_file(), name


def test_the_nets_reach_what_the_systems_need(reached):
    for group in ('all', 'unseen_pairs'):
        scores = reached['sd_vae'][group]
        bicubic = [v['psnr'] for k, v in scores.items() if k.startswith('bicubic')]
        assert scores['ours']['psnr'] >= max(26, *bicubic)
    assert reached['clip']['image_to_text_top1'] >= 0.8
    assert reached['blip']['all']['main_named'] >= 0.8


@pytest.mark.xfail(strict=True, reason='the U-Net paints two shapes in three')
def test_the_unet_paints_what_the_judges_recognise(reached):
    samples, truth = reached['sd_unet']['samples'], reached['sd_unet']['true_scenes']
    for name in ('main_category_among_k', 'image_to_text_top1'):
        assert min(truth[name], samples[name]) >= 0.7 > reached['sd_unet']['other_captions'][name]
    kept = reached['sd_unet']['img2img']
    assert kept['layout_kept_with_another_caption'] > 0.8 > kept['chance']
