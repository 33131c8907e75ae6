import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import kamitani_ids as ids


@pytest.mark.parametrize(
    ('number', 'name'),
    [
        (1518878.005958, 'n01518878_5958'),
        (1443537.022563, 'n01443537_22563'),
        (1621127.01902, 'n01621127_19020'),  # trailing zero; 0.01902 * 1e6 is 19019.99
        (1621127.1, 'n01621127_100000'),
        (11879895.000001, 'n11879895_1'),
        (99999999.999999, 'n99999999_999999'),
        (1443537.0, 'n01443537'),
    ],
)
def test_numbers_are_read_as_text_with_six_decimals(number, name):
    assert ids.name(number) == name and ids.names(np.array([number]))[0] == name


def test_every_image_number_survives_the_way_through_a_double():
    rng = np.random.default_rng(0)
    for wordnet in (1_000_000, 4_194_305, 15_102_894, 99_999_999):
        images = np.unique(np.concatenate([rng.integers(1, 10**6, 500), [1, 10, 999_990, 19_020]]))
        numbers = np.array([float(f'{wordnet}.{i:06d}') for i in images])
        assert ids.names(numbers).tolist() == [f'n{wordnet:08d}_{i}' for i in images]
        assert ids.fits(numbers)


def test_names_keep_the_order_and_the_repeats_of_the_rows():
    numbers = np.array([2071294.5, 1443537.000002, 2071294.5])
    assert ids.names(numbers).tolist() == ['n02071294_500000', 'n01443537_2', 'n02071294_500000']


@pytest.mark.parametrize(
    ('text', 'name'),
    [
        ('n01443537_22563.JPEG', 'n01443537_22563'),
        ('n01443537_00022563.png', 'n01443537_22563'),
        ('n01443537_22563', 'n01443537_22563'),
        (' shape_1.tiff', 'shape_1'),
        ('colour.1.jpg', 'colour.1'),
        ('01', '01'),
    ],
)
def test_endings_and_padding_are_dropped_from_names(text, name):
    assert ids.tidy(text) == name


def test_categories_and_pictures_are_told_apart():
    assert ids.category('n01443537_22563') == ids.category('n01443537') == 'n01443537'
    assert ids.is_picture('n01443537_22563') and not ids.is_picture('n01443537')
    assert not ids.is_picture('shape_1')


@pytest.mark.parametrize(
    'numbers',
    [
        [],
        [1.0, 2.0, 3.0],
        [999_999.5],
        [1e8],
        [1443537.1, np.nan],
        [1443537.1234567],  # seven decimals
        [np.inf],
        [-1443537.000001],
    ],
)
def test_what_cannot_be_ids_does_not_fit(numbers):
    assert not ids.fits(np.array(numbers))


def test_the_column_is_found_first_or_second_and_its_absence_is_named():
    good = np.array([1443537.022563, 2071294.01])
    other = np.array([1.0, 2.0])
    assert ids.find_column(np.stack([good, other], 1), 'a.mat', 'Label') == 0
    assert ids.find_column(np.stack([other, good, other], 1), 'a.h5', 'Label') == 1
    with pytest.raises(errors.DataInvalid, match=r"no column of 'Label'.*1 to 2, 1 to 2.*a.h5"):
        ids.find_column(np.stack([other, other], 1), 'a.h5', 'Label')


def test_lists_with_commas_and_with_tabs_are_read(tmp_path):
    path = tmp_path / 'imageID_training.csv'
    path.write_text('1443537.022563,"n01443537_22563.JPEG"\n1621127.01902,"n01621127_19020.JPEG"\n')
    wanted = {1443537.022563: 'n01443537_22563', 1621127.01902: 'n01621127_19020'}
    assert ids.listed(path) == wanted
    path.write_text(
        'name\tid\tcategory\nn01443537_22563\t1443537.022563\t1\nn01621127_19020\t1621127.01902\t2\n'
    )
    assert ids.listed(path) == wanted
    path.write_text('shape_1\t1\nshape_10\t10\nshape_2\t2\n')
    assert ids.listed(path) == {1.0: 'shape_1', 10.0: 'shape_10', 2.0: 'shape_2'}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('1443537.022564,"n01443537_22563.JPEG"', 'line 1 names n01443537_22563.*n01443537_22564'),
        ('1,a\nb,c', "line 2 is 'b,c'"),
        ('1,a\n2', "line 2 is '2'"),
        ('name,id', 'no stimulus'),
    ],
)
def test_lists_that_contradict_themselves_are_refused(tmp_path, content, message):
    (tmp_path / 'a.csv').write_text(content)
    with pytest.raises(errors.DataInvalid, match=message):
        ids.listed(tmp_path / 'a.csv')


def test_a_list_that_is_not_text_is_refused(tmp_path):
    (tmp_path / 'a.csv').write_bytes(b'\xff\xfe\x00\x80' * 9)
    with pytest.raises(errors.DataInvalid, match='not text'):
        ids.listed(tmp_path / 'a.csv')


def test_what_was_shown_must_be_in_the_list(tmp_path):
    path = tmp_path / 'list.tsv'
    path.write_text('n01443537_22563\t1443537.022563\nshape\t2\n')
    ids.check_listed(path, np.array(['shape', 'shape']), 'test')
    with pytest.raises(errors.DataInvalid, match='1 stimuli of test are not in the list, first x'):
        ids.check_listed(path, np.array(['shape', 'x']), 'test')
