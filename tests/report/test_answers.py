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
