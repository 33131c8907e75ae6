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
    scores['scores']['pixcorr'] |= {'p': 1 / 1001, 'permutations': 1000}
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


def near(ours, theirs):
    scores = held(0.5, [0.4, 0.6], chance=0.1)
    metrics = {'pixcorr': 'higher', 'mse': 'lower', 'two_way_pixel': 'higher'}
    scores['scores'] = {
        k: {'mean': m, 'ci95': [0.4, 0.6], 'chance': 0.1, 'better': b}
        for (k, b), m in zip(metrics.items(), ours, strict=True)
    }
    scores['baselines']['nearest_training'] = {
        k: {'mean': m} for k, m in zip(metrics, theirs, strict=True)
    }
    return ' '.join(story.verdict('pixcorr', scores))


def test_a_nearest_training_image_that_does_better_on_any_score_is_admitted():
    said = near((0.5, 0.1, 0.9), (0.4, 0.05, 0.95))
    assert (
        'The training image nearest to what was decoded does better on mean squared error '
        '(0.0500 against 0.100) and two-way identification, pixels (95.0 % against 90.0 %).'
    ) in said
    assert 'nearest to what was' not in near((0.5, 0.1, 0.9), (0.4, 0.2, 0.9 + 1e-12))
    assert 'nearest to what was' not in near((0.5, 0.1, None), (None, 0.2, 0.9))


def test_rounding_is_a_tie_and_no_win():
    scores = held(0.5, [0.4, 0.6], chance=0.1, base=0.2)
    scores['scores']['pixcorr']['per_image'] = [0.5, 0.2 + 1e-9, 0.0]
    scores['baselines']['mean_image']['pixcorr']['per_image'] = [0.2, 0.2, 1e-12]
    assert 'on 1 of 3 test images, with 2 ties.' in ' '.join(story.verdict('pixcorr', scores))


def test_a_score_without_an_interval_says_so():
    assert '(no interval; chance 0.500)' in story.result('pixcorr', held(0.8, None))
    scores = held(0.8, None) | {'audit': {}}
    assert 'pixcorr 0.800, no interval, 10 test images' in story.quote(
        'd', 'pixcorr', scores, {}, {}
    )


@pytest.mark.parametrize(('n', 'warned'), [(19, True), (20, False)])
def test_intervals_of_fewer_than_twenty_images_are_called_too_narrow(n, warned):
    scores = held(0.8, [0.7, 0.9], n=n)
    assert ('too narrow' in story.few(scores)) == warned
    rows = held(0.8, [0.7, 0.9], n=500, unit='row') | {'protocol': {'test_images': n}}
    assert ('too narrow' in story.few(rows)) == warned
    assert story.few(held(0.8, None, n=n)) == ''


def test_a_run_is_named_by_data_decoders_and_seed():
    config = {
        'seed': 3,
        'dataset': {'name': 'miyawaki2008'},
        'decoder': {'name': 'miyawaki', 'base': {'name': 'omp'}},
    }
    assert story.identity(config, {}, {}) == 'miyawaki2008, miyawaki (omp), seed 3'
    made = story.identity(config | {'layout': 'miyawaki2008'}, {}, {})
    assert made == 'miyawaki2008 (simulated), miyawaki (omp), seed 3'
    assert (
        story.identity({'dataset': {'name': 'simulated'}}, {'seed': 1}, {}) == 'simulated, seed 1'
    )
    assert story.identity({}, {}, {}) == ''


def test_without_a_decoder_the_generators_are_named():
    config = {'decoder': {'name': 'none'}, 'generator': {'chain': ['pix2pix']}}
    assert story.identity(config, {}, {}) == 'pix2pix' == story.method(config)


def test_worse_than_chance_and_above_the_baselines_is_no_contradiction():
    said = verdict(0.6, [0.55, 0.65], chance=0.7, base=0.5)
    assert 'worse than chance. It is at least clear of every answer' in said


def test_of_equal_baselines_the_simplest_is_named():
    scores = held(0.8, [0.7, 0.9], base=0.6)
    scores['baselines']['zero_voxels'] = {'pixcorr': {'mean': 0.6000001}}
    assert '"mean training image"' in ' '.join(story.verdict('pixcorr', scores))


def test_the_title_of_a_run_without_pictures_names_what_it_decodes():
    config = {'dataset': {'name': 'vim1'}, 'targets': {'image_statistics': {}}}
    assert story.title(config, {}, False).startswith('Grey photographs: image statistics, decoded')
    assert story.title(config, {}, True).startswith('Grey photographs, decoded')
