"""What COCO says of the pictures that NSD cut from its photographs: categories, boxes, captions.

No recording: other readers call `read` for labels and captions. Coordinates in COCO's files are
those of the whole photograph; everything here is of the cropped square that was shown.
"""

import dataclasses

import numpy as np

from recon.core import errors
from recon.data.formats import coco_annotations, coco_crop, coco_masks, coco_table

DEFAULTS = dict(
    path='',  # the folder that holds annotations/, or that folder
    measure='',  # coverage by 'panoptic', 'polygons' or 'boxes'; '' the first of them on disk
    min_coverage=0.014,  # share of the shown picture that a label covers: 50 x 50 of 425 x 425
    min_frequency=0,  # a category on fewer of the counted pictures is no label
    max_frequency=0,  # one on so many or more is none; 0 no limit (a seed system: 2000 of 5000)
    captions='written',  # by people, of the whole photograph; or 'categories': category_captions
    sentence='a photo of {categories}',  # of category_captions
)
MEASURES = {'panoptic': 'panoptic', 'polygons': 'instances', 'boxes': 'instances'}  # -> file


@dataclasses.dataclass(frozen=True)
class Annotations:
    """Annotations of m pictures as they were shown.

    Attributes:
      ids: [m] of the pictures, as given.
      label_names: the 133 panoptic categories, in COCO's order.
      coverage: [m 133] float32, share of the shown picture.
      labels: [m 133] uint8, 1 where coverage passes the filters.
      kept: [133] bool, categories that pass the frequency filter.
      box: [k 4] float32: x, y, width, height in pixels of the shown picture.
      box_row: [k] int64, the picture (row of `ids`);  box_category: [k] int64, row of label_names;
      box_visible: [k] float32, share of the box that was shown;  box_crowd: [k] bool.
      captions: {id: (sentence, ...)}. Those that people wrote describe the whole photograph: what
        was cut away may be named; empty without captions files. Or, as cfg says, those below.
      category_captions: {id: (sentence,)}, of the labels alone, largest first.
      measured: how coverage was measured;  notes: what the user should know.
    """

    ids: np.ndarray
    label_names: tuple[str, ...]
    coverage: np.ndarray
    labels: np.ndarray
    kept: np.ndarray
    box: np.ndarray
    box_row: np.ndarray
    box_category: np.ndarray
    box_visible: np.ndarray
    box_crowd: np.ndarray
    captions: dict
    category_captions: dict
    measured: str
    notes: tuple[str, ...]

    def by_id(self) -> dict:
        """{id: [133] uint8}, as BrainData.labels has them."""
        return dict(zip(self.ids.tolist(), self.labels, strict=True))


def read(cfg, ids, coco_id, coco_split, crop_box, size: int = 425, counted=None) -> Annotations:
    """Annotations of pictures that are crops of COCO's photographs.

    A photograph is found by `coco_id` and `coco_split` together. Coverage is exact: a pixel that
    the crop cuts in two counts for the part inside. Without panoptic files it is measured by
    polygons of instances, for things alone; `measured` says so.

    Args:
      cfg: see DEFAULTS.
      ids: [m] the pictures' own ids, int or text.
      coco_id: [m] int.
      coco_split: [m] text, 'train2017' or 'val2017'.
      crop_box: [m] text as in nsd_stim_info_merged.csv, or [m 4] float: (top, bottom, left,
        right), shares of height and width that are cut away.
      size: pixels on a side of the shown pictures, for boxes.
      counted: [m] bool, pictures over which frequency is counted (those to train on); default all.

    Raises:
      ConfigError: an option that does not fit.
      DataMissing: annotation files or PNGs that are not there.
      DataInvalid: a broken file, a photograph or a segment that is not in it, a category outside
        the table, a crop that is not square, a box outside its photograph.
    """
    cfg, ids = _checked(cfg), np.asarray(ids)
    coco_id, coco_split = np.asarray(coco_id, np.int64), np.asarray(coco_split)
    if not cfg['path']:
        raise errors.DataMissing(
            'the path of the COCO annotations is not set',
            'dataset.coco.path',
            '`python launch/fetch.py coco` says what to fetch',
        )
    crop_box = coco_crop.crops(crop_box)
    where, table = coco_annotations.folder(cfg['path']), coco_table.table()
    _refuse_splits(coco_split, where)
    used = np.unique(coco_split).tolist()
    measure, kinds, notes = _plan(cfg['measure'], where, used)
    coverage = np.zeros((len(ids), len(table.names)), np.float32)
    boxes, captions = [], {}
    for split in used:
        rows = np.flatnonzero(coco_split == split)
        found = coco_annotations.gather(where, split, coco_id[rows], kinds)
        for row in rows.tolist():
            i = coco_id[row].item()
            name = f'{where}: {split} cocoId {i}'
            crop = coco_crop.window(found.frames[i], crop_box[row], name)
            coverage[row] = _coverage(found, i, measure, crop, table, name)
            listed = found.segments[i][1] if found.objects is None else found.objects[i]
            boxes += _boxes(listed, row, found.frames[i], crop, size, table, name)
            if found.captions is not None:
                captions[ids[row].item()] = tuple(found.captions[i])
    labels, kept = select(coverage, cfg, counted)
    sentences = _sentences(ids, labels, coverage, cfg['sentence'], table)
    return Annotations(
        ids=ids,
        label_names=table.names,
        coverage=coverage,
        labels=labels,
        kept=kept,
        **_columns(boxes),
        captions=captions if cfg['captions'] == 'written' else sentences,
        category_captions=sentences,
        measured=measure,
        notes=tuple(notes),
    )


