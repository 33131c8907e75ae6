import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from recon.core import errors
from recon.data.datasets import coco
from recon.data.layouts import _coco

N, IDS = 300, np.concatenate([np.arange(30), np.arange(200, 224)])
_EDGE = 'panoptic_train2017'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('coco') / 'a'
    return root, _coco.write(root, IDS, 3, N)


@pytest.fixture(scope='module')
def oracle(folder):
    """pycocotools on the same files: {split: {kind: COCO}}."""
    with contextlib.redirect_stdout(io.StringIO()):
        return {
            split: {
                kind: COCO(str(folder[0] / 'annotations' / f'{kind}_{split}.json'))
                for kind in ('instances', 'captions')
            }
            for split in ('train2017', 'val2017')
        }


@pytest.fixture(scope='module')
def found(folder):
    return read(folder[0])


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder[0], tmp_path / 'copy')


def read(root, ids=IDS, **options):
    known = _coco.originals(N, 3)
    extra = {key: options.pop(key) for key in ('size', 'counted') if key in options}
    columns = [known[key][ids] for key in ('cocoId', 'cocoSplit', 'cropBox')]
    return coco.read({'path': str(root)} | options, ids, *columns, **extra)


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def cropped(mask, i):
    """[h w] of the photograph -> its crop, pixels doubled so that none is cut in halves."""
    known = _coco.originals(N, 3)
    top, bottom, left, right = known['cropBox'][i]
    height, width = mask.shape
    rows = slice(round(2 * top * height), round(2 * (1 - bottom) * height))
    cols = slice(round(2 * left * width), round(2 * (1 - right) * width))
    return mask.repeat(2, 0).repeat(2, 1)[rows, cols]


def test_coverage_is_the_simulators_truth(folder, found):
    _, truth = folder
    assert found.measured == 'panoptic' and found.notes == ()
    assert np.array_equal(found.ids, truth['ids']) and found.coverage.dtype == np.float32
    assert np.allclose(found.coverage, truth['coverage'], atol=1e-6)
    assert (found.coverage.sum(1) > 0.9).all() and (found.coverage.sum(1) < 1 + 1e-5).all()


def test_rows_are_in_the_order_asked_for_and_one_photograph_may_have_two(folder):
    root, truth = folder
    order = np.array([205, 3, 17, 3])
    found = read(root, order)
    rows = np.searchsorted(truth['ids'], order)
    assert np.allclose(found.coverage, truth['coverage'][rows], atol=1e-6)
    assert (np.diff(found.box_row) >= 0).all() and set(found.box_row.tolist()) <= {0, 1, 2, 3}


def test_what_the_crop_cuts_away_covers_nothing_although_the_photograph_shows_it(found, oracle):
    beside = [found.label_names.index(name) for name in ('dog', 'bicycle', 'clock', 'bench')]
    assert (found.coverage[:, beside] == 0).all()
    in_files = {a['category_id'] for a in oracle['train2017']['instances'].anns.values()}
    assert in_files & {18, 2, 85, 15}
    assert not np.isin(found.box_category, beside).any()


@pytest.mark.parametrize('measure', ['polygons', 'boxes'])
def test_coverage_by_instances_is_pycocotools_masks_cropped_by_hand(folder, oracle, measure):
    found, known = read(folder[0], measure=measure), _coco.originals(N, 3)
    assert found.measured == measure and 'the 80 things alone' in found.notes[0]
    seen = 0
    for row, i in enumerate(IDS):
        instances = oracle[known['cocoSplit'][i]]['instances']
        wanted = {}
        for a in instances.loadAnns(instances.getAnnIds(int(known['cocoId'][i]))):
            mask = instances.annToMask(a).astype(bool)
            if measure == 'boxes':
                x, y, w, h = (int(v) for v in a['bbox'])
                mask = np.zeros_like(mask)
                mask[y : y + h, x : x + w] = True
            name = instances.cats[a['category_id']]['name']
            wanted[name] = wanted.get(name, False) | cropped(mask, i)
        for k, name in enumerate(found.label_names):
            share = np.mean(wanted.get(name, 0))
            assert found.coverage[row, k] == pytest.approx(share, abs=0.003), (i, name)
            seen += share > 0.01
    assert seen > 20


def test_boxes_are_those_of_the_cropped_masks(folder, oracle):
    found, known = read(folder[0], size=100), _coco.originals(N, 3)
    cut = 0
    for row, i in enumerate(IDS):
        instances = oracle[known['cocoSplit'][i]]['instances']
        wanted = []
        for a in instances.loadAnns(instances.getAnnIds(int(known['cocoId'][i]))):
            x, y, w, h = (int(v) for v in a['bbox'])
            mask = np.zeros((known['height'][i], known['width'][i]), bool)
            mask[y : y + h, x : x + w] = True
            inside = cropped(mask, i)
            if inside.any():
                scale = 100 / len(inside)
                rows, cols = np.argwhere(inside).T
                box = np.array([cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1])
                wanted.append((*(box * scale), inside.sum() / mask.sum() / 4))
        mine = found.box_row == row
        got = np.concatenate([found.box[mine], found.box_visible[mine, None]], 1)
        assert np.allclose(np.sort(got, 0), np.sort(np.reshape(wanted, (-1, 5)), 0), atol=1e-3), i
        cut += (got[:, 4] < 0.999).sum()
    assert cut > 3  # things that reach over the edge


