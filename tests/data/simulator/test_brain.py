import dataclasses

import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import areas, brain, patterns, scenes, voxels


@pytest.fixture(scope='module')
def shown():
    return scenes.draw(np.arange(1_000))


@pytest.fixture(scope='module')
def known(shown):
    """A calibrated brain of 1,500 voxels, and its signals for 1,000 scenes."""
    built = brain.build(voxels=1_500)
    drives = brain.drive(built, shown.images, shown.contents)
    built = brain.calibrate(built, drives)
    return built, brain.standardise(built, drives)


@pytest.fixture(scope='module')
def recorded(known):
    """Eight trials of each scene over 16 sessions, z-scored by session: voxels [n v], picture."""
    built, signals = known
    picture = np.random.default_rng(0).permutation(np.repeat(np.arange(1_000), 8))
    session = np.arange(8_000) // 500
    measured = brain.measure(built, signals[picture], session, np.arange(8_000) // 50)
    for number in range(16):
        rows = session == number
        measured[rows] = (measured[rows] - measured[rows].mean(0)) / measured[rows].std(0)
    return measured, picture


def test_the_same_seed_builds_the_same_brain_and_another_does_not():
    a = brain.build(seed=3, subject=2, voxels=500)
    b = brain.build(seed=3, subject=2, voxels=500)
    for field in dataclasses.fields(a):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))
    other = brain.build(seed=4, subject=2, voxels=500)
    assert len(other.x) != len(a.x) or (other.ncsnr != a.ncsnr).any()


def test_subjects_differ_in_size_fields_and_noise():
    sizes = [len(brain.build(subject=k, voxels=1_000).area) for k in (1, 2, 3, 4)]
    assert sizes[0] == 1_000 and len(set(sizes)) > 2
    assert all(920 <= size <= 1_080 for size in sizes)
    a, b = (brain.build(subject=k, voxels=1_000) for k in (1, 2))
    both = a.carries[:900] & b.carries[:900]
    assert np.abs(a.x[:900][both] - b.x[:900][both]).mean() > 0.01


def test_the_frozen_version_is_the_same_brain(known):
    built, signals = known
    at = np.flatnonzero(built.carries)[[0, 300, 700]]
    np.testing.assert_allclose(built.x[at], GOLDEN['x'], atol=1e-3)
    np.testing.assert_allclose(built.ncsnr[at], GOLDEN['ncsnr'], atol=1e-4)
    np.testing.assert_allclose(signals[:2, at], GOLDEN['signals'], atol=0.02)
    measured = brain.measure(built, signals[:2], [5, 5], [9, 9])
    np.testing.assert_allclose(measured[:, at], GOLDEN['measured'], atol=0.05)


def test_it_is_no_easier_than_a_brain():
    for seed, subject in ((0, 1), (1, 2), (7, 3)):
        built = brain.build(seed, subject, 4_000)
        ceiling = brain.noise_ceiling(built.ncsnr)
        assert 0.10 < np.median(ceiling[built.carries]) < 0.25
        assert np.median(ceiling) > 0.05
        assert (~built.carries).mean() >= 0.30
        assert (built.ncsnr[~built.carries] == 0).all()


def test_voxels_use_each_vertex_once_while_they_can():
    built = brain.build(voxels=4_000)
    places = built.hemisphere.astype(int) * 20_000 + built.vertex
    assert len(np.unique(places)) > 3_950
    many = brain.build(voxels=9_000)
    counts = np.unique(many.hemisphere.astype(int) * 20_000 + many.vertex, return_counts=True)[1]
    assert counts.max() <= 4 and counts.min() >= 1
    np.testing.assert_array_equal(
        built.xyz, areas.atlas().xyz[built.hemisphere.astype(int), built.vertex]
    )


def test_rois_hold_every_area_and_the_unions(known):
    rois = brain.rois(known[0])
    assert {'V1', 'V2', 'V3', 'hV4', 'FFA', 'OFA', 'EBA', 'FBA', 'PPA', 'OPA', 'RSC', 'LO'} <= {
        *rois
    }
    np.testing.assert_array_equal(rois['V1'], rois['V1v'] | rois['V1d'])
    alone = np.stack([rois[name] for name in areas.NAMES])
    assert (alone.sum(0) <= 1).all() and (alone.sum(1) >= 5).all()


