"""The small CLIP pair: what is said of scenes, what is asked, and a training of two steps.

After a new training: `python -c 'from tests.train.tasks import test_clip as t; t.write_golden()'`.
"""

import json
import pathlib

import numpy as np
import pytest

from recon.data import loader
from recon.data.simulator import scenes
from recon.train.tasks import _clip_batches, _judge, _phrases, _scenes, clip
from recon.zoo import clip as net
from recon.zoo import tokenizers, weights

TINY = pathlib.Path(weights.__file__).parent / 'assets' / 'tiny'
GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'clip.json'
IDS = [9, 1239, 40009, 72999]  # held-out scenes


def golden() -> dict:
    """What the embedded pair says of a few scenes."""
    drawn = scenes.draw(np.array(IDS), 64)
    pair, alone = weights.load('tiny/clip'), weights.load('tiny/text_encoder')
    ids = tokenizers.load(TINY / 'tokenizer').encode(scenes.captions(drawn))
    out = pair.module.apply(
        {'params': pair.params}, net.prepare(pair.config, drawn.images / np.float32(255)), ids
    )
    states = alone.module.apply({'params': alone.params}, ids)
    return {
        'scenes_version': scenes.SCENES_VERSION,
        'cosines': np.asarray(out.image_embeds @ out.text_embeds.T),
        'image': np.asarray(out.image_embeds[:, :8]),
        'states': np.asarray(states[:, ::12, :4]),
    }


def write_golden() -> None:
    """Writes what a later `golden` has to equal."""
    said = {key: np.asarray(value).round(5).tolist() for key, value in golden().items()}
    GOLDEN.write_text(json.dumps(said, indent=1) + '\n')


@pytest.fixture(scope='module')
def drawn():
    return scenes.draw(np.arange(300))