def select(coverage, cfg, counted=None) -> tuple[np.ndarray, np.ndarray]:
    """Labels from coverage: what covers too little, is too rare or too frequent is dropped.

    Args:
      coverage: [m 133].
      cfg: `min_coverage`, `min_frequency`, `max_frequency` of DEFAULTS.
      counted: [m] bool, pictures over which frequency is counted; default all.

    Returns:
      [m 133] uint8, and [133] bool: which categories pass the frequency filter.
    """
    cfg = _checked(cfg)
    seen = (coverage > 0) & (coverage >= cfg['min_coverage'])
    count = (seen if counted is None else seen[np.asarray(counted, bool)]).sum(0)
    kept = count >= cfg['min_frequency']
    if cfg['max_frequency']:
        kept &= count < cfg['max_frequency']
    return (seen & kept).astype(np.uint8), kept


def _checked(cfg) -> dict:
    cfg = {key: cfg.get(key, default) for key, default in DEFAULTS.items()}
    if cfg['measure'] and cfg['measure'] not in MEASURES:
        raise errors.ConfigError(f'measure is {cfg["measure"]!r}', 'coco', f'one of {[*MEASURES]}')
    if not 0 <= cfg['min_coverage'] < 1 or min(cfg['min_frequency'], cfg['max_frequency']) < 0:
        raise errors.ConfigError(
            f'min_coverage={cfg["min_coverage"]}, min_frequency={cfg["min_frequency"]}, '
            f'max_frequency={cfg["max_frequency"]}',
            'coco',
            'min_coverage is a share of the picture in [0, 1), frequencies count pictures',
        )
    if cfg['captions'] not in ('written', 'categories'):
        raise errors.ConfigError(
            f'captions is {cfg["captions"]!r}', 'coco', "one of 'written', 'categories'"
        )
    if '{categories}' not in cfg['sentence']:
        raise errors.ConfigError(
            f'sentence is {cfg["sentence"]!r}', 'coco', "it must hold '{categories}'"
        )
    return cfg


def _refuse_splits(coco_split, where) -> None:
    unknown = coco_split[~np.isin(coco_split, coco_annotations.SPLITS)]
    if len(unknown):
        raise errors.DataInvalid(
            f'cocoSplit is {str(unknown[0])!r}', where, f'one of {coco_annotations.SPLITS}'
        )


def _plan(measure: str, where, used) -> tuple[str, list, list]:
    """Which measure, which files to read, and what to tell the user."""

    def there(kind):
        return all((where / f'{kind}_{split}.json').is_file() for split in used)

    notes = []
    measure = measure or ('panoptic' if there('panoptic') else 'polygons')
    if MEASURES[measure] == 'instances':
        notes.append(
            f'coverage is by {measure} of instances: the 80 things alone, sky or grass have none'
        )
    kinds = [MEASURES[measure]]
    if measure == 'panoptic':
        if there('instances'):
            kinds.append('instances')
        else:
            notes.append('boxes are those of panoptic segments: no instances file')
    if there('captions'):
        kinds.append('captions')
    else:
        notes.append('no captions: no captions file')
    return measure, kinds, notes


def _coverage(found, i: int, measure: str, crop, table, where: str) -> np.ndarray:
    """[133] share of the crop by category."""
    out, frame = np.zeros(len(table.names)), found.frames[i]
    if measure == 'panoptic':
        path, infos = found.segments[i]
        category = table.index([info['category_id'] for info in infos], where)
        listed = [info['id'] for info in infos]
        np.add.at(out, category, coco_crop.shares(path, listed, frame, crop))
        return out
    category = table.index([item['category_id'] for item in found.objects[i]], where)
    for k in np.unique(category):
        mask = np.zeros(frame[::-1], bool)
        for item in (found.objects[i][j] for j in np.flatnonzero(category == k)):
            mask |= _mask(item, measure, frame, where)
        out[k] = coco_crop.share(mask, frame, crop)
    return out


def _mask(item: dict, measure: str, frame, where: str) -> np.ndarray:
    width, height = frame
    shape = item['segmentation']
    if measure == 'boxes':
        x, y, w, h = item['bbox']
        shape = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    if isinstance(shape, dict):
        return coco_masks.run_lengths(shape['counts'], height, width, where)
    return coco_masks.fill(shape, height, width)


def _boxes(listed: list, row: int, frame, crop, size: int, table, where: str) -> list[tuple]:
    """(row, box, category, visible, crowd) of what is to be seen."""
    if not listed:
        return []
    category = table.index([item['category_id'] for item in listed], where)
    box, visible = coco_crop.boxes([item['bbox'] for item in listed], frame, crop, size, where)
    return [
        (row, box[k], category[k], visible[k], bool(listed[k]['iscrowd']))
        for k in np.flatnonzero(visible > 0)
    ]


def _columns(boxes: list[tuple]) -> dict:
    ordered = sorted(boxes, key=lambda entry: entry[0])
    row, box, category, visible, crowd = zip(*ordered, strict=True) if boxes else [()] * 5
    return {
        'box': np.array(box, np.float32).reshape(-1, 4),
        'box_row': np.array(row, np.int64),
        'box_category': np.array(category, np.int64),
        'box_visible': np.array(visible, np.float32),
        'box_crowd': np.array(crowd, bool),
    }


def _sentences(ids, labels, coverage, sentence: str, table) -> dict:
    out = {}
    for i, label, share in zip(ids.tolist(), labels, coverage, strict=True):
        order = np.argsort(-share, kind='stable')
        seen = [coco_table.words(table.names[k]) for k in order if label[k]]
        seen = list(dict.fromkeys(seen)) or ['something']
        listed = ' and '.join([', '.join(seen[:-1]), seen[-1]] if seen[1:] else seen)
        out[i] = (sentence.format(categories=listed),)
    return out
