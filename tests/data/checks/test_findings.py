import copy

import pytest

from recon.data.checks import findings, readout

CLEAN = {
    'facts': {'source': 'x'},
    'voxels': 100,
    'values': {'not_finite': 0, 'constant': 0, 'warning': None},
    'sides': None,
    'splits': [],
    'shared': [{'parts': ['train', 'test'], 'images': 0}],
    'areas': [{'name': 'V1', 'voxels': 3}],
    'audit': {'alignment_warning': None, 'seen_test_images': 0, 'near_duplicates': 0},
    'ids': readout.answer(as_is=0.3, ci95=[0.2, 0.4]),
    'test_ids': readout.answer(note='not applicable'),
    'orientation': readout.answer(note='not applicable'),
}


def found(path=(), value=None):
    held = copy.deepcopy(CLEAN)
    at = held
    for key in path[:-1]:
        at = at[key]
    if path:
        at[path[-1]] = value
    return held


def test_clean_data_have_nothing_to_be_said():
    assert findings.of(found()) == []


@pytest.mark.parametrize(
    ('path', 'value', 'title', 'words'),
    [
        (('shared', 0, 'images'), 4, 'An image in two splits', '4 images are in train and in test'),
        (('audit', 'seen_test_images'), 2, 'Seen images', 'under another id'),
        (('audit', 'seen_extra_tests'), {'more': 3}, 'Seen images', '3 images of more'),
        (('audit', 'alignment_warning'), 'late', 'Rows and pictures may be misaligned', 'Late.'),
        (('ids', 'warning'), 'next', 'Rows may belong to other pictures', 'Next.'),
        (('test_ids', 'warning'), 'late', 'Test rows may belong to other pictures', 'Late.'),
        (('orientation', 'warning'), 'up', 'Pictures or hemispheres may be', 'Up.'),
        (('sides',), 'swapped', 'Hemispheres contradict places', 'Swapped.'),
        (('values', 'warning'), 'large', 'The values do not look like', 'Large.'),
        (('values', 'not_finite'), 7, 'Values that are not finite', '7 of 100'),
        (('values', 'constant'), 60, 'Constant voxels', '60 of 100'),
        (('scales',), 'loud', 'A part of the values is of another scale', 'Loud.'),
        (('copies',), 'twice', 'The same values in two places', 'Twice.'),
    ],
)
def test_what_is_wrong_is_bad(path, value, title, words):
    (entry,) = findings.of(found(path, value))
    assert entry['kind'] == 'bad' and entry['title'].startswith(title) and words in entry['text']


@pytest.mark.parametrize(
    ('path', 'value', 'title', 'words'),
    [
        (('facts', 'missing_sessions'), [4, 7], 'Missing sessions', 'Session 4, 7'),
        (('areas',), [{'name': 'aTL-faces', 'voxels': 0}], 'Empty areas', 'is in aTL-faces. '),
        (('ids', 'as_is_ci95'), [-0.1, 0.2], 'Nothing is decoded yet', 'chance gives too'),
        (('facts', 'notes'), ['a is b', 'c?'], 'The reader says', 'a is b. c?'),
        (('facts', 'simulated'), True, 'Simulated brain', 'No person was scanned'),
    ],
)
def test_what_should_be_known_is_a_note(path, value, title, words):
    (entry,) = findings.of(found(path, value))
    assert entry['kind'] == 'note' and entry['title'] == title and words in entry['text']


def test_an_atlas_of_empty_areas_is_counted_and_not_listed():
    areas = [{'name': f'HCP/{k}', 'voxels': 0} for k in range(150)] + [{'name': 'a', 'voxels': 0}]
    (entry,) = findings.of(found(('areas',), areas))
    assert '151 areas: HCP 150, others 1.' in entry['text'] and len(entry['text']) < 200


def test_near_duplicates_say_by_which_rule():
    held = found(('audit', 'near_duplicates'), 2)
    held['audit']['near_duplicate_rule'] = 'the rule'
    assert 'the rule' in findings.of(held)[0]['text']


def test_the_worst_comes_first_and_further_tests_may_share_images():
    held = found(('facts', 'notes'), ['x'])
    held['shared'] = [
        {'parts': ['test', 'more'], 'images': 9},
        {'parts': ['train', 'test'], 'images': 1},
    ]
    kinds = [entry['kind'] for entry in findings.of(held, smoke=True)]
    assert kinds == ['bad', 'note', 'note']


def test_a_seen_test_image_is_told_though_another_test_shares_ids_with_the_test():
    held = found(('audit', 'seen_test_images'), 1)
    held['shared'] += [{'parts': ['test', 'imagery'], 'images': 9}]
    (entry,) = findings.of(held)
    assert entry['kind'] == 'bad' and '1 images of test are also training images' in entry['text']
    extra = copy.deepcopy(held)
    extra['audit'] = {'seen_extra_tests': {'imagery': 2}}
    assert '2 images of imagery are also training images' in findings.of(extra)[0]['text']
    held['shared'][0]['images'] = 1  # told by id already
    assert [e['title'] for e in findings.of(held)] == ['An image in two splits']


def area(name, left, right):
    return {'name': name, 'voxels': left + right, 'left': left, 'right': right}


@pytest.mark.parametrize(
    ('name', 'kind'),
    [('V2', 'warn'), ('VWFA', 'note'), ('LHV2', None), ('V4-left', None), ('x/V2', None)],
)
def test_an_area_of_one_side_among_areas_of_both_is_told(name, kind):
    areas = [area('V1', 30, 30), area('V3', 20, 25), area('FFA', 12, 9), area(name, 40, 0)]
    told = findings.of(found(('areas',), areas))
    assert [e['kind'] for e in told] == ([kind] if kind else [])
    if kind:
        assert f'{name} (40 voxels, left)' in told[0]['text']
    lonely = [area(n, 40, 0) for n in ('V1', 'V2', 'V3')]
    assert findings.of(found(('areas',), lonely)) == []  # a recording of one hemisphere


def test_where_nothing_is_decoded_orientation_does_not_accuse_and_a_known_signal_makes_it_worse():
    held = found(('ids', 'as_is_ci95'), [-0.1, 0.2])
    held['orientation']['warning'] = 'up'
    assert [(e['kind'], e['title']) for e in findings.of(held)] == [
        ('note', 'Nothing is decoded yet')
    ]
    held['ceiling'] = {'single_median': 0.2}
    (entry,) = findings.of(held)
    assert entry['kind'] == 'warn' and 'has a median of 20%' in entry['text']
    held['ids']['as_is_ci95'] = [0.1, 0.2]
    assert findings.of(held)[0]['kind'] == 'bad'


def test_whole_numbers_are_a_warning():
    (entry,) = findings.of(found(('values', 'whole'), 'cut'))
    assert entry['kind'] == 'warn' and entry['title'] == 'The fraction is lost'
