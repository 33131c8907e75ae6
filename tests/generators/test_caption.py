"""Captions of pictures against transformers' BLIP, and what is taken out of them."""

import jax
import numpy as np
import pytest
import torch

from recon.core import errors, image
from recon.data.simulator import scenes
from recon.generators import caption
from recon.zoo import tokenizers
from tests.zoo import reference

WORDS = ['a blurry picture of', 'the large red house and three boats near some water today']


def captioner(folder, seed, side=24, prompt=''):
    """Saves a random BLIP and its tokenizer; gives transformers' sentences of pictures."""
    import transformers

    size = tokenizers.write_bert(folder, WORDS, prompt)
    text = {'vocab_size': size + 1, 'hidden_size': 16, 'intermediate_size': 24}
    text |= {'num_hidden_layers': 1, 'num_attention_heads': 2, 'max_position_embeddings': 30}
    text |= {'bos_token_id': size, 'sep_token_id': 3, 'pad_token_id': 0, 'encoder_hidden_size': 12}
    vision = {'hidden_size': 12, 'intermediate_size': 20, 'num_attention_heads': 3}
    vision |= {'num_hidden_layers': 1, 'patch_size': 8, 'image_size': side}
    torch.manual_seed(seed)
    config = transformers.BlipConfig(text_config=text, vision_config=vision)
    net = reference.perturb(transformers.BlipForConditionalGeneration(config), seed, 0.5)
    head = net.text_decoder.cls.predictions.bias
    head.data[:3], head.data[3:5], head.data[-1] = -20, torch.tensor([1.5, -20]), -20
    net.save_pretrained(folder)
    speak = transformers.BertTokenizer.from_pretrained(folder)

    def theirs(images, length, **options):
        from transformers.models.blip import image_processing_pil_blip

        processor = image_processing_pil_blip.BlipImageProcessorPil(
            size={'height': side, 'width': side}
        )
        given = processor([np.asarray(x * 255, np.uint8) for x in images], return_tensors='pt')
        ids = speak([prompt] * len(images), return_tensors='pt')['input_ids']
        options = {'num_beams': 1} | options
        ids = net.generate(given['pixel_values'], input_ids=ids, max_length=length, **options)
        return [s.strip() for s in speak.batch_decode(ids, skip_special_tokens=True)]

    return theirs


def shown(seed, n, side=24):
    """Pictures of whole 255ths."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3)) / np.float32(255)


@pytest.mark.parametrize(
    ('seed', 'prompt', 'options'),
    [
        (1, '', dict(length=12, batch=2)),
        (2, 'a picture of', dict(length=17, batch=5)),
        pytest.param(3, 'near', dict(method='beam', beams=3, length=11), marks=pytest.mark.long),
    ],
)
def test_captions_are_those_of_transformers(tmp_path, seed, prompt, options):
    theirs = captioner(tmp_path, seed, prompt=prompt)
    cfg = options | {'net': str(tmp_path), 'prompt': prompt, 'drop': ()}
    images = shown(seed, 5)
    found = caption.generate(cfg, caption.load(cfg, {}), {'images': images}, None)
    more = {'num_beams': 3} if 'beams' in options else {}
    wanted = theirs(images, options['length'], **more)
    assert found['captions'].dtype.kind == 'U'
    assert found['captions'].tolist() == wanted
    assert len(set(wanted)) > 1
    assert all(sentence.startswith(prompt) for sentence in wanted)
    assert len({len(sentence.split()) for sentence in wanted}) > 1  # some were closed
    assert found['images'] is images


@pytest.mark.parametrize(
    ('sentence', 'left'),
    [
        ('a blurry picture of a dog', 'a picture of a dog'),
        ('Blurry photo of two boats', 'photo of two boats'),
        ('a very blurry image of a blurry blurry cat', 'a very image of a cat'),
        ('a house that is blurry', 'a house that is'),
        ('the blurrycam of an unblurry sheep', 'the blurrycam of an unblurry sheep'),
        ('blurry', ''),
        ('', ''),
    ],
)
def test_the_word_blurry_is_dropped_as_the_seed_drops_it(sentence, left):
    assert caption.clean(sentence, caption.DEFAULTS['drop']) == left
    if not sentence.endswith('blurry') and not sentence.startswith('Blurry'):
        sentence = sentence if 'blurrycam' in sentence else sentence.replace('blurry ', '')
        assert sentence == left  # the seed's own rule


def test_other_words_can_be_dropped_and_none():
    said = 'a red-hot picture of a (red) house'
    assert caption.clean(said, ('red', 'picture of')) == 'a -hot a () house'
    assert caption.clean(said, ()) == said


def test_true_scenes_are_described_by_the_tiny_captioner_and_words_are_dropped():
    drawn = scenes.draw(range(3))
    decoded = {'images': drawn.images / np.float32(255), 'voxels': np.zeros((3, 2))}
    params = caption.load({}, {})
    cfg = {'batch': 2, 'length': 24, 'drop': ('a',)}
    found = caption.generate(cfg, params, decoded, jax.random.key(0))
    assert list(found) == ['images', 'voxels', 'captions']
    assert found['captions'].shape == (3,)
    for sentence, i in zip(found['captions'], range(3), strict=True):
        assert scenes.CATEGORIES[drawn.category[i, 0]] in sentence
        assert 'a' not in sentence.split()
    larger = decoded | {'images': decoded['images'].repeat(3, 1).repeat(3, 2)}
    resized = {'images': image.resize(larger['images'], (64, 64))}
    again, alone = (
        caption.generate(cfg | {'size': size}, params, given, jax.random.key(0))['captions']
        for size, given in ((64, larger), (0, resized))
    )
    np.testing.assert_array_equal(again, alone)
    grey = {'images': decoded['images'][..., :1]}
    assert caption.generate(cfg, params, grey, None)['captions'].shape == (3,)


@pytest.mark.long
def test_samples_follow_their_key(tmp_path):
    captioner(tmp_path, 4)
    cfg = {'net': str(tmp_path), 'method': 'nucleus', 'length': 12, 'batch': 3}
    params, decoded = caption.load(cfg, {}), {'images': np.repeat(shown(4, 1), 6, 0)}
    found = [caption.generate(cfg, params, decoded, jax.random.key(k)) for k in (0, 0, 1)]
    said = [list(f['captions']) for f in found]
    assert said[0] == said[1] != said[2]
    assert said[0][:3] != said[0][3:]  # another batch draws anew


def test_what_cannot_be_captioned_is_refused():
    params = caption.load({}, {})
    with pytest.raises(errors.ConfigError, match='no pictures .*such as vae; decoded: voxels, z'):
        caption.generate({}, params, {'voxels': 0, 'z': 1}, None)
    for drop in ('blurry', ('',), (3,), (' ',)):
        with pytest.raises(errors.ConfigError, match='caption.drop is .*tuple of words'):
            caption.load({'drop': drop}, {})
    with pytest.raises(errors.ConfigError, match='caption.size is -2'):
        caption.load({'size': -2}, {})
    with pytest.raises(errors.ConfigError, match="net is 'tiny/vae', a sd_vae"):
        caption.load({'net': 'tiny/vae'}, {})
    with pytest.raises(errors.DataMissing):
        caption.load({'net': 'blip_large'}, {'path': '/nowhere'})
    images = {'images': shown(0, 1, 64)}
    with pytest.raises(errors.ConfigError, match="method is 'best'"):
        caption.generate({'method': 'best'}, params, images, None)
    with pytest.raises(errors.ConfigError, match='length is 5'):
        caption.generate({'length': 5, 'prompt': 'a small red house at'}, params, images, None)