@pytest.fixture(scope='module')
def speak(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tokenizer')
    tokenizers.write_clip(folder, _phrases.words(), _phrases.LENGTH)
    return _judge.speaker(tokenizers.load(folder)), tokenizers.load(folder)


def said(drawn):
    return _phrases.objects(drawn), np.array(drawn.place, int)


def test_the_speaker_says_the_captions(drawn, speak):
    quick, tokenizer = speak
    wanted = tokenizer.encode(scenes.captions(drawn), _phrases.LENGTH)
    np.testing.assert_array_equal(quick(*said(drawn)), wanted)


def test_shorter_captions_are_right_and_short(drawn, speak):
    present, place = said(drawn)
    less, where = _phrases.shorten(present, place, np.random.default_rng(1))
    quick, tokenizer = speak
    ids = quick(less, where, _phrases.SHORT)
    assert (ids[:, -1] == ids.max()).all()  # every text has come to its end
    right = _phrases.holds(less, where, present, place)
    assert right.diagonal().all()
    assert 0.005 < right.mean() < 0.2  # and of some other scenes
    assert (less[:, 0, _phrases.CATEGORY] >= 0).all()
    assert ((less != present).any((1, 2)) | (where != place).any(1)).mean() > 0.5
    texts = tokenizer.decode(ids)
    assert all(text.startswith('a ') for text in texts)


def test_spoilt_captions_are_wrong_and_never_show_an_unseen_pair(drawn):
    present, place = said(drawn)
    train = ~scenes.held_out(drawn.ids)
    present, place = present[train], place[train]
    unseen = {
        (scenes.CATEGORIES.index(c), tuple(scenes.COLOURS).index(k)) for c, k in scenes.UNSEEN
    }
    columns = set()
    for seed in range(4):
        wrong = _phrases.spoil(present, present, np.random.default_rng(seed))
        assert not _phrases.holds(wrong, place, present, place).diagonal().any()
        changed = wrong != present
        assert (changed.sum((1, 2)) == 1).all()
        columns |= set(np.nonzero(changed)[2].tolist())
        pairs = {tuple(pair) for pair in wrong[..., :2].reshape(-1, 2).tolist()}
        assert not pairs & unseen
    assert columns == {_phrases.CATEGORY, _phrases.COLOUR}


def test_holds_is_what_reading_one_by_one_says(drawn):
    present, place = said(drawn)
    less, where = _phrases.shorten(present[:40], place[:40], np.random.default_rng(2))
    got = _phrases.holds(less, where, present[:60], place[:60])
    for j in range(40):
        for i in range(60):
            right = where[j, 0] < 0 or tuple(where[j]) == tuple(place[i])
            for thing in less[j][less[j, :, 0] >= 0]:
                fits = [
                    all(a in (-1, b) for a, b in zip(thing, other, strict=True))
                    for other in present[i]
                    if other[0] >= 0
                ]
                right &= any(fits)
            assert got[i, j] == right, (i, j)


def test_mirrored_positions_are_left_for_right():
    names = scenes.POSITIONS
    thing = np.array([[[0, 1, 2, names.index('top left')], [3, 4, 0, names.index('bottom')],
                       [5, 1, 1, -1], [-1, -1, -1, -1]]])  # fmt: skip
    turned = _phrases.mirror(thing)
    assert names[turned[0, 0, 3]] == 'top right'
    assert names[turned[0, 1, 3]] == 'bottom'
    assert turned[0, 2:, 3].tolist() == [-1, -1]
    np.testing.assert_array_equal(_phrases.mirror(turned), thing)


def test_cells_and_slots_say_where_things_are(drawn):
    present, place = said(drawn)
    category, colour = _clip_batches.cells(drawn.contents, present)
    np.testing.assert_allclose(category.sum(-1), 1, atol=2e-3)
    np.testing.assert_allclose(colour.sum(-1), 1, atol=2e-3)
    for i in (3, 14, 159):
        main = drawn.contents[i, present[i, 0, 0]].reshape(-1)
        np.testing.assert_allclose(category[i, :, 1 + present[i, 0, 0]], main, atol=2e-3)
        assert (colour[i, :, 1 + present[i, 0, 1]] >= main - 2e-3).all()
    kind, shade, size, sky, ground = _clip_batches.slots(present, place)
    for i in (5, 77):
        things = present[i][present[i, :, 0] >= 0]
        assert (kind[i] > 0).sum() == len(things)
        for c, k, s, p in things:
            assert (kind[i, p], shade[i, p], size[i, p]) == (c + 1, k + 1, s + 1)
    np.testing.assert_array_equal(np.stack([sky, ground], 1), place)
    silent = present[:1].copy()
    silent[0, 0, _phrases.POSITION] = -1
    assert (_clip_batches.slots(silent, place[:1])[0] == -1).all()


def test_a_batch_is_a_function_of_its_number_and_its_own_captions_hold(drawn, speak):
    batches = _clip_batches.Batches(drawn, 200, speak[0], 32, seed=3, pictures=True)
    one, again, other = batches(4), batches(4), batches(5)
    for name in ('images', 'short', 'long', 'present', 'holds'):
        np.testing.assert_array_equal(one[name], again[name])
    assert (one['images'] != other['images']).any()
    own = _clip_batches.own(32)
    assert one['holds'].shape == (32, 40)
    assert one['holds'][np.arange(32), own].all()
    wrong = np.setdiff1d(np.arange(40), own)
    ids = np.concatenate([np.pad(one['short'], ((0, 0), (0, 20))), one['long']])
    assert len(ids) == 40
    assert (ids[wrong] != ids[np.concatenate([own[:4], own[16:20]])]).any(1).all()


def test_turned_pictures_have_turned_labels(drawn, speak):
    """Of one scene, both ways round: what its cells hold lies where its object is seen."""
    batches = _clip_batches.Batches(drawn, 40, speak[0], 40, seed=1, pictures=True)
    batch = batches(0)
    columns = np.arange(64) % 8
    turned = 0
    rows = loader.rows(1, 0, 40, 40)
    for i, row in enumerate(rows):
        turned += bool((batch['images'][i] != drawn.images[row]).any())
        c, _, _, p = batch['present'][i, 0]
        share = batch['cells'][0][i, :, 1 + c].astype(float)
        middle = (share * columns).sum() / share.sum()
        assert abs(middle - (0.2 + 0.3 * (p % 3)) * 8 + 0.5) < 1.6
    assert 8 < turned < 32


def test_the_judge_finds_what_is_equal_and_guesses_else(drawn):
    present, place = said(drawn)
    rng = np.random.default_rng(5)
    text = rng.normal(size=(300, 64))
    assert _judge.top1(text, text, present, place) == (1.0, 1.0)
    guessed = _judge.top1(rng.normal(size=(300, 64)), text, present, place)
    assert max(guessed) < 0.05
    same = np.repeat(present[:1], 300, 0), np.repeat(place[:1], 300, 0)
    assert np.isnan(_judge.top1(text, text, *same)).all()  # equal captions count once


def test_exchanged_captions_differ_in_the_main_object_alone(drawn):
    present, _ = said(drawn)
    every = _phrases.exchanged(present, _phrases.COLOUR)
    assert every.shape == (300, 8, 4, 4)
    at = present[:, 0, _phrases.COLOUR]
    np.testing.assert_array_equal(every[np.arange(300), at], present)
    assert ((every != present[:, None]).sum((2, 3)) == (np.arange(8) != at[:, None])).all()


def test_the_embedded_pair_says_what_it_said():
    wanted = json.loads(GOLDEN.read_text())
    got = golden()
    assert got.keys() == wanted.keys()
    for name, value in got.items():
        np.testing.assert_allclose(value, wanted[name], atol=2e-4, err_msg=name)
    assert (got['cosines'].argmax(1) == np.arange(len(IDS))).all()


@pytest.mark.long
def test_two_steps_write_folders_that_can_be_measured(tmp_path, monkeypatch):
    few = scenes.draw(np.arange(400)[~scenes.held_out(np.arange(400))])
    monkeypatch.setattr(_scenes, 'training', lambda work: few)
    monkeypatch.setattr(clip, 'VALIDATED', 110)
    seen = []
    real = clip.save
    monkeypatch.setattr(
        clip,
        'save',
        lambda out, net, params: (
            real(out, net, params),
            seen.append((tmp_path / 'text_encoder' / 'model.safetensors').read_bytes()),
        ),
    )
    settings = clip.SETTINGS | {'steps': 2, 'text_steps': 2, 'batch': 16, 'text_batch': 24}
    clip.run(settings, tmp_path, tmp_path / 'work', seed=7)
    assert len(seen) == 2
    assert seen[0] == seen[1]  # the text stays while the picture's tower learns
    reached = clip.measure(tmp_path, n=210)
    assert 0 <= reached['image_to_text_top1'] < 0.2
    assert reached['unseen_pairs']['scenes'] > 10
    json.dumps(reached)
    pair, alone = weights.load(tmp_path / 'clip'), weights.load(tmp_path / 'text_encoder')
    np.testing.assert_array_equal(
        pair.params['text_model']['final_layer_norm']['scale'],
        alone.params['text_model']['final_layer_norm']['scale'],
    )
    assert tokenizers.load(tmp_path / 'tokenizer').longest == _phrases.LENGTH
