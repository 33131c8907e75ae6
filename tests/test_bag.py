import json

import numpy as np
import pytest

from launch import decode, main, options
from recon import bag, pipeline
from recon.core import errors, image, results
from recon.data.datasets import digits69, simulated
from recon.data.layouts import digits69 as layout
from recon.generators import vote
from recon.metrics import paired
from tests import painters

MEMBERS = {
    'all': {'decoder': {'penalties': (10.0, 100.0)}},
    'few': {
        'preprocess': {'order': ('normalise', 'select'), 'select': {'by': 'f', 'k': 50}},
    },
}


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    folder = layout.write(tmp_path_factory.mktemp('bag') / 'digits', scale='toy', seed=0)
    return next(folder.glob('*.mat'))


def config(file, members):
    words = options.Arguments(options.find_config('digits69_ridge'), f'path={file}', None, {})
    cfg = options.load(words)
    cfg.update(draws=50, permutations=5, baselines=('mean_image',), learning_curve=())
    cfg.score_train = False
    cfg.members = members
    return cfg


@pytest.fixture(scope='module')
def made(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run') / 'bag'
    bag.run(config(file, MEMBERS), folder)
    return folder


def test_members_are_whole_runs_and_the_bag_is_their_mean(made):
    held = [results.read(made / 'members' / name) for name in MEMBERS]
    own = results.read(made)
    pictures = [one['arrays']['images'] for one in held]
    assert np.abs(pictures[0] - pictures[1]).max() > 0.05
    np.testing.assert_allclose(own['arrays']['images'], np.mean(pictures, 0), atol=1e-6)
    np.testing.assert_array_equal(own['arrays']['stage_member_few'], pictures[1])
    scores = own['scores']
    for name, one in zip(MEMBERS, held, strict=True):
        means = {key: entry['mean'] for key, entry in one['scores']['scores'].items()}
        assert scores['members'][name] == means
        assert one['run']['status'] == 'done' and not one['config']['members']
    assert scores['scores']['mse']['mean'] < max(m['mse'] for m in scores['members'].values())
    assert set(scores['baselines']) == {'mean_image'} and own['run']['protocol']
    assert held[1]['config']['preprocess']['select']['k'] == 50
    assert 'Member' in (made / 'report.html').read_text()


def test_the_same_again_changes_nothing(made, file):
    before = {p: p.stat().st_mtime_ns for p in made.rglob('*')}
    bag.run(config(file, MEMBERS), made)
    assert {p: p.stat().st_mtime_ns for p in made.rglob('*')} == before


def test_a_bag_decodes_new_scans_with_all_its_members(made, file, tmp_path):
    test = digits69.load({'path': str(file)}).test
    np.savez(tmp_path / 'a.npz', voxels=test.voxels, image_id=test.image_id)
    words = [f'--run={made}', f'--voxels={tmp_path / "a.npz"}', f'--out={tmp_path / "out"}']
    assert decode.main(words) == 0
    now, before = (results.read_arrays(f / 'reconstructions.npz') for f in (tmp_path / 'out', made))
    for name in ('images', 'stage_member_all', 'stage_member_few', 'image_id'):
        np.testing.assert_allclose(now[name], before[name], atol=1e-6)


@pytest.mark.parametrize(
    ('members', 'message'),
    [
        ({'a': {'seed': 3}}, 'members.a has seed .*share data, split'),
        ({'a': {'decoder': {'penaltys': 3}}}, 'unknown key decoder.penaltys'),
        ({'a': {'decoder': {'name': 'ridgee'}}}, 'ridge'),
    ],
)
def test_members_that_cannot_be_are_refused_before_anything_is_written(
    file, tmp_path, members, message
):
    with pytest.raises(errors.ConfigError, match=message):
        bag.run(config(file, members), tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


def test_data_that_are_missing_leave_no_folder(tmp_path):
    cfg = config('/nowhere/x.mat', MEMBERS)
    with pytest.raises(errors.DataMissing):
        bag.run(cfg, tmp_path / 'a')
    assert not (tmp_path / 'a').exists()


VOTERS = {
    'few': {'preprocess': {'order': ('normalise', 'select'), 'select': {'by': 'ncsnr', 'k': 20}}},
    'all': {'generator': {'prior': {'noise': 0.6}}},
    'half': {'decoder': {'penalties': (1e5,)}},
}


def voting(folder, patch, members, vote, **more):
    painters.plant(patch, folder)
    cfg = painters.config(members=members, vote=vote, **more)
    cfg.targets.z_clip = dict(net='tiny/clip', layer='image_embeds')
    bag.run(cfg, folder / 'run')
    return folder / 'run'


@pytest.fixture(scope='module')
def voted(tmp_path_factory):
    folder = tmp_path_factory.mktemp('vote')
    with pytest.MonkeyPatch.context() as patch:
        more = dict(score_train=True, train_scored=14, baselines=('mean_image', *paired.AGAINST))
        yield voting(folder, patch, VOTERS, {'rule': 'own', 'low': 'low'}, **more)


def seen(images):
    return vote.vectors(image.to_float(images), 'tiny/clip', {'path': '', 'dtype': 'float32'})


def test_members_stand_in_the_order_of_their_numbers():
    cfg = painters.config(members={'100': {}, '92': {}, '94': {}})
    assert bag.names(cfg) == ['92', '94', '100']


@pytest.mark.long
def test_each_picture_is_that_of_the_member_most_like_its_own_low_level_picture(voted):
    own = results.read(voted)
    arrays, names = own['arrays'], sorted(VOTERS)
    members = [results.read(voted / 'members' / name)['arrays'] for name in names]
    cosine = np.stack(
        [vote.cosines(seen(one['images']), seen(one['stage_low'])) for one in members], 1
    )
    np.testing.assert_allclose(arrays['vote_cosine'], cosine, atol=1e-4)
    best = cosine.argmax(1)
    np.testing.assert_array_equal(arrays['vote_choice'], best)
    for row, k in enumerate(best):
        np.testing.assert_array_equal(arrays['images'][row], members[k]['images'][row])
        assert own['scores']['vote'][str(arrays['image_id'][row])] == names[k]
    for k, name in enumerate(names):
        np.testing.assert_array_equal(arrays[f'stage_low_{name}'], members[k]['stage_low'])
        found = own['scores']['members'][name]['low_cosine_tiny_clip']
        truth = vote.cosines(seen(members[k]['stage_low']), seen(arrays['truth']))
        assert found == pytest.approx(truth.mean(), abs=1e-4)


@pytest.mark.long
def test_controls_and_training_images_go_through_the_same_vote(voted):
    held = results.read(voted)['scores']
    assert set(held['baselines']) == {'mean_image', *paired.AGAINST}
    assert list(held['differences']) == list(paired.AGAINST)
    folders = [voted / 'members' / name for name in sorted(VOTERS)]
    silent = [results.read_arrays(f / 'controls' / 'zero_voxels.npz') for f in folders]
    cosine = [vote.cosines(seen(one['images']), seen(one['stage_low'])) for one in silent]
    chosen = [image.to_float(silent[k]['images'])[i] for i, k in enumerate(np.argmax(cosine, 0))]
    truth = results.read_arrays(voted / 'reconstructions.npz')['truth']
    wrong = np.square(np.stack(chosen) - truth).mean()
    assert held['baselines']['zero_voxels']['mse']['mean'] == pytest.approx(wrong, rel=1e-4)
    assert held['scores_train']['mse']['n'] == 14 and set(held['members_train']) == set(VOTERS)


@pytest.mark.long
def test_new_scans_go_through_the_vote_too(voted, tmp_path):
    test = simulated.load(painters.config().dataset.to_dict()).test
    np.savez(tmp_path / 'a.npz', voxels=test.voxels, image_id=test.image_id)
    words = [f'--run={voted}', f'--voxels={tmp_path / "a.npz"}', f'--out={tmp_path / "out"}']
    assert decode.main(words) == 0
    now, before = (
        results.read_arrays(f / 'reconstructions.npz') for f in (tmp_path / 'out', voted)
    )
    for name in ('images', 'stage_member_half', 'stage_low_all'):
        np.testing.assert_allclose(now[name], before[name], atol=1e-4)


@pytest.mark.long
def test_the_page_of_a_vote_shows_every_member_and_marks_the_chosen(voted):
    page = (voted / 'report.html').read_text()
    assert page.count('<figure class="chosen">') == 8
    for words in ('The vote', 'Pictures won', 'low-level picture, cosine similarity', 'half'):
        assert words in page, words


@pytest.mark.long
def test_by_the_decoded_vector_a_picture_is_like_what_the_brain_said(tmp_path, monkeypatch):
    two = {name: VOTERS[name] for name in ('all', 'half')}
    run = voting(tmp_path, monkeypatch, two, {'rule': 'decoded'}, baselines=('mean_image',))
    arrays = results.read_arrays(run / 'reconstructions.npz')
    members = [results.read_arrays(run / 'members' / n / 'reconstructions.npz') for n in two]
    said = np.mean([one['z_clip_pred'] for one in members], 0)
    cosine = np.stack([vote.cosines(seen(one['images']), said) for one in members], 1)
    np.testing.assert_array_equal(arrays['vote_choice'], cosine.argmax(1))
    assert 'low_cosine_tiny_clip' not in results.read(run)['scores']['members']['half']


def test_without_members_it_is_the_experiment_itself(file, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pipeline, 'run', lambda *given: asked.append(given) or 'page')
    assert bag.run(config(file, {}), tmp_path, shared='x') == 'page'
    assert asked[0][1:] == (tmp_path, asked[0][2], 'x') and not asked[0][0].members
    assert main.main(['--config=configs/digits69_ridge.py', f'--workdir={tmp_path}']) == 0
    assert len(asked) == 2 and json.dumps(asked[1][0].to_dict())
