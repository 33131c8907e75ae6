"""The tiny captioner: what it is taught with, how it is judged, and what the embedded one says."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recon.data.simulator import scenes
from recon.train.tasks import _blip_lessons, _caption_scores, _scenes, blip
from recon.zoo import tokenizers, weights
from tests.zoo import reference  # noqa: F401  before transformers

TINY = pathlib.Path(weights.__file__).parent / 'assets' / 'tiny'
GOLDEN = pathlib.Path(__file__).parent / 'golden' / 'blip.json'


@pytest.fixture(scope='module')
def drawn():
    return scenes.draw(np.arange(40, 70), 64)


def test_things_and_place_of_a_caption_are_found():
    said = 'a large red house at the top left and a small blue ball at the top, a day sky over sand'
    assert _caption_scores.things(said) == [
        ('large', 'red', 'house', 'top left'),
        ('small', 'blue', 'ball', 'top'),
    ]
    assert _caption_scores.place(said) == 'a day sky over sand'
    assert _caption_scores.place('a day sky') == ''
    assert _caption_scores.things('a red house at the top') == []


def test_true_captions_have_full_marks_and_exchanged_ones_chance(drawn):
    found = _caption_scores.scores(scenes.captions(drawn), drawn)['all']
    assert found['scenes'] == 30
    right = {key: value for key, value in found.items() if not key.startswith('chance_')}
    del right['scenes']
    assert set(right.values()) == {1.0}
    assert all(found[f'chance_{key}'] < 0.6 for key in right)
    assert found['chance_exact'] == 0


def test_each_mark_falls_with_its_own_fault(drawn):
    one = _scenes.held_out(1, start=4)
    true = scenes.captions(one)[0]
    (size, colour, category, position), *rest = _caption_scores.things(true)
    assert rest  # a second object, so that order matters

    def marks(said):
        found = _caption_scores.scores([said], one)['all']
        return {key for key, value in found.items() if value < 1 and 'chance' not in key}

    other = next(c for c in scenes.COLOURS if c != colour)
    everything = {'same_content', 'exact'}
    assert marks(true.replace(colour, other, 1)) == everything | {'main_named', 'main_first'}
    wrong = next(s for s in scenes.SIZES if s != size)
    assert marks(true.replace(size, wrong, 1)) == everything | {'main_size'}
    assert 'category_recall' in marks(true.replace(category, 'nothing', 1))
    assert marks(true.replace(' over ', ' under ')) == everything | {'place'}
    first, second = (f'{s} {c} {k} at the {p}' for s, c, k, p in _caption_scores.things(true)[:2])
    swapped = true.replace(first, '#').replace(second, first).replace('#', second)
    assert marks(swapped) == {'exact', 'main_first'}


def test_scenes_with_pairs_never_trained_are_told_apart():
    some = _scenes.held_out(40)
    found = _caption_scores.scores(scenes.captions(some), some)
    unseen = scenes.has_unseen(some)
    assert found['unseen_pairs']['scenes'] == unseen.sum() > 0
    assert found['seen_pairs']['scenes'] == 40 - unseen.sum()
    assert 0 < found['unseen_main']['scenes'] <= unseen.sum()


def test_cells_are_covered_by_the_objects_that_are_there(drawn):
    rows = np.array([3, 8, 21])
    what, shown = _blip_lessons.cells(drawn, rows)
    assert what.shape == (3, 4, 5)
    assert shown.shape == (3, 4, 64)
    for i, row in enumerate(rows):
        for k in range(4):
            category = drawn.category[row, k]
            if category < 0:
                assert not shown[i, k].any()
                continue
            contents = drawn.contents[row, category].reshape(-1)
            np.testing.assert_array_equal(shown[i, k], contents)
            assert what[i, k, 0] == category
            assert what[i, k, 3] == drawn.position[row, k]
            # The cell at its middle shows it, unless something is in front.
            assert contents.sum() / 64 == pytest.approx(drawn.coverage[row, k], abs=1e-3)


def test_an_object_that_no_caption_names_does_not_count_in_their_order(drawn):
    class Seen:
        category = np.array([[4, 7, 9, -1]])
        colour, size, position = category % 3, category % 2, category % 5
        visible = np.array([[1, 0.1, 1, 0]], np.float32)
        contents = drawn.contents[:1]

    what, _ = _blip_lessons.cells(Seen, np.array([0]))
    assert what[0, :, 4].tolist() == [0, 0, 1, 0]


def test_the_cells_loss_is_lowest_for_the_truth(drawn):
    what, shown = (jnp.asarray(x) for x in _blip_lessons.cells(drawn, np.arange(5)))
    heads = [jax.nn.one_hot(what[..., i], n) for i, n in enumerate(_blip_lessons.HEADS)]
    parts = [jnp.einsum('nop,nos->nps', shown, head) for head in heads]
    parts[0] = parts[0].at[..., -1].set(1 - parts[0].sum(-1))
    truth = jnp.concatenate(parts, -1)
    loss = jax.jit(_blip_lessons.cell_loss)
    plain = jnp.ones(5)
    best = loss(jnp.log(truth + 1e-9), what, shown, plain)
    assert best < 0.2 + loss(jnp.log(truth + 1e-3), what, shown, plain)
    assert loss(jnp.zeros_like(truth), what, shown, plain) > best + 2
    start = 0
    for n in _blip_lessons.HEADS:  # every head counts
        worse = truth.at[..., start : start + n].set(1 / n)
        assert loss(jnp.log(worse + 1e-9), what, shown, plain) > best + 0.05
        start += n
    # Where colours are not asked for, theirs counts for nothing, and only theirs.
    wrong = truth.at[..., 17:25].set(1 / 8)
    assert loss(jnp.log(wrong + 1e-9), what, shown, 0 * plain) == pytest.approx(
        float(loss(jnp.log(truth + 1e-9), what, shown, 0 * plain))
    )


def test_each_object_counts_about_alike_however_small_it_is(drawn):
    what = jnp.zeros((1, 4, 5), int).at[0, 1, 0].set(3)
    shown = jnp.zeros((1, 4, 64)).at[0, 0, :30].set(1).at[0, 1, 40:44].set(1)
    logits = jnp.zeros((1, 64, sum(_blip_lessons.HEADS)))

    def gain(cells, category, objects):
        better = logits.at[0, cells, category].set(3)
        losses = (
            _blip_lessons.cell_loss(x, what, shown, jnp.ones(1), objects) for x in (logits, better)
        )
        return float(next(losses) - next(losses))

    large, small = gain(slice(0, 30), 0, 5.0), gain(slice(40, 44), 3, 5.0)
    assert large > 7 * gain(slice(40, 44), 3, 0.0) > 0
    assert small > 0.7 * large


def test_disguised_pictures_ask_for_no_colours_and_no_place(drawn):
    rng = np.random.default_rng(11)
    said = np.array([[12, 1, 5, 2, 1, 9, 4, 7, 8, 3, 0, 0]] * 30)  # 5 and 9 colours, 4 the comma
    given = _blip_lessons.batch(drawn, said, np.arange(30))
    settings = {'exchanged': 0.5, 'misheard': 0.0}
    found = _blip_lessons.disguise(given, np.array([5, 9, 6]), 4, settings, rng)
    changed = found['plain'] == 0
    assert 5 < changed.sum() < 25
    np.testing.assert_array_equal(found['images'][~changed], given['images'][~changed])
    np.testing.assert_array_equal(found['heard'][~changed], said[~changed])
    np.testing.assert_array_equal(found['counted'][~changed], given['counted'][~changed])
    # Of the words after the first: neither colours nor what follows the comma.
    assert (found['counted'][changed] == [1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0]).all()
    assert not np.array_equal(found['heard'][changed], said[changed])
    for i in np.flatnonzero(changed):
        before, now = given['images'][i].astype(int), found['images'][i].astype(int)
        sums = before.sum(-1)
        assert (now.sum(-1) == sums).all() or (now.sum(-1) == 765 - sums).all()
    same = (found['images'] == given['images']).all((1, 2, 3))
    assert (same & changed).sum() < changed.sum() / 2


def test_misheard_words_are_colours_and_so_many():
    rng, colours = np.random.default_rng(7), np.array([5, 9, 12])
    ids = np.tile(np.arange(14, dtype=np.int32), (500, 1))
    heard = _blip_lessons.mishear(ids, colours, 0.3, rng)
    changed = heard != ids
    assert not changed[:, [i for i in range(14) if i not in colours]].any()
    assert np.isin(heard[:, colours], colours).all()
    assert changed[:, colours].mean() == pytest.approx(0.3 * 2 / 3, abs=0.04)
    np.testing.assert_array_equal(_blip_lessons.mishear(ids, colours, 0.0, rng), ids)


def test_words_are_single_ids_and_the_opening_one_is_none_of_them(tmp_path, drawn):
    net, ids, colours, comma = blip._vocabulary(tmp_path, drawn)
    text = net.config.text_config
    assert (ids[:, 0] == text.bos_token_id).all()
    assert text.bos_token_id == tokenizers.load(tmp_path).size == text.vocab_size - 1
    sentences = scenes.captions(drawn)
    for row, sentence in zip(ids, sentences, strict=True):
        count = len(sentence.replace(',', ' ,').split())
        assert row[count + 1] == text.sep_token_id
        assert (row[count + 2 :] == text.pad_token_id).all()
        assert (row[1 : count + 1] > 4).all()
    words = tokenizers.load(tmp_path).decode(colours[:, None])
    assert words == list(scenes.COLOURS)
    assert tokenizers.load(tmp_path).decode([[comma]]) == [',']


def test_padding_and_words_that_do_not_count_leave_the_loss_alone(tmp_path, drawn):
    net, ids, *_ = blip._vocabulary(tmp_path, drawn)
    params = jax.jit(lambda rng: blip._begin(net, rng))(jax.random.key(2))
    given = _blip_lessons.batch(drawn, ids, np.arange(4))
    stage = {'said': 3, 'objects': 0.0}
    run = jax.jit(lambda params, given: _blip_lessons.losses(net, params, given, stage))
    loss, parts = run(params, given)
    assert parts['words'] == pytest.approx(np.log(ids.max()), rel=0.3)
    assert loss == pytest.approx(float(parts['words'] + parts['cells']), rel=1e-6)

    def words(**changed):
        return float(run(params, given | changed)[1]['words'])

    first = float(parts['words'])
    assert words(heard=np.where(ids[:4] == 0, 7, given['heard'])) == pytest.approx(first, rel=1e-6)
    wrong = given['heard'].copy()
    wrong[3, 1] = 9  # the last picture's caption is not taught
    assert words(heard=wrong) == pytest.approx(first, rel=1e-6)
    wrong[2, 1] = 9
    assert words(heard=wrong) != pytest.approx(first, rel=1e-6)
    asked = given['ids'].copy()
    asked[1, 4] = 9
    assert words(ids=asked) != pytest.approx(first, rel=1e-6)
    counted = given['counted'].copy()
    counted[1, 3] = 0
    assert words(ids=asked, counted=counted) == pytest.approx(words(counted=counted), rel=1e-6)


def test_the_second_stage_has_its_own_steps_batch_and_rate():
    stages = blip._stages(blip.SETTINGS | {'then_steps': 7, 'then_batch': 3})
    assert list(stages) == ['plain', 'disguised']
    assert stages['plain']['said'] == stages['plain']['batch'] == blip.SETTINGS['batch']
    again = stages['disguised']
    assert (again['steps'], again['batch']) == (7, 3)
    assert again['learning_rate'] == blip.SETTINGS['then_learning_rate']
    assert again['said'] == blip.SETTINGS['said']


def test_the_embedded_captioner_says_what_it_said():
    golden = json.loads(GOLDEN.read_text())
    assert golden['scenes_version'] == scenes.SCENES_VERSION
    some = scenes.draw(np.array(golden['ids']), 64)
    assert blip.captions(TINY / 'blip', some.images) == golden['greedy']
    beam = blip.captions(TINY / 'blip', some.images[:4], method='beam')
    assert beam == golden['beam']


def test_the_embedded_captioner_names_the_main_object_of_held_out_scenes():
    some = _scenes.held_out(200, start=3000)
    found = _caption_scores.scores(blip.captions(TINY / 'blip', some.images), some)['all']
    assert found['main_named'] > 0.78
    assert found['chance_main_named'] < 0.1


@pytest.mark.long
def test_transformers_says_the_same_with_the_embedded_captioner():
    import torch
    import transformers
    from transformers.models.blip import image_processing_pil_blip

    golden = json.loads(GOLDEN.read_text())
    images = scenes.draw(np.array(golden['ids'][:3]), 64).images
    folder = TINY / 'blip'
    processor = image_processing_pil_blip.BlipImageProcessorPil.from_pretrained(folder)
    model = transformers.BlipForConditionalGeneration.from_pretrained(folder).float().eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    pixels = torch.from_numpy(processor(list(images), return_tensors='np')['pixel_values'])
    for options, wanted in (({}, 'greedy'), ({'num_beams': 3}, 'beam')):
        said = tokenizer.decode(
            model.generate(pixels, max_length=blip.LENGTH, **options), skip_special_tokens=True
        )
        assert [text.replace(' ,', ',').strip() for text in said] == golden[wanted][:3]


@pytest.mark.long
def test_a_short_training_learns_and_writes_a_folder(tmp_path):
    settings = blip.SETTINGS | {'steps': 40, 'batch': 8, 'scenes': 1200, 'save_every': 20}
    settings |= {'then_steps': 10, 'then_batch': 6, 'said': 4}
    blip.run(settings, tmp_path / 'out', tmp_path)
    log = tmp_path / 'blip' / 'plain' / 'metrics.jsonl'
    lines = [json.loads(line) for line in log.open()]
    words = [line['value'] for line in lines if line['name'] == 'validate/words']
    assert words[-1] < 0.9 * words[0] < 5
    folder = tmp_path / 'out' / 'blip'
    said = blip.captions(folder, scenes.draw([9], 64).images)
    assert len(said) == 1
    assert {p.name for p in folder.iterdir()} >= {'vocab.txt', 'preprocessor_config.json'}
