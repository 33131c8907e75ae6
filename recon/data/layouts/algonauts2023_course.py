"""Writes the simulated brain as the copy of the Algonauts 2023 data that a course gave out."""

import pathlib

import numpy as np

from recon.core import results
from recon.data import mark, splitting
from recon.data.formats import coco_table
from recon.data.layouts import _coco, _coco_frame, _surface, algonauts2023
from recon.data.layouts import _surface_files as _files
from recon.data.simulator import backgrounds, scenes

_SHARE = 0.7  # of the training pictures that the copy holds at toy scale
_FULL = 2_000  # at full scale; the real copy holds 5,000
_KEPT, _BESIDE = 127, 128  # streams of random numbers


def write(root, *, subject: int = 1, scale: str = 'toy', seed: int = 0) -> pathlib.Path:
    """Writes `<root>/subj0X`: numbered pictures, responses, masks without 'challenge_', labels.

    The same subject as `layouts.algonauts2023` writes with this seed, but some of its training
    pictures only, numbered from 0 without padding: NSD's ids are lost. image_infos tells the COCO
    id, part and the 133 panoptic categories of each whole photograph, see `labels_of`. Test
    responses are there, their pictures are not.

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
    known = {key: rows[ids] for key, rows in _coco.originals(int(ids.max()) + 1, seed).items()}
    labels = labels_of(ids, seed)
    infos = _csv(known['cocoId'], known['cocoSplit'], labels)
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
    """[m 133] uint8: which COCO categories the photographs of scenes `ids` show.

    Objects of which a quarter is seen, sky and ground; in a third of the photographs also one thing
    beyond the crop, since the real labels describe whole photographs too. Which thing that is has
    nothing to do with `_coco.write`, whose outlines would take a hundred times longer to draw.
    """
    ids, place = np.asarray(ids), {n: k for k, n in enumerate(coco_table.table().names)}
    drawn = scenes.draw(ids, 16, seed)
    skies = [_coco_frame.SKIES[kind] for kind in backgrounds.SKIES]
    grounds = [_coco_frame.GROUNDS[kind] for kind in backgrounds.GROUNDS]
    seen = (drawn.category >= 0) & (drawn.visible >= scenes.VISIBLE)
    found = np.zeros((len(ids), len(place)), np.uint8)
    for row, i in enumerate(ids.tolist()):
        names = [_coco_frame.OBJECTS[scenes.CATEGORIES[k]] for k in drawn.category[row, seen[row]]]
        names += [skies[drawn.place[row, 0]], grounds[drawn.place[row, 1]]]
        rng = np.random.default_rng((_BESIDE, seed, i))
        if rng.random() < 1 / 3:
            names.append(_coco_frame.BESIDE[rng.integers(len(_coco_frame.BESIDE))])
        found[row, [place[name] for name in names]] = 1
    return found


def _csv(coco, split, labels) -> bytes:
    lines = [','.join(('cocoId', 'cocoSplit', *coco_table.table().names))]
    for one, part, shown in zip(coco.tolist(), split.tolist(), labels.tolist(), strict=True):
        lines.append(','.join(map(str, (one, part, *shown))))
    return ('\n'.join(lines) + '\n').encode()
