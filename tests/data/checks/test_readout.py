import dataclasses

import numpy as np
import pytest

from recon.data.checks import readout
from tests.data import small


def test_held_out_predictions_are_those_of_ridge_whichever_side_is_longer():
    rng = np.random.default_rng(0)
    for n, v in ((30, 8), (20, 50)):
        x, y = rng.normal(size=(n, v)), rng.normal(size=(n, 3))
        fold = np.arange(n) % 5
        got = readout.held_out(x, y, fold)
        for k in range(5):
            a, b = x[fold != k], y[fold != k]
            alpha = a.size / min(a.shape)
            w = np.linalg.solve(a.T @ a + alpha * np.eye(v), a.T @ (b - b.mean(0)))
            np.testing.assert_allclose(got[fold == k], x[fold == k] @ w, atol=1e-6)


def test_responses_are_z_scored_within_runs_and_averaged_by_image():
    train = small.brain(0, repeats=2, runs=4).train
    loud = train.voxels + 100 * train.run[:, None]
    shown = np.unique(train.image_id)
    a = readout.responses(train, shown, np.arange(5))
    b = readout.responses(dataclasses.replace(train, voxels=loud), shown, np.arange(5))
    np.testing.assert_allclose(a, b, atol=1e-3)
    assert a.shape == (len(shown), 5) and abs(a.mean(0)).max() < 1e-5


def test_cells_hold_luminance_and_contrast_where_they_are():
    images = small.brain(0).images
    pictures = np.full((1, 32, 32, 1), 128, np.uint8)
    pictures[0, :8, 24:] = 0  # the upper right cell is black
    pictures[0, 24:, :8:2] = 255  # stripes in the lower left cell
    one = dataclasses.replace(images, ids=np.array([0]), read=lambda r: pictures[r], shape=(32, 32))
    cells = readout.cells(one, np.array([0]))[0].reshape(4, 4, 2)
    assert cells[0, 3, 0] < 0.01 < cells[0, 0, 0] and cells[3, 0, 1] > 0.2
    assert (np.delete(cells[..., 1].ravel(), 12) < 1e-6).all()


def say(name, entry):
    return f'{name} wins'


def judged(better, n=60, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.normal(0.1, 0.1, n)
    tried = [('a', before, before - 0.05), ('b', before, before + better)]
    return readout.judge(tried, before, rng, 'note', say)


def test_the_better_hypothesis_is_named_and_only_if_it_is_clear():
    assert judged(0.2)['warning'] == 'b wins'
    assert judged(-0.01)['warning'] is None
    assert [entry['better'] for entry in judged(0.2)['tried']] == [False, True]


def test_the_level_is_shared_by_the_hypotheses():
    rng = np.random.default_rng(3)
    before, other = rng.normal(size=(2, 200))
    wide, narrow = (
        readout.judge([('x', before, other)] * count, before, rng, '', say)['tried'][0]['ci95']
        for count in (8, 1)
    )
    assert wide[1] - wide[0] > 1.2 * (narrow[1] - narrow[0])
    exact = 2.326 * other.std() / np.sqrt(200)
    assert narrow[1] - narrow[0] == pytest.approx(2 * exact, rel=0.1)


def test_undefined_scores_are_left_out_in_pairs():
    before = np.full(40, 0.1)
    other = np.where(np.arange(40) < 10, np.nan, 0.3)
    found = readout.judge([('x', before, other)], before, np.random.default_rng(0), '', say)
    assert found['tried'][0]['n'] == 30
    found = readout.judge(
        [('x', before[:20], other[:20])], before, np.random.default_rng(0), 'n', say
    )
    assert found['tried'] == [] and found['note'].startswith('not applicable')


@pytest.mark.parametrize(
    ('name', 'early'),
    [
        *(('V1', 1), ('v2d', 1), ('prf-V1v', 1), ('prf/V1', 1), ('Kastner2015/V1v', 1)),
        *(('HCP_MMP1/V3', 1), ('V3A', 0), ('Kastner2015/V3a', 0), ('LHV1', 0), ('MV1', 0)),
    ],
)
def test_early_areas_are_known_with_and_without_their_atlas(name, early):
    assert bool(readout.EARLY.fullmatch(name)) == bool(early)


def test_small_pictures_have_the_same_cells_and_are_read_once():
    images, rows = small.brain(1).images, []
    counted = dataclasses.replace(images, read=lambda r: (rows.extend(r), images.read(r))[1])
    reduced = readout.small(counted)
    for ids in (np.array([3, 1, 3]), np.array([1, 4])):
        np.testing.assert_allclose(
            readout.cells(reduced, ids), readout.cells(images, ids), atol=1e-5
        )
    assert sorted(rows) == [1, 3, 4]
