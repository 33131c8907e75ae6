import shutil

import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import algonauts_tree
from recon.data.layouts import algonauts2023, algonauts2023_course


@pytest.fixture(scope='module')
def official(tmp_path_factory):
    root = algonauts2023.write(tmp_path_factory.mktemp('data') / 'a', subject=3, seed=1)
    return root / 'subj03'


@pytest.fixture(scope='module')
def course(tmp_path_factory):
    root = algonauts2023_course.write(tmp_path_factory.mktemp('data') / 'a', subject=3, seed=1)
    return root / 'subj03'


def columns(root):
    folder = root / 'training_split' / 'training_fmri'
    return tuple(np.load(folder / f'{s}_training_fmri.npy').shape[1] for s in ('lh', 'rh'))


def test_both_splits_of_the_official_tree_name_their_pictures(official):
    truth = np.load(official.parent.with_name('a_truth') / 'truth.npz')
    seen = algonauts_tree.official(official, 3)
    tests = algonauts_tree.tests(official, 'official', columns(official))
    assert np.array_equal(seen.ids, truth['train_image_id']) and seen.space == 'nsd'
    assert np.array_equal(tests.ids, truth['test_image_id'])
    assert seen.count == len(seen.paths) == len(seen.rows) and seen.labels is None
    assert tests.responses[0][0].shape == (len(tests.ids), columns(official)[0])


def test_test_responses_of_other_columns_are_refused_and_none_are_no_error(official, tmp_path):
    with pytest.raises(errors.DataInvalid, match='left and right swapped'):
        algonauts_tree.tests(official, 'official', columns(official)[::-1])
    copy = shutil.copytree(official, tmp_path / 'subj03')
    shutil.rmtree(copy / 'test_split' / 'test_fmri')
    assert algonauts_tree.tests(copy, 'official', columns(copy)).ids is None


def test_labels_of_the_course_lie_in_the_folder_or_beside_it(course, tmp_path):
    truth = np.load(course.parent.with_name('a_truth') / 'truth.npz')
    copy = shutil.copytree(course, tmp_path / 'subj03')
    for _ in range(2):
        seen = algonauts_tree.course(copy, 3)
        assert seen.space == 'course:3' and np.array_equal(seen.ids, np.arange(seen.count))
        assert all(np.array_equal(seen.labels[i], truth['labels'][i]) for i in seen.ids.tolist())
        if (copy / 'image_infos').exists():
            (copy / 'image_infos').rename(tmp_path / 'image_infos')
    lines = (tmp_path / 'image_infos' / 'subj03_infos_train.csv').read_text().splitlines()
    (tmp_path / 'image_infos' / 'subj03_infos_train.csv').write_text('\n'.join(lines[:-1]))
    with pytest.raises(errors.DataInvalid, match=f'{seen.count - 1} rows, {seen.count} pictures'):
        algonauts_tree.course(copy, 3)


def test_test_responses_of_the_course_are_not_read_and_that_is_said(course):
    tests = algonauts_tree.tests(course, 'course', columns(course))
    assert tests.ids is None and 'nobody says which pictures' in tests.notes[0]
