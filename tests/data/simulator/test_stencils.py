import numpy as np
import pytest

from recon.data.simulator import shapes, stencils


@pytest.mark.parametrize('category', shapes.CATEGORIES)
@pytest.mark.parametrize('side', [15, 36, 120])
def test_a_stencil_is_a_share_of_colour_rim_and_fixed_paint(category, side):
    recipe = stencils.stencil(category, side)
    coverage = recipe[..., 0]
    assert recipe.shape[2] == 6 and abs(recipe.shape[0] - side) <= 0.6 * side
    assert coverage.min() >= 0 and coverage.max() <= 1 + 1e-6
    assert coverage.max() == pytest.approx(1) and coverage.mean() > 0.1  # cards are full
    white = recipe[..., 1:3].sum(-1, keepdims=True) + recipe[..., 3:]
    assert (white <= coverage[..., None] + 1e-5).all()  # no brighter than what it covers
    colour = recipe[..., 1].sum() / coverage.sum()
    assert colour > 0.3  # its colour is to be seen


def test_categories_look_different():
    grey = {}
    for category in shapes.CATEGORIES:
        recipe = stencils.stencil(category, 32)
        canvas = np.zeros((40, 40), np.float32)
        h, w = recipe.shape[:2]
        canvas[:h, :w] = recipe[..., 1] + 0.3 * recipe[..., 3:].sum(-1)
        grey[category] = canvas.ravel()
    r = np.corrcoef(list(grey.values()))
    assert r[~np.eye(len(r), dtype=bool)].max() < 0.9


def test_edges_are_antialiased_and_colours_are_not_baked_in():
    coverage = stencils.stencil('ball', 40)[..., 0]
    assert ((coverage > 0.05) & (coverage < 0.95)).sum() > 40
    with pytest.raises(ValueError, match='read-only'):
        stencils.stencil('ball', 40)[0, 0] = 1


def test_words_and_letters_have_variants_and_shapes_stretch():
    for category in ('word', 'letter'):
        forms = {stencils.stencil(category, 32, 1.0, k).tobytes() for k in range(shapes.VARIANTS)}
        assert len(forms) == shapes.VARIANTS
    widths = [stencils.stencil('house', 40, s).shape[1] for s in shapes.STRETCHES]
    assert widths[0] < widths[1] < widths[2]
