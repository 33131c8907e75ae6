"""Text <-> token ids: transformers' own tokenizers, and small ones made from captions.

Source: byte-pair encoding, Sennrich et al. 2016, as in CLIP (Radford et al. 2021); WordPiece as in
BERT (Devlin et al. 2019).
"""

import collections
import dataclasses
import json
import pathlib

import numpy as np

from recon.core import errors, results
from recon.zoo import catalog

_FILES = ('tokenizer.json', 'vocab.json', 'vocab.txt')
_START, _END = '<|startoftext|>', '<|endoftext|>'
_BERT = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]')


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """What a folder's tokenizer files say.

    Attributes:
      inner: transformers' tokenizer.
      size: of the vocabulary.
      longest: tokens that a text may have; None where the folder does not say.
    """

    inner: object
    size: int
    longest: int | None

    def encode(self, texts, length: int | None = None) -> np.ndarray:
        """Ids of texts, begun, ended, cut and padded as the folder says.

        Args:
          texts: n strings; a single one counts as a list of it.
          length: tokens with those that begin and end; None takes the folder's own.

        Returns:
          [n length] int32.

        Raises:
          ConfigError: no length, or more than the folder allows.
        """
        length = length or self.longest
        if length is None or length < 2 or (self.longest and length > self.longest):
            raise errors.ConfigError(
                f'length is {length!r}', 'tokenizer', f'wanted 2 to {self.longest or "any number"}'
            )
        texts = [texts] if isinstance(texts, str) else [str(text) for text in texts]
        if not texts:
            return np.zeros((0, length), np.int32)
        ids = self.inner(texts, padding='max_length', max_length=length, truncation=True)
        return np.asarray(ids['input_ids'], np.int32)

    def decode(self, ids) -> list[str]:
        """[n k] ids -> n strings, without what begins, ends and pads, and without unknown ids."""
        rows = [[int(i) for i in row if 0 <= i < self.size] for row in np.asarray(ids)]
        return [self.inner.decode(row, skip_special_tokens=True).strip() for row in rows]


def load(folder) -> Tokenizer:
    """The tokenizer of a folder: vocab.json and merges.txt, vocab.txt, or tokenizer.json.

    Args:
      folder: as in weights.load: a folder, or a name such as 'tiny/tokenizer'.

    Raises:
      DataMissing: no such files.  DataInvalid: they cannot be read.
      ConfigError: a tokenizer that is neither CLIP's nor BERT's.
    """
    folder = catalog.resolve(folder)
    if not any((folder / name).is_file() for name in _FILES):
        raise errors.DataMissing(
            f'no tokenizer: none of {", ".join(_FILES)}', folder, 'fetch the whole folder'
        )
    import transformers  # slow

    kind = getattr(transformers, f'{_kind(folder)}TokenizerFast')
    try:
        inner = kind.from_pretrained(str(folder), local_files_only=True)
        known = len(inner)
    except Exception as error:  # noqa: BLE001  the library's parser raises bare Exceptions
        raise errors.DataInvalid(
            f'its tokenizer cannot be read ({" ".join(str(error).split())})'[:300],
            folder,
            'fetch the folder again',
        ) from error
    longest = inner.model_max_length
    return Tokenizer(inner, known, int(longest) if longest < 10**6 else None)


def write_clip(folder, texts, length: int = 77) -> int:
    """Writes a small tokenizer of CLIP's kind: every word of `texts` is one token.

    Other words are spelled in smaller pieces, down to bytes. The last two ids begin and end a
    text; texts are padded with the ending one, as in Stable Diffusion 1.

    Args:
      folder: gets vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json.
      texts: captions.
      length: tokens that a text may have.

    Returns:
      Size of the vocabulary; the ending token is the last.
    """
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # one for each byte
    pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    words = [pieces.pre_tokenize_str(word)[0][0] for word in _words(texts)]
    merges = _merges([[*word[:-1], word[-1] + '</w>'] for word in words])
    tokens = letters + [letter + '</w>' for letter in letters]
    tokens += [a + b for a, b in merges] + [_START, _END]
    special = {'bos_token': _START, 'eos_token': _END, 'unk_token': _END, 'pad_token': _END}
    _write(
        folder,
        {
            'vocab.json': json.dumps({token: i for i, token in enumerate(tokens)}) + '\n',
            'merges.txt': '\n'.join(['#version: 0.2', *(f'{a} {b}' for a, b in merges)]) + '\n',
        },
        special,
        {'tokenizer_class': 'CLIPTokenizer', 'model_max_length': length, 'do_lower_case': True},
    )
    return len(tokens)


