import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from recon.core import errors
from recon.data import prepare
from recon.data.datasets import digits69
from recon.data.layouts import digits69 as layout
from recon.data.tfds import builders
from tests.data import small


def told(seed=0, **options):
    """A small brain with a further test, captions, label vectors and text ids on demand."""
    text, vectors = options.pop('text', False), options.pop('vectors', False)
    brain = small.brain(seed, **options)
    extra = {'imagery: far': brain.test.rows(np.arange(5))}
    brain = dataclasses.replace(
        brain, extra_tests=extra, validation=brain.train.rows(np.arange(9)[::-2])
    )
    captions = {i: (f'ü {i}', 'b')[: i % 3] for i in brain.images.ids.tolist()}
    brain = dataclasses.replace(brain, captions=captions)
    if vectors:
        labels = {i: np.array([i % 2, 1, i % 3 > 1], np.uint8) for i in brain.labels}
        brain = dataclasses.replace(brain, labels=labels)
    if text:
        splits = {
            k: dataclasses.replace(s, image_id=_name(s.image_id)) for k, s in brain.splits().items()
        }
        images = dataclasses.replace(brain.images, ids=_name(brain.images.ids))
        about = {k: {str(_name(i)): v for i, v in getattr(brain, k).items()}
                 for k in ('labels', 'captions')}  # fmt: skip
        brain = dataclasses.replace(brain.with_splits(splits), images=images, **about)
    return brain


def _name(ids):
    return np.char.add('n', np.char.zfill(np.asarray(ids).astype(str), 3))


@pytest.mark.parametrize(
    'options',
    [{}, {'vectors': True, 'seed': 1, 'voxels': 7, 'side': 5}, {'text': True, 'seed': 2}],
)
def test_what_is_read_back_is_what_was_given(tmp_path, options):
    brain = told(**options)
    folder = builders.build(brain, 'pairs', tmp_path, 3)
    found = builders.sources(folder)
    names = {name: name for name in brain.splits()} | {'imagery: far': 'imagery__far'}
    assert set(found) == set(names.values())
    for name, split in brain.splits().items():
        source = found[names[name]]
        rows = [source[i] for i in range(len(source))]
        for column in ('voxels', 'run', 'session', 'repeat', 'trials'):
            got = np.stack([row[column] for row in rows])
            assert np.array_equal(got, getattr(split, column)), (name, column)
        ids = [
            i.decode() if isinstance(i, bytes) else int(i) for i in (r['image_id'] for r in rows)
        ]
        assert ids == split.image_id.tolist()
        pictures = np.stack([row['image'] for row in rows])
        assert pictures.dtype == np.uint8 and rows[0]['voxels'].dtype == np.float32
        assert np.array_equal(pictures.astype(np.float32) / 255, brain.images[split.image_id])
        for row, i in zip(rows, ids, strict=True):
            assert np.array_equal(row['labels'], brain.labels[i])
            assert [c.decode() for c in row['captions']] == list(brain.captions[i])


def test_a_data_set_is_read_prepared_and_written_as_it_was_scored(tmp_path):
    root = layout.write(tmp_path / 'digits')
    brain = digits69.load({'path': str(root)})
    brain, _ = prepare.run({'order': ('normalise', 'select'), 'select': {'k': 20}}, brain)
    found = builders.sources(builders.build(brain, 'digits69', tmp_path / 'out', 2))
    for name, split in brain.splits().items():
        rows = [found[name][i] for i in range(len(split))]
        assert np.array_equal(np.stack([row['voxels'] for row in rows]), split.voxels)
        assert [row['labels'] for row in rows] == [brain.labels[i] for i in split.image_id.tolist()]


def test_rows_are_given_in_any_order_from_any_shard(tmp_path):
    brain = told()
    source = builders.sources(builders.build(brain, 'a', tmp_path, 4))['train']
    for i in (95, 0, 50, 51, 3):
        assert np.array_equal(source[i]['voxels'], brain.train.voxels[i])
    many = source.__getitems__([7, 90])
    assert np.array_equal(many[1]['voxels'], brain.train.voxels[90])


def test_shards_are_as_many_as_asked_and_hold_array_records(tmp_path):
    folder = builders.build(told(), 'a', tmp_path, 4)
    assert folder == tmp_path / 'recon_a' / 'subject1' / '1.0.0'
    assert len(list(folder.glob('recon_a-train.array_record-*-of-00004'))) == 4
    assert len(list(builders.build(told(), 'b', tmp_path).glob('*train*'))) == 1
    folder = builders.build(told(), 'c', tmp_path, 99)  # not more than the smallest split's rows
    assert len(list(folder.glob('*train*-of-00005'))) == 5


def test_areas_and_what_is_known_of_voxels_lie_beside(tmp_path):
    brain = told()
    folder = builders.build(brain, 'a', tmp_path)
    known = np.load(folder / 'voxels.npz')
    assert np.array_equal(known['roi_V2'], brain.rois['V2'])
    assert np.array_equal(known['info_ncsnr'], brain.voxel_info['ncsnr'])
    about = json.loads((folder / 'metadata.json').read_text())
    assert about['facts'] == brain.facts and about['label_names'] == ['a', 'b', 'c']


