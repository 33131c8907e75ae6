from launch import coverage


def run(decoder, share, means, chance=0.2):
    scores = {name: {'mean': mean, 'chance': chance} for name, mean in means.items()}
    targets = {'z': {'net': 'image'}, 'labels': {'net': 'labels', 'coverage': share}}
    return {
        'config': {'targets': targets, 'decoder': {'name': decoder}},
        'scores': {'scores': scores},
    }


def test_a_line_a_decoder_in_ascending_coverage_and_one_of_chance():
    runs = [
        run('ridge', 0.1, {'map': 0.7, 'f1_macro': 0.1}, 0.4),
        run('ridge', 0.0, {'map': 0.5}),
        run('label_cnn', 0.0, {'map': 0.3}, 0.3),
    ]
    (figure,) = coverage.figures([coverage.series('', one) for one in runs])
    lines = {line['name']: (line['x'], line['y']) for line in figure['series']}
    assert lines['ridge'] == ([0.0, 0.1], [0.5, 0.7])
    assert lines['label_cnn'] == ([0.0], [0.3])
    assert lines['chance'] == ([0.0, 0.1], [0.25, 0.4])
    assert figure['y_label'] == 'mean average precision'


def test_each_metric_that_was_scored_has_a_figure_and_undefined_scores_no_point():
    means = {'first_label_accuracy': 0.5, 'map': None}
    figures = coverage.figures([coverage.series('', run('ridge', 0.0, means))])
    assert [f['y_label'] for f in figures] == [
        'accuracy of the first label',
        'mean average precision',
    ]
    assert [line['name'] for line in figures[1]['series']] == ['chance']
