import json

import pytest

from recon.core import errors
from recon.data.formats import coco_annotations as annotations

IMAGES = [{'id': i, 'width': 60, 'height': 40 + i} for i in (3, 1, 2)]
INFO = {'id': 7, 'category_id': 17, 'bbox': [0, 0, 5, 5], 'iscrowd': 0, 'area': 25}
ITEMS = {
    'panoptic': [
        {'image_id': i, 'file_name': f'{i:012d}.png', 'segments_info': [INFO]} for i in (2, 1, 3)
    ],
    'instances': [
        {'id': 5, 'image_id': 1, 'category_id': 17, 'bbox': [0, 0, 5, 5], 'iscrowd': 0,
         'segmentation': [[0, 0, 5, 0, 5, 5]]},
        {'id': 6, 'image_id': 3, 'category_id': 1, 'bbox': [0, 0, 5, 5], 'iscrowd': 1,
         'segmentation': {'counts': [0, 5, 9], 'size': [2, 7]}},
    ],
    'captions': [
        {'image_id': 1, 'caption': ' A cat\n on a  mat. \n'}, {'image_id': 1, 'caption': 'Cat'}
    ],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'annotations').mkdir()
    for kind in ITEMS:
        save(tmp_path, kind)
    return tmp_path / 'annotations'


def save(tmp_path, kind, images=IMAGES, items=None):
    content = {'images': images, 'annotations': ITEMS[kind] if items is None else items}
    (tmp_path / 'annotations' / f'{kind}_val2017.json').write_text(json.dumps(content))


def gather(folder, wanted=(1, 3), kinds=('panoptic', 'instances', 'captions')):
    return annotations.gather(folder, 'val2017', wanted, kinds)


def test_only_the_photographs_asked_for_are_kept(folder):
    found = gather(folder)
    assert found.frames == {1: (60, 41), 3: (60, 43)}
    assert set(found.objects) == set(found.segments) == set(found.captions) == {1, 3}
    assert [item['id'] for item in found.objects[1]] == [5]
    assert found.objects[1][0]['segmentation'][0].tolist() == [0, 0, 5, 0, 5, 5]
    assert found.objects[3][0]['segmentation']['counts'].tolist() == [0, 5, 9]


def test_captions_lose_the_spaces_around_and_the_line_ends(folder):
    found = gather(folder)
    assert found.captions == {1: ['A cat on a mat.', 'Cat'], 3: []}


def test_a_kind_that_is_not_asked_for_is_not_read(folder):
    (folder / 'instances_val2017.json').unlink()
    found = gather(folder, kinds=('panoptic',))
    assert found.objects is None and found.captions is None


def test_pngs_are_found_inside_annotations_or_beside(folder):
    assert gather(folder).segments[1][0] == folder.parent / 'panoptic_val2017/000000000001.png'
    (folder / 'panoptic_val2017').mkdir()
    assert gather(folder).segments[1][0] == folder / 'panoptic_val2017/000000000001.png'


def test_the_folder_may_be_annotations_or_its_parent(folder, tmp_path):
    assert annotations.folder(folder) == annotations.folder(tmp_path) == folder
    with pytest.raises(errors.DataMissing, match='no COCO annotations.*launch/fetch.py coco'):
        annotations.folder(tmp_path / 'other')


def test_what_is_not_there_is_named(folder, tmp_path):
    with pytest.raises(errors.DataInvalid, match=r'1 of 2 photographs.*cocoId 9.*cocoSplit'):
        gather(folder, (1, 9))
    save(tmp_path, 'panoptic', items=ITEMS['panoptic'][:2])
    with pytest.raises(errors.DataInvalid, match='0 panoptic annotations of cocoId 3'):
        gather(folder)
    (folder / 'captions_val2017.json').unlink()
    with pytest.raises(errors.DataMissing, match='annotations_trainval2017.zip'):
        gather(folder, kinds=('captions',))


def test_files_of_two_releases_are_refused(folder, tmp_path):
    save(tmp_path, 'instances', images=[image | {'height': 99} for image in IMAGES])
    with pytest.raises(errors.DataInvalid, match=r'cocoId \d has \(60, 99\) pixels, and \(60, 4'):
        gather(folder)


def test_an_item_without_a_key_is_refused(folder, tmp_path):
    save(tmp_path, 'captions', items=[{'image_id': 1}])
    with pytest.raises(errors.DataInvalid, match=r"annotations is not as COCO has it.*'caption'"):
        gather(folder)
    save(tmp_path, 'captions', images=[{'id': 1, 'width': 'x', 'height': 3}])
    with pytest.raises(errors.DataInvalid, match='images is not as COCO has it'):
        gather(folder)


@pytest.mark.parametrize('size', [(0, 40), (10**6, 10**6), (40, -1)])
def test_a_size_that_no_photograph_has_is_refused(folder, tmp_path, size):
    images = [image | dict(zip(('width', 'height'), size, strict=True)) for image in IMAGES]
    save(tmp_path, 'instances', images=images)
    with pytest.raises(errors.DataInvalid, match='wanted 1 to 10000 a side'):
        gather(folder, kinds=('instances',))


@pytest.mark.parametrize(
    'broken',
    [
        {'bbox': [0, 0, 5]},
        {'bbox': 'abcd'},
        {'bbox': None},
        {'category_id': 'cat'},
        {'segmentation': [[0, 0, 5]]},
        {'segmentation': [['a', 'b']]},
        {'segmentation': {'size': [3, 4]}},
        {'image_id': [1]},
    ],
)
def test_an_object_that_is_not_as_cocos_is_refused(folder, tmp_path, broken):
    save(tmp_path, 'instances', items=[ITEMS['instances'][0] | broken])
    with pytest.raises(errors.DataInvalid, match='annotations is not as COCO has it'):
        gather(folder)
