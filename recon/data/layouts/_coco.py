"""The COCO photographs that simulated scenes were cut from, and their annotations."""

import io
import json
import pathlib

import numpy as np
from PIL import Image

from recon.core import results
from recon.data.formats import coco_masks, coco_table
from recon.data.layouts import _coco_frame
from recon.data.simulator import scenes as drawing

# Width and height, as common in COCO; the crop is a square of the shorter side, or of less.
_FRAMES = (
    (640, 480), (640, 427), (640, 426), (500, 375), (640, 361),
    (480, 640), (427, 640), (375, 500), (640, 640),
)  # fmt: skip
_BOTH = 0.15  # share of pictures that are cut on both axes
_VAL = 0.06  # share in val2017; held-out scenes are all in train2017, as NSD's shared ones are
_IDS = (7919, 580_000)  # step and range of COCO's ids: coprime, so that no two scenes share one


def originals(n: int, seed: int) -> dict[str, np.ndarray]:
    """Which photograph each of the scenes 0 .. n - 1 was cut from, and how.

    A row depends on (seed, id) alone, not on n.

    Returns:
      cocoId [n] int64, distinct; cocoSplit [n] <U9; cropBox [n 4] float64 (top, bottom, left,
      right), shares of the height and the width that are cut away, some by half a pixel; width and
      height [n] int64, of the photograph in pixels.
    """
    ids = np.arange(n)
    u = np.array([np.random.default_rng((62, seed, i)).random(5) for i in range(n)]).reshape(n, 5)
    frame = np.array(_FRAMES)[(u[:, 0] * len(_FRAMES)).astype(int)]  # [n 2]
    short = frame.min(1)
    side = np.where(u[:, 1] < _BOTH, short - 2 * (10 + (u[:, 1] / _BOTH * 40).astype(int)), short)
    cut = frame - side[:, None]  # [n 2], pixels of x, of y
    # A third each: all at one end, in the middle (half a pixel where odd), anywhere.
    share = np.select([u[:, 2] < 0.33, u[:, 2] < 0.67], [np.round(u[:, 3]), 0.5], 2)
    before = np.where(share[:, None] > 1, np.floor(cut * u[:, 3:4]), cut * share[:, None])
    first, last = before / frame, (cut - before) / frame
    return {
        'cocoId': 1 + (ids * _IDS[0] + 130_000 + 1_000 * seed) % _IDS[1],
        'cocoSplit': np.where((u[:, 4] < _VAL) & ~drawing.held_out(ids), 'val2017', 'train2017'),
        'cropBox': np.stack([first[:, 1], last[:, 1], first[:, 0], last[:, 0]], 1),
        'width': frame[:, 0],
        'height': frame[:, 1],
    }


def write(root, nsd_ids, seed: int, n: int) -> dict[str, np.ndarray]:
    """COCO's three kinds of annotations for the photographs of scenes `nsd_ids`.

    Writes <root>/annotations/{instances,captions,panoptic}_{train,val}2017.json and
    <root>/annotations/panoptic_{train,val}2017/*.png, in the frame of the whole photograph:
    margins hold things that the crop leaves out, and captions name them. `_coco_frame` says what
    each kind of object is called in COCO.

    Args:
      root: the folder that will hold annotations/.
      nsd_ids: [m] scene ids.
      seed: of the scenes.
      n: scenes that exist, as given to `originals`.

    Returns:
      The truth, which is not written: ids [m] int64 ascending, and coverage [m 133] float32, the
      share of the cropped picture that each category covers.
    """
    folder = pathlib.Path(root) / 'annotations'
    known, table = originals(n, seed), coco_table.table()
    things = {name for name, thing in zip(table.names, table.things, strict=True) if thing}
    nsd_ids = np.unique(np.asarray(nsd_ids, np.int64))
    drawn = drawing.draw(nsd_ids, 16, seed)
    sentences = drawing.captions(drawn)
    coverage = np.zeros((len(nsd_ids), len(table.names)), np.float32)
    held = {split: {} for split in ('train2017', 'val2017')}
    for row, i in enumerate(nsd_ids.tolist()):
        one = {key: column[i].item() for key, column in known.items() if key != 'cropBox'}
        frame, split = (one['width'], one['height']), one['cocoSplit']
        top, bottom, left, right = known['cropBox'][i]
        crop = np.array([left, top, 1 - right, 1 - bottom]) * (*frame, *frame)
        parts = _coco_frame.photograph(i, drawn.place[row], seed, frame, crop, things)
        rng = np.random.default_rng((64, seed, i))
        ids = rng.choice(2**24 - 1, len(parts), replace=False) + 1
        png = folder / f'panoptic_{split}' / f'{one["cocoId"]:012d}.png'
        png.parent.mkdir(parents=True, exist_ok=True)
        png.write_bytes(_png(parts, ids))
        _annotate(held[split], one, parts, ids, table)
        _caption(held[split], one['cocoId'], sentences[row], parts)
        for part in parts:
            coverage[row, table.names.index(part.name)] += _share(part.mask, crop)
    for split, lists in held.items():
        _write_json(folder, split, lists, table)
    return {'ids': nsd_ids, 'coverage': coverage}