def test_the_left_hemisphere_sees_the_right_field(known):
    built = known[0]
    v1 = areas.region('V1', built.area) & built.carries
    left, right = (built.x[v1 & (built.hemisphere == side)] for side in (0, 1))
    assert (left > 0).mean() > 0.9 and (right < 0).mean() > 0.9
    assert left.mean() > 1 and right.mean() < -1


def test_fields_grow_with_area_and_eccentricity(known):
    built = known[0]
    sizes = [
        np.median(built.size[areas.region(name, built.area) & built.carries])
        for name in ('V1', 'V2', 'V3', 'hV4', 'LO', 'PPA')
    ]
    assert (np.diff(sizes) > 0).all()
    v3 = areas.region('V3', built.area) & built.carries
    far = np.hypot(built.x, built.y)[v3]
    assert np.corrcoef(far, built.size[v3])[0, 1] > 0.5


def test_fields_scatter_around_the_smooth_map(known):
    built = known[0]
    atlas = areas.atlas()
    v1 = areas.region('V1', built.area) & built.carries
    off = built.x[v1] - atlas.x[built.hemisphere[v1].astype(int), built.vertex[v1]]
    assert 0.1 < off.std() < 0.5


def test_a_voxel_answers_most_to_a_spot_in_its_field():
    built = brain.build(voxels=1_500)
    pick = areas.region('V1', built.area) & built.carries
    pick &= (np.abs(built.x) < 3) & (np.abs(built.y) < 3)
    centre = (np.arange(16) + 0.5) / 16 * 2 * areas.FIELD - areas.FIELD
    spots = np.full((16, 16, 64, 64, 3), 0.5, np.float32)
    for i in range(16):
        for j in range(16):
            spots[i, j, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 1
    drives = brain.drive(built, spots.reshape(-1, 64, 64, 3))[:, pick].astype(float)
    weights = drives ** (1 / built.exponent[pick])  # undo the compression
    weights /= weights.sum(0)
    x = (weights * np.tile(centre, 16)[:, None]).sum(0)
    y = (weights * np.repeat(-centre, 16)[:, None]).sum(0)
    assert np.corrcoef(x, built.x[pick])[0, 1] > 0.97
    assert np.corrcoef(y, built.y[pick])[0, 1] > 0.97


def test_higher_areas_answer_to_their_categories(shown, known):
    built, signals = known
    assert (built.categories[voxels.fine(built.area)] == 0).all()
    for area, category in (
        ('FFA', 'face'), ('OFA', 'face'), ('EBA', 'person'), ('PPA', 'house'), ('VWFA', 'word'),
    ):  # fmt: skip
        at = areas.region(area, built.area) & built.carries
        has = (shown.category == scenes.CATEGORIES.index(category)).any(1)
        difference = signals[has][:, at].mean(0) - signals[~has][:, at].mean(0)
        assert (difference > 0.5).mean() > 0.9
        others = areas.region('V1', built.area) & built.carries
        assert np.abs(signals[has][:, others].mean()) < 0.2


def test_signals_have_unit_variance_over_the_calibration_pictures(known):
    built, signals = known
    np.testing.assert_allclose(signals[:, built.carries].std(0), 1, atol=1e-3)
    np.testing.assert_allclose(signals.mean(0), 0, atol=1e-3)
    assert (signals[:, ~built.carries] == 0).all()


def test_the_response_is_not_linear_in_contrast(known, shown):
    built = known[0]
    pictures = shown.images[:50] / np.float32(255)
    early = voxels.fine(built.area) & built.carries
    full, half = (
        brain.drive(built, 0.5 + c * (pictures - 0.5), shown.contents[:50])[:, early]
        for c in (1, 0.5)
    )
    ratio = half.mean(0) / full.mean(0)
    np.testing.assert_allclose(ratio, 0.5 ** built.exponent[early], atol=0.02)
    assert ratio.min() > 0.55


def test_predictions_from_the_true_fields_reach_the_stated_ceiling(known, recorded):
    built, signals = known
    measured, picture = recorded
    predicted = signals[picture]
    r = (measured * predicted).mean(0) / np.maximum(predicted.std(0), 1e-9)
    for name, roi in brain.rois(built).items():
        at = roi & built.carries
        stated = brain.noise_ceiling(built.ncsnr[at]).mean()
        reached = (r[at] ** 2).mean()
        assert abs(reached / stated - 1) < 0.05, f'{name}: {reached:.4f} of {stated:.4f}'


def test_ncsnr_from_three_repeats_agrees_with_the_truth(known, recorded):
    built = known[0]
    measured, picture = recorded
    order = np.argsort(picture, kind='stable').reshape(1_000, 8)[:, :3]
    noise = measured[order].var(1, ddof=1).mean(0)  # Allen et al. 2022
    found = np.sqrt(np.maximum(0, 1 - noise)) / np.sqrt(noise)
    at = built.carries
    assert np.corrcoef(found[at], built.ncsnr[at])[0, 1] > 0.95
    assert abs(np.median(found[at] / built.ncsnr[at]) - 1) < 0.03
    assert np.median(found[~at]) < 0.15


def test_noise_is_correlated_between_voxels(known, recorded):
    built, signals = known
    measured, picture = recorded
    silent = measured[:, ~built.carries]
    found = np.corrcoef(silent.T)
    apart = ~np.eye(len(found), dtype=bool)
    assert np.abs(found[apart]).mean() > 5 / np.sqrt(len(measured))
    assert np.abs(found[apart]).mean() > 0.04


def test_sessions_have_offsets_and_gains_before_they_are_removed(known):
    built, signals = known
    trials = brain.measure(built, signals, np.arange(1_000) // 500, np.arange(1_000) // 50)
    means = np.stack([trials[:500].mean(0), trials[500:].mean(0)]) / built.scale
    assert np.abs(means[0] - means[1]).mean() > 0.2
    assert trials.dtype == np.float32 and np.abs(trials).max() < 109  # fits int16 / 300


def test_a_session_is_the_same_alone_and_among_others(known):
    built, signals = known
    session, run = np.arange(200) // 100, np.arange(200) // 20
    both = brain.measure(built, signals[:200], session, run)
    alone = brain.measure(built, signals[100:200], session[100:], run[100:])
    np.testing.assert_allclose(both[100:], alone, atol=1e-4)
    silent = both[:, ~built.carries]
    assert abs(np.corrcoef(silent[:100].ravel(), silent[100:].ravel())[0, 1]) < 0.3
    other = brain.measure(dataclasses.replace(built, subject=2), signals[:200], session, run)
    assert np.abs(other - both).mean() > 0.5


def test_pictures_of_which_nothing_is_known_drive_higher_areas_too(shown):
    built = brain.build(voxels=600)
    drives = brain.drive(built, shown.images[:200])
    ffa = areas.region('FFA', built.area) & built.carries
    assert (drives[:, ffa].std(0) > 1e-3).all()
    small = patterns.pictures(patterns.random(60, np.random.default_rng(0)))
    calibrated = brain.calibrate(built, brain.drive(built, small))
    assert np.isfinite(brain.respond(calibrated, small)).all()
    assert (brain.respond(calibrated, small)[:, built.carries].std(0) > 0.9).all()


def test_the_truth_is_plain_arrays(known):
    built, _ = known
    truth = brain.truth(built)
    assert all(isinstance(value, np.ndarray) and value.dtype != object for value in truth.values())
    assert set(truth['area']) == {'', *areas.NAMES}
    np.testing.assert_array_equal(truth['area'] == '', built.area < 0)
    ffa = (truth['area'] == 'FFA-1') & truth['carries']
    assert (truth['preferred_category'][ffa] == 'face').mean() > 0.6
    assert (truth['preferred_category'][truth['area'] == 'V1v'] == '').all()
    np.testing.assert_allclose(
        truth['noise_ceiling'], built.ncsnr**2 / (built.ncsnr**2 + 1), rtol=1e-6
    )


def test_the_ceiling_grows_with_trials():
    np.testing.assert_allclose(brain.noise_ceiling(np.array([1.0]), 3), 0.75)
    np.testing.assert_allclose(brain.noise_ceiling(np.array([1.0, 0.0])), [0.5, 0])


def test_what_cannot_be_built_is_refused():
    with pytest.raises(errors.ConfigError, match='brain_version is 2.*versions that exist: 1'):
        brain.build(version=2)
    with pytest.raises(errors.ConfigError, match='voxels is 50.*at least 200'):
        brain.build(voxels=50)
    with pytest.raises(errors.ConfigError, match='subject 0'):
        brain.build(subject=0)


GOLDEN = {
    'x': [2.6581, 0.2722, -0.1979],
    'ncsnr': [0.62646, 0.38814, 0.85599],
    'signals': [[1.298, -0.27, -0.891], [0.042, 0.039, -0.058]],
    'measured': [[2.282, 1.447, -1.53], [0.592, -0.531, -0.179]],
}
