import numpy as np

from recon.report import answers


def texts(table):
    return [[cell['text'] for cell in row] for row in table['rows']]


def test_right_answers_are_marked_and_wrong_ones_are_not():
    arrays = {'pred': np.array(['a', 'b']), 'truth': np.array(['a', 'c']), 'image_id': [7, 9]}
    table = answers.build(arrays)
    assert texts(table) == [['7', 'a', 'a'], ['9', 'b', 'c']]
    assert [row[1]['class'] for row in table['rows']] == ['strong', '']


def test_long_answers_are_cut_and_counted():
    table = answers.build({'pred': np.arange(12.0).reshape(2, 6), 'truth': np.zeros((2, 6))})
    assert texts(table)[0][1] == '0.000, 1.00, 2.00, 3.00, ... (6 values)'


def test_only_the_first_answers_are_listed_and_all_are_counted():
    table = answers.build({'pred': np.arange(500), 'truth': np.arange(500)})
    assert (table['n'], table['shown'], len(table['rows'])) == (500, 60, 60)


def test_of_rows_of_many_values_only_a_few_are_listed():
    table = answers.build({'pred': np.zeros((90, 5)), 'truth': np.ones((90, 5))})
    assert (table['n'], table['shown']) == (90, 8)


def test_the_confusion_matrix_says_how_much_is_on_its_diagonal():
    arrays = {'pred': np.array([0]), 'truth': np.array([0]), 'categories': np.array(['x', 'y'])}
    confusion = answers.build(arrays | {'confusion': np.array([[3, 1], [0, 0]])})['confusion']
    assert confusion['right'] == '75.0 %' and '>x</text>' in confusion['svg']


def test_an_empty_folder_has_no_answers():
    assert answers.build({}) is None


def labelled(n=3, k=3):
    """Three pictures; the second shows nothing, the third has nothing named."""
    pred = np.array([[0.2, 0.9, 0.6], [0.7, 0.1, 0.1], [0.1, 0.1, 0.1]])[:n, :k]
    return {
        'pred': pred,
        'truth': np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], np.float32)[:n, :k],
        'image_id': np.array([11, 12, 40])[:n],
        'threshold': np.full(k, 0.5),
        'categories': np.array(['<cat>', 'car', 'cup'])[:k],
        'confusion': np.eye(k),
        'pictures': np.zeros((n, 8, 8, 3), np.uint8),
    }


TOLD = {
    'categories': 3,
    'coverage': 0.014,
    'left_out': ['sky'],
    'least_training_images': 10,
    'one_class': False,
    'training': {
        'pictures': 50,
        'per_picture': {'mean': 2.35},
        'unlabelled': 4,
        'ratio': 5.0,
        'never': 0,
        'most': {'car': 25},
        'least': {'cup': 5},
    },
    'test': {'never': 1, 'unlabelled': 0},
}


def test_labels_stand_beside_their_picture_the_surest_first_and_right_ones_are_marked():
    named = answers.build(labelled(), {'labels': TOLD})['named']
    assert [one['id'] for one in named] == ['11', '12', '40']
    assert named[0]['decoded'] == [
        {'text': 'car', 'right': False},
        {'text': 'cup', 'right': True},
    ]
    assert named[0]['seen'] == [{'text': 'cup', 'right': True}]
    assert named[1]['seen'] == [] and named[2]['decoded'] == []
    assert named[2]['seen'] == [{'text': '<cat>', 'right': False}]


def test_of_one_class_a_picture_the_highest_score_is_named_whatever_the_threshold():
    named = answers.build(labelled(), {'labels': TOLD | {'one_class': True}})['named']
    assert [[w['text'] for w in one['decoded']] for one in named] == [['car'], ['<cat>'], ['<cat>']]


def test_of_many_named_categories_the_surest_are_listed_and_the_rest_counted():
    arrays = labelled(1) | {
        'pred': np.linspace(0.6, 0.9, 12)[None],
        'truth': np.zeros((1, 12)),
        'threshold': np.full(12, 0.5),
        'categories': np.array([f'c{i}' for i in range(12)]),
        'confusion': np.zeros((12, 12)),
    }
    (one,) = answers.build(arrays)['named']
    assert [w['text'] for w in one['decoded']] == [f'c{i}' for i in range(11, 3, -1)]
    assert one['more'] == 'and 4 more'


def test_the_inequality_of_categories_is_said_in_sentences():
    said = answers.build(labelled(), {'labels': TOLD})['imbalance']
    assert said == (
        '3 categories, 2.35 a training picture. The most frequent, car, is on 50.0 % of the '
        'training pictures, the rarest, cup, on 10.0 % (5 to 1). A label counts where its category '
        'covers 1.4 % of the picture or more. Categories that are left out: 1; fewer than 10 '
        'training pictures have them, or lack them. Categories on no test picture: 1; their '
        'average precision is undefined. Pictures without any label: 4 of the training, 0 of the '
        'test.'
    )
    assert answers.build(labelled())['imbalance'] == ''
