import numpy as np
import pytest
from skimage import color, transform

from recon.core import errors, image


def pictures(n, h, w, c, seed):
    return np.random.default_rng(seed).random((n, h, w, c)).astype(np.float32)


def test_gray_is_scikit_images():
    x = pictures(3, 9, 7, 3, 0)
    np.testing.assert_allclose(image.to_gray(x), color.rgb2gray(x), atol=1e-6)


def test_uint8_round_trip_is_exact():
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(image.to_uint8(image.to_float(x)), x)


def test_resize_keeps_constants_and_orientation():
    flat = np.full((1, 8, 8, 3), 0.25, np.float32)
    np.testing.assert_allclose(image.resize(flat, (5, 11)), 0.25, atol=1e-6)
    ramp = np.broadcast_to(np.linspace(0, 1, 32)[:, None, None], (32, 16, 3)).astype(np.float32)
    small = image.resize(ramp[None], (8, 4))[0]
    assert small.shape == (8, 4, 3) and (np.diff(small[:, 0, 0]) > 0).all()


def test_enlarging_is_bilinear_as_scikit_image_does_it():
    x = pictures(1, 8, 6, 1, 1)
    ours = image.resize(x, (16, 12))[0, ..., 0]
    peer = transform.resize(x[0, ..., 0], (16, 12), order=1, mode='edge', anti_aliasing=False)
    np.testing.assert_allclose(ours, peer, atol=1e-5)


def test_image_statistics_tell_colour_place_and_orientation():
    x = np.zeros((2, 16, 16, 3), np.float32)
    x[0, :8, :, 0] = 1  # red above
    x[1, :, ::2] = 1  # vertical stripes
    s = image.image_statistics(x)
    assert s.shape == (2, 14) and s[0, 0] == 0.5 and s[0, 1] == 0
    assert s[0, 6] > 0 and s[0, 8] == 0
    y = np.zeros((1, 16, 16, 3), np.float32)
    y[:, :, 8:] = 1  # one vertical edge: horizontal gradients only
    assert image.image_statistics(y)[0, 10] > 0.01 and image.image_statistics(y)[0, 12] < 1e-6


def test_wrong_channels_are_refused():
    with pytest.raises(errors.DataInvalid, match=r'\(1, 4, 4, 2\)'):
        image.to_rgb(np.zeros((1, 4, 4, 2)))
