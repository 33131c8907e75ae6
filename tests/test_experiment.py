import types

import jax
import ml_collections
import numpy as np
import pytest

from recon import experiment
from recon.core import image
from recon.core import types as data

SPEC = dict(net='image', layer='pixels', size=(), standardise=False)


def images(m, seed=0, size=(12, 10)):
    pictures = np.random.default_rng(seed).random((m, *size, 3)).astype(np.float32)
    return data.Images(np.arange(m), pictures.__getitem__, size), pictures


def made(targets, m=9, n=20, seed=0):
    shown, pictures = images(m, seed)
    rng = np.random.default_rng(seed)
    train = data.Split(rng.random((n, 4), dtype=np.float32), rng.integers(0, m - 2, n))
    test = data.Split(rng.random((2, 4), dtype=np.float32), np.array([m - 1, m - 2]))
    cfg = ml_collections.ConfigDict(
        dict(
            targets={k: SPEC | v for k, v in targets.items()},
            decoder=dict(name='ridge'),
            generator=dict(chain=(), size=()),
            seed=0,
        )
    )
    rois = {'V1': np.array([True, True, False, False]), 'V2': np.array([False, True, True, False])}
    brain = data.BrainData(train, test, shown, rois=rois)
    return experiment.Experiment(cfg, brain, jax.random.key(0)), pictures


@pytest.mark.parametrize(('size', 'seed'), [((), 0), ((5, 7), 1)])
def test_the_truth_of_pictures_is_each_rows_own_picture(size, seed):
    this, pictures = made({'pixels': {'size': size}}, seed=seed)
    wanted = pictures[this.brain.test.image_id]
    wanted = image.resize(wanted, size) if size else wanted
    np.testing.assert_array_equal(this.truth(this.brain.test), wanted)
    assert this.answer == 'images'