def write_bert(folder, texts, prompt: str = '', length: int = 512) -> int:
    """Writes a small tokenizer of BERT's kind: every word of `texts` and of `prompt` is one token.

    Other words of ASCII letters and digits are spelled.

    Args:
      folder: gets vocab.txt, tokenizer_config.json and special_tokens_map.json.
      texts: captions.
      prompt: that captions are begun with.
      length: tokens that a text may have.

    Returns:
      Size of the vocabulary: 0 pads, 2 begins, 3 ends. As in BLIP's releases, the id that begins a
      caption is not in it: it is the next one.
    """
    words = _words([*texts, prompt])
    letters = [chr(i) for i in range(33, 127) if not 65 <= i <= 90]
    spelled = [f'##{letter}' for letter in letters if letter.isalnum()]
    tokens = dict.fromkeys([*_BERT, *words, *letters, *spelled])
    special = dict(
        zip(('pad_token', 'unk_token', 'cls_token', 'sep_token', 'mask_token'), _BERT, strict=True)
    )
    _write(
        folder,
        {'vocab.txt': '\n'.join(tokens) + '\n'},
        special,
        {'tokenizer_class': 'BertTokenizer', 'model_max_length': length, 'do_lower_case': True},
    )
    return len(tokens)


def _write(folder, files: dict[str, str], special: dict, config: dict) -> None:
    files = files | {
        'tokenizer_config.json': results.to_json(config | special) + '\n',
        'special_tokens_map.json': results.to_json(special) + '\n',
    }
    for name, text in files.items():
        results.write_bytes(pathlib.Path(folder) / name, text.encode())


def _words(texts) -> list[str]:
    """Words and signs of texts, in lower case, each once, the most frequent first."""
    from tokenizers import pre_tokenizers

    counts = collections.Counter()
    split = pre_tokenizers.BertPreTokenizer()  # at spaces and around signs
    for text in texts:
        counts.update(piece for piece, _ in split.pre_tokenize_str(str(text).lower()))
    return sorted(counts, key=lambda word: (-counts[word], word))


def _merges(words: list[list[str]]) -> list[tuple[str, str]]:
    """The pairs to be joined, in their order, until every word is one piece."""
    words, merges = [list(word) for word in words], []
    while True:
        pairs = collections.Counter(
            pair for word in words for pair in zip(word, word[1:], strict=False)
        )
        if not pairs:
            return merges
        first, second = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((first, second))
        for word in words:
            i = 0
            while i < len(word) - 1:
                if (word[i], word[i + 1]) == (first, second):
                    word[i : i + 2] = [first + second]
                i += 1


def _kind(folder: pathlib.Path) -> str:
    """'CLIP' or 'Bert', as the folder's tokenizer_config.json says, or else its files."""
    path = folder / 'tokenizer_config.json'
    try:
        said = json.loads(path.read_text()).get('tokenizer_class') if path.is_file() else None
        if said is None and (folder / 'tokenizer.json').is_file():
            model = json.loads((folder / 'tokenizer.json').read_text())['model']
            said = {'BPE': 'CLIPTokenizer', 'WordPiece': 'BertTokenizer'}.get(model['type'])
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise errors.DataInvalid(
            f'its tokenizer cannot be read ({error})'[:300], folder, 'fetch the folder again'
        ) from error
    if said is None:
        said = 'BertTokenizer' if (folder / 'vocab.txt').is_file() else 'CLIPTokenizer'
    for kind in ('CLIP', 'Bert'):
        if said in (f'{kind}Tokenizer', f'{kind}TokenizerFast'):
            return kind
    raise errors.ConfigError(f'tokenizer_class is {said!r}', path, "wanted CLIP's or BERT's")
