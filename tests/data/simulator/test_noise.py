import numpy as np
import pytest

from recon.data.simulator import noise


@pytest.fixture(scope='module')
def shared():
    rng = np.random.default_rng(0)
    xyz = rng.uniform(-30, 30, (400, 3))
    return noise.loadings((0, 1), xyz, (xyz[:, 0] > 0).astype(int)), xyz


@pytest.fixture(scope='module')
def drawn(shared):
    run = np.arange(3_000) // 60
    return noise.draw(np.random.default_rng(1), shared[0], run), run


def test_noise_has_unit_variance_drift_included(drawn):
    np.testing.assert_allclose(drawn[0].var(0).mean(), 1, atol=0.02)
    np.testing.assert_allclose(drawn[0].std(0), 1, atol=0.1)


def test_noise_is_correlated_between_voxels_and_more_between_neighbours(shared, drawn):
    correlation = np.corrcoef(drawn[0].T)
    apart = ~np.eye(len(correlation), dtype=bool)
    white = np.abs(np.corrcoef(np.random.default_rng(0).standard_normal((400, 3_000)))[apart])
    assert np.abs(correlation[apart]).mean() > 4 * white.mean()
    xyz = shared[1]
    distance = np.linalg.norm(xyz[:, None] - xyz, axis=-1)
    same = (xyz[:, None, 0] > 0) == (xyz[:, 0] > 0)
    near = correlation[apart & same & (distance < 4)].mean()
    further = correlation[apart & same & (distance > 12) & (distance < 16)].mean()
    assert near > further + 0.1  # what the whole brain shares hardly changes over 16 mm


def test_noise_drifts_within_a_run_and_not_across(drawn):
    values, run = drawn
    lagged = [
        np.mean(values[:-k][run[:-k] == run[k:]] * values[k:][run[:-k] == run[k:]]) for k in (1, 30)
    ]
    assert 0.06 < lagged[0] < 0.13
    assert lagged[1] < 0.02
    across = run[:-1] != run[1:]
    assert abs(np.mean(values[:-1][across] * values[1:][across])) < 0.05


def test_the_same_stream_draws_the_same_noise(shared, drawn):
    again = noise.draw(np.random.default_rng(1), shared[0], drawn[1])
    np.testing.assert_array_equal(again, drawn[0])


def test_a_session_has_a_gain_near_one():
    gain, offset = noise.session(np.random.default_rng(0), 2_000)
    assert 0.7 < gain.mean() < 1.4 and gain.std() > 0.02
    assert abs(offset.mean()) < 0.05 and 0.3 < offset.std() < 0.5
