import numpy as np
import pytest

from recon.data.simulator import areas, channels


def _grating(angle, cycles, phase=0.0, size=64):
    axis = (np.arange(size) + 0.5) / size
    along = np.cos(angle) * axis + np.sin(angle) * axis[:, None]
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * cycles * along + phase)
    return np.repeat(wave[None, ..., None], 3, -1).astype(np.float32)


@pytest.mark.parametrize('orientation', range(4))
@pytest.mark.parametrize('scale', range(3))
def test_a_grating_excites_its_own_channel_most(orientation, scale):
    cycles = 32 / channels.WAVELENGTHS[scale]
    found = channels.features(_grating(np.pi * orientation / 4, cycles))[0, :12, 4:12, 4:12]
    raw = found.mean((1, 2)) * np.repeat(list(channels._MEANS.values()), 4)
    assert raw.argmax() == 4 * scale + orientation


def test_energy_does_not_depend_on_phase():
    responses = [
        channels.features(_grating(0, 4, phase))[0, 4, 6:10, 6:10].mean()
        for phase in np.linspace(0, np.pi, 5)
    ]
    assert np.ptp(responses) < 0.05 * np.mean(responses)


def test_an_even_grey_screen_says_nothing():
    assert np.abs(channels.features(np.full((1, 64, 64, 3), 0.5))).max() < 1e-4


def test_a_red_patch_is_red_where_it_is():
    picture = np.full((1, 64, 64, 3), 0.5, np.float32)
    picture[0, 8:16, 40:48] = (0.9, 0.2, 0.2)
    found = channels.features(picture)[0]
    red = found[channels.N_ENERGIES + channels.OPPONENTS.index('red')]
    row, col = np.unravel_index(red.argmax(), red.shape)
    assert row in (2, 3) and col in (10, 11)
    green = found[channels.N_ENERGIES + channels.OPPONENTS.index('green')]
    assert green[row, col] == 0
    x, y = (grid.reshape(16, 16)[row, col] for grid in channels.field(16))
    assert x > 0 and y > 0  # up and to the right


def test_the_size_of_a_picture_matters_little():
    rng = np.random.default_rng(0)
    small = rng.random((4, 16, 16, 3)).astype(np.float32)
    a = channels.features(np.kron(small, np.ones((1, 4, 4, 1), np.float32)))
    b = channels.features(np.kron(small, np.ones((1, 8, 8, 1), np.float32)))
    np.testing.assert_allclose(a, b, atol=1e-4)
    as_bytes = channels.features(
        np.rint(np.kron(small, np.ones((1, 4, 4, 1))) * 255).astype(np.uint8)
    )
    assert np.abs(as_bytes - a).max() < 0.2  # of features near 4
    odd = channels.features(np.kron(small, np.ones((1, 5, 5, 1), np.float32)))  # 80 pixels
    assert np.corrcoef(odd.ravel(), a.ravel())[0, 1] > 0.98


def test_channels_have_a_mean_near_one_over_scenes():
    from recon.data.simulator import scenes

    means = channels.features(scenes.draw(np.arange(300)).images).mean((0, 2, 3))
    assert means.shape == (channels.N,)
    assert means.min() > 0.7 and means.max() < 1.4


def test_textures_are_sparse_and_differ_between_pictures():
    from recon.data.simulator import scenes

    full = channels.features(scenes.draw(np.arange(100)).images)
    found = channels.textures(channels.coarse(full))
    assert found.shape == (100, 16, 8, 8) and found.min() == 0
    assert 0.02 < found.mean() < 0.5
    assert (found.mean((2, 3)).std(0) > 0.005).all()


def test_the_field_spans_what_the_picture_does():
    x, y = channels.field(8)
    assert x.min() == -x.max() and x.max() == pytest.approx(areas.FIELD * 7 / 8)
    assert y[0] > 0 > y[-1] and x[0] < 0 < x[7]
