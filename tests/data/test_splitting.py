import json

import numpy as np
import pytest

from recon.core import errors
from recon.data import splitting


def rows(seed=0, images=50, text=False):
    """Image ids of rows, each one to four times, in random order; and a session for each."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.repeat(np.arange(images) * 7, rng.integers(1, 5, images)))
    session = 1 + np.arange(len(ids)) * 5 // len(ids)
    return (np.char.add('n', ids.astype(str)) if text else ids), session


def disjoint(parts, image_id):
    sets = [set(image_id[index].tolist()) for index in parts.values()]
    return sum(map(len, sets)) == len(set.union(*sets))


@pytest.mark.parametrize('text', [False, True])
@pytest.mark.parametrize('seed', range(5))
@pytest.mark.parametrize('fraction', [0.05, 0.2, 0.3, 0.5])
def test_a_fraction_of_the_images_tests_and_no_image_is_in_two_parts(seed, fraction, text):
    ids, _ = rows(seed, 20 + 11 * seed, text)
    cfg = {'by': 'fraction', 'test': fraction, 'validation': 0.1, 'seed': seed}
    parts = splitting.parts(cfg, ids)
    assert disjoint(parts, ids)
    together = np.sort(np.concatenate(list(parts.values())))
    assert np.array_equal(together, np.arange(len(ids)))
    images = len(np.unique(ids))
    tests = len(np.unique(ids[parts['test']]))
    assert tests == max(1, round(fraction * images))
    held = len(np.unique(ids[parts['validation']]))
    assert held == max(1, round(0.1 * (images - tests)))
    assert all((np.diff(index) > 0).all() for index in parts.values())


def test_the_draw_depends_on_the_seed_alone_and_not_on_the_order_of_rows():
    ids, _ = rows(3)
    cfg = {'by': 'fraction', 'validation': 0.2}
    one, again = splitting.parts(cfg, ids), splitting.parts(cfg, ids)
    assert all(np.array_equal(one[part], again[part]) for part in one)
    order = np.random.default_rng(9).permutation(len(ids))
    other = splitting.parts(cfg, ids[order])
    for part in one:
        assert set(ids[one[part]]) == set(ids[order][other[part]])
    assert set(ids[one['test']]) != set(ids[splitting.parts(cfg | {'seed': 1}, ids)['test']])
    # The validation images of two seeds differ as well, and adding them leaves the test alone.
    plain = splitting.parts({'by': 'fraction'}, ids)
    assert np.array_equal(plain['test'], one['test']) and 'validation' not in plain


def test_the_seeds_8_to_2_and_7_to_3():
    ids = np.arange(5000)
    for fraction, counts in ((0.2, (4000, 1000)), (0.3, (3500, 1500))):
        parts = splitting.parts({'by': 'fraction', 'test': fraction}, ids)
        assert (len(parts['train']), len(parts['test'])) == counts
        assert np.abs(np.diff(parts['test'])).std() > 1  # drawn, not cut


def test_the_data_sets_own_parts_are_kept_and_rows_of_none_are_left_out():
    ids = np.array([1, 1, 2, 3, 4, 4])
    own = np.array(['train', 'train', '', 'test', 'validation', 'validation'])
    parts = splitting.parts(splitting.DEFAULTS, ids, own=own)
    assert {name: index.tolist() for name, index in parts.items()} == {
        'train': [0, 1],
        'validation': [4, 5],
        'test': [3],
    }
    with pytest.raises(errors.ConfigError, match="'own', but the data name no parts"):
        splitting.parts({}, ids)
    own[1] = 'test'
    with pytest.raises(errors.LeakError, match='image 1 is in train and in test'):
        splitting.parts({}, ids, own=own)
    own[1], own[4] = 'train', 'test'
    with pytest.raises(errors.LeakError, match='image 4 is in validation and in test'):
        splitting.parts({}, ids, own=own)


def test_own_parts_may_be_thinned_for_validation_by_image():
    ids, _ = rows(1)
    own = np.where(ids % 2, 'test', 'train')
    parts = splitting.parts({'validation': 0.25}, ids, own=own)
    assert disjoint(parts, ids) and (ids[parts['test']] % 2).all()
    assert (ids[parts['validation']] % 2 == 0).all()
    assert len(np.unique(ids[parts['validation']])) == round(0.25 * 25)
    assert (own == np.where(ids % 2, 'test', 'train')).all()  # what was handed in is as it was


@pytest.mark.parametrize('seed', range(4))
def test_by_session_drops_training_rows_that_show_a_test_image(seed):
    ids, session = rows(seed, 400)
    cfg = {'by': 'session', 'sessions': (2, 5)}
    parts = splitting.parts(cfg, ids, session)
    assert disjoint(parts, ids)
    assert np.array_equal(parts['test'], np.flatnonzero(np.isin(session, (2, 5))))
    dropped = np.setdiff1d(np.arange(len(ids)), np.concatenate(list(parts.values())))
    assert len(dropped) and np.isin(ids[dropped], ids[parts['test']]).all()


def test_sessions_that_do_not_exist_or_are_not_known_are_refused():
    ids, session = rows()
    for wanted in ((), (9,), (1, 9), (-1,)):
        with pytest.raises(errors.ConfigError, match=r'among \[1, 2, 3, 4, 5\]'):
            splitting.parts({'by': 'session', 'sessions': wanted}, ids, session)
    for unknown in (None, np.full(len(ids), -1)):
        with pytest.raises(errors.ConfigError, match='do not say of which session'):
            splitting.parts({'by': 'session', 'sessions': (-1,)}, ids, unknown)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return {'by': 'file', 'file': str(path)}


@pytest.mark.parametrize('text', [False, True])
def test_a_file_of_ids_one_a_line_names_the_test_images(tmp_path, text):
    ids, _ = rows(2, text=text)
    wanted = np.unique(ids)[[3, 8, 30]].tolist()
    parts = splitting.parts(write(tmp_path / 'a.txt', '\n'.join(map(str, wanted))), ids)
    assert set(ids[parts['test']].tolist()) == set(wanted) and disjoint(parts, ids)
    assert len(parts['train']) + len(parts['test']) == len(ids)


def test_names_with_blanks_in_them_are_one_name():
    ids = np.array(['a dog', 'a', 'dog', 'cat'])
    assert splitting._of_kind(['a dog'], ids, 'x').tolist() == ['a dog']


def test_names_with_blanks_come_whole_out_of_a_file(tmp_path):
    ids = np.array(['a dog', 'a', 'dog', 'cat'])
    parts = splitting.parts(write(tmp_path / 'a.txt', 'a dog\n\n cat \n'), ids)
    assert parts['test'].tolist() == [0, 3] and parts['train'].tolist() == [1, 2]


def test_a_json_file_may_name_all_parts_and_drop_the_rest(tmp_path):
    ids = np.array([1, 2, 2, 3, 4, 5])
    named = {'test': [2], 'validation': [3]}
    parts = splitting.parts(write(tmp_path / 'a.json', named), ids)
    assert parts['train'].tolist() == [0, 4, 5] and parts['validation'].tolist() == [3]
    parts = splitting.parts(write(tmp_path / 'a.json', named | {'train': [5, 1]}), ids)
    assert parts['train'].tolist() == [0, 5] and parts['test'].tolist() == [1, 2]


@pytest.mark.parametrize(
    ('content', 'error', 'message'),
    [
        ({'test': [1], 'train': [1, 2]}, errors.LeakError, 'image 1 is in test and in train'),
        (
            {'test': [1, 99, 77]},
            errors.DataInvalid,
            '2 of 3 test ids are not in the data, first 99',
        ),
        ({'tests': [1]}, errors.DataInvalid, 'does not name parts'),
        ({'train': [1]}, errors.DataInvalid, 'does not name parts'),
        ([1, 2], errors.DataInvalid, 'does not name parts'),
        ({'test': ['dog']}, errors.DataInvalid, 'not numbers.*like 1'),
        ({'test': [1.5]}, errors.DataInvalid, 'not numbers'),
        ({'test': [None]}, errors.DataInvalid, 'not numbers'),
        ({'test': [[1]]}, errors.DataInvalid, 'not numbers'),
        ({'test': [10**30]}, errors.DataInvalid, 'not numbers'),
        ({'test': {'a': 1}}, errors.DataInvalid, 'wanted a list of ids'),
        ({'test': 3}, errors.DataInvalid, 'wanted a list of ids'),
        ('{"test": [1, ', errors.DataInvalid, 'not JSON'),
        ({'test': []}, errors.ConfigError, 'no row is left to test'),
        ({'test': [1, 2, 3]}, errors.ConfigError, 'no row is left to train'),
    ],
)
def test_files_that_do_not_fit_are_named(tmp_path, content, error, message):
    with pytest.raises(error, match=message):
        splitting.parts(write(tmp_path / 'a.json', content), np.array([1, 2, 3, 3]))


def test_a_file_that_is_missing_or_not_named_is_said(tmp_path):
    with pytest.raises(errors.ConfigError, match='set dataset.split.file'):
        splitting.parts({'by': 'file'}, np.arange(4))
    with pytest.raises(errors.DataMissing, match=r'no such file.*a.txt'):
        splitting.parts({'by': 'file', 'file': str(tmp_path / 'a.txt')}, np.arange(4))


@pytest.mark.parametrize(
    'cfg', [{'by': 'row'}, {'test': 0}, {'test': 1}, {'test': -0.1}, {'validation': 1}]
)
def test_options_that_do_not_fit_are_refused(cfg):
    with pytest.raises(errors.ConfigError, match=r'dataset.split'):
        splitting.parts({'by': 'fraction'} | cfg, np.arange(10))
    with pytest.raises(errors.ConfigError, match=r'dataset.split'):
        splitting.describe({'by': 'fraction'} | cfg, '')


def test_one_image_alone_cannot_be_split():
    with pytest.raises(errors.ConfigError, match='no row is left to train.*1 images in 6 rows'):
        splitting.parts({'by': 'fraction'}, np.full(6, 3))


def test_the_rule_is_said_in_words():
    assert splitting.describe({}, 'as published') == 'as published'
    said = splitting.describe({'by': 'fraction', 'test': 0.125, 'seed': 4, 'validation': 0.05}, '')
    assert said.startswith('12.5% of the images test, drawn with seed 4; 5% of the training')
    assert 'sessions 2, 5 test' in splitting.describe({'by': 'session', 'sessions': (2, 5)}, '')
    assert 'as ids.txt says' in splitting.describe({'by': 'file', 'file': '/a/b/ids.txt'}, '')
