import pytest

from recon.report import banners


def titles(audit, config=None, run=None):
    return [b['title'] for b in banners.build(config or {}, run or {}, {'audit': audit, 'n': 10})]


def test_a_clean_audit_raises_nothing():
    clean = {'seen_test_images': 0, 'near_duplicates': 0, 'train_only_statistics': True}
    assert titles(clean | {'alignment': {'-1': 0.1, '0': 0.7, '1': 0.2}}) == []


def test_each_fault_has_its_banner():
    assert titles({'seen_test_images': 1}) == ['Seen images']
    assert titles({'seen_extra_tests': {'imagery': 2}}) == ['Seen images']
    assert titles({'near_duplicates': 2}) == ['Near duplicates']
    assert titles({'train_only_statistics': False}) == ['Statistics not from training rows alone']
    assert titles({}, run={'status': 'stopped'}) == ['This run stopped']
    assert titles({}, config={'dataset': {'name': 'simulated'}}) == ['Simulated brain']


@pytest.mark.parametrize(
    ('constant', 'said'),
    [(10, 'All 10 voxels have'), (6, '6 of 10 voxels have'), (5, None), (0, None)],
)
def test_voxels_that_never_change_are_reported_beyond_a_half(constant, said):
    protocol = {'voxels': 10, 'data': {'constant_voxels': constant}}
    found = banners.build({}, {}, {'protocol': protocol})
    assert [b['text'].startswith(said) for b in found] == ([True] if said else [])


def test_a_reduced_run_says_so():
    assert titles({}, {'draws': 10_000, 'permutations': 1000, 'layout': ''}) == []
    assert titles({}, {'draws': 500, 'permutations': 50}) == ['Smoke run']
    assert 'Smoke run' in titles({}, {'draws': 10_000, 'permutations': 1000, 'layout': 'digits69'})
    few = banners.build({'draws': 10_000, 'permutations': 99}, {}, {})
    assert few[0]['title'] == 'Reduced run' and 'Only 99 random re-pairings' in few[0]['text']


def test_a_shift_that_wins_by_more_than_its_interval_is_reported():
    audit = {
        'alignment': {'-1': 0.1, '0': 0.3, '1': 0.8},
        'alignment_ci95': {'-1': [0, 0.2], '0': [0.2, 0.4], '1': [0.7, 0.9]},
    }
    assert 'shifted by +1' in banners.alignment_warning(audit)
    audit['alignment_ci95']['1'] = [0.35, 0.9]
    assert banners.alignment_warning(audit) is None


def test_the_judgement_of_the_audit_goes_before_ours():
    audit = {'alignment': {'0': 0.1, '1': 0.8}, 'alignment_warning': None}
    assert banners.alignment_warning(audit) is None


def test_shifts_are_in_order_of_time():
    rows = banners.alignment({'alignment': {'1': 0.2, '-1': 0.1, '0': 0.7}})
    assert [row['shift'] for row in rows] == [-1, 0, 1] and rows[1]['here']
