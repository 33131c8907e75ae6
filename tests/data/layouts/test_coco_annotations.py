import hashlib
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from recon.data.formats import coco_crop, coco_table
from recon.data.layouts import _coco, _coco_frame
from recon.data.simulator import backgrounds, scenes, shapes

N = 400
IDS = np.concatenate([np.arange(100, 140), np.arange(300, 312)])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco')
    return root, _coco.write(root, IDS, 0, N)


def test_originals_do_not_depend_on_how_many_there_are():
    few, many = _coco.originals(30, 4), _coco.originals(90, 4)
    for key, column in few.items():
        assert np.array_equal(column, many[key][:30]), key
    assert not np.array_equal(few['cropBox'], _coco.originals(30, 5)['cropBox'])


@pytest.mark.parametrize('seed', [0, 7])
def test_originals_are_like_nsds(seed):
    known = _coco.originals(5000, seed)
    assert len(np.unique(known['cocoId'])) == 5000 and known['cocoId'].min() > 0
    held_out = scenes.held_out(np.arange(5000))
    assert (known['cocoSplit'][held_out] == 'train2017').all()
    assert 0.03 < (known['cocoSplit'] == 'val2017').mean() < 0.09
    cut = known['cropBox'] > 0
    rows, cols = cut[:, :2].any(1), cut[:, 2:].any(1)
    for share, low, high in ((rows & cols, 0.1, 0.2), (~rows & ~cols, 0.05, 0.15)):
        assert low < share.mean() < high
    frames = np.stack([known['width'], known['height']], 1).tolist()
    crops = [coco_crop.window(f, c) for f, c in zip(frames, known['cropBox'], strict=True)]
    assert np.mean([(crop % 1 == 0.5).any() for crop in crops]) > 0.03  # half pixels occur


def test_files_are_named_as_cocos_and_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    root, _ = folder

    def digests(root):
        files = [p for p in sorted(root.rglob('*')) if p.is_file()]
        return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).digest() for p in files}

    names = set(digests(root))
    known = _coco.originals(N, 0)
    assert names == {
        *(f'annotations/{kind}_{split}2017.json'
          for kind in ('instances', 'captions', 'panoptic') for split in ('train', 'val')),
        *(f'annotations/panoptic_{known["cocoSplit"][i]}/{known["cocoId"][i]:012d}.png'
          for i in IDS),
    }  # fmt: skip
    _coco.write(tmp_path / 'b', IDS, 0, N)
    assert digests(tmp_path / 'b') == digests(root)


def test_categories_of_the_files_are_cocos(folder):
    annotations = folder[0] / 'annotations'
    table = coco_table.table()
    for kind, count in (('instances', 80), ('panoptic', 133)):
        named = json.loads((annotations / f'{kind}_train2017.json').read_text())['categories']
        assert [c['id'] for c in named] == table.ids[:count].tolist()
        assert [c['name'] for c in named] == list(table.names[:count])


def test_everything_that_scenes_hold_has_a_category():
    names = coco_table.table().names
    assert set(_coco_frame.OBJECTS) == set(shapes.CATEGORIES)
    assert set(_coco_frame.SKIES) == set(backgrounds.SKIES)
    assert set(_coco_frame.GROUNDS) == set(backgrounds.GROUNDS)
    within = {*_coco_frame.OBJECTS.values(), *_coco_frame.SKIES.values()}
    within |= set(_coco_frame.GROUNDS.values())
    assert within | set(_coco_frame.BESIDE) <= set(names)
    assert not within & set(_coco_frame.BESIDE)  # so that whoever does not crop is found out


def test_pycocotools_masks_and_areas_agree_with_the_pngs(folder, capsys):
    root, _ = folder
    coco = COCO(str(root / 'annotations/instances_train2017.json'))
    crowds = 0
    for annotation in coco.anns.values():
        mask = coco.annToMask(annotation).astype(bool)
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.02, abs=4)
        rows, cols = np.argwhere(mask).T
        x, y, w, h = annotation['bbox']
        assert np.allclose([cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1],
                           [x, y, w, h], atol=1)  # fmt: skip
        crowds += annotation['iscrowd']
    assert 0 < crowds < len(coco.anns) / 4


def test_panoptic_segments_are_those_of_the_pngs(folder):
    annotations = folder[0] / 'annotations'
    panoptic = json.loads((annotations / 'panoptic_train2017.json').read_text())
    frames = {image['id']: (image['height'], image['width']) for image in panoptic['images']}
    for item in panoptic['annotations']:
        png = np.asarray(Image.open(annotations / 'panoptic_train2017' / item['file_name']))
        ids = png.astype(int) @ [1, 256, 65536]
        assert ids.shape == frames[item['image_id']]
        listed = {info['id']: info for info in item['segments_info']}
        assert set(np.unique(ids)) - {0} == set(listed)
        for number, info in listed.items():
            rows, cols = np.argwhere(ids == number).T
            assert info['area'] == len(rows)
            assert info['bbox'] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
        stuff = [i['category_id'] for i in item['segments_info'] if i['category_id'] > 90]
        assert len(stuff) == len(set(stuff))  # one segment of a kind


def test_the_crop_shows_the_scene_where_its_objects_are(folder):
    """Coverage by simulator's own count, which knows nothing of crops."""
    _, truth = folder
    drawn = scenes.draw(IDS, 128, 0)
    names = coco_table.table().names
    wanted = np.zeros_like(truth['coverage'])
    for row, column in np.argwhere(drawn.category >= 0):
        name = _coco_frame.OBJECTS[scenes.CATEGORIES[drawn.category[row, column]]]
        wanted[row, names.index(name)] += drawn.coverage[row, column]
    for name in set(_coco_frame.OBJECTS.values()):
        k = names.index(name)
        assert np.allclose(truth['coverage'][:, k], wanted[:, k], atol=0.012), name
    place = [names.index(_coco_frame.SKIES[tuple(backgrounds.SKIES)[k]]) for k in drawn.place[:, 0]]
    sky = truth['coverage'][np.arange(len(IDS)), place]
    assert (sky > 0.05).all() and (truth['coverage'].sum(1) <= 1 + 1e-6).all()
    beside = [names.index(name) for name in _coco_frame.BESIDE]
    assert (truth['coverage'][:, beside] == 0).all()


def test_stuff_of_one_kind_is_one_segment_and_things_are_one_each():
    masks = np.eye(4, dtype=bool)
    names = ('sea', 'cat', 'sea', 'cat')
    parts = [_coco_frame.Segment(n, False, m) for n, m in zip(names, masks, strict=True)]
    merged = _coco_frame._merged(parts, {'cat'})
    assert [(p.name, p.mask.tolist()) for p in merged] == [
        ('sea', [True, False, True, False]),
        ('cat', masks[1].tolist()),
        ('cat', masks[3].tolist()),
    ]


def test_captions_name_what_the_crop_leaves_out(folder):
    captions = json.loads((folder[0] / 'annotations/captions_train2017.json').read_text())
    texts = [item['caption'] for item in captions['annotations']]
    assert len(texts) == 5 * len(captions['images'])
    assert any(name in text for text in texts for name in ('dog', 'bicycle', 'bench', 'clock'))
    assert any(text != text.strip() for text in texts)
