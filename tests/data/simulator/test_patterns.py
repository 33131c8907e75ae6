import numpy as np
import pytest

from recon.core import errors
from recon.data.simulator import patterns


def test_there_are_twenty_distinct_figures_in_sets_of_five():
    figures = patterns.figures()
    names = list(figures)
    assert names[:5] == ['square', 'small_frame', 'plus', 'X', 'large_frame']
    for start, style in ((5, 'thin'), (10, 'long'), (15, 'normal')):
        assert names[start : start + 5] == [f'{letter}_{style}' for letter in 'neuro']
    assert len({figure.tobytes() for figure in figures.values()}) == 20
    for figure in figures.values():
        assert figure.shape == (10, 10) and figure.dtype == np.uint8
        assert set(np.unique(figure)) == {0, 1}


def test_figures_are_what_their_names_say():
    figures = patterns.figures()
    for name in ('square', 'small_frame', 'plus', 'X', 'large_frame', 'o_normal'):
        np.testing.assert_array_equal(figures[name], figures[name][:, ::-1])
        np.testing.assert_array_equal(figures[name], figures[name].T)
    np.testing.assert_array_equal(figures['u_normal'], figures['n_normal'][::-1])
    assert figures['large_frame'].sum() == 28 and figures['small_frame'].sum() == 20


def test_random_patterns_are_distinct_balanced_and_seeded():
    a = patterns.random(440, np.random.default_rng(3))
    np.testing.assert_array_equal(a, patterns.random(440, np.random.default_rng(3)))
    assert (a != patterns.random(440, np.random.default_rng(4))).any()
    assert a.shape == (440, 10, 10) and len({p.tobytes() for p in a}) == 440
    assert abs(a.mean() - 0.5) < 0.02
    assert patterns.random(0, np.random.default_rng(0)).shape == (0, 10, 10)
    with pytest.raises(errors.ConfigError, match='-1 patterns'):
        patterns.random(-1, np.random.default_rng(0))


def test_pictures_show_white_patches_on_grey():
    shown = patterns.pictures(patterns.figures()['plus'][None], patch=4)
    assert shown.shape == (1, 40, 40, 3) and shown.dtype == np.float32
    np.testing.assert_array_equal(shown[0, ::4, ::4, 0] == 1, patterns.figures()['plus'] == 1)
    assert set(np.unique(shown)) == {0.5, 1.0}
