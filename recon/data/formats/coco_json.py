"""COCO's large JSON files, item by item: instances_train2017.json is 450 MB of text."""

import json
import re

from recon.core import errors
from recon.data.formats import files

_CHUNK = 2**20  # characters
_SPACE = re.compile(r'[ \t\n\r]*')


def stream(path):
    """The top-level entries of a JSON object, its lists item by item.

    Memory is that of the largest item (and a megabyte of text), whatever the file's size; the time
    is that of parsing all of it.

    Yields:
      (key, item) for each item of a list, (key, value) for any other value, in the file's order.

    Raises:
      DataMissing: no such file.  DataInvalid: no JSON object, or cut short; before the broken part
        is reached, all that stands before it has been yielded.
    """
    path = files.exists(path)
    with (
        files.said(path, 'not JSON that can be read, or cut short'),
        open(path, encoding='utf-8-sig') as file,
    ):
        yield from _entries(_Text(file))


def lists(path, *wanted: str):
    """(key, item) of the lists `wanted`, as `stream`.

    Raises:
      DataInvalid: as `stream`, and where one of them is not in the file.
    """
    seen = set()
    for key, item in stream(path):
        seen.add(key)
        if key in wanted and isinstance(item, dict):
            yield key, item
    missing = [key for key in wanted if key not in seen]
    if missing:
        raise errors.DataInvalid(
            f'no {" and no ".join(missing)} in it', path, f'it has {", ".join(sorted(seen))}'
        )


class _Text:
    """A file's text through a window that grows as far as one value needs."""

    def __init__(self, file):
        self._file, self._held, self._at = file, '', 0
        self._decode = json.JSONDecoder().raw_decode

    def peek(self) -> str:
        """The next character that is no space; '' at the end."""
        while True:
            self._at = _SPACE.match(self._held, self._at).end()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more(_CHUNK):
                return ''

    def take(self, wanted: str) -> str:
        """The next character, which must be one of `wanted`."""
        found = self.peek()
        if not found or found not in wanted:
            raise ValueError(
                f'{found!r} where one of {wanted!r} was wanted' if found else 'it ends'
            )
        self._at += 1
        return found

    def value(self):
        """The next value, whole."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                value, end = self._decode(self._held, self._at)
                if end < len(self._held) or not self._more(size):  # a number may go on
                    self._at = end
                    return value
            except json.JSONDecodeError:
                if not self._more(size):
                    raise
            size *= 2  # so that a long value is not begun anew too often

    def _more(self, size: int) -> bool:
        text = self._file.read(size)
        if text:
            self._held, self._at = self._held[self._at :] + text, 0
        return bool(text)


def _entries(text: _Text):
    text.take('{')
    if text.peek() == '}':
        return
    while True:
        key = text.value()
        text.take(':')
        if text.peek() == '[':
            yield from ((key, item) for item in _items(text))
        else:
            yield key, text.value()
        if text.take(',}') == '}':
            return


def _items(text: _Text):
    text.take('[')
    if text.peek() == ']':
        text.take(']')
        return
    while True:
        yield text.value()
        if text.take(',]') == ']':
            return
