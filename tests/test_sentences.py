import ml_collections
import numpy as np
import pytest

from recon import sentences, targets
from recon.core import errors, settings, types
from recon.generators import _text

NET = 'tiny/text_encoder'
SAID = {
    3: ('a large red house at the top', 'a house over sand'),
    5: ('a small blue car',),
    8: ('a green tree', 'a small blue car', 'a tree under a blue sky'),
}


def spec(**more):
    made = dict(settings.TARGET, net=NET, layer='states', of='captions', tokens=9)
    return ml_collections.ConfigDict(made | more)


def brain(captions, ids=(3, 5, 8)):
    rows = types.Split(np.zeros((len(ids), 2), np.float32), np.array(ids))
    shown = types.Images(np.array(ids), None, (4, 4))
    return types.BrainData(rows, rows, shown, captions=captions)


@pytest.mark.parametrize(('layer', 'shape'), [('states', (9, 128)), ('pooled', (128,))])
def test_a_pictures_value_is_the_mean_of_the_states_of_its_captions(layer, shape, monkeypatch):
    zoo = ml_collections.ConfigDict(targets.ZOO)
    monkeypatch.setattr(sentences, '_PICTURES', 2)  # so that there are two parts
    found = sentences.measure(spec(layer=layer), zoo, SAID, np.array([8, 3, 5, 3]))
    assert found.shape == (4, *shape) and found.dtype == np.float32
    encode = _text.encode if layer == 'states' else _text.pooled
    encoder = _text.load(NET, zoo)
    for row, one in zip(found, (8, 3, 5, 3), strict=True):
        wanted = encode(encoder, list(SAID[one]), 9).mean(0)
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-2)


@pytest.mark.parametrize(
    ('captions', 'message'),
    [(None, 'the pictures have none'), ({3: ('a',), 5: ()}, '2 of 3 training pictures.*first 5')],
)
def test_recordings_without_captions_are_refused_with_what_to_give(captions, message):
    with pytest.raises(errors.DataMissing, match=f'targets.c.*{message}.*annotations'):
        sentences.check_data('c', brain(captions))


def test_recordings_with_a_caption_for_each_picture_pass():
    sentences.check_data('c', brain(SAID))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(net='tiny/vae'), 'net is .*a text encoder'),
        (dict(layer='latents'), "layer is 'latents'.*'states' or 'pooled'"),
        (dict(size=(4, 4)), 'size is .*sentences have none'),
        (dict(tokens=1), 'tokens is 1.*2 to 48'),
        (dict(tokens=49), 'tokens is 49.*2 to 48'),
    ],
)
def test_options_that_captions_cannot_have_are_refused_before_any_data(changes, message):
    cfg = ml_collections.ConfigDict({'zoo': targets.ZOO})
    with pytest.raises(errors.ConfigError, match=f'targets.c.{message}'):
        sentences.check('c', spec(**changes), cfg.zoo)
