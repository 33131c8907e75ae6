import numpy as np

from recon.data.simulator import backgrounds


def _draws(m, **fixed):
    u = np.random.default_rng(0).random((m, 64))
    for column, value in fixed.items():
        u[:, int(column[1:])] = value
    return u


def test_sky_is_above_and_ground_below():
    pictures, place = backgrounds.draw(_draws(200, c10=0.0, c34=0.0), 32)  # plain textures
    skies = np.array(list(backgrounds.SKIES.values()))[place[:, 0]]
    grounds = np.array(list(backgrounds.GROUNDS.values()))[place[:, 1]]
    assert np.abs(pictures[:, 0].mean(1) - skies).mean() < 0.12
    assert np.abs(pictures[:, -1].mean(1) - grounds).mean() < 0.12


def test_every_place_has_a_name():
    _, place = backgrounds.draw(_draws(500), 16)
    words = {backgrounds.describe(p) for p in place}
    assert len(words) == 64
    assert 'a night sky over sand' in words


def test_pictures_lie_in_the_unit_range_and_textures_vary_them():
    plain, _ = backgrounds.draw(_draws(100, c10=0.0, c34=0.0), 32)
    busy, _ = backgrounds.draw(_draws(100, c10=0.5, c34=0.5), 32)
    for pictures in (plain, busy):
        assert pictures.dtype == np.float32
        assert pictures.min() >= 0 and pictures.max() <= 1
    rough = [np.abs(np.diff(p, axis=2)).mean() for p in (plain, busy)]
    assert rough[1] > 3 * rough[0]
