"""The page of new scans that a finished run decoded: pictures or values, and no score. No jax."""

import pathlib

import jinja2
import numpy as np

from recon.core import results
from recon.report import answers, pictures, tables, words

_TEMPLATES = pathlib.Path(__file__).parent / 'templates'
_SIDE = 192  # pixels of a picture on the page; whole ones lie beside it
_LIKELY = 5  # categories that are named for a row


def write(out, content: dict, arrays: dict) -> pathlib.Path:
    """Writes DIR2/report.html.

    Args:
      out: DIR2.
      content: of decoded.json: title, asked, rows, entries, seen_images, strange_images, warnings,
        notes.
      arrays: image_id [n], and images [n h w 3] with any stage_<name>, or pred [n ...] with any
        categories [k] and threshold [k].

    Returns:
      The page's path.
    """
    out = pathlib.Path(out)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template('decoded.html').render(
        glossary=words.GLOSSARY,
        **{key: content[key] for key in ('title', 'warnings', 'notes', 'rows', 'entries')},
        run=content['asked']['run'],
        file=content['asked']['voxels'],
        seen=content['seen_images'],
        **shown(arrays, content['strange_images']),
    )
    results.write_bytes(out / 'report.html', page.encode())
    return out / 'report.html'


def shown(arrays: dict, strange=()) -> dict:
    """{'headings', 'cards', 'table', 'n'} of the page: pictures or a table, the first rows.

    `strange` holds ids that are marked.
    """
    n = len(arrays['image_id'])
    if 'images' not in arrays:
        table = _likely(arrays, strange) if 'categories' in arrays else answers.build(arrays)
        return {'headings': [], 'cards': [], 'table': table, 'n': n}
    stages = {k.removeprefix('stage_'): v for k, v in arrays.items() if k.startswith('stage_')}
    columns = [('decoded', arrays['images']), *sorted(stages.items())]
    cards = [
        {
            'id': str(arrays['image_id'][row]),
            'strange': str(arrays['image_id'][row]) in strange,
            'pictures': [pictures.picture(array[row], _SIDE) for _, array in columns],
        }
        for row in range(min(n, pictures.SHOWN))
    ]
    return {'headings': [name for name, _ in columns], 'cards': cards, 'table': None, 'n': n}


def _likely(arrays: dict, strange) -> dict | None:
    """A table of the categories with the highest values, of the first rows."""
    pred, names = arrays['pred'], arrays['categories']
    if pred.ndim != 2 or pred.shape[1] != len(names):
        return answers.build(arrays)
    named = 'threshold' in arrays
    rows = []
    for row in range(min(len(pred), pictures.SHOWN)):
        order = np.argsort(-pred[row], kind='stable')
        cells = [', '.join(f'{names[k]} {pred[row, k]:.2f}' for k in order[:_LIKELY])]
        if named:
            yes = [str(names[k]) for k in order if pred[row, k] > arrays['threshold'][k]]
            cells = [', '.join(yes) or 'nothing', *cells]
        name = str(arrays['image_id'][row])
        mark = 'strange' if name in strange else ''
        rows.append([tables.cell(name, mark, head=True), *map(tables.cell, cells)])
    headings = [('Named', 'above its threshold')] if named else []
    columns = [tables.column('Image'), *(tables.column(*heading) for heading in headings)]
    return {'columns': [*columns, tables.column('Highest scores')], 'rows': rows}
