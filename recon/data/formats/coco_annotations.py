"""Of COCO's annotation files, what belongs to some photographs: sizes, segments, objects, captions.

A file is read once, item by item: memory is that of the photographs asked for.
"""

import dataclasses
import pathlib

import numpy as np

from recon.core import errors
from recon.data.formats import coco_json, files

SPLITS = ('train2017', 'val2017')
_LARGEST = 10_000  # pixels on a side; COCO has up to 640


@dataclasses.dataclass
class Gathered:
    """Annotations of one split's photographs, by COCO id.

    Attributes:
      frames: (width, height) in pixels.
      segments: panoptic (PNG's path, segments_info), or None without the file.
      objects: instances' dicts, or None without the file.
      captions: sentences, spaces around them stripped, or None without the file.
    """

    frames: dict = dataclasses.field(default_factory=dict)
    segments: dict | None = None
    objects: dict | None = None
    captions: dict | None = None


def folder(path) -> pathlib.Path:
    """The folder annotations/ under `path`, or `path` itself where the files lie in it.

    Raises:
      DataMissing: no annotation file is there.
    """
    root = pathlib.Path(path).expanduser()
    for found in (root / 'annotations', root):
        if any(found.glob('*_*2017.json')):
            return found
    raise errors.DataMissing(
        'no COCO annotations (panoptic_train2017.json, captions_train2017.json ...)',
        root,
        'fetch annotations_trainval2017.zip and panoptic_annotations_trainval2017.zip from '
        'cocodataset.org and unpack them there; `python launch/fetch.py coco` says how',
    )


def gather(where: pathlib.Path, split: str, wanted, kinds) -> Gathered:
    """Reads the files `kinds` of one split, for the photographs `wanted`.

    Args:
      where: from `folder`.
      split: 'train2017' or 'val2017'.
      wanted: COCO ids.
      kinds: of 'panoptic', 'instances', 'captions', those to read; each file must be there.

    Raises:
      DataMissing: a file that is not there.  DataInvalid: one that cannot be read, is cut short,
        does not have a photograph, or gives it another size than the others.
    """
    wanted, found = set(np.asarray(wanted).tolist()), Gathered()
    for kind in kinds:
        path = where / f'{kind}_{split}.json'
        if not path.is_file():
            raise errors.DataMissing(
                'no such file', path, f'COCO has it in {_ARCHIVES[kind]}; unpack it there'
            )
        held = {i: [] for i in wanted}
        sizes = {}
        for key, item in coco_json.lists(path, 'images', 'annotations'):
            with files.said(path, f'one of its {key} is not as COCO has it'):
                i = item['id'] if key == 'images' else item['image_id']
                if i not in wanted:
                    continue
                if key == 'images':
                    sizes[i] = int(item['width']), int(item['height'])
                else:
                    held[i].append(_TAKE[kind](item, where, split))
        _agree(found.frames, sizes, wanted, path)
        setattr(found, _FIELDS[kind], held)
    if found.segments is not None:
        found.segments = {i: _one(rows, i, where, split) for i, rows in found.segments.items()}
    return found


def _segments(item: dict, where: pathlib.Path, split: str) -> tuple:
    name = f'panoptic_{split}'
    # Either way of unpacking the archive within the archive.
    place = where if (where / name).is_dir() else where.parent
    infos = [_common(info) for info in item['segments_info']]
    return place / name / pathlib.PurePath(item['file_name']).name, infos


def _object(item: dict, where: pathlib.Path, split: str) -> dict:
    shape = item['segmentation']
    if isinstance(shape, dict):
        counts = shape['counts']
        shape = {'counts': counts if isinstance(counts, str) else np.array(counts, np.int64)}
    else:
        shape = [np.array(polygon, np.float32).reshape(-1, 2).ravel() for polygon in shape]
    return _common(item) | {'segmentation': shape}


def _common(item: dict) -> dict:
    x, y, width, height = (float(v) for v in item['bbox'])
    numbers = {key: int(item[key]) for key in ('id', 'category_id', 'iscrowd')}
    return numbers | {'bbox': (x, y, width, height)}


def _sentence(item: dict, where: pathlib.Path, split: str) -> str:
    return ' '.join(item['caption'].split())


_TAKE = {'panoptic': _segments, 'instances': _object, 'captions': _sentence}
_FIELDS = {'panoptic': 'segments', 'instances': 'objects', 'captions': 'captions'}
_ARCHIVES = {
    'panoptic': 'panoptic_annotations_trainval2017.zip',
    'instances': 'annotations_trainval2017.zip',
    'captions': 'annotations_trainval2017.zip',
}


def _agree(frames: dict, sizes: dict, wanted: set, path: pathlib.Path) -> None:
    missing = sorted(wanted - set(sizes))
    if missing:
        raise errors.DataInvalid(
            f'{len(missing)} of {len(wanted)} photographs are not in it, first cocoId {missing[0]}',
            path,
            'photographs are found by cocoId and cocoSplit together: check both, or fetch again',
        )
    for i, size in sizes.items():
        if not 0 < min(size) <= max(size) <= _LARGEST:
            raise errors.DataInvalid(
                f'cocoId {i} has {size} pixels, wanted 1 to {_LARGEST} a side',
                path,
                'the file is broken: fetch it again',
            )
        if frames.setdefault(i, size) != size:
            raise errors.DataInvalid(
                f'cocoId {i} has {size} pixels, and {frames[i]} in another file',
                path,
                'all annotation files must be of one release',
            )


def _one(rows: list, i: int, where: pathlib.Path, split: str) -> tuple:
    if len(rows) != 1:
        raise errors.DataInvalid(
            f'{len(rows)} panoptic annotations of cocoId {i}, wanted one',
            where / f'panoptic_{split}.json',
            'fetch it again',
        )
    return rows[0]
