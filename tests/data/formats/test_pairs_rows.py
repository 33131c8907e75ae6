import json
import pathlib

import numpy as np
import pytest

from recon.core import errors
from recon.data.datasets import pairs
from recon.data.formats import pairs_rows

HERE = pathlib.Path('x.npy')


def cfg(**options):
    return pairs.DEFAULTS | options


def test_ids_count_from_0_or_are_names_without_the_ending_of_a_picture():
    assert pairs_rows.ids(np.array([1, 4, 2]), HERE, 1).tolist() == [0, 3, 1]
    assert pairs_rows.ids(np.array(['7.0', '3']), HERE, 0).tolist() == [7, 3]
    names = pairs_rows.ids(np.array(['a.png', 'b.c', 'n01_5.JPEG']), HERE, 0)
    assert names.tolist() == ['a', 'b.c', 'n01_5']
    with pytest.raises(errors.ConfigError, match='base is 1, but ids are names'):
        pairs_rows.ids(names, HERE, 1)
    with pytest.raises(errors.DataInvalid, match='1518878.005958, no whole number'):
        pairs_rows.ids(np.array([1518878.005958]), HERE, 0)


def test_columns_are_whole_numbers_and_text_gives_its_number():
    def whole(values, rows=3, voxels=8, least=0):
        return pairs_rows.whole((np.array(values), HERE), rows, voxels, least)

    assert whole(['run-01', 'run-12', 'run-3']).tolist() == [1, 12, 3]
    assert whole([1.0, 2.0, 3.0]).dtype == np.int32
    assert pairs_rows.whole(None, 3, 8) is None
    for values, message in (
        ([1, 2], '2 rows, the voxels have 3 rows'),
        (['run', '1', '2', '3'], 'row 0 is .run'),
        ([1, 2, 3, 4], '4 rows.*one too many: if its first line is a header'),
        (np.arange(8), "8 rows.*fits the other axis.*axes='voxels rows'"),
        ([1, -2, 3], 'values from -2 to 3'),
        ([1, 2**40, 3], 'values from 1'),
        ([1, 2.5, 3], 'row 1 is 2.5, no whole number'),
        (['a', 'b', 'c'], "row 0 is 'a'"),
    ):
        with pytest.raises(errors.DataInvalid, match=message):
            whole(values)
    with pytest.raises(errors.DataInvalid, match='wanted 1 or more'):
        whole([0, 1, 1], least=1)


@pytest.mark.parametrize('seed', range(4))
def test_presentations_count_earlier_rows_of_the_same_image(seed):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 9, 60)
    wanted = [int((ids[:i] == ids[i]).sum()) for i in range(60)]
    assert pairs_rows.presentations(ids).tolist() == wanted
    assert pairs_rows.presentations(ids.astype(str)).tolist() == wanted
    assert pairs_rows.presentations(np.array([5])).tolist() == [0]


def test_runs_that_begin_anew_are_numbered_over_all_sessions():
    notes = []
    session, run = np.array([1, 1, 2, 2, 5]), np.array([1, 2, 1, 2, 1])
    assert pairs_rows.unique_runs(run, session, notes).tolist() == [1, 2, 3, 4, 5] and notes
    notes.clear()
    run = np.array([10, 11, 12, 13, 14])
    assert pairs_rows.unique_runs(run, session, notes) is run and not notes
    assert pairs_rows.unique_runs(run, None, notes) is run
    assert pairs_rows.unique_runs(None, session, notes) is None


def test_a_column_has_its_own_file_or_is_in_the_table_of_rows(tmp_path):
    (tmp_path / 'rows.tsv').write_text('image_id\trun\n3\t1\n5\t2\n')
    values, path = pairs_rows.column(tmp_path, cfg(), 'ids')
    assert values.tolist() == ['3', '5'] and path.name == 'rows.tsv'
    assert pairs_rows.column(tmp_path, cfg(), 'sessions') is None
    np.save(tmp_path / 'ids.npy', np.array([8, 9]))
    assert pairs_rows.column(tmp_path, cfg(), 'ids')[0].tolist() == [8, 9]
    block = {'file': 'rows.tsv', 'key': 'run'}
    assert pairs_rows.column(tmp_path, cfg(ids=block), 'ids')[0].tolist() == ['1', '2']
    with pytest.raises(errors.ConfigError, match='ids.file names 2 files'):
        pairs_rows.column(tmp_path, cfg(ids={'file': 'ids.npy,rows.tsv', 'key': ''}), 'ids')


