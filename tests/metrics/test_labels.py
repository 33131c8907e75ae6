import dataclasses
import json

import numpy as np
import pytest
import sklearn.metrics

from recon.core import errors, rng
from recon.metrics import classify, labels

QUICK = {'seed': 0, 'draws': 200, 'permutations': 99}
SEVERAL = labels.NAMES


def several(seed=0, n=50, k=7, signal=0.6):
    """Scores and 0/1 of several categories an image, at least one."""
    r = np.random.default_rng(seed)
    truth = r.random((n, k)) < np.linspace(0.1, 0.7, k)
    truth[np.arange(n), r.integers(0, k, n)] = True
    return signal * truth + r.random((n, k)), truth.astype(int)


def one_class(seed=0, n=50, k=7):
    r = np.random.default_rng(seed)
    truth = r.integers(0, k, n)
    return 0.8 * (truth[:, None] == np.arange(k)) + r.random((n, k)), truth


def test_means_of_several_categories_are_scikit_learns():
    scores, truth = several()
    threshold = np.linspace(0.6, 0.9, 7)
    got = labels.score(SEVERAL, scores, truth, threshold=threshold, **QUICK)
    pred = scores > threshold
    wanted = {
        'map': sklearn.metrics.average_precision_score(truth, scores, average='macro'),
        'f1_macro': sklearn.metrics.f1_score(truth, pred, average='macro'),
        'f1_micro': sklearn.metrics.f1_score(truth, pred, average='micro'),
        'category_accuracy': (pred == truth).mean(),
        'top1_accuracy': truth[np.arange(50), scores.argmax(1)].mean(),
        'first_label_accuracy': (scores.argmax(1) == truth.argmax(1)).mean(),
    }
    for name, value in wanted.items():
        assert got[name].mean == pytest.approx(value), name


def test_means_of_one_class_are_scikit_learns():
    scores, truth = one_class()
    got = labels.score(SEVERAL, scores, truth, **QUICK)
    pred = scores.argmax(1)
    assert got['category_accuracy'].mean == pytest.approx((pred == truth).mean())
    assert got['top1_accuracy'].mean == got['category_accuracy'].mean
    wanted = sklearn.metrics.top_k_accuracy_score(truth, scores, k=5)
    assert got['top5_accuracy'].mean == pytest.approx(wanted)
    wanted = sklearn.metrics.f1_score(truth, pred, average='macro')
    assert got['f1_macro'].mean == pytest.approx(wanted)
    majority = np.bincount(truth).max() / 50
    assert got['category_accuracy'].chance == got['top1_accuracy'].chance == majority


def test_units_and_directions_are_those_of_the_run_folder():
    got = labels.score(SEVERAL, *several(), **QUICK)
    unit = {name: entry.unit for name, entry in got.items()}
    assert unit == {
        'map': 'category',
        'f1_macro': 'category',
        'f1_micro': 'image',
        'category_accuracy': 'category',
        'top1_accuracy': 'image',
        'top5_accuracy': 'image',
        'first_label_accuracy': 'image',
    }
    for entry in got.values():
        assert entry.better == 'higher'
        assert entry.n == len(entry.per_unit) == (7 if entry.unit == 'category' else 50)
        low, high = entry.ci95
        assert low <= entry.mean <= high


def test_a_blind_decoder_is_at_chance_and_a_good_one_above():
    blind = labels.score(('map', 'f1_micro'), *several(1, n=300, signal=0.0), **QUICK)
    good = labels.score(('map', 'f1_micro'), *several(1, n=300), **QUICK)
    for name in blind:
        assert blind[name].mean == pytest.approx(blind[name].chance, abs=0.03)
        assert blind[name].p > 0.01
        assert good[name].p == 0.01
        assert good[name].mean > good[name].chance + 0.1


def test_always_naming_the_most_frequent_is_the_chance_of_accuracies():
    _, truth = several(2)
    often = truth.mean(0)
    constant = np.tile(often, (50, 1))
    names = ('category_accuracy', 'top1_accuracy', 'top5_accuracy')
    got = labels.score(names, constant, truth, threshold=0.5, **QUICK)
    for entry in got.values():
        assert entry.mean == pytest.approx(entry.chance)
        assert entry.p == 1


