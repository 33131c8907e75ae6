"""Stimulus names of the Kamitani lab's natural images: 1518878.005958 is n01518878_5958.

The number before the point is the WordNet id of the category, the six digits after it are the
image. As a number it loses trailing zeros (1621127.01902 is image 19020), and times a million it
may fall a hair short, so it goes through text with six decimals.
"""

import csv
import re

import numpy as np

from recon.core import errors
from recon.data.formats import files

_NAME = re.compile(r'(n\d{8})_0*(\d+)')
_SMALLEST, _LARGEST = 1e6, 1e8  # WordNet ids of nouns in use: seven or eight digits
_NEAR = 0.02  # of a millionth: how exactly a double holds six decimals


def name(number: float) -> str:
    """1443537.022563 -> 'n01443537_22563'; 1443537.0, a category alone -> 'n01443537'."""
    whole, image = f'{number:.6f}'.split('.')
    return f'n{int(whole):08d}_{int(image)}' if int(image) else f'n{int(whole):08d}'


def names(numbers: np.ndarray) -> np.ndarray:
    """[n] float64 -> [n] <U."""
    distinct, inverse = np.unique(np.asarray(numbers, np.float64), return_inverse=True)
    return np.array([name(x) for x in distinct.tolist()])[inverse]


def tidy(text: str) -> str:
    """A name without ending and padding: 'n01443537_00022563.JPEG' -> 'n01443537_22563'."""
    stem = re.sub(r'\.(jpe?g|png|tiff?|bmp)$', '', text.strip(), flags=re.IGNORECASE)
    match = _NAME.fullmatch(stem)
    return f'{match[1]}_{int(match[2])}' if match else stem


def category(text: str) -> str:
    """'n01443537_22563' -> 'n01443537'."""
    return text.split('_')[0]


def is_picture(text: str) -> bool:
    """Whether a name has category and image, like 'n01443537_22563'."""
    return _NAME.fullmatch(text) is not None


def fits(numbers: np.ndarray) -> bool:
    """Whether all of `numbers` [n] can be stimulus ids: seven or eight digits, six decimals."""
    numbers = np.asarray(numbers, np.float64)
    if not len(numbers) or not np.isfinite(numbers).all():
        return False
    if numbers.min() < _SMALLEST or numbers.max() >= _LARGEST:
        return False
    millionths = numbers * 1e6
    return bool(np.abs(millionths - np.round(millionths)).max() <= _NEAR)


def find_column(labels: np.ndarray, path, key: str) -> int:
    """Which column of `labels` [n k] holds stimulus ids: the first in GOD, the second in DIR.

    Raises:
      DataInvalid: none does; the message gives the range of each.
    """
    fitting = [i for i in range(labels.shape[1]) if fits(labels[:, i])]
    if not fitting:
        ranges = ', '.join(
            f'{np.min(column):.10g} to {np.max(column):.10g}' for column in labels.T if len(column)
        )
        raise errors.DataInvalid(
            f'no column of {key!r} holds stimulus ids (they run over {ranges or "nothing"})',
            path,
            'wanted doubles like 1518878.005958: seven digits, six decimals',
        )
    return fitting[0]


def listed(path) -> dict[float, str]:
    """{number: name} of a list of stimuli: lines of a number and a file's name, in any order.

    Both forms are read: `1443537.022563,"n01443537_22563.JPEG"` with commas (GOD) and a name and a
    number with a tab between them (DIR). Further columns, and a header, are passed over.

    Raises:
      DataMissing: not there.  DataInvalid: a line without number or name, or a name that
        contradicts its number.
    """
    content = files.text(path)
    delimiter = '\t' if '\t' in content else ','
    found = {}
    rows = [row for row in csv.reader(content.splitlines(), delimiter=delimiter) if row]
    for line, row in enumerate(rows, start=1):
        first, second = (row + [''])[:2]
        number, text = _number(first), second
        if number is None:
            number, text = _number(second), first
        if number is None and line == 1:
            continue  # a header
        if number is None or not text.strip():
            raise errors.DataInvalid(
                f'line {line} is {",".join(row)[:60]!r}', path, "wanted a number and a file's name"
            )
        text = tidy(text)
        if is_picture(text) and fits([number]) and name(number) != text:
            raise errors.DataInvalid(
                f'line {line} names {text} beside {number:.6f}, which is {name(number)}',
                path,
                'ids are off: fetch the list again',
            )
        found[number] = text
    if not found:
        raise errors.DataInvalid('no stimulus in the list', path, 'fetch it again')
    return found


def check_listed(path, shown, part: str) -> None:
    """Raises DataInvalid if the list of stimuli in `path` lacks one of `shown` [n], of `part`."""
    names_ = list(listed(path).values())
    unknown = np.setdiff1d(shown, names_).tolist()
    if unknown:
        raise errors.DataInvalid(
            f'{len(unknown)} stimuli of {part} are not in the list, first {unknown[0]} (the '
            f'list has {names_[0]} first)',
            path,
            'ids are off, or the list is of another release: fetch both again',
        )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
