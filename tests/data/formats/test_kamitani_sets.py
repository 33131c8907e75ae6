import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data.formats import bdata, kamitani_sets
from recon.data.layouts import _bdata as writer


def opened(folder, texts=None, **fields):
    n = len(next(iter(fields.values())))
    content = writer.Table(np.zeros((n, 2), np.float32), fields, {}, texts or {})
    writer.write_h5(folder / 'a.h5', content)
    return bdata.opened(folder / 'a.h5')


@pytest.mark.parametrize('key', ['stimulus_name', 'imagery_name', 'Label'])
def test_names_come_from_any_of_three_value_maps(tmp_path, key):
    numbers = np.array([2.0, 1.0, np.nan])
    with opened(tmp_path, {key: {1: 'shape_1.tiff', 2: 'shape_2'}}, **{key: numbers}) as file:
        found, notes = kamitani_sets.names(file, 'artificial', tmp_path)
    assert found.tolist() == ['shape_2', 'shape_1', 'n/a'] and not notes


@pytest.mark.parametrize(
    ('form', 'content'),
    [
        ('ArtificialImage.tsv', 'shape_1\t1\nshape_10\t10\nshape_2\t2'),
        ('artificial.csv', '1,shape_1\n10,shape_10\n2,shape_2'),
    ],
)
def test_numbers_are_named_by_a_list_beside_the_file(tmp_path, form, content):
    (tmp_path / form).write_text(content)
    label = np.stack([[101, 102, 103], [10, 2, 1]], 1)
    with opened(tmp_path, Label=label) as file:
        found, notes = kamitani_sets.names(file, 'artificial', tmp_path)
        assert found.tolist() == ['shape_10', 'shape_2', 'shape_1'] and not notes
        assert kamitani_sets.names(file, 'letters', tmp_path)[0] is None  # not their list


def test_two_columns_that_both_fit_are_not_guessed_between(tmp_path):
    (tmp_path / 'LetterImage.tsv').write_text('A\t1\nB\t2')
    with opened(tmp_path, Label=np.stack([[1, 2, 1], [2, 1, 1]], 1)) as file:
        found, notes = kamitani_sets.names(file, 'letters', tmp_path)
    assert found is None and '2 unlike columns' in notes[0]
    with opened(tmp_path, Label=np.stack([[1, 2, 1], [1, 2, 1]], 1)) as file:
        assert kamitani_sets.names(file, 'letters', tmp_path)[0].tolist() == ['A', 'B', 'A']


def test_a_constant_column_is_not_taken_for_the_stimulus(tmp_path):
    (tmp_path / 'LetterImage.tsv').write_text('A\t0\nB\t1\nC\t2')
    with opened(tmp_path, Label=np.stack([[1, 2, 3], [0, 0, 0]], 1)) as file:
        assert kamitani_sets.names(file, 'letters', tmp_path)[0] is None


def test_no_names_are_a_note_that_says_what_to_write(tmp_path):
    with opened(tmp_path, Label=np.array([1, 2])) as file:
        found, notes = kamitani_sets.names(file, 'letters', tmp_path)
        assert found is None and 'there is no list beside it (letters.tsv: name, tab' in notes[0]
        (tmp_path / 'LetterImage.tsv').write_text('A\t7')
        found, notes = kamitani_sets.names(file, 'letters', tmp_path)
        assert found is None and 'no column of it fits LetterImage.tsv' in notes[0]


def save(path, value=0):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full((9, 9, 3), value, np.uint8)).save(path)


def test_rows_without_a_picture_are_left_out_and_counted(tmp_path):
    save(tmp_path / 'letters' / 'A.tif')
    shown = np.array(['A', 'B', 'A', 'C'])
    keep, found, notes = kamitani_sets.pictures(shown, 'letters', tmp_path, {})
    assert keep.tolist() == [True, False, True, False] and set(found) == {'A'}
    assert notes == [
        'letters: 2 rows are left out, of which there is no picture: 2 of 3 stimuli, first B'
    ]
    keep, found, notes = kamitani_sets.pictures(shown[[1]], 'letters', tmp_path, {})
    assert not keep.any() and not found and 'none of its pictures' in notes[0]


def test_what_is_imagined_has_the_picture_that_was_seen(tmp_path):
    seen = (('test', 'n01443537_1.png'), ('artificial', 'shape_1.png'))
    for below, name in (*seen, ('imagery', 'n01443537_1.png')):  # a copy that is not needed
        save(tmp_path / below / name)
    known = {'n01443537_1': tmp_path / 'test' / 'n01443537_1.png'}
    shown = np.array(['n01443537_1', 'shape_1', 'fixation'])
    keep, found, _ = kamitani_sets.pictures(shown, 'imagery', tmp_path, known)
    assert keep.tolist() == [True, True, False]
    assert found['n01443537_1'] == known['n01443537_1']
    assert found['shape_1'] == tmp_path / 'artificial' / 'shape_1.png'


def test_one_name_for_two_pictures_is_refused(tmp_path):
    save(tmp_path / 'letters' / '1.png')
    save(tmp_path / 'artificial' / '1.png', 9)
    known = {'1': tmp_path / 'artificial' / '1.png'}
    with pytest.raises(errors.DataInvalid, match='letters and another set both have a stimulus 1'):
        kamitani_sets.pictures(np.array(['1']), 'letters', tmp_path, known)