def test_captions_are_pycocotools_without_the_spaces_around(found, oracle):
    known = _coco.originals(N, 3)
    for i in IDS.tolist():
        captions = oracle[known['cocoSplit'][i]]['captions']
        theirs = captions.loadAnns(captions.getAnnIds(int(known['cocoId'][i])))
        assert found.captions[i] == tuple(a['caption'].strip() for a in theirs)
        assert len(found.captions[i]) == 5


def test_a_photograph_is_found_by_split_as_well_as_id(found, copy):
    """The same number in both splits: the val one has another picture's segments."""
    known = _coco.originals(N, 3)
    i = next(i for i in IDS if known['cocoSplit'][i] == 'train2017')
    number, val = int(known['cocoId'][i]), copy / 'annotations'

    def add(content):
        content['images'].append({'id': number, 'width': 9, 'height': 9})
        key = {'segments_info': [], 'file_name': 'x.png', 'image_id': number, 'caption': 'Wrong.'}
        key |= {'id': 1, 'category_id': 18, 'bbox': [0, 0, 9, 9], 'iscrowd': 0, 'segmentation': []}
        content['annotations'].append(key)

    for kind in ('panoptic', 'instances', 'captions'):
        change(val / f'{kind}_val2017.json', add)
    again = read(copy)
    assert np.array_equal(again.coverage, found.coverage) and again.captions == found.captions
    with pytest.raises(errors.DataInvalid, match='not square'):
        coco.read({'path': str(copy)}, [0], [number], ['val2017'], known['cropBox'][[i]])


def test_labels_are_what_covers_enough(folder, found):
    fewer = read(folder[0], min_coverage=0.05)
    assert np.array_equal(fewer.labels, fewer.coverage >= np.float32(0.05))
    assert read(folder[0], min_coverage=0).labels.sum() == (found.coverage > 0).sum()
    assert found.labels.sum() > fewer.labels.sum() and found.labels.dtype == np.uint8
    by_id = found.by_id()
    assert list(by_id) == IDS.tolist() and np.array_equal(by_id[203], found.labels[33])


def test_rare_and_frequent_categories_are_dropped_counting_training_pictures_alone():
    coverage = np.zeros((6, 133), np.float32)
    coverage[:5, 0], coverage[:3, 1], coverage[:1, 2] = 0.5, 0.5, 0.5
    coverage[:, 3] = 0.001  # too little, and so of no frequency
    cfg = {'min_coverage': 0.01, 'min_frequency': 2, 'max_frequency': 5}
    labels, kept = coco.select(coverage, cfg)
    assert np.flatnonzero(kept).tolist() == [1] and labels.sum() == labels[:3, 1].sum() == 3
    counted = np.array([1, 0, 1, 1, 1, 0], bool)  # 0: four times, 1: twice, 2: once
    labels, kept = coco.select(coverage, cfg, counted)
    assert np.flatnonzero(kept).tolist() == [0, 1] and labels[1, 0] == 1
    assert coco.select(coverage, {'min_coverage': 0.01})[0].sum() == 9


def test_category_captions_name_the_labels_largest_first(folder):
    found = read(folder[0], sentence='I see {categories}.', min_coverage=0.03)
    for row, i in enumerate(IDS.tolist()):
        (sentence,) = found.category_captions[i]
        assert sentence.startswith('I see ') and sentence.endswith('.')
        order = [k for k in np.argsort(-found.coverage[row]) if found.labels[row, k]]
        said = sentence[6:-1].replace(' and ', ', ').split(', ')
        wanted = [found.label_names[k].split('-')[0] for k in order]
        assert len(said) == len(wanted)
        assert all(w in s for s, w in zip(said, wanted, strict=True)), (sentence, wanted)
    nothing = read(folder[0], min_coverage=0.99)
    assert set(nothing.category_captions.values()) == {('a photo of something',)}
    assert nothing.captions != nothing.category_captions
    instead = read(folder[0], captions='categories')
    assert instead.captions == instead.category_captions


def test_without_panoptic_files_coverage_is_by_polygons_and_without_instances_boxes_are_segments(
    folder, copy
):
    for path in (copy / 'annotations').glob('captions_*'):
        path.unlink()
    for path in (copy / 'annotations').glob('instances_*'):
        path.unlink()
    found = read(copy)
    assert found.captions == {} and len(found.notes) == 2
    assert (
        'boxes are those of panoptic segments' in found.notes[0] and 'no captions' in found.notes[1]
    )
    assert found.box_category.max() >= 80  # stuff has boxes too
    shutil.copytree(folder[0], copy, dirs_exist_ok=True)
    (copy / 'annotations/panoptic_train2017.json').unlink()
    assert read(copy).measured == 'polygons'