def test_tensorflow_datasets_finds_it_by_name_in_parts_and_tensorflow_is_never_imported(tmp_path):
    """A fake tensorflow lies in the way: importing it ends the process."""
    (tmp_path / 'fake' / 'tensorflow').mkdir(parents=True)
    (tmp_path / 'fake' / 'tensorflow' / '__init__.py').write_text('import os; os._exit(77)')
    code = (
        'import sys\n'
        'from recon.data.tfds import builders\n'
        'assert "tensorflow_datasets" not in sys.modules\n'
        'from tests.data import small\n'
        'builders.build(small.brain(), "small", sys.argv[1], 2)\n'
        'import tensorflow_datasets\n'
        'found = tensorflow_datasets.data_source("recon_small/subject1", data_dir=sys.argv[1])\n'
        'assert len(found["train"]) == 96 and found["test"][3]["voxels"].shape == (30,)\n'
        'half = tensorflow_datasets.data_source("recon_small/subject1", data_dir=sys.argv[1],\n'
        '                                       split="train[50%:]")\n'
        'assert len(half) == 48 and half[0]["image_id"] == found["train"][48]["image_id"]\n'
        'bad = {"tensorflow", "torch", "jax"} & set(sys.modules)\n'
        'sys.exit(str(bad) if bad else 0)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, str(tmp_path / 'out')],
        capture_output=True,
        text=True,
        env=os.environ | {'PYTHONPATH': f'{tmp_path / "fake"}{os.pathsep}{os.getcwd()}'},
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-800:])
    assert done.stdout == ''


def test_the_same_data_are_not_written_twice_and_others_are_refused(tmp_path):
    folder = builders.build(told(), 'a', tmp_path, 2)
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert builders.build(told(), 'a', tmp_path, 2) == folder
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    with pytest.raises(errors.ConfigError, match='other data are there already.*another name'):
        builders.build(told(1), 'a', tmp_path, 2)
    other = builders.build(told(1), 'a', tmp_path, 2, version='1.0.1')
    assert other.name == '1.0.1' and len(builders.sources(other)['train']) == 96
    third = builders.build(told(1), 'a', tmp_path, 2, config='subject1_V1')
    assert third.parent.name == 'subject1_V1'
    (folder / 'metadata.json').write_text('{"fing')
    with pytest.raises(errors.ConfigError, match='other data are there already'):
        builders.build(told(), 'a', tmp_path, 2)


def test_two_builds_of_the_same_data_have_the_same_bytes(tmp_path):
    def digests(folder):
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob('*record*')}

    first, second = (builders.build(told(), 'a', tmp_path / part, 2) for part in 'xy')
    assert digests(first) == digests(second) and len(digests(first)) == 8


@pytest.mark.parametrize(
    'change',
    [
        lambda b: dataclasses.replace(b, train=b.train.rows(np.arange(96)[::-1])),
        lambda b: dataclasses.replace(b, labels=b.labels | {3: 2}),
        lambda b: dataclasses.replace(b, captions=b.captions | {3: ('another',)}),
        lambda b: dataclasses.replace(b, rois={}),
        lambda b: dataclasses.replace(b, images=small.brain(9).images),
        lambda b: b.keep(np.arange(29)),
    ],
)
def test_a_fingerprint_tells_data_apart(change):
    brain = told()
    brain = dataclasses.replace(brain, labels={i: 0 for i in brain.labels})
    assert builders.fingerprint(brain) == builders.fingerprint(brain)
    assert builders.fingerprint(change(brain)) != builders.fingerprint(brain)


def test_a_build_that_fails_leaves_nothing_that_could_be_read(tmp_path):
    brain = told()
    brain = dataclasses.replace(brain, labels={i: v for i, v in brain.labels.items() if i != 40})
    with pytest.raises(errors.DataInvalid, match='image 40 has no label'):
        builders.build(brain, 'a', tmp_path)
    folder = tmp_path / 'recon_a' / 'subject1' / '1.0.0'
    with pytest.raises(errors.DataMissing, match='no tensorflow-datasets data set'):
        builders.sources(folder)
    assert builders.build(told(), 'a', tmp_path) == folder


def test_a_broken_folder_is_refused(tmp_path):
    folder = builders.build(told(), 'a', tmp_path)
    copy = shutil.copytree(folder, tmp_path / 'copy')
    (copy / 'dataset_info.json').write_text('{"name": ')
    with pytest.raises(errors.DataInvalid, match='build it again'):
        builders.sources(copy)


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({'name': 'A b'}, "name is 'A b'"),
        ({'config': '../x'}, "config is '../x'"),
        ({'version': '1'}, "version is '1'"),
        ({'shards': -1}, 'shards is -1'),
    ],
)
def test_names_that_do_not_fit_are_refused(tmp_path, options, said):
    with pytest.raises(errors.ConfigError, match=said):
        builders.build(told(), **({'name': 'a', 'data_dir': tmp_path} | options))


def test_without_tensorflow_datasets_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
    with pytest.raises(errors.ConfigError, match=r'not installed.*recon\[tfds\]'):
        builders.build(told(), 'a', tmp_path)