def _png(parts, ids) -> bytes:
    """Segment ids as colours: R + 256 G + 65536 B."""
    painted = sum(part.mask * np.uint32(i) for part, i in zip(parts, ids, strict=True))
    colours = painted.astype('<u4').view(np.uint8).reshape(*painted.shape, 4)[..., :3]
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(colours)).save(buffer, 'PNG', compress_level=1)
    return buffer.getvalue()


def _share(mask: np.ndarray, crop) -> float:
    """Share of the crop that `mask` covers; at doubled size no pixel is cut in halves."""
    fine = 2 if np.abs(crop - np.round(crop)).max() > 0.25 else 1
    left, top, right, bottom = (int(v) for v in np.round(fine * crop))
    return mask.repeat(fine, 0).repeat(fine, 1)[top:bottom, left:right].mean()


def _annotate(lists: dict, one: dict, parts, ids, table) -> None:
    """Adds a photograph to the lists of instances and panoptic files."""
    image_id, file = one['cocoId'], f'{one["cocoId"]:012d}'
    lists.setdefault('images', []).append(
        {'license': 1, 'file_name': f'{file}.jpg', 'height': one['height'], 'width': one['width'],
         'id': image_id}
    )  # fmt: skip
    category = {name: int(i) for name, i in zip(table.names, table.ids, strict=True)}
    thing = dict(zip(table.names, table.things.tolist(), strict=True))
    infos = []
    for part, segment in zip(parts, ids.tolist(), strict=True):
        rows, cols = (np.flatnonzero(part.mask.any(axis)) for axis in (1, 0))
        x, y = int(cols[0]), int(rows[0])
        box = [x, y, int(cols[-1]) + 1 - x, int(rows[-1]) + 1 - y]
        info = {'category_id': category[part.name], 'iscrowd': int(part.crowd)}
        info |= {'bbox': box, 'area': int(part.mask.sum())}
        infos.append({'id': segment, **info})
        if not thing[part.name]:
            continue
        if part.crowd:
            flat = np.concatenate([[False], part.mask.T.ravel(), [False]])
            turns = np.flatnonzero(flat[1:] != flat[:-1])
            counts = np.diff(np.concatenate([[0], turns, [part.mask.size]])).tolist()
            shape = {'counts': counts, 'size': list(part.mask.shape)}
        else:
            inner = part.mask[y : y + box[3], x : x + box[2]]
            shape = [(p + (x, y)).ravel().tolist() for p in coco_masks.outline(inner)]
        instances = lists.setdefault('instances', [])
        info['bbox'] = [float(v) for v in box]
        instances.append(
            {'segmentation': shape, 'image_id': image_id, 'id': 1000 + len(instances), **info}
        )
    lists.setdefault('panoptic', []).append(
        {'segments_info': infos, 'file_name': f'{file}.png', 'image_id': image_id}
    )


def _caption(lists: dict, image_id: int, sentence: str, parts) -> None:
    """Five sentences, some with the spaces and line ends that COCO's have."""
    seen = [coco_table.words(part.name) for part in parts]
    held = lists.setdefault('captions', [])
    for text in (
        sentence,
        f'A photograph of {" and ".join(seen)}.',
        f'There is a {seen[-1]} in this picture. ',
        f'{seen[0].capitalize()} over {seen[1]}\n' if len(seen) > 1 else seen[0],
        f' Somebody drew {len(seen)} things, a {seen[-1]} among them.',
    ):
        held.append({'image_id': image_id, 'id': 500 + len(held), 'caption': text})


def _write_json(folder: pathlib.Path, split: str, lists: dict, table) -> None:
    categories = [
        {'supercategory': '', 'isthing': int(thing), 'id': int(i), 'name': name}
        for name, i, thing in zip(table.names, table.ids, table.things, strict=True)
    ]
    kinds = {'instances': [c for c in categories if c['isthing']], 'captions': None}
    for kind, named in (kinds | {'panoptic': categories}).items():
        content = {
            'info': {'description': 'Simulated annotations', 'version': '1.0', 'year': 2017},
            'licenses': [{'url': '', 'id': 1, 'name': 'none'}],
            'images': lists.get('images', []),
            # The pictures' annotations stand in no order.
            'annotations': lists.get(kind, [])[::-1],
        }
        content |= {'categories': named} if named else {}
        results.write_bytes(folder / f'{kind}_{split}.json', json.dumps(content).encode())
