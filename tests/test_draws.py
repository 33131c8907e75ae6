import json

import ml_collections
import numpy as np
import pytest

from recon import bag, draws, outputs
from recon.core import errors, results
from recon.metrics import paired
from tests import painters


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('draws')
    with pytest.MonkeyPatch.context() as patch:
        painters.plant(patch, folder)
        bag.run(painters.config(samples=3), folder / 'run')
        yield folder / 'run'


def test_further_samples_are_left_and_scored_beside_the_first(made):
    held = results.read(made)
    arrays, scores = held['arrays'], held['scores']
    drawn = [arrays['images'], arrays['stage_sample_1'], arrays['stage_sample_2']]
    assert all(np.abs(a - b).max() > 0.01 for a, b in ((drawn[0], drawn[1]), (drawn[1], drawn[2])))
    # Of the same decoded picture: only what the prior drew differs.
    assert np.abs(drawn[0] - drawn[2]).max() <= 0.2 + 1e-6
    for k in (1, 2):
        entry = scores['baselines'][f'sample_{k}']['mse']
        wrong = np.square(drawn[k] - arrays['truth']).mean()
        np.testing.assert_allclose(entry['mean'], wrong, rtol=1e-4)
    assert scores['agreement']['samples'] == 3 and 0 < scores['agreement']['mean'] < 1
    assert held['run']['protocol']['prior'] == ['prior'] and scores['protocol']['samples'] == 3


def test_what_the_prior_paints_alone_is_left_without_the_last_stage(made):
    arrays = results.read_arrays(made / 'reconstructions.npz')
    for name in paired.AGAINST:
        control = results.read_arrays(made / 'controls' / f'{name}.npz')
        assert control['images'].dtype == np.uint8 and len(control['images']) == 8
        np.testing.assert_array_equal(control['image_id'], arrays['image_id'])
        assert 'stage_prior' not in control and 'truth' not in control
    shuffled = results.read_arrays(made / 'controls' / 'shuffled_voxels.npz')
    assert shuffled['stage_low'].dtype == np.uint8


def test_paired_differences_stand_in_the_scores(made):
    held = json.loads((made / 'scores.json').read_text())
    assert list(held['differences']) == list(paired.AGAINST)
    found = held['differences']['zero_voxels']['mse']
    ours, theirs = (
        e['mse']['per_image'] for e in (held['scores'], held['baselines']['zero_voxels'])
    )
    np.testing.assert_allclose(found['mean'], np.mean(np.subtract(ours, theirs)), rtol=1e-6)
    assert found['ci95'][0] < found['mean'] < found['ci95'][1] and found['better'] == 'lower'


def test_captions_and_losses_of_generators_are_left(made):
    arrays = results.read_arrays(made / 'reconstructions.npz')
    assert arrays['captions'].dtype.kind == 'U' and len(arrays['captions']) == 8
    told = json.loads((made / 'decoder.json').read_text())
    curve = told['prior']['curves'][0]
    names = [line['name'] for line in curve['series']]
    assert names == ['mean of the test pictures', '10th percentile', '90th percentile']
    assert curve['series'][0]['y'][0] == pytest.approx(2 * 4.5)


def test_the_page_shows_what_is_the_brains(made):
    page = (made / 'report.html').read_text()
    for words in ('What is the brain', 'where they agree', 'Prior only', 'Agreement of samples'):
        assert words in page, words
    arrays = results.read_arrays(made / 'reconstructions.npz')
    assert f'“{arrays["captions"][0]}”' in page
    assert 'The generator paints a likely picture whatever it is given' in page


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'samples': 0}, 'samples is 0'),
        ({'samples': 2, 'generator': {'chain': ()}, 'metrics': ('mse',)}, 'no generator draws'),
        ({'generator': {'chain': ('low', 'vote')}}, 'it makes no picture: see cfg.vote'),
        ({'generator': {'chain': ('optimise',), 'optimise': {'over': 'zz'}}}, "'zz'.*'latents'"),
    ],
)
def test_samples_and_chains_that_cannot_be_are_refused(made, tmp_path, change, message):
    cfg = painters.config(**change)
    with pytest.raises(errors.ConfigError, match=message):
        bag.run(cfg, tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


def test_descending_over_pixels_is_no_prior():
    cfg = ml_collections.ConfigDict(
        {'generator': {'chain': ('vae', 'optimise'), 'vae': {}, 'optimise': {'over': 'pixels'}}}
    )
    assert draws.priors(cfg) == []
    cfg.generator.optimise.over = 'latents'
    assert draws.priors(cfg) == ['optimise']


def test_a_generator_that_makes_no_picture_has_no_stage():
    cfg = ml_collections.ConfigDict({'targets': {}})
    a, b = np.zeros((2, 4, 4, 3), np.float32), np.ones((2, 4, 4, 3), np.float32)
    decoded = {'stage_vae': a, 'stage_caption': a.copy(), 'stage_img2img': b}
    assert list(outputs.beside(cfg, decoded)) == ['stage_vae', 'stage_img2img']
