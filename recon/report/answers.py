"""Runs that decode no picture: labels, retrieved images, responses. Tables instead of pictures."""

import numpy as np

from recon.report import _confusion, formats, pictures, tables

_VECTORS = 8  # rows of many values that are listed: they say little one by one
_NAMED, _WORDS = 24, 8  # pictures that are shown with their labels, names of each


def build(arrays: dict, protocol: dict | None = None) -> dict | None:
    """predictions.npz as a table of the first rows, or as pictures with the labels that they have.

    Args:
      arrays: predictions.npz.
      protocol: of scores.json; its 'labels' says how unequal categories are.

    Returns:
      None where nothing was predicted; else {'n', 'shown', 'confusion': None or as
      `_confusion.picture`, 'imbalance': sentences} and either a table's 'columns' and 'rows', or
      'named': [{'id', 'picture', 'more', 'decoded', 'seen': [{'text', 'right'}]}].
    """
    if 'pred' not in arrays:
        return None
    told = (protocol or {}).get('labels') or {}
    more = {'confusion': _confused(arrays), 'imbalance': _imbalance(told)}
    if 'pictures' in arrays and 'threshold' in arrays and 'categories' in arrays:
        return more | _named(arrays, bool(told.get('one_class')))
    return more | _table(arrays)


def _confused(arrays: dict) -> dict | None:
    counts = arrays.get('confusion')
    if counts is None or np.ndim(counts) != 2 or not len(counts):
        return None
    return _confusion.picture(counts, arrays.get('categories', np.arange(len(counts))))


def _table(arrays: dict) -> dict:
    pred, truth = arrays['pred'], arrays.get('truth')
    ids = arrays.get('image_id', np.arange(len(pred)))
    columns = [tables.column('Image'), tables.column('Decoded'), tables.column('True')]
    rows, limit = [], pictures.SHOWN if np.ndim(pred) == 1 else _VECTORS
    for k in range(min(len(pred), limit)):
        right = truth is not None and pred[k].ndim == 0 and pred[k] == truth[k]
        said = tables.cell(_brief(pred[k]), kind='strong' if right else '')
        true = tables.cell('–' if truth is None else _brief(truth[k]))
        rows.append([tables.cell(ids[k], head=True), said, true])
    return {'columns': columns, 'rows': rows, 'n': len(pred), 'shown': len(rows), 'named': None}


def _named(arrays: dict, one_class: bool) -> dict:
    """The first pictures, what was decoded of each (the surest first), and what it shows."""
    scores, truth = arrays['pred'], arrays['truth'] > 0
    decided = scores > arrays['threshold']
    if one_class:
        decided = scores.argmax(1)[:, None] == np.arange(scores.shape[1])
    names, shown = [str(name) for name in arrays['categories']], []
    for k in range(min(len(scores), len(arrays['pictures']), _NAMED)):
        order = [i for i in np.argsort(-scores[k], kind='stable') if decided[k, i]]
        beyond = len(order) - _WORDS
        shown.append(
            {
                'id': str(arrays['image_id'][k]),
                'picture': pictures.picture(arrays['pictures'][k]),
                'decoded': [{'text': names[i], 'right': bool(truth[k, i])} for i in order[:_WORDS]],
                'more': f'and {beyond} more' if beyond > 0 else '',
                'seen': [
                    {'text': names[i], 'right': bool(decided[k, i])}
                    for i in np.flatnonzero(truth[k])
                ],
            }
        )
    return {'named': shown, 'n': len(scores), 'shown': len(shown)}


def _imbalance(told: dict) -> str:
    """How unequal the categories are, in sentences; '' where nothing is told."""
    if 'training' not in told:
        return ''
    train, test = told['training'], told['test']
    out = [
        f'{told["categories"]} categories, {train["per_picture"]["mean"]:.3g} a training picture.'
    ]
    if train['most'] and train['least']:
        ((often, most),), ((seldom, fewest),) = train['most'].items(), train['least'].items()
        share = [formats.number(count / train['pictures'], True) for count in (most, fewest)]
        out.append(
            f'The most frequent, {often}, is on {share[0]} of the training pictures, the rarest, '
            f'{seldom}, on {share[1]} ({train["ratio"]:.3g} to 1).'
        )
    if told['coverage']:
        least = formats.number(told['coverage'], True)
        out.append(f'A label counts where its category covers {least} of the picture or more.')
    if told['left_out']:
        least = told['least_training_images']
        out.append(
            f'Categories that are left out: {len(told["left_out"])}; fewer than {least} training '
            'pictures have them, or lack them.'
        )
    if test['never']:
        out.append(
            f'Categories on no test picture: {test["never"]}; their average precision is undefined.'
        )
    if test['unlabelled'] or train['unlabelled']:
        out.append(
            f'Pictures without any label: {train["unlabelled"]} of the training, '
            f'{test["unlabelled"]} of the test.'
        )
    return ' '.join(out)


def _brief(value) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        return formats.number(float(value)) if value.dtype.kind == 'f' else str(value)
    start = ', '.join(_brief(v) for v in value.ravel()[:4])
    return start + (f', ... ({value.size} values)' if value.size > 4 else '')
