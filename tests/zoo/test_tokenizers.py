import json
import subprocess
import sys

import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import scenes
from recon.zoo import tokenizers
from tests.zoo import reference  # noqa: F401  before transformers

CAPTIONS = scenes.captions(scenes.draw(np.arange(120), 16))
SPLIT = [caption.replace(',', ' ,').split() for caption in CAPTIONS]


@pytest.fixture(scope='module')
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp('clip')
    return folder, tokenizers.write_clip(folder, CAPTIONS, 56), tokenizers.load(folder)


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bert')
    return folder, tokenizers.write_bert(folder, CAPTIONS, 'a photo of'), tokenizers.load(folder)


def test_clip_gives_every_word_of_a_caption_one_token(clip):
    _, size, tokenizer = clip
    ids = tokenizer.encode(CAPTIONS, 56)
    assert ids.dtype == np.int32
    assert (ids[:, 0] == size - 2).all()
    ends = (ids == size - 1).argmax(1)  # the largest id, so that argmax finds the end
    np.testing.assert_array_equal(ends, [len(words) + 1 for words in SPLIT])
    np.testing.assert_array_equal(ids.argmax(1), ends)


def test_bert_gives_every_word_one_token_and_knows_the_prompt(bert):
    _, size, tokenizer = bert
    ids = tokenizer.encode([*CAPTIONS, 'a photo of'], 60)
    np.testing.assert_array_equal((ids != 0).sum(1) - 2, [*(len(w) for w in SPLIT), 3])
    assert ids.max() < size
    assert not (ids == 1).any()  # nothing is unknown


@pytest.mark.parametrize('which', ['clip', 'bert'])
def test_captions_come_back_word_for_word(which, request):
    tokenizer = request.getfixturevalue(which)[2]
    # With ids that no vocabulary has.
    ids = np.pad(tokenizer.encode(CAPTIONS, 50), ((0, 0), (1, 1)), constant_values=(-1, 9_999))
    back = tokenizer.decode(ids)
    assert [text.replace(' ,', ',') for text in back] == CAPTIONS


@pytest.mark.parametrize('which', ['clip', 'bert'])
def test_transformers_own_loader_agrees(which, request):
    transformers = pytest.importorskip('transformers')
    folder, _, tokenizer = request.getfixturevalue(which)
    theirs = transformers.AutoTokenizer.from_pretrained(str(folder))
    found = theirs(CAPTIONS[:5], padding='max_length', max_length=48, truncation=True)['input_ids']
    np.testing.assert_array_equal(tokenizer.encode(CAPTIONS[:5], 48), found)


def test_words_never_seen_are_spelled_down_to_bytes(clip):
    _, size, tokenizer = clip
    text = 'zebras: naïve 猫 42'
    (ids,) = tokenizer.encode([text], 40)
    assert (ids < size - 2).sum() > 8
    assert tokenizer.decode([ids])[0].replace(' ', '') == text.replace(' ', '')


def test_a_long_text_is_cut_and_still_ends(clip, bert):
    for (_, _, tokenizer), end in ((clip, clip[1] - 1), (bert, 3)):
        (ids,) = tokenizer.encode([' and '.join(CAPTIONS[:4])], 20)
        assert ids.shape == (20,)
        assert ids[-1] == end
        assert (ids[:-1] != end).all()


def test_padding_is_as_the_folder_says(clip, tmp_path):
    folder, size, _ = clip
    for name in ('vocab.json', 'merges.txt'):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    config = json.loads((folder / 'tokenizer_config.json').read_text())
    (tmp_path / 'tokenizer_config.json').write_text(json.dumps(config | {'pad_token': '!'}))
    ids = tokenizers.load(tmp_path).encode(['a red house'], 9)
    assert (ids[0, 5:] == 0).all()  # '!' is id 0, as in Stable Diffusion 2.1
    (tmp_path / 'tokenizer_config.json').unlink()  # as the oldest repositories have it
    ids = tokenizers.load(tmp_path).encode(['a red house'], 9)
    assert (ids[0, 4:] == size - 1).all()


@pytest.mark.parametrize('which', ['clip', 'bert'])
def test_tokenizer_json_alone_is_enough(which, request, tmp_path):
    _, _, tokenizer = request.getfixturevalue(which)
    tokenizer.inner.save_pretrained(tmp_path)
    for name in ('vocab.json', 'merges.txt', 'vocab.txt', 'tokenizer_config.json'):
        (tmp_path / name).unlink(missing_ok=True)
    again = tokenizers.load(tmp_path)
    texts = ['a blue cup', CAPTIONS[7]]
    np.testing.assert_array_equal(again.encode(texts, 44), tokenizer.encode(texts, 44))


def test_a_length_beyond_the_folders_own_is_refused(clip):
    tokenizer = clip[2]
    assert tokenizer.encode([], 8).shape == (0, 8)
    assert tokenizer.encode(['a cat']).shape == (1, 56)
    with pytest.raises(errors.ConfigError, match='length is 57'):
        tokenizer.encode(['a cat'], 57)


def test_a_single_text_is_not_taken_letter_by_letter(clip):
    np.testing.assert_array_equal(clip[2].encode('a cat', 9), clip[2].encode(['a cat'], 9))


def test_the_embedded_tokenizer_is_found_by_its_name():
    assert tokenizers.load('tiny/tokenizer').encode(['a red house']).shape[0] == 1


def test_a_folder_without_a_readable_tokenizer_is_told(clip, tmp_path):
    with pytest.raises(errors.DataMissing, match='no tokenizer'):
        tokenizers.load(tmp_path)
    (tmp_path / 'vocab.json').write_bytes((clip[0] / 'vocab.json').read_bytes()[:500])
    (tmp_path / 'merges.txt').write_bytes((clip[0] / 'merges.txt').read_bytes())
    with pytest.raises(errors.DataInvalid, match='cannot be read'):
        tokenizers.load(tmp_path)
    (tmp_path / 'tokenizer_config.json').write_text('{"tokenizer_class": "T5Tokenizer"}')
    with pytest.raises(errors.ConfigError, match='T5Tokenizer'):
        tokenizers.load(tmp_path)


def test_no_torch_is_imported(clip, bert):
    code = (
        'import sys; from recon.zoo import tokenizers\n'
        f'for f in ({str(clip[0])!r}, {str(bert[0])!r}): tokenizers.load(f).encode(["a cat"], 8)\n'
        'sys.exit(bool({"torch", "torchvision", "tensorflow"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_same_captions_make_the_same_files(clip, tmp_path):
    tokenizers.write_clip(tmp_path, CAPTIONS, 56)
    for path in clip[0].iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
