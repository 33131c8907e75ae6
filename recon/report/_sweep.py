"""The page of a sweep: runs in one table, by kind of picture, and their pictures side by side."""

import pathlib

import numpy as np

from recon.core import results
from recon.report import _kinds, cards, pictures, sections, tables, words

_METRICS = 4  # that are told apart by kind of picture
_SIDE, _LARGE = 96, 132  # pixels of a picture in a grid; larger sources become JPEG
_SETS = {  # file of a run folder: heading
    'reconstructions': 'Test images',
    'extra_tests/artificial': 'Shapes',
    'extra_tests/letters': 'Letters',
    'extra_tests/imagery': 'Imagined',
    'train_examples': 'Training images',
}


def context(folder, table: dict) -> dict:
    """All that templates/sweep.html shows; pure but for the runs' pictures, which it reads.

    Args:
      folder: the sweep's DIR.
      table: its table.json: {'title', 'metric_names', 'rows'}, and each optional 'notes',
        'figures', 'choose' (what rows were chosen by; 'validation' and 'chosen' then stand in each)
        and 'pictures' (how many of each set are shown; 0 for none).

    Where a row was chosen, the test scores and pictures of the others stand apart.
    """
    rows, names = table['rows'], list(table['metric_names'])
    choose = table.get('choose') or ''
    shown = [row for row in rows if row['chosen']] if choose else rows
    rest = [row for row in rows if not row['chosen']] if choose else []
    by_kind = [_kinds.by_metric(shown, name) for name in names[:_METRICS]]
    count = int(table.get('pictures') or 0)
    return {
        'title': table['title'],
        'n_runs': len(rows),
        'table': tables.comparison(shown, names),
        'charts': cards.comparison_charts(shown, names) if len(shown) > 1 else [],
        'notes': [str(note) for note in table.get('notes') or ()],
        'figures': [sections.figure(figure) for figure in table.get('figures') or ()],
        'choice': _kinds.choice(rows, choose) if choose else None,
        'apart': tables.comparison(rest, names) if rest else None,
        'kinds': [found for found in by_kind if found],
        'grids': grids(pathlib.Path(folder), rows, shown, count) if count else [],
        'words': glossary(names),
    }


def glossary(names: list[str]) -> list[tuple]:
    """(key, term, explanation) of the words that a comparison by these metrics uses."""
    used = {words.metric(name)['word'] for name in names} | {'interval', 'chance'}
    return [(key, *text) for key, text in words.GLOSSARY.items() if key in used]


def grids(folder: pathlib.Path, rows: list[dict], shown: list[dict], count: int) -> list[dict]:
    """Pictures side by side: for each set, a line for each picture, the truth and then each run's.

    Pictures are taken at even steps through the file, by no score. Training images are shown of all
    runs, the others of `shown` alone. A run whose file has other pictures is left out of that set.

    Returns:
      [{'title', 'headings', 'lines': [{'id', 'pictures': [picture]}], 'n', 'left_out': names}];
      n is 0 for training images, of which a run keeps a few.
    """
    out = []
    for file, title in _SETS.items():
        found = {}
        for row in rows if file == 'train_examples' else shown:
            arrays = results.read_arrays(folder / row['workdir'] / f'{file}.npz')
            if {'images', 'truth'} <= set(arrays) and len(arrays['truth']):
                found[row['name']] = arrays
        if found:
            grid = _grid(title, found, count)
            out.append(grid | ({'n': 0} if file == 'train_examples' else {}))
    return out


def _grid(title: str, found: dict[str, dict], count: int) -> dict:
    first = next(iter(found.values()))
    truth, ids = first['truth'], first.get('image_id', np.arange(len(first['truth'])))
    alike = {
        name: arrays['images']
        for name, arrays in found.items()
        if arrays['truth'].shape == truth.shape and np.array_equal(arrays['truth'], truth)
    }
    side = _SIDE if max(truth.shape[1:3]) <= _SIDE else _LARGE
    places = np.unique(np.linspace(0, len(truth) - 1, min(count, len(truth))).round().astype(int))
    lines = [
        {
            'id': str(ids[k]) if len(ids) == len(truth) else str(k),
            'pictures': [pictures.picture(a[k], side) for a in (truth, *alike.values())],
        }
        for k in places
    ]
    return {
        'title': title,
        'headings': ['seen', *alike],
        'lines': lines,
        'n': len(truth),
        'left_out': [name for name in found if name not in alike],
    }