def test_p_is_of_the_pairing_of_images():
    scores, truth = several(3, n=8)
    got = labels.score(('map',), scores, truth, seed=4, draws=10, permutations=200)['map']
    draw = rng.generator(4, 'permutation')
    null = [
        np.nanmean(classify.average_precision(scores, truth[draw.permutation(8)]))
        for _ in range(200)
    ]
    assert got.p == pytest.approx((1 + (np.array(null) >= got.mean - 1e-12).sum()) / 201)
    assert got.chance == pytest.approx(np.mean(null))


def test_the_interval_of_pooled_f1_draws_images_and_pools_anew():
    scores, truth = several(6)
    got = labels.score(('f1_micro',), scores, truth, threshold=0.8, **QUICK)['f1_micro']
    index = rng.generator(0, 'bootstrap').integers(0, 50, (200, 50), dtype=np.int32)
    pred = scores > 0.8
    drawn = [classify.f1_micro(pred[rows], truth[rows]) for rows in index]
    np.testing.assert_allclose(got.ci95, np.quantile(drawn, [0.025, 0.975]))


def test_repeats_of_an_image_are_one_image():
    scores, truth = several(5, n=20)
    rows = np.repeat(np.arange(20), 3)
    many = labels.score(SEVERAL, scores[rows], truth[rows], clusters=rows, **QUICK)
    once = labels.score(SEVERAL, scores, truth, **QUICK)
    for name in SEVERAL:
        a, b = many[name], once[name]
        assert a.mean == pytest.approx(b.mean), name
        assert a.p == b.p, name
        np.testing.assert_allclose(a.ci95, b.ci95, err_msg=name)
    with pytest.raises(errors.DataInvalid, match='rows of one image have different labels'):
        labels.score(('map',), scores, truth, clusters=rows[:20], **QUICK)


def test_a_category_that_no_image_has_is_undefined():
    scores, truth = several()
    truth[:, 0] = 0
    got = labels.score(('map', 'f1_macro'), scores, truth, threshold=np.inf, **QUICK)
    assert got['map'].n_undefined == 1
    assert got['f1_macro'].n_undefined == 1
    nothing = labels.score(('map', 'f1_micro'), scores, truth * 0, threshold=np.inf, **QUICK)
    for entry in nothing.values():
        assert (entry.mean, entry.ci95, entry.p) == (None, None, None)


def test_entries_are_json_able():
    entry = labels.score(('map',), *several(), **QUICK)['map']
    told = dataclasses.asdict(entry) | {'per_unit': entry.per_unit.tolist()}
    assert json.loads(json.dumps(told))['extra']['categories'] == 7


@pytest.mark.parametrize(
    'names, categories, message',
    [
        ((), None, 'metrics is empty'),
        (('map', 'pixcorr'), None, "'pixcorr' is no metric of labels.*map, f1_macro"),
        (('map', 'map'), None, 'map twice'),
        (('top5_accuracy',), 5, 'top5_accuracy of 5 categories'),
    ],
)
def test_names_that_cannot_be_scored_are_refused(names, categories, message):
    with pytest.raises(errors.ConfigError, match=message):
        labels.check(names, categories)


def test_what_cannot_be_scored_is_refused():
    scores, truth = several()
    for given, message in (
        ((scores, truth[:, :3]), r'labels \(50, 3\)'),
        ((scores * np.nan, truth), '350 scores are not finite'),
        ((scores, truth * 2), 'labels lie in 0 to 2'),
        ((scores, np.full(50, 7)), 'labels lie in 7 to 7'),
    ):
        with pytest.raises(errors.DataInvalid, match=message):
            labels.score(('map',), *given, **QUICK)
    with pytest.raises(errors.DataInvalid, match=r'\(3,\) thresholds for 7'):
        labels.score(('map',), scores, truth, threshold=np.zeros(3), **QUICK)
