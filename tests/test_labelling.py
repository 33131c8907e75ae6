import dataclasses
import json
import types

import ml_collections
import numpy as np
import pytest

from recon import labelling, pipeline
from recon.core import errors, settings, thresholds
from recon.core import types as data
from recon.decoders import logistic, ridge

NAMES = ('car', 'cat', 'sky', 'cup')
# Of pictures 0 to 5; pictures 6 and 7 are test pictures.
SHARES = np.array(
    [
        [0.5, 0.0, 0.3, 0.01],
        [0.0, 0.2, 0.3, 0.0],
        [0.4, 0.02, 0.3, 0.0],
        [0.0, 0.0, 0.3, 0.0],
        [0.1, 0.3, 0.3, 0.0],
        [0.0, 0.0, 0.3, 0.0],
        [0.2, 0.0, 0.0, 0.0],
        [0.0, 0.2, 0.0, 0.9],
    ],
    np.float32,
)


def spec(**options):
    return ml_collections.ConfigDict(
        settings.TARGET | settings.LABELS | {'net': 'labels'} | options
    )


def brain(train=(0, 1, 2, 3, 4, 5, 5), labels=None, **known):
    pictures = np.random.default_rng(0).random((8, 200, 100, 3)).astype(np.float32)
    rows = np.random.default_rng(1).standard_normal((len(train), 5)).astype(np.float32)
    held = {i: (row > 0).astype(np.uint8) for i, row in enumerate(SHARES)}
    return data.BrainData(
        data.Split(rows, np.array(train)),
        data.Split(rows[:2], np.array([6, 7])),
        data.Images(np.arange(8), pictures.__getitem__, (200, 100)),
        labels=held if labels is None else labels,
        **dict(label_names=NAMES, coverage=dict(enumerate(SHARES))) | known,
    )


def test_categories_are_those_that_training_pictures_teach():
    kept, names = labelling.categories(spec(), brain())
    assert names == ('car', 'cat', 'cup'), 'every training picture shows the sky'
    assert kept.tolist() == [True, True, False, True]
    assert labelling.categories(spec(least=2), brain())[1] == ('car', 'cat')
    assert labelling.categories(spec(least=4), brain())[1] == ()


def test_test_pictures_have_no_say_in_the_categories():
    whole = brain()
    other = dict(whole.labels) | {6: np.ones(4), 7: np.zeros(4)}
    changed = dataclasses.replace(whole, labels=other)
    assert labelling.categories(spec(), changed)[1] == labelling.categories(spec(), whole)[1]


def test_what_covers_too_little_is_no_label_and_pictures_without_any_stay():
    off = labelling.measure(spec(), brain(), np.arange(8))
    assert off.tolist() == (SHARES[:, [0, 1, 3]] > 0).astype(float).tolist()
    on = labelling.measure(spec(coverage=0.05), brain(), np.array([2, 0, 3, 6]))
    assert on.tolist() == [[1, 0], [1, 0], [0, 0], [1, 0]], 'the cup is gone from all of training'


def test_a_label_that_the_recording_itself_left_out_does_not_come_back():
    fewer = {i: np.array([0, row[1] > 0, 0, 0]) for i, row in enumerate(SHARES)}
    assert labelling.measure(spec(coverage=0.01), brain(labels=fewer), [0, 1]).tolist() == [
        [0],
        [1],
    ]


def test_one_class_a_picture_becomes_a_column_each():
    classes = brain(labels=dict(enumerate([0, 1, 2, 0, 1, 2, 0, 1])), label_names=('a', 'b', 'c'))
    assert labelling.one_class(spec(), classes)
    assert not labelling.one_class(spec(least=3), classes), 'a class that is left out is no class'
    assert labelling.measure(spec(), classes, [1, 0, 5]).argmax(1).tolist() == [1, 0, 2]
    assert not labelling.one_class(spec(), brain())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(layer='things'), "labels.layer is 'things'.*'categories'"),
        (dict(size=(4, 4)), r'labels.size is \(4, 4\)'),
        (dict(standardise=True), 'standardise is True.*0 and 1'),
        (dict(coverage=1.4), 'coverage is 1.4.*share of the picture'),
        (dict(threshold=1.0), r'threshold is 1.0.*in \(0, 1\)'),
        (dict(least=0), 'least is 0'),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(errors.ConfigError, match=message):
        labelling.check('labels', spec(**options))
    labelling.check('labels', spec(coverage=0.014, threshold=0.3))


