import pytest

from recon.report import story


def held(mean, ci, *, chance=0.5, base=None, better='higher', n=10, audit=None, unit='image'):
    entry = {'mean': mean, 'ci95': ci, 'chance': chance, 'better': better, 'unit': unit, 'n': n}
    baselines = (
        {'mean_image': {'pixcorr': {'mean': base, 'better': better}}} if base is not None else {}
    )
    audit = {'seen_test_images': 0} if audit is None else audit
    return {'scores': {'pixcorr': entry}, 'baselines': baselines, 'n': n, 'audit': audit}


def verdict(*args, **options):
    return ' '.join(story.verdict('pixcorr', held(*args, **options)))


def test_an_interval_that_includes_chance_shows_nothing():
    assert 'by this score alone nothing was decoded' in verdict(0.55, [0.45, 0.6])


def test_a_score_at_chance_whose_pairing_is_no_luck_says_both():
    scores = held(0.55, [0.45, 0.6])
    assert 'Yet pictures fit' not in ' '.join(story.verdict('pixcorr', scores))
    scores['scores']['pixcorr']['p'] = 0.0005
    assert 'Yet pictures fit their own truth' in ' '.join(story.verdict('pixcorr', scores))
    scores['scores']['pixcorr'] |= {'ci95': [0.52, 0.6]}
    assert 'Yet pictures fit' not in ' '.join(story.verdict('pixcorr', scores))


def test_an_interval_clear_of_chance_and_baselines_says_so():
    said = verdict(0.8, [0.7, 0.9], base=0.6)
    assert 'lies clear of chance' in said and 'clear of every answer that ignores' in said


def test_a_baseline_within_the_interval_is_named():
    said = verdict(0.8, [0.7, 0.9], base=0.75)
    assert 'the interval includes the baseline "mean training image" (0.750)' in said


def test_a_better_baseline_is_admitted():
    assert 'does better' in verdict(0.6, [0.55, 0.65], base=0.8)


def test_for_an_error_lower_is_the_good_side():
    said = verdict(0.1, [0.05, 0.15], base=0.3, chance=0.4, better='lower')
    assert 'lies clear of chance' in said and 'clear of every answer' in said
    assert 'worse than chance' in verdict(0.6, [0.55, 0.65], chance=0.4, better='lower')


def test_the_nearest_training_image_does_not_count_as_blind():
    scores = held(0.8, [0.7, 0.9], base=0.6)
    scores['baselines']['nearest_training'] = {'pixcorr': {'mean': 0.85, 'better': 'higher'}}
    assert 'clear of every answer that ignores' in ' '.join(story.verdict('pixcorr', scores))


def test_wins_are_counted_picture_by_picture():
    scores = held(0.5, [0.4, 0.6], chance=0.1, base=0.2)
    scores['scores']['pixcorr']['per_image'] = [0.5, 0.1, None, 0.9]
    scores['baselines']['mean_image']['pixcorr']['per_image'] = [0.2, 0.2, 0.2, 0.2]
    assert 'on 2 of 3 test images' in ' '.join(story.verdict('pixcorr', scores))


@pytest.mark.parametrize(
    ('audit', 'said'),
    [
        ({'seen_test_images': 0}, 'that the decoder never saw'),
        ({'seen_test_images': 1}, 'of which 1 was among the training images'),
        ({'seen_test_images': 10}, 'of which all were among the training images'),
        ({}, 'no audit says'),
    ],
)
def test_the_sentence_follows_the_audit(audit, said):
    assert said in story.result('pixcorr', held(0.8, [0.7, 0.9], audit=audit))


def test_the_first_metric_of_the_config_leads():
    config = {'metrics': ['mse', 'pixcorr']}
    scores = {'pixcorr': {}, 'mse': {}, 'ssim': {}}
    assert story.main_metric(config, scores) == 'mse'
    assert story.ordered(config, scores) == ['mse', 'pixcorr', 'ssim']
    assert story.main_metric({}, scores) == 'pixcorr'


def test_the_title_names_data_subject_and_both_decoders():
    config = {
        'dataset': {'name': 'miyawaki2008'},
        'decoder': {'name': 'miyawaki', 'base': {'name': 'omp'}},
    }
    scores = {'protocol': {'data': {'subject': 1}}}
    assert story.title(config, scores, True) == (
        'Contrast patterns, decoded from fMRI of subject 1 with local image bases, '
        'each by orthogonal matching pursuit'
    )


def test_unknown_names_stand_as_they_are():
    config = {'dataset': {'name': 'mine', 'subject': 'x'}, 'decoder': {'name': 'magic'}}
    assert (
        story.title(config, {}, True) == 'mine: pictures, decoded from fMRI of subject x with magic'
    )


def test_a_nearest_training_image_that_does_better_is_admitted():
    scores = held(0.5, [0.4, 0.6], chance=0.1)
    scores['baselines']['nearest_training'] = {'pixcorr': {'mean': 0.7}}
    assert 'would do better (0.700)' in ' '.join(story.verdict('pixcorr', scores))
    scores['baselines']['nearest_training'] = {'pixcorr': {'mean': 0.3}}
    assert 'would do better' not in ' '.join(story.verdict('pixcorr', scores))


def test_worse_than_chance_and_above_the_baselines_is_no_contradiction():
    said = verdict(0.6, [0.55, 0.65], chance=0.7, base=0.5)
    assert 'worse than chance. It is at least clear of every answer' in said


def test_of_equal_baselines_the_simplest_is_named():
    scores = held(0.8, [0.7, 0.9], base=0.6)
    scores['baselines']['zero_voxels'] = {'pixcorr': {'mean': 0.6000001}}
    assert '"mean training image"' in ' '.join(story.verdict('pixcorr', scores))
