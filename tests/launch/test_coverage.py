import pathlib

import pytest

from configs import nsd_labels, simulated_labels
from launch import coverage, options
from recon import pipeline

CONFIGS = pathlib.Path(nsd_labels.__file__).parent


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


def test_the_sweep_of_nsd_has_the_reports_figures_beside_the_net_alone():
    runs = nsd_labels.get_sweep('path=/data')['runs']
    assert len(runs) == 15
    told = {run['name']: run['published'] for run in runs if run['published']}
    assert told == {
        'label_cnn_coverage-0': {'first_label_accuracy': 'around 30 %'},
        'label_cnn_coverage-0.014': {'first_label_accuracy': '54.7 %'},
    }
    assert all(run['options'].endswith(',path=/data') for run in runs)
    with pytest.raises(ValueError, match='coverage=0.1.*the sweep itself sets'):
        simulated_labels.get_sweep('coverage=0.1')


def resolved(config, text):
    arguments = options.Arguments(CONFIGS / f'{config}.py', text, None, {})
    return options.resolve(arguments, pipeline.DEFAULTS)


def test_areas_are_a_filter_and_only_the_net_is_given_hemispheres_side_by_side():
    net = resolved('nsd_labels', 'rois=V1+V2,coverage=0')
    assert net.preprocess.order == ('rois', 'normalise', 'repeats', 'hemispheres')
    assert net.preprocess.rois.keep == ('V1', 'V2')
    assert net.targets.labels.coverage == 0 and net.dataset.coco.min_coverage == 0
    other = resolved('nsd_labels', 'decoder=logistic')
    assert other.preprocess.order == ('normalise', 'repeats')
    assert other.targets.labels.coverage == 0.014


@pytest.mark.parametrize('config', ['nsd_labels', 'simulated_labels'])
def test_a_decoder_that_learns_no_labels_is_refused(config):
    with pytest.raises(Exception, match="decoder='omp'.*label_cnn, ridge, logistic"):
        resolved(config, 'decoder=omp')