def test_recordings_that_cannot_give_labels_are_refused():
    without = dataclasses.replace(brain(), labels=None)
    with pytest.raises(errors.DataMissing, match='nobody says.*annotations'):
        labelling.check_data('labels', spec(), without)
    with pytest.raises(errors.ConfigError, match='coverage is 0.1.*does not know'):
        labelling.check_data('labels', spec(coverage=0.1), brain(coverage=None))
    with pytest.raises(errors.DataInvalid, match='no category is on 4'):
        labelling.check_data('labels', spec(least=4), brain())
    labelling.check_data('labels', spec(), brain(coverage=None))


def rows(n=60, k=3, seed=0):
    r = np.random.default_rng(seed)
    ids = np.repeat(np.arange(n // 2), 2)
    target = (r.random((n // 2, k)) < 0.4).astype(np.float32)[ids]
    voxels = (target @ r.standard_normal((k, 8)) + r.standard_normal((n, 8))).astype(np.float32)
    return data.Split(voxels, ids), target


def test_thresholds_are_chosen_on_training_images_that_the_decoder_did_not_see():
    train, target = rows()
    seen = []

    def fit(cfg, voxels, labels, key, *, groups, rois):
        seen.append(set(voxels[:, 0].tolist()))
        return ridge.fit(cfg, voxels, labels)

    given = {}

    def predict(cfg, params, voxels):
        given['voxels'], given['scores'] = voxels, ridge.predict(cfg, params, voxels)
        return given['scores']

    decoder = types.SimpleNamespace(fit=fit, predict=predict)
    params = labelling.fit(decoder, {'penalties': (1.0,)}, train, target, None, {}, seed=3)
    aside = np.isin(train.voxels[:, 0], given['voxels'][:, 0])
    assert len(seen) == 2 and len(seen[0]) == 60 and not seen[1] & set(train.voxels[aside, 0])
    assert aside.sum() == 12 and (aside[::2] == aside[1::2]).all(), 'both rows of an image'
    wanted = thresholds.choose(given['scores'], target[aside])
    np.testing.assert_array_equal(params['threshold'], wanted)
    again = ridge.fit({'penalties': (1.0,)}, train.voxels, target)
    np.testing.assert_array_equal(params['weights'], again['weights'])


def test_a_decoder_that_has_thresholds_keeps_them():
    train, target = rows()
    cfg = {'penalties': (1.0, 10.0)}
    params = labelling.fit(logistic, cfg, train, target, None, {}, seed=0)
    own = logistic.fit(cfg, train.voxels, target, groups=train.groups())
    np.testing.assert_array_equal(params['threshold'], own['threshold'])


def test_one_image_alone_leaves_no_thresholds_to_choose():
    decoder = types.SimpleNamespace(fit=lambda *a, **k: {'weights': 0})
    train = data.Split(np.zeros((2, 3), np.float32), np.array([4, 4]))
    params = labelling.fit(decoder, {}, train, np.ones((2, 2)), None, {}, seed=0)
    assert params['threshold'].tolist() == [0.5, 0.5]


def scored(given, params, names=('f1_macro', 'category_accuracy'), held=None, **options):
    held = held or brain()
    truth = labelling.measure(spec(**options), held, [6, 7])
    how = dict(seed=0, draws=10, permutations=0)
    found = labelling.score(spec(**options), held, names, np.array(given), truth, params, **how)
    return {name: score.mean for name, score in found.items()}


def test_scores_use_the_decoders_thresholds_unless_the_config_fixes_one():
    given = [[0.4, 0.1, 0.3], [0.2, 0.3, 0.6]]  # true: car; cat and cup
    params = {'threshold': np.array([0.3, 0.2, 0.5])}
    assert scored(given, params) == {'f1_macro': 1, 'category_accuracy': 1}
    assert scored(given, params, threshold=0.35)['category_accuracy'] == pytest.approx(5 / 6)
    assert labelling.decided_at(spec(), None, 2).tolist() == [0.5, 0.5]


def test_one_answer_for_all_pictures_is_decided_as_would_be_best_in_training():
    # Of six training pictures, 3 show a car, 3 a cat, 1 a cup: with so few, one threshold for all.
    frequency = np.repeat([[0.5, 0.5, 1 / 6]], 2, 0)
    got = scored(frequency, {'threshold': np.full(3, 0.9)})
    assert got['f1_macro'] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3), 'car and cat always'


def test_labels_of_another_picture_are_a_yes_or_a_no_whatever_the_thresholds():
    params = {'threshold': np.array([1.2, -0.1, 0.5])}
    assert scored([[1.0, 0, 0], [0, 1, 1]], params)['category_accuracy'] == 1


def test_of_one_class_a_picture_the_highest_score_is_the_answer():
    classes = brain(labels=dict(enumerate([0, 1, 2, 0, 1, 2, 0, 1])), label_names=('a', 'b', 'c'))
    params = {'threshold': np.full(3, 0.9)}
    got = scored([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1]], params, ('category_accuracy',), classes)
    assert got['category_accuracy'] == 0.5


def test_a_run_keeps_names_thresholds_confusions_and_small_pictures():
    held, params = brain(), {'threshold': np.array([0.3, 0.2, 0.5])}
    given = np.array([[0.4, 0.1, 0.3], [0.4, 0.3, 0.2]])  # the second misses its cup, names a car
    kept = {'pred': given, 'truth': labelling.measure(spec(), held, [6, 7])}
    got = labelling.arrays(spec(), held, params, kept | {'image_id': np.array([6, 7])})
    assert got['categories'].tolist() == ['car', 'cat', 'cup']
    assert got['confusion'].tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert got['pictures'].shape == (2, 96, 48, 3) and got['pictures'].dtype == np.uint8
    np.testing.assert_allclose(got['threshold'], params['threshold'])


def test_facts_say_what_was_left_out_and_how_unequal_the_rest_is():
    told = labelling.facts(spec(), brain())
    assert told['categories'] == 3 and told['left_out'] == ['sky']
    assert told['training']['most'] == {'car': 3} and told['training']['least'] == {'cup': 1}
    assert told['training']['unlabelled'] == 2 and told['training']['ratio'] == 3
    assert told['test'] == {
        'pictures': 2,
        'per_picture': {'mean': 1.5, 'least': 1, 'most': 2},
        'unlabelled': 0,
        'ratio': 1.0,
        'never': 0,
        'most': {'car': 1},
        'least': {'cup': 1},
    }
    json.dumps(told)


def test_each_category_has_a_row_the_most_frequent_first():
    params = {'threshold': np.array([0.3, 0.2, 0.5])}
    given = np.array([[0.4, 0.1, 0.3], [0.4, 0.3, 0.2]])
    truth = labelling.measure(spec(), brain(), [6, 7])
    table = labelling.each(spec(), brain(), params, given, truth)
    assert [row[0] for row in table['rows']] == ['car', 'cat', 'cup']
    # named on both, shown on one: average precision 1/2 in the tie, F1 2/3
    assert table['rows'][0][1:] == [3, 1, 0.5, pytest.approx(2 / 3), 0.5, 2, pytest.approx(0.3)]
    assert table['rows'][2][1:6] == [1, 1, 0.5, 0.0, 0.5]


def test_a_run_of_labels_leaves_what_a_report_and_an_audit_need(tmp_path):
    cfg = ml_collections.ConfigDict(
        dict(
            dataset=dict(name='simulated', n_train=80, n_test=12, voxels=200, size=16),
            preprocess=dict(order=('normalise', 'repeats'), repeats=dict(test='mean')),
            targets=dict(labels=dict(net='labels', least=5)),
            decoder=dict(name='ridge', penalties=(10.0, 1e3)),
            metrics=('map', 'f1_macro', 'top1_accuracy'),
            baselines=('mean_latent', 'nearest_training', 'shuffled_rows', 'zero_voxels'),
            areas=('V1',),
            learning_curve=(1.0,),
            score_train=True,
            draws=50,
            permutations=10,
            audit=dict(alignment=False),
        )
    )
    pipeline.run(cfg, tmp_path / 'a')
    scores = json.loads((tmp_path / 'a' / 'scores.json').read_text())
    with np.load(tmp_path / 'a' / 'predictions.npz') as held:
        count = len(held['categories'])
        assert held['pred'].shape == held['truth'].shape == held['labels_pred'].shape == (12, count)
        assert held['confusion'].shape == (count, count) and held['threshold'].shape == (count,)
        assert set(np.unique(held['truth'])) == {0, 1}
    assert scores['protocol']['labels']['categories'] == count
    assert scores['scores']['map']['unit'] == 'category' and len(scores['baselines']) == 4
    assert scores['baselines']['mean_latent']['map']['mean'] < scores['scores_train']['map']['mean']
    # Fitted anew on all rows it is the same decoder, with the same thresholds.
    told = json.loads((tmp_path / 'a' / 'decoder.json').read_text())
    curve = told['learning']['curves'][0]['series'][0]
    assert curve['y'] == [scores['scores']['map']['mean']]
    assert told['labels']['tables'][-1]['columns'][0] == 'category'
    page = (tmp_path / 'a' / 'report.html').read_text()
    assert 'Confusion of categories' in page and 'How unequal' in page
    with pytest.raises(errors.ConfigError, match='names that exist for labels'):
        cfg.metrics = ('pixcorr',)
        pipeline.run(cfg, tmp_path / 'b')