def test_parts_come_from_a_column_or_from_ids(tmp_path):
    ids = np.array([4, 5, 5, 6, 7])
    assert pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9) is None
    (tmp_path / 'validation_ids.txt').write_text('7')
    with pytest.raises(errors.DataMissing, match='ids of validation and none of test'):
        pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)
    (tmp_path / 'test_ids.csv').write_text('6\n8')
    with pytest.raises(errors.DataInvalid, match='1 of 2 test ids are of no row, first 8'):
        pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)
    (tmp_path / 'test_ids.csv').write_text('5')
    found = pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)
    assert found.tolist() == ['train', 'test', 'test', 'train', 'validation']
    (tmp_path / 'parts.txt').write_text('train\ntest\ntest\ntest\ntrain')
    assert pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)[3] == 'test'
    (tmp_path / 'parts.txt').write_text('train\nteste\ntest\ntest\ntrain')
    with pytest.raises(errors.DataInvalid, match="row 1 is 'teste'"):
        pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)


def test_captions_are_json_or_a_table_with_a_row_a_sentence(tmp_path):
    assert pairs_rows.captions(tmp_path, cfg(), 0) is None
    (tmp_path / 'captions.csv').write_text(
        'id,caption\n2,a dog\n1,"a cat,  asleep"\n2,a  brown dog\n'
    )
    wanted = {2: ('a dog', 'a brown dog'), 1: ('a cat, asleep',)}
    assert pairs_rows.captions(tmp_path, cfg(), 0) == wanted
    assert set(pairs_rows.captions(tmp_path, cfg(), 1)) == {1, 0}
    (tmp_path / 'captions.csv').unlink()
    (tmp_path / 'captions.json').write_text(
        json.dumps({'2': ['a dog', 'a brown dog'], '1': 'a cat, asleep'})
    )
    assert pairs_rows.captions(tmp_path, cfg(), 0) == wanted
    (tmp_path / 'captions.json').write_text('["a"]')
    with pytest.raises(errors.DataInvalid, match='no table'):
        pairs_rows.captions(tmp_path, cfg(), 0)


def test_labels_are_flags_or_classes(tmp_path):
    assert pairs_rows.labels(tmp_path, cfg(), 0, None) == (None, ())
    path = tmp_path / 'labels.csv'
    path.write_text('id,face,house\n3,1,0\n9,1,1\n')
    labels, names = pairs_rows.labels(tmp_path, cfg(), 0, None)
    assert names == ('face', 'house') and {k: v.tolist() for k, v in labels.items()} == {
        3: [1, 0],
        9: [1, 1],
    }
    assert labels[3].dtype == np.uint8
    path.write_text('id,kind\na.png,house\nb.png,face\nc.png,house\n')
    assert pairs_rows.labels(tmp_path, cfg(), 0, None) == (
        {'a': 1, 'b': 0, 'c': 1},
        ('face', 'house'),
    )
    for text in ('id,face,house\n3,1,2\n', 'id,face,house\n3,1,yes\n'):
        path.write_text(text)
        with pytest.raises(errors.DataInvalid, match='not all 0 or 1'):
            pairs_rows.labels(tmp_path, cfg(), 0, None)
    path.unlink()
    np.save(tmp_path / 'labels.npy', np.eye(3, 2, dtype=np.int64))
    labels, names = pairs_rows.labels(tmp_path, cfg(), 0, np.array([10, 20, 30]))
    assert labels[20].tolist() == [0, 1] and names == ('label 0', 'label 1')
    with pytest.raises(errors.DataInvalid, match='2 pictures'):
        pairs_rows.labels(tmp_path, cfg(), 0, np.array([10, 20]))


def test_ids_of_labels_and_captions_are_those_of_the_pictures():
    known, notes = np.arange(40), []
    pairs_rows.check_pictured(HERE, None, known, notes)
    pairs_rows.check_pictured(HERE, dict.fromkeys(range(40)), known, notes)
    pairs_rows.check_pictured(HERE, dict.fromkeys(range(5)), known, notes)  # of few pictures
    assert not notes
    for shift, word in ((1, 1), (-1, 0)):
        for ids in (known, 3 * known):
            with pytest.raises(errors.DataInvalid, match=f'ids look {word}-based.*like 0 ...'):
                pairs_rows.check_pictured(HERE, dict.fromkeys((ids + shift).tolist()), ids, notes)
    for keys in (range(500, 540), ['a', 'b']):
        with pytest.raises(errors.DataInvalid, match='ids have no picture, first (500|.a.)'):
            pairs_rows.check_pictured(HERE, dict.fromkeys(keys), known, notes)
    pairs_rows.check_pictured(HERE, dict.fromkeys(range(2, 300)), known, notes)
    assert '260 of 298 ids have no picture, first 40; of 2 of 40 pictures' in notes[0]


def test_ids_that_cannot_be_printed_are_shown_all_the_same(tmp_path):
    ids = np.array([4, 5])
    (tmp_path / 'test_ids.txt').write_bytes(bytes(9))
    with pytest.raises(errors.DataInvalid, match='it holds zero bytes.*test_ids.txt'):
        pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)
    np.save(tmp_path / 'test_ids.npy', np.array(['', '']))
    (tmp_path / 'test_ids.txt').unlink()
    with pytest.raises(errors.DataInvalid, match="ids are of no row, first ''"):
        pairs_rows.own_parts(tmp_path, cfg(), ids, 0, 9)