def test_standardised_values_have_mean_0_and_spread_1_over_the_distinct_training_images():
    this, pictures = made({'stats': {'layer': 'image_statistics', 'standardise': True}}, m=30, n=80)
    own = this.values('stats', this.train_ids)
    np.testing.assert_allclose(own.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(own.std(0), 1, atol=1e-3)
    raw = image.image_statistics(pictures)
    seen = raw[this.train_ids]
    wanted = (raw[[29, 28]] - seen.mean(0)) / seen.std(0)
    np.testing.assert_allclose(this.truth(this.brain.test), wanted, rtol=1e-3, atol=1e-3)
    assert this.answer == 'stats' and this.target('stats').shape == (80, 14)


def test_statistics_have_a_name_each():
    assert len(image.STATISTICS) == image.image_statistics(np.zeros((1, 8, 8, 3))).shape[1]


def test_shuffled_rows_are_fitted_to_other_rows_targets(monkeypatch):
    this, _ = made({'pixels': {}}, n=40, m=40)
    seen = {}
    fake = types.SimpleNamespace(fit=lambda cfg, x, y, *a, **k: seen.update(x=x, y=y))
    monkeypatch.setattr(experiment.Experiment, 'decoder', fake)
    this.fit('pixels')
    whole = seen['y']
    this.fit('pixels', rows=np.arange(10), shuffle=True)
    assert seen['x'].shape == (10, 4)
    assert sorted(map(tuple, seen['y'].reshape(10, -1))) == sorted(
        map(tuple, whole[:10].reshape(10, -1))
    )
    assert not np.array_equal(seen['y'], whole[:10])


def test_training_pictures_are_read_once_however_often_a_target_is_learned(monkeypatch):
    this, _ = made({'pixels': {'size': (4, 4)}, 'stats': {'layer': 'image_statistics'}})
    asked, whole = [], data.Images.__getitem__
    monkeypatch.setattr(
        data.Images, '__getitem__', lambda images, ids: asked.append(len(ids)) or whole(images, ids)
    )
    first = [this.target('pixels'), this.target('stats')]
    np.testing.assert_array_equal(this.train_answers, this.true_answers(this.train_ids))
    seen = len(asked)
    again = [this.target('pixels'), this.target('stats')]
    assert len(asked) == seen
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_finished_run_gives_targets_their_units_back_without_the_recording(monkeypatch):
    this, _ = made({'stats': {'layer': 'image_statistics', 'standardise': True}}, m=30, n=80)
    scales = this.scales()
    assert set(scales) == {'centre/stats', 'spread/stats'}
    seen = []

    def generate(options, params, decoded, key):
        seen.append(decoded['stats'])
        return decoded | {'images': np.zeros((2, 4, 4, 3), np.float32)}

    fake = types.SimpleNamespace(
        generate=generate,
        load=lambda options, zoo: None,
        predict=lambda options, params, x: np.ones((2, 14), np.float32),
    )
    monkeypatch.setattr(experiment.Experiment, 'decoder', fake)
    monkeypatch.setattr(experiment.Experiment, '_generator', lambda self, name: (fake, {}))
    with this.cfg.unlocked():
        this.cfg.generator.chain, this.cfg.zoo = ('made',), {}
    alone = experiment.Experiment(this.cfg, None, this.key, kept_scales=scales)
    for one in (this, alone):
        one.decode({'stats': {}}, np.zeros((2, 4), np.float32))
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_allclose(seen[0][0], scales['centre/stats'] + scales['spread/stats'], 1e-6)


def areas_of_z(areas=('V1',), **more):
    own = {'decoder': {'penalties': (1.0,)}}
    return made({'z': {'layer': 'image_statistics', 'areas': areas} | own | more}, n=40)[0]


@pytest.mark.parametrize(('areas', 'seen'), [(('V1',), [0, 1]), (('V1+V2',), [0, 1, 2])])
def test_a_targets_decoder_sees_the_voxels_of_its_areas_alone(areas, seen):
    this = areas_of_z(areas)
    fitted = {'z': this.fit('z')}
    rows = this.brain.test.voxels
    answers = this.decode(fitted, rows)['z']
    for voxel in range(4):
        moved = rows.copy()
        moved[:, voxel] += 1
        same = np.array_equal(this.decode(fitted, moved)['z'], answers)
        assert same == (voxel not in seen), voxel
    told = this.describe('z', fitted['z'])
    assert told['facts']['voxels'] == len(seen) and told['facts']['areas'] == ', '.join(areas)
    assert np.flatnonzero(np.isfinite(told['importance'])).tolist() == seen


def test_a_run_on_one_area_refits_a_target_on_that_area_whatever_its_own():
    this, mask = areas_of_z(('V1',)), np.array([False, False, True, True])
    params = this.fit('z', voxels=mask)
    answers = this.decode({'z': params}, this.brain.test.voxels[:, mask])['z']
    everywhere = areas_of_z(())
    wanted = everywhere.fit('z', voxels=mask)
    np.testing.assert_array_equal(
        answers, everywhere.decode({'z': wanted}, this.brain.test.voxels[:, mask])['z']
    )


def test_what_a_target_is_fitted_from_is_in_its_fingerprint():
    digests = {
        areas_of_z(*given, **more).fingerprint('z')
        for given, more in (
            ([('V1',)], {}),
            ([('V2',)], {}),
            ([()], {}),
            ([('V1',)], {'decoder': {'penalties': (3.0,)}}),
            ([('V1',)], {'decoder': {'name': 'omp'}}),
        )
    }
    assert len(digests) == 5
    assert areas_of_z(('V1',)).fingerprint('z') in digests


def test_a_target_may_have_another_decoder_than_the_rest():
    rows = areas_of_z(()).brain.test.voxels
    plain = areas_of_z(())
    usual = plain.predict('z', plain.fit('z'), rows)
    strong = areas_of_z((), decoder={'penalties': (1e9,)})
    flat = strong.predict('z', strong.fit('z'), rows)
    assert flat.std(0).max() < 1e-3 < usual.std(0).max()
    other = areas_of_z((), decoder={'name': 'none'})
    np.testing.assert_array_equal(other.predict('z', other.fit('z'), rows), rows)


def drawing(monkeypatch, trained=()):
    """An experiment whose generator adds noise to a target, and the parameters that it is given."""
    this, _ = made({'stats': {'layer': 'image_statistics', 'standardise': True}}, m=30, n=80)
    given = []

    def generate(options, params, decoded, key):
        assert 'images' not in decoded
        given.append(params)
        noise = 1e-3 * jax.random.uniform(key, (len(decoded['stats']), 2, 2, 3))
        pictures = 0.5 + 1e-3 * decoded['stats'][:, :1, None, None] + np.asarray(noise)
        return decoded | {'images': pictures, 'captions': np.array(['a'] * len(pictures))}

    fake = types.SimpleNamespace(generate=generate, load=lambda options, zoo: {'net': 1, 'lora': 0})
    monkeypatch.setattr(experiment.Experiment, '_generator', lambda self, name: (fake, {}))
    monkeypatch.setattr(experiment.parts, 'is_trained', lambda cfg, name: name in trained)
    with this.cfg.unlocked():
        this.cfg.generator.chain, this.cfg.zoo = ('made',), {}
    return this, given


def test_samples_are_other_draws_from_what_was_decoded_once(monkeypatch):
    this, _ = drawing(monkeypatch)
    decoded = this.decode({'stats': this.fit('stats')}, this.brain.test.voxels)
    again = this.generate({}, decoded)
    np.testing.assert_array_equal(again['images'], decoded['images'])
    other, third = (this.generate({}, decoded, sample=k) for k in (1, 2))
    assert not np.array_equal(other['images'], decoded['images'])
    assert not np.array_equal(other['images'], third['images'])
    np.testing.assert_array_equal(other['stats'], decoded['stats'])
    assert np.abs(other['images'] - decoded['images']).max() < 2e-3, 'in the same units'


def test_a_generator_that_was_fine_tuned_has_its_nets_and_what_was_fitted(monkeypatch):
    this, given = drawing(monkeypatch)
    this.decode({'stats': this.fit('stats')}, this.brain.test.voxels)
    assert given[-1] == {'net': 1, 'lora': 0}
    this, given = drawing(monkeypatch, trained=('made',))
    fitted = {'stats': this.fit('stats'), 'made': {'lora': 5}}
    this.decode(fitted, this.brain.test.voxels)
    assert given[-1] == {'net': 1, 'lora': 5}
