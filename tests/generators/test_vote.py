import ml_collections
import numpy as np
import pytest

from recon.core import errors
from recon.generators import vote


def turned(degrees):
    """[... 2]: vectors of length 3 at these angles."""
    angle = np.deg2rad(np.asarray(degrees, float))
    return 3 * np.stack([np.cos(angle), np.sin(angle)], -1)


def test_the_member_that_is_most_like_its_own_low_level_picture_wins():
    refined = turned([[0, 0, 0], [50, 50, 50]])
    low = turned([[10, 60, 90], [90, 60, 51]])
    member, cosine = vote.choose(refined, low)
    assert member.tolist() == [0, 1, 1]
    np.testing.assert_allclose(cosine, np.cos(np.deg2rad([[10, 60, 90], [40, 10, 1]])), atol=1e-12)


def test_the_member_that_is_most_like_the_decoded_vector_wins_and_of_equals_the_first():
    refined = turned([[0, 0, 20], [30, 30, 20]])
    member, cosine = vote.choose(refined, turned([5, 29, 90]))
    assert member.tolist() == [0, 1, 0]
    np.testing.assert_allclose(cosine[:, 0], np.cos(np.deg2rad([5, 25])))


def test_the_size_of_a_vector_has_no_vote():
    refined = np.stack([turned([10]) * 100, turned([5])])
    assert vote.choose(refined, turned([0]))[0].tolist() == [1]


def test_a_picture_without_a_direction_does_not_win():
    refined = np.stack([turned([170, 0]), np.zeros((2, 2))])
    member, cosine = vote.choose(refined, turned([0, 0]))
    assert member.tolist() == [0, 0] and np.isnan(cosine[1]).all()


def test_the_decoded_vector_is_the_mean_over_members():
    said = np.array([[[1.0, 0], [2, 2]], [[0, 1.0], [0, 0]]])
    np.testing.assert_allclose(vote.decoded(said), [[0.5, 0.5], [1, 1]])


def test_equal_pictures_have_equal_vectors_and_others_do_not():
    random = np.random.default_rng(0)
    images = random.random((2, 32, 32, 3)).astype(np.float32)
    seen = vote.vectors(images[[0, 0, 1]], 'tiny/clip', {'path': '', 'dtype': 'float32'})
    np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)
    assert seen.ndim == 2 and vote.cosines(seen[0], seen[2]) < 0.9999


def member(**more):
    one = {'generator': {'chain': ('vae', 'img2img')}, 'targets': {'z_clip': {'net': 'tiny/clip'}}}
    return ml_collections.ConfigDict(one | {'zoo': {'path': ''}} | more)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'rule': 'best'}, "vote.rule is 'best'.*mean, own, decoded"),
        ({'rule': 'own', 'low': 'img2img'}, 'paints nothing that is refined'),
        ({'rule': 'own', 'low': 'vea'}, "vote.low is 'vea'"),
        ({'rule': 'decoded', 'target': 'z'}, "vote.target is 'z'.*there are: z_clip"),
    ],
)
def test_a_vote_that_cannot_be_is_refused(change, message):
    with pytest.raises(errors.ConfigError, match=message):
        vote.check(ml_collections.ConfigDict(vote.DEFAULTS | change), member())


def test_a_target_that_is_no_picture_in_a_net_has_no_vote():
    cfg = ml_collections.ConfigDict(vote.DEFAULTS | {'rule': 'decoded', 'target': 'c'})
    targets = {'c': {'net': 'tiny/text_encoder', 'of': 'captions'}}
    with pytest.raises(errors.ConfigError, match="vote.target is 'c'"):
        vote.check(cfg, member(targets=targets))


def test_every_rule_can_be_asked_for():
    for rule in vote.RULES:
        vote.check(ml_collections.ConfigDict(vote.DEFAULTS | {'rule': rule}), member())


def test_a_net_that_is_not_there_is_named_before_anything_runs():
    cfg = ml_collections.ConfigDict(vote.DEFAULTS | {'rule': 'own', 'net': 'tiny/clipp'})
    with pytest.raises(errors.UserError, match='tiny/clipp'):
        vote.check(cfg, member())
