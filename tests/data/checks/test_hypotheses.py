import dataclasses

import numpy as np
import pytest

from recon.core import errors, types
from recon.data.checks import hypotheses
from tests.data import small


def data(seed=0, **options):
    brain = small.brain(seed, **(dict(n_train=120, n_test=16, repeats=1, noise=1.0) | options))
    return brain.train, brain.images


def misread(images, wrong):
    """The same pictures under other ids: id k shows what was wrong[k]."""
    return dataclasses.replace(images, read=lambda rows: images.read(np.asarray(wrong)[rows]))


@pytest.mark.parametrize('seed', range(4))
def test_data_as_they_should_be_are_silent(seed):
    found = hypotheses.check(*data(seed), seed=seed)
    assert found['warning'] is None and found['as_is_ci95'][0] > 0.1
    names = [entry['name'] for entry in found['tried']]
    assert len(names) == 12 and not any(entry['better'] for entry in found['tried'])


@pytest.mark.parametrize('seed', range(2))
@pytest.mark.parametrize(('by', 'name'), [(-1, 'next id'), (1, 'previous id')])
def test_ids_off_by_one_are_found_and_the_right_one_is_named(seed, by, name):
    train, images = data(seed)
    shifted = misread(images, np.roll(np.arange(len(images.ids)), -by))
    # What now stands under id k is picture k + by, so the right one is under k - by.
    found = hypotheses.check(train, shifted, seed=seed)
    assert f'the picture of the {name} (' in found['warning']


@pytest.mark.parametrize('first', [0, 1])
@pytest.mark.parametrize('whose', ['pictures', 'rows'])
def test_what_was_sorted_as_text_is_found(first, whose):
    train, images = data(1)
    text = np.argsort([str(i + first) for i in range(len(images.ids))], kind='stable')
    order = text if whose == 'pictures' else np.argsort(text)
    found = hypotheses.check(train, misread(images, order))
    assert f'{whose} sorted as text, numbers from {first} (' in found['warning']
    assert 'in which order the files were read' in found['warning']


def test_ids_with_gaps_and_names_are_shifted_by_their_place():
    train, images = data(2)
    names = np.array([f'n{i:05d}' for i in range(len(images.ids))])
    shifted = np.roll(np.arange(len(names)), 1)
    named = types.Images(names, misread(images, shifted).read, images.shape, 1)
    train = dataclasses.replace(train, image_id=names[train.image_id])
    found = hypotheses.check(train, named)
    assert 'the next picture in the order of the ids (' in found['warning']
    assert len(found['tried']) == 8


def test_pictures_that_cannot_be_read_are_left_out_and_said():
    train, images = data(0)

    def read(rows):
        if (np.asarray(rows) >= 120).any():
            raise errors.DataInvalid('never shown', 'images', '')
        return images.read(rows)

    found = hypotheses.check(train, dataclasses.replace(images, read=read))
    assert 'the picture of the next id: those pictures cannot be read' in found['note']
    assert found['warning'] is None and found['tried']


def test_where_nothing_is_decoded_it_says_that_it_cannot_see_a_fault():
    train, images = data(0)
    noise = np.random.default_rng(1).normal(size=train.voxels.shape).astype(np.float32)
    found = hypotheses.check(dataclasses.replace(train, voxels=noise), images)
    assert found['warning'] is None and 'cannot see a fault' in found['note']


def test_noise_alone_rarely_warns():
    """All hypotheses share a level of 2 %: about 1 brain of noise in 50."""
    warned = 0
    for seed in range(40):
        train, images = data(seed, n_train=60, voxels=10)
        noise = np.random.default_rng(seed).normal(size=train.voxels.shape)
        train = dataclasses.replace(train, voxels=noise.astype(np.float32))
        warned += hypotheses.check(train, images, seed=seed)['warning'] is not None
    assert warned <= 4


def test_few_images_are_not_asked():
    train, images = data(0, n_train=20)
    assert hypotheses.check(train, images)['note'].startswith('not applicable: 20 images')


def late(split, by):
    return dataclasses.replace(split, voxels=np.roll(split.voxels, by, 0))


@pytest.mark.parametrize(('by', 'word'), [(1, 'previous'), (-1, 'next')])
@pytest.mark.parametrize('repeats', [1, 2])
def test_rows_of_a_neighbour_in_time_are_found(by, word, repeats):
    train, images = data(3, repeats=repeats)
    found = hypotheses.check(late(train, by), images)
    assert f'the picture of the {word} row in the run (' in found['warning']


@pytest.mark.parametrize('start', [0, 1])
@pytest.mark.parametrize('whose', ['pictures', 'rows'])
def test_training_pictures_among_others_that_were_sorted_as_text_are_found(start, whose):
    """Ids with gaps, as of a challenge: number k is the k-th training picture."""
    train, images = data(5, n_train=130)
    ids = np.sort(np.random.default_rng(0).permutation(70_000)[: len(images.ids)])
    number = np.arange(130)
    text = np.argsort((number + start).astype(str), kind='stable')
    order = np.arange(len(ids))
    order[:130] = text if whose == 'pictures' else np.argsort(text)
    wrong = types.Images(ids, misread(images, order).read, images.shape, 1)
    train = dataclasses.replace(train, image_id=ids[train.image_id])
    found = hypotheses.check(train, wrong)
    assert f'training {whose} sorted as text, numbered from {start} (' in found['warning']


@pytest.mark.parametrize('repeats', [1, 2])
def test_test_rows_are_asked_by_what_training_rows_teach(repeats):
    brain = small.brain(6, n_train=120, n_test=40, repeats=repeats, noise=0.7)
    found = hypotheses.check_test(brain)
    assert found['warning'] is None and found['as_is_ci95'][0] > 0.1
    shifted = hypotheses.check_test(dataclasses.replace(brain, test=late(brain.test, 1)))
    assert 'the picture of the previous row in the run (' in shifted['warning']
    order = np.arange(160)
    order[120:] = 120 + np.argsort(np.arange(40).astype(str), kind='stable')
    wrong = dataclasses.replace(brain, images=misread(brain.images, order))
    assert (
        'test pictures sorted as text, numbered from 0 (' in hypotheses.check_test(wrong)['warning']
    )
    assert hypotheses.check(brain.train, wrong.images)['warning'] is None
    few = dataclasses.replace(brain, test=brain.test.rows(np.arange(10)))
    assert '10 test images' in hypotheses.check_test(few)['note']


def test_the_assignments_are_those_of_hand():
    known = np.arange(12)
    options = hypotheses.assignments(np.array([2, 10]), known)
    usable, ids = options['the picture of the next id']
    assert usable.tolist() == [True, True] and ids.tolist() == [3, 11]
    # As text: 0 1 10 11 2 3 ... so 2 lies where 4 should be, and at place 2 lies 10.
    assert options['pictures sorted as text, numbers from 0'][1].tolist() == [4, 2]
    assert options['rows sorted as text, numbers from 0'][1].tolist() == [10, 8]
    # From 1: 1 10 11 12 2 3 ...: number 3 (id 2) is at place 5, number 11 (id 10) at place 2.
    assert options['pictures sorted as text, numbers from 1'][1].tolist() == [5, 2]
    assert options['rows sorted as text, numbers from 1'][1].tolist() == [10, 7]
    usable, ids = hypotheses.assignments(np.array([5, 11]), np.array([5, 6, 11]))[
        'the picture of the next id'
    ]
    assert usable.tolist() == [True, False]
