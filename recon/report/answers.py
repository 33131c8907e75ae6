"""Runs that decode no picture: labels, retrieved images, responses. Tables instead of pictures."""

import numpy as np

from recon.report import brainmaps, formats, pictures, tables

_VECTORS = 8  # rows of many values that are listed: they say little one by one


def build(arrays: dict) -> dict | None:
    """predictions.npz as a table of the first rows, and the confusion matrix as a picture."""
    if 'pred' not in arrays:
        return None
    pred, truth = arrays['pred'], arrays.get('truth')
    ids = arrays.get('image_id', np.arange(len(pred)))
    columns = [tables.column('Image'), tables.column('Decoded'), tables.column('True')]
    rows, limit = [], pictures.SHOWN if np.ndim(pred) == 1 else _VECTORS
    for k in range(min(len(pred), limit)):
        right = truth is not None and pred[k].ndim == 0 and pred[k] == truth[k]
        said = tables.cell(_brief(pred[k]), kind='strong' if right else '')
        true = tables.cell('–' if truth is None else _brief(truth[k]))
        rows.append([tables.cell(ids[k], head=True), said, true])
    answers = {'columns': columns, 'rows': rows, 'n': len(pred), 'shown': len(rows)}
    return answers | {'confusion': _confusion(arrays)}


def _brief(value) -> str:
    value = np.asarray(value)
    if value.ndim == 0:
        return formats.number(float(value)) if value.dtype.kind == 'f' else str(value)
    start = ', '.join(_brief(v) for v in value.ravel()[:4])
    return start + (f', ... ({value.size} values)' if value.size > 4 else '')


def _confusion(arrays: dict) -> dict | None:
    counts = arrays.get('confusion')
    if counts is None or counts.ndim != 2 or not len(counts):
        return None
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    colour = brainmaps.ramp(share.ravel(), 0, 1, 'cool')[:, :3].reshape(*counts.shape, 3)
    return {
        'uri': pictures.png((255 * colour).round().astype(np.uint8)),
        'categories': [str(c) for c in arrays.get('categories', np.arange(len(counts)))],
        'right': formats.number(float(np.trace(counts) / max(counts.sum(), 1)), True),
    }
