"""What is stated beside `:smoke` and `:small` holds."""

import pytest

from launch import options, small
from recon import pipeline


def load(name, words, **overrides):
    return options.load(options.Arguments(options.find_config(name), words, None, overrides))


@pytest.mark.parametrize(
    ('name', 'words', 'key', 'value'),
    [
        ('simulated_mlp', 'smoke,width=512', 'decoder.width', 512),  # the default too
        ('simulated_mlp', 'epochs=30,smoke', 'decoder.epochs', 30),
        ('simulated_mlp', 'smoke=true,width=96', 'decoder.width', 96),
        ('simulated_mlp', 'smoke=false,width=96', 'decoder.epochs', 30),
        ('nsd_mlp', 'small,net=sd15/vae,size=512', 'generator.vae.net', 'sd15/vae'),
        ('nsd_mlp', 'small,net=sd15/vae,size=512', 'targets.vae.size', (512, 512)),
        ('simulated_pix2pix', 'smoke,size=64', 'generator.size', (64, 64)),
        ('simulated_pix2pix', 'small,width=32', 'generator.pix2pix.width', 32),
        ('simulated_shen_gan', 'smoke,steps=40,rois=V1', 'decoder.steps', 40),
        ('shen2019_gan', 'small,comparator=vgg16', 'decoder.comparator', 'vgg16'),
        ('simulated_labels', 'small,n_train=60', 'dataset.n_train', 60),
        ('algonauts2023_mlp_members', 'smoke,epochs=9', 'decoder.epochs', 9),
    ],
)
def test_an_option_that_is_stated_is_not_made_smaller(name, words, key, value):
    cfg = load(name, words)
    for part in key.split('.'):
        cfg = cfg[part]
    assert cfg == value


def test_what_is_not_stated_is_made_smaller_all_the_same():
    cfg, plain = load('simulated_mlp', 'smoke,width=512'), load('simulated_mlp', 'smoke')
    assert cfg.decoder.width != plain.decoder.width
    plain.decoder.width = cfg.decoder.width
    assert cfg == plain
    # The number of epochs follows from the net here, and is not what was stated.
    assert load('simulated_cnn', 'smoke,system=cnn1d').decoder.epochs == 2
    assert load('simulated_pix2pix', 'smoke,condition=both').generator.pix2pix.epochs == 2


def test_settings_that_were_put_in_are_taken_out_again():
    usual, told = (load('simulated_pix2pix', f'small{more}') for more in ('', ',quick=false'))
    assert usual.generator.pix2pix.dropout == 0 and 'dropout' not in told.generator.pix2pix
    assert told.generator.pix2pix.epochs == usual.generator.pix2pix.epochs


def test_a_path_that_is_stated_is_read():
    for name in ('nsd_mlp', 'nsd_labels', 'shen2019_gan', 'god_ridge', 'digits69_gan'):
        assert load(name, 'smoke').layout
        cfg = load(name, 'smoke,path=/x')
        assert cfg.layout == '' and cfg.dataset.path == '/x'
    assert load('nsd_mlp', 'smoke', **{'dataset.path': '/x'}).layout == ''
    assert (
        load('shen2019_gan', 'smoke,path=/x').decoder.gain
        > load('shen2019_gan', 'smoke').decoder.gain
    )
    words = options.Arguments(
        options.find_config('nsd_ridge'), 'smoke', None, {'dataset.path': 'y'}
    )
    assert options.resolve(words, pipeline.DEFAULTS).dataset.path == 'y'


def test_words_are_parted_from_switches():
    given = 'rois=V1,V2,smoke,width=8,small=false'
    assert small._parted(given) == (['smoke'], {'rois': 'rois=V1,V2', 'width': 'width=8'})
    assert small._parted(None) == ([], {})


@pytest.mark.parametrize(
    ('words', 'other'),
    [
        *(('a=3', 'a=6'), ('a=0', 'a=1'), ('a=0.5', 'a=0.25'), ('a=0.0', 'a=0.5')),
        *(('a=true', 'a=false'), ('a=V1', 'a=V1_'), ('a=', 'a=_'), ('a=V1,V2', None), ('a', None)),
    ],
)
def test_another_value_is_of_the_same_type(words, other):
    assert small._other(words) == other
