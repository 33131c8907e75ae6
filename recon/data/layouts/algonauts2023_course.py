"""Writes the simulated brain as the copy of the Algonauts 2023 data that a course gave out."""

import pathlib

import numpy as np

from recon.core import results
from recon.data import mark, splitting
from recon.data.formats import coco_table
from recon.data.layouts import _coco, _coco_frame, _surface, algonauts2023
from recon.data.layouts import _surface_files as _files
from recon.data.simulator import scenes

_SHARE = 0.7  # of the training pictures that the copy holds at toy scale
_FULL = 2_000  # at full scale; the real copy holds 5,000
_KEPT = 127  # stream of random numbers


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes `<root>/subj0X`: numbered pictures, responses, masks without 'challenge_', labels.

    The same subject as `layouts.algonauts2023` writes with this seed, but some of its training
    pictures only, numbered from 0 without padding: NSD's ids are lost. image_infos tells the COCO
    id, part and the 133 panoptic categories of each whole photograph (`_coco_frame`), what the crop
    cut away included. Test responses are there, their pictures are not.

    'full' has the true numbers of vertices and up to 2,000 pictures of 425 pixels instead of 5,000:
    see `layouts.algonauts2023`.

    The truth, `<root>_truth/truth.npz`, is as `dataset.split.by='fraction'` (a fifth, seed 0) reads
    it, ids being numbers; nsd_id [m] tells which scene each is.

    Args:
      root: the folder that will hold subj0X.
      subject: 1 to 8; further ones have the sizes of 1 to 8 again.
      scale: 'toy' (seconds) or 'full'.
      seed: of everything; the same seed gives the same bytes.

    Returns:
      `root`.

    Raises:
      ConfigError: a scale that does not exist.
    """
    root, plan = pathlib.Path(root), algonauts2023.plan_of(scale, subject)
    recording = _surface.record(plan, subject, seed)
    count = round(_SHARE * plan.train) if scale == 'toy' else min(_FULL, plan.train)
    rng = np.random.default_rng((seed, subject, _KEPT))
    kept = np.sort(rng.permutation(plan.train)[:count])
    ids, voxels = recording.ids['train'][kept], recording.voxels['train'][kept]
    folder = root / f'subj{subject:02d}'
    inside, left = folder / 'training_split', plan.columns[0]
    names = [f'{i}.png' for i in range(count)]
    _files.write_pictures(inside / 'training_images', names, ids, plan.size, seed)
    _files.write_fmri(inside / 'training_fmri', 'training', voxels, left)
    tests = folder / 'test_split' / 'test_fmri'
    _files.write_fmri(tests, 'test', recording.voxels['test'], left)
    held = _files.write_masks(folder / 'roi_masks', recording.brain, 'space')
    known, labels = _coco.originals(int(ids.max()) + 1, seed), labels_of(ids, seed)
    infos = _csv(known['cocoId'][ids], known['cocoSplit'][ids], labels)
    results.write_bytes(folder / 'image_infos' / f'{folder.name}_infos_train.csv', infos)
    truth = _files.truth(recording.brain, held)
    numbers = np.arange(count)
    for part, rows in splitting.parts(dict(by='fraction', test=0.2, seed=0), numbers).items():
        truth |= {f'{part}_voxels': voxels[rows], f'{part}_image_id': numbers[rows]}
        truth |= _files.unknown(part, len(rows))
    truth |= {'ids': numbers, 'nsd_id': ids, 'signals': recording.signals['train'][kept]}
    truth |= {'labels': labels, 'label_names': np.array(coco_table.table().names)}
    _files.write_truth(root, truth)
    mark.leave(root)
    return root


def labels_of(ids, seed: int) -> np.ndarray:
    """[m 133] uint8: which categories the whole photographs of scenes `ids` show."""
    ids, table = np.asarray(ids), coco_table.table()
    things = {name for name, thing in zip(table.names, table.things, strict=True) if thing}
    known, drawn = _coco.originals(int(ids.max()) + 1, seed), scenes.draw(ids, 16, seed)
    found = np.zeros((len(ids), len(table.names)), np.uint8)
    for row, i in enumerate(ids.tolist()):
        frame = int(known['width'][i]), int(known['height'][i])
        top, bottom, left, right = known['cropBox'][i]
        crop = np.array([left, top, 1 - right, 1 - bottom]) * (*frame, *frame)
        for part in _coco_frame.photograph(i, drawn.place[row], seed, frame, crop, things):
            found[row, table.names.index(part.name)] = 1
    return found


def _csv(coco, split, labels) -> bytes:
    lines = [','.join(('cocoId', 'cocoSplit', *coco_table.table().names))]
    for one, part, shown in zip(coco.tolist(), split.tolist(), labels.tolist(), strict=True):
        lines.append(','.join(map(str, (one, part, *shown))))
    return ('\n'.join(lines) + '\n').encode()
