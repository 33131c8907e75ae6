import pytest

from recon.core import errors
from recon.metrics import naming


@pytest.mark.parametrize(
    ('name', 'kind', 'feature', 'k'),
    [
        ('pixcorr', 'pixcorr', None, None),
        ('two_way_pixel', 'two_way', 'pixel', None),
        ('two_way_takagi_tiny_clip', 'two_way_takagi', 'tiny_clip', None),
        ('nway50_pixel', 'nway', 'pixel', 50),
        ('brain_to_image_top5', 'brain_to_image', None, 5),
    ],
)
def test_a_name_is_taken_apart(name, kind, feature, k):
    parsed = naming.parse(name, {'tiny_clip': None})
    assert (parsed.kind, parsed.feature, parsed.k) == (kind, feature, k)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('pixcor', 'does not exist.*pixcorr'),
        ('two_way_clip', 'has no net.*features that exist: pixel'),
        ('f1_macro', 'scored from labels'),
        ('first_label_accuracy', 'scored from labels'),
        ('brain_to_image_top3', 'does not exist'),
    ],
)
def test_a_name_that_cannot_be_scored_says_what_can(name, message):
    with pytest.raises(errors.ConfigError, match=message):
        naming.check([name])


def test_sizes_and_counts_are_checked_before_any_work():
    with pytest.raises(errors.ConfigError, match='ssim'):
        naming.check(['ssim'], size=(10, 10))
    with pytest.raises(errors.ConfigError, match='among 50 images, there are 20'):
        naming.check(['nway50_pixel'], n=20)
    naming.check(['ssim', 'nway20_pixel'], n=20, size=(11, 11))


def test_no_name_and_a_name_given_twice_are_refused():
    with pytest.raises(errors.ConfigError, match='metrics is empty.*names that exist: pixcorr'):
        naming.check(())
    with pytest.raises(errors.ConfigError, match='metrics names mse twice'):
        naming.check(['mse', 'ssim', 'mse'])


def test_names_tell_which_nets_they_ask_for():
    names = ('pixcorr', 'two_way_takagi_clip', 'corrdist_clip', 'nway5_swav', 'lpips_vgg')
    assert naming.features(names) == ('clip', 'swav', 'lpips_vgg')
    assert naming.features(('two_way_pixel', 'brain_to_image_top1')) == ()
    assert naming.features(('image_to_brain_top5',), retrieval='clip') == ('clip',)
    assert naming.features(('no_such_name', 'f1_macro')) == ()


def test_a_net_that_compares_is_no_feature():
    nets = ('clip', 'lpips_alex')
    assert naming.parse('lpips_alex', nets) == naming.Name('lpips', 'lpips_alex')
    for name in ('two_way_lpips_alex', 'lpips_clip', 'lpips_vgg'):
        with pytest.raises(errors.ConfigError, match='has no net'):
            naming.parse(name, nets)
    with pytest.raises(errors.ConfigError, match='needs 32 pixels a side, pictures have 31 x 64'):
        naming.check(('lpips_alex',), nets, size=(31, 64))
