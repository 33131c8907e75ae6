"""What a run leaves besides its scores: arrays of pictures or values, decoder.json, maps.npz."""

import numpy as np

from recon import labelling, parts
from recon.core import image, results
from recon.metrics import ceiling, paired
from recon.train import log

SMALL = 4096  # values of a decoded vector that is left beside the pictures that are made of it
_CURVE = 'curve_'


def kind(cfg) -> str:
    """What a run leaves: 'reconstructions', or 'predictions' where no picture is decoded."""
    return 'reconstructions' if parts.answer(cfg) == 'images' else 'predictions'


def labels(cfg):
    """The target that is scored, where that is labels; else None."""
    spec = cfg.targets[parts.answer(cfg)] if kind(cfg) == 'predictions' else {}
    return spec if spec.get('net') == labelling.NET else None


def scores(cfg, test, facts: dict, entries: dict, controlled: dict) -> dict:
    """scores.json: the scores, what controls scored, and the differences between the two.

    Args:
      cfg: resolved config.
      test: the rows that were scored.
      facts: protocol and audit of the run.
      entries: {metric: entry} of the system.
      controlled: as `controls.run` gives it, without curves.
    """
    drawn = dict(seed=cfg.seed, draws=cfg.draws)
    told = {'schema': results.SCHEMA, 'n': len(test)}
    told |= {'protocol': facts['protocol'], 'audit': facts['audit'], 'scores': entries} | controlled
    against = paired.differences(entries, controlled['baselines'], test.image_id, **drawn)
    return told | {'differences': against}


def arrays(this, fitted: dict, test, decoded: dict, truth) -> dict:
    """What reconstructions.npz or predictions.npz holds; without truth, what a control leaves."""
    cfg = this.cfg
    if truth is None:
        return _control(cfg, test, decoded)
    rows = {'row_image_id': test.image_id} if cfg.score_rows else {}
    rows |= {'image_id': test.image_id, 'truth': truth.astype(np.float32)}
    if kind(cfg) == 'reconstructions':
        return {'images': decoded['images'].astype(np.float32)} | rows | beside(cfg, decoded)
    predicted = {f'{name}_pred': decoded[name].astype(np.float32) for name in cfg.targets}
    held = {'pred': predicted[f'{this.answer}_pred']} | rows | predicted
    if not labels(cfg):
        return held
    return held | labelling.arrays(labels(cfg), this.brain, fitted[this.answer], held)


def beside(cfg, decoded: dict) -> dict:
    """Stages, captions, and decoded vectors, which a vote of several members reads.

    A generator that makes no picture has left that of the one before it: no stage of its own.
    """
    kept, before = {}, None
    for name, array in decoded.items():
        if name.startswith('stage_'):
            if before is None or array.shape != before.shape or not np.array_equal(array, before):
                kept[name] = array
            before = array
    if 'captions' in decoded:
        kept['captions'] = np.asarray(decoded['captions'], dtype=np.str_)
    for name in cfg.targets:
        value = decoded.get(name)
        if name != 'pixels' and np.ndim(value) == 2 and value.shape[1] <= SMALL:
            kept[f'{name}_pred'] = value.astype(np.float32)
    return kept


def _control(cfg, test, decoded: dict) -> dict:
    """What controls/<name>.npz holds: the pictures of a control, of 8 bits, and what is beside."""
    kept = {'images': image.to_uint8(decoded['images']), 'image_id': test.image_id}
    if cfg.score_rows:
        kept['row_image_id'] = test.image_id
    others, last = beside(cfg, decoded), f'stage_{(cfg.generator.chain or ("",))[-1]}'
    eight = {k: image.to_uint8(v) for k, v in others.items() if k.startswith('stage_')}
    return kept | {k: v for k, v in (others | eight).items() if k != last}


def describe(folder, this, fitted: dict, curves: list, decoded: dict, truth) -> dict:
    """Writes decoder.json, what the decoders say of themselves; gives maps.npz's arrays."""
    told, maps = {}, this.voxel_maps()
    for name, params in fitted.items():
        told[name] = this.describe(name, params)
        learnt = log.curve(this.folder / 'logs' / name, f'Training of {name}')
        if learnt:
            told[name].setdefault('curves', []).append(learnt)
        importance = told[name].pop('importance', None)
        if importance is not None:
            maps[f'importance_{name}'] = np.asarray(importance, np.float32)
    if labels(this.cfg):
        given = (decoded[this.answer], truth)
        table = labelling.each(labels(this.cfg), this.brain, fitted[this.answer], *given)
        told[this.answer].setdefault('tables', []).append(table)
    elif this.answer != 'images':
        table = ceiling.each_value(this.cfg.targets[this.answer].layer, decoded[this.answer], truth)
        told[this.answer].setdefault('tables', []).append(table)
    if curves:
        told['learning'] = {'curves': curves, 'tables': [], 'facts': {}}
    for name, losses in decoded.items():
        if name.startswith(_CURVE):
            part = told.setdefault(name.removeprefix(_CURVE), {})
            part.setdefault('curves', []).append(course(name, losses))
    folder.json('decoder.json', told)
    return maps


def course(name: str, losses: np.ndarray) -> dict:
    """A curve of decoder.json from the losses [n iterations] of each test picture."""
    losses = np.asarray(losses, np.float64)
    steps = list(range(losses.shape[1]))
    lines = {'mean of the test pictures': losses.mean(0)}
    for percent in (10, 90):
        lines[f'{percent}th percentile'] = np.percentile(losses, percent, axis=0)
    return {
        'title': f'Course of {name.removeprefix(_CURVE)}',
        'x_label': 'iteration',
        'y_label': 'loss',
        'log_x': False,
        'series': [{'name': k, 'x': steps, 'y': line.tolist()} for k, line in lines.items()],
        'chosen': None,
    }