def test_val_files_are_not_needed_where_no_picture_is_of_them(copy):
    for path in (copy / 'annotations').glob('*_val2017.json'):
        path.unlink()
    known = _coco.originals(N, 3)
    train = IDS[known['cocoSplit'][IDS] == 'train2017']
    assert len(train) < len(IDS) and len(read(copy, train).captions) == len(train)


def test_size_of_boxes_follows_the_pictures_size(folder, found):
    assert np.allclose(read(folder[0], size=64).box / 64, found.box / 425, atol=1e-5)


@pytest.mark.parametrize('kind', ['panoptic', 'instances', 'captions'])
def test_truncated_empty_and_broken_files_are_refused(copy, kind):
    path = copy / 'annotations' / f'{kind}_train2017.json'
    whole = path.read_bytes()
    for content, said in (
        (whole[: len(whole) * 2 // 3], 'cut short'),
        (b'', 'the file is empty'),
        (b'\x80\x04\x95', 'cut short'),  # a pickle
        (whole.replace(b'"annotations"', b'"annotation"'), 'no annotations in it'),
    ):
        path.write_bytes(content)
        with pytest.raises(errors.DataInvalid, match=said):
            read(copy)


def test_faults_in_pngs_are_refused(copy):
    known = _coco.originals(N, 3)
    i = next(i for i in IDS if known['cocoSplit'][i] == 'train2017')
    path = copy / 'annotations' / _EDGE / f'{known["cocoId"][i]:012d}.png'
    picture = np.asarray(Image.open(path))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(errors.DataInvalid, match='cut short'):
        read(copy)
    path.unlink()
    with pytest.raises(errors.DataMissing, match='no such file'):
        read(copy)
    Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(path)  # blue first
    with pytest.raises(errors.DataInvalid, match='is not among the'):
        read(copy)
    Image.fromarray(picture.transpose(1, 0, 2).copy()).save(path)
    if len(set(picture.shape[:2])) > 1:
        with pytest.raises(errors.DataInvalid, match='the JSON says'):
            read(copy)


def test_a_category_outside_the_table_and_a_box_outside_the_photograph_are_refused(copy, folder):
    path = copy / 'annotations/instances_train2017.json'
    change(path, lambda content: content['annotations'][0].update(category_id=12))
    with pytest.raises(errors.DataInvalid, match=r'category id 12 is not in the table.*cocoId'):
        read(copy)
    shutil.copytree(folder[0], copy, dirs_exist_ok=True)
    change(path, lambda content: content['annotations'][0].update(bbox=[0, 0, 9999, 5]))
    with pytest.raises(errors.DataInvalid, match=r'a box .*9999.*train2017 cocoId'):
        read(copy)


def test_photographs_shifted_by_one_row_are_refused(folder):
    """The next row's cocoId: mostly of another shape, so that its crop is not square."""
    known = _coco.originals(N, 3)
    ids = np.arange(200, 223)
    columns = known['cocoId'][ids + 1], known['cocoSplit'][ids + 1], known['cropBox'][ids]
    with pytest.raises(errors.DataInvalid, match=r'not square.*cocoId and cocoSplit'):
        coco.read({'path': str(folder[0])}, ids, *columns)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'measure': 'eyes'}, "measure is 'eyes'.*panoptic"),
        ({'min_coverage': 1.5}, r'min_coverage=1.5.*\[0, 1\)'),
        ({'max_frequency': -1}, 'frequencies count pictures'),
        ({'captions': 'mine'}, "captions is 'mine'"),
        ({'sentence': 'a photo'}, "must hold '{categories}'"),
    ],
)
def test_options_that_do_not_fit_are_refused(folder, options, said):
    with pytest.raises(errors.ConfigError, match=said):
        read(folder[0], **options)


def test_no_path_no_files_and_an_unknown_split_are_refused(tmp_path):
    with pytest.raises(errors.DataMissing, match=r'not set.*dataset.coco.path.*fetch.py coco'):
        read('')
    with pytest.raises(errors.DataMissing, match='no COCO annotations'):
        read(tmp_path)
    (tmp_path / 'captions_train2017.json').write_text('{}')
    with pytest.raises(errors.DataInvalid, match="cocoSplit is 'test2017'"):
        coco.read({'path': str(tmp_path)}, [1], [1], ['test2017'], [[0, 0, 0, 0]])
    with pytest.raises(errors.DataMissing, match='instances_train2017.json'):
        coco.read({'path': str(tmp_path)}, [1], [1], ['train2017'], [[0, 0, 0, 0]])
