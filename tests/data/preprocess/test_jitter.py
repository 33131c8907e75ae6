import numpy as np
import pytest
from PIL import Image

from recon.core import errors
from recon.data.preprocess import jitter


def pictures(n=40, size=8):
    random = np.random.default_rng(0)
    return random.integers(0, 256, (n, size, size, 3), np.uint8)


def test_each_result_is_a_piece_of_the_enlarged_picture_mirrored_in_half_of_the_cases():
    shown = pictures()
    rows, columns = jitter.draw(np.random.default_rng(1), 40, 8, 2.0)
    results = jitter.cut(shown, rows, columns)
    mirrored, places = 0, set()
    for picture, result in zip(shown, results, strict=True):
        large = np.asarray(Image.fromarray(picture).resize((16, 16), Image.Resampling.NEAREST))
        found = [
            (i, j, turned)
            for i in range(9)
            for j in range(9)
            for turned in (False, True)
            if np.array_equal(large[i : i + 8, j : j + 8][:, :: -1 if turned else 1], result)
        ]
        assert len(found) == 1
        mirrored += found[0][2]
        places.add(found[0][:2])
    assert 8 < mirrored < 32
    assert len(places) > 12


def test_a_pair_is_jittered_alike():
    shown = pictures()
    chosen = jitter.draw(np.random.default_rng(1), 40, 8)
    np.testing.assert_array_equal(
        jitter.cut(255 - shown, *chosen), 255 - jitter.cut(shown, *chosen)
    )


def test_without_enlarging_and_mirror_pictures_stay():
    chosen = jitter.draw(np.random.default_rng(1), 40, 8, 1.0, mirror=False)
    np.testing.assert_array_equal(jitter.cut(pictures(), *chosen), pictures())


def test_in_the_order_of_preprocessing_it_says_where_it_belongs():
    with pytest.raises(errors.ConfigError, match=r'generator\.pix2pix\.jitter'):
        jitter.fit({}, None)
