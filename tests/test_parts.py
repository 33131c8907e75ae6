import types

import ml_collections
import numpy as np
import pytest

from recon import parts


def config(targets=('z',), chain=('vae',), size=()):
    plain = {
        'targets': {name: {'size': (5, 6)} for name in targets},
        'generator': {'chain': chain, 'size': size} | {name: {'steps': 0} for name in chain},
        'decoder': {'name': 'ridge'},
    }
    return ml_collections.ConfigDict(plain)


@pytest.mark.parametrize(
    ('targets', 'chain', 'answer', 'size'),
    [
        (('z', 'pixels'), (), 'images', (5, 6)),
        (('z',), ('vae',), 'images', (7, 8)),
        (('c', 'z'), (), 'c', (7, 8)),
    ],
)
def test_a_run_answers_with_pictures_where_it_can_make_any(targets, chain, answer, size):
    cfg = config(targets, chain, (7, 8))
    assert parts.answer(cfg) == answer and parts.picture_size(cfg) == size


def test_a_generator_that_need_not_be_trained_says_whether_it_is_wanted(monkeypatch):
    choosy = types.SimpleNamespace(fit=len, wanted=lambda options: options.steps > 0)
    tasks = {'painter': choosy, 'trained': types.SimpleNamespace(fit=len)}
    monkeypatch.setattr(parts, 'task', tasks.get)
    cfg = config(chain=('vae', 'painter', 'trained'))
    assert parts.names(cfg) == ('z', 'trained')
    cfg.generator.painter.steps = 3
    assert parts.names(cfg) == ('z', 'painter', 'trained')


def test_what_generators_made_is_taken_out_and_the_rest_is_left():
    held = {'voxels': 0, 'z': 1, 'images': 2, 'captions': 3, 'stage_vae': 4, 'curve_x': 5}
    left = parts.without_made(config(), held | {'stage_of_decoder': 6})
    assert left == {'voxels': 0, 'z': 1, 'stage_of_decoder': 6}


def test_importance_is_unknown_where_a_decoder_does_not_look():
    seen = np.array([True, False, True, False])
    told = parts.of_areas({'importance': np.array([2.0, 3.0]), 'facts': {'a': 1}}, seen, ('V1',))
    np.testing.assert_array_equal(told['importance'], np.array([2, np.nan, 3, np.nan], np.float32))
    assert told['facts'] == {'areas': 'V1', 'voxels': 2, 'a': 1}
    assert parts.of_areas({}, seen, ('V1',)) == {'facts': {'areas': 'V1', 'voxels': 2}}


def test_a_controls_fit_has_a_log_of_its_own():
    rows = np.arange(3)
    assert parts.variant(voxels=None, rows=None, shuffle=False) == ''
    named = {parts.variant(rows=rows), parts.variant(rows=rows + 1), parts.variant(shuffle=True)}
    assert len(named) == 3 and '' not in named
